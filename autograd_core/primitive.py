"""Derivatives of the user's own: primitives that the engine does not look into, and functions
that it computes as written but differentiates by another rule.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .containers import aligned, flatten, map_leaves, pack, unpack
from .errors import GradientError, MissingRuleError, caller, describe
from .node import Array, Node, tick, value_of
from .op import MissingRule, Op, Rule
from .ops import flow
from .tensor import Tensor, capturing, constant, is_recording, record

__all__ = ["CustomVJP", "Primitive", "custom_vjp", "primitive"]


class Primitive:
    """A function that the engine does not look into. See :func:`primitive`."""

    def __init__(self, f: Callable[..., Any]) -> None:
        functools.update_wrapper(self, f)
        self._forward = f
        self._op = self._make(())

    def _make(self, rules: tuple[Rule | None, ...]) -> Op:
        name = getattr(self._forward, "__name__", "primitive")
        return Op(name, self._compute, _Rules(name, rules), f"{name}(...)")

    def _compute(self, *arrays: Array, **attrs: Any) -> Array:
        """The function on plain arrays, its result as the graph can hold it."""
        y = self._forward(*arrays, **attrs)
        if isinstance(y, Node):
            raise TypeError(
                "the function of a primitive computes with plain arrays but returned a Tensor; "
                "pass every Tensor it uses as a positional argument"
            )
        if isinstance(y, (int, float, complex)):
            return np.asarray(y)[()]
        if not hasattr(y, "dtype"):
            raise TypeError(
                f"a primitive returns one array, got {type(y).__name__}; join several with "
                "np.stack or np.concatenate, or make a primitive of each"
            )
        return y

    def defvjp(self, *rules: Rule | None) -> Primitive:
        """Give one rule per argument, ``rule(g, y, *xs, **attrs)`` -> the cotangent of it.

        ``None`` stands for an argument without a rule. Returns the primitive itself.
        """
        self._op = self._make(rules)
        return self

    def __repr__(self) -> str:
        return f"<primitive {self._op.name}>"

    def __call__(self, *args: Any, **attrs: Any) -> Any:
        _refuse_tensors(self._op.name, attrs)
        for name, value in attrs.items():
            if isinstance(value, np.ndarray):
                attrs[name] = constant(value)
        if any(isinstance(x, Node) for x in args):
            return record(self._op, args, attrs)
        return self._forward(*args, **attrs)


def _refuse_tensors(function: str, keywords: dict[str, Any]) -> None:
    for name, value in keywords.items():
        if any(isinstance(x, Node) for x in flatten(value)[0]):
            raise GradientError(
                f"{function}: the keyword argument {name} is a Tensor (at {caller()}); "
                "keyword arguments are static here: pass it by position"
            )


class _Rules(Sequence[Rule]):
    """Rules by position; in place of a missing one, a rule that raises when it is needed."""

    def __init__(self, name: str, rules: tuple[Rule | None, ...]) -> None:
        self._name = name
        self._rules = rules

    def __getitem__(self, position: Any) -> Any:
        rule = self._rules[position] if position < len(self._rules) else None
        if rule is None:
            return MissingRule(
                self._name, f"argument {position}",
                f"give one with `{self._name}.defvjp(...)`, or cut the path with "
                "`ag.stop_gradient`",
            )
        return partial(_own, rule)

    def __len__(self) -> int:
        return len(self._rules)


def _own(rule: Rule, *args: Any, **attrs: Any) -> Any:
    return _own_term(rule(*args, **attrs))


def _own_term(term: Any) -> Any:
    """A rule's result as an array that nothing else holds: it may return what it was given."""
    return term.copy() if isinstance(term, np.ndarray) else term


def primitive(f: Callable[..., Any]) -> Primitive:
    """Make ``f`` a primitive: it is called with plain arrays and differentiated by given rules.

    Positional arguments are arrays, keyword arguments static. A rule gets the cotangent ``g`` of
    the result ``y`` and the arguments; written in NumPy functions it can itself be
    differentiated. Without a rule for an argument, asking for that gradient raises
    :class:`MissingRuleError`. Usable as a decorator.

    >>> @ag.primitive
    ... def cube(x):
    ...     return x**3
    >>> cube.defvjp(lambda g, y, x: g * 3 * x**2)
    <primitive cube>
    >>> ag.grad(ag.grad(cube))(2.0)
    np.float64(12.0)
    """
    return Primitive(f)


# Functions with a rule of their own. ------------------------------------------------------------

class CustomVJP:
    """A function differentiated by a rule of its own. See :func:`custom_vjp`."""

    def __init__(self, forward: Callable[..., Any]) -> None:
        if not callable(forward):
            raise TypeError(
                f"custom_vjp: a function is needed, got {describe(forward)} (at {caller()})"
            )
        functools.update_wrapper(self, forward, updated=())
        self._forward = forward
        self._backward: Callable[..., Any] | None = None
        self.name = getattr(forward, "__name__", type(forward).__name__)

    def defvjp(self, backward: Callable[..., Any]) -> CustomVJP:
        """Give the rule: ``backward(residuals, g)`` -> a tuple with the cotangent of each argument.

        ``g`` has the structure of the function's result. Returns the function itself, so that this
        can be used as a decorator.
        """
        self._backward = backward
        return self

    def __repr__(self) -> str:
        return f"<custom_vjp {self.name}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        _refuse_tensors(self.name, kwargs)
        since = tick()
        result = self._forward(*args, **kwargs)
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(
                f"{self.name}: the function of a custom_vjp returns a pair `(value, residuals)`, "
                f"got {describe(result)} (at {caller()})"
            )
        given = flatten(args)[0]
        outputs, structure = flatten(result[0])
        residuals = flatten(result[1])[0]
        inputs = [x for x in given if isinstance(x, Node)]
        self._refuse_closures((*outputs, *residuals), inputs, since)
        if not any(x._requires for x in inputs) or not is_recording():
            return result[0]
        groups: dict[Any, list[int]] = {}
        for i, y in enumerate(outputs):
            if isinstance(y, (Tensor, np.ndarray, np.generic)) and y.dtype.kind in "fc":
                groups.setdefault(y.dtype, []).append(i)
        results = list(outputs)
        for own in groups.values():  # a node has one value: they are computed as one array
            call = _Call(self, args, result, own)
            values = [flow.stop_gradient(y) if isinstance(y, Node) else y
                      for y in [outputs[i] for i in own]]
            node = record(flow.custom_vjp, (*inputs, *call.kept(residuals), pack(values)),
                          {"call": call})
            for i, y in zip(own, unpack(node, call.shapes), strict=True):
                results[i] = y
        return structure(results)

    def _refuse_closures(
        self, results: Iterable[Any], inputs: Sequence[Node], since: int
    ) -> None:
        """Raise if what was computed depends on Tensors that the rule is not told of."""
        capture = capturing()
        known = set(inputs)
        if capture is not None:  # what stands for a leaf that was assigned to
            known.update(capture.current.get(x, x) for x in inputs)
        stack = [y for y in results if isinstance(y, Node)]
        seen = set(stack)
        while stack:
            node = stack.pop()
            if node in known:
                continue
            if node._requires and (node._born <= since or node.op is None):
                raise GradientError(
                    f"{self.name}: the function uses a Tensor of shape {node._value.shape} that "
                    f"requires a gradient and is no argument (at {caller()}); its rule cannot give "
                    "that gradient: pass the Tensor as an argument, or `ag.stop_gradient(t)`"
                )
            if node._born > since:
                for x in node.inputs:
                    if isinstance(x, Node) and x not in seen:
                        seen.add(x)
                        stack.append(x)

    def rule(self, residuals: Any, g: Any) -> Any:
        if self._backward is None:
            raise MissingRuleError(
                f"{self.name}: no rule (backward at {caller()}); give one with "
                f"`@{self.name}.defvjp`, a function of `(residuals, g)`"
            )
        return self._backward(residuals, g)


class _Kept(NamedTuple):
    """Where a residual comes from: the inputs of the node, or its own value, by number."""

    output: int | None


class _Call:
    """What the rule of one call is told besides arrays: how arguments, results and residuals nest.

    ``own``: which of the results the node holds, of shapes ``shapes``.
    """

    __slots__ = ("_arguments", "_function", "_kinds", "_places", "_residuals", "_restructure",
                 "_structure", "own", "shapes")

    def __init__(
        self, function: CustomVJP, args: tuple[Any, ...], result: Any, own: Sequence[int]
    ) -> None:
        self._function = function
        self.own = own
        given = flatten(args)[0]
        self._arguments = [_hollow(x) for x in args]
        self._places = [i for i, x in enumerate(given) if isinstance(x, Node)]
        outputs = flatten(result[0])[0]
        self._structure = flatten(_hollow(result[0]))[1]
        self._kinds = [(np.shape(y), y.dtype) if hasattr(y, "dtype") and y.dtype.kind in "fc"
                       else None for y in outputs]
        self.shapes = [np.shape(outputs[i]) for i in own]
        residuals = flatten(result[1])[0]
        self._restructure = flatten(_hollow(result[1]))[1]
        arguments = {x for x in given if isinstance(x, Node)}
        # A residual that is a result is taken for the differentiated one: so a solution's own rule
        # tells how it changes, and not the iterations that found it.
        numbers = {outputs[i]: i for i in own
                   if isinstance(outputs[i], Node) and outputs[i] not in arguments}
        self._residuals = [_Kept(numbers.get(x)) if isinstance(x, Node) else x for x in residuals]

    def kept(self, residuals: Sequence[Any]) -> list[Node]:
        """The residuals that become inputs of the node."""
        return [x for x, r in zip(residuals, self._residuals, strict=True)
                if type(r) is _Kept and r.output is None]

    def pull(
        self, needed: Sequence[int], g: Array, y: Array, xs: Sequence[Array]
    ) -> list[Array | None]:
        """The cotangents of the inputs that are needed."""
        n, name = len(self._places), self._function.name
        rest, values = iter(xs[n:]), dict(zip(self.own, unpack(y, self.shapes), strict=True))
        residuals = self._restructure([
            r if type(r) is not _Kept else next(rest) if r.output is None else values[r.output]
            for r in self._residuals
        ])
        parts = dict(zip(self.own, unpack(g, self.shapes), strict=True))
        for i, kind in enumerate(self._kinds):
            if i not in parts:
                parts[i] = None if kind is None else np.zeros_like(
                    value_of(g), dtype=kind[1], shape=kind[0])[()]
        cotangents = self._function.rule(
            residuals, self._structure([parts[i] for i in range(len(self._kinds))]))
        if not isinstance(cotangents, (tuple, list)) or len(cotangents) != len(self._arguments):
            raise TypeError(
                f"{name}: the rule returns a tuple with the cotangent of each of its "
                f"{len(self._arguments)} arguments, got {describe(cotangents)}"
            )
        terms: list[Any] = []
        for i, (pattern, part) in enumerate(zip(self._arguments, cotangents, strict=True)):
            leaves, _ = flatten(pattern)
            given = [None] * len(leaves) if part is None else aligned(
                pattern, part, f"{name}: the cotangent of argument {i}")
            for x in given:
                if not (x is None or hasattr(x, "shape") or isinstance(x, (int, float, complex))):
                    raise TypeError(
                        f"{name}: the cotangent of argument {i} holds {describe(x)} in place of "
                        "an array"
                    )
            terms += given
        if not isinstance(g, Node) and any(isinstance(x, Node) for x in terms):
            raise TypeError(
                f"{name}: the rule computes with plain arrays but returned a Tensor; what it uses "
                "besides them belongs to the residuals"
            )
        terms = [terms[i] for i in self._places]
        return [_own_term(terms[i]) if i < n else None for i in needed]

    def __repr__(self) -> str:
        return self._function.name


def _hollow(nested: Any) -> Any:
    """A container like this one, without what is in it."""
    return map_leaves(lambda _: 0.0, nested)


def custom_vjp(forward: Callable[..., Any]) -> CustomVJP:
    """Let a function be differentiated by a rule of its own.

    ``forward(*args)`` returns ``(value, residuals)``: the result, and whatever the rule needs.
    ``backward(residuals, g)``, given to ``.defvjp``, takes the cotangent ``g`` of the value and
    returns a tuple with the cotangent of each argument; ``None`` stands for zero. Arguments, value,
    residuals and cotangents may be nested containers, with anything besides arrays in them.

    Both are written in NumPy functions and recorded like other code, so that derivatives of any
    order follow: the rule is differentiated by the residuals and these as ``forward`` computes
    them, but for residuals that are arguments or results. A result among the residuals has the
    derivative that the rule gives it, so that a fixed point or a root, found by however many
    iterations, needs the rule of the implicit function theorem only. The iterations are recorded
    all the same; around them, :func:`checkpoint` stores none.

    Keyword arguments are static. Raises :class:`GradientError` if ``forward`` uses a Tensor that
    requires a gradient without being an argument, and :class:`MissingRuleError` on the way back if
    there is no rule. For a function that the engine is not to look into see :func:`primitive`.

    >>> @ag.custom_vjp
    ... def log1pexp(x):
    ...     e = np.exp(x)
    ...     return np.log1p(e), e
    >>> @log1pexp.defvjp
    ... def log1pexp(e, g):
    ...     return (g * (1 - 1 / (1 + e)),)
    >>> ag.grad(log1pexp)(100.0), ag.grad(ag.grad(log1pexp))(0.0)
    (np.float64(1.0), np.float64(0.25))
    """
    return CustomVJP(forward)
