"""A variational autoencoder from data to picture: new digits from standard normal numbers.

python examples/start/vae.py

The KL divergence keeps each image's code close to N(0, I); so draws from N(0, I) also decode to
images. The loss is the negative ELBO, derived in docs/derivations/vae.md. On MNIST the ten epochs
take about a minute on one core and end at 102.0 nats per test image. Samples: runs/start/vae.png.
"""

from pathlib import Path

import numpy as np

import tinygen as tg
from tinygen.commands import command_line

EPOCHS, BATCH_SIZE, RATE, LIMIT, SEED = 10, 128, 6e-3, 200.0, 0
PIXELS, HIDDEN, LATENT = 28 * 28, 400, 20
PICTURE = Path("runs/start/vae.png")


def initialise(rng):
    """Named views of one flat vector: an optimiser moves the vector, the loss reads the names."""
    shapes = {
        "encoder.W1": (PIXELS, HIDDEN), "encoder.b1": (HIDDEN,),
        "encoder.W2": (HIDDEN, 2 * LATENT), "encoder.b2": (2 * LATENT,),
        "decoder.W1": (LATENT, HIDDEN), "decoder.b1": (HIDDEN,),
        "decoder.W2": (HIDDEN, PIXELS), "decoder.b2": (PIXELS,),
    }  # fmt: skip
    p = tg.Parameters.zeros(shapes, np.float32, tg.get_backend("numpy"))
    for W in p.values():
        if W.ndim == 2:  # Glorot and Bengio (2010): neither signal nor gradient fades with depth
            W[...] = rng.standard_normal(W.shape) * np.sqrt(2 / sum(W.shape))
    return p


def encode(p, x):
    h = tg.gelu(x @ p["encoder.W1"] + p["encoder.b1"])
    h = h @ p["encoder.W2"] + p["encoder.b2"]
    return h[:, :LATENT], h[:, LATENT:]  # the mean, and the logarithm of the variance


def decode(p, z):
    h = tg.gelu(z @ p["decoder.W1"] + p["decoder.b1"])
    return h @ p["decoder.W2"] + p["decoder.b2"]  # logits: their sigmoid is the image


def loss(p, x, noise):
    mean, log_var = encode(p, x)
    z = mean + tg.exp(0.5 * log_var) * noise  # a draw of the code; gradients flow to both
    kl = tg.sum(tg.gaussian_kl(mean, log_var), axis=1)
    return tg.mean(tg.bernoulli_nll(decode(p, z), x) + kl)


def main():
    dataset = tg.data.load()  # MNIST, or built-in stroke digits without a network
    images, test = dataset.train_images, tg.data.as_floats(dataset.test_images)
    rng = np.random.default_rng(SEED)
    p = initialise(rng)
    # By autograd. Derived on paper, for k draws per image (k, n, c), the same numbers are
    # tg.byhand.vae.loss_and_grads(p, x, noise[None], activation="gelu", likelihood="bernoulli").
    gradient = tg.value_and_grad(loss)
    optimizer = tg.Adam(p, beta2=0.95)
    rate = tg.optim.linear(RATE, EPOCHS * -(-len(images) // BATCH_SIZE))
    for epoch in range(EPOCHS):
        order = tg.data.epoch_order(len(images), SEED, epoch)
        for step, x in enumerate(tg.data.batches(images, order, BATCH_SIZE), optimizer.steps):
            J, dp = gradient(p, x, rng.standard_normal((len(x), LATENT), dtype=np.float32))
            tg.clip_by_norm(dp, LIMIT)  # a rare batch with a huge gradient must not undo the rest
            optimizer.update(p, dp, rate(step))
        noise = rng.standard_normal((len(test), LATENT), dtype=np.float32)
        print(f"epoch {epoch + 1:2}: last batch {J:.2f}, test {loss(p, test, noise):.2f} nats")
    z = rng.standard_normal((100, LATENT), dtype=np.float32)
    tg.plots.sheet(tg.sigmoid(decode(p, z)), dataset.image_shape, columns=10, path=PICTURE)
    print(f"the picture is {PICTURE}")


if __name__ == "__main__":
    raise SystemExit(command_line.run(main))
