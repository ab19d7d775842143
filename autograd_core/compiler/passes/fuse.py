"""Fusing: element-wise work on large arrays, and the sums that end it, goes block by block.

An element-wise operation on an array that does not fit into the cache waits for memory. A fused
group of them is computed for one block of elements after the other, so that what lies between its
operations stays in the cache and needs no array of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ...op import OPS, Op
from ..program import Atom, Instruction, Program, Var, evaluated, is_elementwise, uses
from .groups import Groups

#: Arrays of fewer bytes than this gain nothing from blocks.
THRESHOLD = 1 << 18


fused = Op("fused", evaluated, None, "several operations, block by block")
_SUM, _WHERE = OPS["sum"], OPS["where"]


def fuse(program: Program, threshold: int = THRESHOLD) -> Program:
    groups = [g for g in _groups(program, threshold) if len(g) > 1]
    if not groups:
        return program
    instructions = list(program.instructions)
    group_of = {n: group for group in groups for n in group}
    count = uses(program)
    made: dict[int, Instruction] = {}
    for group in groups:
        made[group[0]] = _merged([instructions[n] for n in group], count)
    # A group stands where its last operand is there: emit depth first, in the old order.
    maker: dict[Var, int] = {x: n for n, i in enumerate(instructions) for x in i.outs}
    after = _impure_before(instructions)
    order: list[Instruction] = []
    done: set[int] = set()
    for n in range(len(instructions)):
        stack = [(group_of[n][0] if n in group_of else n, False)]
        while stack:
            m, ready = stack.pop()
            if m in done:
                continue
            instruction = made.get(m, instructions[m])
            if ready:
                done.add(m)
                order.append(instruction)
                continue
            stack.append((m, True))
            if m in after:
                stack.append((after[m], False))
            for x in reversed(instruction.args):
                if isinstance(x, Var) and x in maker:
                    k = maker[x]
                    stack.append((group_of[k][0] if k in group_of else k, False))
    return program.replace(instructions=tuple(order))


def _impure_before(instructions: Sequence[Instruction]) -> dict[int, int]:
    """For an impure instruction, the one before it, which it has to come after."""
    impure = [n for n, i in enumerate(instructions) if not i.op.pure]
    return {n: before for before, n in pairwise(impure)}


def _fits(instruction: Instruction, threshold: int) -> bool:
    if not (is_elementwise(instruction.op) or (
        instruction.op is _WHERE and masks(instruction.args[0])
    )):
        return False
    whole = instruction.out.type
    operands = [x.type for x in instruction.args if isinstance(x, Var)]
    return (
        bool(whole.shape)
        and max(whole.nbytes, *(t.nbytes for t in operands)) >= threshold
        and all(_blockable(t.shape, whole.shape) for t in operands)
    )


def masks(condition: Atom) -> bool:
    """Whether a condition is boolean: `np.copyto` takes no other."""
    return (
        condition.type.dtype.kind == "b" if isinstance(condition, Var)
        else isinstance(condition, bool)
    )


def _blockable(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether an operand can be cut along the first axis of the whole, or is the same for all
    blocks."""
    return shape in (whole, ()) or len(shape) < len(whole) or shape[0] in (1, whole[0])


def _groups(program: Program, threshold: int) -> list[list[int]]:
    """Instructions to fuse, as lists of positions in order.

    An instruction's stage counts how often a path to it leaves a stretch of fusible instructions
    of one shape, where impure instructions are on a path in their order. Members of one stage and
    shape never depend on each other by way of something else, so that those of them that share a
    value can be one group.
    """
    instructions = program.instructions
    after = _impure_before(instructions)
    shapes: dict[int, tuple[int, ...]] = {}  # of what each fusible instruction works on
    stage: dict[int, int] = {}
    maker: dict[Var, int] = {}
    users: dict[Var, list[int]] = {}
    for n, instruction in enumerate(instructions):
        operands = [x for x in instruction.args if isinstance(x, Var)]
        if len(instruction.outs) == 1:
            first = operands[0] if operands else None
            if _fits(instruction, threshold):
                shapes[n] = instruction.out.type.shape
            elif instruction.op is _SUM and not instruction.out.type.shape and (
                first in maker and shapes.get(maker[first]) == first.type.shape
            ):
                shapes[n] = first.type.shape
        level = stage[after[n]] if n in after else 0
        for x in operands:
            users.setdefault(x, []).append(n)
            if x in maker:
                m = maker[x]
                stays = n in shapes and shapes.get(m) == shapes[n] and x.type.shape
                level = max(level, stage[m] + (0 if m not in shapes or stays else 1))
        stage[n] = level
        for x in instruction.outs:
            maker[x] = n
    results = {x for x in program.results() if isinstance(x, Var)}
    for n in sorted(shapes, reverse=True):  # what only a later stretch reads belongs there
        x = instructions[n].out
        readers = users.get(x, ())
        if x.type.shape and x not in results and readers and all(
            shapes.get(m) == shapes[n] for m in readers
        ):
            stage[n] = max(stage[n], min(stage[m] for m in readers))

    together = Groups(shapes)
    touched: dict[tuple[int, tuple[int, ...], Var], int] = {}
    for n, shape in shapes.items():
        key = stage[n], shape
        for x in instructions[n].args:
            if isinstance(x, Var) and x.type.shape == shape:
                if x in maker and shapes.get(maker[x]) == shape and stage[maker[x]] == stage[n]:
                    together.join(n, maker[x])
                together.join(n, touched.setdefault((*key, x), n))  # read once for all readers
    return list(together)


def _merged(group: list[Instruction], count: dict[Var, int]) -> Instruction:
    inside = {i.out for i in group}
    outside = list(dict.fromkeys(
        x for i in group for x in i.args if isinstance(x, Var) and x not in inside
    ))
    used_inside: dict[Var, int] = {}
    for i in group:
        for x in i.args:
            if isinstance(x, Var) and x in inside:
                used_inside[x] = used_inside.get(x, 0) + 1
    outs = tuple(i.out for i in group if count.get(i.out, 0) > used_inside.get(i.out, 0))
    body = Program(tuple(outside), tuple(group), outs)
    return Instruction(outs, fused, tuple(outside), {"body": body})
