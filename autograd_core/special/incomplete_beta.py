"""The incomplete beta function Iₓ(a, b), of which all of its arguments have slopes.

With f = xᵃ⁻¹ (1 - x)ᵇ⁻¹ / B(a, b), the slope in x, and κᵢⱼ = ∂ᵢₐ∂ʲᵦ ln f, that in a is

    ∂I/∂a = ∫₀ˣ κ₁₀ f dt = -∫ₓ¹ κ₁₀ f dt,    κ₁₀ = ln t - ψ(a) + ψ(a + b),

as the whole integral is 1 for every a. κ₁₀ changes its sign once: on one of the two sides of x it
does not, and there the integral has all of its digits. b and 1 - x take the places of a and x by
symmetry; further slopes in a and b are integrals of polynomials in the κ.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import scipy.special

from ..node import Array
from ..op import POSITIVE, Interval, Op, case, define, refuse_complex
from .elementary import xlog1py, xlogy
from .entries import NUMBERS, at_single, by_slopes, in_precision, of, on_host
from .gamma import betaln, polygamma

_P: Interval = (0.2, 0.8)
#: Nodes and weights of Gauss and Legendre on [0, 1], for s with u = s² times where u ends.
_NODES, _WEIGHTS = ((x + 1) / 2 if i == 0 else x / 2 for i, x in enumerate(
    np.polynomial.legendre.leggauss(64)))
#: e to the power of -_END is beyond the last digit.
_END = 40.0

Orders = tuple[int, int]


def beta_density(a: Array, b: Array, x: Array) -> Array:
    both_numbers = type(a) in NUMBERS and type(b) in NUMBERS
    size = float(betaln(a, b)) if both_numbers else betaln(a, b)
    return np.exp(in_precision(xlogy, a - 1, x) + in_precision(xlog1py, b - 1, -x) - size)


def _kappa(psi: Any, a: Array, b: Array, i: int, j: int) -> Array:
    """∂ᵢₐ∂ʲᵦ of -ln B(a, b), with psi(n, a) the polygamma functions."""
    k = psi(i + j - 1, a + b)
    if j == 0:
        k = k - psi(i - 1, a)
    return k - psi(j - 1, b) if i == 0 else k


def _polynomial(kappa: dict[Orders, Array], orders: Orders) -> Array:
    """∂ᵢₐ∂ʲᵦ f / f by the derivatives of ln f: that of f' = κ f, again and again."""
    i, j = orders
    if orders == (0, 0):
        return 1.0
    da, db = (1, 0) if i else (0, 1)
    total: Any = 0.0
    for p in range(i - da + 1):
        for q in range(j - db + 1):
            count = math.comb(i - da, p) * math.comb(j - db, q)
            total = total + count * _polynomial(kappa, (p, q)) * kappa[i - p, j - q]
    return total


def _kappas(
    psi: Any, a: Array, b: Array, log: Array, log_rest: Array, orders: Orders
) -> dict[Orders, Array]:
    """Those up to these orders; ``log`` and ``log_rest`` are ln x and ln(1 - x)."""
    kappa = {
        (i, j): _kappa(psi, a, b, i, j)
        for i in range(orders[0] + 1) for j in range(orders[1] + 1) if i + j
    }
    for at, more in (((1, 0), log), ((0, 1), log_rest)):
        if at in kappa:
            kappa[at] = kappa[at] + more
    return kappa


def _integral(a: Array, b: Array, x: Array, rest: Array, orders: Orders) -> Array:
    """∫₀ˣ ∂ᵢₐ∂ʲᵦ f dt, by t = x e⁻ᵘ; ``rest`` is 1 - x."""

    def exponent(u: Array) -> Array:
        return -a * u + (b - 1) * np.log1p(x / rest * -np.expm1(-u))

    # Where the integrand ends: by bisection of ln u, since the exponent falls.
    low, high = np.full_like(x, -60.0), np.full_like(x, 60.0)
    for _ in range(40):
        middle = 0.5 * (low + high)
        beyond = exponent(np.exp(middle)) < -_END
        low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
    end = np.exp(high)
    fixed = _kappas(scipy.special.polygamma, a, b, np.log(x), np.log(rest), orders)
    total = np.zeros_like(x)
    for node, weight in zip(_NODES.tolist(), _WEIGHTS.tolist(), strict=True):
        u = node * node * end
        kappa = dict(fixed)
        if orders[0]:
            kappa[1, 0] = fixed[1, 0] - u
        if orders[1]:
            kappa[0, 1] = fixed[0, 1] + np.log1p(x / rest * -np.expm1(-u))
        total = total + (2 * weight * node) * np.exp(exponent(u)) * _polynomial(kappa, orders)
    xlogy = scipy.special.xlogy
    return total * end * np.exp(
        xlogy(a, x) + xlogy(b - 1, rest) - scipy.special.betaln(a, b))


def _beta_slope_forward(a: Array, b: Array, x: Array, orders: Orders) -> Array:
    on_host("beta_slope", a, b, x)
    refuse_complex("beta_slope", a, b, x)
    given, (a, b, x) = (a, b, x), (
        np.asarray(v, np.float64) for v in np.broadcast_arrays(a, b, x))
    y = np.where((a > 0) & (b > 0) & ((x == 0) | (x == 1)), 0.0, np.nan)
    psi = scipy.special.psi
    with np.errstate(all="ignore"):
        if orders[0] >= orders[1]:
            left = np.log(x) < psi(a) - psi(a + b)
        else:
            left = np.log1p(-x) > psi(b) - psi(a + b)
    inside = (a > 0) & (b > 0) & (x > 0) & (x < 1)
    for here, turned in ((inside & left, False), (inside & ~left, True)):
        p, q, t = a[here], b[here], x[here]
        y[here] = -_integral(q, p, 1 - t, t, orders[::-1]) if turned else (
            _integral(p, q, t, 1 - t, orders))
    return at_single(y[()], *given)


def _psi(n: int, x: Array) -> Array:
    return of(partial(polygamma, n), x)


def density_slope(a: Array, b: Array, x: Array, orders: Orders) -> Array:
    """∂ᵢₐ∂ʲᵦ f."""
    log, log_rest = of(np.log, x), of(np.log1p, -x)
    return beta_density(a, b, x) * _polynomial(
        _kappas(_psi, a, b, log, log_rest, orders), orders)


_beta_slope: Op = define(
    "beta_slope", _beta_slope_forward,
    (
        lambda g, y, a, b, x, orders: g * _beta_slope(a, b, x, orders=(orders[0] + 1, orders[1])),
        lambda g, y, a, b, x, orders: g * _beta_slope(a, b, x, orders=(orders[0], orders[1] + 1)),
        lambda g, y, a, b, x, orders: g * density_slope(a, b, x, orders),
    ),
    "∂ᵢₐ∂ʲᵦ Iₓ(a, b) (DLMF 8.17)", domain=(POSITIVE, POSITIVE, _P),
    cases=(case((3,), (1,), (3,), orders=(1, 0)), case((), 2.0, (2, 3), orders=(0, 1)),
           case((2, 1), (2,), 0.3, orders=(1, 1)), case((0,), (1,), (), orders=(2, 0)),
           case((1, 2), (1,), (2,), orders=(1, 0))),
)


def by_a(a: Array, b: Array, x: Array) -> Array:
    """∂Iₓ(a, b)/∂a."""
    return _beta_slope(a, b, x, orders=(1, 0))


def by_b(a: Array, b: Array, x: Array) -> Array:
    """∂Iₓ(a, b)/∂b."""
    return _beta_slope(a, b, x, orders=(0, 1))


def by_b_twice(a: Array, b: Array, x: Array) -> Array:
    """∂²Iₓ(a, b)/∂b²."""
    return _beta_slope(a, b, x, orders=(0, 2))


_GIVEN = ((None, None, None), (2.0, 3.0, None), (1.5, None, 0.5), (None, 0.5, None))
_DOMAIN = (POSITIVE, POSITIVE, _P)
betainc: np.ufunc = by_slopes(
    "betainc", "Iₓ(a, b) = 1/B(a, b) ∫₀ˣ tᵃ⁻¹ (1 - t)ᵇ⁻¹ dt (DLMF 8.17)",
    (
        lambda y, a, b, x: by_a(a, b, x), lambda y, a, b, x: by_b(a, b, x),
        lambda y, a, b, x: beta_density(a, b, x),
    ), *_DOMAIN, given=_GIVEN,
)
betaincc: np.ufunc = by_slopes(
    "betaincc", "1 - Iₓ(a, b) (DLMF 8.17)",
    (
        lambda y, a, b, x: -by_a(a, b, x), lambda y, a, b, x: -by_b(a, b, x),
        lambda y, a, b, x: -beta_density(a, b, x),
    ), *_DOMAIN, given=_GIVEN,
)
betaincinv: np.ufunc = by_slopes(
    "betaincinv", "x with Iₓ(a, b) = p (DLMF 8.17)",
    (
        lambda x, a, b, p: -by_a(a, b, x) / beta_density(a, b, x),
        lambda x, a, b, p: -by_b(a, b, x) / beta_density(a, b, x),
        lambda x, a, b, p: 1 / beta_density(a, b, x),
    ), *_DOMAIN, given=_GIVEN,
)
betainccinv: np.ufunc = by_slopes(
    "betainccinv", "x with Iₓ(a, b) = 1 - q (DLMF 8.17)",
    (
        lambda x, a, b, q: -by_a(a, b, x) / beta_density(a, b, x),
        lambda x, a, b, q: -by_b(a, b, x) / beta_density(a, b, x),
        lambda x, a, b, q: -1 / beta_density(a, b, x),
    ), *_DOMAIN, given=_GIVEN,
)
btdtria: np.ufunc = by_slopes(
    "btdtria", "a with Iₓ(a, b) = p (DLMF 8.17)",
    (
        lambda a, p, b, x: 1 / by_a(a, b, x),
        lambda a, p, b, x: -by_b(a, b, x) / by_a(a, b, x),
        lambda a, p, b, x: -beta_density(a, b, x) / by_a(a, b, x),
    ), _P, POSITIVE, _P,
)
btdtrib: np.ufunc = by_slopes(
    "btdtrib", "b with Iₓ(a, b) = p (DLMF 8.17)",
    (
        lambda b, a, p, x: -by_a(a, b, x) / by_b(a, b, x),
        lambda b, a, p, x: 1 / by_b(a, b, x),
        lambda b, a, p, x: -beta_density(a, b, x) / by_b(a, b, x),
    ), POSITIVE, _P, _P,
)
