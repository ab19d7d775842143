"""`python -m benchmarks`: time a step of everybody, side by side."""

from __future__ import annotations

import argparse
import json
import sys
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import Any

from . import report
from .handwritten import Handwritten
from .harness import SAMPLES_PER_TURN, Result, measure
from .ours import BareLoop, Ours, OursEager, OursNative
from .peers import HipsAutograd, Jax, Micrograd, ScikitLearn, Torch
from .workloads import ROWS, Digits, Loop

CONTENDERS: dict[str, type] = {
    "ours native": OursNative,
    "ours": Ours,
    "ours eager": OursEager,
    "handwritten": Handwritten,
    "torch": Torch,
    "jax": Jax,
    "autograd": HipsAutograd,
    "micrograd": Micrograd,
    "scikit-learn": ScikitLearn,
    "bare loop": BareLoop,
}
ALWAYS = ("ours", "ours eager", "handwritten", "bare loop")


def arguments() -> argparse.Namespace:
    """The command line."""
    rows = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--rows",
        nargs="+",
        choices=rows,
        default=rows,
        metavar="ROW",
        help=f"of {', '.join(rows)}; default: all",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=CONTENDERS,
        default=list(CONTENDERS),
        metavar="CONTENDER",
        help=f"of {', '.join(CONTENDERS)}; default: all",
    )
    parser.add_argument(
        "--samples",
        type=int,
        default=55,
        help="per contender, rounded up to whole turns, fewer of what is slow; default: 55",
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every sample there")
    parser.add_argument("--markdown", action="store_true", help="print the README's table")
    options = parser.parse_args()
    if options.samples < 1:
        parser.error("--samples must be at least 1")
    return options


def load(names: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The contenders asked for that can be imported, and why the others cannot."""
    contenders, absent = {}, {}
    for name, make in CONTENDERS.items():
        if name not in names:
            continue
        try:
            contenders[name] = make()
        except ImportError as error:
            if name in ALWAYS:
                raise
            absent[name] = str(error)
    return contenders, absent


def main() -> None:
    """Measure and print; a wrong benchmark ends with an error."""
    options = arguments()
    turns = ceil(options.samples / SAMPLES_PER_TURN)
    facts = report.machine()
    contenders, absent = load(options.only)
    names = list(contenders)
    rows = [row for row in ROWS if row.name in options.rows]
    if find_spec("sklearn") is None:
        rows = [row for row in rows if not isinstance(row.task, Digits)]
        absent["the digits"] = "they come with scikit-learn"
    peers = {n: c for n, c in contenders.items() if n not in (*ALWAYS, "ours native")}
    versions = [f"{n} {c.version}" for n, c in peers.items()]
    facts |= {"peers": ", ".join(versions) or "none", "threads": report.threads(contenders)}
    lines = report.header(facts, absent, turns)
    if not options.markdown:
        print(*lines, "", sep="\n")

    results: list[Result] = []
    for row in rows:
        print(f"measuring {row.name}", file=sys.stderr, flush=True)
        result = measure(row, contenders, turns)
        if result is not None:
            results.append(result)

    loops = [result for result in results if isinstance(result.row.task, Loop)]
    others = [result for result in results if result not in loops]
    if others:
        print(*report.table(others, [name for name in names if name != "bare loop"]), sep="\n")
    if loops:  # a question of its own: nobody else takes part in it
        shown = [name for name in names if name in ("ours", "bare loop")]
        print("", *report.table(loops, shown), sep="\n")
    if options.markdown:
        print("", *[f"- {line}" for line in lines], sep="\n")
    for warning in report.noisy(results):
        print(warning, file=sys.stderr)
    if options.json:
        options.json.write_text(json.dumps(report.as_json(results, lines), indent=1) + "\n")


if __name__ == "__main__":
    main()
