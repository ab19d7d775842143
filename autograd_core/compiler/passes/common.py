"""Common subexpressions: what is computed twice is computed once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...node import Array
from ...op import OPS
from ..program import Atom, Instruction, Program, Var, substitute, type_of

#: a ∘ b = b ∘ a, to the bit but for which of two NaNs comes out.
COMMUTATIVE = frozenset(OPS[name] for name in (
    "add", "multiply", "maximum", "minimum", "fmax", "fmin", "hypot", "logaddexp", "logaddexp2",
    "equal", "not_equal", "logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or",
    "bitwise_xor",
))
#: Constants above this many bytes are told apart by identity, which costs nothing.
_COMPARED = 1 << 16


def common(program: Program) -> Program:
    """Each pure expression once, and each constant once.

    Two instructions are one if op, operands (in either order where that does not matter) and
    attributes are the same; two constants if their types and bytes are.
    """
    new: dict[Var, Atom] = {}
    constants: dict[Any, Var] = {}
    for x, value in program.constants.items():
        first = constants.setdefault(_constant(value), x)
        if first is not x:
            new[x] = first
    seen: dict[Any, tuple[Var, ...]] = {}
    kept: list[Instruction] = []
    for instruction in program.instructions:
        if new and any(isinstance(x, Var) and x in new for x in instruction.args):
            instruction = instruction.with_args(
                new.get(x, x) if isinstance(x, Var) else x for x in instruction.args
            )
        if instruction.op.pure:
            outs = seen.setdefault(_expression(instruction), instruction.outs)
            if outs is not instruction.outs:
                new.update(zip(instruction.outs, outs, strict=True))
                continue
        kept.append(instruction)
    if not new:
        return program
    remaining = {x: value for x, value in program.constants.items() if x not in new}
    return substitute(program.replace(instructions=tuple(kept), constants=remaining), new)


def _constant(value: Array) -> Any:
    kind = type_of(value)
    return kind, value.tobytes() if kind.nbytes <= _COMPARED else id(value)


def _expression(instruction: Instruction) -> Any:
    op, args, attrs = instruction.op, instruction.args, instruction.attrs
    operands: Any = tuple([x if isinstance(x, Var) else number(x) for x in args])
    if op in COMMUTATIVE:
        operands = frozenset(operands) if operands[0] != operands[1] else operands
    return op, operands, key(attrs) if attrs else ()


def number(x: Any) -> Any:
    """A number such that 1, 1.0 and True, and also 0.0 and -0.0, are different ones."""
    if isinstance(x, float):
        return "nan" if math.isnan(x) else x.hex()
    return type(x), x if not isinstance(x, complex) else (x.real.hex(), x.imag.hex())


def key(x: Any) -> Any:
    """What equal attributes have in common, hashable: arrays and functions count by identity."""
    if isinstance(x, Mapping):
        return frozenset([(name, key(value)) for name, value in x.items()])
    if isinstance(x, (tuple, list)):
        return type(x), tuple([key(item) for item in x])
    if isinstance(x, slice):  # hashable from Python 3.12 on
        return slice, key(x.start), key(x.stop), key(x.step)
    if isinstance(x, (bool, int, float, complex)) and not isinstance(x, np.generic):
        return number(x)
    if x is None or isinstance(x, (str, bytes, np.dtype)):
        return x
    if isinstance(x, np.generic):
        return x.dtype, x.tobytes()
    return id(x)
