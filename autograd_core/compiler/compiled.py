"""``compile``: the same function, recorded once per signature and replayed as a plan."""

from __future__ import annotations

import functools
import inspect
import math
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any

import numpy as np

from .. import observe
from .. import tensor as engine
from ..backprop import pull, reach
from ..containers import fields_of, flatten, with_fields, with_items
from ..errors import CompileError, GradientError, caller, describe
from ..node import RESIDENT, Cell, Node, tick, topological
from ..op import EachInput, Op
from ..ops.flow import identity
from ..random import Draws, note
from ..tensor import (
    Tensor,
    captured_by,
    capturing,
    computed,
    constant,
    is_recording,
    leaf,
    recording,
)
from .calls import MISSED, direct
from .capture import Capture, RunEagerly, kind_of
from .executors import EXECUTORS, Executor
from .passes import optimise
from .program import Program, Type, Var

__all__ = ["Compiled", "compile"]

#: How many programs one function may have before further signatures run eagerly.
LIMIT = 64
_HOLE = object()
_ndarray = np.ndarray
_NO_ATTRS: dict[str, Any] = {}
#: Ops that may return a view of their first operand.
_VIEWS = {"reshape", "transpose", "broadcast_to", "getitem", "unpack"}


class _Pending(Cell):
    """``_grad`` of a leaf whose gradient the last run of a plan has left in a buffer."""

    __slots__ = ("_index", "_lock", "_plan")

    def __init__(self, plan: _Plan, index: int, lock: Any) -> None:
        self._plan, self._index, self._lock = plan, index, lock

    def fetch(self, node: Node) -> Any:
        with self._lock:
            return np.copy(self._plan.executable.kept(self._index))[()]


class _Plan:
    """One recording of a function: its program, and what its results and effects are.

    ``results``: per leaf of the result, how to deliver it: ("value", what it is), ("argument",
    position), or ("array" | "tensor" | "connected" | "stale", position among the outputs).
    ``leaves``: what the program reads from outside, as (leaf, array it is bound to, whether it
    requires a gradient); ``gradients``: leaves of which it reads the gradient.
    """

    def __init__(self) -> None:
        self.before: Program
        self.after: Program
        self.executable: Any
        self.reason = ""
        self.guards: list[tuple[Callable[[], Any], Any]] = []
        self.without_grad: list[Node | int] = []
        self.results: list[tuple[str, Any]] = []
        self.structure: Callable[[Sequence[Any]], Any]
        #: Whether a call has one result in no container, and nothing else to deliver.
        self.single = False
        self.template: tuple[Any, ...] = ()
        #: Per argument: its type, and whether it requires a gradient.
        self.kinds: list[tuple[Type, bool]] = []
        #: Shapes and dtypes, where all arguments are arrays passed by position.
        self.simple: list[tuple[tuple[int, ...], np.dtype[Any]]] | None = None
        #: A call with such arguments, while what it is bound to stays as it is.
        self.fast: Callable[..., Any] | None = None
        #: The arguments that the program is given: a Tensor that is passed twice, once.
        self.passed: list[int] = []
        #: Per input after the arguments: the leaves in it, and whether it is storage of ours.
        self.inputs: list[tuple[tuple[Node, ...], bool, bool]] = []
        self.leaves: list[tuple[Node, Any, bool]] = []
        self.requires: dict[Node, bool] = {}
        self.types: dict[Node, Type] = {}
        self.bound = False
        self.reads_gradients = False
        self.stale: Node | None = None
        self.kept: list[tuple[Node, _Pending]] = []
        #: Gradients that are outputs, by their number.
        self.copied: list[tuple[Node, int]] = []
        self.cleared: list[Node] = []
        #: Effects on arguments: position, output, whether it is the gradient.
        self.on_arguments: list[tuple[int, int | None, bool]] = []
        self.answered = False
        #: The bit generators that it draws from.
        self.sources: tuple[Any, ...] = ()
        self.connected_to: tuple[Node, ...] = ()
        self.ops: dict[int, Op] = {}
        self.backs: dict[tuple[int, bool], Compiled] = {}

    def begin(self) -> _Sample | None:
        """Note the states that a run begins to draw from, if anybody will go back through it."""
        sample = _Sample() if self.ops else None
        for source in self.sources:
            note(source)
            if sample is not None:
                sample.note(source)
        return sample

    def failed(self) -> None:
        """Forget the gradients of the run before: their buffers may be half overwritten, as the
        function was about to."""
        for t, pending in self.kept:
            if getattr(t, "_grad", None) is pending:
                t._grad = None


def compile(
    f: Any = None, *, static_argnums: int | Sequence[int] = (),
    static_argnames: str | Sequence[str] = (), executor: str = "numpy",
) -> Any:
    """The same function, recorded at its first call and replayed as a plan at later ones.

    The recording runs ``f`` through the eager engine. It holds all that ``f`` does with arrays:
    forward and backward passes, ``p.assign(...)``, gradients left in ``.grad``. A call with another
    *signature* records anew: other shapes, dtypes or structure of the arguments, or other values of
    those that are not arrays or floats (integers, strings, objects: these must be hashable).
    ``static_argnums`` and ``static_argnames`` name arguments that Python must see although they
    are arrays or floats. Python floats vary freely and stay weakly typed.

    Tensors that ``f`` reaches from outside are read at each call; plain arrays that it closes over
    are constants. Other Python code runs during the recording only: see :func:`guard` and
    :func:`callback`. Results belong to the caller and are Tensors, connected to what they were
    computed from, where those of ``f`` would be; results computed from leaves that ``f`` assigned
    to are out of date, as in the eager engine. Compiled functions nest and can be differentiated.
    Threads may call one concurrently; they take turns. Beyond 64 signatures ``f`` runs eagerly.

    ``executor``: "numpy" runs the program as calls of NumPy with all results in buffers laid out
    beforehand. "native" makes machine code of whatever parts of it are element-wise, sums, small
    products and indexing, and has NumPy do the rest: a small step takes a third of the time or less
    and its first call several times longer. Results agree to rounding. It needs llvmlite
    (``pip install 'autograd-core[native]'``), which holds LLVM: no compiler.

    Raises :class:`CompileError` (a ``TypeError``) where ``f`` needs a value while it is recorded
    that would change from call to call. If ``f`` raises, nothing has been changed.

    >>> @ag.compile
    ... def f(x):
    ...     return np.sin(x) ** 2
    >>> f(np.zeros(2))
    array([0., 0.])
    """
    if f is None:
        return functools.partial(compile, static_argnums=static_argnums,
                                 static_argnames=static_argnames, executor=executor)
    if not callable(f):
        raise TypeError(f"compile: a function is needed, got {describe(f)} (at {caller()})")
    if executor not in EXECUTORS:
        raise ValueError(f"compile: executor={executor!r} (at {caller()}); there are "
                         f"{', '.join(map(repr, EXECUTORS))}")
    EXECUTORS[executor]()  # says what is missing, if anything is
    numbers = (static_argnums,) if isinstance(static_argnums, int) else tuple(static_argnums)
    names = (static_argnames,) if isinstance(static_argnames, str) else tuple(static_argnames)
    return Compiled(f, numbers, names, executor=executor)


class Compiled:
    """What :func:`compile` makes of a function."""

    def __init__(
        self, f: Callable[..., Any], static_argnums: Sequence[int] = (),
        static_argnames: Sequence[str] = (), effects: bool = True, executor: str = "numpy",
    ) -> None:
        functools.update_wrapper(self, f)
        self._f = f
        self._name = getattr(f, "__name__", type(f).__name__)
        self._effects = effects
        self._executor = executor
        self._static = _static_arguments(f, static_argnums, static_argnames)
        self._plans: dict[Any, list[_Plan]] = {}
        self._all: list[_Plan] = []
        self._last: _Plan | None = None
        #: How to call the last plan without a detour, and with how many arguments.
        self._fast: Callable[..., Any] | None = None
        self._arity = 0
        self._lock = threading.RLock()
        self._busy = False
        self._warned = False
        #: Whether the function asked to be run eagerly.
        self._eager = False
        #: Storage that plans update in place, by the leaves in it.
        self._storages: dict[tuple[Node, ...], tuple[Any, list[Any]]] = {}

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<compiled {self._name}: {len(self._all)} programs>"

    def __reduce_ex__(self, protocol: Any) -> Any:
        """For pickle and copy: by its name where it has one, as functions; else to record anew."""
        name: str = getattr(self, "__qualname__", "")
        found: Any = sys.modules.get(getattr(self, "__module__", ""))
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is self:
            return name
        return super().__reduce_ex__(protocol)

    def __getstate__(self) -> tuple[Any, list[int | str], bool, str]:
        return self._f, sorted(self._static, key=str), self._effects, self._executor

    def __setstate__(self, state: tuple[Any, list[int | str], bool, str]) -> None:
        f, static, effects, executor = state
        self.__init__(  # type: ignore[misc]
            f, [x for x in static if isinstance(x, int)],
            [x for x in static if isinstance(x, str)], effects, executor,
        )

    @property
    def executor(self) -> Executor:
        """What runs the programs."""
        return EXECUTORS[self._executor]()

    @property
    def recompiles(self) -> int:
        """How often the function was recorded after the first time."""
        return max(0, len(self._all) - 1)

    @property
    def programs(self) -> list[tuple[Program, Program]]:
        """Each recording, as recorded and as it is run."""
        return [(plan.before, plan.after) for plan in self._all]

    def explain(self) -> str:
        """Why the function was recorded each time, and the programs before and after the passes."""
        parts = [f"{self._name}: {len(self._all)} recordings"]
        for i, plan in enumerate(self._all):
            parts.append(
                f"recording {i + 1}: {plan.reason}; {len(plan.before)} instructions, after the "
                f"passes {len(plan.after)}; {plan.executable.peak_bytes} bytes of working memory"
            )
            parts.append(f"as recorded:\n{plan.before}")
            parts.append(f"as run:\n{plan.after}")
        return "\n\n".join(parts)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        # From the package: what draws lies above the compiler, and is loaded when it is needed.
        return import_module("..render.notebook", __package__).bundle(self)  # type: ignore[no-any-return]

    # Calls.

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        fast = self._fast
        if fast is not None and len(args) == self._arity and not kwargs and not engine._modes:
            result = fast(*args)
            if result is not MISSED:
                return result
        return self._call(args, kwargs)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if capturing() is not None:  # part of what an enclosing compiled function records
            return self._f(*args, **kwargs)
        if self._eager or (observe.watching and self._effects and observe.observed()):
            return self._run_eagerly(args, kwargs)
        given: list[Any] = []
        signature = self._signature(args, kwargs, given)
        with self._lock:
            if not self._busy:
                for plan in self._plans.get(signature, ()):
                    if self._fits(plan, given):
                        self._choose(plan)
                        return self._run(plan, given)
                if len(self._all) < LIMIT:
                    try:
                        return self._record(signature, args, kwargs, given)
                    except RunEagerly:
                        self._eager = True
                        return self._run_eagerly(args, kwargs)
                elif not self._warned:
                    self._warned = True
                    warnings.warn(
                        f"compile: {self._name} was recorded {LIMIT} times and runs eagerly for "
                        "further signatures; `.explain()` says why each was new",
                        RuntimeWarning, stacklevel=3,
                    )
        return self._f(*args, **kwargs)

    def _run_eagerly(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call for observers: of Tensors, so that they see what is computed of arrays too."""
        given: list[Any] = []
        self._signature(args, kwargs, given)
        own: dict[Node, Any] = {}
        operands = []
        for x in given:
            if isinstance(x, (_ndarray, np.generic)):
                t = leaf(np.copy(x)[()], False)
                own[t] = x
                operands.append(t)
            else:
                operands.append(x)
        new_args, new_kwargs = self._template(args, kwargs, iter(operands))
        results, rebuild = flatten(self._f(*new_args, **new_kwargs))
        return rebuild([_uncovered(x, own) for x in results])

    def _signature(self, args: tuple[Any, ...], kwargs: dict[str, Any], given: list[Any]) -> Any:
        """What a recording is good for; puts the arguments that vary into ``given``."""
        parts: list[Any] = [is_recording()]
        for i, x in enumerate(args):
            where = f"argument {i} of {self._name}"
            parts.append(_static(x, where) if i in self._static else _outline(x, given, where))
        for name in sorted(kwargs):
            x, where = kwargs[name], f"argument {name} of {self._name}"
            parts.append((name, _static(x, where) if name in self._static
                          else _outline(x, given, where)))
        first: dict[int, int] = {}
        same = tuple(first.setdefault(id(x), i) for i, x in enumerate(given)
                     if isinstance(x, Node))
        return (*parts, same)

    def _template(self, args: tuple[Any, ...], kwargs: dict[str, Any], values: Iterator[Any]
                  ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with others in place of those that vary."""
        new = [x if i in self._static else _filled(x, values) for i, x in enumerate(args)]
        named = {name: kwargs[name] if name in self._static else _filled(kwargs[name], values)
                 for name in sorted(kwargs)}
        return tuple(new), named

    def _fits(self, plan: _Plan, given: Sequence[Any]) -> bool:
        """Whether a plan of this signature is right for now; gets it ready to run."""
        for f, value in plan.guards:
            now = f()
            if type(now) is not type(value) or now != value:
                return False
        for x in plan.without_grad:
            t = given[x] if isinstance(x, int) else x
            if getattr(t, "_grad", None) is not None:
                return False
        if plan.bound and not plan.reads_gradients:
            for t, array, requires in plan.leaves:
                if t._value is not array or t._requires is not requires:
                    break
            else:
                return True
        return self._bind(plan)

    def _choose(self, plan: _Plan) -> None:
        """Have the next calls go to this plan, if their arguments are such as it was made for."""
        self._last = plan
        self._fast = None
        if plan.simple is not None and plan.bound and not plan.reads_gradients:
            if plan.fast is None:
                plan.fast = direct(self, plan)
            self._fast, self._arity = plan.fast, len(plan.simple)

    def _bind(self, plan: _Plan) -> bool:
        """Bind the arrays of leaves from outside; False if one is of another type by now."""
        for t, kind in plan.types.items():
            if t._requires is not plan.requires[t] or kind_of(t._value) != kind:
                return False
        arrays: list[Any] = []
        plan.bound = False
        plan.fast = None
        plan.leaves = []
        for leaves, gradient, stored in plan.inputs:
            if gradient:
                (t,) = leaves
                g = t._accumulated()  # type: ignore[attr-defined]
                if g is None or g.shape != plan.types[t].shape or g.dtype != plan.types[t].dtype:
                    return False
                arrays.append(g._value if isinstance(g, Node) else g)
                continue
            if stored:
                storage, views = self._storage(leaves)
                for t, view in zip(leaves, views, strict=True):
                    if t._value is not view:
                        np.copyto(view, t._value)
                        t._value = view
                        t._lent = RESIDENT
                        t._born = tick()
                arrays.append(storage)
            else:
                arrays.append(leaves[0]._value)
            plan.leaves += [(t, t._value, plan.requires[t]) for t in leaves]
        plan.executable.bind(arrays)
        plan.bound = True
        return True

    def _storage(self, leaves: tuple[Node, ...]) -> tuple[Any, list[Any]]:
        """An array that holds these leaves' values one after the other, and a view for each."""
        found = self._storages.get(leaves)
        if found is None:
            shapes = [x._value.shape for x in leaves]
            if len(leaves) == 1:
                storage = np.empty(shapes[0], leaves[0]._value.dtype)
                found = storage, [storage]
            else:
                sizes = [math.prod(shape) for shape in shapes]
                storage = np.empty(sum(sizes), leaves[0]._value.dtype)
                ends = np.cumsum(sizes).tolist()
                found = storage, [
                    storage[end - size:end].reshape(shape)
                    for end, size, shape in zip(ends, sizes, shapes, strict=True)
                ]
            self._storages[leaves] = found
        return found

    def _run(self, plan: _Plan, given: Sequence[Any]) -> Any:
        raw = given if plan.simple is not None else [
            (x._value if x._lent is None else x.settle()) if isinstance(x, Node) else x
            for x in [given[i] for i in plan.passed]
        ]
        sample = plan.begin() if plan.sources else None
        self._busy = True
        try:
            outputs = plan.executable(*raw)
        except BaseException:
            plan.failed()
            raise
        finally:
            self._busy = False
        for t, pending in plan.kept:
            t._grad = pending
        for t, i in plan.copied:
            t._grad = outputs[i]
        return self._deliver(plan, given, outputs, sample)

    def _deliver(
        self, plan: _Plan, given: Sequence[Any], outputs: Sequence[Any], sample: _Sample | None
    ) -> Any:
        """Results as the eager function would return them, after effects that no run has."""
        if plan.single:
            return self._result(plan, *plan.results[0], given, outputs, sample)
        for t in plan.cleared:
            t._grad = None
        for position, output, is_grad in plan.on_arguments:
            t = given[position]
            if not is_grad:
                t._replace(outputs[output])  # type: ignore[index]
            else:
                t._grad = None if output is None else outputs[output]
        results = [self._result(plan, kind, i, given, outputs, sample) for kind, i in plan.results]
        return plan.structure(results)

    def _result(
        self, plan: _Plan, kind: str, i: Any, given: Sequence[Any], outputs: Sequence[Any],
        sample: _Sample | None,
    ) -> Any:
        if kind == "array":
            return outputs[i]
        if kind == "value":
            return i.copy() if isinstance(i, _ndarray) else i
        if kind == "argument":
            return given[i]
        value = outputs[i] if isinstance(outputs[i], (_ndarray, np.generic)) else (
            np.float64(outputs[i]))
        if kind == "tensor":
            return leaf(value, False)
        inputs: tuple[Any, ...]
        if kind == "stale":
            outdated = computed(value, plan.ops[i], (plan.stale,), _NO_ATTRS, True)
            outdated._born = -1  # older than what it came from: whoever goes back is told
            return outdated
        else:
            for t in plan.connected_to:
                if t._lent is not None:
                    t.settle()
            inputs = (*(constant(x) if isinstance(x, _ndarray) else x for x in given),
                      *plan.connected_to)
        attrs = _NO_ATTRS if sample is None else {"sample": sample}
        return computed(value, plan.ops[i], inputs, attrs, True)

    # Recordings.

    def _record(
        self, signature: Any, args: tuple[Any, ...], kwargs: dict[str, Any], given: list[Any]
    ) -> Any:
        capture = Capture()
        nodes: list[Tensor] = []
        by_tensor: dict[int, Tensor] = {}
        for x in given:
            if isinstance(x, Tensor):
                if id(x) not in by_tensor:
                    value = x._value if x._lent is None else x.settle()
                    by_tensor[id(x)] = capture.argument(value, x)
                nodes.append(by_tensor[id(x)])
            else:
                own = x.copy()[()] if isinstance(x, _ndarray) else x
                nodes.append(capture.argument(own, None))
        new_args, new_kwargs = self._template(args, kwargs, iter(nodes))
        sample = _Sample()
        self._busy = True
        try:
            with captured_by(capture), sample.noted():
                out = self._f(*new_args, **new_kwargs)
        except RunEagerly:
            sample.rewind()  # it will draw once more
            raise
        finally:
            self._busy = False
            capture.restore()
        plan, values, updates, kept = self._plan(capture, out, nodes, given)
        plan.sources = tuple(sample.states)
        plan.reason = self._reason(signature)
        plan.template = self._template(args, kwargs, iter([_HOLE] * len(given)))
        if is_recording() and not kwargs and all(x is _HOLE for x in plan.template[0]) and all(
            type(x) is _ndarray for x in given
        ):
            plan.simple = [(x.shape, x.dtype) for x in given]
        self._plans.setdefault(signature, []).append(plan)
        self._all.append(plan)
        self._choose(plan)
        for t, value in updates:
            t._replace(value)  # type: ignore[attr-defined]
        for t, value in kept:
            t._grad = value
        return self._deliver(plan, given, values, sample if plan.sources else None)

    def _reason(self, signature: Any) -> str:
        if not self._all:
            return "the first call"
        if signature in self._plans:
            for plan in self._plans[signature]:
                for f, value in plan.guards:
                    now = f()
                    if type(now) is not type(value) or now != value:
                        return f"a guard: {now!r} where {value!r} was recorded"
                for t, kind in plan.types.items():
                    if kind_of(t._value) != kind or t._requires is not plan.requires[t]:
                        return f"a leaf from outside is no longer {kind}, or as differentiable"
            return "a leaf has a gradient at the call where it had none, or the other way round"
        last = next(reversed(self._plans))
        for new, old in zip(signature, last, strict=False):
            if new != old:
                return f"a new signature: {_shown(new)} where {_shown(old)} was"
        return "a new signature: another number of arguments"

    def _plan(
        self, capture: Capture, out: Any, nodes: list[Tensor], given: list[Any]
    ) -> tuple[_Plan, list[Any], list[tuple[Node, Any]], list[tuple[Node, Any]]]:
        """The plan of a recording; its output values, new values of leaves, and gradients."""
        plan = _Plan()
        leaves, rebuild = flatten(out)
        # Of the result itself: it would keep the whole recording alive as long as the plan.
        _, plan.structure = flatten(rebuild([0.0] * len(leaves)))
        plan.guards = capture.guards
        plan.answered = capture.answered
        plan.kinds = [(kind_of(x._value), x._requires) for x in nodes]
        positions: dict[Node, int] = {}
        for i, x in enumerate(nodes):
            positions.setdefault(x, i)
        plan.passed = list(positions.values())

        outputs: list[Node] = []
        returned: list[tuple[int, Node]] = []
        for x in leaves:
            if not isinstance(x, Node) or x in capture.outside:
                plan.results.append(("value", x))
            elif x in positions and capture.arguments[x] is not None:
                plan.results.append(("argument", positions[x]))
            else:
                returned.append((len(plan.results), capture.current.get(x, x)))
                plan.results.append(("array", len(outputs)))
                outputs.append(returned[-1][1])
                capture.varies(outputs[-1])

        updates: list[tuple[Node, Node]] = []
        kept: list[tuple[Node, Node]] = []
        if self._effects:
            for t, version in capture.current.items():
                if t in capture.outside:
                    updates.append((t, version))
                elif t in positions and capture.arguments[t] is not None:
                    plan.on_arguments.append((positions[t], len(outputs), False))
                    outputs.append(version)
            for t, g in capture.grads.items():
                if t in capture.outside:
                    if g is None:
                        plan.cleared.append(t)
                    else:
                        kept.append((t, capture.current.get(g, g)))
                elif t in positions and capture.arguments[t] is not None:
                    plan.on_arguments.append((positions[t], None if g is None else len(outputs),
                                              True))
                    if g is not None:
                        outputs.append(g)
            changed = [*(t for t, _ in updates), *(t for t, _ in kept), *plan.cleared]
            for t in changed:
                if any(t is x for x in given):
                    raise CompileError(
                        f"compile: {self._name} changes a Tensor that is both an argument and "
                        "reached from outside; pass it only one way"
                    )
            plan.without_grad = [positions.get(t, t) for t in capture.without_grad]
        program, sources = capture.lower(outputs, updates, [g for _, g in kept], self._effects)

        plan.before = program
        executor = self.executor
        plan.after = optimise(program, passes=executor.passes)
        # A gradient that is an input, or a view of one, would be another as soon as the caller or
        # an update writes into that: it is an output, which is a copy.
        after, inputs = plan.after, {*plan.after.inputs, *plan.after.constants}
        moved = [not isinstance(x, Var) or x in inputs for x in _viewed(after)]
        plan.after = after.replace(
            outputs=(*after.outputs, *(x for x, m in zip(after.kept, moved, strict=True) if m)),
            kept=tuple(x for x, m in zip(after.kept, moved, strict=True) if not m),
        )
        plan.executable = executor.prepare(plan.after, len(capture.arguments))
        self._note_inputs(plan, capture, sources)
        for (t, _), m in zip(kept, moved, strict=True):
            if m:
                plan.copied.append((t, len(outputs) + len(plan.copied)))
            else:
                plan.kept.append((t, _Pending(plan, len(plan.kept), self._lock)))
        self._connect(plan, capture, returned, nodes, updates)
        plan.single = len(leaves) == 1 and leaves[0] is out and not (
            plan.cleared or plan.on_arguments)
        return (
            plan, [_own(x) for x in outputs],
            [(t, _own(version)) for t, version in updates], [(t, _own(g)) for t, g in kept],
        )

    def _note_inputs(self, plan: _Plan, capture: Capture, sources: dict[Var, Node]) -> None:
        updated = {x for x, _ in plan.after.updates}
        for x in plan.after.inputs[len(capture.arguments):]:
            parts = tuple(sources[part] for part in plan.after.packed.get(x, (x,)))
            gradient = parts[0] in capture.accumulated
            if gradient:
                parts = tuple(capture.accumulated[part] for part in parts)
                plan.reads_gradients = True
            plan.inputs.append((parts, gradient, x in updated or x in plan.after.packed))
        for t in capture.outside:
            plan.types[t] = kind_of(t._value)
            plan.requires[t] = t._requires

    def _connect(
        self, plan: _Plan, capture: Capture, returned: list[tuple[int, Node]],
        nodes: list[Tensor], updates: list[tuple[Node, Node]],
    ) -> None:
        """Say which results are Tensors, and how to go back through them."""
        chosen = [node for _, node in returned]
        tensors = capture.is_tensor(chosen)
        old = capture.depend_on_updates(chosen)
        plan.connected_to = tuple(t for t in capture.outside if t._requires)
        for (place, node), is_tensor, is_old in zip(returned, tensors, old, strict=True):
            if not is_tensor:
                continue
            i = plan.results[place][1]
            kind = "connected" if node._requires else "tensor"
            if node._requires and is_old:
                kind = "stale"
                plan.stale = updates[0][0] if updates else leaf(np.float64(0), False, "an argument")
            plan.results[place] = (kind, i)
            if node._requires:
                rule = functools.partial(self._rule, plan, place, _Memo())
                plan.ops[i] = Op(self._name, functools.partial(self._again, plan, place),
                                 EachInput(rule), f"{self._name}(...)",
                                 pure=not capture.draws)

    # Derivatives of results.

    def _again(
        self, plan: _Plan, place: int, *values: Any, sample: _Sample | None = None
    ) -> Any:
        """A result, computed anew: what a replay of a graph asks for."""
        args, kwargs = self._refilled(plan, values)
        with nullcontext() if sample is None else sample.drawn_for(place):
            out = self(*args, **kwargs)
        found = flatten(out)[0][place]
        return found._value if isinstance(found, Node) else found

    def _refilled(self, plan: _Plan, values: Sequence[Any]
                  ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        args, kwargs = plan.template
        return self._template(args, kwargs, iter(values[:len(plan.kinds)]))

    def _rule(
        self, plan: _Plan, place: int, memo: _Memo, i: int, g: Any, y: Any, *values: Any,
        sample: _Sample | None = None,
    ) -> Any:
        """The cotangent of input ``i``; one run computes those of all inputs."""
        if plan.answered:
            raise GradientError(
                f"backward: {self._name} calls Python for values (`ag.callback`), which another "
                f"run may not repeat (at {caller()}); take the gradient inside the compiled "
                "function"
            )
        if memo.g is not g or memo.y is not y:
            nested = isinstance(g, Node)
            back = plan.backs.get((place, nested))
            if back is None:
                back = plan.backs[place, nested] = Compiled(
                    functools.partial(self._pullback, plan, place, nested), effects=False,
                    executor=self._executor)
            with nullcontext() if sample is None else sample.repeated():
                memo.cotangents = back(g, *values[:len(plan.kinds)])
            memo.g, memo.y = g, y
        return memo.cotangents[i]

    def _pullback(self, plan: _Plan, place: int, nested: bool, g: Any, *values: Any) -> list[Any]:
        """Cotangents of the arguments and of the leaves from outside; runs recorded."""
        capture = capturing()
        with recording():
            aliases = [engine.record(identity, (x,), {}) if requires else x
                       for x, (_, requires) in zip(values, plan.kinds, strict=True)]
            chosen = [x for x, (_, requires) in zip(aliases, plan.kinds, strict=True) if requires]
            own = [x._requires for x in chosen]
            for x in chosen:
                x._requires = True
            args, kwargs = self._refilled(plan, aliases)
            y = flatten(self._f(*args, **kwargs))[0][place]
            seed = g if isinstance(g, Node) else leaf(g, False)
            targets = [*chosen, *plan.connected_to]
            found = pull({y: seed}, reach([y], targets), recorded=True)
            for x, requires in zip(chosen, own, strict=True):
                x._requires = requires
            cotangents = [found.get(x) if isinstance(x, Node) else None
                          for x in (*aliases, *plan.connected_to)]
            if nested:
                return cotangents
            return [x if x is None else capture.plain(x) for x in cotangents]


class _Sample(Draws):
    """What one call drew, for those who go back through its results.

    A replay computes each result anew: the first draws afresh, and the others what that one drew.
    ``served``: the results computed since then; None: all of them, by the call itself.
    """

    __slots__ = ("served",)

    def __init__(self) -> None:
        super().__init__()
        self.served: set[int] | None = None

    def drawn_for(self, place: int) -> AbstractContextManager[None]:
        if self.served is None or place in self.served:
            self.served = {place}
            return self.noted()
        self.served.add(place)
        return self.repeated()

    def __repr__(self) -> str:
        return "..."


class _Memo:
    """The cotangents of a node's inputs, for the cotangent that they were computed from."""

    __slots__ = ("cotangents", "g", "y")

    def __init__(self) -> None:
        self.g: Any = None
        self.y: Any = None
        self.cotangents: list[Any] = []


def _uncovered(x: Any, own: Mapping[Node, Any]) -> Any:
    """A result as it is without observers: an array if it was computed of these alone, which stand
    for arrays."""
    if not isinstance(x, Node):
        return x
    if x in own:
        return own[x]
    nodes = topological([x])
    if x.op is None or any(
        node not in own if node.op is None else not node.op.pure for node in nodes
    ):
        return x
    observe.reading(x, "the compiled function that returns it")
    return x._value


def _viewed(program: Program) -> list[Any]:
    """What the kept values of a program are, or are views of."""
    source = {i.out: i.args[0] for i in program.instructions if i.op.name in _VIEWS}
    found = []
    for x in program.kept:
        while isinstance(x, Var) and x in source:
            x = source[x]
        found.append(x)
    return found


def _own(x: Node) -> Any:
    """The value of a node of a recording, for the caller to keep."""
    value = x._value
    return np.copy(value)[()] if isinstance(value, (_ndarray, np.generic)) else float(value)


def _static_arguments(
    f: Callable[..., Any], numbers: Sequence[int], names: Sequence[str]
) -> set[int | str]:
    """Static arguments by position and by name, whichever way they were given."""
    if not numbers and not names:
        return set()
    try:
        parameters = list(inspect.signature(f).parameters)
    except (TypeError, ValueError):
        parameters = []
    result: set[int | str] = {i % len(parameters) if i < 0 and parameters else i for i in numbers}
    result |= {parameters[i] for i in result if isinstance(i, int) and i < len(parameters)}
    result |= set(names)
    return result | {parameters.index(name) for name in names if name in parameters}


def _static(x: Any, where: str) -> Any:
    try:
        hash(x)
    except TypeError:
        raise TypeError(
            f"compile: {where} is static, of type {type(x).__name__}, which cannot be hashed "
            f"(at {caller()}); pass arrays, floats, or hashable objects such as tuples"
        ) from None
    # 1, 1.0 and True are equal, and so are 0.0 and -0.0.
    return type(x), repr(x) if isinstance(x, float) else x


def _varies(x: Any) -> bool:
    return isinstance(x, (Node, _ndarray)) or type(x) is float or (
        isinstance(x, np.generic) and x.dtype.kind in "biufc"
    )


def _outline(x: Any, given: list[Any], where: str) -> Any:
    """The part of an argument that a recording depends on."""
    if type(x) is _ndarray or _varies(x):
        if isinstance(x, _ndarray):
            x = engine.plain(x, f"compile: {where}")
        given.append(x)
        value = x._value if isinstance(x, Node) else x
        if not isinstance(value, (float, _ndarray, np.generic)) or (
            isinstance(value, _ndarray) and value.dtype.kind not in "biufc"
        ):
            raise CompileError(
                f"compile: {where} is {describe(value)} (at {caller()}); "
                "compiled functions compute with NumPy arrays of numbers"
            )
        kind = kind_of(value)
        return (kind, x._requires, x.op is None) if isinstance(x, Node) else kind
    if isinstance(x, dict):
        return type(x), tuple([(key, _outline(value, given, where)) for key, value in x.items()])
    if isinstance(x, (list, tuple)):
        return type(x), tuple([_outline(value, given, where) for value in x])
    fields = fields_of(x)
    if fields is not None:
        return type(x), tuple([(name, _outline(value, given, f"the field {name} of {where}"))
                               for name, value in fields.items()])
    return _static(x, where)


def _filled(x: Any, values: Iterator[Any]) -> Any:
    """``x`` with the next of ``values`` in place of each argument that varies."""
    if x is _HOLE or _varies(x):
        return next(values)
    if isinstance(x, dict):
        return with_items(x, {key: _filled(value, values) for key, value in x.items()})
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return type(x)(*(_filled(value, values) for value in x))
    if isinstance(x, (list, tuple)):
        return type(x)(_filled(value, values) for value in x)
    fields = fields_of(x)
    if fields is not None:
        return with_fields(x, {name: _filled(value, values) for name, value in fields.items()})
    return x


def _shown(part: Any) -> str:
    """A part of a signature as a message shows it."""
    if isinstance(part, Type):
        return str(part)
    if isinstance(part, tuple):
        return "(" + ", ".join(map(_shown, part)) + ")"
    return part.__name__ if isinstance(part, type) else repr(part)
