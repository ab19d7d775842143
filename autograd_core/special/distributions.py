"""Distribution functions and their inverses, by what a density in closed form gives.

With F(x; θ) = p, an inverse x(p; θ) has the slopes ∂x/∂p = 1/f and ∂x/∂θ = -(∂F/∂θ)/f, f = ∂F/∂x.
The formulas are those of DLMF 8.2 (gamma) and 8.17 (beta) where nothing else is named.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.special

from ..node import Array
from ..op import POSITIVE, REAL, Interval, Op, case, define, refuse_complex
from .bessel import ive
from .elementary import boxcox_by_power
from .entries import (
    BROADCAST,
    NUMBERS,
    SQRT_2PI,
    apply,
    at_single,
    by_slopes,
    like,
    missing,
    of,
    on_host,
)
from .gamma import (
    betaln,
    gamma,
    gamma_density,
    gamma_slope_,
    gammainc_by_a,
    of_product,
    psi,
    rgamma,
)
from .hypergeometric import hyp0f1, hyp1f1
from .incomplete_beta import beta_density, by_a, by_b, by_b_twice, density_slope
from .normal import ndtri

_P: Interval = (0.2, 0.8)


def _slope(a: Array, x: Array) -> Array:
    """How a quantile of the gamma distribution moves with its shape."""
    return gamma_slope_(a, x, order=0)


# Gamma, χ², Poisson. -----------------------------------------------------------------------------

gammaincinv: np.ufunc = by_slopes(
    "gammaincinv", "x with P(a, x) = p (DLMF 8.12)",
    (lambda x, a, p: _slope(a, x), lambda x, a, p: 1 / gamma_density(a, x)), POSITIVE, _P,
)
gammainccinv: np.ufunc = by_slopes(
    "gammainccinv", "x with Q(a, x) = q (DLMF 8.12)",
    (lambda x, a, q: _slope(a, x), lambda x, a, q: -1 / gamma_density(a, x)), POSITIVE, _P,
)
gdtr: np.ufunc = by_slopes(
    "gdtr", "P(b, ax) (DLMF 8.2)",
    (
        lambda y, a, b, x: x * gamma_density(b, a * x), lambda y, a, b, x: gammainc_by_a(b, a * x),
        lambda y, a, b, x: a * gamma_density(b, a * x),
    ), POSITIVE,
)
gdtrc: np.ufunc = by_slopes(
    "gdtrc", "Q(b, ax) (DLMF 8.2)",
    (
        lambda y, a, b, x: -x * gamma_density(b, a * x),
        lambda y, a, b, x: -gammainc_by_a(b, a * x),
        lambda y, a, b, x: -a * gamma_density(b, a * x),
    ), POSITIVE,
)
gdtrix: np.ufunc = by_slopes(
    "gdtrix", "x with P(b, ax) = p (DLMF 8.12)",
    (
        lambda x, a, b, p: -x / a, lambda x, a, b, p: _slope(b, a * x) / a,
        lambda x, a, b, p: 1 / (a * gamma_density(b, a * x)),
    ), POSITIVE, POSITIVE, _P,
)
gdtria: np.ufunc = by_slopes(
    "gdtria", "a with P(b, ax) = p (DLMF 8.12)",
    (
        lambda a, p, b, x: 1 / (x * gamma_density(b, a * x)),
        lambda a, p, b, x: _slope(b, a * x) / x, lambda a, p, b, x: -a / x,
    ), _P, POSITIVE, POSITIVE,
)
gdtrib: np.ufunc = by_slopes(
    "gdtrib", "b with P(b, ax) = p (DLMF 8.12)",
    (
        lambda b, a, p, x: x / _slope(b, a * x),
        lambda b, a, p, x: -1 / (gamma_density(b, a * x) * _slope(b, a * x)),
        lambda b, a, p, x: a / _slope(b, a * x),
    ), POSITIVE, _P, POSITIVE,
)
chdtr: np.ufunc = by_slopes(
    "chdtr", "P(v/2, x/2) (DLMF 8.2)",
    (lambda y, v, x: 0.5 * gammainc_by_a(0.5 * v, 0.5 * x),
     lambda y, v, x: 0.5 * gamma_density(0.5 * v, 0.5 * x)), POSITIVE, POSITIVE,
)
chdtrc: np.ufunc = by_slopes(
    "chdtrc", "Q(v/2, x/2) (DLMF 8.2)",
    (lambda y, v, x: -0.5 * gammainc_by_a(0.5 * v, 0.5 * x),
     lambda y, v, x: -0.5 * gamma_density(0.5 * v, 0.5 * x)), POSITIVE, POSITIVE,
)
chdtri: np.ufunc = by_slopes(
    "chdtri", "x with Q(v/2, x/2) = q (DLMF 8.12)",
    (lambda x, v, q: _slope(0.5 * v, 0.5 * x),
     lambda x, v, q: -2 / gamma_density(0.5 * v, 0.5 * x)), POSITIVE, _P,
)
chdtriv: np.ufunc = by_slopes(
    "chdtriv", "v with P(v/2, x/2) = p (DLMF 8.12)",
    (
        lambda v, p, x: -2 / (gamma_density(0.5 * v, 0.5 * x) * _slope(0.5 * v, 0.5 * x)),
        lambda v, p, x: 1 / _slope(0.5 * v, 0.5 * x),
    ), _P, POSITIVE,
)
pdtr: np.ufunc = by_slopes(
    "pdtr", "Q(⌊k⌋ + 1, m) (DLMF 8.2)",
    (None, lambda y, k, m: -gamma_density(of(np.floor, k) + 1.0, m)), (1.2, 1.8), POSITIVE,
)
pdtrc: np.ufunc = by_slopes(
    "pdtrc", "P(⌊k⌋ + 1, m) (DLMF 8.2)",
    (None, lambda y, k, m: gamma_density(of(np.floor, k) + 1.0, m)), (1.2, 1.8), POSITIVE,
)
pdtri: np.ufunc = by_slopes(
    "pdtri", "m with Q(k + 1, m) = p (DLMF 8.12)",
    ("k", lambda m, k, p: -1 / gamma_density(k + 1.0, m)), _P, given=((2, None), (0, None)),
)
pdtrik: np.ufunc = by_slopes(
    "pdtrik", "k with Q(k + 1, m) = p (DLMF 8.12)",
    (
        lambda k, p, m: 1 / (gamma_density(k + 1.0, m) * _slope(k + 1.0, m)),
        lambda k, p, m: 1 / _slope(k + 1.0, m),
    ), (0.3, 0.6), (1.6, 2.5),
)

# Beta, binomial, F, t. ---------------------------------------------------------------------------

def _binomial_density(k: Array, n: Array, p: Array) -> Array:
    k = of(np.floor, k)
    return beta_density(n - k, k + 1.0, 1 - p)


_KNP = ((2, 5, None), (0, 3, None))
bdtr: np.ufunc = by_slopes(
    "bdtr", "I of (n - ⌊k⌋, ⌊k⌋ + 1) at 1 - p (DLMF 8.17)",
    (None, "n", lambda y, k, n, p: -_binomial_density(k, n, p)), _P, given=_KNP, double=True,
)
bdtrc: np.ufunc = by_slopes(
    "bdtrc", "I of (⌊k⌋ + 1, n - ⌊k⌋) at p (DLMF 8.17)",
    (None, "n", lambda y, k, n, p: _binomial_density(k, n, p)), _P, given=_KNP, double=True,
)
bdtri: np.ufunc = by_slopes(
    "bdtri", "p with I of (n - ⌊k⌋, ⌊k⌋ + 1) at 1 - p = y (DLMF 8.17)",
    (None, "n", lambda p, k, n, y: -1 / _binomial_density(k, n, p)), _P, given=_KNP, double=True,
)


def _binomial_slopes(k: Array, n: Array, p: Array) -> tuple[Array, Array, Array]:
    """Those of I of (n - k, k + 1) at 1 - p, where k is any number."""
    a, b, x = n - k, k + 1.0, 1 - p
    first = by_a(a, b, x)
    return by_b(a, b, x) - first, first, -beta_density(a, b, x)


def _negative_slopes(k: Array, n: Array, p: Array) -> tuple[Array, Array, Array]:
    """Those of I of (n, k + 1) at p."""
    return by_b(n, k + 1.0, p), by_a(n, k + 1.0, p), beta_density(n, k + 1.0, p)


def _inverse_slope(slopes: Any, solved: int, given: int) -> Any:
    """That of the argument that was solved for, by another one or (``given`` -1) by the value."""

    def slope(*knp: Array) -> Array:
        all_of_them = slopes(*knp)
        by_given = -1 if given < 0 else all_of_them[given]
        return -by_given / all_of_them[solved]

    return slope


def _counts(name: str, formula: str, slopes: Any, solved: int, *domain: Interval) -> np.ufunc:
    """An inverse by k (``solved`` 0) or by n (1), in whose place the arguments have the value."""

    def slope(given: int) -> Any:
        of_knp = _inverse_slope(slopes, solved, -1 if given == solved else given)
        return lambda y, *xs: of_knp(*(y if i == solved else x for i, x in enumerate(xs)))

    return by_slopes(name, formula, tuple(slope(i) for i in range(3)), *domain)


bdtrik: np.ufunc = _counts(
    "bdtrik", "k with I of (n - k, k + 1) at 1 - p = y (DLMF 8.17)", _binomial_slopes, 0,
    (0.5, 0.7), (6.0, 8.0), (0.3, 0.5),
)
bdtrin: np.ufunc = _counts(
    "bdtrin", "n with I of (n - k, k + 1) at 1 - p = y (DLMF 8.17)", _binomial_slopes, 1,
    (1.0, 2.0), (0.4, 0.6), (0.3, 0.5),
)
nbdtrik: np.ufunc = _counts(
    "nbdtrik", "k with I of (n, k + 1) at p = y (DLMF 8.17)", _negative_slopes, 0,
    (0.5, 0.7), (2.0, 4.0), (0.3, 0.5),
)
nbdtrin: np.ufunc = _counts(
    "nbdtrin", "n with I of (n, k + 1) at p = y (DLMF 8.17)", _negative_slopes, 1,
    (1.0, 2.0), (0.4, 0.6), (0.3, 0.5),
)
nbdtr: np.ufunc = by_slopes(
    "nbdtr", "I of (n, k + 1) at p (DLMF 8.17)",
    ("k", "n", lambda y, k, n, p: beta_density(n, k + 1.0, p)), _P, given=_KNP,
)
nbdtrc: np.ufunc = by_slopes(
    "nbdtrc", "I of (k + 1, n) at 1 - p (DLMF 8.17)",
    ("k", "n", lambda y, k, n, p: -beta_density(n, k + 1.0, p)), _P, given=_KNP,
)
nbdtri: np.ufunc = by_slopes(
    "nbdtri", "p with I of (n, k + 1) at p = y (DLMF 8.17)",
    ("k", "n", lambda p, k, n, y: 1 / beta_density(n, k + 1.0, p)), _P, given=_KNP,
)


def _f_density(a: Array, b: Array, x: Array) -> Array:
    """Of the ratio of χ² over their degrees of freedom a and b."""
    whole = b + a * x
    return beta_density(0.5 * a, 0.5 * b, a * x / whole) * (a * b / (whole * whole))


def _fraction(a: Array, b: Array, x: Array) -> Array:
    return a * x / (b + a * x)


def _f_by_first(a: Array, b: Array, x: Array) -> Array:
    """∂F/∂a: half of that of I, and what moves with the fraction."""
    return 0.5 * by_a(0.5 * a, 0.5 * b, _fraction(a, b, x)) + _f_density(a, b, x) * (x / a)


def _f_by_second(a: Array, b: Array, x: Array) -> Array:
    return 0.5 * by_b(0.5 * a, 0.5 * b, _fraction(a, b, x)) - _f_density(a, b, x) * (x / b)


_DEGREES = ((None, None, None), (3.0, 5.0, None), (2, None, 0.5), (None, 4, None))
fdtr: np.ufunc = by_slopes(
    "fdtr", "I of (a/2, b/2) at ax / (b + ax) (DLMF 8.17)",
    (
        lambda y, a, b, x: _f_by_first(a, b, x), lambda y, a, b, x: _f_by_second(a, b, x),
        lambda y, a, b, x: _f_density(a, b, x),
    ), POSITIVE, given=_DEGREES,
)
fdtrc: np.ufunc = by_slopes(
    "fdtrc", "I of (b/2, a/2) at b / (b + ax) (DLMF 8.17)",
    (
        lambda y, a, b, x: -_f_by_first(a, b, x), lambda y, a, b, x: -_f_by_second(a, b, x),
        lambda y, a, b, x: -_f_density(a, b, x),
    ), POSITIVE, given=_DEGREES,
)
fdtri: np.ufunc = by_slopes(
    "fdtri", "x with I of (a/2, b/2) at ax / (b + ax) = p (DLMF 8.17)",
    (
        lambda x, a, b, p: -_f_by_first(a, b, x) / _f_density(a, b, x),
        lambda x, a, b, p: -_f_by_second(a, b, x) / _f_density(a, b, x),
        lambda x, a, b, p: 1 / _f_density(a, b, x),
    ), POSITIVE, POSITIVE, _P, given=_DEGREES,
)
fdtridfd: np.ufunc = by_slopes(
    "fdtridfd", "b with I of (a/2, b/2) at ax / (b + ax) = p (DLMF 8.17)",
    (
        lambda b, a, p, x: -_f_by_first(a, b, x) / _f_by_second(a, b, x),
        lambda b, a, p, x: 1 / _f_by_second(a, b, x),
        lambda b, a, p, x: -_f_density(a, b, x) / _f_by_second(a, b, x),
    ), (2.5, 3.5), (0.55, 0.6), (1.2, 1.3),
)


def _t_density(df: Array, t: Array) -> Array:
    return np.exp(-0.5 * (df + 1) * np.log1p(t * t / df)
                  - of(lambda v: 0.5 * np.log(v) + apply(betaln, 0.5 * v, 0.5), df))


def _t_score(df: Array, t: Array) -> Array:
    """∂ ln f/∂df of that density."""
    square = t * t
    return 0.5 * ((df + 1) * square / (df * (df + square)) - np.log1p(square / df) - of(
        lambda v: 1 / v + psi(0.5 * v) - psi(0.5 * v + 0.5), df))


def _t_parts(df: Array, t: Array) -> tuple[Array, Array, Array]:
    """The sign of t, df + t² and the fraction w of t² in it: not 0, where all that uses it is."""
    whole = df + t * t
    return of(np.sign, t), whole, np.where(t == 0, 0.5, t * t / whole)


def _t_slope_forward(df: Array, t: Array) -> Array:
    sign, _, w = _t_parts(df, t)
    return 0.25 * sign * by_b(0.5, 0.5 * df, w) - _t_density(df, t) * (t / (2 * df))


def _t_slope_by_df(g: Array, y: Array, df: Array, t: Array) -> Array:
    sign, whole, w = _t_parts(df, t)
    half = 0.5 * df
    moved = 0.5 * by_b_twice(0.5, half, w) - density_slope(0.5, half, w, (0, 1)) * (w / whole)
    rest = _t_density(df, t) * (t / (2 * df)) * (_t_score(df, t) - of(lambda v: 1 / v, df))
    return g * (0.25 * sign * moved - rest)


#: ∂F/∂df, F = 1/2 + sign(t) I(1/2, df/2) / 2 at t² / (df + t²). As an op, since it is odd in t and
#: smooth at 0, where I is not.
_t_by_df: Op = define(
    "student_slope", _t_slope_forward,
    (_t_slope_by_df, lambda g, y, df, t: g * (_t_density(df, t) * _t_score(df, t))),
    "∂F/∂df of Student's distribution (DLMF 8.17)", domain=(POSITIVE, REAL),
    cases=BROADCAST,
)

stdtr: np.ufunc = by_slopes(
    "stdtr", "Student's distribution F (DLMF 8.17)",
    (lambda y, df, t: _t_by_df(df, t), lambda y, df, t: _t_density(df, t)), POSITIVE, REAL,
)
stdtrit: np.ufunc = by_slopes(
    "stdtrit", "the inverse of Student's distribution (DLMF 8.17)",
    (lambda t, df, p: -_t_by_df(df, t) / _t_density(df, t), lambda t, df, p: 1 / _t_density(df, t)),
    (1.5, 4.0), _P,
)
stdtridf: np.ufunc = by_slopes(
    "stdtridf", "df with Student's distribution of t at p (DLMF 8.17)",
    (lambda df, p, t: 1 / _t_by_df(df, t), lambda df, p, t: -_t_density(df, t) / _t_by_df(df, t)),
    (0.78, 0.79), (2.9, 3.1),
)

# With a shift: noncentral χ², F and t. -----------------------------------------------------------


def _noncentral_forward(x: Array, k: Array, nc: Array) -> Array:
    """e^-(x+c)/2 (x/c)^(k-2)/4 I(√cx) / 2 of order k/2 - 1; near c = 0 by its series."""
    refuse_complex("chndtr", x, nc)
    x, nc = (like(v, w) if type(v) in NUMBERS else v for v, w in ((x, nc), (nc, x)))
    z = nc * x
    small = z < 1
    far, c = np.where(small, 1.0, z), np.where(small, 1.0, nc)
    order = 0.5 * k - 1
    root = np.sqrt(far)
    z = 0.25 * np.where(small, z, 0.0)
    # At a pole of Γ the series of ₀F₁/Γ begins later.
    if type(k) in NUMBERS:
        at_pole = order < 0 and order == math.floor(order)
        first, b = (-order, 1 - order) if at_pole else (0, order + 1)
    else:
        at_pole = np.logical_and(order < 0, order == np.floor(order))
        first, b = np.where(at_pole, -order, 0), np.where(at_pole, 1 - order, order + 1)
    by_series = (
        np.exp(-0.5 * (x + nc)) * (0.5 * x) ** order * z**first * apply(hyp0f1, b, z)
        * of(rgamma, b)
    )
    by_bessel = (
        np.exp(root - 0.5 * (x + nc)) * (far / (c * c)) ** (0.5 * order) * ive(order, root)
    )
    return at_single(0.5 * np.where(small, by_series, by_bessel), x, nc)


#: The density of the noncentral χ² distribution, of k degrees of freedom.
_noncentral: Op = define(
    "noncentral_chi2_density", _noncentral_forward,
    (
        lambda g, y, x, k, nc: g * (0.5 * (_noncentral(x, k - 2, nc) - y)),
        missing("noncentral_chi2_density", "k"),
        lambda g, y, x, k, nc: g * (0.5 * (_noncentral(x, k + 2, nc) - y)),
    ),
    "density of χ² with a shift (Johnson, Kotz & Balakrishnan 1995)", domain=(POSITIVE,),
    cases=(case((3,), 3.0, (3,)), case((1, 2), 1.5, 0.5), case((), 2, ()), case((0,), 5.0, 1.5)),
)


chndtr: np.ufunc = by_slopes(
    "chndtr", "χ² with a shift (Johnson, Kotz & Balakrishnan 1995)",
    (
        lambda y, x, k, c: _noncentral(x, k, c), "df",
        lambda y, x, k, c: 0.5 * (apply(chndtr, x, k + 2, c) - y),
    ), POSITIVE, given=((None, 3.0, None), (None, 1.5, 0.5)),
)
chndtrix: np.ufunc = by_slopes(
    "chndtrix", "x with chndtr(x, k, c) = p (Johnson, Kotz & Balakrishnan 1995)",
    (
        lambda x, p, k, c: 1 / _noncentral(x, k, c), "df",
        lambda x, p, k, c: -0.5 * (apply(chndtr, x, k + 2, c) - p) / _noncentral(x, k, c),
    ), _P, _P, POSITIVE, given=((None, 3.0, None), (None, 2.5, 0.5)),
)
chndtrinc: np.ufunc = by_slopes(
    "chndtrinc", "c with chndtr(x, k, c) = p (Johnson, Kotz & Balakrishnan 1995)",
    (
        lambda c, x, k, p: -2 * _noncentral(x, k, c) / (apply(chndtr, x, k + 2, c) - p), "df",
        lambda c, x, k, p: 2 / (apply(chndtr, x, k + 2, c) - p),
    ), (4.0, 5.0), POSITIVE, (0.1, 0.4), given=((None, 3.0, None), (None, 2.5, 0.3)),
)


def _ncf_density(a: Array, b: Array, nc: Array, x: Array) -> Array:
    """The central density times e^-c/2 ₁F₁((a+b)/2; a/2; cw/2), w = ax / (b + ax)."""
    w = a * x / (b + a * x)
    shifted = apply(hyp1f1, 0.5 * (a + b), 0.5 * a, 0.5 * nc * w)
    return of(lambda c: np.exp(-0.5 * c), nc) * shifted * _f_density(a, b, x)


def _ncf_by_shift(y: Array, a: Array, b: Array, nc: Array, x: Array) -> Array:
    return 0.5 * (apply(ncfdtr, a + 2, b, nc, x * (a / (a + 2))) - y)


_SHIFTED = ((3.0, 5.0, None, None), (2.0, 4.0, 0.5, None))
ncfdtr: np.ufunc = by_slopes(
    "ncfdtr", "F with a shift (Johnson, Kotz & Balakrishnan 1995)",
    ("dfn", "dfd", _ncf_by_shift, lambda y, a, b, c, x: _ncf_density(a, b, c, x)), POSITIVE,
    given=_SHIFTED,
)
ncfdtri: np.ufunc = by_slopes(
    "ncfdtri", "x with ncfdtr(a, b, c, x) = p (Johnson, Kotz & Balakrishnan 1995)",
    (
        "dfn", "dfd",
        lambda x, a, b, c, p: -_ncf_by_shift(p, a, b, c, x) / _ncf_density(a, b, c, x),
        lambda x, a, b, c, p: 1 / _ncf_density(a, b, c, x),
    ), _P, _P, POSITIVE, _P, given=_SHIFTED,
)

def _moment(power: int, df: Array, nc: Array, t: Array) -> Array:
    """∫₀^∞ sᵖ φ(ts - c) h(s) ds, h the density of √(χ²/df): ∂F/∂t for p = 1, -∂F/∂c for p = 0.

    With A = df + t², B = ct, q = p + df it is a multiple of ∫ s^(q-1) exp(-As²/2 + Bs) ds, which is
    a sum of two ₁F₁ of B²/2A (DLMF 13.4).
    """
    q = df + power
    a, b = df + t * t, nc * t
    z = 0.5 * (b * b) / a
    total = (
        of(gamma, 0.5 * q) * apply(hyp1f1, 0.5 * q, 0.5, z)
        + b * np.sqrt(2 / a) * of(gamma, 0.5 * (q + 1)) * apply(hyp1f1, 0.5 * (q + 1), 1.5, z)
    )
    scale = of(lambda v: (0.5 * v) ** (0.5 * v) * rgamma(0.5 * v), df)
    shift = of(lambda c: np.exp(-0.5 * (c * c)), nc) / SQRT_2PI
    return (0.5 * a) ** (-0.5 * q) * total * scale * shift


_T = ((3.0, None, None), (2.5, 0.5, None))
nctdtr: np.ufunc = by_slopes(
    "nctdtr", "t with a shift (Johnson, Kotz & Balakrishnan 1995)",
    ("df", lambda y, df, c, t: -_moment(0, df, c, t), lambda y, df, c, t: _moment(1, df, c, t)),
    POSITIVE, given=_T,
)
nctdtrit: np.ufunc = by_slopes(
    "nctdtrit", "t with nctdtr(df, c, t) = p (Johnson, Kotz & Balakrishnan 1995)",
    (
        "df", lambda t, df, c, p: _moment(0, df, c, t) / _moment(1, df, c, t),
        lambda t, df, c, p: 1 / _moment(1, df, c, t),
    ), _P, POSITIVE, _P, given=_T,
)
# Normal, by its parameters. ----------------------------------------------------------------------


def _ndtri_slope(z: Array) -> Array:
    return SQRT_2PI * np.exp(0.5 * (z * z))


nrdtrimn: np.ufunc = by_slopes(
    "nrdtrimn", "x - sd Φ⁻¹(p) (DLMF 7.20)",
    (
        lambda m, p, sd, x: -sd * _ndtri_slope((x - m) / sd), lambda m, p, sd, x: -(x - m) / sd,
        lambda m, p, sd, x: 1.0 + 0 * m,
    ), _P, POSITIVE, REAL,
)
nrdtrisd: np.ufunc = by_slopes(
    "nrdtrisd", "(x - m) / Φ⁻¹(p) (DLMF 7.20)",
    (
        lambda sd, m, p, x: -1 / ndtri(p),
        lambda sd, m, p, x: -sd * _ndtri_slope(ndtri(p)) / ndtri(p),
        lambda sd, m, p, x: 1 / ndtri(p),
    ), (-1.0, 0.0), (0.75, 0.85), POSITIVE,
)

# Tukey's lambda, and Kolmogorov's. ---------------------------------------------------------------


def _tukey(y: Array) -> tuple[Array, Array]:
    """p, inside of its range, and whether it is at an end, where the slope is 0."""
    end = (y == 0) | (y == 1)
    return np.where(end, 0.5, y), end


def _tukey_density(p: Array, k: Array) -> Array:
    return 1 / (p ** (k - 1) + (1 - p) ** (k - 1))


def _tukey_by_x(y: Array, x: Array, k: Array) -> Array:
    p, end = _tukey(y)
    return np.where(end, 0.0, _tukey_density(p, k))


def _tukey_by_power(y: Array, x: Array, k: Array) -> Array:
    p, end = _tukey(y)
    moved = boxcox_by_power(p, np.log(p), k) - boxcox_by_power(1 - p, np.log1p(-p), k)
    return np.where(end, 0.0, -moved * _tukey_density(p, k))


tklmbda: np.ufunc = by_slopes(
    "tklmbda", "p with (pˡ - (1 - p)ˡ) / l = x (Tukey 1962)", (_tukey_by_x, _tukey_by_power),
    (-0.6, 0.6), (0.2, 0.9),
)


def _kolmogorov_density(x: Array) -> Array:
    """The slope of the distribution, from one of two series (DLMF 20.7)."""
    far, gone = x > 1, x < 0.04
    u, v = np.where(far, x, 1.0), np.where(far | gone, 1.0, x)
    above: Any = 0
    below: Any = 0
    for k in range(1, 9):
        above = above - (-1) ** k * (8 * k * k) * np.exp(-2 * k * k * (u * u))
        c = (2 * k - 1) ** 2 * math.pi**2 / 8
        below = below + np.exp(-c / (v * v)) * (2 * c / (v * v) - 1)
    below = SQRT_2PI * below / (v * v)
    return np.where(far, u * above, np.where(gone, 0.0, below))


kolmogorov: np.ufunc = by_slopes(
    "kolmogorov", "2 Σ (-1)ᵏ⁻¹ exp(-2k²x²) (DLMF 20.2)", (lambda y, x: -_kolmogorov_density(x),),
    (0.5, 1.6),
)
kolmogi: np.ufunc = by_slopes(
    "kolmogi", "x with kolmogorov(x) = p (DLMF 20.2)", (lambda x, p: -1 / _kolmogorov_density(x),),
    (0.1, 0.9),
)



def _smirnov_slope_forward(n: Array, d: Array, order: int) -> Array:
    """Minus the derivatives of P(D > d) = Σ t, t = C(n, j) d (d + j/n)ʲ⁻¹ (1 - d - j/n)ⁿ⁻ʲ."""
    on_host("smirnov", n, d)
    refuse_complex("smirnov", n, d)
    count, x = np.broadcast_arrays(np.floor(np.asarray(n, np.float64)), np.asarray(d, np.float64))
    total = np.zeros(x.shape)
    for j in range(int(np.max(count, initial=0)) + 1):
        here = (j <= count) & (x > 0) & (1 - x - j / count > 0)
        m, v = count[here], x[here]
        a, b = v + j / m, 1 - v - j / m
        size = np.log(scipy.special.binom(m, j)) + (j - 1) * np.log(a) + (m - j) * np.log(b)

        def falling(power: Array, base: Array) -> list[Array]:
            """The derivatives of base to a power, over it."""
            ratios = [np.ones_like(base)]
            for i in range(order):
                ratios.append(ratios[-1] * (power - i) / base)
            return ratios

        parts = [[v, np.ones_like(v), *([0 * v] * order)][: order + 1], falling(j - 1, a),
                 [(-1) ** i * r for i, r in enumerate(falling(m - j, b))]]
        total[here] -= np.exp(size) * of_product(parts)[order]
    return at_single(total[()], n, d)


_smirnov_slope: Op = define(
    "smirnov_slope", _smirnov_slope_forward,
    (missing("smirnov", "n"), lambda g, y, n, d, order: g * _smirnov_slope(n, d, order=order + 1)),
    "-dᵏ/ddᵏ P(D > d) (Birnbaum & Tingey 1951)", domain=((0.36, 0.48),),
    cases=(case(3, (3,), order=1), case(5, (2, 3), order=1),
           case(np.array([3, 6]), (2, 2), order=2), case(3, (), order=1),
           case(4, (0,), order=1), case(4, (1, 2), order=1)),
)


def _smirnov_density(n: Array, d: Array) -> Array:
    return _smirnov_slope(n, d, order=1)


smirnov: np.ufunc = by_slopes(
    "smirnov", "P(D > d) of n numbers, D the largest excess (Birnbaum & Tingey 1951)",
    ("n", lambda y, n, d: -_smirnov_density(n, d)), (0.36, 0.48), given=((3, None), (5, None)),
)
smirnovi: np.ufunc = by_slopes(
    "smirnovi", "d with smirnov(n, d) = p (Birnbaum & Tingey 1951)",
    ("n", lambda d, n, p: -1 / _smirnov_density(n, d)), (0.25, 0.3), given=((3, None), (5, None)),
)

# Wright's Bessel function. -----------------------------------------------------------------------

wright_bessel: np.ufunc = by_slopes(
    "wright_bessel", "Σ xᵏ / k! Γ(ak + b) (DLMF 10.46)",
    ("a", "b", lambda y, a, b, x: apply(wright_bessel, a, b + a, x)), POSITIVE,
    given=((1.5, 2.0, None), (0.5, 1.0, None)),
)
log_wright_bessel: np.ufunc = by_slopes(
    "log_wright_bessel", "ln Σ xᵏ / k! Γ(ak + b) (DLMF 10.46)",
    ("a", "b", lambda y, a, b, x: np.exp(apply(log_wright_bessel, a, b + a, x) - y)), POSITIVE,
    given=((1.5, 2.0, None), (0.5, 1.0, None)),
)
