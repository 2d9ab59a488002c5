"""The classifier's loss with its gradient, derived by hand in docs/derivations/classifier.md.

(7) at the end of a line is equation 7 of that page; (P7) is one of pieces.md, (C7) of chain.md. The
letters::

    x (n, d)   images, a row each            a (n, c)     the logit of each class
    h[k]       the output of body layer k    t (n, c)     labels
    F (n, f)   what the softmax reads

    da, dF     the gradient of the loss with respect to a, F
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from tinygen.backend import Array, namespace
from tinygen.byhand import checks
from tinygen.byhand.chain import Geometry, chain, chain_backward, decay, layers
from tinygen.byhand.pieces import softmax_cross_entropy
from tinygen.parameters import Parameters


def loss_and_grads(
    parameters: Parameters,
    x: Array,
    labels: Array,
    masks: Sequence[Array] = (),
    *,
    activation: str,
    linear: bool = False,
    reads: str = "last",
    weight_decay: float = 0.0,
    geometry: Geometry = (),
    out: Parameters | None = None,
) -> tuple[Array, Parameters]:
    """The loss of a batch and its gradient with respect to every parameter.

    ::

        J = -1 / n sum t log q + weight_decay / 2 sum W^2          q = softmax(F W + b)

    With a single layer this is softmax regression: `x` may be the features of a frozen encoder, and
    then no gradient goes any further.

    Args:
        parameters: W1 (d, o), b1 (o,), ..., WL (f, c), bL (c,). `activation` follows every layer
            except the last one, and except the one before it if that is `linear`.
        x: images (n, d).
        labels: (n, c), rows of probabilities. A row counts as many times as its sum, which need
            not be 1.
        masks: a dropout mask (n, o) for each activated layer, its entries 0 or 1 / (1 - p); empty
            for no dropout.
        activation: one of `tinygen.byhand.checks.DENSE`.
        linear: the layer before the last one is the code of an encoder, and has no activation.
        reads: whether the softmax reads the "last" layer before it or "all" of them.
        weight_decay: the weight of half the sum of all squared W (not b).
        geometry: for each layer with weights but the last: Dense(), Conv(...); empty where all
            are dense.
        out: the gradient is written here; it has the layout of `parameters`.

    Returns:
        The loss, without waiting for the device, and the gradient; both of the dtype of `x`.

    Raises:
        ValueError: an unknown option, or sizes that do not fit; the message says which.
        TypeError: arrays of several dtypes or libraries.

    One image x = (1, 1), a hidden unit relu(1 + 2) = 3 that two classes read with weights 0:

    >>> import numpy as np
    >>> shapes = {"W1": (2, 1), "b1": (1,), "W2": (1, 2), "b2": (2,)}
    >>> p = Parameters(shapes, np.array([1.0, 2, 0, 0, 0, 0, 0]))
    >>> J, gradients = loss_and_grads(
    ...     p, np.array([[1.0, 1]]), np.array([[1.0, 0]]), activation="relu"
    ... )
    >>> print(f"{J:.4f} = log 2", gradients["W2"], gradients["b1"])
    0.6931 = log 2 [[-1.5  1.5]] [0.]
    """
    weight_decay = float(weight_decay)  # an np.float64 would spread
    checks.classifier(parameters, x, labels, masks, activation, linear, reads, geometry)
    gradients = parameters.room_for_gradients(out)
    every, devery = layers(parameters), layers(gradients)
    L = len(every)
    body, dbody = ({k: of[k] for k in range(1, L)} for of in (every, devery))
    last, dlast = {1: every[L]}, {1: devery[L]}

    h, cache = chain(body, x, activation, masks, linear, geometry=geometry)  # (1)
    read = [cache.h[k] for k in body] if reads == "all" and body else [h]
    F = namespace(x).concatenate(read, axis=1)  # (2)
    a, cache_last = chain(last, F, activation)  # (3)
    J, da = softmax_cross_entropy(a, labels)  # (P43) (P44) (P45) (P46)
    dF = chain_backward(da, last, cache_last, dlast, to_input=bool(body))  # (4)
    if body:
        ends = accumulate(part.shape[1] for part in read[:-1])
        *G, G_last = namespace(x).split(dF, [*ends], axis=1)  # (5)
        chain_backward(G_last, body, cache, dbody, dict(enumerate(G, 1)), to_input=False)  # (6)
    if weight_decay:
        J = J + decay(every, devery, weight_decay)  # (7)
    return J, gradients
