"""Losses against formulas written down independently, where they could overflow too."""

import math

import numpy as np
import pytest
from finite_differences import slopes_of_array

import autograd_core as ag
import nn
from nn.losses import bce_with_logits, cross_entropy, mse

RNG = np.random.default_rng(0)
LOGITS = RNG.standard_normal((6, 4)) * 3
LABELS = np.array([0, 3, 1, 1, 2, 0])
ZEROS_AND_ONES = RNG.integers(0, 2, (6, 4)).astype(float)
PROBABILITIES = RNG.uniform(size=(6, 4))


def sigmoid(z):
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def gradient(loss, prediction, target):
    leaf = ag.tensor(prediction, requires_grad=True)
    loss(leaf, target).backward()
    return leaf.grad


# Values. -----------------------------------------------------------------------------------------


def test_mse_value():
    total = 0.0
    for p, t in zip(LOGITS.ravel(), PROBABILITIES.ravel(), strict=True):
        total += (p - t) ** 2
    assert mse(ag.tensor(LOGITS), PROBABILITIES).item() == pytest.approx(total / 24, rel=1e-13)


@pytest.mark.parametrize("target", [ZEROS_AND_ONES, PROBABILITIES])
def test_bce_value(target):
    total = 0.0
    for z, y in zip(LOGITS.ravel(), target.ravel(), strict=True):
        total -= y * math.log(sigmoid(z)) + (1 - y) * math.log(sigmoid(-z))
    value = bce_with_logits(ag.tensor(LOGITS), target).item()
    assert value == pytest.approx(total / 24, rel=1e-13)


def test_cross_entropy_value():
    total = 0.0
    for row, label in zip(LOGITS, LABELS, strict=True):
        exponentials = [math.exp(z) for z in row]
        total -= math.log(exponentials[label] / math.fsum(exponentials))
    value = cross_entropy(ag.tensor(LOGITS), LABELS).item()
    assert value == pytest.approx(total / 6, rel=1e-13)


def test_cross_entropy_of_equal_logits_is_the_logarithm_of_the_classes():
    assert cross_entropy(ag.tensor(np.zeros((5, 10))), np.arange(5)).item() == pytest.approx(
        math.log(10), rel=1e-15
    )


def test_cross_entropy_of_two_classes_is_binary_cross_entropy():
    z = LOGITS[:, 0]
    y = ZEROS_AND_ONES[:, 0]
    two = np.stack([np.zeros(6), z], axis=1)
    assert cross_entropy(ag.tensor(two), y.astype(int)).item() == pytest.approx(
        bce_with_logits(ag.tensor(z), y).item(), rel=1e-13
    )


@pytest.mark.parametrize("loss", [mse, bce_with_logits])
@pytest.mark.parametrize("shape", [(), (1,), (5,), (5, 1), (2, 3, 4)])
def test_any_shape_averages_over_all_elements(loss, shape):
    z, y = RNG.standard_normal(shape), RNG.uniform(size=shape)
    value = loss(ag.tensor(z), y)
    single = [loss(ag.tensor(a), b).item()
              for a, b in zip(np.ravel(z), np.ravel(y), strict=True)]
    assert value.shape == () and value.item() == pytest.approx(np.mean(single), rel=1e-13)


@pytest.mark.parametrize(("loss", "target"), [
    (mse, PROBABILITIES), (bce_with_logits, PROBABILITIES), (cross_entropy, LABELS),
])
def test_plain_arrays_and_tensors_give_the_same(loss, target):
    value = loss(ag.tensor(LOGITS, requires_grad=True), ag.tensor(target))
    assert value.requires_grad and value.item() == loss(LOGITS, target)
    assert np.array_equal(gradient(loss, LOGITS, target),
                          gradient(loss, LOGITS, ag.tensor(target)))
    assert np.array_equal(gradient(loss, LOGITS, target),
                          gradient(loss, LOGITS, target.tolist()))


# Extreme logits; a warning would be an error. ----------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("z", "y", "value", "slope"), [
    (1000.0, 1.0, 0.0, 0.0),
    (1000.0, 0.0, 1000.0, 1.0),
    (-1000.0, 0.0, 0.0, 0.0),
    (-1000.0, 1.0, 1000.0, -1.0),
    (1000.0, 0.25, 750.0, 0.75),
    (0.0, 0.0, math.log(2), 0.5),
    (0.0, 1.0, math.log(2), -0.5),
])
def test_bce_at_extreme_logits(z, y, value, slope, dtype):
    leaf = ag.tensor([z], requires_grad=True, dtype=dtype)
    loss = bce_with_logits(leaf, np.array([y], dtype))
    loss.backward()
    assert loss.item() == pytest.approx(value, rel=1e-6, abs=1e-30)
    assert leaf.grad[0] == pytest.approx(slope, rel=1e-6, abs=1e-30)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("z", "label", "value", "slope"), [
    ([1000.0, 0.0, -1000.0], 0, 0.0, [0, 0, 0]),
    ([1000.0, 0.0, -1000.0], 1, 1000.0, [1, -1, 0]),
    ([1000.0, 0.0, -1000.0], 2, 2000.0, [1, 0, -1]),
    ([1000.0, 1000.0, -1000.0], 0, math.log(2), [-0.5, 0.5, 0]),
    ([-1000.0, -1000.0, -1000.0], 0, math.log(3), [-2 / 3, 1 / 3, 1 / 3]),
])
def test_cross_entropy_at_extreme_logits(z, label, value, slope, dtype):
    leaf = ag.tensor([z], requires_grad=True, dtype=dtype)
    loss = cross_entropy(leaf, np.array([label]))
    loss.backward()
    assert loss.item() == pytest.approx(value, rel=1e-6, abs=1e-30)
    np.testing.assert_allclose(leaf.grad, [slope], rtol=1e-6, atol=1e-30)


def test_bce_keeps_small_losses_of_confident_right_answers():
    """ln(1 + e⁻⁴⁰) is 4e-18, which 1 + e⁻⁴⁰ = 1 would lose."""
    value = bce_with_logits(ag.tensor([-40.0]), np.array([0.0])).item()
    assert value == pytest.approx(math.exp(-40), rel=1e-12)


# Gradients. --------------------------------------------------------------------------------------


def test_gradient_of_mse():
    np.testing.assert_allclose(
        gradient(mse, LOGITS, PROBABILITIES), 2 * (LOGITS - PROBABILITIES) / 24, rtol=1e-13
    )
    assert not gradient(mse, LOGITS, LOGITS).any()


@pytest.mark.parametrize("target", [ZEROS_AND_ONES, PROBABILITIES])
def test_gradient_of_bce(target):
    z = LOGITS.copy()
    z[0, 0] = 0.0
    expected = (np.vectorize(sigmoid)(z) - target) / 24
    np.testing.assert_allclose(gradient(bce_with_logits, z, target), expected, rtol=1e-12)


def test_gradient_of_bce_at_zero_is_exact():
    grads = gradient(bce_with_logits, np.zeros(4), np.array([0.0, 1.0, 0.5, 0.25]))
    assert grads.tolist() == [0.125, -0.125, 0.0, 0.0625]


def test_gradient_of_cross_entropy():
    z = LOGITS.copy()
    z[1] = 0.0
    expected = (softmax(z) - np.eye(4)[LABELS]) / 6
    np.testing.assert_allclose(gradient(cross_entropy, z, LABELS), expected, rtol=1e-12)


def test_gradients_with_respect_to_targets():
    target = ag.tensor(PROBABILITIES, requires_grad=True)
    mse(LOGITS, target).backward()
    np.testing.assert_allclose(target.grad, 2 * (PROBABILITIES - LOGITS) / 24, rtol=1e-13)
    target.zero_grad()
    bce_with_logits(ag.tensor(LOGITS), target).backward()
    np.testing.assert_allclose(target.grad, -LOGITS / 24, rtol=1e-13)


@pytest.mark.parametrize(("loss", "target"), [
    (mse, PROBABILITIES[:3]), (bce_with_logits, PROBABILITIES[:3]), (cross_entropy, LABELS[:3]),
])
@pytest.mark.parametrize("at_zero", [False, True])
def test_second_derivatives_are_those_of_finite_differences(loss, target, at_zero):
    z = np.zeros((3, 4)) if at_zero else LOGITS[:3]
    hessian = ag.hessian(lambda a: loss(a, target))(z)
    numerical = slopes_of_array(lambda a: gradient(loss, a, target), z, h=1e-4)
    np.testing.assert_allclose(hessian, numerical, rtol=1e-6, atol=1e-8)


def test_second_derivative_of_bce_is_sigma_times_one_minus_sigma():
    second = ag.grad(ag.grad(lambda z: bce_with_logits(z, np.array(1.0))))
    assert second(0.0) == 0.25
    for z in (-2.0, 0.7, 30.0):
        assert second(z) == pytest.approx(sigmoid(z) * sigmoid(-z), rel=1e-12)


@pytest.mark.parametrize("loss", [mse, bce_with_logits])
@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint8, np.bool_])
def test_integer_targets_do_not_promote(loss, dtype):
    """int64 with float32 makes float64 in NumPy, which would double the work in silence."""
    target = np.array([[0, 1], [1, 0]], dtype)
    z = ag.tensor([[0.5, -1.0], [2.0, 0.0]], requires_grad=True, dtype=np.float32)
    value = loss(z, target)
    assert {n.dtype for n in ag.Graph(value).nodes if n.dtype.kind == "f"} == {np.dtype("f4")}
    assert value.item() == loss(z, target.astype(np.float32)).item()


# Bad input. --------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [mse, bce_with_logits])
@pytest.mark.parametrize(("prediction", "target", "hint"), [
    ((64, 1), (64,), r"target\[:, None\]"),
    ((64,), (64, 1), r"target\[:, 0\]"),
    ((64, 1), (64, 2), "must be equal$"),
    ((1,), (64,), "must be equal$"),
    ((64,), (), "must be equal$"),
    ((), (64,), "must be equal$"),
])
def test_shapes_must_be_equal(loss, prediction, target, hint):
    with pytest.raises(ag.ShapeError, match=hint) as caught:
        loss(ag.tensor(np.ones(prediction)), np.ones(target))
    message = str(caught.value)
    assert message.startswith(loss.__name__)
    assert str(prediction) in message and str(target) in message


@pytest.mark.parametrize(("logits", "labels"), [
    ((64, 1), (64, 1)),
    ((64, 3), (64, 1)),
    ((64, 3), (63,)),
    ((64, 3), (3,)),
    ((64,), (64,)),
    ((64, 3), ()),
    ((2, 64, 3), (64, 2)),
    ((2, 64, 3), (2,)),
])
def test_cross_entropy_shapes(logits, labels):
    with pytest.raises(ag.ShapeError) as caught:
        cross_entropy(ag.tensor(np.ones(logits)), np.zeros(labels, int))
    message = str(caught.value)
    assert message.startswith("cross_entropy")
    assert str(logits) in message and str(labels) in message


def test_cross_entropy_of_one_hot_targets_says_what_to_write():
    with pytest.raises(ag.ShapeError, match=r"argmax\(1\)"):
        cross_entropy(ag.tensor(LOGITS), np.eye(4)[LABELS])


@pytest.mark.parametrize("label", [4, -1, 100, -4])
@pytest.mark.parametrize("wrap", [np.array, ag.tensor, list])
def test_labels_out_of_range(label, wrap):
    labels = [0, 1, label, 2, 3, 0]
    with pytest.raises(ValueError, match=rf"label {label} is out of range for 4 classes \(0 to 3"):
        cross_entropy(ag.tensor(LOGITS), wrap(labels))


def test_labels_at_the_ends_of_the_range_are_fine():
    cross_entropy(ag.tensor(LOGITS), np.array([0, 3, 0, 3, 0, 3], np.uint8))


@pytest.mark.parametrize("dtype", ["i1", "i2", "<i4", ">i4", ">i8", "u1", "u2", ">u4", "u8"])
@pytest.mark.parametrize("classes", [1, 3, 100, 127, 128, 129, 200, 255, 256, 300, 70_000])
def test_a_label_is_out_of_range_in_every_dtype(dtype, classes):
    """Also where it would be in range, were its bits read as unsigned: -1 as int8 is 255."""
    info = np.iinfo(dtype)
    for label in {info.min, -1, 0, 1, 127, 128, classes - 1, classes, classes + 1, info.max}:
        if not info.min <= label <= info.max:
            continue
        labels = np.array([0, label, 0, 0], dtype)
        for seen in (labels, labels[::-1], labels[1::2]):
            if 0 <= label < classes:
                nn.losses.check_labels(seen, classes)
            else:
                with pytest.raises(ValueError, match=f"label {label} is out of range"):
                    nn.losses.check_labels(seen, classes)


@pytest.mark.parametrize("labels", [LABELS.astype(float), LABELS > 1, LABELS.astype(str)])
def test_labels_must_be_integers(labels):
    with pytest.raises(TypeError, match=f"labels must be integers, got {labels.dtype}"):
        cross_entropy(ag.tensor(LOGITS), labels)


@pytest.mark.parametrize(("loss", "target"), [
    (mse, np.ones((0, 4))), (bce_with_logits, np.ones((0, 4))),
    (cross_entropy, np.ones(0, int)),
])
def test_a_loss_of_nothing_raises(loss, target):
    """The mean over nothing is 0/0; NaN would spread into the parameters at the next step."""
    with pytest.raises(ag.ShapeError, match=rf"{loss.__name__}: .*empty.*\(0, 4\)"):
        loss(ag.tensor(np.ones((0, 4)), requires_grad=True), target)


def test_get_a_loss():
    assert nn.losses.get("mse") is mse and nn.losses.get(np.sum) is np.sum
    with pytest.raises(ValueError, match=r"unknown name 'l2'; known are .*'mse'"):
        nn.losses.get("l2")
