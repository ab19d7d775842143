"""Functions of functions: gradients, products with Jacobians, Jacobians, Hessians.

A transform gives the function it differentiates fresh nodes for its arguments, runs it, and walks
back to those nodes only. Whether the walk is recorded does not depend on the arguments but on
who may want to differentiate its result: an enclosing transform, or the owner of a Tensor that
the function reaches from outside. So ``grad`` inside ``grad`` is right also where the inner
function only closes over the outer argument.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from .backprop import fit, pull, reach
from .containers import flatten
from .errors import GradientError, ShapeError, caller
from .node import Array, Node
from .ops.flow import identity
from .tensor import Tensor, as_data, check_differentiable, is_recording, leaf, record, recording

__all__ = [
    "elementwise_grad", "grad", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp",
]

Function = Callable[..., Any]

#: How many transforms are running in this thread or task.
_depth: ContextVar[int] = ContextVar("autograd_core.depth", default=0)


@contextmanager
def _tracing() -> Iterator[bool]:
    """Run a function for a transform; yields whether an enclosing transform is recording."""
    enclosed = _depth.get() > 0 and is_recording()
    token = _depth.set(_depth.get() + 1)
    try:
        with recording():
            yield enclosed
    finally:
        _depth.reset(token)


def _alias(x: Any, what: str) -> Tensor:
    """A fresh node standing for an argument, so that nested transforms cannot be confused."""
    if isinstance(x, Node):
        check_differentiable(x._data, what)
        node = record(identity, (x,), {})
        node._requires = True
        return node
    data = x if isinstance(x, np.ndarray) else as_data(x)
    if data.ndim == 0:
        data = data[()] if isinstance(data, np.ndarray) else data
    check_differentiable(data, what)
    return leaf(data, True)


class _Run:
    """One run of a function on aliases of some of its arguments."""

    def __init__(
        self, name: str, f: Function, args: Sequence[Any], kwargs: dict[str, Any],
        argnums: Sequence[int],
    ) -> None:
        self.name = name
        chosen = []
        for i in argnums:
            if not -len(args) <= i < len(args):
                raise TypeError(
                    f"{name}: argnums={i} but the function was called with {len(args)} positional "
                    f"arguments (at {caller()}); arguments to differentiate are passed by position"
                )
            chosen.append(args[i])
        leaves, self.rebuild = flatten(tuple(chosen))
        if not leaves:
            raise TypeError(f"{name}: nothing to differentiate by: {tuple(chosen)!r}")
        self.aliases = [
            _alias(x, f"{name}: an argument" if len(leaves) > 1 else f"{name}: the argument")
            for x in leaves
        ]
        full = list(args)
        for i, value in zip(argnums, self.rebuild(self.aliases), strict=True):
            full[i] = value
        self.out = f(*full, **kwargs)
        # Whether an argument, or another Tensor that the function reaches, belongs to a graph
        # that somebody may walk: results are then recorded.
        self.traced = any(isinstance(x, Node) and x._requires for x in leaves)

    def pull(
        self, seeds: Sequence[tuple[Any, Array]], enclosed: bool, always: bool = False
    ) -> tuple[list[Array], bool]:
        """Cotangents of the aliases, and whether they were recorded."""
        outputs = {y: g for y, g in seeds if isinstance(y, Node)}
        if len(outputs) < len(seeds):  # one node returned twice, or plain values among them
            outputs = {}
            for y, g in seeds:
                if isinstance(y, Node):
                    outputs[y] = outputs[y] + g if y in outputs else g
        route = reach(outputs, self.aliases)
        self.traced = self.traced or route.outside
        recorded = always or enclosed or self.traced
        if recorded:
            outputs = {y: g if isinstance(g, Node) else leaf(g, False)
                       for y, g in outputs.items()}
        found = pull(outputs, route, recorded=recorded)
        return [
            found[x] if x in found else np.zeros_like(x._data)[()] for x in self.aliases
        ], recorded


def _one(y: Array) -> Array:
    return np.ones_like(y._data)[()]


def _scalar(y: Any, name: str) -> Any:
    """Check that a function to take the gradient of returned one number."""
    if isinstance(y, list | tuple | dict) or y is None:
        raise GradientError(
            f"{name}: the function must return a scalar, got {type(y).__name__} (at {caller()})"
            + ("; did it forget its `return`?" if y is None else "")
        )
    if np.shape(y) != ():
        raise GradientError(
            f"{name}: the function must return a scalar, got shape {np.shape(y)} "
            f"(at {caller()}); reduce it with `.sum()`, or use `ag.jacobian` or "
            "`ag.elementwise_grad`"
        )
    if isinstance(y, Node):
        check_differentiable(y._data, f"{name}: the function's result")
    return y


def _plain(x: Any) -> Any:
    return x._data if isinstance(x, Node) else x


def _positions(argnums: int | Sequence[int]) -> tuple[int, ...]:
    return (argnums,) if isinstance(argnums, int) else tuple(argnums)


def value_and_grad(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """A function returning ``(f(...), gradient)``, at the cost of one run and one walk back.

    See :func:`grad`.

    >>> ag.value_and_grad(lambda x: x * x)(3.0)
    (np.float64(9.0), np.float64(6.0))
    """
    return _gradient(f, argnums, "value_and_grad")


def grad(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """The function that computes the gradient of ``f``, which returns a scalar.

    ``argnums`` says with respect to which positional arguments; for a sequence the result is a
    tuple. An argument may be a nested tuple, list or dict of arrays, and its gradient has the
    same structure, each part with the shape and dtype of its argument. Results are plain arrays,
    unless an enclosing transform is recording or the function reaches Tensors that require a
    gradient besides its arguments: then they are Tensors that can be differentiated further.

    Raises :class:`GradientError` (a ``TypeError``) if ``f`` does not return a scalar or an
    argument is not of floating point.

    >>> ag.grad(lambda x: np.sin(x) * x)(0.0)
    np.float64(0.0)
    >>> ag.grad(ag.grad(lambda x: x**3))(2.0)
    np.float64(12.0)
    """
    both = _gradient(f, argnums, "grad")

    @functools.wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return gradient


def _gradient(f: Function, argnums: int | Sequence[int], name: str) -> Function:
    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with _tracing() as enclosed:
            run = _Run(name, f, args, kwargs, _positions(argnums))
            y = _scalar(run.out, name)
            seeds = [(y, _one(y))] if isinstance(y, Node) else []
            cotangents, recorded = run.pull(seeds, enclosed)
        gradients = run.rebuild(cotangents)
        value = y if recorded else _plain(y)
        return value, gradients[0] if isinstance(argnums, int) else gradients

    return wrapped


def elementwise_grad(f: Function, argnums: int = 0) -> Function:
    """The derivative of a function that works element by element: the gradient of its sum.

    The result has the shape of the argument.

    >>> ag.elementwise_grad(np.tanh)(np.zeros(3))
    array([1., 1., 1.])
    """
    inner = _gradient(lambda *args, **kwargs: np.sum(f(*args, **kwargs)), argnums,
                      "elementwise_grad")

    @functools.wraps(f)
    def derivative(*args: Any, **kwargs: Any) -> Any:
        return inner(*args, **kwargs)[1]

    return derivative


def vjp(f: Function, *args: Any) -> tuple[Any, Callable[[Any], Any]]:
    """``f(*args)`` and the function that multiplies a cotangent with its Jacobian.

    The cotangent has the structure and shapes of the output; the result is a tuple with one entry
    for each argument: vᵀ · ∂f/∂argᵢ.

    >>> y, back = ag.vjp(lambda x: x * x, np.array([1.0, 2.0]))
    >>> back(np.array([1.0, 10.0]))
    (array([ 2., 40.]),)
    """
    with _tracing() as enclosed:
        run = _Run("vjp", f, args, {}, range(len(args)))
    outputs, structure = flatten(run.out)

    def back(cotangent: Any) -> Any:
        given, _ = flatten(cotangent)
        if len(given) != len(outputs):
            raise ShapeError(
                f"vjp: a cotangent with {len(given)} parts for an output with {len(outputs)} "
                f"(at {caller()})"
            )
        nested = any(isinstance(g, Node) for g in given)
        with _tracing() as inside:
            seeds = [(y, _cotangent(g, y)) for y, g in zip(outputs, given, strict=True)]
            cotangents, _ = run.pull(seeds, enclosed or inside or nested)
        return run.rebuild(cotangents)

    keep = enclosed or run.traced
    return structure([y if keep else _plain(y) for y in outputs]), back


def _cotangent(g: Any, y: Any) -> Array:
    """``g`` as a cotangent of ``y``, its shape checked."""
    value = g if isinstance(g, Node) else as_data(g)
    if value.shape != np.shape(y):
        raise ShapeError(
            f"a cotangent of shape {value.shape} for an output of shape {np.shape(y)} "
            f"(at {caller()})"
        )
    return value if isinstance(g, Node) else fit(value, _plain(y), "cotangent", 0)


def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """``f(*primals)`` and its directional derivative along ``tangents``: ∂f/∂x · t.

    Computed from the same rules as everything else: the product u ↦ uᵀJ is linear in u, and its
    own product with t, taken backwards, is J t. Tangents have the structure and shapes of the
    primals.

    >>> ag.jvp(np.sin, (0.0,), (2.0,))
    (np.float64(0.0), np.float64(2.0))
    """
    if len(primals) != len(tangents):
        raise TypeError(f"jvp: {len(primals)} primals but {len(tangents)} tangents")
    directions, _ = flatten(tuple(tangents))
    with _tracing() as enclosed:
        run = _Run("jvp", f, tuple(primals), {}, range(len(primals)))
        if len(directions) != len(run.aliases):
            raise TypeError("jvp: tangents must have the structure of the primals")
        directions = [_cotangent(t, x) for t, x in zip(directions, run.aliases, strict=True)]
        outputs, structure = flatten(run.out)
        probes = [leaf(np.zeros_like(y._data)[()], True) if isinstance(y, Node) else None
                  for y in outputs]
        seeds = [(y, u) for y, u in zip(outputs, probes, strict=True) if u is not None]
        cotangents, _ = run.pull(seeds, enclosed, always=True)
        linear = {c: t for c, t in zip(cotangents, directions, strict=True)
                  if isinstance(c, Node)}
        if len(linear) < sum(isinstance(c, Node) for c in cotangents):
            linear = {}
            for c, t in zip(cotangents, directions, strict=True):
                if isinstance(c, Node):
                    linear[c] = linear[c] + t if c in linear else t
        targets = [u for u in probes if u is not None]
        route = reach(linear, targets)
        nested = any(isinstance(t, Node) for t in directions)
        recorded = enclosed or run.traced or nested
        if recorded:
            linear = {c: t if isinstance(t, Node) else leaf(t, False)
                      for c, t in linear.items()}
        found = pull(linear, route, recorded=recorded)
    results = [
        found[u] if u is not None and u in found else np.zeros_like(_plain(y))[()]
        for y, u in zip(outputs, probes, strict=True)
    ]
    keep = enclosed or run.traced
    return structure([y if keep else _plain(y) for y in outputs]), structure(results)


def jacobian(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """The function that computes ∂f/∂x, of shape ``f(x).shape + x.shape``.

    Arguments may be nested containers, and so may the result of ``f``: the Jacobian then has the
    structure of the output, and inside it that of the argument.

    >>> ag.jacobian(lambda x: x**2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with _tracing() as enclosed:
            run = _Run("jacobian", f, args, kwargs, _positions(argnums))
            outputs, structure = flatten(run.out)
            blocks = [_rows(run, y, enclosed) for y in outputs]
        nested = structure([_pick(run.rebuild(block), argnums) for block in blocks])
        return nested

    return wrapped


def _pick(parts: Any, argnums: int | Sequence[int]) -> Any:
    return parts[0] if isinstance(argnums, int) else parts


def _rows(run: _Run, y: Any, enclosed: bool) -> list[Array]:
    """∂y/∂x for each argument x, a row per element of y."""
    shape = tuple(np.shape(y))
    if not isinstance(y, Node):
        return [np.zeros(shape + x.shape, x.dtype) for x in run.aliases]
    check_differentiable(y._data, "jacobian: the function's result")
    rows: list[list[Array]] = [[] for _ in run.aliases]
    for i in range(y.size):
        seed = np.zeros(y.size, y.dtype)
        seed[i] = 1
        cotangents, _ = run.pull([(y, seed.reshape(shape)[()])], enclosed)
        for column, cotangent in zip(rows, cotangents, strict=True):
            column.append(cotangent)
    return [
        np.stack(column).reshape(shape + x.shape) if column
        else np.zeros(shape + x.shape, x.dtype)
        for column, x in zip(rows, run.aliases, strict=True)
    ]


def hessian(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """The function that computes ∂²f/∂x², of shape ``x.shape + x.shape``; f returns a scalar.

    >>> ag.hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 3.0]))
    array([[6., 2.],
           [2., 0.]])
    """
    return jacobian(grad(f, argnums), argnums)


def hvp(f: Function, x: Any, v: Any) -> Any:
    """The product of the Hessian of ``f`` at ``x`` with ``v``, without forming the Hessian.

    Costs a small multiple of one gradient. ``v`` and the result have the structure of ``x``.

    >>> ag.hvp(lambda x: (x**3).sum(), np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    array([ 6., 12.])
    """
    return jvp(grad(f), (x,), (v,))[1]


