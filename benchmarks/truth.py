"""How near is the SDE-BNN to the true posterior?

Two small problems: a smooth function of one input that is seen in two clusters with a gap between them (after Foong et
al., "In-between" uncertainty in Bayesian neural networks, 2019), and the UCI table yacht. What is predicted is measured
against two posteriors that NUTS samples (Hoffman and Gelman, 2014; in blackjax):

- that of a network of one hidden layer of 50 units whose noise is learned. Its prior is its own, and no method has just
  that one: what NUTS says of the same network under two other priors is measured against it too;
- that of the SDE-BNN itself, whose latent variables are the Brownian increments of its solver steps: initial weights,
  last layer and noise are those that training found, so nothing but the approximation is left.

Every method's numbers go to benchmarks/results/truth.jsonl, from which a run that was broken off goes on.

    OMP_NUM_THREADS=1 JAX_PLATFORMS=cpu python benchmarks/truth.py gap|yacht [--seeds 3 --own 3]
"""

import argparse
import math
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax.flatten_util import ravel_pytree
from results_file import RESULTS, ResultsFile
from scipy import special, stats
from timing import print_conditions, print_rows

import sdebnn
from sdebnn.brax.layers.bayesian import draw_first
from sdebnn.brax.learning.networks import weight_process
from sdebnn.brax.learning.nuts import Chain, Nuts, mixing
from sdebnn.brax.weights.sdebnn_block import step_depths
from sdebnn.data import Dataset, load_uci
from sdebnn.data.table_encoding import TableEncoding
from sdebnn.estimators import SDEBNNRegressor
from sdebnn.frameworks import build_learner
from sdebnn.runs import TrainConfig
from sdebnn.training import Posterior, start_run
from sdebnn.training.committee import folds_of, held_share
from sdebnn.training.predictions import target_moments

HIDDEN, CHAINS, DRAWS = 50, 4, 500
# Of each method; of the ensemble five, as it has no more.
SAMPLES, STEPS = 400, 3000
ONE_LAYER = "one hidden layer"


class Problem(NamedTuple):
    """What is learned from, (n, d) and (n,), and what is asked; `regions` names parts of the test inputs, and `prior`
    that of `PRIORS` against whose posterior methods are measured.
    """

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    regions: dict[str, np.ndarray]
    prior: str


def gap() -> Problem:
    """Two clusters of twenty, [-1, -0.7] and [0.5, 1]; cos(4 x + 0.8) with Gaussian noise of 0.1."""
    rng = np.random.default_rng(0)
    x = np.concatenate([np.linspace(-1, -0.7, 20), np.linspace(0.5, 1, 20)])
    x_test = np.linspace(-1, 1, 101)
    y, y_test = (np.cos(4 * of + 0.8) + 0.1 * rng.normal(size=len(of)) for of in (x, x_test))
    inside = (x_test > -0.7) & (x_test < 0.5)
    return Problem(x[:, None], y, x_test[:, None], y_test, {"gap": inside, "data": ~inside}, "N(0, 1)")


def yacht() -> Problem:
    """Its prior is that of the three under which chains mix best."""
    data = load_uci("yacht", 0)
    x, x_test = data.x_train.astype(np.float64), data.x_test.astype(np.float64)
    y, y_test = data.y_train[:, 0].astype(np.float64), data.y_test[:, 0].astype(np.float64)
    return Problem(x, y, x_test, y_test, {"test": np.ones(len(x_test), bool)}, "N(0, 1 / fan-in)")


PROBLEMS = {"gap": gap, "yacht": yacht}


class Functions(NamedTuple):
    """Posterior samples: what each says of the test targets, mean and noise (samples, n), in the targets' units."""

    means: np.ndarray
    stds: np.ndarray


class Drawn(NamedTuple):
    """`functions`, and how the chains mixed, by the functions' values at test inputs: see `mixing`."""

    functions: Functions
    mixing: dict[str, float]


def nuts(
    log_likelihood: Callable[[Any], Any], size: int, said: Callable[[Any], Any], seed: int, draws: int, target: float
) -> Drawn:
    """Draws from N(0, I) of `size` latent variables times the likelihood.

    **Arguments:**

    - `log_likelihood`: of the latent variables (size,).
    - `said`: of the latent variables, the means and noise of the test targets, (n,) each.
    - `draws`: of each chain, after as many that adapt it.
    - `target`: acceptance rate to which the step size is adapted.
    """

    sampler = Nuts(log_likelihood, target)

    def of_chain(key: Any) -> Any:
        start, warm_key, draw_key = jax.random.split(key, 3)
        chain = sampler.begin(jax.random.normal(start, (size,)), warm_key, draws)

        def step(chain: Chain, key: Any) -> Any:
            chain, info = sampler.draw(chain, key)
            return chain, (said(chain.state.position), info.is_divergent, info.num_integration_steps)

        return jax.lax.scan(step, chain, jax.random.split(draw_key, draws))[1]

    keys = jax.random.split(jax.random.key(seed), CHAINS)
    (means, stds), divergent, steps = jax.tree.map(np.asarray, jax.jit(jax.vmap(of_chain))(keys))
    functions = Functions(*(of.reshape(CHAINS * draws, -1) for of in (means, stds)))
    return Drawn(functions, mixing(means, divergent, steps))


# Of hidden weights and of output weights, for so many inputs and for two latent variables.
PRIORS: dict[str, Callable[[int, Any], Any]] = {
    "N(0, 1)": lambda inputs, z: (1.0, 1.0),
    "N(0, 1 / fan-in)": lambda inputs, z: (inputs**-0.5, HIDDEN**-0.5),
    "N(0, s² / fan-in), s learned": lambda inputs, z: (
        inputs**-0.5 * jnp.exp(z[0]), HIDDEN**-0.5 * jnp.exp(z[1])
    ),
}  # fmt: skip


def one_layer(problem: Problem, prior: str, seed: int) -> Drawn:
    """tanh units on standardised inputs, biases from N(0, 1); the logarithm of the noise of standardised targets is
    N(-2, 1), and that of a scale that is learned N(0, 1).
    """
    shift, scale = problem.x.mean(axis=0), problem.x.std(axis=0)
    y_shift, y_scale = problem.y.mean(), problem.y.std()
    x, x_test = (jnp.asarray((of - shift) / scale, jnp.float32) for of in (problem.x, problem.x_test))
    y, inputs = jnp.asarray((problem.y - y_shift) / y_scale, jnp.float32), x.shape[1]
    size = HIDDEN * (inputs + 2) + 4

    def network(z: Any, x: Any) -> tuple[Any, Any]:
        weights, biases, out, rest = jnp.split(z, np.cumsum([HIDDEN * inputs, HIDDEN, HIDDEN]))
        of_hidden, of_output = PRIORS[prior](inputs, rest[2:])
        hidden = jnp.tanh(of_hidden * (x @ weights.reshape(inputs, HIDDEN)) + biases)
        return of_output * (hidden @ out) + rest[0], jnp.exp(rest[1] - 2)

    def log_likelihood(z: Any) -> Any:
        mean, noise = network(z, x)
        return jnp.sum(jax.scipy.stats.norm.logpdf(y, mean, noise))

    def said(z: Any) -> Any:
        mean, noise = network(z, x_test)
        return y_shift + y_scale * mean, jnp.full_like(mean, y_scale * noise)

    return nuts(log_likelihood, size, said, seed, DRAWS, target=0.9)


class PathsOfNormals:
    """The trained SDE-BNN of one member as a function of the standard normals that move its weights: under them its
    path is drawn from the prior. The last increment moves weights that no step uses, so there are none for it.

    **Arguments:** `posterior`: of an estimator of one member in JAX, solved by Euler-Maruyama.
    """

    def __init__(self, posterior: Posterior) -> None:
        learner: Any = posterior.learner
        self._model, self._params = learner.model, learner.params
        self._process = weight_process(posterior.config)
        self._depths = step_depths(self._process.prior, posterior.config.steps)
        network = self._params["network"]
        (self._block,) = (
            number for number, layer in enumerate(network) if isinstance(layer, dict) and "drift" in layer
        )
        self._drawn = draw_first(self._model.predictor, network, jax.random.key(0))
        self.size = (len(self._depths) - 2) * ravel_pytree(network[self._block]["w0"])[0].size

    def __call__(self, z: Any, x: Any) -> Any:
        """The network's outputs (n, o)."""
        drawn = list(self._drawn)
        drawn[self._block] = (self.weights(z), drawn[self._block][1])
        return self._model.predictor.run(self._params["network"], drawn, x)

    def weights(self, z: Any) -> Any:
        """Those with which each step begins, (steps, p)."""
        block = self._params["network"][self._block]
        path, sigma = [ravel_pytree(block["w0"])[0]], self._process.diffusion(block)
        noises = z.reshape(len(self._depths) - 2, -1)
        for t, h, noise in zip(self._depths, np.diff(self._depths), noises, strict=False):
            drift = self._process.prior_drift(path[-1], jnp.float32(t), block)
            path.append(path[-1] + np.float32(h) * drift + np.float32(math.sqrt(h)) * sigma * noise)
        return jnp.stack(path)

    def of_likelihood(self, method: str, outputs: Any, *targets: Any) -> Any:
        return getattr(self._model.likelihood, method)(self._params["likelihood"], outputs, *targets)


def own_posterior(problem: Problem, posterior: Posterior, seed: int) -> tuple[Drawn, Functions]:
    """What NUTS says of the SDE-BNN, learning from the rows that training learned from; and its prior functions."""
    paths, encoding = PathsOfNormals(posterior), posterior.task.encoding
    assert encoding is not None
    shift, scale = _units(encoding)
    rows = folds_of(len(problem.x), 1, held_share(len(problem.x), None), posterior.config.seed, None)[0].learned
    x, x_test = (posterior.task.inputs(of, posterior.config.layout) for of in (problem.x[rows], problem.x_test))
    y = encoding.answers(problem.y[rows])

    def said(z: Any) -> Any:
        outputs = paths(z, x_test)
        mean, variance = (paths.of_likelihood(method, outputs)[:, 0] for method in ("mean", "variance"))
        return shift + scale * mean, scale * jnp.sqrt(variance)

    def log_likelihood(z: Any) -> Any:
        return jnp.sum(paths.of_likelihood("log_prob", paths(z, x), y))

    normals = jax.random.normal(jax.random.key(seed), (SAMPLES, paths.size))
    prior = Functions(*map(np.asarray, jax.jit(jax.vmap(said))(normals)))
    return nuts(log_likelihood, paths.size, said, seed, DRAWS // 2, target=0.8), prior


def _units(encoding: TableEncoding | None) -> tuple[float, float]:
    """Mean and standard deviation of the target in training."""
    assert encoding is not None
    assert encoding.target_mean is not None
    assert encoding.target_std is not None
    return encoding.target_mean[0], encoding.target_std[0]


def of_posterior(problem: Problem, posterior: Posterior) -> Functions:
    means, variances = target_moments(posterior, posterior.outputs(problem.x_test))
    shift, scale = _units(posterior.task.encoding)
    return Functions(shift + scale * means[..., 0], scale * np.sqrt(variances[..., 0]))


def estimator(
    members: int, sigma: Any = "auto", beyond_range: Any = 0.0
) -> Callable[[Problem, int, Path], tuple[Posterior, float]]:
    def fit(problem: Problem, seed: int, folder: Path) -> tuple[Posterior, float]:
        started = time.perf_counter()
        # A scale of noise that is fitted afterwards is none of the posterior.
        choices = {"n_members": members, "sigma": sigma, "beyond_range": beyond_range, "calibrate": "none"}
        model = SDEBNNRegressor(framework="jax", random_state=seed, **choices)
        model.fit(problem.x, problem.y)
        seconds = time.perf_counter() - started
        model.save(folder)
        return sdebnn.load(folder, changes={"test_samples": SAMPLES // members}), seconds

    return fit


def network(model: str, members: int = 1) -> Callable[[Problem, int, Path], tuple[Posterior, float]]:
    def fit(problem: Problem, seed: int, folder: Path) -> tuple[Posterior, float]:
        dataset = Dataset.from_arrays(problem.x, problem.y, problem.x_test, problem.y_test, task="regression")
        epochs = math.ceil(STEPS * 64 / len(problem.x))
        choices = {} if model == "odenet" else {"epochs": epochs, "max_steps": STEPS}
        config = TrainConfig.for_table(model=model, members=members, seed=seed, test_samples=2, **choices)
        run = start_run(build_learner, config, folder, dataset=dataset)
        samples = 1 if model == "odenet" else SAMPLES
        return sdebnn.load(folder, changes={"test_samples": samples}), run.fitted.seconds

    return fit


# Whose own posteriors are sampled: with the sigma that held-out examples choose, and with the largest of these.
OWN = {"SDE-BNN, 1 member": estimator(1), "SDE-BNN, 1 member, σ = 2": estimator(1, 2.0)}
METHODS = {
    "SDE-BNN, 5 members": estimator(5),
    **OWN,
    "SDE-BNN, 5 members, doubt in holes": estimator(5, beyond_range="auto"),
    "SDE-BNN, 1 member, doubt in holes": estimator(1, beyond_range="auto"),
    "deep ensemble of 5": network("odenet", members=5),
    "mean field": network("meanfield_odenet"),
    "MC dropout": network("dropout_odenet"),
    "SWAG": network("swag_odenet"),
    "last-layer Laplace": network("laplace_odenet"),
}


def log_likelihood(functions: Functions, y: np.ndarray) -> float:
    """Of the mixture, nats an example, in the targets' units."""
    of_samples = stats.norm.logpdf(y, functions.means, functions.stds)
    return float((special.logsumexp(of_samples, axis=0) - math.log(len(of_samples))).mean())


def scores(problem: Problem, found: Functions, truth: Functions) -> dict[str, float]:
    """Wasserstein distance of the functions' values and total variation of the predicted targets, mean over test
    inputs; widths of the functions' 95 % intervals, and these in units of the truth's. Distances and widths are in
    standard deviations of the training targets.
    """
    unit = problem.y.std()
    distances = [stats.wasserstein_distance(*of) for of in zip(found.means.T, truth.means.T, strict=True)]
    rows: dict[str, float] = {
        "log_likelihood": log_likelihood(found, problem.y_test),
        "wasserstein": float(np.mean(distances) / unit),
        "total_variation": total_variation(found, truth),
    }
    for name, region in problem.regions.items():
        width, true_width = (3.92 * of.means[:, region].std(axis=0, ddof=1).mean() for of in (found, truth))
        rows |= {f"width_{name}": float(width / unit), f"ratio_{name}": float(width / true_width)}
    return rows


def total_variation(one: Functions, other: Functions) -> float:
    """Half the integral of the difference of the densities of a target, mean over test inputs."""
    found, laws = [], [_thinned(one), _thinned(other)]
    for number in range(one.means.shape[1]):
        means, stds = ([of[:, number] for of in parts] for parts in zip(*laws, strict=True))
        # Finely where the mass of each is.
        grid = np.unique([_grid(*of) for of in zip(means, stds, strict=True)])
        densities = [stats.norm.pdf(grid[:, None], *of).mean(axis=1) for of in zip(means, stds, strict=True)]
        found.append(0.5 * np.trapezoid(np.abs(densities[0] - densities[1]), grid))
    return float(np.mean(found))


def _grid(means: np.ndarray, stds: np.ndarray) -> np.ndarray:
    return np.quantile(means, np.linspace(0, 1, 20))[:, None] + np.median(stds) * np.linspace(-4, 4, 25)


def _thinned(functions: Functions) -> Functions:
    every = max(1, len(functions.means) // SAMPLES)
    return Functions(*(of[::every].astype(np.float64) for of in functions))


def run(name: str, seeds: int, own_seeds: int, results: Path, cache: Path) -> pd.DataFrame:
    """The numbers of every method and seed, of which those in the file are not computed again."""
    problem, file = PROBLEMS[name](), ResultsFile(results, ("problem", "method", "seed", "against"))

    def missing(method: str, seed: int, against: str) -> bool:
        return not file.has(problem=name, method=method, seed=seed, against=against)

    def add(method: str, seed: int, against: str, values: Mapping[str, float | str]) -> None:
        if missing(method, seed, against):
            file.add({"problem": name, "method": method, "seed": seed, "against": against, **values})
            print(file.rows[-1], flush=True)

    def sample(prior: str, seed: int, kept: Path | None = None) -> None:
        started = time.perf_counter()
        drawn = one_layer(problem, prior, seed)
        others = drawn.mixing | {"seconds": time.perf_counter() - started}
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.savez(kept, **drawn.functions._asdict())
        against = drawn.functions if kept is not None else truth
        add(f"NUTS, {prior}", seed, ONE_LAYER, scores(problem, drawn.functions, against) | others)

    kept = cache / f"{name}.npz"
    if not kept.exists() or missing(f"NUTS, {problem.prior}", 0, ONE_LAYER):
        sample(problem.prior, 0, kept)
    truth = Functions(**np.load(kept))
    for seed in range(seeds):
        for method, fit in METHODS.items():
            against_itself = method in OWN and seed < own_seeds and missing("NUTS", seed, method)
            if not against_itself and not missing(method, seed, ONE_LAYER):
                continue
            with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
                # One sample of each network of the ensemble says nothing of doubt, which is no news.
                warnings.simplefilter("ignore")
                posterior, seconds = fit(problem, seed, Path(folder) / "run")
                found = of_posterior(problem, posterior)
                add(method, seed, ONE_LAYER, scores(problem, found, truth) | {"seconds": seconds})
                if against_itself:
                    started = time.perf_counter()
                    drawn, prior = own_posterior(problem, posterior, seed)
                    own, seconds = drawn.functions, time.perf_counter() - started
                    others = {**drawn.mixing, "seconds": seconds, "sigma": posterior.config.sigma}
                    add(f"NUTS of {method}", seed, ONE_LAYER, {**scores(problem, own, truth), **others})
                    add("prior", seed, method, scores(problem, prior, own))
                    add("training", seed, method, scores(problem, found, own))
                    add("NUTS", seed, method, {**scores(problem, own, own), **others})
    for name_of_prior, seed in [(problem.prior, 1), *((other, 0) for other in PRIORS if other != problem.prior)]:
        if missing(f"NUTS, {name_of_prior}", seed, ONE_LAYER):
            sample(name_of_prior, seed)
    frame = pd.DataFrame(file.rows)
    return frame[frame.problem == name]


def print_scores(frame: pd.DataFrame, problem: Problem) -> None:
    """Mean over seeds, and with several its standard error."""
    columns = [*(f"ratio_{region}" for region in problem.regions), "wasserstein", "total_variation", "log_likelihood"]
    heads = [*(f"width, {region}" for region in problem.regions), "Wasserstein", "total variation", "log-likelihood"]
    for against in (ONE_LAYER, *OWN):
        part, rows = frame[(frame.against == against) & (frame.method != "NUTS")], {}
        for method in part.method.unique():
            of = part[part.method == method]
            again = method == f"NUTS, {problem.prior}"
            # The first is what all are measured against.
            of = of[of.seed == 1] if again else of
            if not of.empty:
                cells = [_mean(of[column]) for column in columns]
                seconds = "" if of.seconds.isna().all() else f"{of.seconds.median():.0f}"
                rows[f"{method}, again" if again else method] = [*cells, seconds, str(len(of))]
        if rows:
            print_rows(f"Against NUTS of {against}", [*heads, "s", "seeds"], rows)
    # Of a method's own the same chains are in both tables.
    chains = frame[frame.r_hat.notna() & ~frame.method.str.startswith("NUTS of")]
    print_rows(
        "How the chains mixed, at the worst test input and at the median",
        ["R-hat", "median", "effective", "median", "divergent, %", "leapfrog steps"],
        {
            f"{row.method} of {row.against}, seed {row.seed}": [
                f"{row.r_hat:.3f}", f"{row.r_hat_median:.3f}", f"{row.effective:.0f}", f"{row.effective_median:.0f}",
                f"{100 * row.divergent:.1f}", f"{row.leapfrog:.0f}",
            ]
            for row in chains.itertuples()
        },
    )  # fmt: skip


def _mean(values: pd.Series) -> str:
    return f"{values.mean():.3f}" + (f" ± {values.sem():.3f}" if len(values) > 1 else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problem", choices=list(PROBLEMS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--own", type=int, default=3, help="seeds with which the SDE-BNN's own posteriors are sampled")
    parser.add_argument("--results", type=Path, default=RESULTS / "truth.jsonl")
    parser.add_argument("--cache", type=Path, default=Path("runs/truth"), help="where the draws of NUTS are kept")
    options = parser.parse_args()
    print_conditions("jax", "blackjax")
    frame = run(options.problem, options.seeds, options.own, options.results, options.cache)
    print_scores(frame, PROBLEMS[options.problem]())


if __name__ == "__main__":
    main()
