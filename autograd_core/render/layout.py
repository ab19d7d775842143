"""A layered layout of our own, for machines without Graphviz and for drawings too large for it.

In steps, after Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system
structures" (1981): a layer for each node by the longest path to it; an order within each layer, by
the barycentre of the neighbours, that has few crossings; and coordinates, as near to those of the
neighbours as the order allows. A group is laid out by itself first and is then one node of what is
around it, so that frames never overlap. Text is measured by a table of widths, since there may be
no font.

Layers run along the axis `u`, the order within a layer along `v`; only at the end do these become
the x and y of one of the four directions.
"""

from __future__ import annotations

import html
import math
from bisect import bisect_right, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from .describe import Drawing, Edge, Group, Node, walk
from .dot import ALARM, FONT, GRADIENT, GROUP_STYLES, INK, MUTED, STYLES, check_direction, colour
from .fonts import fitted

Point: TypeAlias = tuple[float, float]

_LAYER_GAP, _NODE_GAP, _GROUP_MARGIN, _GROUP_TITLE, _PAGE = 34.0, 16.0, 12.0, 16.0, 12.0
_SIZE, _SMALL, _TITLE = 11.0, 9.0, 14.0
_LINE = 1.3
_SWEEPS = 6
# An edge over many layers is led around what lies between by points in each of them; this many in
# all, since a large graph may have edges over thousands of layers.
_MAX_BENDS = 20_000
# Edges that lead back run beside the drawing, in one of so many lanes.
_LANE, _LANES = 9.0, 12
_HARDLY = 10.0
_LEGEND_COLUMNS = 4


class Box(NamedTuple):
    """A rectangle by its centre and its size."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything is, in points from the upper left corner."""

    width: float
    height: float
    nodes: Mapping[str, Box]
    groups: Mapping[str, Box]
    edges: Sequence[Sequence[Point]]
    """The points that each edge passes, from the border of its tail to that of its head."""
    straight: frozenset[int]
    """The edges that are lines from point to point, not curves: ties, and those that lead back."""


# Text. --------------------------------------------------------------------------------------------

# In thousandths of the size of the font, those of a common sans-serif; others count by their kind.
_NARROW, _WIDE = frozenset("fijlrtI|!.,:;'`()[]{}/\\ -"), frozenset("mwMW@%—→←×")


def text_width(text: str, size: float, bold: bool = False) -> float:
    """About how wide a line is: enough for any common sans-serif."""
    units = 0
    for c in text:
        if c in _NARROW:
            units += 340
        elif c in _WIDE or c.isupper():
            units += 760 if c in "mwMW@%—" else 680
        elif ord(c) > 0x2E7F:  # ideographs and emoji fill a square
            units += 1050
        else:
            units += 570
    return units * size / 1000 * (1.07 if bold else 1.0)


class _Line(NamedTuple):
    """A line of a node: one or two runs of text, side by side."""

    text: str
    size: float
    fill: str
    bold: bool = False
    label: str = ""


def _lines(node: Node, places: bool) -> Iterator[_Line]:
    if node.kind == "constant":
        yield _Line(node.title, _SMALL, MUTED)
    elif node.kind == "group":
        yield _Line(node.title, _SIZE, INK, True)
        yield _Line(node.detail, _SMALL, MUTED)
    else:
        yield _Line(f"{node.title} {node.detail}".rstrip(), _SIZE, INK, True)
    for text in (node.type, node.place if places else None):
        if text is not None:
            yield _Line(text, _SMALL, MUTED)
    for label, quantity, fill in (("value", node.value, INK), ("grad", node.grad, GRADIENT)):
        if quantity is not None:
            for i, text in enumerate(quantity.lines):
                yield _Line(text, _SIZE, ALARM if quantity.alarming else fill, quantity.alarming,
                            label if i == 0 else "\N{NO-BREAK SPACE}")


def _line_width(line: _Line) -> float:
    label = text_width("value  ", _SMALL) if line.label else 0.0
    return label + text_width(line.text, line.size, line.bold)


def _node_size(node: Node, places: bool) -> tuple[float, float]:
    lines = list(_lines(node, places))
    width = max(map(_line_width, lines)) + 14
    height = sum(line.size for line in lines) * _LINE + 9
    return max(width, 30.0), max(height, 22.0)


def _edge_lines(edge: Edge) -> Iterator[tuple[str, str]]:
    marks = [] if edge.position is None else [str(edge.position)]
    if edge.count > 1:
        marks.append(f"× {edge.count}")
    if marks:
        yield ", ".join(marks), MUTED
    for sign, quantity, fill in (
        ("\N{PARTIAL DIFFERENTIAL}", edge.local, INK),
        ("\N{LEFTWARDS ARROW}", edge.cotangent, GRADIENT),
    ):
        if quantity is not None:
            yield f"{sign} {' '.join(quantity.lines)}", ALARM if quantity.alarming else fill


# One level: boxes in layers. ----------------------------------------------------------------------


@dataclass(slots=True)
class _Item:
    """A node, a group that is laid out already, or a bend of a long edge."""

    length: float = 0.0
    """Along `u`."""
    breadth: float = 0.0
    """Along `v`."""
    layer: int = 0
    u: float = 0.0
    v: float = 0.0
    before: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)
    bend: bool = False


def _place(
    items: list[_Item], edges: Sequence[tuple[int, int]], gaps: Sequence[float],
    entering: Sequence[int] = (), leaving: Sequence[int] = (),
) -> tuple[float, float, list[list[Point]], list[list[Point]], list[list[Point]]]:
    """Give the items of one level their `u` and `v`, the corner being (0, 0).

    `edges` lead from earlier items to later ones; `gaps` says for each how much room its label
    needs along `u`. Edges from outside are `entering` items, and others are `leaving` them. Returns
    the size of the level, and the bends of each edge of the three kinds.
    """
    n = len(items)
    into: list[list[int]] = [[] for _ in range(n)]
    out: list[list[int]] = [[] for _ in range(n)]
    for a, b in edges:
        into[b].append(a)
        out[a].append(b)
    for i in range(n):
        items[i].layer = max((items[t].layer + 1 for t in into[i]), default=0)
    for i in range(n):  # what has no inputs stands beside what uses it
        if not into[i] and out[i]:
            items[i].layer = min(items[h].layer for h in out[i]) - 1
    last = max((x.layer for x in items), default=0)
    ways: list[tuple[int | None, int, int | None, int]] = [
        (tail, items[tail].layer, head, items[head].layer) for tail, head in edges
    ]
    ways += [(None, -1, head, items[head].layer) for head in entering]
    ways += [(tail, items[tail].layer, None, last + 1) for tail in leaving]
    chains: list[list[int]] = []
    left = _MAX_BENDS
    for tail, first, head, final in ways:
        span = final - first - 1
        chain: list[int] = []
        if span <= left:
            left -= span
            for layer in range(first + 1, final):
                chain.append(len(items))
                items.append(_Item(breadth=6.0, layer=layer, bend=True))
            ends = [*([] if tail is None else [tail]), *chain, *([] if head is None else [head])]
            for a, b in pairwise(ends):
                items[a].after.append(b)
                items[b].before.append(a)
        chains.append(chain)
    layers: list[list[int]] = [[] for _ in range(last + 1)]
    for i, item in enumerate(items):
        layers[item.layer].append(i)
    _order(items, layers)
    room = [_LAYER_GAP] * len(layers)
    for (_, head), gap in zip(edges, gaps, strict=True):
        before = items[head].layer - 1
        room[before] = max(room[before], gap)
    u = 0.0
    for members, gap in zip(layers, room, strict=True):
        longest = max((items[i].length for i in members), default=0.0)
        for i in members:
            items[i].u = u + longest / 2
            if items[i].bend:
                items[i].length = longest  # straight past what is beside it
        u += longest + gap
    length = u - room[-1]
    _spread(items, layers)
    low = min((x.v - x.breadth / 2 for x in items), default=0.0)
    high = max((x.v + x.breadth / 2 for x in items), default=0.0)
    for item in items:
        item.v -= low
    bends = [[(items[i].u + side * items[i].length / 2, items[i].v)
              for i in chain for side in (-1, 1)] for chain in chains]
    m, k = len(edges), len(edges) + len(entering)
    return length, high - low, bends[:m], bends[m:k], bends[k:]


def _order(items: Sequence[_Item], layers: list[list[int]]) -> None:
    """Sort each layer so that edges cross little: sweeps of barycentres, the best one kept."""
    best: list[list[int]] = [list(layer) for layer in layers]
    fewest = _crossings(items, layers)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        for layer in layers[1:] if down else layers[-2::-1]:
            beside: dict[int, int] = {}
            for other in layers[items[layer[0]].layer + (-1 if down else 1)] if layer else ():
                beside[other] = len(beside)
            keys = {}
            for place, i in enumerate(layer):
                near = items[i].before if down else items[i].after
                known = [beside[x] for x in near if x in beside]
                # What has no neighbours there keeps its place.
                keys[i] = sum(known) / len(known) if known else place * len(beside) / len(layer)
            layer.sort(key=keys.__getitem__)
        crossings = _crossings(items, layers)
        if crossings < fewest:
            fewest, best = crossings, [list(layer) for layer in layers]
    layers[:] = best


def _crossings(items: Sequence[_Item], layers: Sequence[Sequence[int]]) -> int:
    total = 0
    for layer, following in pairwise(layers):
        place = {i: k for k, i in enumerate(following)}
        ends: list[int] = []
        for i in layer:
            targets = sorted(place[x] for x in items[i].after if x in place)
            total += sum(len(ends) - bisect_right(ends, target) for target in targets)
            for target in targets:
                insort(ends, target)
    return total


def _spread(items: Sequence[_Item], layers: Sequence[Sequence[int]]) -> None:
    """Coordinates within the layers: in order, apart, and near those of the neighbours."""
    for layer in layers:
        v = 0.0
        for i in layer:
            items[i].v = v + items[i].breadth / 2
            v += items[i].breadth + _NODE_GAP
        for i in layer:
            items[i].v -= v / 2
    for sweep in range(2 * _SWEEPS):
        for layer in layers[1:] if sweep % 2 == 0 else layers[-2::-1]:
            wanted = []
            for i in layer:
                near = items[i].before if sweep % 2 == 0 else items[i].after
                both = [*near, *items[i].before, *items[i].after] or [i]
                wanted.append(sum(items[x].v for x in both) / len(both))
            _settle(items, layer, wanted)


def _settle(items: Sequence[_Item], layer: Sequence[int], wanted: Sequence[float]) -> None:
    """As near to what is `wanted` as the order and the sizes allow, in the least squares.

    With what is apart taken off, that is an isotonic regression: neighbours that are in the wrong
    order are pooled at their mean.
    """
    offsets, v = [], 0.0
    for k, i in enumerate(layer):
        if k:
            v += (items[layer[k - 1]].breadth + items[i].breadth) / 2 + _NODE_GAP
        offsets.append(v)
    pools: list[tuple[float, float, int]] = []  # (sum of weights times values, weights, how many)
    for k, i in enumerate(layer):
        weight = 4.0 if items[i].bend else 1.0  # long edges become straight
        pool = ((wanted[k] - offsets[k]) * weight, weight, 1)
        while pools and pools[-1][0] / pools[-1][1] > pool[0] / pool[1]:
            total, heavy, many = pools.pop()
            pool = (pool[0] + total, pool[1] + heavy, pool[2] + many)
        pools.append(pool)
    k = 0
    for total, weight, many in pools:
        for _ in range(many):
            items[layer[k]].v = total / weight + offsets[k]
            k += 1


# All levels. --------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Level:
    """What is directly in one group: nodes, and groups inside it."""

    members: list[str] = field(default_factory=list)
    """Names of nodes, and of groups after a colon."""
    edges: list[tuple[int, int]] = field(default_factory=list)
    drawn: list[int] = field(default_factory=list)
    """The edges of the drawing that those of the level stand for."""
    entering: list[tuple[int, int]] = field(default_factory=list)
    """Members that edges from outside lead to, and the numbers of these edges in the drawing."""
    leaving: list[tuple[int, int]] = field(default_factory=list)
    at: dict[str, Point] = field(default_factory=dict)
    """Centres, in the (u, v) of the level."""
    bends: dict[int, list[Point]] = field(default_factory=dict)
    """By the number of the edge in the drawing."""


def lay_out(
    drawing: Drawing,
    rankdir: str | None = None,
    *,
    sizes: Mapping[str, tuple[float, float]] | None = None,
    labels: Mapping[int, tuple[float, float]] | None = None,
) -> Layout:
    """Places for all nodes, groups and edges of a drawing.

    `rankdir` is the direction in which the data flow: LR, TB, RL or BT; by default the drawing's.
    `sizes` of nodes, by name, and `labels`, the sizes of those of edges, by number, are by default
    what `svg` needs.
    No two nodes overlap, nor two frames of which none is inside the other; without cycles, and
    outside of groups, every edge leads onwards. Takes n log n for n nodes, edges and bends.

    Raises RenderError for another `rankdir`.
    """
    rankdir = drawing.rankdir if rankdir is None else rankdir
    check_direction(rankdir)
    across = rankdir in ("LR", "RL")
    measures: dict[str, tuple[float, float]] = {}
    for node in drawing.nodes:
        width, height = (
            _node_size(node, drawing.places) if sizes is None else sizes[node.name])
        measures[node.name] = (width, height) if across else (height, width)
    titles = {group.name: group.title for group in drawing.groups}
    levels, inner_first, chain_of = _levels(drawing)
    _lift_edges(drawing, levels, chain_of)
    title_u, title_v = (0.0, _GROUP_TITLE) if across else (_GROUP_TITLE, 0.0)
    for name in inner_first:
        level = levels[name]
        items = [_Item(*measures[member]) for member in level.members]
        gaps = [
            _room_for_label(drawing.edges[k], across) if labels is None
            else _room_for(labels.get(k), across)
            for k in level.drawn
        ]
        length, breadth, *bends = _place(
            items, level.edges, gaps, [i for i, _ in level.entering], [i for i, _ in level.leaving])
        level.at = {m: (items[i].u, items[i].v) for i, m in enumerate(level.members)}
        for ks, found in zip(
            (level.drawn, [k for _, k in level.entering], [k for _, k in level.leaving]), bends,
            strict=True,
        ):
            level.bends.update(zip(ks, found, strict=True))
        margin = 0.0 if name is None else _GROUP_MARGIN
        if name is not None:
            wide = text_width(titles[name], _SMALL) + 8
            if across:
                length = max(length, wide)
            else:
                breadth = max(breadth, wide)
        extra_u, extra_v = (title_u, title_v) if name is not None else (0.0, 0.0)
        measures[f":{name}"] = (length + 2 * margin + extra_u, breadth + 2 * margin + extra_v)
    return _absolute(drawing, rankdir, levels, inner_first, measures, title_u, title_v)


def _levels(drawing: Drawing
            ) -> tuple[dict[str | None, _Level], list[str | None], dict[str, tuple[str, ...]]]:
    """The levels by group, all names from the inside outwards, and the groups around each node."""
    levels: dict[str | None, _Level] = {None: _Level()}
    around: list[str] = []
    names: list[str | None] = []
    chain_of: dict[str, tuple[str, ...]] = {}
    for step in walk(drawing):
        parent = around[-1] if around else None
        if isinstance(step, Node):
            levels[parent].members.append(step.name)
            chain_of[step.name] = tuple(around)
        elif isinstance(step, Group):
            levels[parent].members.append(f":{step.name}")
            levels[step.name] = _Level()
            around.append(step.name)
        else:
            names.append(around.pop())
    return levels, [*names, None], chain_of


def _lift_edges(
    drawing: Drawing, levels: Mapping[str | None, _Level],
    chain_of: Mapping[str, tuple[str, ...]],
) -> None:
    """Enter each edge in the innermost level that holds both ends, and in those it crosses."""
    number = {name: {m: i for i, m in enumerate(level.members)} for name, level in levels.items()}
    for k, edge in enumerate(drawing.edges):
        if edge.back or edge.tie:
            continue
        a, b = chain_of[edge.tail], chain_of[edge.head]
        depth = 0
        while depth < min(len(a), len(b)) and a[depth] == b[depth]:
            depth += 1
        level = a[depth - 1] if depth else None
        tail = number[level][f":{a[depth]}" if depth < len(a) else edge.tail]
        head = number[level][f":{b[depth]}" if depth < len(b) else edge.head]
        if tail < head:  # otherwise it leads back into a group: it is drawn, but orders nothing
            levels[level].edges.append((tail, head))
            levels[level].drawn.append(k)
            for group, member in zip(a[depth:], _members(a, depth, edge.tail), strict=True):
                levels[group].leaving.append((number[group][member], k))
            for group, member in zip(b[depth:], _members(b, depth, edge.head), strict=True):
                levels[group].entering.append((number[group][member], k))


def _members(chain: Sequence[str], depth: int, name: str) -> list[str]:
    """Of each group in the chain from the depth on, the member that holds the node `name`."""
    inner = chain[depth + 1:]
    return [*(f":{group}" for group in inner), name] if len(chain) > depth else []


def _room_for_label(edge: Edge, across: bool) -> float:
    lines = list(_edge_lines(edge))
    if not lines:
        return _LAYER_GAP
    if across:
        return max(text_width(text, _SMALL) for text, _ in lines) + 26
    return _LAYER_GAP + len(lines) * _SMALL


def _room_for(label: tuple[float, float] | None, across: bool) -> float:
    """As much for a label of a known size."""
    if label is None:
        return _LAYER_GAP
    return label[0] + 26 if across else _LAYER_GAP + label[1]


def _absolute(
    drawing: Drawing, rankdir: str, levels: Mapping[str | None, _Level],
    inner_first: Sequence[str | None], sizes: Mapping[str, tuple[float, float]],
    title_u: float, title_v: float,
) -> Layout:
    """From the places within levels to those on the page."""
    across, mirrored = rankdir in ("LR", "RL"), rankdir in ("RL", "BT")
    length, breadth = sizes[":None"]
    origin: dict[str | None, Point] = {None: (0.0, 0.0)}
    middle: dict[str, Point] = {}
    for name in reversed(inner_first):
        base_u, base_v = origin[name]
        for member, (u, v) in levels[name].at.items():
            centre = middle[member] = (base_u + u, base_v + v)
            if member.startswith(":"):
                long, broad = sizes[member]
                # A title is at the top, which is where the data come from in TB, and not in BT.
                before = 0.0 if mirrored and not across else title_u
                origin[member[1:]] = (
                    centre[0] - long / 2 + _GROUP_MARGIN + before,
                    centre[1] - broad / 2 + _GROUP_MARGIN + title_v,
                )

    def page(u: float, v: float) -> Point:
        u = length - u if mirrored else u
        return (u + _PAGE, v + _PAGE) if across else (v + _PAGE, u + _PAGE)

    def box(member: str) -> Box:
        long, broad = sizes[member]
        return Box(*page(*middle[member]), *((long, broad) if across else (broad, long)))

    nodes = {node.name: box(node.name) for node in drawing.nodes}
    groups = {name: box(f":{name}") for name in levels if name is not None}
    # The levels that an edge crosses come in the order of `u`: out of its groups, then into others.
    bends: dict[int, list[Point]] = {}
    for name, level in levels.items():
        base_u, base_v = origin[name]
        for k, points in level.bends.items():
            bends.setdefault(k, []).extend((base_u + u, base_v + v) for u, v in points)
    bends = {k: [page(u, v) for u, v in sorted(points)] for k, points in bends.items()}
    width, height = (length, breadth) if across else (breadth, length)
    width, height = width + 2 * _PAGE, height + 2 * _PAGE
    routes: list[list[Point]] = []
    straight: set[int] = set()
    lanes = 0
    for k, edge in enumerate(drawing.edges):
        a, b = nodes[edge.tail], nodes[edge.head]
        onwards = _onwards(a, b, across, mirrored)
        if onwards is not None and not edge.tie and not edge.back:
            routes.append(_simplified([onwards[0], *bends.get(k, ()), onwards[1]]))
            continue
        straight.add(k)
        if edge.tie:
            routes.append([(a.x, a.y), (b.x, b.y)])  # behind the nodes
            continue
        lane = (height if across else width) + _LANE * (lanes % _LANES)
        lanes += 1
        if across:
            routes.append([(a.x, a.y + a.height / 2), (a.x, lane), (b.x, lane),
                           (b.x, b.y + b.height / 2)])
        else:
            routes.append([(a.x + a.width / 2, a.y), (lane, a.y), (lane, b.y),
                           (b.x + b.width / 2, b.y)])
    more = _LANE * (min(lanes, _LANES) + 1) if lanes else 0.0
    return Layout(
        width + (0.0 if across else more), height + (more if across else 0.0), nodes, groups,
        _apart(drawing.edges, routes, straight, nodes, across), frozenset(straight),
    )


def _onwards(a: Box, b: Box, across: bool, mirrored: bool) -> tuple[Point, Point] | None:
    """Where an edge leaves the border of `a` and meets that of `b`, if `b` comes after `a`."""
    sign = -1 if mirrored else 1
    if across:
        if (b.x - a.x) * sign > (a.width + b.width) / 2:
            return (a.x + sign * a.width / 2, a.y), (b.x - sign * b.width / 2, b.y)
    elif (b.y - a.y) * sign > (a.height + b.height) / 2:
        return (a.x, a.y + sign * a.height / 2), (b.x, b.y - sign * b.height / 2)
    return None


def _simplified(points: list[Point]) -> list[Point]:
    """Without the bends that are hardly any (Douglas and Peucker)."""
    kept = {0, len(points) - 1}
    stack = [(0, len(points) - 1)]
    while stack:
        first, last = stack.pop()
        (x1, y1), (x2, y2) = points[first], points[last]
        length = math.hypot(x2 - x1, y2 - y1) or 1.0
        farthest, worst = 0.0, 0
        for i in range(first + 1, last):
            x, y = points[i]
            off = abs((x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)) / length
            if off > farthest:
                farthest, worst = off, i
        if farthest > _HARDLY:
            kept.add(worst)
            stack += [(first, worst), (worst, last)]
    return [points[i] for i in sorted(kept)]


def _apart(
    edges: Sequence[Edge], routes: list[list[Point]], straight: set[int],
    nodes: Mapping[str, Box], across: bool,
) -> list[list[Point]]:
    """Edges between the same two nodes side by side: `x * x` has two. Many lie closer, so that all
    begin and end at their nodes."""
    alike: dict[tuple[str, str], list[int]] = {}
    for k, edge in enumerate(edges):
        if k not in straight:
            alike.setdefault((edge.tail, edge.head), []).append(k)
    for (tail, head), ks in alike.items():
        ends = nodes[tail], nodes[head]
        room = min(box.height if across else box.width for box in ends)
        gap = min(9.0, 1.8 * room / max(1, len(ks) - 1))  # the ends are half as far apart
        for place, k in enumerate(ks if len(ks) > 1 else ()):
            shift = (place - (len(ks) - 1) / 2) * gap
            (x1, y1), *bends, (x2, y2) = routes[k]
            mid = bends or [((x1 + x2) / 2, (y1 + y2) / 2)]
            dx, dy = (0.0, shift) if across else (shift, 0.0)
            routes[k] = [(x1 + dx / 2, y1 + dy / 2), *((x + dx, y + dy) for x, y in mid),
                         (x2 + dx / 2, y2 + dy / 2)]
    return routes


# SVG. ---------------------------------------------------------------------------------------------


def svg(drawing: Drawing, rankdir: str | None = None) -> str:
    """A drawing as an SVG document, laid out by `lay_out`; deterministic, and safe for any text.

    Elements have the classes and titles that Graphviz gives them, and the `id` of what they show:
    `n0`, `e0` by the order of the edges, `group_` and the name of a group.
    """
    rankdir = drawing.rankdir if rankdir is None else rankdir
    layout = lay_out(drawing, rankdir)
    across = rankdir in ("LR", "RL")
    curves = [points if i in layout.straight else controls(points, across)
              for i, points in enumerate(layout.edges)]
    # A curve lies between its controls, so that nothing is clipped.
    xs = [x for points in curves for x, _ in points]
    ys = [y for points in curves for _, y in points]
    low_x, low_y = min([0.0, *xs]), min([0.0, *ys])
    drawn = max([layout.width, *xs]) - low_x
    height = max([layout.height, *ys]) - low_y
    head, top = _header(drawing)
    width = max([drawn, *(w for _, w in head)])
    left = (width - drawn) / 2 - low_x
    parts = [
        '<?xml version="1.0" encoding="UTF-8" standalone="no"?>',
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}pt" '
        f'height="{height + top:.0f}pt" viewBox="0 0 {width:.2f} {height + top:.2f}" '
        f'font-family="{html.escape(FONT)}">',
        '<rect width="100%" height="100%" fill="white"/>',
        *(text for text, _ in head),
        f'<g class="graph" transform="translate({left:.2f} {top - low_y:.2f})">',
    ]
    parts += [_frame(group, layout.groups[group.name]) for group in drawing.groups
              if group.name in layout.groups]
    parts += [_svg_edge(i, edge, points, curve, across) for i, (edge, points, curve) in enumerate(
        zip(drawing.edges, layout.edges, curves, strict=True))]
    parts += [_svg_node(node, layout.nodes[node.name], drawing.places) for node in drawing.nodes]
    labels = "".join(_svg_label(edge, points, across)
                     for edge, points in zip(drawing.edges, layout.edges, strict=True))
    return "\n".join([*parts, *([labels] if labels else []), "</g>", "</svg>"]) + "\n"


def _header(drawing: Drawing) -> tuple[list[tuple[str, float]], float]:
    """Title, note and legend: each text with the width it needs, and their height."""
    found: list[tuple[str, float]] = []
    y = _PAGE
    if drawing.title:
        y += _TITLE
        found.append((_text(_PAGE, y, drawing.title, _TITLE, INK, bold=True),
                      text_width(drawing.title, _TITLE, True) + 2 * _PAGE))
    for line in (drawing.note or "").splitlines():
        y += _SMALL * 1.4
        found.append((_text(_PAGE, y, line, _SMALL, MUTED),
                      text_width(line, _SMALL) + 2 * _PAGE))
    if drawing.legend:
        column = max(text_width(text, _SMALL) for text in drawing.legend) + 26
        for i, text in enumerate(drawing.legend):
            if i % _LEGEND_COLUMNS == 0:
                y += _SMALL * 1.8
            x = _PAGE + i % _LEGEND_COLUMNS * column
            swatch = (f'<rect x="{x:.2f}" y="{y - 9:.2f}" width="14" height="11" '
                      f'fill="{colour(i)}" stroke="{MUTED}" stroke-width="0.5"/>')
            found.append((swatch + _text(x + 19, y, text, _SMALL, MUTED), x + column + _PAGE))
    return found, y if found else 0.0


def _text(
    x: float, y: float, text: str, size: float, fill: str, *, bold: bool = False,
    anchor: str = "start", halo: bool = False,
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    behind = (' paint-order="stroke" stroke="white" stroke-width="3" stroke-linejoin="round"'
              if halo else "")
    return (f'<text x="{x:.2f}" y="{y:.2f}" font-size="{size:g}" fill="{fill}"{weight}{where}'
            f'{fitted(text, size, bold)}{behind}>{html.escape(text)}</text>')


def _frame(group: Group, box: Box) -> str:
    style = GROUP_STYLES[group.kind]
    fill = style.get("fillcolor", "none")
    x, y = box.x - box.width / 2, box.y - box.height / 2
    return (
        f'<g id="group_{group.name}" class="cluster"><title>cluster_{group.name}</title>'
        f'<rect x="{x:.2f}" y="{y:.2f}" width="{box.width:.2f}" height="{box.height:.2f}" rx="8" '
        f'fill="{fill}" stroke="{style["color"]}"/>'
        f'{_text(x + 8, y + 13, group.title, _SMALL, MUTED)}</g>'
    )


def _svg_edge(
    number: int, edge: Edge, points: Sequence[Point], controls: Sequence[Point], across: bool
) -> str:
    ink, dash = "#7b8794", ""
    if edge.back:
        ink, dash = "#a86f12", ' stroke-dasharray="5 3"'
    elif edge.tie:
        ink, dash = "#9aa5b1", ' stroke-dasharray="1 4"'
    width = ' stroke-width="2"' if edge.count > 1 else ""
    tail, head = html.escape(edge.tail), html.escape(edge.head)
    straight = controls is points
    arrow = "" if edge.tie else _arrow(points, ink, across is not straight)
    return (
        f'<g id="e{number}" class="edge"><title>{tail}-&gt;{head}</title>'
        f'<path d="{_path(controls, not straight)}" fill="none" stroke="{ink}"{width}{dash}/>'
        f"{arrow}</g>"
    )


def controls(points: Sequence[Point], across: bool) -> list[Point]:
    """Cubic curves from point to point: in the direction of the flow at the ends, else smooth."""
    level = (1.0, 0.0) if across else (0.0, 1.0)
    slopes = [level]
    for (x1, y1), _, (x2, y2) in zip(points, points[1:], points[2:], strict=False):
        run = (x2 - x1) if across else (y2 - y1)
        slopes.append(((x2 - x1) / run, (y2 - y1) / run) if run else level)
    slopes.append(level)
    found = [points[0]]
    for ((x1, y1), (dx1, dy1)), ((x2, y2), (dx2, dy2)) in pairwise(
            zip(points, slopes, strict=True)):
        run = ((x2 - x1) if across else (y2 - y1)) * 0.4
        found += [(x1 + run * dx1, y1 + run * dy1), (x2 - run * dx2, y2 - run * dy2), (x2, y2)]
    return found


def _path(points: Sequence[Point], curved: bool) -> str:
    (x, y), *rest = points
    letter = "C" if curved else "L"
    return f"M{x:.2f},{y:.2f} {letter}{' '.join(f'{x:.2f},{y:.2f}' for x, y in rest)}"


def _arrow(points: Sequence[Point], ink: str, across: bool) -> str:
    (x1, y1), (x, y) = points[-2], points[-1]
    if across:
        sign = 1 if x >= x1 else -1
        corners = f"{x - 7 * sign:.2f},{y - 3:.2f} {x - 7 * sign:.2f},{y + 3:.2f}"
    else:
        sign = 1 if y >= y1 else -1
        corners = f"{x - 3:.2f},{y - 7 * sign:.2f} {x + 3:.2f},{y - 7 * sign:.2f}"
    return f'<polygon points="{x:.2f},{y:.2f} {corners}" fill="{ink}"/>'


def _svg_label(edge: Edge, points: Sequence[Point], across: bool) -> str:
    """Before the head, where the gap between the layers has been made wide enough."""
    lines = list(_edge_lines(edge))
    if not lines:
        return ""
    (x1, y1), (x, y) = points[-2], points[-1]
    near = _room_for_label(edge, across) / 2
    if across and abs(x1 - x) > 2 * near:
        x1 = x + math.copysign(2 * near, x1 - x)
    elif not across and abs(y1 - y) > 2 * near:
        y1 = y + math.copysign(2 * near, y1 - y)
    x, y = (x1 + x) / 2, (y1 + y) / 2 - (len(lines) - 1) * _SMALL / 2 + 3
    return "".join(
        _text(x, y + i * _SMALL * 1.1, text, _SMALL, fill, anchor="middle", halo=True)
        for i, (text, fill) in enumerate(lines)
    )


def _svg_node(node: Node, box: Box, places: bool) -> str:
    x, y = box.x - box.width / 2, box.y - box.height / 2
    parts = [f'<g id="{node.name}" class="node"><title>{node.name}</title>']
    parts += _shape(node, x, y, box)
    lines = list(_lines(node, places))
    label = text_width("value  ", _SMALL)
    # Values stand under each other; headings are centred.
    inner = max((_line_width(line) for line in lines if line.label), default=0.0)
    start = box.x - inner / 2
    base = box.y - sum(line.size for line in lines) * _LINE / 2
    for line in lines:
        base += line.size * _LINE
        bottom = base - line.size * 0.3
        if line.label:
            parts.append(_text(start, bottom, line.label, _SMALL, MUTED))
            parts.append(_text(start + label, bottom, line.text, line.size, line.fill,
                               bold=line.bold))
        else:
            parts.append(_text(box.x, bottom, line.text, line.size, line.fill, bold=line.bold,
                               anchor="middle"))
    return "".join([*parts, "</g>"])


def _shape(node: Node, x: float, y: float, box: Box) -> Iterator[str]:
    style = STYLES[node.kind]
    fill, stroke = style.get("fillcolor", "none"), style.get("color", "none")
    if node.is_output:
        fill, stroke = "#e8f1fb", GRADIENT
    if node.colour is not None:
        fill = colour(node.colour)
    width = float(style.get("penwidth", "1"))
    if node.alarming:
        fill, stroke, width = "#fdecea", ALARM, 2.5
    if node.kind == "constant" and not node.is_output and not node.alarming:
        return
    dash = ' stroke-dasharray="4 3"' if "dashed" in style["style"] else ""
    radius = 8 if "rounded" in style["style"] else 0
    if node.is_output:
        yield (f'<rect x="{x - 3:.2f}" y="{y - 3:.2f}" width="{box.width + 6:.2f}" '
               f'height="{box.height + 6:.2f}" rx="{radius and radius + 3}" fill="{fill}" '
               f'stroke="{stroke}" stroke-width="{width:g}"/>')
    if node.kind == "group":  # a pile
        yield (f'<rect x="{x + 4:.2f}" y="{y - 4:.2f}" width="{box.width:.2f}" '
               f'height="{box.height:.2f}" fill="{fill}" stroke="{stroke}"/>')
    yield (f'<rect x="{x:.2f}" y="{y:.2f}" width="{box.width:.2f}" height="{box.height:.2f}" '
           f'rx="{radius}" fill="{fill}" stroke="{stroke}" stroke-width="{width:g}"{dash}/>')
