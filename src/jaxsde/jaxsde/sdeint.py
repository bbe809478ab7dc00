"""The solvers under the import path `jaxsde.jaxsde.sdeint`."""

from jaxsde.sdeint import sdeint_ito, sdeint_ito_fixed_grid, sdeint_strat, sdeint_strat_fixed_grid

__all__ = ["sdeint_ito", "sdeint_ito_fixed_grid", "sdeint_strat", "sdeint_strat_fixed_grid"]
