"""The adversarial autoencoder's three losses with their gradients, none of which is new.

Phase 1 is `tinygen.byhand.autoencoder`; phases 2 and 3 are the two players of `tinygen.byhand.gan`,
where the encoder is the generator. docs/derivations/aae.md says what stands for what, and why. The
letters::

    x (n, d)   images                          e   the encoder's parameters
    z (n, c)   draws of the prior N(0, I)      p   parameters of encoder and decoder
    codes      of images, (n, c)               d   the discriminator's
"""

from __future__ import annotations

from collections.abc import Mapping

from tinygen.backend import Array
from tinygen.byhand import autoencoder, checks, gan
from tinygen.byhand.chain import Geometry
from tinygen.parameters import Parameters


def reconstruction_loss_and_grads(
    p: Parameters,
    x: Array,
    *,
    activation: str,
    output: str,
    reconstruction: str,
    encoder_geometry: Geometry = (),
    decoder_geometry: Geometry = (),
    out: Parameters | None = None,
) -> tuple[Array, Parameters]:
    """Phase 1: the autoencoder's loss and its gradient with respect to encoder and decoder.

    Args:
        p: encoder.W1, encoder.b1, ..., decoder.W1, ...: ``parameters.only("encoder.", "decoder.")``
            of the model's parameters.
        x: images (n, d).
        activation, output, reconstruction: as in `tinygen.models.AdversarialAutoencoder`.
        encoder_geometry, decoder_geometry: as in `tinygen.byhand.autoencoder.loss_and_grads`.
        out: the gradient is written here; it has the layout of `p`.

    Returns:
        The loss, without waiting for the device, and the gradient; both of the dtype of `x`.

    Raises:
        ValueError, TypeError: as `tinygen.byhand.autoencoder.loss_and_grads`, with its messages.

    The derivation's example: images 1 and -1 of one pixel, code x + 1, reconstruction code / 2:

    >>> import numpy as np
    >>> shapes = {f"{side}.{name}1": s for side in ("encoder", "decoder")
    ...           for name, s in (("W", (1, 1)), ("b", (1,)))}
    >>> p = Parameters(shapes, np.array([1.0, 1.0, 0.5, 0.0]))
    >>> R, gradients = reconstruction_loss_and_grads(
    ...     p, np.array([[1.0], [-1.0]]), activation="none", output="none", reconstruction="mse"
    ... )
    >>> print(R, gradients.flat)
    0.5 [-0.5  0.5  0.   1. ]
    """
    return autoencoder.loss_and_grads(
        p, x, activation=activation, output=output, reconstruction=reconstruction,
        encoder_geometry=encoder_geometry, decoder_geometry=decoder_geometry, out=out,
    )  # fmt: skip


def discriminator_loss_and_grads(
    d: Parameters,
    z: Array,
    codes: Array,
    alpha: Array | None = None,
    *,
    loss: str,
    penalty: float,
    discriminator_activation: str,
    out: Parameters | None = None,
) -> tuple[Array, Parameters]:
    """Phase 2: the discriminator's loss and its gradient with respect to the parameters `d`.

    It is that of a GAN's discriminator, to which draws of the prior are real and codes are fake.

    Args:
        d: W1 (c, o), b1 (o,), ..., WL (i, 1), bL.
        z, codes: draws of the prior and codes of images, (n, c); both are data.
        alpha: (n, 1) in [0, 1], for "wasserstein-gp".
        loss, penalty, discriminator_activation: as in `tinygen.models.AdversarialAutoencoder`.
        out: as in `reconstruction_loss_and_grads`.

    Returns:
        The loss, without waiting for the device, and the gradient; both of the dtype of `z`.

    Raises:
        ValueError, TypeError: z and codes do not suit each other or the discriminator; or as
            `tinygen.byhand.gan.discriminator_loss_and_grads`, with its messages.

    The example continued: draws 1 and -1, codes 2 and -1, each of which is its own logit:

    >>> import numpy as np
    >>> d = Parameters({"W1": (1, 1), "b1": (1,)}, np.array([1.0, 0.0]))
    >>> J, gradients = discriminator_loss_and_grads(
    ...     d, np.array([[1.0], [-1.0]]), np.array([[2.0], [-1.0]]), loss="least-squares",
    ...     penalty=0.0, discriminator_activation="none",
    ... )
    >>> print(J, gradients.flat)
    2.25 [ 3.5 -0.5]
    """
    checks.adversaries(z, codes, d)
    return gan.discriminator_loss_and_grads(
        d, z, codes, alpha=alpha, loss=loss, penalty=penalty, smoothing=0.0, pack=1,
        discriminator_activation=discriminator_activation, discriminator_norm="none", out=out,
    )  # fmt: skip


def encoder_loss_and_grads(
    e: Parameters,
    d: Mapping[str, Array],
    x: Array,
    *,
    loss: str,
    activation: str,
    discriminator_activation: str,
    encoder_geometry: Geometry = (),
    out: Parameters | None = None,
) -> tuple[Array, Parameters]:
    """Phase 3: the encoder's loss against the discriminator and its gradient with respect to `e`.

    It is that of a GAN's generator whose noise is images and whose images are codes.

    Args:
        e: W1 (d, o), b1 (o,), ..., WK (i, c), bK.
        d: the discriminator's parameters, data here; they are left as they are.
        x: images (n, d).
        loss, activation, discriminator_activation: as in `tinygen.models.AdversarialAutoencoder`.
        encoder_geometry: as in `reconstruction_loss_and_grads`.
        out: as in `reconstruction_loss_and_grads`.

    Returns:
        The loss, without waiting for the device, and the gradient; both of the dtype of `x`.

    Raises:
        ValueError, TypeError: the images do not suit the encoder; or as
            `tinygen.byhand.gan.generator_loss_and_grads`, with its messages.

    The example concluded: codes 3/2 x + 1/2, whose logits are 1/4 - 3/4 code:

    >>> import numpy as np
    >>> shapes = {"W1": (1, 1), "b1": (1,)}
    >>> e, d = (Parameters(shapes, np.array(v)) for v in ([1.5, 0.5], [-0.75, 0.25]))
    >>> J, gradients = encoder_loss_and_grads(
    ...     e, d, np.array([[1.0], [-1.0]]), loss="least-squares", activation="none",
    ...     discriminator_activation="none",
    ... )
    >>> print(J, gradients.flat)
    1.265625 [0.84375 0.84375]
    """
    checks.refuse_width("images", x, "encoder", e, encoder_geometry)
    return gan.generator_loss_and_grads(
        e, d, x, loss=loss, pack=1, output="none", generator_activation=activation,
        generator_norm="none", discriminator_activation=discriminator_activation,
        discriminator_norm="none", generator_geometry=encoder_geometry, out=out,
    )  # fmt: skip


def encode(e: Parameters, x: Array, *, activation: str, encoder_geometry: Geometry = ()) -> Array:
    """The codes (n, c) of images (n, d), data for phase 2.

    Raises:
        ValueError, TypeError: as `encoder_loss_and_grads` does.

    >>> import numpy as np
    >>> e = Parameters({"W1": (1, 1), "b1": (1,)}, np.array([1.5, 0.5]))
    >>> encode(e, np.array([[1.0], [-1.0]]), activation="none")  # 3/2 x + 1/2
    array([[ 2.],
           [-1.]])
    """
    checks.refuse_width("images", x, "encoder", e, encoder_geometry)
    return gan.generate(
        e, x, output="none", generator_activation=activation, generator_norm="none",
        generator_geometry=encoder_geometry,
    )  # fmt: skip
