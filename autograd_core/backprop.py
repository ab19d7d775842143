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

from collections.abc import Container, Iterable, Mapping
from operator import attrgetter
from typing import Any

import numpy as np

from .errors import MissingRuleError, caller, describe
from .node import Array, Node, stale

_birth = attrgetter("_born")


class Reach:
    """The part of a graph that a reverse walk has to visit.

    ``nodes``: youngest first. ``outside``: whether something besides the targets requires a
    gradient, so that a result computed here may depend on it. ``ends``: the targets.
    """

    __slots__ = ("ends", "nodes", "outside")

    def __init__(self, nodes: list[Node], ends: set[Node], outside: bool) -> None:
        self.nodes = nodes
        self.ends = ends
        self.outside = outside


def reach(outputs: Iterable[Node], targets: Iterable[Node] | None = None) -> Reach:
    """What lies between ``outputs`` and ``targets`` (default: all leaves that require it).

    Raises :class:`StaleGraphError` where a value was replaced after it had been used.
    """
    goal = None if targets is None else set(targets)
    # A target is older than everything computed from it: what is older still cannot lead there.
    oldest = min(map(_birth, goal), default=0) if goal else -1
    outside = False
    seen = {node for node in outputs if node._requires}
    stack = list(seen)
    while stack:
        node = stack.pop()
        born = node._born
        for x in node.inputs:
            if isinstance(x, Node):
                if x._born > born or (x._lent is not None and x.changed()):
                    raise stale(node, x)
                if x._requires and x not in seen:
                    if x._born < oldest:
                        outside = True
                    else:
                        seen.add(x)
                        stack.append(x)
    nodes = sorted(seen, key=_birth)
    if goal is not None:
        leading = set(goal)
        path = []
        for node in nodes:
            if node in goal:
                path.append(node)
            elif node.op is None:
                outside = True
            elif any(isinstance(x, Node) and x in leading for x in node.inputs):
                leading.add(node)
                path.append(node)
        nodes = path
    nodes.reverse()
    return Reach(nodes, goal or set(), outside)


def fit(g: Array, x: Array, op: Any, position: int) -> Array:
    """A rule's result as a cotangent of ``x``: its shape, by summing, and its dtype."""
    shape = np.shape(x)
    try:
        size = g.shape
    except AttributeError:  # a rule may return a Python number
        g = x.dtype.type(g)
        size = g.shape
    if size != shape:
        extra = len(size) - len(shape)
        if extra < 0:
            g = np.broadcast_to(g, shape)
        else:
            axes = tuple(range(extra)) + tuple(
                i for i in range(extra, len(size)) if shape[i - extra] == 1 and size[i] != 1
            )
            if axes:
                g = g.sum(axes, None, None, True) if len(axes) < len(size) else g.sum()
                g = g.reshape(shape)
            if g.shape != shape:
                try:
                    g = np.broadcast_to(g, shape)
                except ValueError:
                    raise ValueError(
                        f"the rule of {op} for input {position} returned shape {tuple(size)}, "
                        f"which cannot be a cotangent of {describe(x)}"
                    ) from None
    if g.dtype != x.dtype:
        if g.dtype.kind == "c" and x.dtype.kind != "c":
            g = g.real
        g = g.astype(x.dtype)
    return g


def pull(
    seeds: Mapping[Node, Array],
    route: Reach,
    *,
    recorded: bool = False,
    keep: Container[Node] = (),
) -> dict[Node, Array]:
    """Walk ``route`` backwards from the cotangents ``seeds``.

    Returns the cotangents of the leaves and targets at the end of the route, and of the members
    of ``keep`` on the way. None of them shares memory with another array.
    """
    ends = route.ends
    active = set(route.nodes)
    waiting: dict[Node, Array] = {node: g for node, g in seeds.items() if node in active}
    own: set[Node] = set()  # those whose waiting sum is an array made here
    result: dict[Node, Array] = {}
    scalar = np.float64
    for node in route.nodes:
        g = waiting.pop(node, None)
        if g is None:
            continue
        op = node.op
        if op is None or node in ends:
            result[node] = g
            continue
        if keep and node in keep:
            result[node] = g if recorded else np.copy(g)[()]
        inputs = node.inputs
        if recorded:
            y: Array = node
            values: Any = inputs
        else:
            y = node._data
            values = [x._data if isinstance(x, Node) else x for x in inputs]
        rules = op.vjps
        attrs = node.attrs
        for i, x in enumerate(inputs):
            if not (isinstance(x, Node) and x in active):
                continue
            rule = rules[i]  # type: ignore[index]
            if rule is None:
                raise MissingRuleError(
                    f"{op}: no derivative rule for input {i} (backward at {caller()}); "
                    "give one with `.defvjp(...)`, or cut the path with `ag.stop_gradient`"
                )
            term = rule(g, y, *values, **attrs) if attrs else rule(g, y, *values)
            if term is None:
                continue
            value = values[i]
            if not (type(term) is scalar and type(value) is scalar):
                try:
                    fits = term.shape == value.shape and term.dtype == value.dtype
                except AttributeError:
                    fits = False
                if not fits:
                    term = fit(term, value, op, i)
            sofar = waiting.get(x)
            if sofar is None:
                if x.op is None and type(term) is np.ndarray and (
                    term is g or term.base is not None or term is y or term is value
                ):
                    term = term.copy()  # a gradient must not change with another array
                waiting[x] = term
            elif x in own:
                sofar += term
            else:
                waiting[x] = sofar + term
                if type(sofar) is np.ndarray:
                    own.add(x)
    return result
