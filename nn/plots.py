"""Plots with matplotlib: trainings, decisions, landscapes, weights.

Each draws into ``ax``, or into new axes, and returns the axes; showing, saving and closing the
figure is up to the caller. Titles and labels are set, and can be set anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

import autograd_core as ag

from . import activations, losses, palette
from .callbacks import Callback, GradientMonitor
from .history import History, figure
from .module import Module
from .plane import Task, bounds, cells, points_of
from .training import predict

__all__ = [
    "WeightPath", "activation", "confusion_matrix", "decision_surface", "gradient_norms",
    "learning_curves", "loss_surface", "weights",
]

#: A marker for each class, so that classes can be told apart without colour.
_MARKERS = "o^sDvPX*"
_DASHES = ("-", "--", "-.", ":")


def _axes(ax: Any, **options: Any) -> Any:
    return figure(layout="constrained", **options).subplots() if ax is None else ax


# Trainings. -------------------------------------------------------------------------------------


def learning_curves(
    history: History | Mapping[str, History], *, name: str = "loss", ax: Any = None
) -> Any:
    """Draw a training, or the curves ``name`` of several trainings, epoch by epoch.

    ``history``: what :func:`nn.fit` returned, all of whose curves are drawn, losses on a
    logarithmic axis and metrics on a second one; or histories by name, of which the curve ``name``
    is drawn solid, and ``"val_" + name``, where it is there, dashed.

    Raises ``ValueError`` if there is nothing to draw, ``KeyError`` for a name that no history has.

    >>> history = nn.History()
    >>> history.append(loss=0.5, val_loss=0.75)
    >>> nn.plots.learning_curves(history).get_xlabel()
    'epoch'
    """
    if isinstance(history, History):
        if not len(history):
            raise ValueError("learning_curves: the history has no epochs")
        ax = history.plot(_axes(ax))
        ax.set_title("Learning curves")
        return ax
    known = {label: each for label, each in history.items() if name in each}
    if not known:
        raise KeyError(f"learning_curves: none of {list(history)} has a curve {name!r}")
    ax = _axes(ax)
    for i, (label, each) in enumerate(known.items()):
        for curve, style in ((name, "-"), (f"val_{name}", "--")):
            if curve in each:
                suffix = "" if curve == name else ", validation"
                ax.plot(range(1, len(each[curve]) + 1), each[curve], style, color=f"C{i}",
                        label=f"{label}{suffix}")
    if all(value > 0 for line in ax.get_lines() for value in line.get_ydata()):
        ax.set_yscale("log")
    ax.set(title="Learning curves", xlabel="epoch", ylabel=name)
    ax.legend()
    return ax


def gradient_norms(
    norms: GradientMonitor | Mapping[str, Sequence[float]], *, ax: Any = None
) -> Any:
    """Draw the norm of each parameter's gradient over the epochs, on a logarithmic axis.

    ``norms``: an :class:`nn.GradientMonitor` that was a callback of the training, or lists by name.
    Curves that fall apart from layer to layer show gradients that vanish or explode.

    >>> ax = nn.plots.gradient_norms({"W1": [1.0, 0.5], "W2": [0.1, 0.01]})
    >>> ax.get_yscale()
    'log'
    """
    curves = norms.norms if isinstance(norms, GradientMonitor) else norms
    if not curves:
        raise ValueError("gradient_norms: nothing was recorded; pass the monitor to nn.fit as one "
                         "of `callbacks`")
    ax = _axes(ax)
    for i, (name, values) in enumerate(curves.items()):
        # The layers shade from dark to light, in their order; neighbours differ in their dashes.
        shade = 0.05 + 0.8 * i / max(1, len(curves) - 1)
        ax.plot(range(1, len(values) + 1), values, _DASHES[i % len(_DASHES)], label=name,
                color=_colour("viridis", shade))
    ax.set(title="Gradient of each parameter", xlabel="epoch", ylabel="norm", yscale="log")
    ax.legend(fontsize="small", ncols=1 + len(curves) // 9)
    return ax


def _colour(scheme: str, share: float) -> Any:
    import matplotlib as mpl

    return mpl.colormaps[scheme](share)


# Functions. -------------------------------------------------------------------------------------


def activation(
    f: str | Callable[[Any], Any], *, low: float = -5.0, high: float = 5.0, ax: Any = None
) -> Any:
    """Draw an activation and its derivative, which is differentiated, not looked up.

    ``f``: a name that layers take, a function of arrays that works element by element, or a module.

    >>> ax = nn.plots.activation("tanh")
    >>> [line.get_label() for line in ax.get_lines()[-2:]]
    ['tanh', 'derivative']
    """
    if not low < high:
        raise ValueError(f"activation: low={low} is not below high={high}")
    function = activations.get(f)
    name = f if isinstance(f, str) else getattr(f, "__name__", type(f).__name__)
    z = np.linspace(low, high, 801)
    y = _plain(function(z))
    slope = ag.elementwise_grad(function)(z)
    ax = _axes(ax)
    ax.axhline(0.0, color="0.8", linewidth=0.8)
    ax.axvline(0.0, color="0.8", linewidth=0.8)
    ax.plot(z, y, label=name, linewidth=2.2)
    ax.plot(z, _broken(slope), "--", label="derivative", linewidth=1.8)
    ax.set(title=f"{name} and its derivative", xlabel="z", xlim=(low, high))
    ax.legend()
    return ax


def _plain(value: Any) -> np.ndarray:
    return value.numpy(force=True) if isinstance(value, ag.Tensor) else np.asarray(value)


def _broken(values: np.ndarray) -> np.ndarray:
    """With a gap where the curve jumps, instead of a line that is not there."""
    values = np.array(values, np.float64)
    jumps = np.abs(np.diff(values))
    usual = float(np.median(jumps)) + 0.02 * float(np.ptp(values) or 1.0)
    values[1:][jumps > 10 * usual] = np.nan
    return values


# Decisions. -------------------------------------------------------------------------------------


def decision_surface(
    model: Module, X: Any, y: Any, *, resolution: int = 160, ax: Any = None
) -> Any:
    """Draw what a model of two features says over the plane, and the data on top.

    ``X`` of shape (samples, 2); ``y`` holds integer labels for a model with one output per class,
    or labels 0 and 1, or numbers, for a model with one output. Colours are the probability, the
    likeliest class with how far it leads, or the number; the boundary is a line; each class has a
    marker of its own, and what is misread a ring around it.

    Raises :class:`ag.ShapeError` for other shapes.
    """
    points = points_of("decision_surface", X)
    task = Task("decision_surface", model, points, np.asarray(y))
    low, high = bounds(points)
    grid = cells(low, high, resolution)
    values, lead = task.surface(predict(model, grid))
    size = (resolution, resolution)
    values = values.reshape(size)
    extent = (low[0], high[0], low[1], high[1])
    ax = _axes(ax)
    corners = {"origin": "upper", "extent": extent}
    targets = task.targets.reshape(-1)
    if task.kind == "number":
        ends = {"vmin": min(values.min(), targets.min()), "vmax": max(values.max(), targets.max())}
        picture = ax.imshow(values, cmap="viridis", aspect="auto", **corners, **ends)
        ax.scatter(*points.T, c=targets, cmap="viridis", edgecolors="white", s=26, **ends)
        ax.figure.colorbar(picture, ax=ax, label="prediction")
    elif task.kind == "binary":
        picture = ax.imshow(values, cmap=palette.scheme(), vmin=0, vmax=1, alpha=0.75,
                            aspect="auto", **corners)
        ax.figure.colorbar(picture, ax=ax, label="probability of class 1")
        _boundary(ax, values - 0.5, corners)
        _scatter(ax, points, (targets > 0.5).astype(int), _read(task, model, points),
                 [palette.NEGATIVE, palette.POSITIVE])
    else:
        assert lead is not None
        colours = [_colour("tab10", k % 10) for k in range(task.outputs)]
        rgb = np.array([colour[:3] for colour in colours])[values.astype(int)]
        shade = 0.15 + 0.5 * lead.reshape(size)[..., None]
        ax.imshow(1 - shade * (1 - rgb), aspect="auto", **corners)
        for k in range(task.outputs):
            signed = np.where(values == k, 1.0, -1.0) * lead.reshape(size)
            _boundary(ax, signed, corners)
        _scatter(ax, points, targets, _read(task, model, points), colours)
    ax.set(title="Decision surface", xlabel="$x_1$", ylabel="$x_2$", xlim=extent[:2],
           ylim=extent[2:])
    return ax


def _read(task: Task, model: Module, points: np.ndarray) -> np.ndarray:
    """The class that the model reads at each point."""
    values, _ = task.surface(predict(model, points))
    return values.astype(int) if task.kind == "classes" else (values > 0.5).astype(int)


def _boundary(ax: Any, signed: np.ndarray, corners: Mapping[str, Any]) -> None:
    if signed.min() < 0 < signed.max():  # elsewhere there is no line, and matplotlib warns
        ax.contour(signed, levels=[0.0], colors="black", linewidths=1.4, **corners)


def _scatter(
    ax: Any, points: np.ndarray, classes: np.ndarray, read: np.ndarray, colours: Sequence[Any]
) -> None:
    for k, colour in enumerate(colours):
        here = points[classes == k]
        ax.scatter(*here.T, marker=_MARKERS[k % len(_MARKERS)], color=[colour], edgecolors="white",
                   linewidths=0.7, s=36, label=f"class {k}")
    wrong = points[classes != read]
    if len(wrong):
        ax.scatter(*wrong.T, facecolors="none", edgecolors="black", s=110, label="misread")
    ax.legend(fontsize="small")


def confusion_matrix(
    labels: Any, predictions: Any, *, names: Sequence[str] | None = None, normalize: bool = False,
    ax: Any = None,
) -> Any:
    """Draw how often each class was read as each class, with the counts.

    ``labels`` of shape (samples,) are integers from 0; ``predictions`` likewise, or scores of shape
    (samples, classes), of which the largest counts. With ``normalize`` the numbers are shares of
    the class. ``names`` of the classes stand at the axes.

    Raises :class:`ag.ShapeError` for shapes that do not fit, ``TypeError`` for labels that are no
    integers, ``ValueError`` for negative ones and for too few names.

    >>> ax = nn.plots.confusion_matrix([0, 1, 1], [0, 1, 0])
    >>> [text.get_text() for text in ax.texts]
    ['1', '0', '1', '1']
    """
    truth, read = np.asarray(labels), _plain(predictions)
    scores = read.shape[1] if read.ndim == 2 else 0
    if read.ndim == 2:
        read = read.argmax(axis=1)
    if truth.ndim != 1 or truth.shape != read.shape or not len(truth):
        raise ag.ShapeError(
            f"confusion_matrix: labels of shape {truth.shape} and predictions of shape "
            f"{_plain(predictions).shape}; they must be (samples,), or (samples, classes) scores")
    if truth.dtype.kind not in "iub" or read.dtype.kind not in "iub":
        raise TypeError(f"confusion_matrix: labels must be integers, got {truth.dtype} and "
                        f"{read.dtype}")
    truth, read = truth.astype(np.int64), read.astype(np.int64)
    if min(truth.min(), read.min()) < 0:
        raise ValueError("confusion_matrix: labels count from 0, and one of them is negative")
    classes = max(int(truth.max()) + 1, int(read.max()) + 1, scores, len(names or ()))
    if names is not None and len(names) < classes:
        raise ValueError(f"confusion_matrix: {len(names)} names for {classes} classes")
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (truth, read), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax = _axes(ax)
    # Coloured by the share in its class, so that a rare class is seen as well as a common one.
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if classes <= 30:
        for i in range(classes):
            for j in range(classes):
                number = f"{shares[i, j]:.2f}" if normalize else str(counts[i, j])
                ax.text(j, i, number, ha="center", va="center", fontsize="small",
                        color="white" if shares[i, j] > 0.55 else "black")
        ticks = list(range(classes))
        shown = list(names[:classes]) if names is not None else [str(k) for k in ticks]
        ax.set_xticks(ticks, shown, rotation=45 if max(map(len, shown)) > 3 else 0)
        ax.set_yticks(ticks, shown)
    right = float((truth == read).mean())
    ax.set(title=f"Confusion matrix: {right:.1%} read right", xlabel="read as", ylabel="class")
    return ax


def weights(
    values: Any, *, shape: tuple[int, int] | None = None, columns: int | None = None, ax: Any = None
) -> Any:
    """Draw a matrix of weights, or with ``shape`` what each unit looks for, as images.

    ``values`` of shape (n_in, n_out), or a parameter, or a module with a ``weight``. With
    ``shape``, whose product is n_in, each column is drawn as an image of that shape, side by side
    in so many ``columns``. Blue is negative, white 0, red positive, on one scale for all.

    Raises :class:`ag.ShapeError` if the shapes do not fit.

    >>> nn.plots.weights(nn.Linear(4, 6, rng=0), shape=(2, 2), columns=3).get_title()
    'Weights of 6 units, 2 × 2 each'
    """
    source = values.weight if isinstance(values, Module) and hasattr(values, "weight") else values
    matrix = _plain(source).astype(np.float64)
    if matrix.ndim == 1:
        matrix = matrix[:, None]
    if matrix.ndim != 2 or not matrix.size:
        raise ag.ShapeError(f"weights: an array of shape {matrix.shape}; it must be (n_in, n_out)")
    n_in, n_out = matrix.shape
    ax = _axes(ax)
    if shape is None:
        image = matrix
        title, labels = f"Weights, {n_in} × {n_out}", ("to unit", "from unit")
    else:
        if shape[0] * shape[1] != n_in:
            raise ag.ShapeError(
                f"weights: {n_in} weights of a unit make no image of shape {shape}")
        image = _tiles(matrix.T.reshape(n_out, *shape), columns or int(np.ceil(np.sqrt(n_out))))
        title, labels = f"Weights of {n_out} units, {shape[0]} × {shape[1]} each", ("", "")
        ax.set_xticks([])
        ax.set_yticks([])
    largest = float(np.nanmax(np.abs(image))) or 1.0
    picture = ax.imshow(image, cmap=palette.scheme(), vmin=-largest, vmax=largest,
                        interpolation="nearest", aspect="equal" if shape else "auto")
    ax.figure.colorbar(picture, ax=ax, label="weight")
    ax.set(title=title, xlabel=labels[0], ylabel=labels[1])
    return ax


def _tiles(images: np.ndarray, columns: int) -> np.ndarray:
    """Images side by side, a line of nothing between them."""
    count, height, width = images.shape
    rows = -(-count // columns)
    board = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for i, image in enumerate(images):
        top, left = i // columns * (height + 1), i % columns * (width + 1)
        board[top:top + height, left:left + width] = image
    return board


# Landscapes. ------------------------------------------------------------------------------------


class WeightPath(Callback):
    """Keep the parameters after each epoch, and from before the first: a path for `loss_surface`.

    ``points`` holds one vector each, all parameters end to end.

    >>> path = nn.plots.WeightPath()
    >>> history = nn.fit(nn.Linear(1, 1, rng=0), [[1.0]], [[2.0]], epochs=3, progress=False,
    ...                  callbacks=[path])
    >>> len(path.points), path.points[0].shape
    (4, (2,))
    """

    def __init__(self) -> None:
        self.points: list[np.ndarray] = []

    def on_train_begin(self, training: Any) -> None:
        if not self.points:
            self.points.append(_vector(training.model))

    def on_epoch_end(self, training: Any) -> None:
        self.points.append(_vector(training.model))

    def state_dict(self) -> dict[str, Any]:
        return {"points": self.points}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.points = [np.asarray(point) for point in state["points"]]


def loss_surface(
    model: Module,
    X: Any,
    y: Any,
    loss: str | Callable[[Any, Any], Any],
    *,
    path: WeightPath | Sequence[np.ndarray] | None = None,
    steps: int = 25,
    span: float = 1.0,
    seed: int | np.random.Generator | None = 0,
    ax: Any = None,
) -> Any:
    """Draw the loss over a plane through the model's parameters, and the way that led there.

    L(α, β) = loss at θ + α a + β b, on ``steps`` times ``steps`` points, θ being the parameters as
    they are now. With a ``path``, a and b are the two principal components of the path relative to
    θ, and the frame holds all of it; how much of the path's variance they hold stands at the axes.
    Without one, a and b are random directions, normalised filter by filter: the part that belongs
    to one unit has the norm of that unit's weights, and biases are left alone, so that surfaces of
    different models can be compared; α and β go from -``span`` to ``span``.

    The model is evaluated in evaluation mode, and is as before afterwards.

    Source: Li, Xu, Taylor, Studer, Goldstein, "Visualizing the loss landscape of neural nets"
    (2018).

    Raises :class:`ag.ShapeError` for a path of another model, ``ValueError`` for fewer than two
    points of it or of the grid.

    >>> model = nn.Linear(2, 1, rng=0)
    >>> ax = nn.plots.loss_surface(model, np.eye(2), np.ones((2, 1)), "mse", steps=5)
    >>> ax.get_xlabel()
    'random direction 1'
    """
    if steps < 2:
        raise ValueError(f"loss_surface: steps must be 2 at least, got {steps}")
    centre = _vector(model)
    points = None
    if path is None:
        directions = _filterwise(model, np.random.default_rng(seed))
        labels = [f"random direction {k}" for k in (1, 2)]
        ends = [(-span, span)] * 2
        where = np.zeros((1, 2))
    else:
        points = np.asarray(path.points if isinstance(path, WeightPath) else list(path))
        if len(points) < 2:
            raise ValueError("loss_surface: a path needs two points at least")
        if points.shape != (len(points), len(centre)):
            raise ag.ShapeError(
                f"loss_surface: a path of shape {points.shape} for a model of {len(centre)} "
                "parameters")
        directions, shares = _principal(points - centre)
        labels = [f"component {k + 1} ({share:.0%} of the path)" for k, share in enumerate(shares)]
        where = (points - centre) @ directions.T
        ends = [_padded(where[:, k]) for k in (0, 1)]
    a, b = (np.linspace(*end, steps) for end in ends)
    heights = np.empty((steps, steps))
    inputs, targets = np.asarray(X), np.asarray(y)
    loss_of = losses.get(loss)
    with _borrowed(model):
        dtype = model.parameters()[0].dtype
        if targets.dtype.kind == "f":
            targets = targets.astype(dtype)
        for i, beta in enumerate(b):
            for j, alpha in enumerate(a):
                _assign(model, centre + alpha * directions[0] + beta * directions[1])
                with ag.no_grad(), np.errstate(all="ignore"):
                    prediction = ag.tensor(predict(model, inputs))
                    heights[i, j] = float(loss_of(prediction, targets))
    ax = _axes(ax)
    _landscape(ax, a, b, heights)
    if points is not None:
        ax.plot(*where.T, "-", color="white", linewidth=3.5, alpha=0.8)
        ax.plot(*where.T, "-o", color="black", linewidth=1.4, markersize=3, label="path")
        ax.plot(*where[0], "s", color="white", markeredgecolor="black", markersize=8,
                label="start")
    ax.plot(0.0, 0.0, "*", color="#e8a317", markeredgecolor="black", markersize=15, label="now")
    ax.set(title="Loss surface", xlabel=labels[0], ylabel=labels[1])
    ax.legend(fontsize="small")
    return ax


def _landscape(ax: Any, a: np.ndarray, b: np.ndarray, heights: np.ndarray) -> None:
    """Contours, on a logarithmic scale where the loss spans more than a factor of ten."""
    from matplotlib import colors, ticker

    seen = heights[np.isfinite(heights)]
    if not seen.size:
        raise ValueError("loss_surface: the loss is nowhere finite")
    shown = np.ma.masked_invalid(heights)
    low, high = float(seen.min()), float(seen.max())
    if high == low:
        high = low + 1.0
    norm: colors.Normalize
    if low > 0 and high > 10 * low:
        levels, norm = np.geomspace(low, high, 18), colors.LogNorm(low, high)
    else:
        levels, norm = np.linspace(low, high, 18), colors.Normalize(low, high)
    filled = ax.contourf(a, b, shown, levels=levels, cmap="viridis", norm=norm)
    ax.contour(a, b, shown, levels=levels[1:-1], colors="white", linewidths=0.4, norm=norm)
    bar = ax.figure.colorbar(filled, ax=ax, label="loss")
    bar.ax.yaxis.set_major_formatter(ticker.FormatStrFormatter("%.3g"))


def _padded(values: np.ndarray) -> tuple[float, float]:
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    room = 0.25 * ((high - low) or 1.0)
    return low - room, high + room


def _vector(model: Module) -> np.ndarray:
    """All parameters end to end, in double precision."""
    return np.concatenate([
        np.ravel(p.numpy(force=True)).astype(np.float64) for p in model.parameters()])


def _assign(model: Module, vector: np.ndarray) -> None:
    """Set all parameters from one vector."""
    begin = 0
    for p in model.parameters():
        part = vector[begin:begin + p.size]
        p.assign(part.reshape(p.shape).astype(p.dtype))
        begin += p.size


@contextmanager
def _borrowed(model: Module) -> Iterator[None]:
    """A block after which the parameters are what they were, to the last bit."""
    kept = [p.numpy(force=True).copy() for p in model.parameters()]
    try:
        yield
    finally:
        for p, value in zip(model.parameters(), kept, strict=True):
            p.assign(value)


def _principal(offsets: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Two orthonormal directions that hold most of the offsets, and the share that each holds."""
    _, sizes, axes = np.linalg.svd(offsets, full_matrices=False)
    shares = sizes**2 / (float(np.sum(sizes**2)) or 1.0)
    directions = np.zeros((2, offsets.shape[1]))
    held = [0.0, 0.0]
    for k in range(min(2, len(sizes))):
        directions[k], held[k] = axes[k], float(shares[k])
    if len(axes) < 2:  # a model of one parameter has no second direction
        held[1] = 0.0
    return directions, held


def _filterwise(model: Module, rng: np.random.Generator) -> np.ndarray:
    """Two random directions, the part of each unit as long as the unit's weights."""
    rows = []
    for _ in range(2):
        parts = []
        for p in model.parameters():
            value = p.numpy(force=True).astype(np.float64)
            draw = rng.standard_normal(value.shape)
            if value.ndim < 2:
                draw = np.zeros_like(value)
            else:  # weights of a unit are a column
                axes = tuple(range(value.ndim - 1))
                lengths = np.sqrt(np.sum(draw**2, axes, keepdims=True))
                draw *= np.sqrt(np.sum(value**2, axes, keepdims=True)) / lengths
            parts.append(draw.ravel())
        rows.append(np.concatenate(parts))
    if not np.any(rows):  # a single unit, whose weights are a vector
        whole = _vector(model)
        size = np.linalg.norm(whole) or 1.0
        rows = [size * v / np.linalg.norm(v) for v in rng.standard_normal((2, len(whole)))]
    return np.array(rows)
