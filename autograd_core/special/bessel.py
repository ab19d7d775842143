"""Bessel functions."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special

from ..node import Array
from ..op import POSITIVE, REAL, Op, case, define, lift
from .entries import (
    apply,
    at_single,
    by_slopes,
    enter,
    missing,
    of,
    on_host,
    several,
    together,
    with_order,
)
from .gamma import rgamma
from .hypergeometric import hyp0f1

# Differences and sums of neighbours rather than quotients by x: right at 0 too.

j0: np.ufunc = enter("j0", (lambda g, y, x: -g * j1(x),), "J₀(x) (DLMF 10.6)", REAL)
j1: np.ufunc = enter(
    "j1", (lambda g, y, x: g * (0.5 * (j0(x) - jv(2, x))),), "J₁(x) (DLMF 10.6)", REAL
)
jv: np.ufunc = enter(
    "jv",
    (missing("jv", "v"), lambda g, y, v, x: g * (0.5 * (jv(v - 1, x) - jv(v + 1, x)))),
    "J_v(x) (DLMF 10.6)", POSITIVE, cases=with_order(2, 0.0, 1.5),
)
jn = jv
y0: np.ufunc = enter("y0", (lambda g, y, x: -g * y1(x),), "Y₀(x) (DLMF 10.6)", POSITIVE)
y1: np.ufunc = enter(
    "y1", (lambda g, y, x: g * (0.5 * (y0(x) - yn(2.0, x))),), "Y₁(x) (DLMF 10.6)", POSITIVE
)
yn: np.ufunc = enter(
    "yn",
    (missing("yn", "n"), lambda g, y, n, x: g * (0.5 * (yn(n - 1.0, x) - yn(n + 1.0, x)))),
    "Yₙ(x) (DLMF 10.6)", (0.8, 2.5), cases=with_order(2, 0, 1),
)
# The record's name leaves "i0" to np.i0, which is another function.
i0: np.ufunc = enter(
    "i0", (lambda g, y, x: g * i1(x),), "I₀(x) (DLMF 10.29)", REAL, record="bessel_i0"
)
i1: np.ufunc = enter(
    "i1", (lambda g, y, x: g * (0.5 * (i0(x) + iv(2, x))),), "I₁(x) (DLMF 10.29)", REAL
)
iv: np.ufunc = enter(
    "iv",
    (missing("iv", "v"), lambda g, y, v, x: g * (0.5 * (iv(v - 1, x) + iv(v + 1, x)))),
    "I_v(x) (DLMF 10.29)", POSITIVE, cases=with_order(2, 0.0, 1.5),
)
i0e: np.ufunc = enter(
    "i0e", (lambda g, y, x: g * (i1e(x) - np.sign(x) * y),), "e^-|x| I₀(x) (DLMF 10.29)", POSITIVE
)
i1e: np.ufunc = enter(
    "i1e", (lambda g, y, x: g * (0.5 * (i0e(x) + ive(2, x)) - np.sign(x) * y),),
    "e^-|x| I₁(x) (DLMF 10.29)", POSITIVE,
)
ive: np.ufunc = enter(
    "ive",
    (
        missing("ive", "v"),
        # Of a complex x the exponent is its real part, which is not holomorphic.
        lambda g, y, v, x: g * (0.5 * (ive(v - 1, x) + ive(v + 1, x)))
        - np.sign(np.real(x)) * np.real(g * y),
    ),
    "e^-|Re x| I_v(x) (DLMF 10.29)", POSITIVE, cases=with_order(2, 0.0, 1.5),
)

# Modified Bessel functions of the second kind. ---------------------------------------------------

k0: np.ufunc = enter("k0", (lambda g, y, x: -g * k1(x),), "K₀(x) (DLMF 10.29)", POSITIVE)
k1: np.ufunc = enter(
    "k1", (lambda g, y, x: g * (-0.5 * (k0(x) + kv(2, x))),), "K₁(x) (DLMF 10.29)", POSITIVE
)
kv: np.ufunc = enter(
    "kv",
    (missing("kv", "v"), lambda g, y, v, x: g * (-0.5 * (kv(v - 1, x) + kv(v + 1, x)))),
    "K_v(x) (DLMF 10.29)", POSITIVE, cases=with_order(2, 0.0, 1.5),
)
k0e: np.ufunc = enter(
    "k0e", (lambda g, y, x: g * (y - k1e(x)),), "eˣ K₀(x) (DLMF 10.29)", POSITIVE
)
k1e: np.ufunc = enter(
    "k1e", (lambda g, y, x: g * (y - 0.5 * (k0e(x) + kve(2, x))),), "eˣ K₁(x) (DLMF 10.29)",
    POSITIVE,
)
kve: np.ufunc = enter(
    "kve",
    (missing("kve", "v"), lambda g, y, v, x: g * (y - 0.5 * (kve(v - 1, x) + kve(v + 1, x)))),
    "eˣ K_v(x) (DLMF 10.29)", POSITIVE, cases=with_order(2, 0.0, 1.5),
)
yv: np.ufunc = enter(
    "yv",
    (missing("yv", "v"), lambda g, y, v, x: g * (0.5 * (yv(v - 1, x) - yv(v + 1, x)))),
    "Y_v(x) (DLMF 10.6)", (0.8, 2.5), cases=with_order(2, 0.0, 1.5),
)

_ORDERS = ((2, None), (0.5, None))


kn: np.ufunc = by_slopes(
    "kn", "Kₙ(x) (DLMF 10.29)",
    ("n", lambda y, n, x: -0.5 * (apply(kn, n - 1, x) + apply(kn, n + 1, x))), POSITIVE,
    given=((2, None), (0, None)),
)


def _neighbours(f: Callable[..., Any], v: Array, x: Array) -> Array:
    """The derivative by x of J, Y and H (DLMF 10.6)."""
    return 0.5 * (f(v - 1, x) - f(v + 1, x))


def _by_imaginary_part(f: Callable[[], Any]) -> Any:
    """The rule of e^-|Im x| times a Bessel function: the exponent is not holomorphic."""

    def rule(g: Array, y: Array, v: Array, x: Array) -> Array:
        along = g * _neighbours(f(), v, x)
        if not (isinstance(x, complex) or x.dtype.kind == "c"):
            return along
        return along + 1j * (np.sign(np.imag(x)) * np.real(g * y))

    return rule


jve: np.ufunc = enter(
    "jve", (missing("jve", "v"), _by_imaginary_part(lambda: jve)), "e^-|Im x| J_v(x) (DLMF 10.6)",
    POSITIVE, cases=(case(2, (3,)), case(0.5, ()), case(1, (0,))),
)
yve: np.ufunc = enter(
    "yve", (missing("yve", "v"), _by_imaginary_part(lambda: yve)), "e^-|Im x| Y_v(x) (DLMF 10.6)",
    (0.8, 2.5), cases=(case(2, (3,)), case(0.5, ()), case(1, (0,))),
)
hankel1: np.ufunc = by_slopes(
    "hankel1", "H⁽¹⁾_v(x) (DLMF 10.6)", ("v", lambda y, v, x: _neighbours(hankel1, v, x)),
    (0.8, 2.5), given=_ORDERS,
)
hankel2: np.ufunc = by_slopes(
    "hankel2", "H⁽²⁾_v(x) (DLMF 10.6)", ("v", lambda y, v, x: _neighbours(hankel2, v, x)),
    (0.8, 2.5), given=_ORDERS,
)
hankel1e: np.ufunc = by_slopes(
    "hankel1e", "e⁻ⁱˣ H⁽¹⁾_v(x) (DLMF 10.6)",
    ("v", lambda y, v, x: _neighbours(hankel1e, v, x) - 1j * y), (0.8, 2.5), given=_ORDERS,
)
hankel2e: np.ufunc = by_slopes(
    "hankel2e", "eⁱˣ H⁽²⁾_v(x) (DLMF 10.6)",
    ("v", lambda y, v, x: _neighbours(hankel2e, v, x) + 1j * y), (0.8, 2.5), given=_ORDERS,
)


def _derivatives(name: str, f: np.ufunc, signs: tuple[float, float], formula: str) -> Any:
    """SciPy's function of the n-th derivative, by its sum over neighbours (DLMF 10.6, 10.29)."""
    first, second = signs

    def derivative(v: Array, z: Array, n: int = 1) -> Array:
        n = operator.index(n)
        if n < 0:
            raise ValueError(f"{name}: n is not negative, got {n!r}")
        v, z = v if isinstance(v, (int, float)) else lift(v), lift(z)
        return sum(
            first ** (n - k) * second**k * math.comb(n, k) / 2**n * f(v - n + 2 * k, z)
            for k in range(n + 1)
        )

    derivative.__name__ = derivative.__qualname__ = name
    derivative.__doc__ = f"The n-th derivative of {formula} by x. Differentiable by ``z``."
    return derivative


jvp = _derivatives("jvp", jv, (1, -1), "J_v(x)")
yvp = _derivatives("yvp", yv, (1, -1), "Y_v(x)")
ivp = _derivatives("ivp", iv, (1, 1), "I_v(x)")
kvp = _derivatives("kvp", kv, (-1, -1), "K_v(x)")
h1vp = _derivatives("h1vp", hankel1, (1, -1), "H⁽¹⁾_v(x)")
h2vp = _derivatives("h2vp", hankel2, (1, -1), "H⁽²⁾_v(x)")

# Spherical Bessel functions. ---------------------------------------------------------------------


def _spherical(name: str, formula: str, signs: tuple[int, int]) -> Any:
    """f_n' = (± n f_{n-1} ± (n+1) f_{n+1}) / (2n + 1) (DLMF 10.51); n f_{n-1} is 0 at n = 0."""
    ufunc: Any = getattr(scipy.special, name)
    first, second = signs

    def forward(n: Array, x: Array) -> Array:
        on_host(name, x)
        return at_single(np.asarray(ufunc(n, x))[()], x)

    def rule(g: Array, y: Array, n: Array, x: Array) -> Array:
        below, above = op(np.absolute(n - 1), x), op(n + 1, x)
        return g * ((first * n * below + second * (n + 1) * above) / (2 * n + 1))

    op: Op = define(
        name, forward, (missing(name, "n"), rule), formula, domain=((0.8, 2.5),),
        cases=(case(2, (3,)), case(0, (1, 2)), case(1, ()), case(1, (0,))),
        takes_complex=True,
    )

    def function(n: Array, z: Array, derivative: bool = False) -> Array:
        n, z = n if isinstance(n, int) else lift(n), lift(z)
        if not derivative:
            return op(n, z)
        below, above = op(np.absolute(n - 1), z), op(n + 1, z)
        return (first * n * below + second * (n + 1) * above) / (2 * n + 1)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{formula}, or its derivative. Differentiable by ``z``."
    return function


spherical_jn = _spherical("spherical_jn", "jₙ(x) (DLMF 10.51)", (1, -1))
spherical_yn = _spherical("spherical_yn", "yₙ(x) (DLMF 10.51)", (1, -1))
spherical_in = _spherical("spherical_in", "iₙ(x) (DLMF 10.51)", (1, 1))
spherical_kn = _spherical("spherical_kn", "kₙ(x) (DLMF 10.51)", (-1, -1))


def _riccati(name: str, f: Any, sign: int, formula: str) -> Any:
    def function(n: int, x: Array) -> tuple[Array, Array]:
        x = lift(x)
        if x.shape != () or int(n) != n or n < 0:
            raise ValueError(
                f"{name}: needs a whole number n >= 0 and one number x, got {n!r} and an array of "
                f"shape {tuple(x.shape)}"
            )
        orders = np.arange(int(n) + 1)
        y, slope = f(orders, x), f(orders, x, True)
        return sign * x * y, sign * (y + x * slope)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{formula} of the orders 0 to n, and its derivatives. Differentiable by x."
    return function


riccati_jn = _riccati("riccati_jn", spherical_jn, 1, "x jₙ(x)")
riccati_yn = _riccati("riccati_yn", spherical_yn, 1, "x yₙ(x)")


def lmbda(v: float, x: Array) -> tuple[Array, Array]:
    """Γ(v+1) (2/x)ᵛ J_v(x) of the orders v0, v0 + 1, ... v, v0 < 1, and the derivatives.

    Differentiable by ``x``, one number. (Jahnke and Emde's Λ; by ₀F₁, DLMF 10.16.)
    """
    x = lift(x)
    if x.shape != () or v < 0:
        raise ValueError(f"lmbda: needs v >= 0 and one number x, got {v} and shape {x.shape}")
    orders = v - math.floor(v) + np.arange(math.floor(v) + 1)
    z = -0.25 * (x * x)
    return hyp0f1(orders + 1, z), -0.5 * x / (orders + 1) * hyp0f1(orders + 2, z)


besselpoly: np.ufunc = by_slopes(
    "besselpoly", "∫₀¹ xˡ J_v(2ax) dx (DLMF 10.22)",
    (
        lambda y, a, k, v: (
            apply(besselpoly, a, k + 1, v - 1) - apply(besselpoly, a, k + 1, v + 1)),
        "lmb", "nu",
    ),
    POSITIVE, given=((None, 1.0, 2.0), (None, 0.5, 1.5)),
)

# Struve functions. -------------------------------------------------------------------------------


def _struve_term(v: Array, x: Array) -> Array:
    """(x/2)ᵛ / 2√π Γ(v + 3/2) (DLMF 11.4)."""
    return (0.5 * x) ** v * (0.5 / math.sqrt(math.pi) * of(rgamma, v + 1.5))


struve: np.ufunc = by_slopes(
    "struve", "H_v(x) (DLMF 11.2, 11.4)",
    ("v", lambda y, v, x: (
        0.5 * (apply(struve, v - 1, x) - apply(struve, v + 1, x)) + _struve_term(v, x))),
    POSITIVE, given=((0, None), (1.5, None)),
)
modstruve: np.ufunc = by_slopes(
    "modstruve", "L_v(x) (DLMF 11.2, 11.4)",
    ("v", lambda y, v, x: (
        0.5 * (apply(modstruve, v - 1, x) + apply(modstruve, v + 1, x)) + _struve_term(v, x))),
    POSITIVE, given=((0, None), (1.5, None)),
)

# Airy and Kelvin functions. ----------------------------------------------------------------------

airy: np.ufunc = together(
    "airy", "Ai, Ai', Bi, Bi' (DLMF 9.2)", (lambda y, x: (y[1], x * y[0], y[3], x * y[2]),), REAL
)


def _airye_rule(g: Array, y: Array, x: Array) -> Array:
    """Of Ai e^ζ, Ai' e^ζ, Bi e^-|Re ζ|, Bi' e^-|Re ζ| with ζ = 2/3 x√x, ζ' = √x."""
    root = np.sqrt(x)
    ai = g[0] * (y[1] + root * y[0]) + g[1] * (x * y[0] + root * y[1])
    bi = g[2] * y[3] + g[3] * (x * y[2])
    return ai + bi - np.sign(np.real(x * root)) * root * np.real(g[2] * y[2] + g[3] * y[3])


airye: np.ufunc = several(
    "airye", "Ai, Ai' times exp(2/3 x√x), Bi, Bi' over its modulus (DLMF 9.2)", (_airye_rule,),
    POSITIVE,
)


def _turned(f: np.ufunc, sign: int, direction: complex, x: Array) -> Array:
    """The second derivative of f₀(dx) by x, a Bessel function in a direction d of the plane."""
    z = direction * x
    return direction * direction * 0.5 * (f(2, z) + sign * f(0, z))


_SOUTHWEST = complex(-math.sqrt(0.5), math.sqrt(0.5))
_NORTHEAST = complex(math.sqrt(0.5), math.sqrt(0.5))
ber: np.ufunc = by_slopes("ber", "Re J₀(x e^(3πi/4)) (DLMF 10.61)", (lambda y, x: berp(x),), REAL)
bei: np.ufunc = by_slopes("bei", "Im J₀(x e^(3πi/4)) (DLMF 10.61)", (lambda y, x: beip(x),), REAL)
ker: np.ufunc = by_slopes(
    "ker", "Re K₀(x e^(πi/4)) (DLMF 10.61)", (lambda y, x: kerp(x),), POSITIVE
)
kei: np.ufunc = by_slopes(
    "kei", "Im K₀(x e^(πi/4)) (DLMF 10.61)", (lambda y, x: keip(x),), POSITIVE
)
berp: np.ufunc = by_slopes(
    "berp", "ber'(x) (DLMF 10.61)", (lambda y, x: np.real(_turned(jv, -1, _SOUTHWEST, x)),), REAL
)
beip: np.ufunc = by_slopes(
    "beip", "bei'(x) (DLMF 10.61)", (lambda y, x: np.imag(_turned(jv, -1, _SOUTHWEST, x)),), REAL
)
kerp: np.ufunc = by_slopes(
    "kerp", "ker'(x) (DLMF 10.61)", (lambda y, x: np.real(_turned(kv, 1, _NORTHEAST, x)),), POSITIVE
)
keip: np.ufunc = by_slopes(
    "keip", "kei'(x) (DLMF 10.61)", (lambda y, x: np.imag(_turned(kv, 1, _NORTHEAST, x)),), POSITIVE
)
kelvin: np.ufunc = together(
    "kelvin", "ber + i bei, ker + i kei, and their derivatives (DLMF 10.61)",
    (lambda y, x: (y[2], y[3], _turned(jv, -1, _SOUTHWEST, x), _turned(kv, 1, _NORTHEAST, x)),),
    POSITIVE,
)
