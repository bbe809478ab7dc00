"""What an extension costs is what CONTRIBUTING.md says."""

import dataclasses
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = dict(
    re.findall(r"^\| [^|]+ \| [^|]+ \| `(\w+)`: (.+) \|$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
)


def test_there_is_an_example_of_a_method_and_of_a_score() -> None:
    from jaxsde import METHODS
    from sdebnn import metrics

    assert EXAMPLES.keys() & METHODS.keys()
    assert EXAMPLES.keys() & set(metrics.__all__)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_files_that_speak_of_an_example_are_those_of_its_row(example: str) -> None:
    word = re.compile(rf"(?<![A-Za-z0-9]){example}(?![A-Za-z0-9])", re.IGNORECASE)
    files = (path for path in (ROOT / "src").rglob("*") if path.suffix in {".py", ".html"})
    # A law is a class and the name of a flag: IntegratedOU, integrated_ou.
    own = r"(?<=[a-z])_(?=[a-z])" if example != example.lower() else "(?!)"
    speaking = {str(p.relative_to(ROOT / "src")) for p in files if word.search(re.sub(own, "", p.read_text()))}
    assert speaking == set(re.findall(r"`([^`]+)`", EXAMPLES[example]))


def test_a_method_is_offered_by_its_row_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import jax
    import jax.numpy as jnp
    import numpy as np

    import jaxsde

    new = dataclasses.replace(jaxsde.METHODS["euler_maruyama"], name="of_today")
    monkeypatch.setitem(jaxsde.METHODS, "of_today", new)

    def end(rate: jax.Array, method: str) -> jax.Array:
        def drift(y: jax.Array, t: jax.Array, args: jax.Array) -> jax.Array:
            return -args * y

        ts = np.linspace(0.0, 1.0, 5)
        return jaxsde.sdeint_ito_fixed_grid(drift, drift, jnp.ones(2), ts, jax.random.key(0), rate, method)[-1].sum()

    rate = jnp.asarray(0.5)
    for taken in (end, jax.grad(end)):
        assert taken(rate, "of_today") == taken(rate, "euler_maruyama")
    with pytest.raises(ValueError, match="of_today"):
        end(rate, "of_tomorrow")


def test_the_house_has_every_room() -> None:
    house = (ROOT / "CONTRIBUTING.md").read_text().split("## The house")[1].split("\n## ")[0]
    named = {name.removeprefix("sdebnn.") for name in re.findall(r"`([\w.]+)`", house)}
    rooms = {path.stem for path in (ROOT / "src" / "sdebnn").iterdir() if not path.stem.startswith("__")}
    assert rooms - {"py"} <= named


def test_what_is_cited_is_this_version() -> None:
    from sdebnn import __version__

    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()
