"""A function of tensors as a program of plain operations.

Of small networks PyTorch's own work around an operation takes longer than the operation: modules, `torch.func.vmap` and
backpropagation, all in Python or asked by it, are ten times the arithmetic. `record` runs a function once and writes
down the operations that reach PyTorch's kernels, below vmap and backpropagation; the program asks for these alone.
"""

import functools
import operator
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import fx
from torch.utils._python_dispatch import TorchDispatchMode

# Of the largest number that a program gives, how far all may be from those of the function; and by how much inputs are
# stretched for that comparison, so that a number which was taken for a constant shows.
ROUNDING, STRETCHED = 1e-3, 1.01

Program = Callable[..., tuple[torch.Tensor, ...]]

aten = torch.ops.aten

# The same by PyTorch's own functions, which are found by their arguments in half the time.
QUICK = {
    aten.add.Tensor: torch.add,
    aten.bmm.default: torch.bmm,
    aten.cat.default: torch.cat,
    aten.div.Tensor: torch.div,
    aten.mul.Scalar: torch.mul,
    aten.mul.Tensor: torch.mul,
    aten.neg.default: torch.neg,
    aten.silu.default: torch._C._nn.silu,
    aten.softplus.default: torch._C._nn.softplus,
    aten.sub.Tensor: torch.sub,
    aten.sum.dim_IntList: torch.sum,
}
# Numbers of a constant, up to which it is looked whether another is the same.
SMALL = 2**12
COPIES = (aten.clone.default, aten._to_copy.default)
# They take the kind of a tensor, and not its numbers.
FILLED = (
    aten.new_full.default, aten.new_ones.default, aten.new_zeros.default, aten.ones_like.default,
    aten.zeros_like.default,
)  # fmt: skip


@torch.no_grad()
def record(function: Callable[..., Sequence[torch.Tensor]], inputs: Sequence[torch.Tensor]) -> Program:
    """The function as a program for inputs of these shapes: called as it is, without gradients, and without autocast
    wherever it is called. The function asks no tensor for its value, draws nothing, and writes into nothing that it was
    given or has made.

    What does not depend on the inputs is computed now, so tensors that the function has from elsewhere must never
    change; what is the same is computed once; a view of a view is one of the whole.

    **Arguments:**

    - `function`: may use `torch.func.vmap` and `torch.autograd.grad`.
    - `inputs`: as those of the program will lie in memory.

    **Raises:** `RuntimeError` for a function that asks for values, writes in place or draws, and for a program that
    does not give what the function gives for inputs that are a little larger.
    """
    recorder = _Recorder(inputs)
    # One for each use: it keeps what was before, and threads share a program.
    plain = functools.partial(torch.autocast, inputs[0].device.type, enabled=False)
    with torch.enable_grad(), plain(), recorder:
        outputs = [output.detach() for output in function(*inputs)]
    recorder.graph.output(tuple(recorder.argument(output) for output in outputs))
    recorder.graph.eliminate_dead_code()
    # Not as a GraphModule: PyTorch keeps the text of all of these for ever.
    code, constants = recorder.graph.python_code("self"), SimpleNamespace(**recorder.constants)
    names = dict(code.globals)
    exec(code.src, names)
    forward, layout = names["forward"], list(map(_layout, inputs))

    @torch.no_grad()
    def program(*given: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if (got := list(map(_layout, given))) != layout:
            raise RuntimeError(f"The program takes tensors of types, shapes, strides and offsets {layout}, not {got}.")
        with plain():
            return forward(constants, *given)

    # Wrong strides, and a value that Python was told behind the recorder's back, would give wrong numbers in silence.
    others = [tensor * STRETCHED if tensor.is_floating_point() else tensor for tensor in inputs]
    with torch.enable_grad(), plain():
        expected = [output.detach() for output in function(*others)]
    for output, found in zip(expected, program(*others), strict=True):
        finite = output.isfinite()
        largest = output[finite].abs().max() if finite.any() else 0.0
        if not ((found - output)[finite].abs() <= ROUNDING * largest).all():
            raise RuntimeError("The program that was recorded does not give what the function gives.")
    return program


Geometry = tuple[tuple[int, ...], tuple[int, ...], int]


def _layout(tensor: torch.Tensor) -> tuple[torch.dtype, torch.device, Geometry]:
    return tensor.dtype, tensor.device, _geometry(tensor)


def _geometry(tensor: torch.Tensor) -> Geometry:
    return tuple(tensor.shape), tensor.stride(), int(tensor.storage_offset())


class _Recorder(TorchDispatchMode):
    """Writes a graph. Every tensor that depends on the inputs is known as a view of what an operation has made, or of
    an input: views need no operation until one takes them.
    """

    def __init__(self, inputs: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.graph = fx.Graph()
        self.constants: dict[str, torch.Tensor] = {}
        # By the tensor's identity; the tensors stay, that no other gets it.
        self._made_by: dict[int, tuple[fx.Node, Geometry]] = {}
        self._kept: list[torch.Tensor] = []
        self._nodes: dict[Any, fx.Node] = {}
        self._whole: dict[fx.Node, Geometry] = {}
        for number, tensor in enumerate(inputs):
            self._is(tensor, self.graph.placeholder(f"input_{number}"))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is aten.bmm.default and (product := _of_vectors(*args)) is not None:
            with self:
                return product()
        if func._schema.is_mutable or torch.Tag.nondeterministic_seeded in func.tags:
            raise RuntimeError(f"{func} writes in place or draws, and cannot be recorded.")
        if any(isinstance(value, torch.Tensor) for value in kwargs.values()):
            raise RuntimeError(f"{func} takes a tensor by name, and cannot be recorded.")
        outputs = func(*args, **kwargs)
        # Operations take tensors and lists of them, and return one or a list.
        given = [leaf for arg in args for leaf in (arg if isinstance(arg, list | tuple) else (arg,))]
        tensors = [leaf for leaf in given if isinstance(leaf, torch.Tensor)]
        known = [tensor for tensor in tensors if id(tensor) in self._made_by]
        if not known or func in FILLED:
            return outputs
        made = [outputs] if isinstance(outputs, torch.Tensor) else outputs
        if not isinstance(made, list | tuple) or not all(isinstance(tensor, torch.Tensor) for tensor in made):
            raise RuntimeError(f"{func} gives {outputs!r}, which is no tensor, and cannot be recorded.")
        storage = known[0].untyped_storage().data_ptr()
        if storage and all(tensor.untyped_storage().data_ptr() == storage for tensor in made):
            for tensor in made:
                self._is(tensor, self._made_by[id(known[0])][0])
        elif _alike(outputs, same := self._unchanged(func, args, kwargs)):
            self._is(outputs, self._made_by[id(same)][0])
        else:
            args = tuple(self._written(arg) for arg in args)
            node = self._call(QUICK.get(func, func), args, kwargs)
            if isinstance(outputs, torch.Tensor):
                self._is(outputs, node)
            else:
                for number, tensor in enumerate(outputs):
                    self._is(tensor, self._call(operator.getitem, (node, number), {}))
        return outputs

    def argument(self, tensor: torch.Tensor) -> fx.Node:
        """What stands for the tensor in the graph."""
        if id(tensor) not in self._made_by:
            small = tensor.numel() <= SMALL
            key = *_layout(tensor), repr(tensor.tolist()) if small else id(tensor)
            if key not in self._nodes:
                name = f"constant_{len(self.constants)}"
                self.constants[name] = tensor.detach()
                self._nodes[key] = self.graph.get_attr(name)
            self._is(tensor, self._nodes[key])
        node, geometry = self._made_by[id(tensor)]
        return node if geometry == self._whole[node] else self._call(torch.as_strided, (node, *geometry), {})

    def _unchanged(self, func: Any, args: Any, kwargs: Any) -> torch.Tensor | None:
        """The argument of which the result has all numbers."""
        if func in COPIES or (func is aten.mul.Scalar and args[1] == 1):
            return args[0]
        if func is aten.add.Tensor and isinstance(args[1], torch.Tensor) and not kwargs:
            for one, other in (args[:2], args[1::-1]):
                if id(one) not in self._made_by and not one.any():
                    return other
        return None

    def _written(self, arg: Any) -> Any:
        if isinstance(arg, list | tuple):
            return [self._written(part) for part in arg]
        return self.argument(arg) if isinstance(arg, torch.Tensor) else arg

    def _call(self, func: Any, args: Any, kwargs: Any) -> fx.Node:
        key = func, repr(args), repr(kwargs)
        if key not in self._nodes:
            self._nodes[key] = self.graph.call_function(func, args, kwargs)
        return self._nodes[key]

    def _is(self, tensor: torch.Tensor, node: fx.Node) -> None:
        geometry = _geometry(tensor)
        self._made_by[id(tensor)] = node, geometry
        self._whole.setdefault(node, geometry)
        self._kept.append(tensor)


def _of_vectors(a: torch.Tensor, b: torch.Tensor) -> Callable[[], torch.Tensor] | None:
    """What to compute in place of the matrix products `torch.bmm(a, b)` where there are vectors among them, of which it
    takes ten times as long unless they are rows that lie one after the other.
    """
    if a.shape[1] == 1:
        lies = a.stride(1) == a.shape[2] * a.stride(2)
        return None if lies else lambda: torch.bmm(a.squeeze(1).unsqueeze(1), b)
    if a.shape[2] == 1:
        return (lambda: a * b) if b.shape[2] >= a.shape[1] else lambda: (b.mT * a.mT).mT
    return (lambda: torch.bmm(b.mT, a.mT).mT) if b.shape[2] == 1 else None


def _alike(made: Any, given: torch.Tensor | None) -> bool:
    return given is not None and _layout(made) == _layout(given)
