import torch

from sdebnn.torchbnn.solving.remembered_correction import RememberedCorrection


def test_the_last_weights_asked_about_at_a_depth_are_kept_with_their_correction() -> None:
    asked = []

    def correct(w, t):
        asked.append(float(t))
        return t * w

    known = RememberedCorrection(correct, [0.25, 0.5])
    stage, state, later, between = torch.ones(2), 2 * torch.ones(2), torch.zeros(2), torch.ones(2)
    known(stage, torch.tensor(0.25))
    first = known(state, torch.tensor(0.25))
    known(between, 0.375)
    known(later, 0.5)
    assert known(state, 0.25) is first
    assert asked == [0.25, 0.25, 0.375, 0.5]
    assert [w is kept for w, kept in zip((state, later), known.states(), strict=True)] == [True, True]
    # Equal numbers elsewhere have a gradient of their own.
    assert known(state.clone(), 0.25) is not first


def test_between_its_depths_and_once_forgotten_everything_is_computed_again() -> None:
    known, w = RememberedCorrection(lambda w, t: 2 * w, [0.0]), torch.ones(2)
    assert known(w, 0.3) is not known(w, 0.3)
    first = known(w, 0.0)
    known.forget()
    assert known(w, 0.0) is not first
