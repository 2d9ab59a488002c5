"""Adam, a learning rate for each step, the batches of an epoch, and the loop that uses them."""

import numpy as np


def moments(m, v, g, beta1, beta2):
    """The moving averages `m` of the gradients and `v` of their squares, after the gradient `g`."""
    # BEGIN q1 (1) (2) points=1.5
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    return m, v
    # END


def corrected(m, v, t, beta1, beta2):
    """Both averages without the bias of having begun at 0. `t` is 1 in the first step."""
    # BEGIN q2 (3) (4) points=1
    return m / (1 - beta1**t), v / (1 - beta2**t)
    # END


def step(p, m, v, rate, eps):
    """The parameters after a step, with `m` and `v` corrected already."""
    # BEGIN q3 (5) points=1
    return p - rate * m / (np.sqrt(v) + eps)
    # END


def with_l2(g, p, decay):
    """The gradient of the loss with a penalty on large parameters, where `g` is that without."""
    # BEGIN q4 (6) points=0.5 level=2
    return g + decay * p
    # END


def decayed(p, rate, decay):
    """The parameters after decoupled weight decay, to which the step is then applied."""
    # BEGIN q5 (7) points=1 level=2
    return (1 - rate * decay) * p
    # END


def rate_of(t, top, warm, steps):
    """The learning rate of step `t`. The first step is number 0, the last one `steps` - 1."""
    # BEGIN q6 (8) (9) points=1.5 level=2
    if t < warm:
        return top * (t + 1) / warm
    return top * (steps - t) / (steps - warm)
    # END


def batches(n, size, random):
    """The batches of an epoch: a list of arrays, the indices of images, from 0 to `n` - 1.

    Their order is drawn from the generator `random`, such as np.random.default_rng(0).
    """
    # BEGIN q7 (10) points=1.5
    order = random.permutation(n)
    return [order[i : i + size] for i in range(0, n, size)]
    # END


def train(p, epochs, batches, schedule, loss_and_grad, update):
    """The parameters after some epochs of training that begins with `p`.

    Args:
        batches: `batches(epoch)` is a list, the batches of epoch 0, 1, ...
        schedule: `schedule(t)` is the learning rate of step 0, 1, ...
        loss_and_grad: `loss_and_grad(p, batch)` is the loss of a batch, and its gradient.
        update: `update(p, g, state, rate)` is a pair: the parameters after one step, and what the
            update wants to remember. It is given back as `state` in the next step; None at first.
    """
    # BEGIN q8 (11) (12) points=2
    state, t = None, 0
    for epoch in range(epochs):
        for batch in batches(epoch):
            _, g = loss_and_grad(p, batch)
            p, state = update(p, g, state, schedule(t))
            t += 1
    return p
    # END


def adam(p, g, state, rate, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.01):
    """All of AdamW, as an update for `train`."""
    m, v, t = state or (np.zeros_like(p), np.zeros_like(p), 0)
    m, v = moments(m, v, g, beta1, beta2)
    mean, square = corrected(m, v, t + 1, beta1, beta2)
    return step(decayed(p, rate, decay), mean, square, rate, eps), (m, v, t + 1)


def strokes(random, n):
    """Images of 6 x 6 pixels: some of five strokes, more or less bright, and noise."""
    pen = np.zeros((5, 6, 6))
    pen[0, 1] = pen[1, 4] = pen[2, :, 1] = pen[3, :, 4] = 1
    pen[4] = np.eye(6)
    brightness = random.random((n, 5)) * (random.random((n, 5)) < 0.5)
    return brightness @ pen.reshape(5, 36) + 0.05 * random.standard_normal((n, 36))


def play():
    """Trains a linear autoencoder with all that is above: 36 pixels, 5 numbers, 36 pixels."""
    random = np.random.default_rng(0)
    images, p = strokes(random, 90), 0.1 * random.standard_normal((36, 5))
    epochs, warm = 30, 20
    steps = epochs * len(batches(90, 16, random))

    def loss_and_grad(p, batch):
        """The mean squared error of images that are encoded by `p` and decoded by its transpose."""
        x = images[batch]
        error = x @ p @ p.T - x
        return np.mean(error**2), 2 / error.size * (x.T @ error + error.T @ x) @ p

    def say(when, error):
        print(f"{when}: mean squared error {error:.5f}")

    def descend(p, g, state, rate):
        """Gradient descent, to compare with."""
        return p - rate * g, None

    say("before training", loss_and_grad(p, np.arange(90))[0])
    for update in (descend, adam):
        trained = train(
            p,
            epochs,
            lambda epoch: batches(90, 16, random),
            lambda t: rate_of(t, 0.02, warm, steps),
            loss_and_grad,
            update,
        )
        say(f"after training with {update.__name__}", loss_and_grad(trained, np.arange(90))[0])
    singular = np.linalg.svd(images, compute_uv=False)
    say("the least that is possible", np.sum(singular[5:] ** 2) / images.size)


if __name__ == "__main__":
    play()
