"""The training loop people expect."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

import autograd_core as ag

from . import losses
from .module import Module
from .optim import Adam, Optimizer

__all__ = ["History", "fit", "predict"]


class History:
    """What happened, epoch by epoch: lists by name.

    ``history["loss"]`` is the mean training loss of each epoch; with validation data there are
    ``"val_loss"`` and ``"val_" + name`` of each metric.
    """

    def __init__(self) -> None:
        self.epochs: dict[str, list[float]] = {}

    def append(self, **values: float) -> None:
        for name, value in values.items():
            self.epochs.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> list[float]:
        return self.epochs[name]

    def __contains__(self, name: object) -> bool:
        return name in self.epochs

    def __len__(self) -> int:
        return max((len(values) for values in self.epochs.values()), default=0)

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in self.epochs.items())
        return f"History({len(self)} epochs{': ' + last if last else ''})"


def _checked(x: Any, name: str, dtype: np.dtype[Any]) -> np.ndarray:
    """Data as an array in the model's dtype (integer targets stay integers), without NaN."""
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"fit: {name} must hold numbers, got dtype {array.dtype}")
    if array.ndim == 0:
        raise ag.ShapeError(f"fit: {name} must have a first axis of samples, got a scalar")
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what is too large for the dtype becomes infinite
            array = array.astype(dtype, copy=False)
        bad = ~np.isfinite(array)
        if bad.any():
            first = tuple(int(i) for i in np.argwhere(bad)[0])
            raise ValueError(
                f"fit: {name} holds {int(bad.sum())} values that are NaN or infinite in {dtype}, "
                f"the first at index {first}; remove or fill them, for instance with np.nan_to_num"
            )
    return array


def _dataset(X: Any, y: Any, names: tuple[str, str], dtype: np.dtype[Any]) -> Any:
    inputs, targets = _checked(X, names[0], dtype), _checked(y, names[1], dtype)
    if inputs.dtype.kind != "f":
        inputs = inputs.astype(dtype)
    if len(inputs) != len(targets):
        raise ag.ShapeError(
            f"fit: {names[0]} has {len(inputs)} samples but {names[1]} has {len(targets)}"
        )
    if not len(inputs):
        raise ag.ShapeError(f"fit: {names[0]} has no samples")
    return inputs, targets


def predict(model: Callable[[Any], Any], X: Any, batch_size: int = 1024) -> np.ndarray:
    """``model(X)`` as an ndarray, in batches, in evaluation mode and without recording.

    The first axis of ``X`` counts the samples.
    """
    if batch_size < 1:
        raise ValueError(f"predict: batch_size must be positive, got {batch_size}")
    dtype = _dtype_of(model)
    inputs = np.asarray(X)
    if inputs.ndim == 0:
        raise ag.ShapeError("predict: X must have a first axis of samples, got a scalar")
    if dtype is not None:
        inputs = inputs.astype(dtype, copy=False)
    modes = [(m, m.training) for m in model.modules()] if isinstance(model, Module) else []
    try:
        for module, _ in modes:
            module.training = False
        with ag.no_grad():
            outputs = [
                model(ag.tensor(inputs[i : i + batch_size])).numpy()
                for i in range(0, max(1, len(inputs)), batch_size)
            ]
    finally:
        for module, training in modes:
            module.training = training
    return np.concatenate(outputs)


def _dtype_of(model: Any) -> np.dtype[Any] | None:
    parameters = model.parameters() if isinstance(model, Module) else []
    return parameters[0].dtype if parameters else None


def _compiled(
    step: Callable[[Any, Any], Any], optimizer: Optimizer
) -> Callable[[Any, Any], Any]:
    """``step``, compiled; from the first batch on where that fails, ``step`` itself."""
    compiled = ag.compile(step)

    def run(batch: Any, target: Any) -> Any:
        nonlocal compiled
        if compiled is None:
            return step(batch, target)
        steps = optimizer.steps
        try:
            return compiled(batch, target)
        except ag.CompileError as reason:
            # The recording leaves Tensors as they were, but what Python has counted stays counted.
            optimizer.steps = steps
            compiled = None
            warnings.warn(
                f"fit: the training step cannot be compiled and runs eagerly, which is slower "
                f"(compile=False says so beforehand): {reason}",
                stacklevel=3,
            )
        return step(batch, target)

    return run


def fit(
    model: Module,
    X: Any,
    y: Any,
    *,
    loss: str | Callable[[Any, Any], Any] = "mse",
    optimizer: Optimizer | None = None,
    epochs: int = 10,
    batch_size: int = 32,
    validation_data: tuple[Any, Any] | None = None,
    metrics: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] | None = None,
    callbacks: Iterable[Callable[[int, History], Any]] = (),
    progress: bool = True,
    compile: bool = True,
    seed: int | np.random.Generator | None = None,
) -> History:
    """Train ``model`` on mini-batches drawn without replacement, and return what happened.

    ``X`` of shape (samples, ...) is cast to the dtype of the model's parameters, and so is ``y``
    unless it holds integers. ``loss(prediction, target)`` returns a scalar, by default the mean
    squared error; ``optimizer`` is by default Adam. ``validation_data`` is a pair (X, y) on which
    the loss and the ``metrics``, functions of (prediction, target), are computed after each epoch.
    ``callbacks`` are called as ``callback(epoch, history)`` after each epoch, counted from 1; one
    that returns True ends the training. ``progress`` shows a bar, for which tqdm is needed.
    The order of samples follows from ``seed``.

    With ``compile`` the training step (loss, gradients, update) is recorded at the first batch and
    replayed at the others, which gives the same numbers to rounding. The model's ``training``
    modes, the optimiser's settings and which parameters require a gradient may change between
    epochs; any other number or condition of the model or the loss that is no Tensor stays as it was
    at the recording: one that a callback changes is put in an ``ag.tensor`` and assigned to, or
    ``compile=False``. A step that cannot be recorded, because Python looks at values, runs eagerly
    after a warning that says where.

    Raises ``ValueError`` for NaN or infinite values in the data, :class:`ag.ShapeError` for
    numbers of samples that differ, before anything is changed; ``FloatingPointError`` when the
    loss stops being finite.
    """
    if epochs < 0 or batch_size < 1:
        raise ValueError(f"fit: epochs={epochs} and batch_size={batch_size} make no training")
    dtype = _dtype_of(model)
    if dtype is None:
        raise ValueError("fit: the model has no parameters to train")
    inputs, targets = _dataset(X, y, ("X", "y"), dtype)
    held_out = None
    if validation_data is not None:
        names = ("validation X", "validation y")
        held_out = _dataset(*validation_data, names, dtype)
    elif metrics:
        raise ValueError("fit: metrics are computed on validation_data, and there is none")
    loss_of = losses.get(loss)
    if loss_of is losses.cross_entropy:
        # All labels now: one that is out of range would otherwise be found in the middle.
        shape = predict(model, inputs[:1]).shape
        for data in (targets, held_out[1] if held_out else targets):
            if len(shape) == 2 and data.ndim == 1:
                losses.check_labels(data, shape[1])
    if held_out is not None:  # what does not fit is found before the first epoch, not after it
        with ag.no_grad():
            loss_of(ag.tensor(predict(model, held_out[0][:1])), held_out[1][:1])
    if optimizer is None:
        optimizer = Adam(model.parameters())
    elif not set(model.parameters()) & set(optimizer.parameters):
        raise ValueError(
            "fit: the optimizer updates none of the model's parameters; make it with "
            "`model.parameters()` of this model"
        )
    callbacks = list(callbacks)
    rng = np.random.default_rng(seed)
    history = History()
    samples = len(inputs)

    def step(batch: Any, target: Any) -> Any:
        optimizer.zero_grad()
        value = loss_of(model(batch), target)
        value.backward()
        optimizer.step()
        return value.detach()

    run = _compiled(step, optimizer) if compile else step
    model.train()
    with _progress_bar(progress, epochs) as bar:
        for epoch in range(1, epochs + 1):
            order = rng.permutation(samples)
            total = 0.0
            for begin in range(0, samples, batch_size):
                chosen = order[begin : begin + batch_size]
                batch, target = inputs.take(chosen, axis=0), targets.take(chosen, axis=0)
                batch.flags.writeable = target.flags.writeable = False  # need not be copied
                total += run(batch, target).item() * len(chosen)
            if not np.isfinite(total):
                raise FloatingPointError(
                    f"fit: the loss is {total / samples} in epoch {epoch}; the learning rate "
                    f"({optimizer.lr}) may be too large"
                )
            values = {"loss": total / samples}
            if held_out is not None:
                prediction = predict(model, held_out[0])
                with ag.no_grad():
                    values["val_loss"] = float(loss_of(ag.tensor(prediction), held_out[1]))
                for name, metric in (metrics or {}).items():
                    values[f"val_{name}"] = float(metric(prediction, held_out[1]))
            history.append(**values)
            bar.update(1)
            bar.set_postfix({name: f"{value:.4g}" for name, value in values.items()})
            ends = [callback(epoch, history) is True for callback in callbacks]  # all are called
            if any(ends):
                break
    return history


class _NoBar:
    """Stands in for a progress bar where none is wanted."""

    def __enter__(self) -> _NoBar:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def update(self, n: int) -> None:
        pass

    def set_postfix(self, values: Mapping[str, str]) -> None:
        pass


def _progress_bar(wanted: bool, epochs: int) -> Any:
    if not wanted:
        return _NoBar()
    try:
        from tqdm import tqdm
    except ImportError:
        warnings.warn(
            "fit: the progress bar needs tqdm: pip install 'autograd-core[train]', or pass "
            "progress=False",
            stacklevel=3,
        )
        return _NoBar()
    return tqdm(total=epochs, unit="epoch", desc="fit")
