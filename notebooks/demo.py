"""The main job: read handwritten digits, then differentiate and draw one expression.

Trains a multilayer perceptron on the 1,797 scanned digits that come with scikit-learn, a fixed
fifth of them held out, and writes into the output folder

    learning_curve.png   loss and held-out accuracy, epoch by epoch
    mistakes.png         the held-out digits it misreads
    loss.svg, loss.png   the computation graph of the loss of one mini-batch
    weights.safetensors  the trained weights
    expression.svg, .png the graph of f = exp(eˣ + e²ˣ) + sin(eˣ + e²ˣ), values and gradients
    expression.html      the same, step by step: open it in a browser and press the space bar

Run it with `make demo`, or `python notebooks/demo.py --out FOLDER`.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import autograd_core as ag
import nn


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    return float((logits.argmax(axis=1) == labels).mean())


def train(out: Path, epochs: int) -> None:
    """Learn to read digits, and write down how it went."""
    images, labels = load_digits(return_X_y=True)
    images = images / images.max()
    x, x_held_out, y, y_held_out = train_test_split(
        images, labels, test_size=0.2, random_state=42, stratify=labels
    )
    model = nn.MLP([64, 256, 10], activation="relu", rng=0)
    print(f"{model}\n{sum(p.size for p in model.parameters()):,} parameters, {len(x):,} digits")

    begin = time.perf_counter()
    history = nn.fit(
        model, x, y,
        loss=nn.losses.cross_entropy,
        optimizer=nn.optim.Adam(model.parameters(), lr=2e-3),
        epochs=epochs, batch_size=32, seed=0,
        validation_data=(x_held_out, y_held_out), metrics={"accuracy": accuracy},
    )
    seconds = time.perf_counter() - begin
    logits = nn.predict(model, x_held_out)
    print(f"held-out accuracy {accuracy(logits, y_held_out):.1%} after {seconds:.1f} s")

    learning_curve(history, out / "learning_curve.png")
    mistakes(x_held_out, y_held_out, logits, out / "mistakes.png")
    wrote(nn.save(model, out / "weights.safetensors"))

    batch = ag.tensor(x[:32], dtype=np.float32, label="x")
    loss = nn.losses.cross_entropy(model(batch), y[:32])
    loss.label = "loss"
    model.zero_grad()
    ag.Graph(loss).bprop()
    draw(loss, out / "loss", rankdir="TB", title="cross-entropy of one mini-batch")


def learning_curve(history: nn.History, path: Path) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    epochs = np.arange(1, len(history) + 1)
    left.semilogy(epochs, history["loss"], label="training")
    left.semilogy(epochs, history["val_loss"], label="held out", linestyle="--")
    left.set(title="Loss", xlabel="epoch", ylabel="cross-entropy")
    left.legend()
    right.plot(epochs, history["val_accuracy"], color="C1", linestyle="--")
    right.axhline(0.97, color="grey", linewidth=0.8)
    right.set(title="Held-out accuracy", xlabel="epoch", ylabel="share of digits read right")
    save_figure(figure, path)


def mistakes(x: np.ndarray, labels: np.ndarray, logits: np.ndarray, path: Path) -> None:
    guesses = logits.argmax(axis=1)
    (wrong,) = np.nonzero(guesses != labels)
    columns = 6
    rows = max(1, -(-len(wrong) // columns))
    figure, axes = plt.subplots(
        rows, columns, figsize=(9, 1.7 * rows + 0.6), squeeze=False, layout="constrained"
    )
    for axis in axes.flat:
        axis.axis("off")
    for axis, i in zip(axes.flat, wrong, strict=False):
        axis.imshow(x[i].reshape(8, 8), cmap="gray_r")
        axis.set_title(f"{labels[i]} read as {guesses[i]}", fontsize=9)
    figure.suptitle(f"{len(wrong)} of {len(labels)} held-out digits misread")
    save_figure(figure, path)


def save_figure(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=120)
    plt.close(figure)
    wrote(path)


def draw(graph: Any, path: Path, **options: Any) -> None:
    """The graph as SVG and PNG; where no layout engine can be loaded, why not."""
    for suffix in (".svg", ".png"):
        try:
            wrote(ag.render(graph, path.with_suffix(suffix), **options))
        except ag.RenderError as problem:
            print(f"not drawn: {path.with_suffix(suffix)}: {problem}")


def wrote(path: Path) -> None:
    print(f"wrote {path}")


def differentiate(out: Path) -> None:
    """One arbitrary expression: its value, its derivatives, its graph."""

    def f(x: Any) -> Any:
        c = np.exp(x) + np.exp(x) ** 2
        return np.exp(c) + np.sin(c)

    print("\nf(x) = exp(exp(x) + exp(x)^2) + sin(exp(x) + exp(x)^2)")
    print(f"f(0.5)   = {f(0.5):.6f}")
    print(f"f'(0.5)  = {ag.grad(f)(0.5):.6f}")
    print(f"f''(0.5) = {ag.grad(ag.grad(f))(0.5):.6f}")

    x = ag.tensor(0.5, requires_grad=True, label="x")
    a = np.exp(x)
    b = a**2
    c = a + b
    d, e = np.exp(c), np.sin(c)
    y = d + e
    for name, node in {"a": a, "b": b, "c": c, "d": d, "e": e, "f": y}.items():
        node.label = name
    graph = ag.Graph(y)
    graph.bprop()
    print(graph)
    title = "f and its gradient at x = 0.5"
    draw(graph, out / "expression", title=title)
    wrote(ag.render(graph, out / "expression.html", title=title))


def main() -> None:
    parser = argparse.ArgumentParser(description="Read digits; differentiate an expression.")
    parser.add_argument("--out", type=Path, default=Path("out"), help="where to write")
    parser.add_argument("--epochs", type=int, default=40)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    train(arguments.out, arguments.epochs)
    differentiate(arguments.out)


if __name__ == "__main__":
    main()
