"""How it is told: the machine, the table, the JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .harness import BUDGET_NS, SAMPLES_PER_TURN, SHORTEST_SAMPLE_NS, WARM_UP_NS, Result

NOISY = 0.2


def machine() -> dict[str, str]:
    """What the numbers depend on besides the code."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]  # type: ignore[call-overload]
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    facts = {
        "CPU": f"{cpu_model()}, {usable} cores usable of {os.cpu_count()}",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Python": platform.python_version(),
        "NumPy": f"{np.__version__} with {blas['name']} {blas['version']}",
    }
    if hasattr(os, "getloadavg"):
        facts["load before"] = f"{os.getloadavg()[0]:.1f}"
    return facts


def cpu_model() -> str:
    """The processor's marketing name where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


def threads(contenders: Mapping[str, Any]) -> str:
    """Thread settings: everybody's defaults."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "XLA_FLAGS")
    changed = [f"{name}={os.environ[name]}" for name in names if name in os.environ]
    known = [f"{n} {c.threads}" for n, c in contenders.items() if hasattr(c, "threads")]
    try:
        from threadpoolctl import threadpool_info

        known += [f"{p['internal_api']} {p['num_threads']}" for p in threadpool_info()]
    except ImportError:
        pass
    settings = "from the environment: " + " ".join(changed) if changed else "defaults"
    return settings + (f" ({', '.join(dict.fromkeys(known))})" if known else "")


#: What the others are compared with: the first of these that takes part in a row.
OURS = ("ours native", "ours")


def duration(nanoseconds: float) -> str:
    """Three significant digits and a unit."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:#.3g}".rstrip(".") + f" {unit}"
    return f"{nanoseconds:.0f} ns"


def header(facts: Mapping[str, str], absent: Mapping[str, str], turns: int) -> list[str]:
    """Everything a reader needs to judge the table, a fact a line."""
    method = (
        f"one process, contenders by turns; medians over {turns} turns of {SAMPLES_PER_TURN} "
        f"samples after {WARM_UP_NS / 1e6:g} ms of untimed steps; a sample is the same number of "
        f"steps for all and at least {SHORTEST_SAMPLE_NS / 1e6:g} ms; fewer turns and samples of "
        f"what would take longer than {BUDGET_NS / 1e9:g} s"
    )
    collector = (
        "on for all, default thresholds; what existed before the timing is frozen; a collection "
        "outside the time precedes each turn"
    )
    return [
        *[f"{name}: {fact}" for name, fact in facts.items()],
        *[f"absent: {name} ({reason})" for name, reason in absent.items()],
        f"method: {method}",
        f"garbage collector: {collector}",
    ]


def cells(result: Result, names: list[str]) -> list[str]:
    """One row: a time each, and after it ours / theirs in brackets; ours natively where it is."""
    timed = [name for name in OURS if name in result.timings and name in names]
    ours = result.timings[timed[0]] if timed else None
    row = [result.row.title]
    for name in names:
        timing = result.timings.get(name)
        if timing is None:
            row.append("-")
        elif ours is None or name == timed[0]:
            row.append(duration(timing.median))
        else:
            ratio = ours.median / timing.median
            shown = f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}"
            row.append(f"{duration(timing.median)} ({shown})")
    return row


def table(results: list[Result], names: list[str]) -> list[str]:
    """A Markdown table, padded so that it reads well in a terminal too."""
    rows = [["", *names], *[cells(result, names) for result in results]]
    widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * widths[0], *["-" * (w - 1) + ":" for w in widths[1:]]])
    lines = []
    for first, *others in rows:
        padded = [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
        lines.append("| " + " | ".join([first.ljust(widths[0]), *padded]) + " |")
    bracket = ""
    if any(name in names for name in OURS):
        bracket = "; in brackets ours / theirs, where ours is the first with a time in the row"
    return [f"Median time per step{bracket}; - takes no part.", "", *lines]


def noisy(results: list[Result]) -> list[str]:
    """A warning for each time that the machine did not let us measure well."""
    return [
        f"noisy: {result.row.title}, {name}: interquartile range {timing.spread:.0%} of the median"
        for result in results
        for name, timing in result.timings.items()
        if timing.spread > NOISY
    ]


def as_json(results: list[Result], facts: list[str]) -> dict[str, Any]:
    """Everything, every sample included."""
    return {
        "facts": facts,
        "unit": "ns per step, or per operation where the title says so",
        "rows": [
            {
                "name": result.row.name,
                "title": result.row.title,
                "steps_per_sample": result.steps_per_sample,
                "contenders": {
                    name: {"median": timing.median, "spread": timing.spread} | vars(timing)
                    for name, timing in result.timings.items()
                },
            }
            for result in results
        ],
    }
