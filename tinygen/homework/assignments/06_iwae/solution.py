"""The importance-weighted autoencoder, one equation of page.md in each function.

There are n images, k draws for each and c dimensions of a code::

    (n, c)      `m`, the means of the codes; `t`, the logs of their standard deviations
    (n, k, c)   `eps`, standard normal noise; `u`, the codes
    (n, k)      log_p, which is `log p(x|u)`; `r`, the logs of the weights
    (n, k)      `omega`, the normalised weights

`du`, `dm`, ... are the gradients of the loss J with respect to `u`, `m`, ..., in their shapes.
"""

import numpy as np


def log_weights(log_p, u, m, t):
    """The logs `r` (n, k) of the weights: log_p (n, k), codes `u` (n, k, c), `m` and `t` (n, c)."""
    # BEGIN q1 (1) (2) (3) points=1.5
    scaled = (u - m[:, None]) / np.exp(t)[:, None]
    return log_p + 0.5 * (scaled**2 - u**2).sum(axis=2) + t.sum(axis=1)[:, None]
    # END


def log_mean_exp(r):
    """The log of the mean weight of each image: `r` (n, k) -> (n,)."""
    # BEGIN q2 (4) points=1.5
    top = r.max(axis=1, keepdims=True)
    return top[:, 0] + np.log(np.exp(r - top).mean(axis=1))
    # END


def normalised(r):
    """The weights `omega` (n, k) as fractions of their image's sum, given their logs `r` (n, k)."""
    # BEGIN q3 (6) points=1
    w = np.exp(r - r.max(axis=1, keepdims=True))
    return w / w.sum(axis=1, keepdims=True)
    # END


def log_weight_gradient(omega):
    """`dr` (n, k), given the normalised weights (n, k)."""
    # BEGIN q4 (8) points=0.5
    return -omega / len(omega)
    # END


def effective_sample_size(omega):
    """How many draws count, for each image: normalised weights (n, k) -> (n,)."""
    # BEGIN q5 (7) points=0.5
    return 1 / (omega**2).sum(axis=1)
    # END


def code_direct(dr, u, m, t):
    """`du` (n, k, c) by way of p(code) and q(code|x), given `dr` (n, k)."""
    # BEGIN q6 (9) points=1
    variance = np.exp(2 * t)[:, None]
    return dr[:, :, None] * ((u - m[:, None]) / variance - u)
    # END


def mean_direct(dr, u, m, t):
    """`dm` (n, c) at given codes, given `dr` (n, k)."""
    # BEGIN q7 (10) points=1
    return -(dr[:, :, None] * (u - m[:, None])).sum(axis=1) / np.exp(2 * t)
    # END


def scale_direct(dr, u, m, t):
    """`dt` (n, c) at given codes, given `dr` (n, k)."""
    # BEGIN q8 (11) points=1
    scaled = (u - m[:, None]) / np.exp(t)[:, None]
    return (dr[:, :, None] * (1 - scaled**2)).sum(axis=1)
    # END


def both_paths(du, t, eps, mean_rest, scale_rest):
    """All of `dm` and of `dt` (n, c), given `du` (n, k, c) and the results of q7 and q8."""
    # BEGIN q9 (12) (13) points=1
    dm = du.sum(axis=1) + mean_rest
    dt = (du * eps).sum(axis=1) * np.exp(t) + scale_rest
    return dm, dt
    # END


def bound(r, size):
    """The bound with size draws, a number, estimated from `r` (n, k); k is a multiple of size.

    The first size draws of an image are a group, the next are another, and so on.
    """
    # BEGIN q10 (14) points=1 level=2
    groups = r.reshape(len(r), -1, size)
    return np.log(np.exp(groups).mean(axis=2)).mean()
    # END


# Given: your functions put together, with one linear layer each way. Run this file to see them
# learn.


def loss_and_grads(p, x, eps):
    """J, its gradient with respect to W1 (d, 2 c), b1, W2 (c, d) and b2 in p, and `r` (n, k)."""
    (W1, b1, W2, b2), (n, k, c) = p, eps.shape
    out = x @ W1 + b1
    m, t = out[:, :c], out[:, c:]
    u = m[:, None] + np.exp(t)[:, None] * eps
    logits = u @ W2 + b2
    log_p = (x[:, None] * logits - np.logaddexp(0, logits)).sum(axis=2)
    r = log_weights(log_p, u, m, t)
    J = -log_mean_exp(r).mean()

    dr = log_weight_gradient(normalised(r))
    dlogits = dr[:, :, None] * (x[:, None] - 1 / (1 + np.exp(-logits)))
    du = dlogits @ W2.T + code_direct(dr, u, m, t)
    direct = mean_direct(dr, u, m, t), scale_direct(dr, u, m, t)
    dout = np.concatenate(both_paths(du, t, eps, *direct), axis=1)
    dW2 = u.reshape(n * k, c).T @ dlogits.reshape(n * k, -1)
    return J, [x.T @ dout, dout.sum(axis=0), dW2, dlogits.sum(axis=(0, 1))], r


def bars(random, n):
    """Images (n, 16) of 4 x 4 pixels, in which one row or one column is white."""
    x, place = np.zeros((n, 4, 4)), random.integers(4, size=n)
    upright = random.random(n) < 0.5
    x[upright, :, place[upright]] = 1
    x[~upright, place[~upright], :] = 1
    return x.reshape(n, 16)


def train(steps=1001, k=12, c=3):
    """Gradient descent on bars, the bounds with 1, 3 and k draws, and how many draws count."""
    random = np.random.default_rng(0)
    p = [0.1 * random.standard_normal(shape) for shape in [(16, 2 * c), (2 * c,), (c, 16), (16,)]]
    for step in range(steps):
        x, eps = bars(random, 64), random.standard_normal((64, k, c))
        J, gradients, r = loss_and_grads(p, x, eps)
        p = [value - 0.1 * gradient for value, gradient in zip(p, gradients, strict=True)]
        if step % 250 == 0:
            count = effective_sample_size(normalised(r)).mean()
            bounds = np.round([bound(r, size) for size in (1, 3, k)], 2)
            print(f"step {step:4}: J = {J:.3f}, bounds {bounds}, {count:.1f} of {k} draws count")
    return p


if __name__ == "__main__":
    train()
