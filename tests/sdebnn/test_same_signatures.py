"""Both frameworks have the same names, which take the same things."""

import dataclasses
import importlib
import inspect

import pytest
import torch

import jaxsde.latent
import sdebnn.torchbnn.latent
from sdebnn import brax, torchbnn
from sdebnn.errors import InputError
from sdebnn.kl_estimators import KL_ESTIMATORS
from sdebnn.metrics.noise_laws import TARGET_LAWS
from sdebnn.priors import PRIORS
from sdebnn.runs import TrainConfig
from sdebnn.runs.choices.choice import allowed

# What a framework alone needs.
OWN = {
    "BayesianLayer", "Layer", "JaxLearner", "devices", "draw_path", "recomputing_serial",
    "BayesianModule", "Serial", "Flatten", "TorchLearner", "processes",
}  # fmt: skip
# What is no function of both: PyTorch's layers ask for the number of inputs, and JAX has devices in one process.
OTHERS = {"LIKELIHOODS", "Model", "ResNet32", "Solver", "build_learner", "diffeq_layers"}
SAME = sorted(set(brax.__all__) & set(torchbnn.__all__) - OTHERS)


def test_names_are_those_of_both_but_for_what_a_framework_alone_needs() -> None:
    assert set(brax.__all__) ^ set(torchbnn.__all__) == OWN


@pytest.mark.parametrize("name", SAME)
def test_arguments_are_the_same(name: str) -> None:
    one, other = (list(inspect.signature(getattr(framework, name)).parameters) for framework in (brax, torchbnn))
    assert one == other


def test_layers_that_take_depth_have_the_same_names() -> None:
    assert set(torchbnn.diffeq_layers.__all__) - {"DepthLayer"} == set(brax.diffeq_layers.__all__)
    for made in (brax.diffeq_layers.activation, brax.diffeq_layers.Activation, torchbnn.diffeq_layers.Activation):
        with pytest.raises(InputError, match=r"'swich' is not an activation; there are elu.*swish"):
            made("swich")


def blocks(framework):
    """Each block of a framework as a function of its solver and the solver's choices."""
    drift = framework.drift_network((2,))
    fx = framework.diffeq_layers.dense("ignore", *((3,) if framework is brax else (3, 3)))
    return {
        "SDEBNN": lambda *solver, **choices: framework.SDEBNN(fx, framework.WeightProcess(drift), *solver, **choices),
        "ODEBlock": lambda *solver, **choices: framework.ODEBlock(fx, *solver, **choices),
        "HyperODEBlock": lambda *solver, **choices: framework.HyperODEBlock(fx, drift, *solver, **choices),
    }


@pytest.mark.parametrize("framework", [brax, torchbnn], ids=["brax", "torchbnn"])
@pytest.mark.parametrize("name", ["SDEBNN", "ODEBlock", "HyperODEBlock"])
def test_a_solver_is_given_or_its_choices(framework, name: str) -> None:
    make = blocks(framework)[name]
    make(framework.Solver(3, "midpoint"))
    make(steps=3, method="midpoint")
    for given, choices, says in (
        ((framework.Solver(3),), {"steps": 4}, f"{name} got a solver and steps beside it"),
        (
            (),
            {"stepz": 3},
            f"{name} got stepz, which neither it nor a solver takes; a solver takes steps, method, adjoint",
        ),
        ((), {"steps": 0}, "1"),
        ((), {"steps": 2.5}, "whole number of steps"),
    ):
        with pytest.raises(InputError, match=says):
            make(*given, **choices)


def test_solvers_have_the_same_defaults_and_either_name_of_the_method() -> None:
    shared = brax.Solver._fields
    assert torchbnn.Solver._fields[: len(shared)] == shared
    assert torchbnn.Solver()[: len(shared)] == brax.Solver()
    fx, process = torchbnn.diffeq_layers.dense("ignore", 3, 3), torchbnn.WeightProcess(torchbnn.drift_network((2,)))
    outputs = [
        torchbnn.SDEBNN(fx, process, steps=3, method=method)(torch.ones(2, 3), rng=torch.Generator().manual_seed(0))[0]
        for method in ("euler", "euler_maruyama")
    ]
    assert torch.equal(*outputs)


def test_both_blocks_draw_a_path_of_the_weights_alone() -> None:
    one = brax.SDEBNN(brax.diffeq_layers.dense("ignore", 3), brax.WeightProcess(brax.drift_network((2,))), steps=3)
    other = inspect.signature(torchbnn.SDEBNN.weight_path).parameters
    assert [*inspect.signature(one.weight_path).parameters] == ["params", *list(other)[1:]]


def test_the_choices_are_those_of_the_solver() -> None:
    block = torchbnn.SDEBNN(
        torchbnn.diffeq_layers.dense("ignore", 3, 3), torchbnn.WeightProcess(torchbnn.drift_network((2,))), steps=3
    )
    assert block.solver == torchbnn.Solver(3)


LATENT = (
    "fit",
    "forecast",
    "gaussian",
    "LatentSDE",
    "matching",
    "neural",
    "pathwise",
    "poisson",
    "posterior",
    "student_t",
)
# Of modules and optimisers in PyTorch.
OF_TORCH = {"width", "scheduler"}


def test_latent_sdes_have_the_same_names() -> None:
    assert jaxsde.latent.__all__ == sdebnn.torchbnn.latent.__all__


@pytest.mark.parametrize("name", LATENT)
def test_latent_sdes_take_the_same_but_for_parameters(name: str) -> None:
    one, other = (
        inspect.signature(getattr(framework, name)).parameters for framework in (jaxsde.latent, sdebnn.torchbnn.latent)
    )
    assert [x for x in one if x != "params"] == [x for x in other if x not in OF_TORCH - set(one)]
    for shared in set(one) & set(other):
        assert one[shared].kind == other[shared].kind
        if shared != "rng":
            assert one[shared].default == other[shared].default or shared == "objective"


@pytest.mark.parametrize("framework", [brax, torchbnn], ids=["brax", "torchbnn"])
def test_names_that_editors_are_told_are_those_of_the_registries(framework) -> None:
    choices = {field.name: allowed(field) or () for field in dataclasses.fields(TrainConfig)}
    fixed = importlib.import_module(f"{framework.__name__}.layers.diffeq_layers.activations").FIXED
    assert choices["layer"] == tuple(framework.diffeq_layers.FAMILIES)
    assert choices["activation"] == ("swish", *fixed)
    assert set(choices["likelihood"]) == {"auto", *framework.LIKELIHOODS}
    assert choices["likelihood"] == ("auto", "categorical", *TARGET_LAWS)
    assert choices["prior"] == tuple(PRIORS)
    assert choices["kl_estimator"] == KL_ESTIMATORS
