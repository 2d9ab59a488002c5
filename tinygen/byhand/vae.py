"""The variational autoencoder's loss with its gradient, derived in docs/derivations/vae.md.

The number at the end of a line is the equation that it computes. The letters::

    x (n, d)        the images, a row each       a = h W + b   what goes into an activation
    noise (k, n, c) standard normal, k draws     h = phi(a)    what goes into the next layer
    mu (n, c)       the means of q(z|x)          z = mu + sigma noise (k, n, c)   the codes
    log_var (n, c)  the logarithms of its        s ()          the pixels' log variance
                    variances, sigma^2           y             the mean of a pixel, given z
    delta           the loss's gradient with respect to a; dW, db, dz, ...: with respect to W, b, z

Layers are counted through, 1..L, encoder first; layer K gives mu and log_var. Up to there a batch
has n rows, after it k n.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, log, pi

from tinygen.backend import Array, namespace
from tinygen.byhand.activations import ACTIVATIONS
from tinygen.byhand.checks import (
    layer_names,
    refuse_mixtures,
    refuse_other_pixels,
    refuse_sizes,
    refuse_unknown,
)
from tinygen.byhand.workspace import Workspace
from tinygen.parameters import Parameters

LIKELIHOODS = ("bernoulli", "gaussian")
OBJECTIVES = ("elbo", "iwae")


def loss_and_grads(
    parameters: Parameters,
    x: Array,
    noise: Array,
    beta: float = 1.0,
    *,
    activation: str,
    likelihood: str,
    objective: str = "elbo",
    free_bits: float = 0.0,
    out: Parameters | None = None,
    workspace: Workspace | None = None,
) -> tuple[Array, Parameters]:
    """The loss of a batch and its gradient with respect to every parameter.

    ::

        log p = sum x a - softplus(a)                                "bernoulli", y = sigmoid(a)
        log p = -1/2 sum log(2 pi) + s + (x - a)^2 / exp(s)          "gaussian", y = a
        KL    = 1/2 (exp(log_var) + mu^2 - 1 - log_var)              for each number of a code
        log w = log p + beta sum (-z^2 + log_var + noise^2) / 2

        J = -mean log p + beta sum_j max(free_bits, mean KL_j)       "elbo"
        J = -mean (logsumexp_k log w - log k)                        "iwae"

    Sums are over the pixels of an image and the c numbers of a code, means over images (and, in the
    "elbo", draws); everything is in nats per image.

    Args:
        parameters: encoder.W1 (d, o), encoder.b1 (o,), ..., encoder.WK (i, 2 c), encoder.bK,
            decoder.W1 (c, o), ..., decoder.WM (i, d), decoder.bM, and for "gaussian" s, which is
            decoder.log_var (1,). `activation` follows every layer except encoder K, whose columns
            are first mu and then log_var, and decoder M.
        x: the images (n, d), which the encoder sees and which are the target. For "bernoulli" they
            lie in [0, 1].
        noise: standard normal numbers (k, n, c): k codes are drawn for each image.
        beta: the weight of the KL in this step.
        activation: one of `tinygen.byhand.activations.ACTIVATIONS`.
        likelihood: "bernoulli", or "gaussian" with one learned variance for all pixels.
        objective: "elbo" (Kingma and Welling 2014), with the KL in closed form, or "iwae" (Burda et
            al. 2016).
        free_bits: nats below which a dimension's KL, a mean over the batch, costs no less and has
            no gradient (Kingma et al. 2016); "elbo" only.
        out: the gradient is written here; it has the layout of `parameters`.
        workspace: with it and `out`, a step asks for no memory.

    Returns:
        The loss, without waiting for the device, and the gradient; both of the dtype of `x`.

    Raises:
        ValueError: an unknown option, a negative weight, or sizes that do not fit; the message
            says which.
        TypeError: arrays of several dtypes or libraries.

    One white pixel; mu = 1 and log_var = log 4, so sigma = 2 and z = 1 - 2/2 = 0:

    >>> import numpy as np
    >>> shapes = {"encoder.W1": (1, 2), "encoder.b1": (2,)}
    >>> shapes |= {"decoder.W1": (1, 1), "decoder.b1": (1,)}
    >>> p = Parameters(shapes, np.array([1.0, 0, 0, np.log(4), 2, 0]))
    >>> loss, gradients = loss_and_grads(
    ...     p, np.ones((1, 1)), np.full((1, 1, 1), -0.5), activation="none", likelihood="bernoulli"
    ... )
    >>> print(f"{loss:.4f} = log 2 + 2 - log 2", gradients["encoder.b1"], gradients["decoder.b1"])
    2.0000 = log 2 + 2 - log 2 [0. 2.] [-0.5]
    """
    beta, free_bits = float(beta), float(free_bits)  # np.float64 is contagious
    _check_options(activation, likelihood, objective, beta, free_bits)
    gaussian, elbo = likelihood == "gaussian", objective == "elbo"
    names, K = layer_names("vae", parameters, ["decoder.log_var"] if gaussian else [])
    L = len(names)
    c = _check_arrays(parameters, names, K, x, noise)

    xp = namespace(x)
    (n, d), k = x.shape, noise.shape[0]
    phi = ACTIVATIONS[activation]
    workspace = Workspace() if workspace is None else workspace
    gradients = parameters.room_for_gradients(out)
    W = {layer: parameters[w] for layer, (w, _) in names.items()}
    b = {layer: parameters[v] for layer, (_, v) in names.items()}

    def memory(name: str, *shape: int) -> Array:
        return workspace.array(name, shape, like=x)

    def layers_memory(name: str, layer: int) -> Array:
        """An array as large as what a layer gives."""
        return memory(f"{name}{layer}", n if layer <= K else k * n, b[layer].shape[0])

    # Forward: h[layer] is what a layer hands on to the next.
    a, scratch, delta = {}, {}, {}
    h = {0: x}  # (1)
    for layer in range(1, L + 1):
        a[layer] = xp.matmul(h[layer - 1], W[layer], out=layers_memory("a", layer))  # (2)
        a[layer] += b[layer]  # (2)
        if layer == K:
            mu, log_var = a[K][:, :c], a[K][:, c:]  # (4)
            sigma = xp.multiply(log_var, 0.5, out=memory("sigma", n, c))
            xp.exp(sigma, out=sigma)  # (5)
            moved = xp.multiply(noise, sigma, out=memory("moved", k, n, c))
            z = xp.add(moved, mu, out=memory("z", k, n, c))  # (6)
            h[K] = z.reshape(k * n, c)
        elif layer < L:
            h[layer], scratch[layer] = layers_memory("h", layer), layers_memory("scratch", layer)
            phi.forward(a[layer], h[layer], scratch[layer])  # (3)

    # log p(x|z) of each image under each of its codes, and delta but for the code's weight omega.
    delta[L] = layers_memory("delta", L)
    shape = (k, n, d)
    output, residual = a[L].reshape(shape), delta[L].reshape(shape)
    room = layers_memory("scratch", L).reshape(shape)
    log_p = memory("log_p", k, n)
    if gaussian:
        s = parameters["decoder.log_var"].reshape(())
        squares = memory("squares", k, n)
        _gaussian(x, output, room, residual, s, squares, log_p)
    else:
        _bernoulli(x, output, room, residual, layers_memory("y", L).reshape(shape), log_p)

    # The loss, and with it omega: -omega is its derivative with respect to a code's log p(x|z).
    if elbo:
        excess = xp.expm1(log_var, out=memory("excess", n, c))  # 1 would swallow a small KL
        kl = xp.subtract(excess, log_var, out=memory("kl", n, c))
        kl += xp.multiply(mu, mu, out=memory("like mu", n, c))  # (9), twice
        rate = xp.sum(kl, axis=0, out=memory("rate", c))
        rate *= 0.5 / n  # (9) (10)
        pull = beta / n
        if free_bits:
            pull = xp.greater(rate, free_bits, out=memory("pull", c))
            pull *= beta / n
            xp.maximum(rate, free_bits, out=rate)  # (11)
        omega = omega_of_pixels = 1 / (k * n)  # (15)
        J = rate.sum() * beta - log_p.sum() * omega  # (11)
    else:
        # noise^2 - z^2 as a product: where q is close to the prior the squares nearly cancel.
        log_ratio = xp.subtract(noise, z, out=memory("log_ratio", k, n, c))
        log_ratio *= xp.add(noise, z, out=memory("like z", k, n, c))
        log_ratio += log_var
        log_w = xp.sum(log_ratio, axis=2, out=memory("log_w", k, n))
        log_w *= 0.5 * beta
        log_w += log_p  # (12)
        bound, omega = _softmax(log_w, memory("top", n), memory("total", n))
        J = log(k) - bound.sum() * (1 / n)  # (13)
        omega *= 1 / n  # (15)
        omega_of_pixels = omega.reshape(k, n, 1)
    residual *= omega_of_pixels  # (16) (17)
    if gaussian:
        squares *= omega
        gradients["decoder.log_var"][...] = (d - squares.sum() * xp.exp(-s)) * 0.5  # (18)

    # Backward: delta[layer] from delta[layer + 1], and from it the gradient of the layer.
    for layer in range(L, 0, -1):
        if layer == K:
            dz = xp.matmul(delta[K + 1], W[K + 1].T, out=memory("dz", k * n, c))  # (19)
            dz = dz.reshape(k, n, c)
            if not elbo:
                prior = xp.multiply(z, omega_of_pixels, out=memory("like z", k, n, c))
                prior *= beta
                dz += prior  # (21)
            delta[K] = layers_memory("delta", K)
            dmu, dlog_var = delta[K][:, :c], delta[K][:, c:]
            xp.sum(dz, axis=0, out=dmu)  # (22)
            moved *= dz
            xp.sum(moved, axis=0, out=dlog_var)  # (23), twice
            if elbo:
                dmu += xp.multiply(mu, pull, out=memory("like mu", n, c))  # (24)
                excess *= pull
                dlog_var += excess  # (25), twice
            else:
                dlog_var -= beta / n  # (26), twice
            dlog_var *= 0.5  # (23) (25) (26)
        elif layer < L:
            delta[layer] = xp.matmul(
                delta[layer + 1], W[layer + 1].T, out=layers_memory("delta", layer)
            )  # (19)
            phi.backward(delta[layer], a[layer], h[layer], scratch[layer])  # (20)
        w, v = names[layer]
        xp.matmul(h[layer - 1].T, delta[layer], out=gradients[w])  # (27)
        xp.sum(delta[layer], axis=0, out=gradients[v])  # (28)
    return J, gradients


def _bernoulli(x: Array, a: Array, scratch: Array, delta: Array, y: Array, log_p: Array) -> None:
    xp = namespace(x)
    ACTIVATIONS["sigmoid"].forward(a, y, scratch)
    xp.subtract(y, x, out=delta)  # (16), without omega
    # x a - softplus(a) = (x a - max(a, 0)) - log(1 + exp(-|a|)), and scratch is 1 + exp(-|a|).
    xp.log(scratch, out=scratch)
    xp.maximum(a, 0, out=y)
    a *= x
    a -= y  # first these two, which nearly cancel where a pixel is right
    a -= scratch
    xp.sum(a, axis=2, out=log_p)  # (7)


def _gaussian(
    x: Array, a: Array, scratch: Array, delta: Array, s: Array, squares: Array, log_p: Array
) -> None:
    """It leaves the squared error of each image and draw in `squares`."""
    xp = namespace(x)
    precision = xp.exp(-s)
    xp.subtract(a, x, out=delta)
    xp.multiply(delta, delta, out=scratch)
    xp.sum(scratch, axis=2, out=squares)
    delta *= precision  # (17), without omega
    xp.multiply(squares, precision, out=log_p)
    log_p += (s + log(2 * pi)) * x.shape[1]
    log_p *= -0.5  # (8)


def _softmax(log_w: Array, top: Array, total: Array) -> tuple[Array, Array]:
    """Each image's logsumexp over the draws, in `total`, and the weights, in `log_w`."""
    xp = namespace(log_w)
    xp.max(log_w, axis=0, out=top)
    log_w -= top  # the largest is now 0, so exp cannot overflow
    weights = xp.exp(log_w, out=log_w)
    xp.sum(weights, axis=0, out=total)
    weights /= total  # (14)
    xp.log(total, out=total)
    total += top
    return total, weights


def _check_options(
    activation: str, likelihood: str, objective: str, beta: float, free_bits: float
) -> None:
    refuse_unknown("vae", "activation", activation, ACTIVATIONS)
    refuse_unknown("vae", "likelihood", likelihood, LIKELIHOODS)
    refuse_unknown("vae", "objective", objective, OBJECTIVES)
    for name, value in (("beta", beta), ("free_bits", free_bits)):
        if not 0 <= value < inf:
            raise ValueError(f"vae: {name} needs to be a number that is at least 0, got {value}")
    if free_bits and objective == "iwae":
        raise ValueError(
            f"vae: objective 'iwae' needs free_bits 0, got {free_bits}; it has no KL by itself"
        )


def _check_arrays(
    parameters: Mapping[str, Array],
    names: Mapping[int, tuple[str, str]],
    K: int,
    x: Array,
    noise: Array,
) -> int:
    """Refuse sizes that do not chain and arrays that do not go together; returns c."""
    if x.ndim != 2 or not x.size:
        raise ValueError(f"vae: x needs to be images in rows (n, d), got shape {x.shape}")
    pairs = [*names.values()]
    columns = refuse_sizes("vae", parameters, pairs[:K], x.shape[1])
    c, odd = divmod(columns, 2)
    if odd or not c:
        raise ValueError(
            f"vae: {pairs[K - 1][0]} gives {columns} columns; it needs an even number, first those "
            "of mu and then as many of log_var"
        )
    refuse_other_pixels("vae", x, refuse_sizes("vae", parameters, pairs[K:], c))
    if noise.ndim != 3 or not noise.shape[0] or noise.shape[1:] != (x.shape[0], c):
        raise ValueError(
            f"vae: noise is {noise.shape}; it needs to be (k, {x.shape[0]}, {c}), k draws of a "
            "code for each image"
        )
    if "decoder.log_var" in parameters and parameters["decoder.log_var"].shape != (1,):
        raise ValueError(
            f"vae: decoder.log_var is {parameters['decoder.log_var'].shape}; it needs to be (1,)"
        )
    refuse_mixtures("vae", x, {"noise": noise, **parameters})
    return c
