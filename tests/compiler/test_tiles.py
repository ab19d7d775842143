"""Laying the gradients of parts side by side: what the pass makes, and when it does not."""

from importlib import import_module

import numpy as np
import pytest
from programs import Build, assert_same, body, f64, values

import autograd_core as ag
from autograd_core.compiler.passes import tiles
from autograd_core.compiler.passes.sums import sums
from autograd_core.compiler.program import verify

#: The pass hides its module, of the same name.
module = import_module("autograd_core.compiler.passes.tiles")
RNG = np.random.default_rng(0)


def check(before):
    after = verify(tiles(before))
    for _ in range(3):
        assert_same(before, after, values(before, RNG), exact=False, rtol=1e-12)
    return after


def spread(b, shape, *places):
    """Σ scatter(v, place) over the places, one more input each."""
    terms = [b("scatter", b[f"g{k}"], type=f64(*shape), index=place, shape=shape)
             for k, place in enumerate(places)]
    total, *rest = terms
    for term in rest:
        total = b("add", total, term, type=total.type)
    return total


def built(shape, *places, **others):
    taken = np.empty(shape)
    return Build(**{f"g{k}": f64(*taken[place].shape) for k, place in enumerate(places)}, **others)


def test_steps_of_time_are_computed_in_their_places():
    places = (2, 1, -3)
    b = built((3, 2, 4), *places)
    assert body(check(b.program(spread(b, (3, 2, 4), *places)))) == [
        "%1 = pack(%g2, %g1, %g0) : f64[24]",
        "%2 = reshape(%1, shape=(3, 2, 4)) : f64[3,2,4]",
        "return %2",
    ]


def test_columns_are_laid_side_by_side():
    full = slice(None)
    places = ((full, slice(2, None)), (full, slice(None, 2)))
    b = built((3, 6), *places)
    assert body(check(b.program(spread(b, (3, 6), *places)))) == [
        "%1 = concatenate(%g1, %g0, axis=1) : f64[3,6]",
        "return %1",
    ]


def test_single_columns_get_their_axis_back():
    full = slice(None)
    places = ((full, 1), (full, 0, full))
    b = built((3, 2, 4), *places)
    assert body(check(b.program(spread(b, (3, 2, 4), *places)))) == [
        "%1 = reshape(%g1, shape=(3, 1, 4)) : f64[3,1,4]",
        "%2 = reshape(%g0, shape=(3, 1, 4)) : f64[3,1,4]",
        "%3 = concatenate(%1, %2, axis=1) : f64[3,2,4]",
        "return %3",
    ]


@pytest.mark.parametrize("places", [
    (0, 2), (4, 5), (slice(1, 3), 4), (3, slice(0, 2), slice(5, 6)), (slice(-2, None), 0),
], ids=str)
def test_what_no_part_covers_is_zero(places):
    b = built((6, 2), *places)
    names = [i.op.name for i in check(b.program(spread(b, (6, 2), *places))).instructions]
    assert names == ["pack", "reshape"]


def test_other_terms_are_added():
    b = built((3, 2), 0, 1, 2, other=f64(3, 2))
    total = b("add", b["other"], spread(b, (3, 2), 0, 1, 2), type=f64(3, 2))
    names = [i.op.name for i in check(b.program(total)).instructions]
    assert names == ["pack", "reshape", "add"]


def test_parts_along_another_axis_are_other_terms():
    places = (0, (slice(None), 1), 2, 1)
    b = built((3, 2), *places)
    names = [i.op.name for i in check(b.program(spread(b, (3, 2), *places))).instructions]
    assert sorted(names) == ["add", "pack", "reshape", "scatter"]


@pytest.mark.parametrize("places", [
    (0, 0), (slice(0, 2), slice(1, 3)), (slice(0, None, 2), slice(1, None, 2)), ((0, 1), (1, 0)),
    (0,), (..., ...), (slice(2, None, -1), 0),
], ids=str)
def test_parts_that_overlap_or_are_no_stretch_stay(places):
    b = built((3, 3), *places)
    before = b.program(spread(b, (3, 3), *places))
    assert tiles(before) is before


def test_a_spread_that_is_used_twice_is_laid_in_both():
    b = built((4, 2), slice(0, 2), slice(2, 4), slice(2, 4))
    first, second, third = (
        b("scatter", b[f"g{k}"], type=f64(4, 2), index=place, shape=(4, 2))
        for k, place in enumerate((slice(0, 2), slice(2, 4), slice(2, 4))))
    after = check(b.program(b("add", first, second, type=f64(4, 2)),
                            b("add", third, first, type=f64(4, 2))))
    assert [i.op.name for i in after.instructions] == ["pack", "reshape"] * 2


def test_a_wrong_order_is_noticed(monkeypatch):
    right = module._laid

    def wrong(x, chosen, *rest):
        a, b = chosen
        return right(x, [a._replace(value=b.value), b._replace(value=a.value)], *rest)

    monkeypatch.setattr(module, "_laid", wrong)
    b = built((2, 2), 0, 1)
    with pytest.raises(AssertionError):
        check(b.program(spread(b, (2, 2), 0, 1)))


def test_the_terms_of_a_sum_in_order_and_once():
    b = Build(**{name: f64(2) for name in "pqrs"})
    inner = b("add", b["q"], b["r"], type=f64(2))
    total = b("add", b["p"], b("add", inner, b["s"], type=f64(2)), type=f64(2))
    found = list(sums(b.program(total)))
    assert [(x, [y for y, _ in terms]) for x, terms in found] == [
        (total, [b["p"], b["q"], b["r"], b["s"]])]
    shared = list(sums(b.program(total, inner)))  # a result of its own is no part of another
    assert [[y for y, _ in terms] for _, terms in shared] == [
        [b["q"], b["r"]], [b["p"], inner, b["s"]]]


def test_the_instructions_of_an_unrolled_loop_grow_with_its_length_only():
    def instructions(steps):
        w = ag.tensor(np.eye(3), requires_grad=True)

        @ag.compile
        def f(x):
            w.zero_grad()
            entering = x @ w
            h = np.zeros((2, 3))
            for t in range(steps):
                h = np.tanh(entering[t] + h)
            h.sum().backward()

        x = RNG.standard_normal((steps, 2, 3))
        f(x)
        program = f.programs[0][1]
        assert not any(i.op.name == "scatter" for i in program.instructions)
        return len(program)

    first, second, third = map(instructions, (10, 20, 30))
    assert third - second == second - first
