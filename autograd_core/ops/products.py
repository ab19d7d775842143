"""Products: matmul and its relatives, tensordot, einsum."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..node import Array, Node
from ..op import REAL, EachInput, case, conj, define, implements, lift, refuse_options
from .shaping import (
    astype,
    expand_dims,
    moveaxis,
    normalise,
    ravel,
    reshape,
    swapaxes,
    transpose,
)


def _t(x: Array) -> Array:
    """The transpose of the last two axes."""
    return swapaxes(x, -1, -2) if isinstance(x, Node) else x.swapaxes(-1, -2)


_SINGLE, _DOUBLE = np.dtype(np.float32), np.dtype(np.float64)


def _times(a: Array, b: Array) -> Array:
    """a @ b. Of matrices by ``dot``, which is the same product.

    It comes to BLAS in half the time, and hands a column times a row to it too.
    """
    if type(a) is type(b) is np.ndarray and a.ndim == b.ndim == 2:
        dtype = a.dtype
        if dtype is b.dtype and (dtype is _SINGLE or dtype is _DOUBLE):
            try:
                return a.dot(b)
            except ValueError:
                pass  # sizes that differ: @ says so in its own words
    return a @ b


def _matmul_left(g: Array, y: Array, a: Array, b: Array) -> Array:
    if b.ndim == 2 and a.ndim > 1:
        return _times(g, b.T)
    if b.ndim == 1:  # each element of y is a row of a times b
        return g[..., None] * b
    if a.ndim == 1:  # a is a row vector: y = a @ b
        return (b @ g[..., None])[..., 0]
    return g @ _t(b)


def _matmul_right(g: Array, y: Array, a: Array, b: Array) -> Array:
    if a.ndim == 2 and b.ndim > 1:
        return _times(a.T, g)
    if a.ndim == 1:  # y = a @ b, an outer product going back
        return a[:, None] * g[..., None, :] if b.ndim > 1 else a * g
    if b.ndim == 1:
        return (_t(a) @ g[..., None])[..., 0]
    return _t(a) @ g


matmul = define(
    "matmul", _times, (_matmul_left, _matmul_right), "a @ b", domain=(REAL, REAL),
    cases=(case((2, 3), (3, 4)), case((3,), (3,)), case((2, 3), (3,)), case((3,), (3, 2)),
           case((2, 2, 3), (3, 2)), case((3, 2), (2, 2, 3)), case((3, 1, 2, 2), (2, 2, 1)),
           case((3,), (2, 3, 2)), case((2, 2, 3), (3,)), case((0, 3), (3, 2)),
           case((2, 0), (0, 3))),
    numpy=np.matmul,
)


@implements(np.dot)
def dot(a: Array, b: Array, out: None = None) -> Array:
    refuse_options("dot", out=out)
    a, b = lift(a), lift(b)
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    return a @ b if b.ndim <= 2 else tensordot(a, b, (-1, -2))


@implements(np.vdot)
def vdot(a: Array, b: Array, /) -> Array:
    return conj(ravel(a)) @ ravel(b)


@implements(np.inner)
def inner(a: Array, b: Array, /) -> Array:
    a, b = lift(a), lift(b)
    return a * b if a.ndim == 0 or b.ndim == 0 else tensordot(a, b, (-1, -1))


@implements(np.outer)
def outer(a: Array, b: Array, out: None = None) -> Array:
    refuse_options("outer", out=out)
    return reshape(a, (-1, 1)) * reshape(b, (1, -1))


@implements(np.linalg.outer)
def linalg_outer(x1: Array, x2: Array, /) -> Array:
    for x in (x1, x2):
        if np.ndim(x) != 1:
            raise ValueError(f"linalg.outer: needs vectors, got shape {np.shape(x)}")
    return outer(x1, x2)


implements(np.linalg.matmul)(lambda x1, x2, /: matmul(x1, x2))


@implements(np.kron)
def kron(a: Array, b: Array) -> Array:
    a, b = lift(a), lift(b)
    n = max(a.ndim, b.ndim)
    left = (1,) * (n - a.ndim) + tuple(a.shape)
    right = (1,) * (n - b.ndim) + tuple(b.shape)
    product = reshape(a, tuple(k for s in left for k in (s, 1))) * reshape(
        b, tuple(k for s in right for k in (1, s))
    )
    return reshape(product, tuple(s * t for s, t in zip(left, right, strict=True)))


@implements(np.vecdot, np.linalg.vecdot)
def vecdot(x1: Array, x2: Array, /, *, axis: int = -1) -> Array:
    return np.sum(conj(lift(x1)) * lift(x2), axis=axis)


@implements("matvec")
def matvec(x1: Array, x2: Array, /) -> Array:
    return matmul(x1, lift(x2)[..., None])[..., 0]


@implements("vecmat")
def vecmat(x1: Array, x2: Array, /) -> Array:
    return matmul(conj(lift(x1))[..., None, :], x2)[..., 0, :]


def along_core_axes(
    ufunc: np.ufunc, implementation: Callable[..., Array], *inputs: Array,
    axes: Sequence[Any] | None = None, axis: int | None = None, keepdims: bool = False,
) -> Array:
    """A generalised ufunc along the axes that ``axes=`` or ``axis=`` name, not the last ones."""
    name = ufunc.__name__
    if not str(ufunc.signature).endswith("->()") and (axis is not None or keepdims):
        raise TypeError(f"{name}: axis= and keepdims= are for products of vectors; use axes=")
    if axes is None:
        axes = [-1 if axis is None else axis] * len(inputs)
    elif axis is not None:
        raise TypeError(f"{name}: axis= and axes= cannot both be given")
    places = [tuple(i) if np.ndim(i) else (i,) for i in axes]
    y = implementation(*(moveaxis(lift(x), place, range(-len(place), 0))
                         for x, place in zip(inputs, places, strict=False)))
    of_result = places[len(inputs) :]
    if keepdims:
        return expand_dims(y, *(of_result or places)[0])
    return moveaxis(y, range(-len(of_result[0]), 0), of_result[0]) if of_result else y


@implements(np.linalg.multi_dot)
def multi_dot(arrays: Sequence[Array], *, out: None = None) -> Array:
    refuse_options("multi_dot", out=out)
    if len(arrays) < 2:
        raise ValueError("multi_dot: needs two arrays or more")
    result = lift(arrays[0])
    for x in arrays[1:]:
        result = result @ lift(x)
    return result


@implements(np.linalg.matrix_power)
def matrix_power(a: Array, n: int) -> Array:
    """a multiplied with itself n times, by repeated squaring; of its inverse for n < 0."""
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError(f"matrix_power: needs square matrices, got shape {a.shape}")
    n = operator.index(n)
    if n < 0:
        a, n = np.linalg.inv(a), -n
    if n == 0:
        return a * 0 + np.eye(a.shape[-1], dtype=a.dtype, like=a)
    result = None
    while n:
        n, odd = divmod(n, 2)
        if odd:
            result = a if result is None else result @ a
        if n:
            a = a @ a
    return result


@implements(np.tensordot, np.linalg.tensordot)
def tensordot(a: Array, b: Array, axes: Any = 2) -> Array:
    """Sums over pairs of axes, as one matrix product."""
    a, b = lift(a), lift(b)
    if np.ndim(axes) == 0:
        left, right = list(range(a.ndim - int(axes), a.ndim)), list(range(int(axes)))
    else:
        first, second = axes
        left = normalise(first if np.ndim(first) else int(first), a.ndim, "axes")
        right = normalise(second if np.ndim(second) else int(second), b.ndim, "axes")
    sizes = [a.shape[i] for i in left]
    if sizes != [b.shape[i] for i in right]:
        raise ValueError(
            f"tensordot: {a.shape} and {b.shape} differ in size on axes {left} and {right}"
        )
    free_a = [i for i in range(a.ndim) if i not in left]
    free_b = [i for i in range(b.ndim) if i not in right]
    n = int(np.prod(sizes, dtype=int))
    shape_a, shape_b = tuple(a.shape[i] for i in free_a), tuple(b.shape[i] for i in free_b)
    rows = reshape(transpose(a, free_a + left), (int(np.prod(shape_a, dtype=int)), n))
    columns = reshape(transpose(b, right + free_b), (n, int(np.prod(shape_b, dtype=int))))
    return reshape(rows @ columns, shape_a + shape_b)


# einsum. ----------------------------------------------------------------------------------------

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _explicit(subscripts: str, ndims: Sequence[int]) -> tuple[tuple[str, ...], str]:
    """Subscripts with every axis named: no ellipsis, no implicit output."""
    subscripts = subscripts.replace(" ", "")
    left, arrow, right = subscripts.partition("->")
    terms = left.split(",")
    if len(terms) != len(ndims):
        raise ValueError(f"einsum: {subscripts!r} names {len(terms)} operands, got {len(ndims)}")
    free = iter(letter for letter in _LETTERS if letter not in subscripts)
    extra = [n - len(term.replace("...", "")) if "..." in term else 0
             for term, n in zip(terms, ndims, strict=True)]
    ellipsis = "".join(next(free) for _ in range(max([0, *extra])))
    named = []
    for term, n, k in zip(terms, ndims, extra, strict=True):
        full = term.replace("...", ellipsis[len(ellipsis) - k :])
        if k < 0 or len(full) != n:
            raise ValueError(f"einsum: the term {term!r} does not fit an operand with {n} axes")
        named.append(full)
    if arrow:
        if ellipsis and "..." not in right:
            raise ValueError(f"einsum: the output of {subscripts!r} leaves out the axes of '...'")
        output = right.replace("...", ellipsis)
    else:  # implicit: the ellipsis, then the letters that stand once, in alphabetical order
        letters = left.replace(",", "").replace(".", "")
        output = ellipsis + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    return tuple(named), output


def _einsum_rule(
    position: int, g: Array, y: Array, *xs: Array, terms: tuple[str, ...], output: str,
    optimize: Any,
) -> Array:
    """The cotangent of one operand: an einsum of the output's with the other operands."""
    term, x = terms[position], xs[position]
    others = [(t, v) for i, (t, v) in enumerate(zip(terms, xs, strict=True)) if i != position]
    known = set(output).union(*(t for t, _ in others))
    own = "".join(dict.fromkeys(term))  # each letter once, also for a diagonal such as "ii"
    summed = "".join(c for c in own if c in known)
    if summed or others or output:
        g = _einsum((output, *(t for t, _ in others)), summed, (g, *(v for _, v in others)),
                    optimize)
    # Letters that only this operand has were summed over: every element gets the same.
    g = reshape(g, tuple(g.shape[summed.index(c)] if c in summed else 1 for c in own))
    if len(own) == len(term):
        return g
    # A repeated letter reads a diagonal, so going back writes one: the letter keeps its first
    # place, and the elements whose repeats disagree are multiplied by zero.
    sizes = dict(zip(term, x.shape, strict=True))
    first = {c: term.index(c) for c in own}
    g = reshape(g, tuple(g.shape[own.index(c)] if first[c] == i else 1
                         for i, c in enumerate(term)))
    for i, c in enumerate(term):
        if i != first[c]:
            sides = tuple(sizes[c] if k in (i, first[c]) else 1 for k in range(len(term)))
            g = g * reshape(np.eye(sizes[c], dtype=x.dtype, like=x), sides)
    return g


def _einsum(
    terms: tuple[str, ...], output: str, operands: tuple[Array, ...], optimize: Any
) -> Array:
    return einsum_(*operands, terms=terms, output=output, optimize=optimize)


einsum_ = define(
    "einsum",
    lambda *xs, terms, output, optimize: np.einsum(
        f"{','.join(terms)}->{output}", *xs, optimize=optimize
    ),
    EachInput(_einsum_rule), "Einstein's sum",
    cases=tuple(
        case(*shapes, terms=terms, output=output, optimize=False)
        for terms, output, shapes in (
            (("ij", "jk"), "ik", ((2, 3), (3, 2))),
            (("i", "i"), "", ((3,), (3,))),
            (("ij",), "ji", ((2, 3),)),
            (("ij",), "", ((2, 3),)),
            (("ij",), "j", ((2, 3),)),
            (("ii",), "i", ((3, 3),)),
            (("ii",), "", ((3, 3),)),
            (("iji",), "j", ((2, 3, 2),)),
            (("bij", "bjk", "k"), "bi", ((2, 2, 3), (2, 3, 2), (2,))),
            (("ij", "ij"), "ij", ((2, 3), (1, 3))),
            (("ij", "kl"), "", ((2, 3), (2, 2))),
            (("", "ij"), "ij", ((), (2, 2))),
        )
    ),
    takes_complex=True,
)


@implements(np.einsum)
def einsum(*operands: Any, out: None = None, optimize: Any = False, **options: Any) -> Array:
    """np.einsum, in both of its spellings."""
    refuse_options("einsum", out=out)
    dtype = options.pop("dtype", None)
    for name in ("order", "casting"):
        options.pop(name, None)
    if options:
        raise TypeError(f"einsum: unknown options {sorted(options)}")
    if not isinstance(operands[0], str):
        operands = _from_lists(operands)
    subscripts, *arrays = operands
    arrays = [lift(x) for x in arrays]
    terms, output = _explicit(subscripts, [x.ndim for x in arrays])
    if isinstance(optimize, list):
        optimize = tuple(optimize)
    result = _einsum(terms, output, tuple(arrays), optimize)
    return result if dtype is None else result.astype(dtype)


@implements(np.cross)
def cross(
    a: Array, b: Array, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Array:
    """The vector at right angles to a and b.

    Vectors of two components lie in the plane of the first two; of two of those, the result is
    the third component alone.
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = np.moveaxis(lift(a), axisa, -1), np.moveaxis(lift(b), axisb, -1)
    sizes = a.shape[-1], b.shape[-1]
    if not {*sizes} <= {2, 3}:
        raise ValueError(f"cross: needs vectors of two or three components, got {sizes}")
    (a1, a2, *a3), (b1, b2, *b3) = ([x[..., i] for i in range(x.shape[-1])] for x in (a, b))
    third = a1 * b2 - a2 * b1
    if sizes == (2, 2):
        return third
    za, zb = (z[0] if z else 0 for z in (a3, b3))
    first, second = a2 * zb - za * b2, za * b1 - a1 * zb
    return np.moveaxis(np.stack([first, second, third], axis=-1), -1, axisc)


@implements(np.vander)
def vander(x: Array, N: int | None = None, increasing: bool = False) -> Array:
    """Powers as columns, each the one before times x."""
    x = lift(x)
    if x.ndim != 1:
        raise ValueError(f"vander: needs one axis, got shape {x.shape}")
    x = astype(x, np.promote_types(x.dtype, int))
    n = x.shape[0] if N is None else N
    if n <= 0:
        return np.outer(x, np.empty_like(x, shape=(0,)))
    powers = [np.ones_like(x)]
    for _ in range(1, n):
        powers.append(powers[-1] * x)
    columns = np.stack(powers, axis=-1)
    return columns if increasing else columns[:, ::-1]


def _from_lists(operands: tuple[Any, ...]) -> tuple[Any, ...]:
    """``einsum(a, [0, 1], b, [1, 2], [0, 2])`` as the string spelling."""

    def letters(axes: Sequence[Any]) -> str:
        # In NumPy's order, by which it sorts the axes of an implicit output: capitals first.
        return "".join("..." if axis is Ellipsis else sorted(_LETTERS)[axis] for axis in axes)

    n = len(operands) // 2
    subscripts = ",".join(letters(operands[2 * i + 1]) for i in range(n))
    if len(operands) % 2:
        subscripts += "->" + letters(operands[-1])
    return (subscripts, *(operands[2 * i] for i in range(n)))
