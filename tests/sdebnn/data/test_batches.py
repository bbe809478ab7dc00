import numpy as np
import pytest

from sdebnn.data import batches
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
