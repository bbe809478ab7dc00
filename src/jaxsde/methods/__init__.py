"""The methods, by name."""

from jaxsde.methods.euler_maruyama import EULER_MARUYAMA
from jaxsde.methods.method import Method

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        EULER_MARUYAMA,
    )
}  # fmt: skip

__all__ = ["METHODS", "Method"]
