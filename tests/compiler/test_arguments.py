"""Compiled equals eager however arguments lie in memory, are nested, shared, or fed back.

Each test calls one compiled function several times in turns with the plain one.
"""

from typing import NamedTuple

import numpy as np
import pytest
from test_equivalence import same

import autograd_core as ag
import nn

# How an array lies in memory. -------------------------------------------------------------------

BASE = np.linspace(-1.0, 1.0, 24)


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def unaligned(x):
    raw = np.empty(x.nbytes + 1, np.uint8)[1:]
    y = raw.view(x.dtype).reshape(x.shape)
    y[...] = x
    assert not y.flags.aligned
    return y


LAYOUTS = {
    "C": lambda x: x.copy(),
    "Fortran": np.asfortranarray,
    "every second": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "backwards": lambda x: x[::-1].copy()[::-1],
    "columns of a larger one": lambda x: np.hstack([x, x, x])[:, x.shape[1]:2 * x.shape[1]],
    "transposed": lambda x: x.T.copy().T,
    "read-only": read_only,
    "broadcast": lambda x: np.broadcast_to(x[:1], x.shape),
    "unaligned": unaligned,
}


def mixed(x, w):
    """Elements, products, views, reductions and indices of the arguments."""
    y = np.tanh(x @ w)
    return y, x.T, (x * x).sum(axis=0), x[1:], x[:, 0], np.maximum(x, 0).reshape(-1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("first", LAYOUTS)
def test_layouts_may_change_from_call_to_call(first, dtype):
    """One recording serves them all, whichever came first."""
    x, w = BASE.reshape(4, 6).astype(dtype), BASE.reshape(6, 4).astype(dtype)
    f = ag.compile(mixed)
    for name in [first, *LAYOUTS]:
        given = LAYOUTS[name](x), LAYOUTS[name](w)
        before = [a.copy() for a in given]
        same(f(*given), mixed(*given), 1e-5 if dtype == np.float32 else 1e-12)
        for a, b in zip(given, before, strict=True):
            np.testing.assert_array_equal(a, b)
    assert f.recompiles == 0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_gradient_of_arguments_in_any_layout(layout):
    x, w = LAYOUTS[layout](BASE.reshape(4, 6)), LAYOUTS[layout](BASE.reshape(6, 4))
    gradient = ag.grad(lambda x, w: sum((y * y).sum() for y in mixed(x, w)), (0, 1))
    f = ag.compile(gradient)
    for _ in range(3):
        same(f(x, w), gradient(x, w))


@pytest.mark.parametrize("layout", ["C", "Fortran", "every second", "transposed"])
def test_parameters_in_any_layout_train(layout):
    """A leaf keeps its layout or not; its values are those of eager training."""
    rng = np.random.default_rng(0)
    start = rng.normal(size=(3, 4))

    def make(w, assign):
        def step(x):
            w.zero_grad()
            loss = (np.tanh(x @ w) ** 2).mean() + (w.T[1] * w[0, 1]).sum()
            loss.backward()
            w.assign(assign(w) - 0.1 * w.grad)
            return loss

        return step

    ours, theirs = (ag.tensor(LAYOUTS[layout](start), requires_grad=True) for _ in range(2))
    step, eager = ag.compile(make(ours, lambda w: w)), make(theirs, lambda w: w.numpy(force=True))
    for _ in range(5):
        x = rng.normal(size=(5, 3))
        assert step(x).item() == pytest.approx(eager(x).item(), rel=1e-12)
        np.testing.assert_allclose(ours.data, theirs.data, rtol=1e-12)


# Arrays of no elements, and other shapes at the edge. --------------------------------------------


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (1,), (1, 1), (2, 0, 3), ()])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shapes_at_the_edge(shape, dtype):
    def f(x):
        y = np.sin(x) * 2.0 + x
        return y, y.sum(), np.concatenate([np.ravel(y), np.ravel(x)]), y.reshape(-1)

    compiled = ag.compile(f)
    for k in range(3):
        x = np.full(shape, k + 0.5, dtype)[()]
        same(compiled(x), f(x), 1e-5)
    gradient = ag.grad(lambda x: (f(x)[0] ** 2).sum())
    both = ag.compile(gradient)
    for k in range(3):
        x = np.full(shape, k + 0.5, dtype)[()]
        same(both(x), gradient(x), 1e-5)


def test_products_without_elements():
    def f(a, b):
        return a @ b, (a @ b).sum()

    compiled = ag.compile(f)
    for n, m, k in ((0, 2, 3), (2, 0, 3), (2, 3, 0), (2, 3, 4)):
        args = np.ones((n, m)), np.ones((m, k))
        for _ in range(2):
            same(compiled(*args), f(*args))
    assert compiled.recompiles == 3


# The same array twice, results fed back. ---------------------------------------------------------


def test_the_same_array_as_two_arguments():
    f = ag.compile(lambda a, b: (a * 2.0 + b, a @ b.T))
    x, y = np.arange(6.0).reshape(2, 3), np.ones((2, 3))
    for a, b in ((x, y), (x, x), (y, y), (x, x.copy()), (x, x[:])):
        same(f(a, b), (a * 2.0 + b, a @ b.T))
    assert f.recompiles == 0


def test_the_same_tensor_as_two_arguments_is_another_recording():
    def f(a, b):
        return ag.grad(lambda t: (t * b).sum())(a) if a is not b else ag.grad(
            lambda t: (t * t).sum())(a)

    compiled = ag.compile(f)
    x, y = ag.tensor([1.0, 2.0], requires_grad=True), ag.tensor([3.0, 4.0])
    for a, b in ((x, y), (x, x), (x, y), (x, x)):
        np.testing.assert_array_equal(np.asarray(value(compiled(a, b))), value(f(a, b)))
    assert compiled.recompiles == 1


def value(x):
    return x.numpy(force=True) if isinstance(x, ag.Tensor) else x


def test_results_may_be_the_next_arguments():
    """What a call returns is never a buffer that the next call writes into."""
    def f(state, x):
        a, b = state
        return (np.tanh(a + x), b * 0.5 + a), a.sum()

    compiled = ag.compile(f)
    ours = theirs = (np.ones(5), np.zeros(5))
    kept = []
    for k in range(6):
        x = np.full(5, 0.1 * k)
        ours, total = compiled(ours, x)
        theirs, expected = f(theirs, x)
        same((ours, total), (theirs, expected))
        kept.append((ours, [a.copy() for a in theirs]))
    for arrays, copies in kept:
        same(list(arrays), copies)
    assert compiled.recompiles == 0


def test_an_argument_that_is_returned_and_written_into():
    f = ag.compile(lambda x: (x, x + 1.0, x[1:], x.T))
    x = np.arange(4.0)
    for k in range(3):
        results = f(x)
        x += 1.0  # the caller's own array
        same(results[1], np.arange(4.0) + k + 1.0)
        same(results[2], np.arange(4.0)[1:] + k)
        same(results[3], np.arange(4.0) + k)


# Containers. --------------------------------------------------------------------------------------


class Layer(NamedTuple):
    w: np.ndarray
    b: np.ndarray


def nested(k):
    rng = np.random.default_rng(k)
    return {
        "layers": [Layer(rng.normal(size=(3, 4)), rng.normal(size=4)),
                   Layer(rng.normal(size=(4, 2)), rng.normal(size=2))],
        "scale": (rng.normal(), {"unused": None, "name": "tanh"}),
    }


def network(model, x):
    for layer in model["layers"]:
        x = np.tanh(x @ layer.w + layer.b)
    return {"out": [x * model["scale"][0]], "kind": model["scale"][1]["name"]}


def test_containers_as_arguments_and_results():
    f = ag.compile(network)
    for k in range(4):
        model, x = nested(k), np.full((2, 3), 0.1 * k)
        ours, theirs = f(model, x), network(model, x)
        assert ours.keys() == theirs.keys() and ours["kind"] == "tanh"
        same(ours["out"], theirs["out"])
    assert f.recompiles == 0


def test_another_structure_is_another_recording():
    f = ag.compile(lambda xs: sum(x.sum() for x in (xs.values() if isinstance(xs, dict) else xs)))
    x = np.ones(3)
    for given in ([x], [x, x], (x, x), {"a": x}, {"b": x}, [x], {"b": x}):
        values = given.values() if isinstance(given, dict) else given
        same(f(given), sum(x.sum() for x in values))
    assert f.recompiles == 4


def test_gradients_in_containers():
    def loss(model, x):
        return (network(model, x)["out"][0] ** 2).sum()

    def without_text(k):
        model = nested(k)
        return {"layers": model["layers"], "scale": (model["scale"][0], {"name": 1.0})}

    def plain_loss(model, x):
        for layer in model["layers"]:
            x = np.tanh(x @ layer.w + layer.b)
        return (x**2).sum() * model["scale"][0] * model["scale"][1]["name"]

    assert loss(nested(0), np.ones((1, 3))) >= 0
    gradient = ag.grad(plain_loss)
    compiled = ag.compile(gradient)
    for k in range(3):
        model, x = without_text(k), np.full((2, 3), 0.1 * k + 0.1)
        ours, theirs = compiled(model, x), gradient(model, x)
        assert type(ours["layers"][0]) is Layer
        same(ours, theirs)


def test_keyword_arguments_in_any_order():
    f = ag.compile(lambda x, *, a, b=2.0: x * a - b)
    x = np.arange(3.0)
    for kwargs in ({"a": 3.0}, {"a": 2.0, "b": 1.0}, {"b": 5.0, "a": 1.0}, {"a": 4.0}):
        same(f(x, **kwargs), x * kwargs["a"] - kwargs.get("b", 2.0))
    assert f.recompiles == 1


# What is closed over. ----------------------------------------------------------------------------


class Tied(nn.Module):
    """An autoencoder that decodes with the transposed matrix it encodes with."""

    def __init__(self, dtype):
        self.w = nn.Parameter(np.random.default_rng(0).normal(size=(6, 3)) * 0.5, dtype=dtype)
        self.also = self.w
        self.b = nn.Parameter(np.zeros(6), dtype=dtype)

    def forward(self, x):
        return np.tanh(x @ self.w) @ self.also.T + self.b


class Recurrent(nn.Module):
    """Twenty steps of a tanh network over a (batch, time, features) sequence."""

    def __init__(self, dtype):
        rng = np.random.default_rng(0)
        self.wx = nn.Parameter(rng.normal(size=(2, 5)) * 0.5, dtype=dtype)
        self.wh = nn.Parameter(rng.normal(size=(5, 5)) * 0.5, dtype=dtype)
        self.b = nn.Parameter(np.zeros(5), dtype=dtype)
        self.out = nn.Linear(5, 1, rng=0, dtype=dtype)

    def forward(self, x):
        h = np.zeros((x.shape[0], 5), x.dtype)
        for t in range(x.shape[1]):
            h = np.tanh(x[:, t] @ self.wx + h @ self.wh + self.b)
        return self.out(h)


class Gated(nn.Module):
    """A scalar parameter, a frozen one, and a mode."""

    def __init__(self, dtype):
        self.body = nn.MLP([6, 5, 6], "sigmoid", rng=0, dtype=dtype)
        self.gate = nn.Parameter(0.5, dtype=dtype)
        self.fixed = nn.Parameter(np.full(6, 2.0), dtype=dtype)
        self.fixed.requires_grad = False

    def forward(self, x):
        y = self.body(x) * self.gate + self.fixed
        return y if self.training else y * 0.5


def sequences(rng, dtype):
    x = rng.normal(size=(4, 20, 2)).astype(dtype)
    return x, x[:, :, 0].sum(axis=1, keepdims=True)


def rows(rng, dtype):
    x = rng.normal(size=(4, 6)).astype(dtype)
    return x, x


MODELS = {"tied": (Tied, rows), "recurrent": (Recurrent, sequences), "gated": (Gated, rows)}
OPTIMIZERS = {
    "sgd": lambda ps: nn.optim.SGD(ps, lr=0.05),
    "momentum": lambda ps: nn.optim.SGD(ps, lr=0.05, momentum=0.9),
    "adam": lambda ps: nn.optim.Adam(ps, lr=0.01),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", MODELS)
def test_twenty_steps_in_turns_with_evaluation(name, optimizer, dtype):
    kind, data = MODELS[name]
    models = [kind(dtype) for _ in range(2)]
    optimizers = [OPTIMIZERS[optimizer](model.parameters()) for model in models]

    def step_of(model, optimizer):
        def step(x, y):
            model.zero_grad()
            loss = nn.losses.mse(model(x), y)
            if model.training:
                loss.backward()
                optimizer.step()
            return loss.detach()

        return step

    steps = [step_of(*pair) for pair in zip(models, optimizers, strict=True)]
    steps[0] = ag.compile(steps[0])
    rng = np.random.default_rng(3)
    tolerance = 2e-4 if dtype == np.float32 else 1e-9
    for k in range(20):
        for model in models:
            model.train(k % 4 != 3)
        x, y = data(rng, dtype)
        results = [step(x, y) for step in steps]
        np.testing.assert_allclose(*[r.item() for r in results], rtol=tolerance)
        for p, q in zip(*[model.parameters() for model in models], strict=True):
            assert p.dtype == q.dtype == dtype and p.shape == q.shape
            np.testing.assert_allclose(p.numpy(force=True), q.numpy(force=True),
                                       rtol=tolerance, atol=tolerance)
    assert len(models[0].parameters()) == len(set(models[0].parameters()))


def test_units_one_by_one():
    """nn.Layer, whose neurons each have their own parameters, trains as it does eagerly."""
    nets = [nn.Sequential(nn.Layer(3, 4, "tanh", rng=0), nn.Layer(4, 1, None, rng=1))
            for _ in range(2)]
    optimizers = [nn.optim.Adam(net.parameters(), lr=0.01) for net in nets]

    def step_of(net, optimizer):
        def step(x, y):
            optimizer.zero_grad()
            loss = nn.losses.mse(net(x), y)
            loss.backward()
            optimizer.step()
            return loss.detach()

        return step

    steps = [step_of(*pair) for pair in zip(nets, optimizers, strict=True)]
    steps[0] = ag.compile(steps[0])
    rng = np.random.default_rng(0)
    for _ in range(20):
        x = rng.normal(size=(5, 3)).astype(np.float32)
        losses = [step(x, x[:, :1]).item() for step in steps]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)


# What a compiled function must refuse. -----------------------------------------------------------


@pytest.mark.parametrize(("argument", "message"), [
    (np.array(["a"]), "argument 0"),
    (np.array([1, None], object), "argument 0"),
    ([np.ones(2), {1, 2}], "hashed"),
])
def test_arguments_that_no_plan_can_hold(argument, message):
    with pytest.raises(TypeError, match=message):
        ag.compile(lambda x: x)(argument)


def test_a_subclass_of_ndarray_is_refused():
    """Its operators may mean something else."""
    x = np.eye(2).view(type("Matrix", (np.ndarray,), {"__mul__": lambda a, b: a @ b}))
    with pytest.raises(TypeError, match=r"argument 0 .*is of type Matrix.*pass `np.asarray\(x\)`"):
        ag.compile(lambda x: x * x)(x)


def test_memory_maps_are_arrays(tmp_path):
    x = np.memmap(tmp_path / "x", np.float64, "w+", shape=(2, 3))
    x[:] = 2.0
    f = ag.compile(lambda x: (x * x, x[1], x.T))
    for _ in range(3):
        for y in f(x):
            assert type(y) is np.ndarray
    np.testing.assert_array_equal(f(x)[0], np.full((2, 3), 4.0))
    assert f.recompiles == 0


@pytest.mark.parametrize("order", [">", "<"])
def test_bytes_in_either_order(order):
    x = np.arange(6.0).reshape(2, 3).astype(np.dtype("f8").newbyteorder(order))
    f = ag.compile(lambda x: (np.sin(x), x.sum(axis=0)))
    for _ in range(3):
        ours = f(x)
        for a, b in zip(ours, (np.sin(x), x.sum(axis=0)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
