"""What a drawing of a graph shows, as plain data.

Every picture is made in two steps: `describe` reads the graph once and returns a `Drawing`, and a
face (`dot.py`, `outline.py`, and others beside them) turns the `Drawing` into its own notation. A
face never looks at a Tensor, so what is drawn is decided, and tested, here (for programs, in
`programs.py`). Between the two, `collapse.py` makes smaller drawings of large ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from ..errors import RenderError
from .flow import Flow, local_derivatives, terms_of

MAX_NODES = 1_000
"""Above this a picture is collapsed: it cannot be read and takes long to lay out, 1 s at 1,000
nodes and 10 s at 2,000."""

_MAX_NODES_WITH_DERIVATIVES = 60
_MAX_NODES_WITH_VALUES = 150
MAX_NODES_WITH_SHAPES = 500
_MAX_TEXT = 60
MAX_ELEMENTS = 6
"""More than these are summarised, not written out."""

_NO_GRADIENT = "\N{EM DASH}"
OPEN_ARGUMENT = "\N{MIDDLE DOT}"

# Swapping the operands of these changes nothing, so their edges need no position.
_COMMUTATIVE = frozenset({"add", "multiply", "maximum", "minimum"})

Kind = Literal["operation", "variable", "input", "constant", "update", "group"]
GroupKind = Literal["fused", "module", "side"]
FORWARD, BACKWARD = "forward", "backward"


class OpLike(Protocol):
    """The part of a primitive's record that is drawn."""

    @property
    def name(self) -> str: ...
    @property
    def formula(self) -> str: ...


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
    array: Any = field(default=None, compare=False, repr=False)
    """The array or scalar itself, not to be written into; None where there is none yet."""


@dataclass(frozen=True, slots=True)
class Node:
    """One box of the drawing. What is None is not shown."""

    name: str
    """Identifies the node within its drawing: `n0`, `n1`, ... in topological order."""
    kind: Kind
    """An operation, a leaf that receives a gradient, a leaf that does not, or a raw array. Of a
    program: an operation, an input that is updated, one that is not, a constant, or an update.
    A "group" stands for all the nodes of a group that was collapsed."""
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
    """The name of the innermost group that the node is drawn in."""
    op: str | None = None
    """The name of the primitive, of a node that was computed."""
    formula: str | None = None
    """What the primitive computes, as its record says: `a * b`."""
    scalars: tuple[tuple[int, str], ...] = ()
    """Numbers written into the node: position among the arguments, and text."""
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    place: str | None = None
    """Where in the source it was made, `train.py:17`, if that was noted."""
    count: int = 1
    """How many nodes it stands for."""
    colour: int | None = None
    """What it shares with the nodes of the same number: an entry of the drawing's legend."""

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
    tie: bool = False
    """From a node of the forward pass to one of the backward pass that was made for it."""
    argument: int | None = None
    """As `position`, obvious or not."""
    local: Quantity | None = None
    """∂head/∂tail through this argument alone, between scalars."""
    cotangent: Quantity | None = None
    """What flows back along the edge: ∂output/∂head · ∂head/∂tail."""
    count: int = 1
    """How many edges it stands for."""


@dataclass(frozen=True, slots=True)
class Group:
    """A frame around nodes: operations that run as one, or that one module made."""

    name: str
    title: str
    kind: GroupKind = "fused"
    parent: str | None = None
    """The group that it is drawn in."""
    path: tuple[str, ...] = ()
    """Of a module: its title after those of the modules around it."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """All there is to draw, nodes in topological order."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    title: str | None = None
    groups: tuple[Group, ...] = ()
    """Each after its parent."""
    rankdir: str = "LR"
    """The direction that suits it."""
    note: str | None = None
    """What the reader should know: what was left out, and how to see it."""
    legend: tuple[str, ...] = ()
    """What the colours of nodes stand for, by their numbers."""
    places: bool = False
    """Whether nodes show where they were made."""


def walk(drawing: Drawing) -> Iterator[Node | Group | None]:
    """The nodes in order, each group before all that is in it, and None where it ends."""
    groups = {group.name: group for group in drawing.groups}
    inside: dict[str | None, list[Node | Group]] = {None: []}
    for node in drawing.nodes:
        item: Node | Group = node
        name = node.group
        while name is not None and name not in inside:
            inside[name] = [item]
            item = groups[name]
            name = groups[name].parent
        inside[name].append(item)
    stack: list[tuple[str | None, Iterator[Node | Group]]] = [(None, iter(inside[None]))]
    while stack:
        name, items = stack[-1]
        for item in items:
            yield item
            if isinstance(item, Group):
                stack.append((item.name, iter(inside[item.name])))
                break
        else:
            stack.pop()
            if name is not None:
                yield None


class Origin(NamedTuple):
    """Where a Tensor was made: the place in the source, and the parts of the program around it."""

    place: object = None
    scopes: tuple[Any, ...] = ()
    """The modules or `ag.scope` blocks, outermost first; `str` gives their titles."""


@dataclass(frozen=True, slots=True)
class Side:
    """An outermost scope: the forward or the backward pass."""

    title: str

    def __str__(self) -> str:
        return self.title


@dataclass(frozen=True, slots=True)
class Details:
    """What is shown of each node and edge; None leaves it to the size of the graph."""

    values: bool | None = None
    grads: bool | None = None
    shapes: bool | None = None
    derivatives: bool | None = None
    """The local derivative, on the edges between scalars."""
    cotangents: bool | None = None
    """What flows back, on the edges."""

    def for_graph(self, tensors: Sequence[TensorLike], flow: Flow | None = None) -> Details:
        """The same with all decided."""
        size = len(tensors)
        some_grads = size <= _MAX_NODES_WITH_VALUES and (
            flow is not None or any(t.grad is not None for t in tensors))
        grads = some_grads if self.grads is None else self.grads
        scalar = all(t.shape == () for t in tensors)
        few = size <= _MAX_NODES_WITH_DERIVATIVES
        return Details(
            values=size <= _MAX_NODES_WITH_VALUES if self.values is None else self.values,
            grads=grads,
            shapes=size <= MAX_NODES_WITH_SHAPES if self.shapes is None else self.shapes,
            derivatives=grads and few and scalar if self.derivatives is None else self.derivatives,
            cotangents=grads and few and scalar if self.cotangents is None else self.cotangents,
        )


def describe(
    graph: GraphLike,
    *,
    values: bool | None = None,
    grads: bool | None = None,
    shapes: bool | None = None,
    derivatives: bool | None = None,
    cotangents: bool | None = None,
    places: bool = False,
    title: str | None = None,
    flow: Flow | None = None,
    origin: Callable[[Any], Origin] | None = None,
) -> Drawing:
    """Read a graph of any size into a `Drawing`, in time linear in its nodes and edges.

    `values`, `grads` and `shapes` switch the details of every node on or off, `derivatives` and
    `cotangents` those of edges. Left at None, values are shown up to 150 nodes, gradients too if
    there is any, shapes and dtypes up to 500; where all nodes are scalars with gradients, up to 60,
    each edge shows ∂head/∂tail (1 as the cotangent of the head) and what flows back along it.

    Scalar constants are written into the operation that uses them, `power(·, 2)`; an array that is
    not a Tensor becomes a small node of its own.

    Gradients are those that the Tensors hold, or those of `flow` where it is given. `origin` says
    where a Tensor was made, by default what an observer has noted; nodes are then in groups by
    module, and parameters and constants in the innermost one that holds all their uses. A module
    that is called twice makes two groups.

    Raises RenderError if the graph is empty.
    """
    tensors = graph.nodes
    if not tensors:
        raise RenderError("nothing to draw: the graph has no nodes")
    details = Details(values, grads, shapes, derivatives, cotangents).for_graph(tensors, flow)
    reader = _Reader(details, flow, {id(output) for output in graph.outputs})
    origins = {id(tensor): (noted(tensor) if origin is None else origin(tensor))
               for tensor in tensors}
    visits = _visits(tensors, origins)
    for tensor in tensors:
        reader.add(tensor, origins[id(tensor)].place, visits.get(id(tensor), ()))
    groups = reader.group_leaves()
    return Drawing(tuple(reader.nodes), tuple(reader.edges), clean(title) if title else None,
                   tuple(groups), note=reader.staleness(), places=places)


class _Reader:
    """The drawing of a graph as far as it is read."""

    def __init__(self, details: Details, flow: Flow | None, outputs: set[int]) -> None:
        self.nodes: list[Node] = []
        self.edges: list[Edge] = []
        self._details = details
        self._flow = flow
        self._outputs = outputs
        self._names: dict[int, str] = {}
        #: The groups around each node so far, by its number; None for leaves.
        self._scopes: list[tuple[_Visit, ...] | None] = []
        self._stale: str | None = None

    def add(self, tensor: TensorLike, place: object, scopes: tuple[_Visit, ...]) -> None:
        arguments: list[tuple[int, str]] = []
        for position, operand in enumerate(tensor.inputs):
            if is_tensor(operand):
                arguments.append((position, self._names[id(operand)]))
                if self._stale is None and _born(operand) > _born(tensor):
                    self._stale = clean(str(operand.label or "a leaf"))
            elif not _is_scalar(operand):
                name = f"n{len(self.nodes)}"
                self._append(_constant(name, operand, self._details), None)
                arguments.append((position, name))
        name = self._names[id(tensor)] = f"n{len(self.nodes)}"
        shown = None if place is None else clean(str(place))
        self._append(self._node(name, tensor, shown), None if tensor.op is None else scopes)
        self.edges.extend(self._edges(tensor, arguments, name))

    def _append(self, node: Node, scopes: tuple[_Visit, ...] | None) -> None:
        self.nodes.append(node)
        self._scopes.append(scopes)

    def _node(self, name: str, tensor: TensorLike, place: str | None) -> Node:
        kind = _kind(tensor)
        label = "" if tensor.label is None else clean(str(tensor.label))
        call = "" if tensor.op is None else written(
            tensor.op,
            [scalar(x) if _is_constant_scalar(x) else OPEN_ARGUMENT for x in tensor.inputs],
            tensor.attrs,
        )
        details, flow = self._details, self._flow
        grad = tensor.grad if flow is None else flow.gradients.get(id(tensor))
        return Node(
            name=name,
            kind=kind,
            title=label or call or kind,
            detail=f"= {call}" if label and call else "",
            type=_type(tensor) if details.shapes else None,
            value=quantity(tensor.numpy(force=True)) if details.values else None,
            grad=_gradient(grad) if details.grads else None,
            is_output=id(tensor) in self._outputs,
            op=None if tensor.op is None else clean(tensor.op.name),
            formula=None if tensor.op is None else tensor.op.formula,
            scalars=tuple((i, scalar(x)) for i, x in enumerate(tensor.inputs)
                          if _is_constant_scalar(x)),
            shape=tensor.shape,
            dtype=str(tensor.dtype),
            place=place,
        )

    def _edges(
        self, tensor: TensorLike, arguments: Sequence[tuple[int, str]], head: str
    ) -> Iterator[Edge]:
        plain = edges_into(arguments, head, tensor.op)
        local: Mapping[int, Any] = {}
        terms: Mapping[int, Any] = {}
        if tensor.op is not None and tensor.requires_grad:
            if self._details.derivatives:
                local = local_derivatives(tensor)
            if self._details.cotangents:
                terms = terms_of(tensor) if self._flow is None else self._flow.terms_of(tensor)
        if not local and not terms:
            yield from plain
            return
        for edge, (i, _) in zip(plain, arguments, strict=True):
            yield Edge(edge.tail, head, edge.position, argument=i,
                       local=quantity(local[i]) if i in local else None,
                       cotangent=quantity(terms[i]) if i in terms else None)

    def staleness(self) -> str | None:
        """What to say if an input was replaced after something had been computed from it."""
        if self._stale is None:
            return None
        return (
            f"{self._stale} has changed since: what was computed from it, and gradients, are out "
            "of date (graph.fprop() recomputes them)"
        )

    def group_leaves(self) -> list[Group]:
        """Put each node into its group, leaves into that of their uses, and return the groups."""
        if not any(self._scopes):
            return []
        number = {node.name: i for i, node in enumerate(self.nodes)}
        for edge in self.edges:
            tail = number[edge.tail]
            kind = self.nodes[tail].kind
            if kind == "operation":
                continue
            used = self._scopes[number[edge.head]] or ()
            if kind == "input":  # they belong to who calls the module, but to one of the passes
                used = used[:1] if used and isinstance(used[0].scope, Side) else ()
            seen = self._scopes[tail]
            self._scopes[tail] = used if seen is None else _around_both(seen, used)
        groups: dict[_Visit, Group] = {}
        for i, scopes in enumerate(self._scopes):
            for visit in scopes or ():
                if visit not in groups:
                    groups[visit] = _group(f"g{len(groups)}", visit, groups)
            if scopes:
                self.nodes[i] = replaced(self.nodes[i], group=groups[scopes[-1]].name)
        return list(groups.values())


def noted(tensor: Any) -> Origin:
    """What an observer has left on a Tensor; nothing if there was none."""
    found = getattr(tensor, "_origin", None)
    return Origin() if found is None else Origin(found.place, found.scopes)


@dataclass(eq=False, slots=True)
class _Visit:
    """A module at work, from when it was called until it returned."""

    scope: Any
    outer: _Visit | None


def _visits(
    tensors: Sequence[TensorLike], origins: Mapping[int, Origin]
) -> dict[int, tuple[_Visit, ...]]:
    """For each Tensor the visits that it was made in, by its `id`.

    A visit is over when something was computed outside of it: births tell.
    """
    found: dict[int, tuple[_Visit, ...]] = {}
    if not any(origin.scopes for origin in origins.values()):
        return found
    now: tuple[_Visit, ...] = ()
    for tensor in sorted(tensors, key=_born):
        if tensor.op is None:
            continue
        scopes = origins[id(tensor)].scopes
        same = 0
        while same < min(len(now), len(scopes)) and now[same].scope == scopes[same]:
            same += 1
        now = now[:same]
        for scope in scopes[same:]:
            now = (*now, _Visit(scope, now[-1] if now else None))
        found[id(tensor)] = now
    return found


def _around_both(a: tuple[_Visit, ...], b: tuple[_Visit, ...]) -> tuple[_Visit, ...]:
    if a and b and a[0] is not b[0] and isinstance(a[0].scope, Side):
        return a[:1] if str(a[0].scope) == FORWARD else b[:1]
    same = 0
    while same < min(len(a), len(b)) and a[same] is b[same]:
        same += 1
    return a[:same]


def _group(name: str, visit: _Visit, groups: Mapping[_Visit, Group]) -> Group:
    title = clean(str(visit.scope)) or "module"
    outer = None if visit.outer is None else groups[visit.outer]
    if isinstance(visit.scope, Side):
        return Group(name, title, "side")
    path = (*(outer.path if outer is not None else ()), title)
    return Group(name, title, "module", None if outer is None else outer.name, path)


def replaced(node: Node, **changes: Any) -> Node:
    """`dataclasses.replace`, several times as fast."""
    copy = object.__new__(Node)
    for name in Node.__slots__:
        object.__setattr__(copy, name, changes.get(name, getattr(node, name)))
    return copy


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
    return Quantity(tuple(_lines(array)), alarming, array[()])


def is_tensor(operand: object) -> bool:
    """Whether it is a node of the graph, rather than an array or a number."""
    return hasattr(operand, "inputs")


def _born(tensor: Any) -> float:
    """When the value was computed or assigned, on the engine's clock."""
    return getattr(tensor, "_born", 0)


def _is_scalar(operand: object) -> bool:
    return getattr(operand, "shape", ()) == ()


def _constant(name: str, array: Any, details: Details) -> Node:
    return Node(
        name=name,
        kind="constant",
        title="constant",
        type=_type(array) if details.shapes else None,
        value=quantity(array) if details.values else None,
        shape=array.shape,
        dtype=str(array.dtype),
    )


def _kind(tensor: TensorLike) -> Kind:
    if tensor.op is not None:
        return "operation"
    return "variable" if tensor.requires_grad else "input"


def _gradient(grad: Any) -> Quantity:
    if grad is None:
        return Quantity((_NO_GRADIENT,))
    return quantity(grad.numpy(force=True) if is_tensor(grad) else grad)


def edges_into(
    arguments: Sequence[tuple[int, str]], head: str, op: OpLike | None
) -> Iterator[Edge]:
    """An edge for each of (position, name) of a node's arguments."""
    obvious = len(arguments) < 2 or (op is not None and op.name in _COMMUTATIVE)
    for position, tail in arguments:
        yield Edge(tail, head, None if obvious else position, argument=position)


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
    return not is_tensor(operand) and _is_scalar(operand)


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
