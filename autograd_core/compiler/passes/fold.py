"""Constant folding: what depends on constants only is computed once, here."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...node import Array
from ..program import Atom, Instruction, Program, Type, Var, substitute, type_of
from .sketch import infer, spreads

#: No constant larger than this many bytes is made, unless it is smaller than what it is made of.
LIMIT = 1 << 16


def fold(program: Program) -> Program:
    """Instructions of constants become constants, and constant scalars become Python numbers.

    A scalar stays a constant where a Python number, being weakly typed, would change the type of
    the result. ``broadcast_to`` is left alone: what it makes is large and known to be uniform.
    """
    constants = dict(program.constants)
    new: dict[Var, Atom] = {}
    kept: list[Instruction] = []
    changed = False
    for instruction in program.instructions:
        args = tuple([new.get(x, x) if isinstance(x, Var) else x for x in instruction.args])
        if len(instruction.outs) == 1 and instruction.op.pure:
            if all(not isinstance(x, Var) or x in constants for x in args):
                value = _evaluate(instruction, [
                    constants[x] if isinstance(x, Var) else x for x in args
                ])
                if value is not None:
                    x = instruction.out
                    if x.type.weak:
                        new[x] = value
                    else:
                        constants[x] = value
                    changed = True
                    continue
            if spreads(instruction.op):
                args = _with_numbers(instruction, args, constants)
        if args != instruction.args:
            changed = True
            instruction = instruction.with_args(args)
        kept.append(instruction)
    if not changed:
        return program
    return substitute(program.replace(instructions=tuple(kept), constants=constants), new)


def _evaluate(instruction: Instruction, values: list[Any]) -> Array | None:
    """The value of an instruction; None to leave it as it is."""
    kind = instruction.out.type
    size = sum(type_of(x).nbytes for x in values)
    if instruction.op.name == "broadcast_to" or (kind.nbytes > LIMIT and kind.nbytes > size):
        return None
    with np.errstate(all="ignore"):
        value = instruction.op.forward(*values, **instruction.attrs)
    return value if type_of(value) == kind else None


def _with_numbers(
    instruction: Instruction, args: tuple[Atom, ...], constants: dict[Var, Array]
) -> tuple[Atom, ...]:
    """The operands, with Python numbers for constants of one element where that is the same."""
    for i, x in enumerate(args):
        if not isinstance(x, Var) or x not in constants or x.type.size != 1:
            continue
        number = np.asarray(constants[x]).item()
        if not isinstance(number, (bool, int, float)) or not math.isfinite(number):
            continue
        changed = (*args[:i], number, *args[i + 1 :])
        # Of Python numbers alone Python computes, and makes another Python number.
        if any(isinstance(a, Var) and not a.type.weak for a in changed) and (
            _type(instruction, changed) == instruction.out.type
        ):
            args = changed
    return args


def _type(instruction: Instruction, args: tuple[Atom, ...]) -> Type | None:
    try:
        return infer(instruction.op, args, instruction.attrs)
    except TypeError:  # no loop for these operands
        return None
