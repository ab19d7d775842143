"""What all optimisers share: parameters in groups, steps, weight decay, clipping, saved states."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, TypeAlias, TypedDict

import numpy as np

import autograd_core as ag

from ..module import Module, Parameter
from ..schedules import Schedule, rate_at
from .clip import clipped_norm, clipped_value

__all__ = [
    "Array", "Optimizer", "Options", "Parameters", "Rate", "between", "scalars", "zeros_for",
]

Array: TypeAlias = Any
#: A learning rate: a number, or a function of the number of steps taken so far.
Rate: TypeAlias = float | Callable[[int], float]
#: Parameters, or groups of them with settings of their own.
Parameters: TypeAlias = Iterable[Parameter] | Iterable[Mapping[str, Any]]

#: Arrays above twice this many elements are updated in blocks of this size, so that the temporaries
#: of an update stay in the processor's cache.
_BLOCK = 1 << 18
#: Parameters up to this many elements are updated side by side.
_SMALL = 1 << 15
#: Attributes of an optimiser that a compiled step follows without being recorded anew.
_FOLLOWED = frozenset(("groups", "lr", "parameters", "steps"))
_ARRAY_OR_NONE = {np.ndarray, type(None)}
#: Settings that are of all groups together.
_COMMON = frozenset(("clip_norm", "clip_value"))


class Options(TypedDict, total=False):
    """What every optimiser takes: see :class:`Optimizer`."""

    weight_decay: float
    clip_norm: float | None
    clip_value: float | None


class Optimizer:
    """Updates parameters from the gradients that ``backward`` left in ``.grad``.

    ``parameters``: of a model, or a list of groups, dicts with ``"params"`` and settings that
    replace the optimiser's own for them (a rate, a weight decay, a momentum). ``lr`` is a number or
    a schedule, a function from the number of steps already taken to a number. Parameters without a
    gradient are left alone.

    ``weight_decay`` λ adds the gradient of ½ λ ‖p‖², λ p, to that of the loss; where an optimiser
    is ``decoupled`` (AdamW, Lion), p shrinks by lr λ p beside the step instead. ``clip_value`` c
    limits each element of the gradients to [-c, c], ``clip_norm`` c scales all gradients together
    so that their norm is at most c; ``.grad`` stays as it is.

    ``groups`` holds the dicts: what one sets goes before the optimiser's own attribute, and both
    may be changed between steps. Inside a compiled function ``step`` is recorded: rates, schedules
    and the number of steps go on from call to call, a change of another setting (``betas``, say)
    records the function anew, and which parameters have a gradient is settled when it is recorded.

    Raises ``ValueError`` for no parameters, for one given twice and for settings out of range,
    ``TypeError`` for what is no parameter and for a setting that the optimiser does not have.

    >>> model = nn.MLP([2, 8, 1], rng=0)
    >>> first, *rest = model.parameters()
    >>> nn.optim.SGD([{"params": [first], "lr": 0.1}, {"params": rest}], lr=0.01)
    SGD(4 parameters in 2 groups, lr=0.01)
    """

    #: Whether weight decay acts on the parameters, not through the gradient.
    decoupled = False
    #: Whether the ``update`` that this class defines does to each element what depends on that
    #: element alone: it may then be given several parameters side by side, in one flat array.
    elementwise = False

    def __init__(
        self, parameters: Parameters, lr: Rate, *, weight_decay: float = 0.0,
        clip_norm: float | None = None, clip_value: float | None = None,
    ) -> None:
        name = type(self).__name__
        self.lr = lr
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.groups = [
            {**group, "params": list(group["params"])} for group in _groups(parameters, name)
        ]
        self.parameters: list[Parameter] = [p for group in self.groups for p in group["params"]]
        _check_parameters(self.parameters, name)
        self.steps = 0
        for limit in (clip_norm, clip_value):
            if limit is not None and not limit > 0:
                raise ValueError(f"{name}: a gradient is clipped to a positive size, got {limit}")
        known = {n for n in vars(self) if n[0] != "_"} - (_FOLLOWED - {"lr"}) - _COMMON
        for group in self.groups:
            unknown = group.keys() - known - {"params"}
            if unknown:
                raise TypeError(
                    f"{name}: a group sets {sorted(unknown)}; it may set {sorted(known)}"
                )
        # Leaves, because a compiled step reads and updates those; made now, because a leaf that is
        # made during a recording is a constant of it.
        self._state: list[tuple[ag.Tensor, ...]] = []
        for group, rule in zip(self.groups, self._rules(), strict=True):
            if not callable(rule.lr) and not rule.lr >= 0:
                raise ValueError(f"{name}: lr must not be negative, got {rule.lr}")
            if not rule.weight_decay >= 0:
                raise ValueError(
                    f"{name}: weight_decay must not be negative, got {rule.weight_decay}"
                )
            rule.check()
            self._state += [
                tuple(map(ag.tensor, rule.start(p.numpy(force=True)))) for p in group["params"]
            ]
        self._started = [False] * len(self.parameters)
        self._now: tuple[float, ...] = ()
        #: What is updated together, if these parameters have a gradient.
        self._present: list[int] = []
        self._units: list[_Unit] = []

    # What an optimiser says.

    def check(self) -> None:
        """Raise ``ValueError`` for settings out of range."""

    def start(self, value: Array) -> tuple[Array, ...]:
        """The state of a parameter before its first step, arrays of its shape and dtype.

        Of a Tensor, Tensors: a chain of ``update`` from there is a graph, through which a rate or
        the starting point may be learned.

        Asked for when the optimiser is made: a subclass sets what it reads here before it calls
        ``super().__init__``.
        """
        return ()

    def coefficients(self, lr: float, step: int) -> tuple[float, ...]:
        """The numbers of step ``step`` (from 1), at least one, the same for a whole group."""
        return (lr,)

    def update(
        self, value: Array, grad: Array, state: tuple[Array, ...], *coefficients: float
    ) -> tuple[Array, tuple[Array, ...]]:
        """The new value and state of a parameter."""
        raise NotImplementedError

    # Steps.

    def _rules(self) -> list[Any]:
        """For each group an optimiser that has its settings: mostly this one."""
        rules: list[Optimizer] = []
        for group in self.groups:
            rule = self
            if len(group) > 1:
                rule = copy.copy(self)
                vars(rule).update(group)
            rules.append(rule)
        return rules

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        if ag.is_compiling():
            with ag.no_grad():
                self._record()
            return
        for unit, new, state in self._updates():
            unit.assign(new, state)
        for i in self._present:
            self._started[i] = True
        self.steps += 1

    def changes(self) -> list[Array | None]:
        """What a step would add to each parameter now; nothing is changed."""
        found: list[Array | None] = [None] * len(self.parameters)
        for unit, new, _ in self._updates():
            for i, change in zip(unit.numbers, unit.split(new - unit.read()[0]), strict=True):
                found[i] = change
        return found

    def _updates(self) -> list[tuple[_Unit, Array, Sequence[Array]]]:
        """The new value and state of whatever has a gradient."""
        alone = len(self.groups) == 1 and len(self.groups[0]) == 1
        rules = [self] if alone else self._rules()
        numbers = [numbers_of(rule, self.steps) for rule in rules]
        gradients = self._gradients()
        present = [i for i, g in enumerate(gradients) if g is not None]
        if present != self._present:
            self._units, self._present = self._arranged(rules, present), present
        try:
            olds = [unit.read() for unit in self._units]
        except ag.ShapeError:  # a parameter has got another shape or dtype
            self._units = self._arranged(rules, present)
            olds = [unit.read() for unit in self._units]
        found: list[tuple[_Unit, Array, Sequence[Array]]] = []
        for unit, old in zip(self._units, olds, strict=True):
            rule, coefficients = rules[unit.group], numbers[unit.group]
            grad = unit.gradient(gradients)
            state: Sequence[Array]
            if grad.size > 2 * _BLOCK:
                new, *state = unit.empty()
                _in_blocks(rule, grad, old, (new, *state), coefficients)
            elif rule.weight_decay:
                new, state = updated(rule, old[0], grad, old[1:], coefficients)
            else:
                new, state = rule.update(old[0], grad, old[1:], *coefficients)
            found.append((unit, new, state))
        return found

    def _arranged(self, rules: Sequence[Any], present: Sequence[int]) -> list[_Unit]:
        """Which of these parameters are updated together: in each group those that are small, if
        the optimiser treats all elements alike."""
        group_of = [k for k, group in enumerate(self.groups) for _ in group["params"]]
        together: dict[Any, list[int]] = {}
        for i in present:
            arrays = [leaf.numpy(force=True) for leaf in (self.parameters[i], *self._state[i])]
            small = arrays[0].size <= _SMALL and all(type(x) is np.ndarray for x in arrays)
            k = group_of[i]
            alike = small and _is_elementwise(rules[k])
            together.setdefault((k, tuple(x.dtype for x in arrays) if alike else i), []).append(i)
        return [_Unit(k, numbers, self.parameters, self._state)
                for (k, _), numbers in together.items()]

    def _gradients(self) -> list[Any]:
        """The gradients, clipped if that is asked for."""
        found: list[Any] = [p.grad for p in self.parameters]
        if not {*map(type, found)} <= _ARRAY_OR_NONE and not ag.is_compiling():
            # Tensors are left by backward(create_graph=True).
            found = [
                g if type(g) is np.ndarray or not isinstance(g, ag.Tensor) else g.numpy(force=True)
                for g in found
            ]
        if self.clip_value is not None:
            found = clipped_value(found, self.clip_value)
        if self.clip_norm is not None:
            _, found = clipped_norm(found, self.clip_norm)
        return found

    def _record(self) -> None:
        """The step as a part of the function that is being compiled."""
        names = [name for name in vars(self) if name[0] != "_" and name not in _FOLLOWED]
        settings = attrgetter("__class__", *names)
        ag.guard(lambda: settings(self))
        if any(group.keys() - {"lr", "params"} for group in self.groups):
            ag.guard(lambda: [
                {name: x for name, x in group.items() if name not in _FOLLOWED and name != "params"}
                for group in self.groups
            ])

        counts: list[int] = []

        def advance() -> float:
            # As nearly always: no group has settings of its own.
            if counts and len(self.groups) == 1 and len(self.groups[0]) == 1:
                self._now = numbers_of(self, self.steps)
                self.steps += 1
                return float(self._now[0])
            numbers = [numbers_of(rule, self.steps) for rule in self._rules()]
            counts[:] = map(len, numbers)
            self._now = tuple([float(x) for of_group in numbers for x in of_group])
            self.steps += 1
            return self._now[0]

        def entry(k: int) -> Callable[[], float]:
            return lambda: float(self._now[k])

        # Python computes the numbers of a step anew at each run: the first call, all of them.
        first = ag.callback(advance)
        coefficients = [first, *(ag.callback(entry(k)) for k in range(1, len(self._now)))]
        gradients = self._gradients()
        i = begin = 0
        for group, rule, count in zip(self.groups, self._rules(), counts, strict=True):
            numbers = tuple(coefficients[begin : begin + count])
            begin += count
            for parameter in group["params"]:
                grad, cells = gradients[i], self._state[i]
                if grad is not None:
                    new, state = updated(rule, parameter, grad, cells, numbers)
                    parameter.assign(new)
                    for cell, after in zip(cells, state, strict=True):
                        cell.assign(after)
                    self._started[i] = True
                i += 1

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters:
            parameter.zero_grad()

    # Saved states.

    def _settings(self) -> dict[str, Any]:
        """The attributes that make two optimisers of one class differ, but for the rate."""
        return {n: x for n, x in vars(self).items() if n[0] != "_" and n not in _FOLLOWED}

    def schedules(self) -> list[Schedule]:
        """The schedules among the rates, each once."""
        rates = [self.lr, *(group["lr"] for group in self.groups if "lr" in group)]
        found = {id(rate): rate for rate in rates if isinstance(rate, Schedule)}
        return list(found.values())

    def state_dict(self) -> dict[str, Any]:
        """A copy of the number of steps, every parameter's state, the settings and the rates.

        A schedule's state is in it, a rate that is another function is not.
        """
        return {
            "optimizer": type(self).__name__,
            "steps": self.steps,
            "state": [
                tuple(np.array(cell.numpy()) for cell in cells) if started else None
                for cells, started in zip(self._state, self._started, strict=True)
            ],
            "lr": _saved_rate(self.lr),
            "settings": self._settings(),
            "groups": [
                {n: _saved_rate(x) if n == "lr" else x for n, x in group.items() if n != "params"}
                for group in self.groups
            ],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state_dict`, cast to the dtypes of the parameters.

        Rates and settings become the saved ones; a schedule stays this optimiser's, with the saved
        one's state. Raises ``ValueError`` if it is of other parameters or of another optimiser,
        before anything is changed.
        """
        name = type(self).__name__
        steps, given = int(state["steps"]), state["state"]
        if state.get("optimizer", name) != name:
            raise ValueError(f"{name}: the state is of another optimizer, {state['optimizer']}")
        if len(given) != len(self.parameters):
            raise ValueError(
                f"{name}: the state is of {len(given)} parameters, not {len(self.parameters)}"
            )
        loaded: list[tuple[Array, ...]] = []
        starts = [
            rule.start(p.numpy(force=True))
            for group, rule in zip(self.groups, self._rules(), strict=True) for p in group["params"]
        ]
        for i, (parameter, parts) in enumerate(zip(self.parameters, given, strict=True)):
            if parts is None:
                loaded.append(starts[i])
                continue
            arrays = tuple(np.array(x, parameter.dtype) for x in parts)
            expected = [cell.shape for cell in self._state[i]]
            if [x.shape for x in arrays] != expected:
                called = f" ({parameter.label})" if parameter.label else ""
                raise ValueError(
                    f"{name}: a state of shapes {[x.shape for x in arrays]} for parameter "
                    f"{i}{called} of shape {parameter.shape}, where {expected} is needed"
                )
            loaded.append(arrays)
        settings, groups = dict(state.get("settings", {})), state.get("groups")
        if settings.keys() - self._settings().keys():
            raise ValueError(
                f"{name}: the state has settings {sorted(settings)}, not {sorted(self._settings())}"
            )
        if groups is not None and len(groups) != len(self.groups):
            raise ValueError(f"{name}: the state is of {len(groups)} groups, not "
                             f"{len(self.groups)}")
        lr = _loadable_rate(self.lr, state.get("lr"), name)
        rates = [
            _loadable_rate(own.get("lr"), saved.get("lr"), name)
            for own, saved in zip(self.groups, groups or [{}] * len(self.groups), strict=True)
        ]
        # From here on nothing fails.
        vars(self).update(settings)
        self.lr = _loaded_rate(self.lr, lr)
        for i, (own, rate) in enumerate(zip(self.groups, rates, strict=True)):
            if groups is not None:
                own.update({n: x for n, x in groups[i].items() if n != "lr"})
            if rate is not None:
                own["lr"] = _loaded_rate(own.get("lr"), rate)
        for cells, arrays in zip(self._state, loaded, strict=True):
            for cell, array in zip(cells, arrays, strict=True):
                cell.assign(array)
        self._started = [parts is not None for parts in given]
        self.steps = steps

    def __repr__(self) -> str:
        many = f" in {len(self.groups)} groups" if len(self.groups) > 1 else ""
        return f"{type(self).__name__}({len(self.parameters)} parameters{many}, lr={self.lr})"


def numbers_of(rule: Any, steps: int) -> tuple[float, ...]:
    """The coefficients of a group's step after ``steps`` others, and lr λ if that is needed."""
    lr = rate_at(rule.lr, steps)
    numbers: tuple[float, ...] = rule.coefficients(lr, steps + 1)
    if rule.weight_decay and rule.decoupled:
        numbers = (*numbers, lr * rule.weight_decay)
    return numbers


def updated(
    rule: Any, value: Array, grad: Array, state: tuple[Array, ...], numbers: tuple[float, ...]
) -> tuple[Array, tuple[Array, ...]]:
    """``rule.update``, with weight decay if there is some."""
    decay = rule.weight_decay
    if not decay:
        return rule.update(value, grad, state, *numbers)  # type: ignore[no-any-return]
    if not rule.decoupled:
        return rule.update(value, grad + decay * value, state, *numbers)  # type: ignore[no-any-return]
    *numbers_, shrink = numbers
    new, state = rule.update(value, grad, state, *numbers_)
    return new - shrink * value, state


class _Unit:
    """What is updated in one go: one parameter, or several side by side in packs."""

    def __init__(self, group: int, numbers: Sequence[int], parameters: Sequence[Parameter],
                 cells: Sequence[tuple[ag.Tensor, ...]]) -> None:
        #: The group and the parameters, by number.
        self.group, self.numbers = group, numbers
        rows = [(parameters[i], *cells[i]) for i in numbers]
        #: The value and the state: packs, or leaves.
        self.parts: Sequence[Any] = rows[0]
        self.packed = len(rows) > 1
        if self.packed:
            self.parts = [ag.Pack(leaves, resident=k > 0)
                          for k, leaves in enumerate(zip(*rows, strict=True))]

    def gradient(self, gradients: Sequence[Array]) -> Array:
        """Its gradient, from those of all parameters."""
        if not self.packed:
            return gradients[self.numbers[0]]
        return np.concatenate([gradients[i] for i in self.numbers], axis=None)

    def read(self) -> tuple[Array, ...]:
        """The value and the state."""
        if self.packed:
            return tuple([pack.read() for pack in self.parts])
        return tuple([leaf.numpy(force=True) for leaf in self.parts])

    def empty(self) -> list[Array]:
        """Arrays for a new value and state."""
        if self.packed:
            return [pack.empty() for pack in self.parts]
        return [np.empty(leaf.shape, leaf.dtype) for leaf in self.parts]

    def assign(self, value: Array, state: Sequence[Array]) -> None:
        """Replace both."""
        for part, new in zip(self.parts, (value, *state), strict=True):
            part.assign(new)

    def split(self, values: Array) -> Sequence[Array]:
        """The parts of what has its shape, for each parameter."""
        return self.parts[0].split(values) if self.packed else (values,)


def _is_elementwise(rule: Optimizer) -> bool:
    """Whether the class says so that defines how ``rule`` updates."""
    if "update" in vars(rule):
        return False
    by = next(c for c in type(rule).__mro__ if "update" in vars(c))
    return bool(vars(by).get("elementwise"))


def _in_blocks(
    rule: Any, grad: Array, old: tuple[Array, ...], new: Sequence[Array],
    numbers: tuple[float, ...],
) -> None:
    """``updated``, a block at a time, into ``new``: several times less memory traffic."""
    g = np.ascontiguousarray(grad).reshape(-1)
    sources = [np.ascontiguousarray(x).reshape(-1) for x in old]
    targets = [x.reshape(-1) for x in new]
    for begin in range(0, g.size, _BLOCK):
        block = slice(begin, begin + _BLOCK)
        value, *state = [x[block] for x in sources]
        result, after = updated(rule, value, g[block], tuple(state), numbers)
        for target, part in zip(targets, (result, *after), strict=True):
            target[block] = part


#: Arrays of up to so many elements are multiplied faster than NumPy converts a Python number.
_FEW = 1 << 12
_converted: dict[Any, tuple[Array, ...]] = {}


def scalars(like: Array, *numbers: float) -> tuple[Any, ...]:
    """Numbers to compute with on ``like``, of its dtype if it is a small array.

    NumPy takes longer to convert a Python number, at every operation, than to multiply a small
    array with it. The result of the operation is the same.
    """
    if type(like) is not np.ndarray or like.size > _FEW:
        return numbers
    key = like.dtype.char, numbers
    found = _converted.get(key)
    if found is None:
        if any(isinstance(x, ag.Tensor) for x in numbers):  # a rate that is learned
            return numbers
        if len(_converted) >= 64:  # a rate that changes with each step
            _converted.clear()
        found = _converted[key] = tuple([np.array(x, like.dtype) for x in numbers])
    return found


def zeros_for(value: Array) -> Array:
    """Zeros of the shape and dtype of a value, and a Tensor if that is one."""
    zeros = np.zeros_like(value)
    return ag.tensor(zeros) if isinstance(value, ag.Tensor) else zeros


def between(name: str, setting: str, value: float, low: float = 0.0, high: float = 1.0) -> None:
    """Raise ``ValueError`` unless low ≤ value < high."""
    if not low <= value < high:
        raise ValueError(f"{name}: {setting} must be in [{low:g}, {high:g}), got {value}")


def _groups(parameters: Any, name: str) -> list[Mapping[str, Any]]:
    _refuse_single(parameters, name)
    if isinstance(parameters, Module):
        raise TypeError(f"{name}: got a module; pass `model.parameters()`")
    if isinstance(parameters, Mapping):
        parameters = [*parameters]
    given = list(parameters)
    if not any(isinstance(x, Mapping) for x in given):
        return [{"params": given}]
    for group in given:
        if not isinstance(group, Mapping) or "params" not in group:
            raise TypeError(f"{name}: each group is a dict with \"params\", got {group!r}")
        _refuse_single(group["params"], name)
    return given


def _refuse_single(parameters: Any, name: str) -> None:
    if isinstance(parameters, Parameter):  # which could be gone over, row by row
        raise TypeError(
            f"{name}: expected nn.Parameter, got a single one in no list; pass `[parameter]` or "
            "`model.parameters()`"
        )


def _check_parameters(parameters: Sequence[Any], name: str) -> None:
    if not parameters:
        raise ValueError(f"{name}: there are no parameters to optimise")
    for parameter in parameters:
        if not isinstance(parameter, Parameter):
            raise TypeError(
                f"{name}: expected nn.Parameter, got {type(parameter).__name__}; pass "
                "`model.parameters()`"
            )
    if len(set(parameters)) < len(parameters):
        raise ValueError(f"{name}: a parameter is given twice")


def _saved_rate(rate: Rate) -> Any:
    """A number, a schedule's state, or None for another function."""
    if isinstance(rate, Schedule):
        return rate.state_dict()
    return None if callable(rate) else float(rate)


def _loadable_rate(own: Any, saved: Any, name: str) -> Any:
    """What was saved of a rate, if it fits this optimiser's."""
    if isinstance(saved, Mapping):
        if not isinstance(own, Schedule):
            raise ValueError(
                f"{name}: the state was saved with the schedule {saved.get('schedule')}, but the "
                f"rate is {own}"
            )
        own.check_state(saved)
    elif saved is not None and callable(own):
        raise ValueError(
            f"{name}: the state was saved with the rate {saved}, but the rate is the schedule {own}"
        )
    return saved


def _loaded_rate(own: Any, saved: Any) -> Any:
    if isinstance(saved, Mapping):
        own.load_state_dict(saved)
        return own
    return own if saved is None else float(saved)
