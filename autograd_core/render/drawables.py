"""From what can be drawn to a `Drawing`: Tensors, graphs, compiled functions, programs, functions.

What is private to a kind of thing is asked of it here, so that the faces need not know it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..compiler.compiled import Compiled
from ..compiler.executors import Memory
from ..compiler.numpy_executor import memory as numpy_memory
from ..compiler.program import Program
from ..containers import flatten
from ..errors import GradientError, RenderError, ShapeError, caller
from ..graph import Graph
from ..observe import Observer
from ..tensor import Tensor, recording, tensor
from .collapse import collapse as collapsed
from .describe import Drawing, describe
from .flow import flow
from .programs import describe_program

if TYPE_CHECKING:
    from .collapse import Closed
    from .describe import GraphLike

Backward = bool | Literal["alone"]


def drawing_of(
    outputs: Any,
    *,
    values: bool | None = None,
    grads: bool | None = None,
    shapes: bool | None = None,
    derivatives: bool | None = None,
    cotangents: bool | None = None,
    places: bool = False,
    collapse: Closed = None,
    backward: Backward = False,
    grad: Any = None,
    example: Any = None,
    title: str | None = None,
    stage: str | None = None,
    recording: int | None = None,
    buffers: bool | None = None,
) -> Drawing:
    """What all faces of a picture are made from; the arguments are those of `to_dot`."""
    outputs = resolved(outputs, example)
    program, arguments = outputs, None
    memory: Memory = numpy_memory
    if isinstance(outputs, Compiled):
        program, arguments = _recorded(outputs, stage, recording)
        memory = outputs.executor.memory
    elif stage is not None or recording is not None:
        raise RenderError(
            f"`stage` and `recording` choose a program of a compiled function; a "
            f"{type(outputs).__name__} has no others: leave them out"
        )
    if isinstance(program, Program):
        if values or grads or derivatives or cotangents or backward or grad is not None:
            raise RenderError(
                "a program has no values and no gradients outside of a run: leave `values` and "
                "`grads` out, also those on edges and the `grad` that they would come from, or "
                "draw the Tensor that the function returns when not compiled"
            )
        if stage not in (None, "after"):  # only what is run has memory
            arguments = None
        return collapsed(describe_program(
            program, shapes=shapes, title=title, buffers=buffers, arguments=arguments,
            memory=memory,
        ), collapse)
    if buffers:
        raise RenderError("`buffers` shows the memory of a program: leave it out for a graph")
    details = {"values": values, "grads": grads, "shapes": shapes, "derivatives": derivatives,
               "cotangents": cotangents, "places": places}
    graph = as_graph(outputs)
    seeds = cotangents_of(outputs, graph, grad)
    if backward:
        from .backward import describe_backward

        if backward not in (True, "alone"):
            raise RenderError(f"unknown backward={backward!r}: use True (beside) or 'alone'")
        drawing = describe_backward(graph, alone=backward == "alone", title=title, seeds=seeds,
                                    **details)
    else:
        flowing = None if seeds is None else flow(graph, seeds)
        drawing = describe(graph, title=title, flow=flowing, **details)  # type: ignore[arg-type]
    return collapsed(drawing, collapse)


def resolved(outputs: Any, example: Any) -> Any:
    """`outputs` itself, or what a function or module makes of an example input."""
    if example is None:
        if callable(outputs) and not isinstance(outputs, (Tensor, Compiled)):
            raise TypeError(
                f"cannot draw {type(outputs).__name__} without an input: pass an `example`, an "
                "array or a tuple of them, as in `ag.to_dot(model, example=x)`"
            )
        return outputs
    if isinstance(outputs, Compiled) or not callable(outputs):
        raise RenderError(
            f"`example` is the input of a function or module that is drawn; a "
            f"{type(outputs).__name__} needs none: leave it out"
        )
    return _traced(outputs, example if isinstance(example, tuple) else (example,))


def _traced(f: Callable[..., Any], arguments: tuple[Any, ...]) -> list[Tensor]:
    """The results of `f`, recorded and observed; nothing is changed that `f` holds."""
    names = _parameter_names(f)
    inputs = [
        x if isinstance(x, Tensor) or not _is_number(x) else
        tensor(x, label=names[i] if i < len(names) else None)
        for i, x in enumerate(arguments)
    ]
    with _unchanged(f), Observer(), recording():
        out = f(*inputs)
    found = [x for x in flatten(out)[0] if isinstance(x, Tensor)]
    if not found:
        raise RenderError(
            f"nothing to draw: {getattr(f, '__name__', type(f).__name__)} returned no Tensor"
        )
    return found


def _is_number(x: Any) -> bool:
    if isinstance(x, (np.ndarray, np.generic)):
        return x.dtype.kind in "biufc"
    return isinstance(x, (int, float, complex, list))


def _parameter_names(f: Any) -> list[str]:
    try:
        return list(inspect.signature(getattr(f, "forward", f)).parameters)
    except (TypeError, ValueError):
        return []


@contextmanager
def _unchanged(f: Any) -> Iterator[None]:
    """A block after which the state of a module is what it was: running means, for instance."""
    held: list[Any] = [
        t for name in ("named_parameters", "named_buffers") if hasattr(f, name)
        for _, t in getattr(f, name)()
    ]
    before = [(t, t._value, t._lent, t._born) for t in held]
    try:
        yield
    finally:
        for t, data, lent, born in before:
            t._value, t._lent, t._born = data, lent, born


def _recorded(f: Compiled, stage: str | None, recording: int | None) -> tuple[Program, int]:
    """The program of a compiled function to draw, and how many of its inputs are arguments."""
    passes = f.executor.passes
    names = [name for name, _ in passes]
    if stage not in (None, "before", *names, "after"):
        known = ", ".join(map(repr, names))
        raise RenderError(
            f"unknown stage {stage!r}: use 'before' or 'after' (the passes), or a pass: {known}"
        )
    plans = f._all
    if not plans:
        raise RenderError(f"{f!r} was not recorded yet: call it once, then draw it")
    index = -1 if recording is None else recording
    if not -len(plans) <= index < len(plans):
        raise RenderError(f"no recording {index}: {f!r} has {len(plans)}, counted from 0")
    plan = plans[index]
    arguments = len(plan.after.inputs) - len(plan.inputs)
    if stage in (None, "after"):
        return plan.after, arguments
    program = plan.before
    for name, step in passes if stage != "before" else ():
        program = step(program)
        if name == stage:
            break
    return program, arguments


def cotangents_of(outputs: Any, graph: Any, grad: Any) -> list[Any] | None:
    """The cotangents of a graph's outputs, checked and cast, as `Graph.bprop` takes them.

    Raises ShapeError for shapes or numbers that differ, GradientError where none could flow.
    """
    if grad is None:
        return None
    single = isinstance(outputs, Tensor) or getattr(outputs, "_single", False)
    if single or (len(graph.outputs) == 1 and np.shape(grad) == graph.outputs[0].shape):
        given = [grad]
    else:
        given = list(grad)
    if len(given) != len(graph.outputs):
        raise ShapeError(
            f"render: {len(given)} cotangents for {len(graph.outputs)} outputs (at {caller()})")
    if not any(output.requires_grad for output in graph.outputs):
        raise GradientError(
            f"render: `grad` is the cotangent of the outputs, but no leaf of the graph requires a "
            f"gradient (at {caller()}); make leaves with `ag.tensor(x, requires_grad=True)`"
        )
    return [output._seed(g, False, "render") for output, g in
            zip(graph.outputs, given, strict=True)]


def as_graph(outputs: Any) -> GraphLike:
    """The graph behind Tensors."""
    if hasattr(outputs, "nodes"):
        graph: GraphLike = outputs
        return graph
    tensors = (outputs,) if isinstance(outputs, Tensor) else outputs
    if not isinstance(tensors, Sequence) or not all(isinstance(t, Tensor) for t in tensors):
        raise TypeError(
            f"cannot draw {type(outputs).__name__}: pass a Tensor, a Graph or a sequence of Tensors"
            ", a compiled function or one of its programs, or a function or module and an `example`"
        )
    if not tensors:
        raise RenderError("nothing to draw: the sequence of outputs is empty")
    return Graph(tensors)
