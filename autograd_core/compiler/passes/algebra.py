"""Algebraic rules: an instruction, looked at with those that made its operands, becomes a cheaper
one.

Each rule carries its identity as text. It is a function of stand-ins for the operands that writes
down the other side of the identity, or returns None where it does not apply; a result of another
type is dropped, so that a rule need not ask about shapes and dtypes that come out in the end. A
rule puts at most one instruction of the same cost in place of one, so that nothing is lost where
the operand is needed elsewhere too.

Rules are exact for every IEEE value, NaN, infinities and -0.0 included (``x + 0 = x`` is not
one: -0.0 + 0 is 0.0), unless they are marked as holding to rounding, or but for the sign of a
zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ...node import Array
from ...op import OPS, Op
from ...ops.indexing import HERE
from ..program import Atom, Instruction, Program, Type, Var, substitute, type_of
from .common import COMMUTATIVE
from .sketch import Sketch, Value, axes_of, infer, lower, spreads


class Rule(NamedTuple):
    """``identity`` as text, for a reader; ``exact``: to the bit, for every value."""

    identity: str
    rewrite: Callable[..., Any]
    exact: bool


#: The rules, by the name of the op at the outside of the left-hand side.
RULES: dict[str, list[Rule]] = {}

Rewrite = TypeVar("Rewrite", bound=Callable[..., Any])


def rule(*ops: str, identity: str, exact: bool = True) -> Callable[[Rewrite], Rewrite]:
    def enter(rewrite: Rewrite) -> Rewrite:
        for op in ops:
            RULES.setdefault(op, []).append(Rule(identity, rewrite, exact))
        return rewrite

    return enter


def _number(x: Any) -> bool:
    return isinstance(x, (int, float)) and not isinstance(x, bool)


def _is(x: Any, number: float) -> bool:
    """Whether ``x`` is that number, and a zero of that sign."""
    return _number(x) and x == number and math.copysign(1, x) == math.copysign(1, number)


def _made(x: Any, name: str) -> tuple[Any, ...]:
    """The operands of the ``name`` that made x; none, if something else did."""
    return (isinstance(x, Value) and x.operands(name)) or ()


def _scaled(x: Any, name: str) -> tuple[Any, Any] | None:
    """(z, c) if x is a floating ``z * c`` or ``z / c`` with a Python number c."""
    operands = _made(x, name)
    if not operands or x.dtype.kind != "f":
        return None
    z, c = operands
    if name == "multiply" and _number(z):
        z, c = c, z
    return (z, c) if isinstance(z, Value) and _number(c) else None


# Signs and ones. --------------------------------------------------------------------------------


@rule("multiply", "divide", identity="x * 1 = x / 1 = x")
def _one(x: Any, c: Any) -> Any:
    return x if _is(c, 1) and x.dtype.kind != "c" else None


@rule("multiply", "divide", identity="x * -1 = x / -1 = -x")
def _minus_one(x: Any, c: Any) -> Any:
    return -x if _is(c, -1) and x.dtype.kind in "fi" else None


@rule("subtract", identity="x - 0 = x")
def _minus_zero(x: Any, c: Any) -> Any:
    return x if _is(c, 0) else None


@rule("add", identity="x + -0.0 = x, and of integers x + 0 = x")
def _plus_zero(x: Any, c: Any) -> Any:
    if _is(c, -0.0) and x.dtype.kind != "c":
        return x
    return x if _is(c, 0) and x.dtype.kind in "iu" else None


@rule("negative", identity="-(-x) = x")
def _double_negative(x: Any) -> Any:
    for z in _made(x, "negative"):
        return z


@rule("negative", identity="-(x * c) = x * -c, -(x / c) = x / -c")
def _negative_of_scaled(x: Any) -> Any:
    if scaled := _scaled(x, "multiply"):
        return scaled[0] * -float(scaled[1])  # an integer 0 has no sign to change
    if scaled := _scaled(x, "divide"):
        return scaled[0] / -float(scaled[1])


@rule("multiply", identity="-x * c = x * -c")
def _negative_times_number(x: Any, c: Any) -> Any:
    if _number(c) and x.dtype.kind == "f":
        for z in _made(x, "negative"):
            return z * -float(c)


@rule("divide", identity="-x / c = x / -c")
def _negative_by_number(x: Any, c: Any) -> Any:
    if _number(c) and x.dtype.kind == "f":
        for z in _made(x, "negative"):
            return z / -float(c)


@rule("add", identity="a + -b = a - b")
def _plus_negative(a: Any, b: Any) -> Any:
    for z in _made(b, "negative"):
        return a - z


@rule("subtract", identity="a - -b = a + b")
def _minus_negative(a: Any, b: Any) -> Any:
    for z in _made(b, "negative"):
        return a + z


@rule("absolute", identity="|-x| = ||x|| = |x|")
def _absolute(x: Any) -> Any:
    for z in (*_made(x, "negative"), *_made(x, "absolute")):
        return abs(z)


@rule("multiply", identity="-a * -b = a * b")
def _two_negatives(a: Any, b: Any) -> Any:
    for x, y in zip(_made(a, "negative"), _made(b, "negative"), strict=False):
        return x * y


@rule("divide", identity="-a / -b = a / b")
def _quotient_of_negatives(a: Any, b: Any) -> Any:
    for x, y in zip(_made(a, "negative"), _made(b, "negative"), strict=False):
        return x / y


@rule("maximum", "minimum", identity="max(x, x) = min(x, x) = x")
def _with_itself(a: Any, b: Any) -> Any:
    return a if lower(a) is lower(b) else None


@rule("where", identity="x where c, else x = x")
def _either_way(c: Any, a: Any, b: Any) -> Any:
    return a if isinstance(a, Value) and lower(a) is lower(b) else None


# Chains of scalars. -----------------------------------------------------------------------------


@rule("divide", identity="x / 2ᵏ = x * 2⁻ᵏ")
def _by_power_of_two(x: Any, c: Any) -> Any:
    """A product takes less time than a quotient, and of powers of two it is the same."""
    if _number(c) and c != 0 and math.isfinite(c) and x.dtype.kind == "f":
        normal = _normal(x.dtype, c, 1 / c)
        return x * (1 / c) if abs(math.frexp(c)[0]) == 0.5 and normal else None


@rule("add", identity="x + x = x * 2")
def _twice(a: Any, b: Any) -> Any:
    """So that the factor joins others."""
    return a * 2 if lower(a) is lower(b) and a.dtype.kind == "f" else None


@rule("multiply", exact=False, identity="(x * c) * d = x * (c d), (x / c) * d = x * (d / c)")
def _scaled_again(x: Any, d: Any) -> Any:
    """This and the next unless a number is out of the range of the dtype."""
    if not _number(d) or not _normal(x.dtype, d):
        return None
    if (scaled := _scaled(x, "multiply")) and _normal(x.dtype, scaled[1], scaled[1] * d):
        return scaled[0] * (scaled[1] * d)
    if (scaled := _scaled(x, "divide")) and _normal(x.dtype, scaled[1], d / scaled[1]):
        return scaled[0] * (d / scaled[1])


@rule("divide", exact=False, identity="(x * c) / d = x * (c / d), (x / c) / d = x / (c d)")
def _divided_again(x: Any, d: Any) -> Any:
    if not _number(d) or not _normal(x.dtype, d):
        return None
    if (scaled := _scaled(x, "multiply")) and _normal(x.dtype, scaled[1], scaled[1] / d):
        return scaled[0] * (scaled[1] / d)
    if (scaled := _scaled(x, "divide")) and _normal(x.dtype, scaled[1], scaled[1] * d):
        return scaled[0] / (scaled[1] * d)


def _normal(dtype: np.dtype[Any], *numbers: float) -> bool:
    """Whether the numbers are neither 0 nor out of the range where a dtype has all its digits."""
    if dtype.kind != "f":
        return False
    limits = np.finfo(dtype)
    return all(float(limits.tiny) <= abs(c) <= float(limits.max) for c in numbers)


# Softmax and relu, forwards and backwards. -------------------------------------------------------


def _shares(e: Any, s: Any) -> bool:
    """Whether e = exp(z - max z) and s = Σ e: then e is at most 1 and s at least 1."""
    for summed in _made(s, "sum"):
        if lower(summed) is lower(e):
            for shifted in _made(e, "exp"):
                for z, top in filter(None, (_made(shifted, "subtract"),)):
                    return any(lower(z) is lower(x) for x in _made(top, "max"))
    return False


@rule("exp", exact=False, identity="exp(x - ln s) = e / s, where e = exp(x) and s = Σ e")
def _softmax_of_log_softmax(x: Any) -> Any:
    """The backward pass takes the exponential of what is the logarithm of a softmax."""
    for shifted, ln in filter(None, (_made(x, "subtract"),)):
        for s in _made(ln, "log"):
            for e in _made(s, "sum"):
                if _shares(e, s) and lower(_made(e, "exp")[0]) is lower(shifted):
                    return e / s


def _both_values(a: Any, b: Any) -> bool:
    return isinstance(a, Value) and isinstance(b, Value)


@rule("multiply", exact=False, identity="(e / s) * c = e * (c / s), where s = Σ e")
def _scaled_softmax(x: Any, c: Any) -> Any:
    """The factor meets the sums, which are fewer."""
    for e, s in filter(None, (_made(x, "divide"),)):
        if _number(c) and _both_values(e, s) and s.size < e.size and _shares(e, s):
            return e * (c / s)


@rule("greater", identity="x > 0 = max(x, 0) > 0")
def _slope_of_relu(x: Any, c: Any) -> Any:
    """So that the pre-activation need not be kept for the backward pass."""
    if _is(c, 0) and isinstance(x, Value) and x.sketch.relu_of(x) is not None:
        return x.sketch.relu_of(x) > c


# Shapes. ----------------------------------------------------------------------------------------


def _full(x: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a reshape, with the size that was left open."""
    return infer(OPS["reshape"], (lower(x),), {"shape": shape}).shape


def _without_new_axes(x: Any) -> Any:
    """z if x is z with axes of size 1 put in front; None otherwise."""
    for z in _made(x, "reshape"):
        return z if x.shape == (1,) * (x.ndim - z.ndim) + z.shape else None


@rule("reshape", identity="reshape(x) to its own shape = x, reshape(reshape(x)) = reshape(x)")
def _reshaped(x: Any, shape: tuple[int, ...]) -> Any:
    full = _full(x, shape)
    if x.shape == full:
        return x
    for z in _made(x, "reshape"):
        return z.reshape(full)


@rule("reshape", identity="reshape(broadcast_to(x)) = broadcast_to(x) of one element")
def _reshaped_uniform(x: Any, shape: tuple[int, ...]) -> Any:
    for z in _made(x, "broadcast_to"):
        return z.reshape(()).broadcast_to(_full(x, shape)) if z.size == 1 else None


@rule("transpose", identity="transpose(x) in order = x, transpose(transpose(x)) = transpose(x)")
def _transposed(x: Any, axes: tuple[int, ...]) -> Any:
    if axes == tuple(range(len(axes))):
        return x
    for z in _made(x, "transpose"):
        inner = x.attrs["axes"]
        return z.transpose(tuple([inner[a] for a in axes]))


@rule("broadcast_to", identity="broadcast_to(x) to its own shape = x, "
                               "broadcast_to(broadcast_to(x)) = broadcast_to(x)")
def _broadcast(x: Any, shape: tuple[int, ...]) -> Any:
    if x.shape == shape:
        return x
    for z in _made(x, "broadcast_to"):
        return z.broadcast_to(shape)


@rule("broadcast_to", identity="broadcast_to(x[None, ...]) = broadcast_to(x)")
def _broadcast_in_front(x: Any, shape: tuple[int, ...]) -> Any:
    z = _without_new_axes(x)
    return None if z is None else z.broadcast_to(shape)


@rule("astype", identity="x cast to a wider dtype and back = x")
def _there_and_back(x: Any, dtype: np.dtype[Any]) -> Any:
    if x.dtype == dtype:
        return x
    for z in _made(x, "astype"):
        return z if z.dtype == dtype and np.can_cast(dtype, x.dtype, "safe") else None


# Reductions. ------------------------------------------------------------------------------------


@rule("sum", exact=False, identity="Σ x over axes of size 1 = x, but for the sign of a zero")
@rule("max", "min", identity="max x over axes of size 1 = x")
def _of_one(x: Any, axis: Any, keepdims: bool) -> Any:
    axes = axes_of(axis, x.ndim)
    if any(x.shape[a] != 1 for a in axes):
        return None
    return x if keepdims else x.reshape(
        tuple([n for a, n in enumerate(x.shape) if a not in axes])
    )


@rule("sum", exact=False, identity="Σ broadcast_to(x) = n Σ x")
def _sum_of_copies(x: Any, axis: Any, keepdims: bool) -> Any:
    for z in _made(x, "broadcast_to"):
        if not x.size or x.dtype.kind != "f":
            return None
        old = (1,) * (x.ndim - z.ndim) + z.shape
        axes = axes_of(axis, x.ndim)
        count = math.prod([x.shape[a] for a in axes if old[a] == 1])
        rest = tuple([a for a in axes if old[a] != 1])
        if count == 1:
            return None
        total = z.reshape(old)
        total = (total.sum(rest, None, None, True) if rest else total) * float(count)
        wide = total.broadcast_to(
            tuple([1 if a in axes else n for a, n in enumerate(x.shape)])
        )
        return wide if keepdims else wide.reshape(
            tuple([n for a, n in enumerate(x.shape) if a not in axes])
        )


@rule("sum", exact=False, identity="Σ reshape(x) = Σ transpose(x) = Σ x, over all axes")
def _sum_of_rearranged(x: Any, axis: Any, keepdims: bool) -> Any:
    if not keepdims and len(axes_of(axis, x.ndim)) == x.ndim:
        for z in (*_made(x, "reshape"), *_made(x, "transpose")):
            return z.sum(None, None, None, False)


# Scattering, the adjoint of indexing. -----------------------------------------------------------


def _one_array_an_axis(index: Any, shape: tuple[int, ...], arrays: tuple[Any, ...]) -> bool:
    """Whether an index is ``x[i, j, ...]`` with a vector of integers for every axis."""
    return (
        isinstance(index, tuple)
        and len(index) == len(arrays) == len(shape)
        and all(part is HERE for part in index)
        and all(isinstance(i, Value) and i.ndim == 1 for i in arrays)
        and all(i.dtype.kind in "iu" and i.shape == arrays[0].shape for i in arrays)
    )


def _set_in_zeros(x: Any) -> tuple[Any, ...]:
    """The operands of the scatter that ``set`` stands for."""
    into, *rest = _made(x, "set") or (None,)
    return tuple(rest) if rest and x.sketch.zeros(into) else ()


@rule("getitem", identity="(a - ln s)[0 1 ... n-1, j] = a[0 1 ... n-1, j] - ln s, s a column")
def _picked_difference(x: Any, *arrays: Any, index: Any) -> Any:
    """The loss looks at one logarithm a row: the others need not be computed for it."""
    for a, b in filter(None, (_made(x, "subtract"),)):
        if not _one_array_an_axis(index, x.shape, arrays) or x.ndim != 2:
            return None
        n = x.shape[0]
        column = bool(_made(b, "log")) and b.shape == (n, 1)
        if column and isinstance(a, Value) and a.shape == x.shape and (
            x.sketch.counts(arrays[0], n)
        ):
            return x.sketch.call("getitem", a, *arrays, index=index) - b.reshape((n,))


@rule("scatter", identity="scatter(broadcast_to(v)) = scatter(v)")
def _scatter_copies(v: Any, *arrays: Any, index: Any, shape: tuple[int, ...]) -> Any:
    for z in _made(v, "broadcast_to"):
        return v.sketch.call("scatter", z, *arrays, index=index, shape=shape)


@rule("sum", exact=False, identity="Σ scatter(v, i, j) over the last axis = scatter(v, i)")
def _sum_of_scattered(x: Any, axis: Any, keepdims: bool) -> Any:
    """The gradient of ``log_softmax(z)[rows, labels]`` sums what it has just spread."""
    if x.ndim != 2 or axes_of(axis, 2) != (1,):
        return None
    for v, *arrays in filter(None, (_made(x, "scatter"), _set_in_zeros(x))):
        if not _one_array_an_axis(x.attrs["index"], x.shape, tuple(arrays)):
            return None
        y = x.sketch.call("scatter", v, arrays[0], index=(HERE,), shape=x.shape[:1])
        return y.reshape((*x.shape[:1], 1)) if keepdims else y


# Scattering adds to 0.0, which makes 0.0 of -0.0: what only sets does not.


@rule("scatter", exact=False, identity="scatter(v, 0 1 ... n-1) = v")
def _scatter_in_order(v: Any, *arrays: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Also of one v for all places."""
    if len(shape) == len(arrays) == 1 and _one_array_an_axis(index, shape, arrays) and (
        v.sketch.counts(arrays[0], shape[0])
    ):
        return v.broadcast_to(shape)


@rule("scatter", exact=False,
      identity="scatter(v, 0 1 ... n-1, j) = zeros with v set at [0 1 ... n-1, j]")
def _scatter_without_repeats(v: Any, *arrays: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Adding up, which takes long, is needed only where an element is named twice."""
    if len(shape) > 1 and _one_array_an_axis(index, shape, arrays) and any(
        v.sketch.counts(i, n) for i, n in zip(arrays, shape, strict=True)
    ):
        zeros = v.sketch.constant(np.broadcast_to(v.dtype.type(0), shape))
        return v.sketch.call("set", zeros, v, *arrays, index=index)


# Element by element. ----------------------------------------------------------------------------


def _narrow(sketch: Rewriting, op: Op, args: tuple[Any, ...], attrs: Mapping[str, Any]) -> Any:
    """op(broadcast_to(x), y) = op(x, y), broadcast afterwards if nothing else does it.

    And op(x[None, ...], y) = op(x, y) where y has the axes. For all that works element by element.
    """
    shape = np.broadcast_shapes(*[x.shape for x in args if isinstance(x, Value)])
    narrow = [next(iter(_made(x, "broadcast_to")), x) for x in args]
    result = None
    if any(x is not z for x, z in zip(args, narrow, strict=True)):
        result = sketch.call(op.name, *narrow, **attrs)
        if result.shape != shape:
            result = result.broadcast_to(shape)
        return result
    for i, x in enumerate(args):
        z = _without_new_axes(x)
        if z is not None and z.ndim < x.ndim:
            fewer = (*args[:i], z, *args[i + 1 :])
            if np.broadcast_shapes(*[a.shape for a in fewer if isinstance(a, Value)]) == shape:
                return sketch.call(op.name, *fewer, **attrs)
    return None


# The pass. --------------------------------------------------------------------------------------


class Rewriting(Sketch):
    """Notes down only what no rule makes simpler."""

    def __init__(self, constants: Mapping[Var, Array], rules: Mapping[str, list[Rule]]) -> None:
        super().__init__()
        self.constants = dict(constants)
        self.rules = rules
        self._relus: dict[Var, Var] = {}  # x -> max(x, 0)

    def add(self, instruction: Instruction) -> None:
        super().add(instruction)
        if instruction.op is OPS["maximum"]:
            x, c = instruction.args
            if isinstance(x, Var) and _is(c, 0):
                self._relus.setdefault(x, instruction.out)

    def relu_of(self, x: Value) -> Any:
        """max(x, 0), if that has been computed."""
        y = self._relus.get(x.var)
        return None if y is None else self.lift(y)

    def zeros(self, x: Any) -> bool:
        """Whether x is a constant of zeros that is stored as a single one."""
        value = self.constants.get(lower(x))
        return value is not None and not any(value.strides) and not np.any(value[:1])

    def constant(self, value: Array) -> Any:
        x = Var(type_of(value))
        self.constants[x] = value
        return self.lift(x)

    def counts(self, x: Value, n: int) -> bool:
        """Whether x is the constant 0 1 ... n-1."""
        value = self.constants.get(x.var)
        return value is not None and np.array_equal(value, np.arange(n))

    def promising(self, args: tuple[Atom, ...]) -> bool:
        """Whether a rule for arithmetic may apply to these operands."""
        a, b = args
        if a is b or not isinstance(a, Var) or not isinstance(b, Var):
            return True
        made = self.made
        return (a in made and made[a].op in _INSIDE) or (b in made and made[b].op in _INSIDE)

    def apply(self, op: Op, args: tuple[Atom, ...], attrs: Mapping[str, Any]) -> Atom:
        simpler = self.simpler(op, args, attrs, infer(op, args, attrs))
        return super().apply(op, args, attrs) if simpler is None else simpler

    def simpler(
        self, op: Op, args: tuple[Atom, ...], attrs: Mapping[str, Any], type: Type
    ) -> Var | None:
        """The value that a rule puts in place of ``op(*args, **attrs)``, if one does."""
        rules = self.rules.get(op.name, ())
        elementwise = spreads(op)
        if not rules and not elementwise:
            return None
        if op in _ARITHMETIC and not self.promising(args):
            return None
        if not any(isinstance(x, Var) for x in args):
            return None
        operands = tuple(map(self.lift, args))
        begin = len(self.instructions)
        for rule in rules:
            y = rule.rewrite(*operands, **attrs)
            if y is None and op in COMMUTATIVE:
                y = rule.rewrite(*operands[::-1], **attrs)
            if isinstance(y, Value) and y.var.type == type:
                return y.var
            del self.instructions[begin:]
        if elementwise and any(
            isinstance(x, Var) and x in self.made and self.made[x].op in _SPREADING for x in args
        ):
            y = _narrow(self, op, operands, attrs)
            if isinstance(y, Value) and y.var.type == type:
                return y.var
            del self.instructions[begin:]
        return None


#: Nearly all instructions of nearly all programs. A rule for one of these looks for a number, for
#: the same operand twice, or for an operand made by one of the ops below: a look at these first
#: spares most instructions the rules.
_ARITHMETIC = frozenset(OPS[name] for name in ("add", "subtract", "multiply", "divide"))
_INSIDE = frozenset(OPS[name] for name in ("negative", "broadcast_to", "reshape"))
_SPREADING = (OPS["broadcast_to"], OPS["reshape"])


def algebra(program: Program, rules: Mapping[str, list[Rule]] = RULES) -> Program:
    """With every instruction in the simplest form that the rules give it."""
    sketch = Rewriting(program.constants, rules)
    new: dict[Var, Atom] = {}
    names = dict(program.names)
    for instruction in program.instructions:
        args = instruction.args
        if new and any(isinstance(x, Var) and x in new for x in args):
            args = tuple([new.get(x, x) if isinstance(x, Var) else x for x in args])
            instruction = instruction.with_args(args)
        op = instruction.op
        if len(instruction.outs) == 1 and OPS.get(op.name) is op and not any(
            x.type.weak for x in args if isinstance(x, Var)
        ):
            out = instruction.out
            y = sketch.simpler(op, args, instruction.attrs, out.type)
            if y is not None:
                new[out] = y
                if out in names and y not in program.inputs:
                    names.setdefault(y, names[out])
                continue
        sketch.add(instruction)
    if not new:
        return program
    return substitute(
        program.replace(instructions=tuple(sketch.instructions), constants=sketch.constants,
                        names=names),
        new,
    )
