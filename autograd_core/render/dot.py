"""A `Drawing` as a `graphviz.Digraph`.

What a node is can be told without its colour: operations are rounded, leaves that receive a
gradient have a thick border, other leaves a dashed one, constants none, outputs a double one. In
a program, inputs that are updated have the thick border, and a dashed edge comes back to them.

Text enters DOT only through `_text`, as part of an HTML-like label. Plain labels will not do:
they read `\\N`, `\\l` and a leading `<` as instructions, and record shapes braces and pipes too.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING

from ..errors import RenderError
from .describe import Drawing, Edge, Kind, Node, Quantity

if TYPE_CHECKING:
    import graphviz

RANK_DIRECTIONS = ("LR", "TB", "RL", "BT")

FONT = "Roboto,Helvetica,Arial,DejaVu Sans,sans-serif"
"""The font that is laid out with, then those of about its width for whoever views an SVG."""

_INK, _MUTED, _GRADIENT, _ALARM = "#1f2933", "#5f6c7b", "#1d5fa8", "#b42318"

_STYLES: Mapping[str, Mapping[str, str]] = {
    "operation": {"style": "rounded,filled", "fillcolor": "#ffffff", "color": "#7b8794"},
    "variable": {"style": "filled", "fillcolor": "#fff4dc", "color": "#a86f12", "penwidth": "2"},
    "input": {"style": "filled,dashed", "fillcolor": "#eef2f6", "color": "#5f6c7b"},
    "constant": {"style": "", "shape": "plain"},
    "update": {"style": "rounded,filled", "fillcolor": "#fff4dc", "color": "#a86f12"},
}
_OUTPUT = {"peripheries": "2", "fillcolor": "#e8f1fb", "color": "#1d5fa8"}
_GROUP = {"style": "rounded,filled", "fillcolor": "#f4f6f8", "color": "#9aa5b1", "margin": "6"}
_BACK = {"style": "dashed", "color": "#a86f12", "constraint": "false"}
_GAP = "\N{NO-BREAK SPACE}" * 2
_ALARMING = {"fillcolor": "#fdecea", "color": _ALARM, "penwidth": "2.5"}


def digraph(drawing: Drawing, *, rankdir: str = "LR") -> graphviz.Digraph:
    """Write a drawing in DOT. The result depends on nothing but the arguments.

    `rankdir` is the direction in which the data flow: LR, TB, RL or BT.

    Raises RenderError if `rankdir` is none of these.
    """
    import graphviz

    if rankdir not in RANK_DIRECTIONS:
        raise RenderError(f"unknown rankdir {rankdir!r}: use one of {', '.join(RANK_DIRECTIONS)}")
    dot = graphviz.Digraph(
        graph_attr={
            "rankdir": rankdir,
            "fontname": FONT,
            "fontcolor": _INK,
            "bgcolor": "white",
            "nodesep": "0.22",
            "ranksep": "0.35",
        },
        node_attr={
            "shape": "box",
            "fontname": FONT,
            "fontsize": "11",
            "fontcolor": _INK,
            "margin": "0.09,0.05",
            "height": "0.3",
            "width": "0.3",
        },
        edge_attr={
            "fontname": FONT,
            "fontsize": "9",
            "fontcolor": _MUTED,
            "color": "#7b8794",
            "arrowsize": "0.6",
        },
    )
    if drawing.title:
        dot.attr(label=f"<<B>{_text(drawing.title)}</B>>", labelloc="t", fontsize="14")
    titles = {group.name: group.title for group in drawing.groups}
    for name, members in groupby(drawing.nodes, key=lambda node: node.group):
        if name is None:
            _draw(dot, members)
        else:
            with dot.subgraph(name=f"cluster_{name}") as frame:
                frame.attr(label=f"<{_small(titles[name])}>", **_GROUP)
                _draw(frame, members)
    kinds = {node.name: node.kind for node in drawing.nodes}
    for edge in drawing.edges:
        dot.edge(edge.tail, edge.head, **_edge_attributes(edge, kinds[edge.tail]))
    return dot


def _draw(dot: graphviz.Digraph, nodes: Iterable[Node]) -> None:
    for node in nodes:
        dot.node(node.name, label=_label(node), **_style(node))


def _text(text: str) -> str:
    """The one door through which text enters DOT: safe inside an HTML-like label."""
    # Also in HTML-like labels, `\N` stands for the name of the node, and `\\` for a backslash.
    return html.escape(text.replace("\\", "\\\\"), quote=True)


def _style(node: Node) -> dict[str, str]:
    style = dict(_STYLES[node.kind])
    if node.is_output:
        style |= _OUTPUT
    if node.alarming:
        style |= _ALARMING
    return style


def _edge_attributes(edge: Edge, tail: Kind) -> Mapping[str, str]:
    if edge.back:
        return _BACK
    # Heavy edges are kept short and straight: the computation runs in a line, leaves join it.
    attributes = {"weight": "4"} if tail == "operation" else {}
    if edge.position is not None:
        attributes["label"] = str(edge.position)
    return attributes


def _label(node: Node) -> str:
    rows = "".join(f"<TR>{row}</TR>" for row in _rows(node))
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{rows}</TABLE>>'


def _rows(node: Node) -> Iterator[str]:
    yield f'<TD COLSPAN="2">{_heading(node)}</TD>'
    if node.type is not None:
        yield f'<TD COLSPAN="2">{_small(node.type)}</TD>'
    if node.value is not None:
        yield _quantity("value", node.value, _MUTED if node.kind == "constant" else _INK)
    if node.grad is not None:
        yield _quantity("grad", node.grad, _GRADIENT)


def _heading(node: Node) -> str:
    if node.kind == "constant":
        return _small(node.title)
    title = f"<B>{_text(node.title)}</B>"
    return f"{title} {_text(node.detail)}" if node.detail else title


def _quantity(name: str, quantity: Quantity, colour: str) -> str:
    lines = '<BR ALIGN="LEFT"/>'.join(map(_text, quantity.lines))
    if len(quantity.lines) > 1:
        lines += '<BR ALIGN="LEFT"/>'  # aligns the line before it
    if quantity.alarming:
        lines, colour = f"<B>{lines}</B>", _ALARM
    return (
        f'<TD ALIGN="LEFT" VALIGN="TOP">{_small(name + _GAP)}</TD>'
        f'<TD ALIGN="LEFT"><FONT COLOR="{colour}">{lines}</FONT></TD>'
    )


def _small(text: str) -> str:
    return f'<FONT POINT-SIZE="9" COLOR="{_MUTED}">{_text(text)}</FONT>'
