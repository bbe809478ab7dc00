"""The commands of the page on the papers are commands, and every preset has one."""

import re
from pathlib import Path

from sdebnn.cli import evaluate, train
from sdebnn.cli.flags import choices_given, ood_given, preset_given
from sdebnn.cli.parser import Parser
from sdebnn.cli.train import config_of
from sdebnn.runs.papers import PAPERS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reproduce.md").read_text()


def test_every_command_is_one_and_every_preset_has_one() -> None:
    parser = Parser(prog="sdebnn")
    subcommands = parser.add_subparsers()
    train.add_to(subcommands)
    evaluate.add_to(subcommands)
    asked = [parser.parse_args(command.split()) for command in re.findall(r"`sdebnn ([^`]+)`", PAGE)]
    trained = [options for options in asked if "preset" in options]
    for options in trained:
        preset = preset_given(options)
        assert config_of(choices_given(options), preset).data == preset["data"]
    assert {options.preset for options in trained} == set(PAPERS)
    strange = [ood_given(options) for options in asked if "preset" not in options]
    assert len(strange) == 3
    for script in re.findall(r"`python ([^`]+)`", PAGE):
        assert (ROOT / script).is_file()


def test_every_row_has_a_cell_for_hours_and_for_both_numbers() -> None:
    rows = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("| ")]
    assert len(rows) > 2 * len(PAPERS)
    assert {len(row) for row in rows} == {5}
