"""The backward pass as a graph: recorded aside, and drawn beside the forward one or alone.

Rules are written in the same functions as everything else, so that a backward pass can be recorded;
an observer then notes of each node for which node of the forward pass, and for which of its
arguments, a rule has made it. What no rule has made adds up the paths that meet at a node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backprop import pull, reach
from ..errors import RenderError
from ..graph import Graph
from ..observe import Observer, origin_of
from ..tensor import Tensor, leaf, recording
from .describe import (
    BACKWARD,
    FORWARD,
    Drawing,
    Edge,
    Origin,
    Side,
    clean,
    describe,
    noted,
    replaced,
)

if TYPE_CHECKING:
    from .describe import GraphLike


@dataclass(frozen=True, slots=True)
class Backward:
    """A recorded backward pass."""

    graph: Graph
    """The forward and the backward pass; its outputs are those of the forward pass, then the
    gradients."""
    gradients: Mapping[Any, Tensor]
    """By the leaf that they are of."""
    made_for: Mapping[int, tuple[Any, int]]
    """By the `id` of a node that a rule made: the node of the forward pass, and the position of
    the argument."""
    forward: frozenset[int]
    """The `id`s of the nodes of the forward pass."""


def record_backward(graph: GraphLike, cotangents: Sequence[Any] | None = None) -> Backward:
    """Differentiate the outputs of a graph by its leaves, recording; no `.grad` is changed.

    The cotangent of each output is 1 in every element, unless `cotangents` are given.

    Raises RenderError if no leaf requires a gradient; StaleGraphError and MissingRuleError as
    `backward` does.
    """
    given = [None] * len(graph.outputs) if cotangents is None else cotangents
    outputs = [output for output in graph.outputs if output.requires_grad]
    if not outputs:
        raise RenderError(
            "nothing to draw of the backward pass: no leaf of the graph requires a gradient; make "
            "leaves with `ag.tensor(x, requires_grad=True)`"
        )
    with Observer(), recording():
        seeds: dict[Any, Any] = {}
        for output, g in zip(graph.outputs, given, strict=True):
            if output.requires_grad:
                start = np.ones_like(output.numpy(force=True))[()] if g is None else g
                seed = leaf(start, False, "seed")
                seeds[output] = seeds[output] + seed if output in seeds else seed
        found = pull(seeds, reach(outputs), recorded=True)  # type: ignore[arg-type]
    leaves: Any = [node for node in graph.nodes if node.op is None]
    # In the order of the leaves, whichever way the walk went.
    gradients = {
        x: g if isinstance(g, Tensor) else leaf(g, False)
        for x, g in ((x, found.get(x)) for x in leaves) if g is not None
    }
    whole = Graph([*graph.outputs, *gradients.values()])  # type: ignore[list-item]
    made_for = {}
    for node in whole.nodes:
        origin = origin_of(node)
        if origin is not None and origin.rule is not None:
            made_for[id(node)] = origin.rule
    return Backward(whole, gradients, made_for, frozenset(id(node) for node in graph.nodes))


def describe_backward(
    graph: GraphLike, *, alone: bool = False, title: str | None = None,
    seeds: Sequence[Any] | None = None, **details: Any,
) -> Drawing:
    """The forward and the backward pass in two groups, or the backward pass alone.

    Dotted edges tie each node of the forward pass to what its rules made. Alone, the values of the
    forward pass that the backward pass uses are drawn as inputs. The gradients are nodes here, so
    that those left behind by an earlier pass are shown only if asked for.
    """
    details["grads"] = bool(details.get("grads"))
    found = record_backward(graph, seeds)
    sides = {True: Side(FORWARD), False: Side(BACKWARD)}

    def origin(tensor: Any) -> Origin:
        inside = id(tensor) in found.forward
        rule = found.made_for.get(id(tensor))
        # What a rule made was made where the node of the forward pass was.
        source = tensor if inside or rule is None else rule[0]
        place, scopes = noted(source) if inside or rule is not None else Origin()
        return Origin(place, (sides[inside], *scopes))

    drawing = describe(found.graph, title=title, origin=origin, **details)
    names = dict(zip((id(node) for node in found.graph.nodes), _of_tensors(drawing, found.graph),
                     strict=True))
    labels = {
        names[id(g)]: f"∂/∂{clean(x.label or names[id(x)])}" for x, g in found.gradients.items()
        if id(g) not in found.forward
    }
    nodes = tuple(
        replaced(node, title=labels[node.name], detail=f"= {node.title}", is_output=True)
        if node.name in labels else node
        for node in drawing.nodes
    )
    drawing = replace(drawing, nodes=nodes)
    if alone:
        return _alone(drawing, {names[i] for i in found.forward if i in names})
    return replace(drawing, edges=(*drawing.edges, *_ties(found, names)))


def _of_tensors(drawing: Drawing, graph: Graph) -> Sequence[str]:
    """The names of the nodes that stand for Tensors, in the order of the graph.

    Constant arrays have nodes of their own, each before the node that uses it.
    """
    names = []
    place = iter(drawing.nodes)
    for tensor in graph.nodes:
        node = next(place)
        while node.kind == "constant":
            node = next(place)
        assert node.shape == tensor.shape
        names.append(node.name)
    return names


def _ties(found: Backward, names: Mapping[int, str]) -> list[Edge]:
    """From each node of the forward pass to the last node of each of its rules."""
    last: dict[tuple[int, int], str] = {}
    for node in found.graph.nodes:
        rule = found.made_for.get(id(node))
        if rule is not None and id(node) not in found.forward:
            last[id(rule[0]), rule[1]] = names[id(node)]
    return [Edge(names[made_by], head, tie=True)
            for (made_by, _), head in last.items() if made_by in names]


def _alone(drawing: Drawing, forward: set[str]) -> Drawing:
    """Without the forward pass, but for what the backward pass reads of it."""
    forward = forward | {
        edge.tail for edge in drawing.edges if edge.head in forward and edge.tail not in forward}
    edges = tuple(edge for edge in drawing.edges if edge.head not in forward)
    used = {edge.tail for edge in edges} & forward
    sides = {group.name for group in drawing.groups if group.kind == "side"}
    nodes = []
    for node in drawing.nodes:
        if node.name not in forward:
            nodes.append(replaced(node, group=None) if node.group in sides else node)
        elif node.name in used:
            kind = "input" if node.kind == "operation" else node.kind
            nodes.append(replaced(node, kind=kind, group=None, grad=None, is_output=False))
    shown = {node.group for node in nodes}
    for group in reversed(drawing.groups):
        if group.name in shown:
            shown.add(group.parent)
    return replace(drawing, nodes=tuple(nodes), edges=edges, groups=tuple(
        replace(group, parent=None) if group.parent in sides else group
        for group in drawing.groups if group.name in shown and group.name not in sides
    ))
