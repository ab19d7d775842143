"""A `Drawing` as a `graphviz.Digraph`.

What a node is can be told without its colour: operations are rounded, leaves that receive a
gradient have a thick border, other leaves a dashed one, constants none, outputs a double one. In
a program, inputs that are updated have the thick border, and a dashed edge comes back to them.

Text enters DOT only through `_text`, as part of an HTML-like label. Plain labels will not do:
they read `\\N`, `\\l` and a leading `<` as instructions, and record shapes braces and pipes too.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ..errors import RenderError
from .describe import Drawing, Edge, Group, Kind, Node, Quantity, walk

if TYPE_CHECKING:
    import graphviz

RANK_DIRECTIONS = ("LR", "TB", "RL", "BT")

FONT = "Roboto,Helvetica,Arial,DejaVu Sans,sans-serif"
"""The font that is laid out with, then those of about its width for whoever views an SVG."""

INK, MUTED, GRADIENT, ALARM = "#1f2933", "#5f6c7b", "#1d5fa8", "#b42318"

STYLES: Mapping[str, Mapping[str, str]] = {
    "operation": {"style": "rounded,filled", "fillcolor": "#ffffff", "color": "#7b8794"},
    "variable": {"style": "filled", "fillcolor": "#fff4dc", "color": "#a86f12", "penwidth": "2"},
    "input": {"style": "filled,dashed", "fillcolor": "#eef2f6", "color": "#5f6c7b"},
    "constant": {"style": "", "shape": "plain"},
    "update": {"style": "rounded,filled", "fillcolor": "#fff4dc", "color": "#a86f12"},
    "group": {"style": "filled", "shape": "box3d", "fillcolor": "#f4f6f8", "color": "#52606d"},
}
_OUTPUT = {"peripheries": "2", "fillcolor": "#e8f1fb", "color": "#1d5fa8"}
GROUP_STYLES: Mapping[str, Mapping[str, str]] = {
    "fused": {"style": "rounded,filled", "fillcolor": "#e6f4f1", "color": "#2a7f6f",
              "margin": "6"},
    "module": {"style": "rounded", "color": "#9aa5b1", "margin": "8", "labeljust": "l"},
    "side": {"style": "rounded,filled", "fillcolor": "#fafbfc", "color": "#c5ced8",
             "margin": "10", "labeljust": "l"},
}
_BACK = {"style": "dashed", "color": "#a86f12", "constraint": "false"}
_TIE = {"style": "dotted", "color": "#9aa5b1", "constraint": "false", "arrowhead": "none"}
# Light enough to read on, and told apart by most colour-blind people; numbers say the same.
PALETTE = (
    "#cfe5f7", "#fbe0b5", "#cdebd8", "#f3d3e3", "#fff2b3", "#d9d4f0", "#f7cfc4", "#d6ecec",
    "#e4e4c0", "#e0e5ea",
)
_LEGEND_COLUMNS = 4
_MANY = 150
_PASSED = 1_100
"""Layers that all edges may pass together before Graphviz takes long."""
_GAP = "\N{NO-BREAK SPACE}" * 2
_ALARMING = {"fillcolor": "#fdecea", "color": ALARM, "penwidth": "2.5"}


def digraph(drawing: Drawing, *, rankdir: str = "LR") -> graphviz.Digraph:
    """Write a drawing in DOT. The result depends on nothing but the arguments.

    `rankdir` is the direction in which the data flow: LR, TB, RL or BT.

    Raises RenderError if `rankdir` is none of these.
    """
    from .digraph import Digraph

    check_direction(rankdir)
    dot = Digraph(
        graph_attr={
            "rankdir": rankdir,
            "fontname": FONT,
            "fontcolor": INK,
            "bgcolor": "white",
            "nodesep": "0.22",
            "ranksep": "0.35",
            **layout_limits(drawing),
        },
        node_attr={
            "shape": "box",
            "fontname": FONT,
            "fontsize": "11",
            "fontcolor": INK,
            "margin": "0.09,0.05",
            "height": "0.3",
            "width": "0.3",
        },
        edge_attr={
            "fontname": FONT,
            "fontsize": "9",
            "fontcolor": MUTED,
            "color": "#7b8794",
            "arrowsize": "0.6",
        },
    )
    if len(drawing.nodes) > _MANY:
        # Where edges go criss-cross, the last straightening takes most of the time.
        dot.attr(nslimit="1", mclimit="0.5")
    caption = _caption(drawing)
    if caption:
        dot.attr(label=f"<{caption}>", labelloc="t", fontsize="14")
    _draw(dot, drawing)
    kinds = {node.name: node.kind for node in drawing.nodes}
    for i, edge in enumerate(drawing.edges):
        dot.edge(edge.tail, edge.head, id=f"e{i}", **_edge_attributes(edge, kinds[edge.tail]))
    return dot


def layout_limits(drawing: Drawing) -> dict[str, str]:
    """What keeps Graphviz from looking long for the best places of many edges.

    Without them, 80 leaves that are used on 80 levels take it 5 s, and 140 two minutes.
    """
    return {"nslimit": "1", "nslimit1": "1"} if len(drawing.edges) > 100 else {}


def is_hard(drawing: Drawing, labelled: bool | None = None) -> bool:
    """Whether Graphviz would take longer than some 0.2 s to lay a drawing out.

    What takes it long is edges over many layers, which it leads around all that lies between, and
    labels on edges, for which it doubles the layers: 480 nodes, 540 edges that pass 4,500 layers
    together and labels take it 40 s, 300 nodes in a row 0.1 s. `labelled`: whether most edges have
    labels, by default as the drawing says.
    """
    layers: dict[str, int] = {}
    into: dict[str, list[str]] = {}
    edges = [edge for edge in drawing.edges if not edge.back and not edge.tie]
    for edge in edges:
        into.setdefault(edge.head, []).append(edge.tail)
    for node in drawing.nodes:
        layers[node.name] = 1 + max((layers.get(x, 0) for x in into.get(node.name, ())), default=-1)
    first: dict[str, int] = {}
    for edge in edges:  # who depends on nothing is drawn just before its first use
        if edge.tail not in into:
            first[edge.tail] = min(first.get(edge.tail, layers[edge.head]), layers[edge.head])
    layers |= {name: layer - 1 for name, layer in first.items()}
    passed = sum(layers[edge.head] - layers[edge.tail] for edge in edges)
    if labelled is None:
        said = sum(edge.local is not None or edge.cotangent is not None for edge in edges)
        labelled = 2 * said > len(edges)
    return passed * (2 if labelled else 1) > _PASSED


def check_direction(rankdir: str) -> None:
    """Raise RenderError if the direction is none that data can flow in."""
    if rankdir not in RANK_DIRECTIONS:
        raise RenderError(f"unknown rankdir {rankdir!r}: use one of {', '.join(RANK_DIRECTIONS)}")


def _draw(dot: graphviz.Digraph, drawing: Drawing) -> None:
    """The nodes in order, a group in the place of its first node with all that is in it."""
    frames = [dot]
    for step in walk(drawing):
        if isinstance(step, Node):
            label = _label(step, drawing.places)
            frames[-1].node(step.name, label=label, id=step.name, **_style(step))
        elif isinstance(step, Group):
            frame = type(dot)(name=f"cluster_{step.name}")
            frame.attr(label=f"<{_small(step.title)}>", id=f"group_{step.name}",
                       **GROUP_STYLES[step.kind])
            frames.append(frame)
        else:
            frame = frames.pop()
            frames[-1].subgraph(frame)


def _caption(drawing: Drawing) -> str:
    """The title, the note and the legend."""
    lines = [f"<B>{_text(drawing.title)}</B>"] if drawing.title else []
    lines += [_small(line) for line in (drawing.note or "").splitlines()]
    if not drawing.legend:
        return "<BR/>".join(lines)
    rows = [f'<TR><TD COLSPAN="{2 * _LEGEND_COLUMNS}">{line}</TD></TR>' for line in lines]
    for start in range(0, len(drawing.legend), _LEGEND_COLUMNS):
        cells = "".join(
            f'<TD BGCOLOR="{colour(i)}" WIDTH="14"></TD><TD ALIGN="LEFT">{_small(text)}</TD>'
            for i, text in enumerate(drawing.legend[start:start + _LEGEND_COLUMNS], start)
        )
        rows.append(f"<TR>{cells}</TR>")
    return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="4">{"".join(rows)}</TABLE>'


def colour(number: int) -> str:
    """The colour of an entry of the legend; they come again where there are many."""
    return PALETTE[number % len(PALETTE)]


def _text(text: str) -> str:
    """The one door through which text enters DOT: safe inside an HTML-like label."""
    # Also in HTML-like labels, `\N` stands for the name of the node, and `\\` for a backslash.
    return html.escape(text.replace("\\", "\\\\"), quote=True)


def _style(node: Node) -> dict[str, str]:
    style = dict(STYLES[node.kind])
    if node.colour is not None:
        style["fillcolor"] = colour(node.colour)
    if node.is_output:
        style |= _OUTPUT if node.colour is None else {"peripheries": "2"}
    if node.alarming:
        style |= _ALARMING
    return style


def _edge_attributes(edge: Edge, tail: Kind) -> Mapping[str, str]:
    if edge.back:
        return _BACK
    if edge.tie:
        return _TIE
    # Heavy edges are kept short and straight: the computation runs in a line, leaves join it.
    attributes = {"weight": "4"} if tail in ("operation", "group") else {}
    lines = []
    if edge.position is not None:
        lines.append(str(edge.position))
    if edge.count > 1:
        lines.append(f"× {edge.count}")
        attributes["penwidth"] = "2"
    if edge.local is None and edge.cotangent is None:
        if lines:
            attributes["label"] = ", ".join(lines)
        return attributes
    rows = [_text(", ".join(lines))] if lines else []
    if edge.local is not None:
        rows.append(_on_edge("\N{PARTIAL DIFFERENTIAL}", edge.local, INK))
    if edge.cotangent is not None:
        rows.append(_on_edge("\N{LEFTWARDS ARROW}", edge.cotangent, GRADIENT))
    attributes["label"] = f"<{'<BR/>'.join(rows)}>"
    return attributes


def _on_edge(name: str, quantity: Quantity, colour: str) -> str:
    text = "<BR/>".join(map(_text, quantity.lines))
    if quantity.alarming:
        text, colour = f"<B>{text}</B>", ALARM
    return f'{name} <FONT COLOR="{colour}">{text}</FONT>'


def _label(node: Node, places: bool) -> str:
    rows = "".join(f"<TR>{row}</TR>" for row in _rows(node, places))
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{rows}</TABLE>>'


def _rows(node: Node, places: bool) -> Iterator[str]:
    yield f'<TD COLSPAN="2">{_heading(node)}</TD>'
    if node.type is not None:
        yield f'<TD COLSPAN="2">{_small(node.type)}</TD>'
    if places and node.place is not None:
        yield f'<TD COLSPAN="2">{_small(node.place)}</TD>'
    if node.value is not None:
        yield _quantity("value", node.value, MUTED if node.kind == "constant" else INK)
    if node.grad is not None:
        yield _quantity("grad", node.grad, GRADIENT)


def _heading(node: Node) -> str:
    if node.kind == "constant":
        return _small(node.title)
    title = f"<B>{_text(node.title)}</B>"
    if node.kind == "group":
        return f"{title}<BR/>{_small(node.detail)}" if node.detail else title
    return f"{title} {_text(node.detail)}" if node.detail else title


def _quantity(name: str, quantity: Quantity, colour: str) -> str:
    lines = '<BR ALIGN="LEFT"/>'.join(map(_text, quantity.lines))
    if len(quantity.lines) > 1:
        lines += '<BR ALIGN="LEFT"/>'  # aligns the line before it
    if quantity.alarming:
        lines, colour = f"<B>{lines}</B>", ALARM
    return (
        f'<TD ALIGN="LEFT" VALIGN="TOP">{_small(name + _GAP)}</TD>'
        f'<TD ALIGN="LEFT"><FONT COLOR="{colour}">{lines}</FONT></TD>'
    )


def _small(text: str) -> str:
    return f'<FONT POINT-SIZE="9" COLOR="{MUTED}">{_text(text)}</FONT>'
