"""The Brownian motion of the weights: its law, and that it is the same motion whoever asks."""

import pytest
import scipy.stats
import torch

from sdebnn.torchbnn.solving.brownian_motion import KEPT, BrownianMotion

LIKE = torch.zeros((), dtype=torch.float64)
DEPTHS = torch.tensor([0.0, 0.1, 0.4, 0.5, 1.0], dtype=torch.float64)


@pytest.mark.parametrize(("start", "end"), [(0.0, 0.1), (0.1, 0.4), (0.0, 1.0), (0.2, 0.3), (0.05, 0.45), (0.4, 0.9)])
def test_increments_are_normal_with_the_variance_of_their_length(start: float, end: float) -> None:
    increments = BrownianMotion(5000, 0, DEPTHS, LIKE)(start, end)
    assert increments.shape == (1, 5000)
    assert increments.dtype == torch.float64
    assert scipy.stats.kstest(increments[0].numpy() / (end - start) ** 0.5, "norm").pvalue > 1e-3


def test_increments_that_do_not_meet_are_independent() -> None:
    noise = BrownianMotion(20_000, 0, DEPTHS, LIKE)
    pieces = [(0.0, 0.1), (0.1, 0.2), (0.2, 0.4), (0.4, 0.5), (0.5, 1.0)]
    correlations = torch.corrcoef(torch.cat([noise(*piece) for piece in pieces])) - torch.eye(len(pieces))
    assert correlations.abs().max() < 4 / 20_000**0.5


def test_parts_add_up_to_the_whole_in_any_order() -> None:
    noise, asked_late = BrownianMotion(3, 0, DEPTHS, LIKE), BrownianMotion(3, 0, DEPTHS, LIKE)
    whole = noise(0.0, 1.0)
    late = [asked_late(*part) for part in [(0.7, 1.0), (0.15, 0.25), (0.25, 0.7), (0.1, 0.15), (0.0, 0.1)]]
    torch.testing.assert_close(sum(late), whole)
    torch.testing.assert_close(noise(0.0, 0.3) + noise(0.3, 1.0), whole)
    torch.testing.assert_close(noise(0.0, 1.0), whole)
    assert not torch.equal(BrownianMotion(3, 1, DEPTHS, LIKE)(0.0, 1.0), whole)


def test_increments_do_not_depend_on_what_else_was_asked_or_in_which_order() -> None:
    """One part is shorter than the resolution."""
    parts = [(0.0, 0.13), (0.13, 0.3), (0.13, 0.215), (0.215, 0.3), (0.3, 0.3 + 1e-8), (0.13, 0.77), (0.6, 0.95)]
    forwards, backwards = BrownianMotion(3, 0, DEPTHS, LIKE), BrownianMotion(3, 0, DEPTHS, LIKE)
    expected = [forwards(*part) for part in parts]
    for part, increment in zip(reversed(parts), reversed(expected), strict=True):
        assert torch.equal(backwards(*part), increment)
        assert torch.equal(BrownianMotion(3, 0, DEPTHS, LIKE)(*part), increment)
    assert len(backwards.within) == KEPT


def test_steps_are_drawn_again_and_nothing_is_kept() -> None:
    noise = BrownianMotion(3, 0, DEPTHS, LIKE)
    first = noise(0.1, 0.4)
    # A walk back comes to depths that differ in their last digits.
    assert torch.equal(noise(0.1 + 1e-13, 0.4 - 1e-13), first)
    assert torch.equal(BrownianMotion(3, 0, DEPTHS, LIKE)(0.1, 0.4), first)
    assert not noise.within
