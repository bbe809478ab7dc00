import itertools

import numpy as np
import pytest

from sdebnn.data import batch_stream, batches
from sdebnn.errors import InputError


@pytest.mark.parametrize(("drop_last", "sizes"), [(True, [4, 4]), (False, [4, 4, 2])])
def test_each_example_comes_once(drop_last: bool, sizes: list[int]) -> None:
    parts = list(batches(10, 4, seed=3, epoch=0, drop_last=drop_last))
    assert [len(part) for part in parts] == sizes
    assert len(set(np.concatenate(parts))) == sum(sizes)


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return [int(i) for part in batches(100, 10, seed=seed, epoch=epoch) for i in part]

    list(batches(100, 10, seed=0, epoch=0))
    assert order(0, 1) == order(0, 1)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


@pytest.mark.parametrize(("n", "batch_size", "drop_last"), [(3, 4, True), (3, 0, True), (3, -1, False), (0, 1, False)])
def test_no_batch_is_refused_before_the_first_is_asked_for(n: int, batch_size: int, drop_last: bool) -> None:
    with pytest.raises(InputError, match="make no full batch"):
        batches(n, batch_size, seed=0, epoch=0, drop_last=drop_last)


def test_a_negative_seed_or_epoch_is_refused() -> None:
    with pytest.raises(InputError, match="0 or more"):
        batches(3, 1, seed=-1, epoch=0)
    with pytest.raises(InputError, match="0 or more"):
        batches(3, 1, seed=0, epoch=-1)


def stream(n: int, batch_size: int, count: int, start: int = 0) -> list[list[int]]:
    return [part.tolist() for part in itertools.islice(batch_stream(n, batch_size, seed=3, start=start), count)]


@pytest.mark.parametrize(("n", "batch_size"), [(119, 64), (10, 4), (7, 7), (65, 64), (9, 1), (12, 4)])
def test_every_example_comes_once_a_pass_in_batches_of_one_size(n: int, batch_size: int) -> None:
    parts = stream(n, batch_size, 2 * n)
    assert {len(part) for part in parts} == {batch_size}
    entries = [entry for part in parts for entry in part]
    for epoch in range(2 * batch_size):
        expected = np.random.default_rng([3, epoch]).permutation(n).tolist()
        assert entries[epoch * n : (epoch + 1) * n] == expected


def test_a_stream_that_begins_later_goes_on_alike() -> None:
    parts = stream(10, 4, 12)
    for start in range(12):
        assert stream(10, 4, 12 - start, start) == parts[start:]


def test_batches_that_fit_are_those_of_the_epochs_themselves() -> None:
    of_epochs = [part.tolist() for epoch in range(3) for part in batches(12, 4, seed=3, epoch=epoch)]
    assert stream(12, 4, 9) == of_epochs
    with pytest.raises(InputError, match="make no full batch"):
        batch_stream(3, 4, seed=0)
