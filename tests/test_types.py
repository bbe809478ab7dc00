"""Annotations say something: an argument that may be anything is the exception."""

import ast
import importlib.util
import pathlib

import pytest


def arguments(source):
    """Annotations of all arguments of all functions but self; `None` where there is none."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            given = node.args
            named = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
            yield from (arg.annotation for arg in named if arg is not None and arg.arg not in ("self", "cls"))


def is_bare(annotation):
    return annotation is not None and ast.unparse(annotation) in ("Any", "typing.Any")


def test_arguments_are_counted():
    found = list(arguments("def f(self, a: Any, *b: int, c=1, **d: dict[str, Any]): return lambda x: x"))
    assert [is_bare(annotation) for annotation in found] == [True, False, False, False]
    assert sum(annotation is None for annotation in found) == 1


@pytest.mark.parametrize(("package", "share"), [("jaxsde", 0.05), ("sdebnn", 0.1)])
def test_few_arguments_are_any(package: str, share: float) -> None:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    found = [x for path in pathlib.Path(spec.origin).parent.rglob("*.py") for x in arguments(path.read_text())]
    assert len(found) > 500
    assert all(annotation is not None for annotation in found)
    assert sum(map(is_bare, found)) < share * len(found)
