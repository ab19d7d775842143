"""Entropies, and elementary functions that SciPy has beside NumPy's."""

from __future__ import annotations

import math

import numpy as np
import scipy.special

from ..node import Array
from ..op import POSITIVE, REAL, case, define, lift
from .entries import FEW, apply, at_single, by_slopes, enter, of, on_host, ratio
from .hypergeometric import hyp1f1, hyp2f1

xlogy: np.ufunc = enter(
    "xlogy",
    (lambda g, y, a, b: g * of(np.log, b), lambda g, y, a, b: g * ratio(a, b)),
    "a ln b, 0 where a is 0 (DLMF 4.2)", POSITIVE, POSITIVE,
)
xlog1py: np.ufunc = enter(
    "xlog1py",
    (lambda g, y, a, b: g * of(np.log1p, b), lambda g, y, a, b: g * ratio(a, 1 + b)),
    "a ln(1 + b), 0 where a is 0 (DLMF 4.2)", POSITIVE, POSITIVE,
)
entr: np.ufunc = enter(
    "entr", (lambda g, y, x: -g * (np.log(x) + 1),), "-x ln x, 0 where x is 0 (DLMF 4.2)", POSITIVE
)
rel_entr: np.ufunc = enter(
    "rel_entr",
    (
        lambda g, y, a, b: g * (np.log(a) - of(np.log, b) + 1),
        lambda g, y, a, b: -g * ratio(a, b),
    ),
    "a ln(a / b), 0 where a is 0 (DLMF 4.2)", POSITIVE, POSITIVE,
)
kl_div: np.ufunc = enter(
    "kl_div",
    (
        lambda g, y, a, b: g * (np.log(a) - of(np.log, b)),
        lambda g, y, a, b: g * (1 - ratio(a, b)),
    ),
    "a ln(a / b) - a + b (DLMF 4.2)", POSITIVE, POSITIVE,
)

# SciPy's own names for what NumPy has, and elementary functions beside them. ----------------------

_RADIANS = math.pi / 180
cbrt: np.ufunc = enter(
    "cbrt", (lambda g, y, x: g / (3 * (y * y)),), "∛x (DLMF 4.2)", POSITIVE, record="cbrt_scipy"
)
exp2: np.ufunc = enter(
    "exp2", (lambda g, y, x: g * (y * math.log(2)),), "2ˣ (DLMF 4.2)", REAL, record="exp2_scipy"
)
exp10: np.ufunc = enter(
    "exp10", (lambda g, y, x: g * (y * math.log(10)),), "10ˣ (DLMF 4.2)", (-1.0, 1.0)
)
expm1: np.ufunc = enter(
    "expm1", (lambda g, y, x: g * (y + 1),), "eˣ - 1 (DLMF 4.2)", REAL, record="expm1_scipy"
)
log1p: np.ufunc = enter(
    "log1p", (lambda g, y, x: g / (1 + x),), "ln(1 + x) (DLMF 4.2)", POSITIVE, record="log1p_scipy"
)
cosm1: np.ufunc = enter(
    "cosm1", (lambda g, y, x: g * -np.sin(x),), "cos x - 1 (DLMF 4.14)", REAL
)
sindg: np.ufunc = enter(
    "sindg", (lambda g, y, x: g * (_RADIANS * cosdg(x)),), "sin x° (DLMF 4.14)", REAL
)
cosdg: np.ufunc = enter(
    "cosdg", (lambda g, y, x: g * (-_RADIANS * sindg(x)),), "cos x° (DLMF 4.14)", REAL
)
tandg: np.ufunc = enter(
    "tandg", (lambda g, y, x: g * (_RADIANS * (1 + y * y)),), "tan x° (DLMF 4.14)", REAL
)

cotdg: np.ufunc = by_slopes(
    "cotdg", "cot x° (DLMF 4.14)", (lambda y, x: -_RADIANS * (1 + y * y),), (20.0, 70.0)
)
radian: np.ufunc = by_slopes(
    "radian", "d° m′ s″ in radians (DLMF 4.14)",
    (lambda y, d, m, s: _RADIANS, lambda y, d, m, s: _RADIANS / 60,
     lambda y, d, m, s: _RADIANS / 3600), REAL, REAL, REAL,
)
round: np.ufunc = by_slopes(
    "round", "the nearest integer (DLMF 4.2)", (None,), (0.6, 1.4), record="round_scipy"
)

# Powers. -----------------------------------------------------------------------------------------

exprel: np.ufunc = by_slopes(
    "exprel", "(eˣ - 1) / x, 1 at 0 (DLMF 4.2, 13.6)",
    (lambda y, x: 0.5 * apply(hyp1f1, 2, 3, x),), REAL,
)
powm1: np.ufunc = by_slopes(
    "powm1", "aᵇ - 1 (DLMF 4.2)",
    (lambda y, a, b: b * a ** (b - 1), lambda y, a, b: apply(xlogy, y + 1, a)), POSITIVE, POSITIVE,
)


def boxcox_by_power(x: Array, log: Array, lmbda: Array) -> Array:
    """∂/∂λ (xˡ - 1)/λ = ln²x exprel'(λ ln x), also at λ = 0."""
    return log * log * (0.5 * apply(hyp1f1, 2, 3, lmbda * log))


boxcox: np.ufunc = by_slopes(
    "boxcox", "(xˡ - 1) / l, ln x where l is 0 (Box & Cox 1964)",
    (lambda y, x, k: x ** (k - 1), lambda y, x, k: boxcox_by_power(x, of(np.log, x), k)),
    POSITIVE, REAL,
)
boxcox1p: np.ufunc = by_slopes(
    "boxcox1p", "((1 + x)ˡ - 1) / l, ln(1 + x) where l is 0 (Box & Cox 1964)",
    (lambda y, x, k: (1 + x) ** (k - 1), lambda y, x, k: boxcox_by_power(x, of(np.log1p, x), k)),
    POSITIVE, REAL,
)


def _inverse_by_power(y: Array, x: Array, k: Array) -> Array:
    """∂/∂λ (1 + λx)^(1/λ) = y (z/(1+z) - ln(1+z)) / λ² with z = λx, also at λ = 0 (DLMF 15.4)."""
    return -0.5 * y * (x * x) * apply(hyp2f1, 2, 2, 3, -k * x)


inv_boxcox: np.ufunc = by_slopes(
    "inv_boxcox", "(1 + lx)^(1/l), eˣ where l is 0 (Box & Cox 1964)",
    (lambda y, x, k: y / (1 + k * x), _inverse_by_power), (0.2, 0.6), (0.3, 1.2),
)
inv_boxcox1p: np.ufunc = by_slopes(
    "inv_boxcox1p", "(1 + lx)^(1/l) - 1, eˣ - 1 where l is 0 (Box & Cox 1964)",
    (lambda y, x, k: (y + 1) / (1 + k * x), lambda y, x, k: _inverse_by_power(y + 1, x, k)),
    (0.2, 0.6), (0.3, 1.2),
)

# Huber's losses. ---------------------------------------------------------------------------------


def _beyond(r: Array, delta: Array) -> Array:
    return np.maximum(of(np.absolute, r) - delta, 0)


huber: np.ufunc = by_slopes(
    "huber", "r²/2 up to |r| = d, d(|r| - d/2) beyond (Huber 1964)",
    (lambda y, d, r: _beyond(r, d), lambda y, d, r: np.clip(r, -d, d)), (0.4, 1.0), (1.2, 2.0),
)
pseudo_huber: np.ufunc = by_slopes(
    "pseudo_huber", "d² (√(1 + (r/d)²) - 1) (Charbonnier et al. 1997)",
    (
        # (u - d)²/u with u = √(d² + r²) and u - d = r²/(u + d).
        lambda y, d, r: np.square(r * r / (np.hypot(d, r) + d)) / np.hypot(d, r),
        lambda y, d, r: d * r / np.hypot(d, r),
    ),
    POSITIVE, REAL,
)


# Lambert's function, and ω of Wright. ------------------------------------------------------------

wrightomega: np.ufunc = by_slopes(
    "wrightomega", "ω with ω + ln ω = x (Corless & Jeffrey 2002)", (lambda y, x: y / (1 + y),), REAL
)


def _lambertw_forward(z: Array, k: int, tol: float) -> Array:
    on_host("lambertw", z)
    return at_single(scipy.special.lambertw(z, k, tol), z)


_lambertw = define(
    "lambertw", _lambertw_forward, (lambda g, y, z, k, tol: g * (np.exp(-y) / (1 + y)),),
    "W with W exp W = z (DLMF 4.13)", domain=(POSITIVE,), takes_complex=True,
    cases=(*(case(*c.inputs, k=0, tol=1e-8) for c in FEW), case((3,), k=-1, tol=1e-8)),
)


def lambertw(z: Array, k: int = 0, tol: float = 1e-8) -> Array:
    """W with W exp W = z, the k-th branch; complex. Differentiable by ``z``."""
    return _lambertw(lift(z), k=int(k), tol=float(tol))


def diric(x: Array, n: int) -> Array:
    """sin(nx/2) / n sin(x/2), ±1 where that is 0/0: the mean of n cosines, of frequency 1 apart."""
    if int(n) != n or n < 1:
        raise ValueError(f"diric: n is a positive integer, got {n!r}")
    x = lift(x)
    half = 0.5 * (int(n) - 1)
    total = 0 * x
    for k in range(int(n) // 2):
        total = total + 2 * np.cos((half - k) * x)
    return (total + int(n) % 2) / int(n)
