"""The choices of a run, by what they configure."""

from sdebnn.runs.choices.choice import AUTO, Choices, NumberOrAuto, allowed
from sdebnn.runs.choices.data import DataChoices
from sdebnn.runs.choices.network import NetworkChoices
from sdebnn.runs.choices.objective import ObjectiveChoices
from sdebnn.runs.choices.optimiser import OptimiserChoices
from sdebnn.runs.choices.prior import SIGMAS, PriorChoices
from sdebnn.runs.choices.run import RunChoices
from sdebnn.runs.choices.scoring import ScoringChoices
from sdebnn.runs.choices.solver import SolverChoices

__all__ = [
    "AUTO",
    "SIGMAS",
    "Choices",
    "DataChoices",
    "NetworkChoices",
    "NumberOrAuto",
    "ObjectiveChoices",
    "OptimiserChoices",
    "PriorChoices",
    "RunChoices",
    "ScoringChoices",
    "SolverChoices",
    "allowed",
]
