"""SRIW1: a stochastic Runge-Kutta method of strong order 1.5 for Ito's calculus, with diagonal or scalar noise.

Rößler, "Runge-Kutta methods for the strong approximation of solutions of stochastic differential equations", 2010.
"""

from jaxsde.methods.sri import SRITableau, sri

TABLEAU = SRITableau(
    A0=((), (3 / 4,)),
    B0=((), (3 / 2,)),
    A1=((), (1 / 4,), (1.0,), (1 / 4,)),
    B1=((), (1 / 2,), (-1.0,), (-5.0, 3.0, 1 / 2)),
    alpha=(1 / 3, 2 / 3),
    beta1=(-1.0, 4 / 3, 2 / 3, 0.0),
    beta2=(-1.0, 4 / 3, -1 / 3, 0.0),
    beta3=(2.0, -4 / 3, -2 / 3, 0.0),
    beta4=(-2.0, 5 / 3, -2 / 3, 1.0),
)
# Also by the name of torchsde, whose method with diagonal and scalar noise is of its kind.
SRIW1 = sri("sriw1", TABLEAU, aliases=("srk",))
