"""A variational autoencoder, one equation of page.md in each function.

There are k draws, n images, c dimensions of a code and d pixels::

    (n, d)      `x`, the images, a row each
    (n, c)      `m`, the means of their codes; `t`, the logs of their standard deviations
    (k, n, c)   `eps`, standard normal noise; `u`, the codes
    (k, n, d)   `f`, the decoder's output: the logits of the pixels
    (k, n)      log_p, which is `log p(x|u)`
    (n, c)      KL, of each dimension of a code

`du`, `dm`, ... are the gradients of the loss J with respect to `u`, `m`, ..., in their shapes.
"""

import numpy as np


def reparameterise(m, t, eps):
    """Codes `u` (k, n, c) of the means `m` and the logs `t` (n, c), with noise `eps` (k, n, c)."""
    # BEGIN q1 (1) (2) points=1
    return m + np.exp(t) * eps
    # END


def log_likelihood(f, x):
    """`log p(x|u)` (k, n) of each draw and image: logits `f` (k, n, d), pixels `x` (n, d)."""
    # BEGIN q2 (3) (4) points=1.5
    log_white, log_black = -np.logaddexp(0, -f), -np.logaddexp(0, f)
    return (x * log_white + (1 - x) * log_black).sum(axis=-1)
    # END


def kl(m, t):
    """The KL divergence from the prior of each dimension of each code: (n, c) (n, c) -> (n, c)."""
    # BEGIN q3 (5) points=1
    return 0.5 * (np.exp(2 * t) + m**2 - 1) - t
    # END


def loss(log_p, KL, beta):
    """J, a number, of `log_p` (k, n) and `KL` (n, c), whose weight is `beta`."""
    # BEGIN q4 (6) points=1
    return -log_p.mean() + beta * KL.sum(axis=1).mean()
    # END


def logit_gradient(f, x):
    """`df` (k, n, d), of logits `f` (k, n, d) and pixels `x` (n, d)."""
    # BEGIN q5 (7) points=1
    k, n, _ = f.shape
    y = 1 / (1 + np.exp(-f))
    return (y - x) / (k * n)
    # END


def mean_through_draw(du):
    """What arrives at `m` (n, c) by way of `u`, given `du` (k, n, c)."""
    # BEGIN q6 (8) points=0.5
    return du.sum(axis=0)
    # END


def scale_through_draw(du, t, eps):
    """What arrives at `t` (n, c) by way of `u`, given `du` (k, n, c) and the noise (k, n, c)."""
    # BEGIN q7 (9) points=1
    return (du * np.exp(t) * eps).sum(axis=0)
    # END


def mean_through_kl(m, beta):
    """What arrives at `m` (n, c) by way of the KL in J, whose weight is `beta`."""
    # BEGIN q8 (10) points=0.5
    return beta / len(m) * m
    # END


def scale_through_kl(t, beta):
    """What arrives at `t` (n, c) by way of the KL in J, whose weight is `beta`."""
    # BEGIN q9 (11) points=1
    return beta / len(t) * (np.exp(2 * t) - 1)
    # END


def encoder_gradient(mean_draw, scale_draw, mean_KL, scale_KL):
    """The gradient (n, 2 c) of the encoder's output, given the results of q6 to q9, (n, c) each."""
    # BEGIN q10 (12) points=0.5
    return np.concatenate([mean_draw + mean_KL, scale_draw + scale_KL], axis=1)
    # END


def free_bits(KL, floor, beta):
    """The cost of `KL` (n, c) with a floor, a number, and its derivative `dKL` (n, c)."""
    # BEGIN q11 (13) (14) (15) points=1 level=2
    cost = beta * np.maximum(floor, KL.mean(axis=0)).sum()
    dKL = beta / len(KL) * (KL.mean(axis=0) > floor) * np.ones_like(KL)
    return cost, dKL
    # END
