"""Weights in files: safetensors, which holds arrays and nothing that could run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import autograd_core as ag

from .module import Module

__all__ = ["load", "save"]


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as missing:
        raise ImportError(
            "saving and loading weights needs safetensors: pip install 'autograd-core[train]'"
        ) from missing
    return safetensors


def save(model: Module, path: str | os.PathLike[str]) -> Path:
    """Write the model's parameters into a safetensors file, by name; returns its path.

    The file appears complete or not at all. Raises ``FileNotFoundError`` or ``PermissionError``
    where it cannot be written.
    """
    return ag.write_file(path, _safetensors().numpy.save(model.state_dict()))


def load(model: Module, path: str | os.PathLike[str]) -> Module:
    """Set the model's parameters from a file that :func:`save` wrote; returns the model.

    Raises ``ValueError`` for a file that is no safetensors file, ``KeyError`` for missing or
    unknown names and :class:`ag.ShapeError` for a shape that differs, naming the parameter; the
    model is unchanged then.
    """
    library = _safetensors()
    try:
        state = library.numpy.load(Path(path).read_bytes())
    except library.SafetensorError as cause:
        raise ValueError(f"load: {path} is not a complete safetensors file: {cause}") from cause
    model.load_state_dict(state)
    return model
