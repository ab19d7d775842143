"""Values and gradients against PyTorch's, where it has the same thing and is installed."""

import numpy as np
import pytest

import autograd_core as ag
import nn

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[bench]'")
F, T = torch.nn.functional, torch.nn
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def unit(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0.05, 0.95, shape)


def distribution(*shape, seed=0):
    z = np.exp(normal(*shape, seed=seed))
    return z / z.sum(-1, keepdims=True)


def value(t):
    return t.numpy(force=True)


def outputs_of(result):
    """The arrays in a result, nested or not."""
    if isinstance(result, tuple):
        return [x for part in result for x in outputs_of(part)]
    return [result]


def total(outputs):
    """A number that depends on each value in its own way."""
    sums = 0.0
    for k, y in enumerate(outputs):
        weights = np.cos(k + np.arange(np.prod(y.shape, dtype=int))).reshape(tuple(y.shape))
        sums = sums + (y * (weights if isinstance(y, ag.Tensor) else torch.tensor(weights))).sum()
    return sums


def to_theirs(ours, theirs):
    """Give PyTorch's module our weights; those of linear maps are transposed."""
    state = {}
    for name, array in ours.state_dict().items():
        expected = theirs.state_dict()[name].shape
        linear = isinstance(ours, nn.Linear) and name == "weight"
        bilinear = isinstance(ours, nn.Bilinear) and name == "weight"
        array = array.T if linear else array.transpose(2, 0, 1) if bilinear else array
        assert array.shape == tuple(expected), name
        state[name] = torch.tensor(np.ascontiguousarray(array))
    theirs.load_state_dict(state, strict=False)


def in_our_layout(ours, name, gradient):
    if name == "weight" and isinstance(ours, nn.Linear):
        return gradient.T
    if name == "weight" and isinstance(ours, nn.Bilinear):
        return gradient.transpose(1, 2, 0)
    return gradient


def agree(ours, theirs, *inputs, rtol=1e-9):
    """One pass forward and backward of both."""
    a = [ag.tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs]
    b = [torch.tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs]
    ys, zs = outputs_of(ours(*a)), outputs_of(theirs(*b))
    for y, z in zip(ys, zs, strict=True):
        assert y.shape == tuple(z.shape)
        np.testing.assert_allclose(value(y), z.detach().numpy(), rtol=rtol, atol=1e-10)
    total(ys).backward()
    total(zs).backward()
    for x, t in zip(a, b, strict=True):
        if t.requires_grad:
            np.testing.assert_allclose(x.grad, t.grad.numpy(), rtol=rtol, atol=1e-10)
    if isinstance(ours, nn.Module):
        theirs_by_name = dict(theirs.named_parameters())
        for name, p in ours.named_parameters():
            expected = in_our_layout(ours, name, theirs_by_name[name].grad.numpy())
            np.testing.assert_allclose(p.grad, expected, rtol=rtol, atol=1e-10, err_msg=name)


D = {"dtype": np.float64}
LAYERS = {
    "Linear": (lambda: nn.Linear(3, 2, rng=0, **D), lambda: T.Linear(3, 2), [normal(4, 3)]),
    "Bilinear": (lambda: nn.Bilinear(3, 4, 2, rng=0, **D), lambda: T.Bilinear(3, 4, 2),
                 [normal(5, 3), normal(5, 4, seed=1)]),
    "Embedding": (lambda: nn.Embedding(5, 3, rng=0, **D), lambda: T.Embedding(5, 3),
                  [np.array([[0, 4, 4], [1, 0, 4]])]),
    "Flatten": (lambda: nn.Flatten(), lambda: T.Flatten(), [normal(2, 3, 4)]),
    "LayerNorm": (lambda: nn.LayerNorm((3, 4), **D), lambda: T.LayerNorm((3, 4)),
                  [normal(2, 3, 4)]),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(3, **D), lambda: T.BatchNorm1d(3), [normal(5, 3)]),
    "BatchNorm1d of sequences": (lambda: nn.BatchNorm1d(3, **D), lambda: T.BatchNorm1d(3),
                                 [normal(5, 3, 4)]),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(3, **D), lambda: T.BatchNorm2d(3),
                    [normal(2, 3, 4, 5)]),
    "Conv2d": (lambda: nn.Conv2d(2, 3, 3, rng=0, **D), lambda: T.Conv2d(2, 3, 3),
               [normal(2, 2, 5, 6)]),
    "Conv2d, strided and padded": (
        lambda: nn.Conv2d(2, 3, (3, 2), (2, 1), (1, 2), rng=0, **D),
        lambda: T.Conv2d(2, 3, (3, 2), (2, 1), (1, 2)), [normal(2, 2, 5, 6)]),
    "Conv2d of the same size": (
        lambda: nn.Conv2d(2, 3, (2, 3), padding="same", rng=0, **D),
        lambda: T.Conv2d(2, 3, (2, 3), padding="same"), [normal(2, 2, 5, 6)]),
    "MaxPool2d": (lambda: nn.MaxPool2d(2), lambda: T.MaxPool2d(2), [normal(2, 2, 5, 6)]),
    "MaxPool2d that overlaps": (
        lambda: nn.MaxPool2d(3, 2, 1), lambda: T.MaxPool2d(3, 2, 1), [normal(2, 2, 5, 6)]),
    "AvgPool2d": (lambda: nn.AvgPool2d((2, 3), padding=1), lambda: T.AvgPool2d((2, 3), padding=1),
                  [normal(2, 2, 5, 6)]),
    "AvgPool2d that overlaps": (lambda: nn.AvgPool2d(3, 1), lambda: T.AvgPool2d(3, 1),
                                [normal(2, 2, 5, 6)]),
    "PReLU": (lambda: nn.PReLU(3, **D), lambda: T.PReLU(3), [normal(4, 3, 2)]),
    "LeakyReLU": (lambda: nn.LeakyReLU(0.2), lambda: T.LeakyReLU(0.2), [normal(4, 3)]),
    "ELU": (lambda: nn.ELU(0.7), lambda: T.ELU(0.7), [normal(4, 3)]),
    "GELU": (lambda: nn.GELU(), lambda: T.GELU(), [normal(4, 3)]),
    "GELU tanh": (lambda: nn.GELU("tanh"), lambda: T.GELU("tanh"), [normal(4, 3)]),
    "Softmax": (lambda: nn.Softmax(1), lambda: T.Softmax(1), [normal(4, 3, 2)]),
    "LogSoftmax": (lambda: nn.LogSoftmax(-1), lambda: T.LogSoftmax(-1), [normal(4, 3)]),
    **{name: (lambda name=name: getattr(nn, name)(), lambda name=name: getattr(T, name)(),
              [normal(4, 3)])
       for name in ("Hardtanh", "Identity", "ReLU", "SELU", "SiLU", "Sigmoid", "Softplus",
                    "Softsign", "Tanh")},
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer(name):
    make, make_theirs, inputs = LAYERS[name]
    ours, theirs = make(), make_theirs().double()
    to_theirs(ours, theirs)
    agree(ours, theirs, *inputs)


KINKS = np.array([-1.0, -0.0, 0.0, 1.0])


@pytest.mark.parametrize("name", ["ReLU", "LeakyReLU", "ELU", "SELU", "Hardtanh", "PReLU"])
def test_slopes_at_kinks(name):
    ours = nn.PReLU(**D) if name == "PReLU" else getattr(nn, name)()
    agree(ours, getattr(T, name)().double(), KINKS)


def test_running_estimates():
    ours, theirs = nn.BatchNorm1d(3, momentum=0.2, **D), T.BatchNorm1d(3, momentum=0.2).double()
    for seed in range(3):
        x = 2 * normal(6, 3, seed=seed) + 1
        ours(x)
        theirs(torch.tensor(x))
    for name in ("running_mean", "running_var"):
        np.testing.assert_allclose(ours.state_dict()[name], getattr(theirs, name).numpy(),
                                   rtol=1e-12)
    agree(ours.eval(), theirs.eval(), normal(4, 3, seed=9))


# Recurrent layers: the state dicts are the same. -------------------------------------------------


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("options", [{}, {"num_layers": 3}, {"bias": False}], ids=str)
def test_a_recurrent_layer(kind, options):
    theirs = getattr(T, kind)(3, 4, batch_first=True, **options).double()
    ours = getattr(nn, kind)(3, 4, rng=0, **D, **options)
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict({name: t.numpy() for name, t in state.items()})
    agree(ours, theirs, normal(2, 5, 3))


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_sequences_of_differing_length_with_a_state(kind):
    theirs = getattr(T, kind)(3, 4, num_layers=2, batch_first=True).double()
    ours = getattr(nn, kind)(3, 4, num_layers=2, **D)
    ours.load_state_dict({name: t.numpy() for name, t in theirs.state_dict().items()})
    lengths = np.array([5, 2, 1, 4])
    states = [normal(2, 4, 4, seed=i) for i in range(2 if kind == "LSTM" else 1)]

    def run_ours(x, *state):
        return ours(x, state, lengths=lengths)

    def run_theirs(x, *state):
        packed = T.utils.rnn.pack_padded_sequence(x, lengths, True, enforce_sorted=False)
        output, final = theirs(packed, state if len(state) > 1 else state[0])
        return T.utils.rnn.pad_packed_sequence(output, True)[0], final

    agree(run_ours, run_theirs, normal(4, 5, 3), *states)
    for name, p in ours.named_parameters():
        expected = dict(theirs.named_parameters())[name].grad.numpy()
        np.testing.assert_allclose(p.grad, expected, rtol=1e-9, atol=1e-11, err_msg=name)


# Losses. -----------------------------------------------------------------------------------------

LABELS, SIGNS = np.array([0, 2, 1, 2]), np.sign(normal(4, 3, seed=5))
PER_CLASS = np.array([0.5, 2.0, 1.5])


def per_class():
    return torch.tensor(PER_CLASS)


LOSSES = {
    "mse": (nn.losses.mse, F.mse_loss, [normal(4, 3), normal(4, 3, seed=1)]),
    "mae": (nn.losses.mae, F.l1_loss, [normal(4, 3), normal(4, 3, seed=1)]),
    "huber": (lambda p, t, **o: nn.losses.huber(p, t, delta=0.7, **o),
              lambda p, t, **o: F.huber_loss(p, t, delta=0.7, **o),
              [normal(4, 3), normal(4, 3, seed=1)]),
    "bce": (nn.losses.bce, F.binary_cross_entropy, [unit(4, 3), unit(4, 3, seed=1)]),
    "bce_with_logits": (nn.losses.bce_with_logits, F.binary_cross_entropy_with_logits,
                        [normal(4, 3), unit(4, 3, seed=1)]),
    "cross_entropy": (nn.losses.cross_entropy, F.cross_entropy, [normal(4, 3), LABELS]),
    "cross_entropy weighted": (
        lambda z, y, **o: nn.losses.cross_entropy(z, y, class_weight=PER_CLASS, **o),
        lambda z, y, **o: F.cross_entropy(z, y, weight=per_class(), **o), [normal(4, 3), LABELS]),
    "cross_entropy smoothed": (
        lambda z, y, **o: nn.losses.cross_entropy(z, y, label_smoothing=0.1, **o),
        lambda z, y, **o: F.cross_entropy(z, y, label_smoothing=0.1, **o),
        [normal(4, 3), LABELS]),
    "cross_entropy smoothed and weighted": (
        lambda z, y, **o: nn.losses.cross_entropy(z, y, label_smoothing=0.1,
                                                  class_weight=PER_CLASS, **o),
        lambda z, y, **o: F.cross_entropy(z, y, label_smoothing=0.1, weight=per_class(), **o),
        [normal(4, 3), LABELS]),
    "nll": (nn.losses.nll, F.nll_loss, [np.log(distribution(4, 3)), LABELS]),
    "gaussian_nll": (lambda m, t, v, **o: nn.losses.gaussian_nll(m, t, v, full=True, **o),
                     lambda m, t, v, **o: F.gaussian_nll_loss(m, t, v, full=True, **o),
                     [normal(4, 3), normal(4, 3, seed=1), unit(4, 3, seed=2)]),
    "poisson_nll": (nn.losses.poisson_nll, F.poisson_nll_loss,
                    [normal(4, 3), 3 * unit(4, 3, seed=1)]),
    "hinge": (nn.losses.hinge,
              lambda z, t, **o: F.hinge_embedding_loss(t * z, -torch.ones_like(z), 1.0, **o),
              [normal(4, 3), SIGNS]),
    "perceptron": (nn.losses.perceptron,
                   lambda z, t, **o: F.hinge_embedding_loss(t * z, -torch.ones_like(z), 0.0, **o),
                   [normal(4, 3), SIGNS]),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_loss(name, reduction):
    ours, theirs, inputs = LOSSES[name]
    if name in ("bce", "gaussian_nll", "poisson_nll", "bce_with_logits", "hinge", "perceptron"):
        inputs = [inputs[0], *(x.copy() for x in inputs[1:])]

    def first(f, *given):  # the gradients are those by the prediction
        return f(given[0], *(x.detach() for x in given[1:]), reduction=reduction)

    a, b = ag.tensor(inputs[0], requires_grad=True), torch.tensor(inputs[0], requires_grad=True)
    y = first(ours, a, *map(ag.tensor, inputs[1:]))
    z = first(theirs, b, *map(torch.tensor, inputs[1:]))
    np.testing.assert_allclose(value(y), z.detach().numpy(), rtol=1e-10, atol=1e-12)
    total([y]).backward()
    total([z]).backward()
    np.testing.assert_allclose(a.grad, b.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_kl_div_is_their_batchmean():
    q, p = np.log(distribution(4, 3)), distribution(4, 3, seed=1)
    expected = F.kl_div(torch.tensor(q), torch.tensor(p), reduction="batchmean").item()
    assert value(nn.losses.kl_div(ag.tensor(q), p)) == pytest.approx(expected, rel=1e-12)


def test_class_weights_of_bce_are_their_pos_weight():
    z, y = normal(4, 3), unit(4, 3, seed=1)
    expected = F.binary_cross_entropy_with_logits(
        torch.tensor(z), torch.tensor(y), pos_weight=torch.tensor(3.0), reduction="none")
    found = nn.losses.bce_with_logits(z, y, class_weight=[1, 3], reduction="none")
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-12)


def test_the_gaussian_mixture_is_their_distribution():
    raw, t = normal(5, 3 * (1 + 2 * 2)), normal(5, 2, seed=1)
    logits, means, scales = raw[:, :3], raw[:, 3:9].reshape(5, 3, 2), np.exp(raw[:, 9:])
    distributions = torch.distributions
    mixture = distributions.MixtureSameFamily(
        distributions.Categorical(logits=torch.tensor(logits)),
        distributions.Independent(distributions.Normal(
            torch.tensor(means), torch.tensor(scales.reshape(5, 3, 2))), 1))
    expected = -mixture.log_prob(torch.tensor(t)).numpy()
    found = nn.losses.mdn_nll(ag.tensor(raw), t, reduction="none")
    np.testing.assert_allclose(value(found), expected, rtol=1e-12)
    head = nn.MixtureDensity(1, 2, 3, rng=0)
    np.testing.assert_allclose(head.mean(raw), mixture.mean.numpy(), rtol=1e-10)


# Initialisation. ---------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "leaky_relu", "selu"])
def test_gains(activation):
    assert nn.init.gain(activation) == pytest.approx(T.init.calculate_gain(activation))
