"""Tensor: a node of the graph that behaves like a NumPy array.

Operators and NumPy functions on Tensors compute at once and record the node that came of it.
"""

from __future__ import annotations

import functools
import inspect
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import ContextDecorator, contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import Any

import numpy as np

from . import dispatch, observe
from .backprop import Route, fit, pull, reach
from .errors import (
    ConversionError,
    GradientError,
    MutationError,
    ShapeError,
    caller,
    describe,
    explain,
)
from .node import Array, Cell, Node, tick, value_of
from .op import OPS, UFUNCS, Op
from .ops import (
    complex_parts,
    elementwise,
    flow,
    indexing,
    metadata,
    products,
    reductions,
    selection,
    shaping,
    sorting,
)

__all__ = ["Tensor", "Value", "array", "asarray", "full", "no_grad", "stop_gradient", "tensor"]

_NO_ATTRS: Mapping[str, Any] = {}
#: Python's numbers stay as they are: weakly typed, as in NumPy 2.
_NUMBERS = frozenset((int, float, bool, complex))
#: What a walk nearly always starts from: to make one takes as long as an operation.
_ONES: dict[type[Any], Any] = {kind: kind(1) for kind in (np.float32, np.float64)}
_NO_NODES: Set[Node] = frozenset()
_new = object.__new__


# Recording. -------------------------------------------------------------------------------------

#: The open blocks of the current thread or task that switch recording, innermost last.
_switches: ContextVar[tuple[_Recording, ...]] = ContextVar("autograd_core.switches", default=())
#: What records the current thread or task for the compiler; it takes all operations over.
_capture: ContextVar[Any] = ContextVar("autograd_core.capture", default=None)
# How many such blocks and recordings are open in any thread or task: while there is none, which is
# nearly always, an operation need not look up the context variables.
_modes = 0
_modes_lock = threading.Lock()


def _count(change: int) -> None:
    global _modes
    with _modes_lock:
        _modes += change


observe.counters.append(_count)


class _Recording(ContextDecorator):
    """Switches recording on or off for the current thread or task, as a block or a decorator."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled

    def __enter__(self) -> None:
        _count(+1)
        _switches.set((*_switches.get(), self))

    def __exit__(self, *exc: object) -> None:
        # Not always the innermost: generators that are suspended inside may end in any order.
        kept = list(_switches.get())
        if self in kept:
            kept.reverse()
            kept.remove(self)
            kept.reverse()
        _switches.set(tuple(kept))
        _count(-1)

    def __call__(self, f: Any) -> Any:
        if inspect.isgeneratorfunction(f) or inspect.isasyncgenfunction(f):
            raise TypeError(
                f"{f.__name__} is a generator, which runs outside of what decorates it; "
                "put `with ag.no_grad():` around the computation inside it"
            )
        if not inspect.iscoroutinefunction(f):
            return super().__call__(f)

        @functools.wraps(f)
        async def decorated(*args: Any, **kwargs: Any) -> Any:
            with self:
                return await f(*args, **kwargs)

        return decorated


def no_grad() -> _Recording:
    """A block, or decorator, in which operations compute but record nothing.

    Results are constants: they have no inputs and require no gradient. It holds for the current
    thread or asyncio task only, and transforms such as :func:`grad` record again inside it.

    >>> x = ag.tensor(2.0, requires_grad=True)
    >>> with ag.no_grad():
    ...     y = x * x
    >>> y.requires_grad
    False
    """
    return _Recording(False)


def recording() -> _Recording:
    """A block in which operations record, also inside :func:`no_grad`."""
    return _Recording(True)


def is_recording() -> bool:
    """Whether operations of the current thread or task record."""
    if not _modes:
        return True
    switches = _switches.get()
    return not switches or switches[-1].enabled


@contextmanager
def captured_by(capture: Any) -> Iterator[None]:
    """A block in which ``capture`` takes over what the current thread or task does to Tensors."""
    token = _capture.set(capture)
    _count(+1)
    try:
        yield
    finally:
        _count(-1)
        _capture.reset(token)


def capturing() -> Any:
    """The recording for the compiler that the current thread or task is in, or None."""
    return _capture.get() if _modes else None


def record(op: Op, inputs: Sequence[Any], attrs: Mapping[str, Any]) -> Tensor:
    """Compute ``op`` on ``inputs`` and return the node; at least one input is a node."""
    in_mode = False
    if _modes:
        capture = _capture.get()
        if capture is not None:
            return capture.record(op, inputs, attrs)  # type: ignore[no-any-return]
        in_mode = True
    kept = tuple(inputs)
    raw: Any
    if len(kept) == 1:
        (x,) = kept
        requires = x._requires
        raw = (x._value if x._lent is None else x.settle(),)
    else:
        requires = False
        raw, changed = [], []
        for x in kept:
            if isinstance(x, Node):
                if x._requires:
                    requires = True
                raw.append(x._value if x._lent is None else x.settle())
            elif type(x) in _NUMBERS:
                if type(x) is complex and np.float64 in map(type, map(value_of, kept)):
                    # 2j * np.float64(1) is for Python to compute, as 2j * 1.0 is, and no NumPy
                    # scalar.
                    x = np.complex128(x)
                    changed.append((len(raw), x))
                raw.append(x)
            else:
                x = constant(x, op)
                changed.append((len(raw), x))
                raw.append(x)
        if changed:
            parts = list(kept)
            for i, x in changed:
                parts[i] = x
            kept = tuple(parts)
    try:
        data = op.forward(*raw, **attrs) if attrs else op.forward(*raw)
    except (ValueError, TypeError, IndexError) as cause:
        raise explain(op.name, raw, attrs, cause) from cause
    node: Tensor = _new(Tensor)
    node._value = data
    node.op = op
    node.inputs = kept
    node.attrs = attrs
    node._requires = requires and op.vjps is not None
    node._lent = None
    node._born = tick()
    if in_mode:
        _finish(node)
    return node


def _finish(node: Tensor) -> None:
    """See to a new node while a block is open somewhere."""
    op, inputs, attrs = node.op, node.inputs, node.attrs
    if not is_recording():
        node.op, node.inputs, node.attrs, node._requires = None, (), _NO_ATTRS, False
    if observe.watching:
        observe.announce(node, op, inputs, attrs)


def computed(
    data: Array, op: Op, inputs: tuple[Any, ...], attrs: Mapping[str, Any], requires: bool
) -> Tensor:
    """A node with a value that was computed already."""
    node: Tensor = _new(Tensor)
    node._value = data
    node.op, node.inputs, node.attrs, node._requires = op, inputs, attrs, requires
    node._lent = None
    node._born = tick()
    return node


def leaf(data: Array, requires: bool, label: str | None = None) -> Tensor:
    """A leaf that takes ``data`` over as it is."""
    node: Tensor = _new(Tensor)
    node._value = data
    node.op, node.inputs, node.attrs, node._requires = None, (), _NO_ATTRS, requires
    node._lent = None
    node._born = tick()
    if label is not None:
        node._label = label
    return node


def is_operand(x: Any) -> bool:
    """Whether an operator can compute with ``x``; otherwise it is the other type's turn."""
    return isinstance(x, (np.generic, list, tuple)) or (
        hasattr(x, "__array_function__") and not dispatch.is_foreign(x)
    )


def constant(x: Any, op: Op | None = None) -> Array:
    """An operand that is no node, as the graph keeps it: the caller cannot change it later."""
    if isinstance(x, np.ndarray):
        if type(x) is not np.ndarray:
            x = plain(x, f"{op}: an operand")
        if x.dtype.hasobject:
            raise TypeError(
                f"{op}: an array of dtype object (at {caller()}); "
                "build arrays of Tensors with `ag.array([...])` or `np.stack([...])`"
            )
        flags = x.flags
        if not flags.writeable and flags.owndata:
            return x
        x = x.copy()
        x.setflags(write=False)
        return x
    if isinstance(x, np.generic) or hasattr(x, "__array_function__"):
        return x
    if isinstance(x, (list, tuple)):
        return array(x)
    raise TypeError(f"{op}: cannot compute with {x!r} of type {type(x).__name__} (at {caller()})")


def plain(x: np.ndarray, what: str) -> np.ndarray:
    """``x`` as an array whose operators mean what they mean everywhere here.

    Raises for a subclass: a matrix multiplies otherwise, a masked array would lose its mask, one
    with units these. A memory map is an array.
    """
    if type(x) is np.ndarray:
        return x
    if isinstance(x, np.memmap):
        return x.view(np.ndarray)
    fix = "`x.filled(value)`" if hasattr(x, "mask") else "`np.asarray(x)`"
    raise TypeError(
        f"{what} is of type {type(x).__name__}, whose operators may mean something else than those "
        f"of arrays (at {caller()}); pass {fix}"
    )


def as_data(data: Any, dtype: Any = None) -> Array:
    """What ``ag.tensor`` stores for ``data``: a copy of arrays and lists, scalars as scalars."""
    if isinstance(data, Tensor):
        if data._requires:
            data._refuse_conversion("a new leaf made of a Tensor", "ag.tensor(t.detach())")
        data.read("a new leaf made of a Tensor")
        data = data._value
    if hasattr(data, "__array_function__") and not isinstance(data, np.ndarray):
        return data if dtype is None else data.astype(dtype)
    if isinstance(data, np.ndarray):
        data = plain(data, "tensor: what it is made of")
    try:
        result = np.array(data, dtype=dtype)
    except (ValueError, OverflowError) as cause:
        raise ShapeError(
            f"tensor: {describe(data)} makes no array: {cause} (at {caller()})"
        ) from cause
    if result.dtype == object:
        raise TypeError(
            f"tensor: {type(data).__name__} does not make an array of numbers (at {caller()}); "
            "lists that hold Tensors go through `ag.array([...])`"
        )
    return result if result.ndim else result[()]


def check_differentiable(data: Array, what: str) -> None:
    """Raise unless a gradient with respect to ``data`` makes sense."""
    kind = data.dtype.kind
    if kind in "fc":
        return
    fix = "; use `dtype=float` or write 2.0 instead of 2" if kind in "iub" else ""
    raise GradientError(
        f"{what} of dtype {data.dtype} (at {caller()}): "
        f"a gradient needs floating-point values{fix}"
    )


# Operators. -------------------------------------------------------------------------------------


def _binary(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The methods ``__op__`` and ``__rop__`` for a two-operand op; they record directly.

    The fast road for the two operands that make up nearly every call, a Tensor and a Tensor or a
    Python number; anything else goes through :func:`record`.
    """
    op = OPS[name]
    forward = op.forward
    differentiable = op.vjps is not None
    ndarray = np.ndarray

    def method(self: Tensor, other: Any) -> Any:
        if _modes:  # before a value is read: a recording has to see first what it reads
            if isinstance(other, Node) or type(other) in _NUMBERS or is_operand(other):
                return record(op, (self, other), _NO_ATTRS)
            return NotImplemented
        if isinstance(other, Node):
            operand = other._value if other._lent is None else other.settle()
            requires = differentiable and (self._requires or other._requires)
        elif type(other) in _NUMBERS:
            operand = other
            requires = differentiable and self._requires
        elif type(other) is ndarray:
            operand = other = constant(other, op)
            requires = differentiable and self._requires
        elif is_operand(other):
            return record(op, (self, other), _NO_ATTRS)
        else:
            return NotImplemented
        value = self._value if self._lent is None else self.settle()
        try:
            data = forward(value, operand)
        except (ValueError, TypeError, IndexError) as cause:
            raise explain(name, (value, operand), _NO_ATTRS, cause) from cause
        node: Tensor = _new(Tensor)
        node._value = data
        node.op = op
        node.inputs = (self, other)
        node.attrs = _NO_ATTRS
        node._requires = requires
        node._lent = None
        node._born = tick()
        return node

    def reflected(self: Tensor, other: Any) -> Any:
        kind = type(other)
        if _modes or not (kind is ndarray or kind is float or kind is int):
            if kind in _NUMBERS or is_operand(other):
                return record(op, (other, self), _NO_ATTRS)
            return NotImplemented
        if kind is ndarray:
            other = constant(other, op)
        value = self._value if self._lent is None else self.settle()
        try:
            data = forward(other, value)
        except (ValueError, TypeError, IndexError) as cause:
            raise explain(name, (other, value), _NO_ATTRS, cause) from cause
        return computed(data, op, (other, self), _NO_ATTRS, differentiable and self._requires)

    return method, reflected


def _writing(name: str, instead: str) -> Callable[..., Any]:
    """In place of a method of ndarray that writes into the array."""

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        raise MutationError(
            f"Tensors are not written into, as `t.{name}(...)` would (at {caller()}); write "
            f"`{instead}`"
        )

    method.__name__ = name
    method.__doc__ = f"Raises: ndarray's writes into the array. Write ``{instead}``."
    return method


def _unary(name: str) -> Callable[..., Any]:
    """The method for a one-operand op; records directly."""
    op = OPS[name]
    forward = op.forward
    differentiable = op.vjps is not None

    def method(self: Tensor) -> Any:
        if _modes:
            return record(op, (self,), _NO_ATTRS)
        value = self._value if self._lent is None else self.settle()
        try:
            data = forward(value)
        except TypeError as cause:
            raise explain(name, (value,), _NO_ATTRS, cause) from cause
        node: Tensor = _new(Tensor)
        node._value = data
        node.op = op
        node.inputs = (self,)
        node.attrs = _NO_ATTRS
        node._requires = differentiable and self._requires
        node._lent = None
        node._born = tick()
        return node

    method.__name__ = name
    method.__doc__ = f"{op.formula}, element by element."
    return method


class Tensor(Node):
    """An array that remembers how it was computed.

    ``Tensor(data, requires_grad=False, dtype=None, label=None)`` makes a leaf; every operation on
    Tensors makes a node. See :func:`tensor`.
    """

    __slots__ = ()

    __array_ufunc__ = dispatch.array_ufunc
    __array_function__ = dispatch.array_function
    # Element-wise == would take the hash away; the graph is keyed by identity.
    __hash__ = object.__hash__

    record = staticmethod(record)

    def __init__(
        self,
        data: Any,
        requires_grad: bool = False,
        dtype: Any = None,
        label: str | None = None,
    ) -> None:
        value = as_data(data, dtype)
        if requires_grad:
            check_differentiable(value, "requires_grad=True for a Tensor")
        elif value.dtype.kind not in "biufc":
            raise TypeError(f"tensor: dtype {value.dtype} is not of numbers (at {caller()})")
        self._value = value
        self.op = None
        self.inputs = ()
        self.attrs = _NO_ATTRS
        self._requires = bool(requires_grad)
        self._lent = None
        self._born = tick()
        if label is not None:
            self._label = label
        if _modes:
            if (capture := _capture.get()) is not None:
                capture.made(self)
            if observe.watching:
                observe.announce(self, None, (), _NO_ATTRS)

    # What it is.

    @property
    def data(self) -> Array:
        """The value: an ndarray, or a NumPy scalar for shape ().

        Writing into a leaf's array, or assigning to ``data``, changes the leaf: a graph computed
        from it before is then out of date, and going backward through it raises
        :class:`StaleGraphError`. The array of a computed node is read-only.
        """
        self.read("t.data")
        if isinstance(self._lent, Cell):
            self._lent.fetch(self)
        value = self._value
        if type(value) is np.ndarray:
            if not value.ndim:
                return value[()]
            if self.op is not None:
                value.setflags(write=False)
            elif self._lent is None:
                # The user may write into what we hand out: the graph, and the views that its
                # nodes hold, keep the array they have seen.
                self._lent = value
                self._value = value = value.copy()
        return value

    @data.setter
    def data(self, value: Any) -> None:
        if _modes and (capture := _capture.get()) is not None:
            capture.assign(self, value, cast=False)
        elif value is self._value:  # as `t.data -= v` ends; the caller may hold on to the array
            self._replace(value)
            self._lent = value.copy()
        else:
            self._replace(as_data(value))

    def assign(self, value: Any) -> None:
        """Replace a leaf's value by an array of the same shape, cast to the leaf's dtype.

        Unlike ``t.data = value`` this takes the array over, without a copy unless it is a view,
        and makes it read-only. Graphs computed from the old value are out of date afterwards.
        """
        if _modes and (capture := _capture.get()) is not None:
            capture.assign(self, value, cast=True)
            return
        kind = type(value)
        if kind is not np.ndarray and isinstance(value, Node):
            value = value._value if value._lent is None else value.settle()
            kind = type(value)
        old = self._value
        if kind is type(old) and self.op is None and (
            value.dtype is old.dtype and value.shape == old.shape
        ):
            if kind is np.ndarray:
                if value.base is not None:  # somebody may write through what it is a view of
                    value = value.copy()
                value.setflags(write=False)
            self._value = value
            self._lent = None
            self._born = tick()
        else:
            self._check_assigned(value)
            self._replace(as_data(value, old.dtype))

    def _check_assigned(self, value: Any) -> None:
        if np.shape(value) != self.shape:
            raise ShapeError(
                f"assign: a value of shape {np.shape(value)} for {self._name()} of shape "
                f"{self.shape} (at {caller()})"
            )

    def _check_replaced(self, value: Array) -> None:
        if self.op is not None:
            raise MutationError(
                f"{self._name()} was computed by {self.op} and cannot be assigned to; "
                "change a leaf and compute again"
            )
        if self._requires:
            check_differentiable(value, f"a value for {self._name()}, which requires a gradient,")

    def _replace(self, value: Array) -> None:
        self._check_replaced(value)
        self._value = value
        self._lent = None
        self._born = tick()

    @property
    def grad(self) -> Array | None:
        """The gradient that ``backward`` accumulated here, of this Tensor's shape and dtype."""
        if _modes and (capture := _capture.get()) is not None:
            return capture.grad(self)
        return self._accumulated()

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is not None and not isinstance(value, Node):
            value = as_data(value, self.dtype)
            if value.shape != self.shape:
                raise ShapeError(
                    f"grad: an array of shape {value.shape} for {self._name()} of shape "
                    f"{self.shape}"
                )
        if _modes and (capture := _capture.get()) is not None:
            capture.set_grad(self, value)
        else:
            self._set_grad(value)

    def _accumulated(self) -> Array | None:
        """The gradient of the eager engine, fetched if a plan has it."""
        found = getattr(self, "_grad", None)
        if isinstance(found, Cell):
            self._grad = found = found.fetch(self)
        return found

    @property
    def requires_grad(self) -> bool:
        """Whether ``backward`` computes a gradient for this Tensor or something it came from."""
        return self._requires

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if self.op is not None:
            raise GradientError(
                f"requires_grad of {self._name()} follows from its inputs; "
                "use `t.detach()` for a Tensor that requires none"
            )
        if _modes and (capture := _capture.get()) is not None:
            capture.refuse_change(self, "requires_grad")
        if value:
            check_differentiable(self._value, f"requires_grad=True for {self._name()}")
        self._requires = bool(value)

    @property
    def label(self) -> str | None:
        """A name for pictures, listings and error messages."""
        return getattr(self, "_label", None)

    @label.setter
    def label(self, value: str | None) -> None:
        self._label = value

    @property
    def is_leaf(self) -> bool:
        return self.op is None

    @property
    def shape(self) -> tuple[int, ...]:
        return self._value.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._value.dtype  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        return self._value.ndim  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        return self._value.size  # type: ignore[no-any-return]

    @property
    def real(self) -> Any:
        """The real part; a real Tensor itself."""
        return complex_parts.real(self)

    @property
    def imag(self) -> Any:
        """The imaginary part."""
        return complex_parts.imag(self)

    @property
    def T(self) -> Any:
        return shaping.transpose(self)

    @property
    def mT(self) -> Any:
        return shaping.matrix_transpose(self)

    def _name(self) -> str:
        return f"Tensor {self.label!r}" if self.label else "a Tensor"

    def __repr__(self) -> str:
        value = self._value
        parts = [
            f"{self.dtype}{list(self.shape)}" if capturing() is not None
            else np.array2string(np.asarray(value), separator=", ", prefix="tensor(")
            if isinstance(value, (np.ndarray, np.generic))
            else repr(value)
        ]
        if self.dtype not in (np.float64, np.int64, np.bool_):
            parts.append(f"dtype={self.dtype}")
        if self.op is not None:
            parts.append(f"op={self.op}")
        elif self._requires:
            parts.append("requires_grad=True")
        if self.label:
            parts.append(f"label={self.label!r}")
        return f"tensor({', '.join(parts)})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return import_module(".render.notebook", __package__).bundle(self)  # type: ignore[no-any-return]

    # Going backward.

    def backward(self, grad: Any = None, create_graph: bool = False) -> None:
        """Accumulate d(self)/d(leaf) into ``.grad`` of every leaf that requires a gradient.

        ``grad`` is the cotangent to start from, of this Tensor's shape; it may be left out for a
        scalar, where it is 1. With ``create_graph=True`` the gradients are recorded Tensors and
        can be differentiated again; a leaf and its gradient then refer to each other until
        ``zero_grad`` or the garbage collector parts them.

        A complex leaf gets df/dx - i df/dy, see :func:`grad`.

        Raises :class:`GradientError` without ``grad`` for a non-scalar or a complex output, or
        where nothing requires a gradient; :class:`ShapeError` for a ``grad`` of another shape;
        :class:`StaleGraphError` if a value was changed after it had been used. Nothing is changed
        then.
        """
        if not self._requires:
            raise GradientError(
                f"backward: {self._name()} depends on nothing that requires a gradient "
                f"(at {caller()}); make the leaves with `ag.tensor(x, requires_grad=True)`"
            )
        if _modes and (capture := _capture.get()) is not None:
            capture.backward(self, grad, create_graph)
            return
        seed = self._seed(grad, create_graph)
        route, keep = None, _NO_NODES
        if _retaining:
            route = reach((self,))
            keep = retained(route)
        if create_graph:
            with recording():
                found = pull({self: seed}, route, recorded=True, keep=keep)
            for node, g in found.items():
                if not isinstance(g, Node):  # a structural zero
                    found[node] = leaf(g, False)
        else:
            found = pull({self: seed}, route, keep=keep)
        for node, g in found.items():
            if getattr(node, "_grad", None) is not None:
                found[node] = sum_of_gradients(node._accumulated(), g)  # type: ignore[attr-defined]
        for node, g in found.items():
            if type(node._lent) is tuple:
                node._set_grad(g)
            else:
                node._grad = g

    def _seed(self, grad: Any, create_graph: bool, name: str = "backward") -> Array:
        """The cotangent to start from, checked and cast."""
        value = self._value
        if grad is None:
            if value.dtype.kind == "c":
                raise GradientError(
                    f"{name}: the output is complex, so there is no single gradient "
                    f"(at {caller()}); make a real number of it, as in `np.abs(y) ** 2`, or pass "
                    f"the cotangent: of a holomorphic function `y.{name}(1 + 0j)` gives f'(z)"
                )
            if value.shape:
                raise GradientError(
                    f"{name}: the output has shape {self.shape}, so there is no single gradient "
                    f"(at {caller()}); reduce it first, as in `y.sum().backward()`, or pass the "
                    f"cotangent: `y.backward(np.ones({self.shape}))`"
                )
            if isinstance(value, np.generic) and not create_graph:
                return _ONES.get(type(value)) or type(value)(1)
            seed: Array = np.ones_like(value)
        elif isinstance(grad, Node):
            if grad._value.shape != self.shape:
                self._reject_seed(grad._value, name)
            return grad if create_graph else self._seed(grad._value, False, name)
        else:
            seed = as_data(grad) if isinstance(value, (np.ndarray, np.generic)) else grad
            if seed.shape != self.shape:
                self._reject_seed(seed, name)
            if seed.dtype.kind not in "biuf" and seed.dtype.kind != value.dtype.kind:
                raise GradientError(
                    f"{name}: grad has dtype {seed.dtype} but the output {value.dtype} "
                    f"(at {caller()})"
                )
            seed = fit(seed, self._value, name)
        if isinstance(seed, np.ndarray) and seed.ndim == 0:
            seed = seed[()]
        return leaf(seed, False) if create_graph else seed

    def _reject_seed(self, seed: Array, name: str) -> None:
        raise ShapeError(
            f"{name}: grad has shape {seed.shape} but the output has shape {self.shape} "
            f"(at {caller()}); they must be equal"
        )

    def zero_grad(self) -> None:
        """Forget the accumulated gradient: ``.grad`` is None again."""
        if _modes and (capture := _capture.get()) is not None:
            capture.set_grad(self, None)
        elif type(self._lent) is tuple:
            self._set_grad(None)
        else:
            self._grad = None

    def retain_grad(self) -> None:
        """Let ``backward`` also store the gradient of this computed Tensor."""
        if not self._requires:
            raise GradientError(f"retain_grad: {self._name()} does not require a gradient")
        _retain(self)

    # Leaving the graph.

    def detach(self) -> Tensor:
        """The value as a new leaf that requires no gradient and keeps no history.

        Shares memory, read-only. :func:`stop_gradient` keeps the history instead, so that a
        replay of the graph recomputes it.
        """
        if capturing() is not None:
            return flow.stop_gradient(self)  # type: ignore[no-any-return]
        return leaf(self.numpy(force=True), False)

    def numpy(self, *, force: bool = False) -> Array:
        """The value as a read-only ndarray, without a copy.

        Raises :class:`ConversionError` for a Tensor that requires a gradient, unless ``force``.
        """
        if self._requires and not force:
            self._refuse_conversion("t.numpy()", "t.detach().numpy()")
        if _modes:
            self.read("t.numpy()")
        value = self._value
        if type(value) is np.ndarray:
            if not value.ndim:
                return value[()]
            if self._lent is not None:
                value = value.copy()
            value.setflags(write=False)
        return value

    def item(self) -> Any:
        """The single element as a Python number; raises for any other number of elements."""
        value = self._value
        if type(value) is np.float64 or type(value) is np.float32:  # whose own item() takes long
            if _modes:
                self.read("t.item()")
            return float(value)
        if value.size != 1:
            raise ConversionError(
                f"item: needs a Tensor with one element, got shape {self.shape} (at {caller()}); "
                "`t.tolist()` gives all of them"
            )
        self.read("t.item()")
        return value.item()

    def tolist(self) -> Any:
        """The value as nested lists of Python numbers."""
        self.read("t.tolist()")
        return self._value.tolist()

    def read(self, what: str) -> None:
        """Before Python reads the value: raise where a recording for the compiler needs it to vary.

        Raises :class:`CompileError`.
        """
        if _modes:
            if (capture := _capture.get()) is not None:
                capture.read(self, what)
            if observe.watching:
                observe.reading(self, what)

    def require(self, error: Exception) -> None:
        """Raise ``error`` unless all of this is true; where it is recorded, at each run."""
        if _modes and (capture := _capture.get()) is not None:
            capture.require(self, error)
        elif not np.all(self._value):
            raise error

    def _refuse_conversion(self, what: str, fix: str) -> None:
        build = " (np.stack, ag.array or ag.full to build one)" if "ndarray" in what else ""
        raise ConversionError(
            f"{what} would cut the gradient of {self._name()} of shape {self.shape} off "
            f"(at {caller()}). To go on differentiating, use NumPy functions and operators on "
            f"Tensors{build}; "
            f"to leave the graph, write `{fix}`"
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if self._requires:
            self._refuse_conversion("a conversion to ndarray", "t.detach().numpy()")
        self.read("np.asarray(t), or another conversion to ndarray,")
        if isinstance(self._lent, Cell):
            self._lent.fetch(self)
        value = np.asarray(self._value, dtype=dtype)
        if copy:
            return value.copy()
        value = value.view()
        value.setflags(write=False)
        return value

    def _scalar(self, what: str) -> Any:
        if self._requires:
            self._refuse_conversion(what, "t.item()")
        if self._value.size != 1:
            raise ConversionError(
                f"{what} needs a Tensor with one element, got shape {self.shape} (at {caller()})"
            )
        self.read(what)
        return self._value.item()

    def __float__(self) -> float:
        return float(self._scalar("float(t), also as math.exp(t) and the like,"))

    def __int__(self) -> int:
        return int(self._scalar("int(t)"))

    def __complex__(self) -> complex:
        return complex(self._scalar("complex(t)"))

    def __index__(self) -> int:
        if self._value.dtype.kind not in "iu":
            raise ConversionError(f"only integer Tensors can be indices, got {self.dtype}")
        return int(self._scalar("an index"))

    def __bool__(self) -> bool:
        if self._value.size != 1:
            raise ConversionError(
                f"the truth of a Tensor of shape {self.shape} is ambiguous (at {caller()}); "
                "use `.any()` or `.all()`, or np.where to choose element by element"
            )
        self.read("a decision by its truth (`if`, `and`, `not`, ...)")
        return bool(self._value)

    def __len__(self) -> int:
        return len(self._value)

    def __iter__(self) -> Iterator[Any]:
        if not self._value.ndim:
            raise TypeError("iteration over a Tensor of shape ()")
        return (self[i] for i in range(self._value.shape[0]))

    def __format__(self, spec: str) -> str:
        if not spec:
            return str(self)
        self.read("a formatted string")
        return format(self._value.item() if self._value.size == 1 else self._value, spec)

    def __copy__(self) -> Any:
        return self.__deepcopy__({})

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Of a leaf, another leaf; a computed Tensor never changes, and is its own copy.

        Where a container copies what it wraps before it goes on computing, as xarray does, the
        leaf's gradient goes through the copy.
        """
        if self.op is not None:
            return self
        if capturing() is not None or dispatch.copied_by_a_container():
            return flow.identity(self)
        copied = _new(type(self))
        copied._value = np.copy(self._value)[()]
        copied.op, copied.inputs, copied.attrs = None, (), _NO_ATTRS
        copied._requires, copied._lent, copied._born = self._requires, None, tick()
        if self.label is not None:
            copied._label = self.label
        memo[id(self)] = copied
        return copied

    def __getstate__(self) -> tuple[Any, dict[str, Any]]:
        """For pickle: what a Tensor is, without what a plan holds of it and a clock counts here."""
        self.read("pickle")
        self.settle()
        for x in self.inputs:
            if isinstance(x, Node):
                x.settle()
        outdated = any(isinstance(x, Node) and x._born > self._born for x in self.inputs)
        kept = {"_value": self._value, "_outdated": outdated, "_grad": self._accumulated()}
        for name in ("op", "inputs", "attrs", "_requires", "_label", "_retain", "_origin"):
            if hasattr(self, name):
                kept[name] = getattr(self, name)
        return getattr(self, "__dict__", None), kept

    def __setstate__(self, state: tuple[Any, dict[str, Any]]) -> None:
        others, kept = state
        # A birth of another process could be that of a Tensor of this one, and walks tell nodes
        # apart by theirs. Inputs come before what was computed from them, here as there.
        self._born = -1 if kept.pop("_outdated") else tick()
        self._lent = None
        for name, value in kept.items():
            setattr(self, name, value)
        if "_retain" in kept:
            _retain(self)
        if others:
            vars(self).update(others)

    # Arithmetic and comparison.

    __add__, __radd__ = _binary("add")
    __sub__, __rsub__ = _binary("subtract")
    __mul__, __rmul__ = _binary("multiply")
    __truediv__, __rtruediv__ = _binary("divide")
    __floordiv__, __rfloordiv__ = _binary("floor_divide")
    __mod__, __rmod__ = _binary("remainder")
    __pow__, __rpow__ = _binary("power")
    __matmul__, __rmatmul__ = _binary("matmul")
    __and__, __rand__ = _binary("bitwise_and")
    __or__, __ror__ = _binary("bitwise_or")
    __xor__, __rxor__ = _binary("bitwise_xor")
    __lshift__, __rlshift__ = _binary("left_shift")
    __rshift__, __rrshift__ = _binary("right_shift")
    __eq__ = _binary("equal")[0]
    __ne__ = _binary("not_equal")[0]
    __lt__ = _binary("less")[0]
    __le__ = _binary("less_equal")[0]
    __gt__ = _binary("greater")[0]
    __ge__ = _binary("greater_equal")[0]
    __neg__ = _unary("negative")
    __abs__ = _unary("absolute")
    __invert__ = _unary("invert")

    def __pos__(self) -> Tensor:
        return self

    def __divmod__(self, other: Any) -> tuple[Any, Any]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Any, Any]:
        return other // self, other % self

    def __round__(self, digits: int | None = None) -> Any:
        return elementwise.around(self, digits or 0)

    # Selection.

    def __getitem__(self, index: Any) -> Any:
        return indexing.getitem(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise MutationError(
            f"Tensors are not written into (at {caller()}): instead of `t[i] = v` write "
            "`t = t.at[i].set(v)`, instead of `t[i] += v` write `t = t.at[i].add(v)`"
        )

    @property
    def at(self) -> At:
        """Functional updates: ``t.at[index].set(v)``, ``.add(v)`` and ``.apply(ufunc, v)``."""
        return At(self)

    # The methods of ndarray that people use: NumPy's functions, where the signatures agree.

    exp = _unary("exp")
    log = _unary("log")
    sqrt = _unary("sqrt")
    sin = _unary("sin")
    cos = _unary("cos")
    tanh = _unary("tanh")
    abs = _unary("absolute")
    relu = _unary("relu")
    sigmoid = _unary("sigmoid")

    def sum(self, axis: Any = None, dtype: Any = None, out: None = None, keepdims: Any = False,
            initial: Any = np._NoValue, where: Any = np._NoValue) -> Any:
        if dtype is None and out is None and initial is where is np._NoValue:
            return record(reductions.sum_, (self,), {"axis": axis, "keepdims": keepdims})
        return reductions.sum(self, axis, dtype, out, keepdims, initial, where)

    def mean(self, axis: Any = None, dtype: Any = None, out: None = None,
             keepdims: Any = False, *, where: Any = np._NoValue) -> Any:
        if dtype is None and out is None and where is np._NoValue:
            return record(reductions.mean_, (self,), {"axis": axis, "keepdims": keepdims})
        return reductions.mean(self, axis, dtype, out, keepdims, where=where)

    var = reductions.var
    std = reductions.std
    max = reductions.max
    min = reductions.min
    prod = reductions.prod
    cumsum = reductions.cumsum
    cumprod = reductions.cumprod
    argmax = reductions.argmax
    argmin = reductions.argmin
    all = reductions.all
    any = reductions.any
    argsort = metadata.argsort
    argpartition = sorting.argpartition
    searchsorted = metadata.searchsorted
    nonzero = indexing.nonzero

    def reshape(self, *shape: Any, order: str = "C", copy: bool | None = None) -> Any:
        return shaping.reshape(self, shape[0] if len(shape) == 1 else shape, order)

    ravel = shaping.ravel
    flatten = shaping.ravel

    def transpose(self, *axes: Any) -> Any:
        if len(axes) == 1 and not isinstance(axes[0], int):
            axes = axes[0]
        return shaping.transpose(self, axes if axes else None)

    swapaxes = shaping.swapaxes
    squeeze = shaping.squeeze
    repeat = shaping.repeat
    take = indexing.take
    diagonal = indexing.diagonal
    trace = indexing.trace
    dot = products.dot
    choose = selection.choose

    def compress(self, condition: Any, axis: int | None = None, out: None = None) -> Any:
        return selection.compress(condition, self, axis, out)

    def clip(self, min: Any = None, max: Any = None, out: None = None) -> Any:
        return elementwise.clip(self, min, max, out)

    conj = complex_parts.conjugate
    conjugate = complex_parts.conjugate
    round = elementwise.around

    def astype(
        self, dtype: Any, order: str = "K", casting: Any = "unsafe", subok: bool = True,
        copy: bool = True,
    ) -> Any:
        if not np.can_cast(self.dtype, dtype, casting):
            raise TypeError(
                f"astype: casting={casting!r} does not allow {self.dtype} to become "
                f"{np.dtype(dtype)} (at {caller()})"
            )
        return shaping.astype(self, dtype)

    def copy(self, order: str = "C") -> Tensor:
        """The Tensor itself: it never changes."""
        return self

    fill = _writing("fill", "t = ag.full(t.shape, value)")
    put = _writing("put", "t = t.reshape(-1).at[indices].set(values).reshape(t.shape)")
    sort = _writing("sort", "t = np.sort(t)")
    partition = _writing("partition", "t = np.partition(t, kth)")
    resize = _writing("resize", "t = np.resize(t, shape)")


def _of_two(op: Op) -> Callable[[Any, Any], Any]:
    """``op`` of two operands, one a Tensor; NotImplemented if it does not know the other."""
    method, reflected = _binary(op.name)
    return lambda a, b: method(a, b) if isinstance(a, Node) else reflected(b, a)


dispatch.DIRECT.update({
    ufunc: _unary(op.name) if ufunc.nin == 1 else _of_two(op)
    for ufunc, op in UFUNCS.items() if type(op) is Op and ufunc.nin < 3
})


class At:
    """``t.at[index]``: what ``t`` would be with other values at the index."""

    __slots__ = ("_index", "_tensor")

    def __init__(self, tensor: Tensor, index: Any = ...) -> None:
        self._tensor = tensor
        self._index = index

    def __getitem__(self, index: Any) -> At:
        return At(self._tensor, index)

    def set(self, value: Any) -> Any:
        """A new Tensor with ``value`` at the index; of repeated indices the last value stays."""
        return indexing.at_set(self._tensor, self._index, value)

    def add(self, value: Any) -> Any:
        """A new Tensor with ``value`` added at the index; repeated indices add up."""
        return indexing.at_add(self._tensor, self._index, value)

    def apply(self, ufunc: np.ufunc, *value: Any) -> Any:
        """The new Tensor that ``ufunc.at(t, index, *value)`` would make of ``t``.

        ``ufunc``: of one or two operands, of which the first is what stands at the index, and
        ``value`` the second. At a repeated index it is applied again, in the order of the index;
        a replay with an index that repeats otherwise raises ``ValueError``.

        >>> ag.tensor([1.0, 2.0]).at[[0, 1, 0]].apply(np.multiply, [3.0, 5.0, 7.0]).data
        array([21., 10.])
        """
        return indexing.at_apply(self._tensor, self._index, ufunc, *value)


def sum_of_gradients(before: Array, g: Array) -> Array:
    """What was accumulated, and what arrived."""
    if before.shape != g.shape:
        raise ShapeError(
            f"backward: a gradient of shape {before.shape} is waiting where one of "
            f"shape {g.shape} would be added (at {caller()}); call `zero_grad()` first"
        )
    return before + g


#: The Tensors that retain their gradients, by identity, as long as they live: while there are none,
#: no walk need look for them.
_retaining: dict[int, weakref.ref[Node]] = {}


def _retain(node: Node) -> None:
    key = id(node)
    node._retain = True
    _retaining[key] = weakref.ref(node, lambda _: _retaining.pop(key, None))


def retained(route: Route) -> Set[Node]:
    return {node for node in route.nodes.values()
            if node.op is not None and getattr(node, "_retain", False)}


# Making Tensors. --------------------------------------------------------------------------------


def tensor(
    data: Any, requires_grad: bool = False, dtype: Any = None, label: str | None = None
) -> Tensor:
    """A leaf of the graph holding a copy of ``data``.

    ``data``: a number, nested lists of numbers, an array. With ``requires_grad=True`` it must be
    of floating point or complex. ``label`` names it in pictures and messages.

    Raises :class:`GradientError` (a ``TypeError``) if a gradient is asked for of integers,
    booleans or strings.

    >>> x = ag.tensor([1.0, 2.0], requires_grad=True, label="x")
    >>> (x * x).sum().backward()
    >>> x.grad
    array([2., 4.])
    """
    return Tensor(data, requires_grad, dtype, label)


class Value(Tensor):
    """A scalar leaf that requires a gradient, with micrograd's names.

    >>> a, b = ag.Value(2.0), ag.Value(-3.0)
    >>> c = (a * b + a**2).relu() + a.tanh()
    >>> c.backward()
    """

    __slots__ = ()

    def __init__(self, data: Any, label: str | None = None) -> None:
        super().__init__(data, dtype=None if isinstance(data, np.floating) else np.float64,
                         requires_grad=True, label=label)
        if self._value.ndim:
            raise ShapeError(f"Value: a scalar is needed, got shape {self.shape}; use ag.tensor")


def array(nested: Any, dtype: Any = None) -> Any:
    """Like ``np.array`` for nested lists that hold Tensors, which NumPy cannot see into.

    Recorded as stacking; all elements need one shape. Without Tensors, a plain ndarray.

    >>> x = ag.tensor(2.0, requires_grad=True)
    >>> ag.array([[x, 0.0], [1.0, x * x]]).shape
    (2, 2)
    """
    if isinstance(nested, Node):
        result: Any = nested
    elif _holds_node(nested):
        result = shaping.stack([array(item) for item in nested])
    else:
        result = np.array(nested, dtype=dtype)
        if result.dtype.kind not in "biufc":
            raise TypeError(f"array: {describe(nested)} holds no numbers (at {caller()})")
        return result
    return result if dtype is None else shaping.astype(result, dtype)


def asarray(a: Any, dtype: Any = None) -> Any:
    """``a`` as an array: Tensors and arrays as they are, lists as :func:`array` makes them.

    What ``np.asarray`` is for plain arrays; cast to ``dtype`` if it is given.

    >>> ag.asarray([ag.Value(1.0), 2.0]).shape
    (2,)
    """
    if not isinstance(a, Node):
        a = a if hasattr(a, "__array_function__") else array(a)
    return a if dtype is None else shaping.astype(a, dtype)


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    """``np.full``, also where ``fill_value`` is a Tensor, which NumPy does not look at.

    The value is broadcast to ``shape``, and gets the sum of what its copies get. Without a Tensor,
    a plain ndarray.

    >>> ag.grad(lambda v: np.sum(ag.full((2, 3), v)))(1.5)
    np.float64(6.0)
    """
    if not isinstance(fill_value, Node):
        return np.full(shape, fill_value, dtype)
    value = fill_value if dtype is None else shaping.astype(fill_value, dtype)
    return shaping.broadcast_to(value, shape)


def _holds_node(nested: Any) -> bool:
    return isinstance(nested, Node) or (
        isinstance(nested, (list, tuple)) and any(_holds_node(item) for item in nested)
    )


def stop_gradient(x: Any) -> Any:
    """``x`` as a constant: no gradient flows through. A replay still recomputes it."""
    return flow.stop_gradient(x)
