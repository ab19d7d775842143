"""The record of a primitive, and the tables it is entered in.

An :class:`Op` holds everything the project knows about one primitive: how to compute it, one
vector-Jacobian rule per input, its formula, and where tests may sample it. Adding a primitive
is adding one record in ``ops/``; evaluation, differentiation, dispatch, tests, documentation
and drawing all read the record.

A rule is called as ``rule(g, y, *inputs, **attrs)`` with the cotangent ``g`` of the output
``y`` and returns the cotangent of its input. It is pure mathematics in NumPy functions and
operators: it may return a result that still has to be summed over broadcast axes or cast (the
walker does both), or ``None`` where the derivative is structurally zero.

Cotangents of complex values pair with tangents without a conjugate, df = Re Σ g dz: a rule
``g * f'(x)`` is then right for holomorphic functions as it stands, a transpose stays a transpose,
and where a conjugate is due the rule says so (:func:`conj`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any, TypeAlias, TypeVar

import numpy as np

from .errors import MissingRuleError, caller
from .node import Array, Node

Rule: TypeAlias = Callable[..., Any]
Function = TypeVar("Function", bound=Callable[..., Any])

#: Where a real-valued test may sample an input: a closed interval.
Interval: TypeAlias = tuple[float, float]
REAL: Interval = (-2.0, 2.0)
POSITIVE: Interval = (0.4, 2.5)
UNIT: Interval = (-0.9, 0.9)


@dataclass(frozen=True)
class Case:
    """One call for the tests to make: per input a shape to sample, or a value to pass as it is.

    ``prepare`` makes the op's inputs of these where an interval cannot describe its domain: a
    positive definite matrix, say. It is differentiated through. ``settle`` makes of the result what
    the inputs determine: eigenvectors at a phase of their own, say.
    """

    inputs: tuple[Any, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    prepare: Callable[..., Sequence[Any]] | None = None
    settle: Callable[[Any], Any] | None = None


def case(*inputs: Any, **attrs: Any) -> Case:
    """``case((2, 3), (3,), axis=0)``: a tuple is a shape to sample, anything else a value."""
    return Case(inputs, attrs)


class EachInput(Sequence[Rule]):
    """The rules of an op with any number of inputs: one rule that is told the position."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def __getitem__(self, position: int) -> Rule:  # type: ignore[override]
        return partial(self.rule, position)

    def __len__(self) -> int:
        raise TypeError("an op with any number of inputs has no fixed number of rules")


class Jointly(EachInput):
    """The rules of an op as one: ``rule(needed, g, y, *inputs, **attrs)``.

    ``needed``: the positions of the inputs whose cotangents it returns, in their order. For an op
    that computes them together, or not at all.
    """

    def __getitem__(self, position: int) -> Rule:  # type: ignore[override]
        return lambda *args, **attrs: self.rule((position,), *args, **attrs)[0]


class MissingRule:
    """In place of a rule that is not there: an error when it is asked for."""

    def __init__(self, function: str, argument: str, advice: str) -> None:
        self._function, self._argument, self._advice = function, argument, advice

    def __call__(self, *args: Any, **attrs: Any) -> None:
        raise MissingRuleError(
            f"{self._function}: no derivative rule for {self._argument} "
            f"(backward at {caller()}); {self._advice}"
        )


@dataclass(frozen=True, eq=False, slots=True)
class Op:
    """One primitive.

    ``vjps`` is ``None`` for an op that has no derivative to speak of (a comparison, an index):
    its result never requires a gradient.
    """

    name: str
    forward: Callable[..., Array]
    vjps: Sequence[Rule] | None
    formula: str
    domain: tuple[Interval, ...] = (REAL,)
    cases: tuple[Case, ...] = ()
    #: Whether the result depends on the inputs alone and computing it has no effect: a compiler may
    #: then leave it out, or compute it once instead of twice.
    pure: bool = True
    #: ``accumulate(total, g, *other inputs, **attrs)`` adds to an ndarray, in place, what the only
    #: rule, the first input's, would return: for one that spreads a cotangent among zeros.
    accumulate: Callable[..., None] | None = None
    #: Whether it is defined, and its rules are right, for complex numbers: tests then sample both.
    takes_complex: bool = False

    def __call__(self, *inputs: Any, **attrs: Any) -> Array:
        """Compute on plain arrays; record a node if any input is one."""
        for x in inputs:
            if isinstance(x, Node):
                return x.record(self, inputs, attrs)  # type: ignore[attr-defined]
        return self.forward(*inputs, **attrs)

    def __str__(self) -> str:
        return self.name

    def __reduce__(self) -> str | tuple[Any, ...]:
        return (_op_by_name, (self.name,))


def _op_by_name(name: str) -> Op:
    if name not in OPS:
        load_special()
    return OPS[name]


def load_special() -> Any:
    """Enter what :mod:`autograd_core.special` holds: the one family of ops that is loaded late."""
    return import_module(".special", __package__)


#: Every primitive of the engine, by name.
OPS: dict[str, Op] = {}
#: What a ufunc called on Tensors does: an op, or a composite of ops.
UFUNCS: dict[np.ufunc, Callable[..., Any]] = {}
#: What a ufunc's method ("reduce", "accumulate", ...) does on Tensors.
UFUNC_METHODS: dict[tuple[np.ufunc, str], Callable[..., Any]] = {}
#: What a NumPy function called on Tensors does: a plain function of the same signature.
FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}
#: NumPy functions that only ask about shape or dtype: evaluated on the values, not recorded.
METADATA: set[Callable[..., Any]] = set()
#: NumPy functions and ufuncs that cannot work on Tensors, and why.
REFUSED: dict[Callable[..., Any], str] = {}
#: The reason for those that could, and for functions that this version does not know.
NO_RULE = (
    "it has no derivative rule here; compose it of functions that have one, add a rule with "
    "`f = ag.primitive(f); f.defvjp(lambda g, y, x: ...)`, or, if no gradient should flow, pass "
    "`t.detach().numpy()`"
)


def same(g: Array, y: Array, *inputs: Array, **attrs: Any) -> Array:
    """The rule of a term of a sum: the cotangent as it is. The walker need not call it."""
    return g


def zero(g: Array, y: Array, *inputs: Array, **attrs: Any) -> None:
    """The rule of a piecewise-constant function: its derivative is zero, structurally."""


def define(
    name: str,
    forward: Callable[..., Array],
    vjps: Sequence[Rule] | None,
    formula: str,
    *,
    domain: tuple[Interval, ...] = (REAL,),
    cases: tuple[Case, ...] = (),
    numpy: Callable[..., Any] | None = None,
    accumulate: Callable[..., None] | None = None,
    takes_complex: bool = False,
) -> Op:
    """Enter a primitive in the tables; ``numpy`` is the NumPy function or ufunc it stands for.

    That of a ufunc takes complex numbers if the ufunc does.
    """
    if isinstance(numpy, np.ufunc):
        takes_complex = any("D" in loop.partition("->")[0] for loop in numpy.types)
    op = Op(name, forward, vjps, formula, domain, cases, accumulate=accumulate,
            takes_complex=takes_complex)
    if name in OPS:
        raise ValueError(f"define: an op named {name!r} exists already")
    OPS[name] = op
    if isinstance(numpy, np.ufunc):
        UFUNCS[numpy] = op
    elif numpy is not None:
        FUNCTIONS[numpy] = op
    return op


def implements(*functions: Callable[..., Any] | str) -> Callable[[Function], Function]:
    """Enter a function as what these NumPy functions do when called on Tensors.

    One that NumPy 2.0 lacks is given by its name in ``np``. The implementation has NumPy's own
    signature, so that arguments need no normalising: a plain ``def`` binds them far faster than
    ``inspect.Signature.bind`` would.
    """

    def enter(implementation: Function) -> Function:
        for function in functions:
            if isinstance(function, str):
                if not hasattr(np, function):
                    continue
                function = getattr(np, function)
            if isinstance(function, np.ufunc):
                UFUNCS[function] = implementation
            else:
                FUNCTIONS[function] = implementation
        return implementation

    return enter


def lift(x: Any) -> Array:
    """``x`` as something with a shape: arrays and nodes as they are, lists through NumPy."""
    return x if hasattr(x, "shape") else np.asarray(x)


def conj(x: Array) -> Array:
    """The complex conjugate; a real x itself, without a copy."""
    return np.conjugate(x) if x.dtype.kind == "c" else x


def is_complex(x: Any) -> bool:
    """Whether ``x`` is complex: an array, a node, or a Python number."""
    return isinstance(x, complex) or getattr(x, "dtype", _NONE).kind == "c"


def refuse_complex(function: str, *xs: Array) -> None:
    """Raise for complex operands of a function that NumPy has for real ones only."""
    for x in xs:
        if is_complex(x):
            raise TypeError(f"{function}: not defined for complex numbers")


_NONE = np.dtype(np.float64)


def refuse_options(function: str, **options: Any) -> None:
    """Raise for an option of a NumPy function that has no meaning or no rule here."""
    for option, value in options.items():
        if value is None or value is np._NoValue:
            continue
        if option == "out":
            raise TypeError(
                f"{function}: out= would write into an array behind the graph's back; "
                f"use the result instead: `y = np.{function}(...)`"
            )
        raise NotImplementedError(f"{function}: {option}= is not supported on Tensors")
