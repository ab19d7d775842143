"""Neural networks on `autograd_core`, built purely from graph primitives.

    import nn

    model = nn.MLP([64, 128, 10], activation="relu", rng=0)
    history = nn.fit(model, X, labels, loss=nn.losses.cross_entropy,
                     optimizer=nn.optim.Adam(model.parameters(), lr=1e-3), epochs=20, seed=0)

Nothing here defines a derivative: a layer, a loss or an optimiser is an expression in NumPy
functions and operators, and what the engine can do with an expression it can do with a network.
"""

import sys
from typing import TYPE_CHECKING, Any

from . import (
    activations,
    init,
    losses,
    metrics,
    networks,
    optim,
    penalties,
    plots,
    schedules,
    threads,
)
from .activations import (
    ELU,
    GELU,
    SELU,
    Absolute,
    Hardtanh,
    Identity,
    LeakyReLU,
    LogSoftmax,
    Maxout,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Step,
    Tanh,
)
from .callbacks import (
    Callback,
    Checkpoint,
    CSVLog,
    EarlyStopping,
    GradientMonitor,
    LearningRateLog,
    Training,
)
from .convolution import AvgPool2d, Conv2d, MaxPool2d
from .diagnose import Diagnosis, DiagnosisLog, LayerDiagnosis, diagnose
from .drawing import draw
from .history import History
from .io import load, save, saved_epoch
from .layers import (
    MLP,
    Bilinear,
    Dropout,
    Embedding,
    Ensemble,
    Flatten,
    Linear,
    Residual,
    Sequential,
)
from .mixture import MixtureDensity
from .module import Buffer, Module, Parameter
from .neurons import RBF, Layer, LinearNeuron, MaxoutLayer, Neuron, Perceptron
from .normalization import BatchNorm1d, BatchNorm2d, LayerNorm
from .optim import EMA
from .playground import playground
from .recurrent import GRU, LSTM, RNN, detach
from .rules import delta_fit, delta_rule, perceptron_fit, perceptron_rule
from .training import fit, predict

if TYPE_CHECKING:
    from .estimators import MLPClassifier as MLPClassifier
    from .estimators import MLPRegressor as MLPRegressor
else:

    def _elsewhere(name: str) -> str:
        """Where there is something of nearly this name, as others have it: nn.CrossEntropyLoss."""

        def plain(name: str) -> str:
            return name.lower().replace("_", "")

        wanted = plain(name)
        places: Any = (sys.modules[__name__], optim, schedules, activations, losses, init, metrics)
        found = [
            (known != name, f"; there is {place.__name__}.{known}")
            for place in ((losses,) if wanted.endswith("loss") else places)
            for known in place.__all__ if plain(known) == wanted.removesuffix("loss")
        ]
        return min(found, key=lambda x: x[0])[1] if found else ""

    def __getattr__(name: str) -> Any:
        """Load the estimators when they are asked for: scikit-learn takes long to import."""
        if name in ("MLPClassifier", "MLPRegressor"):
            from . import estimators

            return vars(estimators)[name]
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}{_elsewhere(name)}",
            name=name, obj=sys.modules[__name__],  # for Python to suggest names like it
        )

    def __dir__() -> list[str]:
        return sorted({*globals(), "MLPClassifier", "MLPRegressor"})


__all__ = [
    "ELU",
    "EMA",
    "GELU",
    "GRU",
    "LSTM",
    "MLP",
    "RBF",
    "RNN",
    "SELU",
    "Absolute",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Bilinear",
    "Buffer",
    "CSVLog",
    "Callback",
    "Checkpoint",
    "Conv2d",
    "Diagnosis",
    "DiagnosisLog",
    "Dropout",
    "EarlyStopping",
    "Embedding",
    "Ensemble",
    "Flatten",
    "GradientMonitor",
    "Hardtanh",
    "History",
    "Identity",
    "Layer",
    "LayerDiagnosis",
    "LayerNorm",
    "LeakyReLU",
    "LearningRateLog",
    "Linear",
    "LinearNeuron",
    "LogSoftmax",
    "MaxPool2d",
    "Maxout",
    "MaxoutLayer",
    "MixtureDensity",
    "Module",
    "Neuron",
    "PReLU",
    "Parameter",
    "Perceptron",
    "ReLU",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "Step",
    "Tanh",
    "Training",
    "activations",
    "delta_fit",
    "delta_rule",
    "detach",
    "diagnose",
    "draw",
    "fit",
    "init",
    "load",
    "losses",
    "metrics",
    "networks",
    "optim",
    "penalties",
    "perceptron_fit",
    "perceptron_rule",
    "playground",
    "plots",
    "predict",
    "save",
    "saved_epoch",
    "schedules",
    "threads",
]
