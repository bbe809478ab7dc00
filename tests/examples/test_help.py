"""What the help says of defaults is what a program does without the flag."""

import argparse
import importlib.util
import re
from pathlib import Path

import pytest

from sdebnn.cli import main
from sdebnn.cli.flags import add_choices, choices_given
from sdebnn.cli.parser import Parser
from sdebnn.cli.predict import CHANGEABLE
from sdebnn.errors import InputError

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(("framework", "folder"), [("jax", "--output"), ("torch", "--train-dir")])
def test_defaults_of_the_classification_examples_are_those_in_force(framework, folder, monkeypatch) -> None:
    pytest.importorskip({"jax": "jax", "torch": "torchsde"}[framework])
    script = EXAMPLES / framework / "sdebnn_classification.py"
    spec = importlib.util.spec_from_file_location(f"{framework}_classification", script)
    assert spec is not None
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


def test_the_ten_flags_that_matter_first_come_first_and_the_others_by_what_they_configure(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    printed = capsys.readouterr().out
    flags = re.findall(r"^  (--[a-z-]+)", printed, re.MULTILINE)
    assert flags[:10] == [
        "--output", "--resume", "--data", "--model", "--epochs", "--batch-size", "--learning-rate", "--width",
        "--sigma", "--seed",
    ]  # fmt: skip
    assert sorted(flags) == sorted(set(flags))
    groups = re.findall(r"^([a-z].*):$", printed, re.MULTILINE)
    assert groups[:3] == ["options", "the run folder", "what matters first"]
    assert {"prior", "solver", "optimiser", "objective", "network", "data"} <= set(groups)


@pytest.mark.parametrize(("text", "value"), [("1", True), ("0", False), ("True", True), ("false", False)])
def test_a_switch_takes_0_and_1_and_what_a_report_prints(text: str, value: bool) -> None:
    parser = Parser()
    add_choices(parser)
    assert choices_given(parser.parse_args(["--snr", text])) == {"snr": value}
    with pytest.raises(InputError, match=r"--snr got 'yes'; it takes 0 or 1\."):
        choices_given(parser.parse_args(["--snr", "yes"]))
