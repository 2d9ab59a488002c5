"""A GAN by hand: the losses of both players, the way through the discriminator, and R1.

An image is a column. The discriminator has one hidden layer of softplus units:

    `S = A @ Y + e[:, None]`   its sums (o, n), for images `Y` (i, n), `A` (o, i) and `e` (o,)
    `H = softplus(S)`          its units (o, n)
    `r = w @ H + c`            a logit for each image (n,), with weights `w` (o,); large for "real"

The generator makes m images of noise `Z` (k, m), with weights `B` (i, k) and biases `b` (i,):

    `Y = sigmoid(B @ Z + b[:, None])`
"""

import numpy as np


def softplus(x):
    """log(1 + exp(x)), which never overflows."""
    return np.logaddexp(0, x)


def sigmoid(x):
    """1 / (1 + exp(-x)), with all its digits where it is close to 0."""
    return np.exp(-np.logaddexp(0, -x))


def discriminator_loss(r, q):
    """The discriminator's loss, a number: logits `r` (n,) of real images, `q` (m,) of fake ones."""
    # BEGIN q1 (3) points=1
    return softplus(-r).mean() + softplus(q).mean()
    # END


def discriminator_gradient(r, q):
    """The gradient of that loss with respect to `r` and to `q`: (n,) and (m,)."""
    # BEGIN q2 (4) points=1
    dr = -sigmoid(-r) / len(r)
    dq = sigmoid(q) / len(q)
    return dr, dq
    # END


def non_saturating(q):
    """The generator's non-saturating loss of its images' logits `q` (m,); and the gradient `dq`."""
    # BEGIN q3 (5) (6) points=1
    loss = softplus(-q).mean()
    dq = -sigmoid(-q) / len(q)
    return loss, dq
    # END


def minimax(q):
    """The generator's minimax loss of its images' logits `q` (m,); and the gradient `dq`."""
    # BEGIN q4 (7) (8) points=1
    loss = -softplus(q).mean()
    dq = -sigmoid(q) / len(q)
    return loss, dq
    # END


def activation(S):
    """`F` and `K`, the first and the second derivative of softplus at the sums `S` (o, n)."""
    # BEGIN q5 (9) (10) points=1
    F = sigmoid(S)
    K = F * (1 - F)
    return F, K
    # END


def to_images(dq, w, F, A):
    """From the logits' gradient `dq` (m,) to that of the images, `dY` (i, m).

    On the way are the weights `w` (o,), the activation's derivative `F` (o, m) and `A` (o, i).
    """
    # BEGIN q6 (11) (12) points=1
    dS = w[:, None] * F * dq
    return A.T @ dS
    # END


def to_generator(dY, Y, Z):
    """From the images' gradient `dY` (i, m) to the generator's: `dB` (i, k) and `db` (i,).

    The images `Y` (i, m) are the sigmoid of sums; the noise is `Z` (k, m).
    """
    # BEGIN q7 (13) (14) points=1
    dU = dY * Y * (1 - Y)
    return dU @ Z.T, dU.sum(axis=1)
    # END


def penalty(w, F, A, lam):
    """R1: each logit's derivative with respect to its image, `V` (i, n), and the penalty on it.

    Of n real images, with `F` (o, n), `w` (o,) and `A` (o, i); `lam` is the penalty's weight.
    """
    # BEGIN q8 (15) (16) points=1
    V = A.T @ (w[:, None] * F)
    R = lam / (2 * V.shape[1]) * np.sum(V**2)
    return V, R
    # END


def penalty_gradient(V, w, F, A, lam):
    """The penalty's gradient as if `F` (o, n) were data: `dA` (o, i) and `dw` (o,)."""
    # BEGIN q9 (17) (18) (19) points=1 level=2
    dV = lam / V.shape[1] * V
    dA = (w[:, None] * F) @ dV.T
    dw = np.sum((A @ dV) * F, axis=1)
    return dA, dw
    # END


def penalty_curvature(V, w, K, A, Y, lam):
    """What the penalty's gradient has by way of `F`: `dA` (o, i) and `de` (o,).

    `K` (o, n) is the second derivative of the activation at the sums of the real images `Y` (i, n).
    """
    # BEGIN q10 (20) (21) points=1 level=2
    Q = A @ (lam / V.shape[1] * V)
    dS = Q * w[:, None] * K
    return dS @ Y.T, dS.sum(axis=1)
    # END


# From here on all is given. First, the two networks.


def forward(D, Y):
    """The discriminator `D = A, e, w, c` looks at images: their logits, units, `F` and `K`."""
    A, e, w, c = D
    S = A @ Y + e[:, None]
    H = softplus(S)
    return w @ H + c, H, *activation(S)


def backward(dr, w, F, H, Y):
    """From the logits' gradient `dr` to that of the discriminator: `dA`, `de` and `dw`."""
    dS = w[:, None] * F * dr
    return dS @ Y.T, dS.sum(axis=1), H @ dr


def generate(G, Z):
    """The generator `G = B, b` makes images of noise."""
    B, b = G
    return sigmoid(B @ Z + b[:, None])


def laid_out(x):
    """Images with one in each row as a batch of this file; and so for weights."""
    return x.T
