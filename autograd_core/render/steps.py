"""The passes of a graph step by step, with the numbers that were really added up.

Forwards, a step is a node that gets its value. Backwards, a step is one term of the multi-path
chain rule: the engine's own reverse walk runs over a copy of the graph whose rules note what they
are asked and what they answer, so order and numbers are those of `backward`, not a second opinion.
Nothing is written into a Tensor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from ..backprop import fit, pull, reach
from ..compiler.program import ELEMENTWISE
from ..errors import GradientError, MissingRuleError
from ..graph import Graph
from ..node import Node, value_of
from ..op import EachInput, Jointly
from .describe import MAX_ELEMENTS, Quantity, clean, quantity, scalar, written

_NAME = 16
"""Longer labels are no names in a formula; such nodes are numbered."""

_INFIX: Mapping[str, str] = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "power": "**", "matmul": "@",
    "floor_divide": "//", "remainder": "%", "equal": "==", "not_equal": "!=", "less": "<",
    "less_equal": "<=", "greater": ">", "greater_equal": ">=",
}

Phase = Literal["forward", "backward"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens to one node."""

    phase: Phase
    node: int
    """Which node gets a value or a term, by its position in `Graph.nodes`."""
    formula: tuple[str, ...]
    """What it gets, in ever plainer terms that are equal: names, numbers, the result."""
    result: Quantity
    """The node's value; backwards, its gradient so far."""
    sign: str = "="
    """Between the name of what changes and the formula: `=`, or `+=`."""
    target: str = ""
    """The name of what changes: `y`, or `dz/dy`."""
    consumer: int | None = None
    """Backwards: the node that the term comes from; None for a seed, and for nothing at all."""
    argument: int | None = None
    """Which argument of the consumer the node is."""
    term: Quantity | None = None
    """Backwards: what is added; the same object as `result` if it is the first."""
    local: Any = None
    """Backwards, between scalars: the derivative of the consumer by this argument."""
    sum: str = ""
    """Backwards: how the gradient so far came about, where this was not its first term."""
    last: bool = True
    """Whether the node's value or gradient is complete with this."""

    @property
    def text(self) -> str:
        """`dz/dx += dz/dy * dy/dx = 2 * 0.25 = 0.5`."""
        return f"{self.target} {self.sign} {' = '.join(self.formula)}"


@dataclass(frozen=True, slots=True)
class Steps:
    """Both passes. `names` are those that formulas use, for each of `Graph.nodes`."""

    names: tuple[str, ...]
    forward: tuple[Step, ...]
    backward: tuple[Step, ...]
    gradients: Mapping[int, Any]
    """By position, the gradient of each node that has one: what `Graph.bprop` would set."""
    no_backward: str | None = None
    """Why there is no backward pass, if there is none."""


def steps(graph: Graph, cotangents: Sequence[Any] | None = None) -> Steps:
    """The forward and the backward pass over a graph with its current values.

    The backward pass starts with 1 at each output, as `Graph.bprop` does, or with `cotangents`.
    Where there can be none (no leaf requires a gradient, an output is no scalar and has no
    cotangent, a rule is missing), `no_backward` says why, and the forward pass stands alone.

    Raises ShapeError for a cotangent of another shape than its output, and StaleGraphError where a
    value was replaced after it had been used: both passes would show numbers that do not follow
    from each other.
    """
    names = _names(graph)
    places: dict[Node, int] = {node: i for i, node in enumerate(graph.nodes)}
    forward = tuple(_forward(graph, names, places))
    if not any(output.requires_grad for output in graph.outputs):
        return Steps(names, forward, (), {},
                     "no leaf requires a gradient: make leaves with "
                     "ag.tensor(x, requires_grad=True)")
    given: Sequence[Any] = [None] * len(graph.outputs) if cotangents is None else cotangents
    shaped = [output for output, g in zip(graph.outputs, given, strict=True)
              if output.shape and output.requires_grad and g is None]
    if shaped:
        name = names[places[shaped[0]]]
        return Steps(names, forward, (), {},
                     f"{name} has shape {shaped[0].shape}, so there is no single gradient: pass "
                     f"its cotangent, as in grad=np.ones({shaped[0].shape}), or draw {name}.sum(), "
                     "or another number made of it")
    seeds = [output._seed(g, False, "render") if output.requires_grad else None
             for output, g in zip(graph.outputs, given, strict=True)]
    try:
        with np.errstate(all="ignore"):  # a NaN is shown, not warned of
            walk = _Walk(graph, names, places, seeds)
    except (MissingRuleError, GradientError) as reason:
        return Steps(names, forward, (), {}, clean(str(reason), 300))
    return Steps(names, forward, tuple(walk.steps), walk.gradients)


# Names. ------------------------------------------------------------------------------------------


def _names(graph: Graph) -> tuple[str, ...]:
    """A name for each node: its label, if that is short and no other's, else `v3`.

    The numbers are those of `str(graph)` where labels are identifiers. An output without a label
    is z, as textbooks have it.
    """
    labels = ["" if node.label is None else clean(str(node.label)) for node in graph.nodes]
    taken: set[str] = set()
    names: list[str] = []
    lone = graph.outputs[0] if len(graph.outputs) == 1 else None
    reserved = set(labels)
    count = 0
    for node, label in zip(graph.nodes, labels, strict=True):
        if label and len(label) <= _NAME and label not in taken:
            name = label
        else:
            count += 1
            name = f"v{count}"
            if node is lone and not label and "z" not in reserved:
                name = "z"
            while name in taken or name in reserved:
                count += 1
                name = f"v{count}"
        taken.add(name)
        names.append(name)
    return tuple(names)


# Forwards. ---------------------------------------------------------------------------------------


def _forward(
    graph: Graph, names: Sequence[str], places: Mapping[Node, int]
) -> Iterator[Step]:
    for i, node in enumerate(graph.nodes):
        op = node.op
        if op is None:
            continue
        values = [value_of(x) for x in node.inputs]
        operands = [names[places[x]] if isinstance(x, Node) else _literal(x) for x in node.inputs]
        result = quantity(node.numpy(force=True))
        formula = [call(op, operands, node.attrs)]
        if any(isinstance(x, Node) for x in node.inputs):
            formula.append(call(op, [_literal(x) for x in values], node.attrs))
        formula.append(_short(result, result.array))
        yield Step("forward", i, tuple(formula), result, target=names[i])


def call(op: Any, operands: Sequence[str], attrs: Mapping[str, Any]) -> str:
    """An operation as Python writes it: `a + b`, `exp(a)`, `sum(a, axis=0)`."""
    if not attrs and len(operands) == 2 and op.name in _INFIX:
        return f" {_INFIX[op.name]} ".join(map(_factor, operands))
    if not attrs and len(operands) == 1 and op.name == "negative":
        return f"-{_factor(operands[0])}"
    return written(op, operands, attrs)


def _factor(operand: str) -> str:
    return f"({operand})" if operand.startswith("-") else operand


def _literal(value: Any) -> str:
    """A number as it is, of an array its elements if they are few, else its shape and range."""
    shape = getattr(value, "shape", ())
    if shape == ():
        return scalar(value)
    array = np.asarray(value)
    if array.size <= MAX_ELEMENTS and array.ndim <= 2:
        return _elements(quantity(array))
    return f"[{'×'.join(map(str, shape))}{_range(array)}]"


def _elements(shown: Quantity) -> str:
    """The rows of a small array in one line."""
    return shown.lines[0] if len(shown.lines) == 1 else f"[{', '.join(shown.lines)}]"


def _range(array: np.ndarray[Any, Any]) -> str:
    if array.dtype.kind not in "iuf" or not array.size:
        return ""
    if not np.isfinite(array).all():
        return ": not all finite"
    return f": {scalar(array.min())} to {scalar(array.max())}"


def _short(result: Quantity, array: Any) -> str:
    """What follows the last equals sign: a number, a few elements, or dtype, shape and range."""
    if len(result.lines) == 1:
        return result.lines[0]
    literal = _literal(array)
    small = array.size <= MAX_ELEMENTS and array.ndim <= 2
    return literal if small else f"{array.dtype}{literal}"


# Backwards. --------------------------------------------------------------------------------------


class _Walk:
    """The reverse walk over a copy of the graph, and what it did."""

    def __init__(
        self, graph: Graph, names: Sequence[str], places: Mapping[Node, int], given: Sequence[Any]
    ) -> None:
        self.steps: list[Step] = []
        self._names, self._places = names, places
        lone = len(graph.outputs) == 1
        self._output = names[places[graph.outputs[0]]] if lone else "sum"
        #: The gradient so far of each node that a term has reached.
        self._results: dict[Node, Quantity] = {}
        route = reach(graph.outputs)
        copies: dict[int, Node] = {}
        for born in reversed(route.order):
            node = route.nodes[born]
            copies[born] = self._copy(node, copies)
        seeds: dict[Node, Any] = {}
        for output, seed in zip(graph.outputs, given, strict=True):
            if output.requires_grad:
                copy = copies[output._born]
                seeds[copy] = seeds[copy] + seed if copy in seeds else seed
        for copy, seed in seeds.items():
            self._seed(route.nodes[copy._born], seed)
        route.nodes = copies
        found = pull(seeds, route, keep=set(copies.values()))
        self.gradients: dict[int, Any] = {}
        for node in reversed(graph.nodes):
            twin = copies.get(node._born) if node.requires_grad else None
            if twin is not None and twin in found:
                self.gradients[places[node]] = found[twin]
                if node not in self._results:
                    self._nothing(node, found[twin])
        self._mark_last()

    def _copy(self, node: Node, copies: Mapping[int, Node]) -> Node:
        copy = Node()
        copy._value, copy._requires, copy._born, copy._lent = node._value, True, node._born, None
        copy.attrs = node.attrs
        op: Any = node.op
        copy.op = None if op is None else replace(
            op,
            vjps=Jointly(partial(self.ask_jointly, node)) if type(op.vjps) is Jointly
            else EachInput(partial(self.ask, node)),
            accumulate=None if op.accumulate is None else partial(self.accumulate, node),
        )
        inputs: list[Any] = []
        for x in node.inputs:
            if isinstance(x, Node) and x._requires:
                x = copies[x._born]
            inputs.append(x)
        copy.inputs = tuple(inputs)
        return copy

    def ask(self, node: Node, position: int, g: Any, y: Any, *values: Any, **attrs: Any) -> Any:
        """The rule's answer, which is also written down."""
        op: Any = node.op
        term = op.vjps[position](g, y, *values, **attrs)
        return self._note(node, position, g, y, values, attrs, term)

    def ask_jointly(
        self, node: Node, needed: tuple[int, ...], g: Any, y: Any, *values: Any, **attrs: Any
    ) -> list[Any]:
        """The same for a rule that answers for several inputs at once."""
        op: Any = node.op
        terms = op.vjps.rule(needed, g, y, *values, **attrs)
        return [self._note(node, i, g, y, values, attrs, term)
                for i, term in zip(needed, terms, strict=True)]

    def accumulate(self, node: Node, total: Any, g: Any, *rest: Any, **attrs: Any) -> None:
        """The same where the walk has the term of the only input added in place."""
        op: Any = node.op
        y, values = node._value, (value_of(node.inputs[0]), *rest)
        op.accumulate(total, g, *rest, **attrs)
        self._note(node, 0, g, y, values, attrs, op.vjps[0](g, y, *values, **attrs), total)

    def _note(
        self, node: Node, position: int, g: Any, y: Any, values: tuple[Any, ...],
        attrs: Mapping[str, Any], term: Any, total: Any = None,
    ) -> Any:
        """Make a step of what a rule answered; `total` is the gradient so far, if that is known."""
        if term is None:
            return None
        op: Any = node.op
        x = node.inputs[position]
        value = values[position]
        # As the walk adds it: summed over axes that were broadcast, and in the input's dtype.
        term = fit(term, value, op)
        first = x not in self._results
        shown = result = quantity(np.copy(term))
        added = _short(shown, term)
        so_far = ""
        if not first:
            before = self._results[x]
            result = quantity(before.array + term if total is None else np.copy(total))
            so_far = " = ".join((f"{_short(before, before.array)} + {_factor(added)}",
                                 _short(result, result.array)))
        self._results[x] = result
        mine, its = self._names[self._places[x]], self._names[self._places[node]]
        product = f"{self._derivative(its)} * {_ratio(its, mine)}"
        formula = [product, added]
        local: Any = None
        if value_of(x).shape == () and y.shape == ():
            with np.errstate(all="ignore"):
                local = op.vjps[position](np.ones_like(y)[()], y, *values, **attrs)
            local = 0 if local is None else fit(local, value, op)
            formula.insert(1, f"{scalar(g)} * {_factor(scalar(local))}")
        else:
            formula.insert(1, self._product(op, position, g, y, values, attrs, term))
        self.steps.append(Step(
            "backward", self._places[x], tuple(formula), result, "+=",
            self._derivative(mine), self._places[node], position, shown, local,
            so_far, False,
        ))
        return term

    def _product(
        self, op: Any, position: int, g: Any, y: Any, values: tuple[Any, ...],
        attrs: Mapping[str, Any], term: Any,
    ) -> str:
        """What is multiplied where not all are scalars.

        Of an operation that goes element by element the Jacobian matrix is diagonal, and the
        product that of two arrays; of others it is too large to be written out.
        """
        if op in ELEMENTWISE:
            local = op.vjps[position](np.ones_like(y)[()], y, *values, **attrs)
            if local is not None:
                # A rule may know how the sum over what was broadcast comes out cheaper.
                whole = np.broadcast_to(local, np.shape(y))
                if np.allclose(fit(g * whole, values[position], op), term, 1e-4, equal_nan=True):
                    summed = "" if np.shape(term) == np.shape(y) else (
                        f", summed to {_shape(term)}")
                    return f"{_literal(g)} * {_factor(_literal(whole))}{summed}"
        return f"{_literal(g)} pulled back through {op.name}, argument {position}"

    def _derivative(self, name: str) -> str:
        return _ratio(self._output, name)

    def _seed(self, node: Node, seed: Any) -> None:
        name = self._names[self._places[node]]
        shown = quantity(seed)
        self._results[node] = shown
        self.steps.append(Step("backward", self._places[node], (_short(shown, seed),), shown,
                               target=self._derivative(name), term=shown, last=False))

    def _nothing(self, node: Node, zero: Any) -> None:
        """A leaf that every path reaches with a derivative that is zero by its structure."""
        name = self._names[self._places[node]]
        shown = quantity(zero)
        self.steps.append(Step("backward", self._places[node],
                               ("a sum over no path", _short(shown, zero)), shown,
                               target=self._derivative(name), term=shown))

    def _mark_last(self) -> None:
        done: set[int] = set()
        for i in range(len(self.steps) - 1, -1, -1):
            step = self.steps[i]
            if step.node not in done:
                done.add(step.node)
                self.steps[i] = replace(step, last=True)


def _shape(x: Any) -> str:
    return "a number" if np.shape(x) == () else f"[{'×'.join(map(str, np.shape(x)))}]"


def _ratio(above: str, below: str) -> str:
    """`dz/dx`; names that are no plain words in brackets."""
    return f"d{_plain(above)}/d{_plain(below)}"


def _plain(name: str) -> str:
    return name if name.isidentifier() else f"({name})"
