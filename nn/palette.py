"""The colours of signs, the same in every picture: orange above 0, blue below.

Most colour-blind people tell the two apart, and where it can be done a second mark says the same:
lines are solid and dashed, squares filled and hollow. Pages have them from ``shell.css`` of the
engine's pictures, where there are lighter ones for dark screens, too.
"""

from __future__ import annotations

from typing import Any

__all__ = ["NEGATIVE", "POSITIVE", "ZERO", "scheme"]

POSITIVE, NEGATIVE, ZERO = "#c2571a", "#2468b2", "#c5ced8"


def scheme() -> Any:
    """A colour map of matplotlib, from negative over white to positive."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("signs", [NEGATIVE, "#ffffff", POSITIVE])
