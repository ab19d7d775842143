"""Functions of functions: gradients, products with Jacobians, Jacobians, Hessians.

A transform gives the function it differentiates fresh nodes for its arguments, runs it, and walks
back to those nodes only. Whether the walk is recorded does not depend on the type of the arguments
but on whether the function reaches something else that requires a gradient: the argument of an
enclosing transform, or anybody's leaf. So ``grad`` inside ``grad`` is right also where the inner
function only closes over the outer argument.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .backprop import Route, fit, pull, reach
from .containers import aligned, flatten
from .errors import GradientError, ShapeError, caller, describe
from .node import Array, Node, value_of
from .ops.flow import identity
from .tensor import (
    Tensor,
    as_data,
    capturing,
    check_differentiable,
    is_recording,
    leaf,
    record,
    recording,
)

__all__ = [
    "elementwise_grad", "grad", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp",
]

Function = Callable[..., Any]

class _Tracing:
    """A block in which a function runs for a transform: it records also inside `no_grad`.

    ``muted``: whether it is inside one, so that nobody may differentiate the result further.
    """

    __slots__ = ("_recording", "muted")

    def __enter__(self) -> _Tracing:
        self.muted = not is_recording()
        self._recording = recording() if self.muted else None
        if self._recording is not None:
            self._recording.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._recording is not None:
            self._recording.__exit__(*exc)


def _alias(x: Any, name: str, copy: bool) -> Tensor:
    """A fresh node standing for an argument, so that nested transforms cannot be confused."""
    if isinstance(x, Node):
        data = x._data
    else:
        data = x if type(x) is np.ndarray and x.ndim and not copy else as_data(x)
    if data.dtype.kind != "f":
        check_differentiable(data, f"{name}: an argument")
    return record(identity, (x,), {}) if isinstance(x, Node) else leaf(data, False)


class _Run:
    """One run of a function on aliases of some of its arguments.

    ``lasting``: whether the graph outlives the call, so that it needs copies of the arguments.
    """

    __slots__ = ("_own", "aliases", "out", "rebuild", "scope", "traced")

    def __init__(
        self, name: str, f: Function, args: Sequence[Any], kwargs: dict[str, Any],
        argnums: Sequence[int], scope: _Tracing, lasting: bool = False,
    ) -> None:
        self.scope = scope
        chosen = tuple([args[i] for i in argnums])
        leaves, self.rebuild = flatten(chosen)
        if not leaves:
            raise TypeError(f"{name}: nothing to differentiate by: {chosen!r}")
        self.aliases = [_alias(x, name, lasting) for x in leaves]
        self._own = [x._requires for x in self.aliases]
        full = list(args)
        for i, value in zip(argnums, self.rebuild(self.aliases), strict=True):
            full[i] = value
        self._wake()
        try:
            self.out = f(*full, **kwargs)
        finally:
            self._sleep()
        # Whether an argument, or another Tensor that the function reaches, belongs to a graph
        # that somebody may walk: results are then recorded.
        self.traced = any(self._own)

    # The aliases require gradients only to this run, and only while it needs them. To every other
    # walk that comes by, one is what it stands for: a constant, or the argument.

    def _wake(self) -> None:
        for x in self.aliases:
            x._requires = True

    def _sleep(self) -> None:
        for x, requires in zip(self.aliases, self._own, strict=True):
            x._requires = requires

    def look(self, outputs: Iterable[Any]) -> Route:
        """The route back to the aliases, noticing whether it passes by other people's leaves."""
        self._wake()
        try:
            route = reach([y for y in outputs if isinstance(y, Node)], self.aliases)
        finally:
            self._sleep()
        self.traced = self.traced or route.outside
        return route

    @property
    def recorded(self) -> bool:
        """Whether results are Tensors that can be differentiated further."""
        return self.traced and not self.scope.muted

    def pull(
        self, seeds: Sequence[tuple[Any, Array]], recorded: bool = False,
        route: Route | None = None,
    ) -> tuple[list[Array], bool]:
        """Cotangents of the aliases, and whether they were recorded.

        ``route``: what :meth:`look` found for these outputs, if it is known already.
        """
        outputs = _by_node(seeds)
        route = route or self.look(outputs)
        recorded = recorded or self.recorded
        # A compiled function's walks are recorded, whatever becomes of their results.
        traced = recorded or capturing() is not None
        found = pull(_seeds(outputs, traced), route, recorded=traced)
        if traced and not recorded:
            found = {node: _plain(g) for node, g in found.items()}
        if self.recorded:
            for x in self.aliases:  # the graph of the result holds on to the user's arrays
                if x.op is None and x._lent is None and isinstance(x._data, np.ndarray):
                    x._lent = x._data.copy()
        else:
            for node, g in found.items():
                if node.op is not None:
                    found[node] = _copy(g)  # what an inner node waits for may be another's too
        return [
            _as_scalar(found[x]) if x in found else np.zeros_like(x._data)[()]
            for x in self.aliases
        ], recorded


def _by_node(pairs: Iterable[tuple[Any, Array]]) -> dict[Node, Array]:
    """The cotangents of the nodes among the outputs, summed where one was returned twice."""
    sums: dict[Node, Array] = {}
    for y, g in pairs:
        if isinstance(y, Node):
            sums[y] = sums[y] + g if y in sums else g
    return sums


def _plain(y: Any) -> Array:
    """A result that is no Tensor: its value, or what stands for that in a compiled function."""
    capture = capturing()
    return value_of(y) if capture is None else capture.plain(y)


def _seeds(cotangents: dict[Node, Array], recorded: bool) -> dict[Node, Array]:
    """Cotangents as a walk takes them: nodes for a recorded one, arrays otherwise."""
    if not recorded:
        return {y: value_of(g) for y, g in cotangents.items()}
    return {y: g if isinstance(g, Node) else leaf(g, False) for y, g in cotangents.items()}


def _one(y: Node) -> Array:
    value = y._data
    return type(value)(1) if isinstance(value, np.generic) else np.ones_like(value)[()]


def _scalar(y: Any, name: str) -> Any:
    """Check that a function to take the gradient of returned one number."""
    if isinstance(y, Node) and not y._data.shape and y._data.dtype.kind == "f":
        return y
    if isinstance(y, (list, tuple, dict)) or y is None:
        raise GradientError(
            f"{name}: the function must return a scalar, got {type(y).__name__} (at {caller()})"
            + ("; did it forget its `return`?" if y is None else "")
        )
    if not isinstance(y, Node) and np.asarray(y).dtype.kind not in "biufc":
        raise GradientError(
            f"{name}: the function must return a scalar, got {type(y).__name__} (at {caller()})"
        )
    if (y._data.shape if isinstance(y, Node) else np.shape(y)) != ():
        raise GradientError(
            f"{name}: the function must return a scalar, got shape {np.shape(y)} "
            f"(at {caller()}); reduce it with `.sum()`, or use `ag.jacobian` or "
            "`ag.elementwise_grad`"
        )
    if isinstance(y, Node):
        check_differentiable(y._data, f"{name}: the function's result")
    return y


def _copy(x: Any) -> Any:
    return x.copy() if isinstance(x, np.ndarray) else x


def _as_scalar(x: Any) -> Any:
    """``x`` with an ndarray of shape () as the scalar in it."""
    return x[()] if isinstance(x, np.ndarray) and not x.ndim else x


def _is_single(argnums: Any) -> bool:
    return isinstance(argnums, (int, np.integer))


def _positions(argnums: int | Sequence[int], n: int, name: str) -> tuple[int, ...]:
    """``argnums`` for a call with ``n`` positional arguments, counted from the front."""
    given: Any = (argnums,) if _is_single(argnums) else argnums
    if type(argnums) is int and 0 <= argnums < n:  # nearly always
        return (argnums,)
    if not isinstance(given, (list, tuple)) or not all(map(_is_single, given)):
        raise TypeError(f"{name}: argnums is an integer or a tuple of integers, got {argnums!r}")
    for i in given:
        if not -n <= i < n:
            raise TypeError(
                f"{name}: argnums={i} but the function was called with {n} positional "
                f"arguments (at {caller()}); arguments to differentiate are passed by position"
            )
    positions = tuple(int(i) % n for i in given)
    if len(set(positions)) < len(positions):
        raise TypeError(f"{name}: argnums={argnums} names an argument twice (at {caller()})")
    return positions


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
    unless the function reaches Tensors that require a gradient besides its arguments, those of an
    enclosing transform among them: then they are Tensors that can be differentiated further.

    Raises :class:`GradientError` (a ``TypeError``) if ``f`` does not return a scalar or an
    argument is not of floating point.

    >>> ag.grad(lambda x: np.sin(x) * x)(0.0)
    np.float64(0.0)
    >>> ag.grad(ag.grad(lambda x: x**3))(2.0)
    np.float64(12.0)
    """
    return _gradient(f, argnums, "grad", value=False)


def _gradient(
    f: Function, argnums: int | Sequence[int], name: str, value: bool = True
) -> Function:
    """The function computing the gradient of ``f``, or the pair of its value and gradient."""
    if not callable(f):
        raise TypeError(f"{name}: a function is needed, got {describe(f)} (at {caller()})")
    single = _is_single(argnums)

    @functools.wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        with _Tracing() as scope:
            run = _Run(name, f, args, kwargs, _positions(argnums, len(args), name), scope)
            y = _scalar(run.out, name)
            seeds = [(y, _one(y))] if isinstance(y, Node) else []
            cotangents, recorded = run.pull(seeds)
        gradients = run.rebuild(cotangents)
        if single:
            (gradients,) = gradients
        if not value:
            return gradients
        return (y if recorded else _plain(y)), gradients

    return gradient


def elementwise_grad(f: Function, argnums: int = 0) -> Function:
    """The derivative of a function that works element by element: the gradient of its sum.

    The result has the shape of the argument.

    >>> ag.elementwise_grad(np.tanh)(np.zeros(3))
    array([1., 1., 1.])
    """
    summed = functools.wraps(f)(lambda *args, **kwargs: np.sum(f(*args, **kwargs)))
    return _gradient(summed, argnums, "elementwise_grad", value=False)


def vjp(f: Function, *args: Any) -> tuple[Any, Callable[[Any], Any]]:
    """``f(*args)`` and the function that multiplies a cotangent with its Jacobian.

    The cotangent has the structure and shapes of the output; the result is a tuple with one entry
    for each argument: vᵀ · ∂f/∂argᵢ.

    >>> y, back = ag.vjp(lambda x: x * x, np.array([1.0, 2.0]))
    >>> back(np.array([1.0, 10.0]))
    (array([ 2., 40.]),)
    """
    with _Tracing() as scope:
        run = _Run("vjp", f, args, {}, range(len(args)), scope, lasting=True)
    outputs, structure = flatten(run.out)
    run.look(outputs)

    def back(cotangent: Any) -> Any:
        given = aligned(run.out, cotangent, "vjp: the cotangent")
        nested = any(isinstance(g, Node) for g in given)
        with _Tracing() as inside:
            seeds = [(y, _like(g, y, "vjp: a cotangent", "an output"))
                     for y, g in zip(outputs, given, strict=True)]
            cotangents, _ = run.pull(seeds, nested and not inside.muted)
        return run.rebuild(cotangents)

    # What `back` computes with is not handed out to be written into.
    return structure([y if run.recorded else _copy(_plain(y)) for y in outputs]), back


def _like(g: Any, y: Any, name: str, whose: str) -> Array:
    """``g`` as a tangent or cotangent of ``y``: its shape checked, its dtype made that of y."""
    value: Any = g if isinstance(g, Node) else as_data(g)
    if value.shape != np.shape(y):
        raise ShapeError(
            f"{name} of shape {value.shape} for {whose} of shape {np.shape(y)} "
            f"(at {caller()})"
        )
    if isinstance(g, Node) or not isinstance(y, Node):
        return value
    return fit(value, y._data, "cotangent")


def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """``f(*primals)`` and its directional derivative along ``tangents``: ∂f/∂x · t.

    Computed from the same rules as everything else: the product u ↦ uᵀJ is linear in u, and its
    own product with t, taken backwards, is J t. Tangents have the structure and shapes of the
    primals.

    >>> ag.jvp(np.sin, (0.0,), (2.0,))
    (np.float64(0.0), np.float64(2.0))
    """
    if not isinstance(primals, (list, tuple)) or not isinstance(tangents, (list, tuple)):
        raise TypeError(
            f"jvp: primals and tangents are tuples with an entry for each argument, as in "
            f"`ag.jvp(f, (x,), (v,))` (at {caller()})"
        )
    if len(primals) != len(tangents):
        raise TypeError(f"jvp: {len(primals)} primals but {len(tangents)} tangents")
    directions = aligned(tuple(primals), tuple(tangents), "jvp: a tangent")
    nested = any(isinstance(t, Node) for t in directions)
    with _Tracing() as scope:
        run = _Run("jvp", f, tuple(primals), {}, range(len(primals)), scope, lasting=nested)
        directions = [
            _like(t, x, "jvp: a tangent", "a primal")
            for t, x in zip(directions, run.aliases, strict=True)
        ]
        outputs, structure = flatten(run.out)
        probes = [leaf(np.zeros_like(y._data)[()], True) if isinstance(y, Node) else None
                  for y in outputs]
        seeds = [(y, u) for y, u in zip(outputs, probes, strict=True) if u is not None]
        cotangents, _ = run.pull(seeds, recorded=True)
        linear = _by_node(zip(cotangents, directions, strict=True))
        targets = [u for u in probes if u is not None]
        route = reach(linear, targets)
        recorded = run.recorded or (nested and not scope.muted)
        traced = recorded or capturing() is not None
        found = pull(_seeds(linear, traced), route, recorded=traced)
        if traced and not recorded:
            found = {u: _plain(t) for u, t in found.items()}
        for u in targets:
            u._requires = False  # the result is linear in them: to other walks they are constants
    results = [
        _as_scalar(found[u]) if u is not None and u in found else np.zeros_like(value_of(y))[()]
        for y, u in zip(outputs, probes, strict=True)
    ]
    return structure([y if run.recorded else _plain(y) for y in outputs]), structure(results)


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
        with _Tracing() as scope:
            positions = _positions(argnums, len(args), "jacobian")
            run = _Run("jacobian", f, args, kwargs, positions, scope)
            outputs, structure = flatten(run.out)
            blocks = [_rows(run, y) for y in outputs]
        nested = structure([_pick(run.rebuild(block), argnums) for block in blocks])
        return nested

    return wrapped


def _pick(parts: Any, argnums: int | Sequence[int]) -> Any:
    return parts[0] if _is_single(argnums) else parts


def _rows(run: _Run, y: Any) -> list[Array]:
    """∂y/∂x for each argument x, a row per element of y."""
    shape = tuple(np.shape(y))
    if not isinstance(y, Tensor):
        return [np.zeros(shape + x.shape, x.dtype) for x in run.aliases]
    check_differentiable(y._data, "jacobian: the function's result")
    rows: list[list[Array]] = [[] for _ in run.aliases]
    route = run.look([y])
    for i in range(y.size):
        seed = np.zeros_like(y._data, shape=(y.size,))
        seed[i] = 1
        cotangents, _ = run.pull([(y, seed.reshape(shape)[()])], route=route)
        for column, cotangent in zip(rows, cotangents, strict=True):
            column.append(cotangent)
    return [
        _as_scalar(np.stack(column).reshape(shape + x.shape)) if column
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


