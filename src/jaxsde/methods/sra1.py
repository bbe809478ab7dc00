"""SRA1: a stochastic Runge-Kutta method of strong order 1.5 for additive noise. Rößler, 2010, table 6.3."""

from jaxsde.methods.sra import SRATableau, sra

TABLEAU = SRATableau(
    A0=((), (3 / 4,)),
    B0=((), (3 / 2,)),
    c1=(0.0, 1.0),
    alpha=(1 / 3, 2 / 3),
    beta1=(0.0, 1.0),
    beta2=(1.0, -1.0),
)
# Also by the name of torchsde, whose method it is with additive noise.
SRA1 = sra("sra1", TABLEAU, aliases=("srk",))
