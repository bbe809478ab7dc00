"""The methods, by name."""

from jaxsde.methods.baoab import BAOAB
from jaxsde.methods.davie import DAVIE
from jaxsde.methods.dri1 import DRI1
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
        PLATEN_WEAK2, DRI1, IMPLICIT_EULER, TRAPEZOIDAL, SPLIT_STEP, DAVIE, LOG_ODE, BAOAB, UBU,
    )
}  # fmt: skip


def named_methods(noise: str) -> dict[str, Method]:
    """The methods for a noise type, by every name that chooses one; by names of none that is for it, another one."""
    named = dict(METHODS)
    for method in METHODS.values():
        for alias in method.aliases:
            if alias not in named or (method.order(noise) and not named[alias].order(noise)):
                named[alias] = method
    return named


__all__ = ["METHODS", "Method", "named_methods", "theta_method"]
