"""A network whose weights are drawn, as a file that is read without this package."""

import importlib.util
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import nn
from torch.utils import _pytree as pytree

from sdebnn import storage
from sdebnn.errors import InputError
from sdebnn.torchbnn.learning.model import Model
from sdebnn.training.unseen_features import UnseenFeatures

SUFFIXES = (".pt2", ".onnx")


@torch.no_grad()
def export(
    model: Model,
    drawn: Any,
    path: Path,
    example: torch.Tensor,
    shift: Float[np.ndarray, " d"],
    scale: Float[np.ndarray, " d"],
    unseen: UnseenFeatures | None = None,
) -> None:
    """Writes shift + scale * what the likelihood expects, weights and all, for any number of inputs: to `.pt2`, which
    `torch.export.load` reads, or to `.onnx`.

    **Arguments:**

    - `model`: the learner's predictor.
    - `drawn`: what its network drew first.
    - `path`: of the file.
    - `example`: an input, (1, ...), whose numbers do not matter.
    - `shift`, `scale`: of the user's units.
    - `unseen`: features whose part is added to the first outputs.

    **Raises:** `InputError` for another suffix, and for `.onnx` where the packages that write it are missing;
    `StorageError` when it cannot be written.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(
            f"A network in PyTorch is exported to a file that ends in {' or '.join(SUFFIXES)}, and {path} ends in "
            f"{path.suffix or 'nothing'!r}; load the posterior with framework='jax' for .jax."
        )
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if path.suffix == ".onnx" and missing:
        raise InputError(
            f"ONNX needs {' and '.join(missing)}, which {'are' if len(missing) > 1 else 'is'} not installed: "
            "pip install 'sdebnn[export]'."
        )
    # Two: a size of one would be taken for a constant.
    x = example.repeat(2, *[1] * (example.ndim - 1))
    program = torch.export.export(
        _Plain(model, drawn, shift, scale, unseen), (x,), dynamic_shapes=({0: torch.export.Dim("n")},)
    )
    file = io.BytesIO()
    if path.suffix == ".onnx":
        found: Any = torch.onnx.export(program, (), dynamo=True, verbose=False)
        file.write(found.model_proto.SerializeToString())
    else:
        torch.export.save(program, file)
    storage.write(path.parent.resolve() / path.name, file.getvalue())


class _Plain(nn.Module):
    def __init__(
        self, model: Model, drawn: Any, shift: np.ndarray, scale: np.ndarray, unseen: UnseenFeatures | None
    ) -> None:
        super().__init__()
        self._model = model
        parts, self._structure = pytree.tree_flatten(drawn)
        # Copies: a file of a part of a tensor would hold all of it.
        self._drawn = nn.ParameterList(nn.Parameter(part.clone(), requires_grad=False) for part in parts)
        device = next(model.parameters()).device
        units = torch.from_numpy(np.stack([shift, scale])).to(device, torch.float32)
        self._units = nn.Parameter(units, requires_grad=False)
        self._unseen = nn.ParameterList(
            nn.Parameter(torch.from_numpy(part.copy()).to(device), requires_grad=False) for part in unseen or ()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs = self._model.network.run_drawn(x, pytree.tree_unflatten(list(self._drawn), self._structure))
        if len(self._unseen):
            added = UnseenFeatures(*self._unseen)(x)
            outputs = outputs + nn.functional.pad(added, (0, outputs.shape[1] - added.shape[1]))
        mean = self._model.likelihood.mean(dict(self._model.likelihood_params.items()), outputs)
        return self._units[0] + self._units[1] * mean
