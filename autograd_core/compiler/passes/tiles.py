"""Tiles: gradients of an array's parts are laid side by side instead of being added up.

Where a function takes an array apart, each part's gradient is spread into zeros of the whole shape
and all of these are summed, which takes time that grows with the square of the number of parts:

    scatter(g1, [0]) + scatter(g2, [1]) + ...     is    g1, g2, ... one after the other

for parts that do not overlap; what no part covers is 0. It holds to the sign of zeros. Parts along
the first axis are computed in their places: then it costs nothing.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ...op import OPS
from ..program import Instruction, Program, Type, Var
from .dead import dead
from .sums import sums
from .updates import pack

__all__ = ["tiles"]

_ADD, _SCATTER = OPS["add"], OPS["scatter"]
_CONCATENATE, _RESHAPE = OPS["concatenate"], OPS["reshape"]
#: Parts of one element each are left to other passes, which compute with arrays of them.
_SMALL = 1


class _Tile(NamedTuple):
    """``value``, at ``begin`` up to ``end`` along ``axis`` of the whole."""

    axis: int
    begin: int
    end: int
    value: Var


def tiles(program: Program) -> Program:
    """With parts laid side by side in place of sums of what was spread."""
    made = {i.out: i for i in program.instructions if i.op is _SCATTER}
    if len(made) < 2:
        return program
    constants = dict(program.constants)
    instead: dict[Var, list[Instruction]] = {}
    for x, terms in sums(program):
        found, others = [], []
        for y, _ in terms:
            tile = _tile(made[y]) if y in made else None
            if tile is None:
                others.append(y)
            else:
                found.append((tile, y))
        axes = [tile.axis for tile, _ in found]
        if len(axes) < 2:
            continue
        axis = max(set(axes), key=axes.count)
        others += [y for tile, y in found if tile.axis != axis]
        chosen = sorted((tile for tile, _ in found if tile.axis == axis), key=lambda t: t.begin)
        if len(chosen) > 1 and all(a.end <= b.begin for a, b in pairwise(chosen)):
            instead[x] = _laid(x, chosen, others, constants)
    if not instead:
        return program
    instructions: list[Instruction] = []
    for i in program.instructions:
        instructions += instead.get(i.outs[0], (i,))
    return dead(program.replace(instructions=tuple(instructions), constants=constants))


def _tile(i: Instruction) -> _Tile | None:
    """Where this spreads its operand to, if that is a stretch of one axis."""
    shape, index = i.attrs["shape"], i.attrs["index"]
    parts = index if type(index) is tuple else (index,)
    if len(i.args) > 1 or len(parts) > len(shape) or i.args[0].type.size <= _SMALL:
        return None
    place: _Tile | None = None
    for axis, (part, n) in enumerate(zip(parts, shape, strict=False)):
        if isinstance(part, (int, np.integer)) and not isinstance(part, bool):
            begin = int(part) % n
            end = begin + 1
        elif isinstance(part, slice) and part.step in (None, 1):
            begin, end, _ = part.indices(n)
            if (begin, end) == (0, n):
                continue
        else:
            return None
        if place is not None:
            return None
        place = _Tile(axis, begin, end, i.args[0])
    return place


def _laid(
    x: Var, chosen: list[_Tile], others: list[Var], constants: dict[Var, Any]
) -> list[Instruction]:
    """The instructions that make the sum ``x`` of these tiles and other terms."""
    dtype, shape = x.type.dtype, x.type.shape
    axis = chosen[0].axis
    made: list[Instruction] = []

    def add(op: Any, out: tuple[int, ...], *args: Var, **attrs: Any) -> Var:
        value = Var(Type(dtype, out))
        made.append(Instruction((value,), op, args, attrs))
        return value

    def stretch(n: int) -> tuple[int, ...]:
        return (*shape[:axis], n, *shape[axis + 1 :])

    parts: list[Var] = []
    at = 0
    for begin, end, value in [*((t.begin, t.end, t.value) for t in chosen),
                              (shape[axis], shape[axis], None)]:
        if at < begin:
            gap = Var(Type(dtype, stretch(begin - at)))
            constants[gap] = np.zeros(gap.type.shape, dtype)
            parts.append(gap)
        if value is not None:
            flat = axis == 0  # then shapes do not matter
            same = value.type.shape == stretch(end - begin)
            parts.append(value if flat or same else add(
                _RESHAPE, stretch(end - begin), value, shape=stretch(end - begin)))
            at = end
    if axis == 0:
        total = add(_RESHAPE, shape, add(pack, (x.type.size,), *parts), shape=shape)
    else:
        total = add(_CONCATENATE, shape, *parts, axis=axis)
    for other in others:
        total = add(_ADD, shape, total, other)
    last = made.pop()  # it makes the sum itself
    return [*made, Instruction((x,), last.op, last.args, last.attrs)]
