"""Gradient descent, with and without momentum."""

from __future__ import annotations

from typing import Unpack

from .optimizer import Array, Optimizer, Options, Parameters, Rate, between, scalars, zeros_for

__all__ = ["SGD", "Momentum", "Nesterov"]


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum μ:

    v ← μ v + g,  p ← p - lr v   (p ← p - lr g without momentum),
    with ``nesterov``: p ← p - lr (g + μ v).

    Source: Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors"
    (1986); momentum in the form of Sutskever et al., "On the importance of initialization and
    momentum in deep learning" (2013) with the rate outside; Nesterov's at the point looked ahead
    to, as in Bengio, Boulanger-Lewandowski, Pascanu, "Advances in optimizing recurrent networks"
    (2013), equation 7.

    Whether there is a velocity is settled when the optimiser is made: one made with μ = 0 has none.

    >>> p = nn.Parameter([1.0, -2.0])
    >>> optimizer = nn.optim.SGD([p], lr=0.1, momentum=0.9)
    >>> np.square(p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([ 0.8, -1.6], requires_grad=True)
    """

    elementwise = True

    def __init__(
        self, parameters: Parameters, lr: Rate = 0.01, momentum: float = 0.0,
        nesterov: bool = False, **options: Unpack[Options],
    ) -> None:
        self.momentum = momentum
        self.nesterov = nesterov
        super().__init__(parameters, lr, **options)

    def check(self) -> None:
        between(type(self).__name__, "momentum", self.momentum)
        if self.nesterov and not self.momentum:
            raise ValueError(f"{type(self).__name__}: nesterov needs a momentum, got 0")

    def start(self, value: Array) -> tuple[Array, ...]:
        return (zeros_for(value),) if self.momentum else ()

    def update(
        self, value: Array, grad: Array, state: tuple[Array, ...], *coefficients: float
    ) -> tuple[Array, tuple[Array, ...]]:
        if not state:
            (lr,) = scalars(grad, *coefficients)
            return value - lr * grad, ()
        lr, momentum = scalars(grad, *coefficients, self.momentum)
        velocity = momentum * state[0]
        velocity += grad
        if not self.nesterov:
            return value - lr * velocity, (velocity,)
        ahead = momentum * velocity
        ahead += grad
        return value - lr * ahead, (velocity,)


class Momentum(SGD):
    """:class:`SGD` with momentum 0.9: v ← μ v + g,  p ← p - lr v.

    Source: Polyak, "Some methods of speeding up the convergence of iteration methods" (1964).

    >>> nn.optim.Momentum([nn.Parameter([1.0])], lr=0.1).momentum
    0.9
    """

    def __init__(
        self, parameters: Parameters, lr: Rate = 0.01, momentum: float = 0.9,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(parameters, lr, momentum, **options)


class Nesterov(SGD):
    """:class:`SGD` with Nesterov's momentum, 0.9: v ← μ v + g,  p ← p - lr (g + μ v).

    Source: Nesterov, "A method of solving a convex programming problem with convergence rate
    O(1/k²)" (1983); in the form of Bengio et al. (2013), equation 7.

    >>> nn.optim.Nesterov([nn.Parameter([1.0])], lr=0.1).nesterov
    True
    """

    def __init__(
        self, parameters: Parameters, lr: Rate = 0.01, momentum: float = 0.9,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(parameters, lr, momentum, True, **options)
