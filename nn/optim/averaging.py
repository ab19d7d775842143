"""The exponential moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

import autograd_core as ag

from ..module import Module

__all__ = ["EMA"]


class EMA:
    """An average of a model's weights that forgets, updated after each step:

    a ← β a + (1 - β) p,  where a starts as p.

    ``decay`` is β. ``nn.fit(..., ema=nn.EMA(model))`` updates it with each step, in the compiled
    program, and validates with the average; in a loop of your own call ``update()`` after
    ``optimizer.step()``. ``with ema.applied():`` puts the averages in the model's place, and the
    weights back afterwards; ``copy_to_model()`` for good. Buffers are the model's own.

    Raises ``ValueError`` for a decay outside [0, 1).

    Source: Polyak, Juditsky, "Acceleration of stochastic approximation by averaging" (1992), with
    the exponential weights of Tarvainen, Valpola, "Mean teachers are better role models" (2017).

    >>> model = nn.Linear(1, 1, bias=False, rng=0)
    >>> model.weight.assign([[1.0]])
    >>> ema = nn.EMA(model, decay=0.5)
    >>> model.weight.assign([[2.0]])
    >>> ema.update()
    >>> with ema.applied():
    ...     print(model.weight.item())
    1.5
    >>> model.weight.item()
    2.0
    """

    def __init__(self, model: Module, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"EMA: decay must be in [0, 1), got {decay}")
        self.decay = decay
        self._parameters = dict(model.named_parameters())
        # Leaves, which a compiled step updates.
        self._averages = {
            name: ag.tensor(p.numpy(force=True)) for name, p in self._parameters.items()
        }

    def update(self) -> None:
        """Take the current weights into the average; recorded in a compiled function."""
        decay = ag.guard(lambda: self.decay)
        with ag.no_grad():
            for name, p in self._parameters.items():
                average = self._averages[name]
                average.assign(decay * average + (1 - decay) * p)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The averages as the model's weights, during a ``with`` block."""
        kept = {name: np.copy(p.numpy(force=True)) for name, p in self._parameters.items()}
        self.copy_to_model()
        try:
            yield
        finally:
            for name, p in self._parameters.items():
                p.assign(kept[name])

    def copy_to_model(self) -> None:
        """Set the model's weights to the averages."""
        for name, p in self._parameters.items():
            p.assign(np.copy(self._averages[name].numpy()))

    def state_dict(self) -> dict[str, np.ndarray]:
        """A copy of the averages, by the parameters' names."""
        return {name: np.array(a.numpy(), order="C") for name, a in self._averages.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state_dict`.

        Raises ``KeyError`` for other names and :class:`ag.ShapeError` for other shapes, before
        anything is changed.
        """
        own = self._averages.keys()
        missing, unknown = own - state.keys(), state.keys() - own
        if missing or unknown:
            raise KeyError(f"EMA: missing {sorted(missing)}, unknown {sorted(unknown)}")
        values = {name: np.array(state[name], a.dtype) for name, a in self._averages.items()}
        for name, value in values.items():
            if value.shape != self._averages[name].shape:
                raise ag.ShapeError(
                    f"EMA: {name} has shape {self._averages[name].shape}, the state has "
                    f"{value.shape}"
                )
        for name, value in values.items():
            self._averages[name].assign(value)

    def __repr__(self) -> str:
        return f"EMA({len(self._averages)} parameters, decay={self.decay})"
