"""Seeing the gradient flow: what arrives at each layer, and what is wrong if little or too much."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

import autograd_core as ag

from . import losses
from .callbacks import Callback, Training
from .data import checked_data, looks_up
from .history import figure, table
from .io import generators
from .layers import Sequential
from .module import Module, Parameter
from .neurons import Layer
from .optim import SGD, Optimizer

__all__ = ["Diagnosis", "DiagnosisLog", "LayerDiagnosis", "diagnose"]

#: Of the signal ∂L/∂z: from the last layer to the first it may shrink or grow by so much.
VANISHING, EXPLODING = 1e-3, 1e3
#: A step that is longer than the weights it changes by this part explodes.
LARGE_STEP = 1.0
#: An activation is saturated where its slope is below this part of its largest one; a unit is dead
#: where the slope is below that part for every sample.
FLAT, NO_SLOPE = 0.05, 1e-3
#: The shares of saturated values and of dead units that are complained of.
SATURATED, DEAD = 0.5, 0.25


@dataclass
class LayerDiagnosis:
    """What was measured at one layer: a module with parameters, and the activation after it.

    ``mean`` and ``spread`` (standard deviation) are of the activations that leave the layer, over
    the batch and all units. ``saturated``: the share of values at which the activation is nearly
    flat (a slope below 5 % of its largest), None where it is not flat on both sides; ``dead``: the
    share of units with practically no slope for any sample, None where no unit can be that.
    ``signal``: the root mean square of ∂L/∂z, z before the activation; ``gradient``: the norm of
    ∂L/∂θ over the layer's parameters; ``ratio``: of the norm of the update to that of the
    parameters, about 10⁻³ where training goes well.
    """

    name: str
    kind: str
    mean: float
    spread: float
    saturated: float | None
    dead: float | None
    signal: float
    gradient: float
    ratio: float


@dataclass
class Diagnosis:
    """What :func:`diagnose` found: ``layers`` from input to output, ``problems`` by kind.

    ``problems`` maps ``"vanishing"``, ``"exploding"``, ``"dead"`` and ``"saturated"``, where they
    occur, to a sentence that says where, how much, and what helps. ``str(diagnosis)`` is a table
    and the sentences; ``plot()`` draws it.
    """

    loss: float
    layers: list[LayerDiagnosis]
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def healthy(self) -> bool:
        """Whether there is nothing to complain of."""
        return not self.problems

    def __str__(self) -> str:
        head = ["layer", "kind", "mean", "spread", "saturated", "dead", "signal", "gradient",
                "step/weight"]
        lines = [head] + [
            [x.name, x.kind, f"{x.mean:.3g}", f"{x.spread:.3g}", _percent(x.saturated),
             _percent(x.dead), f"{x.signal:.2e}", f"{x.gradient:.2e}", f"{x.ratio:.2e}"]
            for x in self.layers
        ]
        said = [f"{kind}: {sentence}" for kind, sentence in self.problems.items()]
        rows = [row.rstrip() for row in table(lines, texts=2)]
        return "\n".join([*rows, "", *(said or ["no complaints"])])

    def plot(self, axes: Any = None) -> Any:
        """Draw activations, saturation and gradients, layer by layer; returns the three axes.

        ``axes``: three axes of matplotlib to draw into, by default new ones. Needs matplotlib.
        """
        if axes is None:
            axes = figure(figsize=(13, 4), layout="constrained").subplots(1, 3)
        places = range(len(self.layers))
        names = [layer.name for layer in self.layers]
        axes[0].errorbar(places, [x.mean for x in self.layers],
                         yerr=[x.spread for x in self.layers], fmt="o-", capsize=3)
        axes[0].set_title("activations: mean ± spread")
        for what, shift in (("saturated", -0.2), ("dead", 0.2)):
            shares = [vars(x)[what] or 0.0 for x in self.layers]
            axes[1].bar([i + shift for i in places], shares, 0.4, label=what)
        axes[1].set_ylim(0, 1)
        axes[1].set_title("share of values and of units")
        axes[1].legend()
        for what, label in (("signal", "∂L/∂z"), ("gradient", "∂L/∂θ"), ("ratio", "step/weight")):
            axes[2].plot(places, [vars(x)[what] for x in self.layers], "o-", label=label)
        axes[2].set_yscale("log")
        axes[2].set_title("gradients")
        axes[2].legend()
        for ax in axes:
            ax.set_xticks(list(places), names, rotation=90)
        if self.problems:
            axes[0].figure.suptitle(", ".join(self.problems))
        return axes


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


# Watching a model run. ---------------------------------------------------------------------------


@dataclass
class _Seen:
    """A layer while the model runs: what went through it."""

    name: str
    kind: str
    parameters: list[Parameter]
    #: What left it, before an activation behind it; zeros that were added there, for ∂L/∂z.
    outputs: list[np.ndarray] = field(default_factory=list)
    probes: list[ag.Tensor] = field(default_factory=list)
    #: Functions applied in it or to its output: (function, its argument, its result).
    applied: list[tuple[Callable[[Any], Any], np.ndarray, np.ndarray]] = field(
        default_factory=list
    )
    #: Whether the layer applies an activation itself, and so was probed before that.
    inner: bool = False


def _units(model: Module) -> dict[Module, tuple[str, list[Parameter]]]:
    """The modules that count as a layer: with parameters of their own, or a Layer of Neurons."""
    found: dict[Module, tuple[str, list[Parameter]]] = {}
    visited: set[Module] = set()
    waiting: list[tuple[str, Any]] = [("", model)]
    while waiting:
        name, module = waiting.pop(0)
        if module in visited:
            continue
        visited.add(module)
        if isinstance(module, Layer):
            found[module] = (name, module.parameters())
            visited.update(module.modules())
            continue
        own: list[Parameter] = []
        inside: list[tuple[str, Any]] = []
        parts: list[tuple[str, Any]] = [(key, x) for key, x in vars(module).items()]
        while parts:
            key, part = parts.pop(0)
            if isinstance(part, Parameter):
                own.append(part)
            elif isinstance(part, Module):
                inside.append((f"{name}.{key}" if name else key, part))
            elif isinstance(part, (list, tuple, dict)):
                items = part.items() if isinstance(part, dict) else enumerate(part)
                parts[:0] = [(f"{key}.{i}", x) for i, x in items]
        if own:
            found[module] = (name or type(module).__name__, own)
        waiting[:0] = inside
    return found


class _Watch:
    """Replaces functions of a model by such that also note what they are given and return."""

    def __init__(self, model: Module) -> None:
        self.layers: dict[Module, _Seen] = {}
        self._units = _units(model)
        self._stack: list[Module] = []
        self._last: _Seen | None = None
        self._model = model

    @contextmanager
    def watching(self) -> Iterator[None]:
        undo: list[tuple[Any, Any, Any]] = []

        def replace(owner: Any, key: Any, value: Any) -> None:
            undo.append((owner, key, owner[key] if isinstance(owner, list) or key in owner
                         else None))
            owner[key] = value

        try:
            for module in list(self._model.modules()):
                own = vars(module)
                if module in self._units:
                    replace(own, "forward", self._layer(module))
                elif not any(True for _ in module.parameters()) and len(
                    list(module.modules())
                ) == 1:
                    replace(own, "forward", self._function(module.forward))
                if isinstance(module, Sequential):
                    for i, part in enumerate(module.layers):
                        if not isinstance(part, Module):
                            replace(module.layers, i, self._function(part))
                inner = own.get("activation")
                if callable(inner) and not isinstance(inner, Module):
                    replace(own, "activation", self._function(inner))
            yield
        finally:
            for owner, key, old in reversed(undo):
                if old is None:
                    del owner[key]
                else:
                    owner[key] = old

    def _layer(self, module: Module) -> Callable[..., Any]:
        forward = module.forward
        name, parameters = self._units[module]

        def run(*args: Any, **kwargs: Any) -> Any:
            if self._stack:  # a part of another layer
                return forward(*args, **kwargs)
            seen = self.layers.get(module)
            if seen is None:
                seen = self.layers[module] = _Seen(name, module.describe(), parameters)
            self._last = seen
            self._stack.append(module)
            try:
                out = forward(*args, **kwargs)
            finally:
                self._stack.pop()
            first = out[0] if isinstance(out, tuple) else out  # outputs of a recurrent layer
            if not isinstance(first, ag.Tensor):
                return out
            seen.outputs.append(first.numpy(force=True))
            if seen.inner:
                return out
            probed = self._probed(first, seen)
            return (probed, *out[1:]) if isinstance(out, tuple) else probed

        return run

    def _function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(z: Any, *args: Any, **kwargs: Any) -> Any:
            seen = self._last
            if seen is None or args or kwargs or not isinstance(z, ag.Tensor):
                return function(z, *args, **kwargs)
            if self._stack:
                seen.inner = True
                z = self._probed(z, seen)
            y = function(z)
            if isinstance(y, ag.Tensor):
                seen.applied.append((function, z.numpy(force=True), y.numpy(force=True)))
            return y

        run.__name__ = getattr(function, "__name__", type(function).__name__)
        return run

    @staticmethod
    def _probed(z: ag.Tensor, seen: _Seen) -> Any:
        """``z`` plus zeros, whose gradient is ∂L/∂z."""
        probe = ag.tensor(np.zeros(z.shape, z.dtype), requires_grad=True)
        seen.probes.append(probe)
        return z + probe


def _slopes(
    function: Callable[[Any], Any], z: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """|f'(z)|, and |f'| from far left to far right; None if f is no activation.

    An activation works element by element: the same function of one column gives the same.
    """
    if y.shape != z.shape or not z.size:
        return None
    column = z.reshape(-1, 1)
    with ag.no_grad():
        alone = function(ag.tensor(column))
    if not isinstance(alone, ag.Tensor) or alone.shape != column.shape or not np.allclose(
        alone.numpy().reshape(z.shape), y, rtol=1e-4, atol=1e-6, equal_nan=True
    ):
        return None
    slope = ag.elementwise_grad(function)
    grid = np.linspace(-30, 30, 241, dtype=z.dtype)
    return np.abs(np.asarray(slope(z))), np.abs(np.asarray(slope(grid)))


def _units_of(values: np.ndarray) -> np.ndarray:
    """Samples along the first axis, units along the second: each last index is a unit."""
    return values.reshape(-1, values.shape[-1] if values.ndim > 1 else 1)


def _measured(seen: _Seen, changes: Mapping[Parameter, Any]) -> LayerDiagnosis:
    """A layer's numbers, once the gradients are there."""
    outputs, kind = seen.outputs, seen.kind
    flat: list[np.ndarray] = []
    no_slope: list[np.ndarray] = []
    names: list[str] = []
    for function, z, y in seen.applied:
        found = _slopes(function, z, y)
        if found is None:
            continue
        name = getattr(function, "__name__", type(function).__name__)
        owner = getattr(function, "__self__", None)
        name = owner.describe() if isinstance(owner, Module) else name
        if name not in names:
            names.append(name)
        if not seen.inner:
            outputs = [y] if len(seen.outputs) == 1 else [*outputs, y][-len(seen.outputs):]
        slopes, grid = found
        top = grid.max()
        left, right = grid[0] <= FLAT * top, grid[-1] <= FLAT * top
        if left and right and top > 0:
            flat.append(np.ravel(slopes <= FLAT * top))
        elif left or right:
            no_slope.append((_units_of(slopes) <= NO_SLOPE * top).all(axis=0))
    gradients = [probe.grad for probe in seen.probes]
    signals = np.concatenate(
        [np.ravel(np.zeros(1) if g is None else np.asarray(g, np.float64)) for g in gradients]
        or [np.zeros(1)]
    )
    values = np.concatenate([np.ravel(x).astype(np.float64) for x in outputs])
    size = _norm([p.numpy(force=True) for p in seen.parameters])
    step = _norm([changes.get(p) for p in seen.parameters])
    with np.errstate(over="ignore", invalid="ignore"):
        return LayerDiagnosis(
            name=seen.name,
            kind=" ".join([kind, *(n for n in names if n not in kind and n != "identity")]),
            mean=float(np.mean(values)),
            spread=float(np.std(values)),
            saturated=float(np.mean(np.concatenate(flat))) if flat else None,
            dead=float(np.mean(np.concatenate(no_slope))) if no_slope else None,
            signal=float(np.sqrt(np.mean(np.square(signals)))),
            gradient=_norm([p.grad for p in seen.parameters]),
            ratio=step / size if size else float("inf") if step else 0.0,
        )


def _norm(arrays: list[Any]) -> float:
    total = 0.0
    for array in arrays:
        if array is not None:
            value = array.numpy(force=True) if isinstance(array, ag.Tensor) else array
            total += float(np.sum(np.square(np.asarray(value, np.float64))))
    return float(np.sqrt(total))


# What is wrong. ----------------------------------------------------------------------------------


def _problems(layers: list[LayerDiagnosis], loss: float) -> dict[str, str]:
    """The complaints, by kind."""
    found: dict[str, str] = {}
    first, last = layers[0], layers[-1]
    wild = [x for x in layers
            if not np.isfinite([x.mean, x.spread, x.signal, x.gradient]).all()]
    large = [x for x in layers if x.ratio > LARGE_STEP and np.isfinite(x.ratio)]
    if wild or not np.isfinite(loss):
        where = wild[0].name if wild else "the loss"
        found["exploding"] = (
            f"values at {where} are no longer finite; lower the learning rate, clip the gradients "
            "(nn.optim.clip_grad_norm), or start from smaller weights (nn.init)"
        )
        return found  # nothing else can be told
    if first.signal > EXPLODING * last.signal > 0:
        found["exploding"] = (
            f"the gradient grows on its way back, from {last.signal:.1e} at {last.name} to "
            f"{first.signal:.1e} at {first.name}, most of it in {_step(layers, max)}; start from "
            "smaller weights (He or Xavier, nn.init), normalise layers, or clip the gradients "
            "(nn.optim.clip_grad_norm)"
        )
    elif large:
        worst = max(large, key=lambda x: x.ratio)
        found["exploding"] = (
            f"the update of {worst.name} is {worst.ratio:.1g} times as large as its weights; lower "
            "the learning rate or clip the gradients (nn.optim.clip_grad_norm)"
        )
    elif last.signal > 0 and first.signal < VANISHING * last.signal:
        found["vanishing"] = (
            f"the gradient shrinks on its way back, from {last.signal:.1e} at {last.name} to "
            f"{first.signal:.1e} at {first.name}, most of it in {_step(layers, min)}; use units "
            "with slopes near 1 (relu, tanh), weights from He or Xavier (nn.init), normalised "
            "layers, or connections that skip layers"
        )
    elif not any(x.signal for x in layers) and loss:
        found["vanishing"] = (
            f"no gradient arrives at any layer although the loss is {loss:.3g}; its outputs, or "
            "all units of a layer, are where the slope is 0"
        )
    dead = [x for x in layers if x.dead is not None and x.dead > DEAD]
    if dead:
        worst = max(dead, key=lambda x: x.dead or 0.0)
        found["dead"] = (
            f"{_percent(worst.dead)} of the units of {worst.name} pass no gradient for any "
            f"sample{_others(dead)}; lower the learning rate, start from biases of 0 or a little "
            "above, or use leaky relu"
        )
    # An output is saturated where the network is sure, and may be.
    saturated = [x for x in layers[:-1] if x.saturated is not None and x.saturated > SATURATED]
    if saturated:
        worst = max(saturated, key=lambda x: x.saturated or 0.0)
        found["saturated"] = (
            f"{_percent(worst.saturated)} of the activations of {worst.name} are where the slope "
            f"is nearly 0{_others(saturated)}; standardise the inputs, start from smaller weights "
            "(Xavier, nn.init), or normalise layers"
        )
    return found


def _others(layers: list[LayerDiagnosis]) -> str:
    return f" (and of {len(layers) - 1} more layers)" if len(layers) > 1 else ""


def _step(layers: list[LayerDiagnosis], choose: Any) -> str:
    """Between which neighbours the signal changes most."""
    pairs = [
        (here.signal / behind.signal if behind.signal else 1.0, here.name, behind.name)
        for here, behind in pairwise(layers)
    ]
    factor, here, behind = choose(pairs)
    return f"the step from {behind} to {here}, by a factor of {factor:.1e}"


def diagnose(
    model: Module, X: Any, y: Any, *, loss: str | Callable[[Any, Any], Any] = "mse",
    optimizer: Optimizer | None = None,
) -> Diagnosis:
    """Run a model forwards and backwards once, and say how the signal and the gradient get through.

    ``X`` and ``y``: a batch as for ``nn.fit``, of some hundred samples; ``loss`` as there. The
    update in ``ratio`` is that which ``optimizer`` would make now, by default SGD's with a rate of
    0.01. The model runs in training mode and is left as it was: weights, gradients, buffers,
    modes, random states.

    A layer is a module with parameters of its own. Activations are found where a layer applies one
    (``Neuron``), in a ``Sequential``, and as modules without parameters; not where a ``forward`` of
    your own calls a function.

    What is complained of: **vanishing**, ∂L/∂z at the first layer is less than a thousandth of that
    at the last, or none arrives; **exploding**, it is more than a thousand times that, values are
    not finite, or an update is larger than the weights; **dead**, more than a quarter of a layer's
    units pass no gradient for any sample; **saturated**, more than half of a hidden layer's
    activations are where the slope is nearly 0.

    Raises what ``nn.fit`` raises for data that do not fit, ``ValueError`` for a model in which no
    layer ran.

    Source: Glorot, Bengio, "Understanding the difficulty of training deep feedforward neural
    networks" (2010); Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural
    networks" (2013).

    >>> model = nn.MLP([4] + [16] * 10 + [1], activation="sigmoid", rng=0)
    >>> X = np.random.default_rng(0).standard_normal((64, 4))
    >>> list(nn.diagnose(model, X, X[:, :1]).problems)
    ['vanishing']
    """
    parameters = model.parameters()
    if not parameters:
        raise ValueError("diagnose: the model has no parameters")
    inputs, targets = checked_data("diagnose", X, y, ("X", "y"), parameters[0].dtype,
                                   looks_up(model))
    rule = optimizer or SGD(parameters, lr=0.01)
    loss_of = losses.get(loss)
    watch = _Watch(model)
    modes = [(module, module.training) for module in model.modules()]
    before: list[Any] = [p.grad for p in parameters]
    buffers = [(buffer, np.copy(buffer.numpy(force=True))) for _, buffer in model.named_buffers()]
    draws = [(g, g.bit_generator.state) for _, g in generators(model)]
    try:
        model.train()
        model.zero_grad()
        with watch.watching():
            value = loss_of(model(ag.tensor(inputs)), targets)
        with np.errstate(over="ignore", invalid="ignore"):
            value.backward()
            changes = dict(zip(rule.parameters, rule.changes(), strict=True))
        if not watch.layers:
            raise ValueError("diagnose: no module with parameters was called")
        layers = [_measured(seen, changes) for seen in watch.layers.values()]
    finally:
        for module, training in modes:
            module.training = training
        for p, g in zip(parameters, before, strict=True):
            p.grad = g
        for buffer, array in buffers:
            buffer.assign(array)
        for generator, state in draws:
            generator.bit_generator.state = state
    result = float(value.numpy(force=True))
    return Diagnosis(result, layers, _problems(layers, result))


class DiagnosisLog(Callback):
    """:func:`diagnose` after every ``every`` epochs on the same batch, to see it change.

    ``diagnoses`` holds them with their epochs in ``epochs``; ``plot()`` draws, layer by layer, the
    signal, the ratio of update to weight, and the share of saturated values or dead units.

    >>> X = np.random.default_rng(0).standard_normal((64, 4))
    >>> log = nn.DiagnosisLog(X, X[:, :1], every=2)
    >>> history = nn.fit(nn.MLP([4, 8, 1], rng=0), X, X[:, :1], epochs=4, callbacks=[log],
    ...                  progress=False)
    >>> log.epochs, len(log.diagnoses)
    ([2, 4], 2)
    """

    def __init__(
        self, X: Any, y: Any, *, loss: str | Callable[[Any, Any], Any] = "mse", every: int = 1
    ) -> None:
        if every < 1:
            raise ValueError(f"DiagnosisLog: every must be positive, got {every}")
        self.X, self.y = X, y
        self.loss = loss
        self.every = every
        self.epochs: list[int] = []
        self.diagnoses: list[Diagnosis] = []

    def on_epoch_end(self, training: Training) -> None:
        if training.epoch % self.every == 0:
            self.epochs.append(training.epoch)
            self.diagnoses.append(diagnose(
                training.model, self.X, self.y, loss=self.loss, optimizer=training.optimizer
            ))

    def plot(self, axes: Any = None) -> Any:
        """Draw three numbers of each layer over the epochs; returns the three axes."""
        if axes is None:
            axes = figure(figsize=(13, 4), layout="constrained").subplots(1, 3)
        names = [layer.name for layer in self.diagnoses[0].layers] if self.diagnoses else []
        for i, name in enumerate(names):
            rows = [d.layers[i] for d in self.diagnoses]
            flat = [max(x.saturated or 0.0, x.dead or 0.0) for x in rows]
            for ax, values in zip(
                axes, ([x.signal for x in rows], [x.ratio for x in rows], flat), strict=True
            ):
                ax.plot(self.epochs, values, "o-", label=name)
        for ax, title in zip(axes, ("∂L/∂z", "step/weight", "saturated or dead"), strict=True):
            ax.set_xlabel("epoch")
            ax.set_title(title)
        for ax in axes[:2]:
            ax.set_yscale("log")
        if names:
            axes[0].legend()
        return axes

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": list(self.epochs), "diagnoses": [asdict(d) for d in self.diagnoses]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.epochs = list(state["epochs"])
        self.diagnoses = [
            Diagnosis(d["loss"], [LayerDiagnosis(**x) for x in d["layers"]], dict(d["problems"]))
            for d in state["diagnoses"]
        ]
