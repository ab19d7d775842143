"""Polynomials as their coefficients, the highest power first: NumPy's ``poly*`` functions.

NumPy leaves out leading zeros where it multiplies and divides, so that how many coefficients there
are depends on values. Here that is so for zeros that are there when the operation is recorded; a
replay that would leave out others raises.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ..node import Array, require, value_of
from ..op import Case, define, implements, lift
from .calculus import convolve
from .complex_parts import real_if_real
from .indexing import at_add
from .linalg import undefined_
from .shaping import astype, concatenate


def _coefficients(p: Any) -> Array:
    return np.atleast_1d(lift(p))


def _without_leading_zeros(name: str, p: Array, tolerance: float = 0.0) -> Array:
    """``p`` from its first coefficient that is not 0 (to a tolerance) on, or else its last."""
    small = np.absolute(p) <= tolerance
    now = np.atleast_1d(value_of(small))
    gone = int(np.argmin(now)) if not now.all() else now.size - 1
    require(small[: gone + 1] == now[: gone + 1],
            ValueError(f"{name}: which leading coefficients are 0, and left out, has changed"))
    return p[gone:]


def _sum(of: Callable[[Array, Array], Array], a1: Any, a2: Any) -> Array:
    a1, a2 = _coefficients(a1), _coefficients(a2)
    missing = a1.shape[0] - a2.shape[0]
    if missing > 0:
        a2 = concatenate([np.zeros_like(value_of(a2), shape=(missing,)), a2])
    elif missing < 0:
        a1 = concatenate([np.zeros_like(value_of(a1), shape=(-missing,)), a1])
    return of(a1, a2)


@implements(np.polyadd)
def polyadd(a1: Array, a2: Array) -> Array:
    return _sum(np.add, a1, a2)


@implements(np.polysub)
def polysub(a1: Array, a2: Array) -> Array:
    return _sum(np.subtract, a1, a2)


@implements(np.polymul)
def polymul(a1: Array, a2: Array) -> Array:
    return convolve(*(_without_leading_zeros("polymul", _coefficients(a)) for a in (a1, a2)))


@implements(np.polydiv)
def polydiv(u: Array, v: Array) -> tuple[Array, Array]:
    """The quotient and the rest, by long division."""
    u, v = _coefficients(u), _coefficients(v)
    dtype = np.result_type(u.dtype, v.dtype, np.float32)
    rest, v = astype(u, dtype), astype(v, dtype)
    steps = u.shape[0] - v.shape[0] + 1
    quotient = []
    for k in range(steps):
        digit = rest[k] * (1 / v[0])
        quotient.append(digit)
        rest = at_add(rest, slice(k, k + v.shape[0]), -(digit * v))
    # What was divided off is 0 up to rounding, which must not decide how much is left.
    rest = rest[max(steps, 0):] if v.shape[0] > 1 else rest[-1:]
    if not quotient:
        quotient = [rest[0] * 0]
    return np.stack(quotient), _without_leading_zeros("polydiv", rest, 1e-8)


@implements(np.polyval)
def polyval(p: Array, x: Array) -> Array:
    """p₀ xⁿ + p₁ xⁿ⁻¹ + ... + pₙ, by Horner's rule."""
    p, x = lift(p), lift(x)
    y: Any = np.zeros_like(value_of(x))
    for i in range(p.shape[0]):
        y = y * x + p[i]
    return y


def _order(name: str, m: Any) -> int:
    order = operator.index(m)
    if order < 0:
        raise ValueError(f"{name}: the order must not be negative, got {order}")
    return order


@implements(np.polyder)
def polyder(p: Array, m: int = 1) -> Array:
    p = lift(p)
    for _ in range(_order("polyder", m)):
        p = p[:-1] * np.arange(p.shape[0] - 1, 0, -1)
    return p


@implements(np.polyint)
def polyint(p: Array, m: int = 1, k: Any = None) -> Array:
    """Integrated m times, with the constants ``k``, 0 unless given."""
    p, m = lift(p), _order("polyint", m)
    constants = np.zeros(m) if k is None else _coefficients(k)
    if constants.shape[0] == 1 and m > 1:
        constants = np.broadcast_to(constants, (m,))
    if constants.shape[0] < m:
        raise ValueError(f"polyint: {constants.shape[0]} constants for {m} integrations")
    for i in range(m):
        p = concatenate([p / np.arange(p.shape[0], 0, -1), constants[i : i + 1]])
    return p


@implements(np.poly)
def poly(seq_of_zeros: Array) -> Array:
    """The coefficients of Π (x - zero); of a square matrix, of det(x 1 - a)."""
    zeros = _coefficients(seq_of_zeros)
    if zeros.ndim == 2 and zeros.shape[0] == zeros.shape[1] != 0:
        return _characteristic(zeros)
    if zeros.ndim != 1:
        raise ValueError(f"poly: needs zeros or a square matrix, got shape {tuple(zeros.shape)}")
    if zeros.shape[0] == 0:
        return np.float64(1.0)
    if zeros.dtype.kind in "biu":
        zeros = astype(zeros, np.float64)
    p: Array = np.ones_like(value_of(zeros), shape=(1,))
    none = np.zeros_like(p)
    for i in range(zeros.shape[0]):
        p = concatenate([p, none]) - concatenate([none, zeros[i] * p])
    return p


def _characteristic(a: Array) -> Array:
    """By the traces of powers (Faddeev and Leverrier), which needs no eigenvalues."""
    n = a.shape[0]
    eye = np.eye(n, dtype=a.dtype, like=a)
    p: list[Any] = [np.ones_like(value_of(a), shape=())]
    m = eye
    for k in range(1, n + 1):
        am = a @ m
        p.append(np.trace(am) / -k)
        m = am + p[-1] * eye
    return np.stack(p)


def _roots_forward(p: Array) -> Array:
    r = np.roots(p)
    return r if r.dtype.kind == "c" else r.astype(np.result_type(r.dtype, 1j))


def _roots_rule(g: Array, y: Array, p: Array) -> Array:
    """∂r/∂pₖ = -rⁿ⁻ᵏ / p'(r); NaN for a root that repeats, to the error it is found with."""
    n = p.shape[0] - 1
    slope: Any = 0
    for k in range(n):  # Python numbers, which leave single precision as it is
        slope = slope * y + p[k] * (n - k)
    rounding = 4 * n * float(np.finfo(y.dtype).eps) * polyval(np.abs(p), np.abs(y))
    error = rounding / np.maximum(np.abs(slope), _TINY)
    near = np.abs(y[:, None] - y) <= np.maximum(error, error[:, None])
    repeated = (near & ~np.eye(n, dtype=bool, like=value_of(error))).any(-1)
    g = np.where(repeated, undefined_(g), g) / np.where(repeated, 1, slope)
    return -np.sum(g[:, None] * np.stack([y**k for k in range(n, -1, -1)], axis=1), axis=0)


_TINY = 1e-30


def _near_whole_roots(p: Array) -> tuple[Array]:
    """For the tests: coefficients whose roots are near 1, 2, ..."""
    near = np.poly(np.arange(1.0, p.shape[0])).tolist()
    return (np.stack([0.02 * p[k] + c for k, c in enumerate(near)]),)


def _sums_of_powers(r: Array) -> Array:
    """What does not depend on the order of the roots."""
    return np.stack([np.sum(r**k) for k in (1, 2, 3)])


_roots_op = define(
    "roots", _roots_forward, (_roots_rule,), "x with p₀ xⁿ + ... + pₙ = 0, complex",
    cases=tuple(Case((shape,), {}, _near_whole_roots, _sums_of_powers)
                for shape in ((2,), (3,), (4,))),
    takes_complex=True,
)


@implements(np.roots)
def roots(p: Array) -> Array:
    """The roots of a polynomial; real if all those of real coefficients are.

    Of a root that repeats the gradient is NaN: it moves by a fraction of a power of a change.
    """
    p = _coefficients(p)
    if p.ndim != 1:
        raise ValueError(f"roots: coefficients have one axis, got shape {tuple(p.shape)}")
    if p.dtype.kind in "biu":
        p = astype(p, np.float64)
    if p.shape[0] < 2:
        return p[1:]
    p = _without_leading_zeros("roots", p)
    r = _roots_op(p)
    return r if p.dtype.kind == "c" else real_if_real(r)


@implements(np.polyfit)
def polyfit(
    x: Array, y: Array, deg: int, rcond: Any = None, full: bool = False, w: Any = None,
    cov: Any = False,
) -> Any:
    """The polynomial of degree ``deg`` with the least sum of (weighted) squared residuals."""
    x, y = lift(x), lift(y)
    x, y = (astype(v, np.float64) if v.dtype.kind in "biu" else v for v in (x, y))
    columns = operator.index(deg) + 1
    if columns < 1:
        raise ValueError(f"polyfit: the degree must not be negative, got {deg}")
    if x.ndim != 1 or x.shape[0] == 0 or y.ndim not in (1, 2) or x.shape[0] != y.shape[0]:
        raise TypeError(
            f"polyfit: x has one axis, y one or two, of one length that is not 0; got shapes "
            f"{tuple(x.shape)} and {tuple(y.shape)}"
        )
    powers, right = np.vander(x, columns), y
    if w is not None:
        w = lift(w)
        if w.shape != x.shape:
            raise TypeError(f"polyfit: weights of shape {tuple(w.shape)} for {x.shape[0]} points")
        powers = powers * w[:, None]
        right = right * (w[:, None] if y.ndim == 2 else w)
    scale = np.sqrt(np.sum(np.square(powers), axis=0))
    powers = powers / scale
    c, residuals, rank, s = np.linalg.lstsq(powers, right)
    c = (c.T / scale).T
    if full:
        return c, residuals, rank, s, (
            x.shape[0] * float(np.finfo(x.dtype).eps) if rcond is None else rcond
        )
    if not cov:
        return c
    spread = np.linalg.inv(powers.T @ powers) / np.outer(scale, scale)
    if cov == "unscaled":
        factor: Any = 1
    elif x.shape[0] <= columns:
        raise ValueError("polyfit: a scaled covariance needs more points than coefficients")
    else:
        factor = residuals / (x.shape[0] - columns)
    return c, spread * factor if y.ndim == 1 else spread[:, :, None] * factor


