"""The way into a plan: everything that one more call has to check and do, in straight line.

A training step of a small network takes as long as a dozen calls of NumPy, so that loops over
arguments, guards and leaves, and a method for each stage, would be a quarter of it. For calls with
arrays by position the way is written out as source, once for what a plan is bound to::

    def call(a0, a1):
        if type(a0) is not ndarray or a0.shape != shape0 or ...:
            return MISSED
        with lock:
            ...
            outputs = run(a0, a1)
            ...
            return results

Whatever has changed ends in ``MISSED``: the general way then finds out what to do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .compiled import Compiled, _Plan

__all__ = ["MISSED", "direct"]

#: What a direct call returns if it has not been made.
MISSED = object()


def direct(f: Compiled, plan: _Plan) -> Callable[..., Any]:
    """A function of the arguments that runs ``plan`` as it is bound now, or returns ``MISSED``."""
    assert plan.simple is not None
    names: dict[str, Any] = {
        "MISSED": MISSED, "begin": plan.begin, "deliver": f._deliver, "f": f, "lock": f._lock,
        "failed": plan.failed, "ndarray": np.ndarray, "plan": plan, "result": f._result,
        "run": plan.executable.run,
    }
    arguments = [f"a{n}" for n in range(len(plan.simple))]
    given = "".join(f"{a}, " for a in arguments)
    lines = []

    def known(name: str, value: Any) -> str:
        names[name] = value
        return name

    def unless(*conditions: str, indent: str = "    ") -> None:
        if conditions:
            lines.append(f"{indent}if {' or '.join(conditions)}:")
            lines.append(f"{indent}    return MISSED")

    for n, (a, (shape, dtype)) in enumerate(zip(arguments, plan.simple, strict=True)):
        # Nearly all arrays of a dtype share one object.
        kind = known(f"dtype{n}", dtype)
        unless(f"type({a}) is not ndarray", f"{a}.shape != {known(f'shape{n}', shape)}",
               f"({a}.dtype is not {kind} and {a}.dtype != {kind})")
    lines.append("    with lock:")
    inner = " " * 8
    unless("f._busy", indent=inner)
    for n, (guard, value) in enumerate(plan.guards):
        lines.append(f"{inner}now = {known(f'guard{n}', guard)}()")
        kind, expected = known(f"kind{n}", type(value)), known(f"value{n}", value)
        unless(f"type(now) is not {kind}", f"now != {expected}", indent=inner)
    checks = []
    for n, place in enumerate(plan.without_grad):
        ungraded = arguments[place] if isinstance(place, int) else known(f"ungraded{n}", place)
        checks.append(f"getattr({ungraded}, '_grad', None) is not None")
    for n, (t, array, requires) in enumerate(plan.leaves):
        leaf = known(f"leaf{n}", t)
        checks.append(f"{leaf}._value is not {known(f'array{n}', array)}")
        checks.append(f"{leaf}._requires is not {requires}")
    unless(*checks, indent=inner)
    sample = "None"
    if plan.sources:
        sample = "sample"
        lines.append(f"{inner}sample = begin()")
    lines += [
        f"{inner}f._busy = True",
        f"{inner}try:",
        f"{inner}    outputs = run({', '.join(arguments)})",
        f"{inner}except BaseException:",
        f"{inner}    failed()",
        f"{inner}    raise",
        f"{inner}finally:",
        f"{inner}    f._busy = False",
    ]
    for n, (t, pending) in enumerate(plan.kept):
        lines.append(f"{inner}{known(f'kept{n}', t)}._grad = {known(f'pending{n}', pending)}")
    for n, (t, output) in enumerate(plan.copied):
        lines.append(f"{inner}{known(f'copied{n}', t)}._grad = outputs[{output}]")
    if plan.single and plan.results[0][0] == "array":
        lines.append(f"{inner}return outputs[{plan.results[0][1]}]")
    elif plan.single:
        kind, position = plan.results[0]
        where = known("position", position)
        lines.append(f"{inner}return result(plan, {kind!r}, {where}, ({given}), outputs, {sample})")
    else:
        lines.append(f"{inner}return deliver(plan, ({given}), outputs, {sample})")
    bound = [name for name in names if name != "MISSED"]
    source = [f"def bind({', '.join(bound)}):", f"    def call({', '.join(arguments)}):"]
    source += [f"    {line}" for line in lines]
    source.append("    return call")
    space: dict[str, Any] = {"MISSED": MISSED}
    exec(compile("\n".join(source), "<compiled call>", "exec"), space)  # text made here
    return space["bind"](*[names[name] for name in bound])  # type: ignore[no-any-return]
