"""Prior laws of the weights as values, one a file: arithmetic alone, so that numpy, JAX and PyTorch share one
definition.

A law of one's own is a frozen dataclass that inherits `Prior` and says its drift; both frameworks then take it as
`WeightProcess(drift_network(), MyLaw())`. A row in `PRIORS` offers it to the command line by its name.
"""

from sdebnn.priors.bridge import Bridge
from sdebnn.priors.brownian_motion import BrownianMotion
from sdebnn.priors.by_name import PRIORS, prior_by_name
from sdebnn.priors.integrated_ou import IntegratedOU
from sdebnn.priors.ornstein_uhlenbeck import OrnsteinUhlenbeck
from sdebnn.priors.prior import Prior

__all__ = ["PRIORS", "Bridge", "BrownianMotion", "IntegratedOU", "OrnsteinUhlenbeck", "Prior", "prior_by_name"]
