"""Recording a function: every operation of one run, and what it does to leaves, as a Program.

While a :class:`Capture` is open, it takes over what its thread or task does to Tensors. Operations
compute real values, so that the recording is also the function's first execution, and every node is
kept. Effects (assignments to leaves, accumulated gradients) are only noted: they take place when
the function has returned, and not at all if it raises.

A leaf that is assigned to is replaced, from then on, by a *version*: a leaf that stands for the new
value. So a walk backwards ends where it ends in the eager engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from .. import observe
from ..backprop import pull, reach
from ..errors import CompileError, Place, caller, explain, place
from ..node import Node, tick
from ..op import Op
from ..ops.flow import stop_gradient
from ..ops.indexing import getitem_, scatter_, set_
from ..ops.shaping import astype_, astype_discrete
from ..tensor import (
    Tensor,
    as_data,
    capturing,
    computed,
    constant,
    is_recording,
    leaf,
    recording,
    retained,
    sum_of_gradients,
)
from .program import Atom, Instruction, Program, Type, Var, type_of

__all__ = ["Capture", "Weak", "callback", "guard", "is_compiling", "kind_of"]

_NUMBERS = frozenset((int, float, bool, complex))
_NO_ATTRS: Mapping[str, Any] = {}
#: Ops whose result has a shape that depends on the values of their operands.
_SHAPE_FROM_VALUES = frozenset(("nonzero", "flatnonzero", "unique", "kept", "shared"))


class Weak(float):
    """A Python float that answers what arrays are asked for.

    NumPy takes exact floats alone for weakly typed: operations are given ``float(x)``.
    """

    __slots__ = ()
    shape = ()
    ndim = 0
    size = 1
    dtype = np.dtype(np.float64)

    def item(self) -> float:
        return float(self)

    def copy(self) -> Weak:
        return self

    def astype(self, dtype: Any) -> Any:
        return np.dtype(dtype).type(self)


def kind_of(value: Any) -> Type:
    """The type of a node's value, or of an argument."""
    return Type(Weak.dtype, (), True) if type(value) in (Weak, float) else type_of(value)


def is_compiling() -> bool:
    """Whether the current thread or task is being recorded by :func:`compile`.

    >>> ag.is_compiling()
    False
    """
    return capturing() is not None


def guard(f: Callable[[], Any]) -> Any:
    """``f()``, as a condition that a recording depends on.

    In a compiled function ``f`` is called again before every later call; if it returns another
    value, the function is recorded anew. For what Python decides by: a mode, a hyper-parameter.
    Values are compared with ``==``.

    >>> ag.guard(lambda: 3)
    3
    """
    value = f()
    capture = capturing()
    if capture is not None:
        capture.guards.append((f, value))
    return value


def callback(f: Callable[..., Any], *args: Any) -> Any:
    """``f(*args)``, called by Python anew at every run of a compiled function.

    Tensors among ``args`` are handed over as arrays, read-only and valid during the call. In a
    compiled function ``f`` returns a number (which then counts as a Python float), an array of the
    same shape and dtype each time, or None; calls keep their order. No gradient flows through. It
    must not call the compiled function that it is called by.

    Raises :class:`CompileError` if a later run returns another type than the recorded one.

    >>> ag.callback(lambda x: x.sum(), ag.tensor([1.0, 2.0]))
    np.float64(3.0)
    """
    capture = capturing()
    if capture is not None:
        return capture.callback(f, args)
    return f(*(_shown(x) if isinstance(x, Node) else x for x in args))


def _shown(x: Node) -> Any:
    value = x._value if x._lent is None else x.settle()
    return _read_only(value)


def _read_only(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value = value.view()
        value.setflags(False)
        return value if value.ndim else value[()]
    return float(value) if type(value) is Weak else value


_HOLE = object()
_NUMBER, _NOTHING = Type(np.dtype(float), (), True), Type(np.dtype(bool), ())


class _Call:
    """The Python function of a callback, its other arguments, and the type of what it returns."""

    __slots__ = ("__name__", "_args", "_function", "_rest", "kind")

    def __init__(self, function: Callable[..., Any], args: Sequence[Any]) -> None:
        self.__name__ = getattr(function, "__name__", type(function).__name__)
        self._function = function
        self._args = tuple(_HOLE if isinstance(x, Node) else x for x in args)
        #: The other arguments where the first one is the only array, as in most checks.
        self._rest = self._args[1:] if [x is _HOLE for x in self._args].count(True) == 1 and (
            self._args[0] is _HOLE) else None
        self.kind: Type | None = None

    @property
    def bare(self) -> Callable[[], Any] | None:
        """The function itself, where it computes a number from nothing, as nearly always: what it
        returns needs to be ``checked`` only if it is no float."""
        return self._function if not self._args and self.kind is _NUMBER else None

    def __call__(self, *arrays: Any) -> Any:
        if self._rest is not None:
            result = self._function(_read_only(arrays[0]), *self._rest)
            if result is None and self.kind is _NOTHING:
                return np.False_
            return self.checked(result)
        rest = iter(arrays)
        result = self._function(
            *(_read_only(next(rest)) if x is _HOLE else x for x in self._args)
        )
        return self.checked(result)

    def checked(self, result: Any) -> Any:
        """``result`` as the value of the node; its type is what it was at first."""
        if result is None:
            if self.kind is _NOTHING:
                return np.False_
            value: Any = np.False_
        elif isinstance(result, (int, float)) and not isinstance(result, np.generic):
            value = float(result)
        else:
            value = np.array(result)[()]
        kind = kind_of(value)
        if self.kind is None:
            self.kind = next((known for known in (_NUMBER, _NOTHING) if known == kind), kind)
        elif kind != self.kind:
            raise CompileError(
                f"callback: {self.__name__} returned {kind} where {self.kind} was recorded; "
                "it must return the same shape and dtype at every run"
            )
        return value


callback_ = Op("callback", lambda *arrays, call: call(*arrays), None, "f(...)", pure=False)


class RunEagerly(BaseException):
    """Raised while a function is recorded that has to run eagerly, at this call and later ones.

    Whoever records it catches it; no handler of a user's should.
    """


class Capture:
    """One recording. The engine calls its methods in place of what it would do itself."""

    def __init__(self) -> None:
        self._start = tick()
        #: Everything computed, in order, and where.
        self.nodes: list[Tensor] = []
        self._places: list[Place] = []
        #: Nodes that stay although nothing uses them.
        self.effects: list[Tensor] = []
        #: Random draws: they stay too, also where other effects do not, since without one those
        #: that follow would be others.
        self.draws: list[Tensor] = []
        #: Whether Python computed a value: running the function again may give another one.
        self.answered = False
        self.guards: list[tuple[Callable[[], Any], Any]] = []
        #: Argument nodes, with the Tensor that each stands for, if it stands for one.
        self.arguments: dict[Node, Tensor | None] = {}
        #: Tensors from before the recording that it uses.
        self.outside: dict[Node, None] = {}
        #: What stands for a leaf that was assigned to; the leaf of a version; its value.
        self.current: dict[Node, Tensor] = {}
        self._owner: dict[Node, Node] = {}
        self._alias: dict[Node, Tensor] = {}
        self._births: dict[Node, int] = {}
        #: Gradients as the function leaves them, where it touches them.
        self.grads: dict[Node, Tensor | None] = {}
        #: Gradients from before the recording, by what stands for them; leaves without any.
        self.accumulated: dict[Node, Node] = {}
        self._before: dict[Node, Tensor | None] = {}
        self.without_grad: list[Node] = []
        #: Whether a value may be another one at the next call.
        self._varies: dict[Node, bool] = {}
        #: Nodes that are plain arrays in the eager engine; leaves that are Tensors there.
        self._plain: set[Node] = set()
        self._made: set[Node] = set()

    # What the engine hands over.

    def argument(self, value: Any, given: Tensor | None) -> Tensor:
        """The node for an argument of the function."""
        node = leaf(Weak(value) if type(value) is float else value,
                    given is not None and given._requires)
        self.arguments[node] = given
        self._varies[node] = True
        return node

    def record(self, op: Op, inputs: Sequence[Any], attrs: Mapping[str, Any]) -> Tensor:
        """Compute ``op`` and keep the node."""
        kept: list[Any] = []
        raw: list[Any] = []
        requires = False
        weak, varies = op.pure, not op.pure
        for x in inputs:
            if type(x) not in _NUMBERS and not isinstance(x, Node):
                x = constant(x, op)
            value = x
            if isinstance(x, Node):
                x = self.current.get(x, x)
                varies = self.varies(x) or varies
                requires = requires or x._requires
                value = x._value if x._lent is None else x.settle()
            if type(value) is Weak:
                value = float(value)
            elif type(value) not in _NUMBERS:
                weak = False
            kept.append(x)
            raw.append(value)
        if varies:
            self._check_shape(op, kept)
        try:
            data = op.forward(*raw, **attrs)
        except (ValueError, TypeError, IndexError) as cause:
            raise explain(op.name, raw, attrs, cause) from cause
        if weak and op is not astype_ and isinstance(data, float):
            data = Weak(data)
        elif isinstance(data, (int, float, complex)) and not isinstance(data, np.generic):
            data = np.asarray(data)[()]
        elif not isinstance(data, (np.ndarray, np.generic)):
            raise CompileError(
                f"compile: {op} returned {type(data).__name__} (at {caller()}); "
                "compiled functions compute with NumPy arrays"
            )
        node = self._enter(data, op, tuple(kept), attrs,
                           requires and op.vjps is not None and is_recording(), varies)
        if not op.pure:
            self.draws.append(node)
        return node

    def _enter(
        self, data: Any, op: Op, inputs: tuple[Any, ...], attrs: Mapping[str, Any],
        requires: bool, varies: bool,
    ) -> Tensor:
        node = computed(data, op, inputs, attrs, requires)
        self._varies[node] = varies
        self.nodes.append(node)
        self._places.append(place())
        if observe.watching:
            observe.announce(node, op, inputs, attrs)
        return node

    def varies(self, x: Node) -> bool:
        """Whether the value may be another one at the next call; notices Tensors from outside."""
        found = self._varies.get(x)
        if found is None:
            found = self._varies[x] = x._born < self._start
            if found:
                if not isinstance(x._value, (np.ndarray, np.generic)):
                    raise CompileError(
                        f"compile: a Tensor that holds {type(x._value).__name__} (at {caller()}); "
                        "compiled functions compute with NumPy arrays"
                    )
                self.outside[x] = None
        return found

    def _check_shape(self, op: Op, inputs: Sequence[Any]) -> None:
        """Raise where the shape of a result would be that of this call only."""
        if op.name in _SHAPE_FROM_VALUES:
            culprit = inputs[0]
        else:
            first = 1 if op is getitem_ or op is scatter_ else 2 if op is set_ else len(inputs)
            if op is set_ and not np.shape(inputs[1]):
                return
            masks = [x for x in inputs[first:]
                     if isinstance(x, Node) and x._value.dtype == np.bool_ and self.varies(x)]
            if not masks:
                return
            culprit = masks[0]
        raise CompileError(
            f"compile: the shape of the result of {op} depends on the values of "
            f"{self._describe(culprit)} (at {caller()}), which change from call to call; keep the "
            "shape with `np.where(mask, x, 0)`, or do this outside of the compiled function"
        )

    def assign(self, t: Tensor, value: Any, cast: bool) -> None:
        """``t.assign(value)``, or ``t.data = value`` without a cast."""
        self.varies(t)
        if isinstance(value, Node):
            value = self.current.get(value, value)
            self.varies(value)
        else:
            value = leaf(as_data(value, t.dtype if cast else None), False)
            self._varies[value] = False
        if cast:
            t._check_assigned(value)
        if type(value._value) is Weak or (cast and value.dtype != t.dtype):
            dtype = t.dtype if cast else value.dtype
            value = self.record(astype_ if dtype.kind in "fc" else astype_discrete, (value,),
                                {"dtype": dtype})
        t._check_replaced(value._value)
        if value.shape != t.shape or value.dtype != t.dtype:
            raise CompileError(
                f"compile: {t._name()} of {t.dtype}{t.shape} is given a value of "
                f"{value.dtype}{value.shape} (at {caller()}); a compiled function keeps shapes "
                "and dtypes: use `t.assign(value)`, which casts, or do this outside"
            )
        version = leaf(value._value, t._requires)
        self._births.setdefault(t, t._born)
        t._born = tick()  # graphs computed from the old value are out of date
        self.current[t] = version
        self._owner[version] = t
        self._alias[version] = value
        self._varies[version] = self._varies[value]

    def grad(self, t: Node) -> Tensor | None:
        """``t.grad``."""
        return self.grads[t] if t in self.grads else self._initial(t)

    def set_grad(self, t: Node, value: Any) -> None:
        self.varies(t)
        if value is not None and not isinstance(value, Node):
            value = leaf(value, False)
        self.grads[t] = value

    def _initial(self, t: Any) -> Tensor | None:
        """The gradient that a leaf had when the function was called."""
        if t in self._before:
            return self._before[t]
        self.varies(t)
        given = self.arguments.get(t, t if t in self.outside else None)
        found = given._accumulated() if given is not None else None
        node: Tensor | None = None
        if found is None:
            if given is not None:
                self.without_grad.append(t)
        elif given is not t:
            raise CompileError(
                f"compile: an argument has a gradient already (at {caller()}); call "
                "`zero_grad()` on it first, or let the function close over it"
            )
        else:
            data = found._value if isinstance(found, Node) else found
            node = leaf(np.copy(data)[()], False)
            self._varies[node] = True
            self.accumulated[node] = given
        self._before[t] = node
        return node

    def backward(self, y: Tensor, grad: Any, create_graph: bool) -> None:
        """``y.backward(grad, create_graph)``, recorded."""
        y = self.current.get(y, y)
        if isinstance(grad, Node):
            grad = self.current.get(grad, grad)
        seed = y._seed(grad, True)
        route = reach((y,))
        sums: list[tuple[Node, Any]] = []
        with recording():
            found = pull({y: seed}, route, recorded=True, keep=retained(route))
            for node, g in found.items():
                if not isinstance(g, Node):  # a structural zero
                    g = leaf(g, False)
                if not create_graph:
                    g = self.plain(g)
                t = self._owner.get(node, node)
                given = self.arguments.get(t)
                if given is not None and given.op is not None:
                    raise CompileError(
                        f"backward: goes back through an argument that was computed by {given.op} "
                        f"before the compiled function was called (at {caller()}); return the "
                        "output and call `backward()` outside, or compute the argument inside"
                    )
                before = self.grad(t)
                sums.append((t, g if before is None else sum_of_gradients(before, g)))
        for t, total in sums:
            self.set_grad(t, total)

    def plain(self, x: Any) -> Any:
        """``x`` as what is a plain array in the eager engine: no gradient flows through."""
        if not isinstance(x, Node):
            return x
        node = self.record(stop_gradient, (x,), _NO_ATTRS)
        self._plain.add(node)
        return node

    def made(self, t: Node) -> None:
        """Notice a leaf that the function makes: results computed from it are Tensors."""
        self._made.add(t)

    def refuse_change(self, t: Tensor, what: str) -> None:
        self.varies(t)
        if t in self.outside or t in self.arguments:
            raise CompileError(
                f"compile: {what} of {t._name()} is set inside a compiled function "
                f"(at {caller()}); set it outside: the function is then recorded anew"
            )

    def read(self, x: Node, what: str) -> None:
        """Raise if Python is about to read a value that is another one at the next call."""
        if x in self.current or self.varies(x):
            raise CompileError(
                f"{what} needs the value of {self._describe(x)} while a compiled function is "
                f"recorded (at {caller()}), and would be what it is now at every later call. "
                "Choose with `np.where(condition, a, b)`; make an argument that Python must see "
                "static with `static_argnums`; return the value and look at it outside; or let "
                "`ag.callback(f, t)` call Python at every run"
            )

    def _describe(self, x: Any) -> str:
        kind = f"{x._value.dtype}{x._value.shape}"
        if x in self.arguments:
            return f"an argument, {kind}"
        for node, where in zip(self.nodes, self._places, strict=True):
            if node is x:
                return f"the result of {x.op}, {kind}, made at {where}"
        name = "a leaf" if x.op is None else f"the result of {x.op}"
        return f"{x.label!r}, {name}, {kind}" if x.label else f"{name}, {kind}"

    def require(self, condition: Node, error: Exception) -> None:
        if self.varies(condition):
            self.callback(partial(_insist, error), (condition,))
        else:
            _insist(error, condition._value)

    def callback(self, f: Callable[..., Any], args: Sequence[Any]) -> Any:
        call = _Call(f, args)
        operands = tuple(self.current.get(x, x) for x in args if isinstance(x, Node))
        for x in operands:
            self.varies(x)
        data = call(*(x._value if x._lent is None else x.settle() for x in operands))
        nothing = data is np.False_ and call.kind == _NOTHING
        node = self._enter(Weak(data) if type(data) is float else data, callback_, operands,
                           {"call": call}, False, True)
        self._plain.add(node)
        self.effects.append(node)
        if nothing:
            return None
        self.answered = True
        return node

    def restore(self) -> None:
        """Give leaves their times of birth back: nothing has been assigned to them yet."""
        for t, born in self._births.items():
            t._born = born

    # The program.

    def resolve(self, x: Node) -> Node:
        """What computes the value that a version stands for."""
        while x in self._alias:
            x = self._alias[x]
        return x

    def is_tensor(self, nodes: Sequence[Node]) -> list[bool]:
        """Whether the eager engine has a Tensor where these results of the recording stand."""
        found: dict[Node, bool] = {t: given is not None for t, given in self.arguments.items()}
        draws = set(self.draws)
        for node in self.nodes:
            found[node] = node not in self._plain and (node in draws or any(
                self._stands_for_tensor(x, found) for x in node.inputs if isinstance(x, Node)
            ))
        return [self._stands_for_tensor(x, found) for x in nodes]

    def _stands_for_tensor(self, x: Node, found: Mapping[Node, bool]) -> bool:
        if x in found:
            return found[x]
        return x in self.outside or x in self._owner or x in self._made

    def depend_on_updates(self, nodes: Sequence[Node]) -> list[bool]:
        """Whether these results depend on the old value of a leaf that is assigned to."""
        found: set[Node] = {t for t in self.current if t in self.outside or t in self.arguments}
        for node in self.nodes:
            if any(isinstance(x, Node) and self.resolve(x) in found for x in node.inputs):
                found.add(node)
        return [self.resolve(x) in found for x in nodes]

    def lower(
        self, outputs: Sequence[Node], updates: Sequence[tuple[Node, Node]],
        kept: Sequence[Node], effects: bool,
    ) -> tuple[Program, dict[Var, Node]]:
        """The program, and what its inputs after the arguments stand for.

        ``updates``: pairs of a leaf and a node. An input stands for a Tensor from outside, or is
        a key of ``accumulated``: a gradient from outside.
        """
        roots = [*outputs, *(x for _, x in updates), *kept, *self.draws,
                 *(self.effects if effects else ())]
        needed = {self.resolve(x) for x in roots}
        for node in reversed(self.nodes):
            if node in needed:
                for x in node.inputs:
                    if isinstance(x, Node):
                        needed.add(self.resolve(x))
        targets = {t for t, _ in updates}
        variables: dict[Node, Atom] = {}
        names: dict[Var, str] = {}
        constants: dict[Var, Any] = {}
        arrays: dict[int, Var] = {}

        def variable(x: Any) -> Var:
            new = variables[x] = Var(kind_of(x._value))
            if x.label:
                names[new] = x.label
            return new

        def constant_of(value: Any) -> Var:
            new = arrays.get(id(value))
            if new is None:
                new = arrays[id(value)] = Var(type_of(value))
                constants[new] = value
            return new

        def atom(x: Any) -> Atom:
            if not isinstance(x, Node):
                return x if type(x) in _NUMBERS else constant_of(x)
            x = self.resolve(x)
            if x not in variables:  # a leaf that the function made
                data = x._value
                variables[x] = float(data) if type(data) is Weak else constant_of(data)
            return variables[x]

        arguments = [variable(x) for x in self.arguments]
        sources = {variable(x): x for x in (*self.outside, *self.accumulated)
                   if x in needed or x in targets}
        instructions = []
        for node in self.nodes:
            if node in needed:
                args = tuple([atom(x) for x in node.inputs])
                assert node.op is not None
                instructions.append(Instruction((variable(node),), node.op, args, node.attrs))
        return Program(
            inputs=(*arguments, *sources),
            instructions=tuple(instructions),
            outputs=tuple(map(atom, outputs)),
            updates=tuple((variables[t], atom(x)) for t, x in updates),
            kept=tuple(map(atom, kept)),
            constants=constants,
            names=names,
        ), sources


def _insist(error: Exception, condition: Any) -> None:
    if not np.all(condition):
        raise error


