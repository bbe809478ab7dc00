"""What the help says of defaults is what a program does without the flag."""

import argparse
import importlib.util
import re
from pathlib import Path

import pytest

from sdebnn.cli import main
from sdebnn.cli.predict import CHANGEABLE

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(("framework", "folder"), [("jax", "--output"), ("torch", "--train-dir")])
def test_defaults_of_the_classification_examples_are_those_in_force(framework, folder, monkeypatch) -> None:
    pytest.importorskip({"jax": "jax", "torch": "torchsde"}[framework])
    script = EXAMPLES / framework / "sdebnn_classification.py"
    spec = importlib.util.spec_from_file_location(f"{framework}_classification", script)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    parse_args = argparse.ArgumentParser.parse_args
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", lambda parser: parser)
    parser = example.parse()
    config = example.config(parse_args(parser, [folder, "run"]))
    stated = {}
    for action in parser._actions:
        if (said := re.search(r"\(default ([^()]*)\)$", action.help)) and hasattr(config, action.dest):
            first, *presets = said[1].split("; ")
            stated[action.dest] = next((p.split(": ")[1] for p in presets if p.startswith("cifar10: ")), first)
    assert stated.pop("test_samples").startswith("as many as --")
    assert config.test_samples == config.train_samples
    assert len(stated) > 35
    for name, text in stated.items():
        value = getattr(config, name)
        assert text == ("-".join(map(str, value)) if isinstance(value, tuple) else str(value)), name


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_finished_run_has_its_own_defaults(command: str, capsys) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert " ".join(capsys.readouterr().out.split()).count("(default that of the run)") >= len(CHANGEABLE)
