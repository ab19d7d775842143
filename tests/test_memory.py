"""Graphs are freed by reference counting, and training holds memory flat."""

import gc
import subprocess
import sys
import textwrap
import weakref

import numpy as np
import pytest

import autograd_core as ag


@pytest.fixture
def no_gc():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def build():
    x = ag.tensor([1.0, 2.0], requires_grad=True)
    u = np.exp(x)
    v = u * u + x[0]
    y = (v.reshape(2, 1) @ np.ones((1, 2))).sum()
    return x, y, [weakref.ref(node) for node in ag.Graph(y).nodes]


def fail(y):
    with pytest.raises(ag.ShapeError):
        y.backward(np.ones(3))


USES = {
    "forward": lambda x, y: None,
    "backward": lambda x, y: y.backward(),
    "listing": lambda x, y: str(ag.Graph(y)),
    "replay": lambda x, y: ag.Graph(y).fprop({x: [3.0, 4.0]}),
    "bprop": lambda x, y: ag.Graph(y).bprop(),
    "retain_grad": lambda x, y: (y.inputs[0].retain_grad(), y.backward()),
    "reading": lambda x, y: (x.data, y.data, y.numpy(force=True), repr(y)),
    "an error": lambda x, y: fail(y),
    "grad of it": lambda x, y: ag.grad(lambda z: (z * y).sum())(np.ones(2)),
    "second order": lambda x, y: (y.backward(create_graph=True), x.zero_grad()),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.usefixtures("no_gc")
def test_nodes_die_with_their_output(use):
    x, y, nodes = build()
    use(x, y)
    assert all(node() is not None for node in nodes)
    del y
    assert [node() for node in nodes if node() is not None] == [x]
    del x
    assert all(node() is None for node in nodes)


@pytest.mark.usefixtures("no_gc")
def test_a_node_in_the_middle_keeps_only_what_it_came_from():
    x = ag.tensor(2.0, requires_grad=True)
    u = x * 2
    v = u * 3
    w = v * 4
    refs = [weakref.ref(t) for t in (u, v, w)]
    del w
    assert refs[2]() is None and refs[1]() is v
    del u, v
    assert refs[1]() is None and refs[0]() is None


@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize("transform", [
    lambda f, x: ag.grad(f)(x), lambda f, x: ag.hessian(f)(x), lambda f, x: ag.jacobian(f)(x),
    lambda f, x: ag.jvp(f, (x,), (x,)), lambda f, x: ag.vjp(f, x)[1](1.0), lambda f, x:
    ag.hvp(f, x, x), lambda f, x: ag.check_grads(f, x),
    lambda f, x: ag.grad_and_aux(lambda x: (f(x), x))(x), lambda f, x: ag.deriv(f)(0.5),
    lambda f, x: ag.ggnvp(f, lambda y: y * y, x, x),
    lambda f, x: ag.jacobian(lambda x: np.stack([f(x), f(x), f(x)]))(x),
], ids=["grad", "hessian", "jacobian", "jvp", "vjp", "hvp", "check_grads", "grad_and_aux", "deriv",
        "ggnvp", "columns"])
def test_transforms_leave_nothing_behind(transform):
    nodes = []

    def f(x):
        y = np.exp(x * x)
        nodes.append(weakref.ref(y)) if isinstance(y, ag.Tensor) else None
        return y.sum()

    transform(f, np.array([0.5, 1.0]))
    assert nodes and all(node() is None for node in nodes)


TRAINING = textwrap.dedent(
    """
    import gc, sys, tracemalloc

    import numpy as np

    import autograd_core as ag

    gc.disable()
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4, 2)).astype(np.float32)
    T = (X[:, :1] * X[:, 1:] > 0).astype(np.float32)
    parameters = [
        ag.tensor(0.5 * rng.standard_normal(shape).astype(np.float32), requires_grad=True)
        for shape in ((2, 8), (8,), (8, 1), (1,))
    ]


    def step():
        w1, b1, w2, b2 = parameters
        h = np.tanh(X @ w1 + b1)
        loss = ((h @ w2 + b2 - T) ** 2).mean()
        for p in parameters:
            p.zero_grad()
        loss.backward()
        for p in parameters:
            p.data -= 0.1 * p.grad
        return loss.item()


    first = step()
    for _ in range(500):
        step()
    blocks = sys.getallocatedblocks()
    tracemalloc.start()
    step()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(20):
        step()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    for _ in range(9_480):
        last = step()
    print(after - before, sys.getallocatedblocks() - blocks, last < 0.5 * first)
    """
)


def test_10_000_training_steps_hold_memory_flat():
    """Without the garbage collector: what a step allocates, the end of the step frees."""
    run = subprocess.run(
        [sys.executable, "-c", TRAINING], capture_output=True, text=True, check=True)
    traced, blocks, learned = run.stdout.split()
    assert abs(int(traced)) < 2_000  # bytes, over 20 steps; one leaked node has about 200
    assert abs(int(blocks)) < 200  # over 9,500 steps
    assert learned == "True"


def test_a_stepped_leaf_does_not_remember_its_steps():
    x = ag.tensor(np.zeros(1000), requires_grad=True)
    for _ in range(5):
        (x * x).sum().backward()
        x.data -= 0.1 * x.grad
        x.zero_grad()
    x * x  # nobody holds the array of x any more: no second copy need be kept
    assert [o.shape for o in gc.get_referents(x) if isinstance(o, np.ndarray)] == [(1000,)]
