"""Barriers go, once everything stands in its order."""

from __future__ import annotations

from ...ops.flow import barrier
from ..program import Atom, Program, Var, substitute


def release(program: Program, keep: bool = False) -> Program:
    """With the value itself in place of what a barrier gives; ``keep``: unused ones stay there."""
    new: dict[Var, Atom] = {i.out: i.args[0] for i in program.instructions if i.op is barrier}
    if not new:
        return program
    kept = tuple(i for i in program.instructions if keep or i.op is not barrier)
    return substitute(program.replace(instructions=kept), new)
