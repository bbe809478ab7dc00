"""Numbers that a seed gave before, kept to the bit: whoever moves code about shows by them that nothing else changed.

Bits depend on the processor and on the libraries. Where these are those of the record, numbers must be equal to the
bit; elsewhere to what rounding may do in a few steps.

    python tests/recorded/recorded.py           compares
    python tests/recorded/recorded.py --anew    records anew, where a change of numbers is meant
"""

import json
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).with_name("numbers.json")

# Who moves code about changes what is compiled, not how: optimised, these programs take minutes for numbers of moments.
# The last two as in the Makefile: they are of the XLA of constraints.txt.
QUICKLY = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
)

Numbers = dict[str, list[float]]


def conditions() -> dict[str, str]:
    """What bits depend on."""
    try:
        about = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        about = []
    processor = {line.partition(":")[2].strip() for line in about if line.startswith(("model name", "flags"))}
    libraries = {name: version(name) for name in ("jax", "jaxlib", "numpy", "optax", "torch", "torchsde")}
    return {"processor": " | ".join(sorted(processor)) or platform.processor()} | libraries


def solves() -> Numbers:
    """The end of a fixed grid and its gradient, of every method for every calculus and noise it offers."""
    import jax
    import jax.numpy as jnp

    import jaxsde

    found: Numbers = {}
    y0, ts, key = jnp.array([0.6, -0.3, 1.1], jnp.float32), np.linspace(0.0, 1.0, 9), jax.random.key(7)
    diffusions = {
        "additive": lambda y, t, a: a * jnp.array([0.3, 0.2, 0.1], jnp.float32) * (1 + t),
        "diagonal": lambda y, t, a: a * (jnp.float32(0.3) + jnp.float32(0.1) * jnp.sin(y)),
        "commutative": lambda y, t, a: a * jnp.float32(0.1) * jnp.outer(y, jnp.array([1.0, 2.0], jnp.float32)),
        "general": lambda y, t, a: a * jnp.float32(0.1) * jnp.outer(jnp.cos(y), jnp.array([1.0, 2.0], jnp.float32)),
    }
    for name, method in jaxsde.METHODS.items():
        if method.langevin:
            found[f"jaxsde/langevin/{name}"] = langevin(name)
            continue
        for calculus in method.sde_types:
            for noise in method.strong_order:
                if noise not in diffusions:
                    continue
                solve = {"ito": jaxsde.sdeint_ito_fixed_grid}.get(calculus, jaxsde.sdeint_strat_fixed_grid)

                def end(a: Any, solve: Any = solve, noise: str = noise, name: str = name) -> Any:
                    ys = solve(lambda y, t, a: -a * y, diffusions[noise], y0, ts, key, a, method=name, noise=noise)
                    return jnp.sum(ys[-1]), ys[-1]

                gradient, last = jax.jit(jax.grad(end, has_aux=True))(jnp.float32(1.3))
                found[f"jaxsde/{calculus}/{noise}/{name}"] = [*map(float, last), float(gradient)]
    return found


def langevin(name: str) -> list[float]:
    """The same of a splitting method."""
    import jax
    import jax.numpy as jnp

    import jaxsde

    y0 = jnp.array([0.6, -0.3, 1.1], jnp.float32), jnp.zeros(3, jnp.float32)

    def end(a: Any) -> Any:
        equation = jaxsde.Langevin(lambda q, t, a: -a * jnp.sin(q), a, 0.5)
        ts, key, steps = np.linspace(0.0, 1.0, 9), jax.random.key(7), jaxsde.FixedSteps(1)
        q, p = jaxsde.solve(equation, y0, ts, key, a, method=name, steps=steps).ys
        return jnp.sum(q[-1]), jnp.append(q[-1], p[-1])

    gradient, last = jax.jit(jax.grad(end, has_aux=True))(jnp.float32(1.3))
    return [*map(float, last), float(gradient)]


def trainings(framework: str, folder: Path) -> Numbers:
    """Losses, and sums of predictions, of three gradient steps on digits and on a toy set."""
    from sdebnn.frameworks import build_learner
    from sdebnn.runs import MetricsLog, RunFolder, TrainConfig
    from sdebnn.training import pictures, start_run

    found: Numbers = {}
    # Pictures take longer than all else, and are none of the numbers.
    pictures.draw_run = lambda *_: None
    for data in ("digits", "cos"):
        choices: dict[str, Any] = {
            "framework": framework,
            "max_steps": 3,
            "test_samples": 2,
            "test_examples": 40,
            "batch_size": 16,
        }
        if data == "digits":
            choices |= {"width": 8, "steps": 3}
        done = start_run(build_learner, TrainConfig.for_data(data, **choices), folder / f"{framework}-{data}")
        log = MetricsLog.read(RunFolder.open(folder / f"{framework}-{data}"))
        losses = [record["loss"] for record in log if record["split"] == "train"]
        outputs = np.asarray(done.fitted.test_outputs, np.float64)
        found[f"{framework}/{data}"] = [*losses, float(outputs.sum()), float(np.abs(outputs).sum())]
    return found


def check(numbers: Numbers) -> None:
    """Asserts that these are the recorded numbers."""
    record = json.loads(FILE.read_text())
    assert numbers.keys() == record["numbers"].keys()
    for name, values in numbers.items():
        if record["conditions"] == conditions():
            assert values == record["numbers"][name], name
        np.testing.assert_allclose(values, record["numbers"][name], rtol=1e-3, atol=1e-4, err_msg=name)


def main() -> None:
    # Before any framework starts: bits depend on the number of threads and of devices too.
    for name in [name for name in os.environ if name.startswith("JAX_") and name != "JAX_COMPILATION_CACHE_DIR"]:
        del os.environ[name]
    os.environ["JAX_PLATFORMS"], os.environ["OMP_NUM_THREADS"] = "cpu", "1"
    os.environ["XLA_FLAGS"] = f"{QUICKLY} --xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    with tempfile.TemporaryDirectory() as made:
        numbers = solves() | trainings("jax", Path(made)) | trainings("torch", Path(made))
    if "--anew" in sys.argv[1:]:
        FILE.write_text(json.dumps({"conditions": conditions(), "numbers": numbers}, indent=1) + "\n")
    else:
        check(numbers)


if __name__ == "__main__":
    main()
