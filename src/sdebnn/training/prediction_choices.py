"""The choices with which a trained network makes predictions."""

import dataclasses

from sdebnn.runs import TrainConfig

# What torchsde calls its methods, where jaxsde has another name.
_SAME_METHODS = {"euler": "euler_maruyama"}


def prediction_choices(config: TrainConfig) -> TrainConfig:
    """Those of a run with the solver of its predictions, and without what is only about gradients, which one framework
    may offer and the other not, or is about the slices and groups of a training batch.
    """
    method = config.test_method or config.method
    return dataclasses.replace(
        config,
        steps=config.test_steps or config.steps,
        method=_SAME_METHODS.get(method, method),
        test_steps=0,
        test_method="",
        adjoint="backprop",
        adjoint_adaptive=False,
        snr=False,
        accumulate=1,
        batch_paths=1,
    )
