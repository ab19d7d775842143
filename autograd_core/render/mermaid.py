"""A `Drawing` as a Mermaid flowchart, which GitHub, GitLab and many editors show in Markdown.

Text enters only through `_text`, which writes everything but letters, digits and plain spaces as
numbered entities: quotes, brackets, `end`, `click` and markup then mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from .describe import Drawing, Edge, Group, Node, Quantity, walk
from .dot import check_direction

_SHAPES = {
    "operation": ("(", ")"),
    "variable": ("[", "]"),
    "input": ("[/", "/]"),
    "constant": ("([", "])"),
    "update": ("[\\", "\\]"),
    "group": ("[[", "]]"),
}
_CLASSES = """\
classDef operation fill:#ffffff,stroke:#7b8794,color:#1f2933
classDef variable fill:#fff4dc,stroke:#a86f12,color:#1f2933,stroke-width:2px
classDef input fill:#eef2f6,stroke:#5f6c7b,color:#1f2933,stroke-dasharray:4
classDef constant fill:#ffffff,stroke:#c5ced8,color:#5f6c7b
classDef update fill:#fff4dc,stroke:#a86f12,color:#1f2933
classDef group fill:#f4f6f8,stroke:#52606d,color:#1f2933
classDef result fill:#e8f1fb,stroke:#1d5fa8,color:#1f2933,stroke-width:3px
classDef alarming fill:#fdecea,stroke:#b42318,color:#b42318,stroke-width:3px"""
_INDENT = "  "
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ")


def mermaid(drawing: Drawing, *, rankdir: str = "LR") -> str:
    """Write a drawing in Mermaid's flowchart language, deterministically.

    Raises RenderError if `rankdir` is none of LR, TB, RL and BT.
    """
    check_direction(rankdir)
    return "\n".join(_lines(drawing, rankdir)) + "\n"


def _lines(drawing: Drawing, rankdir: str) -> Iterator[str]:
    if drawing.title:
        yield f'%% {_text(drawing.title)}'
    if drawing.note:
        yield f'%% {_text(drawing.note)}'
    yield f"flowchart {rankdir}"
    depth = 1
    for step in walk(drawing):
        if step is None:
            depth -= 1
            yield f"{_INDENT * depth}end"
        elif isinstance(step, Group):
            yield f'{_INDENT * depth}subgraph group_{step.name}["{_text(step.title)}"]'
            depth += 1
        else:
            yield f"{_INDENT * depth}{_node(step)}"
    for edge in drawing.edges:
        yield f"  {_edge(edge)}"
    yield from (f"  {line}" for line in _CLASSES.splitlines())


def _node(node: Node) -> str:
    opening, closing = _SHAPES[node.kind]
    look = "alarming" if node.alarming else "result" if node.is_output else node.kind
    label = "<br/>".join(_rows(node))
    return f'{node.name}{opening}"{label}"{closing}:::{look}'


def _rows(node: Node) -> Iterator[str]:
    yield _text(f"{node.title} {node.detail}".rstrip())
    if node.type is not None:
        yield _text(node.type)
    for name, quantity in (("value", node.value), ("grad", node.grad)):
        if quantity is not None:
            yield _quantity(f"{name} ", quantity)


def _edge(edge: Edge) -> str:
    arrow = "-.->" if edge.back or edge.tie else "-->"
    label = []
    if edge.position is not None:
        label.append(str(edge.position))
    if edge.count > 1:
        label.append(_text(f"×{edge.count}"))
    if edge.local is not None:
        label.append(_quantity("∂ ", edge.local))
    if edge.cotangent is not None:
        label.append(_quantity("← ", edge.cotangent))
    text = f'|"{"<br/>".join(label)}"|' if label else ""
    return f"{edge.tail} {arrow}{text} {edge.head}"


def _quantity(name: str, quantity: Quantity) -> str:
    return "<br/>".join(_text(line) for line in (name + quantity.lines[0], *quantity.lines[1:]))


def _text(text: str) -> str:
    """The one door through which text enters."""
    return "".join(c if c in _PLAIN else f"#{ord(c)};" for c in text) or " "
