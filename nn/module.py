"""Module: a function with parameters; Parameter and Buffer: the leaves that hold its state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import numpy as np

import autograd_core as ag

__all__ = ["Buffer", "Module", "Parameter"]

#: The module whose forward is running, for those who observe.
_calling: ContextVar[Module | None] = ContextVar("nn.calling", default=None)
_MAX_WEIGHTS = 1_000


class Parameter(ag.Tensor):
    """A leaf Tensor that requires a gradient and that an optimiser updates with ``assign``.

    ``data``: an array of floating point; it is copied.
    """

    __slots__ = ()

    def __init__(self, data: Any, dtype: Any = None, label: str | None = None) -> None:
        super().__init__(data, requires_grad=True, dtype=dtype, label=label)
        if self.dtype.kind == "c":
            raise ag.GradientError(
                f"Parameter: of dtype {self.dtype}, but optimisers update real numbers; hold the "
                "real and the imaginary part in two parameters"
            )


class Buffer(ag.Tensor):
    """A leaf Tensor of a module's state that is saved but not trained, such as a running mean.

    A module changes it with ``assign``, which a compiled function does at each call.
    ``data``: an array; it is copied.
    """

    __slots__ = ()

    def __init__(self, data: Any, dtype: Any = None, label: str | None = None) -> None:
        super().__init__(data, dtype=dtype, label=label)


class Module:
    """A function of arrays with parameters: subclass it and write ``forward``.

    Parameters, buffers and modules that are stored in attributes, also inside lists, tuples and
    dicts, are found by their attribute names; one that is stored twice counts once.

    >>> class Shift(nn.Module):
    ...     def __init__(self):
    ...         self.by = nn.Parameter([1.0])
    ...     def forward(self, x):
    ...         return x + self.by
    >>> dict(Shift().named_parameters())
    {'by': tensor([1.], requires_grad=True)}
    """

    _training = True

    @property
    def training(self) -> bool:
        """Whether layers that behave differently in training do so; see ``train`` and ``eval``.

        A compiled function that has looked at it is recorded anew where it has changed.
        """
        if ag.is_compiling():
            return bool(ag.guard(lambda: self._training))
        return self._training

    @training.setter
    def training(self, mode: bool) -> None:
        self._training = bool(mode)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no forward(self, ...)")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if ag.observed():
            return self._observed(args, kwargs)
        return self.forward(*args, **kwargs)

    def _observed(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`forward`, in a scope that is named after this module's place in the calling one."""
        outer = _calling.get()
        parts = () if outer is None else _parts(outer, "")
        name = next((f"{name}: " for name, part in parts if part is self), "")
        token = _calling.set(self)
        try:
            with ag.scope(f"{name}{self.describe()}"):
                return self.forward(*args, **kwargs)
        finally:
            _calling.reset(token)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """For notebooks: a picture of a small network, and the text of any."""
        from .drawing import picture

        svg = picture(self, _MAX_WEIGHTS)
        return {"text/plain": repr(self), **({} if svg is None else {"image/svg+xml": svg})}

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Pairs such as ``("layers.0.weight", Parameter)``, in the order of definition."""
        for name, part in self._state():
            if isinstance(part, Parameter):
                yield name, part

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """Pairs such as ``("norm.running_mean", Buffer)``, in the order of definition."""
        for name, part in self._state():
            if isinstance(part, Buffer):
                yield name, part

    def _state(self) -> Iterator[tuple[str, Parameter | Buffer]]:
        """Parameters and buffers, each once."""
        seen: set[Any] = set()
        for name, part in _parts(self, ""):
            if isinstance(part, (Parameter, Buffer)) and part not in seen:
                seen.add(part)
                yield name, part

    def parameters(self) -> list[Parameter]:
        """All parameters, in the order of definition."""
        return [parameter for _, parameter in self.named_parameters()]

    def modules(self) -> Iterator[Module]:
        """This module and all inside it."""
        yield self
        seen = {id(self)}
        for _, part in _parts(self, ""):
            if isinstance(part, Module) and id(part) not in seen:
                seen.add(id(part))
                yield part

    def train(self, mode: bool = True) -> Module:
        """Switch this module and all inside it to training, or with ``False`` to evaluation."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Switch this module and all inside it to evaluation."""
        return self.train(False)

    def freeze(self) -> Module:
        """Let no parameter in this module require a gradient: optimisers leave them as they are.

        It holds for whoever shares the parameters, too.

        >>> model = nn.MLP([2, 3, 1], rng=0)
        >>> _ = model[0].freeze()
        >>> [p.requires_grad for p in model.parameters()]
        [False, False, True, True]
        """
        return self._require_gradients(False)

    def unfreeze(self) -> Module:
        """Let all parameters in this module require gradients again."""
        return self._require_gradients(True)

    def _require_gradients(self, mode: bool) -> Module:
        for parameter in self.parameters():
            parameter.requires_grad = mode
            if not mode:  # one that is left there would be added to, or applied
                parameter.zero_grad()
        return self

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.zero_grad()

    def state_dict(self) -> dict[str, np.ndarray]:
        """A copy of every parameter's and buffer's value, by name, in row-major order.

        Safetensors writes an array's memory as it lies, and so would mix up a transposed one.
        """
        return {name: np.array(p.numpy(force=True), order="C") for name, p in self._state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set every parameter and buffer from ``state``, cast to its dtype.

        Raises ``KeyError`` for missing or unknown names and :class:`ag.ShapeError` for a shape
        that differs, before anything is changed.
        """
        parameters = dict(self._state())
        missing, unknown = parameters.keys() - state.keys(), state.keys() - parameters.keys()
        if missing or unknown:
            raise KeyError(
                f"load_state_dict: missing {sorted(missing)}, unknown {sorted(unknown)}"
            )
        values = {name: np.array(state[name], p.dtype) for name, p in parameters.items()}
        for name, value in values.items():
            if value.shape != parameters[name].shape:
                raise ag.ShapeError(
                    f"load_state_dict: {name} has shape {parameters[name].shape}, "
                    f"the state has {value.shape}"
                )
        for name, value in values.items():
            parameters[name].assign(value)

    def describe(self) -> str:
        """What this module is, in one line, without what is inside it."""
        return type(self).__name__

    def __repr__(self) -> str:
        inside = [
            (name, part)
            for name, part in _children(self)
            if isinstance(part, Module) and self not in part.modules()
        ]
        if not inside:
            return self.describe()
        lines = [f"{self.describe()}("]
        for name, module in inside:
            first, *rest = repr(module).split("\n")
            lines += [f"  {name}: {first}", *(f"  {line}" for line in rest)]
        return "\n".join([*lines, ")"])


def contents(owner: Any) -> Iterator[tuple[str, Any]]:
    """What is in a module's attributes, and in lists, tuples and mappings there, by dotted name.

    Not what is in modules there.
    """
    if isinstance(owner, Module):
        items: Any = vars(owner).items()
    elif isinstance(owner, Mapping):
        items = owner.items()
    else:
        items = enumerate(owner)
    for key, value in items:
        if isinstance(value, (list, tuple, Mapping)) and not isinstance(value, Module):
            for name, part in contents(value):
                yield f"{key}.{name}", part
        else:
            yield str(key), value


def _children(owner: Module) -> Iterator[tuple[str, Any]]:
    """The parameters, buffers and modules among its contents."""
    for name, part in contents(owner):
        if isinstance(part, (Parameter, Buffer, Module)):
            yield name, part


def _parts(module: Module, prefix: str, seen: set[int] | None = None) -> Iterator[tuple[str, Any]]:
    """What is inside, with its dotted name, depth first; each module once."""
    seen = {id(module)} if seen is None else seen
    for name, part in _children(module):
        if isinstance(part, Module):
            if id(part) in seen:
                continue
            seen.add(id(part))
        yield prefix + name, part
        if isinstance(part, Module):
            yield from _parts(part, f"{prefix}{name}.", seen)
