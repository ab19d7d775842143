"""Recurrent networks: layers that read sequences step by step and carry a state along.

Sequences have the shape (batch, time, features). One matrix product computes what enters from the
inputs at all times at once; only the products with the state are left to the loop. Names, shapes
and order of gates of the weights are PyTorch's, so that its state dicts load as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict, Unpack

import numpy as np

import autograd_core as ag

from .checks import check_features, check_sizes
from .init import Initializer, Random, as_rng
from .init import get as get_init
from .module import Module, Parameter

__all__ = ["GRU", "LSTM", "RNN", "detach"]


def detach(state: Any) -> Any:
    """A recurrent state without its history: gradients stop here.

    ``state``: a Tensor, or a tuple of them. For truncated back-propagation through time over the
    chunks of a long sequence: each chunk starts where the last one ended, but is differentiated
    alone.

    >>> lstm = nn.LSTM(1, 4, rng=0)
    >>> state = None
    >>> for chunk in np.split(np.ones((2, 30, 1), np.float32), 3, axis=1):
    ...     output, state = lstm(chunk, nn.detach(state))
    ...     output.sum().backward()
    """
    if state is None:
        return None
    if isinstance(state, tuple):
        return tuple(map(detach, state))
    return state.detach() if isinstance(state, ag.Tensor) else state


class Options(TypedDict, total=False):
    """What all recurrent layers take by keyword: see :class:`RNN`."""

    truncate: int | None
    init: str | Initializer
    recurrent_init: str | Initializer
    rng: Random
    dtype: Any


class _Recurrent(Module):
    """A stack of layers, each a loop over time; a subclass says what a step does."""

    #: How many blocks of n_hidden rows the weights have, and how many arrays a state.
    gates: int
    states = 1

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        num_layers: int = 1,
        bias: bool = True,
        *,
        truncate: int | None = None,
        init: str | Initializer = "xavier",
        recurrent_init: str | Initializer = "orthogonal",
        rng: Random = None,
        dtype: Any = np.float32,
    ) -> None:
        name = type(self).__name__
        check_sizes(name, n_in, n_hidden, num_layers)
        if truncate is not None and truncate < 1:
            raise ValueError(f"{name}: truncate must be a positive number of steps, got {truncate}")
        self.n_in, self.n_hidden, self.num_layers = n_in, n_hidden, num_layers
        self.truncate = truncate
        source = as_rng(rng)

        def blocks(scheme: str | Initializer, n: int) -> np.ndarray:
            """Each gate's weights drawn by themselves, as rows."""
            draw = get_init(scheme)
            return np.concatenate([draw((n, n_hidden), source, dtype).T for _ in range(self.gates)])

        size = self.gates * n_hidden
        for i in range(num_layers):
            vars(self).update({
                f"weight_ih_l{i}": Parameter(blocks(init, n_in if i == 0 else n_hidden),
                                             label=f"W_ih{i}"),
                f"weight_hh_l{i}": Parameter(blocks(recurrent_init, n_hidden), label=f"W_hh{i}"),
                f"bias_ih_l{i}": Parameter(np.zeros(size, dtype), label=f"b_ih{i}")
                if bias else None,
                f"bias_hh_l{i}": Parameter(np.zeros(size, dtype), label=f"b_hh{i}")
                if bias else None,
            })

    def arranged(self, rows: Any) -> Any:
        """The rows of a weight, or a bias if there is one, in the order that ``step`` wants."""
        return rows

    def enter(self, x: Any, b_hh: Any) -> Any:
        """What the loop slices per step, from the products with the inputs, (time, batch, ...)."""
        return x if b_hh is None else x + b_hh

    def step(self, x: Any, state: tuple[Any, ...], w_hh: Any, b_hh: Any) -> tuple[Any, ...]:
        """The next state; its first array is the output. ``w_hh`` is transposed."""
        raise NotImplementedError

    def forward(self, x: Any, state: Any = None, lengths: Any = None) -> tuple[Any, Any]:
        name = type(self).__name__
        x = check_features(x, self.n_in, name)
        shape = tuple(x.shape)
        if len(shape) != 3 or 0 in shape:
            raise ag.ShapeError(
                f"{name}: the input has shape {shape}; it must be (batch, time, {self.n_in}), with "
                "one step or more"
            )
        batch, time, _ = shape
        per_layer = self._initial(state, batch)
        inside = None
        if lengths is not None:
            inside = self._inside(lengths, batch, time)
            # What stands in the padding must not matter, not even if it is no number.
            x = np.where(inside.T[:, :, None], x, 0)
        sequence = x.transpose(1, 0, 2)
        final = []
        for i in range(self.num_layers):
            outputs, last = self._run(i, sequence, per_layer[i], inside)
            final.append(last)
            if i + 1 < self.num_layers:
                sequence = np.stack(outputs)
        arrays = tuple(np.stack(parts) for parts in zip(*final, strict=True))
        return np.stack(outputs, axis=1), arrays[0] if self.states == 1 else arrays

    def _run(
        self, i: int, sequence: Any, state: tuple[Any, ...], inside: Any
    ) -> tuple[list[Any], tuple[Any, ...]]:
        """One layer from the first step to the last."""
        w_ih, w_hh, b_ih, b_hh = (
            self.arranged(vars(self)[f"{kind}_l{i}"])
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        time, batch, features = sequence.shape
        products = sequence.reshape((time * batch, features)) @ w_ih.T
        if b_ih is not None:
            products = products + b_ih
        entering = self.enter(products.reshape((time, batch, self.gates * self.n_hidden)), b_hh)
        w_hh = w_hh.T
        outputs = []
        for t in range(time):
            if self.truncate is not None and t and t % self.truncate == 0:
                state = tuple(map(ag.stop_gradient, state))
            new = self.step(entering[t], state, w_hh, b_hh)
            if inside is None:
                state = new
                outputs.append(new[0])
            else:
                here = inside[t][:, None]
                state = tuple(
                    np.where(here, now, before) for now, before in zip(new, state, strict=True)
                )
                outputs.append(np.where(here, new[0], 0))
        return outputs, state

    def _initial(self, state: Any, batch: int) -> list[tuple[Any, ...]]:
        """The arrays of the state that each layer starts with."""
        shape = (self.num_layers, batch, self.n_hidden)
        if state is None:
            zeros = np.zeros(shape[1:], vars(self)["weight_hh_l0"].dtype)
            return [(zeros,) * self.states] * self.num_layers
        parts = state if isinstance(state, (tuple, list)) else (state,)
        for part in parts:
            if len(parts) != self.states or np.shape(part) != shape:
                raise ag.ShapeError(
                    f"{type(self).__name__}: a state of shapes "
                    f"{', '.join(str(np.shape(part)) for part in parts)}; it must be "
                    f"{'an array' if self.states == 1 else f'{self.states} arrays'} of shape "
                    f"(layers, batch, hidden) = {shape}"
                )
        return [tuple(part[i] for part in parts) for i in range(self.num_layers)]

    def _inside(self, lengths: Any, batch: int, time: int) -> Any:
        """Whether each step of each sequence is one, of shape (time, batch)."""
        if not hasattr(lengths, "shape"):
            lengths = np.asarray(lengths)
        name = type(self).__name__
        if tuple(lengths.shape) != (batch,) or lengths.dtype.kind not in "iu":
            raise ag.ShapeError(
                f"{name}: lengths are integers, one for each of the {batch} sequences, got "
                f"{lengths.dtype} of shape {tuple(lengths.shape)}"
            )
        if isinstance(lengths, ag.Tensor):
            ag.callback(_check_lengths, lengths, time, name)
        else:
            _check_lengths(lengths, time, name)
        return lengths > np.arange(time)[:, None]

    def describe(self) -> str:
        options = f", num_layers={self.num_layers}" if self.num_layers > 1 else ""
        if vars(self)["bias_hh_l0"] is None:
            options += ", bias=False"
        if self.truncate is not None:
            options += f", truncate={self.truncate}"
        return f"{type(self).__name__}({self.n_in}, {self.n_hidden}{options})"


def _check_lengths(lengths: Any, time: int, name: str) -> None:
    """Raise unless every sequence has a step, and no more than there are."""
    fine = (lengths >= 1) & (lengths <= time)
    if not fine.all():
        raise ValueError(
            f"{name}: a length of {lengths[~fine][0]}; lengths are from 1 to {time}, the number of "
            "steps of the input"
        )


class RNN(_Recurrent):
    """An Elman network: hₜ = tanh(W_ih xₜ + b_ih + W_hh hₜ₋₁ + b_hh).

    Called with ``x`` of shape (batch, time, n_in), it returns all outputs hₜ, of shape (batch,
    time, n_hidden), and the final state, of shape (num_layers, batch, n_hidden). ``state``: what to
    start from instead of zeros. ``lengths``: how many steps each sequence has, integers of shape
    (batch,); later steps are padding, which changes nothing: outputs are 0 there, and a final state
    is that at the sequence's own end. ``num_layers``: the outputs of each layer enter the next.
    ``truncate``: gradients flow back over at most that many steps, the states between blocks of
    that length being taken as constants; over chunks of a sequence, see :func:`nn.detach`.

    Parameters per layer l: ``weight_ih_l`` of shape (n_hidden, n_in or n_hidden), Xavier at first,
    ``weight_hh_l`` of shape (n_hidden, n_hidden), orthogonal at first, and with ``bias=True``
    ``bias_ih_l`` and ``bias_hh_l`` of shape (n_hidden,), all 0 at first.

    Raises :class:`ag.ShapeError` for other shapes and ``ValueError`` for a length that is not in
    1, ..., time. Source: Elman, "Finding structure in time" (1990); of the truncation: Williams,
    Peng, "An efficient gradient-based algorithm for on-line training of recurrent network
    trajectories" (1990).

    >>> rnn = nn.RNN(3, 5, rng=0)
    >>> output, state = rnn(np.ones((2, 7, 3), np.float32), lengths=[7, 4])
    >>> output.shape, state.shape, bool((state[0, 1] == output[1, 3]).all())
    ((2, 7, 5), (1, 2, 5), True)
    """

    gates = 1

    def step(self, x: Any, state: tuple[Any, ...], w_hh: Any, b_hh: Any) -> tuple[Any, ...]:
        return (np.tanh(x + state[0] @ w_hh),)


class LSTM(_Recurrent):
    """Long short-term memory: a state cₜ that gates write to, keep and read:

    i, f, o = σ(W_ih xₜ + b_ih + W_hh hₜ₋₁ + b_hh),  g = tanh(...) likewise,
    cₜ = f cₜ₋₁ + i g,  hₜ = o tanh(cₜ).

    Called and set as :class:`RNN`; the state is a pair (h, c). Weights and biases have 4 n_hidden
    rows, for i, f, g and o in that order. ``forget_bias``: what the forget gate's ``bias_ih``
    starts as, one number or one for each unit (``bias_hh`` starts as 0). By default 1, so that at
    first f = σ(1) = 0.73 of the state is kept from step to step; with about 0, as PyTorch starts,
    half of it is lost at each, and the gradient with it. Where what matters lies T steps back,
    ln(T - 1) keeps 1 - 1/T.

    Raises ``ValueError`` for a ``forget_bias`` with ``bias=False``, :class:`ag.ShapeError` for one
    of another shape.

    Source: Hochreiter, Schmidhuber, "Long short-term memory" (1997); Gers, Schmidhuber, Cummins,
    "Learning to forget" (2000); Jozefowicz, Zaremba, Sutskever, "An empirical exploration of
    recurrent network architectures" (2015) for the bias of 1; Tallec, Ollivier, "Can recurrent
    neural networks warp time?" (2018) for that of a known span.

    >>> output, (h, c) = nn.LSTM(3, 5, rng=0)(np.ones((2, 7, 3), np.float32))
    >>> output.shape, h.shape, c.shape
    ((2, 7, 5), (1, 2, 5), (1, 2, 5))
    """

    gates, states = 4, 2

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        num_layers: int = 1,
        bias: bool = True,
        *,
        forget_bias: float | Sequence[float] | np.ndarray | None = None,
        **options: Unpack[Options],
    ) -> None:
        if forget_bias is not None and not bias:
            raise ValueError(f"LSTM: forget_bias={forget_bias}, but bias=False: there is none")
        start = 1.0 if forget_bias is None else forget_bias
        if np.shape(start) not in ((), (n_hidden,)):
            raise ag.ShapeError(
                f"LSTM: forget_bias has shape {np.shape(start)}; it is one number, or one for each "
                f"of the {n_hidden} units"
            )
        super().__init__(n_in, n_hidden, num_layers, bias, **options)
        for i in range(num_layers if bias else 0):
            of_gates = np.zeros(self.gates * n_hidden)
            of_gates[n_hidden : 2 * n_hidden] = start
            vars(self)[f"bias_ih_l{i}"].assign(of_gates)

    def arranged(self, rows: Any) -> Any:
        # i, f, o and then g: one sigmoid for what needs one.
        n = self.n_hidden
        if rows is None:
            return None
        return np.concatenate([rows[: 2 * n], rows[3 * n :], rows[2 * n : 3 * n]])

    def step(self, x: Any, state: tuple[Any, ...], w_hh: Any, b_hh: Any) -> tuple[Any, ...]:
        n = self.n_hidden
        h, c = state
        z = x + h @ w_hh
        gates, new = ag.sigmoid(z[:, : 3 * n]), np.tanh(z[:, 3 * n :])
        write, keep, read = gates[:, :n], gates[:, n : 2 * n], gates[:, 2 * n :]
        c = keep * c + write * new
        return read * np.tanh(c), c


class GRU(_Recurrent):
    """A gated recurrent unit, whose gates say how much of the state to renew:

    r, z = σ(W_ih xₜ + b_ih + W_hh hₜ₋₁ + b_hh),
    n = tanh(W_in xₜ + b_in + r (W_hn hₜ₋₁ + b_hn)),  hₜ = (1 - z) n + z hₜ₋₁.

    Called and set as :class:`RNN`. Weights and biases have 3 n_hidden rows, for r, z and n in that
    order.

    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder" (2014), with the
    reset after the product, as cuDNN and PyTorch have it.

    >>> output, state = nn.GRU(3, 5, num_layers=2, rng=0)(np.ones((2, 7, 3), np.float32))
    >>> output.shape, state.shape
    ((2, 7, 5), (2, 2, 5))
    """

    gates = 3

    def enter(self, x: Any, b_hh: Any) -> Any:
        return x  # that of n is multiplied by r

    def step(self, x: Any, state: tuple[Any, ...], w_hh: Any, b_hh: Any) -> tuple[Any, ...]:
        n = 2 * self.n_hidden
        (h,) = state
        of_h = h @ w_hh
        if b_hh is not None:
            of_h = of_h + b_hh
        gates = ag.sigmoid(x[:, :n] + of_h[:, :n])
        reset, keep = gates[:, : self.n_hidden], gates[:, self.n_hidden :]
        new = np.tanh(x[:, n:] + reset * of_h[:, n:])
        return (new + keep * (h - new),)
