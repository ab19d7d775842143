"""Functions of functions: gradients, products with Jacobians, Jacobians, Hessians.

A transform gives the function it differentiates fresh nodes for its arguments, runs it, and walks
back to those nodes only. Whether the walk is recorded does not depend on the type of the arguments
but on whether the function reaches something else that requires a gradient: the argument of an
enclosing transform, or anybody's leaf. So ``grad`` inside ``grad`` is right also where the inner
function only closes over the outer argument.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from . import batching, observe
from .backprop import Route, fit, pull, reach
from .containers import aligned, flatten, map_leaves
from .errors import GradientError, ShapeError, caller, describe
from .node import Array, Node, value_of
from .op import OPS, Jointly
from .ops.flow import identity
from .recipe import recipe_of
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
    "deriv", "elementwise_grad", "ggnvp", "grad", "grad_and_aux", "hessian", "hvp", "jacobian",
    "jvp", "value_and_grad", "vjp",
]

Function = Callable[..., Any]
#: Rows of a Jacobian are computed together, as many as keep intermediate results below so many
#: elements: enough to forget what Python costs, few enough for the cache.
TOGETHER = 1 << 18

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


def _alias(x: Any, name: str, copy: bool, holomorphic: bool) -> Tensor:
    """A fresh node standing for an argument, so that nested transforms cannot be confused."""
    if isinstance(x, Node):
        data = x._value
    else:
        data = x if type(x) is np.ndarray and x.ndim and not copy else as_data(x)
    if data.dtype.kind != "f" or holomorphic:
        check_differentiable(data, f"{name}: an argument")
        if holomorphic and data.dtype.kind != "c":
            raise GradientError(
                f"{name}: holomorphic=True is for complex arguments, got dtype {data.dtype} "
                f"(at {caller()}); pass `x + 0j`"
            )
    alias = record(identity, (x,), {}) if isinstance(x, Node) else leaf(data, False)
    alias.__class__ = _Argument
    return alias


class _Argument(Tensor):
    """What stands for an argument. A copy of it, unlike that of a leaf, has its gradient."""

    __slots__ = ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self


_Argument.__name__ = _Argument.__qualname__ = "Tensor"  # as which it is printed


# To be awake and to fall asleep again is one step for other threads that walk to the same aliases.
_walking = threading.RLock()


class _Run:
    """One run of a function on aliases of some of its arguments.

    ``lasting``: whether the graph outlives the call, so that it needs copies of the arguments.
    """

    __slots__ = ("_between", "_own", "aliases", "out", "rebuild", "scope", "traced")

    def __init__(
        self, name: str, f: Function, args: Sequence[Any], kwargs: dict[str, Any],
        argnums: Sequence[int], scope: _Tracing, lasting: bool = False, holomorphic: bool = False,
    ) -> None:
        self.scope = scope
        chosen = tuple([args[i] for i in argnums])
        leaves, self.rebuild = flatten(chosen)
        if not leaves:
            raise TypeError(f"{name}: nothing to differentiate by: {chosen!r}")
        self.aliases = [_alias(x, name, lasting, holomorphic) for x in leaves]
        self._own = [x._requires for x in self.aliases]
        self._between: list[Node] = []
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
        for node in self._between:
            node._requires = True

    def _sleep(self) -> None:
        for x, requires in zip(self.aliases, self._own, strict=True):
            x._requires = requires
        for node in self._between:
            node._requires = False

    def keep(self, outputs: Iterable[Any]) -> None:
        """Make ready for walks at any time: what lies between sleeps like the aliases."""
        route = self.look(outputs)
        if not self.traced:
            self._between = [x for x in route.nodes.values() if x.op is not None]
            self._sleep()

    def look(self, outputs: Iterable[Any]) -> Route:
        """The route back to the aliases, noticing whether it passes by other people's leaves."""
        with _walking:
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
                if x.op is None and x._lent is None and isinstance(x._value, np.ndarray):
                    x._lent = x._value.copy()
        else:
            for node, g in found.items():
                if node.op is not None:
                    found[node] = _copy(g)  # what an inner node waits for may be another's too
        return [
            _as_scalar(found[x]) if x in found else np.zeros_like(x._value)[()]
            for x in self.aliases
        ], recorded

    def push(
        self, outputs: Sequence[Any], directions: Sequence[Array], recorded: bool = False
    ) -> list[Array]:
        """The tangents of ``outputs`` for these of the aliases.

        The product u ↦ uᵀJ is linear in u, and its own product with t, taken backwards, is J t.
        """
        probes = [leaf(np.zeros_like(y._value)[()], True) if isinstance(y, Node) else None
                  for y in outputs]
        seeds = [(y, u) for y, u in zip(outputs, probes, strict=True) if u is not None]
        cotangents, _ = self.pull(seeds, recorded=True)
        linear = _by_node(zip(cotangents, directions, strict=True))
        targets = [u for u in probes if u is not None]
        route = reach(linear, targets)
        recorded = self.recorded or recorded
        traced = recorded or capturing() is not None
        found = pull(_seeds(linear, traced), route, recorded=traced)
        if traced and not recorded:
            found = {u: _plain(t) for u, t in found.items()}
        for u in targets:
            u._requires = False  # the result is linear in them: to other walks they are constants
        return [
            _as_scalar(found[u]) if u is not None and u in found
            else np.zeros_like(value_of(y))[()]
            for y, u in zip(outputs, probes, strict=True)
        ]

    def deliver(self, nested: Any) -> Any:
        """What the function returned besides, as the caller gets it: plain arrays for Tensors.

        Tensors stay where somebody may differentiate them further.
        """
        leaves, rebuild = flatten(nested)
        self.look(leaves)
        return rebuild([y if self.recorded else _plain(y) for y in leaves])


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
    if observe.watching and isinstance(y, Node):
        observe.reading(y, "a transform that returns it")
    return value_of(y) if capture is None else capture.plain(y)


def _seeds(cotangents: dict[Node, Array], recorded: bool) -> dict[Node, Array]:
    """Cotangents as a walk takes them: nodes for a recorded one, arrays otherwise."""
    if not recorded:
        return {y: value_of(g) for y, g in cotangents.items()}
    return {y: g if isinstance(g, Node) else leaf(g, False) for y, g in cotangents.items()}


def _one(y: Node) -> Array:
    value = y._value
    return type(value)(1) if isinstance(value, np.generic) else np.ones_like(value)[()]


def _check_result(data: Array, name: str, holomorphic: bool) -> None:
    """Check that a result has a gradient: it is real or, if so declared, complex."""
    check_differentiable(data, f"{name}: the function's result")
    is_complex = data.dtype.kind == "c"
    if is_complex and not holomorphic:
        raise GradientError(
            f"{name}: the function's result is complex, of dtype {data.dtype} (at {caller()}): "
            "make a real number of it, as in `np.abs(y) ** 2`, or pass holomorphic=True for a "
            "holomorphic function of complex arguments"
        )
    if holomorphic and not is_complex:
        raise GradientError(
            f"{name}: holomorphic=True, but the function's result is real, of dtype {data.dtype} "
            f"(at {caller()}): a real function that is holomorphic is constant; leave it out"
        )


def _check_results(outputs: Sequence[Any], name: str, holomorphic: bool) -> None:
    for y in outputs:
        if isinstance(y, Node):
            _check_result(y._value, name, holomorphic)


def _scalar(y: Any, name: str, holomorphic: bool = False) -> Any:
    """Check that a function to take the gradient of returned one number."""
    if isinstance(y, Node) and not holomorphic and (
        not y._value.shape and y._value.dtype.kind == "f"
    ):
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
    if (y._value.shape if isinstance(y, Node) else np.shape(y)) != ():
        raise GradientError(
            f"{name}: the function must return a scalar, got shape {np.shape(y)} "
            f"(at {caller()}); reduce it with `.sum()`, or use `ag.jacobian` or "
            "`ag.elementwise_grad`"
        )
    if isinstance(y, Node):
        _check_result(y._value, name, holomorphic)
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


def value_and_grad(
    f: Function, argnums: int | Sequence[int] = 0, *, holomorphic: bool = False
) -> Function:
    """A function returning ``(f(...), gradient)``, at the cost of one run and one walk back.

    See :func:`grad`.

    >>> ag.value_and_grad(lambda x: x * x)(3.0)
    (np.float64(9.0), np.float64(6.0))
    """
    return _gradient(f, argnums, "value_and_grad", holomorphic=holomorphic)


def grad(
    f: Function, argnums: int | Sequence[int] = 0, *, holomorphic: bool = False
) -> Function:
    """The function that computes the gradient of ``f``, which returns a scalar.

    ``argnums`` says with respect to which positional arguments; for a sequence the result is a
    tuple. An argument may be a nested tuple, list or dict of arrays, and its gradient has the
    same structure, each part with the shape and dtype of its argument. Results are plain arrays,
    unless the function reaches Tensors that require a gradient besides its arguments, those of an
    enclosing transform among them: then they are Tensors that can be differentiated further.

    By a complex z = x + iy the gradient of a real f is df/dx - i df/dy, the convention of JAX and
    HIPS autograd, so that steepest descent goes along its conjugate. With ``holomorphic=True``
    the arguments and the result are complex and the gradient is f'(z). See ``docs/complex.md``.

    Raises :class:`GradientError` (a ``TypeError``) if ``f`` does not return a scalar, if it is
    complex without ``holomorphic``, or if an argument is not of floating point or complex.

    >>> ag.grad(lambda x: np.sin(x) * x)(0.0)
    np.float64(0.0)
    >>> ag.grad(ag.grad(lambda x: x**3))(2.0)
    np.float64(12.0)
    >>> ag.grad(lambda z: np.abs(z) ** 2)(3.0 + 4.0j)
    np.complex128(6-8j)
    >>> ag.grad(lambda z: z**2, holomorphic=True)(3.0 + 4.0j)
    np.complex128(6+8j)
    """
    return _gradient(f, argnums, "grad", value=False, holomorphic=holomorphic)


def grad_and_aux(
    f: Function, argnums: int | Sequence[int] = 0, *, holomorphic: bool = False
) -> Function:
    """The function that computes the pair of the gradient and what else ``f`` returns.

    ``f`` returns ``(value, aux)``: a scalar, which is differentiated, and anything, which is not.
    ``aux``, which may be a nested container, comes back with plain arrays for Tensors; they stay
    Tensors only where an enclosing transform differentiates them. To have the value too, let it be
    part of ``aux``. For ``argnums`` and the gradient see :func:`grad`.

    Raises :class:`GradientError` (a ``TypeError``) if ``f`` does not return such a pair.

    >>> def loss(w, x):
    ...     prediction = np.tanh(w * x)
    ...     return np.sum(prediction**2), {"prediction": prediction}
    >>> ag.grad_and_aux(loss)(0.0, np.ones(2))
    (np.float64(0.0), {'prediction': array([0., 0.])})
    """
    return _gradient(
        f, argnums, "grad_and_aux", value=False, aux=True, holomorphic=holomorphic
    )


def _gradient(
    f: Function, argnums: int | Sequence[int], name: str, value: bool = True, aux: bool = False,
    holomorphic: bool = False,
) -> Function:
    """The function computing the gradient of ``f``, or the pair of its value and gradient."""
    if not callable(f):
        raise TypeError(f"{name}: a function is needed, got {describe(f)} (at {caller()})")
    single = _is_single(argnums)

    @functools.wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        with _Tracing() as scope:
            positions = _positions(argnums, len(args), name)
            run = _Run(name, f, args, kwargs, positions, scope, holomorphic=holomorphic)
            out = run.out
            if aux:
                if not isinstance(out, (tuple, list)) or len(out) != 2:
                    raise GradientError(
                        f"{name}: the function must return a pair `(value, aux)`, got "
                        f"{type(out).__name__} (at {caller()})"
                    )
                out, besides = out
            y = _scalar(out, name, holomorphic)
            seeds = [(y, _one(y))] if isinstance(y, Node) else []
            cotangents, recorded = run.pull(seeds)
            if aux:
                besides = run.deliver(besides)
        gradients = run.rebuild(cotangents)
        if single:
            (gradients,) = gradients
        if aux:
            return gradients, besides
        if not value:
            return gradients
        return (y if recorded else _plain(y)), gradients

    return gradient


def elementwise_grad(f: Function, argnums: int = 0, *, holomorphic: bool = False) -> Function:
    """The derivative of a function that works element by element: the gradient of its sum.

    The result has the shape of the argument.

    >>> ag.elementwise_grad(np.tanh)(np.zeros(3))
    array([1., 1., 1.])
    """
    summed = functools.wraps(f)(lambda *args, **kwargs: np.sum(f(*args, **kwargs)))
    return _gradient(summed, argnums, "elementwise_grad", value=False, holomorphic=holomorphic)


def deriv(f: Function, argnums: int = 0, *, holomorphic: bool = False) -> Function:
    """The derivative of a function of one number: f'(x), of the structure and shapes of f(x).

    ``f`` may return a number, an array (a curve has its velocity for a derivative) or a container
    of them. Of an array as argument the function works element by element:
    :func:`elementwise_grad`.

    A result may be complex: by a real number it has a velocity in the complex plane, by a complex
    one the derivative of a holomorphic function, with ``holomorphic=True``.

    Raises :class:`GradientError` (a ``TypeError``) for a result that is not of floating point or
    complex.

    >>> ag.deriv(lambda t: np.stack([np.cos(t), np.sin(t)]))(0.0)
    array([0., 1.])
    >>> ag.deriv(ag.deriv(lambda x: x**3))(2.0)
    np.float64(12.0)
    """
    each = elementwise_grad(f, argnums, holomorphic=holomorphic)

    @functools.wraps(f)
    def derivative(*args: Any, **kwargs: Any) -> Any:
        positions = _positions(argnums, len(args), "deriv")
        if len(positions) != 1 or not _is_single(argnums):
            raise TypeError(f"deriv: argnums is an integer, got {argnums!r} (at {caller()})")
        if np.ndim(args[positions[0]]):
            return each(*args, **kwargs)
        with _Tracing() as scope:
            run = _Run("deriv", f, args, kwargs, positions, scope, holomorphic=holomorphic)
            outputs, structure = flatten(run.out)
            _check_outputs(outputs, "deriv")
            (x,) = run.aliases
            y = outputs[0] if len(outputs) == 1 else None
            if x._value.dtype.kind == "c":
                _check_results(outputs, "deriv", holomorphic)
                slopes = [slope for (slope,) in _blocks(run, outputs, holomorphic)]
            elif isinstance(y, Node) and not y._value.shape and y._value.dtype.kind == "f":
                slopes, _ = run.pull([(y, _one(y))])
            else:
                slopes = run.push(outputs, [_one(x)])
        return structure(slopes)

    return derivative


def vjp(f: Function, *args: Any) -> tuple[Any, Callable[[Any], Any]]:
    """``f(*args)`` and the function that multiplies a cotangent with its Jacobian.

    The cotangent has the structure and shapes of the output; the result is a tuple with one entry
    for each argument: vᵀ · ∂f/∂argᵢ.

    Raises :class:`GradientError` (a ``TypeError``) where a result is a Tensor of integers or
    booleans, which has no derivative.

    >>> y, back = ag.vjp(lambda x: x * x, np.array([1.0, 2.0]))
    >>> back(np.array([1.0, 10.0]))
    (array([ 2., 40.]),)
    """
    with _Tracing() as scope:
        run = _Run("vjp", f, args, {}, range(len(args)), scope, lasting=True)
    outputs, structure = flatten(run.out)
    _check_outputs(outputs, "vjp")
    run.keep(outputs)

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
    if value.dtype.kind == "c" and isinstance(y, Node) and y._value.dtype.kind != "c":
        raise GradientError(
            f"{name} is complex, of dtype {value.dtype}, for {whose} that is real, of dtype "
            f"{y._value.dtype} (at {caller()}); pass its real part"
        )
    if isinstance(g, Node) or not isinstance(y, Node):
        return value
    return fit(value, y._value, "cotangent")


def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """``f(*primals)`` and its directional derivative along ``tangents``: ∂f/∂x · t.

    Computed from the same rules as everything else: the product u ↦ uᵀJ is linear in u, and its
    own product with t, taken backwards, is J t. Tangents have the structure and shapes of the
    primals. Raises what :func:`vjp` raises.

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
        _check_outputs(outputs, "jvp")
        tangent = run.push(outputs, directions, nested and not scope.muted)
    return structure([y if run.recorded else _plain(y) for y in outputs]), structure(tangent)


def _check_outputs(outputs: Sequence[Any], name: str) -> None:
    for y in outputs:
        if isinstance(y, Node) and y._value.dtype.kind != "f":
            check_differentiable(y._value, f"{name}: a result of the function")


def jacobian(
    f: Function, argnums: int | Sequence[int] = 0, *, holomorphic: bool = False
) -> Function:
    """The function that computes ∂f/∂x, of shape ``f(x).shape + x.shape``.

    Arguments may be nested containers, and so may the result of ``f``: the Jacobian then has the
    structure of the output, and inside it that of the argument.

    ``f`` runs once. With fewer inputs than outputs the columns are computed, as products with
    tangents, otherwise the rows, as products with cotangents; all at once, by operations with an
    axis more, apart from those few that can only go one by one (a function without NumPy's rules
    for axes, such as ``np.convolve``) and from graphs with primitives of the user, whose rules are
    asked for one row after the other.

    >>> ag.jacobian(lambda x: x**2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with _Tracing() as scope:
            positions = _positions(argnums, len(args), "jacobian")
            run = _Run("jacobian", f, args, kwargs, positions, scope, holomorphic=holomorphic)
            outputs, structure = flatten(run.out)
            _check_results(outputs, "jacobian", holomorphic)
            blocks = _blocks(run, outputs, holomorphic)
        nested = structure([_pick(run.rebuild(block), argnums) for block in blocks])
        return nested

    return wrapped


def _pick(parts: Any, argnums: int | Sequence[int]) -> Any:
    return parts[0] if _is_single(argnums) else parts


def _blocks(run: _Run, outputs: Sequence[Any], holomorphic: bool) -> list[list[Array]]:
    """∂y/∂x for each output and each argument."""
    nodes = {y: None for y in outputs if isinstance(y, Node)}
    route = run.look(nodes)
    # A rule of the user's may be written for plain arrays only: then none is recorded.
    together = run.recorded or capturing() is not None or all(
        node.op is None or OPS.get(node.op.name) is node.op or type(node.op.vjps) is Jointly
        for node in route.nodes.values()
    )
    n_in, n_out = (sum(x._value.size for x in xs) for xs in (run.aliases, nodes))
    # A column is a derivative along a real direction: of a complex argument that is half of it.
    whole = holomorphic or all(x._value.dtype.kind != "c" for x in run.aliases)
    if together and whole and n_in < n_out:
        return _columns(run, outputs)
    return [_rows(run, y, together) for y in outputs]


def _rows(run: _Run, y: Any, together: bool) -> list[Array]:
    """∂y/∂x for each argument x, a row per element of y."""
    if not isinstance(y, Node):
        return [np.zeros((*np.shape(y), *x.shape), x.dtype) for x in run.aliases]
    shape, size = tuple(y._value.shape), y._value.size
    if size == 0:
        return [np.zeros_like(x._value, shape=shape + x.shape) for x in run.aliases]
    if size == 1:
        seed = np.ones_like(y._value)[()]
        rows = [np.reshape(g, shape + x.shape) for g, x in zip(
            run.pull([(y, seed)])[0], run.aliases, strict=True)]
    elif together:
        probe = leaf(np.ones_like(y._value), False)
        cotangents, _ = run.pull([(y, probe)], recorded=True)
        rows = [np.reshape(stack, shape + x.shape) for stack, x in zip(
            _stacks(run, cotangents, probe), run.aliases, strict=True)]
    else:
        route = run.look([y])
        pulled = [
            run.pull([(y, np.reshape(seed, shape))], route=route)[0]
            for seed in _units(y._value, 0, size)
        ]
        rows = [np.reshape(np.stack(column), shape + x.shape)
                for column, x in zip(zip(*pulled, strict=True), run.aliases, strict=True)]
    return [_as_scalar(block) for block in rows]


def _columns(run: _Run, outputs: Sequence[Any]) -> list[list[Array]]:
    """∂y/∂x for each output y and each argument x, a column per element of x."""
    probes = {y: leaf(np.ones_like(y._value)[()], True) for y in outputs if isinstance(y, Node)}
    cotangents, _ = run.pull(list(probes.items()), recorded=True)
    columns = []
    for x, g in zip(run.aliases, cotangents, strict=True):
        found: dict[Node, Any] = {}
        tangent = leaf(np.ones_like(x._value)[()], False)
        if isinstance(g, Node) and x.size:
            route = reach([g], list(probes.values()))
            found = pull({g: tangent}, route, recorded=True)
        reached = [y for y, u in probes.items() if isinstance(found.get(u), Node)]
        stacks = _stacks(run, [found[probes[y]] for y in reached], tangent)
        columns.append(dict(zip(reached, stacks, strict=True)))
    for u in probes.values():
        u._requires = False
    blocks = []
    for y in outputs:
        block = []
        for x, of in zip(run.aliases, columns, strict=True):
            shape = (*np.shape(y), *x.shape)
            if isinstance(y, Node) and y in of:
                block.append(_as_scalar(np.reshape(np.moveaxis(of[y], 0, -1), shape)))
            else:
                block.append(_as_scalar(np.zeros_like(x._value, shape=shape)))
        blocks.append(block)
    return blocks


def _stacks(run: _Run, results: Sequence[Any], probe: Tensor) -> list[Array]:
    """``results``, which are linear in ``probe``, for each unit vector in its place.

    Recorded where somebody may differentiate them.
    """
    nodes = [y for y in results if isinstance(y, Node)]
    recipe, inputs = recipe_of(nodes, probe._born, by=probe)
    traced = run.recorded or capturing() is not None
    values = [x if traced else x._value for x in inputs]
    stacked = [x is probe for x in inputs]
    size = probe._value.size
    step = max(1, TOGETHER // max(recipe.largest, 1))
    pieces = []
    for start in range(0, size, step):
        n = min(step, size - start)
        units = np.reshape(_units(probe._value, start, n), (n, *probe._value.shape))
        given = [units if s else x for x, s in zip(values, stacked, strict=True)]
        pieces.append(batching.run(recipe, given, stacked, n))
    joined = [np.concatenate(parts) if len(parts) > 1 else parts[0]
              for parts in zip(*pieces, strict=True)]
    if traced and not run.recorded:
        joined = [_plain(x) for x in joined]
    rest = iter(joined)
    return [next(rest) if isinstance(y, Node) else np.zeros_like(y, shape=(size, *np.shape(y)))
            for y in results]


def _units(like: Array, start: int, n: int) -> Array:
    """The ``n`` unit vectors from ``start``, as rows of the dtype and kind of ``like``."""
    if isinstance(like, (np.ndarray, np.generic)):
        return np.eye(n, like.size, start, dtype=like.dtype)
    return np.eye(n, like.size, start, dtype=like.dtype, like=like)


def hessian(
    f: Function, argnums: int | Sequence[int] = 0, *, holomorphic: bool = False
) -> Function:
    """The function that computes ∂²f/∂x², of shape ``x.shape + x.shape``; f returns a scalar.

    That of a real f of complex arguments is no complex matrix: take it by real and imaginary parts.

    >>> ag.hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 3.0]))
    array([[6., 2.],
           [2., 0.]])
    """
    return jacobian(
        grad(f, argnums, holomorphic=holomorphic), argnums, holomorphic=holomorphic
    )


def hvp(f: Function, x: Any, v: Any) -> Any:
    """The product of the Hessian of ``f`` at ``x`` with ``v``, without forming the Hessian.

    Costs a small multiple of one gradient. ``v`` and the result have the structure of ``x``.

    >>> ag.hvp(lambda x: (x**3).sum(), np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    array([ 6., 12.])
    """
    return jvp(grad(f), (x,), (v,))[1]


def ggnvp(f: Function, loss: Function, x: Any, v: Any) -> Any:
    """The product of the generalised Gauss-Newton matrix of ``loss(f(x))`` with ``v``: Jᵀ H J v.

    J is the Jacobian of ``f`` at ``x``, H the Hessian of ``loss``, which returns a scalar, at
    y = f(x); neither is formed. With a convex loss the matrix is positive semi-definite, unlike
    the Hessian, whose second term Σ ∂loss/∂yᵢ ∇²fᵢ it leaves out. ``f`` runs once. ``v`` and the
    result have the structure of ``x``.

    Schraudolph, "Fast curvature matrix-vector products for second-order gradient descent" (2002),
    section 3.

    >>> squares = lambda y: 0.5 * np.sum(y**2)
    >>> ag.ggnvp(lambda x: x**2, squares, np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    array([ 4., 16.])
    """
    y, back = vjp(f, x)
    # J v is the product with v, taken backwards, of u ↦ uᵀ J, which is linear in u.
    _, forth = vjp(lambda u: back(u)[0], map_leaves(_zero, y))
    (tangent,) = forth(v)
    return back(hvp(loss, y, tangent))[0]


def _zero(y: Any) -> Any:
    return np.zeros_like(value_of(y))[()]
