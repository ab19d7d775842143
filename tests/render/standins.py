"""Graphs built by hand: what is drawn depends on a node's attributes, not on the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Op:
    name: str
    formula: str = ""


@dataclass(eq=False)
class Tensor:
    data: Any
    op: Op | None = None
    inputs: tuple[Any, ...] = ()
    attrs: Mapping[str, Any] = field(default_factory=dict)
    grad: Any = None
    label: str | None = None
    requires_grad: bool = False

    def __post_init__(self) -> None:
        self.data = np.asarray(self.data)[()]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.data.dtype

    def numpy(self, *, force: bool = False) -> Any:
        assert force, "reading a value to draw it must not copy, nor refuse"
        return self.data


@dataclass
class Graph:
    nodes: list[Tensor]
    outputs: tuple[Tensor, ...]


def graph(*nodes: Tensor) -> Graph:
    """The nodes, in topological order, the last one being the output."""
    return Graph(list(nodes), nodes[-1:])


def leaf(data: Any = 1.0, **about: Any) -> Tensor:
    return Tensor(data, **about)


def apply(name: str, *inputs: Any, data: Any = 1.0, **about: Any) -> Tensor:
    return Tensor(data, Op(name), inputs, **about)


def chain(length: int) -> Graph:
    nodes = [leaf(requires_grad=True)]
    while len(nodes) < length:
        nodes.append(apply("exp", nodes[-1]))
    return graph(*nodes)
