"""How gradients flow along the edges of a graph, computed aside: nothing is written into a Tensor.

The multi-path chain rule sums, over all paths from a leaf to the output, the product of the local
derivatives along the path. The reverse walk of the engine never writes these terms down; a picture
that is to explain the gradient does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backprop import fit
from ..errors import MissingRuleError, RenderError

if TYPE_CHECKING:
    from .describe import Drawing, GraphLike


@dataclass(frozen=True, slots=True)
class Flow:
    """A backward pass: the gradient of each node, and the terms that it is the sum of."""

    gradients: Mapping[int, Any]
    """By the `id` of a Tensor; absent where the output does not depend on it differentiably."""
    terms: Mapping[int, Mapping[int, Any]]
    """By the `id` of the consumer, then by the position of the argument."""

    def terms_of(self, tensor: Any) -> Mapping[int, Any]:
        """What each argument of a computed Tensor receives from it."""
        return self.terms.get(id(tensor), {})


def flow(graph: GraphLike, seeds: Sequence[Any] | None = None) -> Flow:
    """Walk a graph backwards, keeping every term: what `Graph.bprop` sums up.

    `seeds` are the cotangents of the outputs, by default 1 in every element.

    Raises MissingRuleError where a rule is missing.
    """
    outputs = graph.outputs
    gradients: dict[int, Any] = {}
    for i, output in enumerate(outputs):
        if output.requires_grad:
            value = output.numpy(force=True)
            seed = np.ones_like(value)[()] if seeds is None else fit(
                np.asarray(seeds[i])[()], value, "flow")
            _add(gradients, id(output), seed)
    terms: dict[int, Mapping[int, Any]] = {}
    for tensor in reversed(graph.nodes):
        if tensor.op is not None and id(tensor) in gradients:
            found = terms[id(tensor)] = _pulled(tensor, gradients[id(tensor)])
            for i, term in found.items():
                _add(gradients, id(tensor.inputs[i]), term)
    return Flow(gradients, terms)


def _add(gradients: dict[int, Any], key: int, term: Any) -> None:
    gradients[key] = gradients[key] + term if key in gradients else term


def terms_of(tensor: Any) -> dict[int, Any]:
    """What each argument receives, if the Tensor holds its own gradient; empty otherwise."""
    g = tensor.grad
    if g is None:
        return {}
    return _pulled(tensor, g.numpy(force=True) if hasattr(g, "inputs") else g)


def local_derivatives(tensor: Any) -> dict[int, Any]:
    """∂y/∂x for each argument x of a computed Tensor y that a gradient flows to; of scalars only.

    By the position of the argument, since x · x has two derivatives, each x. Empty where the op
    has no rule.
    """
    if tensor.shape != () or tensor.dtype.kind == "c":
        return {}
    try:
        terms = _pulled(tensor, np.ones_like(tensor.numpy(force=True))[()], zeros=True)
    except MissingRuleError:
        return {}
    return {i: term for i, term in terms.items() if term.shape == () and term.dtype.kind != "c"}


def _pulled(tensor: Any, g: Any, zeros: bool = False) -> dict[int, Any]:
    """The op's rules on the cotangent `g`: a term for each argument that requires a gradient."""
    rules = getattr(tensor.op, "vjps", None)
    if rules is None:
        return {}
    values = [x.numpy(force=True) if hasattr(x, "inputs") else x for x in tensor.inputs]
    found = {}
    with np.errstate(all="ignore"):  # the graph may well hold a NaN; that is shown, not warned of
        for i, x in enumerate(tensor.inputs):
            if not getattr(x, "requires_grad", False):
                continue
            term = rules[i](g, tensor.numpy(force=True), *values, **tensor.attrs)
            if term is not None:
                found[i] = fit(term, values[i], tensor.op)
            elif zeros:
                found[i] = np.zeros_like(values[i])[()]
    return found


@dataclass(frozen=True, slots=True)
class Paths:
    """All ways from a node to an output, and what each contributes to the derivative."""

    paths: tuple[tuple[int, ...], ...]
    """The first of them, each as positions in `Drawing.edges`, from the node on."""
    products: tuple[float, ...]
    """The products of the local derivatives along these paths."""
    count: int
    """How many paths there are, listed or not."""
    total: float
    """The sum of the products of all of them: ∂output/∂node."""
    edges: frozenset[int]
    """The edges that lie on any path."""


def paths(drawing: Drawing, start: str, end: str | None = None, *, limit: int = 100) -> Paths:
    """The multi-path chain rule in numbers: paths from node `start` to `end`, and their products.

    `end` is by default the one output. The drawing is of scalars and was made with
    `derivatives=True`; along an edge that shows no local derivative, none flows. At most `limit`
    paths are listed; count, sum and edges are of all, in time linear in the edges, although the
    number of paths may be exponential.

    Raises RenderError if a name is unknown, if several outputs leave `end` open, and if no edge at
    all shows a local derivative.
    """
    names = {node.name for node in drawing.nodes}
    outputs = [node.name for node in drawing.nodes if node.is_output]
    if end is None and len(outputs) != 1:
        raise RenderError(f"paths: the drawing has {len(outputs)} outputs; say which is the `end`")
    end = outputs[0] if end is None else end
    for name in (start, end):
        if name not in names:
            raise RenderError(f"paths: the drawing has no node {name!r}")
    # Of each node that leads to the end: how many paths do, and the sum of their products.
    onwards: dict[str, list[tuple[int, str, float]]] = {}
    into: dict[str, list[int]] = {}
    for i, edge in enumerate(drawing.edges):
        if not edge.back and not edge.tie:
            into.setdefault(edge.head, []).append(i)
    counts, totals = {end: 1}, {end: 1.0}
    for node in reversed(drawing.nodes):  # every node after all that it leads to
        if node.name not in counts:
            continue
        for i in into.get(node.name, ()):
            edge = drawing.edges[i]
            local = edge.local
            if local is None:
                continue
            step = float(local.array)
            onwards.setdefault(edge.tail, []).append((i, node.name, step))
            counts[edge.tail] = counts.get(edge.tail, 0) + counts[node.name]
            with np.errstate(all="ignore"):
                totals[edge.tail] = totals.get(edge.tail, 0.0) + step * totals[node.name]
    if start not in counts:
        if any(edge.local is not None for edge in drawing.edges):
            return Paths((), (), 0, 0.0, frozenset())
        raise RenderError("paths: no edge shows a local derivative; draw scalars, derivatives=True")
    for steps in onwards.values():
        steps.sort()
    listed: list[tuple[int, ...]] = []
    products: list[float] = []
    stack: list[tuple[str, tuple[int, ...], float]] = [(start, (), 1.0)]
    while stack and len(listed) < limit:
        name, way, product = stack.pop()
        if name == end:
            listed.append(way)
            products.append(product)
            continue
        for i, head, step in reversed(onwards.get(name, ())):
            stack.append((head, (*way, i), product * step))
    return Paths(tuple(listed), tuple(products), counts[start], totals[start],
                 _reached(onwards, start))


def _reached(onwards: Mapping[str, Sequence[tuple[int, str, float]]], start: str) -> frozenset[int]:
    edges: set[int] = set()
    seen, stack = {start}, [start]
    while stack:
        for i, head, _ in onwards.get(stack.pop(), ()):
            edges.add(i)
            if head not in seen:
                seen.add(head)
                stack.append(head)
    return frozenset(edges)
