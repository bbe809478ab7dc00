"""The notebooks run from their first cell to the last, and what they assert holds."""

import json
import pathlib

import pytest
from forked import Interpreter

NOTEBOOKS = sorted((pathlib.Path(__file__).parents[2] / "examples" / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks_to_run() -> None:
    assert len(NOTEBOOKS) >= 2


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_a_notebook_runs(notebook: pathlib.Path, tmp_path: pathlib.Path, interpreter: Interpreter) -> None:
    pytest.importorskip("pandas")
    cells = json.loads(notebook.read_text())["cells"]
    # It is kept without what it printed, so that it says nothing that is no longer so.
    assert not any(cell.get("outputs") for cell in cells)
    code = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    (tmp_path / f"{notebook.stem}.py").write_text(code)
    done = interpreter.run("-W", "error", f"{notebook.stem}.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout
