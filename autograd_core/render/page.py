"""The page that steps through a graph: forwards node by node, backwards term by term.

The markup holds the whole picture as it is at the end, and all steps as text, so that a reader
without scripts (a mail, a sanitised notebook, a screen reader's list) has everything but the
motion. The script only relabels it: nothing moves, nothing is laid out again.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .describe import OPEN_ARGUMENT, Drawing, Edge, Node, Quantity, clean, scalar
from .html import html_page, part, text
from .layout import Box, Point
from .placing import Curve, Placement, place
from .steps import Step, Steps

# All text in the picture is of one width for each letter, so that its length is known whatever
# font the reader has: 0.602 em in the widest of those that the style asks for.
_HEADING, _LINE, _SMALL = 13.0, 12.0, 11.0
_EM = 0.61
_ROW, _PAD = 17.0, 10.0
_KEY = 44.0
"""What the words `value` and `grad` take."""
_HEADING_LENGTH = 32
_LINES, _COLUMNS = 3, 34
"""More than these are only shown beside the picture."""
_WIDE = 180.0
_MAX_LABELS = 150
"""Above this many nodes, edges carry no numbers: the layout takes long, and nobody reads them."""

_CELLS = 24
"""The most rows and columns of a heat-map."""
_LEVELS = 8
_THUMB: Point = (72.0, 34.0)

_KEYS = {
    "/": "search", "Tab": "into the picture; Shift → ← go from node to node",
    "Enter": "choose the node: its paths to the output", "Esc": "choose nothing",
    "b": "to the backward pass", "c": "close or open the module of the chosen node",
    "+ - 0": "larger, smaller, all of it",
}


def page(drawing: Drawing, passes: Steps | None, *, rankdir: str | None = None) -> bytes:
    """Write a drawing and the passes over it as one offline HTML file.

    `rankdir` is the direction in which the data flow; left at None, downwards if the boxes are
    wide, since the graph would otherwise be a long line, and else that of the drawing.

    `drawing` shows values. Without `passes`, it is of a program, whose steps are its instructions,
    which have no numbers outside of a run; or parts of it are collapsed, and there are no steps.
    """
    board = _Board(drawing, passes)
    placement = place(drawing, board.sizes, board.labels, board.titles,
                      rankdir or board.rankdir())
    forward, backward = board.counts()
    about = [_several(len(drawing.nodes), "node")]
    about += [_several(count, what) for count, what in
              ((forward, "forward step"), (backward, "backward step")) if count]
    notes = [*_notes(drawing, passes), *([placement.note] if placement.note else [])]
    body = _BODY.format(
        note="".join(f'<p class="notice">{text(note)}</p>' for note in notes),
        picture="".join(board.picture(placement)),
        log="".join(board.log()),
    )
    return html_page(
        drawing.title or board.title(),
        subtitle=", ".join(about),
        body=body,
        data=board.data(),
        style=part(__package__, "page.css"),
        script=part(__package__, "page.js"),
        keys=_KEYS,
        tools=_TOOLS,
    )


def _notes(drawing: Drawing, passes: Steps | None) -> Iterator[str]:
    """What the reader should know before wondering."""
    if drawing.note:
        yield from drawing.note.split("\n")
    if passes is not None:
        if passes.no_backward is not None:
            yield f"No backward pass: {passes.no_backward}."
    elif _is_collapsed(drawing):
        yield ("There are steps only where every operation is shown: draw a part of the graph, "
               "starting from an inner Tensor, or a smaller instance of it.")
    else:
        yield "A program: its values exist only while it runs, so its steps show no numbers."


def _is_collapsed(drawing: Drawing) -> bool:
    return any(node.kind == "group" for node in drawing.nodes)


_TOOLS = """
<div class="search" role="search"><input type="search" id="search" placeholder="Search"
 aria-label="Search nodes" aria-controls="found" autocomplete="off" spellcheck="false">
<ul id="found" role="listbox" aria-label="Nodes found" hidden></ul></div>"""

_BODY = """{note}<main class="board">
<section class="stage" aria-label="The graph">{picture}
<div class="zoom" role="group" aria-label="Zoom"><button type="button" class="plain" id="closer"
 aria-label="Larger" title="Larger (+)">+</button><button type="button" class="plain" id="farther"
 aria-label="Smaller" title="Smaller (-)">&minus;</button><button type="button" class="plain"
 id="fit" aria-label="All of it" title="All of it (0)">Fit</button><button type="button"
 class="plain" id="modules" aria-pressed="false" hidden>Close modules</button></div>
</section>
<aside class="side">
<section class="card" id="now" aria-label="This step"></section>
<section class="card" id="chosen" aria-label="The chosen node"></section>
<section class="card steps" aria-labelledby="log-title"><h2 id="log-title">Steps</h2>
<ol id="log" tabindex="0" aria-label="All steps">{log}</ol></section>
</aside>
</main>"""


def _several(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _length(plain: str) -> int:
    """In columns: what is twice as wide counts twice."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in plain)


def brief(lines: Sequence[str]) -> list[str]:
    """As much of a quantity as a box has room for."""
    return [line if len(line) <= _COLUMNS else line[:_COLUMNS - 1] + "…" for line in lines[:_LINES]]


class _Board:
    """A drawing with its passes: what its boxes say, and how large they are."""

    def __init__(self, drawing: Drawing, passes: Steps | None) -> None:
        self._drawing = drawing
        self._passes = passes
        self._instructions = [] if passes is not None or _is_collapsed(drawing) else [
            i for i, node in enumerate(drawing.nodes) if node.kind in ("operation", "update")]
        # The passes count the graph's own nodes; arrays that are no Tensors are nodes of the
        # drawing alone.
        tensors = [i for i, node in enumerate(drawing.nodes) if node.kind != "constant"]
        self._place_of = tensors if passes is not None else list(range(len(drawing.nodes)))
        self._names = [node.title for node in drawing.nodes]
        self._headings = [self._names[i] for i in range(len(drawing.nodes))]
        self._forward: Mapping[int, Step] = {}
        self._backward: dict[int, list[Step]] = {}
        if passes is not None:
            for place_, name in zip(tensors, passes.names, strict=True):
                self._names[place_] = name
                self._headings[place_] = name
            self._forward = {tensors[step.node]: step for step in passes.forward}
            for step in passes.backward:
                self._backward.setdefault(tensors[step.node], []).append(step)
            for i, step in self._forward.items():
                self._headings[i] = clean(f"{self._names[i]} = {step.formula[0]}", _HEADING_LENGTH)
        self._number = {node.name: i for i, node in enumerate(drawing.nodes)}
        self._edge_of = {(edge.head, edge.argument): i for i, edge in enumerate(drawing.edges)}
        self._locals = self._local_derivatives()
        self._heats: dict[int, Any] = {}
        self.sizes = {node.name: self._size(i) for i, node in enumerate(drawing.nodes)}
        self.labels = {} if len(drawing.nodes) > _MAX_LABELS else {
            i: (_length(said) * _SMALL * _EM + 6, 15.0)
            for i, said in ((i, self._said(i)) for i in self._locals)
        }
        self.titles = {group.name: (_length(group.title) * _SMALL * _EM + 40, 20.0)
                       for group in drawing.groups}

    def counts(self) -> tuple[int, int]:
        if self._passes is None:
            return len(self._instructions), 0
        return len(self._passes.forward), len(self._passes.backward)

    def title(self) -> str:
        outputs = [i for i, node in enumerate(self._drawing.nodes) if node.is_output]
        named = [self._headings[i] if self._passes is not None else " = ".join(self._listed(i))
                 for i in outputs[:3]]
        return ", ".join(named) + (", …" if len(outputs) > 3 else "")

    def rankdir(self) -> str:
        widths = [width for width, _ in self.sizes.values()]
        return "TB" if sum(widths) > _WIDE * len(widths) else self._drawing.rankdir

    def _local_derivatives(self) -> dict[int, Any]:
        if self._passes is None:
            return {}
        found = {}
        for step in self._passes.backward:
            if step.local is not None and step.consumer is not None:
                found[self._edge(step)] = step.local
        return found

    def _edge(self, step: Step) -> int:
        assert step.consumer is not None
        head = self._drawing.nodes[self._place_of[step.consumer]].name
        return self._edge_of[head, step.argument]

    def _said(self, edge: int) -> str:
        return f"× {scalar(self._locals[edge])}"

    # Boxes. --------------------------------------------------------------------------------------

    def _size(self, i: int) -> Point:
        node = self._drawing.nodes[i]
        widths = [_length(self._headings[i]) * _HEADING * _EM]
        rows = 1.0
        if kind := self._kind(node):
            widths.append(_length(kind) * _SMALL * _EM)
            rows += 1
        height = rows * _ROW
        for shown in self._quantities(i):
            thumb = _thumb(shown[0])
            lines = max(_length(line) for quantity in shown for line in brief(quantity.lines))
            widths.append(_KEY + thumb[0] + (8 if thumb[0] else 0) + lines * _LINE * _EM)
            height += max(max(len(brief(quantity.lines)) for quantity in shown) * _ROW, thumb[1])
        return max(widths) + 2 * _PAD, height + 2 * 7

    def _kind(self, node: Node) -> str:
        """The line below the heading: what an array is, and of anything its alarming state."""
        return "" if node.shape in ((), None) and self._passes is not None else node.type or ""

    def _quantities(self, i: int) -> Iterator[list[Quantity]]:
        """All that the row of the value, and that of the gradient, will ever say."""
        node = self._drawing.nodes[i]
        if node.value is not None:
            yield [node.value]
        if i in self._backward:
            steps = self._backward[i]
            several = len(steps) > 1
            yield [_numbered(step, k, len(steps)) if several else step.result
                   for k, step in enumerate(steps, 1)]

    # The picture. --------------------------------------------------------------------------------

    def picture(self, placement: Placement) -> Iterator[str]:
        width, height = placement.width, placement.height
        outputs = ", ".join(
            self._names[i] for i, node in enumerate(self._drawing.nodes) if node.is_output)
        yield (f'<svg id="picture" viewBox="-16 -16 {width + 32:.1f} {height + 32:.1f}" '
               f'role="group" aria-label="Graph of {text(outputs)}" tabindex="-1">')
        yield '<g id="world"><g id="frames">'
        for group in self._drawing.groups:
            yield from self._frame(group.name, group.title, placement.groups[group.name])
        yield '</g><g id="edges">'
        for i, (edge, curve) in enumerate(zip(self._drawing.edges, placement.edges, strict=True)):
            yield from self._curve(i, edge, curve)
        yield '</g><g id="nodes">'
        for i, node in enumerate(self._drawing.nodes):
            yield from self._box(i, node, placement.nodes[node.name])
        yield '</g><g id="closed"></g></g></svg>'

    def _frame(self, name: str, title: str, box: Box) -> Iterator[str]:
        left, top = box.x - box.width / 2, box.y - box.height / 2
        yield (f'<g class="frame" data-group="{name}" transform="translate({left:.1f} {top:.1f})">'
               f'<rect width="{box.width:.1f}" height="{box.height:.1f}" rx="12"/>'
               f'<text class="frame-title" x="12" y="19">{text(title)}</text>'
               f'<text class="frame-more" x="{box.width / 2:.1f}" y="{box.height / 2 + 5:.1f}">'
               '</text></g>')

    def _curve(self, i: int, edge: Edge, curve: Curve) -> Iterator[str]:
        start, *rest = curve.points
        path = f"M{_at(start)}C{' '.join(map(_at, rest))}"
        # The curve of Graphviz ends where the arrow begins, that of the simple layout at its tip.
        tip = curve.tip
        before = next((p for p in reversed(curve.points) if p != tip), curve.points[0])
        yield (f'<g class="edge{" back" if edge.back else ""}" data-edge="{i}">'
               f'<path class="line" d="{path}"/><path class="tip" d="{_arrow(before, tip)}"/>')
        if i in self.labels and curve.label is not None:
            x, y = curve.label
            yield (f'<text class="local" x="{x:.1f}" y="{y + 4:.1f}">{text(self._said(i))}'
                   '</text>')
        elif edge.position is not None:
            # Beside the arrow, whichever way it points: on the line it could not be read.
            dx, dy = _towards(before, tip)
            x, y = tip[0] - 13 * dx + 9 * dy, tip[1] - 13 * dy - 9 * dx
            yield (f'<text class="local position" x="{x:.1f}" y="{y + 4:.1f}">'
                   f"{edge.position}</text>")
        yield "</g>"

    def _box(self, i: int, node: Node, box: Box) -> Iterator[str]:
        left, top = box.x - box.width / 2, box.y - box.height / 2
        kinds = f"node {node.kind}{' output' if node.is_output else ''}"
        yield (f'<g class="{kinds}" data-node="{i}" transform="translate({left:.1f} {top:.1f})" '
               f'role="button" tabindex="-1" aria-label="{text(self._headings[i])}">'
               f'<rect class="halo" x="-5" y="-5" width="{box.width + 10:.1f}" '
               f'height="{box.height + 10:.1f}" rx="11"/>'
               f'<rect class="box" width="{box.width:.1f}" height="{box.height:.1f}" rx="7"/>')
        if node.is_output:
            yield (f'<rect class="inner" x="3" y="3" width="{box.width - 6:.1f}" '
                   f'height="{box.height - 6:.1f}" rx="4.5"/>')
        y = 7 + 13.0
        heading, name = self._headings[i], self._names[i]
        rest = heading.removeprefix(name)
        yield (f'<text class="heading" x="{_PAD}" y="{y}"><tspan class="name">'
               f"{text(name if rest != heading else heading)}</tspan>"
               f"{text(rest if rest != heading else '')}</text>")
        if kind := self._kind(node):
            y += _ROW
            yield f'<text class="type" x="{_PAD}" y="{y}">{text(kind)}</text>'
        shown = self._quantities(i)
        top_of_row = y + _ROW - 13
        for key, quantities in zip(("value", "grad") if node.value else ("grad",), shown,
                                   strict=False):
            thumb = _thumb(quantities[0])
            lines = max(len(brief(quantity.lines)) for quantity in quantities)
            x = _PAD + _KEY + thumb[0] + (8 if thumb[0] else 0)
            yield (f'<g class="row {key}"><text class="key" x="{_PAD}" y="{top_of_row + 13}">'
                   f"{key}</text>")
            if thumb[0]:
                yield (f'<g class="thumb" transform="translate({_PAD + _KEY} {top_of_row + 1})" '
                       f'data-width="{thumb[0]}" data-height="{thumb[1] - 4}"></g>')
            said = brief(quantities[-1].lines)
            for k in range(lines):
                line = said[k] if k < len(said) else ""
                yield (f'<text class="said" x="{x}" y="{top_of_row + 13 + k * _ROW}">{text(line)}'
                       "</text>")
            yield "</g>"
            top_of_row += max(lines * _ROW, thumb[1])
        yield "</g>"

    # The steps. ----------------------------------------------------------------------------------

    def log(self) -> Iterator[str]:
        for i in self._instructions:
            yield f'<li class="forward">{text(" = ".join(self._listed(i)))}</li>'
        if self._passes is None:
            return
        for step in (*self._passes.forward, *self._passes.backward):
            more = f"; {step.sum}" if step.sum else ""
            yield f'<li class="{step.phase}">{text(step.text + more)}</li>'

    def _listed(self, i: int) -> list[str]:
        """An instruction as the program's listing has it: its name, and what it computes."""
        node = self._drawing.nodes[i]
        operands = [self._listed_name(self._number[edge.tail])
                    for edge in self._drawing.edges if edge.head == node.name and not edge.back]
        if node.kind == "update":
            return [f"{node.title} {', '.join(operands)}".rstrip()]
        call = node.detail.removeprefix("= ") or node.title
        if call.count(OPEN_ARGUMENT) == len(operands):
            for operand in operands:
                call = call.replace(OPEN_ARGUMENT, operand, 1)
        elif "(" not in call:
            call = f"{call}({', '.join(operands)})"
        return [self._listed_name(i), call]

    def _listed_name(self, i: int) -> str:
        node = self._drawing.nodes[i]
        name, colon, _ = (node.type or "").partition(" : ")
        return name if colon else node.title

    # The data. -----------------------------------------------------------------------------------

    def data(self) -> Any:
        return {
            "nodes": [self._node_data(i, node) for i, node in enumerate(self._drawing.nodes)],
            "edges": [
                {"tail": self._number[edge.tail], "head": self._number[edge.head],
                 "argument": edge.argument, "back": edge.back,
                 "local": float(self._locals[i]) if i in self._locals else None}
                for i, edge in enumerate(self._drawing.edges)
            ],
            "groups": [
                {"name": group.name, "title": group.title, "parent": group.parent}
                for group in self._drawing.groups
            ],
            "steps": list(self._steps_data()),
            "columns": _COLUMNS,
        }

    def _node_data(self, i: int, node: Node) -> Any:
        return {
            "name": self._names[i], "heading": self._headings[i], "title": node.title,
            "detail": node.detail, "kind": node.kind, "type": node.type, "group": node.group,
            "place": node.place, "formula": node.formula, "output": node.is_output,
            "value": None if node.value is None else _quantity_data(node.value),
            "terms": len(self._backward.get(i, ())),
        }

    def _steps_data(self) -> Iterator[Any]:
        for i in self._instructions:
            *name, what = self._listed(i)
            yield {"phase": "forward", "node": i, "target": "".join(name),
                   "sign": "=" if name else "", "formula": [what], "last": True}
        if self._passes is None:
            return
        for step in self._passes.forward:
            yield {"phase": "forward", "node": self._place_of[step.node], "target": step.target,
                   "sign": step.sign, "formula": step.formula, "last": True}
        for step in self._passes.backward:
            yield {
                "phase": "backward", "node": self._place_of[step.node], "target": step.target,
                "sign": step.sign, "formula": step.formula, "sum": step.sum, "last": step.last,
                "consumer": None if step.consumer is None else self._place_of[step.consumer],
                "edge": None if step.consumer is None else self._edge(step),
                "result": _quantity_data(step.result),
                # A first term is the gradient so far.
                "term": None if step.term is None or step.term is step.result
                else _quantity_data(step.term),
            }


def _numbered(step: Step, k: int, count: int) -> Quantity:
    """A gradient that is not complete yet says how many of its terms are there."""
    if k == count:
        return step.result
    first, *rest = step.result.lines
    return Quantity((f"{first} ({k}/{count})", *rest), step.result.alarming)


def _quantity_data(quantity: Quantity) -> Any:
    array = np.asarray(quantity.array)
    exact = None
    if array.shape == () and array.dtype.kind in "biufc":
        exact = repr(array[()].item())
    return {"lines": quantity.lines, "alarming": quantity.alarming, "exact": exact,
            "heat": heat(array)}


# Heat-maps. --------------------------------------------------------------------------------------


def _thumb(quantity: Quantity) -> Point:
    """The size of the heat-map in a box, nothing for a number."""
    array = quantity.array
    if array is None or np.ndim(array) == 0 or np.size(array) < 2:
        return (0.0, 0.0)
    rows, columns = _cells(np.shape(array))
    cell = min(8.0, _THUMB[0] / columns, (_THUMB[1] - 4) / rows)
    return (max(columns * cell, 3.0), max(rows * cell, 3.0) + 4)


def _cells(shape: Sequence[int]) -> tuple[int, int]:
    columns = shape[-1]
    rows = int(np.prod(shape[:-1], dtype=np.int64))
    return min(rows, _CELLS), min(columns, _CELLS)


def heat(array: Any) -> Any:
    """An array as at most 24 rows and columns of levels from -8 to 8 of its largest magnitude.

    Of larger arrays, blocks are averaged; of more than two axes, all but the last are rows. A level
    is a letter, i for zero; a block that holds a NaN or an infinity is an x.
    """
    array = np.asarray(array)
    if array.ndim == 0 or array.size < 2 or array.dtype.kind not in "biufc":
        return None
    plain = np.abs(array) if array.dtype.kind == "c" else array
    values = plain.astype(np.float64).reshape(-1, array.shape[-1])
    finite = np.isfinite(values)
    if finite.all():
        spoilt, blocks = np.False_, _blocks(values)
    else:
        spoilt = _blocks((~finite).astype(np.float64)) > 0
        blocks = _blocks(np.where(finite, values, 0.0))
    largest = float(np.max(np.abs(blocks)))
    levels = np.rint(blocks / (largest or 1.0) * _LEVELS)
    letters = np.where(spoilt, ord("x"), ord("i") + levels).astype(np.uint8)
    return {"rows": len(blocks), "columns": len(blocks[0]), "shape": list(array.shape),
            "largest": scalar(largest), "levels": letters.tobytes().decode("ascii")}


def _blocks(values: Any) -> Any:
    """The means of blocks, so that at most 24 rows and columns remain."""
    for axis in (0, 1):
        n = values.shape[axis]
        if n > _CELLS:
            starts = np.arange(_CELLS) * n // _CELLS
            sizes = np.diff(np.append(starts, n))
            values = np.add.reduceat(values, starts, axis) / np.expand_dims(sizes, 1 - axis)
    return values


# Shapes. -----------------------------------------------------------------------------------------


def _at(point: Point) -> str:
    return f"{point[0]:.1f},{point[1]:.1f}"


def _arrow(before: Point, tip: Point) -> str:
    """A triangle that ends in the tip, from where the curve comes."""
    dx, dy = _towards(before, tip)
    back = (tip[0] - 8 * dx, tip[1] - 8 * dy)
    left, right = (back[0] - 4 * dy, back[1] + 4 * dx), (back[0] + 4 * dy, back[1] - 4 * dx)
    return f"M{_at(tip)}L{_at(left)}L{_at(right)}Z"


def _towards(start: Point, end: Point) -> Point:
    """The direction from one point to another, of length 1."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = float(np.hypot(dx, dy)) or 1.0
    return dx / length, dy / length
