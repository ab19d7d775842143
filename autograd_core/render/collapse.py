"""Smaller drawings of large ones: modules as single boxes, repeated blocks once, levels in bands.

From `Drawing` to `Drawing`. What is left out is counted and said in the drawing's note.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from .describe import MAX_NODES, Drawing, Edge, Node, Quantity, replaced

Closed: TypeAlias = "int | bool | Callable[[tuple[str, ...]], bool] | None"

# A box by its key, or a node by its name: ("box", key), ("node", name).
_Item: TypeAlias = tuple[str, Hashable]

BUDGET = 150
"""Large drawings are collapsed to about as many nodes."""

_LONGEST_PERIOD = 32
_FEWEST_REPEATS = 3
_SHOWN_OPS = 3
_BANDS = 16


def collapse(drawing: Drawing, closed: Closed = None, *, limit: int = MAX_NODES) -> Drawing:
    """A drawing in which some groups are single nodes.

    `closed` is the depth from which on modules are closed (1: the outermost are), or a function
    that says of a module's path, `("MLP", "0: Linear(2, 8)")`, whether it is; blocks that follow
    each other and are made alike are then drawn once, as "× 12". False closes nothing. None closes
    nothing up to `limit` nodes; above that, first the innermost modules are closed, then others,
    until few enough nodes are left; blocks of operations that are repeated are drawn once; and if
    that is not enough, operations of the same kind on one level, or on several, become one.

    Takes time linear in the size of the drawing, for each depth of its modules.
    """
    if closed is False or (closed is None and len(drawing.nodes) <= limit):
        return drawing
    paths = {g.name: g.path for g in drawing.groups if g.kind == "module"}
    if closed is not None:
        if callable(closed):
            chosen = {name for name, path in paths.items() if closed(path)}
        else:
            depth = int(closed)
            chosen = {name for name, path in paths.items() if len(path) >= depth}
        return _noted(drawing, _closed(drawing, chosen, plain=False))
    for depth in range(max(map(len, paths.values()), default=0), 0, -1):
        smaller = _closed(
            drawing, {name for name, path in paths.items() if len(path) >= depth}, plain=depth == 1)
        if len(smaller.nodes) <= BUDGET:
            return _noted(drawing, smaller)
    smaller = smaller if paths else _closed(drawing, set(), plain=True)
    if len(smaller.nodes) > BUDGET:
        smaller = _by_level(smaller)
    return _noted(drawing, smaller)


def _noted(before: Drawing, after: Drawing) -> Drawing:
    if len(after.nodes) == len(before.nodes):
        return before
    modules = any(group.kind == "module" for group in before.groups)
    note = (
        f"{sum(node.count for node in before.nodes):,} nodes, drawn as {len(after.nodes):,}: "
        f"collapse=False shows all{', collapse=2 another depth of modules' if modules else ''}"
    )
    return replace(after, note=f"{before.note}\n{note}" if before.note else note)


@dataclass(frozen=True, slots=True)
class _Box:
    """What becomes one node: its title, and the group that the node is drawn in."""

    title: str
    group: str | None


def _closed(drawing: Drawing, closed: set[str], plain: bool) -> Drawing:
    """Each of the groups `closed` as one node; repeated ones, or with `plain` any, as one."""
    groups = {g.name: g for g in drawing.groups}
    outermost: dict[str | None, str | None] = {None: None}
    for group in drawing.groups:  # parents first
        around = outermost[group.parent] if group.parent else None
        outermost[group.name] = around or (group.name if group.name in closed else None)
    box_of = {node.name: outermost[node.group] for node in drawing.nodes}
    boxes: dict[Hashable, _Box] = {
        name: _Box(groups[name].title, groups[name].parent)
        for name in closed if outermost[name] == name
    }
    keys: dict[str, Hashable] = {n: key for n, key in box_of.items() if key is not None}
    keys = _merge_repeats(drawing, keys, boxes, plain)
    return _quotient(drawing, keys, boxes)


def _quotient(
    drawing: Drawing, keys: Mapping[str, Hashable], boxes: Mapping[Hashable, _Box]
) -> Drawing:
    """The drawing with all nodes of one key as one node, where there are several."""
    keys = _with_private_leaves(drawing, keys)
    sizes = Counter(keys.values())
    keys = {name: key for name, key in keys.items() if sizes[key] > 1}
    members: dict[Hashable, list[Node]] = {}
    for node in drawing.nodes:
        if node.name in keys:
            members.setdefault(keys[node.name], []).append(node)
    names: dict[str, str] = {}
    nodes: list[Node] = []
    done: set[Hashable] = set()
    for node in drawing.nodes:
        key = keys.get(node.name)
        if key is None:
            names[node.name] = node.name
            nodes.append(node)
        elif key not in done:
            done.add(key)
            inside = members[key]
            names.update((inner.name, inside[0].name) for inner in inside)
            nodes.append(_box_node(boxes[key], inside))
    boxed = {names[name] for name in keys}
    edges = _merged(drawing.edges, names, boxed)
    used: set[str] = set()
    parents = {g.name: g.parent for g in drawing.groups}
    for node in nodes:
        name = node.group
        while name is not None and name not in used:
            used.add(name)
            name = parents[name]
    return replace(drawing, nodes=tuple(nodes), edges=tuple(edges),
                   groups=tuple(g for g in drawing.groups if g.name in used))


def _with_private_leaves(drawing: Drawing, keys: Mapping[str, Hashable]) -> dict[str, Hashable]:
    """Put parameters and constants that are used in one box only into it."""
    leaves = {node.name for node in drawing.nodes
              if node.kind in ("variable", "constant") and not node.is_output}
    users: dict[str, set[Hashable]] = {}
    for edge in drawing.edges:
        if not edge.back and edge.tail in leaves:
            users.setdefault(edge.tail, set()).add(keys.get(edge.head))
    result = dict(keys)
    for name, found in users.items():
        (key, *others) = found
        if not others and key is not None and name not in result:
            result[name] = key
    return result


def _box_node(box: _Box, inside: Sequence[Node]) -> Node:
    count = sum(node.count for node in inside)
    operations = sum(node.count for node in inside if node.kind not in ("variable", "constant"))
    parameters = sum(_size(node) for node in inside if node.kind == "variable")
    parts = [f"{operations:,} operation{'s' * (operations != 1)}"] if operations else []
    if parameters:
        parts.append(f"{parameters:,} parameters")
    computed = [node for node in inside if node.kind not in ("variable", "constant")]
    last = (computed or inside)[-1]
    wrong = any(node.alarming for node in inside)
    return Node(
        name=inside[0].name, kind="group", title=box.title, detail=", ".join(parts),
        type=last.type, value=Quantity(("nan or inf inside",), True) if wrong else None,
        is_output=any(node.is_output for node in inside), group=box.group, shape=last.shape,
        dtype=last.dtype, count=count,
    )


def _size(node: Node) -> int:
    size = 1
    for n in node.shape or ():
        size *= n
    return size


def _merged(edges: Iterable[Edge], names: Mapping[str, str], boxed: set[str]) -> list[Edge]:
    """Edges between what is left; those to or from a box once, with their number."""
    result: list[Edge] = []
    place: dict[tuple[str, str, bool, bool], int] = {}
    for edge in edges:
        tail, head = names[edge.tail], names[edge.head]
        if tail not in boxed and head not in boxed:
            result.append(edge)
            continue
        if tail == head:
            continue
        key = (tail, head, edge.back, edge.tie)
        if key in place:
            known = result[place[key]]
            result[place[key]] = Edge(tail, head, back=edge.back, tie=edge.tie,
                                      count=known.count + edge.count)
        else:
            place[key] = len(result)
            into_node = head not in boxed
            result.append(Edge(
                tail, head, edge.position if into_node else None, edge.back, edge.tie,
                edge.argument if into_node else None, count=edge.count,
            ))
    return result


# Repeats. -----------------------------------------------------------------------------------------


def _merge_repeats(
    drawing: Drawing, keys: dict[str, Hashable], boxes: dict[Hashable, _Box], plain: bool
) -> dict[str, Hashable]:
    """Give blocks that follow each other and are made alike one key.

    A block is a sequence of boxes or, with `plain`, also of operations. Two are alike if the same
    operations on the same shapes are wired alike, counted from where they stand.
    """
    items: list[_Item] = []  # the boxes and operations in order
    number: dict[_Item, int] = {}
    item_of: dict[str, _Item] = {}
    members: dict[_Item, list[Node]] = {}
    for node in drawing.nodes:
        key = keys.get(node.name)
        if key is None and node.kind != "operation":
            continue
        item: _Item = ("node", node.name) if key is None else ("box", key)
        item_of[node.name] = item
        members.setdefault(item, []).append(node)
        if item not in number:
            number[item] = len(items)
            items.append(item)
    wires: dict[_Item, list[object]] = {item: [] for item in items}
    for edge in drawing.edges:
        into, out_of = item_of.get(edge.head), item_of.get(edge.tail)
        if into is not None and into != out_of and not edge.back:
            wires[into].append("leaf" if out_of is None else number[into] - number[out_of])
    signatures: list[Hashable] = []
    known: dict[Hashable, int] = {}
    for item in items:
        inside = members[item]
        kind, key = item
        group = inside[0].group if kind == "node" else boxes[key].group
        title = None if kind == "node" else _unnumbered(boxes[key].title)
        # A leaf in a box belongs to it; the numbers of the wires are small where blocks repeat.
        signature = (kind, title, group, tuple((n.kind, n.op, n.shape, n.dtype) for n in inside),
                     tuple(sorted(map(str, wires[item]))))
        signatures.append(known.setdefault(signature, len(known)))
    merged = dict(keys)
    for start, period, repeats in _runs(signatures):
        block = items[start:start + period]
        if not plain and not any(kind == "box" for kind, _ in block):
            continue
        titles = [
            boxes[key].title if kind == "box" else members[kind, key][0].title
            for kind, key in block
        ]
        first_kind, first = block[0]
        group = boxes[first].group if first_kind == "box" else members[block[0]][0].group
        new = ("repeat", start)
        boxes[new] = _Box(f"{_block_title(titles)} × {repeats:,}", group)
        for item in items[start:start + period * repeats]:
            for node in members[item]:
                merged[node.name] = new
    return merged


def _unnumbered(title: str) -> str:
    """`3: Linear(4, 4)` without the number of the place that it stands at."""
    return re.sub(r"^[\w.]*\d+: |\d+$", "", title)


def _block_title(titles: Sequence[str]) -> str:
    shown = [re.sub(r"^[\w.]*\d+: ", "", title) for title in titles[:_SHOWN_OPS]]
    rest = len(titles) - len(shown)
    text = ", ".join([*shown, *([f"{rest} more"] if rest else [])])
    return f"({text})" if len(titles) > 1 else text


def _runs(signatures: Sequence[Hashable]) -> list[tuple[int, int, int]]:
    """Where a block is repeated: (start, length of the block, how often), not overlapping.

    From the left, each time the block that covers most.
    """
    n = len(signatures)
    # Per period, how far from each place on every item equals the one a period later.
    equal: list[list[int]] = []
    for period in range(1, min(_LONGEST_PERIOD, n // _FEWEST_REPEATS) + 1):
        lengths = [0] * (n + 1)
        for i in range(n - period - 1, -1, -1):
            if signatures[i] == signatures[i + period]:
                lengths[i] = lengths[i + 1] + 1
        equal.append(lengths)
    found = []
    i = 0
    while i < n:
        covered, best = 0, 1
        for period, lengths in enumerate(equal, start=1):
            repeats = lengths[i] // period + 1
            if repeats >= _FEWEST_REPEATS and repeats * period > covered:
                covered, best = repeats * period, period
        if covered:
            found.append((i, best, covered // best))
            i += covered
        else:
            i += 1
    return found


# Levels. ------------------------------------------------------------------------------------------


def _by_level(drawing: Drawing) -> Drawing:
    """Operations of the same kind on the same level, or on a band of levels, as one node."""
    order = {node.name: i for i, node in enumerate(drawing.nodes)}
    level = dict.fromkeys(order, 0)
    into: dict[str, list[str]] = {}
    first_use: dict[str, int] = {}
    for edge in drawing.edges:
        if not edge.back and order[edge.tail] < order[edge.head]:
            into.setdefault(edge.head, []).append(edge.tail)
    for node in drawing.nodes:
        tails = into.get(node.name, ())
        level[node.name] = max((level[tail] + 1 for tail in tails), default=0)
        for tail in tails:
            first_use.setdefault(tail, level[node.name])
    for node in drawing.nodes:  # a leaf stands beside what uses it
        if node.name not in into and node.name in first_use:
            level[node.name] = max(0, first_use[node.name] - 1)
    deepest = max(level.values()) + 1
    keys: dict[str, Hashable] = {
        node.name: (level[node.name], _what(node)) for node in drawing.nodes}
    if len(set(keys.values())) > BUDGET:
        bands = _BANDS
        keys = {
            node.name: (level[node.name] * bands // deepest,
                        node.kind if node.kind in ("variable", "input", "constant") else None)
            for node in drawing.nodes
        }
    contents: dict[Hashable, Counter[str]] = {}
    for node in drawing.nodes:
        contents.setdefault(keys[node.name], Counter())[_what(node)] += node.count
    boxes = {key: _Box(_counted(counter), None) for key, counter in contents.items()}
    flat = replace(drawing, groups=(), nodes=tuple(
        replaced(node, group=None) for node in drawing.nodes))
    return _quotient(flat, keys, boxes)


def _what(node: Node) -> str:
    return node.op or (node.title if node.kind == "group" else node.kind)


def _counted(counter: Counter[str]) -> str:
    shown = counter.most_common(_SHOWN_OPS)
    parts = [f"{what} × {n:,}" if n > 1 else what for what, n in shown]
    rest = len(counter) - len(shown)
    return ", ".join([*parts, *([f"{rest} more kinds"] if rest else [])])


