"""The GAN's two losses with their gradients, derived by hand in docs/derivations/gan.md.

(7) at the end of a line is equation 7 of that page; (P7) is one of pieces.md, (C7) of chain.md. The
letters::

    x (m, i)   what D sees, a row for a logit    a, b (m, 1)   logits of real and of fake rows
    z (n, c)   noise, of which G makes images    s, y          the generator's output; its images
    v (m, i)   the derivative of each logit with respect to its row; P, the penalty on it
    G, D       the layers of both players
    da, dy     the gradient of the loss with respect to a, y; dD: with respect to D's layers
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tinygen.backend import Array, namespace
from tinygen.byhand import checks
from tinygen.byhand.chain import (
    Cache,
    Geometry,
    Layers,
    chain,
    chain_backward,
    input_derivative,
    input_derivative_backward,
    layers,
)
from tinygen.byhand.pieces import (
    Pair,
    identity,
    one_centred,
    sigmoid,
    softplus,
    sum_of_squares,
    zero_centred,
)
from tinygen.parameters import Parameters

Masks = Sequence[Array]


def discriminator_loss_and_grads(
    d: Parameters,
    real: Array,
    fake: Array,
    labels: Array | None = None,
    alpha: Array | None = None,
    masks: tuple[Masks, Masks, Masks] = ((), (), ()),
    *,
    loss: str,
    penalty: float,
    smoothing: float,
    pack: int,
    discriminator_activation: str,
    discriminator_norm: str,
    discriminator_geometry: Geometry = (),
    out: Parameters | None = None,
) -> tuple[Array, Parameters]:
    """The discriminator's loss and its gradient with respect to the parameters `d`.

    ::

        mean softplus(-a) + mean softplus(b) + smoothing mean a     "non-saturating", "minimax"
        1/2 mean (a - 1 + smoothing)^2 + 1/2 mean b^2               "least-squares"
        mean b - mean a + penalty mean (|v| - 1)^2                  "wasserstein-gp"
        that of "non-saturating" + 1/2 penalty mean |v|^2           "r1"

    Here a are the logits of real images, b those of fake ones, v the derivative of a logit with
    respect to its images: for "r1" at the real ones, for "wasserstein-gp" at the interpolates
    ``alpha real + (1 - alpha) fake``.

    Args:
        d: W1 (i, o), b1 (o,), ..., WL (i, 1), bL; the activation follows every layer but the last.
        real, fake: images (n, pixels); both are data.
        labels: (n, classes), of the real images and of the fake ones; None without classes.
        alpha: (n / pack, 1) in [0, 1], for "wasserstein-gp".
        masks: dropout masks of the hidden layers, (n / pack, o) each, with entries 0 or
            1 / (1 - p): for the real images, for the fake ones, for the interpolates.
        loss, penalty, smoothing, pack: as in `tinygen.models.GAN`.
        discriminator_activation: one of `tinygen.byhand.pieces.ACTIVATIONS`.
        discriminator_norm: "none".
        discriminator_geometry: for each layer with weights: Dense(), Conv(...); empty where
            all are dense.
        out: the gradient is written here; it has the layout of `d`.

    Returns:
        The loss, without waiting for the device, and the gradient; both of the dtype of `real`.

    Raises:
        InputError: a norm that is not covered here, or a batch that does not suit the model.
        ValueError: an unknown option, or sizes that do not fit; the message says which.
        TypeError: arrays of several dtypes or libraries.

    A critic 4 tanh(x) of one pixel, between log 3 and 0; the example of the derivation:

    >>> import numpy as np
    >>> shapes = {"W1": (1, 1), "b1": (1,), "W2": (1, 1), "b2": (1,)}
    >>> d = Parameters(shapes, np.array([1.0, 0, 4, 0]))
    >>> J, gradients = discriminator_loss_and_grads(
    ...     d, np.full((1, 1), np.log(3)), np.zeros((1, 1)), alpha=np.full((1, 1), 0.5),
    ...     loss="wasserstein-gp", penalty=1.0, smoothing=0.0, pack=1,
    ...     discriminator_activation="tanh", discriminator_norm="none",
    ... )
    >>> print(f"{J:.4f}", gradients["W2"], gradients["b1"])
    0.8000 [[2.2]] [-9.44]
    """
    penalty, smoothing = float(penalty), float(smoothing)  # an np.float64 would spread
    checks.discriminator(
        d, real, fake, labels, alpha, masks, loss, pack, discriminator_activation,
        discriminator_norm, discriminator_geometry,
    )  # fmt: skip
    gradients = d.room_for_gradients(out)
    D, dD = layers(d), layers(gradients)
    xp, m, pixels = namespace(real), len(real) // pack, real.shape[1]

    # All rows are judged as one matrix, so that one product gives each weight's gradient.
    x = [rows(real, labels, pack), rows(fake, labels, pack)]  # (1)
    if loss == "wasserstein-gp":
        x.append(interpolated(x[0], x[1], alpha))  # (15)
    logits, cache = chain(
        D, xp.concatenate(x), discriminator_activation, stacked(masks[: len(x)]),
        geometry=discriminator_geometry,
    )  # fmt: skip
    a, b = logits[:m], logits[m : 2 * m]  # (3); logits of interpolates are in no loss
    J, da, db = LOSSES_OF_D[loss](a, b, smoothing)
    dab = xp.concatenate([da, db])
    chain_backward(dab, D, cache.rows(0, 2 * m), dD, to_input=False)  # (C5) to (C9)

    # The gradient of a sum is the sum of the gradients: what follows adds to dD.
    if loss == "r1":
        J = J + penalise(zero_centred, penalty, D, dD, cache.rows(0, m), pack, pixels)
    if loss == "wasserstein-gp":
        between = cache.rows(2 * m, 3 * m)
        J = J + penalise(one_centred, penalty, D, dD, between, pack, pixels)
    return J, gradients


def penalise(
    function_of_v: Callable[[Array, float], Pair],
    weight: float,
    D: Layers,
    dD: Layers,
    cache: Cache,
    pack: int,
    pixels: int,
) -> Array:
    """The penalty on the derivative of each logit with respect to its images; adds to `dD`.

    A logit 3 x1 + 4 x2, whose second input may be a label; its derivative then does not count:

    >>> import numpy as np
    >>> D = {1: [np.array([[3.0], [4.0]]), np.zeros(1)]}
    >>> _, cache = chain(D, np.array([[0.0, 1.0]]), "none")
    >>> for pixels in (2, 1):
    ...     dD = {1: [np.zeros((2, 1)), np.zeros(1)]}
    ...     P = penalise(zero_centred, 2.0, D, dD, cache, pack=1, pixels=pixels)
    ...     print(P, dD[1][0].ravel())
    25.0 [6. 8.]
    9.0 [6. 0.]
    """
    v, path = input_derivative(D, cache)  # (C10) to (C13)
    images = v.reshape(len(v) * pack, -1)
    images[:, pixels:] = 0  # (16)
    P, dv = function_of_v(images.reshape(v.shape), weight)  # (17)
    input_derivative_backward(dv, D, cache, path, dD)  # (C14) to (C20)
    return P


def generator_loss_and_grads(
    g: Parameters,
    d: Mapping[str, Array],
    z: Array,
    labels: Array | None = None,
    masks: Masks = (),
    *,
    loss: str,
    pack: int,
    output: str,
    generator_activation: str,
    generator_norm: str,
    discriminator_activation: str,
    discriminator_norm: str,
    generator_geometry: Geometry = (),
    discriminator_geometry: Geometry = (),
    out: Parameters | None = None,
) -> tuple[Array, Parameters]:
    """The generator's loss and its gradient with respect to the parameters `g`.

    ::

        mean softplus(-b)        "non-saturating", "r1"
        -mean softplus(b)        "minimax"
        1/2 mean (b - 1)^2       "least-squares"
        -mean b                  "wasserstein-gp"

    Here b are the discriminator's logits of the generated images.

    Args:
        g: W1 (i, o), b1 (o,), ..., WL (i, pixels), bL; the activation follows every layer but the
            last. With batch norm W1, gamma2, beta2, W3, ..., and b in the last layer only.
        d: the discriminator's parameters, data here; they are left as they are.
        z: noise (n, latent).
        labels: (n, classes), or None without classes.
        masks: the discriminator's dropout masks, (n / pack, o) for each hidden layer.
        loss, pack, output: as in `tinygen.models.GAN`.
        generator_activation, discriminator_activation: one of
            `tinygen.byhand.pieces.ACTIVATIONS`.
        generator_norm: "none" or "batch", whose statistics are those of this batch.
        discriminator_norm: "none".
        generator_geometry, discriminator_geometry: as in `discriminator_loss_and_grads`.
        out: the gradient is written here; it has the layout of `g`.

    Returns:
        The loss, without waiting for the device, and the gradient; both of the dtype of `z`.

    Raises:
        InputError: a norm that is not covered here, or a batch that does not suit the model.
        ValueError: an unknown option, or sizes that do not fit; the message says which.
        TypeError: arrays of several dtypes or libraries.

    An image 2 z, whose logit is 3 times that, so 6; least squares pull it down to 1:

    >>> import numpy as np
    >>> shapes = {"W1": (1, 1), "b1": (1,)}
    >>> g, d = (Parameters(shapes, np.array(v)) for v in ([2.0, 0.0], [3.0, 0.0]))
    >>> J, gradients = generator_loss_and_grads(
    ...     g, d, np.array([[1.0]]), loss="least-squares", pack=1, output="none",
    ...     generator_activation="none", generator_norm="none",
    ...     discriminator_activation="none", discriminator_norm="none",
    ... )
    >>> print(J, gradients.flat)  # 1/2 (6 - 1)^2, and (6 - 1) times 3
    12.5 [15. 15.]
    """
    checks.players(
        g, d, z, labels, masks, loss, pack, output, generator_activation, generator_norm,
        discriminator_activation, discriminator_norm, generator_geometry, discriminator_geometry,
    )  # fmt: skip
    gradients = g.room_for_gradients(out)
    G, D = layers(g), layers(d)

    s, cache_G = chain(G, rows(z, labels, 1), generator_activation, geometry=generator_geometry)
    y, f = OUTPUTS[output](s)  # (2)
    seen = rows(y, labels, pack)
    b, cache_D = chain(
        D, seen, discriminator_activation, masks, geometry=discriminator_geometry
    )  # (3)
    J, db = LOSSES_OF_G[loss](b)
    dx = chain_backward(db, D, cache_D)  # which fills nothing: D's weights are data here
    dy = dx.reshape(len(y), -1)[:, : y.shape[1]]  # (13)
    ds = dy * f  # (14)
    chain_backward(ds, G, cache_G, layers(gradients), to_input=False)  # (C5) to (C9)
    return J, gradients


def generate(
    g: Parameters,
    z: Array,
    labels: Array | None = None,
    *,
    output: str,
    generator_activation: str,
    generator_norm: str,
    generator_geometry: Geometry = (),
    **_others: Any,
) -> Array:
    """The images (n, pixels) that the generator makes of `z` in a training step.

    The arguments are those of `generator_loss_and_grads`, some of which play no part.

    Raises:
        InputError, ValueError, TypeError: as `generator_loss_and_grads` does.

    >>> import numpy as np
    >>> g = Parameters({"W1": (1, 1), "b1": (1,)}, np.array([2.0, 1.0]))
    >>> z = np.array([[1.0], [-1.0]])
    >>> generate(g, z, output="none", generator_activation="none", generator_norm="none")  # 2 z + 1
    array([[ 3.],
           [-1.]])
    """
    checks.generator(g, z, labels, output, generator_activation, generator_norm, generator_geometry)
    s, _ = chain(layers(g), rows(z, labels, 1), generator_activation, geometry=generator_geometry)
    y, _ = OUTPUTS[output](s)  # (2)
    return y


def interpolated(real: Array, fake: Array, alpha: Array) -> Array:
    """Rows between fake and real ones, each at its own place `alpha` (m, 1).

    >>> import numpy as np
    >>> real, fake = np.full((3, 1), 8.0), np.zeros((3, 1))
    >>> interpolated(real, fake, np.array([[0.0], [0.25], [1.0]])).ravel()
    array([0., 2., 8.])
    """
    return alpha * real + (1 - alpha) * fake  # (15)


def stacked(masks: Sequence[Masks]) -> Masks:
    """The masks of each layer, given for several groups of rows, as one mask for all rows.

    >>> import numpy as np
    >>> of_real, of_fake = [np.zeros((1, 3))], [np.ones((1, 3))]  # one hidden layer of three units
    >>> stacked([of_real, of_fake])
    [array([[0., 0., 0.],
           [1., 1., 1.]])]
    """
    return [namespace(group[0]).concatenate(group) for group in zip(*masks, strict=True)]


def rows(x: Array, labels: Array | None, pack: int) -> Array:
    """Each image with its class beside it, and `pack` of those side by side.

    >>> import numpy as np
    >>> images, labels = np.array([[0.1, 0.2], [0.3, 0.4]]), np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> rows(images, labels, pack=2)  # both in one row, which gets one logit
    array([[0.1, 0.2, 1. , 0. , 0.3, 0.4, 0. , 1. ]])
    """
    if labels is not None:
        x = namespace(x).concatenate([x, labels], axis=1)  # (1)
    return x.reshape(len(x) // pack, -1)  # (1)


OUTPUTS = {"sigmoid": sigmoid, "none": identity}
"""The images y that the generator's output s stands for: s -> y, and the derivative."""


# The discriminator's losses: logits a of real rows and b of fake ones, smoothing -> J, da, db.


def cross_entropy_of_d(a: Array, b: Array, smoothing: float) -> tuple[Array, Array, Array]:
    """Is it real? With labels 1 - smoothing and 0.

    >>> import numpy as np
    >>> J, da, db = cross_entropy_of_d(np.zeros((1, 1)), np.zeros((1, 1)), smoothing=0.0)
    >>> round(float(J), 4), da, db  # 2 log 2: D cannot tell them apart, and learns from both
    (1.3863, array([[-0.5]]), array([[0.5]]))
    """
    m = len(a)
    loss_a, sigmoid_minus_a = softplus(-a)
    loss_b, sigmoid_b = softplus(b)
    J = (loss_a.sum() + loss_b.sum() + smoothing * a.sum()) * (1 / m)  # (4)
    return J, (smoothing - sigmoid_minus_a) * (1 / m), sigmoid_b * (1 / m)  # (5)


def least_squares_of_d(a: Array, b: Array, smoothing: float) -> tuple[Array, Array, Array]:
    """Mao et al. 2017, with the same labels.

    >>> import numpy as np
    >>> J, da, db = least_squares_of_d(np.array([[3.0]]), np.array([[2.0]]), smoothing=0.0)
    >>> float(J), da, db  # from 1 and from 0
    (4.0, array([[2.]]), array([[2.]]))
    """
    m, error = len(a), a - (1 - smoothing)
    J = (sum_of_squares(error) + sum_of_squares(b)) * (0.5 / m)  # (6)
    return J, error * (1 / m), b * (1 / m)  # (7)


def wasserstein_of_d(a: Array, b: Array, smoothing: float) -> tuple[Array, Array, Array]:
    """Arjovsky et al. 2017: no labels, and so no smoothing.

    >>> import numpy as np
    >>> a, b = np.array([[3.0], [5.0]]), np.ones((2, 1))
    >>> J, da, db = wasserstein_of_d(a, b, smoothing=0.0)
    >>> float(J), da.ravel(), db.ravel()  # 1 - 4; the derivative is the same at every logit
    (-3.0, array([-0.5, -0.5]), array([0.5, 0.5]))
    """
    xp, m = namespace(a), len(a)
    J = (b.sum() - a.sum()) * (1 / m)  # (8)
    return J, xp.full_like(a, -1 / m), xp.full_like(b, 1 / m)  # (9)


LOSSES_OF_D = {
    "non-saturating": cross_entropy_of_d,
    "minimax": cross_entropy_of_d,
    "r1": cross_entropy_of_d,
    "least-squares": least_squares_of_d,
    "wasserstein-gp": wasserstein_of_d,
}


# The generator's losses: logits b of its images -> J, db.


def non_saturating_of_g(b: Array) -> Pair:
    """Goodfellow et al. 2014, section 3: let D take it for real.

    >>> import numpy as np
    >>> J, db = non_saturating_of_g(np.array([[-10.0]]))  # D is sure that it is fake,
    >>> round(float(J), 3), db.round(3)  # and G learns from it
    (10.0, array([[-1.]]))
    """
    m = len(b)
    h, f = softplus(-b)
    return h.sum() * (1 / m), f * (-1 / m)  # (10) for non-saturating


def minimax_of_g(b: Array) -> Pair:
    """Goodfellow et al. 2014, equation 1: the opposite of what D wants.

    >>> import numpy as np
    >>> J, db = minimax_of_g(np.array([[-10.0]]))  # D is sure that it is fake,
    >>> db.round(6)  # and the gradient of G vanishes
    array([[-4.5e-05]])
    """
    m = len(b)
    h, f = softplus(b)
    return h.sum() * (-1 / m), f * (-1 / m)  # (10) for minimax


def least_squares_of_g(b: Array) -> Pair:
    """Mao et al. 2017.

    >>> import numpy as np
    >>> J, db = least_squares_of_g(np.array([[3.0]]))  # also a logit above 1 is pulled towards it
    >>> float(J), db
    (2.0, array([[2.]]))
    """
    m, error = len(b), b - 1
    return sum_of_squares(error) * (0.5 / m), error * (1 / m)  # (11)


def wasserstein_of_g(b: Array) -> Pair:
    """Arjovsky et al. 2017.

    >>> import numpy as np
    >>> J, db = wasserstein_of_g(np.array([[3.0], [5.0]]))
    >>> float(J), db.ravel()
    (-4.0, array([-0.5, -0.5]))
    """
    m = len(b)
    return b.sum() * (-1 / m), namespace(b).full_like(b, -1 / m)  # (12)


LOSSES_OF_G = {
    "non-saturating": non_saturating_of_g,
    "minimax": minimax_of_g,
    "r1": non_saturating_of_g,
    "least-squares": least_squares_of_g,
    "wasserstein-gp": wasserstein_of_g,
}
