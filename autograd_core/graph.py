"""Graph: a computation as data, evaluated forwards and differentiated backwards.

``fprop`` visits the nodes in topological order and computes each from its inputs; ``bprop``
visits them in reverse and sums, at each node, the contributions of all paths to the output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from .backprop import pull, reach
from .compiler.replay import Replay, plan, release
from .errors import CompileError, GradientError, ShapeError, caller, explain
from .node import Array, Node, in_order_of_birth, tick, topological
from .observe import observed
from .tensor import Tensor, as_data, capturing

__all__ = ["Graph"]


class Graph:
    """All that the outputs were computed from.

    ``outputs`` is a Tensor or a sequence of Tensors. ``nodes`` are in topological order, every
    node after its inputs; ``inputs`` are the leaves among them.

    >>> x = ag.tensor(3.0, requires_grad=True, label="x")
    >>> graph = ag.Graph(x * x + 1.0)
    >>> print(graph)
    %x = leaf : f64[]  requires gradient
    %1 = multiply(%x, %x) : f64[]
    %2 = add(%1, 1.0) : f64[]
    return %2
    >>> graph.fprop({x: 4.0})
    np.float64(17.0)
    """

    def __init__(self, outputs: Tensor | Sequence[Tensor]) -> None:
        several = isinstance(outputs, (list, tuple))
        chosen = tuple(outputs) if several else (outputs,)
        for output in chosen:
            if not isinstance(output, Node):
                raise TypeError(
                    "Graph: outputs are a Tensor or a sequence of Tensors, got "
                    f"{type(output).__name__}"
                )
        if not chosen:
            raise ValueError("Graph: needs at least one output")
        self._single = not several
        self.outputs: tuple[Tensor, ...] = chosen
        self.nodes: list[Tensor] = topological(chosen)  # type: ignore[assignment]
        if any(node.op is not None and not node.op.pure for node in self.nodes):
            # Replayed in the order in which they were computed, draws come out as at first.
            self.nodes = in_order_of_birth(self.nodes)  # type: ignore[assignment]
        self.inputs: list[Tensor] = [node for node in self.nodes if node.op is None]
        self._replays = 0
        self._replay: Replay | None = None

    def fprop(self, feed: Mapping[Tensor, Any] | None = None) -> Any:
        """Recompute every node from the current values of the leaves.

        ``feed`` replaces the values of leaves first; a value may have a new shape if the static
        arguments recorded in the graph (shapes of reshapes, indices) still fit. Returns the value
        of the output, or a tuple for several. If an operation fails, no node has changed.

        A graph of many scalars is replayed as a few array operations from the third call on, and
        so is ``bprop`` after it; results differ by rounding at most.
        """
        _refuse_recording("fprop")
        values: dict[Node, Array] = {}
        leaves = set(self.inputs) if feed else set()
        for leaf, value in (feed or {}).items():
            if leaf not in leaves:
                raise TypeError(
                    f"fprop: the keys of `feed` are leaves of this graph, got {leaf!r} "
                    f"(at {caller()})"
                )
            values[leaf] = _fed(leaf, value)
        computed = self._replay.compute(values) if self._replay is not None else None
        if computed is None:
            self._compute(values)
        for leaf in feed or {}:
            leaf.data = values[leaf]
        if self._replay is not None and computed is not None:
            self._replay.commit(computed)
        else:
            self._commit(values)
            self._replays += 1
            if self._replays == 2:  # there will be more: now a plan is worth its making
                self._replay = plan(self.nodes, self.outputs)
        results = tuple(output.data for output in self.outputs)
        return results[0] if self._single else results

    def _compute(self, values: dict[Node, Array]) -> None:
        """Add to the fed ``values`` those of all nodes."""
        for node in self.nodes:
            if node in values:
                continue
            op = node.op
            if op is None:
                values[node] = node._value if node._lent is None else node.settle()
                continue
            raw = [values[x] if isinstance(x, Node) else x for x in node.inputs]
            try:
                values[node] = op.forward(*raw, **node.attrs)
            except (ValueError, TypeError, IndexError) as cause:
                raise explain(op.name, raw, node.attrs, cause) from cause

    def _commit(self, values: Mapping[Node, Array]) -> None:
        for node in self.nodes:
            if node.op is None:
                if node._lent is not None:
                    node.settle()
            else:
                if node._lent is not None:
                    release(node)
                node._value = values[node]
                node._born = tick()

    def bprop(self, grad: Any = None) -> None:
        """Set ``.grad`` of every node to the derivative of the output with respect to it.

        ``grad`` is the cotangent of the output, 1 by default for a scalar; a sequence for several
        outputs, which are summed. Unlike ``backward`` this sets gradients instead of accumulating
        them and reaches all nodes, not only leaves; nodes that the output does not depend on
        differentiably get None.
        """
        _refuse_recording("bprop")
        given: Sequence[Any] = (
            [grad] * len(self.outputs) if grad is None
            else [grad] if self._single else list(grad)
        )
        if len(given) != len(self.outputs):
            raise ShapeError(
                f"bprop: {len(given)} cotangents for {len(self.outputs)} outputs (at {caller()})"
            )
        if not any(output._requires for output in self.outputs):
            raise GradientError(
                f"bprop: no leaf of the graph requires a gradient (at {caller()}); make leaves "
                "with `ag.tensor(x, requires_grad=True)`"
            )
        seeds: dict[Node, Array] = {}
        for output, cotangent in zip(self.outputs, given, strict=True):
            seed = output._seed(cotangent, False, "bprop")
            seeds[output] = seeds[output] + seed if output in seeds else seed
        if self._replay is not None and self._replay.current() and not observed():
            self._replay.pull(seeds)
            return
        found = pull(seeds, reach(self.outputs), keep=set(self.nodes))
        for node in self.nodes:
            node._set_grad(found.get(node))

    def to_text(self, **options: Any) -> str:
        """The graph as an indented outline; the options are those of :func:`to_text`."""
        return _render().to_text(self, **options)  # type: ignore[no-any-return]

    def render(self, path: Any, **options: Any) -> Any:
        """Draw the graph into a file; the options are those of :func:`render`."""
        return _render().render(self, path, **options)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return import_module(".render.notebook", __package__).bundle(self)  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return len(self.nodes)

    def __str__(self) -> str:
        """One line a node: ``%3 = multiply(%1, %x) : f64[2,3]``, deterministic."""
        names: dict[Node, str] = {}
        taken: set[str] = set()
        lines = []
        count = 0
        for node in self.nodes:
            label = node.label
            if label and label.isidentifier() and label not in taken:
                names[node] = f"%{label}"
                taken.add(label)
            else:
                count += 1
                names[node] = f"%{count}"
            lines.append(f"{names[node]} = {_definition(node, names)} : {type_of(node._value)}"
                         + ("  requires gradient" if node.op is None and node._requires else ""))
        lines.append("return " + ", ".join(names[output] for output in self.outputs))
        return "\n".join(lines)

    def __repr__(self) -> str:
        leaves = len(self.inputs)
        return f"Graph({len(self.nodes) - leaves} operations on {leaves} leaves)"


def _render() -> Any:
    """What draws, which is loaded when something is drawn."""
    return import_module(".render", __package__)


def _refuse_recording(name: str) -> None:
    if capturing() is not None:
        raise CompileError(
            f"{name}: a Graph inside a compiled function computes values that the recording cannot "
            f"see (at {caller()}); call the function that built it, and backward(), or use the "
            "Graph outside: it replays as a plan by itself"
        )


def _fed(leaf: Tensor, value: Any) -> Array:
    """A copy of ``value`` in the leaf's dtype; never a float cut down to an integer."""
    given = as_data(value)
    if not np.can_cast(given.dtype, leaf.dtype, "same_kind"):
        raise TypeError(
            f"fprop: a value of dtype {given.dtype} for {leaf!r} of dtype {leaf.dtype} "
            f"(at {caller()})"
        )
    return given.astype(leaf.dtype, copy=False)


def _definition(node: Node, names: Mapping[Node, str]) -> str:
    if node.op is None:
        return "leaf"
    parts = [names[x] if isinstance(x, Node) else _constant(x) for x in node.inputs]
    parts += [f"{name}={value!r}" for name, value in node.attrs.items()]
    return f"{node.op}({', '.join(parts)})"


def _constant(x: Any) -> str:
    return repr(x) if isinstance(x, (int, float, complex)) else f"const {type_of(x)}"


def type_of(x: Array) -> str:
    """A type as listings show it: ``f32[32,128]``."""
    dtype = x.dtype
    name = "bool" if dtype.kind == "b" else f"{dtype.kind}{8 * dtype.itemsize}"
    return f"{name}[{','.join(map(str, x.shape))}]"
