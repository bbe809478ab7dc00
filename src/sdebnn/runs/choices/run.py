"""What a run is: the choices that name it."""

import dataclasses
from typing import Literal, no_type_check

from sdebnn.runs.choices.choice import Choices, choice


@no_type_check
@dataclasses.dataclass(frozen=True)
class RunChoices(Choices):
    """The run."""

    data: str = choice(
        "digits",
        "data set: a name, or the path of a table (.csv, .tsv, .parquet, with --target) or of an .npz file with x "
        "and y",
    )
    model: Literal[
        "sdebnn",
        "odenet",
        "hyperodenet",
        "resnet32",
        "meanfield_sdebnn",
        "meanfield_odenet",
        "meanfield_hyperodenet",
        "meanfield_resnet32",
        "ivon_odenet",
        "ivon_hyperodenet",
        "ivon_resnet32",
        "dropout_odenet",
        "dropout_hyperodenet",
        "dropout_resnet32",
        "swag_odenet",
        "swag_hyperodenet",
        "swag_resnet32",
        "laplace_odenet",
        "laplace_hyperodenet",
        "laplace_resnet32",
        "nuts_odenet",
    ] = choice(
        "sdebnn",
        "sdebnn: weights follow an SDE through depth; odenet: the same network with weights that stand still; "
        "hyperodenet: with weights that follow an ODE; resnet32: a residual network of 32 layers; meanfield_...: that "
        "network with an independent Gaussian for every weight outside the SDE; ivon_...: that of meanfield_..., "
        "learned by the Newton steps of IVON; dropout_...: that network with inputs of its weights left out at random, "
        "in prediction too; swag_...: that network with weights drawn from a Gaussian that is fitted to the second "
        "half of training; laplace_...: that network with weights of its last layer drawn from the Gaussian of their "
        "curvature; nuts_odenet: that network, small and of a table, with weights drawn from their posterior by chains "
        "of NUTS, in JAX",
    )
    members: int = choice(
        1, "networks, each with a seed of its own, that are trained and predict together as one mixture", low=1
    )
    framework: Literal["jax", "torch"] = choice("jax", "jax, or torch for PyTorch with torchsde")
    seed: int = choice(
        0, "seed of all randomness: the same seed gives the same numbers on the same machine", low=0, high=2**32 - 1
    )
