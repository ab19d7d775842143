"""A `graphviz.Digraph` that shows itself in notebooks by the engine that comes along."""

from __future__ import annotations

import contextlib
from typing import Any

import graphviz

from ..errors import RenderError

__all__ = ["Digraph", "adopt"]


class Digraph(graphviz.Digraph):  # type: ignore[misc]
    """As its base, which asks for a `dot` on PATH; where nothing lays it out, it is shown as text.
    """

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **_: Any) -> Any:
        from .engine import draw

        bundle = {"text/plain": str(self.source)}
        with contextlib.suppress(RenderError):
            bundle["image/svg+xml"] = draw(self, "svg").decode()
        return bundle


def adopt(dot: graphviz.Digraph) -> Digraph:
    """The same graph, as one that shows itself."""
    return Digraph(
        name=dot.name, comment=dot.comment, graph_attr=dict(dot.graph_attr),
        node_attr=dict(dot.node_attr), edge_attr=dict(dot.edge_attr), body=list(dot.body),
        strict=dot.strict,
    )
