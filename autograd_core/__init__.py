"""Reverse-mode automatic differentiation for NumPy, with a graph you can see through.

    import autograd_core as ag

    ag.grad(lambda x: np.sin(x) ** 2)(1.0)          # transforms of plain NumPy functions
    x = ag.tensor([1.0, 2.0], requires_grad=True)   # or a graph, built as you compute
    y = (x * x).sum()
    y.backward()                                    # x.grad == [2, 4]
    print(ag.Graph(y))                              # the graph is data: listed, replayed,
    ag.render(y, "y.svg")                           # and drawn

    ag.compile(f)                                   # recorded once and replayed as a plan

Layers, each importing only those before it: ``errors`` and ``files``, ``node``, ``op`` and
``observe``, ``ops``, ``dispatch`` and ``backprop``, ``tensor``, ``packs``, ``containers``,
``random`` and ``recipe``, ``compiler``, ``graph`` and ``batching``, ``transforms`` and ``debug``,
``primitive`` and ``checkpointing``, ``check``, ``render``; and ``special``, which is loaded when
first used.
"""

from typing import TYPE_CHECKING, Any

from . import random
from .check import GradientCheck, check_grads
from .checkpointing import checkpoint
from .compiler.capture import callback, guard, is_compiling
from .compiler.compiled import compile
from .debug import debug_nans
from .errors import (
    CompileError,
    ConversionError,
    GradientCheckError,
    GradientError,
    MissingRuleError,
    MutationError,
    NonFiniteError,
    RenderError,
    ShapeError,
    StaleGraphError,
)
from .files import writable, write_file
from .graph import Graph
from .observe import observed, scope
from .ops.calculus import kaiser
from .ops.reductions import log_softmax, logsumexp, softmax
from .ops.selection import fill_diagonal, put_along_axis
from .ops.special import relu, sigmoid, softplus
from .packs import Pack
from .primitive import custom_vjp, primitive
from .render import html_page, render, to_dot, to_mermaid, to_svg, to_text
from .tensor import Tensor, Value, array, asarray, full, no_grad, stop_gradient, tensor
from .transforms import (
    deriv,
    elementwise_grad,
    ggnvp,
    grad,
    grad_and_aux,
    hessian,
    hvp,
    jacobian,
    jvp,
    value_and_grad,
    vjp,
)

if TYPE_CHECKING:
    from . import special as special
else:

    def __getattr__(name: str) -> Any:
        """Load ``ag.special`` when it is asked for: SciPy takes longer than all the rest."""
        if name == "special":
            from importlib import import_module

            return import_module(".special", __name__)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), "special"})


__version__ = "0.1.0"

# Not `special`: `import *` would load SciPy, or fail where there is none.
__all__ = [
    "CompileError",
    "ConversionError",
    "GradientCheck",
    "GradientCheckError",
    "GradientError",
    "Graph",
    "MissingRuleError",
    "MutationError",
    "NonFiniteError",
    "Pack",
    "RenderError",
    "ShapeError",
    "StaleGraphError",
    "Tensor",
    "Value",
    "array",
    "asarray",
    "callback",
    "check_grads",
    "checkpoint",
    "compile",
    "custom_vjp",
    "debug_nans",
    "deriv",
    "elementwise_grad",
    "fill_diagonal",
    "full",
    "ggnvp",
    "grad",
    "grad_and_aux",
    "guard",
    "hessian",
    "html_page",
    "hvp",
    "is_compiling",
    "jacobian",
    "jvp",
    "kaiser",
    "log_softmax",
    "logsumexp",
    "no_grad",
    "observed",
    "primitive",
    "put_along_axis",
    "random",
    "relu",
    "render",
    "scope",
    "sigmoid",
    "softmax",
    "softplus",
    "stop_gradient",
    "tensor",
    "to_dot",
    "to_mermaid",
    "to_svg",
    "to_text",
    "value_and_grad",
    "vjp",
    "writable",
    "write_file",
]
