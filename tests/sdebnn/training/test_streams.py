"""Training on batches of one's own: what in-memory examples would have given, from whatever gives batches."""

import dataclasses
import itertools

import numpy as np
import pytest

from sdebnn.data import Dataset, StreamedDataset
from sdebnn.errors import InputError
from sdebnn.runs import RunFolder, checkpoint
from sdebnn.training import fit, prediction_file, restore, resume_run, start_run


def streamed(table: Dataset, stream) -> StreamedDataset:
    """The data set, of whose training examples half are in memory."""
    few = {field.name: getattr(table, field.name) for field in dataclasses.fields(table)}
    few |= {"x_train": table.x_train[:12], "y_train": table.y_train[:12]}
    return StreamedDataset(**few, stream=stream, size=len(table.x_train))


def in_order(table: Dataset, batch: int):
    """The batches of training, without end."""
    return ((x.astype(np.float64), y.astype(np.int64)) for x, y in table.training_batches(batch, seed=0))


def state(folder) -> dict[str, np.ndarray]:
    return checkpoint.load(checkpoint.latest(RunFolder.open(folder).checkpoints))[0]


def assert_same_run(one, other) -> None:
    assert state(one).keys() == state(other).keys()
    for name, array in state(one).items():
        np.testing.assert_array_equal(array, state(other)[name], err_msg=name)


def test_a_generator_trains_to_the_bit_what_the_examples_in_memory_do(tmp_path, table, quick, build) -> None:
    start_run(build, quick, tmp_path / "memory", dataset=table)
    start_run(build, quick, tmp_path / "stream", dataset=streamed(table, in_order(table, 8)))
    assert_same_run(tmp_path / "memory", tmp_path / "stream")


def test_a_memory_map_trains_in_slices(tmp_path, table, quick, build) -> None:
    on_disk = np.memmap(tmp_path / "x.bin", np.float32, "w+", shape=table.x_train.shape)
    on_disk[:] = table.x_train
    on_disk.flush()
    x = np.memmap(tmp_path / "x.bin", np.float32, "r", shape=table.x_train.shape)

    def slices(of):
        return [(of[start : start + 8], table.y_train[start : start + 8]) for start in range(0, 24, 8)]

    start_run(build, quick, tmp_path / "map", dataset=streamed(table, slices(x)))
    start_run(build, quick, tmp_path / "array", dataset=streamed(table, slices(table.x_train)))
    assert_same_run(tmp_path / "map", tmp_path / "array")


def test_a_run_whose_batches_end_is_saved_and_goes_on_with_more(tmp_path, table, quick, build) -> None:
    start_run(build, quick, tmp_path / "whole", dataset=streamed(table, in_order(table, 8)))
    short = itertools.islice(in_order(table, 8), 4)
    with pytest.raises(
        InputError, match=r"have ended after 4, .* saved as of step 4; .*resume_run.* takes it up again"
    ):
        start_run(build, quick, tmp_path / "short", dataset=streamed(table, short))
    resume_run(build, tmp_path / "short", dataset=streamed(table, in_order(table, 8)))
    assert_same_run(tmp_path / "whole", tmp_path / "short")


def test_batches_that_cannot_be_sliced_are_refused(tmp_path, table, quick, build) -> None:
    config = dataclasses.replace(quick, accumulate=2)
    odd = streamed(table, [(table.x_train[:3], table.y_train[:3])])
    with pytest.raises(InputError, match="A batch of 3 examples cannot be cut into accumulate=2 equal slices"):
        fit(build(config, odd), config, odd, RunFolder.create(tmp_path / "run"))


def test_a_loader_with_workers_trains_and_its_run_predicts(tmp_path, table, quick) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("torchsde")
    from sdebnn.torchbnn import build_learner

    config = dataclasses.replace(quick, framework="torch", blocks=(1,))
    tensors = torch.utils.data.TensorDataset(torch.from_numpy(table.x_train), torch.from_numpy(table.y_train))
    # What a process that has started JAX forks would wait for ever.
    loader = torch.utils.data.DataLoader(
        tensors, 8, num_workers=2, multiprocessing_context="spawn", persistent_workers=True
    )
    done = start_run(build_learner, config, tmp_path / "loader", dataset=streamed(table, loader))
    pairs = [(table.x_train[start : start + 8], table.y_train[start : start + 8]) for start in range(0, 24, 8)]
    start_run(build_learner, config, tmp_path / "list", dataset=streamed(table, pairs))
    assert_same_run(tmp_path / "loader", tmp_path / "list")
    assert restore(build_learner, tmp_path / "loader", dataset=done.dataset).score() == done.fitted.scores
    found = prediction_file.predict(build_learner, tmp_path / "loader", table.x_test)
    assert found["probabilities"].shape == (10, 2)
