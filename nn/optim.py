"""Optimisers: update rules written as expressions.

``update`` maps a parameter's value, its gradient and its state to new ones, in NumPy functions
and operators, element by element, and changes no argument: on arrays it computes, on Tensors it
records. ``step`` applies it to every parameter, and inside a compiled function becomes part of the
program. An augmented assignment such as ``m += g`` works on a result made the line before, which
saves an array.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, TypeAlias

import numpy as np

import autograd_core as ag

from .module import Parameter

__all__ = ["SGD", "Adam", "Optimizer"]

Array: TypeAlias = Any
#: A learning rate: a number, or a function of the number of steps taken so far.
Rate: TypeAlias = float | Callable[[int], float]

#: Arrays above this many elements are updated in blocks of this size, so that the temporaries of
#: an update stay in the processor's cache.
_BLOCK = 1 << 14
#: Attributes of an optimiser that a compiled step follows without being recorded anew.
_FOLLOWED = frozenset(("lr", "parameters", "steps"))


class Optimizer:
    """Updates parameters from the gradients that ``backward`` left in ``.grad``.

    ``lr`` is a number or a schedule, a function from the number of steps already taken to a
    number. Parameters without a gradient are left alone.

    Inside a compiled function ``step`` is recorded: the rate, the schedule and the number of steps
    go on from call to call, a change of another attribute (``betas``, say) records the function
    anew, and which parameters have a gradient is settled when it is recorded.
    """

    def __init__(self, parameters: Iterable[Parameter], lr: Rate) -> None:
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError(f"{type(self).__name__}: there are no parameters to optimise")
        for parameter in self.parameters:
            if not isinstance(parameter, Parameter):
                raise TypeError(
                    f"{type(self).__name__}: expected nn.Parameter, got "
                    f"{type(parameter).__name__}; pass `model.parameters()`"
                )
        if len(set(self.parameters)) < len(self.parameters):
            raise ValueError(f"{type(self).__name__}: a parameter is given twice")
        if not callable(lr) and not lr >= 0:
            raise ValueError(f"{type(self).__name__}: lr must not be negative, got {lr}")
        self.lr = lr
        self.steps = 0
        # Leaves, because a compiled step reads and updates those; made now, because a leaf that is
        # made during a recording is a constant of it.
        self._state = [
            tuple(map(ag.tensor, self.start(p.numpy(force=True)))) for p in self.parameters
        ]
        self._started = [False] * len(self.parameters)
        self._now: tuple[float, ...] = ()

    def start(self, value: Array) -> tuple[Array, ...]:
        """The state of a parameter before its first step, arrays of its shape and dtype.

        Asked for when the optimiser is made: a subclass sets what it reads here before it calls
        ``super().__init__``.
        """
        return ()

    def coefficients(self, lr: float, step: int) -> tuple[float, ...]:
        """The numbers of step ``step`` (from 1), at least one, the same for all parameters."""
        return (lr,)

    def update(
        self, value: Array, grad: Array, state: tuple[Array, ...], *coefficients: float
    ) -> tuple[Array, tuple[Array, ...]]:
        """The new value and state of a parameter."""
        raise NotImplementedError

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        if ag.is_compiling():
            with ag.no_grad():
                self._record()
            return
        coefficients = self._next()
        for i, parameter in enumerate(self.parameters):
            grad = parameter.grad
            if grad is None:
                continue
            value = parameter.numpy(force=True)
            if isinstance(grad, ag.Tensor):  # by backward(create_graph=True)
                grad = grad.numpy(force=True)
            cells = self._state[i]
            state = tuple([cell.numpy() for cell in cells]) if cells else ()
            if value.size > 2 * _BLOCK:
                new, state = self._in_blocks(value, grad, state, coefficients)
            else:
                new, state = self.update(value, grad, state, *coefficients)
            parameter.assign(new)
            if cells:
                for cell, after in zip(cells, state, strict=True):
                    cell.assign(after)
            self._started[i] = True
        self.steps += 1

    def _next(self) -> tuple[float, ...]:
        """The coefficients of the step to be taken."""
        lr = self.lr(self.steps) if callable(self.lr) else self.lr
        return self.coefficients(float(lr), self.steps + 1)

    def _record(self) -> None:
        """The step as a part of the function that is being compiled."""
        names = [name for name in vars(self) if name[0] != "_" and name not in _FOLLOWED]
        settings = attrgetter("__class__", *names)
        ag.guard(lambda: settings(self))

        def advance() -> float:
            self._now = self._next()
            self.steps += 1
            return float(self._now[0])

        def entry(k: int) -> Callable[[], float]:
            return lambda: float(self._now[k])

        # Python computes the numbers of a step anew at each run: the first call, all of them.
        first = ag.callback(advance)
        coefficients = (first, *(ag.callback(entry(k)) for k in range(1, len(self._now))))
        for i, parameter in enumerate(self.parameters):
            grad = parameter.grad
            if grad is None:
                continue
            cells = self._state[i]
            new, state = self.update(parameter, grad, cells, *coefficients)
            parameter.assign(new)
            for cell, after in zip(cells, state, strict=True):
                cell.assign(after)
            self._started[i] = True

    def _in_blocks(
        self, value: Array, grad: Array, state: tuple[Array, ...], coefficients: tuple[float, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        """``update``, a block at a time: the same numbers, several times less memory traffic."""
        old = [np.ascontiguousarray(x).reshape(-1) for x in (value, grad, *state)]
        new = [np.empty(x.shape, x.dtype) for x in (value, *state)]
        flat = [x.reshape(-1) for x in new]
        for begin in range(0, value.size, _BLOCK):
            block = slice(begin, begin + _BLOCK)
            v, g, *s = [x[block] for x in old]
            result, after = self.update(v, g, tuple(s), *coefficients)
            for target, part in zip(flat, (result, *after), strict=True):
                target[block] = part
        return new[0], tuple(new[1:])

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters:
            parameter.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """A copy of the number of steps and of every parameter's state."""
        return {
            "steps": self.steps,
            "state": [
                tuple(np.array(cell.numpy()) for cell in cells) if started else None
                for cells, started in zip(self._state, self._started, strict=True)
            ],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state_dict`, cast to the dtypes of the parameters.

        Raises ``ValueError`` if it is of other parameters or of another optimiser, before anything
        is changed.
        """
        steps, given = int(state["steps"]), state["state"]
        if len(given) != len(self.parameters):
            raise ValueError(
                f"{type(self).__name__}: the state is of {len(given)} parameters, "
                f"not {len(self.parameters)}"
            )
        loaded: list[tuple[Array, ...]] = []
        for parameter, cells, parts in zip(self.parameters, self._state, given, strict=True):
            if parts is None:
                loaded.append(self.start(parameter.numpy(force=True)))
                continue
            arrays = tuple(np.array(x, parameter.dtype) for x in parts)
            expected = [cell.shape for cell in cells]
            if [x.shape for x in arrays] != expected:
                raise ValueError(
                    f"{type(self).__name__}: a state of shapes {[x.shape for x in arrays]} for a "
                    f"parameter of shape {parameter.shape}, where {expected} is needed"
                )
            loaded.append(arrays)
        for cells, arrays in zip(self._state, loaded, strict=True):
            for cell, array in zip(cells, arrays, strict=True):
                cell.assign(array)
        self._started = [parts is not None for parts in given]
        self.steps = steps

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.parameters)} parameters, lr={self.lr})"


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum μ:

    v ← μ v + g,  p ← p - lr v   (p ← p - lr g without momentum).

    Source: Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors"
    (1986); momentum in the form of Sutskever et al. (2013) with the rate outside.

    Whether there is a velocity is settled when the optimiser is made: one made with μ = 0 has none.
    """

    def __init__(
        self, parameters: Iterable[Parameter], lr: Rate = 0.01, momentum: float = 0.0
    ) -> None:
        if not 0 <= momentum < 1:
            raise ValueError(f"SGD: momentum must be in [0, 1), got {momentum}")
        self.momentum = momentum
        super().__init__(parameters, lr)

    def start(self, value: Array) -> tuple[Array, ...]:
        return (np.zeros_like(value),) if self.momentum else ()

    def update(
        self, value: Array, grad: Array, state: tuple[Array, ...], *coefficients: float
    ) -> tuple[Array, tuple[Array, ...]]:
        (lr,) = coefficients
        if not state:
            return value - lr * grad, ()
        velocity = self.momentum * state[0]
        velocity += grad
        return value - lr * velocity, (velocity,)


class Adam(Optimizer):
    """Adaptive moments:

    m ← β₁ m + (1 - β₁) g,  v ← β₂ v + (1 - β₂) g²,
    p ← p - lr m̂ / (√v̂ + ε)  with  m̂ = m / (1 - β₁ᵗ),  v̂ = v / (1 - β₂ᵗ).

    Source: Kingma, Ba, "Adam: a method for stochastic optimization" (2015), algorithm 1.
    """

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: Rate = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, lr)
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"Adam: betas must be in [0, 1), got {betas}")
        if not eps >= 0:
            raise ValueError(f"Adam: eps must not be negative, got {eps}")
        self.betas = betas
        self.eps = eps

    def start(self, value: Array) -> tuple[Array, ...]:
        return np.zeros_like(value), np.zeros_like(value)

    def coefficients(self, lr: float, step: int) -> tuple[float, ...]:
        # lr m̂ / (√v̂ + ε) = (lr c / b) m / (√v + ε c) with b = 1 - β₁ᵗ, c = √(1 - β₂ᵗ): the
        # corrections become two numbers instead of two divisions of whole arrays.
        c = math.sqrt(1 - self.betas[1] ** step)
        return lr * c / (1 - self.betas[0] ** step), self.eps * c

    def update(
        self, value: Array, grad: Array, state: tuple[Array, ...], *coefficients: float
    ) -> tuple[Array, tuple[Array, ...]]:
        rate, eps = coefficients
        beta1, beta2 = self.betas
        m, v = state
        m = beta1 * m
        m += (1 - beta1) * grad
        square = grad * grad
        square *= 1 - beta2
        v = beta2 * v
        v += square
        spread = np.sqrt(v)
        spread += eps
        change = m / spread
        change *= rate
        return value - change, (m, v)
