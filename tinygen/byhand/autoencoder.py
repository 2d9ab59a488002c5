"""The autoencoder's loss with its gradient, derived by hand in docs/derivations/autoencoder.md.

The number at the end of a line is the equation that it computes. The letters::

    x (n, d)   the clean images, a row each        a = h W + b   what goes into an activation
    h (n, i)   what goes into a layer              y = phi(a)    what comes out of it
    W (i, o)   a layer's weights, b (o,) bias      z (n, c)      the code
    delta      the loss's gradient with respect to a; dW, db: with respect to W, b

Layers are counted through, k = 1..L, encoder first; layer K gives the code. A decoder alone, which
learns to invert an encoder that stays what it is, has K = 0: its codes are data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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


def loss_and_grads(
    parameters: Parameters,
    x: Array,
    corrupted: Array | None = None,
    masks: Sequence[Array] = (),
    *,
    activation: str,
    output: str,
    loss: str,
    weight_decay: float = 0.0,
    code_l1: float = 0.0,
    out: Parameters | None = None,
    workspace: Workspace | None = None,
) -> tuple[Array, Parameters]:
    """The loss of a batch and its gradient with respect to every parameter.

    ::

        J = R + code_l1 / n sum |z| + weight_decay / 2 sum W^2
        R = 1 / (n d) sum (y - x)^2              "mse": per pixel
        R = 1 / n sum softplus(a) - x a          "bce": nats per image, y = sigmoid(a)

    Args:
        parameters: encoder.W1 (d, o), encoder.b1 (o,), ..., encoder.WK, encoder.bK, decoder.W1,
            ..., decoder.WM (i, d), decoder.bM. `activation` follows every layer except the code
            layer, encoder K, and the output layer, decoder M. Those of the encoder may be missing.
        x: the clean images (n, d), the target. For "bce" they lie in [0, 1].
        corrupted: what the encoder sees instead of `x` (n, d): a denoising autoencoder. Without an
            encoder, the codes (n, c) that the decoder gets.
        masks: a dropout mask (n, o) for each activated layer in order, its entries 0 or
            1 / (1 - p); empty for no dropout.
        activation: one of `tinygen.byhand.activations.ACTIVATIONS`.
        output: "sigmoid", y = sigmoid(a), or "none", y = a.
        loss: "mse" or "bce"; the latter needs a sigmoid.
        weight_decay: the weight of half the sum of all squared W (not b).
        code_l1: the weight of the code's L1 norm, the mean over images.
        out: the gradient is written here; it has the layout of `parameters`.
        workspace: with it and `out`, a step asks for no memory.

    Returns:
        The loss, without waiting for the device, and the gradient; both of the dtype of `x`.

    Raises:
        ValueError: an unknown option, or sizes that do not fit; the message says which. Without an
            encoder, no codes, or `code_l1`, which would ask it for sparse ones.
        TypeError: arrays of several dtypes or libraries.

    One image, x = (1, 0), through one weight each way, z = x (2, 1)^T = 2, y = z (1, 1):

    >>> import numpy as np
    >>> shapes = {"encoder.W1": (2, 1), "encoder.b1": (1,)}
    >>> shapes |= {"decoder.W1": (1, 2), "decoder.b1": (2,)}
    >>> p = Parameters(shapes, np.array([2.0, 1, 0, 1, 1, 0, 0]))
    >>> loss, gradients = loss_and_grads(
    ...     p, np.array([[1.0, 0.0]]), activation="none", output="none", loss="mse"
    ... )
    >>> print(loss, gradients["decoder.W1"], gradients["encoder.b1"])
    2.5 [[2. 4.]] [3.]
    """
    _check_options(activation, output, loss)
    names, K = layer_names("autoencoder", parameters, fewest=0)
    L = len(names)
    hidden = [k for k in range(1, L) if k != K]
    if code_l1 and not K:
        raise ValueError("autoencoder: code_l1 needs an encoder, and there is a decoder alone")
    _check_arrays(parameters, names, hidden, x, corrupted, masks, alone=not K)

    xp = namespace(x)
    n = x.shape[0]
    phi = ACTIVATIONS[activation]
    workspace = Workspace() if workspace is None else workspace
    gradients = parameters.room_for_gradients(out)
    W = {k: parameters[w] for k, (w, _) in names.items()}
    b = {k: parameters[c] for k, (_, c) in names.items()}
    dW = {k: gradients[w] for k, (w, _) in names.items()}
    db = {k: gradients[c] for k, (_, c) in names.items()}
    mask = dict(zip(hidden, masks, strict=bool(masks)))
    weight_decay, code_l1 = float(weight_decay), float(code_l1)  # np.float64 is contagious

    def memory(name: str, k: int) -> Array:
        """An array as large as what layer k gives."""
        return workspace.array(f"{name}{k}", (n, b[k].shape[0]), like=x)

    # Forward: h[k] is what layer k hands on to layer k + 1.
    a, y, scratch, delta = {}, {}, {}, {}
    h = {0: x if corrupted is None else corrupted}  # (1)
    for k in range(1, L + 1):
        a[k] = xp.matmul(h[k - 1], W[k], out=memory("a", k))  # (2)
        a[k] += b[k]  # (2)
        h[k] = a[k]  # (4)
        if k in hidden:
            y[k], scratch[k] = memory("y", k), memory("scratch", k)
            phi.forward(a[k], y[k], scratch[k])  # (3)
            h[k] = xp.multiply(y[k], mask[k], out=memory("h", k)) if masks else y[k]  # (3)
    z = h[K]

    # The loss, and with it delta at the output.
    reconstruction = RECONSTRUCTIONS[output, loss]
    delta[L] = memory("delta", L)
    J = reconstruction(x, a[L], memory("y", L), delta[L], memory("scratch", L))
    if code_l1:
        J = J + xp.abs(z, out=memory("scratch", K)).sum() * (code_l1 / n)  # (8)
    if weight_decay:
        J = J + sum(_sum_of_squares(W[k]) for k in W) * (weight_decay / 2)  # (9)

    # Backward: delta[k] from delta[k + 1], and from it the gradient of layer k.
    for k in range(L, 0, -1):
        if k < L:
            delta[k] = xp.matmul(delta[k + 1], W[k + 1].T, out=memory("delta", k))  # (13)
        if k in hidden:
            if masks:
                delta[k] *= mask[k]  # (14)
            phi.backward(delta[k], a[k], y[k], scratch[k])  # (14)
        if k == K and code_l1:
            sign = xp.sign(z, out=memory("scratch", K))
            sign *= code_l1 / n
            delta[K] += sign  # (15)
        xp.matmul(h[k - 1].T, delta[k], out=dW[k])  # (16)
        xp.sum(delta[k], axis=0, out=db[k])  # (17)
        if weight_decay:
            decay = workspace.array("decay", W[k].shape, like=x)
            dW[k] += xp.multiply(W[k], weight_decay, out=decay)  # (16)
    return J, gradients


def decoder_loss_and_grads(
    parameters: Parameters,
    x: Array,
    codes: Array,
    masks: Sequence[Array] = (),
    *,
    out: Parameters | None = None,
    **options: Any,
) -> tuple[Array, Parameters]:
    """The loss of a decoder alone and its gradient, in the decoder's own names.

    Args:
        parameters: W1 (c, o), b1 (o,), ..., WM (i, d), bM.
        x: the images (n, d) that the codes are those of.
        codes: (n, c); no gradient reaches whatever they came from.
        masks, out, options: as in `loss_and_grads`.
    """
    side = "decoder."
    within = None if out is None else out.under(side)
    J, gradients = loss_and_grads(parameters.under(side), x, codes, masks, out=within, **options)
    return J, gradients.part(side) if out is None else out


def _linear_mse(x: Array, a: Array, y: Array, delta: Array, s: Array) -> Array:
    xp = namespace(x)
    xp.subtract(a, x, out=delta)  # (5)
    R = _sum_of_squares(delta) * (1 / x.size)  # (6)
    delta *= 2 / x.size  # (10)
    return R


def _sigmoid_mse(x: Array, a: Array, y: Array, delta: Array, s: Array) -> Array:
    sigmoid = ACTIVATIONS["sigmoid"]
    sigmoid.forward(a, y, s)  # (5)
    R = _linear_mse(x, y, y, delta, s)
    sigmoid.backward(delta, a, y, s)  # (11)
    return R


def _sigmoid_bce(x: Array, a: Array, y: Array, delta: Array, s: Array) -> Array:
    xp = namespace(x)
    n = x.shape[0]
    ACTIVATIONS["sigmoid"].forward(a, y, s)  # (5)
    xp.subtract(y, x, out=delta)
    delta *= 1 / n  # (12)
    # softplus(a) - x a = (max(a, 0) - x a) + log(1 + exp(-|a|)), and s is 1 + exp(-|a|).
    xp.log(s, out=s)
    xp.maximum(a, 0, out=y)
    a *= x
    y -= a  # first these two, which nearly cancel where a pixel is right
    y += s
    return y.sum() * (1 / n)  # (7)


RECONSTRUCTIONS = {
    ("none", "mse"): _linear_mse,
    ("sigmoid", "mse"): _sigmoid_mse,
    ("sigmoid", "bce"): _sigmoid_bce,
}
"""For each output and loss: write delta at the output into memory, return the loss R."""


def _sum_of_squares(v: Array) -> Array:
    v = v.reshape(-1)
    return v @ v


def _check_options(activation: str, output: str, loss: str) -> None:
    for name, value, known in (
        ("activation", activation, ACTIVATIONS),
        ("output", output, ("sigmoid", "none")),
        ("loss", loss, ("mse", "bce")),
    ):
        refuse_unknown("autoencoder", name, value, known)
    if (output, loss) not in RECONSTRUCTIONS:
        raise ValueError(f"autoencoder: loss {loss!r} needs output 'sigmoid', got {output!r}")


def _check_arrays(
    parameters: Mapping[str, Array],
    names: Mapping[int, tuple[str, str]],
    hidden: Sequence[int],
    x: Array,
    corrupted: Array | None,
    masks: Sequence[Array],
    alone: bool,
) -> None:
    """Refuse sizes that do not chain and arrays that do not go together; reads no values."""
    if x.ndim != 2 or not x.size:
        raise ValueError(f"autoencoder: x needs to be images in rows (n, d), got shape {x.shape}")
    n, d = x.shape
    came = None if corrupted is None else corrupted.shape
    if alone:
        if came is None or len(came) != 2 or came[0] != n:
            raise ValueError(
                f"autoencoder: a decoder alone needs codes ({n}, c) in the place of corrupted, "
                f"got {came}"
            )
        d = came[1]
    elif came not in (None, x.shape):
        raise ValueError(
            f"autoencoder: corrupted is {came}, x is {x.shape}; they need the same shape"
        )
    width = refuse_sizes("autoencoder", parameters, names.values(), d)
    refuse_other_pixels("autoencoder", x, width)
    expected = [(n, parameters[names[k][1]].shape[0]) for k in hidden]
    if masks and [m.shape for m in masks] != expected:
        raise ValueError(
            f"autoencoder: the dropout masks are {[m.shape for m in masks]}; the activated layers "
            f"need {expected}"
        )
    together = {} if corrupted is None else {"corrupted": corrupted}
    together |= {f"masks[{i}]": m for i, m in enumerate(masks)}
    refuse_mixtures("autoencoder", x, {**together, **parameters})
