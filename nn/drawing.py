"""A network as the lectures draw it: units in columns, weights as lines between them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import autograd_core as ag

from . import palette
from .layers import Linear, Sequential
from .lookup import name_of
from .module import Module
from .neurons import Layer, Neuron

if TYPE_CHECKING:
    import graphviz

__all__ = ["draw"]

_INK, _MUTED, _FRAME, _INPUT, _OUTPUT = "#1f2933", "#5f6c7b", "#7b8794", "#eef2f6", "#e8f1fb"
_RESULT = "#1d5fa8"
_FONT = "Roboto,Helvetica,Arial,DejaVu Sans,sans-serif"
# In inches.
_COLUMN, _ROW, _UNIT = 2.2, 0.62, 0.42
_WIDEST, _FAINTEST = 4.0, 0.35
_MAX_NUMBERS = 12
"""Up to so many weights are also written out."""


@dataclass(frozen=True)
class _Column:
    """A layer: what it is called, and how it is computed from the one before."""

    title: str
    weight: np.ndarray
    """Of shape (units before, units)."""
    bias: np.ndarray


def draw(
    model: Module, path: str | os.PathLike[str] | None = None, *, max_units: int = 16
) -> graphviz.Digraph | Path:
    """Draw a small network unit by unit: one column a layer, one line a weight.

    Lines are as thick as their weights are large; positive ones are orange and solid, negative ones
    blue and dashed, as a legend says. Biases stand in the units; few weights are also written out.
    Of a layer with more than ``max_units`` units the first ones and the last are drawn. ``path``
    says where to write it, and by its suffix in which format; without one, what is returned shows
    itself in a notebook, and ``ag.render`` writes it.

    ``model``: a :class:`Neuron`, :class:`Layer` or :class:`Linear`, or a :class:`Sequential` (an
    :class:`MLP`, say) of them and of functions without parameters.

    Raises :class:`ag.RenderError` for another model (``ag.render(model, path, example=x)`` draws
    the operations of any); and what :func:`ag.render` raises.

    >>> nn.draw(nn.MLP([2, 3, 1], rng=0), "network.svg").name
    'network.svg'
    """
    if max_units < 3:
        raise ValueError(f"draw: max_units must be 3 at least, got {max_units}")
    network = _network(_columns(model), max_units)
    dot = ag.to_dot(_digraph(network))
    if path is None:
        return dot
    try:
        return ag.render(dot, path)
    except ag.RenderError:
        if Path(path).suffix.lower() != ".svg":
            raise
        return ag.write_file(path, _svg(network).encode())  # there is no Graphviz


def picture(model: Module, max_weights: int) -> str | None:
    """The SVG of a model that `draw` takes and that has at most so many weights, else None."""
    try:
        columns = _columns(model)
    except ag.RenderError:
        return None
    if sum(column.weight.size for column in columns) > max_weights:
        return None
    network = _network(columns, 16)
    try:
        return ag.to_svg(_digraph(network))
    except ag.RenderError:
        return _svg(network)


def _columns(model: Module) -> list[_Column]:
    found: list[_Column] = []
    for part in _flat(model):
        if isinstance(part, Linear):
            weight = part.weight.numpy(force=True)
            bias = (np.zeros(weight.shape[1]) if part.bias is None
                    else part.bias.numpy(force=True))
            found.append(_Column("linear", weight, bias))
        elif isinstance(part, (Layer, Neuron)):
            neurons = part.neurons if isinstance(part, Layer) else [part]
            found.append(_Column(
                name_of(neurons[0].activation),
                np.stack([neuron.weight.numpy(force=True) for neuron in neurons], axis=1),
                np.array([neuron.bias.numpy(force=True) for neuron in neurons]),
            ))
        elif isinstance(part, Module) and part.parameters():
            raise ag.RenderError(
                f"draw: a {type(part).__name__} has no picture of units and weights; "
                "`ag.render(model, path, example=x)` draws the operations of any model"
            )
        elif found:  # an activation, of the units before it
            name = part.describe() if isinstance(part, Module) else name_of(part)
            last = found[-1]
            title = name if last.title == "linear" else f"{last.title}, {name}"
            found[-1] = _Column(title, last.weight, last.bias)
    if not found:
        raise ag.RenderError("draw: the model has no layers of units")
    for before, after in pairwise(found):
        if before.weight.shape[1] != after.weight.shape[0]:
            raise ag.RenderError(
                f"draw: a layer of {before.weight.shape[1]} units is followed by one that takes "
                f"{after.weight.shape[0]}"
            )
    return found


def _flat(model: Any) -> Iterator[Any]:
    """The layers of a model in order, those of a Sequential inside it in its place."""
    stack = [model]
    while stack:
        part = stack.pop()
        if isinstance(part, Sequential):
            stack.extend(reversed(list(part)))
        else:
            yield part


@dataclass(frozen=True)
class _Unit:
    """A circle, or the dots that stand for those left out; in inches, upwards from the middle."""

    name: str
    x: float
    y: float
    text: str
    kind: str
    """input, hidden, output or more."""
    tip: str = ""


@dataclass(frozen=True)
class _Line:
    """A weight between two units."""

    tail: _Unit
    head: _Unit
    weight: float
    share: float
    """How large it is, as a part of the largest."""
    number: tuple[float, float] | None
    """Where it is written out."""

    @property
    def colour(self) -> str:
        return (palette.POSITIVE if self.weight > 0 else palette.NEGATIVE if self.weight < 0
                else palette.ZERO)

    @property
    def width(self) -> float:
        return _FAINTEST + self.share * (_WIDEST - _FAINTEST)

    @property
    def opacity(self) -> float:
        return (80 + 175 * self.share) / 255

    @property
    def dashed(self) -> bool:
        return not self.weight >= 0


@dataclass(frozen=True)
class _Network:
    units: list[_Unit]
    lines: list[_Line]
    titles: list[tuple[float, float, str, str]]
    """x, y, and two lines of text."""
    legend: list[_Entry]


@dataclass(frozen=True)
class _Entry:
    """What a kind of line stands for: a piece of it from here to the right, and words."""

    x: float
    y: float
    colour: str
    dashed: bool
    text: str

    @property
    def end(self) -> float:
        return self.x + 0.38

    @property
    def middle(self) -> float:
        """Of the words."""
        return self.x + 0.74


def _network(columns: list[_Column], max_units: int) -> _Network:
    """Everything in its place."""
    sizes = [columns[0].weight.shape[0], *(column.weight.shape[1] for column in columns)]
    titles = ["input", *(column.title for column in columns)]
    shown = [_shown(size, max_units) for size in sizes]
    top = max(len(units) for units in shown) * _ROW / 2
    placed: list[dict[int | None, _Unit]] = []
    heads = []
    for k, units in enumerate(shown):
        bias = None if k == 0 else columns[k - 1].bias
        placed.append({
            unit: _unit(k, unit, ((len(units) - 1) / 2 - row) * _ROW, bias, k == len(columns))
            for row, unit in enumerate(units)
        })
        size = f"{sizes[k]} {'unit' if k else 'feature'}{'s' * (sizes[k] != 1)}"
        heads.append((k * _COLUMN, top + 0.28, titles[k], size))
    lines = [line for column, tails, ends in zip(columns, placed, placed[1:], strict=False)
             for line in _lines(column.weight, tails, ends)]
    middle, below = (len(sizes) - 1) * _COLUMN / 2, -top - 0.18
    legend = [_Entry(middle - 1.2, below, palette.POSITIVE, False, "weight > 0"),
              _Entry(middle + 0.06, below, palette.NEGATIVE, True, "weight < 0")]
    return _Network([unit for column in placed for unit in column.values()], lines, heads, legend)


def _shown(size: int, max_units: int) -> list[int | None]:
    """The units of a column that are drawn; None stands for those between."""
    if size <= max_units:
        return list(range(size))
    return [*range(max_units - 2), None, size - 1]


def _unit(k: int, unit: int | None, y: float, bias: np.ndarray | None, last: bool) -> _Unit:
    x = k * _COLUMN
    if unit is None:
        return _Unit(f"u{k}_more", x, y, "\N{VERTICAL ELLIPSIS}", "more")
    if bias is None:
        return _Unit(f"u{k}_{unit}", x, y, str(unit + 1), "input", f"input {unit + 1}")
    return _Unit(f"u{k}_{unit}", x, y, _number(bias[unit]), "output" if last else "hidden",
                 f"bias {float(bias[unit]):.6g}")


def _lines(
    weight: np.ndarray, tails: Mapping[int | None, _Unit], heads: Mapping[int | None, _Unit]
) -> Iterator[_Line]:
    finite = np.abs(weight[np.isfinite(weight)])
    largest = float(finite.max()) if finite.size and finite.max() > 0 else 1.0
    written = weight.size <= _MAX_NUMBERS
    for i, tail in tails.items():
        for j, head in heads.items():
            if i is None or j is None:
                continue
            w = float(weight[i, j])
            # At another part of the way for each tail, lest they meet where lines cross.
            part = 0.3 + 0.4 * (i / (weight.shape[0] - 1) if weight.shape[0] > 1 else 0.5)
            at = tail.x + part * _COLUMN, tail.y + part * (head.y - tail.y)
            share = min(abs(w) / largest, 1.0) if np.isfinite(w) else 1.0
            yield _Line(tail, head, w, share, at if written else None)


def _digraph(network: _Network) -> graphviz.Digraph:
    import graphviz

    dot = graphviz.Digraph(
        graph_attr={"layout": "neato", "splines": "line", "bgcolor": "white",
                    "outputorder": "edgesfirst", "fontname": _FONT},
        node_attr={"shape": "circle", "fixedsize": "shape", "width": f"{_UNIT}", "style": "filled",
                   "fillcolor": "white", "color": _FRAME, "fontname": _FONT, "fontsize": "9",
                   "fontcolor": _INK},
        edge_attr={"arrowhead": "none", "fontname": _FONT, "fontsize": "8"},
    )
    looks = {
        "input": {"fillcolor": _INPUT},
        "hidden": {},
        "output": {"fillcolor": _OUTPUT, "color": _RESULT, "peripheries": "2"},
        "more": {"shape": "plain", "style": "", "fontsize": "16"},
    }
    for unit in network.units:
        label = f"<x<SUB>{unit.text}</SUB>>" if unit.kind == "input" else unit.text
        dot.node(unit.name, label=label, pos=f"{unit.x:.3f},{unit.y:.3f}!", tooltip=unit.tip,
                 **looks[unit.kind])
    for k, (x, y, title, size) in enumerate(network.titles):
        dot.node(
            f"t{k}", pos=f"{x:.3f},{y:.3f}!", shape="plain", fixedsize="false", style="",
            label=f'<{_text(title, dot=True)}<BR/><FONT POINT-SIZE="8" COLOR="{_MUTED}">{size}'
                  "</FONT>>", fontsize="11",
        )
    for line in network.lines:
        dot.edge(
            line.tail.name, line.head.name, color=f"{line.colour}{round(255 * line.opacity):02x}",
            penwidth=f"{line.width:.2f}", style="dashed" if line.dashed else "solid",
            tooltip=f"weight {line.weight:.6g}",
        )
    for line in network.lines:
        if line.number is not None:
            x, y = line.number
            dot.node(
                f"w_{line.tail.name}_{line.head.name}", pos=f"{x:.3f},{y:.3f}!", shape="plain",
                style="", fontsize="8", fontcolor=line.colour,
                label='<<TABLE BORDER="0" CELLBORDER="0" CELLPADDING="0" BGCOLOR="white"><TR><TD>'
                      f"{_number(line.weight)}</TD></TR></TABLE>>",
            )
    for k, entry in enumerate(network.legend):
        for end, x in (("a", entry.x), ("b", entry.end)):
            dot.node(f"l{k}{end}", pos=f"{x:.3f},{entry.y:.3f}!", shape="point", style="invis",
                     width="0.01", height="0.01")
        dot.edge(f"l{k}a", f"l{k}b", color=entry.colour, penwidth="2",
                 style="dashed" if entry.dashed else "solid")
        dot.node(f"l{k}", pos=f"{entry.middle:.3f},{entry.y:.3f}!", shape="plain", style="",
                 fixedsize="false", fontsize="8", fontcolor=_MUTED, label=entry.text)
    return dot


def _svg(network: _Network) -> str:
    """The same picture where there is no Graphviz."""
    inch = 72.0
    left, top = 0.7 * inch, max(y for _, y, *_ in network.titles) * inch + 0.3 * inch
    width = max(x for x, *_ in network.titles) * inch + 2 * left
    height = top - min(entry.y for entry in network.legend) * inch + 0.2 * inch

    def at(x: float, y: float) -> tuple[float, float]:
        return left + x * inch, top - y * inch

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}pt" height="{height:.0f}pt" '
        f'viewBox="0 0 {width:.1f} {height:.1f}" font-family="{_FONT}" text-anchor="middle">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for line in network.lines:
        (x1, y1), (x2, y2) = at(line.tail.x, line.tail.y), at(line.head.x, line.head.y)
        dash = ' stroke-dasharray="6 4"' if line.dashed else ""
        parts.append(
            f'<path d="M{x1:.1f},{y1:.1f} L{x2:.1f},{y2:.1f}" stroke="{line.colour}" '
            f'stroke-width="{line.width:.2f}" stroke-opacity="{line.opacity:.2f}"{dash}>'
            f"<title>weight {line.weight:.6g}</title></path>"
        )
    for line in network.lines:
        if line.number is not None:
            x, y = at(*line.number)
            parts.append(
                f'<text x="{x:.1f}" y="{y + 3:.1f}" font-size="8" fill="{line.colour}" '
                'stroke="white" stroke-width="4" paint-order="stroke">'
                f"{_number(line.weight)}</text>"
            )
    fills = {"input": _INPUT, "hidden": "white", "output": _OUTPUT}
    for unit in network.units:
        x, y = at(unit.x, unit.y)
        if unit.kind == "more":
            parts.append(f'<text x="{x:.1f}" y="{y + 5:.1f}" font-size="16">{unit.text}</text>')
            continue
        edge = _RESULT if unit.kind == "output" else _FRAME
        name = ('x<tspan dy="2" font-size="7">' + unit.text + "</tspan>" if unit.kind == "input"
                else unit.text)
        for extra in (3, 0) if unit.kind == "output" else (0,):
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_UNIT * inch / 2 + extra:.1f}" '
                         f'fill="{fills[unit.kind]}" stroke="{edge}"><title>{unit.tip}</title>'
                         "</circle>")
        parts.append(f'<text x="{x:.1f}" y="{y + 3:.1f}" font-size="9" fill="{_INK}">{name}</text>')
    for x, y, title, size in network.titles:
        x, y = at(x, y)
        parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="11" fill="{_INK}">{_text(title)}'
                     f'</text><text x="{x:.1f}" y="{y + 11:.1f}" font-size="8" fill="{_MUTED}">'
                     f"{size}</text>")
    for entry in network.legend:
        (x1, y), (x2, _) = at(entry.x, entry.y), at(entry.end, entry.y)
        dash = ' stroke-dasharray="6 4"' if entry.dashed else ""
        parts.append(
            f'<path d="M{x1:.1f},{y:.1f} L{x2:.1f},{y:.1f}" stroke="{entry.colour}" '
            f'stroke-width="2"{dash}/><text x="{at(entry.middle, 0.0)[0]:.1f}" y="{y + 3:.1f}" '
            f'font-size="8" fill="{_MUTED}">{_text(entry.text)}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _number(x: Any) -> str:
    return f"{float(x):.2g}"


def _text(text: str, dot: bool = False) -> str:
    """One short line, safe in markup; in that of Graphviz, `\\N` would be the name of the node."""
    import html

    line = " ".join("".join(c if c.isprintable() else " " for c in text[:40]).split())
    return html.escape(line.replace("\\", "\\\\") if dot else line, quote=True)


# The curves of a training, for notebooks. ---------------------------------------------------------

_COLOURS = ("#1d5fa8", "#b4560b", "#2a7f6f", "#8a4a9e", "#a86f12", "#52606d")
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM, _GAP = 300.0, 150.0, 52.0, 18.0, 30.0, 26.0


def curves(epochs: Mapping[str, Sequence[float]]) -> str:
    """Curves over the epochs as an SVG: losses in one frame, all else in another beside it.

    ``epochs`` holds a list of values by name; one that is shorter than others ends with them.
    Validation is dashed. Values that are not finite are left out.
    """
    losses = {name: values for name, values in epochs.items() if _base(name) == "loss"}
    others = {name: values for name, values in epochs.items() if name not in losses}
    frames = [frame for frame in (losses, others) if frame]
    last = max((len(values) for values in epochs.values()), default=0)
    width = len(frames) * (_LEFT + _WIDTH + _GAP)
    most = max((len(frame) for frame in frames), default=0)
    height = _TOP + _HEIGHT + _BOTTOM + 14 * most
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" font-family="{_FONT}" font-size="10">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    colours: dict[str, str] = {}
    for k, frame in enumerate(frames):
        parts += _frame(frame, _LEFT + k * (_LEFT + _WIDTH + _GAP), last, colours)
    return "\n".join([*parts, "</svg>"])


def _base(name: str) -> str:
    return name.removeprefix("val_")


def _frame(
    frame: Mapping[str, Sequence[float]], left: float, last: int, colours: dict[str, str]
) -> Iterator[str]:
    finite = [v for values in frame.values() for v in values if np.isfinite(v)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5

    def at(epoch: int, value: float) -> str:
        x = left + (epoch - 1) / max(last - 1, 1) * _WIDTH
        return f"{x:.1f},{_TOP + (high - value) / (high - low) * _HEIGHT:.1f}"

    yield (f'<rect x="{left:g}" y="{_TOP:g}" width="{_WIDTH:g}" height="{_HEIGHT:g}" fill="none" '
           'stroke="#c5ced8"/>')
    bottom = _TOP + _HEIGHT
    for x, y, anchor, text in (
        (left - 4, _TOP + 8, "end", f"{high:.4g}"), (left - 4, bottom, "end", f"{low:.4g}"),
        (left, bottom + 12, "start", "1"), (left + _WIDTH, bottom + 12, "end", str(last)),
        (left + _WIDTH / 2, bottom + 12, "middle", "epoch"),
    ):
        yield (f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{_MUTED}">{text}</text>')
    for row, (name, values) in enumerate(frame.items()):
        colour = colours.setdefault(_base(name), _COLOURS[len(colours) % len(_COLOURS)])
        dash = ' stroke-dasharray="5 3"' if _base(name) != name else ""
        first = last - len(values) + 1
        points = [at(first + i, v) for i, v in enumerate(values) if np.isfinite(v)]
        stroke = f'fill="none" stroke="{colour}" stroke-width="1.5"{dash}'
        if len(points) == 1:
            yield f'<path d="M{points[0]} h0.1" stroke="{colour}" stroke-width="5"/>'
        elif points:
            yield f'<polyline points="{" ".join(points)}" {stroke}/>'
        y_text = bottom + 28 + 14 * row
        yield (f'<path d="M{left:g},{y_text - 3:g} h18" {stroke}/>'
               f'<text x="{left + 24:g}" y="{y_text:g}" fill="{_INK}">{_text(name)}: '
               f"{values[-1]:.4g}</text>" if values else "")
