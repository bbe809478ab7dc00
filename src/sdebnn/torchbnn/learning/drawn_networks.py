"""Posterior samples whose weights are drawn once, so that a prediction costs what their networks cost."""

from collections.abc import Callable, Sequence
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
from sdebnn.torchbnn.layers.lent_parameters import call_with, places_of
from sdebnn.torchbnn.learning.export import export
from sdebnn.torchbnn.learning.model import Model
from sdebnn.torchbnn.learning.program import Program, record
from sdebnn.training.likelihood_protocol import check_outputs, number_of_outputs
from sdebnn.training.members import SideBySide
from sdebnn.training.unseen_features import UnseenFeatures

# Examples that go through the networks at once, at most; and so few that what PyTorch does around its products takes
# longer than these: they are filled up to that number, and go through a program that was recorded.
BATCH, FEW = 500, 8
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
    - `shared`: whether the model is that of a run's choices. Then all samples are asked at once, and so is its
      likelihood.
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
        self._of_rows = _OfRows(self._of_all)

    @torch.no_grad()
    def outputs(self, x: Any) -> Float[np.ndarray, "samples n o"]:
        outputs = in_batches(self._outputs, self._inputs, x)
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

    def together(self, others: Sequence["DrawnNetworks"]) -> SideBySide:
        """These samples and those of others, whose models are the same but for their parameters, in this order."""
        every = [self, *others]
        return _Together(every) if self._shared and self._drawn else SideBySide(every)

    def export(
        self,
        path: Path,
        example: Float32[np.ndarray, "1 ..."],
        shift: Float[np.ndarray, " d"],
        scale: Float[np.ndarray, " d"],
        unseen: UnseenFeatures | None = None,
    ) -> None:
        export(self._model, self._of_sample(0), path, self._inputs(example), shift, scale, unseen)

    def _of_sample(self, sample: int) -> Any:
        return pytree.tree_unflatten([part[sample] for part in self._drawn], self._structure)

    def _outputs(self, x: torch.Tensor) -> torch.Tensor:
        # Of images all samples at once would fill the memory. A network of a user's own need not be one to vmap.
        if x.ndim > 2 or not self._drawn or not self._shared:
            run = self._model.network.run_drawn
            return torch.stack([run(x, self._of_sample(sample)) for sample in range(self._samples)])
        return self._of_rows(x)

    def _of_all(self, x: torch.Tensor) -> torch.Tensor:
        run = self._model.network.run_drawn
        return torch.func.vmap(lambda drawn: run(x, pytree.tree_unflatten(drawn, self._structure)))(self._drawn)


class _Together(SideBySide):
    """The samples of several as one program, of a table's rows."""

    members: Sequence[DrawnNetworks]

    def __init__(self, members: Sequence[DrawnNetworks]) -> None:
        super().__init__(members)
        first = members[0]
        networks = [_Drawn(member._model.network) for member in members]
        self._network, self._inputs, self._structure = networks[0], first._inputs, first._structure
        self._places = places_of(self._network)
        named = [dict(network.named_parameters()) for network in networks]
        self._params = {name: torch.stack([of_one[name].detach() for of_one in named]) for name in named[0]}
        self._drawn = [torch.stack(parts) for parts in zip(*(member._drawn for member in members), strict=True)]
        self._of_rows = _OfRows(self._of_all)

    @torch.no_grad()
    def outputs(self, x: Any) -> Float[np.ndarray, "samples n o"]:
        return super().outputs(x) if np.ndim(x) > 2 else in_batches(self._of_rows, self._inputs, x).cpu().numpy()

    def _of_all(self, x: torch.Tensor) -> torch.Tensor:
        def of_member(params: dict[str, torch.Tensor], drawn: list[torch.Tensor]) -> torch.Tensor:
            def of_sample(drawn: list[torch.Tensor]) -> torch.Tensor:
                given = (x, pytree.tree_unflatten(drawn, self._structure))
                return call_with(self._network, self._places, params, given)

            return torch.func.vmap(of_sample)(drawn)

        return torch.func.vmap(of_member)(self._params, self._drawn).flatten(0, 1)


class _Drawn(nn.Module):
    """A network with weights that were drawn."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network

    def forward(self, x: torch.Tensor, drawn: Any) -> torch.Tensor:
        return self.network.run_drawn(x, drawn)


class _OfRows:
    """A function of a table's rows, which is a program for few."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self._function = function
        self._of_few: Program | None = None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > FEW:
            return self._function(x)
        filled = torch.cat([x, x[-1:].expand(FEW - len(x), -1)])
        if self._of_few is None:
            self._of_few = record(lambda x: (self._function(x),), [filled])
        return self._of_few(filled)[0][:, : len(x)]


def in_batches(
    function: Callable[[torch.Tensor], torch.Tensor], inputs: Callable[[np.ndarray], torch.Tensor], x: Any
) -> torch.Tensor:
    """(samples, n, o): what `function` says of n examples, a batch at a time, as tensors that `inputs` makes."""
    parts = (to_float(x[start : start + BATCH]) for start in range(0, len(x), BATCH))
    return torch.cat([function(inputs(part)) for part in parts], dim=1)
