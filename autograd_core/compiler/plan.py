"""Where values live: lifetimes, and memory shared by those that are never alive together."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import NamedTuple

#: Buffers begin at multiples of this many bytes, the size of a cache line.
ALIGNMENT = 64


class Lifetime(NamedTuple):
    """A buffer's size, the step that first writes it and the last step that reads it.

    ``after``: the buffer it may take over although that one is still read at step ``start``: an
    element-wise operation can write where it reads.
    """

    nbytes: int
    start: int
    end: int
    after: int | None = None


class Layout(NamedTuple):
    """Offsets of the buffers in one block of memory, and the size of the block."""

    offsets: list[int]
    nbytes: int


def lay_out(lifetimes: Sequence[Lifetime]) -> Layout:
    """Give each buffer a place; those whose lifetimes overlap get places that do not.

    Buffers are placed in the order of their first steps, each into the smallest freed slot that
    holds it and is at most twice as large, or else into a new slot: n log n.
    """
    order = sorted(range(len(lifetimes)), key=lambda i: lifetimes[i].start)
    ending = sorted(range(len(lifetimes)), key=lambda i: lifetimes[i].end)
    slot_of: list[int] = [-1] * len(lifetimes)
    sizes: list[int] = []
    holder: list[int] = []  # the buffer that has each slot
    free: list[tuple[int, int]] = []  # (size, slot), sorted
    done = 0
    for i in order:
        life = lifetimes[i]
        while done < len(ending) and lifetimes[ending[done]].end < life.start:
            ended = ending[done]
            slot = slot_of[ended]
            if holder[slot] == ended:  # not taken over meanwhile
                insort(free, (sizes[slot], slot))
            done += 1
        wanted = -(-max(life.nbytes, 1) // ALIGNMENT) * ALIGNMENT
        before = life.after
        if before is not None and holder[slot_of[before]] == before and (
            sizes[slot_of[before]] >= wanted
        ):
            slot = slot_of[before]
            holder[slot] = i
        else:
            at = bisect_left(free, (wanted, -1))
            if at < len(free) and free[at][0] <= 2 * wanted:
                slot = free.pop(at)[1]
                holder[slot] = i
            else:
                slot = len(sizes)
                sizes.append(wanted)
                holder.append(i)
        slot_of[i] = slot
    starts = [0]
    for size in sizes:
        starts.append(starts[-1] + size)
    return Layout([starts[slot] for slot in slot_of], starts[-1])
