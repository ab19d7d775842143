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
from typing import Any

import numpy as np

from . import observe
from .errors import describe
from .node import Array, Node, stale
from .op import Jointly


class Route:
    """The part of a graph that a reverse walk visits.

    ``nodes``: by the time of their birth, which identifies them. ``order``: those times, youngest
    first. ``ends``: the targets among them. ``outside``: whether something besides the targets
    requires a gradient, so that a result of the walk may depend on it.
    """

    __slots__ = ("ends", "nodes", "order", "outside")

    def __init__(self, nodes: dict[int, Node], ends: Set[int], outside: bool) -> None:
        self.nodes = nodes
        self.order = sorted(nodes, reverse=True)
        self.ends = ends
        self.outside = outside


def reach(outputs: Iterable[Node], targets: Sequence[Node] | None = None) -> Route:
    """The route from ``outputs`` back to ``targets`` (default: all leaves that require it).

    Raises :class:`StaleGraphError` where a value was replaced after it had been used.
    """
    # A target is older than all that was computed from it: what is older still does not lead
    # there, and is not visited.
    ends: Set[int] = _NOWHERE if targets is None else {t._born for t in targets}
    oldest = min(ends, default=0) if targets is not None else -1
    outside = False
    nodes = {}
    for node in outputs:
        if node._requires:
            if node._born >= oldest:
                nodes[node._born] = node
            else:
                outside = True
    stack = list(nodes.values())
    while stack:
        node = stack.pop()
        born = node._born
        if node.op is None and targets is not None and born not in ends:
            outside = True
        for x in node.inputs:
            if isinstance(x, Node):
                age = x._born
                if age > born or (x._lent is not None and x.changed()):
                    raise stale(node, x)
                if x._requires and age not in nodes:
                    if age >= oldest:
                        nodes[age] = x
                        stack.append(x)
                    else:
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
    route: Route,
    *,
    recorded: bool = False,
    keep: Set[Node] = frozenset(),
) -> dict[Node, Array]:
    """Walk ``route`` backwards from the cotangents ``seeds``.

    Returns the cotangents of the leaves and targets at the end of the route, and of the members
    of ``keep`` on the way. None of them shares memory with another array.
    """
    nodes, ends = route.nodes, route.ends
    waiting: dict[int, Array] = {x._born: g for x, g in seeds.items() if x._born in nodes}
    own: set[int] = set()  # those whose waiting sum is an array made here
    result: dict[Node, Array] = {}
    observed = observe.watching and observe.observed()
    scalar, ndarray = np.float64, np.ndarray
    a: Any
    b: Any
    for born in route.order:
        node = nodes[born]
        op = node.op
        if born not in waiting:  # every path to here was structurally zero
            if op is None or born in ends:
                result[node] = np.zeros_like(node._value)[()]
            continue
        g = waiting.pop(born)
        if op is None or born in ends:
            result[node] = g if type(g) is not ndarray or g.ndim else g[()]
            continue
        if keep and node in keep:
            result[node] = g if recorded else np.copy(g)[()]
        inputs, attrs = node.inputs, node.attrs
        rules: Any = op.vjps
        y: Array = node if recorded else node._value
        if recorded and observed:
            for i, x in enumerate(inputs):
                if isinstance(x, Node) and x._born in nodes:
                    with observe.rule_of(node, i):
                        term = rules[i](g, y, *inputs, **attrs)
                        _receive(waiting, own, x, x, term, g, y, op)
            continue
        if recorded or attrs or len(inputs) > 2:
            values = inputs if recorded else [
                x._value if isinstance(x, Node) else x for x in inputs
            ]
            if type(rules) is Jointly:
                needed = tuple([i for i, x in enumerate(inputs)
                                if isinstance(x, Node) and x._born in nodes])
                terms = rules.rule(needed, g, y, *values, **attrs)
                for i, term in zip(needed, terms, strict=True):
                    _receive(waiting, own, inputs[i], values[i], term, g, y, op)
                continue
            if op.accumulate is not None and not recorded:
                a = inputs[0]  # the only one with a rule, or the node would not be on the route
                age = a._born
                if age in own:
                    op.accumulate(waiting[age], g, *values[1:], **attrs)
                    continue
                first = age not in waiting
                _receive(waiting, own, a, values[0], rules[0](g, y, *values, **attrs), g, y, op)
                if first and type(waiting[age]) is ndarray:  # which the rule has made
                    own.add(age)
                continue
            for i, x in enumerate(inputs):
                if isinstance(x, Node) and x._born in nodes:
                    term = rules[i](g, y, *values, **attrs)
                    _receive(waiting, own, x, values[i], term, g, y, op)
            continue
        # Nearly all nodes have one or two inputs and no attributes: calling their rules directly
        # takes a third less time, and so does adding scalars on the spot.
        a, b = inputs if len(inputs) == 2 else (inputs[0], None)
        a_counts, b_counts = isinstance(a, Node), isinstance(b, Node)
        va, vb = a._value if a_counts else a, b._value if b_counts else b
        if a_counts and a._born in nodes:
            term = rules[0](g, y, va, vb) if len(inputs) == 2 else rules[0](g, y, va)
            if type(term) is scalar and type(va) is scalar:
                age = a._born
                waiting[age] = waiting[age] + term if age in waiting else term
            else:
                _receive(waiting, own, a, va, term, g, y, op)
        if b_counts and b._born in nodes:
            term = rules[1](g, y, va, vb)
            if type(term) is scalar and type(vb) is scalar:
                age = b._born
                waiting[age] = waiting[age] + term if age in waiting else term
            else:
                _receive(waiting, own, b, vb, term, g, y, op)
    if observed:
        for observer in observe.observers.get():
            observer.walked(seeds, route, result)
    return result


def _receive(
    waiting: dict[int, Array], own: set[int], x: Node, value: Array, term: Any, g: Array, y: Array,
    op: Any,
) -> None:
    """Add a rule's ``term`` to what waits for ``x``, whose value is ``value``."""
    if term is None:
        return
    if type(term) is not np.ndarray or term.shape != value.shape or term.dtype != value.dtype:
        term = fit(term, value, op)
    age = x._born
    if age not in waiting:
        if x.op is None and (
            term is g
            or term is y
            or term is value
            or (type(term) is np.ndarray and term.base is not None)
        ):
            term = term.copy()  # a leaf's gradient must not change with another array
        waiting[age] = term
    elif age in own:
        total = waiting[age]
        total += term
    else:
        waiting[age] = total = waiting[age] + term
        if type(total) is np.ndarray:
            own.add(age)  # made here, so that further terms may be added in place
