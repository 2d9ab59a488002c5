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


# From here on all is given: a training, of the functions above. Its images have two pixels.


def forward(D, Y):
    """The discriminator `D = A, e, w, c` looks at images: their logits, units, `F` and `K`."""
    A, e, w, c = D
    S = A @ Y + e[:, None]
    H = softplus(S)
    return w @ H + c, H, *activation(S)


def step_of_discriminator(D, real, fake, lam, rate):
    """One step down the gradient of the loss with R1 at the real images; the loss before it."""
    A, e, w, c = D
    r, H, F, K = forward(D, real)
    q, H_fake, prime_fake, _ = forward(D, fake)
    dr, dq = discriminator_gradient(r, q)
    V, R = penalty(w, F, A, lam)
    down, down_fake = w[:, None] * F * dr, w[:, None] * prime_fake * dq
    dA, dw = penalty_gradient(V, w, F, A, lam)
    more, de = penalty_curvature(V, w, K, A, real, lam)
    A -= rate * (dA + more + down @ real.T + down_fake @ fake.T)
    e -= rate * (de + down.sum(axis=1) + down_fake.sum(axis=1))
    w -= rate * (dw + H @ dr + H_fake @ dq)
    c -= rate * (dr.sum() + dq.sum())
    return discriminator_loss(r, q) + R


def step_of_generator(G, D, Z, rate):
    """One step down the gradient of the non-saturating loss; the loss before it."""
    (B, b), (A, _, w, _) = G, D
    Y = sigmoid(B @ Z + b[:, None])
    q, _, F, _ = forward(D, Y)
    loss, dq = non_saturating(q)
    dB, db = to_generator(to_images(dq, w, F, A), Y, Z)
    B -= rate * dB
    b -= rate * db
    return loss


def train(steps=3000, batch=64, lam=0.1, rate=0.5):
    """Images of two pixels that depend on each other; prints what the generator has learned."""
    random = np.random.default_rng(0)
    mix, middle = np.array([[0.8, 0.0], [0.5, 0.6]]), np.array([0.5, -0.5])
    D = 2 * random.normal(size=(16, 2)), np.zeros(16), random.normal(size=16) / 4, np.zeros(1)
    G = random.normal(size=(2, 2)) / 4, np.zeros(2)
    for step in range(1, steps + 1):
        real = sigmoid(mix @ random.normal(size=(2, batch)) + middle[:, None])
        fake = sigmoid(G[0] @ random.normal(size=(2, batch)) + G[1][:, None])
        loss_of_D = step_of_discriminator(D, real, fake, lam, rate)
        loss_of_G = step_of_generator(G, D, random.normal(size=(2, batch)), rate)
        if step % (steps // 5) == 0:
            print(f"step {step}: the loss of D is {loss_of_D:.3f}, that of G {loss_of_G:.3f}")
    print("mean of the sums:", G[1].round(2), "should be", middle)
    print("their covariance:", (G[0] @ G[0].T).round(2).tolist(), end=" should be ")
    print((mix @ mix.T).round(2).tolist())


if __name__ == "__main__":
    train()
