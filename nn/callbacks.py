"""Callbacks: what happens besides training, before, between and after epochs."""

from __future__ import annotations

import csv
import io as text
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import autograd_core as ag

from .history import History, figure
from .io import write_training
from .lookup import refuse_class
from .metrics import larger_is_better
from .module import Module
from .optim import EMA, Optimizer
from .schedules import improved, rate_at, watched

__all__ = [
    "CSVLog",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "GradientMonitor",
    "LearningRateLog",
    "Training",
]


@dataclass
class Training:
    """A training as its callbacks see it.

    ``epoch`` counts from 1 (0 before the first), ``epochs`` is how many were asked for. ``rng``
    draws the batches, ``began`` is its state from before the first draw.
    """

    model: Module
    optimizer: Optimizer
    history: History
    epochs: int
    rng: np.random.Generator
    began: Any
    ema: EMA | None = None
    callbacks: list[Any] = field(default_factory=list)
    epoch: int = 0
    stopping: bool = False

    def stop(self, reason: str) -> None:
        """End the training after this epoch; ``reason`` becomes ``history.stopped``."""
        self.stopping = True
        self.history.stopped = self.history.stopped or reason


class Callback:
    """Something to do at certain times of a training: subclass it and override what you need.

    What is not overridden costs nothing; ``on_batch_end`` is called for each batch. The state, if
    there is one, is kept in checkpoints, so that a resumed training goes on with it.

    >>> class Shout(nn.Callback):
    ...     def on_epoch_end(self, training):
    ...         print("epoch", training.epoch, "of", training.epochs)
    >>> history = nn.fit(nn.Linear(1, 1), [[0.0], [1.0]], [[0.0], [1.0]], epochs=2,
    ...                  callbacks=[Shout()], progress=False)
    epoch 1 of 2
    epoch 2 of 2
    """

    def on_train_begin(self, training: Training) -> None:
        """Before the first epoch, also of a resumed training."""

    def on_epoch_begin(self, training: Training) -> None:
        """Before each epoch."""

    def on_batch_end(self, training: Training, loss: float) -> None:
        """After each step, with the loss that it was made from."""

    def on_epoch_end(self, training: Training) -> Any:
        """After each epoch, when its values are in ``training.history``; True ends the training."""

    def on_train_end(self, training: Training) -> None:
        """After the last epoch, also where the training was stopped or interrupted."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs: numbers, texts and arrays, in lists and dicts."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state_dict`."""


class Function(Callback):
    """A function of (epoch, history) as a callback."""

    def __init__(self, function: Callable[[int, History], Any]) -> None:
        refuse_class("fit", function)
        if not callable(function):
            raise TypeError(f"fit: a callback is a function or an nn.Callback, got {function!r}")
        self.function = function

    def on_epoch_end(self, training: Training) -> Any:
        return self.function(training.epoch, training.history)


def _mode(mode: str | None, name: str, owner: str) -> str:
    if mode not in (None, "min", "max"):
        raise ValueError(f"{owner}: mode must be 'min' or 'max', got {mode!r}")
    return mode or ("max" if larger_is_better(name) else "min")


class EarlyStopping(Callback):
    """End the training when a metric no longer improves, and go back to the best weights.

    ``monitor``: by default ``"val_loss"``, or ``"loss"`` without validation. After ``patience``
    epochs in a row that are not better than the best by more than ``min_delta`` it ends. ``mode``:
    whether better is ``"min"`` or ``"max"``, by default what the metric's name says (accuracy and
    r2 are maximised). With ``restore_best`` the model is left with the weights (and buffers) of
    its best epoch, and an average of them that ``nn.fit`` was given with that of this epoch,
    however the training ended. ``best`` and ``best_epoch`` say which it was.

    Raises ``KeyError`` for a metric that the history does not have.

    Source: Prechelt, "Early stopping - but when?" (1998); Goodfellow, Bengio, Courville, "Deep
    learning" (2016), algorithm 7.1.

    >>> X, y = np.eye(2), np.eye(2)
    >>> model = nn.Linear(2, 2, rng=0)
    >>> history = nn.fit(model, X, y, optimizer=nn.optim.SGD(model.parameters(), lr=0.0), epochs=9,
    ...                  callbacks=[nn.EarlyStopping(patience=3)], progress=False)
    >>> len(history), history.stopped
    (4, 'loss has not improved for 3 epochs')
    """

    def __init__(
        self, monitor: str | None = None, patience: int = 10, *, min_delta: float = 0.0,
        mode: str | None = None, restore_best: bool = True,
    ) -> None:
        if patience < 1 or not min_delta >= 0:
            raise ValueError(
                f"EarlyStopping: patience must be positive and min_delta not negative, got "
                f"{patience} and {min_delta}"
            )
        _mode(mode, "", "EarlyStopping")
        self.monitor = monitor
        self.patience = patience
        self.min_delta = min_delta
        self.mode = mode
        self.restore_best = restore_best
        self._forget()

    def _forget(self) -> None:
        self.best: float | None = None
        self.best_epoch = 0
        self._weights: dict[str, np.ndarray] | None = None
        self._averages: dict[str, np.ndarray] | None = None

    def on_train_begin(self, training: Training) -> None:
        if not training.epoch:
            self._forget()
        elif self.best is not None:  # resumed, maybe from its end
            self._end_if_due(training, watched(self.monitor, training.history))

    def on_epoch_end(self, training: Training) -> None:
        name = watched(self.monitor, training.history)
        value = training.history[name][-1]
        mode = _mode(self.mode, name, "EarlyStopping")
        if self.best is None or improved(value, self.best, mode, absolute=self.min_delta):
            self.best, self.best_epoch = value, training.epoch
            if self.restore_best:
                self._weights = training.model.state_dict()
                self._averages = None if training.ema is None else training.ema.state_dict()
        self._end_if_due(training, name)

    def _end_if_due(self, training: Training, name: str) -> None:
        if training.epoch - self.best_epoch >= self.patience:
            training.stop(f"{name} has not improved for {self.patience} epochs")

    def on_train_end(self, training: Training) -> None:
        if self._weights is not None and self.best_epoch < training.epoch:
            training.model.load_state_dict(self._weights)
            if training.ema is not None and self._averages is not None:
                training.ema.load_state_dict(self._averages)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "best_epoch": self.best_epoch, "weights": self._weights,
                "averages": self._averages}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self._weights, self._averages = state["weights"], state["averages"]


class Checkpoint(Callback):
    """Write all that a training needs to go on into a file, after epochs.

    ``path``: of a safetensors file, where ``{epoch}`` stands for the number of the epoch, in four
    digits. ``every`` so many epochs; with ``best_only`` where ``monitor`` is better than ever, with
    ``mode`` and defaults as for :class:`EarlyStopping`. The file is replaced in one step, see
    :func:`nn.save`. ``nn.fit(..., resume=path)``, or ``resume=True`` with this callback among the
    others, goes on after the last epoch that is in it; ``nn.load`` reads the weights alone.

    Checkpoints are written after all other callbacks, whatever their place in the list.

    >>> nn.Checkpoint("run.safetensors", every=5)
    Checkpoint('run.safetensors', every=5)
    """

    def __init__(
        self, path: str | os.PathLike[str], *, every: int = 1, best_only: bool = False,
        monitor: str | None = None, mode: str | None = None,
    ) -> None:
        if every < 1:
            raise ValueError(f"Checkpoint: every must be positive, got {every}")
        _mode(mode, "", "Checkpoint")
        self.path = Path(path)
        self.every = every
        self.best_only = best_only
        self.monitor = monitor
        self.mode = mode
        self.best: float | None = None

    def path_of(self, epoch: int) -> Path:
        """The file of an epoch."""
        return Path(str(self.path).replace("{epoch}", f"{epoch:04d}"))

    def latest(self) -> Path | None:
        """The last file that was written, by this or an earlier training; None if there is none."""
        if "{epoch}" not in self.path.name:
            return self.path if self.path.exists() else None
        before, after = self.path.name.split("{epoch}", 1)
        found = []
        for file in self.path.parent.glob("*") if self.path.parent.is_dir() else ():
            number = file.name.removeprefix(before).removesuffix(after)
            if number.isdigit() and file.name == f"{before}{number}{after}":
                found.append((int(number), file))
        return max(found)[1] if found else None

    def on_train_begin(self, training: Training) -> None:
        if not training.epoch:
            self.best = None

    def on_epoch_end(self, training: Training) -> None:
        if self.best_only:
            name = watched(self.monitor, training.history)
            value = training.history[name][-1]
            mode = _mode(self.mode, name, "Checkpoint")
            if self.best is not None and not improved(value, self.best, mode):
                return
            self.best = value
        elif training.epoch % self.every:
            return
        write_training(self.path_of(training.epoch), training)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best = state["best"]

    def __repr__(self) -> str:
        return f"Checkpoint({str(self.path)!r}, every={self.every})"


class LearningRateLog(Callback):
    """Note the rate of the next step in ``history["lr"]`` (``"lr_1"``, ... of further groups).

    >>> model = nn.Linear(1, 1, rng=0)
    >>> optimizer = nn.optim.SGD(model.parameters(), lr=nn.schedules.Exponential(0.1, 0.5))
    >>> nn.fit(model, [[1.0]], [[2.0]], optimizer=optimizer, epochs=3, progress=False,
    ...        callbacks=[nn.LearningRateLog()])["lr"]
    [0.05, 0.025, 0.0125]
    """

    def on_epoch_end(self, training: Training) -> None:
        optimizer = training.optimizer
        for i, group in enumerate(optimizer.groups):
            value = rate_at(group.get("lr", optimizer.lr), optimizer.steps)
            training.history.append(**{f"lr_{i}" if i else "lr": value})


class CSVLog(Callback):
    """Write the history into a CSV file after each epoch: a line of names, then one for each.

    The file is replaced in one step, and holds the whole history also of a resumed training.

    >>> nn.CSVLog("log.csv").path.name
    'log.csv'
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def on_epoch_end(self, training: Training) -> None:
        rows = training.history.rows()
        out = text.StringIO(newline="")
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        ag.write_file(self.path, out.getvalue().encode())


class GradientMonitor(Callback):
    """Keep the gradient's norm and the relative step of every parameter, after each epoch.

    ``norms[name]`` holds ‖g‖ of the epoch's last batch, ``ratios[name]`` ‖Δp‖ / ‖p‖ of the step
    that the optimiser would make from it, about 10⁻³ where training goes well; NaN where there is
    no gradient. ``plot()`` draws both.

    >>> monitor = nn.GradientMonitor()
    >>> history = nn.fit(nn.Linear(1, 1, rng=0), [[1.0]], [[2.0]], epochs=3, progress=False,
    ...                  callbacks=[monitor])
    >>> {name: len(norms) for name, norms in monitor.norms.items()}
    {'weight': 3, 'bias': 3}
    """

    def __init__(self) -> None:
        self.norms: dict[str, list[float]] = {}
        self.ratios: dict[str, list[float]] = {}

    def on_epoch_end(self, training: Training) -> None:
        changes = dict(zip(
            training.optimizer.parameters, training.optimizer.changes(), strict=True
        ))
        for name, p in training.model.named_parameters():
            g: Any = p.grad
            if isinstance(g, ag.Tensor):
                g = g.numpy(force=True)
            change = changes.get(p)
            norm = math.nan if g is None else float(np.linalg.norm(np.ravel(g)))
            size = float(np.linalg.norm(np.ravel(p.numpy(force=True))))
            self.norms.setdefault(name, []).append(norm)
            self.ratios.setdefault(name, []).append(
                math.nan if change is None or not size
                else float(np.linalg.norm(np.ravel(change))) / size
            )

    def plot(self, axes: Any = None) -> Any:
        """Draw norms and ratios over the epochs; returns the two axes. Needs matplotlib."""
        if axes is None:
            axes = figure(figsize=(10, 4)).subplots(1, 2)
        for ax, curves, title in zip(
            axes, (self.norms, self.ratios), ("norm of the gradient", "step / weight"), strict=True
        ):
            for name, values in curves.items():
                ax.plot(range(1, len(values) + 1), values, label=name)
            ax.set_yscale("log")
            ax.set_xlabel("epoch")
            ax.set_title(title)
        axes[0].legend()
        return axes

    def state_dict(self) -> dict[str, Any]:
        return {"norms": self.norms, "ratios": self.ratios}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.norms, self.ratios = dict(state["norms"]), dict(state["ratios"])
