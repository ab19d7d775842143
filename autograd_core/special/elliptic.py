"""Elliptic integrals and functions, of the parameter m = k²."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..node import Array
from ..op import POSITIVE, REAL, UNIT, EachInput, Op, case, define
from .entries import NUMBERS, apply, at_single, by_slopes, like, of, together

# Carlson's symmetric integrals. ------------------------------------------------------------------


_LOGS = 0.5 * np.arange(-220, 101)


def _carlson_forward(*v: Array, powers: tuple[float, ...], weight: int) -> Array:
    """By the trapezoidal rule in ln t, where the integrand is analytic as far as iπ from the axis:

    with steps of 1/2 the error is about exp(-2π² / (1/2)), below the last digit.
    """
    beside = next((x for x in v if type(x) not in NUMBERS), None)
    v = tuple(like(x, beside) if type(x) in NUMBERS else x for x in v)
    scale: Any = of(np.absolute, v[0])
    for x in v[1:]:
        scale = np.maximum(scale, of(np.absolute, x))
    parts = [x / scale for x in v]
    total: Any = 0
    host = isinstance(scale, (np.ndarray, np.generic))
    if host:
        exponents: Any = _LOGS * (1 + weight)
        for x, b in zip(parts, powers, strict=True):
            exponents = exponents - b * np.log(np.asarray(x)[..., None] + np.exp(_LOGS))
        total = np.exp(exponents).sum(-1)
        return at_single(0.5 * total * scale ** (1 + weight - sum(powers)), *v)
    # In single precision smaller steps would be zero, whose logarithm is not.
    for k in range(-220 if scale.dtype.itemsize > 4 else -170, 101):
        t = math.exp(0.5 * k)
        exponent: Any = 0.5 * k * (1 + weight)
        for x, b in zip(parts, powers, strict=True):
            exponent = exponent - b * np.log(x + t)
        total = total + np.exp(exponent)
    return 0.5 * total * scale ** (1 + weight - sum(powers))


def _carlson_rule(
    i: int, g: Array, y: Array, *v: Array, powers: tuple[float, ...], weight: int
) -> Array:
    higher = tuple(b + (i == j) for j, b in enumerate(powers))
    return g * (-powers[i] * _carlson(*v, powers=higher, weight=weight))


_carlson: Op = define(
    "carlson", _carlson_forward, EachInput(_carlson_rule), "∫₀^∞ tʷ Π (t + vᵢ)^-bᵢ dt (DLMF 19.16)",
    domain=(POSITIVE,), takes_complex=True,
    cases=(
        case((3,), (3,), (3,), powers=(0.5, 0.5, 1.5), weight=0),
        case((2, 1), (1, 2), (), powers=(1.5, 0.5, 0.5), weight=1),
        case((), (0,), powers=(0.5, 2.0), weight=0),
    ),
)
elliprf: np.ufunc = by_slopes(
    "elliprf", "R_F(x, y, z) (DLMF 19.16, 19.18)",
    (
        lambda f, x, y, z: -apply(elliprd, y, z, x) / 6,
        lambda f, x, y, z: -apply(elliprd, z, x, y) / 6,
        lambda f, x, y, z: -apply(elliprd, x, y, z) / 6,
    ),
    POSITIVE,
)
elliprd: np.ufunc = by_slopes(
    "elliprd", "R_D(x, y, z) (DLMF 19.16)",
    (
        lambda f, *v: -0.75 * _carlson(*v, powers=(1.5, 0.5, 1.5), weight=0),
        lambda f, *v: -0.75 * _carlson(*v, powers=(0.5, 1.5, 1.5), weight=0),
        lambda f, *v: -2.25 * _carlson(*v, powers=(0.5, 0.5, 2.5), weight=0),
    ),
    POSITIVE,
)
elliprc: np.ufunc = by_slopes(
    "elliprc", "R_C(x, y) (DLMF 19.16)",
    (
        lambda f, *v: -0.25 * _carlson(*v, powers=(1.5, 1.0), weight=0),
        lambda f, *v: -0.5 * _carlson(*v, powers=(0.5, 2.0), weight=0),
    ),
    POSITIVE,
)
elliprg: np.ufunc = by_slopes(
    "elliprg", "R_G(x, y, z) (DLMF 19.16)",
    (
        lambda f, *v: 0.125 * _carlson(*v, powers=(1.5, 0.5, 0.5), weight=1),
        lambda f, *v: 0.125 * _carlson(*v, powers=(0.5, 1.5, 0.5), weight=1),
        lambda f, *v: 0.125 * _carlson(*v, powers=(0.5, 0.5, 1.5), weight=1),
    ),
    POSITIVE,
)
elliprj: np.ufunc = by_slopes(
    "elliprj", "R_J(x, y, z, p) (DLMF 19.16)",
    (
        lambda f, *v: -0.75 * _carlson(*v, powers=(1.5, 0.5, 0.5, 1.0), weight=0),
        lambda f, *v: -0.75 * _carlson(*v, powers=(0.5, 1.5, 0.5, 1.0), weight=0),
        lambda f, *v: -0.75 * _carlson(*v, powers=(0.5, 0.5, 1.5, 1.0), weight=0),
        lambda f, *v: -1.5 * _carlson(*v, powers=(0.5, 0.5, 0.5, 2.0), weight=0),
    ),
    POSITIVE,
)


def _agm_slope(y: Array, a: Array, b: Array) -> Array:
    return (2 / (3 * math.pi)) * (y * y) * of(np.absolute, a) * apply(elliprd, 0.0, b * b, a * a)


agm: np.ufunc = by_slopes(
    "agm", "the arithmetic-geometric mean π / 2R_F(0, a², b²) (DLMF 19.8, 19.22)",
    (
        lambda y, a, b: _agm_slope(y, a, b), lambda y, a, b: _agm_slope(y, b, a),
    ),
    POSITIVE, POSITIVE,
)

# Legendre's integrals. ---------------------------------------------------------------------------
# Derivatives by m as integrals of Carlson's: no division by m, so they are right at 0 too.


def _k_by_m(m: Array) -> Array:
    """(E - (1 - m) K) / 2m(1 - m) (DLMF 19.4, 19.25)."""
    return apply(elliprd, 0.0, 1.0, 1 - m) / 6


def _e_by_m(m: Array) -> Array:
    """(E - K) / 2m (DLMF 19.4, 19.25)."""
    return -apply(elliprd, 0.0, 1 - m, 1.0) / 6


ellipk: np.ufunc = by_slopes(
    "ellipk", "K(m) = ∫₀^π/2 dt / √(1 - m sin² t) (DLMF 19.2)", (lambda y, m: _k_by_m(m),), UNIT
)
ellipkm1: np.ufunc = by_slopes(
    "ellipkm1", "K(1 - p) (DLMF 19.2)", (lambda y, p: -apply(elliprd, 0.0, 1.0, p) / 6,), POSITIVE
)
ellipe: np.ufunc = by_slopes(
    "ellipe", "E(m) = ∫₀^π/2 √(1 - m sin² t) dt (DLMF 19.2)", (lambda y, m: _e_by_m(m),), UNIT
)


def _incomplete(phi: Array, m: Array, first: bool) -> Array:
    """∂F/∂m or ∂E/∂m: twice a number of the complete ones, and the rest (DLMF 19.25)."""
    phi = like(phi, m) if type(phi) in NUMBERS else phi
    turns = np.rint(phi / math.pi)
    rest = phi - turns * math.pi
    s = np.sin(rest)
    c2, d2 = np.square(np.cos(rest)), 1 - m * (s * s)
    none = turns == 0
    inside = np.where(none, 0.0 * m, m)  # K'(1) is infinite, and not asked for
    cube = s * s * s / 6
    if first:
        return cube * apply(elliprd, c2, 1.0, d2) + 2 * turns * _k_by_m(inside)
    return 2 * turns * _e_by_m(inside) - cube * apply(elliprd, c2, d2, 1.0)


ellipkinc: np.ufunc = by_slopes(
    "ellipkinc", "F(φ, m) = ∫₀^φ dt / √(1 - m sin² t) (DLMF 19.2)",
    (lambda y, phi, m: 1 / np.sqrt(1 - m * np.square(np.sin(phi))),
     lambda y, phi, m: _incomplete(phi, m, True)), REAL, UNIT,
)
ellipeinc: np.ufunc = by_slopes(
    "ellipeinc", "E(φ, m) = ∫₀^φ √(1 - m sin² t) dt (DLMF 19.2)",
    (lambda y, phi, m: np.sqrt(1 - m * np.square(np.sin(phi))),
     lambda y, phi, m: _incomplete(phi, m, False)), REAL, UNIT,
)


def _jacobi_by_m(y: Array, u: Array, m: Array) -> Any:
    """F(φ, m) = u tells how φ moves with m, and φ how sn, cn and dn do."""
    sn, cn, dn, phi = y[0], y[1], y[2], y[3]
    turn = -dn * _incomplete(phi, m, True)
    return cn * turn, -sn * turn, -sn * (0.5 * sn + m * cn * turn) / dn, turn


ellipj: np.ufunc = together(
    "ellipj", "sn, cn, dn of Jacobi, and the amplitude (DLMF 22.13, 22.16)",
    (lambda y, u, m: (y[1] * y[2], -y[0] * y[2], -m * y[0] * y[1], y[2]), _jacobi_by_m),
    REAL, (0.1, 0.8),
)
