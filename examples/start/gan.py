"""A GAN from data to picture: new digits from a generator that is never shown an image.

python examples/start/gan.py

A discriminator learns to tell real images from generated ones, and its gradient tells the generator
how to pass for real. In balance it can only guess: D's loss is log 4 = 1.39 plus the penalty, G's
log 2 = 0.69. On MNIST the ten epochs take about four minutes on one core and end at 1.35 and 0.72;
most of the 100 samples in runs/start/gan.png are clear digits, of all ten kinds.

The derivation is docs/derivations/gan.md; docs/gan-training.md says what can go wrong.
"""

from pathlib import Path

import numpy as np

import tinygen as tg
from tinygen.commands import command_line

EPOCHS, BATCH_SIZE, RATE, SEED = 10, 128, 4e-3, 0
LATENT, PIXELS = 20, 28 * 28
GAMMA = 2.0
PICTURE = Path("runs/start/gan.png")

# A network holds no weights: the parameters, g and d, are passed in at each call.
generator = tg.mlp([LATENT, 256, 512, 512, PIXELS], "relu", weights="glorot_uniform")
discriminator = tg.mlp([PIXELS, 512, 256, 1], "gelu", weights="glorot_uniform")


def generate(g, z):
    return tg.sigmoid(generator(g, z))


def discriminator_loss(d, real, fake):
    """Binary cross-entropy: softplus(-a) is -log D for a logit a, softplus(a) is -log(1 - D)."""
    x = tg.Tensor(real, requires_grad=True)
    a, b = discriminator(d, x), discriminator(d, fake)
    # R1 (Mescheder et al. 2018): the game converges if D is flat at real images. The penalty is a
    # function of a gradient and is itself differentiated, which takes create_graph.
    gradient = tg.grad(tg.sum(a), x, create_graph=True)
    penalty = tg.mean(tg.sum(gradient**2, axis=1))
    return tg.mean(tg.softplus(-a)) + tg.mean(tg.softplus(b)) + 0.5 * GAMMA * penalty


def generator_loss(g, d, z):
    """Non-saturating: G wants its images to pass for real. A function of g alone, d is data."""
    return tg.mean(tg.softplus(-discriminator(d, generate(g, z))))


def main():
    images = tg.data.load().train_images  # MNIST, or built-in stroke digits without a network
    rng = np.random.default_rng(SEED)

    def noise(n):
        return rng.standard_normal((n, LATENT), dtype=np.float32)

    d, g = discriminator.initialise(SEED), generator.initialise(SEED + 1)
    # Both gradients derived on paper are in tinygen/byhand/gan.py.
    d_gradient, g_gradient = map(tg.value_and_grad, (discriminator_loss, generator_loss))
    d_optimizer, g_optimizer = (tg.Adam(p, beta1=0.5, beta2=0.99) for p in (d, g))
    # G never stops circling the balance; the moving average of its weights stays near the centre.
    average = tg.optim.MovingAverage(g, decay=0.999)
    rate = tg.optim.linear(RATE, EPOCHS * -(-len(images) // BATCH_SIZE))
    for epoch in range(EPOCHS):
        order = tg.data.epoch_order(len(images), SEED, epoch)
        for step, x in enumerate(tg.data.batches(images, order, BATCH_SIZE), d_optimizer.steps):
            J_D, dd = d_gradient(d, x, generate(g, noise(len(x))))
            d_optimizer.update(d, dd, rate(step))
            J_G, dg = g_gradient(g, d, noise(len(x)))
            g_optimizer.update(g, dg, rate(step))
            average.update(g, g_optimizer.steps)
        print(f"epoch {epoch + 1:2}: last batch, D {J_D:.3f}, G {J_G:.3f}")

    tg.plots.sheet(generate(average.average, noise(100)), (28, 28), columns=10, path=PICTURE)
    print(f"the picture is {PICTURE}")


if __name__ == "__main__":
    raise SystemExit(command_line.run(main))
