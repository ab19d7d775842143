"""Recurrent layers: their equations step by step, lengths, truncation, and long memories."""

import math

import numpy as np
import pytest
from finite_differences import slopes
from units import shaken, sigmoid

import autograd_core as ag
import nn

KINDS = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}
each_kind = pytest.mark.parametrize("kind", KINDS)


def value(t):
    return t.numpy(force=True) if isinstance(t, ag.Tensor) else np.asarray(t)


def made(kind, n_in=3, n_hidden=4, dtype=np.float64, **options):
    return shaken(KINDS[kind](n_in, n_hidden, rng=0, dtype=dtype, **options))


def sequences(batch=3, time=5, features=3, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal((batch, time, features)).astype(dtype)


def parts(state):
    return [value(part) for part in (state if isinstance(state, tuple) else (state,))]


# The equations, one sequence and one step at a time. ----------------------------------------------


def rnn_step(p, x, state):
    (h,) = state
    return (np.tanh(p["weight_ih"] @ x + p["bias_ih"] + p["weight_hh"] @ h + p["bias_hh"]),)


def lstm_step(p, x, state):
    h, c = state
    i, f, g, o = np.split(
        p["weight_ih"] @ x + p["bias_ih"] + p["weight_hh"] @ h + p["bias_hh"], 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_step(p, x, state):
    (h,) = state
    of_x = np.split(p["weight_ih"] @ x + p["bias_ih"], 3)
    of_h = np.split(p["weight_hh"] @ h + p["bias_hh"], 3)
    r, z = sigmoid(of_x[0] + of_h[0]), sigmoid(of_x[1] + of_h[1])
    n = np.tanh(of_x[2] + r * of_h[2])
    return ((1 - z) * n + z * h,)


STEPS = {"RNN": (rnn_step, 1), "LSTM": (lstm_step, 2), "GRU": (gru_step, 1)}


def by_hand(kind, module, x, state=None, lengths=None):
    """Outputs and final state of a stack, sequence by sequence up to its own end."""
    step, n_states = STEPS[kind]
    held, n_hidden = module.state_dict(), module.n_hidden
    batch, time, _ = x.shape
    outputs = np.zeros((batch, time, n_hidden))
    final = [np.zeros((module.num_layers, batch, n_hidden)) for _ in range(n_states)]
    for b in range(batch):
        rows = x[b, : time if lengths is None else lengths[b]]
        for layer in range(module.num_layers):
            p = {name: held.get(f"{name}_l{layer}", 0)
                 for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
            if np.ndim(p["bias_ih"]) == 0:
                p |= dict.fromkeys(("bias_ih", "bias_hh"), np.zeros(len(p["weight_ih"])))
            now = tuple(np.zeros(n_hidden) if state is None else s[layer, b]
                        for s in (state or final))
            new = []
            for row in rows:
                now = step(p, row, now)
                new.append(now[0])
            rows = np.array(new)
            for k in range(n_states):
                final[k][layer, b] = now[k]
        outputs[b, : len(rows)] = rows
    return outputs, final


@each_kind
@pytest.mark.parametrize("options", [{}, {"num_layers": 2}, {"bias": False}], ids=str)
@pytest.mark.parametrize("lengths", [None, [5, 2, 1]], ids=["whole", "lengths"])
@pytest.mark.parametrize("started", [False, True])
def test_it_is_its_equations(kind, options, lengths, started):
    module = made(kind, **options)
    x, state = sequences(), None
    if started:
        rng = np.random.default_rng(1)
        state = tuple(rng.standard_normal((module.num_layers, 3, 4))
                      for _ in range(STEPS[kind][1]))
    expected, final = by_hand(kind, module, x, state, lengths)
    given = state if state is None or len(state) > 1 else state[0]
    for wrap in (lambda a: a, ag.tensor):
        outputs, last = module(wrap(x), given, lengths=lengths)
        np.testing.assert_allclose(value(outputs), expected, rtol=1e-11, atol=1e-13)
        for a, b in zip(parts(last), final, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


@each_kind
def test_names_shapes_and_repr(kind):
    gates = {"RNN": 1, "LSTM": 4, "GRU": 3}[kind]
    module = KINDS[kind](3, 4, num_layers=2, rng=0, truncate=7)
    assert {n: p.shape for n, p in module.named_parameters()} == {
        "weight_ih_l0": (4 * gates, 3), "weight_hh_l0": (4 * gates, 4),
        "bias_ih_l0": (4 * gates,), "bias_hh_l0": (4 * gates,),
        "weight_ih_l1": (4 * gates, 4), "weight_hh_l1": (4 * gates, 4),
        "bias_ih_l1": (4 * gates,), "bias_hh_l1": (4 * gates,),
    }
    assert repr(module) == f"{kind}(3, 4, num_layers=2, truncate=7)"
    assert repr(KINDS[kind](3, 4, bias=False)) == f"{kind}(3, 4, bias=False)"
    for block in np.split(value(module.weight_hh_l0), gates):
        np.testing.assert_allclose(block @ block.T, np.eye(4), atol=1e-6)
    if kind == "LSTM":
        assert value(module.bias_ih_l0).tolist() == [0] * 4 + [1] * 4 + [0] * 8


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("given", "expected"), [
    (None, [1, 1, 1]), (0, [0, 0, 0]), (2.5, [2.5] * 3), (np.log([1, 7, 99]), np.log([1, 7, 99])),
])
def test_the_forget_gate_starts_as_it_is_told(given, expected, dtype):
    """In every layer; all else is as if nothing had been said."""
    options = {} if given is None else {"forget_bias": given}
    model = nn.LSTM(2, 3, num_layers=2, rng=0, dtype=dtype, **options)
    plain = nn.LSTM(2, 3, num_layers=2, rng=0, dtype=dtype)
    for i in range(2):
        bias = getattr(plain, f"bias_ih_l{i}").numpy(force=True).copy()
        assert bias.tolist() == [0] * 3 + [1] * 3 + [0] * 6
        bias[3:6] = expected
        getattr(plain, f"bias_ih_l{i}").assign(bias)
    for name, weight in model.state_dict().items():
        assert weight.dtype == dtype and np.array_equal(weight, plain.state_dict()[name]), name


def test_a_state_is_kept_as_the_forget_bias_says():
    """Without inputs to write, c after T steps is f^T: at ln(T - 1), (1 - 1/T)^T, about 1/e."""
    steps = 50
    x, start = np.zeros((1, steps, 1)), (np.zeros((1, 1, 1)), np.ones((1, 1, 1)))
    for bias, kept in ((0.0, 0.5**steps), (math.log(steps - 1), (1 - 1 / steps) ** steps)):
        zero = nn.init.zeros
        lstm = nn.LSTM(1, 1, forget_bias=bias, init=zero, recurrent_init=zero, dtype=np.float64)
        assert lstm(x, start)[1][1].item() == pytest.approx(kept, rel=1e-12)


# Gradients. ---------------------------------------------------------------------------------------


def number(result):
    outputs, state = result
    total = (outputs * np.cos(np.arange(outputs.size)).reshape(outputs.shape)).sum()
    for k, part in enumerate(state if isinstance(state, tuple) else (state,)):
        total = total + (part * np.sin(k + np.arange(part.size)).reshape(part.shape)).sum()
    return total


@each_kind
@pytest.mark.parametrize("lengths", [None, [3, 1]], ids=["whole", "lengths"])
def test_gradients_are_those_of_differences(kind, lengths):
    module = made(kind, 2, 3, num_layers=2)
    x = sequences(2, 3, 2)
    state = tuple(np.random.default_rng(k).standard_normal((2, 2, 3))
                  for k in range(STEPS[kind][1]))

    def f(x, *state):
        return number(module(x, state, lengths=lengths))

    ag.check_grads(f, x, *state, order=1)
    module.zero_grad()
    f(x, *state).backward()
    for p in module.parameters():
        np.testing.assert_allclose(p.grad, slopes(lambda: f(x, *state).item(), p),
                                   rtol=1e-6, atol=1e-8)


@each_kind
def test_single_precision_stays(kind):
    module = made(kind, dtype=np.float32)
    outputs, state = module(ag.tensor(sequences(dtype=np.float32)), lengths=[5, 2, 1])
    loss = outputs.sum() + sum(part.sum() for part in (
        state if isinstance(state, tuple) else (state,)))
    assert {n.dtype for n in ag.Graph(loss).nodes if n.dtype.kind == "f"} == {np.dtype("f4")}
    loss.backward()
    assert {p.grad.dtype for p in module.parameters()} == {np.dtype("f4")}


# Lengths. -----------------------------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("padding", [0.0, 1e30, np.nan, np.inf])
def test_padding_changes_nothing(kind, padding):
    """Not the outputs, not the state, not a gradient, whatever it holds."""
    module = made(kind, num_layers=2)
    x, lengths = sequences(), np.array([5, 2, 3])
    results = []
    for fill in (-1.0, padding):
        given = x.copy()
        for row, n in zip(given, lengths, strict=True):
            row[n:] = fill
        leaf = ag.tensor(given, requires_grad=True)
        module.zero_grad()
        outputs, state = module(leaf, lengths=lengths)
        (outputs**2).sum().backward()
        results.append([value(outputs), *parts(state), leaf.grad,
                        *(p.grad for p in module.parameters())])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not results[0][0][1, 2:].any() and not leaf.grad[1, 2:].any()


@each_kind
def test_lengths_may_be_an_argument_of_a_compiled_function(kind):
    module = made(kind)
    f = ag.compile(lambda x, n: module(x, lengths=n))
    for seed in range(4):
        x = sequences(seed=seed)
        lengths = np.random.default_rng(seed).integers(1, 6, 3)
        outputs, state = f(x, lengths)
        expected, final = by_hand(kind, module, x, None, lengths)
        np.testing.assert_allclose(value(outputs), expected, rtol=1e-11, atol=1e-13)
        for a, b in zip(parts(state), final, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11)
    assert f.recompiles == 0
    with pytest.raises(ValueError, match="a length of 6; lengths are from 1 to 5"):
        f(x, np.array([1, 6, 2]))


@each_kind
@pytest.mark.parametrize(("x", "options", "error", "message"), [
    ((2, 5, 4), {}, ag.ShapeError, "last axis must hold 3 features"),
    ((5, 3), {}, ag.ShapeError, r"must be \(batch, time, 3\)"),
    ((2, 0, 3), {}, ag.ShapeError, "one step or more"),
    ((2, 5, 3), {"lengths": [5]}, ag.ShapeError, "one for each of the 2 sequences"),
    ((2, 5, 3), {"lengths": [5.0, 1.0]}, ag.ShapeError, "lengths are integers"),
    ((2, 5, 3), {"lengths": [5, 0]}, ValueError, "a length of 0"),
    ((2, 5, 3), {"lengths": [6, 1]}, ValueError, "a length of 6"),
    ((2, 5, 3), {"state": np.zeros((1, 3, 4))}, ag.ShapeError, "a state of shapes"),
    ((2, 5, 3), {"state": (np.zeros((1, 2, 4)),) * 3}, ag.ShapeError, "a state of shapes"),
])
def test_what_is_refused(kind, x, options, error, message):
    with pytest.raises(error, match=f"{kind}: .*{message}"):
        made(kind)(np.ones(x), **options)


def test_settings_that_make_no_sense():
    for options in ({"truncate": 0}, {"num_layers": 0}):
        with pytest.raises(ValueError, match="must be"):
            nn.RNN(2, 3, **options)
    with pytest.raises(ValueError, match=r"LSTM: forget_bias=0\.5, but bias=False"):
        nn.LSTM(2, 3, bias=False, forget_bias=0.5)
    with pytest.raises(ag.ShapeError, match=r"forget_bias has shape \(2,\); .* of the 3 units"):
        nn.LSTM(2, 3, forget_bias=[1.0, 2.0])


# Truncation. --------------------------------------------------------------------------------------


@each_kind
def test_chunks_with_the_state_carried_on_are_the_whole(kind):
    module, x = made(kind), sequences(time=12)
    expected, final = module(x)
    state, outputs = None, []
    for chunk in np.split(x, [3, 7], axis=1):
        output, state = module(chunk, nn.detach(state))
        outputs.append(value(output))
    np.testing.assert_allclose(np.concatenate(outputs, 1), value(expected), rtol=1e-12)
    for a, b in zip(parts(state), parts(final), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@each_kind
@pytest.mark.parametrize("compiled", [False, True])
def test_truncated_gradients_are_those_of_chunks(kind, compiled):
    """The values are those of the whole; gradients stop every four steps."""
    module = made(kind, truncate=4)
    whole = made(kind)
    x = sequences(time=10)
    np.testing.assert_allclose(value(module(x)[0]), value(whole(x)[0]), rtol=1e-12)

    def gradients(module):
        module.zero_grad()
        (module(x)[0] ** 2).sum().backward()
        return [p.grad for p in module.parameters()]

    found = ag.compile(lambda: gradients(module))() if compiled else gradients(module)
    whole.zero_grad()
    state = None
    for chunk in np.split(x, [4, 8], axis=1):
        output, state = whole(chunk, nn.detach(state))
        (output**2).sum().backward()
    for g, p in zip(found, whole.parameters(), strict=True):
        np.testing.assert_allclose(value(g), p.grad, rtol=1e-10, atol=1e-13)
    full = gradients(made(kind))
    assert not np.allclose(value(full[0]), value(found[0]))


@each_kind
def test_no_gradient_crosses_a_cut(kind):
    module = made(kind, truncate=3)
    x = ag.tensor(sequences(time=6), requires_grad=True)
    outputs, _ = module(x)
    outputs[:, 3:].sum().backward()
    assert not x.grad[:, :3].any() and x.grad[:, 3:].all()


# Compiled, and what they learn. -------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("lengths", [False, True])
def test_compiled_training_is_eager_training(kind, dtype, lengths):
    """Twenty steps over one long sequence, the state going in and out."""
    histories = []
    for compiled in (False, True):
        module = made(kind, 2, 5, dtype=dtype)
        head = nn.Linear(5, 1, rng=1, dtype=dtype)
        optimizer = nn.optim.SGD([*module.parameters(), *head.parameters()], lr=0.05, momentum=0.9)

        def step(x, y, state, n, module=module, head=head, optimizer=optimizer):
            optimizer.zero_grad()
            outputs, state = module(x, state, lengths=n if lengths else None)
            loss = nn.losses.mse(head(outputs), y)
            loss.backward()
            optimizer.step()
            return loss.detach(), nn.detach(state)

        run = ag.compile(step) if compiled else step
        state = tuple(np.zeros((1, 3, 5), dtype) for _ in range(STEPS[kind][1]))
        state = state if len(state) > 1 else state[0]
        history = []
        for seed in range(20):
            x = sequences(3, 6, 2, seed, dtype)
            n = np.random.default_rng(seed).integers(1, 7, 3)
            loss, state = run(x, x[:, :, :1] * x[:, :, 1:], state, n if compiled else ag.tensor(n))
            history.append(loss.item())
            state = tuple(map(value, state)) if isinstance(state, tuple) else value(state)
        histories.append([np.array(history), *map(np.array, parts(state)),
                          *(np.array(value(p)) for p in optimizer.parameters)])
    tolerance = {"rtol": 1e-9, "atol": 1e-11} if dtype == np.float64 else {
        "rtol": 5e-3, "atol": 5e-5}
    for a, b in zip(*histories, strict=True):
        np.testing.assert_allclose(b, a, **tolerance)


@each_kind
def test_a_replay_follows_its_inputs(kind):
    module = made(kind)
    x = ag.tensor(sequences())
    graph = ag.Graph(number(module(x, lengths=[5, 2, 1])))
    for seed in (1, 2, 3, 4):
        x.data = sequences(seed=seed)
        expected = number(module(sequences(seed=seed), lengths=[5, 2, 1])).item()
        assert graph.fprop() == pytest.approx(expected, rel=1e-12)


@each_kind
def test_the_state_moves_to_another(kind):
    module, other = made(kind), KINDS[kind](3, 4, rng=9, dtype=np.float64)
    other.load_state_dict(module.state_dict())
    np.testing.assert_array_equal(value(other(sequences())[0]), value(module(sequences())[0]))


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_the_inputs_at_all_times_enter_in_one_product(kind):
    """Two products outside of the loop at most, and one in each step."""
    x = ag.tensor(sequences(time=9))
    graph = ag.Graph(made(kind)(x)[0])
    assert sum(node.op is not None and node.op.name == "matmul" for node in graph.nodes) == 1 + 9
