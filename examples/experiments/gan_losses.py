"""Plot the generator's loss over the discriminator's output, and the optimal discriminator.

python examples/experiments/gan_losses.py
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygen import Adam, Tensor, grad, plots, value_and_grad
from tinygen.commands import command_line
from tinygen.models import GAN
from tinygen.models.gan import LOSSES
from tinygen.ops import sigmoid
from tinygen.optim import cosine
from tinygen.training import RunDir

SURE = 6.0
"""The picture shows outputs from -SURE, certainly a fake, to SURE."""
# The data's density and the generator's are mixtures: (weight, mean, standard deviation).
DATA = ((0.6, -1.5, 0.7), (0.4, 1.5, 0.5))
GENERATED = ((1.0, 0.5, 1.3),)
X = np.linspace(-5, 5, 2001)


def losses_and_derivatives(loss: str, outputs: Any) -> tuple[list[float], list[float]]:
    """The generator's loss and its derivative, for each output of the discriminator.

    Both players are the identity, so the noise is the output.
    """
    model = GAN(
        pixels=1, latent=1, generator_hidden=(), discriminator_hidden=(), loss=loss,
        generator_norm="none", output="none",
    )  # fmt: skip
    p = model.initialise(0, np.float64)
    p["generator.W1"][...] = p["discriminator.W1"][...] = 1
    values, derivatives = [], []
    for a in outputs:
        z = Tensor(np.array([[a]]), requires_grad=True)
        value = model.generator_loss(p.part("generator."), p.part("discriminator."), z)
        values.append(float(value.array))
        derivatives.append(float(grad(value, z)[0, 0]))
    return values, derivatives


def density(mixture: Any) -> Any:
    """The density at the points X."""
    return sum(
        weight * np.exp(-(((X - mean) / s) ** 2) / 2) / (s * np.sqrt(2 * np.pi))
        for weight, mean, s in mixture
    )


def points(mixture: Any, n: int, generator: np.random.Generator) -> Any:
    """n points of the mixture: (n, 1)."""
    weight, mean, s = np.array(mixture).T
    k = generator.choice(len(weight), n, p=weight)
    return (mean[k] + s[k] * generator.standard_normal(n))[:, None]


def best_discriminator(steps: int) -> tuple[Any, float]:
    """Train one against a fixed generator: its probabilities at X, and its loss on new points."""
    model = GAN(
        pixels=1, latent=1, generator_hidden=(), generator_norm="none", output="none",
        discriminator_hidden=(32, 32), discriminator_activation="elu",
    )  # fmt: skip
    d = model.initialise(0, np.float64).part("discriminator.")
    loss, adam, rate = value_and_grad(model.discriminator_loss), Adam(d), cosine(0.01, steps)
    generator = np.random.default_rng(0)
    for step in range(steps):
        _, g = loss(d, points(DATA, 512, generator), points(GENERATED, 512, generator))
        adam.update(d, g, rate(step))
    new = points(DATA, 200_000, generator), points(GENERATED, 200_000, generator)
    return sigmoid(model.logits(d, X[:, None]))[:, 0], float(model.discriminator_loss(d, *new))


def flags() -> argparse.ArgumentParser:
    p = command_line.bare_parser(__doc__)
    p.add_argument("--out", type=command_line.path, default=Path("runs/gan_losses"), metavar="DIR",
                   help="folder of the pictures")  # fmt: skip
    p.add_argument("--smoke", action="store_true", help="train a few steps only")
    return p


def main(arguments: Sequence[str] | None = None) -> None:
    args = flags().parse_args(arguments)
    RunDir(args.out).open()

    outputs = np.linspace(-SURE, SURE, 121)
    loss, derivative = {}, {}
    for name in LOSSES:
        if name != "r1":  # its generator has the loss "non-saturating"
            loss[name], derivative[name] = losses_and_derivatives(name, outputs)
    panels = {"the generator's loss": loss, "its derivative": derivative}
    plots.functions(outputs, panels, "the discriminator's output a", window=(-3, 3),
                    path=args.out / "losses.png")  # fmt: skip
    print(f"{'derivative at a =':18}" + "".join(f"{a:10.0f}" for a in outputs[::20]))
    for name, values in derivative.items():
        print(f"{name:18}" + "".join(f"{value:10.4f}" for value in values[::20]))

    p, q = density(DATA), density(GENERATED)
    best = p / (p + q)
    D, value = best_discriminator(50 if args.smoke else 2000)
    plots.functions(X, {
        "densities": {"data p": p, "generator q": q},
        "the discriminator": {"p / (p + q)": best, "trained": D},
    }, "x", path=args.out / "optimum.png")  # fmt: skip
    # JS(p, q) = log 2 + the integral of (p log best + q log (1 - best)) / 2
    js = np.log(2) + 0.5 * (p * np.log(best) + q * np.log1p(-best)).sum() * (X[1] - X[0])
    print(f"\nJensen-Shannon divergence of p and q  {js:.4f} nats")
    print(f"so the least loss, 2 log 2 - 2 JS, is {2 * np.log(2) - 2 * js:.4f}")
    print(f"the trained discriminator's loss      {value:.4f}")
    print(f"pictures are in {args.out}")


if __name__ == "__main__":
    sys.exit(command_line.run(main))
