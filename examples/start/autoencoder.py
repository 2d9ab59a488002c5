"""An autoencoder from data to picture: each digit must pass through a code of 32 numbers.

python examples/start/autoencoder.py

The loss is the mean squared error of what comes back, derived in docs/derivations/autoencoder.md.
On MNIST the ten epochs take about a minute on one core and end at 0.0042 on the test images, where
PCA with 32 components has 0.0168; runs/start/autoencoder.png has digits and reconstructions.
"""

from pathlib import Path

import numpy as np

import tinygen as tg
from tinygen.commands import command_line

EPOCHS, BATCH_SIZE, RATE, WEIGHT_DECAY, SEED = 10, 128, 4e-3, 1e-4, 0
PIXELS, HIDDEN, LATENT = 28 * 28, 512, 32
PICTURE = Path("runs/start/autoencoder.png")


def initialise():
    """Named views of one flat vector: an optimiser moves the vector, the loss reads the names."""
    shapes = {
        "encoder.W1": (PIXELS, HIDDEN), "encoder.b1": (HIDDEN,),
        "encoder.W2": (HIDDEN, LATENT), "encoder.b2": (LATENT,),
        "decoder.W1": (LATENT, HIDDEN), "decoder.b1": (HIDDEN,),
        "decoder.W2": (HIDDEN, PIXELS), "decoder.b2": (PIXELS,),
    }  # fmt: skip
    p = tg.Parameters.zeros(shapes, np.float32, tg.get_backend("numpy"))
    rng = np.random.default_rng(SEED)
    for W in p.values():
        if W.ndim == 2:  # Glorot and Bengio (2010): neither signal nor gradient fades with depth
            W[...] = rng.standard_normal(W.shape) * np.sqrt(2 / sum(W.shape))
    return p


def encode(p, x):
    h = tg.elu(x @ p["encoder.W1"] + p["encoder.b1"])
    return h @ p["encoder.W2"] + p["encoder.b2"]


def decode(p, z):
    h = tg.elu(z @ p["decoder.W1"] + p["decoder.b1"])
    return tg.sigmoid(h @ p["decoder.W2"] + p["decoder.b2"])


def loss(p, x):
    return tg.mse(decode(p, encode(p, x)), x)


def main():
    dataset = tg.data.load()  # MNIST, or built-in stroke digits without a network
    images, test = dataset.train_images, tg.data.as_floats(dataset.test_images)
    p = initialise()
    # By autograd. Derived on paper, the same numbers are tg.byhand.autoencoder.loss_and_grads(
    #     p, x, activation="elu", output="sigmoid", reconstruction="mse").
    gradient = tg.value_and_grad(loss)
    # AdamW: Adam that also lets weights decay. The rate falls to 0, so the last steps do not jump.
    optimizer = tg.AdamW(p, beta2=0.95, weight_decay=WEIGHT_DECAY)
    rate = tg.optim.linear(RATE, EPOCHS * -(-len(images) // BATCH_SIZE))
    for epoch in range(EPOCHS):
        order = tg.data.epoch_order(len(images), SEED, epoch)
        for step, x in enumerate(tg.data.batches(images, order, BATCH_SIZE), optimizer.steps):
            J, dp = gradient(p, x)
            optimizer.update(p, dp, rate(step))
        # For plain arrays the loss is a plain number: nothing is recorded.
        print(f"epoch {epoch + 1:2}: last batch {J:.5f}, test images {loss(p, test):.5f}")
    rows = {"original": test[:14], "autoencoder": decode(p, encode(p, test[:14]))}
    tg.plots.images_in_rows(rows, dataset.image_shape, path=PICTURE)
    print(f"the picture is {PICTURE}")


if __name__ == "__main__":
    raise SystemExit(command_line.run(main))
