"""The vocabulary: a file per family. Importing this package fills the tables in ``op``."""

from . import elementwise, flow, indexing, metadata, products, reductions, shaping, special

__all__ = [
    "elementwise",
    "flow",
    "indexing",
    "metadata",
    "products",
    "reductions",
    "shaping",
    "special",
]
