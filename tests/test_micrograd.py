"""Code written for micrograd runs on ag.Value unchanged."""

import math
import random

import numpy as np
import pytest

import autograd_core as ag


class Scalar:
    """A second engine, as small as it gets: a value, and its parents with local derivatives."""

    def __init__(self, data, parents=()):
        self.data = float(data)
        self.parents = parents
        self.grad = 0.0

    def backward(self):
        order, seen = [], set()

        def visit(node):
            if node not in seen:
                seen.add(node)
                for parent, _ in node.parents:
                    visit(parent)
                order.append(node)

        visit(self)
        self.grad = 1.0
        for node in reversed(order):
            for parent, slope in node.parents:
                parent.grad += slope * node.grad

    def __add__(self, other):
        other = other if isinstance(other, Scalar) else Scalar(other)
        return Scalar(self.data + other.data, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        other = other if isinstance(other, Scalar) else Scalar(other)
        return Scalar(self.data * other.data, ((self, other.data), (other, self.data)))

    def __pow__(self, n):
        return Scalar(self.data**n, ((self, n * self.data ** (n - 1)),))

    def relu(self):
        return Scalar(max(self.data, 0.0), ((self, float(self.data > 0)),))

    def tanh(self):
        t = math.tanh(self.data)
        return Scalar(t, ((self, 1 - t * t),))

    def exp(self):
        e = math.exp(self.data)
        return Scalar(e, ((self, e),))

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + -other

    def __rsub__(self, other):
        return -self + other

    def __truediv__(self, other):
        return self * other**-1

    def __rtruediv__(self, other):
        return self**-1 * other

    __radd__, __rmul__ = __add__, __mul__


# The network, as it is written for micrograd: only the class of its numbers is a parameter. -------


class Module:
    def zero_grad(self):
        for p in self.parameters():
            p.grad = 0


class Neuron(Module):
    def __init__(self, value, nin, nonlin=True):
        self.w = [value(random.uniform(-1, 1)) for _ in range(nin)]
        self.b = value(0)
        self.nonlin = nonlin

    def __call__(self, x):
        act = sum((wi * xi for wi, xi in zip(self.w, x, strict=True)), self.b)
        return act.relu() if self.nonlin else act

    def parameters(self):
        return [*self.w, self.b]


class Layer(Module):
    def __init__(self, value, nin, nout, **kwargs):
        self.neurons = [Neuron(value, nin, **kwargs) for _ in range(nout)]

    def __call__(self, x):
        out = [n(x) for n in self.neurons]
        return out[0] if len(out) == 1 else out

    def parameters(self):
        return [p for n in self.neurons for p in n.parameters()]


class MLP(Module):
    def __init__(self, value, nin, nouts):
        sizes = [nin, *nouts]
        self.layers = [
            Layer(value, sizes[i], sizes[i + 1], nonlin=i != len(nouts) - 1)
            for i in range(len(nouts))
        ]

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return x

    def parameters(self):
        return [p for layer in self.layers for p in layer.parameters()]


def train(value):
    random.seed(1337)
    model = MLP(value, 3, [4, 4, 1])
    xs = [[2.0, 3.0, -1.0], [3.0, -1.0, 0.5], [0.5, 1.0, 1.0], [1.0, 1.0, -1.0]]
    ys = [1.0, -1.0, -1.0, 1.0]
    history = []
    for k in range(20):
        outputs = [model(x) for x in xs]
        losses = [(1 + -yi * out).relu() for yi, out in zip(ys, outputs, strict=True)]
        data_loss = sum(losses) * (1.0 / len(losses))
        total_loss = data_loss + 1e-4 * sum(p * p for p in model.parameters())
        model.zero_grad()
        total_loss.backward()
        learning_rate = 0.1 - 0.09 * k / 100
        for p in model.parameters():
            p.data += -learning_rate * p.grad
        history.append((float(total_loss.data), [float(p.grad) for p in model.parameters()]))
    return history


def test_a_training_run_is_the_same():
    mine, theirs = train(ag.Value), train(Scalar)
    assert theirs[-1][0] < 0.5 * theirs[0][0]
    for (loss, grads), (expected, expected_grads) in zip(mine, theirs, strict=True):
        assert loss == pytest.approx(expected, rel=1e-9)
        np.testing.assert_allclose(grads, expected_grads, rtol=1e-8, atol=1e-12)


def test_every_operator():
    def program(value):
        a, b = value(-4.0), value(2.0)
        c = a + b
        d = a * b + b**3
        c += c + 1
        c += 1 + c + (-a)
        d += d * 2 + (b + a).relu()
        d += 3 * d + (b - a).relu()
        e = c - d
        f = e**2
        g = f / 2.0
        g += 10.0 / f
        h = g * 1e-3 + (a * 0.1).tanh() + (b * 0.5).exp() - (2 - b) / a
        h.backward()
        return h.data, a.grad, b.grad

    np.testing.assert_allclose(program(ag.Value), program(Scalar), rtol=1e-13)


def test_the_known_numbers_of_micrograd_s_readme():
    a, b = ag.Value(-4.0), ag.Value(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    g.backward()
    assert f"{g.data:.4f}" == "24.7041"
    assert f"{a.grad:.4f}" == "138.8338"
    assert f"{b.grad:.4f}" == "645.5773"


# Random programs. --------------------------------------------------------------------------------

STEPS = [
    lambda a, b: a + b, lambda a, b: a * b * 0.5, lambda a, b: a - b, lambda a, b: a.tanh(),
    lambda a, b: (a * 0.1).exp(), lambda a, b: a.relu(), lambda a, b: a**2 * 0.1,
    lambda a, b: a / (b**2 + 1.5), lambda a, b: -a, lambda a, b: 1.5 - a, lambda a, b: 2.0 * a,
    lambda a, b: 1.0 / (a**2 + 2), lambda a, b: a + 1, lambda a, b: sum([a, b, a]),
]


@pytest.mark.parametrize("seed", range(150))
def test_random_programs(seed):
    """Up to 50 operations over 4 inputs, any earlier value being an operand."""
    rng = random.Random(seed)
    inputs = [rng.uniform(-1.5, 1.5) for _ in range(4)]
    program = [
        (rng.randrange(len(STEPS)), rng.random(), rng.random()) for _ in range(rng.randint(1, 50))
    ]

    def run(leaves):
        values = list(leaves)
        for step, i, j in program:
            a, b = values[int(i * len(values))], values[int(j * len(values))]
            values.append(STEPS[step](a, b).tanh() if len(values) % 5 == 0 else STEPS[step](a, b))
        return sum(values[-3:])

    theirs = [Scalar(x) for x in inputs]
    expected = run(theirs)
    expected.backward()
    mine = [ag.Value(x) for x in inputs]
    out = run(mine)
    out.backward()
    np.testing.assert_allclose(out.data, expected.data, rtol=1e-12, atol=1e-13)
    slopes = [x.grad for x in theirs]
    np.testing.assert_allclose(
        [0.0 if x.grad is None else x.grad for x in mine], slopes, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(
        ag.grad(lambda *xs: run(xs), (0, 1, 2, 3))(*inputs), slopes, rtol=1e-10, atol=1e-12)
    graph = ag.Graph(out)
    moved = [x + 0.1 for x in inputs]
    present = [x for x in mine if x in set(graph.inputs)]
    replayed = graph.fprop({x: v for x, v in zip(mine, moved, strict=True) if x in set(present)})
    np.testing.assert_allclose(replayed, run([Scalar(v) for v in moved]).data,
                               rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("x", [-2.0, -0.0, 0.0, 3.0, np.inf, -np.inf, np.nan])
def test_relu_of_a_scalar_is_that_of_an_array(x):
    value, array = ag.Value(x), ag.tensor([x], requires_grad=True)
    for leaf in (value, array):
        leaf.relu().sum().backward()
    assert type(value.relu().data) is np.float64
    np.testing.assert_array_equal(value.relu().data, array.relu().data[0])
    assert value.grad == array.grad[0] == (x > 0)
