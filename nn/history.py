"""What happened in a training, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterator, KeysView, Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["History", "figure", "table"]


class History:
    """What happened, epoch by epoch: lists by name.

    ``history["loss"]`` is the mean training loss of each epoch, ``history[name]`` each metric; with
    validation data there are ``"val_loss"`` and ``"val_" + name``. ``interrupted`` says whether
    Ctrl-C ended the training, ``stopped`` what did if it ended early, and ``converged``, where the
    rule that was used can tell, whether it got to its end. ``str(history)`` is a table, ``plot()``
    draws the curves.

    >>> history = nn.History()
    >>> history.append(loss=0.5, val_loss=0.75)
    >>> history.append(loss=0.25, val_loss=0.5)
    >>> print(history)
    epoch  loss  val_loss
        1   0.5      0.75
        2  0.25       0.5
    """

    def __init__(self) -> None:
        self.epochs: dict[str, list[float]] = {}
        self.interrupted = False
        self.stopped: str | None = None
        self.converged: bool | None = None

    def append(self, **values: float) -> None:
        """Note the values of an epoch."""
        for name, value in values.items():
            self.epochs.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> list[float]:
        if name not in self.epochs:
            raise KeyError(f"the history has no {name!r}; it has {sorted(self.epochs)}")
        return self.epochs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.epochs)

    def keys(self) -> KeysView[str]:
        """The names; ``dict(history)`` holds their lists."""
        return self.epochs.keys()

    def __contains__(self, name: object) -> bool:
        return name in self.epochs

    def __len__(self) -> int:
        return max((len(values) for values in self.epochs.values()), default=0)

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in self.epochs.items())
        return f"History({len(self)} epochs{': ' + last if last else ''})"

    def __str__(self) -> str:
        return self.to_text()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """For notebooks: the curves, and the last values as text."""
        from .drawing import curves

        found = {"text/plain": repr(self)}
        if len(self):
            found["image/svg+xml"] = curves(self.epochs)
        return found

    def rows(self) -> list[dict[str, float | None]]:
        """A dict for each epoch; None where a name was not noted. One noted late ends with it."""
        columns = {
            name: [None] * (len(self) - len(values)) + values
            for name, values in self.epochs.items()
        }
        return [
            {"epoch": i + 1, **{name: values[i] for name, values in columns.items()}}
            for i in range(len(self))
        ]

    def to_text(self) -> str:
        """A table with a line for each epoch."""
        rows = self.rows()
        if not rows:
            return "no epochs"
        names = list(rows[0])
        return "\n".join(table([names] + [
            ["" if row[name] is None else f"{row[name]:.4g}" if name != "epoch"
             else str(row[name]) for name in names]
            for row in rows
        ]))

    def plot(self, ax: Any = None) -> Any:
        """Draw each curve over the epochs, validation dashed; returns the axes.

        ``ax``: axes of matplotlib to draw into, by default new ones. Losses are drawn on a
        logarithmic axis if all are positive, metrics on a second axis. Needs matplotlib.
        """
        if ax is None:
            ax = figure(layout="constrained").subplots()
        losses = {n: v for n, v in self.epochs.items() if n in ("loss", "val_loss")}
        others = {n: v for n, v in self.epochs.items() if n not in losses}
        colours: dict[str, str] = {}
        right = ax.twinx() if losses and others else ax
        for axes, curves in ((ax, losses), (right, others)):
            for name, values in curves.items():
                base = name.removeprefix("val_")
                colour = colours.setdefault(base, f"C{len(colours)}")
                first = len(self) - len(values) + 1
                axes.plot(range(first, first + len(values)), values, color=colour, label=name,
                          linestyle="--" if base != name else "-")
        if losses and all(value > 0 for values in losses.values() for value in values):
            ax.set_yscale("log")
        ax.set_xlabel("epoch")
        ax.set_ylabel("loss" if losses else "")
        lines = ax.get_lines()
        if right is not ax:
            right.set_ylabel(", ".join({n.removeprefix("val_"): None for n in others}))
            lines = [*lines, *right.get_lines()]
        if lines:
            # matplotlib looks for a place among the lines of one axis; here there may be two.
            ax.legend(lines, [line.get_label() for line in lines], loc=_free_place(ax, lines))
        return ax

    def state_dict(self) -> dict[str, Any]:
        """A copy, as numbers and lists."""
        return {"epochs": {name: list(values) for name, values in self.epochs.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Become what :meth:`state_dict` was of."""
        self.epochs = {name: [float(x) for x in values] for name, values in state["epochs"].items()}


def _free_place(ax: Any, lines: Sequence[Any]) -> str:
    """Where in the axes a legend covers least of these lines, which may be of several axes."""
    to_axes = ax.transAxes.inverted()
    ways = []
    for line in lines:
        line.axes.get_xlim(), line.axes.get_ylim()  # asked for, they are set
        x, y = to_axes.transform(line.get_transform().transform(line.get_xydata())).T
        steps = np.linspace(0, len(x) - 1, 20 * len(x))
        ways.append([np.interp(steps, np.arange(len(x)), z) for z in (x, y)])
    # About as large as a legend is, in parts of the axes.
    width, height = 0.36, 0.07 * len(lines) + 0.05
    columns = {"left": (0.0, width), "center": (0.5 - width / 2, 0.5 + width / 2),
               "right": (1 - width, 1.0)}
    rows = {"upper": (1 - height, 1.0), "center": (0.5 - height / 2, 0.5 + height / 2),
            "lower": (0.0, height)}
    covered = {}
    for row, (bottom, top) in rows.items():
        for column in ("right", "left", "center"):
            begin, end = columns[column]
            name = "center" if row == column else f"{row} {column}"
            covered[name] = sum(
                float(((x >= begin) & (x <= end) & (y >= bottom) & (y <= top)).mean())
                for x, y in ways
            )
    return min(covered, key=covered.__getitem__)


def table(lines: Sequence[Sequence[str]], texts: int = 0) -> list[str]:
    """Cells in columns; the first ``texts`` of them to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i < texts else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]


def figure(**options: Any) -> Any:
    """A new figure, with a window where there are windows."""
    try:
        from matplotlib import pyplot
    except ImportError as missing:
        raise ImportError(
            "plot: drawing curves needs matplotlib: pip install 'autograd-core[plot]'"
        ) from missing
    return pyplot.figure(**options)
