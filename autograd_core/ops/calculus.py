"""Functions sampled on a grid, and samples of variables: differences, integrals, interpolation,
convolution, covariance. Nearly all of it is composed of slices and products.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..node import Array, Node, require, value_of
from ..op import case, conj, define, implements, lift, refuse_complex
from .elementwise import i0
from .flow import stop_gradient
from .indexing import getitem
from .reductions import average
from .shaping import (
    astype,
    broadcast_to,
    concatenate,
    flip,
    lift_like,
    normalise,
    ravel,
    reshape,
)


def _along(axis: int, part: Any) -> tuple[Any, ...]:
    """The index that takes ``part`` along a non-negative axis."""
    return (slice(None),) * axis + (part,)


# Grids. -----------------------------------------------------------------------------------------


@implements(np.linspace)
def linspace(
    start: Array, stop: Array, num: int = 50, endpoint: bool = True, retstep: bool = False,
    dtype: Any = None, axis: int = 0, *, device: Any = None,
) -> Any:
    """start + i (stop - start) / n, and exactly ``stop`` at the end."""
    num = operator.index(num)
    if num < 0:
        raise ValueError(f"linspace: the number of points must not be negative, got {num}")
    start, stop = (x if isinstance(x, (int, float)) else lift(x) for x in (start, stop))
    kind = np.result_type(*(getattr(x, "dtype", x) for x in (start, stop)))
    if kind.kind not in "fc":
        kind = np.dtype(np.float64)
    steps = num - 1 if endpoint else num
    delta = astype(stop - start, kind)
    step = delta / steps if steps > 0 else delta * math.nan
    here = value_of(delta)
    kin: Any = {} if isinstance(here, np.generic) else {"like": here}
    along = np.arange(num, dtype=kind, **kin).reshape((-1, *(1,) * delta.ndim))
    y = along * (step if steps > 0 else delta) + start
    if endpoint and num > 1:
        last = astype(np.zeros_like(here) + stop, kind)
        y = concatenate([y[:-1], last[None]], 0)
    y = np.moveaxis(y, 0, axis) if axis else y
    if dtype is not None:
        y = np.floor(y) if np.issubdtype(dtype, np.integer) else y
        y = astype(y, dtype)
    return (y, step) if retstep else y


@implements(np.logspace)
def logspace(
    start: Array, stop: Array, num: int = 50, endpoint: bool = True, base: Any = 10.0,
    dtype: Any = None, axis: int = 0,
) -> Array:
    """The base to the powers of :func:`linspace`; differentiable by the base too."""
    if np.ndim(base):
        base = lift(base)
        n = max(np.ndim(start), np.ndim(stop), base.ndim)
        start, stop, base = (
            reshape(x, (1,) * (n - x.ndim) + tuple(x.shape)) for x in map(lift, (start, stop, base))
        )
        base = np.expand_dims(base, axis)
    y = np.power(base, linspace(start, stop, num, endpoint, axis=axis))
    return y if dtype is None else astype(y, dtype)


def kaiser(M: int, beta: Array) -> Array:
    """``np.kaiser``, also where ``beta`` is a Tensor, which NumPy does not look at.

    wₙ = I₀(β √(1 - (2n / (M - 1) - 1)²)) / I₀(β) for n = 0 ... M - 1, of shape (M,), in double
    precision. Source: Kaiser, "Digital filters" (1966), in Kuo, Kaiser (eds.), *System analysis by
    digital computer*. ``beta``: one number. Raises ``ValueError`` for more.

    >>> ag.grad(lambda beta: ag.kaiser(5, beta)[1])(0.0)
    np.float64(0.0)
    """
    if not isinstance(beta, Node):
        return np.kaiser(M, beta)
    if beta.shape != ():  # type: ignore[attr-defined]
        raise ValueError(f"kaiser: beta is one number, got shape {beta.shape}")  # type: ignore[attr-defined]
    beta = astype(beta, np.float64)
    n = np.arange(M, dtype=np.float64)
    across = (2 * n / (M - 1) - 1) if M > 1 else np.zeros(max(M, 0))
    return i0(beta * np.sqrt(np.maximum(1 - across * across, 0))) / i0(beta)


@implements(np.geomspace)
def geomspace(
    start: Array, stop: Array, num: int = 50, endpoint: bool = True, dtype: Any = None,
    axis: int = 0,
) -> Array:
    """Each a constant multiple of the one before; the ends are exact. Real numbers of one sign.

    In double precision, as NumPy has it.
    """
    start, stop = (astype(x, np.result_type(x.dtype, np.float64)) for x in
                   map(lift, (start, stop)))
    require((start != 0) & (stop != 0), ValueError("geomspace: 0 is in no geometric sequence"))
    sign = np.sign(start)
    if "c" in (start.dtype.kind, stop.dtype.kind):
        raise NotImplementedError("geomspace: real ends are supported on Tensors")
    require(sign == np.sign(stop), NotImplementedError(
        "geomspace: ends of different signs make a complex sequence, which is not supported on "
        "Tensors"
    ))
    start, stop = start * sign, stop * sign
    y = logspace(np.log10(start), np.log10(stop), num, endpoint)
    shape = tuple(y.shape[1:])
    ends = [broadcast_to(x, shape)[None] for x in (start, stop)]
    if num > 1 and endpoint:
        y = concatenate([ends[0], y[1:-1], ends[1]], 0)
    elif num > 0:
        y = concatenate([ends[0], y[1:]], 0)
    y = np.moveaxis(y * sign, 0, axis) if axis else y * sign
    return y if dtype is None else astype(y, dtype)


# Differences. -----------------------------------------------------------------------------------


@implements(np.diff)
def diff(
    a: Array, n: int = 1, axis: int = -1, prepend: Any = np._NoValue, append: Any = np._NoValue
) -> Array:
    if n == 0:
        return a
    if n < 0:
        raise ValueError(f"diff: the order must be non-negative, got {n}")
    a = lift(a)
    if a.ndim == 0:
        raise ValueError("diff: needs one axis or more, got shape ()")
    (axis,) = normalise(axis, a.ndim, "axis")
    ends = []
    for end in (prepend, append):
        if end is np._NoValue:
            continue
        end = lift(end)
        if end.ndim == 0:
            end = broadcast_to(end, tuple(1 if i == axis else m for i, m in enumerate(a.shape)))
        ends.append(end)
    if ends:
        before = ends[:1] if prepend is not np._NoValue else []
        a = concatenate([*before, a, *ends[len(before):]], axis)
    step = np.not_equal if a.dtype == np.bool_ else np.subtract
    for _ in range(n):
        a = step(getitem(a, _along(axis, slice(1, None))),
                 getitem(a, _along(axis, slice(None, -1))))
    return a


@implements(np.ediff1d)
def ediff1d(ary: Array, to_end: Any = None, to_begin: Any = None) -> Array:
    ary = ravel(ary)
    pieces = [ary[1:] - ary[:-1]]
    for at, end in enumerate((to_begin, to_end)):
        if end is not None:
            kind = end.dtype if hasattr(end, "dtype") else np.asarray(end).dtype
            if not np.can_cast(kind, ary.dtype, "same_kind"):
                raise TypeError(f"ediff1d: cannot cast {kind} to {ary.dtype}")
            end = ravel(astype(lift_like(end, ary), ary.dtype))
            pieces = [end, *pieces] if at == 0 else [*pieces, end]
    return concatenate(pieces) if len(pieces) > 1 else pieces[0]


@implements(np.gradient)
def gradient(f: Array, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Central differences inside, one-sided ones of first or second order at the ends.

    Differentiable by the spacings and coordinates too.
    """
    f = lift(f)
    if f.dtype.kind in "biu":
        f = astype(f, np.float64)
    axes = list(range(f.ndim)) if axis is None else normalise(axis, f.ndim, "axis")
    if len(varargs) > 1 and len(varargs) != len(axes):
        raise TypeError(f"gradient: {len(varargs)} spacings for {len(axes)} axes")
    if edge_order not in (1, 2):
        raise ValueError("gradient: edge_order must be 1 or 2")
    spacings: Sequence[Any] = varargs or (1.0,)
    if len(spacings) == 1:
        if np.ndim(spacings[0]) == 1 and len(axes) > 1:
            raise TypeError("gradient: coordinates of one axis for several")
        spacings = tuple(spacings) * len(axes)
    results = []
    for i, spacing in zip(axes, spacings, strict=True):
        if f.shape[i] < edge_order + 1:
            raise ValueError(f"gradient: axis {i} of shape {f.shape} is too short")
        results.append(_gradient(f, i, spacing, edge_order))
    return results[0] if len(results) == 1 else tuple(results)


def _gradient(f: Array, axis: int, spacing: Any, edge_order: int) -> Array:
    n = f.shape[axis]

    def at(start: int, stop: int | None = None) -> Array:
        start = start % n
        return getitem(f, _along(axis, slice(start, start + 1 if stop is None else stop % n or n)))

    if np.ndim(spacing) == 0:
        h: Any = spacing
        inside = (at(2, 0) - at(0, -2)) / (2.0 * h) if n > 2 else None
        if edge_order == 1:
            first, last = (at(1) - at(0)) / h, (at(-1) - at(-2)) / h
        else:
            first = (-1.5 / h) * at(0) + (2.0 / h) * at(1) + (-0.5 / h) * at(2)
            last = (0.5 / h) * at(-3) + (-2.0 / h) * at(-2) + (1.5 / h) * at(-1)
    else:
        x = lift(spacing)
        if x.ndim != 1 or x.shape[0] != n:
            raise ValueError(
                f"gradient: coordinates of shape {x.shape} for axis {axis} of shape {f.shape}"
            )
        steps = astype(x[1:] - x[:-1], f.dtype)
        steps = reshape(steps, [-1 if i == axis else 1 for i in range(f.ndim)])

        def step(i: int) -> Array:
            i = i % (n - 1)
            return getitem(steps, _along(axis, slice(i, i + 1)))

        inside = None
        if n > 2:
            p = getitem(steps, _along(axis, slice(None, -1)))
            q = getitem(steps, _along(axis, slice(1, None)))
            inside = (-q / (p * (p + q)) * at(0, -2) + (q - p) / (p * q) * at(1, -1)
                      + p / (q * (p + q)) * at(2, 0))
        if edge_order == 1:
            first, last = (at(1) - at(0)) / step(0), (at(-1) - at(-2)) / step(-1)
        else:
            p, q = step(0), step(1)
            first = (-(2.0 * p + q) / (p * (p + q)) * at(0) + (p + q) / (p * q) * at(1)
                     - p / (q * (p + q)) * at(2))
            p, q = step(-2), step(-1)
            last = (q / (p * (p + q)) * at(-3) - (q + p) / (p * q) * at(-2)
                    + (2.0 * q + p) / (q * (p + q)) * at(-1))
    return astype(concatenate([first, *([] if inside is None else [inside]), last], axis), f.dtype)


# Integrals, interpolation. ----------------------------------------------------------------------


@implements("trapezoid")
def trapezoid(y: Array, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Array:
    """Σ (x₊ - x) (y₊ + y) / 2."""
    y = lift(y)
    (axis,) = normalise(axis, y.ndim, "axis")
    if x is None:
        d: Any = dx
    else:
        x = lift(x)
        if x.ndim == 1:
            d = diff(x)
            d = reshape(d, [-1 if i == axis else 1 for i in range(y.ndim)])
        else:
            d = diff(x, axis=axis)
    after = getitem(y, _along(axis, slice(1, None)))
    before = getitem(y, _along(axis, slice(None, -1)))
    return np.sum(d * (after + before) / 2.0, axis=axis)


@implements(np.interp)
def interp(
    x: Array, xp: Array, fp: Array, left: Any = None, right: Any = None, period: Any = None
) -> Array:
    """The straight line through the two points around x, in double precision as NumPy has it.

    At a point the slope is that to the right of it, at the last one that to the left; beyond
    the ends it is 0. Differentiable by the points too.
    """
    x, xp, fp = lift(x), lift(xp), lift(fp)
    refuse_complex("interp", x, xp)
    x, xp = astype(x, np.float64), astype(xp, np.float64)
    fp = astype(fp, np.complex128 if fp.dtype.kind == "c" else np.float64)
    if xp.ndim != 1 or xp.shape != fp.shape:
        raise ValueError(f"interp: points of shapes {xp.shape} and {fp.shape}; both need one axis")
    if xp.shape[0] == 0:
        raise ValueError("interp: needs one point or more")
    if period is not None:
        if period == 0:
            raise ValueError("interp: the period must not be 0")
        period = abs(period)
        left = right = None
        x, xp = x % period, xp % period
        order = np.argsort(xp)
        xp, fp = getitem(xp, order), getitem(fp, order)
        xp = concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp = concatenate([fp[-1:], fp, fp[:1]])
    n = xp.shape[0]
    if n == 1:
        middle = broadcast_to(fp[0], x.shape)
    else:
        i = np.clip(np.searchsorted(xp, x, side="right") - 1, 0, n - 2)
        start, height = getitem(xp, (i,)), getitem(fp, (i,))
        slope = (getitem(fp, (i + 1,)) - height) / (getitem(xp, (i + 1,)) - start)
        # Beyond the ends, where the line is not asked for, x is put on it.
        within = np.where((x < xp[0]) | (x > xp[-1]), start, x)
        middle = height + slope * (within - start)
    y = np.where(x < xp[0], fp[0] if left is None else left, middle)
    return np.where(x > xp[-1], fp[-1] if right is None else right, y)


unwrap_ = define(
    "unwrap",
    lambda p, discont, axis, period: np.unwrap(p, discont, axis, period=period),
    # Whole periods are added, and how many does not change with p.
    (lambda g, y, p, discont, axis, period: g,),
    "p without jumps of whole periods",
    domain=((0.5, 2.0),),
    cases=(case((4,), discont=None, axis=-1, period=2 * math.pi),
           case((2, 3), discont=None, axis=0, period=1.0),
           case((1, 3), discont=None, axis=1, period=0.5),
           case((0,), discont=None, axis=0, period=1.0)),
)


@implements(np.unwrap)
def unwrap(
    p: Array, discont: float | None = None, axis: int = -1, *, period: float = 2 * math.pi
) -> Array:
    return unwrap_(lift(p), discont=discont, axis=axis, period=period)


# Convolution. -----------------------------------------------------------------------------------


def _convolve_forward(a: Array, v: Array, whole: bool) -> Array:
    return np.convolve(a, v, "full" if whole else "valid")


def _convolve_rule_left(g: Array, y: Array, a: Array, v: Array, whole: bool) -> Array:
    return convolve_(g, flip(v), whole=not whole)


def _convolve_rule_right(g: Array, y: Array, a: Array, v: Array, whole: bool) -> Array:
    if whole:
        return convolve_(g, flip(a), whole=False)
    return flip(convolve_(a, flip(g), whole=False))


#: All overlaps of a and the reversed v, or (not ``whole``) those that cover v, which must not be
#: the longer one. Each of the two is the adjoint of the other.
convolve_ = define(
    "convolve", _convolve_forward, (_convolve_rule_left, _convolve_rule_right), "Σₖ a[i - k] v[k]",
    cases=(case((5,), (3,), whole=True), case((2,), (4,), whole=True), case((1,), (3,), whole=True),
           case((3,), (1,), whole=True), case((5,), (3,), whole=False),
           case((3,), (3,), whole=False), case((4,), (1,), whole=False)),
    takes_complex=True,
)

_MODES = {0: "valid", 1: "same", 2: "full"}


def _overlap(name: str, a: Array, v: Array, mode: Any) -> Array:
    """The part of a convolution that a mode asks for."""
    mode = _MODES.get(mode, mode) if isinstance(mode, int) else mode
    if mode == "full":
        return convolve_(a, v, whole=True)
    n, m = a.shape[0], v.shape[0]
    if mode == "valid":
        return convolve_(a, v, whole=False) if n >= m else convolve_(v, a, whole=False)
    if mode != "same":
        raise ValueError(f"{name}: mode must be 'full', 'same' or 'valid', got {mode!r}")
    longer, shorter = max(n, m), min(n, m)
    # As long as the longer one; an odd element out goes to the left, but where NumPy has swapped
    # the two to correlate them, to the right.
    start = shorter // 2 if name == "correlate" and n < m else (shorter - 1) // 2
    return convolve_(a, v, whole=True)[start : start + longer]


def _check_vector(name: str, x: Array) -> Array:
    if x.ndim != 1:
        raise ValueError(f"{name}: needs one axis, got shape {x.shape}")
    if x.shape[0] == 0:
        raise ValueError(f"{name}: an empty array")
    return x


@implements(np.convolve)
def convolve(a: Array, v: Array, mode: Any = "full") -> Array:
    a, v = (_check_vector("convolve", np.atleast_1d(x)) for x in (a, v))
    return _overlap("convolve", a, v, mode)


@implements(np.correlate)
def correlate(a: Array, v: Array, mode: Any = "valid") -> Array:
    """Σₖ a[i + k] v[k]."""
    a, v = (_check_vector("correlate", lift(x)) for x in (a, v))
    return _overlap("correlate", a, flip(np.conjugate(v)), mode)


# Covariance. ------------------------------------------------------------------------------------


@implements(np.cov)
def cov(
    m: Array, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None,
    fweights: Any = None, aweights: Any = None, *, dtype: Any = None,
) -> Array:
    """Σ w (x - mean)(x - mean)* / (n - ddof), in double precision unless told, as NumPy has it."""
    if ddof is not None and ddof != int(ddof):
        raise ValueError("cov: ddof must be an integer")
    given = [lift(v) for v in (m, y) if v is not None]
    if dtype is None:
        dtype = np.result_type(*(v.dtype for v in given), np.float64)
    rows = []
    for position, v in enumerate(given):
        if v.ndim > 2:
            raise ValueError(f"cov: needs two axes at most, got shape {v.shape}")
        sample = astype(np.atleast_2d(v), dtype)
        turned = v.ndim != 1 if position == 0 else sample.shape[0] != 1
        rows.append(sample.T if not rowvar and turned else sample)
    x = concatenate(rows, 0) if len(rows) > 1 else rows[0]
    n = x.shape[1]
    weights = None
    for kind, w in (("fweights", fweights), ("aweights", aweights)):
        if w is None:
            continue
        w = lift(w)
        if kind == "fweights" and w.dtype.kind == "f":
            require(w == np.rint(w), TypeError("cov: fweights must be whole numbers"))
        require(w >= 0, ValueError(f"cov: {kind} must not be negative"))
        w = astype(w, dtype)
        if w.ndim > 1 or w.shape != (n,):
            raise RuntimeError(f"cov: weights of shape {w.shape} for {n} samples")
        weights = w if weights is None else weights * w
    if ddof is None:
        ddof = 0 if bias else 1
    if weights is None:
        mean, count = np.mean(x, axis=1), n - ddof
    else:
        mean, total = average(x, axis=1, weights=weights), np.sum(weights)
        if ddof == 0:
            count = total
        elif aweights is None:
            count = total - ddof
        else:
            count = total - ddof * np.sum(weights * astype(lift(aweights), dtype)) / total
    centred = x - mean[:, None]
    c = centred @ conj((centred if weights is None else centred * weights).T)
    return np.squeeze(c * (1 / count))


@implements(np.corrcoef)
def corrcoef(x: Array, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Array:
    """cov(x)ᵢⱼ / √(cov(x)ᵢᵢ cov(x)ⱼⱼ)."""
    c = cov(x, y, rowvar, dtype=dtype)
    if c.ndim == 0:
        return c / c
    spread = np.sqrt(np.real(np.diagonal(c)))
    c = c / spread[:, None] / spread[None, :]
    if c.dtype.kind == "c":
        return _within_one(np.real(c)) + 1j * _within_one(np.imag(c))
    return _within_one(c)


def _within_one(x: Array) -> Array:
    """x clipped to [-1, 1], which only rounding leaves: the derivatives are those of x."""
    return x + stop_gradient(np.clip(x, -1, 1) - x)


