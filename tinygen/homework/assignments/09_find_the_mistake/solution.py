"""Four programs. Those with a question have one mistake, in a line that has a label, such as [7].

Find it; mend the line where it stands; and return its label below the program.
"""

import numpy as np


def softplus(x):
    """log(1 + exp(x)), which never overflows."""
    return np.logaddexp(0, x)


def sigmoid(x):
    """1 / (1 + exp(-x))."""
    return np.exp(-np.logaddexp(0, -x))


# Program 1: a VAE.


def vae(x, M, L, D, seed):
    """The loss of a VAE for images `x` (n, d), and its gradients with respect to `M`, `L`, `D`.

    Encoder and decoder are linear: `M` and `L` are (d, c), `D` is (c, d).
    """
    n, c = len(x), M.shape[1]
    # BEGIN q1 (1) (2) (3) (4) points=1.5 faulty
    noise = np.random.default_rng(seed).standard_normal((n, c))  # [1]
    mean, log_var = x @ M, x @ L  # [2]
    sigma, dsigma = np.exp(log_var / 2), np.exp(log_var / 2) / 2  # [3]
    z = mean + sigma * noise  # [4]
    logits = z @ D  # [5]
    nll, dlogits = softplus(logits) - x * logits, sigmoid(logits) - x  # [6]
    kl = (np.exp(log_var) - log_var - 1 + mean**2) / 2  # [7]
    loss = (nll.sum() + kl.sum()) / n  # [8]
    dD = z.T @ dlogits / n  # [9]
    dz = dlogits @ D.T  # [10]
    dmean = (dz + mean) / n  # [11]
    dlog_var = (dz * noise * dsigma + (np.exp(log_var) - 1) / 2) / n  # [12]
    return loss, x.T @ dmean, x.T @ dlog_var, dD  # [13]
    # END


def line_of_vae():
    """The label of the line with the mistake, such as 7 for [7]."""
    # BEGIN q2 points=1 label=q1
    return 0
    # END


# Program 2: a step of a GAN.


def gan_step(x, z, A, w, G, rate):
    """A step of the discriminator `A`, `w` and then one of the generator `G`.

    Of as many real images `x` (n, i) as there is noise, `z` (n, k). It returns the loss of the
    discriminator, that of the generator, and the new `A` (i, o), `w` (o,), `G` (k, i).
    """
    n = len(x)
    # BEGIN q3 (5) (6) (7) (8) (9) points=1.5 faulty
    fake = z @ G  # [14]
    H_real = np.tanh(x @ A)  # [15]
    a = H_real @ w  # [16]
    H_fake = np.tanh(fake @ A)  # [17]
    b = H_fake @ w  # [18]
    loss_D = softplus(-a).mean() + softplus(b).mean()  # [19]
    da, db = -sigmoid(-a) / n, sigmoid(b) / n  # [20]
    dS_real, dS_fake = np.outer(da, w) * (1 - H_real**2), np.outer(db, w) * (1 - H_fake**2)  # [21]
    dA, dw = x.T @ dS_real + fake.T @ dS_fake, H_real.T @ da + H_fake.T @ db  # [22]
    A, w = A - rate * dA, w - rate * dw  # [23]
    H = np.tanh(fake @ A)  # [24]
    b = H @ w  # [25]
    loss_G, db = softplus(-b).mean(), -sigmoid(-b) / n  # [26]
    dfake = (np.outer(db, w) * (1 - H**2)) @ A.T  # [27]
    return loss_D, loss_G, A, w, G - rate * z.T @ dfake  # [28]
    # END


def line_of_gan():
    """The label of the line with the mistake, such as 7 for [7]."""
    # BEGIN q4 points=1 label=q3
    return 0
    # END


# Program 3: a training with Adam.


def training(x, t, w, rate, beta, gamma, epochs, batch, seed):
    """Logistic regression, trained with Adam: the weights `w` (d,) after each epoch, (epochs, d).

    Of examples `x` (n, d) with labels `t` (n,), which are 0 or 1; n is a multiple of `batch`.
    """
    random, step, history = np.random.default_rng(seed), 0, []
    # BEGIN q5 (10) (11) (12) (13) points=1.5 level=2 faulty
    m, v = np.zeros_like(w), np.zeros_like(w)  # [29]
    for _ in range(epochs):  # [30]
        order = random.permutation(len(x))  # [31]
        x, t = x[order], t[order]  # [32]
        for first in range(0, len(x), batch):  # [33]
            rows = slice(first, first + batch)  # [34]
            step += 1  # [35]
            y = sigmoid(x[rows] @ w)  # [36]
            dw = x[rows].T @ (y - t[rows]) / batch  # [37]
            m = beta * m + (1 - beta) * dw  # [38]
            v = gamma * v + (1 - gamma) * dw**2  # [39]
            m_hat, v_hat = m / (1 - beta**step), v / (1 - gamma**step)  # [40]
            w = w - rate * m_hat / (np.sqrt(v_hat) + 1e-8)  # [41]
        history.append(w)  # [42]
    return np.array(history)  # [43]
    # END


def line_of_training():
    """The label of the line with the mistake, such as 7 for [7]."""
    # BEGIN q6 points=1 level=2 label=q5
    return 0
    # END


# Program 4: batch norm.


def batch_norm(r, da, gain, shift, mean, variance, rate, test):
    """Batch norm of sums `r` (n, o): its result, its gradients, and its use after the training.

    It returns the result `a` (n, o); the gradients with respect to `r`, `gain` (o,) and `shift`
    (o,), given that of the result, `da`; the new running mean and variance; and what becomes of
    other sums, `test` (m, o), when the training is over.
    """
    n, tiny = len(r), 1e-5
    # BEGIN q7 (14) (15) (16) (17) (18) points=1.5 level=2 faulty
    middle = r.mean(axis=0)  # [44]
    y = r - middle  # [45]
    spread = (y**2).mean(axis=0)  # [46]
    s = 1 / np.sqrt(spread + tiny)  # [47]
    a = y * s * gain + shift  # [48]
    dshift = da.sum(axis=0)  # [49]
    dgain = (da * y * s).sum(axis=0)  # [50]
    dr = gain * s * (da - dshift / n - y * s * dgain / n)  # [51]
    mean = (1 - rate) * mean + rate * middle  # [52]
    variance = (1 - rate) * variance + rate * spread * n / (n - 1)  # [53]
    b = (test - mean) / np.sqrt(variance + tiny) * gain + shift  # [54]
    return a, dr, dgain, dshift, mean, variance, b  # [55]
    # END


def line_of_batch_norm():
    """The label of the line with the mistake, such as 7 for [7]."""
    # BEGIN q8 points=1 level=2 label=q7
    return 0
    # END


# From here on all is right: a gradient check, which sees some of the mistakes.


def differences(loss, x, step=1e-6):
    """The gradient of a loss with respect to an array, measured."""
    gradient = np.empty_like(x)
    for place in np.ndindex(x.shape):
        there, back = x.copy(), x.copy()
        there[place] += step
        back[place] -= step
        gradient[place] = (loss(there) - loss(back)) / (2 * step)
    return gradient


def compare(what, got, expected):
    """Prints by how much a gradient differs from the measured one."""
    print(f"{what}: differs from the measured one by {np.abs(got - expected).max():.1e}")


def main():
    """Gradient checks of the programs 1, 2 and 4."""
    random = np.random.default_rng(0)
    x, M, L, D = (random.standard_normal(shape) for shape in [(5, 7), (7, 3), (7, 3), (3, 7)])
    _, by_M, by_L, by_D = vae(x, M, L, D, 1)
    compare("vae, `M`", by_M, differences(lambda other: vae(x, other, L, D, 1)[0], M))
    compare("vae, `L`", by_L, differences(lambda other: vae(x, M, other, D, 1)[0], L))
    compare("vae, `D`", by_D, differences(lambda other: vae(x, M, L, other, 1)[0], D))

    shapes = [(6, 4), (6, 3), (4, 5), (5,), (3, 4)]
    x, z, A, w, G = (random.standard_normal(shape) for shape in shapes)
    tiny = 1e-6  # a rate at which the discriminator of both steps is the same
    _, _, new_A, new_w, new_G = gan_step(x, z, A, w, G, tiny)
    by_A = differences(lambda other: gan_step(x, z, other, w, G, tiny)[0], A)
    by_w = differences(lambda other: gan_step(x, z, A, other, G, tiny)[0], w)
    by_G = differences(lambda other: gan_step(x, z, A, w, other, tiny)[1], G)
    compare("gan_step, `A`", (A - new_A) / tiny, by_A)
    compare("gan_step, `w`", (w - new_w) / tiny, by_w)
    compare("gan_step, `G`", (G - new_G) / tiny, by_G)

    r, da = random.standard_normal((2, 7, 4))
    gain, shift = random.standard_normal((2, 4))

    def loss(r, gain, shift):
        return np.sum(batch_norm(r, da, gain, shift, 0, 1, 0.1, r)[0] * da)

    _, dr, dgain, dshift, *_ = batch_norm(r, da, gain, shift, 0, 1, 0.1, r)
    compare("batch_norm, `r`", dr, differences(lambda other: loss(other, gain, shift), r))
    compare("batch_norm, `gain`", dgain, differences(lambda other: loss(r, other, shift), gain))
    compare("batch_norm, `shift`", dshift, differences(lambda other: loss(r, gain, other), shift))


if __name__ == "__main__":
    main()
