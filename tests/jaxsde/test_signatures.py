"""Functions that take other arguments, or the time first, are refused in a sentence before they are called."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import (
    SDE,
    FirstExit,
    FixedSteps,
    Jumps,
    Langevin,
    expectation,
    g_dg,
    ito_to_stratonovich,
    relative_drift,
    running_path_kl,
    sdeint_ito,
    solve,
    stratonovich_to_ito,
    to_diffrax,
)

KEY, TS, Y0 = jax.random.key(0), np.linspace(0.0, 1.0, 3), jnp.ones(3)


def f(y, t, args):
    return -y


def theirs(t, y, args):
    return -y


def solved(sde, y0=Y0, **choices):
    return solve(sde, y0, TS, KEY, steps=FixedSteps(1), **choices)


# Every place where a function enters: what the user calls it, what it is called with, and a call that hands it over.
PLACES = {
    "f": ("f", "y, t, args", lambda h: solved(SDE(h, f))),
    "f of sdeint": ("f", "y, t, args", lambda h: sdeint_ito(h, f, Y0, TS, KEY, dt=0.5)),
    "g": ("g", "y, t, args", lambda h: solved(SDE(f, h))),
    "general g": ("g", "y, t, args", lambda h: solved(SDE(f, h, noise="general"))),
    "change": ("change", "y, t, key, args", lambda h: Jumps(h, 1.0)),
    "rate": ("rate", "y, t, args", lambda h: Jumps(lambda y, t, key, args: y, h, 1.0)),
    "inside": ("inside", "y, t, args", FirstExit),
    "force": ("force", "q, t, args", lambda h: Langevin(h, 1.0, 1.0)),
    "running": ("running", "y, t, h, dW, args", lambda h: solved(SDE(f, f), running=h)),
    "u": ("u", "y, t, args", running_path_kl),
    "f_q": ("f_q", "y, t, args", lambda h: relative_drift(h, f, f)),
    "f_p": ("f_p", "y, t, args", lambda h: relative_drift(f, h, f)),
    "g of both": ("g", "y, t, args", lambda h: relative_drift(f, f, h)),
    "g of g_dg": ("g", "y, t, args", g_dg),
    "f of a conversion": ("f", "y, t, args", lambda h: ito_to_stratonovich(h, f)),
    "g of a conversion": ("g", "y, t, args", lambda h: stratonovich_to_ito(f, h)),
    "f of terms": ("f", "y, t, args", lambda h: to_diffrax(h, f, None)),
    "g of terms": ("g", "y, t, args", lambda h: to_diffrax(f, h, None)),
    "f of an expectation": (
        "f",
        "y, t, args",
        lambda h: expectation(SDE(h, f), Y0, TS, KEY, of=lambda ys: ys[-1], tolerance=1.0),
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_time_first_is_refused_by_its_names(unchecked, place):
    name, expected, hand_over = PLACES[place]
    rest = ", ".join(expected.split(", ")[2:])
    for time, state in (("t", "y"), ("time", "state"), ("_t", "_"), ("t", "x_1")):
        function = eval(f"lambda {time}, {state}, {rest}: {state}")
        with pytest.raises(TypeError, match=rf"{name} takes \({time}, {state}, .*time first .*exchange '{time}' and"):
            hand_over(function)


@pytest.mark.parametrize("place", PLACES)
def test_another_number_of_arguments_is_refused(unchecked, place):
    name, expected, hand_over = PLACES[place]
    for taken in ("", "y", "y, t, key, h, dW, args", "*, y"):
        with pytest.raises(TypeError, match=rf"^{name} takes \(.*\); it is called as {name}\({expected}\)"):
            hand_over(eval(f"lambda {taken}: 0.0"))


@pytest.mark.parametrize("place", [place for place in PLACES if place not in ("rate", "g of both")])
def test_what_is_no_function_is_refused(unchecked, place):
    name, expected, hand_over = PLACES[place]
    with pytest.raises(TypeError, match=rf"{name} is float; it is a function {name}\({expected}\)"):
        hand_over(0.5)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda h: solved(SDE(f, f), save=h), r"save takes \(y, t\); it is called as save\(y\)"),
        (
            lambda h: expectation(SDE(f, f), Y0, TS, KEY, of=h, tolerance=1.0),
            r"of takes \(y, t\); it is called as of\(ys\)",
        ),
    ],
)
def test_functions_of_the_state_alone(unchecked, call, says):
    with pytest.raises(TypeError, match=says):
        call(lambda y, t: y)


class Methods:
    def __call__(self, y, t, args):
        return -y

    def drift(self, y, t, args=None):
        return -y

    @staticmethod
    def theirs(t, y, args):
        return -y


@functools.wraps(theirs)
def wrapped(y, t, args):
    return theirs(t, y, args)


@functools.wraps(theirs)
def wrapped_in_any(*inputs):
    return theirs(inputs[1], inputs[0], None)


@jax.custom_jvp
def with_a_rule(y, t, args):
    return -y


with_a_rule.defjvp(lambda primals, tangents: (-primals[0], -tangents[0]))


@pytest.mark.parametrize(
    "function",
    [
        Methods(),
        Methods().drift,
        functools.partial(lambda a, y, t, args: -a * y, 1.0),
        functools.partial(lambda y, t, args, a: -a * y, a=1.0),
        wrapped,
        wrapped_in_any,
        jax.jit(f),
        jax.jit(wrapped),
        jax.checkpoint(f),
        with_a_rule,
        lambda *inputs: -inputs[0],
        lambda a, b, c: -a,
        lambda x, time, p: -x,
        lambda T, t, args: -T,
        lambda time, t, args: -time,
        lambda y, *_: -y,
    ],
)
def test_what_takes_the_state_first_passes(function):
    np.testing.assert_array_equal(solved(SDE(function), 1.0 + 0 * Y0[0]).ys, solved(SDE(f), 1.0 + 0 * Y0[0]).ys)


@pytest.mark.parametrize(
    "function", [Methods().theirs, jax.jit(theirs), functools.partial(theirs), jax.custom_vjp(theirs)]
)
def test_what_takes_the_time_first_is_refused_in_other_forms_too(function):
    with pytest.raises(TypeError, match="time first by its names"):
        solved(SDE(function))


@pytest.mark.parametrize(
    ("y0", "function", "error"),
    [
        (Y0, lambda a, b, c: -b, ValueError),
        (Y0, lambda *inputs: -inputs[1], ValueError),
        ({"a": Y0, "b": Y0[0]}, lambda a, b, c: {"a": -b["a"], "b": b["b"]}, TypeError),
    ],
)
def test_without_such_names_it_is_told_by_what_they_give(y0, function, error):
    says = "With time and state exchanged it fits: functions take the state first"
    with pytest.raises(error, match=f"f (gives|fails).*{says}"):
        solved(SDE(function), y0)
    with pytest.raises(error, match=f"g (gives|fails).*{says}"):
        solved(SDE(lambda y, t, args: y, function), y0)
    with pytest.raises(error, match=f"the force (gives|fails).*{says}"):
        solve(Langevin(function, 1.0, 1.0), (y0, y0), TS, KEY)
    with pytest.raises(error, match=f"jumps.change (gives|fails).*{says}"):
        solved(SDE(lambda y, t, args: y), y0, jumps=Jumps(lambda a, b, k, c: function(a, b, c), 1.0))


@pytest.mark.parametrize("function", [lambda a, b, c: 0.0, lambda a, b, c: a[:2], lambda a, b, c: jnp.ones(2)])
def test_nothing_is_said_of_the_order_where_it_is_not_the_cause(function):
    with pytest.raises(ValueError, match=r"f gives shape \((2,)?\); for this y0 it has to give \(3,\)\.$"):
        solved(SDE(function))


def test_what_a_function_raises_itself_is_what_is_seen():
    def failing(y, t, args):
        raise KeyError("of its own")

    with pytest.raises(KeyError, match="of its own"):
        solved(SDE(failing))
