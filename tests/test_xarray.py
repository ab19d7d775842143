"""Tensors inside xarray's objects: arithmetic in both orders, functions, reductions, gradients."""

import copy
import operator

import numpy as np
import pytest

import autograd_core as ag

xr = pytest.importorskip("xarray")

A = np.array([[0.5, 1.0, 2.0], [1.5, 0.25, 3.0]])
B = np.array([[1.0, 0.5, 0.75], [2.0, 1.25, 0.5]])
D = xr.DataArray(B, dims=("a", "b"), coords={"a": [10, 20]})
V = xr.DataArray(B[0], dims="b")


def wrapped(x):
    return xr.DataArray(x, dims=("a", "b"), coords={"a": [10, 20], "b": [1.0, 2.0, 4.0]})


#: Functions of a DataArray.
FUNCTIONS = {
    "minus": lambda w: -w,
    "abs": lambda w: abs(w - 1.1),
    "exp": lambda w: np.exp(w),
    "arctan2": lambda w: np.arctan2(w, D),
    "maximum": lambda w: np.maximum(w, 0.9),
    "logaddexp": lambda w: np.logaddexp(D, w),
    "apply_ufunc": lambda w: xr.apply_ufunc(lambda x: np.tanh(x) * x, w),
    "along another axis": lambda w: w * V + V / w,
    "isel": lambda w: w.isel(b=1) * w.isel(b=[0, 2]).sum("b"),
    "sel": lambda w: w.sel(b=2.0) + w.sel(a=20, b=4.0),
    "brackets": lambda w: w[0] * w[:, 1:].mean("a"),
    "transpose": lambda w: w.T + w.transpose("b", "a") * 2.0,
    "where": lambda w: w.where(w > 0.8, w**2),
    "xr.where": lambda w: xr.where(w > 0.8, w, 0.1 * w),
    "clip": lambda w: w.clip(0.6, 2.5),
    "dot": lambda w: w.dot(D, dim="b"),
    "xr.dot": lambda w: xr.dot(w, D, w, dim=["a"]),
    "@": lambda w: w @ D,
    "concat": lambda w: xr.concat([w, w * 2.0, D], "a"),
    "stack": lambda w: w.stack(z=("a", "b")) ** 2,
    "groupby": lambda w: (w.groupby("a") * w.groupby("a").sum()),
    "rolling": lambda w: w.rolling(b=2).mean().isel(b=slice(1, None)),
    "diff": lambda w: w.diff("b"),
    "roll": lambda w: w.roll(b=1) * w,
    "shift": lambda w: w.shift(b=1).fillna(0.5),
    "pad": lambda w: w.pad(b=1, mode="edge") ** 2,
    "expand_dims": lambda w: w.expand_dims("c") * 2.0,
    "broadcast": lambda w: xr.broadcast(V * w.mean("b"), w)[0],
    "astype": lambda w: w.astype(np.float64) * 2,
    "sortby": lambda w: w.sortby("b", ascending=False) * V,
    "coarsen": lambda w: w.coarsen(a=2).mean(),
    "integrate": lambda w: w.integrate("b"),
    "differentiate": lambda w: w.differentiate("b"),
    "weighted": lambda w: w.weighted(V).mean("b"),
    "weights": lambda w: D.weighted(w).mean("b"),
    "Dataset": lambda w: xr.Dataset({"w": w, "d": D}).mean("a")["w"],
    "reduce": lambda w: w.reduce(np.sum, "a"),
    "np.sum": lambda w: np.sum(w * w),
    **{f"{name} of {dim}": lambda w, name=name, dim=dim: getattr(w, name)(dim)
       for name in ("sum", "mean", "max", "min", "prod", "std", "var", "median")
       for dim in (None, "a", ["a", "b"])},
    "sum, NaN kept": lambda w: w.sum("b", skipna=False),
    "cumsum": lambda w: w.cumsum("b"),
}


@pytest.mark.parametrize("f", FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions_of_a_data_array(f):
    expected = f(wrapped(A))
    x = ag.tensor(A, requires_grad=True)
    y = f(wrapped(x))
    assert isinstance(y, xr.DataArray) and isinstance(y.data, ag.Tensor)
    assert y.dims == expected.dims and y.shape == expected.shape
    assert list(y.coords) == list(expected.coords)
    np.testing.assert_allclose(y.data.numpy(force=True), expected.values, rtol=1e-14)
    ag.check_grads(lambda x: f(wrapped(x)).data, A, order=2, rtol=1e-5)
    # A leaf of the user's, wrapped as it is, gets the same gradient, however often it is copied.
    y.data.sum().backward()
    np.testing.assert_allclose(x.grad, ag.grad(lambda x: f(wrapped(x)).data.sum())(A))


@pytest.mark.parametrize("copied", [
    lambda w: w.copy(deep=True), lambda w: w.copy(), copy.copy, copy.deepcopy,
    lambda w: xr.Dataset({"w": w}).copy(deep=True)["w"], lambda w: copy.deepcopy([w])[0],
    lambda w: w.sortby("b", ascending=False), lambda w: copy.deepcopy(w.variable),
    lambda w: xr.align(w, D.assign_coords(b=[1.0, 2.0, 4.0]), copy=True)[0],
])
def test_a_copy_of_an_object_is_no_new_leaf(copied):
    x = ag.tensor(A, requires_grad=True, label="x")
    (copied(wrapped(x)) ** 2).sum().data.backward()
    np.testing.assert_array_equal(x.grad, 2 * A)
    graph = ag.Graph((copied(wrapped(x)) ** 2).sum().data)
    np.testing.assert_allclose(graph.fprop({x: 2 * A}), 4 * np.sum(A**2))
    # The user's own copy of a Tensor is a leaf, also of one that an object holds.
    for own in (copy.deepcopy(x), copy.deepcopy([x])[0], copy.deepcopy(wrapped(x).data)):
        assert own is not x and own.op is None


OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow,
             operator.mod, operator.floordiv, operator.gt, operator.le, operator.eq]


@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.__name__)
@pytest.mark.parametrize(("left", "right"), [
    (wrapped, lambda x: D), (lambda x: D, wrapped), (wrapped, wrapped), (lambda x: x, lambda x: D),
    (lambda x: D, lambda x: x), (wrapped, lambda x: x), (lambda x: x, wrapped),
    (wrapped, lambda x: 2.0), (lambda x: 2.0, wrapped), (wrapped, lambda x: B),
    (lambda x: B, wrapped), (wrapped, lambda x: V), (lambda x: x[0], lambda x: V),
], ids=["w op d", "d op w", "w op w", "t op d", "d op t", "w op t", "t op w", "w op 2", "2 op w",
        "w op b", "b op w", "w op v", "t op v"])
def test_operators_in_both_orders(op, left, right):
    """A Tensor beside a DataArray leaves the operation to it, so the result has names."""
    f = lambda x: op(left(x), right(x))  # noqa: E731
    expected = f(A)
    y = f(ag.tensor(A, requires_grad=True))
    assert isinstance(expected, xr.DataArray) and isinstance(y, xr.DataArray)
    assert isinstance(y.data, ag.Tensor) and y.dims == expected.dims
    np.testing.assert_allclose(y.data.numpy(force=True), expected.values)
    if y.dtype.kind == "f" and op not in (operator.mod, operator.floordiv):
        ag.check_grads(lambda x: f(x).data, A, order=1, rtol=1e-5)


@pytest.mark.parametrize("ufunc", [np.add, np.multiply, np.maximum, np.hypot, np.greater])
def test_ufuncs_of_both(ufunc):
    t = ag.tensor(A, requires_grad=True)
    for args in ((t, D), (D, t), (wrapped(t), t), (t, wrapped(t)), (wrapped(t), D)):
        y = ufunc(*args)
        assert isinstance(y, xr.DataArray) and isinstance(y.data, ag.Tensor)
        plain = [A if x is t else wrapped(A) if x is not D else D for x in args]
        np.testing.assert_allclose(y.data.numpy(force=True), ufunc(*plain).values)


def test_the_operand_decides_not_the_tensor():
    """What it does not know gets NotImplemented, and the other type's answer counts."""
    t = ag.tensor(A)
    assert t.__add__(D) is NotImplemented and t.__radd__(D) is NotImplemented
    assert t.__array_ufunc__(np.add, "__call__", t, D) is NotImplemented
    for op in (operator.matmul, operator.and_):
        with pytest.raises(TypeError):
            op(t, "text")
    # Neither does xarray multiply matrices with what has no names, be it an ndarray.
    for other in (t, A):
        with pytest.raises(TypeError, match="DataArrays"):
            D @ other


def test_a_gradient_through_named_axes():
    def loss(w, b):
        x = xr.DataArray(np.ones((4, 2)), dims=("sample", "feature"))
        h = np.tanh(x.dot(xr.DataArray(w, dims=("feature", "unit")))
                    + xr.DataArray(b, dims="unit"))
        return (h**2).mean().data

    args = (np.array([[0.1, 0.2, -0.3], [0.5, 0.0, 0.4]]), np.array([0.1, -0.1, 0.3]))
    ag.check_grads(loss, *args)
    gw, gb = ag.grad(loss, (0, 1))(*args)
    h = np.tanh(np.ones((4, 2)) @ args[0] + args[1])
    np.testing.assert_allclose(gb, (2 * h * (1 - h**2)).sum(0) / h.size)
    w = ag.tensor(args[0], requires_grad=True)
    loss(w, args[1]).backward()
    np.testing.assert_array_equal(w.grad, gw)


def test_in_every_transform():
    f = lambda x: (wrapped(x) * D).cumsum("b").data  # noqa: E731
    g = lambda x: np.cumsum(x * B, axis=1)  # noqa: E731
    np.testing.assert_allclose(ag.jacobian(f)(A), ag.jacobian(g)(A))
    np.testing.assert_allclose(ag.jvp(f, (A,), (B,))[1], ag.jvp(g, (A,), (B,))[1])
    h = ag.hessian(lambda x: (wrapped(x).prod("b") ** 2).sum().data)(A)
    np.testing.assert_allclose(h, ag.hessian(lambda x: (np.prod(x, 1) ** 2).sum())(A))
    np.testing.assert_allclose(ag.grad(lambda x: ag.checkpoint(f)(x).sum())(A),
                               ag.grad(lambda x: g(x).sum())(A))
    compiled = ag.compile(ag.grad(lambda x: (wrapped(x).mean("a") ** 2).sum().data))
    for k in range(3):
        np.testing.assert_allclose(compiled(A + k), np.stack([(A + k).mean(0)] * 2))


def test_a_graph_from_xarray_replays():
    x = ag.tensor(A, requires_grad=True)
    graph = ag.Graph((wrapped(x).where(wrapped(x) > 1.0, 0.0) * D).sum().data)
    for k in range(3):
        np.testing.assert_allclose(graph.fprop({x: A + k}),
                                   (np.where(A + k > 1, A + k, 0) * B).sum())


def test_a_gradient_is_not_lost_on_the_way_to_numpy():
    w = wrapped(ag.tensor(A, requires_grad=True))
    for read in (lambda: w.values, lambda: w.to_numpy(), lambda: np.asarray(w)):
        with pytest.raises(ag.ConversionError, match="cut the gradient"):
            read()
    assert wrapped(ag.tensor(A)).values.tolist() == A.tolist()
    assert "tensor" in repr(w)
