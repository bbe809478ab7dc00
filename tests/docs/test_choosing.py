"""The table of methods is the one that the solvers go by."""

import pathlib

from jaxsde import ADJOINTS, METHODS
from jaxsde.problem import NOISES

PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "jaxsde" / "choosing.md").read_text()


def rows(heading):
    table = PAGE.split(heading, 1)[1].lstrip().split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table]


def test_methods_and_their_orders():
    name = {"ito": "Ito", "stratonovich": "Stratonovich"}
    expected = [
        [
            f"`{method.name}`",
            "Langevin" if method.langevin else " and ".join(name[sde_type] for sde_type in method.sde_types),
            *(str(method.order(noise) or "-") for noise in NOISES),
            str(method.weak_order),
            str(method.evaluations),
            ", ".join(f"{node:g}" for node in method.nodes),
        ]
        for method in METHODS.values()
    ]
    assert rows("<!-- METHODS -->") == expected


def test_aliases():
    for method in METHODS.values():
        for alias in method.aliases:
            assert f"`{alias}` is another name of `{method.name}`" in PAGE


def test_adjoints():
    listed = [row[0].removesuffix(" (default)") for row in rows("## Gradients")]
    assert listed == [f'`"{adjoint}"`' for adjoint in ADJOINTS]
