"""The methods, by name."""

from jaxsde.methods.baoab import BAOAB
from jaxsde.methods.davie import DAVIE
from jaxsde.methods.ees25 import EES25
from jaxsde.methods.euler_heun import EULER_HEUN
from jaxsde.methods.euler_maruyama import EULER_MARUYAMA
from jaxsde.methods.heun import HEUN
from jaxsde.methods.log_ode import LOG_ODE
from jaxsde.methods.method import Method
from jaxsde.methods.midpoint import MIDPOINT
from jaxsde.methods.milstein import MILSTEIN
from jaxsde.methods.platen_weak2 import PLATEN_WEAK2
from jaxsde.methods.reversible_heun import REVERSIBLE_HEUN
from jaxsde.methods.sosra import SOSRA
from jaxsde.methods.sosri import SOSRI
from jaxsde.methods.split_step import SPLIT_STEP
from jaxsde.methods.sra1 import SRA1
from jaxsde.methods.sriw1 import SRIW1
from jaxsde.methods.theta import IMPLICIT_EULER, TRAPEZOIDAL, theta_method
from jaxsde.methods.ubu import UBU

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        EULER_MARUYAMA, MILSTEIN, EULER_HEUN, HEUN, MIDPOINT, EES25, REVERSIBLE_HEUN, SRA1, SRIW1, SOSRA, SOSRI,
        PLATEN_WEAK2, IMPLICIT_EULER, TRAPEZOIDAL, SPLIT_STEP, DAVIE, LOG_ODE, BAOAB, UBU,
    )
}  # fmt: skip


def named_methods() -> dict[str, Method]:
    """The methods, by every name that chooses one."""
    return {name: method for method in METHODS.values() for name in (method.name, *method.aliases)}


__all__ = ["METHODS", "Method", "named_methods", "theta_method"]
