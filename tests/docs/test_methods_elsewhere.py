"""The table of methods beside other libraries: our columns are what the solvers go by, and the names are there."""

import pathlib
import re
from collections.abc import Callable

import diffrax
import pytest
from torchsde.settings import METHODS as THEIRS

from jaxsde import METHODS
from jaxsde.problem import NOISES

PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "jaxsde" / "methods-elsewhere.md").read_text()
ROWS = [
    [cell.strip() for cell in row.strip("|").split("|")]
    for row in PAGE.split("<!-- METHODS -->", 1)[1].lstrip().split("\n\n", 1)[0].splitlines()[2:]
]
OURS = 9


def test_our_columns() -> None:
    name = {"ito": "Ito", "stratonovich": "Stratonovich"}
    expected = [
        [
            f"`{method.name}`",
            "Langevin" if method.langevin else " and ".join(name[sde_type] for sde_type in method.sde_types),
            *(str(method.order(noise) or "-") for noise in NOISES),
            str(method.weak_order),
            "yes" if method.embedded else "-",
        ]
        for method in METHODS.values()
    ]
    assert [row[:OURS] for row in ROWS] == expected


@pytest.mark.parametrize(
    ("column", "is_there"), [(OURS, lambda name: name in THEIRS), (OURS + 1, lambda name: hasattr(diffrax, name))]
)
def test_names_in_installed_libraries(column: int, is_there: Callable[[str], bool]) -> None:
    named = [name for row in ROWS for name in re.findall("`(.*?)`", row[column])]
    assert len(named) > 5
    assert [name for name in named if not is_there(name)] == []
