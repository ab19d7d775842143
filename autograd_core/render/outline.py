"""A `Drawing` as an indented text: for terminals, logs and screen readers.

One line a node, `3. multiply(1. x, 2. w): float64, value 6, gradient 1`, which reads well aloud:
no drawing characters, and every argument named where it is used.
"""

from __future__ import annotations

from collections.abc import Iterator

from .describe import OPEN_ARGUMENT, Drawing, Edge, Group, Node, Quantity, walk

_INDENT = "  "
_MARKS = {"variable": "variable", "input": "input", "constant": "constant"}


def outline(drawing: Drawing) -> str:
    """Write a drawing as text, deterministically."""
    return "\n".join(_lines(drawing)) + "\n"


def _lines(drawing: Drawing) -> Iterator[str]:
    nodes, edges = len(drawing.nodes), sum(not e.tie for e in drawing.edges)
    heading = drawing.title or "graph"
    yield f"{heading}: {nodes} node{'s' * (nodes != 1)}, {edges} edge{'s' * (edges != 1)}"
    if drawing.note:
        yield from drawing.note.splitlines()
    numbers = {node.name: i for i, node in enumerate(drawing.nodes, start=1)}
    shown = {  # as an argument: a label, or the operation without its arguments
        node.name: f"{numbers[node.name]}. {node.title if node.detail else node.op or node.title}"
        for node in drawing.nodes
    }
    into: dict[str, list[Edge]] = {}
    for edge in drawing.edges:
        into.setdefault(edge.tail if edge.back else edge.head, []).append(edge)
    depth = 0
    for step in walk(drawing):
        indent = _INDENT * depth
        if step is None:
            depth -= 1
        elif isinstance(step, Group):
            yield f"{indent}{step.title}:"
            depth += 1
        else:
            arriving = into.get(step.name, [])
            facts = ", ".join(_facts(step))
            line = f"{indent}{_head(step, arriving, numbers, shown)}"
            yield f"{line}: {facts}" if facts else line
            for fact in _edge_facts(arriving, shown):
                yield f"{indent}{_INDENT * 2}{fact}"
    if drawing.legend:
        yield f"colours: {'; '.join(drawing.legend)}"


def _head(
    node: Node, edges: list[Edge], numbers: dict[str, int], shown: dict[str, str]
) -> str:
    """`3. area = power(1. x, 2)`."""
    number = f"{numbers[node.name]}. "
    uses = [edge for edge in edges if not edge.back and not edge.tie]
    operands = [shown[edge.tail] + (f" ({edge.count} times)" if edge.count > 1 else "")
                for edge in uses]
    if node.kind == "group":
        detail = f" ({node.detail})" if node.detail else ""
        return f"{number}{node.title}{detail}{' of ' if operands else ''}{', '.join(operands)}"
    label, call = (f"{node.title} = ", node.detail.removeprefix("= ")) if node.detail else (
        "", node.title)
    parts = call.split(OPEN_ARGUMENT)
    if len(parts) == len(operands) + 1 and operands:
        call = "".join(map("".join, zip(parts, [*operands, ""], strict=True)))
    elif operands:
        call = f"{call}({', '.join(operands)})"
    return f"{number}{label}{call}"


def _facts(node: Node) -> Iterator[str]:
    if node.is_output:
        yield "output"
    if node.kind in _MARKS and node.title != node.kind:
        yield _MARKS[node.kind]
    if node.type is not None:
        yield node.type
    if node.value is not None:
        yield _quantity("value", node.value)
    if node.grad is not None:
        yield _quantity("gradient", node.grad)
    if node.place is not None:
        yield f"at {node.place}"


def _edge_facts(edges: list[Edge], shown: dict[str, str]) -> Iterator[str]:
    for edge in edges:
        if edge.back:
            yield f"for the next run, in place of {shown[edge.head]}"
        elif edge.tie:
            yield f"goes back through {shown[edge.tail]}"
        parts = []
        if edge.local is not None:
            parts.append(_quantity("local derivative", edge.local))
        if edge.cotangent is not None:
            parts.append(_quantity("sends back", edge.cotangent))
        if parts:
            yield f"by argument {edge.argument}, {shown[edge.tail]}: {', '.join(parts)}"


def _quantity(name: str, quantity: Quantity) -> str:
    text = f"{name} {'; '.join(quantity.lines)}".replace("\N{EM DASH}", "none yet")
    return f"{text} (not finite)" if quantity.alarming else text
