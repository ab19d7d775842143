"""Where the boxes of a drawing go: asked of the layout engine once, for faces that draw themselves.

The engine sees sizes and nothing else: no text enters it, so none can be clipped by a font that it
measured and the reader has not. Where there is no Graphviz, or it would take long, `layout` does
it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .describe import Drawing
from .dot import check_direction, is_hard, layout_limits
from .engine import NoEngineError, lay_out
from .layout import Box, Layout, Point, controls
from .layout import lay_out as lay_out_simply


@dataclass(frozen=True, slots=True)
class Curve:
    """The way of an edge: a start, three points for each Bézier arc, and the arrow's tip."""

    points: tuple[Point, ...]
    tip: Point
    label: Point | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """Everything in its place, in a picture of this size."""

    width: float
    height: float
    nodes: Mapping[str, Box]
    edges: Sequence[Curve]
    groups: Mapping[str, Box]
    note: str | None = None
    """What the reader should know of the layout."""


def place(
    drawing: Drawing,
    sizes: Mapping[str, Point],
    labels: Mapping[int, Point],
    titles: Mapping[str, Point],
    rankdir: str = "LR",
) -> Placement:
    """Lay out boxes of these `sizes` by name, with room for `labels` of edges and of groups.

    Raises RenderError for an unknown `rankdir`.
    """
    check_direction(rankdir)
    if is_hard(drawing, 2 * len(labels) > len(drawing.edges)):
        return _simple(drawing, lay_out_simply(drawing, rankdir, sizes=sizes, labels=labels),
                       rankdir, "Too many long edges for Graphviz")
    try:
        found = lay_out("\n".join(_source(drawing, sizes, labels, titles, rankdir)))
    except NoEngineError:
        return _simple(drawing, lay_out_simply(drawing, rankdir, sizes=sizes, labels=labels),
                       rankdir, "There is no Graphviz")
    _, _, width, height = map(float, found["bb"].split(","))
    nodes, groups = {}, {}
    for made in found.get("objects", ()):
        name = made["name"]
        if name.startswith("cluster_"):
            left, bottom, right, top = map(float, made["bb"].split(","))
            groups[name.removeprefix("cluster_")] = Box(
                (left + right) / 2, height - (bottom + top) / 2, right - left, top - bottom)
        elif "pos" in made:
            x, y = map(float, made["pos"].split(","))
            nodes[name] = Box(x, height - y, *sizes[name])
    curves: list[Curve | None] = [None] * len(drawing.edges)
    for made in found.get("edges", ()):
        curves[int(made["id"])] = _curve(made, height)
    return Placement(width, height, nodes, [c for c in curves if c is not None], groups)


def _source(
    drawing: Drawing, sizes: Mapping[str, Point], labels: Mapping[int, Point],
    titles: Mapping[str, Point], rankdir: str,
) -> Iterator[str]:
    limits = "".join(f" {key}={value}" for key, value in layout_limits(drawing).items())
    yield (f'digraph {{ graph [rankdir={rankdir} nodesep="0.26" ranksep="0.36"{limits}] '
           'node [shape=box fixedsize=true label=""] edge [arrowsize=0.7]')
    members: dict[str | None, list[str]] = {}
    for node in drawing.nodes:
        members.setdefault(node.group, []).append(node.name)
    inside: dict[str | None, list[str]] = {}
    for group in drawing.groups:
        inside.setdefault(group.parent, []).append(group.name)
    # Depth first without recursion: what is left to write, ends of frames among it.
    left: list[tuple[str, str | None]] = [("fill", None)]
    while left:
        what, group_name = left.pop()
        if what == "end":
            yield "}"
            continue
        if group_name is not None:
            width, height = titles[group_name]
            yield (f"subgraph cluster_{group_name} {{ graph [margin=12 labeljust=l "
                   f"label={_blank(width, height)}]")
            left.append(("end", None))
        for name in members.get(group_name, ()):
            width, height = sizes[name]
            yield f'{name} [width="{width / 72:.4f}" height="{height / 72:.4f}"]'
        left.extend(("fill", name) for name in reversed(inside.get(group_name, [])))
    tails = {node.name: node.kind for node in drawing.nodes}
    for i, edge in enumerate(drawing.edges):
        label = f" label={_blank(*labels[i])}" if i in labels else ""
        weight = " weight=4" if tails[edge.tail] == "operation" else ""
        free = " constraint=false" if edge.back or edge.tie else ""
        yield f"{edge.tail} -> {edge.head} [id={i}{label}{weight}{free}]"
    yield "}"


def _simple(drawing: Drawing, layout: Layout, rankdir: str, why: str) -> Placement:
    """What `layout` found, in cubic curves throughout."""
    across = rankdir in ("LR", "RL")
    curves = []
    for i, points in enumerate(layout.edges):
        if i in layout.straight:
            way: list[Point] = [points[0]]
            for (x1, y1), (x2, y2) in pairwise(points):
                way += [(x1, y1), (x2, y2), (x2, y2)]
        else:
            way = controls(points, across)
        (x1, y1), (x2, y2) = points[-2], points[-1]
        share = 0.5 if len(points) == 2 else 0.35
        label = (x2 + share * (x1 - x2), y2 + share * (y1 - y2))
        curves.append(Curve(tuple(way), points[-1], label))
    return Placement(layout.width, layout.height, layout.nodes, curves, layout.groups,
                     f"{why}: a simple layout instead.")


def _blank(width: float, height: float) -> str:
    """A label of this size that says nothing."""
    return (f'<<TABLE BORDER="0" CELLBORDER="0" CELLPADDING="0" CELLSPACING="0" FIXEDSIZE="TRUE" '
            f'WIDTH="{width:.0f}" HEIGHT="{height:.0f}"><TR><TD></TD></TR></TABLE>>')


def _curve(made: Mapping[str, str], height: float) -> Curve:
    points: list[Point] = []
    tip = None
    for word in made["pos"].split():
        *marks, x, y = word.split(",")
        point = (float(x), height - float(y))
        if marks:
            tip = point
        else:
            points.append(point)
    label = None
    if "lp" in made:
        x, y = made["lp"].split(",")
        label = (float(x), height - float(y))
    return Curve(tuple(points), tip or points[-1], label)
