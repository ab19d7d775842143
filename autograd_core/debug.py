"""Finding the operation that makes a value that is not finite: ``with ag.debug_nans():``.

A block watches what is computed in it (see :mod:`observe`) and judges late, when a value or a
gradient gets out: only then is it known what matters. From what is wrong there it goes back,
element by element where an operation works that way, to the operation that made it out of finite
values.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .backprop import Route, fit
from .compiler.capture import RunEagerly
from .errors import NonFiniteError, describe
from .graph import Graph
from .node import Array, Node, value_of
from .observe import Observer, origin_of
from .op import OPS, UFUNCS, Op
from .tensor import Tensor, capturing, computed, leaf

__all__ = ["debug_nans"]

_WHERE = OPS["where"]
#: Ops besides ufuncs that work element by element.
_ELEMENTWISE = frozenset(OPS[name] for name in (
    "where", "relu", "sigmoid", "softplus", "identity", "stop_gradient", "astype"))
#: Paths longer than this are drawn without their middle part.
_DRAWN = 60
_NO_MASK = np.False_


class debug_nans(Observer):
    """A block that stops at the first operation that makes nan or inf out of finite values.

    It raises :class:`NonFiniteError` (a ``FloatingPointError``), which names the operation, forward
    or backward, the shapes and ranges of its operands, and the line where its node was made, and
    which holds the node and the path from there to the output, to be drawn. Only what gets out
    counts:

    - a value, when Python reads it (``t.data``, ``float(t)``, ...), when ``backward`` or a
      transform starts from it, where its cotangent is not zero, and at the end of the block, if it
      is held and was used for nothing;
    - a gradient of a leaf, or of an argument of a transform, when it has been computed and before
      it is stored.

    If one is not finite, it is traced back through the elements that it depends on, and the first
    operation computed among those that made nan or inf out of finite operands is named; if there
    is none, the first that made nan without being given any. A value that is not finite and
    reaches no result and no gradient raises no alarm, such as the unchosen -inf in
    ``np.where(x > 0, np.log(x), 0)``, nor does one that only leaves and constants brought in. But
    the gradient of that expression is nan at 0: the error then explains this trap of ``np.where``
    and prints the same with ``np.piecewise``.

    Compiled functions run eagerly in it, to the same effect. It holds for the current thread or
    task, and checks every value that is computed: a tool for finding a fault, not for training.

    >>> x = ag.tensor([0.0, 1.0], requires_grad=True, label="x")
    >>> with ag.debug_nans(), np.errstate(all="ignore"):
    ...     np.where(x > 0, np.log(x), 0.0).sum().backward()
    Traceback (most recent call last):
    autograd_core.errors.NonFiniteError: backward of log: ...
    """

    def __init__(self) -> None:
        #: Values that are not finite and that nothing was computed of so far.
        self._unused: dict[int, weakref.ref[Node]] = {}

    def __enter__(self) -> debug_nans:
        if capturing() is not None:
            raise RunEagerly  # a program could not be looked into
        super().__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        if exc[0] is None:
            held = [node for ref in self._unused.values() if (node := ref()) is not None]
            for node in sorted(held, key=lambda node: node._born):
                _judge_value(node, "is held at the end of the block")
        self._unused.clear()

    def made(
        self, node: Node, op: Any, inputs: Sequence[Any], attrs: Mapping[str, Any]
    ) -> None:
        for x in inputs:
            if isinstance(x, Node):
                self._unused.pop(id(x), None)
        if op is None or not _bad(node._value).any():
            return
        key = id(node)
        self._unused[key] = weakref.ref(node, lambda _: self._unused.pop(key, None))
        origin = origin_of(node)
        if node.op is None and origin is not None:  # not recorded: it is to be traced nevertheless
            node._origin = origin._replace(made=(op, tuple(inputs), attrs))

    def read(self, node: Node, what: str) -> None:
        self._unused.pop(id(node), None)
        _judge_value(node, f"was read by {what.rstrip(',')}")

    def walked(
        self, seeds: Mapping[Node, Array], route: Route, result: Mapping[Node, Array]
    ) -> None:
        starts = {y: value_of(g) for y, g in seeds.items()}
        if not any(np.any(g) for g in starts.values()):
            return  # a walk that only asks how the result depends on its cotangents
        for y, g in starts.items():
            origin = origin_of(y)
            if origin is None or origin.rule is None:  # else it is part of such a walk's result
                _judge_value(y, "is what the gradient starts from", np.not_equal(g, 0))
        ends = [(x, value_of(g)) for x, g in result.items()
                if x.op is None or x._born in route.ends]
        wrong = {x: bad for x, g in ends if (bad := _bad(g)).any()}
        if wrong:
            _judge_gradients(starts, route, wrong)


# Values. ----------------------------------------------------------------------------------------


def _bad(x: Any) -> Any:
    """Which elements are not finite."""
    kind = getattr(getattr(x, "dtype", None), "kind", "")
    if kind in ("f", "c") or isinstance(x, (float, complex)):
        return ~np.isfinite(x)
    return np.zeros(np.shape(x), bool)


def _made_by(node: Node) -> tuple[Op | None, Sequence[Any], Mapping[str, Any]]:
    """What computed a node, also where nothing was recorded."""
    if node.op is None:
        origin = origin_of(node)
        if origin is not None and origin.made is not None:
            return origin.made
    return node.op, node.inputs, node.attrs


def _elementwise(op: Op) -> bool:
    return op in _ELEMENTWISE or any(
        op is known and ufunc.signature is None for ufunc, known in UFUNCS.items())


def _relevant(op: Op, values: Sequence[Any], shape: tuple[int, ...]) -> list[Any]:
    """Per operand of an element-wise op, which elements of it the result takes notice of."""
    everywhere: list[Any] = [np.True_] * len(values)
    if op is _WHERE:
        chosen = np.broadcast_to(np.asarray(values[0], bool), shape)
        everywhere[1:] = [chosen, ~chosen]
    return everywhere


def _reduced(mask: Any, shape: tuple[int, ...]) -> Any:
    """A mask of a result as one of an operand that was broadcast to it."""
    extra = mask.ndim - len(shape)
    mask = mask.any(tuple(range(extra))) if extra else mask
    axes = tuple(i for i, n in enumerate(shape) if n == 1 and mask.shape[i] != 1)
    return mask.any(axes, keepdims=True) if axes else mask


class _Found(NamedTuple):
    """An operation that made something that is not finite: where, and what leads on from there."""

    node: Node
    mask: Any
    path: list[Node]
    #: Whether its operands were infinite there: it made nan of them.
    infinite: bool = False


def _trace(result: Node, mask: Any) -> _Found | None:
    """The first operation computed that made what is not finite in these elements of ``result``."""
    masks: dict[Node, Any] = {result: mask}
    via: dict[Node, Node] = {}
    made: list[tuple[Node, Any]] = []
    worse: list[tuple[Node, Any]] = []  # nan out of infinities
    for node in reversed(_not_finite_before(result)):
        mask = masks.pop(node, _NO_MASK)
        op, inputs, _ = _made_by(node)
        if op is None or not mask.any():
            continue
        values = [value_of(x) for x in inputs]
        shape = np.shape(node._value)
        if _elementwise(op):
            relevant = _relevant(op, values, shape)
            bad = [mask & r & np.broadcast_to(_bad(v), shape)
                   for v, r in zip(values, relevant, strict=True)]
            nans = [r & np.broadcast_to(np.isnan(v) if _bad(v).any() else np.False_, shape)
                    for v, r in zip(values, relevant, strict=True)]
            passed = [_reduced(b, np.shape(v)) for b, v in zip(bad, values, strict=True)]
        else:
            passed = [_bad(v) for v in values]
            bad = [np.broadcast_to(p.any(), shape) for p in passed]
            nans = [np.broadcast_to(np.isnan(v).any() if p.any() else np.False_, shape)
                    for v, p in zip(values, passed, strict=True)]
        fresh = mask & ~np.logical_or.reduce(bad) if bad else mask
        if np.any(fresh):
            made.append((node, fresh))
        undefined = mask & np.isnan(node._value)
        if nans:
            undefined = undefined & ~np.logical_or.reduce(nans)
        if np.any(undefined):
            worse.append((node, undefined))
        for x, p in zip(inputs, passed, strict=True):
            if isinstance(x, Node) and p.any():
                masks[x] = masks[x] | p if x in masks else p
                via.setdefault(x, node)
    if not made and not worse:
        return None
    node, mask = min(made or worse, key=lambda pair: pair[0]._born)
    return _Found(node, mask, _along(via, node), not made)


def _not_finite_before(result: Node) -> list[Node]:
    """What the result depends on by values that are not finite, each after its inputs."""
    order: list[Node] = []
    done: set[Node] = set()
    stack = [(result, False)]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            order.append(node)
        elif node not in done:
            done.add(node)
            stack.append((node, True))
            stack += [(x, False) for x in _made_by(node)[1]
                      if isinstance(x, Node) and x not in done and _bad(x._value).any()]
    return order


def _along(via: Mapping[Node, Node], node: Node) -> list[Node]:
    path = [node]
    while path[-1] in via:
        path.append(via[path[-1]])
    return path


def _judge_value(node: Node, why: str, where: Any = np.True_) -> None:
    """Raise if ``node`` is not finite, where it matters, and an operation made that."""
    mask = _bad(node._value) & where
    if not mask.any():
        return
    found = _trace(node, mask)
    if found is not None:
        reached = f"It reached {_name(node)}, which {why}{_steps(found.path)}."
        raise _error(_forward_text(found), reached, found, {})


# Gradients. -------------------------------------------------------------------------------------


class _Term(NamedTuple):
    """A rule's result that is not finite: of which node, for which input, where."""

    node: Node
    i: int
    mask: Any


class _Walk:
    """A walk backwards, repeated to be looked at."""

    def __init__(self, seeds: Mapping[Node, Array], route: Route) -> None:
        self.nodes = nodes = route.nodes
        #: The cotangents of nodes by their birth, and the rules that contributed to them.
        self.cotangents: dict[int, Array] = {x._born: g for x, g in seeds.items()}
        self.users: dict[int, list[Node]] = {}
        self.terms: dict[int, list[_Term]] = {}
        for born in route.order:
            node = nodes[born]
            if born not in self.cotangents or node.op is None or born in route.ends:
                continue
            g = self.cotangents[born]
            values = [value_of(x) for x in node.inputs]
            for i, x in enumerate(node.inputs):
                if isinstance(x, Node) and x._born in nodes:
                    rules: Any = node.op.vjps
                    term = rules[i](g, node._value, *values, **node.attrs)
                    if term is not None:
                        self._receive(node, i, x, term)

    def _receive(self, node: Node, i: int, x: Node, term: Any) -> None:
        fitted = fit(term, x._value, node.op)
        age = x._born
        before = self.cotangents.get(age)
        self.cotangents[age] = fitted if before is None else before + fitted
        self.users.setdefault(age, []).append(node)
        if _bad(fitted).any():
            self.terms.setdefault(age, []).append(_Term(node, i, _bad(term)))

    def last_term(self, born: int, mask: Any) -> _Term:
        """Where finite terms add up to what is not: the last of them."""
        node = self.users[born][-1]
        i = next(i for i, x in enumerate(node.inputs) if x is self.nodes[born])
        return _Term(node, i, np.broadcast_to(mask.any(), np.shape(node._value)))

    def path(self, node: Node) -> list[Node]:
        """From a node to the output, the way its cotangent came."""
        return _along({self.nodes[born]: users[0] for born, users in self.users.items()}, node)

    def where_above(self, node: Node, mask: Any) -> tuple[Node, int] | None:
        """A ``where`` that did not choose these elements of ``node``, or what they became."""
        seen = {node._born}
        waiting = [node]
        for x in waiting:
            for user in self.users.get(x._born, ()):
                if user.op is _WHERE and any(x is v for v in user.inputs[1:]):
                    branch = 1 if x is user.inputs[1] else 2
                    chosen = np.asarray(value_of(user.inputs[0]), bool) == (branch == 1)
                    same = np.shape(mask) == np.shape(user._value)
                    there = np.broadcast_to(chosen, np.shape(user._value))
                    if (~there & mask).any() if same else not there.all():
                        return user, branch
                if user._born not in seen:
                    seen.add(user._born)
                    waiting.append(user)
        return None


class _Cause(NamedTuple):
    """A rule that made a cotangent that is not finite, of a finite one."""

    term: _Term
    mask: Any  # among the elements of the rule's result, or of the node's
    operand: int | None  # an operand that was not finite


def _judge_gradients(
    seeds: Mapping[Node, Array], route: Route, wrong: Mapping[Node, Any]
) -> None:
    """Raise if an operation made what is wrong in these gradients, out of finite values."""
    with np.errstate(all="ignore"):
        walk = _Walk(seeds, route)
        causes = _causes(walk, route, wrong)
        if not causes:
            return
        forward = []
        for cause in causes:
            if cause.operand is not None:
                x = cause.term.node.inputs[cause.operand]
                if isinstance(x, Node):
                    found = _trace(x, _bad(x._value))
                    if found is not None:
                        forward.append((found, cause))
        backward = [cause for cause in causes if cause.operand is None]
        ends = " and ".join(map(_name, wrong))
        if forward:
            found, cause = min(forward, key=lambda pair: pair[0].node._born)
            node = cause.term.node
            path = found.path + walk.path(node)
            reached = (f"It reached the gradient of {ends} through the backward pass of "
                       f"{_name(node)}{_steps(path)}.")
            text = _forward_text(found)
            operands = [x for x in _made_by(found.node)[1] if isinstance(x, Node)]
            trap = _trap(walk, node, operands[0] if operands else found.node, cause.mask)
            raise _error(text + trap, reached, found._replace(path=path), walk.cotangents)
        if not backward:
            return
        cause = max(backward, key=lambda c: c.term.node._born)
        node, i = cause.term.node, cause.term.i
        found = _Found(node, cause.mask, walk.path(node))
        text = _backward_text(walk, cause) + _trap(walk, node, node.inputs[i], cause.mask)
        reached = f"It reached the gradient of {ends}{_steps(found.path)}."
        raise _error(text, reached, found, walk.cotangents, i)


def _causes(walk: _Walk, route: Route, wrong: Mapping[Node, Any]) -> list[_Cause]:
    """The rules behind what is wrong: followed from the leaves up, to where it was finite yet."""
    masks: dict[int, Any] = {x._born: mask for x, mask in wrong.items()}
    causes: list[_Cause] = []
    for born in reversed(route.order):
        mask = masks.get(born, _NO_MASK)
        if not mask.any():
            continue
        for term in walk.terms.get(born, ()) or [walk.last_term(born, mask)]:
            node = term.node
            assert node.op is not None
            g, values = walk.cotangents[node._born], [value_of(x) for x in node.inputs]
            gbad = _bad(g)
            shape = np.shape(node._value)
            if _elementwise(node.op) and np.shape(term.mask) == shape:
                here = term.mask & np.broadcast_to(mask, shape)
                inputs = [np.broadcast_to(_bad(v), shape) & here & ~gbad for v in values]
                own = here & ~gbad & ~np.logical_or.reduce(inputs)
                up = here & gbad
            else:
                here = term.mask if term.mask.any() else np.ones(np.shape(term.mask), bool)
                inputs = [np.broadcast_to(_bad(v).any() and not gbad.any(), here.shape) & here
                          for v in values]
                own = here & ~np.logical_or.reduce(inputs) & (not gbad.any())
                up = gbad
            if np.any(own):
                causes.append(_Cause(term, own, None))
            causes += [_Cause(term, bad, k) for k, bad in enumerate(inputs) if np.any(bad)]
            if np.any(up):
                before = masks.get(node._born)
                masks[node._born] = up if before is None else before | up
    return causes


# Saying it. -------------------------------------------------------------------------------------


def _name(node: Node) -> str:
    """A node in a sentence, and where it was made."""
    origin = origin_of(node)
    label = getattr(node, "_label", None)
    op = _made_by(node)[0]
    what = label or ("a leaf" if op is None else f"the result of {op}")
    if op is None:
        return f"{what} of shape {np.shape(node._value)}" if label is None else what
    return what if origin is None else f"{what} (made at {origin.place})"


def _where_made(node: Node) -> str:
    origin = origin_of(node)
    if origin is None:
        return "made before the block"
    scopes = " > ".join(map(str, origin.scopes))
    rule = f", in the derivative of {origin.rule[0].op}" if origin.rule is not None else ""
    return f"made at {origin.place}{rule}" + (f", in {scopes}" if scopes else "")


def _steps(path: Sequence[Node]) -> str:
    n = len(path) - 1
    return f", {n} operation{'s' if n > 1 else ''} further on" if n > 0 else ""


def _kind(x: Any, mask: Any) -> str:
    """What is not finite in an array, where, and how much of it."""
    x, mask = np.broadcast_arrays(np.asarray(x), mask)
    some = x[mask]
    what = "nan" if np.isnan(some).any() else "inf" if (some.real > 0).any() else "-inf"
    if not x.ndim:
        return what
    return (f"{what} in {mask.sum()} of {x.size} elements, the first at "
            f"{list(map(int, np.argwhere(mask)[0]))},")


def _about(x: Any, mask: Any) -> str:
    """An operand's shape, its range, and its value at the first element concerned."""
    if not hasattr(x, "shape"):
        return repr(x)
    values = np.asarray(x)
    if values.dtype.kind not in "fciub" or not values.size:
        return describe(x)
    size = np.abs(values) if values.dtype.kind == "c" else values
    finite = size[~_bad(values)]
    if not values.ndim:
        return f"{describe(x)} {values}"
    text = describe(x)
    if finite.size:
        text += f" from {finite.min():.6g} to {finite.max():.6g}"
        text += " in size" if values.dtype.kind == "c" else ""
    if finite.size < values.size:
        text += f", {values.size - finite.size} not finite"
    if mask.ndim >= values.ndim and mask.any():
        index = np.argwhere(mask)[0][mask.ndim - values.ndim:]
        if all(n in (1, m) for n, m in zip(values.shape, mask.shape[mask.ndim - values.ndim:],
                                           strict=True)):
            there = tuple(0 if n == 1 else int(i) for i, n in zip(index, values.shape, strict=True))
            text += f"; {values[there]!s} there"
    return text


def _forward_text(found: _Found) -> str:
    node, mask = found.node, np.asarray(found.mask)
    op, inputs, attrs = _made_by(node)
    assert op is not None
    values = [value_of(x) for x in inputs]
    of = "operands that are infinite" if found.infinite else "finite operands"
    if not _elementwise(op):
        mask = np.zeros((), bool)
    lines = [f"  {_label(x, f'operand {k}')}: {_about(v, mask)}"
             for k, (x, v) in enumerate(zip(inputs, values, strict=True))]
    lines += [f"  {name}: {value!r}" for name, value in attrs.items()]
    return "\n".join([
        f"{op}: {_kind(node._value, found.mask)} out of {of} ({_where_made(node)}):", *lines])


def _label(x: Any, otherwise: str) -> str:
    return getattr(x, "_label", None) or otherwise


def _backward_text(walk: _Walk, cause: _Cause) -> str:
    node, i = cause.term.node, cause.term.i
    op = node.op
    assert op is not None
    mask = np.asarray(cause.mask)
    shown = mask if _elementwise(op) else np.zeros((), bool)
    g = walk.cotangents[node._born]
    x = node.inputs[i]
    values = [value_of(v) for v in node.inputs]
    rules: Any = op.vjps
    term = rules[i](g, node._value, *values, **node.attrs)
    kind = _kind(term, mask) if np.shape(term) == mask.shape else "values that are not finite"
    lines = [f"  cotangent of the result: {_about(g, shown)}"]
    lines += [f"  {_label(v, f'operand {k}')}: {_about(values[k], shown)}"
              for k, v in enumerate(node.inputs)]
    lines += [f"  {name}: {value!r}" for name, value in node.attrs.items()]
    what = _label(x, "its operand" if len(node.inputs) == 1 else f"its operand {i}")
    return "\n".join([
        f"backward of {op}: {kind} in the cotangent of {what}, out of finite values "
        f"({_where_made(node)}):", *lines])


def _error(
    text: str, reached: str, found: _Found, cotangents: Mapping[int, Array],
    i: int | None = None,
) -> NonFiniteError:
    origin = origin_of(found.node)
    return NonFiniteError(
        f"{text}\n{reached} To see how: `ag.render(error.graph, \"path.svg\")`.",
        node=found.node, input=i, path=tuple(found.path),
        place=None if origin is None else origin.place,
        draw=lambda: _drawn(found, cotangents),
    )


def _drawn(found: _Found, cotangents: Mapping[int, Array]) -> Graph:
    """The path as a graph of its own, where all that comes in from the side is a leaf."""
    path = found.path
    half = _DRAWN // 2
    skipped = path[half:-half] if len(path) > _DRAWN else []
    parts = [path[:half], path[-half:]] if skipped else [path]
    outputs = []
    copies: dict[Node, Tensor] = {}

    def side(x: Any) -> Any:
        if not isinstance(x, Node):
            return x
        if x not in copies:
            op = _made_by(x)[0]
            label = _label(x, "" if op is None else f"{op}(...)")
            if skipped and x is skipped[-1]:
                label = f"... {len(skipped)} operations ..."
            copies[x] = leaf(x._value, x._requires, label or None)
        return copies[x]

    for part in parts:
        for node in part:
            op, inputs, attrs = _made_by(node)
            assert op is not None
            copy = computed(node._value, op, tuple(map(side, inputs)), attrs, node._requires)
            copy._label = _label(node, "not finite" if node is found.node else "") or None
            origin = origin_of(node)
            if origin is not None:
                copy._origin = origin
            if node._born in cotangents:
                copy._grad = cotangents[node._born]
            copies[node] = copy
        outputs.append(copies[part[-1]])
    return Graph(outputs if len(outputs) > 1 else outputs[0])


# The trap of where. -----------------------------------------------------------------------------

_INFIX = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "power": "**", "less": "<",
          "greater": ">", "less_equal": "<=", "greater_equal": ">=", "equal": "==",
          "not_equal": "!=", "logical_and": "&", "logical_or": "|", "bitwise_and": "&",
          "bitwise_or": "|", "floor_divide": "//", "remainder": "%", "matmul": "@"}
_DEPTH = 6


def _trap(walk: _Walk, node: Node, operand: Any, mask: Any) -> str:
    """If the cotangent is zero there, because ``where`` chose its other branch: what to write.

    ``operand``: what the guilty operation was given.
    """
    g = walk.cotangents[node._born]
    mask = np.asarray(mask)
    zero = np.asarray(g) == 0
    if not (zero[mask].all() if zero.shape == mask.shape else zero.any()):
        return ""
    found = walk.where_above(node, mask)
    if found is None:
        return ""
    where, branch = found
    say = _Expressions(operand)
    condition, *branches = map(say, where.inputs)
    before = f"np.where({condition}, {branches[0]}, {branches[1]})"
    lines = [
        "\nThis is the trap of np.where: both branches are computed and differentiated everywhere, "
        "and the zero",
        "cotangent of the branch that is not chosen, times a slope that is not finite, is nan. "
        "Instead of",
        f"    {before}",
        "write",
    ]
    x = say.operand
    functions = [say.function(x) for x in where.inputs[1:]]
    if all(functions):
        lines += [
            f"    np.piecewise({x}, [{condition}], [{', '.join(map(str, functions))}])",
            "whose functions are evaluated, and differentiated, on their own elements only; or, "
            "where all elements have",
            "to stay in their places, as in a compiled function, choose harmless operands first:",
        ]
    safe = f"np.where({condition}, {x}, 1.0)" if branch == 1 else (
        f"np.where({condition}, 1.0, {x})")
    branches[branch - 1] = _Expressions(operand, safe)(where.inputs[branch])
    lines.append(f"    np.where({condition}, {branches[0]}, {branches[1]})")
    return "\n".join(lines)


class _Expressions:
    """Nodes as the expressions that made them, as far as they are short."""

    def __init__(self, operand: Any, instead: str | None = None) -> None:
        self.names: dict[Node, str] = {}
        self._spare = iter(("x", "y", "z", "u", "v", "w"))
        self._operand = operand
        self._instead: str | None = None
        self.operand = self(operand)
        self._instead = instead

    def __call__(self, x: Any) -> str:
        return self._text(x, _DEPTH, False)

    def function(self, x: Any) -> str | None:
        """An expression as a function of the operand; None if it is one of something else."""
        if not isinstance(x, Node):
            return repr(x) if not hasattr(x, "shape") or x.shape == () else None
        if x.op is None or not self._depends(x):
            return None
        text = _Expressions(self._operand, "x")(x)
        call = f"np.{x.op.name}(x)"
        return f"np.{x.op.name}" if text == call else f"lambda x: {text}"

    def _depends(self, x: Node) -> bool:
        """Whether ``x`` is a short expression of the operand and numbers only."""
        waiting, count = [x], 0
        for node in waiting:
            count += 1
            if node is self._operand:
                continue
            if node.op is None or count > 20 or (
                node.op.name not in _INFIX and not hasattr(np, node.op.name)
            ):
                return False
            for part in node.inputs:
                if isinstance(part, Node):
                    waiting.append(part)
                elif hasattr(part, "shape") and part.shape:
                    return False
        return True

    def _text(self, x: Any, depth: int, inside: bool) -> str:
        if not isinstance(x, Node):
            return repr(x) if not hasattr(x, "shape") or x.shape == () else "array"
        if x is self._operand and self._instead is not None:
            return self._instead
        label = getattr(x, "_label", None)
        if label is not None and label.isidentifier():
            return str(label)
        if x.op is not None and x.op.name == "identity":
            return self._text(x.inputs[0], depth, inside)
        if x.op is None:
            if x not in self.names:
                self.names[x] = next(self._spare, "t")
            return self.names[x]
        if depth == 0:
            return "..."
        name = x.op.name
        if name in _INFIX and len(x.inputs) == 2:
            a, b = (self._text(part, depth - 1, True) for part in x.inputs)
            text = f"{a} {_INFIX[name]} {b}" if name != "power" else f"{a}**{b}"
            return f"({text})" if inside else text
        if name == "negative":
            return f"-{self._text(x.inputs[0], depth - 1, True)}"
        parts = [self._text(part, depth - 1, False) for part in x.inputs]
        parts += [f"{key}={value!r}" for key, value in x.attrs.items()
                  if value is not None and value is not False]
        return f"{'np.' if hasattr(np, name) else ''}{name}({', '.join(parts)})"
