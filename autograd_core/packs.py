"""Many leaves as one flat array.

What is done to each of a hundred small arrays takes a hundred calls, whose time is that of calling;
done to all of them side by side, it takes one.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np

from .errors import ShapeError, caller
from .node import RESIDENT, Array, tick
from .tensor import Tensor, capturing

__all__ = ["Pack"]

# The GNU allocator gives blocks above a threshold back to the system when they are freed. The next
# array of that size is then new memory, whose pages take longer to arrive than most operations
# take to fill them. Freeing one block of 8 MiB, never touched, raises the threshold to that size.
np.empty(1 << 23, np.uint8)


class _Buffer(NamedTuple):
    """An array of all elements, the same to read only, and its parts in the leaves' shapes."""

    flat: Array
    frozen: Array
    parts: list[Array]


class Pack:
    """Leaves of one dtype that are read and assigned together, as one flat array.

    The elements of one leaf follow those of the other, each leaf's in C order. Leaves that are
    ``resident`` stay in the pack's memory until somebody reads them, who gets a copy; the others
    get arrays of their own at each :meth:`assign`.

    Raises ``TypeError`` for what is no leaf Tensor with an ndarray, or leaves of several dtypes.

    >>> a, b = ag.tensor([1.0, 2.0]), ag.tensor([[3.0], [4.0]])
    >>> pack = ag.Pack([a, b])
    >>> pack.assign(10 * pack.read())
    >>> b
    tensor([[30.],
            [40.]])
    """

    def __init__(self, leaves: Iterable[Tensor], *, resident: bool = False) -> None:
        self.leaves = tuple(leaves)
        self.resident = resident
        arrays = []
        for t in self.leaves:
            if not isinstance(t, Tensor) or t.op is not None:
                raise TypeError(f"Pack: {t!r} is no leaf Tensor (at {caller()})")
            value = t.numpy(force=True)
            if type(value) is not np.ndarray:
                raise TypeError(
                    f"Pack: a leaf holds {type(value).__name__}, which cannot lie beside others in "
                    f"an ndarray (at {caller()})")
            arrays.append(value)
        dtypes = {x.dtype for x in arrays}
        if len(dtypes) != 1:
            raise TypeError(
                f"Pack: leaves of {len(dtypes)} dtypes (at {caller()}); make a pack for each")
        (self.dtype,) = dtypes
        self._shapes = [x.shape for x in arrays]
        self._bounds = [*pairwise(accumulate((x.size for x in arrays), initial=0))]
        self.size: int = self._bounds[-1][1]
        # Taken by turns, lest a walk over fresh memory cost as much as what is computed there.
        self._buffers = [self._buffer(), self._buffer()]
        #: The arrays in which the leaves have what lies in the first buffer.
        self._held: list[Array] | None = None

    def __reduce__(self) -> Any:
        return (_pack, (self.leaves, self.resident))

    def _buffer(self) -> _Buffer:
        flat = np.empty(self.size, self.dtype)
        frozen = flat.view()
        frozen.setflags(write=False)
        return _Buffer(flat, frozen, self.split(frozen))

    def split(self, values: Array) -> list[Array]:
        """The parts of an array of shape (size,), each in the shape of its leaf; views."""
        return [values[begin:end].reshape(shape)
                for (begin, end), shape in zip(self._bounds, self._shapes, strict=True)]

    def current(self) -> bool:
        """Whether every leaf still has what was last read or assigned here."""
        if self._held is None:
            return False
        lent = RESIDENT if self.resident else None  # else somebody may have written into it
        for t, array in zip(self.leaves, self._held):  # noqa: B905  (at every step of an optimiser)
            if t._value is not array or t._lent is not lent:
                return False
        return True

    def read(self) -> Array:
        """The values of all leaves, side by side: a read-only array of shape (size,).

        It is the pack's own memory and holds until the next :meth:`assign`: copy what is to stay.
        Raises :class:`ShapeError` if a leaf no longer has the shape and dtype that it had.
        """
        if capturing() is not None or not self.current():
            arrays = [t.numpy(force=True) for t in self.leaves]
            self._check(arrays)
            np.concatenate(arrays, axis=None, out=self._buffers[0].flat)
            self._place()
        return self._buffers[0].frozen

    def _check(self, arrays: Iterable[Array]) -> None:
        for x, shape in zip(arrays, self._shapes, strict=True):
            if np.shape(x) != shape or x.dtype != self.dtype:
                raise ShapeError(
                    f"Pack: a leaf of shape {shape} and dtype {self.dtype} now has shape "
                    f"{np.shape(x)} and dtype {x.dtype} (at {caller()}); make a new pack")

    def _place(self) -> None:
        """Note in which arrays the leaves have what lies in the first buffer."""
        if not self.resident:
            self._held = [t._value for t in self.leaves]
            return
        self._held = self._buffers[0].parts
        for t, part in zip(self.leaves, self._held, strict=True):
            t._value = part
            t._lent = RESIDENT

    def empty(self) -> Array:
        """An array of shape (size,) to compute new values in, for :meth:`assign`."""
        return self._buffers[1].flat

    def assign(self, values: Array) -> None:
        """Replace the values of all leaves by those of an array of shape (size,), cast to their
        dtype.

        Raises :class:`ShapeError` for another shape, before anything is changed.
        """
        if values.shape != (self.size,):
            raise ShapeError(
                f"Pack: values of shape {values.shape} for leaves of {self.size} elements "
                f"(at {caller()})")
        if capturing() is not None:
            for t, part in zip(self.leaves, self.split(values), strict=True):
                t.assign(part)
            return
        if not self.current():
            self._check([t.numpy(force=True) for t in self.leaves])
        target = self._buffers[1]
        if values is not target.flat:
            target.flat[...] = values
        self._buffers.reverse()
        if self.resident:
            self._place()
            for t in self.leaves:
                t._born = tick()
            return
        held = []
        for t, part in zip(self.leaves, target.parts):  # noqa: B905
            array = part.copy()
            array.setflags(write=False)
            t._value = array
            t._lent = None
            t._born = tick()
            held.append(array)
        self._held = held


def _pack(leaves: tuple[Tensor, ...], resident: bool) -> Pack:
    return Pack(leaves, resident=resident)
