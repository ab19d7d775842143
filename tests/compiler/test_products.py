"""Joining small matrix products: what the pass makes, when it does not, and that results agree."""

from importlib import import_module

import numpy as np
import pytest
from programs import Build, assert_same, body, f32, f64, values

import autograd_core as ag
from autograd_core.compiler.passes import products
from autograd_core.compiler.program import verify
from autograd_core.op import Op

#: The pass hides its module, of the same name.
module = import_module("autograd_core.compiler.passes.products")
RNG = np.random.default_rng(0)


def check(before):
    after = verify(products(before))
    for _ in range(3):
        assert_same(before, after, values(before, RNG), exact=False, rtol=1e-10)
    return after


def names(program):
    return [i.op.name for i in program.instructions]


def sum_of(b, terms):
    total, *rest = terms
    for term in rest:
        total = b("add", total, term, type=term.type)
    return total


def transposed_product(b, x, g):
    turned = b("transpose", x, type=f64(*x.type.shape[::-1]), axes=(1, 0))
    return b("matmul", turned, g, type=f64(x.type.shape[1], g.type.shape[1]))


# A sum of products. -----------------------------------------------------------------------------


def test_a_sum_of_products_is_one():
    b = Build(**{f"{name}{k}": f64(2, n) for name, n in (("x", 3), ("g", 4)) for k in range(4)})
    y = sum_of(b, [transposed_product(b, b[f"x{k}"], b[f"g{k}"]) for k in range(4)])
    assert body(check(b.program(y))) == [
        "%1 = pack(%x0, %x1, %x2, %x3) : f64[24]",
        "%2 = reshape(%1, shape=(8, 3)) : f64[8,3]",
        "%3 = pack(%g0, %g1, %g2, %g3) : f64[32]",
        "%4 = reshape(%3, shape=(8, 4)) : f64[8,4]",
        "%5 = transpose(%2, axes=(1, 0)) : f64[3,8]",
        "%6 = matmul(%5, %4) : f64[3,4]",
        "return %6",
    ]


def test_of_matrices_with_other_numbers_of_rows():
    b = Build(**{f"{name}{k}": f64(k + 1, n) for name, n in (("x", 3), ("g", 4))
                 for k in range(5)})
    y = sum_of(b, [transposed_product(b, b[f"x{k}"], b[f"g{k}"]) for k in range(5)])
    assert names(check(b.program(y))).count("matmul") == 1


def test_what_else_is_in_the_sum_stays():
    b = Build(a=f64(3, 4), c=f64(3, 4), **{f"{name}{k}": f64(2, n) for name, n in
                                           (("x", 3), ("g", 4)) for k in range(4)})
    terms = [transposed_product(b, b[f"x{k}"], b[f"g{k}"]) for k in range(4)]
    y = sum_of(b, [b["a"], *terms[:2], b["c"], *terms[2:]])
    after = check(b.program(y))
    assert names(after).count("add") == 2 and names(after).count("matmul") == 1


def test_a_sum_of_columns_shares_the_rows_of_a_sum_of_products():
    b = Build(**{f"{name}{k}": f64(2, n) for name, n in (("x", 3), ("g", 4)) for k in range(5)})
    weight = sum_of(b, [transposed_product(b, b[f"x{k}"], b[f"g{k}"]) for k in range(5)])
    # The last three in the other direction, as a walk backwards comes to them, and all of them.
    later = sum_of(b, [transposed_product(b, b[f"x{k - 2}"], b[f"g{k}"]) for k in (4, 3, 2)]
                   + [transposed_product(b, b["x4"], b["g1"])])
    bias = sum_of(b, [b("sum", b[f"g{k}"], type=f64(4), axis=0, keepdims=False)
                      for k in (3, 0, 1, 4, 2)])
    after = check(b.program(weight, later, bias))
    listed = str(after)
    assert listed.count("pack(%g0, %g1, %g2, %g3, %g4)") == 1
    assert "sum(" in listed and names(after).count("sum") == 1


@pytest.mark.parametrize(("few", "dtype"), [(3, f64), (4, f64), (4, f32)])
def test_few_are_left_alone(few, dtype):
    b = Build(**{f"g{k}": dtype(2, 3) for k in range(few)})
    y = sum_of(b, [b("sum", b[f"g{k}"], type=dtype(3), axis=0, keepdims=False)
                   for k in range(few)])
    before = b.program(y)
    assert (products(before) is before) == (few < 4)


def test_large_products_are_left_alone():
    b = Build(**{f"{name}{k}": f64(300, 300) for name in "xg" for k in range(4)})
    y = sum_of(b, [transposed_product(b, b[f"x{k}"], b[f"g{k}"]) for k in range(4)])
    before = b.program(y)
    assert products(before) is before


def test_a_term_that_is_used_elsewhere_stays():
    b = Build(**{f"{name}{k}": f64(2, n) for name, n in (("x", 3), ("g", 4)) for k in range(5)})
    terms = [transposed_product(b, b[f"x{k}"], b[f"g{k}"]) for k in range(5)]
    after = check(b.program(sum_of(b, terms), terms[2]))
    assert names(after).count("matmul") == 2


def test_successive_parts_of_an_array_are_not_put_together_anew():
    b = Build(x=f64(6, 2, 3), **{f"g{k}": f64(2, 4) for k in range(5)})
    parts = [b("getitem", b["x"], type=f64(2, 3), index=k) for k in range(6)]
    y = sum_of(b, [transposed_product(b, parts[k + 1], b[f"g{k}"]) for k in range(5)])
    assert body(check(b.program(y)))[:2] == [
        "%1 = getitem(%x, index=slice(1, 6, None)) : f64[5,2,3]",
        "%2 = reshape(%1, shape=(10, 3)) : f64[10,3]",
    ]


# A common right factor. -------------------------------------------------------------------------


def test_products_with_one_right_factor_are_one():
    b = Build(w=f64(3, 5), **{f"x{k}": f64(2, 3) for k in range(4)})
    ys = [b("matmul", b[f"x{k}"], b["w"], type=f64(2, 5)) for k in range(4)]
    assert body(check(b.program(*ys))) == [
        "%1 = pack(%x0, %x1, %x2, %x3) : f64[24]",
        "%2 = reshape(%1, shape=(8, 3)) : f64[8,3]",
        "%3 = matmul(%2, %w) : f64[8,5]",
        "%4 = reshape(%3, shape=(40,)) : f64[40]",
        "%5 = unpack(%4, begin=0, shape=(2, 5)) : f64[2,5]",
        "%6 = unpack(%4, begin=10, shape=(2, 5)) : f64[2,5]",
        "%7 = unpack(%4, begin=20, shape=(2, 5)) : f64[2,5]",
        "%8 = unpack(%4, begin=30, shape=(2, 5)) : f64[2,5]",
        "return %5, %6, %7, %8",
    ]


def test_those_that_depend_on_each_other_are_not_joined():
    b = Build(w=f64(3, 3), x=f64(2, 3))
    y = b["x"]
    for _ in range(6):
        y = b("matmul", y, b["w"], type=f64(2, 3))
    before = b.program(y)
    assert products(before) is before


def test_two_groups_that_would_wait_for_each_other():
    """v-products of the first half need w-products, w-products of the second half v-products."""
    b = Build(v=f64(3, 3), w=f64(3, 3), **{f"x{k}": f64(2, 3) for k in range(8)})
    ys = []
    for k in range(8):
        first, second = ("v", "w") if k % 2 else ("w", "v")
        y = b("matmul", b[f"x{k}"], b[first], type=f64(2, 3))
        ys.append(b("matmul", b("tanh", y, type=f64(2, 3)), b[second], type=f64(2, 3)))
    after = check(b.program(*ys))
    assert names(after).count("matmul") < 16


def test_a_bias_is_added_to_all_at_once():
    b = Build(w=f64(3, 3), u=f64(3, 3), bias=f64(3), h=f64(2, 3), x=f64(5, 2, 3))
    h = b["h"]
    for k in range(5):
        part = b("getitem", b["x"], type=f64(2, 3), index=k)
        product = b("matmul", part, b["w"], type=f64(2, 3))
        other = b("matmul", h, b["u"], type=f64(2, 3))
        total = b("add", other, product, type=f64(2, 3))
        h = b("tanh", b("add", b["bias"], total, type=f64(2, 3)), type=f64(2, 3))
    after = check(b.program(h))
    assert names(after).count("add") == 6
    assert body(after)[:3] == [
        "%1 = reshape(%x, shape=(10, 3)) : f64[10,3]",
        "%2 = matmul(%1, %w) : f64[10,3]",
        "%3 = add(%2, %bias) : f64[10,3]",
    ]


def test_a_bias_that_comes_late_stays_where_it_is():
    """It depends on one of the products: all of them cannot wait for it."""
    b = Build(w=f64(3, 3), **{f"x{k}": f64(2, 3) for k in range(5)},
              **{f"y{k}": f64(2, 3) for k in range(5)})
    ps = [b("matmul", b[f"x{k}"], b["w"], type=f64(2, 3)) for k in range(5)]
    bias = b("sum", ps[0], type=f64(3), axis=0, keepdims=False)
    outs = [b("add", b("add", p, b[f"y{k}"], type=f64(2, 3)), bias, type=f64(2, 3))
            for k, p in enumerate(ps)]
    assert names(check(b.program(*outs))).count("matmul") == 1


def test_effects_keep_their_order():
    calls = []

    def effect(name):
        return Op(name, lambda x: calls.append(name) or x, None, "f(x)", pure=False)

    b = Build(w=f64(3, 5), **{f"x{k}": f64(2, 3) for k in range(6)})
    ys = []
    for k in range(6):
        x = b(effect(f"effect {k}"), b[f"x{5 - k}"], type=f64(2, 3))
        ys.append(b("matmul", x, b["w"], type=f64(2, 5)))
    after = check(b.program(*ys))
    effects = [name for name in names(after) if name.startswith("effect")]
    assert effects == [f"effect {k}" for k in range(6)]
    assert names(after).count("matmul") == 1


# Whole functions. -------------------------------------------------------------------------------


def recurrent(x, wx, wh, b, h):
    for part in x:
        h = np.tanh(part @ wx + h @ wh + b)
    return (h * h).sum()


def arguments(steps=20, batch=4, dtype=np.float64):
    rng = np.random.default_rng(1)
    shapes = (steps, batch, 3), (3, 5), (5, 5), (5,), (batch, 5)
    return tuple((rng.normal(size=shape) / 2).astype(dtype) for shape in shapes)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", ["C", "F"])
def test_the_gradient_of_a_recurrent_network(dtype, layout):
    f = ag.grad(recurrent, (0, 1, 2, 3, 4))
    g = ag.compile(f)
    for steps in (20, 3, 20):
        args = [np.asarray(x, order=layout) for x in arguments(steps, dtype=dtype)]
        for _ in range(2):
            for ours, theirs in zip(g(*args), f(*args), strict=True):
                assert ours.dtype == dtype
                np.testing.assert_allclose(ours, theirs, rtol=2e-4 if dtype is np.float32 else 1e-9,
                                           atol=1e-6 if dtype is np.float32 else 1e-12)


def test_products_of_a_recurrent_network_do_not_grow_with_its_length():
    """Of the weights' gradients and of the inputs; two a step remain, forwards and backwards."""
    counts = []
    for steps in (10, 20):
        gradient = ag.compile(ag.grad(recurrent, (1, 2, 3)))
        gradient(*arguments(steps))
        (_, program), = gradient.programs
        counts.append(names(program).count("matmul"))
    assert counts[1] - counts[0] == 2 * 10


def test_memory_of_joined_rows_is_not_copied():
    """States and their gradients are made where the products read them."""
    gradient = ag.compile(ag.grad(recurrent, (1, 2, 3)))
    gradient(*arguments(12))
    source = gradient._last.executable.source
    assert source.count("copyto") <= 2  # the first state, which is an argument


def test_a_network_whose_layers_share_a_matrix():
    def f(w, x):
        for _ in range(8):
            x = np.tanh(x @ w)
        return x.sum()

    rng = np.random.default_rng(2)
    w, x = rng.normal(size=(4, 4)), rng.normal(size=(3, 4))
    gradient = ag.compile(ag.grad(f, (0, 1)))
    for _ in range(3):
        for ours, theirs in zip(gradient(w, x), ag.grad(f, (0, 1))(w, x), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-10)


def test_a_fault_of_the_pass_is_noticed(monkeypatch):
    """Rows put together in another order than their partners."""
    correct = module._Rows.of

    def wrong(self, parts, made):
        return correct(self, parts[::-1] if len(made) else parts, made)

    monkeypatch.setattr(module._Rows, "of", wrong)
    f = ag.grad(recurrent, (1, 2, 3))
    gradient = ag.compile(f)
    gradient(*arguments())
    ours, theirs = gradient(*arguments()), f(*arguments())
    assert not all(np.allclose(a, b, rtol=1e-9) for a, b in zip(ours, theirs, strict=True))


def test_the_effort_is_bounded(monkeypatch):
    """Each group takes a walk over the program: beyond a number of instructions none is tried."""
    b = Build(w=f64(3, 5), **{f"x{k}": f64(2, 3) for k in range(4)})
    ys = [b("matmul", b[f"x{k}"], b["w"], type=f64(2, 5)) for k in range(4)]
    before = b.program(*ys)
    monkeypatch.setattr(module, "_EFFORT", 3)
    assert products(before) is before
