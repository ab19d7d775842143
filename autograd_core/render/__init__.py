"""Pictures of computation graphs: DOT, SVG, PNG and PDF.

`describe` says what is shown, `dot` writes it in DOT, `engine` lays it out and writes the file,
with the help of `fonts`. Nothing of that is loaded before something is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import RenderError

if TYPE_CHECKING:
    import os

    import graphviz

    from ..graph import Graph
    from ..tensor import Tensor
    from .describe import GraphLike

__all__ = ["render", "to_dot"]

Drawable: TypeAlias = "Tensor | Graph | Sequence[Tensor]"


def to_dot(
    outputs: Drawable,
    *,
    values: bool | None = None,
    grads: bool | None = None,
    shapes: bool | None = None,
    rankdir: str = "LR",
    title: str | None = None,
) -> graphviz.Digraph:
    """The graph behind `outputs` in DOT.

    `outputs` is a Tensor, a sequence of Tensors or a Graph. Each node shows its operation or
    label, and as switched by `shapes`, `values` and `grads` its dtype and shape, its value (a
    number, a few elements, or a summary) and its gradient (a dash where there is none). Left at
    None, details are on for small graphs. `rankdir` is the direction in which the data flow: LR,
    TB, RL or BT.

    Raises RenderError if there is nothing to draw, more than 1,000 nodes, or an unknown `rankdir`;
    TypeError if `outputs` is none of the above.

    Example::

        x = ag.tensor(0.5, requires_grad=True, label="x")
        print(ag.to_dot(np.exp(x) + x).source)
    """
    from .describe import describe
    from .dot import digraph

    graph = _as_graph(outputs)
    drawing = describe(graph, values=values, grads=grads, shapes=shapes, title=title)
    return digraph(drawing, rankdir=rankdir)


def render(
    outputs: Drawable,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    values: bool | None = None,
    grads: bool | None = None,
    shapes: bool | None = None,
    rankdir: str = "LR",
    title: str | None = None,
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
    from .engine import choose_format, draw, writable, write

    path = Path(path)
    format = choose_format(path, format)
    target = writable(path)
    dot = to_dot(
        outputs, values=values, grads=grads, shapes=shapes, rankdir=rankdir, title=title
    )
    write(target, draw(dot, format))
    return path


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
        )
    if not tensors:
        raise RenderError("nothing to draw: the sequence of outputs is empty")
    return Graph(tensors)
