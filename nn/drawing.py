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

from .layers import Linear, Sequential
from .lookup import name_of
from .module import Module
from .neurons import Layer, Neuron

if TYPE_CHECKING:
    import graphviz

__all__ = ["draw"]

_INK, _MUTED, _POSITIVE, _NEGATIVE = "#1f2933", "#5f6c7b", "#1d5fa8", "#b4560b"
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

    Lines are as thick as their weights are large; positive ones are blue and solid, negative ones
    orange and dashed. Biases stand in the units; few weights are also written out. Of a layer with
    more than ``max_units`` units the first ones and the last are drawn. ``path`` says where to
    write it, and by its suffix in which format; without one, what is returned shows itself in a
    notebook, and ``ag.render`` writes it.

    ``model``: a :class:`Neuron`, :class:`Layer` or :class:`Linear`, or a :class:`Sequential` (an
    :class:`MLP`, say) of them and of functions without parameters.

    Raises :class:`ag.RenderError` for another model (``ag.render(model, path, example=x)`` draws
    the operations of any); and what :func:`ag.render` raises.

    >>> nn.draw(nn.MLP([2, 3, 1], rng=0), "network.svg").name
    'network.svg'
    """
    if max_units < 3:
        raise ValueError(f"draw: max_units must be 3 at least, got {max_units}")
    dot = ag.to_dot(_digraph(_columns(model), max_units))
    return dot if path is None else ag.render(dot, path)


def is_drawable(model: Module, max_weights: int) -> bool:
    """Whether `draw` takes the model, and it has few enough weights for a picture by the way."""
    try:
        return sum(column.weight.size for column in _columns(model)) <= max_weights
    except ag.RenderError:
        return False


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


def _digraph(columns: list[_Column], max_units: int) -> graphviz.Digraph:
    import graphviz

    dot = graphviz.Digraph(
        graph_attr={"layout": "neato", "splines": "line", "bgcolor": "white",
                    "outputorder": "edgesfirst", "fontname": _FONT},
        node_attr={"shape": "circle", "fixedsize": "shape", "width": f"{_UNIT}", "style": "filled",
                   "fillcolor": "white", "color": "#7b8794", "fontname": _FONT, "fontsize": "9",
                   "fontcolor": _INK},
        edge_attr={"arrowhead": "none", "fontname": _FONT, "fontsize": "8"},
    )
    sizes = [columns[0].weight.shape[0], *(column.weight.shape[1] for column in columns)]
    titles = ["input", *(column.title for column in columns)]
    shown = [_shown(size, max_units) for size in sizes]
    top = max(len(units) for units in shown) * _ROW / 2
    for k, units in enumerate(shown):
        x = k * _COLUMN
        for row, unit in enumerate(units):
            y = ((len(units) - 1) / 2 - row) * _ROW
            _unit(dot, k, unit, x, y, None if k == 0 else columns[k - 1].bias, k == len(columns))
        size = f"{sizes[k]} {'unit' if k else 'feature'}{'s' * (sizes[k] != 1)}"
        dot.node(
            f"t{k}", pos=f"{x:.3f},{top + 0.28:.3f}!", shape="plain", fixedsize="false", style="",
            label=f"<{_text(titles[k])}<BR/><FONT POINT-SIZE=\"8\" COLOR=\"{_MUTED}\">{size}"
                  "</FONT>>", fontsize="11",
        )
    for k, column in enumerate(columns):
        _weights(dot, k, column, shown[k], shown[k + 1])
    return dot


def _shown(size: int, max_units: int) -> list[int | None]:
    """The units of a column that are drawn; None stands for those between."""
    if size <= max_units:
        return list(range(size))
    return [*range(max_units - 2), None, size - 1]


def _unit(
    dot: graphviz.Digraph, k: int, unit: int | None, x: float, y: float,
    bias: np.ndarray | None, last: bool,
) -> None:
    at = f"{x:.3f},{y:.3f}!"
    if unit is None:
        dot.node(f"u{k}_more", pos=at, shape="plain", style="", label="\N{VERTICAL ELLIPSIS}",
                 fontsize="16")
        return
    if bias is None:
        dot.node(f"u{k}_{unit}", pos=at, label=f"<x<SUB>{unit + 1}</SUB>>", fillcolor="#eef2f6",
                 tooltip=f"input {unit + 1}")
        return
    dot.node(
        f"u{k}_{unit}", pos=at, label=_number(bias[unit]), tooltip=f"bias {float(bias[unit]):.6g}",
        **({"fillcolor": "#e8f1fb", "color": _POSITIVE, "peripheries": "2"} if last else {}),
    )


def _weights(
    dot: graphviz.Digraph, k: int, column: _Column, tails: list[int | None],
    heads: list[int | None],
) -> None:
    weight = column.weight
    finite = np.abs(weight[np.isfinite(weight)])
    largest = float(finite.max()) if finite.size and finite.max() > 0 else 1.0
    written = weight.size <= _MAX_NUMBERS
    for i in tails:
        for j in heads:
            if i is None or j is None:
                continue
            w = float(weight[i, j])
            share = min(abs(w) / largest, 1.0) if np.isfinite(w) else 1.0
            colour = _POSITIVE if w > 0 else _NEGATIVE if w < 0 else "#c5ced8"
            dot.edge(
                f"u{k}_{i}", f"u{k + 1}_{j}", color=f"{colour}{round(80 + 175 * share):02x}",
                penwidth=f"{_FAINTEST + share * (_WIDEST - _FAINTEST):.2f}",
                style="solid" if w >= 0 else "dashed", tooltip=f"weight {w:.6g}",
            )
            if written:
                # At another part of the way for each tail, lest they meet where lines cross.
                part = 0.3 + 0.4 * (i / (weight.shape[0] - 1) if weight.shape[0] > 1 else 0.5)
                y = _height(tails, i) * (1 - part) + _height(heads, j) * part
                dot.node(
                    f"w{k}_{i}_{j}", pos=f"{(k + part) * _COLUMN:.3f},{y:.3f}!", shape="plain",
                    style="", fontsize="8", fontcolor=colour,
                    label='<<TABLE BORDER="0" CELLBORDER="0" CELLPADDING="0" BGCOLOR="white"><TR>'
                          f"<TD>{_number(w)}</TD></TR></TABLE>>",
                )


def _height(units: list[int | None], unit: int) -> float:
    """Where a unit stands in its column, in inches above the middle."""
    return ((len(units) - 1) / 2 - units.index(unit)) * _ROW


def _number(x: Any) -> str:
    return f"{float(x):.2g}"


def _text(text: str) -> str:
    import html

    line = " ".join("".join(c if c.isprintable() else " " for c in text[:40]).split())
    return html.escape(line.replace("\\", "\\\\"), quote=True)


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
