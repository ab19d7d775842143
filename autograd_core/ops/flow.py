"""Where gradients flow and where they stop."""

from __future__ import annotations

from ..op import case, define

identity = define(
    "identity", lambda x: x, (lambda g, y, x: g,), "x", cases=(case((2, 3)), case(()), case((0, 1)))
)
stop_gradient = define("stop_gradient", lambda x: x, None, "x, as a constant")
