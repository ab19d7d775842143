"""Error functions, the normal distribution, the logistic function."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..node import Array
from ..op import POSITIVE, REAL, define, lift
from ..ops.special import softplus as _softplus
from .entries import NUMBERS, SHAPES, SQRT_2PI, SQRT_PI, by_slopes, enter

erf: np.ufunc = enter(
    "erf", (lambda g, y, x: g * (2 / SQRT_PI * np.exp(-(x * x))),),
    "2/√π ∫₀ˣ exp(-t²) dt (DLMF 7.2)", REAL,
)
erfc: np.ufunc = enter(
    "erfc", (lambda g, y, x: g * (-2 / SQRT_PI * np.exp(-(x * x))),),
    "1 - erf x (DLMF 7.2)", REAL,
)


def _erfcx_rule(g: Array, y: Array, x: Array) -> Array:
    """2x erfcx(x) - 2/√π, whose digits cancel far out; there by its series (DLMF 7.12)."""
    far = x > 50
    near = np.where(far, 0, x)
    u = 1 / np.square(np.where(far, x, 50))
    series = 1 - u * (1.5 - u * (3.75 - u * (13.125 - u * 59.0625)))
    return g * np.where(far, -u * series / SQRT_PI, 2 * near * erfcx(near) - 2 / SQRT_PI)


erfcx: np.ufunc = enter("erfcx", (_erfcx_rule,), "exp(x²) erfc x (DLMF 7.2)", REAL)
erfinv: np.ufunc = enter(
    "erfinv", (lambda g, y, x: g * (SQRT_PI / 2 * np.exp(y * y)),),
    "erf⁻¹ x (DLMF 7.17)", (-0.7, 0.7),
)
erfcinv: np.ufunc = enter(
    "erfcinv", (lambda g, y, x: g * (-SQRT_PI / 2 * np.exp(y * y)),),
    "erfc⁻¹ x (DLMF 7.17)", (0.4, 1.6),
)
ndtr: np.ufunc = enter(
    "ndtr", (lambda g, y, x: g * (1 / SQRT_2PI * np.exp(-0.5 * (x * x))),),
    "Φ(x) = erfc(-x/√2) / 2 (DLMF 7.20)", REAL,
)
ndtri: np.ufunc = enter(
    "ndtri", (lambda g, y, x: g * (SQRT_2PI * np.exp(0.5 * (y * y))),),
    "Φ⁻¹(x) (DLMF 7.20)", (0.25, 0.75),
)
#: The slope of log_ndtr, without a quotient of two vanishing numbers.
inverse_mills = define(
    "inverse_mills",
    lambda x: math.sqrt(2 / math.pi) / erfcx(-math.sqrt(0.5) * x),
    (lambda g, y, x: -g * (y * (x + y)),),
    "Φ'(x) / Φ(x) (DLMF 7.8)", cases=SHAPES, takes_complex=True,
)
log_ndtr: np.ufunc = enter(
    "log_ndtr", (lambda g, y, x: g * inverse_mills(x),), "ln Φ(x) (DLMF 7.20)", REAL
)

erfi: np.ufunc = enter(
    "erfi", (lambda g, y, x: g * (2 / SQRT_PI * np.exp(x * x)),),
    "2/√π ∫₀ˣ exp(t²) dt (DLMF 7.5)", (-1.0, 1.0),
)
dawsn: np.ufunc = enter(
    "dawsn", (lambda g, y, x: g * (1 - 2 * (x * y)),), "exp(-x²) ∫₀ˣ exp(t²) dt (DLMF 7.2)", REAL
)

# The logistic function. -------------------------------------------------------------------------

expit: np.ufunc = enter(
    "expit", (lambda g, y, x: g * (y * expit(-x)),), "1 / (1 + e⁻ˣ) (DLMF 4.2)", REAL
)
log_expit: np.ufunc = enter(
    "log_expit", (lambda g, y, x: g * expit(-x),), "-ln(1 + e⁻ˣ) (DLMF 4.2)", REAL
)
logit: np.ufunc = enter(
    "logit", (lambda g, y, x: g * (1 / x + 1 / (1 - x)),), "ln(x / (1 - x)) (DLMF 4.2)", (0.2, 0.8)
)

def softplus(x: Array) -> Array:
    """ln(1 + eˣ), without overflow."""
    return _softplus(lift(x))


# The Faddeeva function, and what is made of it. --------------------------------------------------


def _wofz_slope(y: Array, x: Array) -> Array:
    """2i/√π - 2x w(x), whose digits cancel far out; there by its series (DLMF 7.12)."""
    far = np.logical_and(np.absolute(x) > 50, np.imag(x) >= 0)
    near = np.where(far, 0, x)
    u = 1 / np.square(np.where(far, x, 50))
    series = 1 + u * (1.5 + u * (3.75 + u * (13.125 + u * 59.0625)))
    return np.where(far, -1j / SQRT_PI * u * series, 2j / SQRT_PI - 2 * near * y)


wofz: np.ufunc = by_slopes(
    "wofz", "w(x) = exp(-x²) erfc(-ix) (DLMF 7.2)", (_wofz_slope,), REAL,
    double=True,
)


def _voigt(sigma_slope: Any, along: Callable[..., Any]) -> Callable[..., Any]:
    """A slope by that of w, ``along``; at σ = 0, where the profile is Lorentz's, by its own."""

    def slope(y: Array, x: Array, sigma: Array, gamma: Array) -> Array:
        if type(sigma) in NUMBERS:
            flat: Any = sigma == 0
            wide = sigma or 1.0
        else:
            flat = sigma == 0
            wide = np.where(flat, 1, sigma)
        z = (x + 1j * gamma) / (math.sqrt(2) * wide)
        d = _wofz_slope(wofz(z), z) / (2 * SQRT_PI * (wide * wide))
        general = along(y, x, wide, gamma, np.real(d), -np.imag(d))
        if type(flat) is bool and not flat:
            return general
        r = x * x + gamma * gamma
        return np.where(flat, sigma_slope(x, gamma, math.pi * (r * r)), general)

    return slope


voigt_profile: np.ufunc = by_slopes(
    "voigt_profile", "Re w((x + iγ) / σ√2) / σ√2π (DLMF 7.19)",
    (
        _voigt(lambda x, c, r: -2 * x * c / r, lambda y, x, s, c, by_x, by_c: by_x),
        _voigt(lambda x, c, r: 0 * r,
               lambda y, x, s, c, by_x, by_c: -(y + x * by_x + c * by_c) / s),
        _voigt(lambda x, c, r: (x * x - c * c) / r, lambda y, x, s, c, by_x, by_c: by_c),
    ),
    REAL, POSITIVE, POSITIVE, given=((None, None, None), (None, 0.0, 1.5)),
)
ndtri_exp: np.ufunc = by_slopes(
    "ndtri_exp", "Φ⁻¹(eˣ) (DLMF 7.20)", (lambda y, x: 1 / inverse_mills(y),), (-2.5, -0.3)
)
owens_t: np.ufunc = by_slopes(
    "owens_t", "1/2π ∫₀ᵃ exp(-h²(1 + t²)/2) / (1 + t²) dt (Owen 1956)",
    (
        lambda y, h, a: -0.5 / SQRT_2PI * np.exp(-0.5 * (h * h)) * erf(math.sqrt(0.5) * (a * h)),
        lambda y, h, a: np.exp(-0.5 * (h * h) * (1 + a * a)) / (2 * math.pi * (1 + a * a)),
    ),
    REAL, REAL,
)
