"""A page that shows a small model learning: decision surface, weights and gradients by epoch."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

import autograd_core as ag

from .history import History
from .layers import Sequential
from .module import Module
from .optim import Optimizer
from .plane import Task, bounds, cells, points_of
from .training import fit, predict

__all__ = ["playground"]

_GRID = 64
"""Rows and columns of the decision surface."""
_UNIT_GRID = 16
_MAX_UNITS = 12
"""Layers up to this width are drawn unit by unit."""
_MAX_WEIGHTS = 4_000


def playground(
    model: Module,
    X: Any,
    y: Any,
    path: str | os.PathLike[str],
    *,
    loss: str | Callable[[Any, Any], Any] | None = None,
    optimizer: Optimizer | None = None,
    epochs: int = 100,
    batch_size: int = 32,
    frames: int = 60,
    seed: int | np.random.Generator | None = None,
    title: str | None = None,
    compile: bool | str = True,
) -> Path:
    """Train ``model`` and write a page that steps through the training, epoch by epoch.

    The page is one HTML file that works offline. It shows, for about ``frames`` epochs evenly
    spread and for the model before any, the decision surface with the data on it, the loss curve,
    the weights, the gradient of each parameter (root mean square, of the loss over all data), and
    for a ``Sequential`` with narrow layers what each unit responds to.

    ``X`` of shape (samples, 2); ``y`` holds integer labels of shape (samples,) for a model with one
    output per class, or labels 0 and 1, or numbers, for a model with one output, of shape
    (samples,) or (samples, 1). ``loss`` is chosen to fit: ``cross_entropy``, ``bce_with_logits`` or
    ``mse``. The model is trained as by :func:`nn.fit` with the same ``optimizer``, ``epochs``,
    ``batch_size`` and ``seed``, and stays trained. Returns the path.

    Raises :class:`ag.ShapeError` for data that is not two-dimensional or a model with another
    number of outputs, what :func:`ag.writable` raises where the file cannot be written, both before
    the training, and what ``fit`` raises.

    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-1, 1, (60, 2))
    >>> model = nn.MLP([2, 4, 1], activation="tanh", rng=0)
    >>> nn.playground(model, X, X[:, 0] * X[:, 1] > 0, "xor.html", epochs=3, seed=0).name
    'xor.html'
    """
    ag.writable(path)
    if frames < 1:
        raise ValueError(f"playground: frames must be positive, got {frames}")
    inputs = points_of("playground", X)
    task = Task("playground", model, inputs, np.asarray(y), loss)
    recorder = _Recorder(model, task, inputs, _chosen(epochs, frames))
    recorder(0, History())
    history = fit(
        model, inputs, task.targets, loss=task.loss, optimizer=optimizer, epochs=epochs,
        batch_size=batch_size, callbacks=[recorder], progress=False, compile=compile, seed=seed,
    )
    shown = title or f"{type(model).__name__} learning {len(inputs):,} points"
    page = ag.html_page(
        shown,
        subtitle=f"{sum(p.size for p in model.parameters()):,} parameters, {epochs:,} epochs, "
                 f"{task.name}",
        body=_part("playground.html"),
        style=_part("playground.css"),
        script=_part("playground.js"),
        data=recorder.data(history),
    )
    return ag.write_file(path, page)


def _part(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _chosen(epochs: int, frames: int) -> set[int]:
    """The epochs to record: the last, the one before any, and others evenly between."""
    return {round(i * epochs / min(frames, max(epochs, 1))) for i in range(frames + 1)
            if i <= epochs} | {0, epochs}


class _Recorder:
    """A callback of the training that looks at the model after the chosen epochs."""

    def __init__(
        self, model: Module, task: Task, X: np.ndarray, chosen: set[int]
    ) -> None:
        self._model, self._task, self._X, self._chosen = model, task, X, chosen
        self._low, self._high = bounds(X)
        self._grid = cells(self._low, self._high, _GRID)
        self._coarse = cells(self._low, self._high, _UNIT_GRID)
        self._parameters = list(model.named_parameters())
        self._show_weights = sum(p.size for _, p in self._parameters) <= _MAX_WEIGHTS
        self._epochs: list[int] = []
        self._losses: list[float] = []
        self._accuracies: list[float | None] = []
        self._surfaces: list[np.ndarray] = []
        self._certainties: list[np.ndarray] = []
        self._weights: list[list[np.ndarray]] = []
        self._gradients: list[list[float]] = []
        self._units: list[list[np.ndarray]] = []

    def __call__(self, epoch: int, history: History) -> None:
        if epoch not in self._chosen:
            return
        self._epochs.append(epoch)
        surface, certainty = self._task.surface(predict(self._model, self._grid))
        self._surfaces.append(surface)
        if certainty is not None:
            self._certainties.append(certainty)
        outputs = predict(self._model, self._X)
        self._accuracies.append(self._task.accuracy(outputs))
        loss, gradients = self._gradient()
        self._losses.append(loss)
        self._gradients.append(gradients)
        if self._show_weights:
            self._weights.append([p.numpy(force=True).copy() for _, p in self._parameters])
        self._units.append(self._responses())

    def _gradient(self) -> tuple[float, list[float]]:
        """The loss over all data and the root mean square of its gradient, by parameter.

        In evaluation mode, so that looking draws no random numbers and moves no statistics: the
        training goes on as if nobody had looked.
        """
        modes = [(module, module.training) for module in self._model.modules()]
        dtype = self._parameters[0][1].dtype
        X = self._X.astype(dtype)
        targets = self._task.targets
        if targets.dtype.kind == "f":
            targets = targets.astype(dtype)
        kept = [p.grad for _, p in self._parameters]
        try:
            self._model.eval()
            self._model.zero_grad()
            loss = self._task.loss(self._model(ag.tensor(X)), targets)
            loss.backward()
            norms = []
            for _, p in self._parameters:
                slope = p.grad
                norms.append(0.0 if slope is None else float(
                    np.sqrt(np.mean(np.square(np.asarray(slope, np.float64))))))
        finally:
            for (_, p), grad in zip(self._parameters, kept, strict=True):
                p.grad = grad
            for module, training in modes:
                module.training = training
        return float(loss.item()), norms

    def _responses(self) -> list[np.ndarray]:
        """What each unit of each layer gives over the plane, one array per layer with parameters.

        Of a layer that is followed by functions without parameters, what comes out of those.
        """
        if not isinstance(self._model, Sequential):
            return []
        found: list[np.ndarray] = []
        value = self._coarse.astype(self._parameters[0][1].dtype)
        for layer in self._model:
            value = predict(layer, value)
            response = value.reshape(len(self._coarse), -1)
            if isinstance(layer, Module) and layer.parameters():
                found.append(response)
            elif found:
                found[-1] = response
        return found if all(r.shape[1] <= _MAX_UNITS for r in found) else []

    def data(self, history: History) -> Any:
        """All of it for the page: bytes in base64 where a number has only to be seen."""
        task = self._task
        surfaces = np.stack(self._surfaces)
        if task.kind == "number":
            low, high = float(np.nanmin(surfaces)), float(np.nanmax(surfaces))
            targets = task.targets.astype(np.float64)
            low, high = min(low, float(targets.min())), max(high, float(targets.max()))
            surfaces = (surfaces - low) / ((high - low) or 1.0)
        else:
            low, high = 0.0, 1.0
        scale = 1.0 if task.kind == "classes" else 255.0
        layers = [
            {
                "name": name, "shape": list(p.shape),
                "values": _signed([frame[i] for frame in self._weights])
                if self._show_weights else None,
                "largest": max((float(np.max(np.abs(frame[i]), initial=0.0))
                                for frame in self._weights), default=0.0),
                "gradients": [norms[i] for norms in self._gradients],
            }
            for i, (name, p) in enumerate(self._parameters)
        ]
        return {
            "kind": task.kind, "classes": task.outputs if task.kind == "classes" else 2,
            "low": self._low.tolist(), "high": self._high.tolist(), "range": [low, high],
            "points": np.round(self._X.astype(np.float64), 5).tolist(),
            "targets": task.targets.reshape(-1).tolist(),
            "epochs": self._epochs, "losses": self._losses, "accuracies": self._accuracies,
            "history": [float(v) for v in history.epochs.get("loss", [])],
            "lossName": task.name,
            "grid": _GRID, "surfaces": [_bytes(s * scale) for s in surfaces],
            "certainties": [_bytes(c * 255.0) for c in self._certainties],
            "parameters": layers,
            "unitGrid": _UNIT_GRID, "units": self._units_data(),
        }

    def _units_data(self) -> Any:
        """Per layer: its width, and per frame the responses, unit by unit."""
        if not self._units[0]:
            return []
        return [
            {"width": first.shape[1],
             "responses": [_signed_each(frame[k].T) for frame in self._units]}
            for k, first in enumerate(self._units[0])
        ]


def _bytes(values: np.ndarray) -> str:
    clipped = np.clip(np.nan_to_num(values), 0, 255)
    return base64.b64encode(np.rint(clipped).astype(np.uint8).tobytes()).decode()


def _signed(frames: Sequence[np.ndarray]) -> list[str]:
    """Each frame as bytes from -127 to 127, which stands for the largest magnitude of any."""
    largest = max(float(np.max(np.abs(frame), initial=0.0)) for frame in frames) or 1.0
    return [_two_s_complement(frame / largest) for frame in frames]


def _signed_each(rows: np.ndarray) -> str:
    """Rows of bytes from -127 to 127, each row by its own largest magnitude."""
    largest = np.max(np.abs(rows), axis=1, keepdims=True)
    return _two_s_complement(rows / np.where(largest > 0, largest, 1.0))


def _two_s_complement(values: np.ndarray) -> str:
    steps = np.rint(np.clip(np.nan_to_num(values), -1, 1) * 127).astype(np.int8)
    return base64.b64encode(steps.tobytes()).decode()
