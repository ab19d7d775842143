"""Updates: what is done to every parameter alike is done once, to all of them end to end.

An optimiser's step applies one element-wise expression to each parameter. Where these expressions
are the same but for their operands, the parameters (and each kind of state that goes with them) are
packed into one long array, and the expression stands once:

    p1' = p1 - 0.1 * g1;  p2' = p2 - 0.1 * g2    becomes    p' = p - 0.1 * pack(g1, g2)

What else reads a parameter reads a view of its part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...node import Array
from ...op import Op
from ..program import Atom, Instruction, Program, Type, Var, is_elementwise, substitute
from .common import key, number
from .groups import Groups

pack = Op(
    "pack", lambda *xs: np.concatenate([np.ravel(x) for x in xs]), None, "all elements, end to end"
)


def _unpack_forward(x: Array, begin: int, shape: tuple[int, ...]) -> Array:
    return x[begin : begin + math.prod(shape)].reshape(shape)


unpack = Op("unpack", _unpack_forward, None, "a part of a packed array")


class _Bundle:
    """One parameter's updates: the instructions that make them, and what these read."""

    def __init__(self, inputs: list[Var], steps: list[Instruction]) -> None:
        self.shape = inputs[0].type.shape
        self.inputs = inputs  # in the order of `updates`
        self.steps = steps
        #: Operands of the parameter's shape that the steps do not make: in order of use.
        self.outside: list[Var] = []
        self.key = self._signature()

    def _signature(self) -> Any:
        made = {step.out: i for i, step in enumerate(self.steps)}
        own = {x: i for i, x in enumerate(self.inputs)}
        seen: dict[Var, int] = {}

        def role(x: Atom) -> Any:
            if not isinstance(x, Var):
                return number(x)
            if x in made:
                return ("made", made[x])
            if x in own:
                return ("input", own[x])
            if x.type.shape == ():
                return x  # shared by all: the very same value
            seen.setdefault(x, len(seen))
            return ("outside", seen[x], x.type.dtype)

        steps = tuple(
            (step.op, tuple(map(role, step.args)), key(step.attrs), step.out.type.dtype)
            for step in self.steps
        )
        self.outside = list(seen)
        return steps, tuple(x.type.dtype for x in self.inputs)


def updates(program: Program) -> Program:
    bundles = _bundles(program)
    groups: dict[Any, list[_Bundle]] = {}
    for bundle in bundles:
        groups.setdefault(bundle.key, []).append(bundle)
    for group in groups.values():
        if len(group) > 1:
            program = _packed(program, group)
    return program


def _bundles(program: Program) -> list[_Bundle]:
    """The updates, those together that share an instruction."""
    maker = {i.out: n for n, i in enumerate(program.instructions) if len(i.outs) == 1}
    owner: dict[int, int] = {}  # instruction -> the first update that needs it
    together = Groups(range(len(program.updates)))
    cones: list[set[int]] = []
    for u, (x, value) in enumerate(program.updates):
        cone: set[int] = set()
        stack = [value]
        while stack:
            v = stack.pop()
            n = maker.get(v) if isinstance(v, Var) else None
            if n is None or n in cone:
                continue
            step = program.instructions[n]
            if not is_elementwise(step.op) or step.out.type.shape != x.type.shape or any(
                isinstance(a, Var) and a.type.shape not in ((), x.type.shape) for a in step.args
            ):
                continue
            cone.add(n)
            if n in owner:
                together.join(u, owner[n])
            else:
                owner[n] = u
            stack.extend(step.args)
        cones.append(cone)
    bundles = []
    for us in together:
        inputs = [program.updates[u][0] for u in us]
        shapes = {x.type.shape for x in inputs}
        values = [program.updates[u][1] for u in us]
        steps = sorted(set().union(*(cones[u] for u in us)))
        made = {program.instructions[n].out for n in steps}
        # Scalars are not packed here: their shape is also that of what all updates share.
        if len(shapes) == 1 and shapes != {()} and all(v in made for v in values):
            bundles.append(_Bundle(inputs, [program.instructions[n] for n in steps]))
    return bundles


def _packed(program: Program, group: Sequence[_Bundle]) -> Program:
    first = group[0]
    sizes = [math.prod(bundle.shape) for bundle in group]
    begins = np.cumsum([0, *sizes[:-1]]).tolist()
    total = (sum(sizes),)
    flat: dict[Var, Var] = {}  # of the first bundle: its values -> the packed ones
    parts: dict[Var, tuple[Var, int]] = {}  # packed part -> (whole, where it begins)
    packed = dict(program.packed)
    names = dict(program.names)
    opening: list[Instruction] = []
    steps: list[Instruction] = []

    def whole(x: Var) -> Var:
        return Var(Type(x.type.dtype, total))

    for k, x in enumerate(first.inputs):
        flat[x] = whole(x)
        packed[flat[x]] = tuple(bundle.inputs[k] for bundle in group)
        for bundle, begin in zip(group, begins, strict=True):
            parts[bundle.inputs[k]] = flat[x], begin
    for k, x in enumerate(first.outside):
        flat[x] = whole(x)
        operands = tuple(bundle.outside[k] for bundle in group)
        steps.append(Instruction((flat[x],), pack, operands))
    for k, step in enumerate(first.steps):
        flat[step.out] = whole(step.out)
        args = tuple(flat.get(a, a) if isinstance(a, Var) else a for a in step.args)
        steps.append(Instruction((flat[step.out],), step.op, args, step.attrs))
        for bundle, begin in zip(group, begins, strict=True):
            parts[bundle.steps[k].out] = flat[step.out], begin
    removed = {step.out for bundle in group for step in bundle.steps}
    old_inputs = {x for bundle in group for x in bundle.inputs}
    makes = {x: y for x, y in program.updates if x in old_inputs}
    new_updates = tuple((x, y) for x, y in program.updates if x not in old_inputs) + tuple(
        (flat[x], flat[makes[x]]) for x in first.inputs
    )
    new_inputs = []
    for x in program.inputs:
        if x in flat and x in first.inputs:
            new_inputs.append(flat[x])
        elif x not in old_inputs:
            new_inputs.append(x)
    kept = [i for i in program.instructions if not (len(i.outs) == 1 and i.out in removed)]
    used = {a for i in kept for a in i.args if isinstance(a, Var)} | {
        x for x in (*program.outputs, *program.kept) if isinstance(x, Var)
    } | {y for x, y in program.updates if x not in old_inputs and isinstance(y, Var)}
    closing: list[Instruction] = []
    views: dict[Var, Atom] = {}
    for part, (source, begin) in parts.items():
        if part in used:
            views[part] = view = Var(part.type)
            if part in names:
                names[view] = names[part]
            make = Instruction((view,), unpack, (source,),
                               {"begin": begin, "shape": part.type.shape})
            (opening if part in old_inputs else closing).append(make)
    ahead = {v for i in closing for v in i.outs}
    result = substitute(
        program.replace(inputs=tuple(new_inputs), instructions=tuple(opening + kept),
                        updates=new_updates, packed=packed, names=names),
        views,
    )
    # What reads a value that the packed steps make comes after them, and so does what is impure
    # once something impure does.
    early, late = [], []
    waiting = False
    for instruction in result.instructions:
        impure = not instruction.op.pure
        if (waiting and impure) or any(
            a in ahead for a in instruction.args if isinstance(a, Var)
        ):
            waiting = waiting or impure
            ahead.update(instruction.outs)
            late.append(instruction)
        else:
            early.append(instruction)
    made = {x for i in late for x in i.outs}
    if any(a in made for i in steps for a in i.args):
        return program  # nor can the packed steps come after that
    return result.replace(instructions=(*early, *steps, *closing, *late))
