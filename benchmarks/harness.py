"""How it is measured: one process, contenders by turns, medians."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import repeat
from math import ceil
from statistics import median, quantiles
from typing import Any

from .workloads import Row

Step = Callable[[], Any]

SHORTEST_SAMPLE_NS = 2_000_000
SAMPLES_PER_TURN = 5
WARM_UP_NS = 150_000_000
"""Untimed, at the start of every turn. OpenBLAS's worker threads go on spinning for 2^28 cycles,
about 100 ms, after their last task, and would take a core from the contender that comes next.
To sleep meanwhile would be no better: caches and clocks cool down."""
SLOW_NS = 50_000_000
SLOW_SAMPLES_PER_TURN = 2
FEWEST_TURNS = 2
BUDGET_NS = 5_000_000_000
"""A contender whose samples last longer than `SLOW_NS` takes fewer of them in a turn, and turns
until it has had its budget of the row: long steps vary less, and nobody waits an hour."""


@dataclass(frozen=True)
class Timing:
    """Nanoseconds per step (per operation where the row has operations), one per sample."""

    samples: list[float]

    @property
    def median(self) -> float:
        return median(self.samples)

    @property
    def spread(self) -> float:
        """Interquartile range over median."""
        low, _, high = quantiles(self.samples, n=4)
        return (high - low) / self.median


@dataclass(frozen=True)
class Result:
    """A measured row."""

    row: Row
    steps_per_sample: int
    timings: dict[str, Timing]


def measure(row: Row, contenders: Mapping[str, Any], turns: int) -> Result | None:
    """Check that the row's contenders agree, then time them by turns.

    A contender takes part in a row if it has a method named like the row's kind of task, which
    gets the task and returns a step. Returns None when nobody takes part.
    """
    taking_part = {
        name: getattr(contender, row.task.kind)
        for name, contender in contenders.items()
        if hasattr(contender, row.task.kind)
    }
    if not taking_part:
        return None
    row.task.check({name: build(row.task) for name, build in taking_part.items()})
    steps = {name: build(row.task.timed()) for name, build in taking_part.items()}

    gc.collect()
    gc.freeze()  # what the imports left is not walked again in anybody's time
    for step in steps.values():
        step()  # what is done at the first call only
    fastest = {name: warm_up(step) for name, step in steps.items()}
    count = ceil(SHORTEST_SAMPLE_NS / min(fastest.values()))
    plans = {name: schedule(ns * count, turns) for name, ns in fastest.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(turns):
        for name, step in steps.items():
            own_turns, samples = plans[name]
            if turn * own_turns % turns >= own_turns:  # its turns are spread over the row
                continue
            gc.collect()  # the garbage of others, outside the time; one's own counts
            warm_up(step)
            times[name] += [sample(step, count) / row.task.operations for _ in range(samples)]
    gc.unfreeze()
    return Result(row, count, {name: Timing(values) for name, values in times.items()})


def schedule(sample_ns: float, turns: int) -> tuple[int, int]:
    """How many of the turns a contender takes, and how many samples in each."""
    samples = SAMPLES_PER_TURN if sample_ns <= SLOW_NS else SLOW_SAMPLES_PER_TURN
    turn_ns = max(WARM_UP_NS, sample_ns) + samples * sample_ns
    return min(turns, max(FEWEST_TURNS, int(BUDGET_NS / turn_ns))), samples


def warm_up(step: Step) -> float:
    """Run for a while, at least once; the fastest step in nanoseconds."""
    clock = time.perf_counter_ns
    fastest, now = float("inf"), clock()
    end = now + WARM_UP_NS
    while now < end:
        start = now
        step()
        now = clock()
        fastest = min(fastest, now - start)
    return fastest


def sample(step: Step, count: int) -> float:
    """Nanoseconds per step over `count` steps."""
    clock = time.perf_counter_ns
    start = clock()
    for _ in repeat(None, count):
        step()
    return (clock() - start) / count
