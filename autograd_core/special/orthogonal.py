"""Orthogonal polynomials, Legendre functions and spherical harmonics, by their last argument."""

from __future__ import annotations

import cmath
import math
from functools import partial
from typing import Any

import numpy as np
import scipy.special

from ..node import Array
from ..op import REAL, UNIT, Interval, Op, case, define, lift, refuse_complex
from .entries import NUMBERS, apply, at_single, by_slopes, enter, missing, on_host


def _below(n: Array) -> Array:
    """n - 1, and 0 for 0, whose derivative has the factor n."""
    if type(n) in NUMBERS:
        return n - 1 if n else 0
    return np.where(n == 0, 0, n - 1)


def _lower(f: np.ufunc, n: Array, *xs: Array) -> Array:
    """f of degree n - 1; 0 for n = 0, where SciPy has NaN for some."""
    if type(n) in NUMBERS:
        return apply(f, n - 1, *xs) if n else 0 * xs[-1]
    return np.where(n == 0, 0, apply(f, _below(n), *xs))


_HALF: Interval = (0.1, 0.9)
_N = ((3, None), (0, None), (2.5, None))
eval_legendre: np.ufunc = by_slopes(
    "eval_legendre", "Pₙ(x) (DLMF 18.9)",
    ("n", lambda y, n, x: 0.5 * (n + 1) * _lower(eval_jacobi, n, 1, 1, x)), UNIT, given=_N,
)
eval_chebyt: np.ufunc = by_slopes(
    "eval_chebyt", "Tₙ(x) (DLMF 18.9)", ("n", lambda y, n, x: n * _lower(eval_chebyu, n, x)), UNIT,
    given=_N,
)
eval_chebyu: np.ufunc = by_slopes(
    "eval_chebyu", "Uₙ(x) (DLMF 18.9)", ("n", lambda y, n, x: 2 * _lower(eval_gegenbauer, n, 2, x)),
    UNIT, given=_N,
)
eval_chebyc: np.ufunc = by_slopes(
    "eval_chebyc", "Cₙ(x) = 2Tₙ(x/2) (DLMF 18.1)",
    ("n", lambda y, n, x: n * _lower(eval_chebys, n, x)), UNIT, given=_N,
)
eval_chebys: np.ufunc = by_slopes(
    "eval_chebys", "Sₙ(x) = Uₙ(x/2) (DLMF 18.1)",
    ("n", lambda y, n, x: _lower(eval_gegenbauer, n, 2, 0.5 * x)), UNIT, given=_N,
)
eval_sh_legendre: np.ufunc = by_slopes(
    "eval_sh_legendre", "Pₙ(2x - 1) (DLMF 18.9)",
    ("n", lambda y, n, x: (n + 1) * _lower(eval_jacobi, n, 1, 1, 2 * x - 1)), _HALF, given=_N,
)
eval_sh_chebyt: np.ufunc = by_slopes(
    "eval_sh_chebyt", "Tₙ(2x - 1) (DLMF 18.9)",
    ("n", lambda y, n, x: 2 * n * _lower(eval_chebyu, n, 2 * x - 1)), _HALF, given=_N,
)
eval_sh_chebyu: np.ufunc = by_slopes(
    "eval_sh_chebyu", "Uₙ(2x - 1) (DLMF 18.9)",
    ("n", lambda y, n, x: 4 * _lower(eval_gegenbauer, n, 2, 2 * x - 1)), _HALF, given=_N,
)
eval_jacobi: np.ufunc = by_slopes(
    "eval_jacobi", "Pₙ of Jacobi (DLMF 18.9)",
    ("n", "alpha", "beta", lambda y, n, a, b, x:
     0.5 * (n + a + b + 1) * _lower(eval_jacobi, n, a + 1, b + 1, x)), UNIT,
    given=((3, 0.5, 1, None), (0, 0.5, 1, None), (2.5, 1.5, 0.5, None)),
)
eval_sh_jacobi: np.ufunc = by_slopes(
    "eval_sh_jacobi", "Gₙ(p, q, x) (DLMF 18.9)",
    ("n", "p", "q", lambda y, n, p, q, x: (
        n * apply(eval_sh_jacobi, _below(n), p + 2, q + 1, x))), _HALF,
    given=((3, 3.0, 2.0, None), (0, 2.5, 2, None)),
)
eval_gegenbauer: np.ufunc = by_slopes(
    "eval_gegenbauer", "Cₙ of Gegenbauer (DLMF 18.9)",
    ("n", "alpha", lambda y, n, a, x: 2 * a * _lower(eval_gegenbauer, n, a + 1, x)), UNIT,
    given=((3, 0.5, None), (0, 2, None), (2.5, 1.5, None)),
)
eval_genlaguerre: np.ufunc = by_slopes(
    "eval_genlaguerre", "Lₙ of Laguerre, of order α (DLMF 18.9)",
    ("n", "alpha", lambda y, n, a, x: -_lower(eval_genlaguerre, n, a + 1, x)), REAL,
    given=((3, 0.5, None), (0, 2, None), (2.5, 1.5, None)),
)
eval_laguerre: np.ufunc = by_slopes(
    "eval_laguerre", "Lₙ(x) (DLMF 18.9)", ("n", lambda y, n, x: -_lower(eval_genlaguerre, n, 1, x)),
    REAL, given=_N,
)


def _hermite_forward(ufunc: np.ufunc, factor: int, n: Array, x: Array) -> Array:
    """Of any precision: SciPy's are of double precision only."""
    refuse_complex(ufunc.__name__, x)
    if not isinstance(n, int):
        return at_single(ufunc(n, x), x)
    if n < 0:
        return x + math.nan
    y, before = np.ones_like(x), 0 * x
    for k in range(n):
        y, before = factor * (x * y - k * before), y
    return y


def _hermite(name: str, factor: int, formula: str) -> np.ufunc:
    ufunc: np.ufunc = getattr(scipy.special, name)

    def rule(g: Array, y: Array, n: Array, x: Array) -> Array:
        return g * (factor * n * apply(ufunc, _below(n), x))

    return enter(
        name, (missing(name, "n"), rule), formula, REAL,
        cases=(case(3, (3,)), case(0, (1, 2)), case(2, ()), case(2, (0,))),
        forward=partial(_hermite_forward, ufunc, factor),
    )


eval_hermite: np.ufunc = _hermite("eval_hermite", 2, "Hₙ(x) (DLMF 18.9)")
eval_hermitenorm: np.ufunc = _hermite("eval_hermitenorm", 1, "Heₙ(x) (DLMF 18.9)")


def assoc_laguerre(x: Array, n: Array, k: Array = 0.0) -> Array:
    """Lₙ of Laguerre, of order k. Differentiable by ``x``."""
    return eval_genlaguerre(n, k, x)


# Legendre functions. -----------------------------------------------------------------------------

lpmv: np.ufunc = by_slopes(
    "lpmv", "P^m_v(x), with the sign of Condon and Shortley (DLMF 14.10)",
    ("m", "v", lambda y, m, v, x: (
        (v + 1) * x * y - (v - m + 1) * lpmv(m, v + 1, x)) / (1 - x * x)), UNIT,
    given=((1, 2, None), (0, 1.5, None)),
)


def _root(x: Array) -> Array:
    """√x, 0 for what is negative: the factor of a function that is 0."""
    return math.sqrt(max(x, 0)) if type(x) in NUMBERS else np.sqrt(np.maximum(x, 0))


def _side(theta: Array) -> Array:
    """SciPy takes |sin θ|: beyond 0 and π, slopes have the other sign."""
    return np.where(np.sin(theta) < 0, -0.5, 0 * theta + 0.5)


def _sph_legendre_rule(g: Array, y: Array, n: Array, m: Array, theta: Array) -> Array:
    above, below = _root((n - m) * (n + m + 1)), _root((n + m) * (n - m + 1))
    return g * (_side(theta) * (above * _sph_legendre(n, m + 1, theta)
                       - below * _sph_legendre(n, m - 1, theta)))


def _assoc_legendre_rule(
    g: Array, y: Array, n: Array, m: Array, z: Array, branch_cut: int, norm: bool
) -> Array:
    """By the neighbour n + 1; normalised, that is smaller by the ratio of the norms."""
    factor = _root((n - m + 1) * (n + m + 1) * ((2 * n + 1) / (2 * n + 3))) if norm else n - m + 1
    factor = factor * (abs(m) <= n)  # beyond, the function is 0
    above = _assoc_legendre(n + 1, m, z, branch_cut=branch_cut, norm=norm)
    return g * (((n + 1) * z * y - factor * above) / (1 - z * z))


def _computed(f: Any, n: Array, m: Array, *xs: Array, **options: Any) -> Array:
    """SciPy's, in the precision of the xs."""
    on_host("a function of degree and order", *xs)
    n, m = (v if isinstance(v, int) else np.asarray(v) for v in (n, m))
    return at_single(f(n, m, *xs, **options), *xs)


def _first(f: Any, *xs: Array, **options: Any) -> Array:
    """The value of a function that SciPy gives with derivatives, stacked."""
    return _computed(f, *xs, **options)[0]


#: The functions of SciPy that are theirs, and not those of this file under the same names.
_theirs: Any = scipy.special
_sph_legendre: Op = define(
    "sph_legendre_p",
    lambda n, m, theta: _first(_theirs.sph_legendre_p, n, m, theta),
    (missing("sph_legendre_p", "n"), missing("sph_legendre_p", "m"), _sph_legendre_rule),
    "Y of degree n and order m at φ = 0 (DLMF 14.30)",
    cases=(case(3, 1, (3,)), case(2, -2, (1, 2)), case(0, 0, ()), case(1, 0, (0,))),
)
_assoc_legendre: Op = define(
    "assoc_legendre_p",
    lambda n, m, z, branch_cut, norm: _first(
        _theirs.assoc_legendre_p, n, m, z, branch_cut=branch_cut, norm=norm),
    (missing("assoc_legendre_p", "n"), missing("assoc_legendre_p", "m"), _assoc_legendre_rule),
    "P^m_n(x) (DLMF 14.10)", domain=(UNIT,), takes_complex=True,
    cases=tuple(case(*c, branch_cut=2, norm=norm) for c in (
        (3, 1, (3,)), (2, -1, (1, 2)), (1, 0, ()), (1, 1, (0,))) for norm in (False, True)),
)


def _derivatives_of(f: Any, diff_n: int) -> Array:
    """f and its derivatives, up to the second, stacked as SciPy stacks them."""
    if diff_n not in (0, 1, 2):
        error = NotImplementedError if diff_n > 2 else ValueError
        raise error(f"diff_n is 0, 1 or 2, got {diff_n!r}")
    return np.stack([f(k) for k in range(diff_n + 1)])


def _shaped(*xs: Any) -> tuple[Any, ...]:
    return tuple(x if isinstance(x, int) else lift(x) for x in xs)


def legendre_p(n: Array, z: Array, *, diff_n: int = 0) -> Array:
    """Pₙ(z) and its derivatives up to order ``diff_n``, stacked. Differentiable by ``z``."""
    n, z = _shaped(n, z)

    def derivative(k: int) -> Array:
        """(n+1)ₖ / 2ᵏ P^(k,k) of Jacobi, of degree n - k (DLMF 18.9)."""
        factor: Any = 1.0
        for j in range(k):
            factor = factor * (0.5 * (n + 1 + j))
        return factor * eval_jacobi(n - k, k, k, z) if k else eval_legendre(n, z)

    return _derivatives_of(derivative, diff_n)


def _second(n: Array, m: Array, z: Array, y: Array, slope: Array) -> Array:
    """From Legendre's equation (DLMF 14.2)."""
    r = 1 - z * z
    return (2 * z * slope - (n * (n + 1) - m * m / r) * y) / r


def assoc_legendre_p(
    n: Array, m: Array, z: Array, *, branch_cut: int = 2, norm: bool = False, diff_n: int = 0
) -> Array:
    """P^m_n(z) and its derivatives up to order ``diff_n``, stacked. Differentiable by ``z``."""
    n, m, z = _shaped(n, m, z)
    options = {"branch_cut": int(branch_cut), "norm": bool(norm)}

    def derivative(k: int) -> Array:
        y = _assoc_legendre(n, m, z, **options)
        if k == 0:
            return y
        slope = _assoc_legendre_rule(1.0, y, n, m, z, int(branch_cut), bool(norm))
        return slope if k == 1 else _second(n, m, z, y, slope)

    return _derivatives_of(derivative, diff_n)


def sph_legendre_p(n: Array, m: Array, theta: Array, *, diff_n: int = 0) -> Array:
    """Y of degree n and order m at φ = 0, and its derivatives up to ``diff_n``, stacked.

    Differentiable by ``theta``.
    """
    n, m, theta = _shaped(n, m, theta)

    def slope(order: Array) -> Array:
        return _sph_legendre_rule(1.0, None, n, order, theta)

    def derivative(k: int) -> Array:
        if k == 0:
            return _sph_legendre(n, m, theta)
        if k == 1:
            return slope(m)
        above, below = _root((n - m) * (n + m + 1)), _root((n + m) * (n - m + 1))
        return _side(theta) * (above * slope(m + 1) - below * slope(m - 1))

    return _derivatives_of(derivative, diff_n)


def _harmonic_by_theta(g: Array, y: Array, n: Array, m: Array, theta: Array, phi: Array) -> Array:
    """By the neighbours in m: regular at the poles too."""
    above, below = _root((n - m) * (n + m + 1)), _root((n + m) * (n - m + 1))
    turn = cmath.exp(1j * phi) if type(phi) in NUMBERS else np.exp(1j * phi)
    return g * (_side(theta) * (above * _harmonic(n, m + 1, theta, phi) / turn
                       - below * _harmonic(n, m - 1, theta, phi) * turn))


_harmonic: Op = define(
    "sph_harm_y",
    lambda n, m, theta, phi: _computed(_theirs.sph_harm_y, n, m, theta, phi),
    (missing("sph_harm_y", "n"), missing("sph_harm_y", "m"), _harmonic_by_theta,
     lambda g, y, n, m, theta, phi: g * (1j * m * y)),
    "Y of degree n and order m at (θ, φ) (DLMF 14.30)", domain=(REAL, REAL, (0.2, 2.8), REAL),
    cases=(case(3, 1, (3,), (3,)), case(2, -2, (2, 1), (1, 2)), case(0, 0, (), ()),
           case(1, 0, (0,), 0.5)),
)


def sph_harm_y(n: Array, m: Array, theta: Array, phi: Array) -> Array:
    """The spherical harmonic of degree n and order m. Differentiable by ``theta`` and ``phi``."""
    return _harmonic(*_shaped(n, m, theta, phi))


def _orders(m: int) -> np.ndarray:
    """0, 1, ... m, -m, ... -1: by position, as SciPy has them."""
    return np.concatenate([np.arange(m + 1), np.arange(-m, 0)])


def _degrees(n: int, *xs: Any) -> Array:
    """0, 1, ... n along an axis before those of the xs."""
    return np.arange(int(n) + 1).reshape(-1, *(1,) * len(np.broadcast_shapes(*map(np.shape, xs))))


def _grid(n: int, m: int, *xs: Any) -> tuple[Array, Array]:
    """Degrees along the first axis, orders along the second."""
    degrees = _degrees(n, *xs)
    return degrees[:, None], _orders(abs(int(m))).reshape(1, -1, *degrees.shape[1:])


def legendre_p_all(n: int, z: Array, *, diff_n: int = 0) -> Array:
    """:func:`legendre_p` of the degrees 0 to n."""
    return legendre_p(_degrees(n, z), z, diff_n=diff_n)


def assoc_legendre_p_all(
    n: int, m: int, z: Array, *, branch_cut: int = 2, norm: bool = False, diff_n: int = 0
) -> Array:
    """:func:`assoc_legendre_p` of the degrees 0 to n and the orders 0 to m, -m to -1."""
    degrees, orders = _grid(n, m, z)
    return assoc_legendre_p(degrees, orders, z, branch_cut=branch_cut, norm=norm, diff_n=diff_n)


def sph_legendre_p_all(n: int, m: int, theta: Array, *, diff_n: int = 0) -> Array:
    """:func:`sph_legendre_p` of the degrees 0 to n and the orders 0 to m, -m to -1."""
    degrees, orders = _grid(n, m, theta)
    return sph_legendre_p(degrees, orders, theta, diff_n=diff_n)


def sph_harm_y_all(n: int, m: int, theta: Array, phi: Array) -> Array:
    """:func:`sph_harm_y` of the degrees 0 to n and the orders 0 to m, -m to -1."""
    degrees, orders = _grid(n, m, theta, phi)
    return sph_harm_y(degrees, orders, theta, phi)


# Legendre functions of the second kind, of all degrees: SciPy's take one number. -----------------


def _one_number(name: str, z: Array, *whole: Any) -> Array:
    z = lift(z)
    if z.shape != ():
        raise ValueError(f"{name}: needs one number z, got shape {tuple(z.shape)}")
    for n in whole:
        if n != int(n) or n < 0:
            raise ValueError(f"{name}: degrees and orders are whole numbers >= 0, got {n}")
    return z


def _second_kind_forward(z: Array, n: int, m: int) -> Array:
    on_host("lqmn", z)
    return at_single(np.stack(scipy.special.lqmn(m, n, z.item())), z)


def _second_kind_rule(g: Array, y: Array, z: Array, n: int, m: int) -> Array:
    """By Legendre's equation (1 - z²) w'' = 2z w' - (n(n+1) - m²/(1 - z²)) w (DLMF 14.2)."""
    degrees, orders = np.arange(n + 1), np.arange(m + 1)[:, None]
    rest = 1 - z * z
    second = (2 * z * y[1] - (degrees * (degrees + 1) - orders * orders / rest) * y[0]) / rest
    return np.sum(g * np.stack([y[1], second]))


# In no table: it takes one shape.
_second_kind = Op(
    "legendre_q", _second_kind_forward, (_second_kind_rule,), "Qₙᵐ(z), Qₙᵐ'(z) (DLMF 14.2)",
    takes_complex=True,
)


def lqn(n: int, z: Array) -> tuple[Array, Array]:
    """Qₖ(z), k = 0 ... n, Legendre's functions of the second kind, and their derivatives.

    Differentiable by ``z``, one number, real or complex.
    """
    y = _second_kind(_one_number("lqn", z, n), n=max(int(n), 1), m=0)
    return y[0, 0, : int(n) + 1], y[1, 0, : int(n) + 1]


def lqmn(m: int, n: int, z: Array) -> tuple[Array, Array]:
    """Those of the orders 0 to m (rows) and degrees 0 to n, and their derivatives.

    Differentiable by ``z``, one number, real or complex.
    """
    y = _second_kind(_one_number("lqmn", z, m, n), n=max(int(n), 1), m=max(int(m), 1))
    return y[0, : int(m) + 1, : int(n) + 1], y[1, : int(m) + 1, : int(n) + 1]
