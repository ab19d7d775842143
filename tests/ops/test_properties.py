"""Properties over random shapes, indices, axes and subscripts.

The value equals NumPy's; the gradient equals an independent formula, or difference quotients.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from differences import close
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import autograd_core as ag

bounded = settings(
    max_examples=60, derandomize=True, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
FULL_SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4)


def _array(shape, seed=0):
    return np.random.default_rng(seed).uniform(0.5, 2.0, shape)


def _weights(shape):
    return np.random.default_rng(9).standard_normal(shape)


def _unbroadcast(g, shape):
    """The sum over the axes along which ``shape`` was repeated, one axis at a time."""
    while g.ndim > len(shape):
        g = g.sum(0)
    for axis, n in enumerate(shape):
        if n == 1 and g.shape[axis] != 1:
            g = g.sum(axis, keepdims=True)
    return g


BINARY = {
    "add": (np.add, lambda a, b: (1 + 0 * b, 1 + 0 * a)),
    "subtract": (np.subtract, lambda a, b: (1 + 0 * b, -1 + 0 * a)),
    "multiply": (np.multiply, lambda a, b: (b, a)),
    "divide": (np.divide, lambda a, b: (1 / b, -a / b**2)),
    "power": (np.power, lambda a, b: (b * a ** (b - 1), a**b * np.log(a))),
    "hypot": (np.hypot, lambda a, b: (a / np.hypot(a, b), b / np.hypot(a, b))),
    "logaddexp": (np.logaddexp, lambda a, b: (1 / (1 + np.exp(b - a)), 1 / (1 + np.exp(a - b)))),
    "maximum": (np.maximum, lambda a, b: ((a > b) * 1.0, (b > a) * 1.0)),
}


@pytest.mark.parametrize("name", BINARY)
@bounded
@given(shapes=hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, min_side=0, max_side=3))
def test_broadcasting(name, shapes):
    f, partials = BINARY[name]
    a, b = _array(shapes.input_shapes[0], 1), _array(shapes.input_shapes[1], 2)
    y, back = ag.vjp(f, a, b)
    np.testing.assert_array_equal(y, f(a, b))
    assert np.shape(y) == shapes.result_shape
    w = _weights(shapes.result_shape)
    for g, x, partial in zip(back(w), (a, b), partials(a, b), strict=True):
        close(g, _unbroadcast(np.asarray(w * partial), x.shape), 1e-10)


@bounded
@given(data=st.data())
def test_basic_indexing(data):
    shape = data.draw(SHAPES)
    index = data.draw(hnp.basic_indices(shape, allow_newaxis=True))
    _check_indexing(shape, index)


@bounded
@given(data=st.data())
def test_integer_indexing(data):
    shape = data.draw(FULL_SHAPES)
    index = data.draw(
        hnp.integer_array_indices(
            shape, result_shape=hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3)
        )
    )
    _check_indexing(shape, index)


@bounded
@given(data=st.data())
def test_boolean_indexing(data):
    shape = data.draw(SHAPES)
    _check_indexing(shape, data.draw(hnp.arrays(bool, shape)))
    if shape:
        mask = data.draw(hnp.arrays(bool, shape[:1]))
        _check_indexing(shape, (mask, ...))


@bounded
@given(data=st.data())
def test_mixed_indexing(data):
    """Arrays, slices, integers, None and ... together, in any order."""
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=3))
    parts = []
    for n in shape:
        parts.append(data.draw(st.one_of(
            st.integers(-n, n - 1),
            st.slices(n),
            hnp.arrays(np.intp, 2, elements=st.integers(-n, n - 1)),
            st.lists(st.integers(-n, n - 1), min_size=2, max_size=2),
        )))
    if data.draw(st.booleans()):
        parts.insert(data.draw(st.integers(0, len(parts))), None)
    if data.draw(st.booleans()):
        parts = [*parts[: len(parts) // 2], Ellipsis]
    _check_indexing(shape, tuple(parts))


def _check_indexing(shape, index):
    """x[index], its gradient, and the functional updates at the index."""
    x = _array(shape)
    y, back = ag.vjp(lambda x: x[index], x)
    np.testing.assert_array_equal(y, x[index])
    w = np.asarray(_weights(np.shape(y)))
    expected = np.zeros(shape)
    np.add.at(expected, index, w)
    close(back(w)[0], expected, 1e-12)

    added = ag.tensor(x).at[index].add(w)
    close(added.data, x + expected, 1e-12)
    written = x.copy()
    written[index] = w
    target, value = ag.tensor(x, requires_grad=True), ag.tensor(w, requires_grad=True)
    replaced = target.at[index].set(value)
    np.testing.assert_array_equal(replaced.data, written)
    # Which position of w each element of the result comes from, if any.
    source = np.full(shape, -1)
    source[index] = np.arange(w.size).reshape(w.shape)
    u = np.asarray(_weights(shape))
    replaced.backward(u)
    close(target.grad, np.where(source < 0, u, 0), 1e-12)
    by_position = np.zeros(w.size)
    by_position[source[source >= 0]] = u[source >= 0]
    close(value.grad, by_position.reshape(w.shape), 1e-12)


REDUCTIONS = {
    "sum": (np.sum, lambda x, axis, y: np.ones_like(x)),
    "mean": (np.mean, lambda x, axis, y: np.ones_like(x) * y.size / x.size),
    "prod": (np.prod, lambda x, axis, y: y / x),
    "max": (np.max, lambda x, axis, y: (x == y) * 1.0),
    "min": (np.min, lambda x, axis, y: (x == y) * 1.0),
    "var": (np.var, lambda x, axis, y: 2 * (x - x.mean(axis, keepdims=True)) * y.size / x.size),
    "logsumexp": (ag.logsumexp, lambda x, axis, y: np.exp(x - y)),
}


@st.composite
def shape_and_axes(draw):
    shape = draw(FULL_SHAPES)
    axis = draw(st.one_of(
        st.none(), st.integers(-len(shape), len(shape) - 1),
        hnp.valid_tuple_axes(len(shape), min_size=1),
    ))
    return shape, axis


@pytest.mark.parametrize("name", REDUCTIONS)
@bounded
@given(where=shape_and_axes(), keepdims=st.booleans())
def test_reductions(name, where, keepdims):
    f, partial = REDUCTIONS[name]
    shape, axis = where
    x = _array(shape)
    reference = (lambda x, axis, keepdims: np.log(np.exp(x).sum(axis, keepdims=keepdims))
                 ) if name == "logsumexp" else f
    y, back = ag.vjp(lambda x: f(x, axis=axis, keepdims=keepdims), x)
    expected = reference(x, axis=axis, keepdims=keepdims)
    assert np.shape(y) == np.shape(expected)
    close(y, expected, 1e-13)
    kept = np.asarray(reference(x, axis=axis, keepdims=True))
    w = np.asarray(_weights(np.shape(y)))
    (g,) = back(w)
    close(g, w.reshape(kept.shape) * partial(x, axis, kept), 1e-11)


@bounded
@given(where=shape_and_axes())
def test_softmax_and_its_logarithm(where):
    shape, axis = where
    x = 3 * _array(shape)
    e = np.exp(x - x.max())
    p = e / e.sum(axis, keepdims=True)
    w = _weights(shape)
    y, back = ag.vjp(lambda x: ag.softmax(x, axis), x)
    close(y, p, 1e-13)
    close(back(w)[0], p * (w - (w * p).sum(axis, keepdims=True)), 1e-12)
    y, back = ag.vjp(lambda x: ag.log_softmax(x, axis), x)
    close(y, np.log(p), 1e-12)
    close(back(w)[0], w - p * w.sum(axis, keepdims=True), 1e-12)


@st.composite
def subscripts(draw):
    """Operands' subscripts and an output, of up to four letters of their own sizes."""
    sizes = {c: draw(st.integers(1, 3)) for c in "abcd"}
    count = draw(st.integers(1, 3))
    terms = [
        "".join(draw(st.lists(st.sampled_from("abcd"), min_size=0, max_size=3)))
        for _ in range(count)
    ]
    letters = sorted(set("".join(terms)))
    output = "".join(draw(st.permutations(letters)))[: draw(st.integers(0, len(letters)))]
    return terms, output, sizes


@bounded
@given(spec=subscripts())
def test_einsum(spec):
    """It is linear in each operand, so its gradient is its value at the unit vectors."""
    terms, output, sizes = spec
    text = f"{','.join(terms)}->{output}"
    xs = [_array(tuple(sizes[c] for c in t), i) for i, t in enumerate(terms)]
    y, back = ag.vjp(lambda *xs: np.einsum(text, *xs), *xs)
    close(y, np.einsum(text, *xs), 1e-12)
    w = np.asarray(_weights(np.shape(y)))
    for position, g in enumerate(back(w)):
        expected = np.zeros(xs[position].shape)
        for i in np.ndindex(expected.shape):
            unit = np.zeros(expected.shape)
            unit[i] = 1
            moved = [*xs[:position], unit, *xs[position + 1 :]]
            expected[i] = np.sum(w * np.einsum(text, *moved))
        close(g, expected, 1e-11)


@bounded
@given(data=st.data())
def test_joining_what_was_split(data):
    """split, then concatenate, is the identity, and so is its gradient."""
    shape = data.draw(FULL_SHAPES)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    n = shape[axis]
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=3)))
    x = _array(shape)
    pieces, _ = ag.vjp(lambda x: np.split(x, cuts, axis), x)
    for piece, expected in zip(pieces, np.split(x, cuts, axis), strict=True):
        np.testing.assert_array_equal(piece, expected)
    y, back = ag.vjp(lambda x: np.concatenate(np.split(x, cuts, axis), axis), x)
    np.testing.assert_array_equal(y, x)
    w = _weights(shape)
    np.testing.assert_array_equal(back(w)[0], w)


@bounded
@given(shape=FULL_SHAPES, sizes=st.lists(st.integers(0, 3), min_size=1, max_size=4),
       data=st.data())
def test_concatenate(shape, sizes, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    place = axis % len(shape)
    xs = [_array((*shape[:place], n, *shape[place + 1 :]), i) for i, n in enumerate(sizes)]
    y, back = ag.vjp(lambda *xs: np.concatenate(xs, axis), *xs)
    expected = np.concatenate(xs, axis)
    np.testing.assert_array_equal(y, expected)
    w = _weights(expected.shape)
    for g, piece in zip(back(w), np.split(w, np.cumsum(sizes)[:-1], axis), strict=True):
        np.testing.assert_array_equal(g, piece)


@bounded
@given(shape=FULL_SHAPES, count=st.integers(1, 3), data=st.data())
def test_stack_and_take_apart(shape, count, data):
    axis = data.draw(st.integers(-len(shape) - 1, len(shape)))
    xs = [_array(shape, i) for i in range(count)]
    y, back = ag.vjp(lambda *xs: np.stack(xs, axis), *xs)
    np.testing.assert_array_equal(y, np.stack(xs, axis))
    w = _weights(np.shape(y))
    for i, g in enumerate(back(w)):
        np.testing.assert_array_equal(g, np.take(w, i, axis))


@bounded
@given(data=st.data())
def test_moving_axes_about(data):
    """Reordering is a bijection: the gradient is the weights, put back."""
    shape = data.draw(FULL_SHAPES)
    order = tuple(data.draw(st.permutations(range(len(shape)))))
    x = _array(shape)
    y, back = ag.vjp(lambda x: np.transpose(x, order), x)
    np.testing.assert_array_equal(y, np.transpose(x, order))
    w = _weights(np.shape(y))
    np.testing.assert_array_equal(back(w)[0], np.transpose(w, np.argsort(order)))

    factors = (math.prod(shape),) if data.draw(st.booleans()) else shape[::-1]
    y, back = ag.vjp(lambda x: np.reshape(x, factors, order="F"), x)
    np.testing.assert_array_equal(y, np.reshape(x, factors, order="F"))
    w = _weights(np.shape(y))
    np.testing.assert_array_equal(back(w)[0], np.reshape(w, shape, order="F"))


@bounded
@given(shapes=hnp.mutually_broadcastable_shapes(signature="(n,k),(k,m)->(n,m)", max_dims=2,
                                                max_side=3))
def test_matmul(shapes):
    a, b = (_array(shape, i) for i, shape in enumerate(shapes.input_shapes))
    y, back = ag.vjp(np.matmul, a, b)
    close(y, a @ b, 1e-13)
    w = _weights(np.shape(y))
    da, db = back(w)
    close(da, _unbroadcast(w @ np.swapaxes(b, -1, -2), a.shape), 1e-12)
    close(db, _unbroadcast(np.swapaxes(a, -1, -2) @ w, b.shape), 1e-12)


@bounded
@given(where=shape_and_axes(), repeats=st.integers(0, 3), width=st.integers(0, 2))
def test_repeating_and_padding(where, repeats, width):
    """The sum of what copies of an element get is what the element gets."""
    shape, _ = where
    x = _array(shape)
    for f in (
        lambda x: np.repeat(x, repeats, 0),
        lambda x: np.tile(x, (repeats, 2)),
        lambda x: np.pad(x, width),
        lambda x: np.pad(x, width, "wrap"),
        lambda x: np.flip(np.roll(x, width, 0)),
    ):
        y, back = ag.vjp(f, x)
        np.testing.assert_array_equal(y, f(x))
        w = np.asarray(_weights(np.shape(y)))
        # Where each element of the result comes from: the same movement of the positions.
        positions = f(np.arange(1.0, x.size + 1).reshape(shape)).astype(int)
        expected = np.bincount(positions.ravel(), w.ravel(), x.size + 1)[1:].reshape(shape)
        close(back(w)[0], expected, 1e-12)


@st.composite
def written_subscripts(draw):
    """Subscripts as people write them: an ellipsis, no output, sizes of 1, spaces, axis numbers."""
    sizes = {c: draw(st.integers(1, 3)) for c in "abc"}
    rest = tuple(draw(st.lists(st.integers(1, 3), max_size=2)))
    terms, shapes = [], []
    for _ in range(draw(st.integers(1, 3))):
        letters = draw(st.lists(st.sampled_from("abc"), max_size=3))
        shape = [1 if draw(st.integers(0, 5)) == 0 and letters.count(c) == 1 else sizes[c]
                 for c in letters]
        term = "".join(letters)
        if draw(st.booleans()):
            at = draw(st.integers(0, len(letters)))
            kept = rest[draw(st.integers(0, len(rest))) :]
            term = term[:at] + "..." + term[at:]
            shape[at:at] = [1 if draw(st.integers(0, 4)) == 0 else n for n in kept]
        terms.append(term)
        shapes.append(tuple(shape))
    used = sorted(set("".join(terms)) - {"."})
    if draw(st.booleans()):
        output = "".join(draw(st.permutations(used)))[: draw(st.integers(0, len(used)))]
        at = draw(st.integers(0, len(output)))
        dots = "..." if any("..." in term for term in terms) else ""
        output = f"->{output[:at]}{dots}{output[at:]}"
    else:
        output = ""
    return ", ".join(terms) + output, shapes


def _as_lists(text, xs):
    """The other spelling: operands, each followed by its axes; an output behind."""
    left, arrow, right = text.replace(" ", "").partition("->")

    def axes(term):
        before, dots, after = term.partition("...")
        return [*("abc".index(c) for c in before), *([Ellipsis] if dots else []),
                *("abc".index(c) for c in after)]

    pairs = zip(xs, left.split(","), strict=True)
    operands = [part for x, term in pairs for part in (x, axes(term))]
    return [*operands, axes(right)] if arrow else operands


@bounded
@given(spec=written_subscripts(), optimize=st.sampled_from([False, True, "optimal"]))
def test_einsum_as_it_is_written(spec, optimize):
    """Linear in each operand: the gradient along a direction is the value at the direction."""
    text, shapes = spec
    xs = [_array(shape, i) for i, shape in enumerate(shapes)]
    try:
        expected = np.einsum(text, *xs)
    except ValueError:
        with pytest.raises(ValueError, match=r".+"):
            np.einsum(text, *map(ag.tensor, xs))
        return
    y, back = ag.vjp(lambda *xs: np.einsum(text, *xs, optimize=optimize), *xs)
    close(y, expected, 1e-12)
    close(np.einsum(*_as_lists(text, list(map(ag.tensor, xs)))).data, expected, 1e-12)
    w = np.asarray(_weights(np.shape(y)))
    for position, g in enumerate(back(w)):
        assert g.shape == shapes[position]
        along = np.random.default_rng(3).standard_normal(shapes[position])
        moved = [*xs[:position], along, *xs[position + 1 :]]
        close(np.sum(g * along), np.sum(w * np.einsum(text, *moved)), 1e-10)


@bounded
@given(data=st.data())
def test_tensors_as_indices(data):
    """An index of Tensors takes what the same index of arrays takes, and a replay reads it anew."""
    shape = data.draw(FULL_SHAPES)
    n = shape[0]
    places = st.lists(st.integers(-n, n - 1), min_size=1, max_size=4)
    first, second = data.draw(places), None
    second = data.draw(st.lists(st.integers(-n, n - 1), min_size=len(first), max_size=len(first)))
    x = _array(shape)
    t, i = ag.tensor(x, requires_grad=True), ag.tensor(first)
    y = t[i, ...] if data.draw(st.booleans()) else t[i]
    np.testing.assert_array_equal(y.data, x[first])
    w = _weights(y.shape)
    y.backward(w)
    expected = np.zeros(shape)
    np.add.at(expected, first, w)
    close(t.grad, expected, 1e-12)
    graph = ag.Graph(y)
    i.data = np.array(second)
    np.testing.assert_array_equal(graph.fprop(), x[second])
    mask = data.draw(hnp.arrays(bool, shape))
    np.testing.assert_array_equal(t[ag.tensor(mask)].data, x[mask])


PARTLY = {
    "sum": (np.sum, np.nansum), "prod": (np.prod, np.nanprod), "mean": (np.mean, np.nanmean),
    "max": (np.max, np.nanmax), "min": (np.min, np.nanmin), "var": (np.var, np.nanvar),
    "std": (np.std, np.nanstd),
}


@pytest.mark.parametrize("name", PARTLY)
@bounded
@given(where=shape_and_axes(), keepdims=st.booleans(), data=st.data())
def test_reductions_of_a_part(name, where, keepdims, data):
    """Elements left out by where=, and by being NaN: neither counts, neither gets a gradient."""
    whole, known = PARTLY[name]
    shape, axis = where
    mask = data.draw(hnp.arrays(bool, shape))
    if not np.all(mask.sum(axis) > 1):
        return  # nothing left to reduce, or nothing to spread
    x = _array(shape)
    options = {"axis": axis, "keepdims": keepdims}
    extra = {"initial": -9.0 if name == "max" else 9.0} if name in ("max", "min") else {}
    expected = whole(x, where=mask, **options, **extra)
    y, back = ag.vjp(lambda x: whole(x, where=mask, **options, **extra), x)
    close(y, expected, 1e-12)
    w = np.asarray(_weights(np.shape(y)))
    (g,) = back(w)
    close(g[~mask], 0, 0)
    holes = np.where(mask, x, np.nan)
    z, back = ag.vjp(lambda x: known(x, **options), holes)
    close(z, expected, 1e-12)
    close(back(w)[0], g, 1e-10)
