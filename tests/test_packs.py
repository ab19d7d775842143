"""Leaves as one flat array: what is read and assigned, and that nobody else's arrays change."""

import copy
import pickle

import numpy as np
import pytest

import autograd_core as ag

SHAPES = [((3,),), ((2, 3), (1,), (4, 1, 2)), ((0, 2), (5,)), ((1, 1), (1, 1), (1, 1))]


def leaves_of(shapes, dtype=np.float64, requires_grad=True):
    rng = np.random.default_rng(0)
    return [ag.tensor(rng.normal(size=shape).astype(dtype), requires_grad=requires_grad)
            for shape in shapes]


def flat(leaves):
    return np.concatenate([t.numpy(force=True).reshape(-1) for t in leaves])


@pytest.mark.parametrize("resident", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_values_are_read_and_assigned_side_by_side(shapes, dtype, resident):
    leaves = leaves_of(shapes, dtype)
    expected = flat(leaves)
    pack = ag.Pack(leaves, resident=resident)
    assert pack.size == expected.size and pack.dtype == dtype
    for k in range(4):
        got = pack.read()
        assert got.dtype == dtype and not got.flags.writeable
        np.testing.assert_array_equal(got, expected)
        expected = expected * 2 + k
        if k % 2:
            new = pack.empty()
            new[...] = expected
        else:
            new = expected.astype(np.float64)  # is cast
        pack.assign(new)
        assert pack.current() or not pack.size
        assert [t.shape for t in leaves] == list(shapes)
        for t, part in zip(leaves, pack.split(expected), strict=True):
            assert t.dtype == dtype and t.op is None
            np.testing.assert_array_equal(t.numpy(force=True), part)


def test_leaves_in_another_order_of_memory_are_read_in_c_order():
    t = ag.tensor(np.asfortranarray(np.arange(6.0).reshape(2, 3)))
    np.testing.assert_array_equal(ag.Pack([t]).read(), np.arange(6.0))


@pytest.mark.parametrize("resident", [False, True])
def test_arrays_that_were_read_stay_as_they_are(resident):
    a, b = leaves_of(((2, 2), (3,)))
    pack = ag.Pack([a, b], resident=resident)
    kept = []
    for k in range(5):
        pack.assign(np.full(7, float(k)))
        kept.append((a.numpy(force=True), b.data, (a * 1.0).data, np.transpose(a).data))
        if k % 2:
            pack.read()
    for k, arrays in enumerate(kept):
        for x in arrays:
            np.testing.assert_array_equal(x, np.full(x.shape, float(k)))
    assert not np.shares_memory(a.numpy(force=True), b.numpy(force=True))


@pytest.mark.parametrize("resident", [False, True])
@pytest.mark.parametrize("change", [
    lambda t: t.assign(np.full(t.shape, 9.0)),
    lambda t: setattr(t, "data", np.full(t.shape, 9.0)),
    lambda t: t.data.__setitem__(..., 9.0),
], ids=["assign", "data =", "data[...] ="])
def test_what_others_assign_is_noticed(change, resident):
    a, b = leaves_of(((2, 2), (3,)))
    pack = ag.Pack([a, b], resident=resident)
    for _ in range(2):
        pack.assign(np.zeros(7))
        change(b)
        assert not pack.current()
        np.testing.assert_array_equal(pack.read(), [0, 0, 0, 0, 9, 9, 9])


@pytest.mark.parametrize("resident", [False, True])
def test_graphs_of_the_old_values_are_out_of_date(resident):
    a, b = leaves_of(((2,), (2,)))
    pack = ag.Pack([a, b], resident=resident)
    y = (a * b).sum()
    pack.assign(np.ones(4))
    with pytest.raises(ag.StaleGraphError):
        y.backward()
    y = (a * b).sum()
    y.backward()
    np.testing.assert_array_equal(a.grad, [1.0, 1.0])


@pytest.mark.parametrize("resident", [False, True])
def test_leaves_that_a_compiled_function_updates(resident):
    a, b = leaves_of(((2,), (3,)))
    pack = ag.Pack([a, b], resident=resident)
    pack.assign(np.ones(5))

    @ag.compile
    def double():
        for t in (a, b):
            t.assign(2 * t)

    expected = np.ones(5)
    for _ in range(4):
        double()
        expected = 2 * expected
        np.testing.assert_array_equal(pack.read(), expected)
        double()
        expected = 2 * expected + 1
        pack.assign(pack.read() + 1)
        np.testing.assert_array_equal(flat([a, b]), expected)


def test_an_assignment_is_recorded():
    a, b = leaves_of(((2,), (2, 1)))
    pack = ag.Pack([a, b])
    f = ag.compile(lambda x: pack.assign(x * 2.0))
    for k in range(4):
        f(np.arange(4.0) + k)
        np.testing.assert_array_equal(flat([a, b]), 2 * (np.arange(4.0) + k))


def test_reading_while_recording_is_refused():
    pack = ag.Pack(leaves_of(((2,),)))
    with pytest.raises(ag.CompileError):
        ag.compile(lambda x: x * pack.read())(np.ones(2))


@pytest.mark.parametrize("resident", [False, True])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))],
                         ids=["deepcopy", "pickle"])
def test_copies_are_independent(copied, resident):
    leaves = leaves_of(((2,), (3,)))
    pack = ag.Pack(leaves, resident=resident)
    pack.assign(np.arange(5.0))
    others, other = copied((leaves, pack))
    other.assign(np.zeros(5))
    np.testing.assert_array_equal(flat(others), np.zeros(5))
    np.testing.assert_array_equal(flat(leaves), np.arange(5.0))


def test_what_is_no_pack():
    a = ag.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(TypeError, match="no leaf"):
        ag.Pack([a, a * 2])
    with pytest.raises(TypeError, match="no leaf"):
        ag.Pack([a, np.ones(2)])
    with pytest.raises(TypeError, match="2 dtypes"):
        ag.Pack([a, ag.tensor(np.ones(2, np.float32))])
    with pytest.raises(TypeError, match="float64"):
        ag.Pack([a, ag.tensor(1.0)])


def test_errors_come_before_anything_is_changed():
    a, b = leaves_of(((2,), (3,)))
    pack = ag.Pack([a, b])
    before = flat([a, b])
    for wrong in (np.ones(4), np.ones((5, 1)), np.float64(1.0)):
        with pytest.raises(ag.ShapeError, match="5 elements"):
            pack.assign(wrong)
        np.testing.assert_array_equal(flat([a, b]), before)
    b.data = np.ones((3, 2))
    for what in (pack.read, lambda: pack.assign(np.ones(5))):
        with pytest.raises(ag.ShapeError, match=r"\(3,\).*\(3, 2\)"):
            what()
    np.testing.assert_array_equal(a.numpy(force=True), before[:2])
