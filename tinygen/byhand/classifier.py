"""The classifier's loss with its gradient, derived by hand in docs/derivations/classifier.md.

The number at the end of a line is the equation that it computes. The letters::

    x (n, d)   images, a row each              a = h W + b   what goes into an activation
    h (n, i)   what goes into a layer          y = phi(a)    what comes out of it
    F (n, f)   what the softmax reads          q (n, c)      its probabilities
    t (n, c)   labels                          s (n, 1)      the sums of their rows
    delta      the loss's gradient with respect to a; dW, db: with respect to W, b

Layers are counted, k = 1..L; the last one is the softmax's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import accumulate

from tinygen.backend import Array, namespace
from tinygen.byhand.activations import ACTIVATIONS
from tinygen.byhand.checks import refuse_mixtures, refuse_sizes, refuse_unknown
from tinygen.byhand.workspace import Workspace
from tinygen.parameters import Parameters

READS = ("last", "all")


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
    out: Parameters | None = None,
    workspace: Workspace | None = None,
) -> tuple[Array, Parameters]:
    """The loss of a batch and its gradient with respect to every parameter.

    ::

        J = -1 / n sum t log q + weight_decay / 2 sum W^2          q = softmax(F W + b)

    With a single layer this is softmax regression: `x` may be what a frozen encoder says of images,
    and then no gradient goes any further.

    Args:
        parameters: W1 (d, o), b1 (o,), ..., WL (f, c), bL (c,). `activation` follows every layer
            but the last one, and but the one before it if that is `linear`.
        x: images (n, d).
        labels: (n, c), rows of probabilities. A row that sums to something else than 1 counts that
            many times.
        masks: a dropout mask (n, o) for each activated layer, its entries 0 or 1 / (1 - p); empty
            for no dropout.
        activation: one of `tinygen.byhand.activations.ACTIVATIONS`.
        linear: the layer before the last one is the code of an encoder, and has no activation.
        reads: the softmax reads what the "last" layer before it says, or "all" of them do.
        weight_decay: the weight of half the sum of all squared W (not b).
        out: the gradient is written here; it has the layout of `parameters`.
        workspace: with it and `out`, a step asks for no memory.

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
    weight_decay = float(weight_decay)  # np.float64 is contagious
    refuse_unknown("classifier", "activation", activation, ACTIVATIONS)
    refuse_unknown("classifier", "reads", reads, READS)
    names = _layer_names(tuple(parameters))
    L = len(names)
    activated = range(1, L - 1) if linear else range(1, L)
    read = range(1, L) if reads == "all" and L > 1 else range(L - 1, L)
    _check_arrays(parameters, names, activated, read, x, labels, masks, linear)

    xp, n = namespace(x), x.shape[0]
    phi = ACTIVATIONS[activation]
    workspace = Workspace() if workspace is None else workspace
    gradients = parameters.room_for_gradients(out)
    W = {k: parameters[w] for k, (w, _) in names.items()}
    b = {k: parameters[c] for k, (_, c) in names.items()}

    def memory(name: str, *shape: int) -> Array:
        return workspace.array(name, shape, like=x)

    def layers_memory(name: str, k: int) -> Array:
        """An array as large as what layer k gives."""
        return memory(f"{name}{k}", n, b[k].shape[0])

    # Forward: h[k] is what layer k hands on to layer k + 1.
    a, y, scratch = {}, {}, {}
    h = {0: x}  # (1)
    for k in range(1, L):
        a[k] = xp.matmul(h[k - 1], W[k], out=layers_memory("a", k))  # (2)
        a[k] += b[k]  # (2)
        h[k] = a[k]  # (4)
        if k in activated:
            y[k], scratch[k] = layers_memory("y", k), layers_memory("scratch", k)
            phi.forward(a[k], y[k], scratch[k])  # (3)
            h[k] = xp.multiply(y[k], masks[k - 1], out=layers_memory("h", k)) if masks else y[k]
    F, columns = h[L - 1], _columns(read, b)
    if len(read) > 1:
        F = memory("F", n, W[L].shape[0])
        for k in read:
            F[:, columns[k]] = h[k]  # (5)

    # The loss, and with it delta at the softmax.
    log_q = xp.matmul(F, W[L], out=layers_memory("log_q", L))  # (6)
    log_q += b[L]  # (6)
    log_q -= xp.max(log_q, axis=1, keepdims=True, out=memory("one", n, 1))
    q = xp.exp(log_q, out=layers_memory("delta", L))  # (7)
    total = xp.sum(q, axis=1, keepdims=True, out=memory("one", n, 1))
    q /= total  # (7)
    log_q -= xp.log(total, out=total)  # (7)
    log_q *= labels
    J = log_q.sum() * (-1 / n)  # (8)
    if weight_decay:
        J = J + sum(_sum_of_squares(W[k]) for k in W) * (weight_decay / 2)  # (8)
    delta = {L: q}
    delta[L] *= xp.sum(labels, axis=1, keepdims=True, out=total)
    delta[L] -= labels
    delta[L] *= 1 / n  # (9)

    # Backward: delta[k] from the layer above, and from the softmax if it reads layer k.
    for k in range(L, 0, -1):
        if k < L:
            delta[k] = layers_memory("delta", k)
            if k == L - 1:
                G = xp.matmul(delta[L], W[L].T, out=memory("G", n, W[L].shape[0]))  # (10)
                delta[k][...] = G[:, columns[k]]  # (11)
            else:
                xp.matmul(delta[k + 1], W[k + 1].T, out=delta[k])  # (11)
                if k in read:
                    delta[k] += G[:, columns[k]]  # (11)
        if k in activated:
            if masks:
                delta[k] *= masks[k - 1]  # (12)
            phi.backward(delta[k], a[k], y[k], scratch[k])  # (12)
        w, c = names[k]
        xp.matmul((F if k == L else h[k - 1]).T, delta[k], out=gradients[w])  # (13)
        xp.sum(delta[k], axis=0, out=gradients[c])  # (14)
        if weight_decay:
            decay = workspace.array("decay", W[k].shape, like=x)
            gradients[w][...] += xp.multiply(W[k], weight_decay, out=decay)  # (13)
    return J, gradients


def _columns(read: Sequence[int], b: Mapping[int, Array]) -> dict[int, slice]:
    """The columns of F in which each layer stands that the softmax reads."""
    widths = [b[k].shape[0] for k in read if k]
    ends = [*accumulate(widths)]
    return {k: slice(end - w, end) for k, w, end in zip(read, widths, ends, strict=False)}


def _sum_of_squares(v: Array) -> Array:
    v = v.reshape(-1)
    return v @ v


@cache  # the same in every step
def _layer_names(parameters: tuple[str, ...]) -> dict[int, tuple[str, str]]:
    L = sum(name.startswith("W") for name in parameters)
    names = {k: (f"W{k}", f"b{k}") for k in range(1, L + 1)}
    if not L or {*parameters} != {name for pair in names.values() for name in pair}:
        came = ", ".join(parameters) or "none"
        raise ValueError(f"classifier: expected the parameters W1, b1, ..., got {came}")
    return names


def _check_arrays(
    parameters: Mapping[str, Array],
    names: Mapping[int, tuple[str, str]],
    activated: Sequence[int],
    read: Sequence[int],
    x: Array,
    labels: Array,
    masks: Sequence[Array],
    linear: bool,
) -> None:
    """Refuse sizes that do not chain and arrays that do not go together; reads no values."""
    if x.ndim != 2 or not x.size:
        raise ValueError(f"classifier: x needs to be images in rows (n, d), got shape {x.shape}")
    *body, last = names.values()
    if linear and not body:
        raise ValueError("classifier: there is no layer before the softmax that could be linear")
    n, d = x.shape
    refuse_sizes("classifier", parameters, body, d)
    width = sum(parameters[names[k][1]].shape[0] if k else d for k in read)
    classes = refuse_sizes("classifier", parameters, [last], width)
    if labels.shape != (n, classes):
        raise ValueError(f"classifier: labels are {labels.shape}; they need to be {(n, classes)}")
    expected = [(n, parameters[names[k][1]].shape[0]) for k in activated]
    if masks and [m.shape for m in masks] != expected:
        raise ValueError(
            f"classifier: the dropout masks are {[m.shape for m in masks]}; the activated layers "
            f"need {expected}"
        )
    together = {"labels": labels} | {f"masks[{i}]": m for i, m in enumerate(masks)}
    refuse_mixtures("classifier", x, {**together, **parameters})
