"""What do the weights do under each prior?

Paths of one weight, all with the same normals, from Euler-Maruyama steps of every law of `sdebnn.priors`, with the
central 95 % of its closed form; each spreads by the same at its widest.

    python benchmarks/prior_paths.py [--picture docs/results/pictures/prior_paths.png]
"""

import argparse
from pathlib import Path

import numpy as np

from sdebnn.plots.style import BLUE, GREY, drawing, panels
from sdebnn.priors import PRIORS, Bridge, OrnsteinUhlenbeck, Prior

STEPS, PATHS, START = 400, 12, 1.0


def paths(prior: Prior, normals: np.ndarray) -> np.ndarray:
    """(times, paths), from the start at the depths k / STEPS."""
    centre, h = START if prior.centre == "w0" else 0.0, 1 / STEPS
    weights, velocity = np.full(PATHS, START), np.zeros(PATHS)
    drawn = [weights]
    for k, normal in enumerate(normals):
        kick = prior.diffusion_scale(1.0) * h**0.5 * normal
        if prior.state_width == 1:
            weights = weights + prior.drift(weights, k * h, centre) * h + kick
        else:
            pull, moved = prior.drift((velocity, weights), k * h, centre)
            weights, velocity = weights + moved * h, velocity + pull * h + kick
        drawn.append(weights)
    return np.stack(drawn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--picture", type=Path, default=Path("docs/results/pictures/prior_paths.png"))
    options = parser.parse_args()
    normals = np.random.default_rng(0).normal(size=(STEPS, PATHS))
    ts = np.linspace(0.0, 1.0, STEPS + 1)
    laws = {name: law(sigma=0.3) for name, law in PRIORS.items()}
    shown = {f"{name}, centre w0" if name in ("ou", "bridge") else name: prior for name, prior in laws.items()}
    shown["ou, centre zero"] = OrnsteinUhlenbeck(sigma=0.3, centre="zero")
    shown["bridge, centre zero"] = Bridge(sigma=0.3, centre="zero")
    title = "Paths of a weight under each prior"
    with drawing(None, options.picture, title, width=10.5, height=6.0) as ax:
        axes = panels(ax, 2, 3, sharex=True, sharey=True).ravel()
        for axis, (name, prior) in zip(axes, shown.items(), strict=True):
            known = prior.moments(np.array([START]), np.array([prior.diffusion_scale(1.0)]), ts)
            assert known is not None
            mean, std = (values[:, 0] for values in known)
            band = {"color": GREY, "alpha": 0.2, "lw": 0, "label": "95 %"}
            axis.fill_between(ts, mean - 1.96 * std, mean + 1.96 * std, **band)
            axis.plot(ts, paths(prior, normals), color=BLUE, alpha=0.55, linewidth=1.0)
            axis.set(title=name, xlim=(0, 1))
        for axis in axes[::3]:
            axis.set_ylabel("Weight (no unit)")
        for axis in axes[3:]:
            axis.set_xlabel("Depth t (0 input, 1 output)")
    print(f"The picture is {options.picture}.")


if __name__ == "__main__":
    main()
