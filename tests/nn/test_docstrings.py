"""Each unit, loss, rule and scheme says its formula and where it is from."""

import inspect
import re

import pytest

import nn
from nn import mixture, neurons, normalization, recurrent, rules

#: What has neither: containers of others, helpers, and what only gives a place or numbers.
PLAIN = {
    "as_rng", "check_labels", "detach", "get", "given", "normal", "ones", "parameters_of",
    "uniform", "Flatten", "Function", "Optimizer", "PerEpoch", "Product", "Schedule", "Sequence",
}
VOCABULARY = [
    (module, name)
    for module in (
        nn.activations, nn.losses, nn.optim, nn.schedules, nn.init, nn.penalties, nn.networks,
        nn.layers, nn.convolution, neurons, normalization, recurrent, mixture, rules,
    )
    for name in module.__all__
    if callable(getattr(module, name)) and name not in PLAIN | {"Activation", "Initializer",
                                                                "Random"}
]


#: What words say as well.
IN_WORDS = {"identity", "Identity", "step", "Step", "zeros", "constant", "MaxPool2d", "AvgPool2d"}


def text_of(module, name):
    """Its docstring, and those of what it refers to in its first paragraph."""
    text = inspect.getdoc(getattr(module, name)) or ""
    others = re.findall(r":(?:func|class):`(\w+)`", text.split("\n\n")[0])
    return "\n".join([text, *(text_of(module, other) for other in others)])


def test_the_vocabulary_is_whole():
    found = {name for _, name in VOCABULARY}
    assert {"Linear", "RBF", "LSTM", "maxout", "gelu", "mdn_nll", "AdaDelta", "LBFGS", "OneCycle",
            "orthogonal", "group", "MixtureDensity", "perceptron_rule", "Conv2d"} <= found
    assert len(found) >= 120


@pytest.mark.parametrize(("module", "name"), VOCABULARY,
                         ids=lambda x: getattr(x, "__name__", x))
def test_it_has_a_formula_and_a_source(module, name):
    text = text_of(module, name)
    assert re.search(r"Source:\s(.|\n)*?\((19|20)\d\d\)", text), f"no source: {text}"
    words = "\n".join(line for line in text.split("\n") if not line.startswith((">>>", "...")))
    formula = r"[=←Σ√²½|σ]|\b([NU]|exp|max)\(|\bln "
    assert name in IN_WORDS or re.search(formula, words), f"no formula: {text}"
