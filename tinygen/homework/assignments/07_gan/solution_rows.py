"""A GAN by hand: the losses of both players, the way through the discriminator, and R1.

An image is a row. The discriminator has one hidden layer of tanh units:

    `S = Y @ A + e`   its sums (n, o), for images `Y` (n, i), `A` (i, o) and `e` (o,)
    `H = tanh(S)`     its units (n, o)
    `r = H @ w + c`   a logit for each image (n,), with weights `w` (o,); large for "real"

The generator makes m images of noise `Z` (m, k), with weights `B` (k, i) and biases `b` (i,):

    `Y = sigmoid(Z @ B + b)`
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
    """`F` and `K`, the first and the second derivative of tanh at the sums `S` (n, o)."""
    # BEGIN q5 (9) (10) points=1
    H = np.tanh(S)
    F = 1 - H**2
    K = -2 * H * F
    return F, K
    # END


def to_images(dq, w, F, A):
    """From the logits' gradient `dq` (m,) to that of the images, `dY` (m, i).

    On the way are the weights `w` (o,), the activation's derivative `F` (m, o) and `A` (i, o).
    """
    # BEGIN q6 (11) (12) points=1
    dS = dq[:, None] * w * F
    return dS @ A.T
    # END


def to_generator(dY, Y, Z):
    """From the images' gradient `dY` (m, i) to the generator's: `dB` (k, i) and `db` (i,).

    The images `Y` (m, i) are the sigmoid of sums; the noise is `Z` (m, k).
    """
    # BEGIN q7 (13) (14) points=1
    dU = dY * Y * (1 - Y)
    return Z.T @ dU, dU.sum(axis=0)
    # END


def penalty(w, F, A, lam):
    """R1: each logit's derivative with respect to its image, `V` (n, i), and the penalty on it.

    Of n real images, with `F` (n, o), `w` (o,) and `A` (i, o); `lam` is the penalty's weight.
    """
    # BEGIN q8 (15) (16) points=1
    V = (w * F) @ A.T
    R = lam / (2 * len(F)) * np.sum(V**2)
    return V, R
    # END


def penalty_gradient(V, w, F, A, lam):
    """The penalty's gradient as if `F` (n, o) were data: `dA` (i, o) and `dw` (o,)."""
    # BEGIN q9 (17) (18) (19) points=1 level=2
    dV = lam / len(V) * V
    dA = dV.T @ (w * F)
    dw = np.sum((dV @ A) * F, axis=0)
    return dA, dw
    # END


def penalty_curvature(V, w, K, A, Y, lam):
    """What the penalty's gradient has by way of `F`: `dA` (i, o) and `de` (o,).

    `K` (n, o) is the second derivative of the activation at the sums of the real images `Y` (n, i).
    """
    # BEGIN q10 (20) (21) points=1 level=2
    Q = lam / len(V) * V @ A
    dS = Q * w * K
    return Y.T @ dS, dS.sum(axis=0)
    # END


# From here on all is given. First, the two networks.


def forward(D, Y):
    """The discriminator `D = A, e, w, c` looks at images: their logits, units, `F` and `K`."""
    A, e, w, c = D
    S = Y @ A + e
    H = np.tanh(S)
    return H @ w + c, H, *activation(S)


def backward(dr, w, F, H, Y):
    """From the logits' gradient `dr` to that of the discriminator: `dA`, `de` and `dw`."""
    dS = dr[:, None] * w * F
    return Y.T @ dS, dS.sum(axis=0), H.T @ dr


def generate(G, Z):
    """The generator `G = B, b` makes images of noise."""
    B, b = G
    return sigmoid(Z @ B + b)


def laid_out(x):
    """Images with one in each row as a batch of this file; and so for weights."""
    return x
