"""Long sums: what adds up, whichever way the additions are nested."""

from __future__ import annotations

from collections.abc import Iterator

from ...op import OPS
from ..program import Atom, Instruction, Program, Var, uses

__all__ = ["sums"]

_ADD = OPS["add"]


def sums(program: Program) -> Iterator[tuple[Var, list[tuple[Var, bool]]]]:
    """Each sum of arrays of one type that is no part of a longer one, and its terms in order.

    With each term, whether nothing else uses it.
    """
    count = uses(program)
    made = {i.out: i for i in program.instructions if i.op is _ADD}

    def addends(x: Atom) -> tuple[Var, ...]:
        i: Instruction | None = made.get(x) if isinstance(x, Var) else None
        if i is None or not all(isinstance(a, Var) and a.type == i.out.type for a in i.args):
            return ()
        return i.args

    found = [x for x in made if addends(x)]
    inner = {a for x in found for a in addends(x) if count[a] == 1 and addends(a)}
    for x in found:
        if x in inner:
            continue
        terms: list[tuple[Var, bool]] = []
        stack = [*reversed(addends(x))]
        while stack:
            y = stack.pop()
            if y in inner:
                stack += reversed(addends(y))
            else:
                terms.append((y, count[y] == 1))
        yield x, terms
