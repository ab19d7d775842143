"""The vocabulary: a file per family. Importing this package fills the tables in ``op``."""

from . import (
    calculus,
    counting,
    elementwise,
    flow,
    indexing,
    linalg,
    metadata,
    methods,
    polynomials,
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
    "counting",
    "elementwise",
    "flow",
    "indexing",
    "linalg",
    "metadata",
    "methods",
    "polynomials",
    "products",
    "random",
    "reductions",
    "selection",
    "shaping",
    "sorting",
    "special",
]
