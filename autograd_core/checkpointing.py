"""Checkpoints: values that are computed again on the way back instead of being stored.

A checkpointed call is one node. It keeps the values that went in, what came out, and a
:class:`~autograd_core.recipe.Recipe`: how the one came of the other, without the values in between.
Its rule follows the recipe, which gives them once more, and walks back through them.

The recipe is what the function did, not the function: Python code does not run again, so that
whatever it looked at, drew or changed is as it was.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from . import batching, observe
from .backprop import pull, reach
from .containers import flatten, pack, unpack
from .errors import caller, describe
from .node import Array, Node, tick
from .op import Jointly, Op
from .ops.flow import barrier, custom_vjp, identity, stop_gradient
from .recipe import Recipe, recipe_of
from .tensor import Tensor, capturing, computed, is_recording, leaf, record, recording

__all__ = ["checkpoint"]


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, which stores no intermediate values: going back computes them again.

    A chain of n checkpointed segments holds the values between the segments, and those inside of
    one at a time. Values and gradients are those of ``f``; only where a Tensor is used several
    times, inside and outside, are the terms of its gradient added in another order. Arguments and
    results may be anything; Tensors that ``f`` closes over, parameters above all, have their
    gradients too. The second computation repeats the operations of the first and runs no Python
    code of ``f``: it is the same whatever ``f`` looks at. Random draws inside are kept, not
    repeated; so are plain arrays that meet Tensors, equal ones once. Derivatives are checkpointed
    themselves, to any order.

    Inside :func:`compile` the second computation is part of the plan, behind a barrier that keeps
    it from being merged with the first; derivatives are not checkpointed again there. Where values
    are watched, as by :func:`debug_nans`, it does nothing.

    With √n segments of √n steps each the memory grows with √n, for one more computation of f: Chen,
    Xu, Zhang and Guestrin, "Training deep nets with sublinear memory cost" (2016), section 4.1.

    >>> def segment(x):
    ...     for _ in range(100):
    ...         x = np.sin(x)
    ...     return x
    >>> ag.grad(lambda x: ag.checkpoint(segment)(x))(0.5) == ag.grad(segment)(0.5)
    np.True_
    """
    if not callable(f):
        raise TypeError(f"checkpoint: a function is needed, got {describe(f)} (at {caller()})")

    @functools.wraps(f, updated=())
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        if not is_recording() or observe.observed():
            return f(*args, **kwargs)
        since = tick()
        leaves, rebuild = flatten(f(*args, **kwargs))
        return rebuild((_forget if capturing() is None else _compute_again)(leaves, since))

    return checkpointed


def _kinds(results: Sequence[Any], since: int) -> dict[tuple[Any, bool], list[Node]]:
    """Those of ``results`` that were computed after ``since``, by dtype and whether they require a
    gradient."""
    kinds: dict[tuple[Any, bool], list[Node]] = {}
    for y in dict.fromkeys(y for y in results if isinstance(y, Node)):
        if y._born > since and y.op is not None and y.op.pure:
            kinds.setdefault((y._value.dtype, y._requires), []).append(y)
    return kinds


def _forget(results: Sequence[Any], since: int) -> list[Any]:
    """``results``, of which those computed after ``since`` know only how they were computed."""
    new: dict[Node, Any] = {}
    for (_, requires), nodes in _kinds(results, since).items():
        # A node has one value: results of one kind are computed together, as one array.
        recipe, inputs = recipe_of(nodes, since, constant=_kept_once)
        data = pack([y._value for y in nodes])
        if isinstance(data, np.ndarray) and data.base is not None:
            data = data.copy()  # a view would keep all of what it is a view of
        node = computed(data, checkpoint_ if requires else checkpoint_discrete, tuple(inputs),
                        {"recipe": recipe}, requires)
        if len(nodes) == 1 and hasattr(nodes[0], "_label"):
            node._label = nodes[0]._label
        new.update(zip(nodes, unpack(node, [y._value.shape for y in nodes]), strict=True))
    return [new.get(y, y) if isinstance(y, Node) else y for y in results]


def _compute_again(results: Sequence[Any], since: int) -> list[Any]:
    """``results`` while a compiler records: going back from them records how they were computed
    another time."""
    new: dict[Node, Any] = {}
    for (_, requires), nodes in _kinds(results, since).items():
        if requires:
            recipe, inputs = recipe_of(nodes, since)
            y = record(custom_vjp, (*inputs, stop_gradient(pack(nodes))), {"call": _Again(recipe)})
            new.update(zip(nodes, unpack(y, [x._value.shape for x in nodes]), strict=True))
    return [new.get(y, y) if isinstance(y, Node) else y for y in results]


class _Again:
    """The rule of what a recipe computes: to follow it again, once there is a cotangent."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def pull(
        self, needed: tuple[int, ...], g: Array, y: Array, xs: Sequence[Array]
    ) -> list[Array | None]:
        return _pull_back(needed, g, [barrier(x, g) for x in xs[:-1]], self.recipe)

    def __repr__(self) -> str:
        return f"again({self.recipe})"


#: Constants of recipes by what they hold. An operand that is no node is copied at each use; of the
#: copies that the segments of a chain make of one array, one is kept.
_constants: WeakValueDictionary[Any, np.ndarray[Any, Any]] = WeakValueDictionary()


def _kept_once(x: Any) -> Any:
    if type(x) is not np.ndarray or x.size < 16:
        return x
    digest = hashlib.blake2b(np.ascontiguousarray(x).data, digest_size=16).digest()
    return _constants.setdefault((x.dtype, x.shape, digest), x)


def _forward(*xs: Array, recipe: Recipe) -> Array:
    return pack(recipe(xs))


def _rule(
    needed: tuple[int, ...], g: Array, y: Array, *xs: Array, recipe: Recipe
) -> Sequence[Array | None]:
    """The cotangents of these inputs; a checkpoint itself where they are recorded."""
    since = tick()
    terms = _pull_back(needed, g, xs, recipe)
    return terms if capturing() is not None or observe.observed() else _forget(terms, since)


def _pull_back(
    needed: tuple[int, ...], g: Array, xs: Sequence[Array], recipe: Recipe
) -> list[Array | None]:
    """Follow the recipe, and walk back to the inputs that are needed."""
    recorded = isinstance(g, Node)
    with recording():
        inputs = [_alias(x, i in needed) for i, x in enumerate(xs)]
        outputs = recipe(inputs)
        parts = unpack(g, [y._value.shape for y in outputs])
        found = pull(dict(zip(outputs, parts, strict=True)),
                     reach(outputs, [inputs[i] for i in needed]), recorded=recorded)
    terms = [found.get(inputs[i]) for i in needed]
    return [x if isinstance(x, Node) or not recorded else None for x in terms]


def _alias(x: Array, requires: bool) -> Tensor:
    """What stands for an input: the walk ends there, and at no other input on the way to it."""
    if not isinstance(x, Node):
        return leaf(x, requires)
    alias = record(identity, (x,), {})
    alias._requires = requires
    return alias


checkpoint_ = Op("checkpoint", _forward, Jointly(_rule), "f(...), computed again on the way back")
#: Of integers and booleans, and of what nothing that requires a gradient leads to.
checkpoint_discrete = Op("checkpoint_discrete", _forward, None, "f(...), without a gradient")


def _stacked(
    op: Op, xs: Sequence[Array], stacks: Sequence[bool], n: int, *, recipe: Recipe
) -> Array:
    results = batching.run(recipe, xs, stacks, n)
    if len(results) == 1:
        return results[0]
    return np.concatenate([x.reshape((n, -1)) for x in results], axis=1)


batching.RULES[checkpoint_] = batching.RULES[checkpoint_discrete] = _stacked
