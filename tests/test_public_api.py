"""What `import autograd_core as ag` gives, and what it costs."""

import inspect
import subprocess
import sys

import numpy as np
import pytest

import autograd_core as ag

NAMES = [
    "Tensor", "tensor", "array", "Value", "Graph", "no_grad", "stop_gradient", "primitive",
    "check_grads", "grad", "value_and_grad", "elementwise_grad", "vjp", "jvp", "jacobian",
    "hessian", "hvp", "html_page", "render", "to_dot", "to_mermaid", "to_svg", "to_text",
    "observed", "relu", "sigmoid",
    "softplus", "softmax",
    "log_softmax", "logsumexp", "ShapeError", "GradientError", "ConversionError",
    "MutationError", "MissingRuleError", "StaleGraphError", "GradientCheckError", "GradientCheck",
    "RenderError", "grad_and_aux", "deriv", "ggnvp", "checkpoint", "custom_vjp",
    "compile", "is_compiling", "guard", "callback", "CompileError",
    "writable", "write_file", "random", "scope", "debug_nans", "NonFiniteError",
    "asarray", "full", "fill_diagonal",
    "put_along_axis", "Pack", "kaiser",
]


@pytest.mark.parametrize("name", NAMES)
def test_the_name_is_public_and_documented(name):
    assert name in ag.__all__
    assert inspect.getdoc(getattr(ag, name))


def test_everything_listed_is_there():
    assert sorted(ag.__all__) == sorted(set(ag.__all__))
    for name in ag.__all__:
        assert hasattr(ag, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ag.nothing  # noqa: B018


def test_special_is_there_for_who_asks_and_not_before():
    """`import *` neither needs SciPy nor loads it."""
    run = "from autograd_core import *; import sys; assert 'scipy' not in sys.modules"
    subprocess.run([sys.executable, "-c", run], check=True)
    assert "special" in dir(ag) and "special" not in ag.__all__
    assert inspect.getdoc(ag.special)


def test_signatures():
    def parameters(f):
        return [f"{p.name}={p.default!r}" if p.default is not p.empty else str(p)
                for p in inspect.signature(f).parameters.values()]

    def names(f):
        return [p.name for p in inspect.signature(f).parameters.values()]

    assert names(ag.tensor) == ["data", "requires_grad", "dtype", "label"]
    assert names(ag.Tensor.backward) == ["self", "grad", "create_graph"]
    assert names(ag.Graph.fprop) == ["self", "feed"]
    assert names(ag.vjp) == ["f", "args"] and names(ag.jvp) == ["f", "primals", "tangents"]
    assert names(ag.hvp) == ["f", "x", "v"]
    assert names(ag.check_grads)[:3] == ["f", "args", "order"]
    for transform in (ag.grad, ag.value_and_grad, ag.jacobian, ag.hessian, ag.elementwise_grad,
                      ag.grad_and_aux, ag.deriv):
        assert names(transform) == ["f", "argnums", "holomorphic"]
        assert "holomorphic=False" in parameters(transform)
        assert inspect.signature(transform).parameters["argnums"].default == 0
    assert parameters(ag.array)[1] == "dtype=None"


METHODS = [
    "backward", "detach", "numpy", "item", "tolist", "zero_grad", "retain_grad", "assign",
    "sum", "mean", "var", "std", "max", "min", "prod", "cumsum", "argmax", "argmin", "all",
    "any", "reshape", "ravel", "flatten", "transpose", "swapaxes", "squeeze", "repeat", "take",
    "cumprod", "argsort", "argpartition", "searchsorted", "nonzero", "choose", "compress",
    "diagonal", "trace", "dot", "clip", "round", "astype", "copy", "exp", "log", "sqrt", "sin",
    "cos", "tanh", "abs", "relu", "sigmoid", "conj", "conjugate", "__add__", "__radd__", "__sub__",
    "__rsub__",
    "__mul__", "__rmul__", "__truediv__", "__rtruediv__", "__pow__", "__rpow__", "__matmul__",
    "__rmatmul__", "__neg__", "__abs__", "__eq__", "__ne__", "__lt__", "__le__", "__gt__",
    "__ge__", "__getitem__", "__len__", "__iter__", "__bool__", "__float__", "__int__",
    "__array__", "__hash__", "__repr__",
]


@pytest.mark.parametrize("name", METHODS)
def test_the_method_exists(name):
    assert callable(getattr(ag.Tensor, name))


@pytest.mark.parametrize("name", [
    "data", "grad", "shape", "dtype", "ndim", "size", "T", "mT", "label", "requires_grad",
    "is_leaf", "at", "real", "imag",
])
def test_the_property_exists(name):
    assert isinstance(getattr(ag.Tensor, name), property)
    assert hasattr(ag.tensor(np.ones((2, 2))), name)


@pytest.mark.parametrize("name", [
    "sum", "mean", "var", "std", "max", "min", "prod", "cumsum", "argmax", "argmin", "all",
    "any", "ravel", "transpose", "squeeze", "repeat", "diagonal", "trace", "clip", "round",
])
def test_methods_take_what_ndarray_s_take(name):
    x = np.array([[1.0, 2.5, -3.0], [0.5, 2.0, 1.0]])
    arguments = {"repeat": (2,), "clip": (0.0, 1.0)}.get(name, ())
    expected = getattr(x, name)(*arguments)
    np.testing.assert_array_equal(getattr(ag.tensor(x), name)(*arguments).data, expected)
    if "axis" in (getattr(np.ndarray, name).__text_signature__ or "axis") and name not in (
            "ravel", "transpose", "squeeze", "diagonal", "trace", "clip", "round", "repeat"):
        np.testing.assert_array_equal(
            getattr(ag.tensor(x), name)(axis=1).data, getattr(x, name)(axis=1))


@pytest.mark.parametrize(("name", "args", "kwargs"), [
    ("cumprod", (1,), {}), ("argsort", (), {"axis": 0, "kind": "stable"}), ("argsort", (), {}),
    ("argpartition", (1,), {"axis": 1}), ("choose", ([[9.0, 8.0, 7.0], [1.0, 2.0, 3.0]],), {}),
    ("compress", ([True, False, True], 1), {}), ("compress", ([True, False, True],), {"axis": 1}),
    ("max", (0, None, True), {"initial": 1.0}), ("min", (), {"where": True, "initial": 9.0}),
    ("mean", (), {"where": np.array([True, False, True])}), ("prod", (), {"initial": 3.0}),
    ("var", (1, None, None, 1), {"keepdims": True}), ("std", (), {"mean": 0.5}),
    ("take", ([4, -5],), {"mode": "wrap"}), ("take", ([5], 1, None, "clip"), {}),
    ("trace", (), {"dtype": np.float32}), ("clip", (0.0,), {"out": None}), ("round", (1, None), {}),
    ("reshape", (3, 2), {"copy": True}), ("astype", (np.float32,), {"casting": "same_kind"}),
    ("astype", (complex, "C", "safe", False, False), {}), ("copy", ("F",), {}),
    ("ravel", ("F",), {}), ("flatten", (), {"order": "F"}), ("dot", (np.eye(3), None), {}),
    ("all", (), {"where": np.array([True, False, False])}), ("nonzero", (), {}),
])
def test_methods_take_the_arguments_of_ndarray_s(name, args, kwargs):
    x = np.array([[1.0, 2.5, -3.0], [0.5, 2.0, 1.0]])
    x = (x > 1).astype(int) if name == "choose" else x
    expected, y = getattr(x, name)(*args, **kwargs), getattr(ag.tensor(x), name)(*args, **kwargs)
    if name != "nonzero":
        expected, y = (expected,), (y,)
    for one, other in zip(y, expected, strict=True):
        np.testing.assert_array_equal(one.data, other)
        assert one.dtype == other.dtype


def test_searchsorted_is_a_method():
    x = np.array([0.5, 1.0, 2.0])
    assert ag.tensor(x).searchsorted([1.0, 3.0], "right").data.tolist() == [2, 3]
    with pytest.raises(TypeError, match="casting='safe' does not allow float64 to become float32"):
        ag.tensor(x).astype(np.float32, casting="safe")


@pytest.mark.parametrize("name", ["fill", "put", "sort", "partition", "resize"])
def test_methods_that_write_say_what_to_write_instead(name):
    t = ag.tensor([2.0, 1.0])
    with pytest.raises(TypeError, match=rf"t\.{name}\(.*test_public_api.py.*write `t = "):
        getattr(t, name)(1)
    assert t.data.tolist() == [2.0, 1.0]


HEAVY = "matplotlib graphviz pygraphviz scipy sklearn tqdm PIL"


def test_importing_loads_nothing_heavy():
    code = f"import sys, autograd_core; print(*[m for m in {HEAVY.split()} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_importing_adds_few_modules_to_numpy_s():
    code = (
        "import sys, numpy; before = set(sys.modules); import autograd_core;"
        "ours = ('autograd_core', 'numpy');"
        "print(*sorted(m for m in set(sys.modules) - before if not m.startswith(ours)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(run.stdout.split()) <= 25, run.stdout


def test_the_version_is_the_distribution_s():
    from importlib import metadata

    try:
        assert metadata.version("autograd-core") == ag.__version__
    except metadata.PackageNotFoundError:
        pytest.skip("not installed")


def test_types_are_shipped():
    from importlib import resources

    assert resources.files("autograd_core").joinpath("py.typed").is_file()
