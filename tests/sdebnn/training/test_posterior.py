"""A loaded posterior, in both frameworks: its predictions, its copies in files and processes, single networks of it."""

import inspect
import multiprocessing
import pickle
import threading
import warnings
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import pytest
from scipy import special, stats

import sdebnn
from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.frameworks import build_learner
from sdebnn.runs import RunFolder, TrainConfig
from sdebnn.training import (
    LabelPrediction,
    Posterior,
    TargetPrediction,
    prediction_file,
    restore,
    resume_run,
    sample_probabilities,
    start_run,
)
from sdebnn.training.building import built
from sdebnn.training.predictions import target_moments
from sdebnn.training.task import Task

FRAMEWORKS: tuple[Literal["jax", "torch"], ...] = ("jax", "torch")
QUICK: dict[str, Any] = {
    "epochs": 5, "batch_size": 8, "width": 4, "steps": 3, "augment": 1, "drift_widths": (2,), "test_samples": 3,
    "learning_rate": 0.05,
}  # fmt: skip
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 2)).astype(np.float32)
# Some of them are beyond the range of the training examples.
NEW = 2 * RNG.normal(size=(11, 2)).astype(np.float32)
LABELS = Dataset("labels", "classification", X, (X[:, 0] > 0).astype(np.int32), X, (X[:, 0] > 0).astype(np.int32), 2)
Y = (X + 0.1 * RNG.normal(size=X.shape)).astype(np.float32)
TARGETS = Dataset("targets", "regression", X, Y, X, Y, None)


@pytest.fixture(autouse=True)
def standard_promotion():
    """Adam of optax raises floats to whole numbers, which the strict lane of these tests refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A run on labels and one on targets of each framework, which know that they do not know what is beyond them."""
    folder = tmp_path_factory.mktemp("runs")
    with jax.numpy_dtype_promotion("standard"):
        for framework in FRAMEWORKS:
            for data in (LABELS, TARGETS):
                config = TrainConfig(framework=framework, beyond_range=1.0, **QUICK)
                start_run(build_learner, config, folder / f"{framework}-{data.name}", dataset=data)
    return folder


@pytest.fixture(params=FRAMEWORKS)
def framework(request) -> str:
    return request.param


def trained_less(**choices) -> Posterior:
    """A posterior of parameters that are moved at random, for which no gradient has to be compiled: the last layer of
    the drift is no longer zero.
    """
    images = choices.pop("images", False)
    x = RNG.random(size=(9, 8, 8, 1)).astype(np.float32) if images else X
    y = np.arange(len(x), dtype=np.int32) % 2
    data = Dataset("few", "classification", x, y, x, y, 2)
    config = TrainConfig(**{**QUICK, **choices})
    learner = built(build_learner, config, data)
    average = {name: array for name, array in learner.state().items() if name.startswith("average/")}
    learner.load_average({n: a + 0.1 * RNG.normal(size=a.shape).astype(np.float32) for n, a in average.items()})
    return Posterior(config, Task.of(data), learner, build=build_learner)


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"test_steps": 5, "layer": "concat", "blocks": (2,), "activation": "tanh"},
        {"prior": "bridge"},
        {"prior": "integrated_ou"},
        {"start": "gaussian", "ou_centre": "zero", "noisy_from": 0.3, "noisy_until": 0.8, "steps": 7},
        {"noisy_weights": 0.5, "method": "midpoint"},
        {"model": "meanfield_sdebnn"},
        {"model": "odenet"},
        {"members": 2},
        {"images": True, "blocks": (1, 1)},
    ],
    ids=str,
)
def test_weights_that_are_drawn_once_give_the_outputs_of_the_learner(framework: str, choices) -> None:
    posterior = trained_less(framework=framework, **choices)
    x = RNG.random(size=(5, 8, 8, 1)).astype(np.float32) if "images" in choices else NEW
    expected = posterior.learner.outputs(x)
    assert expected.std(axis=0).max() > 1e-3 or choices.get("model") == "odenet"
    np.testing.assert_allclose(posterior.outputs(x), expected, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(posterior.outputs(x[:2]), expected[:, :2], rtol=2e-5, atol=2e-6)


def test_members_that_are_asked_at_once_say_what_each_says(framework: str) -> None:
    posterior = trained_less(framework=framework, members=3)
    answers = np.array([0, 1, 1, 0, 1], np.int32)[: len(NEW)]
    x, outputs = NEW[: len(answers)], posterior.learner.outputs(NEW[: len(answers)])
    for method, targets in (("mean", None), ("log_prob", answers)):
        expected, found = (asked.of_likelihood(method, outputs, targets) for asked in (posterior.learner, posterior))
        assert found is not None
        assert expected is not None
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)
    assert len(np.unique(posterior.outputs(x)[:, 0, 0])) == len(outputs)


def test_networks_too_large_to_keep_are_drawn_anew(framework: str, monkeypatch) -> None:
    package = {"jax": "brax", "torch": "torchbnn"}[framework]
    monkeypatch.setattr(f"sdebnn.{package}.learning.drawn_networks.MOST", 100)
    # Another width than elsewhere, whose programs are not shared.
    posterior = trained_less(framework=framework, width=5)
    np.testing.assert_allclose(posterior.outputs(NEW), posterior.learner.outputs(NEW), rtol=2e-5, atol=2e-6)


def test_labels_are_predicted_by_the_mean_of_the_samples(framework: str, runs: Path) -> None:
    said = sdebnn.load(runs / f"{framework}-labels").predict(NEW)
    assert isinstance(said, LabelPrediction)
    restored = restore(build_learner, runs / f"{framework}-labels", dataset=LABELS)
    of_samples = sample_probabilities(restored.learner, restored.outputs(NEW))
    np.testing.assert_allclose(said.probabilities, of_samples.mean(axis=0), rtol=1e-4)
    np.testing.assert_array_equal(said.label, said.probabilities.argmax(axis=1))
    np.testing.assert_array_equal(said.labels, [0, 1])
    unsure = said.uncertainty()
    np.testing.assert_allclose(unsure.epistemic + unsure.aleatoric, unsure.total)
    # Their sum is one to single precision, and scipy.stats.entropy would divide by it.
    np.testing.assert_allclose(unsure.total, special.entr(said.probabilities).sum(axis=1))
    assert (unsure.epistemic > 0).any()


def test_targets_have_the_law_of_the_mixture(framework: str, runs: Path) -> None:
    posterior = sdebnn.load(runs / f"{framework}-targets")
    said = posterior.predict(NEW)
    assert isinstance(said, TargetPrediction)
    centres = posterior.outputs(NEW).astype(float)
    noise = np.exp(next(value for name, value in posterior.learner.state().items() if "average/likelihood" in name))
    np.testing.assert_allclose(said.mean, centres.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(said.epistemic_std, centres.std(axis=0), rtol=1e-5)
    np.testing.assert_allclose(said.std, np.hypot(centres.std(axis=0), noise), rtol=1e-5)
    unsure = said.uncertainty()
    np.testing.assert_allclose(unsure.aleatoric, np.tile(noise, (len(NEW), 1)), rtol=1e-4)
    for q, found in zip((0.1, 0.5), said.quantile([0.1, 0.5]), strict=True):
        np.testing.assert_allclose(stats.norm.cdf(found, centres, noise).mean(axis=0), q, rtol=1e-4)
    low, high = said.interval(0.9)
    np.testing.assert_array_equal(low, said.quantile(0.05))
    np.testing.assert_allclose(stats.norm.cdf(high, centres, noise).mean(axis=0), 0.95, rtol=1e-4)
    y = NEW + 0.2
    expected = stats.norm.pdf(y, centres, noise).prod(axis=-1).mean(axis=0)
    np.testing.assert_allclose(posterior.log_prob(NEW, y), np.log(expected), rtol=1e-3)
    drawn = said.sample(0, 400)
    assert drawn.shape == (400, *y.shape)
    one = stats.kstest(drawn[:, 0, 0], lambda v: stats.norm.cdf(v, centres[:, 0, 0][:, None], noise[0]).mean(axis=0))
    assert one.pvalue > 1e-4


def test_the_log_probability_of_labels_is_that_of_the_prediction(framework: str, runs: Path) -> None:
    posterior = sdebnn.load(runs / f"{framework}-labels")
    y = np.arange(len(NEW)) % 2
    expected = np.log(posterior.predict(NEW).probabilities[np.arange(len(NEW)), y])
    np.testing.assert_allclose(posterior.log_prob(NEW, y), expected, rtol=1e-4, atol=1e-6)


def test_a_table_is_predicted_in_its_own_words_and_units(tmp_path: Path) -> None:
    x, config = 1e4 + 1e3 * X.astype(float), TrainConfig(**QUICK)
    kinds = np.where(X[:, 0] > 0, "yes", "=no")
    start_run(build_learner, config, tmp_path / "kinds", dataset=Dataset.from_arrays(x, kinds, x, kinds))
    posterior = sdebnn.load(tmp_path / "kinds")
    said = posterior.predict(x)
    assert said.labels.tolist() == ["=no", "yes"]
    assert np.mean(said.label == kinds) > 0.9
    of_truth = said.probabilities[np.arange(len(x)), (kinds == "yes").astype(int)]
    np.testing.assert_allclose(posterior.log_prob(x, kinds), np.log(of_truth), rtol=1e-4, atol=1e-6)
    assert list(said.columns())[1:3] == ["probabilities_=no", "probabilities_yes"]
    prediction_file.write(said, tmp_path / "out.csv")
    rows = (tmp_path / "out.csv").read_text().splitlines()
    assert {row.split(",")[0] for row in rows[1:]} == {"'=no", "yes"}

    y = np.column_stack([5e6 + 1e5 * X[:, 0], 1e-3 * X[:, 1]]) + [[1e3, 1e-5]] * RNG.normal(size=(40, 2))
    start_run(build_learner, config, tmp_path / "prices", dataset=Dataset.from_arrays(x, y, x, y))
    posterior = sdebnn.load(tmp_path / "prices")
    said = posterior.predict(x)
    assert (np.abs(said.mean - y).mean(axis=0) < y.std(axis=0)).all()
    low, high = said.interval(0.5)
    assert ((low < said.mean) & (said.mean < high)).mean() > 0.9
    means, variances = target_moments(posterior, posterior.outputs(x))
    shift, scale = y.mean(axis=0), y.std(axis=0)
    density = stats.norm.pdf(y, shift + scale * means, scale * np.sqrt(variances)).prod(axis=-1).mean(axis=0)
    np.testing.assert_allclose(posterior.log_prob(x, y), np.log(density), rtol=1e-3)
    posterior.save(tmp_path / "saved")
    again = pickle.loads(pickle.dumps(sdebnn.load(tmp_path / "saved")))
    np.testing.assert_array_equal(again.predict(x).mean, said.mean)
    np.testing.assert_allclose(posterior.draw(0)(x).mean(axis=0), y.mean(axis=0), atol=y.std(axis=0).max())


@pytest.mark.parametrize(
    ("run", "y", "says"),
    [
        ("labels", np.zeros(3, int), "11 examples and 3 answers"),
        ("labels", np.full(11, 2), "whole numbers .* from 0 to 1"),
        ("labels", np.zeros(11), "whole numbers"),
        ("targets", np.zeros((11, 3)), "give .examples, 2."),
    ],
)
def test_answers_that_are_none_are_refused(run: str, y, says: str, runs: Path) -> None:
    with pytest.raises(InputError, match=says):
        sdebnn.load(runs / f"jax-{run}").log_prob(NEW, y)


def test_parts_are_the_whole(framework: str, runs: Path, monkeypatch) -> None:
    posterior = sdebnn.load(runs / f"{framework}-targets")
    whole = posterior.predict(NEW)
    monkeypatch.setattr("sdebnn.training.posterior.CHUNK", 4)
    parts = list(posterior.predict_in_parts(NEW))
    assert [len(part) for part in parts] == [4, 4, 3]
    for name, array in whole.arrays().items():
        joined = np.concatenate([part.arrays()[name] for part in parts])
        np.testing.assert_allclose(joined, array, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("bad", [0, 1, -0.1, [0.5, 2.0], [[0.5]], float("nan"), "0.5", [], None])
def test_quantiles_and_levels_are_between_0_and_1(bad, runs: Path) -> None:
    said = sdebnn.load(runs / "jax-targets").predict(NEW)
    with pytest.raises(InputError, match="between 0 and 1"):
        said.quantile(bad)
    with pytest.raises(InputError, match="between 0 and 1"):
        said.interval(bad)


@pytest.mark.parametrize("n", [0, 2.5, True])
def test_there_is_a_draw_or_more(n, runs: Path) -> None:
    with pytest.raises(InputError, match="1 or more"):
        sdebnn.load(runs / "jax-targets").predict(NEW).sample(0, n)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_prediction_is_a_data_frame(library: str, runs: Path) -> None:
    pytest.importorskip(library)
    said = sdebnn.load(runs / "jax-labels").predict(NEW)
    frame = said.to_frame(library)
    assert type(frame).__module__.startswith(library)
    assert list(frame.columns) == ["label", "probabilities_0", "probabilities_1", "entropy", "mutual_information"]
    np.testing.assert_array_equal(frame["probabilities_1"].to_numpy(), said.probabilities[:, 1])


def test_a_data_frame_needs_a_library(runs: Path, monkeypatch) -> None:
    said = sdebnn.load(runs / "jax-targets").predict(NEW)
    with pytest.raises(InputError, match="did you mean 'pandas'"):
        said.to_frame("panda")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="needs pandas or polars, which is not installed"):
        said.to_frame()
    with pytest.raises(InputError, match="pip install polars"):
        said.to_frame("polars")


def test_the_other_framework_reads_the_run(framework: str, runs: Path) -> None:
    other = next(name for name in FRAMEWORKS if name != framework)
    changes = {"test_samples": 300}
    own = sdebnn.load(runs / f"{framework}-targets", changes=changes).predict(NEW)
    others = sdebnn.load(runs / f"{framework}-targets", framework=other, changes=changes).predict(NEW)
    # Other draws of the same law: means within five standard errors.
    error = 5 * np.hypot(own.epistemic_std, others.epistemic_std) / np.sqrt(300)
    assert (np.abs(own.mean - others.mean) <= error).all()


def test_a_posterior_is_saved_as_a_run(framework: str, runs: Path, tmp_path: Path) -> None:
    posterior = sdebnn.load(runs / f"{framework}-labels")
    posterior.save(tmp_path / "saved")
    expected = posterior.predict(NEW).probabilities
    np.testing.assert_array_equal(sdebnn.load(tmp_path / "saved").predict(NEW).probabilities, expected)
    restored = restore(build_learner, tmp_path / "saved", dataset=LABELS)
    assert restored.score() == restore(build_learner, runs / f"{framework}-labels", dataset=LABELS).score()
    with pytest.raises(InputError, match="saved by itself"):
        resume_run(build_learner, tmp_path / "saved", dataset=LABELS)
    with pytest.raises(InputError, match="holds a run already"):
        posterior.save(tmp_path / "saved")


def test_a_learner_in_memory_becomes_a_run(framework: str, tmp_path: Path) -> None:
    posterior = trained_less(framework=framework)
    posterior.save(tmp_path / "saved")
    loaded = sdebnn.load(tmp_path / "saved")
    np.testing.assert_array_equal(loaded.outputs(NEW), posterior.outputs(NEW))
    found = prediction_file.predict(build_learner, tmp_path / "saved", NEW)
    np.testing.assert_array_equal(found["probabilities"], posterior.predict(NEW).probabilities)


def test_it_is_pickled_and_built_once_a_process(framework: str, runs: Path) -> None:
    posterior = sdebnn.load(runs / f"{framework}-targets")
    pickled = pickle.dumps(posterior)
    again = pickle.loads(pickled)
    assert again is pickle.loads(pickled)
    np.testing.assert_array_equal(again.outputs(NEW), posterior.outputs(NEW))
    said = pickle.loads(pickle.dumps(posterior.predict(NEW)))
    np.testing.assert_array_equal(said.quantile(0.3), posterior.predict(NEW).quantile(0.3))


def _predicted(posterior: Posterior) -> np.ndarray:
    return posterior.predict(NEW).mean


def test_another_process_predicts_the_same(framework: str, runs: Path) -> None:
    posterior = sdebnn.load(runs / f"{framework}-targets")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(_predicted, (posterior,))
    np.testing.assert_allclose(found, posterior.predict(NEW).mean, rtol=1e-6)


def test_what_cannot_be_built_again_is_neither_pickled_nor_saved(tmp_path: Path) -> None:
    given = trained_less()
    posterior = Posterior(given.config, given.task, given.learner)
    with pytest.raises(InputError, match=r"pickled with what made its learner.*build=sdebnn.frameworks.build_learner"):
        pickle.dumps(posterior)
    with pytest.raises(InputError, match="saved with what made its learner"):
        posterior.save(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_threads_share_it(framework: str, runs: Path) -> None:
    posterior = sdebnn.load(runs / f"{framework}-targets")
    expected = [sdebnn.load(runs / f"{framework}-targets").predict(NEW[[row]]).interval() for row in range(len(NEW))]
    found: dict[int, tuple] = {}

    def ask(row: int) -> None:
        for _ in range(3):
            found[row] = posterior.predict(NEW[[row]]).interval()

    threads = [threading.Thread(target=ask, args=(row,)) for row in range(len(NEW))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal([found[row] for row in range(len(NEW))], expected)


def test_one_sample_says_nothing_of_ignorance(runs: Path) -> None:
    with pytest.warns(UserWarning, match="One posterior sample"):
        posterior = sdebnn.load(runs / "jax-targets", changes={"test_samples": 1})
    assert np.isnan(posterior.predict(NEW).epistemic_std).all()


def test_one_sample_of_each_of_several_members_says_something_of_it(tmp_path: Path) -> None:
    # A warning is an error here.
    trained_less(members=2, test_samples=1).save(tmp_path / "run")
    assert (sdebnn.load(tmp_path / "run").predict(NEW).uncertainty().epistemic > 0).any()


def test_outputs_that_are_not_finite_are_an_error(framework: str, runs: Path) -> None:
    posterior = sdebnn.load(runs / f"{framework}-targets")
    far = np.full((1, 2), 3e38, np.float32)
    with pytest.raises(FloatingPointError, match="NaN or infinite"):
        posterior.predict(far)
    with pytest.raises(FloatingPointError, match="NaN or infinite"):
        pickle.loads(pickle.dumps(posterior)).predict(far)


def test_a_network_is_drawn(framework: str, runs: Path) -> None:
    posterior = sdebnn.load(runs / f"{framework}-targets", changes={"test_samples": 200})
    network = posterior.draw(3)
    np.testing.assert_array_equal(network(NEW), network(NEW))
    np.testing.assert_array_equal(network(NEW), posterior.draw(np.random.default_rng(3))(NEW))
    for seed in ("a", -1, 1.5):
        with pytest.raises(InputError, match=f"rng={seed!r} is no seed; give a whole number from 0"):
            posterior.draw(seed)
    said = posterior.predict(NEW)
    drawn = np.stack([posterior.draw(seed)(NEW) for seed in range(50)])
    error = 5 * said.epistemic_std * np.sqrt(1 / 50 + 1 / 200)
    assert (np.abs(drawn.mean(axis=0) - said.mean) <= error).all()
    assert (np.abs(np.log(drawn.std(axis=0) / said.epistemic_std)) < np.log(2)).all()
    probabilities = sdebnn.load(runs / f"{framework}-labels").draw(0)(NEW)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_members_are_drawn_of_in_turn() -> None:
    posterior = trained_less(members=2)
    drawn = [posterior.draw(seed)(NEW) for seed in range(8)]
    of_member = np.array([np.abs(network - posterior.predict(NEW).probabilities).max() for network in drawn])
    assert len({float(distance) for distance in of_member}) == 8


def test_a_network_is_exported_from_jax(runs: Path, tmp_path: Path) -> None:
    for run in ("labels", "targets"):
        network = sdebnn.load(runs / f"jax-{run}").draw(0)
        network.export(tmp_path / "network.jax")
        exported = jax.export.deserialize(bytearray((tmp_path / "network.jax").read_bytes()))
        for n in (1, 11):
            np.testing.assert_allclose(exported.call(network.inputs(NEW[:n])), network(NEW[:n]), rtol=1e-5, atol=1e-6)


def test_a_network_is_exported_from_pytorch(runs: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    for run in ("labels", "targets"):
        network = sdebnn.load(runs / f"torch-{run}").draw(0)
        network.export(tmp_path / "network.pt2")
        exported = torch.export.load(tmp_path / "network.pt2").module()
        for n in (1, 11):
            found = exported(torch.from_numpy(network.inputs(NEW[:n]))).numpy()
            np.testing.assert_allclose(found, network(NEW[:n]), rtol=1e-5, atol=1e-6)


def test_a_network_is_exported_to_onnx(runs: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    evaluator = pytest.importorskip("onnx.reference")
    network = sdebnn.load(runs / "torch-labels").draw(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.export(tmp_path / "network.onnx")
    session = evaluator.ReferenceEvaluator(str(tmp_path / "network.onnx"))
    for n in (1, 11):
        (found,) = session.run(None, {session.input_names[0]: network.inputs(NEW[:n])})
        np.testing.assert_allclose(found, network(NEW[:n]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1e-40), (0.0, 1e37), (1e9, 1.0)])
def test_units_that_a_file_has_no_numbers_for_are_refused(shift: float, scale: float, tmp_path: Path) -> None:
    drawn = trained_less().draw(0)
    drawn._shift, drawn._scale = np.array([0.0, shift]), np.array([1.0, scale])
    with pytest.raises(InputError, match="single precision, which has too few numbers for target 1"):
        drawn.export(tmp_path / "network.jax")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(("framework", "advice"), [("jax", "framework='torch'"), ("torch", "framework='jax'")])
def test_a_file_says_by_its_name_what_it_is(framework: str, advice: str, runs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"ends in '.bin'.*{advice}"):
        sdebnn.load(runs / f"{framework}-labels").draw(0).export(tmp_path / "network.bin")


def test_onnx_says_what_it_needs(runs: Path, tmp_path: Path, monkeypatch) -> None:
    network = sdebnn.load(runs / "torch-labels").draw(0)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"ONNX needs onnx and onnxscript.*sdebnn\[export\]"):
        network.export(tmp_path / "network.onnx")


def own_builder(config, dataset):
    """A builder of a user's own."""
    learner = build_learner(config, dataset)
    learner.by_choices = False
    return learner


def test_a_builder_of_ones_own_is_asked_for(framework: Literal["jax", "torch"], tmp_path: Path) -> None:
    config = TrainConfig(framework=framework, **QUICK | {"epochs": 1})
    start_run(own_builder, config, tmp_path / "run", dataset=TARGETS)
    with pytest.raises(InputError, match="own_builder"):
        sdebnn.load(tmp_path / "run")
    posterior = sdebnn.load(tmp_path / "run", build=own_builder)
    np.testing.assert_allclose(posterior.outputs(NEW), posterior.learner.outputs(NEW), rtol=2e-5, atol=2e-6)
    assert posterior.predict(NEW).interval()[0].shape == (11, 2)
    posterior.save(tmp_path / "saved")
    with pytest.raises(InputError, match="own_builder"):
        sdebnn.load(tmp_path / "saved")
    again = pickle.loads(pickle.dumps(posterior))
    np.testing.assert_array_equal(again.outputs(NEW), posterior.outputs(NEW))


def test_text_is_not_written_as_a_formula(tmp_path: Path) -> None:
    said = {"label": np.array(["=1+1", "yes", "-x", "@y", "+z"]), "n": np.array([-1.5, 2, 3, 4, 5])}
    prediction_file.write(said, tmp_path / "out.csv")
    rows = (tmp_path / "out.csv").read_text().splitlines()
    assert rows == ["label,n", "'=1+1,-1.5", "yes,2.0", "'-x,3.0", "'@y,4.0", "'+z,5.0"]


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not the folder of a run"):
        sdebnn.load(tmp_path)
    for none in (None, 3, b"run"):
        with pytest.raises(InputError, match="The folder of a run is a path, but it is"):
            # Users have no checks of types at run time.
            inspect.unwrap(sdebnn.load)(none)
    RunFolder.create(tmp_path / "run").write_config(TrainConfig().to_json())
    with pytest.raises(InputError, match="framework='tensorflow' is not allowed"):
        sdebnn.load(tmp_path / "run", framework="tensorflow")


def test_a_learner_need_not_draw_networks(framework: str, runs: Path, monkeypatch) -> None:
    posterior = sdebnn.load(runs / f"{framework}-labels", changes={"beyond_range": 0.0})
    for name in ("drawn_networks", "draw_network"):
        monkeypatch.delattr(type(posterior.learner), name)
    np.testing.assert_array_equal(posterior.outputs(NEW), posterior.learner.outputs(NEW))
    with pytest.raises(InputError, match="none can be drawn alone"):
        posterior.draw(0)


def test_partial_builders_pickle(tmp_path: Path) -> None:
    given = trained_less()
    posterior = Posterior(given.config, given.task, given.learner, build=partial(build_learner, devices=1))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(posterior)).outputs(NEW), given.outputs(NEW))
