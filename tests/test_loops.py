"""Python's loops are enough: of any length, in time and memory that grow with it, no recursion."""

import gc
import sys
import tracemalloc

import numpy as np
import pytest

import autograd_core as ag
from autograd_core.node import tick

STEPS = 100_000
#: So many nested calls of Python that a walk by recursion would end at a hundredth of the steps.
FEW_FRAMES = 150


def loop(steps):
    """x wⁿ: the derivative by w is n x wⁿ⁻¹."""
    def f(w, x):
        for _ in range(steps):
            x = x * w
        return x

    return f


def segmented(steps, segments):
    part = ag.checkpoint(loop(steps // segments))

    def f(w, x):
        for _ in range(segments):
            x = part(w, x)
        return x

    return f


W, X = 1 + 1e-6, 0.75
FIRST = STEPS * X * W ** (STEPS - 1)
SECOND = STEPS * (STEPS - 1) * X * W ** (STEPS - 2)
RUNS = {
    "grad": (lambda f: ag.grad(f)(W, X), FIRST),
    "jvp": (lambda f: ag.jvp(f, (W, X), (1.0, 0.0))[1], FIRST),
    "hvp": (lambda f: ag.hvp(lambda w: f(w, X), W, 1.0), SECOND),
    "backward": (lambda f: by_backward(f), FIRST),
}


def by_backward(f):
    w = ag.tensor(W, requires_grad=True)
    f(w, X).backward()
    return w.grad


def shallowly(f):
    """``f()`` with little room for recursion, and without the collector, which no graph needs."""
    depth, frame = 0, sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + FEW_FRAMES)
    gc.disable()
    try:
        return f()
    finally:
        gc.enable()
        sys.setrecursionlimit(limit)


@pytest.mark.parametrize(("run", "expected"), RUNS.values(), ids=RUNS)
def test_a_loop_of_a_hundred_thousand_steps(run, expected):
    np.testing.assert_allclose(shallowly(lambda: run(loop(STEPS))), expected, rtol=1e-8)


def test_the_same_loop_in_checkpointed_segments():
    found = shallowly(lambda: RUNS["grad"][0](segmented(STEPS, 100)))
    np.testing.assert_allclose(found, FIRST, rtol=1e-8)


def test_a_chain_of_checkpoints():
    """As many nodes of checkpoints as there may be, freed without recursion too."""
    found = shallowly(lambda: RUNS["grad"][0](segmented(10_000, 5_000)))
    np.testing.assert_allclose(found, 10_000 * X * W**9_999, rtol=1e-10)


def work(run, f):
    """How many nodes it makes: the clock ticks for each."""
    start = tick()
    run(f)
    return tick() - start


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("build", [loop, lambda steps: segmented(steps, steps // 10)],
                         ids=["plain", "checkpointed"])
def test_the_work_grows_with_the_steps(name, build):
    run, _ = RUNS[name]
    first, second, third = (work(run, build(steps)) for steps in (200, 400, 800))
    assert third - second == 2 * (second - first) > 0


@pytest.mark.parametrize("name", RUNS)
def test_the_memory_grows_with_the_steps(name):
    run, _ = RUNS[name]
    peaks = []
    for steps in (200, 400, 800):
        tracemalloc.start()
        run(loop(steps))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] - peaks[1] < 2.5 * (peaks[1] - peaks[0])
