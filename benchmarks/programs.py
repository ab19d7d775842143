"""Programs of array operations at random, written once and run by anything that speaks NumPy.

A program is data: inputs and steps, each an operation of :data:`OPERATIONS` on earlier values.
The same program runs on plain arrays, on Tensors, under JAX (``xp=jax.numpy``), under PyTorch (its
own spellings stand beside), and on arrays of Python objects that differentiate themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

#: What an input may look like.
SHAPES = ((), (3,), (2, 3), (2, 1), (1, 3), (3, 3), (3, 2))
#: The most elements of a value, and the largest of them: programs stay small and tame.
SIZE, LARGEST = 24, 30.0


class Operation(NamedTuple):
    """``numpy(xp, *operands, **options)``; ``torch(torch, *operands, **options)`` likewise.

    ``draw(rng, *operands)`` gives options for these operands, or None where it does not apply.
    """

    arity: int
    numpy: Callable[..., Any]
    torch: Callable[..., Any]
    draw: Callable[..., dict[str, Any] | None]


@dataclass(frozen=True)
class Step:
    """An operation on earlier values, given by their number, or on Python numbers."""

    name: str
    operands: tuple[int | float, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = [f"%{x}" if isinstance(x, int) else repr(x) for x in self.operands]
        parts += [f"{name}={value}" for name, value in self.options.items()]
        return f"{self.name}({', '.join(parts)})"


@dataclass(frozen=True)
class Program:
    """Inputs, and steps whose last values are summed up, weighted, to one number."""

    inputs: tuple[Any, ...]
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        lines = [f"%{i} = {np.asarray(x).tolist()!r}" for i, x in enumerate(self.inputs)]
        lines += [f"%{i} = {step}" for i, step in enumerate(self.steps, len(self.inputs))]
        return "\n".join(lines)

    def values(
        self, xp: Any, inputs: Sequence[Any], torch: bool = False,
        keep: Callable[[Any], Any] = lambda y: y,
    ) -> list[Any]:
        """The value of every step, computed with the functions of ``xp``, as ``keep`` has it."""
        known = list(inputs)
        for step in self.steps:
            operation = OPERATIONS[step.name]
            operands = [known[x] if isinstance(x, int) else x for x in step.operands]
            f = operation.torch if torch else operation.numpy
            known.append(keep(f(xp, *operands, **step.options)))
        return known[len(inputs):]

    def total(self, values: Sequence[Any], array: Callable[[Any], Any] = lambda w: w) -> Any:
        """One number that depends on every element of the last values.

        ``array`` makes of an ndarray what the values are multiplied with.
        """
        result: Any = 0.0
        for k, y in enumerate(values[-3:]):
            weights = np.cos(1.0 + k + np.arange(np.prod(y.shape, dtype=int)))
            result = result + (y.reshape(-1) * array(weights)).sum()
        return result


def _always(rng: np.random.Generator, *operands: Any) -> dict[str, Any]:
    return {}


def _axis(rng: np.random.Generator, x: Any) -> dict[str, Any] | None:
    return {"axis": int(rng.integers(-x.ndim, x.ndim))} if x.ndim else None


def _reduction(rng: np.random.Generator, x: Any) -> dict[str, Any] | None:
    if not x.size:
        return None
    axes: list[Any] = [None, *range(-x.ndim, x.ndim)]
    if x.ndim == 2:
        axes.append((0, 1))
    return {"axis": axes[rng.integers(len(axes))], "keepdims": bool(rng.random() < 0.4)}


def _same_shape(rng: np.random.Generator, a: Any, b: Any) -> dict[str, Any] | None:
    return _axis(rng, a) if a.shape == b.shape else None


def _shapes_that_join(rng: np.random.Generator, a: Any, b: Any) -> dict[str, Any] | None:
    if a.ndim != b.ndim or not a.ndim:
        return None
    axes = [i for i in range(a.ndim)
            if all(m == n for k, (m, n) in enumerate(zip(a.shape, b.shape, strict=True)) if k != i)]
    return {"axis": axes[rng.integers(len(axes))]} if axes else None


def _sliced(rng: np.random.Generator, x: Any) -> dict[str, Any] | None:
    if not x.ndim:
        return None
    axis = int(rng.integers(x.ndim))
    n = x.shape[axis]
    start, stop = int(rng.integers(-n, n)), int(rng.integers(-n - 1, n + 1))
    step = int(rng.choice([-2, -1, 1, 2]))
    places = list(range(*slice(start, stop, step).indices(n)))
    return {"axis": axis, "start": start, "stop": stop, "step": step} if places else None


def _taken(rng: np.random.Generator, x: Any) -> dict[str, Any] | None:
    if not x.ndim:
        return None
    axis = int(rng.integers(x.ndim))
    n = x.shape[axis]
    return {"axis": axis, "places": tuple(rng.integers(0, n, int(rng.integers(1, 4))).tolist())}


def _masked(rng: np.random.Generator, x: Any) -> dict[str, Any] | None:
    if not x.ndim:
        return None
    axis = int(rng.integers(x.ndim))
    mask = rng.random(x.shape[axis]) < 0.6
    return {"axis": axis, "mask": tuple(mask.tolist())} if mask.any() else None


def _at(axis: int, part: Any) -> tuple[Any, ...]:
    return (slice(None),) * axis + (part,)


def _reshaped(rng: np.random.Generator, x: Any) -> dict[str, Any]:
    n = int(x.size)
    shapes = [(n,), (-1, 1), (1, n), *((k, n // k) for k in (2, 3) if n and n % k == 0)]
    return {"shape": shapes[rng.integers(len(shapes))]}


def _dims(torch: Any, x: Any, axis: Any) -> tuple[int, ...]:
    return tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)


def _of_torch(name: str) -> Callable[..., Any]:
    """A reduction of PyTorch over several axes, in NumPy's sense."""

    def reduce(torch: Any, x: Any, axis: Any, keepdims: bool) -> Any:
        dims = _dims(torch, x, axis)
        if not dims:  # of shape ()
            return x * 0.0 if name == "var" else x
        if name in ("sum", "mean", "amax", "amin", "logsumexp"):
            return getattr(torch, name)(x, dim=dims, keepdim=keepdims)
        if name == "var":
            return torch.var(x, dim=dims, keepdim=keepdims, correction=0)
        for dim in sorted((d % x.ndim for d in dims), reverse=True):
            x = torch.prod(x, dim=dim, keepdim=keepdims)
        return x

    return reduce


def _plain(name: str, theirs: str | None = None, arity: int = 1) -> Operation:
    return Operation(arity, lambda xp, *xs: getattr(xp, name)(*xs),
                     lambda torch, *xs: getattr(torch, theirs or name)(*_tensors(torch, xs)),
                     _always)


def _tensors(torch: Any, xs: Sequence[Any]) -> list[Any]:
    """Operands as PyTorch takes them: its functions of two take no Python numbers."""
    return [x if isinstance(x, torch.Tensor) else torch.tensor(x, dtype=torch.float64) for x in xs]


def _written(f: Callable[..., Any], arity: int = 1) -> Operation:
    """An operation that everybody spells alike, on the library it is given."""
    return Operation(arity, f, f, _always)


def _reduces(name: str, theirs: str | None = None) -> Operation:
    return Operation(
        1, lambda xp, x, axis, keepdims: getattr(xp, name)(x, axis=axis, keepdims=keepdims),
        _of_torch(theirs or name), _reduction,
    )


OPERATIONS: dict[str, Operation] = {
    "sin": _plain("sin"), "cos": _plain("cos"), "tanh": _plain("tanh"),
    "arctan": _plain("arctan"), "square": _plain("square"), "absolute": _plain("absolute"),
    "negative": _plain("negative"), "exp": _plain("exp"),
    "sqrt": _written(lambda xp, x: xp.sqrt(x * x + 0.3)),
    "log": _written(lambda xp, x: xp.log(x * x + 0.7)),
    "reciprocal": _written(lambda xp, x: 1.0 / (x * x + 0.9)),
    "cube": _written(lambda xp, x: x**3),
    "power": _written(lambda xp, x: (x * x + 0.5) ** 1.5),
    "add": _written(lambda xp, a, b: a + b, 2),
    "subtract": _written(lambda xp, a, b: a - b, 2),
    "multiply": _written(lambda xp, a, b: a * b, 2),
    "divide": _written(lambda xp, a, b: a / (b * b + 0.5), 2),
    "maximum": _plain("maximum", arity=2), "minimum": _plain("minimum", arity=2),
    "hypot": _written(lambda xp, a, b: xp.hypot(a + 0.0 * b, b + 0.0 * a), 2),
    "where": _written(lambda xp, a, b: xp.where(a > b, a * b, b), 2),
    "sum": _reduces("sum"), "mean": _reduces("mean"), "prod": _reduces("prod"),
    "max": _reduces("max", "amax"), "min": _reduces("min", "amin"), "var": _reduces("var"),
    "std": Operation(
        1, lambda xp, x, axis, keepdims: xp.sqrt(xp.var(x, axis=axis, keepdims=keepdims) + 0.1),
        lambda torch, x, axis, keepdims: torch.sqrt(_of_torch("var")(torch, x, axis, keepdims)
                                                    + 0.1),
        _reduction,
    ),
    "cumsum": Operation(1, lambda xp, x, axis: xp.cumsum(x, axis=axis),
                        lambda torch, x, axis: torch.cumsum(x, dim=axis), _axis),
    "sort": Operation(1, lambda xp, x, axis: xp.sort(x, axis=axis),
                      lambda torch, x, axis: torch.sort(x, dim=axis).values, _axis),
    "matmul": Operation(
        2, lambda xp, a, b: xp.matmul(a, b), lambda torch, a, b: torch.matmul(a, b),
        lambda rng, a, b: {} if a.ndim and b.ndim
        and a.shape[-1] == b.shape[-2 if b.ndim > 1 else -1] else None,
    ),
    "einsum": Operation(
        2, lambda xp, a, b: xp.einsum("ij,kj->ik", a, b),
        lambda torch, a, b: torch.einsum("ij,kj->ik", a, b),
        lambda rng, a, b: {} if a.ndim == b.ndim == 2 and a.shape[1] == b.shape[1] else None,
    ),
    "slice": Operation(
        1, lambda xp, x, axis, start, stop, step: x[_at(axis, slice(start, stop, step))],
        lambda torch, x, axis, start, stop, step: torch.index_select(
            x, axis, torch.tensor(list(range(*slice(start, stop, step).indices(x.shape[axis]))))),
        _sliced,
    ),
    "take": Operation(
        1, lambda xp, x, axis, places: x[_at(axis, np.array(places))],
        lambda torch, x, axis, places: torch.index_select(x, axis, torch.tensor(places)), _taken,
    ),
    "mask": Operation(
        1, lambda xp, x, axis, mask: x[_at(axis, np.array(mask))],
        lambda torch, x, axis, mask: torch.index_select(
            x, axis, torch.tensor(np.flatnonzero(mask))), _masked,
    ),
    "newaxis": Operation(
        1, lambda xp, x, axis: xp.expand_dims(x, axis),
        lambda torch, x, axis: torch.unsqueeze(x, axis),
        lambda rng, x: {"axis": int(rng.integers(x.ndim + 1))} if x.ndim < 3 else None,
    ),
    "reshape": Operation(1, lambda xp, x, shape: xp.reshape(x, shape),
                         lambda torch, x, shape: torch.reshape(x, shape), _reshaped),
    "transpose": Operation(
        1, lambda xp, x: xp.transpose(x),
        lambda torch, x: x.permute(tuple(range(x.ndim))[::-1]), _always,
    ),
    "broadcast": Operation(
        1, lambda xp, x: xp.broadcast_to(x, (2, 3)),
        lambda torch, x: torch.broadcast_to(x, (2, 3)),
        lambda rng, x: {} if x.ndim <= 2 and all(
            n in (1, m) for n, m in zip(x.shape[::-1], (3, 2), strict=False)) else None,
    ),
    "concatenate": Operation(2, lambda xp, a, b, axis: xp.concatenate([a, b], axis=axis),
                             lambda torch, a, b, axis: torch.cat([a, b], dim=axis),
                             _shapes_that_join),
    "stack": Operation(2, lambda xp, a, b, axis: xp.stack([a, b], axis=axis),
                       lambda torch, a, b, axis: torch.stack([a, b], dim=axis), _same_shape),
    "flip": Operation(1, lambda xp, x, axis: xp.flip(x, axis=axis),
                      lambda torch, x, axis: torch.flip(x, (axis,)), _axis),
    "roll": Operation(1, lambda xp, x, axis: xp.roll(x, 1, axis=axis),
                      lambda torch, x, axis: torch.roll(x, 1, axis), _axis),
    "outer": Operation(
        2, lambda xp, a, b: xp.outer(a, b),
        lambda torch, a, b: torch.outer(a.reshape(-1), b.reshape(-1)),
        lambda rng, a, b: {},
    ),
    "clip": _written(lambda xp, x: xp.clip(x, -0.8, 0.9)),
}
#: Numbers in place of an operand.
_LITERALS = (2.0, -1.0, 0.5, -0.25)
_WITH_NUMBERS = ("add", "subtract", "multiply", "divide", "maximum", "minimum")


def random_program(rng: np.random.Generator, length: int = 25) -> Program:
    """A program of up to ``length`` steps; young values are preferred as operands."""
    chosen = list(OPERATIONS)
    count = int(rng.integers(2, 5))
    known = [np.asarray(rng.normal(size=SHAPES[rng.integers(len(SHAPES))])) for _ in range(count)]
    inputs = tuple(known)
    steps: list[Step] = []
    for _ in range(20 * length):
        if len(steps) == length:
            break
        name = chosen[rng.integers(len(chosen))]
        operation = OPERATIONS[name]
        operands: list[Any] = [
            max(int(rng.integers(len(known))), int(rng.integers(len(known))))
            for _ in range(operation.arity)
        ]
        if name in _WITH_NUMBERS and rng.random() < 0.3:
            operands[rng.integers(2)] = float(rng.choice(_LITERALS))
        arrays = [known[x] if isinstance(x, int) else x for x in operands]
        shapes = [x.shape for x in arrays if isinstance(x, np.ndarray)]
        if operation.draw is _always and not _broadcast(shapes):
            continue
        options = operation.draw(rng, *arrays)
        if options is None:
            continue
        with np.errstate(all="ignore"):
            y = np.asarray(operation.numpy(np, *arrays, **options))
        if y.size > SIZE or not y.size or not np.all(np.abs(y) <= LARGEST):
            continue
        known.append(y)
        steps.append(Step(name, tuple(operands), options))
    return Program(inputs, tuple(steps))


def _broadcast(shapes: Sequence[tuple[int, ...]]) -> bool:
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        return False
    return True
