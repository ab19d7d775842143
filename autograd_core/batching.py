"""A recorded computation, for many values of some of its inputs at once.

The rows of a Jacobian are one and the same product with it, of different cotangents. Recorded once,
that product is computed for all of them together, as *stacks*: arrays with an axis more, the first,
along which the values lie.

How an op computes with stacks is said by a rule in ``RULES``: it calls the op, with operands and
static arguments that leave the first axis alone. An op without one computes value by value, and
the others do not notice. A rule is right for any stacks; nothing here depends on what for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .compiler.program import ELEMENTWISE
from .node import Array
from .op import OPS, Op
from .ops.products import _LETTERS
from .ops.shaping import normalise
from .recipe import Recipe, Ref

__all__ = ["RULES", "run"]

#: A rule gets the op, its operands, which of them are stacks, how many values these hold, and the
#: static arguments; it returns the stack of results, or None where it does not apply.
Rule = Callable[..., Any]


def run(
    recipe: Recipe, inputs: Sequence[Array], stacked: Sequence[bool], n: int
) -> list[Array]:
    """The results of a recipe as stacks of ``n``; ``stacked``: which of its inputs are."""
    values, which = list(inputs), list(stacked)
    for op, operands, attrs in recipe.steps:
        xs = [values[x] if type(x) is Ref else x for x in operands]
        stacks = [type(x) is Ref and which[x] for x in operands]
        values.append(apply(op, xs, stacks, n, attrs))
        which.append(any(stacks))
    return [values[i] if which[i] else np.broadcast_to(values[i], (n, *np.shape(values[i])))
            for i in recipe.results]


def apply(
    op: Op, xs: Sequence[Array], stacks: Sequence[bool], n: int, attrs: dict[str, Any] | Any
) -> Array:
    """The stack of what ``op`` makes of each value; without a stack among ``xs``, one value."""
    if not any(stacks):
        return op(*xs, **attrs)
    rule = RULES.get(op)
    y = None if rule is None else rule(op, xs, stacks, n, **attrs)
    if y is None:
        y = np.stack([op(*[x[i] if s else x for x, s in zip(xs, stacks, strict=True)], **attrs)
                      for i in range(n)])
    return y


# Rules. -----------------------------------------------------------------------------------------


def _wide(x: Array, ndim: int) -> Array:
    """A stack of values with axes of size 1 in front, as many as it takes to have ``ndim``."""
    missing = ndim + 1 - x.ndim
    return x if missing <= 0 else x.reshape((x.shape[0], *(1,) * missing, *x.shape[1:]))


def _elementwise(op: Op, xs: Sequence[Array], stacks: Sequence[bool], n: int, **attrs: Any) -> Any:
    ndim = max(np.ndim(x) - s for x, s in zip(xs, stacks, strict=True))
    return op(*[_wide(x, ndim) if s else x for x, s in zip(xs, stacks, strict=True)], **attrs)


def _along(op: Op, xs: Sequence[Array], stacks: Any, n: int, *, axis: Any, **attrs: Any) -> Any:
    """Along axes: a reduction, or what keeps them."""
    ndim = xs[0].ndim - 1
    if axis is None:
        axis = tuple(range(ndim))
    elif ndim == 0:  # a single number may be reduced along an axis that it does not have
        axis = ()
    if isinstance(axis, tuple):
        return op(*xs, axis=tuple(i + 1 for i in normalise(axis, ndim, "axis")), **attrs)
    return op(*xs, axis=normalise(axis, ndim, "axis")[0] + 1, **attrs)


def _reshape(op: Op, xs: Sequence[Array], stacks: Any, n: int, *, shape: Any) -> Any:
    known = math.prod(k for k in shape if k != -1)
    size = math.prod(xs[0].shape[1:])
    return op(xs[0], shape=(n, *(size // known if k == -1 else k for k in shape)))


def _transpose(op: Op, xs: Sequence[Array], stacks: Any, n: int, *, axes: Any) -> Any:
    return op(xs[0], axes=(0, *(i + 1 for i in axes)))


def _broadcast(op: Op, xs: Sequence[Array], stacks: Any, n: int, *, shape: Any) -> Any:
    return op(_wide(xs[0], len(shape)), shape=(n, *shape))


def _concatenate(op: Op, xs: Sequence[Array], stacks: Sequence[bool], n: int, *, axis: int) -> Any:
    parts = [x if s else np.broadcast_to(x, (n, *x.shape))
             for x, s in zip(xs, stacks, strict=True)]
    return op(*parts, axis=axis + 1 if axis >= 0 else axis)


def _barrier(op: Op, xs: Sequence[Array], stacks: Sequence[bool], n: int) -> Any:
    x, after = xs
    return op(x if stacks[0] else np.broadcast_to(x, (n, *np.shape(x))), after)


def _pad(op: Op, xs: Sequence[Array], stacks: Any, n: int, *, widths: Any) -> Any:
    return op(xs[0], widths=((0, 0), *widths))


def _getitem(op: Op, xs: Sequence[Array], stacks: Sequence[bool], n: int, *, index: Any) -> Any:
    x, *arrays = xs
    if any(stacks[1:]):
        return None
    if not arrays:
        return op(x, index=_behind_all(index))
    return _first(op(_last(x), *arrays, index=_before_all(index)))


def _scatter(
    op: Op, xs: Sequence[Array], stacks: Sequence[bool], n: int, *, index: Any, shape: Any
) -> Any:
    v, *arrays = xs
    if any(stacks[1:]):
        return None
    if not arrays:
        return op(v, index=_behind_all(index), shape=(n, *shape))
    return _first(op(_last(v), *arrays, index=_before_all(index), shape=(*shape, n)))


def _set(op: Op, xs: Sequence[Array], stacks: Sequence[bool], n: int, *, index: Any) -> Any:
    x, v, *arrays = xs
    if any(stacks[2:]):
        return None
    if arrays:
        if stacks[1] or np.ndim(v):
            return None
        return _first(op(_last(x), v, *arrays, index=_before_all(index)))
    if not stacks[0]:
        x = np.broadcast_to(x, (n, *x.shape))
    if stacks[1]:
        v = _wide(v, np.broadcast_to(np.empty(()), x.shape[1:])[index].ndim)
    return op(x, v, index=_behind_all(index))


# With arrays in an index, what it takes may come first or stay in its place, depending on where in
# the index they stand: an axis that comes after all it names changes neither.


def _behind_all(index: Any) -> tuple[Any, ...]:
    """A basic index for stacks: of all values."""
    return (slice(None), *(index if type(index) is tuple else (index,)))


def _before_all(index: tuple[Any, ...]) -> tuple[Any, ...]:
    """An index for stacks whose first axis was made the last."""
    return (*index, slice(None)) if any(part is Ellipsis for part in index) else index


def _last(x: Array) -> Array:
    return x.transpose((*range(1, x.ndim), 0))


def _first(x: Array) -> Array:
    return x.transpose((x.ndim - 1, *range(x.ndim - 1)))


def _matmul(op: Op, xs: Sequence[Array], stacks: Sequence[bool], n: int) -> Any:
    a, b = xs
    rows, columns = np.ndim(a) - stacks[0] > 1, np.ndim(b) - stacks[1] > 1
    if stacks[0] and not stacks[1] and np.ndim(b) == 2:  # one product with all rows of all values
        product = op(a.reshape((-1, a.shape[-1])) if b.shape[0] else
                     a.reshape((math.prod(a.shape[:-1]), 0)), b)
        return product.reshape((*a.shape[:-1], b.shape[1]))
    # A vector on the left is a row, on the right a column; axes in front are those of stacks.
    if not rows:
        a = a[..., None, :]
    if not columns:
        b = b[..., None]
    ndim = max(np.ndim(a) - stacks[0], np.ndim(b) - stacks[1])
    y = op(*[_wide(x, ndim) if s else x for x, s in zip((a, b), stacks, strict=True)])
    if not columns:
        y = y[..., 0]
    if not rows:
        y = y[..., 0] if not columns else y[..., 0, :]
    return y


def _matrices(op: Op, xs: Sequence[Array], stacks: Sequence[bool], n: int) -> Any:
    """What works on the last two axes and broadcasts those before them."""
    return _elementwise(op, xs, stacks, n)


def _einsum(
    op: Op, xs: Sequence[Array], stacks: Sequence[bool], n: int, *, terms: Any, output: str,
    optimize: Any,
) -> Any:
    free = next((c for c in _LETTERS if c not in "".join(terms) + output), None)
    if free is None:
        return None
    named = tuple(free + term if s else term for term, s in zip(terms, stacks, strict=True))
    return op(*xs, terms=named, output=free + output, optimize=optimize)


def _table() -> dict[Op, Rule]:
    families: dict[Rule, str] = {
        _elementwise: "identity stop_gradient where astype astype_discrete relu sigmoid softplus "
                      "round sinc bessel_i fraction whole exponent imag real conjugate",
        _along: "sum mean prod max min nanmax nanmin cumsum cumprod logsumexp softmax log_softmax "
                "fft rfft irfft",
        _barrier: "barrier",
        _reshape: "reshape",
        _transpose: "transpose",
        _broadcast: "broadcast_to",
        _concatenate: "concatenate",
        _pad: "pad",
        _getitem: "getitem",
        _scatter: "scatter",
        _set: "set",
        _matmul: "matmul",
        _einsum: "einsum",
        _matrices: "inv solve",
    }
    rules: dict[Op, Rule] = dict.fromkeys(ELEMENTWISE, _elementwise)
    for rule, names in families.items():
        rules.update({OPS[name]: rule for name in names.split()})
    return rules


RULES = _table()
