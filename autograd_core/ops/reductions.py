"""Along axes: sums, products, extrema, means, spreads, cumulative sums, log-sum-exp, softmax."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..node import Array, require, value_of
from ..op import POSITIVE, Case, case, conj, define, implements, lift, refuse_options
from .indexing import take_along_axis
from .shaping import (
    FILL,
    astype,
    broadcast_to,
    concatenate,
    expand_reduced,
    flip,
    reshape,
)

Axis = int | tuple[int, ...] | None


def _along_axes(*extra: Case) -> tuple[Case, ...]:
    """The reductions' cases: all axes, one, several, negative, kept, of size 0 and 1."""
    return (
        case((), axis=None, keepdims=False),
        case((4,), axis=None, keepdims=False),
        case((2, 3), axis=None, keepdims=True),
        case((2, 3), axis=0, keepdims=False),
        case((2, 3), axis=-1, keepdims=True),
        case((2, 3, 2), axis=(0, 2), keepdims=False),
        case((2, 1, 2), axis=(-1, 1), keepdims=True),
        *extra,
    )


_EMPTY = (case((0, 3), axis=0, keepdims=False), case((2, 0), axis=None, keepdims=False))


def _axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    """``axis`` as a sorted tuple of non-negative integers; ``None`` means all."""
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, tuple) else (axis,)
    return tuple(sorted(a % ndim for a in given)) if ndim else ()


def _kept(keepdims: Any) -> bool:
    """``keepdims`` as a bool: NumPy takes any number, and may pass on that nothing was given."""
    return keepdims is True or (
        keepdims is not False
        and keepdims is not np._NoValue
        and bool(keepdims)
    )


def _count(x: Array, axis: Axis) -> int:
    """How many elements are reduced into one."""
    if axis is None:
        return int(x.size)
    n = 1
    for a in axis if isinstance(axis, tuple) else (axis,):
        n *= x.shape[a]
    return n


_add_reduce: Any = np.add.reduce

# Sums and means. --------------------------------------------------------------------------------


def _sum_forward(x: Array, axis: Axis, keepdims: bool) -> Array:
    if type(x) is np.ndarray:  # what x.sum does, without the Python function around it
        return _add_reduce(x, axis, None, None, keepdims)
    return x.sum(axis, None, None, keepdims)


def _spread(g: Array, x: Array, axis: Axis, keepdims: bool) -> Array:
    """The cotangent of a sum, given to every summand."""
    if isinstance(g, np.generic) and x.size <= FILL:  # a whole small array summed: the usual loss
        out = np.empty(x.shape, g.dtype)
        out.fill(g)
        return out
    return broadcast_to(expand_reduced(g, x, axis, keepdims), shape=x.shape)


def _sum_rule(g: Array, y: Array, x: Array, axis: Axis, keepdims: bool) -> Array:
    return _spread(g, x, axis, keepdims)


sum_ = define(
    "sum", _sum_forward, (_sum_rule,), "Σ x", cases=_along_axes(*_EMPTY), takes_complex=True
)


def _mean_forward(x: Array, axis: Axis, keepdims: bool) -> Array:
    if x.dtype.itemsize < 4:  # NumPy sums half precision in single precision
        return x.mean(axis, None, None, keepdims)
    if axis is None and type(x) is np.ndarray:  # the usual loss
        return _add_reduce(x, None, None, None, keepdims) / x.size
    return _sum_forward(x, axis, keepdims) / _count(x, axis)


def _mean_rule(g: Array, y: Array, x: Array, axis: Axis, keepdims: bool) -> Array:
    share = g / _count(x, axis) if x.size else g
    return _spread(share, x, axis, keepdims)


mean_ = define(
    "mean", _mean_forward, (_mean_rule,), "Σ x / n", cases=_along_axes(), takes_complex=True
)


@implements(np.sum)
def sum(
    a: Array, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: Any = False,
    initial: Any = np._NoValue, where: Any = np._NoValue,
) -> Array:
    if out is not None:
        refuse_options("sum", out=out)
    if where is not np._NoValue:
        a = np.where(where, a, 0)
    if dtype is not None:
        a = astype(a, dtype)
    total = sum_(a, axis=axis, keepdims=_kept(keepdims))
    return total if initial is np._NoValue else total + initial


@implements(np.mean)
def mean(
    a: Array, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: Any = False,
    *, where: Any = np._NoValue,
) -> Array:
    refuse_options("mean", out=out)
    if dtype is not None:
        a = astype(a, dtype)
    if where is np._NoValue or where is True:
        return mean_(a, axis=axis, keepdims=_kept(keepdims))
    total = sum(a, axis, keepdims=keepdims, where=where)
    return _per(total, _chosen(a, where, axis, _kept(keepdims)))


def _chosen(a: Array, where: Any, axis: Axis, keepdims: bool) -> Array:
    """How many elements ``where`` lets through into each result."""
    return sum_(np.broadcast_to(lift(where), a.shape), axis=axis, keepdims=keepdims)


def _per(total: Array, count: Array) -> Array:
    """total / count in the precision of the total."""
    return total / (astype(count, total.dtype) if total.dtype.kind in "fc" else count)


def squared_modulus(x: Array) -> Array:
    """|x|²: x² for a real x."""
    return np.square(x) if x.dtype.kind != "c" else np.real(x * conj(x))


@implements(np.var)
def var(
    a: Array, axis: Axis = None, dtype: Any = None, out: None = None, ddof: float = 0,
    keepdims: Any = False, *, where: Any = np._NoValue, mean: Any = np._NoValue,
    correction: Any = np._NoValue,
) -> Array:
    """Σ |x - mean|² / (n - ddof)."""
    refuse_options("var", out=out)
    if dtype is not None:
        a = astype(a, dtype)
    ddof = ddof if correction is np._NoValue else correction
    partly = where is not np._NoValue and where is not True
    if partly:  # not only left out: a NaN there, times a cotangent of 0, would be NaN
        a = np.where(where, a, 0)
    if mean is not np._NoValue:
        centre = mean
    elif partly:
        total = sum(a, axis, keepdims=True, where=where)
        centre = _per(total, np.maximum(_chosen(a, where, axis, True), 1))
    else:
        centre = mean_(a, axis=axis, keepdims=True)
    squares = squared_modulus(a - centre)
    if not partly:
        return sum_(squares, axis=axis, keepdims=_kept(keepdims)) / (_count(a, axis) - ddof)
    total = sum(squares, axis, keepdims=keepdims, where=where)
    return _per(total, np.maximum(_chosen(a, where, axis, _kept(keepdims)) - ddof, 0))


@implements(np.std)
def std(
    a: Array, axis: Axis = None, dtype: Any = None, out: None = None, ddof: float = 0,
    keepdims: Any = False, *, where: Any = np._NoValue, mean: Any = np._NoValue,
    correction: Any = np._NoValue,
) -> Array:
    """√var, with gradient 0 where the variance is 0: the subgradient of least norm."""
    v = var(a, axis, dtype, out, ddof, keepdims, where=where, mean=mean, correction=correction)
    constant = v == 0
    return np.where(constant, 0, np.sqrt(np.where(constant, 1, v)))


def weights_along(name: str, a: Array, weights: Any, axis: Axis) -> Array:
    """Weights for the elements of ``a``, or for those along ``axis``; they broadcast to ``a``."""
    weights = lift(weights)
    if a.shape == weights.shape:
        return weights
    if axis is None:
        raise TypeError(f"{name}: axis= must be given, since weights have another shape")
    axes = _axes(axis, a.ndim)
    given = [i % a.ndim for i in axis] if isinstance(axis, tuple) else list(axes)
    if tuple(weights.shape) != tuple(a.shape[i] for i in given):
        raise ValueError(
            f"{name}: weights of shape {weights.shape} do not fit axis {axis} of shape {a.shape}"
        )
    weights = np.transpose(weights, [given.index(i) for i in axes])
    return reshape(weights, [n if i in axes else 1 for i, n in enumerate(a.shape)])


@implements(np.average)
def average(
    a: Array, axis: Axis = None, weights: Any = None, returned: bool = False,
    *, keepdims: Any = False,
) -> Any:
    """Σ w x / Σ w."""
    a = lift(a)
    if weights is None:
        result = mean(a, axis, keepdims=keepdims)
        total = result.dtype.type(a.size / result.size) if result.size else result
    else:
        weights = weights_along("average", a, weights, axis)
        if a.dtype.kind in "biu":
            a = astype(a, np.result_type(a.dtype, weights.dtype, np.float64))
        total = sum(broadcast_to(weights, a.shape), axis, keepdims=keepdims)
        require(total != 0, ZeroDivisionError("average: the weights sum to zero"))
        result = sum(a * weights, axis, keepdims=keepdims) / total
    if not returned:
        return result
    return result, broadcast_to(lift(total), result.shape)


def _cumsum_rule(g: Array, y: Array, x: Array, axis: int) -> Array:
    return flip(cumsum_(flip(g, axis), axis=axis), axis)


cumsum_ = define(
    "cumsum", lambda x, axis: x.cumsum(axis), (_cumsum_rule,), "running Σ x",
    cases=(case((4,), axis=0), case((2, 3), axis=1), case((2, 3), axis=-2), case((0,), axis=0),
           case((1, 2), axis=0), case((2, 0), axis=0)), takes_complex=True,
)


@implements(np.cumsum)
def cumsum(a: Array, axis: int | None = None, dtype: Any = None, out: None = None) -> Array:
    refuse_options("cumsum", out=out)
    if dtype is not None:
        a = astype(a, dtype)
    return cumsum_(reshape(a, (-1,)), axis=0) if axis is None else cumsum_(a, axis=axis)


def _cumulative(
    name: str, of: Any, first: Any, x: Array, axis: int | None, dtype: Any, include_initial: bool
) -> Array:
    if axis is None:
        if x.ndim > 1:
            raise ValueError(f"{name}: axis= must be given for shape {x.shape}")
        axis = 0
    x = x if x.ndim else reshape(x, (1,))
    y = of(x, axis, dtype)
    if not include_initial:
        return y
    shape = tuple(1 if i == axis % y.ndim else n for i, n in enumerate(y.shape))
    return concatenate([np.full_like(value_of(y), first, shape=shape), y], axis)


# Products. --------------------------------------------------------------------------------------


def _product_of_others(x: Array) -> Array:
    """Along the last axis, the product of all other elements, in multiplications only.

    Dividing the whole product by each element fails at zeros; this is a tree of pairs: others
    of an element = its partner times the others of the pair. Exact at any number of zeros, to
    any order of derivative.
    """
    n = x.shape[-1]
    if n == 1:
        return np.ones_like(x)
    odd = x[..., n - 1 :] if n % 2 else None
    left, right = x[..., 0 : n - 1 : 2], x[..., 1:n:2]
    pairs = left * right
    outside = _product_of_others(pairs if odd is None else concatenate([pairs, odd], -1))
    m = n // 2
    halves = concatenate([(outside[..., :m] * right)[..., None],
                          (outside[..., :m] * left)[..., None]], -1)
    others = reshape(halves, (*x.shape[:-1], 2 * m))
    return others if odd is None else concatenate([others, outside[..., m:]], -1)


def _prod_rule(g: Array, y: Array, x: Array, axis: Axis, keepdims: bool) -> Array:
    if x.size == 0:
        return expand_reduced(g, x, axis, keepdims) * x
    axes = _axes(axis, x.ndim)
    kept = tuple(a for a in range(x.ndim) if a not in axes)
    last = np.transpose(x, kept + axes)
    others = _product_of_others(reshape(last, (*(x.shape[a] for a in kept), -1)))
    order = kept + axes
    back = tuple(order.index(a) for a in range(x.ndim))
    others = np.transpose(reshape(others, last.shape), back)
    return expand_reduced(g, x, axis, keepdims) * others


prod_ = define(
    "prod", lambda x, axis, keepdims: x.prod(axis, None, None, keepdims), (_prod_rule,), "Π x",
    domain=(POSITIVE,), cases=_along_axes(*_EMPTY, case((5, 2), axis=0, keepdims=False)),
    takes_complex=True,
)


@implements(np.prod)
def prod(
    a: Array, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: Any = False,
    initial: Any = np._NoValue, where: Any = np._NoValue,
) -> Array:
    refuse_options("prod", out=out)
    if where is not np._NoValue:
        a = np.where(where, a, 1)
    if dtype is not None:
        a = astype(a, dtype)
    product = prod_(a, axis=axis, keepdims=_kept(keepdims))
    return product if initial is np._NoValue else product * initial


def _backward_recurrence(g: Array, x: Array) -> Array:
    """rᵢ = gᵢ + xᵢ₊₁ rᵢ₊₁ along the first axis, in log₂ n sweeps, each over spans twice as long."""
    n = x.shape[0]
    r, a, span = g, x[1:], 1  # a[i] = xᵢ₊₁ ... xᵢ₊ₛₚₐₙ
    while span < n:
        r = concatenate([r[: n - span] + a * r[span:], r[n - span :]], 0)
        if 2 * span < n:
            a = a[: n - 2 * span] * a[span:]
        span *= 2
    return r


def _cumprod_rule(g: Array, y: Array, x: Array, axis: int) -> Array:
    """(x₀ ... xᵢ₋₁) Σⱼ gⱼ xᵢ₊₁ ... xⱼ over j ≥ i: no division, so exact at zeros, to any order."""
    if x.shape[axis] == 0:
        return g * x
    g, y, x = (np.moveaxis(v, axis, 0) for v in (g, y, x))
    before = concatenate([np.ones_like(x[:1]), y[:-1]], 0)
    return np.moveaxis(before * _backward_recurrence(g, x), 0, axis)


cumprod_ = define(
    "cumprod", lambda x, axis: x.cumprod(axis), (_cumprod_rule,), "running Π x",
    domain=(POSITIVE,),
    cases=(case((4,), axis=0), case((2, 3), axis=1), case((5, 2), axis=-2), case((0,), axis=0),
           case((1, 2), axis=0), case((2, 0), axis=0)), takes_complex=True,
)


@implements(np.cumprod)
def cumprod(a: Array, axis: int | None = None, dtype: Any = None, out: None = None) -> Array:
    refuse_options("cumprod", out=out)
    if dtype is not None:
        a = astype(a, dtype)
    return cumprod_(reshape(a, (-1,)), axis=0) if axis is None else cumprod_(a, axis=axis)


@implements("cumulative_sum")
def cumulative_sum(
    x: Array, /, *, axis: int | None = None, dtype: Any = None, out: None = None,
    include_initial: bool = False,
) -> Array:
    refuse_options("cumulative_sum", out=out)
    return _cumulative("cumulative_sum", cumsum, 0, x, axis, dtype, include_initial)


@implements("cumulative_prod")
def cumulative_prod(
    x: Array, /, *, axis: int | None = None, dtype: Any = None, out: None = None,
    include_initial: bool = False,
) -> Array:
    refuse_options("cumulative_prod", out=out)
    return _cumulative("cumulative_prod", cumprod, 1, x, axis, dtype, include_initial)


# Extrema. ---------------------------------------------------------------------------------------


def _extremum_rule(g: Array, y: Array, x: Array, axis: Axis, keepdims: bool) -> Array:
    """Tied extrema share the gradient equally."""
    chosen = x == expand_reduced(y, x, axis, keepdims)
    ties = astype(sum_(chosen, axis=axis, keepdims=True), g.dtype)
    return np.where(chosen, expand_reduced(g, x, axis, keepdims) / ties, 0)


max_ = define(
    "max", lambda x, axis, keepdims: x.max(axis, None, keepdims), (_extremum_rule,),
    "the largest x", cases=_along_axes(case((0, 3), axis=1, keepdims=False)), takes_complex=True,
)
min_ = define(
    "min", lambda x, axis, keepdims: x.min(axis, None, keepdims), (_extremum_rule,),
    "the smallest x", cases=_along_axes(case((0, 3), axis=1, keepdims=False)), takes_complex=True,
)


def _of_nothing(a: Array, axis: Axis, keepdims: bool, initial: Any) -> Array:
    """``initial`` in the shape of a reduction of an empty array."""
    start = sum_(a, axis=axis, keepdims=keepdims)
    return start + astype(lift(initial), a.dtype)


def _extremum(
    name: str, op: Any, of_two: Any, a: Array, axis: Axis, out: None, keepdims: Any,
    initial: Any, where: Any,
) -> Array:
    """``op`` of the chosen elements and ``initial``; ``of_two`` is the same of two operands."""
    if out is not None:
        refuse_options(name, out=out)
    if where is not np._NoValue and where is not True:
        if initial is np._NoValue:
            raise ValueError(f"{name}: where= needs initial=, the result where nothing is chosen")
        a = np.where(where, a, initial)
    kept = _kept(keepdims)
    if initial is np._NoValue:
        return op(a, axis=axis, keepdims=kept)
    if a.size == 0:
        return _of_nothing(a, axis, kept, initial)
    return of_two(op(a, axis=axis, keepdims=kept), initial)


@implements(np.max, np.amax)
def max(
    a: Array, axis: Axis = None, out: None = None, keepdims: Any = False,
    initial: Any = np._NoValue, where: Any = np._NoValue,
) -> Array:
    return _extremum("max", max_, np.maximum, a, axis, out, keepdims, initial, where)


@implements(np.min, np.amin)
def min(
    a: Array, axis: Axis = None, out: None = None, keepdims: Any = False,
    initial: Any = np._NoValue, where: Any = np._NoValue,
) -> Array:
    return _extremum("min", min_, np.minimum, a, axis, out, keepdims, initial, where)


@implements(np.ptp)
def ptp(a: Array, axis: Axis = None, out: None = None, keepdims: Any = False) -> Array:
    return max(a, axis, out, keepdims) - min(a, axis, out, keepdims)


def _latest_forward(x: Array, largest: bool, axis: int) -> Array:
    """Where the running extremum was last attained; a NaN is one, and stays."""
    x = np.moveaxis(x, axis, -1)
    running = (np.maximum if largest else np.minimum).accumulate(x, axis=-1)
    attained = (x == running) | np.isnan(x)
    where = np.where(attained, np.arange(x.shape[-1], like=x), 0)
    return np.moveaxis(np.maximum.accumulate(where, axis=-1), -1, axis)


latest_ = define(
    "latest", _latest_forward, None, "where the running extremum was last attained"
)


def running_max(a: Array, axis: int) -> Array:
    """The largest so far; of tied elements, the latest has the gradient."""
    return take_along_axis(a, latest_(a, largest=True, axis=axis), axis)


def running_min(a: Array, axis: int) -> Array:
    """The smallest so far; of tied elements, the latest has the gradient."""
    return take_along_axis(a, latest_(a, largest=False, axis=axis), axis)


# Without the elements that are NaN. -------------------------------------------------------------


@implements(np.nansum)
def nansum(
    a: Array, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: Any = False,
    initial: Any = np._NoValue, where: Any = np._NoValue,
) -> Array:
    return sum(_filled(a, 0), axis, dtype, out, keepdims, initial, where)


@implements(np.nanprod)
def nanprod(
    a: Array, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: Any = False,
    initial: Any = np._NoValue, where: Any = np._NoValue,
) -> Array:
    return prod(_filled(a, 1), axis, dtype, out, keepdims, initial, where)


@implements(np.nancumsum)
def nancumsum(a: Array, axis: int | None = None, dtype: Any = None, out: None = None) -> Array:
    return cumsum(_filled(a, 0), axis, dtype, out)


@implements(np.nancumprod)
def nancumprod(a: Array, axis: int | None = None, dtype: Any = None, out: None = None) -> Array:
    return cumprod(_filled(a, 1), axis, dtype, out)


def _filled(a: Array, value: float) -> Array:
    """``a`` with ``value`` for NaN."""
    a = lift(a)
    return np.where(np.isnan(a), value, a) if a.dtype.kind in "fc" else a


def _known(a: Array, where: Any) -> Any:
    """Which elements are not NaN, among those chosen."""
    known = ~np.isnan(a)
    return known if where is np._NoValue else np.logical_and(known, where)


@implements(np.nanmean)
def nanmean(
    a: Array, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: Any = False,
    *, where: Any = np._NoValue,
) -> Array:
    a = lift(a)
    return mean(a, axis, dtype, out, keepdims, where=_known(a, where))


@implements(np.nanvar)
def nanvar(
    a: Array, axis: Axis = None, dtype: Any = None, out: None = None, ddof: float = 0,
    keepdims: Any = False, *, where: Any = np._NoValue, mean: Any = np._NoValue,
    correction: Any = np._NoValue,
) -> Array:
    known = _known(lift(a), where)
    return var(a, axis, dtype, out, ddof, keepdims, where=known, mean=mean, correction=correction)


@implements(np.nanstd)
def nanstd(
    a: Array, axis: Axis = None, dtype: Any = None, out: None = None, ddof: float = 0,
    keepdims: Any = False, *, where: Any = np._NoValue, mean: Any = np._NoValue,
    correction: Any = np._NoValue,
) -> Array:
    known = _known(lift(a), where)
    return std(a, axis, dtype, out, ddof, keepdims, where=known, mean=mean, correction=correction)


def _known_extremum_rule(g: Array, y: Array, x: Array, axis: Axis, keepdims: bool) -> Array:
    """As of max and min; where all is NaN, nothing was chosen."""
    chosen = x == expand_reduced(y, x, axis, keepdims)
    ties = np.maximum(astype(sum_(chosen, axis=axis, keepdims=True), g.dtype), 1)
    return np.where(chosen, expand_reduced(g, x, axis, keepdims) / ties, 0)


nanmax_ = define(
    "nanmax", lambda x, axis, keepdims: np.nanmax(x, axis, keepdims=keepdims),
    (_known_extremum_rule,), "the largest x that is not NaN",
    cases=_along_axes(case((0, 3), axis=1, keepdims=False)),
    takes_complex=True,
)
nanmin_ = define(
    "nanmin", lambda x, axis, keepdims: np.nanmin(x, axis, keepdims=keepdims),
    (_known_extremum_rule,), "the smallest x that is not NaN",
    cases=_along_axes(case((0, 3), axis=1, keepdims=False)),
    takes_complex=True,
)


@implements(np.nanmax)
def nanmax(
    a: Array, axis: Axis = None, out: None = None, keepdims: Any = False,
    initial: Any = np._NoValue, where: Any = np._NoValue,
) -> Array:
    if initial is np._NoValue and where is np._NoValue:
        refuse_options("nanmax", out=out)
        return nanmax_(lift(a), axis=axis, keepdims=_kept(keepdims))
    return max(_filled(a, -np.inf), axis, out, keepdims, initial, where)


@implements(np.nanmin)
def nanmin(
    a: Array, axis: Axis = None, out: None = None, keepdims: Any = False,
    initial: Any = np._NoValue, where: Any = np._NoValue,
) -> Array:
    if initial is np._NoValue and where is np._NoValue:
        refuse_options("nanmin", out=out)
        return nanmin_(lift(a), axis=axis, keepdims=_kept(keepdims))
    return min(_filled(a, np.inf), axis, out, keepdims, initial, where)


# Exponentials of a whole axis: composed naively they overflow, so they are primitives. ----------


def _top(x: Array, axis: Axis) -> Array:
    """What to subtract so that no exponential overflows."""
    return (x.real if x.dtype.kind == "c" else x).max(axis, None, True)


def _logsumexp_forward(x: Array, axis: Axis, keepdims: bool) -> Array:
    if x.dtype.kind == "c":
        return _complex_logsumexp(x, axis, keepdims)
    top = x.max(axis, None, True)
    # An infinite maximum would give inf - inf: there, nothing is subtracted. Otherwise the sum is
    # at least 1, so that the maximum with 1 only spares the logarithm of 0 where all is -inf.
    shift = np.where(np.isfinite(top), top, 0)
    y = np.log(np.maximum(np.exp(x - shift).sum(axis, None, None, True), 1)) + top
    return y if keepdims else y.reshape(_reduced_shape(x, axis))


def _complex_logsumexp(x: Array, axis: Axis, keepdims: bool) -> Array:
    """The sum may be 0 here, and the logarithm is the principal one."""
    top = _top(x, axis)
    shift = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):
        y = np.log(np.exp(x - shift).sum(axis, None, None, True)) + shift
    return y if keepdims else y.reshape(_reduced_shape(x, axis))


def _reduced_shape(x: Array, axis: Axis) -> tuple[int, ...]:
    axes = _axes(axis, x.ndim)
    return tuple(n for a, n in enumerate(x.shape) if a not in axes)


def _logsumexp_rule(g: Array, y: Array, x: Array, axis: Axis, keepdims: bool) -> Array:
    """g softmax(x); where y is -inf every x is -inf, and none has an influence."""
    if x.dtype.kind == "c":
        return expand_reduced(g, x, axis, keepdims) * np.exp(
            x - expand_reduced(y, x, axis, keepdims))
    top = np.maximum(expand_reduced(y, x, axis, keepdims), np.finfo(x.dtype).min)
    return expand_reduced(g, x, axis, keepdims) * np.exp(x - top)


logsumexp_ = define(
    "logsumexp", _logsumexp_forward, (_logsumexp_rule,), "ln Σ eˣ",
    cases=_along_axes(case((0, 3), axis=1, keepdims=False)), takes_complex=True,
)


def logsumexp(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """ln Σ exp(x) along ``axis``, without overflow; -inf where every element is -inf.

    The gradient is softmax(x).
    """
    return logsumexp_(lift(x), axis=axis, keepdims=keepdims)


def _softmax_forward(x: Array, axis: Axis) -> Array:
    e = np.exp(x - _top(x, axis))
    return e / e.sum(axis, None, None, True)


softmax_ = define(
    "softmax", _softmax_forward,
    (lambda g, y, x, axis: y * (g - sum_(g * y, axis=axis, keepdims=True)),),
    "eˣ / Σ eˣ",
    cases=(case((3,), axis=-1), case((2, 3), axis=0), case((2, 3), axis=None),
           case((0, 3), axis=1), case((2, 1), axis=1), case((), axis=None)),
    takes_complex=True,
)


def softmax(x: Array, axis: Axis = -1) -> Array:
    """exp(x) / Σ exp(x) along ``axis``, without overflow; the result has the shape of x."""
    return softmax_(lift(x), axis=axis)


def _log_softmax_forward(x: Array, axis: Axis) -> Array:
    shifted = x - _top(x, axis)
    return shifted - np.log(np.exp(shifted).sum(axis, None, None, True))


log_softmax_ = define(
    "log_softmax", _log_softmax_forward,
    (lambda g, y, x, axis: g - np.exp(y) * sum_(g, axis=axis, keepdims=True),),
    "x - ln Σ eˣ",
    cases=(case((3,), axis=-1), case((2, 3), axis=0), case((2, 3), axis=None),
           case((0, 3), axis=1), case((2, 1), axis=1), case((), axis=None)),
    takes_complex=True,
)


def log_softmax(x: Array, axis: Axis = -1) -> Array:
    """x - ln Σ exp(x) along ``axis``: the logarithm of softmax, exact where softmax underflows."""
    return log_softmax_(lift(x), axis=axis)


# Questions. -------------------------------------------------------------------------------------

argmax_ = define(
    "argmax", lambda x, axis, keepdims: np.argmax(x, axis, keepdims=keepdims), None,
    "the index of the largest x",
)
argmin_ = define(
    "argmin", lambda x, axis, keepdims: np.argmin(x, axis, keepdims=keepdims), None,
    "the index of the smallest x",
)
all_ = define(
    "all", lambda x, axis, keepdims: np.all(x, axis, keepdims=keepdims), None, "whether all hold"
)
any_ = define(
    "any", lambda x, axis, keepdims: np.any(x, axis, keepdims=keepdims), None, "whether any holds"
)
count_nonzero_ = define(
    "count_nonzero", lambda x, axis, keepdims: (x != 0).sum(axis, None, None, keepdims), None,
    "how many are not zero",
)


@implements(np.argmax)
def argmax(a: Array, axis: int | None = None, out: None = None, *, keepdims: Any = False) -> Array:
    refuse_options("argmax", out=out)
    return argmax_(a, axis=axis, keepdims=_kept(keepdims))


@implements(np.argmin)
def argmin(a: Array, axis: int | None = None, out: None = None, *, keepdims: Any = False) -> Array:
    refuse_options("argmin", out=out)
    return argmin_(a, axis=axis, keepdims=_kept(keepdims))


@implements(np.all)
def all(
    a: Array, axis: Axis = None, out: None = None, keepdims: Any = False, *,
    where: Any = np._NoValue,
) -> Array:
    refuse_options("all", out=out)
    if where is not np._NoValue:
        a = np.logical_or(a, np.logical_not(where))
    return all_(a, axis=axis, keepdims=_kept(keepdims))


@implements(np.any)
def any(
    a: Array, axis: Axis = None, out: None = None, keepdims: Any = False, *,
    where: Any = np._NoValue,
) -> Array:
    refuse_options("any", out=out)
    if where is not np._NoValue:
        a = np.logical_and(a, where)
    return any_(a, axis=axis, keepdims=_kept(keepdims))


@implements(np.count_nonzero)
def count_nonzero(a: Array, axis: Axis = None, *, keepdims: Any = False) -> Array:
    return count_nonzero_(a, axis=axis, keepdims=_kept(keepdims))
