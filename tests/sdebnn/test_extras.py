import pytest

from sdebnn import extras
from sdebnn.errors import InputError


def without(*libraries: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "_found", lambda name: name not in libraries)


def test_all_that_is_missing_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    without("jax", "optax", "matplotlib", "tensorboardX", monkeypatch=monkeypatch)
    with pytest.raises(InputError) as refusal:
        extras.require("The demo", "jax", "plots")
    assert str(refusal.value) == (
        "The demo needs jax and optax and matplotlib, which are not installed: pip install "
        "'sdebnn[jax,plots,tensorboard]' brings all that is missing (of these tensorboard could be left out)."
    )


def test_an_extra_of_which_one_library_is_missing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    without("torchsde", monkeypatch=monkeypatch)
    with pytest.raises(InputError, match=r"needs torchsde, which is not installed: pip install 'sdebnn\[torch\]'"):
        extras.require("framework='torch'", "torch")
    extras.require("framework='jax'", "jax", "plots")
