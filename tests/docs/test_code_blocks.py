"""Every Python block of the documentation runs as a reader would run it, and what it asserts holds; so does every
command in a block of `shell`.
"""

import pathlib
import re
import shlex

import pytest

DOCS = pathlib.Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```(python|shell)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = sorted(page for page in DOCS.rglob("*.md") if BLOCK.search(page.read_text()))


def as_python(line):
    """A line of Python that runs a command of the package as a shell does."""
    program, *words = shlex.split(line)
    assert program == "sdebnn", line
    return f"assert __import__('sdebnn.cli').cli.main({words!r}) == 0"


def script(page):
    """The blocks of a page in their order, on the lines that they have there."""
    text = page.read_text()
    lines: list[str] = []
    for block in BLOCK.finditer(text):
        language, info, code = block.group(1), block.group(2).strip(), block.group(3)
        if language == "shell":
            code = "\n".join(map(as_python, code.splitlines()))
        if info:
            # A block that cannot run says why: ```python notest: reason
            assert re.fullmatch(r"notest: .+", info), f"{page.name} has a block marked {info!r}; write 'notest: reason'"
            continue
        lines += [""] * (text[: block.start(3)].count("\n") - len(lines)) + code.splitlines()
    return "\n".join(lines)


def test_there_are_pages_to_test():
    assert len(PAGES) >= 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_blocks_run_in_order(page, tmp_path, interpreter):
    name = page.with_suffix(".py").name
    (tmp_path / name).write_text(script(page))
    # Pages that say nothing of the pictures of a run do without.
    done = interpreter.run("-W", "error", name, cwd=tmp_path, drawn="picture" in page.read_text())
    assert done.returncode == 0, done.stderr


def test_commands_run_too(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```\nsdebnn no\n```\n```shell\nsdebnn train --data 'a b'\n```\n")
    assert script(page) == "\n\n\n\nassert __import__('sdebnn.cli').cli.main(['train', '--data', 'a b']) == 0"


def test_no_block_is_left_out_silently(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "Text.\n```python\nx = 1\n```\n```python notest: it is long\nx = 2\n```\n```python\nassert x == 1\n```\n"
    )
    assert script(page) == "\n\nx = 1\n\n\n\n\n\nassert x == 1"
    page.write_text("```python skip\nx = 1\n```\n")
    with pytest.raises(AssertionError, match="notest"):
        script(page)
