"""Module: which parameters it finds, and how they are read, set, named and shown."""

from collections import ChainMap
from types import MappingProxyType

import numpy as np
import pytest

import autograd_core as ag
import nn
from nn.io import generators


def names(module):
    return [name for name, _ in module.named_parameters()]


class Affine(nn.Module):
    def __init__(self, scale=1.0, shift=0.0):
        self.scale = nn.Parameter([scale])
        self.shift = nn.Parameter([shift])

    def forward(self, x):
        return x * self.scale + self.shift


class Everything(nn.Module):
    """Parameters in every place where they are looked for, and decoys where they are not."""

    def __init__(self):
        self.plain = nn.Parameter(np.zeros(1))
        self.listed = [nn.Parameter(np.zeros(2)), Affine()]
        self.paired = (nn.Parameter(np.zeros(3)), 5, None)
        self.by_name = {"left": Affine(), "deep": [{"x": nn.Parameter(np.zeros(4))}]}
        self.inner = Affine()
        self.constant = ag.tensor([1.0])
        self.also_constant = ag.tensor([1.0], requires_grad=True)
        self.array = np.ones(3)
        self.text = "no"


# Parameters. -------------------------------------------------------------------------------------


def test_a_parameter_is_a_leaf_that_requires_a_gradient():
    p = nn.Parameter([1.0, 2.0], label="p")
    assert isinstance(p, ag.Tensor) and p.is_leaf and p.requires_grad and p.grad is None
    assert p.label == "p" and p.dtype == np.float64
    assert nn.Parameter([1, 2], dtype=np.float32).dtype == np.float32


def test_a_parameter_copies_its_data():
    source = np.ones(3)
    p = nn.Parameter(source)
    source[0] = 7
    assert p.tolist() == [1, 1, 1]


@pytest.mark.parametrize("data", [[1, 2], [True], "abc", [1j]])
def test_a_parameter_of_what_has_no_gradient_raises(data):
    with pytest.raises(TypeError):
        nn.Parameter(data)


def test_parameters_are_found_in_order_with_dotted_names():
    assert names(Everything()) == [
        "plain",
        "listed.0", "listed.1.scale", "listed.1.shift",
        "paired.0",
        "by_name.left.scale", "by_name.left.shift", "by_name.deep.0.x",
        "inner.scale", "inner.shift",
    ]


@pytest.mark.parametrize("container", [
    lambda part: [part], lambda part: (part,), lambda part: {"k": part},
    lambda part: MappingProxyType({"k": part}), lambda part: ChainMap({"k": part}),
    lambda part: [{"k": (part,)}],
], ids=["list", "tuple", "dict", "mapping", "chain", "nested"])
def test_state_is_found_in_containers_whether_weights_or_random_numbers(container):
    """Who is looked for by one walk is looked for by the other."""
    model = nn.Module()
    model.held, model.drawn = container(nn.Parameter([1.0])), container(np.random.default_rng(0))
    model.part = container(nn.Dropout(rng=0))
    (name,) = names(model)
    places = [place for place, _ in generators(model)]
    assert name.startswith("held.") and len(list(model.modules())) == 2
    assert places == [f"0.drawn{name.removeprefix('held')}", "1.rng"]


def test_parameters_are_those_named():
    module = Everything()
    assert all(a is b for a, (_, b) in zip(
        module.parameters(), module.named_parameters(), strict=True
    ))


def test_tied_weights_count_once_under_their_first_name():
    class Tied(nn.Module):
        def __init__(self):
            self.first = nn.Linear(3, 3, rng=0)
            self.second = nn.Linear(3, 3, rng=1)
            self.second.weight = self.first.weight
            self.again = self.first

        def forward(self, x):
            return self.second(self.first(x))

    module = Tied()
    assert names(module) == ["first.weight", "first.bias", "second.bias"]
    assert len({id(p) for p in module.parameters()}) == len(module.parameters()) == 3
    # its gradient is the sum over both uses: d/dW of sum(x W W), with zero biases
    x = np.array([[1.0, -2.0, 0.5]], np.float32)
    module(x).sum().backward()
    W = module.first.weight.numpy(force=True)
    ones = np.ones((1, 3), np.float32)
    expected = x.T @ (ones @ W.T) + (x @ W).T @ ones
    np.testing.assert_allclose(module.first.weight.grad, expected, rtol=1e-5)


def test_equal_parameters_are_not_tied():
    class Two(nn.Module):
        def __init__(self):
            self.a, self.b = nn.Parameter([1.0]), nn.Parameter([1.0])

    assert names(Two()) == ["a", "b"]


def test_modules_lists_each_once():
    module = Everything()
    module.twice = module.inner
    found = list(module.modules())
    assert found[0] is module and len(found) == 4
    assert {id(m) for m in found[1:]} == {
        id(module.listed[1]), id(module.by_name["left"]), id(module.inner)
    }


def test_a_module_without_parameters():
    assert nn.Module().parameters() == [] and nn.Module().state_dict() == {}


def test_forward_must_be_written():
    class Nothing(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match="Nothing defines no forward"):
        Nothing()(1.0)


def test_a_call_is_forward_with_all_arguments():
    class Echo(nn.Module):
        def forward(self, *args, **kwargs):
            return args, kwargs

    assert Echo()(1, 2, key=3) == ((1, 2), {"key": 3})


# State. ------------------------------------------------------------------------------------------


def test_state_dict_round_trip():
    source, target = nn.MLP([3, 4, 2], rng=0), nn.MLP([3, 4, 2], rng=1)
    x = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    before = source(x).numpy(force=True)
    assert not np.array_equal(before, target(x).numpy(force=True))
    target.load_state_dict(source.state_dict())
    assert np.array_equal(before, target(x).numpy(force=True))
    assert list(source.state_dict()) == names(source)


def test_state_dict_is_a_copy_both_ways():
    module = Affine(2.0, 3.0)
    state = module.state_dict()
    state["scale"][0] = 99
    assert module.scale.tolist() == [2]
    module.load_state_dict(state)
    state["scale"][0] = -1
    assert module.scale.tolist() == [99]
    for parameter in module.parameters():
        parameter.data = [5.0]
    assert state["shift"].tolist() == [3]


def test_load_state_dict_casts_to_the_dtype_of_the_parameter():
    module = nn.Linear(1, 1, dtype=np.float32)
    module.load_state_dict({"weight": [[0.1]], "bias": np.array([1], np.int64)})
    assert module.weight.dtype == module.bias.dtype == np.float32
    assert module.weight.tolist() == [[np.float32(0.1)]] and module.bias.tolist() == [1]


def test_load_state_dict_keeps_a_scalar_parameter_a_scalar():
    source, target = nn.Neuron(2, rng=0), nn.Neuron(2, rng=1)
    source.bias.data = np.float32(0.25)
    target.load_state_dict(source.state_dict())
    assert target.bias.shape == () and target.bias.item() == 0.25
    assert target(np.ones(2, np.float32)).item() == source(np.ones(2, np.float32)).item()


@pytest.mark.parametrize(("change", "error", "message"), [
    (lambda s: s.pop("shift"), KeyError, r"missing \['shift'\], unknown \[\]"),
    (lambda s: s.update(extra=[1.0]), KeyError, r"missing \[\], unknown \['extra'\]"),
    (lambda s: s.update(shfit=s.pop("shift")), KeyError, r"missing \['shift'\].*\['shfit'\]"),
    (lambda s: s.update(shift=np.zeros(2)), ag.ShapeError, r"shift has shape \(1,\).*\(2,\)"),
    (lambda s: s.update(shift=np.float64(0)), ag.ShapeError, r"shift has shape \(1,\).*\(\)"),
    (lambda s: s.update(shift=["a"]), ValueError, "could not convert"),
])
def test_load_state_dict_raises_before_it_changes_anything(change, error, message):
    module = Affine(2.0, 3.0)
    state = {"scale": np.array([7.0]), "shift": np.array([8.0])}
    change(state)
    with pytest.raises(error, match=message):
        module.load_state_dict(state)
    assert module.scale.tolist() == [2] and module.shift.tolist() == [3]


# Modes and gradients. ----------------------------------------------------------------------------


def test_train_and_eval_reach_every_module():
    module = Everything()
    assert all(m.training for m in module.modules())
    assert module.eval() is module
    assert not any(m.training for m in module.modules())
    assert Affine().training  # the mode belongs to the instance
    assert module.train() is module
    assert all(m.training for m in module.modules())
    module.train(False)
    assert not any(m.training for m in module.modules())


def test_zero_grad_forgets_all_gradients():
    module = nn.MLP([2, 3, 1], rng=0)
    module(np.ones((4, 2), np.float32)).sum().backward()
    assert all(p.grad is not None for p in module.parameters())
    module.zero_grad()
    assert all(p.grad is None for p in module.parameters())


def test_gradients_accumulate_without_zero_grad():
    module = nn.Linear(2, 1, rng=0)
    x = np.ones((4, 2), np.float32)
    module(x).sum().backward()
    once = np.array(module.weight.grad)
    module(x).sum().backward()
    assert np.array_equal(module.weight.grad, 2 * once)


# How it is shown. --------------------------------------------------------------------------------


class Forest(nn.Module):
    def __init__(self):
        self.stem = nn.MLP([2, 8, 1], activation="tanh")
        self.branches = [nn.Linear(1, 2, bias=False), Affine()]
        self.weight = nn.Parameter([1.0])


@pytest.mark.parametrize(("module", "text"), [
    (lambda: nn.Linear(3, 2), "Linear(3, 2)"),
    (lambda: nn.Linear(3, 2, bias=False), "Linear(3, 2, bias=False)"),
    (lambda: nn.Neuron(3, "tanh"), "Neuron(3, tanh)"),
    (lambda: nn.Layer(3, 2, "relu"),
     "Layer(\n  neurons.0: Neuron(3, relu)\n  neurons.1: Neuron(3, relu)\n)"),
    (lambda: nn.Sequential(), "Sequential(\n)"),
    (lambda: nn.MLP([2, 8, 1], output="sigmoid"),
     "MLP(\n  0: Linear(2, 8)\n  1: relu\n  2: Linear(8, 1)\n  3: sigmoid\n)"),
    (Affine, "Affine"),
    (Forest, """\
Forest(
  stem: MLP(
    0: Linear(2, 8)
    1: tanh
    2: Linear(8, 1)
  )
  branches.0: Linear(1, 2, bias=False)
  branches.1: Affine
)"""),
])
def test_repr(module, text):
    assert repr(module()) == text


def test_a_module_that_refers_to_itself_or_to_its_owner():
    inner, outer = nn.Linear(2, 1, rng=0), nn.Sequential(nn.Linear(1, 2, rng=0))
    inner.itself = inner
    assert [name for name, _ in inner.named_parameters()] == ["weight", "bias"]
    assert repr(inner) == "Linear(2, 1)"
    outer.layers[0].owner = outer
    assert [name for name, _ in outer.named_parameters()] == ["layers.0.weight", "layers.0.bias"]
    assert list(outer.modules()) == [outer, outer.layers[0]]
    assert "Linear(1, 2)" in repr(outer)
