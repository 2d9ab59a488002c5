"""The autoencoder's loss with its gradient, derived by hand in docs/derivations/autoencoder.md.

(7) at the end of a line is equation 7 of that page; (P7) is one of pieces.md, (C7) of chain.md. The
letters::

    x (n, d)   the clean images, a row each      a (n, d)   the decoder's output
    z (n, c)   the codes                         y (n, d)   the reconstruction
    E, D       the layers of encoder, decoder

    da, dz     the gradient of the loss with respect to a, z
"""

from __future__ import annotations

from collections.abc import Sequence

from tinygen.backend import Array, namespace
from tinygen.byhand import checks
from tinygen.byhand.chain import Geometry, chain, chain_backward, decay, layers
from tinygen.byhand.pieces import Pair, bernoulli, mse, sigmoid
from tinygen.parameters import Parameters


def loss_and_grads(
    parameters: Parameters,
    x: Array,
    corrupted: Array | None = None,
    masks: Sequence[Array] = (),
    *,
    activation: str,
    output: str,
    reconstruction: str,
    weight_decay: float = 0.0,
    code_l1: float = 0.0,
    encoder_geometry: Geometry = (),
    decoder_geometry: Geometry = (),
    out: Parameters | None = None,
) -> tuple[Array, Parameters]:
    """The loss of a batch and its gradient with respect to every parameter.

    ::

        J = R + code_l1 / n sum |z| + weight_decay / 2 sum W^2
        R = 1 / (n d) sum (y - x)^2              "mse": per pixel
        R = 1 / n sum softplus(a) - x a          "bce": nats per image, y = sigmoid(a)

    Args:
        parameters: encoder.W1 (d, o), encoder.b1 (o,), ..., encoder.WK, encoder.bK, decoder.W1,
            ..., decoder.WM (i, d), decoder.bM. `activation` follows every layer except the code
            layer, encoder K, and the output layer, decoder M.
        x: the clean images (n, d), the target. For "bce" they lie in [0, 1].
        corrupted: what the encoder sees instead of `x` (n, d): a denoising autoencoder.
        masks: a dropout mask (n, o) for each activated layer in order, its entries 0 or
            1 / (1 - p); empty for no dropout.
        activation: one of `tinygen.byhand.checks.DENSE`.
        output: "sigmoid", y = sigmoid(a), or "none", y = a.
        reconstruction: "mse" or "bce"; the latter needs a sigmoid.
        weight_decay: the weight of half the sum of all squared W (not b).
        code_l1: the weight of the code's L1 norm, the mean over images.
        encoder_geometry, decoder_geometry: for each layer with weights: Dense(), Conv(...);
            empty where all are dense.
        out: the gradient is written here; it has the layout of `parameters`.

    Returns:
        The loss, without waiting for the device, and the gradient; both of the dtype of `x`.

    Raises:
        ValueError: an unknown option, or sizes that do not fit; the message says which.
        TypeError: arrays of several dtypes or libraries.

    One image, x = (1, 0), through one weight each way, z = x (2, 1)^T = 2, y = z (1, 1):

    >>> import numpy as np
    >>> shapes = {"encoder.W1": (2, 1), "encoder.b1": (1,)}
    >>> shapes |= {"decoder.W1": (1, 2), "decoder.b1": (2,)}
    >>> p = Parameters(shapes, np.array([2.0, 1, 0, 1, 1, 0, 0]))
    >>> loss, gradients = loss_and_grads(
    ...     p, np.array([[1.0, 0.0]]), activation="none", output="none",
    ...     reconstruction="mse",
    ... )
    >>> print(loss, gradients["decoder.W1"], gradients["encoder.b1"])
    2.5 [[2. 4.]] [3.]
    """
    weight_decay, code_l1 = float(weight_decay), float(code_l1)  # an np.float64 would spread
    checks.autoencoder(
        parameters, x, corrupted, masks, activation, output, reconstruction, encoder_geometry,
        decoder_geometry,
    )  # fmt: skip
    gradients = parameters.room_for_gradients(out)
    E, D = layers(parameters, "encoder."), layers(parameters, "decoder.")
    dE, dD = layers(gradients, "encoder."), layers(gradients, "decoder.")
    n, hidden, xp = len(x), len(E) - 1, namespace(x)

    seen = x if corrupted is None else corrupted
    z, cache_E = chain(E, seen, activation, masks[:hidden], geometry=encoder_geometry)  # (1)
    a, cache_D = chain(D, z, activation, masks[hidden:], geometry=decoder_geometry)  # (2)
    J, da = RECONSTRUCTIONS[output, reconstruction](a, x)
    dz = chain_backward(da, D, cache_D, dD)
    if code_l1:
        J = J + xp.abs(z).sum() * (code_l1 / n)  # (7)
        dz += xp.sign(z) * (code_l1 / n)  # (9)
    chain_backward(dz, E, cache_E, dE, to_input=False)  # (C5) to (C9)
    if weight_decay:
        J = J + decay(E, dE, weight_decay) + decay(D, dD, weight_decay)  # (8)
    return J, gradients


def decoder_loss_and_grads(
    parameters: Parameters,
    x: Array,
    codes: Array,
    masks: Sequence[Array] = (),
    *,
    activation: str,
    output: str,
    reconstruction: str,
    geometry: Geometry = (),
    out: Parameters | None = None,
) -> tuple[Array, Parameters]:
    """The loss of a decoder alone and its gradient: it learns to invert an encoder.

    Args:
        parameters: W1 (c, o), b1 (o,), ..., WM (i, d), bM.
        x: the images (n, d) whose codes they are.
        codes: (n, c); data, so that no gradient reaches whatever they came from.
        masks, activation, output, reconstruction, out: as in `loss_and_grads`.
        geometry: as `decoder_geometry` there.

    Raises:
        ValueError, TypeError: as in `loss_and_grads`.

    The decoder of the example above, y = z (1, 1), with the code z = 2 of the image x = (1, 0):

    >>> import numpy as np
    >>> p = Parameters({"W1": (1, 2), "b1": (2,)}, np.array([1.0, 1, 0, 0]))
    >>> loss, gradients = decoder_loss_and_grads(
    ...     p, np.array([[1.0, 0.0]]), np.array([[2.0]]), activation="none", output="none",
    ...     reconstruction="mse",
    ... )
    >>> print(loss, gradients["W1"], gradients["b1"])
    2.5 [[2. 4.]] [1. 2.]
    """
    checks.decoder(parameters, x, codes, masks, activation, output, reconstruction, geometry)
    gradients = parameters.room_for_gradients(out)
    D = layers(parameters)
    a, cache_D = chain(D, codes, activation, masks, geometry=geometry)  # (2)
    J, da = RECONSTRUCTIONS[output, reconstruction](a, x)
    chain_backward(da, D, cache_D, layers(gradients), to_input=False)
    return J, gradients


def sigmoid_mse(a: Array, x: Array) -> Pair:
    """Squared error of y = sigmoid(a), per pixel.

    >>> import numpy as np
    >>> R, da = sigmoid_mse(np.array([[-10.0]]), np.array([[1.0]]))  # black, and should be white
    >>> round(float(R), 4), da.round(6)  # the sigmoid is flat there, and hardly anything is learned
    (0.9999, array([[-9.1e-05]]))
    """
    y, f = sigmoid(a)
    R, dy = mse(y, x)  # (3) (P41) (P42)
    return R, dy * f  # (4)


def sigmoid_bce(a: Array, x: Array) -> Pair:
    """Cross-entropy of y = sigmoid(a), in nats per image.

    >>> import numpy as np
    >>> R, da = sigmoid_bce(np.array([[-10.0]]), np.array([[1.0]]))  # black, and should be white
    >>> round(float(R), 4), da.round(4)  # unlike with `sigmoid_mse`, much is learned
    (10.0, array([[-1.]]))
    """
    n = len(x)
    log_p, f = bernoulli(a, x)  # (P47) (P48)
    R = log_p.sum() * (-1 / n)  # (5)
    return R, f * (-1 / n)  # (6)


RECONSTRUCTIONS = {
    ("none", "mse"): mse,
    ("sigmoid", "mse"): sigmoid_mse,
    ("sigmoid", "bce"): sigmoid_bce,
}
"""For each output and reconstruction: (a, x) -> R, da."""
