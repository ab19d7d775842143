"""How things show themselves in notebooks: a picture where it is small, and always as text."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

from ..compiler.compiled import Compiled
from ..errors import RenderError
from ..graph import Graph
from ..tensor import Tensor, capturing
from .collapse import collapse
from .describe import Drawing
from .drawables import drawing_of
from .engine import picture

__all__ = ["bundle"]

_MAX_SHOWN = 150
"""More nodes are collapsed; what is left of a graph that cannot be is text."""

_MAX_READ = 20_000
_MAX_LISTED = 60


def bundle(thing: Any) -> dict[str, str]:
    """The representations of a Tensor, a Graph or a compiled function, by MIME type.

    Text is always among them; an SVG if there is something to see, a computation of at most 150
    nodes or one that can be collapsed to that, and something to lay it out.
    """
    listed = isinstance(thing, Graph) and len(thing) <= _MAX_LISTED
    found = {"text/plain": str(thing) if listed else repr(thing)}
    if capturing() is not None:  # values cannot be read while a function is recorded
        return found
    drawing = _shown(thing)
    if drawing is not None:
        with contextlib.suppress(RenderError):
            found["image/svg+xml"] = picture(drawing, "svg").decode()
    return found


def _shown(thing: Any) -> Drawing | None:
    if isinstance(thing, Compiled):
        if not thing.programs:
            return None
    elif isinstance(thing, Tensor):
        if thing.op is None:  # a single box says nothing more than the text
            return None
        thing = Graph(thing)
    if isinstance(thing, Graph) and len(thing) > _MAX_READ:
        return None
    drawing = collapse(drawing_of(thing, collapse=False), limit=_MAX_SHOWN)
    if len(drawing.nodes) > _MAX_SHOWN:
        return None
    if drawing.note is not None:  # there is no call to add an argument to
        drawing = replace(drawing, note=drawing.note.replace(
            "collapse=False shows all", "ag.render(..., collapse=False) shows all"))
    return drawing
