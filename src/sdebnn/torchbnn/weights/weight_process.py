"""The law of the weights over depth: an Ornstein-Uhlenbeck prior, and a posterior whose drift is learned.

prior:      dw = rate (centre - w) dt                + sigma dB
posterior:  dw = rate (centre - w) dt + NN(w, t) dt  + sigma dB

Noise may be kept to a part of the weights or of the depth (Calvo-Ordonez et al., 2024). A weight moves by
dw = NN(w, t) dt where it has no noise; the KL does not count it there.
"""

import dataclasses
from collections.abc import Callable

from torch import nn

from sdebnn.ou_prior import OUPrior


@dataclasses.dataclass(frozen=True)
class WeightProcess(OUPrior):
    """The prior and the posterior of a block's weights, all of them in one vector w of p numbers.

    **Arguments:**

    - `drift`: a function of the number of weights that makes the module NN, called as `module(w, t=...)`, which
      corrects the prior's drift and should start at zero; see `drift_network`.
    - the others: of `sdebnn.ou_prior.OUPrior`.

    **Raises:** `InputError` unless the numbers are in their ranges and the names are among those allowed.
    """

    drift: Callable[[int], nn.Module]
