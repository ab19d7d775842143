"""How many threads the matrix products of a training use."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from .module import Parameter

__all__ = ["THREADS_PAY", "largest_product", "limited_threads"]

#: Multiply-adds in a training's largest matrix product below which one BLAS thread is used.
#: OpenBLAS wakes its threads from 64³ on, which takes some ten microseconds and keeps them spinning
#: between products; one core makes 2²² multiply-adds in about 0.1 ms. On two cores, in float32,
#: two threads take 0.95 of the time of one at 2¹⁸ multiply-adds, 0.85 at 2²⁰, 0.71 at 2²² and 0.62
#: at 2²⁵ (measured); what small products win is lost where anything else wants the cores.
THREADS_PAY = 1 << 22


def largest_product(
    parameters: Sequence[Parameter], shape: tuple[int, ...], batch_size: int
) -> int:
    """Multiply-adds of the largest matrix product in a step on batches from data of this shape.

    An estimate, rather too large than too small: a weight meets every sample of the batch, and each
    position of a sequence or picture.
    """
    positions = max(math.prod(shape[2:]), math.prod(shape[1:-1]), 1) if len(shape) > 2 else 1
    largest = max((p.size for p in parameters if p.ndim > 1), default=0)
    return min(batch_size, shape[0]) * positions * largest


@contextmanager
def limited_threads(product: int) -> Iterator[None]:
    """One BLAS thread during a ``with`` block if products are small; needs threadpoolctl.

    Without it nothing is limited.
    """
    if product >= THREADS_PAY:
        yield
        return
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        yield
        return
    with threadpool_limits(limits=1, user_api="blas"):
        yield
