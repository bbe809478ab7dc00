"""Posterior samples whose weights are drawn once, so that a prediction costs what their networks cost."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import nn
from torch.utils import _pytree as pytree

from sdebnn.data import to_float
from sdebnn.errors import InputError
from sdebnn.torchbnn.layers.bayesian import BayesianModule
from sdebnn.torchbnn.learning.export import export
from sdebnn.torchbnn.learning.model import Model
from sdebnn.training.likelihood_protocol import check_outputs, number_of_outputs

# Examples that go through the networks at once, at most.
BATCH = 500
# Weights that are kept, in bytes.
MOST = 2**28


@torch.no_grad()
def draw_networks(network: nn.Module, rngs: list[torch.Generator]) -> Any:
    """What the network's `run_drawn` takes, of all posterior samples along a first axis. `None` for a network that
    draws only when it sees its inputs, and for one whose weights would fill the memory.

    **Arguments:**

    - `rngs`: a generator for each posterior sample.
    """
    if not isinstance(network, BayesianModule):
        return None
    drawn: list[Any] = []
    for rng in rngs:
        try:
            drawn.append(network.draw_first(rng=rng))
        except InputError:
            return None
        size = sum(part.nbytes for part in pytree.tree_leaves(drawn[0]))
        if size * len(rngs) > MOST:
            return None
    return pytree.tree_map(lambda *of_samples: torch.stack(of_samples), *drawn)


class DrawnNetworks:
    """The posterior samples of a model, each a network with weights of its own: the `outputs` of a
    `sdebnn.training.Learner`, to rounding.

    **Arguments:**

    - `model`: the learner's predictor.
    - `drawn`: of `draw_networks`, for so many `samples`.
    - `inputs`: makes tensors of the learner's inputs.
    - `of_likelihood`: that of the learner, for likelihoods of a user's own.
    - `shared`: whether the model is that of a run's choices. Then what its likelihood says of all samples is asked for
      at once.
    """

    def __init__(
        self,
        model: Model,
        drawn: Any,
        samples: int,
        inputs: Callable[[np.ndarray], torch.Tensor],
        of_likelihood: Callable[..., Any],
        shared: bool,
    ) -> None:
        self._model, self._samples, self._inputs = model, samples, inputs
        self._drawn, self._structure = pytree.tree_flatten(drawn)
        self._of_likelihood, self._shared = of_likelihood, shared

    @torch.no_grad()
    def outputs(self, x: Any) -> Float[np.ndarray, "samples n o"]:
        parts = (to_float(x[start : start + BATCH]) for start in range(0, len(x), BATCH))
        outputs = torch.cat([self._outputs(self._inputs(part)) for part in parts], dim=1)
        check_outputs(tuple(outputs.shape[1:]), (len(x), number_of_outputs(self._model.likelihood)))
        return outputs.cpu().numpy()

    @torch.no_grad()
    def of_likelihood(
        self, method: str, outputs: Float[np.ndarray, "samples n o"], targets: Any = None, *, seed: int = 0
    ) -> np.ndarray | None:
        if not self._shared or method == "sample":
            return self._of_likelihood(method, outputs, targets, seed=seed)
        if not hasattr(self._model.likelihood, method):
            return None
        samples, n, _ = outputs.shape
        params = dict(self._model.likelihood_params.items())
        device = next(self._model.parameters()).device
        rest = []
        if targets is not None:
            given = torch.from_numpy(targets).to(device)
            rest = [given.expand(samples, *given.shape).reshape(samples * n, *given.shape[1:])]
        of_all = torch.from_numpy(outputs).to(device).reshape(samples * n, -1)
        said = getattr(self._model.likelihood, method)(params, of_all, *rest)
        return said.reshape(samples, n, *said.shape[1:]).cpu().numpy()

    def export(
        self,
        path: Path,
        example: Float32[np.ndarray, "1 ..."],
        shift: Float[np.ndarray, " d"],
        scale: Float[np.ndarray, " d"],
    ) -> None:
        export(self._model, self._of_sample(0), path, self._inputs(example), shift, scale)

    def _of_sample(self, sample: int) -> Any:
        return pytree.tree_unflatten([part[sample] for part in self._drawn], self._structure)

    def _outputs(self, x: torch.Tensor) -> torch.Tensor:
        run = self._model.network.run_drawn
        # Of images all samples at once would fill the memory.
        if x.ndim > 2 or not self._drawn:
            return torch.stack([run(x, self._of_sample(sample)) for sample in range(self._samples)])
        return torch.func.vmap(lambda drawn: run(x, pytree.tree_unflatten(drawn, self._structure)))(self._drawn)
