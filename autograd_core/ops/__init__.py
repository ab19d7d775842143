"""The vocabulary: a file per family. Importing this package fills the tables in ``op``."""

from . import (
    calculus,
    elementwise,
    flow,
    indexing,
    linalg,
    metadata,
    methods,
    products,
    random,
    reductions,
    selection,
    shaping,
    sorting,
    special,
)

__all__ = [
    "calculus",
    "elementwise",
    "flow",
    "indexing",
    "linalg",
    "metadata",
    "methods",
    "products",
    "random",
    "reductions",
    "selection",
    "shaping",
    "sorting",
    "special",
]
