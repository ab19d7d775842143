"""DOT to a finished picture: the layout engine.

Graphviz comes inside the pygraphviz wheel. Where that wheel does not exist, or cannot be loaded,
a `dot` on PATH does the same.
"""

from __future__ import annotations

import contextlib
import functools
import html
import json
import math
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RenderError
from .describe import MAX_NODES
from .fonts import bundled_fonts, fitted

if TYPE_CHECKING:
    import graphviz

    from .describe import Drawing

FORMATS = ("svg", "png", "pdf", "html", "dot", "gv", "mmd", "txt")
"""What can be written. html is a page; dot and gv both name the source, which needs no layout; mmd
is Mermaid, txt an outline."""

_PICTURES = ("svg", "png", "pdf")
_SOURCE_FORMATS = ("dot", "gv")
_PNG_DPI = ((60, 144), (150, 96), (math.inf, 72))
"""For graphs of up to so many nodes, dots per inch: twice the usual screen, for text that is sharp
when enlarged; fewer where the bitmap would be larger than any screen, and take seconds to fill."""

class NoEngineError(RenderError):
    """There is no Graphviz on this machine."""


_Layout = Callable[[str, str], bytes]

# Graphviz keeps global state, and the start-up of fontconfig reads the environment.
_lock = threading.Lock()


def choose_format(path: Path, format: str | None = None) -> str:
    """The format asked for, or else the one that the path's suffix names.

    Raises RenderError, with the known ones, if it is none of them.
    """
    chosen = (path.suffix.removeprefix(".") if format is None else format).lower()
    if chosen in FORMATS:
        return chosen
    known = ", ".join(FORMATS)
    if not chosen:
        raise RenderError(
            f"which format? {str(path)!r} has no suffix: end it in one of {known}, or pass format="
        )
    raise RenderError(f"unknown format {chosen!r}: use one of {known}")


def picture(drawing: Drawing, format: str, rankdir: str | None = None) -> bytes:
    """A drawing as svg, png or pdf, in the direction that suits it unless told otherwise.

    An SVG of more than `MAX_NODES` nodes, or one that would take Graphviz long, or where there is
    no Graphviz, is laid out by `layout`, and its note says so. Other formats need Graphviz: where
    it would take long, edges are straight lines there.

    Raises RenderError for another format or direction, and for what only Graphviz can do.
    """
    from .dot import digraph, is_hard
    from .layout import svg

    rankdir = drawing.rankdir if rankdir is None else rankdir
    large = len(drawing.nodes) > MAX_NODES
    if large and format != "svg":
        raise RenderError(
            f"a picture of {len(drawing.nodes):,} nodes cannot be read, and takes long to lay out; "
            f"the limit is {MAX_NODES:,}. Leave `collapse` out to have it made smaller, choose "
            "which modules to close, or draw a part of the graph, starting from an inner Tensor; "
            "SVG, text, DOT and Mermaid have no limit"
        )
    why = "too large for Graphviz"
    hard = not large and is_hard(drawing)
    if hard and format == "svg":
        why = "too many long edges for Graphviz"
    elif not large:
        dot = digraph(drawing, rankdir=rankdir)
        if hard:
            dot.attr(splines="line")
        try:
            return draw(dot, format, len(drawing.nodes))
        except NoEngineError as error:
            if format != "svg":
                raise NoEngineError(f"{error}; .svg needs no engine") from error
            why = "there is no Graphviz"
    said = f"{why}: a simple layout instead"
    note = f"{drawing.note}\n{said}" if drawing.note else said
    return svg(replace(drawing, note=note), rankdir).encode()


def lay_out(source: str) -> Any:
    """Where Graphviz puts the parts of a graph that is given in DOT: its own JSON, read."""
    with _lock:
        return json.loads(_layout()(source, "json0"))


def draw(dot: graphviz.Digraph, format: str = "svg", nodes: int = 0) -> bytes:
    """Lay a graph out and return the bytes of the finished picture. ``nodes``: how many there are.

    Raises RenderError for an unknown format, where no layout engine can be loaded, and if the
    engine fails.
    """
    pictures = (*_PICTURES, *_SOURCE_FORMATS)
    if format not in pictures:
        known = ", ".join(pictures)
        raise RenderError(f"unknown format {format!r}: use one of {known}")
    if format in _SOURCE_FORMATS:
        return str(dot.source).encode()
    if format == "png":
        dot = dot.copy()
        dot.attr(dpi=str(next(dpi for limit, dpi in _PNG_DPI if nodes <= limit)))
    with _lock:
        drawn = _layout()(dot.source, format)
    return _TEXT.sub(_with_length, drawn.decode()).encode() if format == "svg" else drawn


_TEXT = re.compile(r'<text (?P<attributes>[^>]*font-size="(?P<size>[\d.]+)"[^>]*)>(?P<text>[^<]*)<')


def _with_length(found: re.Match[str]) -> str:
    """A text of an SVG that keeps its width in any font."""
    attributes, text = found["attributes"], html.unescape(found["text"])
    length = fitted(text, float(found["size"]), 'font-weight="bold"' in attributes)
    return f"<text {attributes}{length}>{found['text']}<"


@functools.cache
def _layout() -> _Layout:
    """The embedded engine if it can be loaded, else `dot`; called with the lock held."""
    try:
        return _embedded()
    except ImportError as error:
        # Also what a wheel raises whose system libraries (glib, X11) are not there.
        return functools.partial(_dot_on_path, why=str(error))


def _embedded() -> _Layout:
    with bundled_fonts():
        import pygraphviz

        def layout(source: str, format: str) -> bytes:
            # `string=`, because a bare argument that is not valid DOT is taken for a file's name.
            graph = pygraphviz.AGraph(string=source)
            try:
                picture = graph.draw(format=format, prog="dot")
            except ValueError as error:
                raise RenderError(f"the layout engine failed on {format}: {error}") from error
            finally:
                graph.close()
            return bytes(picture)

        # fontconfig starts up with the first text laid out, not with the import. It then reads
        # all of the system's configuration, and complains of what is newer than itself.
        with _silent_stderr():
            layout("digraph { text }", "svg")
    return layout


def _dot_on_path(source: str, format: str, *, why: str) -> bytes:
    import graphviz

    try:
        with bundled_fonts():
            picture = graphviz.Source(source).pipe(format=format, quiet=True)
    except graphviz.ExecutableNotFound as error:
        raise NoEngineError(
            f"no layout engine: the embedded one cannot be loaded ({why}), and there is no `dot` "
            "on PATH. Install Graphviz, or write .dot and lay it out elsewhere"
        ) from error
    except graphviz.CalledProcessError as error:
        raise RenderError(f"`dot` failed on {format}: {error.stderr!r}") from error
    return bytes(picture)


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Discard what C code writes to standard error, which `contextlib` does not see."""
    try:
        saved = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
    try:
        with tempfile.TemporaryFile() as sink:
            os.dup2(sink.fileno(), 2)
            yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
