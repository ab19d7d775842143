"""Mixture density networks: outputs that are the parameters of a distribution of many humps."""

from __future__ import annotations

from typing import Any

import numpy as np

import autograd_core as ag

from .checks import check_sizes
from .init import Initializer, Random, as_rng
from .layers import Linear
from .module import Module

__all__ = ["MixtureDensity", "parameters_of"]


def parameters_of(prediction: Any, n_out: int, name: str = "mixture") -> tuple[Any, Any, Any]:
    """What the columns of ``prediction``, of shape (batch, K (1 + 2 n_out)), stand for.

    Returns ln πₖ of shape (batch, K), and μₖⱼ and ln σₖⱼ of shape (batch, K, n_out).
    """
    batch, width = prediction.shape
    components, rest = divmod(width, 1 + 2 * n_out)
    if rest or not components:
        raise ag.ShapeError(
            f"{name}: {width} columns are no parameters of a mixture for targets of {n_out} "
            f"numbers; K components need K (1 + 2 * {n_out})"
        )
    cut = components * (1 + n_out)
    shape = (batch, components, n_out)
    return (
        ag.log_softmax(prediction[:, :components], axis=1),
        prediction[:, components:cut].reshape(shape),
        prediction[:, cut:].reshape(shape),
    )


class MixtureDensity(Module):
    """An output layer whose values are the parameters of a mixture of K Gaussians:

    p(y | x) = Σₖ πₖ(x) Πⱼ N(yⱼ; μₖⱼ(x), σₖⱼ(x)²),  π = softmax(a),  σ = exp(s).

    Maps ``x`` of shape (batch, n_in) to (batch, K (1 + 2 n_out)), the columns being a, μ and s, to
    train with :func:`nn.losses.mdn_nll`; the methods read them. Where one x has several y, as in
    inverse problems, it finds them all, while least squares finds their mean. The means start
    spread over about [-1, 1] in each dimension, so that no two components are alike.

    Source: Bishop, "Mixture density networks" (1994), with a scale for each dimension.

    >>> head = nn.MixtureDensity(4, components=3, rng=0)
    >>> prediction = head(np.zeros((5, 4), np.float32))
    >>> head.mean(prediction).shape, head.sample(prediction, rng=0).shape
    ((5, 1), (5, 1))
    """

    def __init__(
        self,
        n_in: int,
        n_out: int = 1,
        components: int = 5,
        *,
        init: str | Initializer = "xavier",
        rng: Random = None,
        dtype: Any = np.float32,
    ) -> None:
        check_sizes("MixtureDensity", n_in, n_out, components)
        source = as_rng(rng)
        self.n_out, self.components = n_out, components
        self.linear = Linear(n_in, components * (1 + 2 * n_out), init=init, rng=source,
                             dtype=dtype)
        assert self.linear.bias is not None
        start = np.zeros(components * (1 + 2 * n_out), dtype)
        start[components : components * (1 + n_out)] = (
            np.linspace(-1, 1, components) if n_out == 1
            else source.uniform(-1, 1, components * n_out)
        )
        self.linear.bias.assign(start)

    def forward(self, x: Any) -> Any:
        return self.linear(x)

    def parameters_of(self, prediction: Any) -> tuple[Any, Any, Any]:
        """The weights πₖ, of shape (batch, K), and μₖⱼ and σₖⱼ, of shape (batch, K, n_out)."""
        log_weights, means, log_scales = parameters_of(prediction, self.n_out, "MixtureDensity")
        return np.exp(log_weights), means, np.exp(log_scales)

    def mean(self, prediction: Any) -> Any:
        """E[y | x] = Σₖ πₖ μₖ, of shape (batch, n_out): what least squares would predict."""
        weights, means, _ = self.parameters_of(prediction)
        return (weights[:, :, None] * means).sum(1)

    def sample(self, prediction: Any, rng: Random = None) -> Any:
        """A y for each x, drawn from its mixture, of shape (batch, n_out); no gradient.

        A Tensor; in a compiled function, each call draws anew.
        """
        source = as_rng(rng)
        with ag.no_grad():
            log_weights, means, log_scales = parameters_of(prediction, self.n_out, "sample")
            at = np.arange(prediction.shape[0]), ag.random.categorical(source, log_weights)
            return ag.random.normal(source, means[at], np.exp(log_scales[at]))

    def describe(self) -> str:
        return f"MixtureDensity({self.linear.weight.shape[0]}, {self.n_out}, {self.components})"
