"""What a drawing of a graph shows, as plain data.

Every picture is made in two steps: `describe` reads the graph once and returns a `Drawing`, and a
face (`dot.py`, and others beside it) turns the `Drawing` into its own notation. A face never looks
at a Tensor, so what is drawn is decided, and tested, here (for programs, in `programs.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from ..errors import RenderError

MAX_NODES = 1_000
"""Above this a picture cannot be read and takes long to lay out: 1 s at 1,000, 10 s at 2,000."""

_MAX_NODES_WITH_VALUES = 150
MAX_NODES_WITH_SHAPES = 500
_MAX_TEXT = 60
MAX_ELEMENTS = 6
"""More than these are summarised, not written out."""

_NO_GRADIENT = "\N{EM DASH}"
OPEN_ARGUMENT = "\N{MIDDLE DOT}"

# Swapping the operands of these changes nothing, so their edges need no position.
_COMMUTATIVE = frozenset({"add", "multiply", "maximum", "minimum"})

Kind = Literal["operation", "variable", "input", "constant", "update"]


class OpLike(Protocol):
    """The part of a primitive's record that is drawn."""

    @property
    def name(self) -> str: ...


class TensorLike(Protocol):
    """The part of a Tensor that is drawn."""

    @property
    def op(self) -> OpLike | None: ...
    @property
    def inputs(self) -> Sequence[Any]: ...
    @property
    def attrs(self) -> Mapping[str, Any]: ...
    @property
    def grad(self) -> Any: ...
    @property
    def label(self) -> str | None: ...
    @property
    def requires_grad(self) -> bool: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> Any: ...
    def numpy(self, *, force: bool = False) -> Any: ...


class GraphLike(Protocol):
    """The part of a Graph that is drawn."""

    @property
    def nodes(self) -> Sequence[TensorLike]: ...
    @property
    def outputs(self) -> Sequence[TensorLike]: ...


@dataclass(frozen=True, slots=True)
class Quantity:
    """A value or a gradient, written out or summarised, one string for each line."""

    lines: tuple[str, ...]
    alarming: bool = False
    """It holds a NaN or an infinity."""


@dataclass(frozen=True, slots=True)
class Node:
    """One box of the drawing. What is None is not shown."""

    name: str
    """Identifies the node within its drawing: `n0`, `n1`, ... in topological order."""
    kind: Kind
    """An operation, a leaf that receives a gradient, a leaf that does not, or a raw array. Of a
    program: an operation, an input that is updated, one that is not, a constant, or an update."""
    title: str
    detail: str = ""
    """What follows the title: the arguments fixed by the graph, or the operation of a labelled
    node."""
    type: str | None = None
    """dtype and shape; in a program, also the name that the value has in the listing."""
    value: Quantity | None = None
    grad: Quantity | None = None
    is_output: bool = False
    group: str | None = None
    """The name of the group that the node is drawn in."""

    @property
    def alarming(self) -> bool:
        """Whether a NaN or an infinity is shown."""
        return any(shown is not None and shown.alarming for shown in (self.value, self.grad))


@dataclass(frozen=True, slots=True)
class Edge:
    """One use of a node: `x * x` has two edges from x."""

    tail: str
    head: str
    position: int | None = None
    """Which argument of the head, counted from 0 as `argnums` is; None where it is obvious."""
    back: bool = False
    """From an update to the input that it replaces, for the next run."""


@dataclass(frozen=True, slots=True)
class Group:
    """A frame around nodes that follow each other in the drawing."""

    name: str
    title: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """All there is to draw, nodes in topological order."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    title: str | None = None
    groups: tuple[Group, ...] = ()
    rankdir: str = "LR"
    """The direction that suits it."""


@dataclass(frozen=True, slots=True)
class _Details:
    values: bool
    grads: bool
    shapes: bool


def describe(
    graph: GraphLike,
    *,
    values: bool | None = None,
    grads: bool | None = None,
    shapes: bool | None = None,
    title: str | None = None,
) -> Drawing:
    """Read a graph into a `Drawing`, in time linear in its nodes and edges.

    `values`, `grads` and `shapes` switch the details of every node on or off. Left at None, values
    are shown up to 150 nodes, gradients too if there is any, shapes and dtypes up to 500.

    Scalar constants are written into the operation that uses them, `power(·, 2)`; an array that is
    not a Tensor becomes a small node of its own.

    Raises RenderError if the graph is empty or has more than `MAX_NODES` nodes.
    """
    tensors = graph.nodes
    check_size(tensors, _ADVICE)
    details = _Details(
        values=len(tensors) <= _MAX_NODES_WITH_VALUES if values is None else values,
        grads=_grads_by_default(tensors) if grads is None else grads,
        shapes=len(tensors) <= MAX_NODES_WITH_SHAPES if shapes is None else shapes,
    )
    outputs = {id(output) for output in graph.outputs}
    names: dict[int, str] = {}
    nodes: list[Node] = []
    edges: list[Edge] = []
    for tensor in tensors:
        arguments: list[tuple[int, str]] = []
        for position, operand in enumerate(tensor.inputs):
            if _is_tensor(operand):
                arguments.append((position, names[id(operand)]))
            elif not _is_scalar(operand):
                constant = _constant(f"n{len(nodes)}", operand, details)
                nodes.append(constant)
                arguments.append((position, constant.name))
        name = names[id(tensor)] = f"n{len(nodes)}"
        nodes.append(_node(name, tensor, details, is_output=id(tensor) in outputs))
        edges.extend(edges_into(arguments, name, tensor.op))
    check_size(nodes, _ADVICE)
    return Drawing(tuple(nodes), tuple(edges), clean(title) if title else None)


def clean(text: str, limit: int = _MAX_TEXT) -> str:
    """One printable line of at most `limit` characters.

    Whitespace, control characters, lone surrogates and invisible direction marks all become plain
    spaces: none of them can be drawn, and some of them (NUL, surrogates) no file format can hold.
    """
    # Cut before cleaning too, so that a label of a million characters costs nothing.
    head = text[: 4 * limit]
    line = " ".join("".join(c if c.isprintable() else " " for c in head).split())
    cut = len(line) > limit or len(text) > len(head)
    return line[: limit - 1] + "…" if cut else line


def quantity(array: Any) -> Quantity:
    """Write an array out if it is small, else summarise it.

    >>> import numpy as np
    >>> quantity(np.float64(3.14159265)).lines
    ('3.1416',)
    >>> quantity(np.arange(100.0)).lines
    ('min 0, max 99', 'mean 49.5')
    >>> quantity(np.array([1.0, np.nan])).alarming
    True
    """
    array = np.asarray(array)
    alarming = array.dtype.kind in "fc" and not bool(np.isfinite(array).all())
    return Quantity(tuple(_lines(array)), alarming)


_ADVICE = (
    "Draw a part of the graph, starting from an inner Tensor instead of the output, or a smaller "
    "instance of it (fewer layers, steps or units); str(ag.Graph(outputs)) lists all of it as text"
)


def check_size(nodes: Sequence[object], advice: str) -> None:
    """Raise RenderError, with what to do instead, if there are no nodes or too many."""
    if not nodes:
        raise RenderError("nothing to draw: the graph has no nodes")
    if len(nodes) > MAX_NODES:
        raise RenderError(
            f"a picture of {len(nodes):,} nodes cannot be read, and takes long to lay out; "
            f"the limit is {MAX_NODES:,}. {advice}"
        )


def _grads_by_default(tensors: Sequence[TensorLike]) -> bool:
    return len(tensors) <= _MAX_NODES_WITH_VALUES and any(t.grad is not None for t in tensors)


def _is_tensor(operand: object) -> bool:
    return hasattr(operand, "inputs")


def _is_scalar(operand: object) -> bool:
    return getattr(operand, "shape", ()) == ()


def _constant(name: str, array: Any, details: _Details) -> Node:
    return Node(
        name=name,
        kind="constant",
        title="constant",
        type=_type(array) if details.shapes else None,
        value=quantity(array) if details.values else None,
    )


def _node(name: str, tensor: TensorLike, details: _Details, *, is_output: bool) -> Node:
    kind = _kind(tensor)
    label = "" if tensor.label is None else clean(str(tensor.label))
    call = "" if tensor.op is None else written(
        tensor.op, [scalar(x) if _is_constant_scalar(x) else OPEN_ARGUMENT for x in tensor.inputs],
        tensor.attrs,
    )
    return Node(
        name=name,
        kind=kind,
        title=label or call or kind,
        detail=f"= {call}" if label and call else "",
        type=_type(tensor) if details.shapes else None,
        value=quantity(tensor.numpy(force=True)) if details.values else None,
        grad=_gradient(tensor.grad) if details.grads else None,
        is_output=is_output,
    )


def _kind(tensor: TensorLike) -> Kind:
    if tensor.op is not None:
        return "operation"
    return "variable" if tensor.requires_grad else "input"


def _gradient(grad: Any) -> Quantity:
    if grad is None:
        return Quantity((_NO_GRADIENT,))
    return quantity(grad.numpy(force=True) if _is_tensor(grad) else grad)


def edges_into(
    arguments: Sequence[tuple[int, str]], head: str, op: OpLike | None
) -> Iterator[Edge]:
    """An edge for each of (position, name) of a node's arguments."""
    obvious = len(arguments) < 2 or (op is not None and op.name in _COMMUTATIVE)
    for position, tail in arguments:
        yield Edge(tail, head, None if obvious else position)


def written(op: OpLike, operands: Sequence[str], attributes: Mapping[str, Any]) -> str:
    """`exp`, `power(·, 2)`, `sum(·, axis=0)`: arguments appear once one of them is fixed."""
    attrs = [
        f"{key}={_attribute(value)}"
        for key, value in attributes.items()
        if not _left_alone(key, value)
    ]
    if not attrs and all(operand is OPEN_ARGUMENT for operand in operands):
        return clean(op.name)
    return clean(f"{op.name}({', '.join([*operands, *attrs])})")


def _is_constant_scalar(operand: object) -> bool:
    return not _is_tensor(operand) and _is_scalar(operand)


def _left_alone(key: str, value: object) -> bool:
    """`axis=None, keepdims=False` only say that nothing was asked for; `x[None]` adds an axis."""
    return (value is None and key != "index") or value is False


def _attribute(value: object) -> str:
    if isinstance(value, slice):
        bounds = ["" if bound is None else str(bound) for bound in (value.start, value.stop)]
        return ":".join(bounds if value.step is None else [*bounds, str(value.step)])
    if isinstance(value, tuple):
        return f"({', '.join(map(_attribute, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, np.ndarray):
        return _type(value)
    if isinstance(value, np.dtype):
        return str(value)
    if value is Ellipsis:
        return "..."
    if callable(value):
        return str(getattr(value, "__name__", value))
    return str(value)


def _type(array: Any) -> str:
    """`float64` for a scalar, else `float64 (3, 4)`."""
    return f"{array.dtype} {array.shape}" if array.shape else str(array.dtype)


def _lines(array: np.ndarray[Any, Any]) -> Iterator[str]:
    if array.size == 0:
        yield "empty"
    elif array.ndim == 0:
        yield scalar(array[()])
    elif array.size <= MAX_ELEMENTS and array.ndim <= 2:
        for row in np.atleast_2d(array):
            yield f"[{', '.join(map(scalar, row))}]"
    else:
        yield from _summary(array)


def _summary(array: np.ndarray[Any, Any]) -> Iterator[str]:
    if array.dtype.kind == "b":
        yield f"{np.count_nonzero(array)} of {array.size} true"
        return
    if array.dtype.kind not in "iufc":
        yield f"{array.size} elements"
        return
    # Complex numbers have no order: their magnitudes are summarised.
    magnitude, of = (np.abs(array), "|·| ") if array.dtype.kind == "c" else (array, "")
    finite = magnitude[np.isfinite(magnitude)]
    if finite.size:
        yield f"{of}min {scalar(finite.min())}, max {scalar(finite.max())}"
        # In float64, since a float16 sum overflows at 65504; a float64 one may still, harmlessly.
        with np.errstate(over="ignore"):
            yield f"{of}mean {scalar(finite.mean(dtype=np.float64))}"
    if finite.size < array.size:
        nan = int(np.count_nonzero(np.isnan(array)))
        infinite = array.size - finite.size - nan
        yield ", ".join(f"{n} {what}" for n, what in ((nan, "nan"), (infinite, "inf")) if n)


def scalar(value: Any) -> str:
    """Five significant digits, and whole numbers whole."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, int) and abs(value) < 10**9:
        return str(value)
    if isinstance(value, (int, float, complex, np.inexact)):
        # An int beyond the range of a float cannot be formatted with `g`.
        return f"{value:.5g}" if not isinstance(value, int) or abs(value) < 10**300 else "huge"
    return clean(str(value), limit=24)
