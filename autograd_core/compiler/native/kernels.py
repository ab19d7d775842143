"""The pass that puts what kernels can do into kernels, as few as the order of things allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from itertools import pairwise

from ...node import Array
from ...op import Op
from ...ops.flow import barrier
from ..passes.dead import dead
from ..passes.release import release
from ..passes.updates import pack, unpack
from ..program import Atom, Instruction, Program, Var, evaluated, substitute
from .schedule import accepts, is_view, root

__all__ = ["kernel", "kernels"]


kernel = Op("kernel", evaluated, None, "several operations, in machine code")


def kernels(program: Program) -> Program:
    """With the instructions that kernels accept grouped into kernels."""
    program = _kept_in_packs(program)
    able = [accepts(i) for i in program.instructions]
    elsewhere = {x for i, a in zip(program.instructions, able, strict=True) if not a
                 for x in i.outs}
    for n, i in enumerate(program.instructions):
        if i.op is pack and any(x in elsewhere for x in i.args):
            able[n] = False  # what NumPy computes, it computes in its place in a packed array
    views = [is_view(i) and a for i, a in zip(program.instructions, able, strict=True)]
    if not any(a and not v for a, v in zip(able, views, strict=True)):
        return program
    view_of = {i.out: i for i, v in zip(program.instructions, views, strict=True) if v}
    order = _sunk(program, _phases(program, able, views), view_of)
    if any(i.op is barrier for i in program.instructions):  # they have done their work
        before = program
        program = release(program, keep=True)
        view_of = {i.out: i for i, v in zip(program.instructions, views, strict=True) if v}
        order = [(native, [n for n in members if before.instructions[n].op is not barrier])
                 for native, members in order]
    instructions: list[Instruction] = []
    phase_of = {x: p for p, (_, members) in enumerate(order) for n in members
                for x in program.instructions[n].outs}

    # What is read outside the kernel that makes it.
    shared = {root(x, view_of) for x in program.results()}
    for p, (_, members) in enumerate(order):
        for n in members:
            sources = {root(x, view_of) for x in program.instructions[n].args}
            shared |= {x for x in sources if phase_of.get(x, -1) != p}
    for native, members in order:
        group = [program.instructions[n] for n in members]
        if native:
            instructions.append(_kernel(group, view_of, shared, program))
        else:
            instructions += group
    # Views stand after what they are of: those of inputs and constants first.
    made = {x for i in instructions for x in i.outs}
    placed: list[Instruction] = []
    waiting: dict[Var, list[Instruction]] = {}
    for i in program.instructions:
        if len(i.outs) == 1 and i.out in view_of:
            source = root(i.out, view_of)
            if source in made:
                waiting.setdefault(source, []).append(i)
            else:
                placed.append(i)
    for i in instructions:
        placed.append(i)
        for x in i.outs:
            placed += waiting.get(x, ())
    return dead(program.replace(instructions=tuple(placed)))


def _kept_in_packs(program: Program) -> Program:
    """With kept values that are also packed read from where they are packed."""
    packs: dict[Atom, tuple[Instruction, int]] = {}
    for i in program.instructions:
        if i.op is pack:
            offset = 0
            for x in i.args:
                packs.setdefault(x, (i, offset))
                offset += x.type.size
    views: dict[Var, Atom] = {}
    closing: list[Instruction] = []
    for x in program.kept:
        if isinstance(x, Var) and x in packs and x not in views:
            i, offset = packs[x]
            views[x] = view = Var(x.type)
            closing.append(Instruction((view,), unpack, (i.out,),
                                       {"begin": offset, "shape": x.type.shape}))
    if not views:
        return program
    kept = substitute(program.replace(instructions=()), views).kept
    return program.replace(instructions=(*program.instructions, *closing), kept=kept)


def _phases(program: Program, able: Sequence[bool], views: Sequence[bool]
            ) -> list[tuple[bool, list[int]]]:
    """An order in which instructions for kernels and others take turns as seldom as may be.

    Of the others, those with effects keep their order. Views belong to nobody.
    """
    instructions = program.instructions
    maker = {x: n for n, i in enumerate(instructions) for x in i.outs}
    after: list[list[int]] = [[] for _ in instructions]
    missing = [0] * len(instructions)
    links = [(maker[x], n) for n, i in enumerate(instructions) for x in i.args
             if isinstance(x, Var) and x in maker]
    links += pairwise(n for n, i in enumerate(instructions) if not i.op.pure)
    for m, n in links:
        after[m].append(n)
        missing[n] += 1
    ready: dict[bool, list[int]] = {False: [], True: []}
    free = [n for n, count in enumerate(missing) if not count]

    def release(n: int) -> None:
        stack = [n]
        while stack:
            m = stack.pop()
            if views[m]:
                for k in after[m]:
                    missing[k] -= 1
                    if not missing[k]:
                        stack.append(k)
            else:
                heappush(ready[able[m]], m)

    for n in free:
        release(n)
    order: list[tuple[bool, list[int]]] = []
    native = False
    while ready[False] or ready[True]:
        members = []
        while ready[native]:
            n = heappop(ready[native])
            members.append(n)
            for k in after[n]:
                missing[k] -= 1
                if not missing[k]:
                    release(k)
        if members:
            order.append((native, members))
        native = not native
    return order


def _sunk(
    program: Program, order: list[tuple[bool, list[int]]], view_of: Mapping[Var, Instruction]
) -> list[tuple[bool, list[int]]]:
    """With what only a later kernel reads in that kernel, if the one that could make it first makes
    nothing that it needs: otherwise it would be stored only to be read again."""
    instructions = program.instructions
    phase_of = {x: p for p, (_, members) in enumerate(order) for n in members
                for x in instructions[n].outs}
    readers: dict[Var, set[int]] = {}
    for p, (_, members) in enumerate(order):
        for n in members:
            for x in instructions[n].args:
                source = root(x, view_of)
                if isinstance(source, Var):
                    readers.setdefault(source, set()).add(p)
    results = {root(x, view_of) for x in program.results()}
    for p in range(len(order) - 1, -1, -1):
        native, members = order[p]
        if not native:
            continue
        for n in reversed(members):
            (x,) = instructions[n].outs
            own = [a for a in (root(a, view_of) for a in instructions[n].args)
                   if phase_of.get(a, -1) == p]
            later = min(readers.get(x, {p}))
            if x in results or own or later == p or not order[later][0]:
                continue
            members.remove(n)
            phase_of[x] = later
            order[later][1].append(n)
            order[later][1].sort()
            for a in instructions[n].args:
                source = root(a, view_of)
                if isinstance(source, Var):
                    readers[source].add(later)
    return [(native, members) for native, members in order if members]


def _kernel(
    group: Sequence[Instruction], view_of: Mapping[Var, Instruction], shared: set[Atom],
    program: Program,
) -> Instruction:
    """One kernel of a group, with its own copies of the views that it looks through."""
    made = {i.out for i in group}
    new: dict[Var, Var] = {}
    inputs: dict[Var, None] = {}
    constants: dict[Var, Array] = {}
    body: list[Instruction] = []
    # Numbers known beforehand stand in the code, but for those that are spread over an array.
    spread = {root(a, view_of) for i in group for a in i.args if a in view_of}

    def look(x: Atom) -> Atom:
        """``x`` as the body names it; adds the views on the way to it."""
        if not isinstance(x, Var):
            return x
        path = []
        while isinstance(x, Var) and x in view_of and x not in new:
            path.append(view_of[x])
            x = view_of[x].args[0]
        y = new.get(x, x) if isinstance(x, Var) else x
        if isinstance(x, Var) and y is x and x not in made:
            if x in program.constants and not x.type.shape and x not in spread:
                constants[x] = program.constants[x]
            else:
                inputs.setdefault(x)
        for i in reversed(path):  # from the memory outwards
            view = Var(i.out.type)
            body.append(Instruction((view,), i.op, (y,), i.attrs))
            new[i.out] = y = view
        return y

    for i in group:
        args = tuple(map(look, i.args))
        body.append(i.with_args(args))
    outs = tuple(i.out for i in group if i.out in shared)
    inner = Program(tuple(inputs), tuple(body), outs, constants=constants)
    return Instruction(outs, kernel, tuple(inputs), {"body": inner})


