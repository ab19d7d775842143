"""Each layer is its formula, in value and slope, in both dtypes, eager, replayed and compiled."""

from pathlib import Path

import numpy as np
import pytest
from finite_differences import slopes
from units import UNITS, sample, shaken

import autograd_core as ag
import nn

each_unit = pytest.mark.parametrize("name", UNITS)


def made(name, dtype=np.float64):
    unit = UNITS[name]
    module = shaken(unit.make(dtype))
    return unit, module, sample(unit, dtype)


def value(t):
    return t.numpy(force=True) if isinstance(t, ag.Tensor) else np.asarray(t)


def number(output):
    """A number that depends on each value in its own way."""
    weights = np.cos(np.arange(output.size)).reshape(output.shape).astype(output.dtype)
    return (output * weights).sum()


def leaves(inputs):
    return [ag.tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs]


@each_unit
def test_it_is_its_formula(name):
    unit, module, inputs = made(name)
    expected = unit.formula(module.state_dict(), *inputs)
    for given in (inputs, leaves(inputs)):
        output = value(module(*given))
        assert output.shape == expected.shape
        np.testing.assert_allclose(output, expected, rtol=1e-12, atol=1e-14)
    if unit.modes_agree:
        np.testing.assert_array_equal(value(module.eval()(*inputs)), output)


@each_unit
def test_its_gradients_are_those_of_differences(name):
    _, module, inputs = made(name)
    floats = [i for i, x in enumerate(inputs) if x.dtype.kind == "f"]

    def of_floats(*values):
        given = list(inputs)
        for i, x in zip(floats, values, strict=True):
            given[i] = x
        return number(module(*given))

    if floats:
        ag.check_grads(of_floats, *(inputs[i] for i in floats), order=2)
    module.zero_grad()
    loss = number(module(*inputs))
    if not module.parameters():
        return
    loss.backward()
    for p in module.parameters():
        expected = slopes(lambda: number(module(*inputs)).item(), p)
        np.testing.assert_allclose(p.grad, expected, rtol=1e-5, atol=1e-8)


@each_unit
def test_single_precision_stays(name):
    _, module, inputs = made(name, np.float32)
    given = leaves(inputs)
    loss = number(module(*given))
    widths = {n.dtype for n in ag.Graph(loss).nodes if n.dtype.kind == "f"}
    assert widths == {np.dtype(np.float32)}
    loss.backward()
    for t in (*given, *module.parameters()):
        assert not t.requires_grad or t.grad.dtype == np.float32
    double = made(name)[1]
    double.load_state_dict(module.state_dict())
    expected = value(double(*(x.astype(float) if x.dtype.kind == "f" else x for x in inputs)))
    np.testing.assert_allclose(value(module(*inputs)), expected, rtol=2e-5, atol=2e-5)


@each_unit
def test_what_it_holds_and_how_it_shows(name):
    unit, module, _ = made(name)
    assert {n: p.shape for n, p in module.named_parameters()} == unit.parameters
    assert repr(module) == unit.shows


@each_unit
def test_its_state_moves_to_another(name):
    unit, module, inputs = made(name)
    module(*inputs)  # moves running estimates
    state = module.state_dict()
    other = shaken(unit.make(np.float64), seed=6)
    other.load_state_dict(state)
    for a, b in ((module, other), (module.eval(), other.eval())):
        np.testing.assert_array_equal(value(a(*inputs)), value(b(*inputs)))
    assert all(not np.shares_memory(x, p.numpy(force=True))
               for x, p in zip(state.values(), module.parameters(), strict=False))


@each_unit
def test_a_replay_follows_its_inputs(name):
    unit, module, inputs = made(name)
    module.eval()
    given = leaves(inputs)
    graph = ag.Graph(number(module(*given)))
    for seed in (1, 2, 3, 4):
        fresh = sample(unit, seed=seed)
        for t, x in zip(given, fresh, strict=True):
            t.data = x
        np.testing.assert_allclose(
            graph.fprop(), number(module(*fresh)).item(), rtol=1e-12)


@each_unit
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_training_is_eager_training(name, dtype):
    """Twenty steps; buffers and gradients too."""
    unit, _, inputs = made(name, dtype)
    modules = [shaken(unit.make(dtype)) for _ in range(2)]
    shape = value(modules[0](*inputs)).shape
    modules[1](*inputs)
    target = np.random.default_rng(1).standard_normal(shape).astype(dtype)

    def training(module):
        parameters = module.parameters()
        optimizer = nn.optim.SGD(parameters, lr=0.02, momentum=0.9) if parameters else None

        def step(*inputs):
            module.zero_grad()
            loss = nn.losses.mse(module(*inputs), target)
            if optimizer is not None:
                loss.backward()
                optimizer.step()
            return loss.detach()

        return step

    eager, plain = training(modules[0]), training(modules[1])
    step = ag.compile(plain)
    tolerance = {"rtol": 1e-10, "atol": 1e-12} if dtype == np.float64 else {
        "rtol": 2e-3, "atol": 2e-5}
    for seed in range(20):
        given = [ag.tensor(x) for x in sample(unit, dtype, seed)]
        np.testing.assert_allclose(step(*given).item(), eager(*given).item(), **tolerance)
    a, b = modules[0].state_dict(), modules[1].state_dict()
    assert a.keys() == b.keys()
    for key in a:
        assert a[key].dtype == b[key].dtype == dtype
        np.testing.assert_allclose(b[key], a[key], **tolerance)
    for p, q in zip(modules[0].parameters(), modules[1].parameters(), strict=True):
        np.testing.assert_allclose(q.grad, p.grad, **tolerance)
    assert step.recompiles == 0


def test_the_table_holds_every_module():
    """A new module must be entered, or named here with the file that tests it."""
    elsewhere = {"Module": "module", "Sequential": "neurons_and_layers",
                 "MLP": "neurons_and_layers", "Dropout": "more_units",
                 "RNN": "recurrent", "LSTM": "recurrent", "GRU": "recurrent"}
    public = {name for name in nn.__all__
              if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Module)}
    covered = {type(unit.make(np.float64)).__name__ for unit in UNITS.values()}
    assert public - elsewhere.keys() == covered
    for name, file in elsewhere.items():
        assert f"nn.{name}" in (Path(__file__).parent / f"test_{file}.py").read_text()
