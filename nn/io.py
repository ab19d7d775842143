"""Weights and trainings in files: safetensors, which holds arrays and nothing that could run.

A file's tensors are a model's parameters and buffers by their names; names that begin with ``@``
are of the training, whose numbers lie in the metadata as JSON.
"""

from __future__ import annotations

import json
import os
import random
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import autograd_core as ag

from .history import History
from .layers import Bilinear, Linear, Sequential
from .module import Module, contents
from .optim import EMA, Optimizer

__all__ = [
    "generators", "load", "load_generator", "read_training", "save", "saved_epoch",
    "write_training",
]

#: Of the metadata: what the file is, so that other programs' files are told apart.
_FORMAT = "autograd_core.nn 1"
#: The generators of NumPy, whose states are data.
_GENERATORS = {
    "MT19937": np.random.MT19937, "PCG64": np.random.PCG64, "PCG64DXSM": np.random.PCG64DXSM,
    "Philox": np.random.Philox, "SFC64": np.random.SFC64,
}


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as missing:
        raise ImportError(
            "saving and loading weights needs safetensors: pip install 'autograd-core[train]'"
        ) from missing
    return safetensors


# Weights. ----------------------------------------------------------------------------------------


def save(
    model: Module, path: str | os.PathLike[str], *, optimizer: Optimizer | None = None,
    epoch: int | None = None, rng: np.random.Generator | None = None,
    history: History | None = None, ema: EMA | None = None, layout: str = "nn",
) -> Path:
    """Write a model's parameters and buffers into a safetensors file, by name; returns its path.

    With an ``optimizer`` its state and schedule, with ``epoch``, ``rng``, ``history`` and ``ema``
    these too, and the states of the generators that the model's modules hold, in attributes or in
    lists, tuples and dicts there: what a training loop of your own needs to go on, see
    :func:`load`. ``nn.fit`` does this with :class:`nn.Checkpoint`.

    ``layout="torch"`` writes what PyTorch's modules load: the weights of ``Linear`` and
    ``Bilinear`` with their last axis first, (out, in), and the names of a ``Sequential``'s layers
    without ``layers.``.

    The file appears complete or not at all: a process that is killed at any moment leaves the old
    one or the new one. Raises ``FileNotFoundError`` or ``PermissionError`` where it cannot be
    written, ``TypeError`` for a dtype that the format does not have, and for a module that holds
    a random state other than a Generator.

    >>> model = nn.Linear(3, 2, rng=0)
    >>> path = nn.save(model, "weights.safetensors")
    >>> _ = nn.load(nn.Linear(3, 2), path)
    """
    names = _names(model, layout)
    weights = {}
    for name, array in model.state_dict().items():
        other, turned = names(name)
        weights[other] = np.ascontiguousarray(np.moveaxis(array, -1, 0)) if turned else array
    training = {
        "optimizer": None if optimizer is None else optimizer.state_dict(),
        "epoch": epoch,
        "rng": None if rng is None else rng.bit_generator.state,
        "history": None if history is None else history.state_dict(),
        "ema": None if ema is None else ema.state_dict(),
    }
    kept = {name: state for name, state in training.items() if state is not None}
    if kept:
        kept["generators"] = {
            name: generator.bit_generator.state for name, generator in generators(model)
        }
    return _write(path, weights, kept, layout)


def load(
    model: Module, path: str | os.PathLike[str], *, optimizer: Optimizer | None = None,
    rng: np.random.Generator | None = None, history: History | None = None,
    ema: EMA | None = None, layout: str = "nn",
) -> Module:
    """Set a model's parameters and buffers from a file that :func:`save` wrote; returns the model.

    What else is given is set too, from what was saved of it; :func:`saved_epoch` reads the epoch.
    ``layout="torch"`` reads files of PyTorch's modules (written by
    ``safetensors.torch.save_file``), see :func:`save`.

    Raises ``ValueError`` for a file that is no safetensors file or that is incomplete, naming the
    first tensor that is missing, and for one that :func:`save` wrote in another layout,
    ``KeyError`` for missing or unknown names, and for what was not saved, and
    :class:`ag.ShapeError` for a shape that differs, naming the parameter and both
    shapes; the model is unchanged then, and what was not yet set of the others.

    >>> model = nn.Linear(3, 2, rng=0)
    >>> optimizer = nn.optim.Adam(model.parameters())
    >>> path = nn.save(model, "run.safetensors", optimizer=optimizer, epoch=7)
    >>> _ = nn.load(model, path, optimizer=optimizer)
    """
    names = _names(model, layout)
    weights, training, written = _read(path)
    if written not in (None, layout):  # a square weight would fit both ways
        raise ValueError(f"load: {path} was saved with layout={written!r}, not {layout!r}")
    parts = {"optimizer": optimizer, "rng": rng, "history": history, "ema": ema}
    for name, part in parts.items():
        if part is not None and training.get(name) is None:
            raise KeyError(f"load: {path} holds no {name}; it was saved without")
    if rng is not None:
        _check_generator(rng, training["rng"], path)
    state: Mapping[str, np.ndarray] = weights
    if layout == "nn":
        _check_names(model, weights, path)
    else:
        state = _from_torch(model, weights, names)
    before = model.state_dict()
    model.load_state_dict(state)
    try:
        for part, name in ((optimizer, "optimizer"), (ema, "ema"), (history, "history")):
            if part is not None:
                part.load_state_dict(training[name])
    except (KeyError, ValueError):
        model.load_state_dict(before)
        raise
    if rng is not None:
        rng.bit_generator.state = training["rng"]
    if any(part is not None for part in parts.values()):
        _load_generators(model, training.get("generators", {}), path)
    return model


def saved_epoch(path: str | os.PathLike[str]) -> int:
    """The epoch that was saved into a file, by :func:`save` or :class:`nn.Checkpoint`.

    Raises ``KeyError`` for a file without one, and ``ValueError`` as :func:`load` does.

    >>> nn.saved_epoch(nn.save(nn.Linear(3, 2), "run.safetensors", epoch=7))
    7
    """
    _, training, _ = _read(path)
    if "epoch" not in training:
        raise KeyError(f"saved_epoch: {path} holds no epoch; it was saved without")
    return int(training["epoch"])


def _names(model: Module, layout: str) -> Any:
    """For a name of the state dict: the name in this layout, and whether its last axis is first."""
    if layout == "nn":
        return lambda name: (name, False)
    if layout != "torch":
        raise ValueError(f"layout: unknown {layout!r}; known are 'nn' and 'torch'")

    def of_torch(name: str) -> tuple[str, bool]:
        owner: Any = model
        kept = []
        *path, last = name.split(".")
        for part in path:
            if not (part == "layers" and isinstance(owner, Sequential)):
                kept.append(part)
            owner = _inside(owner, part)
        return ".".join([*kept, last]), (
            isinstance(owner, (Linear, Bilinear)) and last == "weight"
        )

    return of_torch


def _inside(owner: Any, part: str) -> Any:
    """What a component of a dotted name stands for."""
    if isinstance(owner, Module):
        return vars(owner).get(part)
    if isinstance(owner, Mapping):
        return next((x for key, x in owner.items() if str(key) == part), None)
    return owner[int(part)] if isinstance(owner, (list, tuple)) and part.isdigit() else None


def _check_names(model: Module, weights: Mapping[str, np.ndarray], where: object) -> None:
    """Raise ``KeyError`` for what can only be of PyTorch's layout."""
    own, names = model.state_dict().keys(), _names(model, "torch")
    if weights.keys() != own and weights.keys() == {names(name)[0] for name in own}:
        raise KeyError(
            f"load: {where} names its tensors as PyTorch's modules do ({min(weights)}); pass "
            "layout='torch'"
        )


def _from_torch(
    model: Module, weights: Mapping[str, np.ndarray], names: Any
) -> Mapping[str, np.ndarray]:
    """A state dict for ``model`` from the tensors of a file in PyTorch's layout."""
    # Running statistics are counted there, to average them in a way that is not offered here.
    given = {name: x for name, x in weights.items() if not name.endswith("num_batches_tracked")}
    own = {name: names(name) for name in model.state_dict()}
    if own.keys() == given.keys():  # of a module that calls its layers as this one does
        own = {name: (name, turned) for name, (_, turned) in own.items()}
    state = {}
    for name, (other, turned) in own.items():
        if other in given:
            array = given.pop(other)
            state[name] = np.moveaxis(array, 0, -1) if turned and array.ndim > 1 else array
    return {**state, **given}  # what is left over is unknown to the model, which says so


# Trainings. --------------------------------------------------------------------------------------


def generators(model: Module) -> Iterator[tuple[str, np.random.Generator]]:
    """The random generators that a model's modules hold, each once, named by their place.

    As modules are found: in attributes, and in lists, tuples and dicts there. Raises ``TypeError``
    for a random state of another kind: it would be lost.
    """
    seen: set[int] = set()
    for i, module in enumerate(model.modules()):
        for name, value in contents(module):
            place = f"{i}.{name}"
            if isinstance(value, (np.random.RandomState, np.random.BitGenerator, random.Random)):
                raise TypeError(
                    f"{type(module).__name__} holds a {type(value).__name__} ({place}), whose "
                    "state is not saved and put back, so that what follows would draw other "
                    "numbers; hold a np.random.Generator, as np.random.default_rng(seed) makes"
                )
            if isinstance(value, np.random.Generator) and id(value) not in seen:
                seen.add(id(value))
                yield place, value


def _check_generator(rng: np.random.Generator, state: Mapping[str, Any], where: object) -> None:
    kind = type(rng.bit_generator).__name__
    if state["bit_generator"] != kind:
        raise ValueError(
            f"load: {where} holds the state of a {state['bit_generator']} generator, not of a "
            f"{kind}"
        )


def load_generator(state: Mapping[str, Any]) -> np.random.Generator:
    """A generator in a saved state. Raises ``ValueError`` for one that NumPy does not have."""
    kind = state.get("bit_generator")
    if kind not in _GENERATORS:
        raise ValueError(f"load: unknown generator {kind!r}; known are {sorted(_GENERATORS)}")
    bits = _GENERATORS[kind]()
    bits.state = dict(state)
    return np.random.Generator(bits)


def _load_generators(model: Module, states: Mapping[str, Any], where: object) -> None:
    own = dict(generators(model))
    if own.keys() != states.keys():
        raise KeyError(
            f"load: {where} holds the states of the generators {sorted(states)}, the model has "
            f"{sorted(own)}"
        )
    for name, generator in own.items():
        _check_generator(generator, states[name], where)
    for name, generator in own.items():
        generator.bit_generator.state = states[name]


def write_training(path: str | os.PathLike[str], training: Any) -> Path:
    """Write all that ``nn.fit`` needs to go on after this epoch."""
    return _write(path, training.model.state_dict(), {
        "optimizer": training.optimizer.state_dict(),
        "epoch": training.epoch,
        "rng": training.rng.bit_generator.state,
        "began": training.began,
        "history": training.history.state_dict(),
        "ema": None if training.ema is None else training.ema.state_dict(),
        "callbacks": [[type(c).__name__, c.state_dict()] for c in _with_state(training)],
        "generators": {
            name: generator.bit_generator.state for name, generator in generators(training.model)
        },
    })


def _with_state(training: Any) -> list[Any]:
    """The callbacks that have something to remember."""
    return [callback for callback in training.callbacks if callback.state_dict()]


def read_training(path: str | os.PathLike[str], training: Any) -> None:
    """Set ``training`` and all in it to what :func:`write_training` wrote.

    Raises ``ValueError``, ``KeyError`` or :class:`ag.ShapeError` for the file of another training,
    before anything is changed but for what comes late: callbacks and generators.
    """
    weights, state, _ = _read(path)
    if "began" not in state:
        raise KeyError(
            f"fit: {path} holds no training to resume; nn.Checkpoint writes such files"
        )
    callbacks, own = state["callbacks"], _with_state(training)
    kinds, present = [kind for kind, _ in callbacks], [type(c).__name__ for c in own]
    if kinds != present:
        raise ValueError(
            f"fit: {path} was saved with the callbacks {kinds}, now there are {present}"
        )
    if (state["ema"] is None) != (training.ema is None):
        raise ValueError(
            f"fit: {path} was saved {'without' if state['ema'] is None else 'with'} an EMA"
        )
    _check_generator(training.rng, state["rng"], path)
    before = training.model.state_dict()
    training.model.load_state_dict(weights)
    try:
        training.optimizer.load_state_dict(state["optimizer"])
        if training.ema is not None:
            training.ema.load_state_dict(state["ema"])
        _load_generators(training.model, state["generators"], path)
    except (KeyError, ValueError):
        training.model.load_state_dict(before)
        raise
    for callback, (_, of_callback) in zip(own, callbacks, strict=True):
        callback.load_state_dict(of_callback)
    training.history.load_state_dict(state["history"])
    training.epoch = state["epoch"]
    training.rng.bit_generator.state = state["rng"]
    training.began = state["began"]


# Files. ------------------------------------------------------------------------------------------


def _write(
    path: str | os.PathLike[str], weights: Mapping[str, np.ndarray], training: Mapping[str, Any],
    layout: str = "nn",
) -> Path:
    tensors = dict(weights)
    metadata = {"format": _FORMAT, "layout": layout}
    if training:
        metadata["training"] = json.dumps(_packed(training, tensors))
    library = _safetensors()
    for name, array in tensors.items():
        if array.dtype.newbyteorder("=").str[1:] not in _DTYPES:
            raise TypeError(
                f"save: {name} has dtype {array.dtype}, which a safetensors file does not hold; "
                "save it as another"
            )
    content = library.numpy.save(tensors, metadata)
    return ag.write_file(path, content)


_DTYPES = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}


def _packed(tree: Any, tensors: dict[str, np.ndarray]) -> Any:
    """Nested dicts, lists and tuples as JSON has them; arrays go into ``tensors``, by number."""
    if isinstance(tree, np.generic):
        tree = tree.item()
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    if isinstance(tree, np.ndarray):
        name = f"@{len(tensors)}"
        tensors[name] = np.array(tree, order="C")
        return {"array": name}
    if isinstance(tree, Mapping):
        if not all(isinstance(key, str) for key in tree):
            raise TypeError(f"save: states are dicts with names, got the keys {list(tree)}")
        return {"dict": {key: _packed(value, tensors) for key, value in tree.items()}}
    if isinstance(tree, (list, tuple)):
        kind = "list" if isinstance(tree, list) else "tuple"
        return {kind: [_packed(x, tensors) for x in tree]}
    raise TypeError(
        f"save: a state holds numbers, texts, arrays, lists, tuples and dicts, got "
        f"{type(tree).__name__}"
    )


def _unpacked(tree: Any, tensors: Mapping[str, np.ndarray]) -> Any:
    if not isinstance(tree, (dict, list)):
        return tree
    if isinstance(tree, dict) and len(tree) == 1:
        ((kind, value),) = tree.items()
        if kind == "array":
            return tensors[value]
        if kind == "dict" and isinstance(value, dict):
            return {key: _unpacked(x, tensors) for key, x in value.items()}
        if kind in ("list", "tuple") and isinstance(value, list):
            parts = [_unpacked(x, tensors) for x in value]
            return parts if kind == "list" else tuple(parts)
    raise ValueError(f"{tree!r:.80} is not what was written")


def _read(
    path: str | os.PathLike[str]
) -> tuple[dict[str, np.ndarray], dict[str, Any], str | None]:
    """The weights and the training in a file, and the layout if this module wrote it."""
    library = _safetensors()
    content = Path(path).read_bytes()
    try:
        tensors = library.numpy.load(content)
    except library.SafetensorError as cause:
        raise ValueError(
            f"load: {path} is not a complete safetensors file: "
            f"{_ZIPPED if content[:2] == b'PK' else _cut(content) or cause}"
        ) from cause
    weights = {name: x for name, x in tensors.items() if name[0] != "@"}
    (length,) = struct.unpack("<Q", content[:8])
    metadata = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    if metadata.get("format") != _FORMAT:
        return tensors, {}, None
    layout = metadata.get("layout")
    if "training" not in metadata:
        return weights, {}, layout
    try:
        training = _unpacked(json.loads(metadata["training"]), tensors)
    except (ValueError, KeyError) as cause:
        raise ValueError(f"load: the training in {path} cannot be read: {cause!r}") from cause
    if not isinstance(training, dict):
        raise ValueError(f"load: the training in {path} cannot be read: it is no dict")
    return weights, training, layout


#: What is in a file that begins with PK.
_ZIPPED = (
    "it is a zip archive, as torch.save and np.savez write; of a state dict of PyTorch make a file "
    "with safetensors.torch.save_file"
)


def _cut(content: bytes) -> str:
    """Which tensor is the first that is not whole; nothing where the header cannot say."""
    if len(content) < 8:
        return ""
    (length,) = struct.unpack("<Q", content[:8])
    if length > len(content) - 8:
        return ""
    try:
        header = json.loads(content[8 : 8 + length])
        header.pop("__metadata__", None)
        ends = sorted(
            (int(x["data_offsets"][1]), name, tuple(x["shape"])) for name, x in header.items()
        )
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        return ""
    have = len(content) - 8 - length
    for end, name, shape in ends:
        if end > have:
            return (
                f"tensor {name} of shape {shape} should end after {end} bytes of data, and the "
                f"file has {have}"
            )
    return ""
