"""Stand-ins for values, which note down what is done with them.

A NumPy expression written with stand-ins becomes instructions, so that passes can say what they
put in place of an instruction in the notation of the formulas: ``np.maximum(x, 0)``, ``a - b``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...op import OPS, UFUNCS, Op
from ..program import Atom, Instruction, Type, Var, is_elementwise, ufunc_of


class Sketch:
    """Where the instructions go that stand-ins note down, and what made each value."""

    def __init__(self) -> None:
        self.instructions: list[Instruction] = []
        self.made: dict[Var, Instruction] = {}

    def add(self, instruction: Instruction) -> None:
        self.instructions.append(instruction)
        for x in instruction.outs:
            self.made[x] = instruction

    def apply(self, op: Op, args: tuple[Atom, ...], attrs: Mapping[str, Any]) -> Atom:
        """The value of a new instruction."""
        out = Var(infer(op, args, attrs))
        self.add(Instruction((out,), op, args, attrs))
        return out

    def lift(self, x: Atom) -> Any:
        """The stand-in for a value; a number stands for itself."""
        return Value(self, x) if isinstance(x, Var) else x

    def call(self, name: str, *args: Any, **attrs: Any) -> Any:
        """``op(*args, **attrs)`` on stand-ins and numbers."""
        return self.lift(self.apply(OPS[name], tuple(map(lower, args)), attrs))


def lower(x: Any) -> Atom:
    """What a stand-in stands for."""
    return x.var if isinstance(x, Value) else x


class Value(np.lib.mixins.NDArrayOperatorsMixin):
    """A stand-in for an array or NumPy scalar."""

    __slots__ = ("sketch", "var")

    def __init__(self, sketch: Any, var: Var) -> None:
        self.sketch = sketch  # the one of the pass at work, with what that one adds
        self.var = var

    shape = property(lambda self: self.var.type.shape)
    dtype = property(lambda self: self.var.type.dtype)
    size = property(lambda self: self.var.type.size)
    ndim = property(lambda self: len(self.var.type.shape))

    def operands(self, name: str) -> tuple[Any, ...] | None:
        """The operands of the instruction that made this value, if its op has that name."""
        made = self.sketch.made.get(self.var)
        if made is None or made.op.name != name:
            return None
        return tuple([self.sketch.lift(x) for x in made.args])

    @property
    def attrs(self) -> Mapping[str, Any]:
        """The attributes of the instruction that made this value."""
        made: Instruction = self.sketch.made[self.var]
        return made.attrs

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any) -> Any:
        op = UFUNCS.get(ufunc)
        if method != "__call__" or not isinstance(op, Op):
            return NotImplemented
        return self.sketch.call(op.name, *inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return self.sketch.call("where", *args) if function is np.where else NotImplemented

    # As ndarray has them.

    def sum(self, axis: Any, dtype: None = None, out: None = None, keepdims: bool = False) -> Any:
        return self.sketch.call("sum", self, axis=axis, keepdims=keepdims)

    def max(self, axis: Any, out: None = None, keepdims: bool = False) -> Any:
        return self.sketch.call("max", self, axis=axis, keepdims=keepdims)

    def reshape(self, shape: tuple[int, ...]) -> Any:
        return self.sketch.call("reshape", self, shape=shape)

    def transpose(self, axes: tuple[int, ...]) -> Any:
        return self.sketch.call("transpose", self, axes=axes)

    def broadcast_to(self, shape: tuple[int, ...]) -> Any:
        return self.sketch.call("broadcast_to", self, shape=shape)


# The types of what is noted down. ----------------------------------------------------------------


def spreads(op: Op) -> bool:
    """Whether an op works element by element and broadcasts its operands against each other."""
    return is_elementwise(op) or op.name == "where"


def infer(op: Op, args: tuple[Atom, ...], attrs: Mapping[str, Any]) -> Type:
    """The type of ``op(*args, **attrs)``, for the ops that passes put into programs.

    Raises ``TypeError`` where the ufunc has no loop for the operands.
    """
    if spreads(op):
        return Type(_dtype(op, args), _broadcast(args))
    return _TYPES[op.name](*args, **attrs)


def _broadcast(args: tuple[Atom, ...]) -> tuple[int, ...]:
    shape: tuple[int, ...] = ()
    for x in args:
        if isinstance(x, Var) and x.type.shape != shape:
            shape = np.broadcast_shapes(shape, x.type.shape) if shape else x.type.shape
    return shape


def _dtype(op: Op, args: tuple[Atom, ...]) -> np.dtype[Any]:
    ufunc = ufunc_of(op)
    if ufunc is None:  # of `where`
        return np.result_type(*map(_example, args[1:]))
    kinds = tuple([_kind(x) for x in args])
    known = _RESOLVED.get((ufunc, kinds))
    if known is None:
        known = ufunc.resolve_dtypes((*kinds, None))[-1]
        _RESOLVED[ufunc, kinds] = known
    return known


#: What a ufunc makes of operands of these kinds; there are only so many.
_RESOLVED: dict[Any, np.dtype[Any]] = {}


def _kind(x: Atom) -> Any:
    """An operand as ``resolve_dtypes`` takes it: a dtype, or the type of a Python number."""
    if isinstance(x, Var):
        if not x.type.weak:
            return x.type.dtype
        kind = x.type.dtype.kind
        return {"i": int, "f": float, "c": complex}.get(kind, x.type.dtype)
    return np.dtype(bool) if isinstance(x, bool) else type(x)


def _example(x: Atom) -> Any:
    kind = _kind(x)
    return kind if isinstance(kind, np.dtype) else kind(0)


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """The ``axis`` of a reduction as non-negative integers."""
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, tuple) else (axis,)
    return tuple([a % ndim for a in given]) if ndim else ()


def _reduced(x: Var, axis: Any, keepdims: bool) -> tuple[int, ...]:
    axes = axes_of(axis, len(x.type.shape))
    if keepdims:
        return tuple([1 if i in axes else n for i, n in enumerate(x.type.shape)])
    return tuple([n for i, n in enumerate(x.type.shape) if i not in axes])


def _reshaped(x: Var, shape: tuple[int, ...]) -> Type:
    if -1 in shape:
        rest = -math.prod(shape)
        shape = tuple([x.type.size // rest if n == -1 else n for n in shape])
    return Type(x.type.dtype, shape)


def _sum_dtype(x: Var) -> np.dtype[Any]:
    """Of a sum: NumPy adds up small integers as large ones."""
    return np.add.resolve_dtypes((None, x.type.dtype, None), reduction=True)[-1]


def _taken(x: Var, *arrays: Var, index: Any) -> Type:
    """Of ``x[i, j, ...]`` with an array for every axis: the only form that passes make."""
    return Type(x.type.dtype, arrays[0].type.shape)


_TYPES: Mapping[str, Callable[..., Type]] = {
    "reshape": _reshaped,
    "transpose": lambda x, axes: Type(x.type.dtype, tuple([x.type.shape[a] for a in axes])),
    "broadcast_to": lambda x, shape: Type(x.type.dtype, shape),
    "sum": lambda x, axis, keepdims: Type(_sum_dtype(x), _reduced(x, axis, keepdims)),
    "max": lambda x, axis, keepdims: Type(x.type.dtype, _reduced(x, axis, keepdims)),
    "min": lambda x, axis, keepdims: Type(x.type.dtype, _reduced(x, axis, keepdims)),
    "getitem": _taken,
    "scatter": lambda v, *arrays, index, shape: Type(v.type.dtype, shape),
    "set": lambda x, v, *arrays, index: x.type,
}
