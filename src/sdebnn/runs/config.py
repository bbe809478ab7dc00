"""What a training run is: one record of every choice, checked before any work, written to the run folder as JSON.

The command line's flags, their help and their checks are read off this record, so that a choice is described in one
place.
"""

import dataclasses
import math
import numbers
import os
import reprlib
from collections.abc import Mapping
from typing import Any, no_type_check

from sdebnn.errors import InputError
from sdebnn.kl_estimators import KL_ESTIMATORS
from sdebnn.metrics.noise_laws import NOISE_LAWS
from sdebnn.priors import PRIORS, Prior, prior_by_name
from sdebnn.spelling import nearest


def _choice(default: Any, help: str, **limits: Any) -> Any:
    return dataclasses.field(default=default, metadata={"help": help, **limits})


# Values come from files and command lines: `_check` answers for their types, in sentences.
@no_type_check
@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Every choice of a training run. Each field's help is what `sdebnn train --help` prints.

    Numbers may be NumPy's, several of them a list or an array, and `data` a `Path`: they are kept as Python's own.

    **Raises:** `InputError`, one sentence, for a value that is not allowed.
    """

    data: str = _choice("digits", "data set: a name or a path to an .npz file with x and y")
    model: str = _choice(
        "sdebnn",
        "sdebnn: weights follow an SDE through depth; odenet: the same network with weights that stand still; "
        "hyperodenet: with weights that follow an ODE; resnet32: a residual network of 32 layers; meanfield_...: that "
        "network with an independent Gaussian for every weight outside the SDE",
        choices=(
            "sdebnn",
            "odenet",
            "hyperodenet",
            "resnet32",
            "meanfield_sdebnn",
            "meanfield_odenet",
            "meanfield_hyperodenet",
            "meanfield_resnet32",
        ),
    )
    framework: str = _choice("jax", "jax, or torch for PyTorch with torchsde", choices=("jax", "torch"))
    seed: int = _choice(
        0, "seed of all randomness: the same seed gives the same numbers on the same machine", low=0, high=2**32 - 1
    )

    epochs: int = _choice(40, "passes over the training data", low=1)
    batch_size: int = _choice(64, "examples in a gradient step; more than there are is all of them", low=1)
    learning_rate: float = _choice(4e-3, "peak step size of Adam", above=0)
    schedule: str = _choice(
        "cosine",
        "step size after the warm-up: cosine, to zero; exponential, to a hundredth; stairs, a tenth after half and a "
        "hundredth after three quarters of the run; constant",
        choices=("cosine", "exponential", "stairs", "constant"),
    )
    warmup_steps: int = _choice(
        20, "gradient steps over which the step size rises from 0; at most half of the run", low=0
    )
    accumulate: int = _choice(
        1, "equal slices of a batch that go through the network one after the other, to save memory", low=1
    )
    clip_norm: float = _choice(0.0, "largest norm of a gradient; a longer one is scaled down; 0 is no limit", low=0)
    augmentation: str = _choice(
        "none",
        "random changes to training images: crop moves them by up to 4 pixels (2 below 32 pixels a side), the border "
        "filled with zeros; crop_flip also mirrors half of them left to right",
        choices=("none", "crop", "crop_flip"),
    )
    likelihood: str = _choice(
        "auto",
        "what outputs say of answers: auto is categorical for labels and gaussian for targets; for targets, "
        + ", ".join(f"{name} for {law.errors}" for name, law in NOISE_LAWS.items()),
        choices=("auto", "categorical", *NOISE_LAWS),
    )
    kl_coef: float = _choice(
        1.0, "weight of the path KL: loss = mean NLL + kl_coef / N_train * KL; 1 is the evidence lower bound", low=0
    )
    kl_warmup: float = _choice(0.0, "epochs over which the weight of the KL rises from 0 to kl_coef", low=0)
    kl_estimator: str = _choice(
        "stl",
        "unbiased estimator of the path KL; stl has the least variance near the posterior",
        choices=KL_ESTIMATORS,
    )
    train_samples: int = _choice(1, "weight paths drawn for a gradient step, each seen by the whole batch", low=1)
    batch_paths: int = _choice(
        1, "weight paths that share a batch, each seen by an equal part of it; 0 is one an example", low=0
    )
    test_samples: int = _choice(16, "weight paths whose predictive probabilities are averaged", low=1)
    ema: float = _choice(
        0.99,
        "decay of the parameter average that predictions use, lower in the first steps; 0 takes the last parameters",
        low=0,
        below=1,
    )
    evaluate_every: int = _choice(
        0, "epochs between evaluations on the held-out data while training; 0 is only at the end", low=0
    )
    test_examples: int = _choice(
        0, "score only so many of the held-out examples, spread over them in proportion to the classes; 0 is all", low=0
    )
    max_steps: int = _choice(0, "stop after so many gradient steps; 0 is no limit", low=0)
    checkpoint_steps: int = _choice(
        0,
        "gradient steps between checkpoints, from which --resume goes on; 0 is at ends of epochs, at most every 10 s; "
        "the newest two stay",
        low=0,
    )
    snr: int = _choice(0, "1 logs the signal-to-noise ratio of the gradient", low=0, high=1)
    validation: float = _choice(
        0.0,
        "share of the training data held out to choose the best checkpoint by its NLL, which then makes the "
        "predictions; 0 holds out none and takes the last",
        low=0,
        below=1,
    )

    steps: int = _choice(8, "steps of the solver over depth 0 to 1", low=1, high=100_000)
    method: str = _choice("euler_maruyama", "solver over depth, by its name in jaxsde, or in torchsde for PyTorch")
    test_steps: int = _choice(0, "steps of the solver for predictions; 0 is as in training", low=0, high=100_000)
    test_method: str = _choice("", "solver for predictions; empty is as in training")
    adjoint: str = _choice(
        "backprop",
        "how gradients are computed: backprop keeps every step, checkpoint and stochastic few of them and compute the "
        "others again (stochastic keeps none in PyTorch), reversible (with the method reversible_heun) none",
        choices=("backprop", "checkpoint", "reversible", "stochastic"),
    )
    rtol: float = _choice(
        0.0, "relative tolerance of adaptive steps, in PyTorch; with atol 0 too, steps are fixed", low=0
    )
    atol: float = _choice(0.0, "absolute tolerance of adaptive steps, in PyTorch", low=0)
    adjoint_adaptive: int = _choice(
        0, "1 takes adaptive steps in the adjoint stochastic too, in PyTorch", low=0, high=1
    )
    sigma: float = _choice(0.2, "diffusion of the weights, in the unit that sigma_scale names", above=0)
    sigma_scale: str = _choice(
        "fan_in",
        "fan_in: sigma counts in standard deviations of the usual initialisation, so the prior's "
        "stationary standard deviation is "
        "sigma / sqrt(fan_in); constant: sigma is the diffusion itself, for every weight",
        choices=("fan_in", "constant"),
    )
    prior: str = _choice(
        "ou",
        "law of the weights over depth: " + "; ".join(f"{name}, {law.summary}" for name, law in PRIORS.items()),
        choices=tuple(PRIORS),
    )
    ou_rate: float = _choice(
        1.0, "rate at which the prior pulls weights to its centre; 0 is a prior without drift", low=0
    )
    ou_centre: str = _choice("w0", "centre of the prior: zero, or the learned initial weights", choices=("w0", "zero"))
    start: str = _choice(
        "learned",
        "initial weights: learned as a point, or gaussian under prior and posterior",
        choices=("learned", "gaussian"),
    )
    noisy_weights: float = _choice(
        1.0, "share of every block's weights that have noise; the others follow an ODE", above=0, high=1
    )
    noisy_from: float = _choice(0.0, "depth from which weights have noise; before, they follow an ODE", low=0, high=1)
    noisy_until: float = _choice(1.0, "depth until which weights have noise", low=0, high=1)
    drift_widths: tuple[int, ...] = _choice(
        (2, 64, 2), "hidden widths of the network that corrects the prior's drift", low=1
    )

    blocks: tuple[int, ...] = _choice(
        (1,), "continuous-depth blocks in each group; images are halved by space-to-depth between groups", low=1
    )
    squeeze: int = _choice(0, "times the images are halved by space-to-depth before the first block", low=0)
    augment: int = _choice(4, "channels of zeros appended before the blocks", low=0)
    width: int = _choice(32, "hidden width of the network f_x that moves the hidden state", low=1)
    fx: str = _choice(
        "same",
        "network f_x: same, three layers at the resolution of the hidden state; strided, the first convolution halves "
        "it and a transposed one restores it",
        choices=("same", "strided"),
    )
    precision: str = _choice(
        "float32",
        "of f_x alone: bfloat16 is faster on devices that multiply in it; weights, KL and hidden state stay float32",
        choices=("float32", "bfloat16"),
    )
    layer: str = _choice("ignore", "how the layers of f_x take depth t: a family of sdebnn.brax.diffeq_layers")
    activation: str = _choice("swish", "activation inside f_x: a name in sdebnn.brax.diffeq_layers")

    task: str = _choice(
        "auto",
        "what the answers are: auto, whole numbers are classes and others targets of a regression, and where both "
        "could be meant the choice is asked for",
        choices=("auto", "classification", "regression"),
    )
    class_weight: str = _choice(
        "none",
        "weight of an example's likelihood by its class: none, all alike; balanced, inversely to how frequent the "
        "class is, so that rare classes are found",
        choices=("none", "balanced"),
    )
    layout: str = _choice(
        "auto",
        "what the inputs of a file are: auto, by their shape; table, rows to which more dimensions are flattened; "
        "images (n, h, w) or (n, h, w, c); channels_first, images (n, c, h, w)",
        choices=("auto", "table", "images", "channels_first"),
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if type(value) not in _OWN:
                value = _plain(value)
                object.__setattr__(self, field.name, value)
            _check(field, value)

    def to_json(self) -> dict[str, Any]:
        """The record as JSON-ready values."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in dataclasses.asdict(self).items()
        }

    def weight_prior(self) -> Prior:
        """The prior of every block's weights.

        **Raises:** `InputError` for choices that it does not have, or that do not go together.
        """
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        return prior_by_name(self.prior, _of_prior(dataclasses.asdict(self)), _of_prior(defaults))

    def steps_per_epoch(self, train_size: int) -> float:
        """Gradient steps in a pass over that many training examples. It need not be whole: what is left at the end of a
        pass makes a full batch with the first examples of the next.
        """
        return train_size / min(self.batch_size, train_size)

    def total_steps(self, train_size: int) -> int:
        """Gradient steps of the whole run: as many as see every example `epochs` times."""
        steps = -(-self.epochs * train_size // min(self.batch_size, train_size))
        return min(steps, self.max_steps) if self.max_steps else steps

    def epochs_after(self, step: int, train_size: int) -> int:
        """Passes over that many training examples that `step` gradient steps have completed."""
        return step * min(self.batch_size, train_size) // train_size

    def average_decay(self, step: int) -> float:
        """What the parameter average keeps of itself at a gradient step, counted from 0: little at first, so that it
        soon forgets the initial parameters, and then `ema`.
        """
        return min(self.ema, (1 + step) / (10 + step))

    def evaluates_after(self, epoch: int) -> bool:
        """Whether the held-out data are looked at after that many epochs, before the end."""
        return self.evaluate_every > 0 and epoch % self.evaluate_every == 0

    def batch_shape(self, train_size: int) -> tuple[int, int]:
        """How the examples of a gradient step are laid out: slices, and examples in each.

        **Raises:** `InputError` when the batch cannot be cut into `accumulate` equal slices, or its parts have weight
        paths of their own, which slices would draw anew.
        """
        if self.accumulate != 1 and self.batch_paths != 1:
            raise InputError(
                f"batch_paths={self.batch_paths} gives parts of the batch weight paths of their own, which slices of "
                f"it (accumulate={self.accumulate}) do not; take accumulate=1, or batch_paths=1, with train_samples "
                "for more weight paths."
            )
        batch = min(self.batch_size, train_size)
        if batch % self.accumulate:
            raise InputError(
                f"A batch of {batch} examples cannot be cut into accumulate={self.accumulate} equal slices; take a "
                "number that divides it."
            )
        return self.accumulate, batch // self.accumulate

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "TrainConfig":
        """The record that `to_json` wrote. **Raises:** `InputError` for a name that is not a choice or a value that is
        not allowed.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        for name in record:
            if name not in names:
                raise InputError(
                    f"The configuration has {reprlib.repr(name)}, which is not a choice of a run{nearest(name, names)}."
                )
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in record.items()}
        return cls(**values)

    @classmethod
    def for_data(cls, data: str, **choices: Any) -> "TrainConfig":
        """The defaults that were found to work on the data set, with `choices` in place of them where given."""
        return cls(**{"data": data, **PRESETS.get(data, {}), **choices})


_MNIST = {"squeeze": 1, "batch_size": 128, "epochs": 10, "test_samples": 8}
PRESETS: dict[str, dict[str, Any]] = {
    "digits": {"augment": 7, "evaluate_every": 5},
    "mnist": _MNIST,
    "fashion_mnist": _MNIST,
    "cifar10": {"blocks": (2, 2, 2), "width": 64, "augment": 2, "steps": 20, "batch_size": 128, "epochs": 100},
}
"""Choices that differ from `TrainConfig`'s defaults, by data set."""


# Numbers become numbers of 32 bits in either framework.
LARGEST = 2**32 - 1
SMALLEST_REAL, LARGEST_REAL = 2.0**-126, 2.0**128 * (1 - 2.0**-24)

_KINDS: dict[Any, tuple[Any, str]] = {
    int: (int, "a whole number"),
    float: ((int, float), "a number"),
    str: (str, "text"),
    tuple[int, ...]: (int, "whole numbers"),
}


def _plain(value: Any) -> Any:
    """A value of Python's own types, which JSON takes, where it is a number of NumPy, a list, an array or a path."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str | os.PathLike):
        return str(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    parts = value.tolist() if hasattr(value, "tolist") else value
    return tuple(_plain(part) for part in parts) if isinstance(parts, list | tuple) else value


_OWN = (int, float, str)


def _of_prior(choices: Mapping[str, Any]) -> dict[str, Any]:
    """The choices of a prior by the names that laws have for them."""
    return {
        "sigma": choices["sigma"],
        "sigma_scale": choices["sigma_scale"],
        "rate": choices["ou_rate"],
        "centre": choices["ou_centre"],
        "start": choices["start"],
        "noisy_weights": choices["noisy_weights"],
        "noisy_depth": (choices["noisy_from"], choices["noisy_until"]),
    }


def _check(field: dataclasses.Field[Any], value: Any) -> None:
    limits = field.metadata
    kind, name = _KINDS[field.type]
    several = field.type == tuple[int, ...]
    parts = value if several and isinstance(value, tuple) else () if several else (value,)
    if not parts or any(isinstance(part, bool) or not isinstance(part, kind) for part in parts):
        raise InputError(f"{field.name}={reprlib.repr(value)} is not allowed: it takes {name}.")
    for part in parts:
        if field.type is not float and isinstance(part, int) and part > LARGEST:
            raise InputError(f"{field.name}={part} is not allowed: it takes at most {LARGEST}.")
        choices = limits.get("choices")
        if choices is not None and part not in choices:
            raise InputError(
                f"{field.name}={reprlib.repr(part)} is not allowed: it takes {', '.join(choices)}"
                f"{nearest(str(part), choices)}."
            )
        if isinstance(part, float) and not math.isfinite(part):
            raise InputError(f"{field.name}={part} is not allowed: it takes a finite number.")
        if isinstance(part, float) and part != 0 and not SMALLEST_REAL <= abs(part) <= LARGEST_REAL:
            raise InputError(
                f"{field.name}={part} is not allowed: it takes 0 or a size from {SMALLEST_REAL:.2g} to "
                f"{LARGEST_REAL:.2g}, which numbers of single precision hold."
            )
        if "low" in limits and part < limits["low"]:
            raise InputError(f"{field.name}={part} is not allowed: it takes {limits['low']} or more.")
        if "above" in limits and part <= limits["above"]:
            raise InputError(f"{field.name}={part} is not allowed: it takes a number above {limits['above']}.")
        if "high" in limits and part > limits["high"]:
            raise InputError(f"{field.name}={part} is not allowed: it takes at most {limits['high']}.")
        if "below" in limits and part >= limits["below"]:
            raise InputError(f"{field.name}={part} is not allowed: it takes a number below {limits['below']}.")
