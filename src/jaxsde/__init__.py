"""Differentiable solvers for stochastic differential equations in JAX."""

from jaxsde.adjoints import ADJOINTS
from jaxsde.brownian import BrownianPath, CounterPath, Increment, ReplayedPath, VirtualTree, brownian_increments
from jaxsde.calculus import g_dg, ito_to_stratonovich, stratonovich_to_ito
from jaxsde.diffrax_terms import to_diffrax
from jaxsde.expectation import Expectation, LevelStats, expectation
from jaxsde.first_exit import FirstExit
from jaxsde.integrate import solve
from jaxsde.jumps import Jumps
from jaxsde.langevin import Langevin
from jaxsde.methods import METHODS, theta_method
from jaxsde.path_kl import path_kl, relative_drift, running_path_kl
from jaxsde.progress import ProgressBar
from jaxsde.sde import SDE
from jaxsde.sdeint import sdeint_ito, sdeint_ito_fixed_grid, sdeint_strat, sdeint_strat_fixed_grid
from jaxsde.solution import Result, Solution, Stats
from jaxsde.steps import AdaptiveSteps, FixedSteps

__all__ = [
    "ADJOINTS",
    "METHODS",
    "SDE",
    "AdaptiveSteps",
    "BrownianPath",
    "CounterPath",
    "Expectation",
    "FirstExit",
    "FixedSteps",
    "Increment",
    "Jumps",
    "Langevin",
    "LevelStats",
    "ProgressBar",
    "ReplayedPath",
    "Result",
    "Solution",
    "Stats",
    "VirtualTree",
    "brownian_increments",
    "expectation",
    "g_dg",
    "ito_to_stratonovich",
    "path_kl",
    "relative_drift",
    "running_path_kl",
    "sdeint_ito",
    "sdeint_ito_fixed_grid",
    "sdeint_strat",
    "sdeint_strat_fixed_grid",
    "solve",
    "stratonovich_to_ito",
    "theta_method",
    "to_diffrax",
]
