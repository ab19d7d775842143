"""Integrals of elementary functions and of Bessel functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..node import Array
from ..op import POSITIVE, REAL
from .bessel import airy, i0, j0, k0, modstruve, struve, y0
from .entries import NUMBERS, apart, apply, by_slopes, enter, together
from .hypergeometric import hyp0f1, hyp2f1

exp1: np.ufunc = enter(
    "exp1", (lambda g, y, x: -g * np.exp(-x) / x,), "∫ₓ^∞ e⁻ᵗ/t dt (DLMF 6.2)", POSITIVE
)
expi: np.ufunc = enter(
    "expi", (lambda g, y, x: g * np.exp(x) / x,), "-⨍₋ₓ^∞ e⁻ᵗ/t dt (DLMF 6.2)", POSITIVE
)

def _expn_slope(y: Array, n: Array, x: Array) -> Array:
    """-E_{n-1}(x); of E₀ = e⁻ˣ/x, where there is no E₋₁, by itself (DLMF 8.19)."""
    if type(n) in NUMBERS:
        return -apply(expn, n - 1, x) if n else -y - y / x
    last = n == 0
    return np.where(last, -y - y / x, -apply(expn, np.where(last, 1, n) - 1, x))


expn: np.ufunc = by_slopes(
    "expn", "Eₙ(x) = ∫₁^∞ e^(-xt) / tⁿ dt (DLMF 8.19)", ("n", _expn_slope), POSITIVE,
    given=((2, None), (0, None), (1, None), (np.array([[0], [3]], np.float32), None)),
)
shichi: np.ufunc = apart(
    "shichi", "Shi, Chi: ∫ sinh(x)/x, ∫ cosh(x)/x (DLMF 6.2)",
    (lambda x: apply(hyp0f1, 1.5, 0.25 * (x * x)), lambda x: np.cosh(x) / x), POSITIVE,
)
sici: np.ufunc = apart(
    "sici", "Si, Ci: ∫ sin(x)/x, ∫ cos(x)/x (DLMF 6.2)",
    (lambda x: apply(hyp0f1, 1.5, -0.25 * (x * x)), lambda x: np.cos(x) / x), POSITIVE,
)
fresnel: np.ufunc = together(
    "fresnel", "∫₀ˣ sin(πt²/2) dt, ∫₀ˣ cos(πt²/2) dt (DLMF 7.2)",
    (lambda y, x: (np.sin(0.5 * math.pi * (x * x)), np.cos(0.5 * math.pi * (x * x))),), REAL,
)


def _modified_fresnel(sign: int) -> Any:
    """F = ∫ₓ^∞ exp(±it²) dt and K = exp(∓i(x² + π/4)) F / √π."""
    edge = np.exp(-0.25j * sign * math.pi).item() / math.sqrt(math.pi)
    return lambda y, x: (-np.exp(1j * sign * (x * x)), -2j * sign * x * y[1] - edge)


modfresnelp: np.ufunc = together(
    "modfresnelp", "∫ₓ^∞ exp(it²) dt, and scaled (DLMF 7.2)", (_modified_fresnel(1),), POSITIVE
)
modfresnelm: np.ufunc = together(
    "modfresnelm", "∫ₓ^∞ exp(-it²) dt, and scaled (DLMF 7.2)", (_modified_fresnel(-1),), POSITIVE
)
spence: np.ufunc = by_slopes(
    "spence", "Li₂(1 - x) = -∫₁ˣ ln(t) / (t - 1) dt (DLMF 25.12, 15.4)",
    (lambda y, x: -apply(hyp2f1, 1, 1, 2, 1 - x),), POSITIVE,
)

# Of Bessel functions. ----------------------------------------------------------------------------


def _less_1(x: Array, sign: int) -> Array:
    """(f(x) - 1) / x for f = J₀ (``sign`` -1) or I₀ (1), whose digits cancel near 0."""
    near = np.absolute(x) < 1
    u = np.where(near, x, 1.0)
    z = (0.25 * sign) * (u * u)
    series: Any = 0
    for k in range(11, 0, -1):  # Σ zᵏ / k!² / x
        series = (series * z + 1) / (k * k)
    series = (0.25 * sign) * u * series
    v = np.where(near, 1.0, x)
    return np.where(near, series, ((j0 if sign < 0 else i0)(v) - 1) / v)


itj0y0: np.ufunc = apart(
    "itj0y0", "∫₀ˣ J₀ dt, ∫₀ˣ Y₀ dt (DLMF 10.22)", (lambda x: j0(x), lambda x: y0(x)), POSITIVE
)
it2j0y0: np.ufunc = apart(
    "it2j0y0", "∫₀ˣ (1 - J₀)/t dt, ∫ₓ^∞ Y₀/t dt (DLMF 10.22)",
    (lambda x: -_less_1(x, -1), lambda x: -y0(x) / x), POSITIVE,
)
iti0k0: np.ufunc = apart(
    "iti0k0", "∫₀ˣ I₀ dt, ∫₀ˣ K₀ dt (DLMF 10.43)", (lambda x: i0(x), lambda x: k0(x)), POSITIVE
)
it2i0k0: np.ufunc = apart(
    "it2i0k0", "∫₀ˣ (I₀ - 1)/t dt, ∫ₓ^∞ K₀/t dt (DLMF 10.43)",
    (lambda x: _less_1(x, 1), lambda x: -k0(x) / x), POSITIVE,
)


def _airy_both_ways(y: Array, x: Array) -> Any:
    right, left = airy(x), airy(-x)
    return right[0], right[2], left[0], left[2]


itairy: np.ufunc = together(
    "itairy", "∫₀ˣ Ai(t), Bi(t), Ai(-t), Bi(-t) dt (DLMF 9.10)", (_airy_both_ways,), (0.3, 1.0)
)
itstruve0: np.ufunc = by_slopes(
    "itstruve0", "∫₀ˣ H₀ dt (DLMF 11.7)", (lambda y, x: apply(struve, 0, x),), POSITIVE
)
it2struve0: np.ufunc = by_slopes(
    "it2struve0", "∫ₓ^∞ H₀/t dt (DLMF 11.7)", (lambda y, x: -apply(struve, 0, x) / x,), POSITIVE
)
itmodstruve0: np.ufunc = by_slopes(
    "itmodstruve0", "∫₀ˣ L₀ dt (DLMF 11.7)", (lambda y, x: apply(modstruve, 0, x),), POSITIVE
)
