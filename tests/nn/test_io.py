"""Weights in files: complete or not there, right or refused."""

import json
import os
import stat
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

import autograd_core as ag
import nn


@pytest.fixture
def model():
    return nn.MLP([3, 4, 2], rng=0)


@pytest.fixture
def saved(model, tmp_path):
    return nn.save(model, tmp_path / "weights.safetensors")


def weights(model):
    return {name: np.array(w) for name, w in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(
        np.array_equal(a[k], b[k]) and a[k].dtype == b[k].dtype for k in a
    )


# Round trips. ------------------------------------------------------------------------------------


class Odd(nn.Module):
    """Shapes and memory layouts that a file format could get wrong."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.scalar = nn.Parameter(rng.standard_normal())
        self.empty = nn.Parameter(np.zeros((0, 3)))
        self.columns_first = nn.Parameter(np.asfortranarray(rng.standard_normal((3, 4))))
        self.strided = nn.Parameter(rng.standard_normal((6, 4))[::2, ::-1])
        self.half = nn.Parameter(rng.standard_normal(3).astype(np.float16))
        self.extreme = nn.Parameter([-0.0, np.inf, -np.inf, 5e-324])


@pytest.mark.parametrize("make", [
    lambda seed: nn.MLP([3, 4, 2], rng=seed),
    lambda seed: nn.MLP([3, 4, 2], rng=seed, dtype=np.float64),
    lambda seed: nn.Linear(1, 1, bias=False, rng=seed),
    lambda seed: nn.Sequential(nn.Layer(2, 3, rng=seed), nn.Neuron(3, rng=seed)),
    Odd,
])
@pytest.mark.parametrize("as_text", [False, True])
def test_what_is_saved_is_loaded_bit_for_bit(make, as_text, tmp_path):
    source, target = make(0), make(1)
    path = tmp_path / "weights.safetensors"
    assert nn.save(source, str(path) if as_text else path) == path
    assert nn.load(target, str(path) if as_text else path) is target
    assert same(weights(source), weights(target))
    assert all(p.is_leaf and p.requires_grad for p in target.parameters())


def test_the_file_is_read_by_safetensors_itself(model, saved):
    from safetensors.numpy import load_file

    assert same(load_file(saved), weights(model))


def test_a_loaded_model_predicts_and_trains_alike(model, saved):
    other = nn.load(nn.MLP([3, 4, 2], rng=1), saved)
    x = np.random.default_rng(0).standard_normal((9, 3))
    assert np.array_equal(nn.predict(model, x), nn.predict(other, x))
    for m in (model, other):
        nn.fit(m, x, np.ones((9, 2)), epochs=2, seed=0, progress=False)
    assert same(weights(model), weights(other))


def test_loading_casts_to_the_dtype_of_the_model(saved):
    other = nn.load(nn.MLP([3, 4, 2], rng=1, dtype=np.float64), saved)
    assert {p.dtype for p in other.parameters()} == {np.dtype(np.float64)}


def test_saving_replaces_what_was_there(model, saved):
    other = nn.MLP([3, 4, 2], rng=1)
    nn.save(other, saved)
    assert same(weights(nn.load(model, saved)), weights(other))
    assert os.listdir(saved.parent) == [saved.name]


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_the_file_gets_the_permissions_of_any_new_file(saved):
    ordinary = saved.with_name("ordinary")
    ordinary.touch()
    assert stat.S_IMODE(saved.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


# Files that are refused, the model unchanged. ----------------------------------------------------


def header(tensors):
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize("spoil", [
    lambda content: content[:-1],
    lambda content: content[: len(content) // 2],
    lambda content: content[:20],
    lambda content: content[:7],
    lambda content: b"",
    lambda content: content + b"more",
    lambda content: b"\x80\x04\x95" + content,
    lambda content: b"not weights at all, but long enough to hold a header",
    lambda content: struct.pack("<Q", 1 << 60) + content[8:],
    lambda content: header({"layers.0.weight": {
        "dtype": "F32", "shape": [9, 9], "data_offsets": [0, 4]}}) + bytes(4),
], ids=["last byte", "half", "header only", "too short", "empty", "longer", "shifted", "text",
        "huge header", "lying header"])
def test_a_file_that_is_no_safetensors_file(spoil, model, saved):
    other = nn.MLP([3, 4, 2], rng=1)
    before = weights(other)
    saved.write_bytes(spoil(saved.read_bytes()))
    with pytest.raises(ValueError, match=r"load: .*weights\.safetensors is not a complete"):
        nn.load(other, saved)
    assert same(weights(other), before)


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: nn.MLP([3, 4, 4, 2], rng=1), KeyError, r"missing \['layers\.4\.bias'"),
    (lambda: nn.MLP([3, 2], rng=1), KeyError, r"unknown \['layers\.2\.bias'"),
    (lambda: nn.Linear(3, 4, rng=1), KeyError, "missing"),
    (lambda: nn.MLP([3, 5, 2], rng=1), ag.ShapeError, r"layers\.0\.weight .*\(3, 5\).*\(3, 4\)"),
    (lambda: nn.MLP([3, 4, 3], rng=1), ag.ShapeError, r"layers\.2\.weight .*\(4, 3\).*\(4, 2\)"),
])
def test_weights_of_another_model(make, error, message, saved):
    other = make()
    before = weights(other)
    with pytest.raises(error, match=message):
        nn.load(other, saved)
    assert same(weights(other), before)


def test_a_file_that_is_not_there(model, tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        nn.load(model, tmp_path / "nothing")


# Complete or not at all. -------------------------------------------------------------------------


def failing(*args, **kwargs):
    raise OSError("the disk is full")


@pytest.mark.parametrize("broken", ["open", "write", "fsync", "replace"])
@pytest.mark.parametrize("exists", [True, False])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    broken, exists, model, tmp_path, monkeypatch
):
    path = tmp_path / "weights.safetensors"
    if exists:
        nn.save(model, path)
        before = path.read_bytes()
    if broken == "write":
        real = Path.open

        def opened(*args, **kwargs):
            file = real(*args, **kwargs)

            class Full:
                def __enter__(self):
                    return self

                def __exit__(self, *exc):
                    file.close()

                def write(self, content):
                    file.write(content[:10])
                    failing()

            return Full()

        monkeypatch.setattr(Path, "open", opened)
    elif broken == "open":
        monkeypatch.setattr(Path, "open", failing)
    else:
        monkeypatch.setattr(os, broken, failing)
    with pytest.raises(OSError, match="the disk is full"):
        nn.save(nn.MLP([3, 4, 2], rng=1), path)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ([path.name] if exists else [])
    if exists:
        assert path.read_bytes() == before


def test_the_file_is_complete_before_it_takes_its_place(model, tmp_path, monkeypatch):
    """What os.replace moves into place is the whole file, from the same folder."""
    real, moved = os.replace, []

    def replace(source, target):
        moved.append((os.path.dirname(source), os.path.getsize(source)))
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    path = nn.save(model, tmp_path / "w")
    assert moved == [(str(tmp_path), path.stat().st_size)]


def test_a_folder_that_is_not_there(model, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"the folder .*missing does not exist"):
        nn.save(model, tmp_path / "missing" / "weights.safetensors")
    assert os.listdir(tmp_path) == []


def test_a_path_that_is_a_folder(model, tmp_path):
    target = tmp_path / "taken"
    target.mkdir()
    with pytest.raises(OSError, match="taken"):
        nn.save(model, target)
    assert os.listdir(tmp_path) == ["taken"] and os.listdir(target) == []


def test_without_safetensors_the_message_says_what_to_install(model, saved, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "safetensors"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    before = saved.read_bytes()
    with pytest.raises(ImportError, match=r"needs safetensors: pip install 'autograd-core\[train"):
        nn.save(model, saved)
    assert saved.read_bytes() == before
    with pytest.raises(ImportError, match="needs safetensors"):
        nn.load(model, saved)


# Layouts, and files that are cut. ----------------------------------------------------------------


def by_hand(path, **tensors):
    from safetensors.numpy import save_file

    save_file({name.replace("__", "."): np.ascontiguousarray(x) for name, x in tensors.items()},
              path)


def test_weights_as_torch_writes_them_are_loaded(tmp_path):
    """A Sequential(Linear(3, 4), ReLU(), Linear(4, 2)) there: weights (out, in), names 0, 2."""
    rng = np.random.default_rng(0)
    w1, b1, w2, b2 = (rng.standard_normal(s).astype(np.float32) for s in ((4, 3), 4, (2, 4), 2))
    path = tmp_path / "torch"
    by_hand(path, **{"0__weight": w1, "0__bias": b1, "2__weight": w2, "2__bias": b2})
    model = nn.load(nn.MLP([3, 4, 2]), path, layout="torch")
    x = rng.standard_normal((5, 3)).astype(np.float32)
    expected = np.maximum(x @ w1.T + b1, 0) @ w2.T + b2
    np.testing.assert_allclose(nn.predict(model, x), expected, rtol=1e-5)


class Net(nn.Module):
    """Names as a class in PyTorch would give them."""

    def __init__(self, seed=0):
        self.body = nn.Sequential(nn.Linear(3, 4, rng=seed), nn.ReLU(), nn.BatchNorm1d(4))
        self.heads = {"a": nn.Linear(4, 2, bias=False, rng=seed)}
        self.scale = nn.Parameter(np.ones((2, 3), np.float32))

    def forward(self, x):
        return self.heads["a"](self.body(x))


def test_the_layout_goes_both_ways(tmp_path):
    from safetensors.numpy import load_file

    model, path = Net(0), tmp_path / "w"
    nn.save(model, path, layout="torch")
    written = load_file(path)
    assert {"body.0.weight", "body.0.bias", "heads.a.weight", "scale"} < set(written)
    assert written["body.0.weight"].shape == (4, 3) and written["scale"].shape == (2, 3)
    assert np.array_equal(written["heads.a.weight"], model.heads["a"].weight.numpy(force=True).T)
    assert same(weights(nn.load(Net(1), path, layout="torch")), weights(model))


def test_a_list_of_layers_keeps_its_name(tmp_path):
    """A ModuleList called ``layers`` there has the name that a Sequential's list has here."""
    model = nn.MLP([3, 4, 2], rng=0)
    tensors = {n.replace(".", "__"): w.T for n, w in weights(model).items()}
    by_hand(tmp_path / "w", **tensors)
    other = nn.load(nn.MLP([3, 4, 2], rng=1), tmp_path / "w", layout="torch")
    assert same(weights(other), weights(model))


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"0__weight": np.zeros((5, 3), np.float32)}, ag.ShapeError,
     r"layers\.0\.weight has shape \(3, 4\), the state has \(3, 5\)"),
    ({"4__weight": np.zeros((5, 3), np.float32)}, KeyError, r"unknown \['4\.weight'\]"),
    ({"0__weight": None}, KeyError, r"missing \['layers\.0\.weight'\]"),
])
def test_a_file_of_torch_that_does_not_fit(change, error, message, tmp_path):
    model = nn.MLP([3, 4, 2], rng=0)
    before = weights(model)
    tensors = {"0__weight": np.zeros((4, 3), np.float32), "0__bias": np.zeros(4, np.float32),
               "2__weight": np.zeros((2, 4), np.float32), "2__bias": np.zeros(2, np.float32),
               **change}
    by_hand(tmp_path / "w", **{n: x for n, x in tensors.items() if x is not None})
    with pytest.raises(error, match=message):
        nn.load(model, tmp_path / "w", layout="torch")
    assert same(weights(model), before)


def test_the_output_axis_of_a_bilinear_map_goes_first_and_comes_back(tmp_path):
    """Also where all sizes are equal, so that no shape would tell."""
    from safetensors.numpy import load_file

    model, other = (nn.Bilinear(3, 3, 3, rng=seed) for seed in (0, 1))
    nn.save(model, tmp_path / "w", layout="torch")
    u, v = np.random.default_rng(0).standard_normal((2, 5, 3)).astype(np.float32)
    there = load_file(tmp_path / "w")["weight"]
    expected = np.einsum("ni,oij,nj->no", u, there, v)
    np.testing.assert_allclose(model(u, v).numpy(force=True), expected, rtol=1e-4, atol=1e-5)
    assert same(weights(nn.load(other, tmp_path / "w", layout="torch")), weights(model))


@pytest.mark.parametrize("wrote", ["nn", "torch"])
def test_a_layout_is_not_taken_for_the_other(wrote, tmp_path):
    """A square weight fits both ways."""
    model, other = nn.Linear(3, 3, rng=0), nn.Linear(3, 3, rng=1)
    reads = {"nn": "torch", "torch": "nn"}[wrote]
    path = nn.save(model, tmp_path / "w", layout=wrote, epoch=1)
    for _ in range(2):
        before = weights(other)
        with pytest.raises(ValueError, match=f"saved with layout='{wrote}', not '{reads}'"):
            nn.load(other, path, layout=reads)
        assert same(weights(other), before)
        path = nn.save(model, tmp_path / "w", layout=wrote)
    assert same(weights(nn.load(other, path, layout=wrote)), weights(model))


def test_names_of_torch_are_recognised(tmp_path):
    by_hand(tmp_path / "w", **{"0__weight": np.zeros((4, 3)), "0__bias": np.zeros(4)})
    with pytest.raises(KeyError, match=r"as PyTorch's modules do \(0\.bias\); pass layout='torch'"):
        nn.load(nn.Sequential(nn.Linear(3, 4)), tmp_path / "w")


def test_an_archive_is_told_from_a_file_that_is_cut(tmp_path):
    np.savez(tmp_path / "w.npz", weight=np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"zip archive, as torch\.save .*torch\.save_file"):
        nn.load(nn.Linear(3, 4), tmp_path / "w.npz")


def test_the_epoch_is_read_again(tmp_path):
    model = nn.Linear(1, 1, rng=0)
    assert nn.saved_epoch(nn.save(model, tmp_path / "a", epoch=3)) == 3
    nn.fit(model, [[1.0]], [[1.0]], epochs=4, progress=False,
           callbacks=[nn.Checkpoint(tmp_path / "b", every=2)])
    assert nn.saved_epoch(tmp_path / "b") == 4
    rest = nn.save(model, tmp_path / "c", rng=np.random.default_rng(0))
    for path in (nn.save(model, tmp_path / "d"), rest):
        with pytest.raises(KeyError, match="holds no epoch; it was saved without"):
            nn.saved_epoch(path)


def test_an_unknown_layout(model, saved):
    for call in (lambda: nn.save(model, saved, layout="keras"),
                 lambda: nn.load(model, saved, layout="keras")):
        with pytest.raises(ValueError, match="unknown 'keras'; known are 'nn' and 'torch'"):
            call()


@pytest.mark.skipif(not os.environ.get("TEST_PEERS"), reason="TEST_PEERS is not set")
def test_torch_itself_agrees(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Tanh(),
                                 torch.nn.Linear(4, 2))
    theirs(torch.randn(10, 3))
    theirs.eval()
    ours = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))
    save_file(theirs.state_dict(), tmp_path / "theirs")
    nn.load(ours, tmp_path / "theirs", layout="torch")
    x = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)

    def agree(a, b):
        np.testing.assert_allclose(nn.predict(a, x), b(torch.tensor(x)).detach().numpy(),
                                   rtol=1e-5, atol=1e-6)

    agree(ours, theirs)
    ours = nn.Sequential(nn.Linear(3, 4, rng=1), nn.Tanh(), nn.Linear(4, 2, rng=2))
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    nn.save(ours, tmp_path / "ours", layout="torch")
    theirs.load_state_dict(load_file(tmp_path / "ours"))
    agree(ours, theirs)


def test_a_file_that_is_cut_names_the_first_tensor_that_is_missing(model, saved):
    content = saved.read_bytes()
    saved.write_bytes(content[:-1])
    with pytest.raises(ValueError, match=(
        r"tensor layers\.\d\.(weight|bias) of shape \(.*\) should end after \d+ bytes of data"
    )):
        nn.load(model, saved)


def test_a_dtype_that_the_format_lacks(tmp_path):
    model = nn.Linear(2, 1, dtype=np.longdouble)
    with pytest.raises(TypeError, match=r"save: weight has dtype .*128"):
        nn.save(model, tmp_path / "w")
    assert os.listdir(tmp_path) == []
