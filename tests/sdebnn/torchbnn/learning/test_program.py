"""Programs of plain operations do what the functions do that they were recorded of."""

from collections.abc import Callable

import pytest
import torch

from sdebnn.torchbnn.learning.program import record


def network(w: torch.Tensor, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """With views of views, products of vectors, constants, copies, and a part that is computed twice."""
    first, second = w.split([6, 2], dim=0)
    t = torch.full((1,), 0.5)
    hidden = torch.addmv(second, first.view(3, 2).T, torch.cat([x[0, :2], t]))
    again = torch.tanh(x.clone() @ first.view(3, 2)) + torch.tanh(x @ first.detach().view(3, 2))
    outputs = torch.stack([again, again.flip(0)]).unbind()[0] + hidden + torch.zeros(2)
    return torch.nn.functional.cross_entropy(outputs, labels.long())


def gradient(w: torch.Tensor, x: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, ...]:
    w = w.detach().requires_grad_()
    losses = torch.func.vmap(network)(w, x, labels)
    return losses, *torch.autograd.grad(losses.sum(), w)


def inputs(seed: int) -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    of = torch.randn(5, 8, generator=rng), torch.randn(5, 4, 3, generator=rng)
    return [*of, torch.randint(0, 2, (5, 4), generator=rng, dtype=torch.int32)]


def test_a_program_is_the_function_for_other_inputs_of_the_shape() -> None:
    program = record(gradient, inputs(0))
    for seed in (1, 2):
        for found, expected in zip(program(*inputs(seed)), gradient(*inputs(seed)), strict=True):
            torch.testing.assert_close(found, expected)
            assert not found.requires_grad


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x if x.any() else -x,),
        lambda x: (x * x[0].item(),),
        lambda x: (x.clone().add_(1),),
        lambda x: (torch.nn.functional.dropout(x, 0.5),),
        lambda x: (x + torch.rand(3),),
    ],
)
def test_what_asks_for_values_writes_or_draws_is_no_program(
    function: Callable[[torch.Tensor], tuple[torch.Tensor]],
) -> None:
    with pytest.raises(RuntimeError, match="cannot be recorded"):
        record(function, [torch.ones(3)])


def test_a_value_that_goes_past_pytorch_is_found() -> None:
    with pytest.raises(RuntimeError, match="does not give what the function gives"):
        record(lambda x: (torch.tensor(x.tolist()) * 2 + x,), [torch.ones(3)])


def test_other_types_shapes_and_layouts_are_refused() -> None:
    program = record(lambda x: (x.T + 1,), [torch.ones(3, 4)])
    for other in (torch.ones(4, 3), torch.ones(4, 3).T, torch.ones(6, 4)[3:], torch.ones(3, 4, dtype=torch.float64)):
        with pytest.raises(RuntimeError, match="takes tensors of types, shapes, strides and offsets"):
            program(other)


def test_a_program_is_without_autocast_wherever_it_is_recorded_and_called() -> None:
    x = torch.randn(3, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        program = record(lambda x: (x @ x,), [x])
        assert program(x)[0].dtype == torch.float32
    torch.testing.assert_close(program(x)[0], x @ x, rtol=0, atol=0)


@pytest.mark.parametrize("sizes", [(1, 3, 4), (4, 1, 3), (3, 1, 4), (4, 3, 1), (1, 3, 1), (4, 3, 2)])
def test_products_of_vectors_are_those_of_matrices(sizes: tuple[int, int, int]) -> None:
    rows, inner, columns = sizes
    a, b = torch.randn(2, rows, inner), torch.randn(2, inner, columns)
    program = record(lambda a, b: (torch.bmm(a, b), torch.bmm(b.mT, a.mT)), [a, b])
    a, b = torch.randn(2, rows, inner), torch.randn(2, inner, columns)
    for found, expected in zip(program(a, b), (a @ b, (a @ b).mT), strict=True):
        torch.testing.assert_close(found, expected)
