"""The comparison with peers on random programs: small, and that it finds what is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import agreement
from benchmarks.programs import Program, Step, random_program


@pytest.mark.parametrize(("name", "count"), [("torch", 40), ("autograd", 40), ("jax", 2)])
def test_a_peer_agrees(name, count):
    peers, absent = agreement.load([name])
    if absent:
        pytest.skip(f"{name} is not installed: {absent[name]}")
    done, found = agreement.compare(agreement.drawn(count, 8, 0), peers)
    assert done == count
    theirs = {agreement.RAISES, agreement.THEIRS_NOT_FINITE, agreement.KINK}
    assert {d.reason for d in found} <= (theirs if name == "autograd" else {agreement.KINK})


def ours(programs):
    return [agreement.ours(p) for p in programs]


def test_we_agree_with_ourselves():
    done, found = agreement.compare(agreement.drawn(30, 20, 0), {"ours": ours})
    assert done == 30 and found == []


PROGRAM = Program((np.array([0.5, -1.0, 2.0]),), (Step("square", (0,)),))


def wrong(value=0.0, slope=0.0):
    """A peer that is off by this much."""

    def answer(programs):
        return [(y + value, [g + slope for g in gradients]) for y, gradients in ours(programs)]

    return answer


@pytest.mark.parametrize(
    ("peer", "reason"),
    [
        (wrong(slope=0.1), agreement.THEIRS), (wrong(value=0.1), agreement.VALUES),
        (wrong(slope=np.nan), agreement.THEIRS_NOT_FINITE),
        (lambda programs: ["no rule"] * len(programs), agreement.RAISES),
        (wrong(slope=1e-9), None),
    ],
)
def test_a_peer_that_is_wrong_is_found(peer, reason):
    _, found = agreement.compare(iter([PROGRAM]), {"wrong": peer})
    assert [d.reason for d in found] == ([] if reason is None else [reason])


def test_an_error_of_ours_is_found(monkeypatch):
    right = agreement.ours
    monkeypatch.setattr(agreement, "ours", lambda p: (right(p)[0], [g + 0.1 for g in right(p)[1]]))
    _, found = agreement.compare(iter([PROGRAM]), {"peer": lambda ps: [right(p) for p in ps]})
    assert [d.reason for d in found] == [agreement.OURS]
    assert "from left" in found[0].detail


def test_a_kink_is_told_from_an_error():
    kink = Program((np.array([0.0, 1.0]),), (Step("absolute", (0,)),))
    y, (g,) = agreement.ours(kink)
    weight = np.cos(1.0)
    assert g[0] == 0
    for theirs, reason in ((weight, agreement.KINK), (3 * weight, agreement.THEIRS)):
        answer = (y, [np.array([theirs, g[1]])])
        _, found = agreement.compare(iter([kink]), {"peer": lambda ps, a=answer: [a]})
        assert [d.reason for d in found] == [reason]


def test_programs_come_from_their_number():
    one, two = (next(agreement.drawn(1, 12, seed)) for seed in (3, 4))
    assert str(one) == str(random_program(np.random.default_rng(3), 12))
    assert str(one) != str(two)
