"""Layers against their formulas in plain NumPy, and their gradients against differences."""

import itertools

import numpy as np
import pytest
from finite_differences import slopes, slopes_of_array

import autograd_core as ag
import nn

ACTIVATIONS = {
    "identity": lambda z: z,
    "linear": lambda z: z,
    "relu": lambda z: np.where(z > 0, z, 0),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": lambda z: (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z)),
}


def normal(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def value(t):
    return t.numpy(force=True)


def with_biases(model, seed=5):
    """Biases that are not zero, so that one left out is found."""
    for name, p in model.named_parameters():
        if name.endswith("bias"):
            p.data = normal(*p.shape, seed=seed).astype(p.dtype)[()]
    return model


# Activations. ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_its_formula(name):
    z = np.linspace(-3, 3, 25)
    f = nn.activations.get(name)
    np.testing.assert_allclose(value(f(ag.tensor(z, True))), ACTIVATIONS[name](z), rtol=1e-12)
    np.testing.assert_allclose(f(z), ACTIVATIONS[name](z), rtol=1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("z", [-1e4, -30.0, 0.0, 30.0, 1e4])
def test_an_activation_does_not_overflow(name, z):
    t = ag.tensor([z], requires_grad=True)
    y = nn.activations.get(name)(t)
    (y * 1.0).sum().backward()
    assert np.isfinite(value(y)).all() and np.isfinite(t.grad).all()


def test_slopes_of_activations_at_zero():
    for name, expected in {"relu": 0.0, "sigmoid": 0.25, "tanh": 1.0, "identity": 1.0}.items():
        assert ag.grad(nn.activations.get(name))(0.0) == expected


def test_get_an_activation():
    assert nn.activations.get(None) is nn.activations.identity
    assert nn.activations.get("tanh") is nn.activations.tanh
    assert nn.activations.get(np.sin) is np.sin
    with pytest.raises(ValueError, match=r"unknown name 'reul'; known are \[.*'relu'"):
        nn.activations.get("reul")


# Linear. -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3,), (1, 3), (5, 3), (0, 3), (2, 4, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_is_x_w_plus_b(shape, bias):
    layer = with_biases(nn.Linear(3, 2, bias, rng=0, dtype=np.float64))
    x = normal(*shape)
    expected = np.einsum("...i,ij->...j", x, value(layer.weight))
    if bias:
        expected = expected + value(layer.bias)
    for given in (x, ag.tensor(x)):
        y = layer(given)
        assert y.shape == (*shape[:-1], 2)
        np.testing.assert_allclose(value(y), expected, rtol=1e-12, atol=1e-12)


def test_linear_parameters():
    layer = nn.Linear(3, 2, rng=0)
    assert layer.weight.shape == (3, 2) and layer.bias.shape == (2,)
    assert layer.weight.dtype == layer.bias.dtype == np.float32
    assert layer.bias.tolist() == [0, 0]
    bare = nn.Linear(3, 2, bias=False)
    assert bare.bias is None and [n for n, _ in bare.named_parameters()] == ["weight"]


def test_linear_takes_nested_lists():
    layer = nn.Linear(2, 1, rng=0, dtype=np.float64)
    x = [[1.0, 2.0], [3.0, -4.0]]
    np.testing.assert_allclose(value(layer(x)), np.array(x) @ value(layer.weight), rtol=1e-12)


@pytest.mark.parametrize("shape", [(5, 4), (4,), (2,), (3, 1), (3, 2, 5), ()])
@pytest.mark.parametrize("tensor", [False, True])
def test_linear_names_itself_and_the_sizes_for_wrong_features(shape, tensor):
    x = np.ones(shape)
    with pytest.raises(ag.ShapeError) as caught:
        nn.Linear(3, 2)(ag.tensor(x) if tensor else x)
    message = str(caught.value)
    assert message.startswith("Linear: ")
    assert str(shape) in message and "3 features" in message


@pytest.mark.parametrize("x", [1.0, [1.0, 2.0], [[1.0], [2.0]]])
def test_linear_rejects_wrong_python_values(x):
    with pytest.raises(ag.ShapeError, match=r"Linear: .* 3 features"):
        nn.Linear(3, 2)(x)


def test_wrong_features_inside_a_network_name_the_layer():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(4, 1))
    with pytest.raises(ag.ShapeError, match=r"Linear: .*\(5, 3\).* 4 features"):
        model(np.ones((5, 2), np.float32))


@pytest.mark.parametrize("sizes", [(0, 1), (1, 0), (-1, 2), (2, -3)])
@pytest.mark.parametrize("make", [nn.Linear, nn.Layer])
def test_sizes_must_be_positive(make, sizes):
    with pytest.raises(ValueError, match=make.__name__ + ".*positive"):
        make(*sizes)


@pytest.mark.parametrize("size", [0, -1])
def test_the_size_of_a_neuron_must_be_positive(size):
    with pytest.raises(ValueError, match=r"Neuron.*positive"):
        nn.Neuron(size)


# Neuron and Layer. -------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(3,), (5, 3), (1, 3)])
def test_neuron_is_f_of_w_x_plus_b(activation, shape):
    neuron = with_biases(nn.Neuron(3, activation, rng=0, dtype=np.float64))
    x = normal(*shape)
    z = np.einsum("...i,i->...", x, value(neuron.weight)) + value(neuron.bias)
    y = neuron(x)
    assert y.shape == shape[:-1]
    np.testing.assert_allclose(value(y), ACTIVATIONS[activation](z), rtol=1e-12, atol=1e-15)


def test_a_neuron_is_a_sigmoid_unit_unless_told():
    assert nn.Neuron(1).activation is nn.activations.sigmoid
    assert nn.Neuron(1, None).activation is nn.activations.identity


def test_neuron_on_a_list_of_scalars():
    neuron = with_biases(nn.Neuron(3, rng=0, dtype=np.float64))
    x = [0.5, -1.0, 2.0]
    y = neuron(x)
    assert y.shape == ()
    assert y.item() == pytest.approx(neuron(np.array(x)).item(), rel=1e-15)
    assert neuron(tuple(x)).item() == y.item()


def test_neuron_on_a_list_of_tensors_gives_each_its_gradient():
    neuron = with_biases(nn.Neuron(3, rng=0, dtype=np.float64))
    xs = [ag.Value(0.5), -1.0, ag.Value(2.0)]
    y = neuron(xs)
    y.backward()
    s = y.item()
    w = value(neuron.weight)
    assert xs[0].grad == pytest.approx(s * (1 - s) * w[0], rel=1e-12)
    assert xs[2].grad == pytest.approx(s * (1 - s) * w[2], rel=1e-12)
    np.testing.assert_allclose(neuron.weight.grad, s * (1 - s) * np.array([0.5, -1, 2]), rtol=1e-12)
    assert neuron.bias.grad == pytest.approx(s * (1 - s), rel=1e-12)


@pytest.mark.parametrize("x", [[1.0, 2.0], np.ones(2), np.ones((4, 2)), np.ones(()), 1.0])
@pytest.mark.parametrize("make", [lambda: nn.Neuron(3), lambda: nn.Layer(3, 2)])
def test_neurons_name_themselves_for_wrong_features(make, x):
    with pytest.raises(ag.ShapeError, match=r"Neuron: .* 3 features"):
        make()(x)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", None])
@pytest.mark.parametrize("shape", [(3,), (5, 3)])
def test_a_layer_is_linear_with_an_activation(activation, shape):
    layer = with_biases(nn.Layer(3, 4, activation, rng=0, dtype=np.float64))
    linear = nn.Linear(3, 4, dtype=np.float64)
    linear.weight.data = np.stack([value(n.weight) for n in layer.neurons], axis=1)
    linear.bias.data = np.stack([value(n.bias) for n in layer.neurons])
    x = ag.tensor(normal(*shape), requires_grad=True)
    other = ag.tensor(normal(*shape), requires_grad=True)
    y, expected = layer(x), nn.activations.get(activation)(linear(other))
    assert y.shape == (*shape[:-1], 4)
    np.testing.assert_allclose(value(y), value(expected), rtol=1e-12, atol=1e-15)
    seed = normal(*y.shape, seed=3)
    y.backward(seed)
    expected.backward(seed)
    np.testing.assert_allclose(x.grad, other.grad, rtol=1e-12, atol=1e-15)
    for i, neuron in enumerate(layer.neurons):
        np.testing.assert_allclose(
            neuron.weight.grad, linear.weight.grad[:, i], rtol=1e-12, atol=1e-15
        )
        np.testing.assert_allclose(neuron.bias.grad, linear.bias.grad[i], rtol=1e-12, atol=1e-15)


def test_a_layer_starts_with_the_weights_of_linear():
    layer, linear = nn.Layer(3, 4, init="xavier", rng=7), nn.Linear(3, 4, init="xavier", rng=7)
    assert np.array_equal(np.stack([value(n.weight) for n in layer.neurons], 1),
                          value(linear.weight))
    assert [name for name, _ in layer.named_parameters()][:2] == [
        "neurons.0.weight", "neurons.0.bias"
    ]


def test_a_layer_takes_a_list_of_tensors():
    layer = nn.Layer(2, 3, rng=0, dtype=np.float64)
    a = ag.Value(1.0)
    y = layer([a, 2.0])
    assert y.shape == (3,)
    y.sum().backward()
    assert a.grad is not None and a.grad != 0


# Sequential and MLP. -----------------------------------------------------------------------------


def test_sequential_applies_in_order():
    model = nn.Sequential(lambda x: x + 1, lambda x: x * 3)
    assert model(2.0) == 9.0 and nn.Sequential()(5) == 5
    assert len(model) == 2 and list(model) == [model[0], model[1]] and model[-1] is model[1]


def test_sequential_rejects_what_is_not_callable():
    with pytest.raises(TypeError, match="'relu' is not callable"):
        nn.Sequential(nn.Linear(1, 1), "relu")


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("output", [None, "sigmoid", np.sin])
@pytest.mark.parametrize("sizes", [[3, 2], [3, 4, 2], (3, 5, 4, 2)])
def test_mlp_is_its_formula(sizes, activation, output):
    model = with_biases(nn.MLP(sizes, activation, output, rng=0, dtype=np.float64))
    x = h = normal(6, 3)
    parameters = [value(p) for p in model.parameters()]
    assert [p.shape for p in parameters] == [
        s for a, b in itertools.pairwise(sizes) for s in ((a, b), (b,))
    ]
    for i in range(0, len(parameters), 2):
        h = h @ parameters[i] + parameters[i + 1]
        last = i == len(parameters) - 2
        f = output if last else activation
        h = ACTIVATIONS[f](h) if isinstance(f, str) else f(h) if f else h
    np.testing.assert_allclose(value(model(x)), h, rtol=1e-12, atol=1e-14)


def test_mlp_structure():
    model = nn.MLP([3, 4, 5, 2], "tanh", "sigmoid")
    kinds = [layer if callable(layer) and not isinstance(layer, nn.Module) else type(layer)
             for layer in model]
    tanh, sigmoid = nn.activations.tanh, nn.activations.sigmoid
    assert kinds == [nn.Linear, tanh, nn.Linear, tanh, nn.Linear, sigmoid]
    assert [p.label for p in model.parameters()] == ["W1", "b1", "W2", "b2", "W3", "b3"]


@pytest.mark.parametrize(("options", "scheme"), [
    ({}, nn.init.he_normal),
    ({"activation": "relu"}, nn.init.he_normal),
    ({"activation": nn.activations.relu}, nn.init.he_normal),
    ({"activation": "tanh"}, nn.init.xavier_uniform),
    ({"activation": "sigmoid"}, nn.init.xavier_uniform),
    ({"activation": "tanh", "init": "he_uniform"}, nn.init.he_uniform),
    ({"activation": "relu", "init": nn.init.xavier_normal}, nn.init.xavier_normal),
    ({"init": "zeros"}, nn.init.zeros),
])
def test_mlp_chooses_its_initial_weights(options, scheme):
    model = nn.MLP([30, 20, 10], rng=3, **options)
    rng = np.random.default_rng(3)
    for linear, shape in zip((model[0], model[2]), [(30, 20), (20, 10)], strict=True):
        assert np.array_equal(value(linear.weight), scheme(shape, rng, np.float32))
        assert not value(linear.bias).any()


def test_a_seed_fixes_the_weights():
    def weights(rng):
        return [value(p) for p in nn.MLP([4, 5, 2], rng=rng).parameters()]

    assert all(map(np.array_equal, weights(1), weights(1)))
    assert all(map(np.array_equal, weights(1), weights(np.random.default_rng(1))))
    assert not np.array_equal(weights(1)[0], weights(2)[0])
    assert not np.array_equal(weights(None)[0], weights(None)[0])


@pytest.mark.parametrize("sizes", [[], [3]])
def test_mlp_needs_two_sizes(sizes):
    with pytest.raises(ValueError, match="sizes needs an input and an output size"):
        nn.MLP(sizes)


@pytest.mark.parametrize("options", [
    {"activation": "nope"}, {"output": "nope"}, {"init": "nope"},
])
def test_mlp_rejects_unknown_names(options):
    with pytest.raises(ValueError, match="unknown name 'nope'"):
        nn.MLP([2, 2], **options)


# Gradients. --------------------------------------------------------------------------------------

MODELS = {
    "linear": lambda dtype: nn.Linear(3, 2, rng=0, dtype=dtype),
    "linear without bias": lambda dtype: nn.Linear(3, 2, bias=False, rng=0, dtype=dtype),
    "neuron": lambda dtype: nn.Neuron(3, rng=0, dtype=dtype),
    "layer": lambda dtype: nn.Layer(3, 2, "tanh", rng=0, dtype=dtype),
    "relu": lambda dtype: nn.MLP([3, 4, 2], "relu", rng=1, dtype=dtype),
    "tanh": lambda dtype: nn.MLP([3, 4, 4, 2], "tanh", rng=1, dtype=dtype),
    "sigmoid": lambda dtype: nn.MLP([3, 4, 2], "sigmoid", "tanh", rng=1, dtype=dtype),
}


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_those_of_finite_differences(name):
    model = with_biases(MODELS[name](np.float64))
    x = normal(5, 3)
    weights = normal(5, 2)[:, 0] if name == "neuron" else normal(5, 2)

    def loss():
        return (model(leaf) * weights).sum()

    leaf = ag.tensor(x, requires_grad=True)
    loss().backward()
    for parameter_name, parameter in model.named_parameters():
        numerical = slopes(lambda: loss().item(), parameter)
        np.testing.assert_allclose(
            parameter.grad, numerical, rtol=1e-6, atol=1e-8, err_msg=parameter_name
        )
    numerical = slopes_of_array(lambda a: (model(a) * weights).sum().item(), x)
    np.testing.assert_allclose(leaf.grad, numerical, rtol=1e-6, atol=1e-8)


def test_a_gradient_penalty_trains_through_second_derivatives():
    """The norm of the input gradient is itself differentiated with respect to the weights."""
    model = with_biases(nn.MLP([3, 4, 1], "tanh", rng=0, dtype=np.float64))
    x = normal(5, 3)

    def penalty():
        slope = ag.grad(lambda a: model(a).sum())(ag.tensor(x))
        return np.square(slope).sum()

    value_now = penalty()
    value_now.backward()
    for parameter in model.parameters()[:3]:
        numerical = slopes(lambda: penalty().item(), parameter)
        np.testing.assert_allclose(parameter.grad, numerical, rtol=1e-6, atol=1e-8)


# dtype. ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", MODELS)
def test_the_dtype_is_kept_forward_and_backward(name, dtype):
    model = MODELS[name](dtype)
    assert {p.dtype for p in model.parameters()} == {np.dtype(dtype)}
    x = ag.tensor(normal(5, 3, dtype=dtype), requires_grad=True)
    y = model(x).sum()
    assert {node.dtype for node in ag.Graph(y).nodes} == {np.dtype(dtype)}
    y.backward()
    assert {p.grad.dtype for p in [*model.parameters(), x]} == {np.dtype(dtype)}


@pytest.mark.parametrize("loss", ["mse", "bce_with_logits", "cross_entropy"])
@pytest.mark.parametrize("optimizer", [
    lambda ps: nn.optim.SGD(ps, lr=0.1),
    lambda ps: nn.optim.SGD(ps, lr=np.float64(0.1), momentum=0.9),
    lambda ps: nn.optim.Adam(ps, lr=lambda step: np.float64(0.1)),
])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_kept_through_training(dtype, activation, optimizer, loss):
    # wide enough that one weight is updated in blocks
    model = nn.MLP([3, 200, 200, 2], activation, rng=0, dtype=dtype)
    optimizer = optimizer(model.parameters())
    x = normal(5, 3, dtype=dtype)
    y = np.array([0, 1, 1, 0, 1])
    target = y if loss == "cross_entropy" else np.stack([y, 1 - y], 1).astype(dtype)
    for _ in range(2):
        optimizer.zero_grad()
        value_now = nn.losses.get(loss)(model(x), target)
        floats = {n.dtype for n in ag.Graph(value_now).nodes if n.dtype.kind == "f"}
        assert floats == {np.dtype(dtype)}
        value_now.backward()
        optimizer.step()
    state = [part for parts in optimizer.state_dict()["state"] for part in parts]
    arrays = [*model.state_dict().values(), *(p.grad for p in model.parameters()), *state]
    assert {a.dtype for a in arrays} == {np.dtype(dtype)}


def test_float64_rates_of_a_schedule_do_not_promote():
    p = nn.Parameter(np.float32(1.0))
    optimizer = nn.optim.SGD([p], lr=lambda step: np.float64(0.5))
    p.grad = np.float32(1.0)
    optimizer.step()
    assert p.dtype == np.float32 and p.item() == 0.5
