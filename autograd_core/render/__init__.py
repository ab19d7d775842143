"""Pictures of computation graphs and of compiled functions: DOT, SVG, PNG and PDF.

`describe` says what is shown (`programs`, of a compiled function), `dot` writes it in DOT, `engine`
lays it out and writes the file, with the help of `fonts`. Nothing of that is loaded before
something is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import RenderError

if TYPE_CHECKING:
    import os

    import graphviz

    from ..compiler.compiled import Compiled
    from ..compiler.program import Program
    from ..graph import Graph
    from ..tensor import Tensor
    from .describe import Drawing, GraphLike

__all__ = ["render", "to_dot"]

Drawable: TypeAlias = "Tensor | Graph | Sequence[Tensor] | Compiled | Program"


def to_dot(
    outputs: Drawable,
    *,
    values: bool | None = None,
    grads: bool | None = None,
    shapes: bool | None = None,
    rankdir: str | None = None,
    title: str | None = None,
    stage: str | None = None,
    recording: int | None = None,
) -> graphviz.Digraph:
    """The graph behind `outputs` in DOT.

    `outputs` is a Tensor, a sequence of Tensors or a Graph. Each node shows its operation or
    label, and as switched by `shapes`, `values` and `grads` its dtype and shape, its value (a
    number, a few elements, or a summary) and its gradient (a dash where there is none). Left at
    None, details are on for small graphs. `rankdir` is the direction in which the data flow: LR,
    TB, RL or BT; left at None, LR, but TB for programs, which are long.

    `outputs` may also be a compiled function that was called before, or one of its programs. Each
    node then shows its name in the listing that `.explain()` prints, and its type; operations that
    run together, block by block, are framed; a dashed edge leads from an update back to the input
    that it replaces. `stage` "before" shows the program as recorded, "after" (the default) as it is
    run; `recording` is the index of the recording, of which the last is shown.

    Raises RenderError if there is nothing to draw, more than 1,000 nodes, an unknown `rankdir`,
    `stage` or `recording`, or options for what is not drawn (`values` and `grads` of a program,
    `stage` and `recording` of anything but a compiled function); TypeError if `outputs` is none of
    the above.

    Example::

        x = ag.tensor(0.5, requires_grad=True, label="x")
        print(ag.to_dot(np.exp(x) + x).source)
    """
    from .dot import digraph

    drawing = _drawing(outputs, values, grads, shapes, title, stage, recording)
    return digraph(drawing, rankdir=drawing.rankdir if rankdir is None else rankdir)


def render(
    outputs: Drawable,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    values: bool | None = None,
    grads: bool | None = None,
    shapes: bool | None = None,
    rankdir: str | None = None,
    title: str | None = None,
    stage: str | None = None,
    recording: int | None = None,
) -> Path:
    """Draw the graph behind `outputs` into a file, and return the file's path.

    The format is that of the path's suffix unless `format` says otherwise: svg, png, pdf, or dot
    (also called gv) for the source. The other arguments are those of `to_dot`. The file appears
    complete or not at all, and everything that can be refused is refused before the layout starts.

    Raises RenderError for an unknown format, for what `to_dot` refuses, and where no layout engine
    can be loaded; FileNotFoundError, NotADirectoryError, IsADirectoryError or PermissionError
    where the file cannot be written.

    Example::

        x = ag.tensor(0.5, requires_grad=True, label="x")
        ag.render(np.sin(x) * x, "graph.svg")
    """
    from ..files import writable, write_file
    from .engine import choose_format, draw

    path = Path(path)
    format = choose_format(path, format)
    writable(path)
    dot = to_dot(
        outputs, values=values, grads=grads, shapes=shapes, rankdir=rankdir, title=title,
        stage=stage, recording=recording,
    )
    return write_file(path, draw(dot, format))


def _drawing(
    outputs: Any, values: bool | None, grads: bool | None, shapes: bool | None,
    title: str | None, stage: str | None, recording: int | None,
) -> Drawing:
    from ..compiler.compiled import Compiled
    from ..compiler.program import Program
    from .describe import describe
    from .programs import describe_program

    program = outputs
    if isinstance(outputs, Compiled):
        program = _recorded(outputs, stage, recording)
    elif stage is not None or recording is not None:
        raise RenderError(
            f"`stage` and `recording` choose a program of a compiled function; a "
            f"{type(outputs).__name__} has no others: leave them out"
        )
    if isinstance(program, Program):
        if values or grads:
            raise RenderError(
                "a program has no values and no gradients outside of a run: leave `values` and "
                "`grads` out, or draw the Tensor that the function returns when not compiled"
            )
        return describe_program(program, shapes=shapes, title=title)
    graph = _as_graph(outputs)
    return describe(graph, values=values, grads=grads, shapes=shapes, title=title)


def _recorded(f: Compiled, stage: str | None, recording: int | None) -> Program:
    """The program of a compiled function to draw."""
    if stage not in (None, "before", "after"):
        raise RenderError(f"unknown stage {stage!r}: use 'before' or 'after' (the passes)")
    programs = f.programs
    if not programs:
        raise RenderError(f"{f!r} was not recorded yet: call it once, then draw it")
    index = -1 if recording is None else recording
    if not -len(programs) <= index < len(programs):
        raise RenderError(f"no recording {index}: {f!r} has {len(programs)}, counted from 0")
    before, after = programs[index]
    return before if stage == "before" else after


def _as_graph(outputs: Any) -> GraphLike:
    if hasattr(outputs, "nodes"):
        graph: GraphLike = outputs
        return graph
    from ..graph import Graph
    from ..tensor import Tensor

    tensors = (outputs,) if isinstance(outputs, Tensor) else outputs
    if not isinstance(tensors, Sequence) or not all(isinstance(t, Tensor) for t in tensors):
        raise TypeError(
            f"cannot draw {type(outputs).__name__}: pass a Tensor, a Graph or a sequence of Tensors"
            ", a compiled function or one of its programs"
        )
    if not tensors:
        raise RenderError("nothing to draw: the sequence of outputs is empty")
    return Graph(tensors)
