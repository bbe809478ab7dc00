"""The methods, by name."""

from jaxsde.methods.euler_heun import EULER_HEUN
from jaxsde.methods.euler_maruyama import EULER_MARUYAMA
from jaxsde.methods.heun import HEUN
from jaxsde.methods.method import Method
from jaxsde.methods.midpoint import MIDPOINT
from jaxsde.methods.milstein import MILSTEIN
from jaxsde.methods.reversible_heun import REVERSIBLE_HEUN
from jaxsde.methods.sra1 import SRA1

METHODS: dict[str, Method] = {
    method.name: method for method in (EULER_MARUYAMA, MILSTEIN, EULER_HEUN, HEUN, MIDPOINT, REVERSIBLE_HEUN, SRA1)
}

# Other names that are accepted wherever a method is named.
ALIASES = {"euler": "euler_maruyama"}

__all__ = ["ALIASES", "METHODS", "Method"]
