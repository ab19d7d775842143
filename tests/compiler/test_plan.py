"""The memory plan, against lifetimes counted step by step."""

from itertools import pairwise

import numpy as np
import pytest

from autograd_core.compiler.plan import ALIGNMENT, Lifetime, lay_out


def rounded(nbytes):
    return -(-max(nbytes, 1) // ALIGNMENT) * ALIGNMENT


def alive(lifetimes):
    """For each step, the buffers that hold something then."""
    last = max(life.end for life in lifetimes)
    return [
        {i for i, life in enumerate(lifetimes) if life.start <= step <= life.end}
        for step in range(last + 1)
    ]


def assert_valid(lifetimes):
    """No two buffers that are alive at one step share a byte, but for those taken over there."""
    layout = lay_out(lifetimes)
    for step, buffers in enumerate(alive(lifetimes)):
        spans = sorted((layout.offsets[i], layout.offsets[i] + lifetimes[i].nbytes, i)
                       for i in buffers)
        for (_, end, i), (begin, _, j) in pairwise(spans):
            if begin < end:
                heir, before = (i, j) if lifetimes[i].after == j else (j, i)
                assert lifetimes[heir].after == before, (step, i, j)
                assert lifetimes[heir].start == lifetimes[before].end == step
    for offset, life in zip(layout.offsets, lifetimes, strict=True):
        assert offset % ALIGNMENT == 0
        assert offset + life.nbytes <= layout.nbytes
    return layout


def test_a_chain_needs_two_buffers():
    chain = [Lifetime(400, i, i + 1) for i in range(50)]
    assert assert_valid(chain).nbytes == 2 * rounded(400)


def test_a_chain_of_elementwise_operations_needs_one():
    chain = [Lifetime(400, i, i + 1, i - 1 if i else None) for i in range(50)]
    assert assert_valid(chain).nbytes == rounded(400)


def test_what_is_alive_together_lies_apart():
    fan = [Lifetime(64, i, 10) for i in range(10)]
    assert assert_valid(fan).nbytes == 640


def test_a_buffer_is_taken_over_once():
    three = [Lifetime(64, 0, 1), Lifetime(64, 1, 3, 0), Lifetime(64, 1, 3, 0)]
    assert assert_valid(three).nbytes == 128


def test_a_smaller_buffer_cannot_be_taken_over():
    two = [Lifetime(64, 0, 1), Lifetime(640, 1, 2, 0)]
    assert assert_valid(two).nbytes == 704


@pytest.mark.parametrize("seed", range(30))
def test_random_lifetimes(seed):
    rng = np.random.default_rng(seed)
    lifetimes = []
    for i in range(200):
        start = i
        end = start + int(rng.integers(0, 12))
        dying = [j for j, life in enumerate(lifetimes) if life.end == start]
        after = int(rng.choice(dying)) if dying and rng.random() < 0.5 else None
        lifetimes.append(Lifetime(int(rng.integers(0, 5000)), start, end, after))
    layout = assert_valid(lifetimes)
    most = max(sum(rounded(lifetimes[i].nbytes) for i in buffers) for buffers in alive(lifetimes))
    assert layout.nbytes <= 3 * most  # a slot is at most twice what it holds, and some lie idle


@pytest.mark.parametrize("seed", range(10))
def test_of_one_size_no_more_is_needed_than_is_alive(seed):
    rng = np.random.default_rng(seed)
    lifetimes = [Lifetime(128, i, i + int(rng.integers(0, 20))) for i in range(300)]
    assert assert_valid(lifetimes).nbytes == max(map(len, alive(lifetimes))) * 128


def test_the_check_notices_a_shared_byte(monkeypatch):
    from autograd_core.compiler import plan

    correct = plan.lay_out

    def wrong(lifetimes):
        layout = correct(lifetimes)
        return plan.Layout([0] * len(lifetimes), layout.nbytes)

    monkeypatch.setitem(globals(), "lay_out", wrong)
    with pytest.raises(AssertionError):
        assert_valid([Lifetime(64, 0, 3), Lifetime(64, 1, 2)])
