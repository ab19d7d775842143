"""What a drawing of a program shows: a `Drawing`, as of any other graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..compiler.executors import Memory
from ..compiler.numpy_executor import memory as numpy_memory
from ..compiler.program import Atom, Instruction, Program, Var, naming
from ..errors import RenderError
from .describe import (
    MAX_ELEMENTS,
    MAX_NODES_WITH_SHAPES,
    OPEN_ARGUMENT,
    Drawing,
    Edge,
    Group,
    Node,
    clean,
    edges_into,
    quantity,
    scalar,
    written,
)

_MAX_NODES_WITH_BUFFERS = 150


def describe_program(
    program: Program, *, shapes: bool | None = None, title: str | None = None,
    buffers: bool | None = None, arguments: int | None = None, memory: Memory = numpy_memory,
) -> Drawing:
    """Read a program into a `Drawing`, in time linear in its instructions and operands.

    Each node has the name of its value in `str(program)` and its type, as switched by `shapes`;
    left at None, up to 500 instructions. Inputs come first: those that are updated are variables,
    to which an edge leads back from the node of the update. Scalar constants are written into the
    instruction that uses them. Instructions that are run as one are drawn in a group.

    With `buffers`, values that share memory have one colour, and its number, as `memory` of the
    executor tells; the first `arguments` inputs are given at each call, by default all of them.
    Left at None, they are shown up to 150 instructions where `arguments` is known.

    Raises RenderError if the program is empty.
    """
    size = sum(1 for _ in _instructions(program))
    if buffers is None:
        buffers = arguments is not None and size <= _MAX_NODES_WITH_BUFFERS
    shared, legend = _shared_memory(program, memory(program, arguments)) if buffers else ({}, ())
    drawing = _Drawing(program, size <= MAX_NODES_WITH_SHAPES if shapes is None else shapes, shared)
    updated = dict(program.updates)
    for x in program.inputs:
        drawing.add(x, kind="variable" if x in updated else "input", title=drawing.title(x))
    results = {x for x in program.results() if isinstance(x, Var)}
    for x, value in program.constants.items():
        if x.type.shape or x in results:
            drawing.add(x, kind="constant", title="constant",
                        value=quantity(value) if x.type.size <= MAX_ELEMENTS else None)
        else:
            drawing.write(x, value)
    for instruction in program.instructions:
        drawing.instruct(instruction)
    for x, value in program.updates:
        drawing.update(x, value)
    for value in program.outputs:
        if not isinstance(value, Var):
            drawing.append(kind="constant", title=scalar(value), is_output=True)
    if not drawing.nodes:
        raise RenderError("nothing to draw: the program is empty")
    return Drawing(tuple(drawing.nodes), tuple(drawing.edges), clean(title) if title else None,
                   tuple(drawing.groups), "TB", legend=legend)


def _shared_memory(
    program: Program, memory: tuple[dict[Var, tuple[int, int]], dict[Var, Var]]
) -> tuple[dict[Var, int], tuple[str, ...]]:
    """Numbers for values in the same memory, and what these are: of what more than one is in."""
    within, in_place = memory
    shared: dict[Var, int] = {}
    legend: list[str] = []
    for value, x in in_place.items():
        shared[x] = shared[value] = len(legend)
        legend.append(f"{len(legend) + 1}: {_title(program, x)}, updated in place")
    # Places are either apart or in one slot.
    slots: list[tuple[int, list[Var]]] = []
    for x, (start, nbytes) in sorted(within.items(), key=lambda item: item[1]):
        end = start + nbytes
        if slots and start < slots[-1][0]:
            slots[-1] = (max(end, slots[-1][0]), [*slots[-1][1], x])
        else:
            slots.append((end, [x]))
    for _, values in slots:
        if len(values) > 1:
            shared.update(dict.fromkeys(values, len(legend)))
            size = max(x.type.nbytes for x in values)
            legend.append(f"{len(legend) + 1}: {_bytes(size)} for {len(values)} values in turn")
    return shared, tuple(legend)


def _bytes(n: int) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if n < 1024:
            return f"{n:.4g} {unit}"
        n = n / 1024  # type: ignore[assignment]
    return f"{n:.4g} GiB"


class _Drawing:
    """The drawing as far as it is made."""

    def __init__(self, program: Program, shapes: bool, shared: Mapping[Var, int]) -> None:
        self.nodes: list[Node] = []
        self.edges: list[Edge] = []
        self.groups: list[Group] = []
        self._program = program
        self._shapes = shapes
        self._shared = shared
        self._listed = naming(program)
        self._outputs = {x for x in program.outputs if isinstance(x, Var)}
        self._kept = {x for x in program.kept if isinstance(x, Var)}
        #: The node that stands for a value.
        self._node_of: dict[Var, str] = {}
        #: Values that are written into the instructions that use them.
        self._scalars: dict[Var, Any] = {}

    def append(self, **about: object) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(Node(name, **about))  # type: ignore[arg-type]
        return name

    def add(self, *values: Var, **about: object) -> str:
        """A node for what is made together, nearly always one value."""
        name = self.append(
            **about,
            type=", ".join(map(self._type, values)) if self._shapes else None,
            shape=values[0].type.shape,
            dtype=str(values[0].type.dtype),
            colour=next((self._shared[x] for x in values if x in self._shared), None),
            is_output=not self._outputs.isdisjoint(values),
        )
        self._node_of.update(dict.fromkeys(values, name))
        return name

    def title(self, x: Var) -> str:
        return _title(self._program, x)

    def write(self, x: Var, value: Any) -> None:
        """Have a constant written into the instructions that use it."""
        self._scalars[x] = value

    def instruct(self, instruction: Instruction) -> None:
        body = instruction.attrs.get("body")
        if not isinstance(body, Program):
            self._instruction(instruction, None)
            return
        group = Group(str(len(self.groups)), f"{clean(instruction.op.name)}: block by block")
        self.groups.append(group)
        for x, operand in zip(body.inputs, instruction.args, strict=True):
            if operand in self._node_of:
                self._node_of[x] = self._node_of[operand]
            else:
                self.write(x, self._value(operand))
        for inner in body.instructions:
            self._instruction(inner, group.name)
        for x, out in zip(instruction.outs, body.outputs, strict=True):
            self._node_of[x] = self._node_of[out]

    def update(self, x: Var, value: Atom) -> None:
        operand = "" if isinstance(value, Var) else f" {scalar(value)}"
        labels = self._program.names
        labelled = any(part in labels for part in self._program.packed.get(x, (x,)))
        target = self.title(x) if labelled else self._listed[x]
        name = self.append(kind="update", title=f"{target} <-{operand}")
        if isinstance(value, Var):
            self.edges.extend(self._edges((value,), name))
        self.edges.append(Edge(name, self._node_of[x], back=True))

    def _instruction(self, instruction: Instruction, group: str | None) -> None:
        label = clean(self._program.names.get(instruction.outs[0], ""))
        call = written(
            instruction.op,
            [OPEN_ARGUMENT if x in self._node_of else self._written(x) for x in instruction.args],
            instruction.attrs,
        )
        name = self.add(
            *instruction.outs, kind="operation", title=label or call,
            detail=f"= {call}" if label else "", group=group, op=clean(instruction.op.name),
            formula=instruction.op.formula,
            scalars=tuple((i, self._written(x)) for i, x in enumerate(instruction.args)
                          if x not in self._node_of),
        )
        self.edges.extend(self._edges(instruction.args, name, instruction))

    def _edges(
        self, operands: tuple[Atom, ...], head: str, instruction: Instruction | None = None
    ) -> Iterator[Edge]:
        drawn = [(i, self._node_of[x]) for i, x in enumerate(operands) if x in self._node_of]
        return edges_into(drawn, head, instruction.op if instruction else None)

    def _written(self, x: Atom) -> str:
        return scalar(self._value(x))

    def _value(self, x: Atom) -> Any:
        """Of a Python number, or of a constant that is written out."""
        return self._scalars[x] if isinstance(x, Var) else x

    def _type(self, x: Var) -> str:
        """`%7 : f32[32,128]`; a value inside a group has no name outside of it."""
        name = f"{self._listed[x]} : " if x in self._listed else ""
        shared = f", memory {self._shared[x] + 1}" if x in self._shared else ""
        return f"{name}{x.type}{shared}{', kept' if x in self._kept else ''}"


def _title(program: Program, x: Var) -> str:
    """The label of an input, the labels of those packed into it, or what else it is."""
    labels = program.names
    if x not in program.packed:
        return clean(labels.get(x, "")) or "input"
    parts = program.packed[x]
    if not any(part in labels for part in parts):
        return f"{len(parts)} inputs, end to end"
    return clean(" ++ ".join(labels.get(part, str(part.type)) for part in parts))


def _instructions(program: Program) -> Iterator[Instruction]:
    """All that are drawn, those inside of others too."""
    for instruction in program.instructions:
        body = instruction.attrs.get("body")
        yield from body.instructions if isinstance(body, Program) else (instruction,)
