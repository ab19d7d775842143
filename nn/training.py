"""The training loop people expect."""

from __future__ import annotations

import inspect
import math
import operator
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np

import autograd_core as ag

from . import losses
from .callbacks import Callback, Checkpoint, Function, Training
from .data import batches, checked_data, checked_weights, looks_up, split
from .history import History
from .io import generators, load_generator, read_training
from .metrics import Metric, named
from .module import Module
from .optim import EMA, LBFGS, Adam, Optimizer
from .threads import largest_product, limited_threads

__all__ = ["fit", "predict"]

#: Inputs and targets, and weights of samples if there are some.
Data: TypeAlias = tuple[np.ndarray, ...]
#: Batches from which on a prediction is compiled: a recording takes about as long as ten of them.
_MANY = 16
#: Seconds between two updates of the progress bar within an epoch.
_REDRAWN = 0.2


def predict(
    model: Callable[[Any], Any], X: Any, batch_size: int = 1024, *,
    compile: bool | str | None = None,
) -> np.ndarray:
    """``model(X)`` as an ndarray, in batches, in evaluation mode and without recording.

    The first axis of ``X`` counts the samples. ``compile``: whether the batches are computed by a
    compiled function, and by which executor (see :func:`ag.compile`); by default where there are so
    many that recording it pays, and only if it can be.

    Raises ``ValueError`` for no batch size, :class:`ag.ShapeError` for a scalar and where the model
    does not return a prediction for each sample, ``TypeError`` where it returns a tuple.

    >>> nn.predict(nn.Linear(3, 2, rng=0), np.ones((5, 3))).shape
    (5, 2)
    """
    if batch_size < 1:
        raise ValueError(f"predict: batch_size must be positive, got {batch_size}")
    dtype = _dtype_of(model)
    inputs = np.asarray(X)
    if inputs.ndim == 0:
        raise ag.ShapeError("predict: X must have a first axis of samples, got a scalar")
    if dtype is not None and not (inputs.dtype.kind in "iu" and looks_up(model)):
        inputs = inputs.astype(dtype, copy=False)
    modes = [(m, m.training) for m in model.modules()] if isinstance(model, Module) else []
    run: Callable[[Any], Any] = model
    if compile or (compile is None and len(inputs) >= _MANY * batch_size):
        run = _or_eagerly(_compiled(lambda x: model(x), compile or True), model,
                          quietly=not compile)
    try:
        for module, _ in modes:
            module.training = False
        with ag.no_grad():
            outputs = []
            for i in range(0, max(1, len(inputs)), batch_size):
                batch = inputs[i : i + batch_size]
                output = run(ag.tensor(batch))
                if isinstance(output, tuple):
                    raise TypeError(
                        f"predict: the model returned a tuple of {len(output)}, as recurrent "
                        "layers do; write a module whose forward returns one of them"
                    )
                output = output.numpy() if isinstance(output, ag.Tensor) else np.asarray(output)
                if output.shape[:1] != (len(batch),):
                    raise ag.ShapeError(
                        f"predict: of {len(batch)} samples, an X of shape {batch.shape}, the model "
                        f"made an output of shape {output.shape}; one sample alone is X[None]"
                    )
                outputs.append(output)
    finally:
        for module, training in modes:
            module.training = training
    return np.concatenate(outputs)


def _or_eagerly(
    compiled: Callable[[Any], Any], eager: Callable[[Any], Any], quietly: bool
) -> Callable[[Any], Any]:
    """A compiled function, and from the first call on for which that fails the other."""

    def run(x: Any) -> Any:
        nonlocal compiled
        if compiled is eager:
            return eager(x)
        try:
            return compiled(x)
        except ag.CompileError as reason:
            compiled = eager
            if not quietly:
                warnings.warn(f"predict: the model cannot be compiled and runs eagerly: {reason}",
                              stacklevel=3)
        return eager(x)

    return run


def _dtype_of(model: Any) -> np.dtype[Any] | None:
    parameters = model.parameters() if isinstance(model, Module) else []
    return parameters[0].dtype if parameters else None


def _compiled(f: Callable[..., Any], compile: bool | str) -> Callable[..., Any]:
    return ag.compile(f, executor=compile if isinstance(compile, str) else "numpy")  # type: ignore[no-any-return]


class _Step:
    """The training step: compiled, and from the first batch on where that fails, as it is."""

    def __init__(self, step: Callable[..., Any], optimizer: Optimizer, compile: bool | str
                 ) -> None:
        self._step = step
        self._compiled = _compiled(step, compile) if compile else None
        self._optimizer = optimizer
        #: How many calls below that of ``fit`` a step is, for a warning to point there.
        self.depth = 4

    def __call__(self, *batch: Any) -> Any:
        if self._compiled is None:
            return self._step(*batch)
        steps = self._optimizer.steps
        try:
            return self._compiled(*batch)
        except ag.CompileError as reason:
            # The recording leaves Tensors as they were, but what Python has counted stays counted.
            self._optimizer.steps = steps
            self._compiled = None
            warnings.warn(
                f"fit: the training step cannot be compiled and runs eagerly, which is slower "
                f"(compile=False says so beforehand): {reason}",
                stacklevel=self.depth,
            )
        return self._step(*batch)

    def rehearse(self, training: Training, data: Iterable[Data]) -> None:
        """Record the step for these batches, and leave everything as it was.

        A recording computes as the eager engine does, a replay in another order: of a sum, say,
        that gives other last bits. A training that goes on must replay from its first batch, as
        the one that was never stopped did.
        """
        if self._compiled is None:
            return
        model, optimizer, ema = training.model, training.optimizer, training.ema
        weights, state = model.state_dict(), optimizer.state_dict()
        averages = None if ema is None else ema.state_dict()
        draws = [(g, g.bit_generator.state) for _, g in generators(model)]
        for batch in data:
            self(*batch)
            model.load_state_dict(weights)
            optimizer.load_state_dict(state)
            if ema is not None and averages is not None:
                ema.load_state_dict(averages)
            for generator, drawn in draws:
                generator.bit_generator.state = drawn


def fit(
    model: Module,
    X: Any,
    y: Any,
    *,
    loss: str | Callable[[Any, Any], Any] = "mse",
    optimizer: Optimizer | None = None,
    epochs: int = 10,
    batch_size: int | None = 32,
    sample_weight: Any = None,
    validation_data: tuple[Any, Any] | tuple[Any, Any, Any] | None = None,
    validation_split: float | None = None,
    metrics: str | Metric | Iterable[str | Metric] | Mapping[str, str | Metric] | None = None,
    callbacks: (
        Callback | Callable[[int, History], Any]
        | Iterable[Callback | Callable[[int, History], Any]]
    ) = (),
    progress: bool = True,
    compile: bool | str = True,
    seed: int | np.random.Generator | None = None,
    ema: EMA | None = None,
    resume: bool | str | os.PathLike[str] = False,
) -> History:
    """Train ``model`` on mini-batches drawn without replacement, and return what happened.

    ``X`` of shape (samples, ...) is cast to the dtype of the model's parameters, and so is ``y``
    unless it holds integers; integers stay integers in ``X`` too where the model has an
    ``Embedding``. ``loss(prediction, target)`` returns a scalar, by default the mean
    squared error; ``optimizer`` is by default Adam. ``batch_size=None`` takes all samples at once,
    as L-BFGS needs it. The order of samples follows from ``seed``: the same seed gives the same
    bits, with the same number of threads.

    ``sample_weight``: numbers that are not negative, of shape (samples,) or that of the losses,
    handed to ``loss(prediction, target, sample_weight=)``, a batch's with the batch: of each batch
    the loss is Σ w l / Σ w, and so is that of an epoch over all. Samples of weight 0 are left out.

    ``validation_data`` is a pair (X, y), or with weights for its loss a triple;
    ``validation_split`` the share of the samples that are held out instead, chosen at random, with
    their weights. On these the loss and the ``metrics`` are computed after each epoch; on the
    training data the metrics are those of the batches' predictions as they were made, which costs
    nothing but to keep them. Metrics are names of :mod:`nn.metrics` or functions of (prediction,
    target), in a list, or in a dict with names for them; they do not weight.

    ``callbacks`` are :class:`nn.Callback` objects, or functions called as
    ``callback(epoch, history)`` after each epoch, counted from 1; one that returns True ends the
    training. ``progress`` shows a bar, for which tqdm is needed. ``ema``, an average of the
    weights, is updated with each step, and validated instead of them.

    Ctrl-C ends the training after the step at hand, with what was learned so far: the history is
    returned with ``interrupted`` set. Pressed twice, it interrupts at once.

    ``resume``: the path of a file that :class:`nn.Checkpoint` wrote, to go on after its epoch up to
    ``epochs``; ``True`` for the file of the Checkpoint among the callbacks, if it exists. Called
    with the same model, data and settings as before, the training ends with the same bits as one
    that was never stopped. (Compiled, the model is first run once for each size of batch, to
    record the step, and put back.)

    With ``compile`` the training step (loss, gradients, update) is recorded at the first batch and
    replayed at the others, which gives the same numbers to rounding. The model's ``training``
    modes, the optimiser's settings and which parameters require a gradient may change between
    epochs; any other number or condition of the model or the loss that is no Tensor stays as it was
    at the recording: one that a callback changes is put in an ``ag.tensor`` and assigned to, or
    ``compile=False``. ``compile="native"`` has machine code run the step (see :func:`ag.compile`).
    A step that cannot be recorded, because Python looks at values, runs eagerly after a warning
    that says where. Where all matrix products are small, BLAS uses one thread (with threadpoolctl
    installed; see :data:`nn.threads.THREADS_PAY`).

    Raises ``ValueError`` for NaN or infinite values in the data and for negative weights,
    :class:`ag.ShapeError` for numbers of samples that differ, ``TypeError`` for weights where the
    loss takes none and for what is no optimizer, before anything is changed;
    ``FloatingPointError`` when the loss stops being finite; ``FileNotFoundError`` for a file to
    resume from that is not there.

    Source: Goodfellow, Bengio, Courville, "Deep learning" (2016), algorithm 8.1.

    >>> X = np.random.default_rng(0).standard_normal((100, 3))
    >>> history = nn.fit(nn.Linear(3, 1, rng=0), X, X[:, :1], validation_split=0.2, metrics="mae",
    ...                  epochs=2, seed=0, progress=False)
    >>> list(history.epochs)
    ['loss', 'mae', 'val_loss', 'val_mae']
    """
    epochs = operator.index(epochs)
    batch_size = None if batch_size is None else operator.index(batch_size)
    if epochs < 0 or (batch_size is not None and batch_size < 1):
        raise ValueError(f"fit: epochs={epochs} and batch_size={batch_size} make no training")
    dtype = _dtype_of(model)
    if dtype is None:
        raise ValueError("fit: the model has no parameters to train")
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError("fit: all parameters are frozen; let some learn, see nn.Module.unfreeze")
    if validation_data is not None and validation_split is not None:
        raise ValueError("fit: give either validation_data or validation_split")
    data = _checked(model, (X, y, sample_weight), ("X", "y", "sample_weight"), dtype)
    if data[2:]:
        counts = data[2].reshape(len(data[2]), -1).any(axis=1)
        if not counts.all():  # a batch of these alone would have no mean
            data = tuple(x[counts] for x in data)
    optimizer = _checked_optimizer(model, optimizer)
    if isinstance(callbacks, Callback) or callable(callbacks):
        callbacks = [callbacks]
    objects = [c if isinstance(c, Callback) else Function(c) for c in callbacks]
    objects.sort(key=lambda c: isinstance(c, Checkpoint))  # last: with the state of all others
    rng = np.random.default_rng(seed)
    training = Training(model, optimizer, History(), epochs, rng, rng.bit_generator.state, ema,
                        objects)
    loss_of = losses.get(loss)
    scores = named(metrics, logits=loss_of is losses.bce_with_logits)

    held_out: Data | None = None
    if validation_data is not None:
        if not 2 <= len(validation_data) <= 3:
            raise ValueError(
                f"fit: validation_data is (X, y) or (X, y, sample_weight), got "
                f"{len(validation_data)} parts"
            )
        held_out = _checked(
            model, validation_data,
            ("validation X", "validation y", "validation sample_weight"), dtype,
        )
    if (data[2:] or (held_out or ())[2:]) and not _takes_weights(loss_of):
        raise TypeError(
            f"fit: there are weights of samples, but the loss "
            f"{getattr(loss_of, '__name__', loss_of)} takes no sample_weight; write it as "
            "`loss(prediction, target, *, sample_weight=None)`"
        )
    source = _source(resume, objects)
    if source is not None or any(isinstance(c, Checkpoint) for c in objects):
        list(generators(model))  # raises now, not after an epoch
    if source is not None:
        read_training(source, training)
    if validation_split is not None:
        # As the training drew it that is resumed; a new one draws from ``rng`` itself.
        draws = rng if source is None else load_generator(training.began)
        kept, out = split(len(data[0]), validation_split, draws)
        held_out = tuple(x[out] for x in data)
        data = tuple(x[kept] for x in data)
    samples = len(data[0])
    size = batch_size or samples
    if isinstance(optimizer, LBFGS) and size < samples:
        raise ValueError(
            f"fit: LBFGS needs all {samples} samples at once; pass batch_size=None"
        )
    _check_fit(model, loss_of, data, held_out)

    step = _step(model, loss_of, optimizer, ema, bool(scores))
    run = _Step(step, optimizer, compile)
    take: Callable[..., Any] = run
    if isinstance(optimizer, LBFGS):
        take = _closing(run, optimizer, ema)
    history = training.history
    model.train()
    product = largest_product(model.parameters(), data[0].shape, size)
    with limited_threads(product), _progress_bar(progress, epochs, training.epoch) as bar, \
            _Interrupt() as interrupt:
        if source is not None and training.epoch < epochs:
            sizes = {min(size, samples), samples % size} - {0}
            run.rehearse(training, [
                next(next(batches(data, np.arange(n), n))) for n in sorted(sizes)
            ])
        try:
            for callback in objects:
                callback.on_train_begin(training)
            while training.epoch < epochs and not training.stopping:
                training.epoch += 1
                for callback in objects:
                    callback.on_epoch_begin(training)
                values = _epoch(training, take, data, size, scores, bar, interrupt)
                if values is None:
                    break
                if held_out is not None:
                    values.update(_validated(training, held_out, loss_of, scores))
                history.append(**values)
                bar.epoch_done(training.epoch, values)
                for schedule in optimizer.schedules():
                    schedule.observe(history)
                ends = [c.on_epoch_end(training) is True for c in objects]  # all are called
                if any(ends):
                    training.stop("a callback ended it")
                if interrupt.asked:
                    break
        except KeyboardInterrupt:
            interrupt.asked = True
        if interrupt.asked:
            history.interrupted = True
            history.stopped = "interrupted"
        for callback in objects:
            callback.on_train_end(training)
    return history


def _checked(
    model: Module, given: tuple[Any, ...], names: tuple[str, str, str], dtype: np.dtype[Any]
) -> Data:
    """Inputs and targets, and the weights of the samples if there are some."""
    data: Data = checked_data("fit", given[0], given[1], names[:2], dtype, looks_up(model))
    for weights in given[2:]:
        if weights is not None:
            samples = len(data[0])
            data += (checked_weights("fit", weights, names[2], names[0], samples, dtype),)
    return data


def _checked_optimizer(model: Module, optimizer: Optimizer | None) -> Optimizer:
    """One that updates some of the model's parameters, by default Adam."""
    if optimizer is None:
        return Adam(model.parameters())
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"fit: the optimizer is one of nn.optim, made with the model's parameters, such as "
            f"nn.optim.Adam(model.parameters()); got {optimizer!r}"
        )
    if not set(model.parameters()) & set(optimizer.parameters):
        raise ValueError(
            "fit: the optimizer updates none of the model's parameters; make it with "
            "`model.parameters()` of this model"
        )
    return optimizer


def _step(
    model: Module, loss_of: Callable[[Any, Any], Any], optimizer: Optimizer, ema: EMA | None,
    predictions: bool,
) -> Callable[..., Any]:
    """What happens with a batch: it returns the loss, and the predictions if they are wanted."""
    searched = isinstance(optimizer, LBFGS)

    def step(batch: Any, target: Any, *weight: Any) -> Any:
        optimizer.zero_grad()
        prediction = model(batch)
        value = _loss(loss_of, prediction, target, *weight)
        value.backward()
        if not searched:
            optimizer.step()
            if ema is not None:
                ema.update()
        return (value.detach(), prediction.detach()) if predictions else value.detach()

    return step


def _loss(
    loss_of: Callable[..., Any], prediction: Any, target: Any, weight: Any = None
) -> Any:
    if weight is None:
        return loss_of(prediction, target)
    return loss_of(prediction, target, sample_weight=weight)


def _takes_weights(loss_of: Callable[..., Any]) -> bool:
    """Whether a loss has an argument for the weights of samples, as far as it says so."""
    try:
        parameters = inspect.signature(loss_of).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(p.name == "sample_weight" or p.kind is p.VAR_KEYWORD for p in parameters)


def _closing(run: _Step, optimizer: LBFGS, ema: EMA | None) -> Callable[..., Any]:
    """A step of L-BFGS, which computes the loss of its batch several times."""

    run.depth = 7

    def take(*batch: Any) -> Any:
        results = []

        def closure() -> Any:
            result = run(*batch)
            results.append(result)
            return result[0] if isinstance(result, tuple) else result

        optimizer.step(closure)
        if ema is not None:
            ema.update()
        return results[0]

    return take


def _epoch(
    training: Training, take: Callable[..., Any], data: Data, size: int,
    scores: Mapping[str, Metric], bar: Any, interrupt: _Interrupt,
) -> dict[str, float] | None:
    """One pass over the data: the mean loss and the metrics; None if it was interrupted.

    A step of a small network takes as long as a dozen calls of NumPy: what a step needs not do is
    done for a block of them, and nobody asks for a loss that nobody is to be told of.
    """
    samples = len(data[0])
    order = training.rng.permutation(samples)
    steps = math.ceil(samples / size)
    weighted = len(data) > 2
    watchers = [
        c for c in training.callbacks if type(c).on_batch_end is not Callback.on_batch_end
    ]
    followed = bool(watchers) or bar.shown
    predictions: list[np.ndarray] = []
    total, counted, done = 0.0, 0.0, 0
    for block in batches(data, order, size):
        results: list[Any] = []
        counts: list[float] = []
        for batch in block:
            result = take(*batch)
            if scores:
                result, prediction = result
                predictions.append(prediction.numpy())
            results.append(result)
            if weighted:
                counts.append(float(batch[2].sum(dtype=np.float64)))
            if followed:
                for callback in watchers:
                    callback.on_batch_end(training, result.item())
                if bar.shown:
                    bar.batch_done(training.epoch - 1 + (done + len(results)) / steps)
            if interrupt.asked and done + len(results) < steps:
                return None
        done += len(results)
        if not weighted:
            counts = [size] * len(results)
            if done == steps:
                counts[-1] = samples - (steps - 1) * size
        for result, count in zip(results, counts, strict=True):
            total += result.item() * count
            counted += count
    if not math.isfinite(total):
        raise FloatingPointError(
            f"fit: the loss is {total / counted} in epoch {training.epoch}; the learning rate "
            f"({training.optimizer.lr}) may be too large"
        )
    values = {"loss": total / counted}
    if scores:
        predicted, shown = np.concatenate(predictions), data[1][order]
        values.update({name: float(metric(predicted, shown)) for name, metric in scores.items()})
    return values


def _validated(
    training: Training, held_out: Data, loss_of: Callable[..., Any], scores: Mapping[str, Metric],
) -> dict[str, float]:
    """The loss and the metrics on data that are not trained on, of the average if there is one."""
    ema = training.ema
    with ema.applied() if ema is not None else nullcontext():
        prediction = predict(training.model, held_out[0])
    with ag.no_grad():
        values = {"val_loss": float(_loss(loss_of, ag.tensor(prediction), *held_out[1:]))}
    for name, metric in scores.items():
        values[f"val_{name}"] = float(metric(prediction, held_out[1]))
    return values


def _check_fit(
    model: Module, loss_of: Callable[..., Any], data: Data,
    held_out: Data | None,
) -> None:
    """Find what does not fit before the first epoch, not in the middle or after it."""
    if loss_of is losses.cross_entropy:
        # All labels now: one that is out of range would otherwise be found in the middle.
        shape = predict(model, data[0][:1]).shape
        for _, labels, *_ in (data, *([] if held_out is None else [held_out])):
            if len(shape) == 2 and labels.ndim == 1:
                losses.check_labels(labels, shape[1])
    for some in (data if len(data) > 2 else None, held_out):
        if some is not None:
            # With a weight, one that counts.
            i = int(some[2].reshape(len(some[2]), -1).any(axis=1).argmax()) if some[2:] else 0
            _, target, *weight = (x[i : i + 1] for x in some)
            with ag.no_grad():
                _loss(loss_of, ag.tensor(predict(model, some[0][i : i + 1])), target, *weight)


def _source(resume: bool | str | os.PathLike[str], objects: list[Callback]) -> Path | None:
    """The file to go on from, if there is one."""
    if resume is False:
        return None
    if resume is not True:
        path = Path(resume)
        if not path.exists():
            raise FileNotFoundError(f"fit: there is no {path} to resume from")
        return path
    checkpoints = [c for c in objects if isinstance(c, Checkpoint)]
    if len(checkpoints) != 1:
        raise ValueError(
            f"fit: resume=True needs one nn.Checkpoint among the callbacks, got "
            f"{len(checkpoints)}; or pass the path of a file"
        )
    return checkpoints[0].latest()


class _Interrupt:
    """Ctrl-C ends a training between two steps, when weights and states belong together.

    In the main thread, and where nobody else handles it; otherwise it is raised as ever.
    """

    def __init__(self) -> None:
        self.asked = False
        self._previous: Any = None

    def __enter__(self) -> _Interrupt:
        if threading.current_thread() is threading.main_thread() and (
            signal.getsignal(signal.SIGINT) is signal.default_int_handler
        ):
            self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def _handle(self, number: int, frame: Any) -> None:
        if self.asked:
            signal.default_int_handler(number, frame)
        self.asked = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)


class _NoBar:
    """Stands in for a progress bar where none is wanted."""

    shown = False

    def epoch_done(self, epoch: int, values: Mapping[str, float]) -> None:
        pass


class _Bar:
    """A bar of tqdm, which counts epochs and moves within them too."""

    shown = True

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._due = time.monotonic() + _REDRAWN

    def batch_done(self, epochs: float) -> None:
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _REDRAWN
            self._bar.update(epochs - self._bar.n)

    def epoch_done(self, epoch: int, values: Mapping[str, float]) -> None:
        self._bar.set_postfix({name: f"{value:.4g}" for name, value in values.items()},
                              refresh=False)
        self._bar.update(epoch - self._bar.n)


@contextmanager
def _progress_bar(wanted: bool, epochs: int, done: int) -> Iterator[_Bar | _NoBar]:
    """A bar for the time of a ``with`` block."""
    if not wanted:
        yield _NoBar()
        return
    try:
        from tqdm import tqdm
    except ImportError:
        warnings.warn(
            "fit: the progress bar needs tqdm: pip install 'autograd-core[train]', or pass "
            "progress=False",
            stacklevel=4,
        )
        yield _NoBar()
        return
    with tqdm(
        total=epochs, initial=done, unit="epoch", desc="fit",
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total} "
                   "[{elapsed}<{remaining}, {rate_fmt}{postfix}]",
    ) as bar:
        yield _Bar(bar)
