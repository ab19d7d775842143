"""The reverse walk: cotangents from an output back to what it was computed from.

With y₁ ... yₖ the consumers of x, the multi-path chain rule reads

    ∂z/∂x = Σᵢ ∂z/∂yᵢ · ∂yᵢ/∂x .

Nodes are visited from the youngest to the oldest, so that all terms of the sum have arrived
before a node is expanded. A rule gives one term; this file alone sums them, reduces a term over
axes that the forward operation broadcast, casts it to the dtype of its input, restricts the walk
to what was asked for, and complains where a rule is missing.

Given arrays, rules compute (the ordinary pass); given nodes, they record (``recorded=True``), and
what comes back can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from heapq import heappop, heappush
from typing import Any

import numpy as np

from . import observe
from .errors import describe
from .node import Array, Node, stale
from .op import EachInput, Jointly, Rule, same


class Route:
    """The part of a graph that a reverse walk to certain targets visits.

    ``nodes``: by the time of their birth, which identifies them. ``ends``: the births of the
    targets. ``outside``: whether something besides the targets requires a gradient, so that a
    result of the walk may depend on it.
    """

    __slots__ = ("ends", "nodes", "outside")

    def __init__(self, nodes: dict[int, Node], ends: Set[int], outside: bool) -> None:
        self.nodes = nodes
        self.ends = ends
        self.outside = outside

    @property
    def order(self) -> list[int]:
        """The births of the nodes, youngest first."""
        return sorted(self.nodes, reverse=True)


def reach(outputs: Iterable[Node], targets: Sequence[Node] | None = None) -> Route:
    """The route from ``outputs`` back to ``targets`` (default: all leaves that require it).

    Raises :class:`StaleGraphError` where a value was replaced after it had been used.
    """
    # A target is older than all that was computed from it: what is older still does not lead
    # there, and is not visited.
    ends: Set[int] = _NOWHERE if targets is None else {t._born for t in targets}
    oldest = min(ends, default=0) if targets is not None else -1
    everywhere = targets is None
    outside = False
    nodes: dict[int, Node] = {}
    stack = []
    for node in outputs:
        if node._requires:
            born = node._born
            if born >= oldest:
                nodes[born] = node
                stack.append(node)
                if node.op is None and not everywhere and born not in ends:
                    outside = True
            else:
                outside = True
    while stack:
        node = stack.pop()
        born = node._born
        for x in node.inputs:
            if isinstance(x, Node):
                age = x._born
                if age > born or (x._lent is not None and x.changed()):
                    raise stale(node, x)
                if x._requires and age not in nodes:
                    if age < oldest:
                        outside = True
                        continue
                    nodes[age] = x
                    if x.op is not None:
                        stack.append(x)
                    elif not everywhere and age not in ends:
                        outside = True
    if outside:  # otherwise all that requires a gradient comes from the targets
        nodes = _leading(nodes, ends)
    return Route(nodes, ends, outside)


def _leading(nodes: dict[int, Node], ends: Set[int]) -> dict[int, Node]:
    """Those of ``nodes`` that lead to the targets."""
    leading: dict[int, Node] = {}
    for born in sorted(nodes):
        node = nodes[born]
        if born in ends or any(isinstance(x, Node) and x._born in leading for x in node.inputs):
            leading[born] = node
    return leading


_NOWHERE: Set[int] = frozenset()


def fit(g: Array, x: Array, op: Any) -> Array:
    """A rule's result as a cotangent of ``x``: its shape, by summing, and its dtype."""
    shape = x.shape
    try:
        size = g.shape
    except AttributeError:  # a rule may return a Python number
        g = x.dtype.type(g)
        size = g.shape
    if size != shape:
        extra = len(size) - len(shape)
        if extra > 0 and size[extra:] == shape:  # the usual case: a bias added to a batch
            axes = 0 if extra == 1 else tuple(range(extra))
            # ndarray.sum is the same loop behind a Python function.
            g = np.add.reduce(g, axes) if type(g) is np.ndarray else g.sum(axes)
        elif extra == 0 or (extra > 0 and size):
            axes = tuple(range(extra)) + tuple(
                i for i in range(extra, len(size)) if shape[i - extra] == 1 and size[i] != 1
            )
            g = g.sum(axes, None, None, True).reshape(
                tuple(1 if i in axes else n for i, n in enumerate(size))[extra:]
            ) if axes else g
        if g.shape != shape:
            try:
                g = np.broadcast_to(g, shape)
            except ValueError:
                raise ValueError(
                    f"{op}: a rule returned shape {tuple(size)}, which cannot be a cotangent "
                    f"of its input {describe(x)}"
                ) from None
    if g.dtype != x.dtype:
        if g.dtype.kind == "c" and x.dtype.kind != "c":
            g = g.real
        g = g.astype(x.dtype)
    return g


def pull(
    seeds: Mapping[Node, Array],
    route: Route | None = None,
    *,
    recorded: bool = False,
    keep: Set[Node] = frozenset(),
) -> dict[Node, Array]:
    """Walk backwards from the cotangents ``seeds``, along ``route`` or to all leaves.

    Returns the cotangents of the leaves and targets that it comes to, and of the members of
    ``keep`` on the way; those of a recorded walk in the order of their births, the youngest first.
    None of them shares memory with another array.

    Raises :class:`StaleGraphError` where a value was replaced after it had been used.
    """
    within = None if route is None else route.nodes
    ends = _NOWHERE if route is None else route.ends
    #: By birth, the nodes that have been come to, and the sums of what has arrived at each: None
    #: while every path to there was structurally zero. Their births with a minus, as a heap.
    waiting: dict[int, tuple[Node, Array | None]] = {}
    youngest: list[int] = []
    own: set[int] = set()  # those whose sum is an array made here, to be added to in place
    result: dict[Node, Any] = {}
    observed = observe.watching and observe.observed()
    before = observe.rule.set(None) if observed and recorded else None
    scalar, ndarray = np.float64, np.ndarray
    nothing = False

    for x, g in seeds.items():
        born = x._born
        if x._requires if within is None else born in within:
            if x.op is None or born in ends:
                result[x] = g if type(g) is not ndarray or g.ndim else g[()]
            else:
                waiting[born] = x, g
                heappush(youngest, -born)
    try:
        while youngest:
            born = -heappop(youngest)
            node, g = waiting.pop(born)
            op: Any = node.op
            rules, inputs, attrs = op.vjps, node.inputs, node.attrs
            if keep and g is not None and node in keep:
                result[node] = g if recorded else np.copy(g)[()]
            # Nearly all nodes have one or two inputs and no attributes: their rules are called
            # without packing and unpacking arguments.
            count = len(inputs)
            accumulate = None
            values: Any
            if recorded or attrs or count > 2 or g is None:
                count = 0
                y: Array = node if recorded else node._value
                values = inputs if recorded else [
                    x._value if isinstance(x, Node) else x for x in inputs
                ]
                if g is None:
                    rules = EachInput(_nothing)
                elif type(rules) is Jointly:
                    rules = _joined(rules, node, within, g, y, values)
                elif not recorded:
                    accumulate = op.accumulate
            elif count == 2:
                y = node._value
                a, b = inputs
                va = a._value if isinstance(a, Node) else a
                vb = b._value if isinstance(b, Node) else b
            else:
                y = node._value
                va = inputs[0]._value
            position = -1
            for x in inputs:
                position += 1
                if not isinstance(x, Node):
                    continue
                age = x._born
                if age > born or (x._lent is not None and x.changed()):
                    raise stale(node, x)
                if not (x._requires if within is None else age in within):
                    continue
                value = x._value
                if recorded:
                    value = x
                    if before is not None:
                        observe.rule.set((node, position))
                rule = rules[position]
                if rule is same:
                    term = g
                elif count == 2:
                    term = rule(g, y, va, vb)
                elif count == 1:
                    term = rule(g, y, va)
                elif accumulate is not None and age in own:
                    total = result[x] if x in result else waiting[age][1]
                    accumulate(total, g, *values[1:], **attrs)
                    continue
                else:
                    term = rule(g, y, *values, **attrs)
                kind = type(term)
                if kind is ndarray:
                    if term.dtype is not value.dtype or term.shape != value.shape:
                        term = fit(term, value, op)
                elif kind is scalar and type(value) is scalar:
                    pass
                elif term is not None:
                    term = fit(term, value, op)
                elif x.op is None or age in ends:
                    result.setdefault(x, None)
                    nothing = True
                    continue
                else:
                    if age not in waiting:
                        waiting[age] = x, None
                        heappush(youngest, -age)
                    continue
                if x.op is None or age in ends:
                    total = result.get(x)
                else:
                    held = waiting.get(age)
                    if held is None:
                        waiting[age] = x, term
                        heappush(youngest, -age)
                        if accumulate is not None and type(term) is ndarray:
                            own.add(age)  # the rule has made it
                        continue
                    total = held[1]
                if total is None:
                    total = term
                    if kind is not scalar and x.op is None and (
                        term is g or term is y or term is value
                        or (kind is ndarray and term.base is not None)
                    ):
                        total = term.copy()  # a leaf's gradient must not change with another array
                    if kind is ndarray and not term.ndim:
                        total = term[()]
                    if accumulate is not None and type(total) is ndarray:
                        own.add(age)
                elif age in own:
                    total += term
                    continue
                else:
                    total = total + term
                    if type(total) is ndarray:
                        own.add(age)
                if x.op is None or age in ends:
                    result[x] = total
                else:
                    waiting[age] = x, total
    finally:
        if before is not None:
            observe.rule.reset(before)
    if nothing:
        for x, total in result.items():
            if total is None:
                result[x] = np.zeros_like(x._value)[()]
    if recorded:  # what follows is recorded in this order, and drawn
        result = dict(sorted(result.items(), key=lambda item: item[0]._born, reverse=True))
    if observed:
        route = route or reach(seeds)
        for observer in observe.observers.get():
            observer.walked(seeds, route, result)
    return result


def _nothing(position: int, *args: Any, **attrs: Any) -> None:
    """In place of the rules of a node at which no cotangent arrives."""


def _joined(
    rules: Jointly, node: Node, within: Mapping[int, Node] | None, g: Array, y: Array,
    values: Sequence[Any],
) -> Sequence[Rule]:
    """The results of a joint rule, as rules that return them."""
    needed = tuple([
        i for i, x in enumerate(node.inputs)
        if isinstance(x, Node) and (x._requires if within is None else x._born in within)
    ])
    terms = dict(zip(needed, rules.rule(needed, g, y, *values, **node.attrs), strict=True))
    return EachInput(lambda position, *args, **attrs: terms.get(position))
