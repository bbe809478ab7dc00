"""What is drawn, from which generator, and when it is drawn again."""

import threading

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from sdebnn.errors import InputError
from sdebnn.torchbnn import SDEBNN, MeanField, Solver, WeightProcess, bnn_serial, drift_network
from sdebnn.torchbnn.layers.randomness import drawing_from


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network() -> bnn_serial:
    torch.manual_seed(0)
    block = SDEBNN(nn.Linear(3, 3), WeightProcess(drift_network((2,)), sigma=1.0), Solver(2, "midpoint"))
    return bnn_serial(
        block, nn.Dropout(0.5), MeanField(nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5)), initial_std=1.0)
    )


def gradient(run) -> torch.Tensor:
    module = network()
    outputs, kl = run(module)
    (outputs.square().sum() + kl).backward()
    return torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])


X = torch.linspace(-1, 1, 6).reshape(2, 3)


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_a_block_that_would_be_computed_again_on_other_noise_is_refused(use_reentrant: bool) -> None:
    def with_generator(module):
        rng = generator()
        return checkpoint(lambda x: module(x, rng=rng), X.clone().requires_grad_(), use_reentrant=use_reentrant)

    with pytest.raises(InputError, match=r"computed again for a gradient.*noise=noise"):
        gradient(with_generator)


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_computed_again_on_noise_that_is_given_the_gradient_is_the_same(use_reentrant: bool) -> None:
    """As with a generator that is made within, and with PyTorch's own, which it puts back."""

    def again(run):
        return lambda module: checkpoint(
            lambda x: tuple(run(module, x)), X.clone().requires_grad_(), use_reentrant=use_reentrant
        )

    def given(module):
        module.eval()
        noise = module.draw_noise(rng=generator())
        return again(lambda module, x: module(x, noise=noise))(module)

    def whole(module):
        return module.eval()(X, rng=generator())

    torch.testing.assert_close(gradient(given), gradient(whole))
    made_within = again(lambda module, x: module(x, rng=generator()))
    torch.testing.assert_close(gradient(made_within), gradient(lambda module: module(X, rng=generator())))
    own = gradient(again(lambda module, x: module(x)))
    torch.testing.assert_close(own, gradient(lambda module: module(X)))


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_a_checkpoint_that_does_not_put_back_pytorchs_generator_is_refused(use_reentrant: bool) -> None:
    with pytest.raises(InputError, match="leave preserve_rng_state=True"):
        gradient(
            lambda module: checkpoint(
                module, X.clone().requires_grad_(), use_reentrant=use_reentrant, preserve_rng_state=False
            )
        )


def test_with_a_generator_dropout_is_drawn_from_it_too() -> None:
    module, before = network(), torch.get_rng_state()
    first, second = (module(X, rng=generator(4))[0] for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)
    assert (first.detach() == 0).any()
    assert not torch.equal(first, module(X, rng=generator(5))[0])


def test_drawing_from_a_generator_is_drawing_after_its_seed_was_set_but_for_this_thread_alone() -> None:
    def drawn() -> list[torch.Tensor]:
        layer = nn.Conv2d(2, 3, 3)
        numbers = [torch.rand(3), torch.randn(4), torch.randint(10, (5,)), torch.randint(2, 9, (5,)), torch.randperm(7)]
        masks = [torch.bernoulli(torch.full((9,), 0.3)), nn.functional.dropout(torch.ones(9), 0.4)]
        filled = [torch.empty(3).normal_(), nn.init.trunc_normal_(torch.empty(3)), torch.rand_like(torch.ones(2))]
        return [layer.weight.detach(), *numbers, *masks, *filled, torch.multinomial(torch.ones(9), 4)]

    torch.manual_seed(3)
    expected, elsewhere = drawn(), torch.get_rng_state()
    with drawing_from(generator(3)):
        found = drawn()
        thread = threading.Thread(target=lambda: torch.rand(1))
        thread.start()
        thread.join()
    for one, other in zip(expected, found, strict=True):
        assert torch.equal(one, other)
    # The thread beside drew from PyTorch's own, and nothing else did.
    torch.set_rng_state(elsewhere)
    torch.rand(1)
    after = torch.get_rng_state()
    torch.set_rng_state(elsewhere)
    assert not torch.equal(after, elsewhere)


def test_a_generator_draws_on_its_own_device() -> None:
    rng = generator(1)
    with drawing_from(rng):
        assert torch.rand(2, device="meta").device.type == "meta"
    drawn = generator(1)
    torch.rand(2, generator=drawn)
    assert torch.equal(rng.get_state(), drawn.get_state())
