"""Recipe: how some nodes are computed from others, without their values.

A graph with its values forgotten. What is recorded once can then be computed again, for other
values, on nodes (which records) or on plain arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .node import Array, Node
from .op import Op

__all__ = ["Recipe", "Ref", "recipe_of"]


class Ref(int):
    """An operand of a step: the value of that number, counting the inputs first, then the steps."""

    __slots__ = ()


class Recipe:
    """Steps from ``n_inputs`` values to the results.

    ``steps``: op, operands (a :class:`Ref`, an array or a Python number) and static arguments.
    ``largest``: how many elements the largest value had when the recipe was made.
    """

    __slots__ = ("__weakref__", "largest", "n_inputs", "results", "steps")

    def __init__(
        self, n_inputs: int, steps: Sequence[tuple[Op, tuple[Any, ...], Mapping[str, Any]]],
        results: Sequence[Ref], largest: int,
    ) -> None:
        self.n_inputs = n_inputs
        self.steps = steps
        self.results = results
        self.largest = largest

    def __call__(self, inputs: Sequence[Array]) -> list[Array]:
        """The results for these inputs; recorded where they depend on a node."""
        values = list(inputs)
        for op, operands, attrs in self.steps:
            values.append(op(*[values[x] if type(x) is Ref else x for x in operands], **attrs))
        return [values[i] for i in self.results]

    def __repr__(self) -> str:
        return f"<{len(self.steps)} operations>"


def recipe_of(
    outputs: Sequence[Node], since: int, by: Node | None = None,
    constant: Callable[[Any], Any] = lambda x: x,
) -> tuple[Recipe, list[Node]]:
    """How ``outputs`` came of what is older than ``since``; and those inputs.

    Leaves are inputs, too, and so is what another computation would not give again: a random draw.
    ``by``: only what depends on this node is a step; what does not is an input. ``constant``: what
    to keep for an operand that is no node.
    """
    found: dict[Node, None] = dict.fromkeys(outputs)
    stack = list(found)
    while stack:
        node = stack.pop()
        if node._born > since:
            for x in node.inputs:
                if isinstance(x, Node) and x not in found:
                    found[x] = None
                    stack.append(x)
    inputs: list[Node] = []
    made: list[Node] = []
    dependent = {by}
    for node in sorted(found, key=_birth):  # each after its inputs
        if node.op is None or node._born <= since or not node.op.pure or (
            by is not None and not any(isinstance(x, Node) and x in dependent for x in node.inputs)
        ):
            inputs.append(node)
        else:
            dependent.add(node)
            made.append(node)
    needed = set(outputs)
    for node in reversed(made):  # inputs of what has become an input itself are none
        if node in needed:
            needed.update(x for x in node.inputs if isinstance(x, Node))
    inputs = [x for x in inputs if x in needed]
    numbers = {x: Ref(i) for i, x in enumerate(inputs)}
    steps: list[tuple[Op, tuple[Any, ...], Mapping[str, Any]]] = []
    for node in made:
        if node in needed and node.op is not None:
            operands = tuple([numbers[x] if isinstance(x, Node) else constant(x)
                              for x in node.inputs])
            numbers[node] = Ref(len(inputs) + len(steps))
            steps.append((node.op, operands, node.attrs))
    largest = max((node._value.size for node in (*inputs, *made)), default=0)
    return Recipe(len(inputs), steps, [numbers[y] for y in outputs], largest), inputs


def _birth(node: Node) -> int:
    return node._born
