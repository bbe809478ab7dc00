"""Fits an SDE-BNN to a one-dimensional toy set in PyTorch and draws its predictive prior and posterior, as in figure 3
of Xu et al. (2021).

    python examples/torch/sdebnn_toy1d.py --output_dir runs/toy1d --ds b40gap --diff_const 0.2 --prior_dw ou
        --num_samples 100 --stl

With `--prior_dw ou` the prior of the weights is the stationary Ornstein-Uhlenbeck process around zero: at every depth
they have the usual Gaussian prior of a Bayesian neural network. Their posterior starts from a Gaussian of its own.
"""

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from sdebnn.cli.outcome import outcome
from sdebnn.cli.toy import Log, draw_toy, parse_toy_flags, prior_of_weights
from sdebnn.runs import Progress, TrainConfig
from sdebnn.torchbnn import SDEBNN, Augment, Gaussian, Serial, Solver, WeightProcess, bnn_serial, drift_network
from sdebnn.torchbnn.diffeq_layers import activation, dense
from sdebnn.training.toy_problem import START_LOG_RATIO, ToyProblem


class InputStays(nn.Module):
    """Ends f_x: the first channel does not move."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.pad(x, (1, 0))


class LastChannel(nn.Module):
    """The output."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, -1:]


def build_network(options: argparse.Namespace) -> bnn_serial:
    """A network of one SDEBNN block. The input stays what it is, and f_x moves channels that start as zeros, the last
    of which is the output: so all weights are random and the prior is not learned.
    """
    hidden = dense("ignore", 1 + options.aug, options.fx_dim)
    output = dense("ignore", options.fx_dim, options.aug)
    fx = Serial(hidden, activation(options.activation), output, InputStays())
    process = WeightProcess(drift_network((options.fw_dim,)), prior_of_weights(options))
    block = SDEBNN(fx, process, Solver(options.nsteps), kl_estimator=options.kl_estimator)
    if options.prior_dw == "ou":
        start_posterior(block, output)
    return bnn_serial(Augment(options.aug), block, LastChannel())


@torch.no_grad()
def start_posterior(block: SDEBNN, output: nn.Module) -> None:
    """Starts it at units that the prior draws, so in all places, where usual initial weights put them around 0; and at
    the function 0, since nothing moves what a unit adds where there are no data. It is narrow: see `START_LOG_RATIO`.
    """
    drawn = block.weight_path(torch.tensor([0.0, 1.0], dtype=torch.float64), prior=True)[0]
    nn.utils.vector_to_parameters(drawn, block.w0.parameters())
    for parameter in output.parameters():
        parameter.zero_()
    block.w0_log_ratio.add_(START_LOG_RATIO)


def functions(problem: ToyProblem, options: argparse.Namespace, log: Log) -> dict[str, np.ndarray]:
    """Functions of the prior and of the posterior on the grid, (samples, n) each."""
    torch.manual_seed(options.seed)
    rng = torch.Generator().manual_seed(options.seed)
    network, likelihood = build_network(options), Gaussian(1, problem.noise)
    inputs, targets = torch.from_numpy(problem.x), torch.from_numpy(problem.y)
    sizes = TrainConfig(learning_rate=options.lr)
    optimiser = torch.optim.Adam(network.parameters(), lr=options.lr)
    with Progress(options.iters) as progress:
        for step in range(options.iters):
            optimiser.zero_grad()
            draws = [network(inputs, rng=rng) for _ in range(options.train_samples)]
            nll = torch.stack(
                [-likelihood.log_prob(likelihood.init(), outputs, targets).mean() for outputs, _ in draws]
            ).mean()
            kl = torch.stack([kl for _, kl in draws]).mean()
            loss = nll + options.kl_coef / len(inputs) * kl
            if not torch.isfinite(loss):
                raise FloatingPointError(f"The loss is {loss.item()}; lower --lr (now {options.lr}) or --diff_const.")
            loss.backward()
            # Before the posterior is narrow, single draws are far from the data, and their gradients are far too long.
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            for group in optimiser.param_groups:
                group["lr"] = sizes.step_size(step, options.iters)
            optimiser.step()
            values = {"loss": loss.detach(), "nll": nll.detach(), "kl": kl.detach()}
            progress.update(step + 1, values)
            log(step + 1, values)
    print(f"loss {loss.item():.3f}, nll {nll.item():.3f}, kl {kl.item():.3f} at the last step")
    with torch.no_grad():
        points = torch.from_numpy(problem.grid)
        return {
            name: torch.cat(
                [network(points, rng=rng, prior=name == "prior")[0] for _ in range(options.num_samples)], dim=1
            ).T.numpy()
            for name in ("prior", "posterior")
        }


def main(arguments: Sequence[str] | None = None) -> int:
    return outcome("sdebnn_toy1d", lambda: draw_toy(functions, parse_toy_flags(arguments)))


if __name__ == "__main__":
    sys.exit(main())
