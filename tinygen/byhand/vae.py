"""The variational autoencoder's loss with its gradient, derived in docs/derivations/vae.md.

(7) at the end of a line is equation 7 of that page; (P7) is one of pieces.md, (C7) of chain.md. The
letters::

    x (n, d)        the images, a row each       a (k, n, d)    the decoder's output
    noise (k, n, c) standard normal, k draws     log_p (k, n)   log p(x|z)
    mu (n, c)       the means of q(z|x)          log_w (k, n)   log of an importance weight
    v (n, c)        log of its variances         s (1,)         log of the pixels' variance
    z (k, n, c)     the codes                    E, D           the layers of encoder and decoder
    dz, dmu, ...    the gradient of the loss J with respect to z, mu, ...
    by_a, by_mu     the derivative of log_p with respect to a, of KL with respect to mu
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from tinygen.backend import Array, namespace
from tinygen.byhand import checks
from tinygen.byhand.chain import Geometry, chain, chain_backward, layers
from tinygen.byhand.pieces import (
    bernoulli,
    gaussian,
    kl,
    log_mean_exp,
    log_ratio,
    log_ratio_backward,
    reparameterise,
    reparameterise_backward,
)
from tinygen.parameters import Parameters


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
    encoder_geometry: Geometry = (),
    decoder_geometry: Geometry = (),
    out: Parameters | None = None,
) -> tuple[Array, Parameters]:
    """The loss of a batch and its gradient with respect to every parameter.

    ::

        log p = sum (x a - softplus(a))                           "bernoulli"
        log p = -1/2 sum (log(2 pi) + s + (x - a)^2 / exp(s))     "gaussian"
        KL    = 1/2 (exp(v) + mu^2 - 1 - v)                       for each dimension of a code
        log w = log p + beta sum (v + noise^2 - z^2) / 2

        J = -mean log p + beta sum_j max(free_bits, mean KL_j)    "elbo"
        J = -mean (logsumexp_k log w - log k)                     "iwae"

    Sums are over the pixels of an image and the dimensions of a code, means over images (and, in
    the "elbo", draws); everything is in nats per image.

    Args:
        parameters: encoder.W1 (d, o), encoder.b1 (o,), ..., encoder.WK (i, 2 c), encoder.bK,
            decoder.W1 (c, o), ..., decoder.WM (i, d), decoder.bM, and for "gaussian" s, which is
            decoder.log_var (1,). `activation` follows every layer except encoder K, whose columns
            are first mu and then v, and decoder M.
        x: the images (n, d), both the encoder's input and the target. For "bernoulli" they lie in
            [0, 1].
        noise: standard normal numbers (k, n, c): k codes are drawn for each image.
        beta: the weight of the KL in this step.
        activation: one of `tinygen.byhand.checks.DENSE`.
        likelihood: "bernoulli", or "gaussian" with one learned variance for all pixels.
        objective: "elbo" (Kingma and Welling 2014), with the KL in closed form, or "iwae" (Burda et
            al. 2016).
        free_bits: nats below which a dimension's KL, averaged over the batch, costs no less and has
            no gradient (Kingma et al. 2016); "elbo" only.
        encoder_geometry, decoder_geometry: for each layer with weights: Dense(), Conv(...);
            empty where all are dense.
        out: the gradient is written here; it has the layout of `parameters`.

    Returns:
        The loss, without waiting for the device, and the gradient; both of the dtype of `x`.

    Raises:
        ValueError: an unknown option, a negative weight, or sizes that do not fit; the message
            says which.
        TypeError: arrays of several dtypes or libraries.

    One white pixel; mu = 1 and v = log 4, so sigma = 2 and z = 1 - 2/2 = 0:

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
    beta, free_bits = float(beta), float(free_bits)  # an np.float64 would spread
    checks.vae(
        parameters, x, noise, beta, activation, likelihood, objective, free_bits, encoder_geometry,
        decoder_geometry,
    )  # fmt: skip
    gradients = parameters.room_for_gradients(out)
    E, D = layers(parameters, "encoder."), layers(parameters, "decoder.")
    dE, dD = layers(gradients, "encoder."), layers(gradients, "decoder.")
    k, n, c = noise.shape

    mu_v, cache_E = chain(E, x, activation, geometry=encoder_geometry)  # (1)
    mu, v = mu_v[:, :c], mu_v[:, c:]
    z, scaled = reparameterise(mu, v, noise)  # (P52) (P53)
    codes = z.reshape(k * n, c)
    a, cache_D = chain(D, codes, activation, geometry=decoder_geometry)  # (2)
    a = a.reshape(k, n, -1)
    if likelihood == "gaussian":
        s = parameters["decoder.log_var"]
        log_p, by_a, by_s = gaussian(a, s, x)  # (P49) (P50) (P51)
    else:
        log_p, by_a = bernoulli(a, x)  # (P47) (P48)

    if objective == "elbo":
        J, dlog_p, direct = elbo(log_p, mu, v, beta, free_bits)
    else:
        J, dlog_p, direct = iwae(log_p, z, v, noise, beta)

    da = dlog_p[..., None] * by_a  # (10)
    if likelihood == "gaussian":
        gradients["decoder.log_var"][...] = (dlog_p * by_s).sum()  # (11)
    dz = chain_backward(da.reshape(k * n, -1), D, cache_D, dD).reshape(k, n, c) + direct.dz  # (12)
    dmu, dv = reparameterise_backward(dz, scaled)  # (P54) (P55), through z
    dmu_v = namespace(x).concatenate([dmu + direct.dmu, dv + direct.dv], axis=1)  # (13)
    chain_backward(dmu_v, E, cache_E, dE, to_input=False)  # (C5) to (C9)
    return J, gradients


class Direct(NamedTuple):
    """The gradients that reach z not through the decoder, and mu and v not through z.

    0 where there are none; dv is (n, 1) where it is the same in all dimensions.

    >>> import numpy as np
    >>> zero = np.zeros((1, 1))
    >>> _, _, direct = elbo(zero, mu=np.array([[3.0]]), v=zero, beta=1.0, free_bits=0.0)
    >>> direct  # the KL reads mu and v alone
    Direct(dz=0, dmu=array([[3.]]), dv=array([[0.]]))
    """

    dz: Array | float
    dmu: Array | float
    dv: Array | float


def elbo(
    log_p: Array, mu: Array, v: Array, beta: float, free_bits: float
) -> tuple[Array, Array, Direct]:
    """The negative evidence lower bound (Kingma and Welling 2014).

    A reconstruction of 10 nats, and a KL of 3^2 / 2; then with 5 nats that cost the same if unused:

    >>> import numpy as np
    >>> log_p, mu, v = np.array([[-10.0]]), np.array([[3.0]]), np.zeros((1, 1))
    >>> J, dlog_p, direct = elbo(log_p, mu, v, beta=1.0, free_bits=0.0)
    >>> float(J), dlog_p, direct.dmu
    (14.5, array([[-1.]]), array([[3.]]))
    >>> J, _, direct = elbo(log_p, mu, v, beta=1.0, free_bits=5.0)
    >>> float(J), direct.dmu
    (15.0, array([[0.]]))
    """
    xp, n, floor = namespace(mu), len(mu), free_bits or -inf  # 0: none
    KL, by_mu, by_v = kl(mu, v)  # (P56) (P57) (P58)
    R = KL.mean(axis=0)  # (3)
    J = xp.maximum(R, floor).sum() * beta - log_p.mean()  # (4)
    dlog_p = xp.full_like(log_p, -1 / log_p.size)  # (5)
    dKL = xp.greater(R, floor).astype(R.dtype) * (beta / n)  # (6)
    return J, dlog_p, Direct(0, dKL * by_mu, dKL * by_v)


def iwae(
    log_p: Array, z: Array, v: Array, noise: Array, beta: float
) -> tuple[Array, Array, Direct]:
    """The negative importance-weighted bound (Burda et al. 2016).

    Two draws from q, which is the prior here; under them the image has density 0.1 and 0.3:

    >>> import numpy as np
    >>> log_p, v, noise = np.log([[0.1], [0.3]]), np.zeros((1, 1)), np.ones((2, 1, 1))
    >>> J, dlog_p, _ = iwae(log_p, z=noise, v=v, noise=noise, beta=1.0)
    >>> round(float(np.exp(-J)), 4), dlog_p.round(4).ravel()  # the better draw counts three times
    (0.2, array([-0.25, -0.75]))
    """
    n = len(v)
    log_w = log_p + log_ratio(z, v, noise) * beta  # (7) (P59)
    log_mean_w, w_hat = log_mean_exp(log_w)  # (P62) (P63)
    J = log_mean_w.sum() * (-1 / n)  # (8)
    dlog_w = w_hat * (-1 / n)  # (9)
    drho = dlog_w * beta  # by (7)
    dz, dv = log_ratio_backward(drho, z)  # (P60) (P61)
    return J, dlog_w, Direct(dz, 0, dv)  # and by (7) dlog_p is dlog_w
