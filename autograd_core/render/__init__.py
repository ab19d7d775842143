"""Pictures of computation graphs and of compiled functions: DOT, SVG, PNG, PDF, Mermaid and text.

`drawables` knows what can be drawn; `describe` says what is shown (`programs`, of a compiled
function; `backward`, of a backward pass), with the help of `flow` for what flows back along the
edges; `collapse` makes a smaller drawing of a large one. Then comes one of the faces: `dot` writes
it in DOT, and `engine` lays that out, with the help of `fonts`; `mermaid` and `outline` need no
layout, and `layout` makes an SVG without Graphviz. A `page` steps through the passes that `steps`
has recorded: `placing` asks for the places of its boxes, and `html` makes it one file. Nothing of
that is loaded before something is drawn.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ..errors import RenderError
from .html import html_page

if TYPE_CHECKING:
    import os

    import graphviz

    from ..compiler.compiled import Compiled
    from ..compiler.program import Program
    from ..graph import Graph
    from ..tensor import Tensor
    from .collapse import Closed
    from .describe import Drawing

__all__ = ["html_page", "render", "to_dot", "to_mermaid", "to_svg", "to_text"]

Drawable: TypeAlias = (
    "Tensor | Graph | Sequence[Tensor] | Compiled | Program | Callable[..., Any] | graphviz.Digraph"
)


def to_dot(
    outputs: Drawable,
    *,
    values: bool | None = None,
    grads: bool | None = None,
    shapes: bool | None = None,
    derivatives: bool | None = None,
    cotangents: bool | None = None,
    places: bool = False,
    collapse: Closed = None,
    backward: bool | Literal["alone"] = False,
    grad: Any = None,
    example: Any = None,
    rankdir: str | None = None,
    title: str | None = None,
    stage: str | None = None,
    recording: int | None = None,
    buffers: bool | None = None,
) -> graphviz.Digraph:
    """The graph behind `outputs` in DOT.

    `outputs` is a Tensor, a sequence of Tensors or a Graph. Each node shows its operation or
    label, and as switched by `shapes`, `values` and `grads` its dtype and shape, its value (a
    number, a few elements, or a summary) and its gradient (a dash where there is none). Between
    scalars, an edge shows ∂head/∂tail with `derivatives`; with `cotangents`, what flows back along
    it, for heads that hold a gradient (after `Graph.bprop`, all do). Left at None, details are on
    for small graphs. `rankdir` is the direction in which the data flow: LR, TB, RL or BT; left at
    None, LR, but TB for programs, which are long.

    `collapse` is the depth from which on modules are drawn as single boxes (1: the outermost), or a
    function of a module's path, a tuple of titles, that says whether it is. Left at None, graphs of
    more than 1,000 nodes are collapsed until they can be read: modules, then blocks that are
    repeated, then levels; a note in the picture says so. False shows everything.

    `outputs` may be a function or a module, which is then called with `example`, an array or a
    tuple of them. Operations are framed by the module that made them, here and whatever was
    computed in an `ag.scope` while somebody observed it; `places` writes the lines of source onto
    the nodes.

    With `backward`, the backward pass is recorded and drawn beside the forward one, dotted lines
    leading from a node to what its rules made, or, with "alone", by itself. No gradient is changed.

    `grad` is the cotangent that the backward pass starts from, 1 in every element if left out, of
    the output's shape; a sequence for several outputs. Given without `backward`, the gradients
    and cotangents that are drawn are those that flow from it, not those that the Tensors hold.

    `outputs` may also be a compiled function that was called before, or one of its programs. Each
    node then shows its name in the listing that `.explain()` prints, and its type; operations that
    run together, block by block, are framed; a dashed edge leads from an update back to the input
    that it replaces. `stage` "before" shows the program as recorded, the name of a pass as it was
    after that pass, "after" (the default) as it is run; `recording` is the index of the recording,
    of which the last is shown. Values that share memory have one colour, as the legend says,
    switched by `buffers`. A `graphviz.Digraph` is returned as one that shows itself in notebooks.

    Raises RenderError if there is nothing to draw, for an unknown `rankdir`, `stage` or
    `recording`, or options for what is not drawn (values and gradients of a program, `stage` and
    `recording` of anything but a compiled function); ShapeError for a `grad` of another shape;
    TypeError if `outputs` is none of the above. A Tensor keeps all that it was computed from, so
    that no graph is gone before it is drawn, also after `backward()`.

    Example::

        x = ag.tensor(0.5, requires_grad=True, label="x")
        print(ag.to_dot(np.exp(x) + x).source)
    """
    from .dot import digraph

    if _is_digraph(outputs):
        from .digraph import adopt

        return adopt(outputs)
    drawing = drawing_of(
        outputs, values=values, grads=grads, shapes=shapes, derivatives=derivatives,
        cotangents=cotangents, places=places, collapse=collapse, backward=backward, grad=grad,
        example=example, title=title, stage=stage, recording=recording, buffers=buffers,
    )
    return digraph(drawing, rankdir=drawing.rankdir if rankdir is None else rankdir)


def to_svg(outputs: Drawable, *, rankdir: str | None = None, **options: Any) -> str:
    """The graph behind `outputs` as the text of an SVG, as `render` writes it.

    The arguments are those of `to_dot`, and so are the errors. Where there is no Graphviz, a
    simpler layout is used, and the picture says so.

    >>> x = ag.tensor(2.0, requires_grad=True, label="x")
    >>> ag.to_svg(x * x).count('class="node"')
    2
    """
    from .engine import draw, picture

    if _is_digraph(outputs):
        return draw(outputs, "svg").decode()
    return picture(drawing_of(outputs, **options), "svg", rankdir).decode()


def to_mermaid(outputs: Drawable, *, rankdir: str | None = None, **options: Any) -> str:
    """The graph behind `outputs` as a Mermaid flowchart, for Markdown files.

    The arguments are those of `to_dot`, and so are the errors.

    >>> x = ag.tensor(2.0, requires_grad=True, label="x")
    >>> print(ag.to_mermaid(x * x, values=False, shapes=False).split("classDef")[0].rstrip())
    flowchart LR
      n0["x"]:::variable
      n1("multiply"):::result
      n0 --> n1
      n0 --> n1
    """
    from .mermaid import mermaid

    drawing = drawing_of(outputs, **options)
    return mermaid(drawing, rankdir=drawing.rankdir if rankdir is None else rankdir)


def to_text(outputs: Drawable, **options: Any) -> str:
    """The graph behind `outputs` as an indented outline, for terminals and screen readers.

    One line a node, and modules as headings. The arguments are those of `to_dot` but `rankdir`, and
    so are the errors.

    >>> x = ag.tensor(2.0, requires_grad=True, label="x")
    >>> y = x * 3.0
    >>> y.backward()
    >>> print(ag.to_text(y), end="")
    graph: 2 nodes, 1 edge
    1. x: variable, float64, value 2, gradient 3
    2. multiply(1. x, 3): output, float64, value 6, gradient none yet
        by argument 0, 1. x: local derivative 3
    """
    from .outline import outline

    return outline(drawing_of(outputs, **options))


def render(
    outputs: Drawable,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    rankdir: str | None = None,
    **options: Any,
) -> Path:
    """Draw the graph behind `outputs` into a file, and return the file's path.

    The format is that of the path's suffix unless `format` says otherwise: svg, png, pdf, dot (also
    called gv) for the source, mmd for Mermaid, txt for an outline, or html for a page that steps
    through the forward and the backward pass. The page works offline; its gradients are its own,
    from 1 at each output or from `grad`, and those of the Tensors are left alone. The other
    arguments are those of `to_dot`. The file appears complete or not at all, and everything that
    can be refused is refused before the layout starts. A `graphviz.Digraph` is laid out as it is.

    Raises RenderError for an unknown format, for what `to_dot` refuses, and where no layout engine
    can be loaded; FileNotFoundError, NotADirectoryError, IsADirectoryError or PermissionError
    where the file cannot be written.

    Example::

        x = ag.tensor(0.5, requires_grad=True, label="x")
        ag.render(np.sin(x) * x, "graph.svg")
    """
    from ..files import writable, write_file
    from .engine import choose_format

    path = Path(path)
    format = choose_format(path, format)
    writable(path)
    if _is_digraph(outputs):
        from .engine import draw

        return write_file(path, draw(outputs, format))
    if format == "html":
        return write_file(path, _page(outputs, rankdir, options))
    drawing = drawing_of(outputs, **options)
    rankdir = drawing.rankdir if rankdir is None else rankdir
    return write_file(path, _face(format)(drawing, rankdir))


def _page(outputs: Any, rankdir: str | None, options: dict[str, Any]) -> bytes:
    """The page that steps through a graph or a program, or shows what is too large for steps."""
    from ..compiler.compiled import Compiled
    from ..compiler.program import Program
    from ..graph import Graph
    from .describe import MAX_NODES
    from .drawables import as_graph, cotangents_of, resolved
    from .page import page
    from .steps import steps

    if options.get("backward"):
        raise RenderError("a page steps through the backward pass: leave `backward` out, or render "
                          "to another format")
    outputs = resolved(outputs, options.pop("example", None))
    grad, seeds = options.pop("grad", None), None
    for name in ("values", "grads"):
        if options.get(name) is False:
            raise RenderError(f"a page shows values and gradients step by step: leave `{name}` "
                              "out, or render to another format")
    graph: Graph | None = None
    if not isinstance(outputs, (Compiled, Program)):
        found = as_graph(outputs)
        seeds = cotangents_of(outputs, found, grad)
        graph = found if isinstance(found, Graph) else Graph(list(found.outputs))  # type: ignore[arg-type]
        outputs = graph
        if len(graph.nodes) <= MAX_NODES:
            options = {"values": True, "shapes": True, **options}
        # What flows back is shown step by step, not as it was left behind by some earlier pass.
        options = {**options, "grads": False, "derivatives": False, "cotangents": False}
    elif grad is not None:
        options = {**options, "grad": grad}  # which a program refuses
    drawing = drawing_of(outputs, **options)
    if len(drawing.nodes) > MAX_NODES:
        raise RenderError(
            f"a page of {len(drawing.nodes):,} nodes cannot be read, and takes long to lay out; "
            f"the limit is {MAX_NODES:,}. Leave `collapse` out to have it made smaller, choose "
            "which modules to close, or draw a part of the graph, starting from an inner Tensor; "
            "SVG, text, DOT and Mermaid have no limit"
        )
    whole = graph is not None and all(node.kind != "group" for node in drawing.nodes)
    passes = steps(graph, seeds) if graph is not None and whole else None
    return page(drawing, passes, rankdir=rankdir)


def _face(format: str) -> Callable[[Drawing, str], bytes]:
    """What makes a file of a drawing, given the direction in which the data flow."""
    if format == "mmd":
        from .mermaid import mermaid

        return lambda drawing, rankdir: mermaid(drawing, rankdir=rankdir).encode()
    if format == "txt":
        from .outline import outline

        return lambda drawing, _: outline(drawing).encode()
    if format in ("dot", "gv"):
        from .dot import digraph

        return lambda drawing, rankdir: str(digraph(drawing, rankdir=rankdir).source).encode()
    from .engine import picture

    return lambda drawing, rankdir: picture(drawing, format, rankdir)


def _is_digraph(outputs: Any) -> bool:
    """Whether it is a finished `graphviz.Digraph`; only who has loaded graphviz can have one."""
    loaded = sys.modules.get("graphviz")
    return loaded is not None and isinstance(outputs, loaded.Digraph)


def drawing_of(outputs: Any, **options: Any) -> Drawing:
    """What all faces of a picture are made from; the arguments are those of `to_dot`."""
    from . import drawables

    return drawables.drawing_of(outputs, **options)
