"""`python -m benchmarks.agreement`: random programs, ours against peers, values and gradients.

Every program runs in double precision here and in each peer that is installed. Where two differ,
difference quotients from both sides say why: a kink, where each library takes a slope between the
two by its own convention; a value that is not finite; or an error, ours or theirs.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

import autograd_core as ag

from .programs import Program, random_program

TOLERANCE = 1e-6
#: Of the programs, as many as JAX compiles at once.
BATCH = 20

#: The total and the gradients.
Answer = tuple[float, list[np.ndarray]]


def ours(program: Program) -> Answer:
    """The total of a program and its gradient by each input."""
    value, gradients = ag.value_and_grad(
        lambda inputs: program.total(program.values(np, inputs))
    )(list(program.inputs))
    return float(value), [np.asarray(g) for g in gradients]


class Torch:
    """PyTorch, eager."""

    def __init__(self) -> None:
        import torch

        self.torch: Any = torch
        self.version: str = torch.__version__

    def __call__(self, programs: Sequence[Program]) -> list[Answer]:
        return [self._one(program) for program in programs]

    def _one(self, program: Program) -> Answer:
        torch = self.torch
        xs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in program.inputs]
        y = program.total(program.values(torch, xs, torch=True), torch.from_numpy)
        if y.requires_grad:
            y.backward()
        return y.item(), [np.zeros(x.shape) if x.grad is None else x.grad.numpy() for x in xs]


#: How XLA compiles in a quarter of the time: programs run once, so that nothing else counts.
QUICKLY = {
    "xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
}


class Jax:
    """JAX on the CPU, many programs compiled as one, quickly rather than well."""

    def __init__(self) -> None:
        import jax

        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_enable_x64", True)
        self.jax: Any = jax
        self.version: str = jax.__version__
        self.options = {name: value for name, value in QUICKLY.items() if self._knows(name, value)}

    def _knows(self, option: str, value: Any) -> bool:
        """Whether this version of XLA has an option; it comes and goes with them."""
        try:
            self.jax.jit(lambda x: x + 1, compiler_options={option: value})(1.0)
        except self.jax.errors.JaxRuntimeError:
            return False
        return True

    def __call__(self, programs: Sequence[Program]) -> list[Answer]:
        jax, jnp = self.jax, self.jax.numpy

        def total(program: Program) -> Callable[[Any], Any]:
            return lambda inputs: program.total(program.values(jnp, inputs), jnp.asarray)

        def all_of_them(inputs: Any) -> Any:
            return [jax.value_and_grad(total(program))(xs)
                    for program, xs in zip(programs, inputs, strict=True)]

        answers = jax.jit(all_of_them, compiler_options=self.options)(
            [[jnp.asarray(x) for x in p.inputs] for p in programs])
        return [(float(y), [np.asarray(g) for g in gradients]) for y, gradients in answers]


class HipsAutograd:
    """HIPS autograd."""

    def __init__(self) -> None:
        from importlib.metadata import version

        import autograd
        import autograd.numpy

        self.autograd: Any = autograd
        self.version: str = version("autograd")

    def __call__(self, programs: Sequence[Program]) -> list[Answer | str]:
        return [self._one(program) for program in programs]

    def _one(self, program: Program) -> Answer | str:
        def total(inputs: Any) -> Any:
            return program.total(program.values(self.autograd.numpy, inputs))

        try:
            value, gradients = self.autograd.value_and_grad(total)(list(program.inputs))
        except (AssertionError, IndexError, NotImplementedError, TypeError, ValueError) as error:
            return f"{type(error).__name__}: {error}"
        return float(value), [np.asarray(g) for g in gradients]


PEERS: dict[str, Any] = {"torch": Torch, "jax": Jax, "autograd": HipsAutograd}


class Disagreement(NamedTuple):
    """Where ours and a peer's answer differ, and why."""

    peer: str
    reason: str
    program: Program
    detail: str


def agree(a: Answer, b: Answer) -> bool:
    """Whether two answers are the same, up to rounding."""
    pairs = [(a[0], b[0]), *zip(a[1], b[1], strict=True)]
    scale = max(1.0, *(float(np.max(np.abs(x), initial=0.0)) for x, _ in pairs))
    return all(
        np.shape(x) == np.shape(y)
        and np.allclose(x, y, rtol=TOLERANCE, atol=TOLERANCE * scale, equal_nan=True)
        for x, y in pairs
    )


KINK = "a kink: both slopes lie between those from left and right"
NOT_FINITE, THEIRS_NOT_FINITE = "OURS is not finite", "the peer's is not finite, ours is"
THEIRS, OURS = "the peer's gradient is not the slope", "OUR gradient is not the slope"
RAISES = "the peer raises"
VALUES = "the values differ"
UNEXPLAINED = "unexplained"
#: What the numbers from both sides account for: a kink, where each library has its convention, and
#: errors of the peer.
EXPLAINED = (KINK, THEIRS, THEIRS_NOT_FINITE, RAISES)


def explain(program: Program, mine: Answer, theirs: Answer) -> tuple[str, str]:
    """Why two answers differ: a reason, and the numbers."""
    finite = [all(np.all(np.isfinite(x)) for x in (a[0], *a[1])) for a in (mine, theirs)]
    if not all(finite):
        return THEIRS_NOT_FINITE if finite[0] else NOT_FINITE, f"ours {mine}, theirs {theirs}"
    if not np.isclose(mine[0], theirs[0], rtol=TOLERANCE, atol=TOLERANCE):
        return VALUES, f"ours {mine[0]!r}, theirs {theirs[0]!r}"
    reasons = set()
    detail = []
    for i, (g, h) in enumerate(zip(mine[1], theirs[1], strict=True)):
        for at in np.ndindex(g.shape):
            if abs(g[at] - h[at]) <= TOLERANCE * max(1.0, abs(g[at])):
                continue
            left, right = (_slope(program, i, at, step) for step in (-1e-6, 1e-6))
            reasons.add(_reason(float(g[at]), float(h[at]), left, right))
            detail.append(f"d/d%{i}{list(at)}: ours {g[at]:.6g}, theirs {h[at]:.6g}, "
                          f"from left {left:.6g}, from right {right:.6g}")
    for reason in (OURS, UNEXPLAINED, THEIRS, KINK):
        if reason in reasons:
            return reason, "; ".join(detail)
    return UNEXPLAINED, "; ".join(detail)


def _reason(mine: float, theirs: float, left: float, right: float) -> str:
    slack = 1e-3 * max(1.0, abs(left), abs(right))
    low, high = min(left, right) - slack, max(left, right) + slack
    if abs(left - right) > 10 * slack:
        if low <= mine <= high:
            return KINK if low <= theirs <= high else THEIRS
        return OURS if low <= theirs <= high else UNEXPLAINED
    if low <= mine <= high:
        return THEIRS
    return OURS if low <= theirs <= high else UNEXPLAINED


def _slope(program: Program, i: int, at: tuple[int, ...], step: float) -> float:
    moved = [np.array(x) for x in program.inputs]
    moved[i][at] += step
    totals = [program.total(program.values(np, xs)) for xs in (moved, program.inputs)]
    return float(totals[0] - totals[1]) / step


def compare(
    programs: Iterator[Program], peers: dict[str, Any],
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[int, list[Disagreement]]:
    """How many programs were compared, and where somebody disagrees with us."""
    done, found = 0, []
    while batch := list(islice(programs, BATCH)):
        mine = [ours(program) for program in batch]
        for name, peer in peers.items():
            for program, a, b in zip(batch, mine, peer(batch), strict=True):
                if isinstance(b, str):
                    found.append(Disagreement(name, RAISES, program, b))
                elif not agree(a, b):
                    reason, detail = explain(program, a, b)
                    found.append(Disagreement(name, reason, program, detail))
        done += len(batch)
        progress(done)
    return done, found


def load(names: Sequence[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The peers asked for that can be imported, and why the others cannot."""
    peers, absent = {}, {}
    for name in names:
        try:
            peers[name] = PEERS[name]()
        except ImportError as error:
            absent[name] = str(error)
    return peers, absent


def drawn(count: int, length: int, seed: int) -> Iterator[Program]:
    """Programs number ``seed`` and on, each from a generator of its own."""
    return (random_program(np.random.default_rng(seed + i), length) for i in range(count))


def main() -> None:
    """Compare and print; an error of ours, or one that nothing explains, ends with status 1."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="of programs")
    parser.add_argument("--length", type=int, default=10, help="of a program: its most steps")
    parser.add_argument("--seed", type=int, default=0, help="number of the first program")
    parser.add_argument("--only", nargs="+", choices=PEERS, default=["torch", "jax"])
    parser.add_argument("--show", type=int, default=3, help="how many of each kind to print")
    options = parser.parse_args()
    peers, absent = load(options.only)
    for name, reason in absent.items():
        print(f"absent: {name} ({reason})")
    if not peers:
        sys.exit("no peer is installed: pip install -e '.[bench]'")
    print(f"{options.count} programs of up to {options.length} steps, from number {options.seed}; "
          + ", ".join(f"{name} {peer.version}" for name, peer in peers.items()), flush=True)

    def progress(done: int) -> None:
        if done % 500 < BATCH:
            print(f"  {done} compared", file=sys.stderr, flush=True)

    done, found = compare(drawn(options.count, options.length, options.seed), peers, progress)
    for name in peers:
        reasons = Counter(d.reason for d in found if d.peer == name)
        unexplained = sum(n for reason, n in reasons.items() if reason not in EXPLAINED)
        print(f"{name}: {sum(reasons.values())} disagreements in {done} programs, "
              f"{unexplained} of them unexplained")
        for reason, count in reasons.most_common():
            print(f"  {count} x {reason}")
            for d in [d for d in found if d.peer == name and d.reason == reason][: options.show]:
                print("    " + str(d.program).replace("\n", "\n    "), f"\n    {d.detail}")
    if any(d.reason not in EXPLAINED for d in found):
        sys.exit(1)


if __name__ == "__main__":
    main()
