"""A file of results, from which a benchmark that was broken off goes on."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sdebnn.errors import InputError

RESULTS = Path(__file__).parent / "results"
"""Where the rows are that the tables of the documentation were made of."""


class ResultsFile:
    """Rows of numbers, a line of JSON each; a last line that was cut short is left out.

    **Arguments:**

    - `path`: of the file, which need not be there.
    - `keys`: the columns that say what a row is of.

    **Raises:** `InputError` for two rows of the same.
    """

    def __init__(self, path: Path, keys: tuple[str, ...]) -> None:
        self._path, self._keys = path, keys
        text = path.read_text() if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        self.rows: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]
        if whole != text:
            path.write_text(whole)
        of = [json.dumps([row.get(key) for key in keys]) for row in self.rows]
        for number, this in enumerate(of):
            if this in of[:number]:
                raise InputError(
                    f"Lines {of.index(this) + 1} and {number + 1} of {path} are of the same "
                    f"({', '.join(keys)}: {this}); remove one."
                )

    def has(self, **of: Any) -> bool:
        """Whether there is a row of these."""
        return any(all(row.get(key) == of[key] for key in self._keys) for row in self.rows)

    def add(self, row: Mapping[str, Any]) -> None:
        """Keeps a row, in the file too."""
        self.rows.append(dict(row))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")


def write_tables(page: Path, script: str, text: str) -> None:
    """Puts what a script of this folder made into a page, between the two lines that say where."""
    begin, end = f"<!-- by benchmarks/{script} -->", "<!-- to here -->"
    before, rest = page.read_text().split(begin)
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{rest.split(end, 1)[1]}")
