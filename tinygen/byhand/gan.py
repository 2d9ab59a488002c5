"""The GAN's two losses with their gradients, derived by hand in docs/derivations/gan.md.

The number at the end of a line is the equation that it computes. The letters::

    x (m, i)   what D sees, a row for a logit    a = h W + b   what goes into an activation
    z (n, c)   noise, of which G makes images    h = phi(a)    what goes into the next layer
    f          phi'(a), and dropout's mask       c             phi''(a), and what (38) adds to it
    delta      the loss's gradient with respect to a; dW, db, dx: with respect to W, b, x
    e, t, v    a logit's gradient with respect to a, h and x
    u, q, p    the penalty's gradient with respect to v, e and t

Layers are counted, k = 1..L. D judges all its images at once, in groups of m rows: those between
real and fake ones, if the penalty wants them, then the real ones, then the fake ones. The penalty
stands on the first group. Behind the last, it adds a group to the product that a weight's gradient
is, (40).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from tinygen.backend import Array, namespace
from tinygen.byhand.activations import ACTIVATIONS, Activation
from tinygen.byhand.checks import refuse_mixtures, refuse_sizes, refuse_unknown
from tinygen.byhand.workspace import Workspace
from tinygen.errors import InputError
from tinygen.parameters import Parameters

LOSSES = ("non-saturating", "minimax", "least-squares", "wasserstein-gp", "r1")
OUTPUTS = ("sigmoid", "none")
PENALISED = ("wasserstein-gp", "r1")
PIECES = 5
"""Of a maxout unit."""
EPSILON = 1e-5
"""Added to a variance by batch norm."""
TINY = 1e-12
"""Added to a squared norm, whose root has no derivative at 0."""

Masks = Sequence[Array]
Memory = Callable[..., Array]
Layers = tuple[tuple[str, ...], ...]


def discriminator_loss_and_grads(
    d: Parameters,
    real: Array,
    fake: Array,
    labels: Array | None = None,
    share: Array | None = None,
    masks: tuple[Masks, Masks, Masks] = ((), (), ()),
    *,
    loss: str,
    penalty: float,
    smoothing: float,
    pack: int,
    discriminator_activation: str,
    discriminator_norm: str,
    out: Parameters | None = None,
    workspace: Workspace | None = None,
) -> tuple[Array, Parameters]:
    """The discriminator's loss and its gradient with respect to the parameters `d`.

    ::

        mean softplus(-a) + mean softplus(b) + smoothing mean a     "non-saturating", "minimax"
        1/2 mean (a - 1 + smoothing)^2 + 1/2 mean b^2               "least-squares"
        mean b - mean a + penalty mean (|v| - 1)^2                  "wasserstein-gp"
        that of "non-saturating" + 1/2 penalty mean |v|^2           "r1"

    Here a are the logits of real images, b those of fake ones, v the gradient of a logit with
    respect to its images: for "r1" at the real ones, else at ``fake + share (real - fake)``.

    Args:
        d: W1 (i, o), b1 (o,), ..., WL (i, 1), bL; the activation follows every layer but the last.
        real, fake: images (n, pixels), data both of them.
        labels: (n, classes), of the real images and of the fake ones; None for a model without.
        share: (n / pack, 1) in [0, 1], for "wasserstein-gp".
        masks: dropout masks of the hidden layers, (n / pack, o) each, with entries 0 or
            1 / (1 - p): for the real images, for the fake ones, for those between.
        loss, penalty, smoothing, pack: as in `tinygen.models.GAN`.
        discriminator_activation: one of `tinygen.byhand.activations.ACTIVATIONS`, or "maxout".
        discriminator_norm: "none".
        out: the gradient is written here; it has the layout of `d`.
        workspace: with it and `out`, a step asks for no memory.

    Returns:
        The loss, without waiting for the device, and the gradient; both of the dtype of `real`.

    Raises:
        InputError: a norm that is not covered here, or a batch that does not suit the model.
        ValueError: an unknown option, or sizes that do not fit; the message says which.
        TypeError: arrays of several dtypes or libraries.

    A critic (tanh(x)) 4 of one pixel, between log 3 and 0; the example of the derivation:

    >>> import numpy as np
    >>> shapes = {"W1": (1, 1), "b1": (1,), "W2": (1, 1), "b2": (1,)}
    >>> d = Parameters(shapes, np.array([1.0, 0, 4, 0]))
    >>> J, gradients = discriminator_loss_and_grads(
    ...     d, np.full((1, 1), np.log(3)), np.zeros((1, 1)), share=np.full((1, 1), 0.5),
    ...     loss="wasserstein-gp", penalty=1.0, smoothing=0.0, pack=1,
    ...     discriminator_activation="tanh", discriminator_norm="none",
    ... )
    >>> print(f"{J:.4f}", gradients["W2"], gradients["b1"])
    0.8000 [[2.2]] [-9.44]
    """
    penalty, smoothing = float(penalty), float(smoothing)  # np.float64 is contagious
    layers = _layers("discriminator", tuple(d), discriminator_activation, discriminator_norm)
    refuse_unknown("gan", "loss", loss, LOSSES)
    between, penalised = loss == "wasserstein-gp", loss in PENALISED
    groups = [masks[2], masks[0], masks[1]] if between else [masks[0], masks[1]]
    _refuse_shape("real", real, "images")
    n, pixels = real.shape
    if fake.shape != real.shape:
        raise ValueError(f"gan: fake is {fake.shape}, real is {real.shape}; they need one shape")
    columns = pixels + _classes(labels, n)
    _check_discriminator(d, layers, discriminator_activation, n, columns, pack)
    m = n // pack
    if between and (share is None or share.shape != (m, 1)):
        raise ValueError(
            f"gan: share is {None if share is None else share.shape}; it needs to be {(m, 1)}"
        )
    share = share if between else None
    others = {"fake": fake, "labels": labels, "share": share}
    for j, group in enumerate(groups):
        _refuse_masks(group, d, layers, m)
        others |= {f"masks {j}, {k}": mask for k, mask in enumerate(group)}
    refuse_mixtures("gan", real, {**others, **d}, "real")

    xp, L = namespace(real), len(layers)
    phi = PHI[discriminator_activation]
    curved = penalised and phi.bend is not None
    workspace = Workspace() if workspace is None else workspace
    gradients = d.room_for_gradients(out)
    W = {k: d[names[0]] for k, names in enumerate(layers, 1)}

    def memory(name: str, *shape: int) -> Array:
        return workspace.array(f"d.{name}", shape, like=real)

    # The rows: R is where the real ones begin and F where the fake ones end.
    R = m if between else 0
    F = R + 2 * m
    rows = F + m if penalised else F
    first, of_real, of_fake, added = (
        slice(0, m), slice(R, R + m), slice(R + m, F), slice(F, rows)
    )  # fmt: skip

    # Forward. No image between is made: its row of x stays empty.
    x = memory("x", rows, W[1].shape[0])
    _put(real, labels, x[of_real])
    _put(fake, labels, x[of_fake])
    h, f, c = _judge(d, layers, phi, x, rows - F, groups, memory, share, curved)
    delta = {k: memory(f"delta{k}", rows, W[k].shape[1]) for k in W}
    J = _loss_of_d(loss, smoothing, f[L][R:], delta[L][R:F], memory)

    if penalised:
        # The derivative of each logit by its images: e and p are the rows that are added.
        e = {k: delta[k][added] for k in W}
        p = {k: h[k][added] for k in h}
        e[L][...] = 1  # (28)
        for k in range(L - 1, 0, -1):
            t = xp.matmul(e[k + 1], W[k + 1].T, out=memory("t", m, W[k + 1].shape[0]))  # (29)
            _down(t, f[k][first], e[k])  # (30)
            if curved:
                c[k] *= t  # (38)
        v = xp.matmul(e[1], W[1].T, out=p[0])  # (31)
        if labels is not None:
            v.reshape(m, pack, -1)[:, :, pixels:] = 0  # (31)
        J = J + _penalty(loss, penalty, v, memory)  # and u in the place of v
        # Back through this derivative, from its end to its beginning.
        for k in range(1, L):
            q = xp.matmul(p[k - 1], W[k], out=memory("q", m, W[k].shape[1]))  # (36)
            if curved:
                c[k] *= q  # (38)
            _up(q, f[k][first], p[k])  # (37)

    # Backward. Without curvature, the rows between have no part in it.
    begin = 0 if curved else R
    delta[L][begin:R] = 0
    for k in range(L, 0, -1):
        if k < L:
            G = memory("G", F - begin, W[k + 1].shape[0])
            xp.matmul(delta[k + 1][begin:F], W[k + 1].T, out=G)  # (16)
            _down(G, f[k][begin:], delta[k][begin:F])  # (17)
            if curved:
                delta[k][first] += c[k]  # (39)
        if k == 1 < L and curved and between:
            part = xp.multiply(delta[1][first], share, out=c[1])
            delta[1][of_real] += part  # (42)
            delta[1][of_fake] += xp.subtract(delta[1][first], part, out=part)  # (42)
        start = R if k == 1 else begin
        w, b = layers[k - 1]
        xp.matmul(h[k - 1][start:].T, delta[k][start:], out=gradients[w])  # (18) (40)
        xp.sum(delta[k][start:F], axis=0, out=gradients[b])  # (19)
    return J, gradients


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
    out: Parameters | None = None,
    workspace: Workspace | None = None,
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
        labels: (n, classes), or None for a model without.
        masks: the discriminator's dropout masks, (n / pack, o) for each hidden layer.
        loss, pack, output: as in `tinygen.models.GAN`.
        generator_activation, discriminator_activation: one of
            `tinygen.byhand.activations.ACTIVATIONS`, or "maxout".
        generator_norm: "none" or "batch", whose statistics are those of this batch.
        discriminator_norm: "none".
        out: the gradient is written here; it has the layout of `g`.
        workspace: with it and `out`, a step asks for no memory. It may be the discriminator's.

    Returns:
        The loss, without waiting for the device, and the gradient; both of the dtype of `z`.

    Raises:
        InputError: a norm that is not covered here, or a batch that does not suit the model.
        ValueError: an unknown option, or sizes that do not fit; the message says which.
        TypeError: arrays of several dtypes or libraries.
    """
    in_g = _layers("generator", tuple(g), generator_activation, generator_norm)
    in_d = _layers("discriminator", tuple(d), discriminator_activation, discriminator_norm)
    _check_generator(g, in_g, generator_activation, output, z, labels)
    refuse_unknown("gan", "loss", loss, LOSSES)
    n = z.shape[0]
    columns = g[in_g[-1][0]].shape[1] + _classes(labels, n)
    _check_discriminator(d, in_d, discriminator_activation, n, columns, pack)
    xp, m = namespace(z), n // pack
    _refuse_masks(masks, d, in_d, m)
    refuse_mixtures("gan", z, {**{f"masks {k}": mask for k, mask in enumerate(masks)}, **d}, "z")

    workspace = Workspace() if workspace is None else workspace
    gradients = g.room_for_gradients(out)

    def memory(name: str, *shape: int) -> Array:
        return workspace.array(f"g.{name}", shape, like=z)

    def memory_of_d(name: str, *shape: int) -> Array:
        return workspace.array(f"d.{name}", shape, like=z)

    # The images, and what D takes them for.
    image, h, f, centred, scale = _generated(
        g, in_g, PHI[generator_activation], output, z, labels, memory, "image"
    )
    x = image.reshape(m, -1)
    if labels is not None:
        x = memory_of_d("x", m, pack * (image.shape[1] + labels.shape[1]))
        _put(image, labels, x)
    psi = PHI[discriminator_activation]
    _, slopes, _ = _judge(d, in_d, psi, x, 0, [masks], memory_of_d)
    L = len(in_d)
    delta = memory_of_d(f"delta{L}", m, 1)
    J = _loss_of_g(loss, slopes[L], delta, memory_of_d)

    # Backward through D, whose own gradient nobody asks for.
    for k in range(L - 1, -1, -1):
        W = d[in_d[k][0]]
        G = xp.matmul(delta, W.T, out=memory_of_d("G", m, W.shape[0]))  # (16) (20)
        if k:
            delta = _down(G, slopes[k], memory_of_d(f"delta{k}", *slopes[k].shape))  # (17)
    delta = G.reshape(n, -1)[:, : image.shape[1]]  # (20)
    L = len(in_g)
    if output == "sigmoid":
        delta *= f[L]  # (21)

    # Backward through G.
    for k in range(L, 0, -1):
        w, *vectors = in_g[k - 1]
        if k < L:
            W = g[in_g[k][0]]
            G = xp.matmul(delta, W.T, out=memory("G", n, W.shape[0]))  # (16)
            delta = _down(G, f[k], f[k])  # (17)
        if k in centred:
            delta = _through_norm(delta, centred[k], scale[k], g, gradients, vectors, memory)
        else:
            xp.sum(delta, axis=0, out=gradients[vectors[0]])  # (19)
        xp.matmul(h[k - 1].T, delta, out=gradients[w])  # (18)
    return J, gradients


def generate(
    g: Parameters,
    z: Array,
    labels: Array | None = None,
    *,
    output: str,
    generator_activation: str,
    generator_norm: str,
    workspace: Workspace | None = None,
    **_others: Any,
) -> Array:
    """The images (n, pixels) that the generator makes of `z` in a training step.

    The arguments are those of `generator_loss_and_grads`, of which some play no part. With a
    `workspace` it asks for no memory, and the images stay as they are until the next call.

    Raises:
        InputError, ValueError, TypeError: as `generator_loss_and_grads` does.
    """
    layers = _layers("generator", tuple(g), generator_activation, generator_norm)
    _check_generator(g, layers, generator_activation, output, z, labels)
    workspace = Workspace() if workspace is None else workspace

    def memory(name: str, *shape: int) -> Array:
        return workspace.array(f"g.{name}", shape, like=z)

    return _generated(g, layers, PHI[generator_activation], output, z, labels, memory, "fake")[0]


# Forward. What comes after an activation's sum is h and, in the place of the sum, f.


def _judge(
    d: Mapping[str, Array],
    layers: Layers,
    phi: Activation,
    x: Array,
    added: int,
    groups: Sequence[Masks],
    memory: Memory,
    share: Array | None = None,
    curved: bool = False,
) -> tuple[dict[int, Array], dict[int, Array], dict[int, Array]]:
    """D's h, f, and c for the first group; the logits are in the place of f[L].

    The last rows of x and h are those `added` later; the first group of x is not read if there is
    a `share`.
    """
    xp, L, F = namespace(x), len(layers), x.shape[0] - added
    m = F // len(groups)
    R = 0 if share is None else m
    h, f, c = {0: x}, {}, {}
    for k, (w, b) in enumerate(layers, 1):
        W = d[w]
        a = f[k] = memory(f"a{k}", F, W.shape[1])
        top = R if k in (1, L) else 0  # those between have no image, and need no logit
        xp.matmul(h[k - 1][top:F], W, out=a[top:])  # (1) (2)
        a[top:] += d[b]  # (2)
        if k == L:
            break
        if k == 1 and share is not None:
            real, fake = a[m : 2 * m], a[2 * m :]
            xp.subtract(real, fake, out=a[:m])
            a[:m] *= share
            a[:m] += fake  # (41)
        h[k] = memory(f"h{k}", x.shape[0], d[layers[k][0]].shape[0])
        s = memory("scratch", *a.shape)
        phi.forward(a, h[k][:F], s)  # (3) (5)
        if curved and phi.bend is not None:
            c[k] = memory(f"c{k}", m, a.shape[1])
            phi.bend(a[:m], h[k][:m], s[:m], c[k], memory("more scratch", m, a.shape[1]))
        phi.slope(a, h[k][:F], s)  # (4) (6)
        for j, masks in enumerate(groups):
            if masks:
                group, mask = slice(j * m, (j + 1) * m), masks[k - 1]
                h[k][group] *= mask  # (3)
                _down(mask, a[group], a[group])  # (4)
        if curved and groups[0]:
            c[k] *= groups[0][k - 1]  # (38)
    return h, f, c


def _generated(
    g: Mapping[str, Array],
    layers: Layers,
    phi: Activation,
    output: str,
    z: Array,
    labels: Array | None,
    memory: Memory,
    name: str,
) -> tuple[Array, dict[int, Array], dict[int, Array], dict[int, Array], dict[int, Array]]:
    """The images, in the memory called `name`; h and f; and of batch norms what is kept of them."""
    xp, n, L = namespace(z), z.shape[0], len(layers)
    h, f, centred, scale = {0: z}, {}, {}, {}
    if labels is not None:
        h[0] = memory("h0", n, z.shape[1] + labels.shape[1])
        _put(z, labels, h[0])
    image = memory(name, n, g[layers[-1][0]].shape[1])
    for k, (w, *vectors) in enumerate(layers, 1):
        W = g[w]
        a = image if k == L and output == "none" else memory(f"a{k}", n, W.shape[1])
        if len(vectors) == 2:
            y = centred[k] = memory(f"centred{k}", *a.shape)
            xp.matmul(h[k - 1], W, out=y)  # (22)
            scale[k] = memory(f"scale{k}", W.shape[1])
            _normalise(y, a, scale[k], g[vectors[0]], g[vectors[1]], memory)
        else:
            xp.matmul(h[k - 1], W, out=a)  # (2)
            a += g[vectors[0]]  # (2)
        f[k] = a
        if k < L:
            h[k] = memory(f"h{k}", n, g[layers[k][0]].shape[0])
            s = memory("scratch", *a.shape)
            phi.forward(a, h[k], s)  # (3) (5)
            phi.slope(a, h[k], s)  # (4) (6)
    if output == "sigmoid":
        s = memory("scratch", *a.shape)
        sigmoid = PHI["sigmoid"]
        sigmoid.forward(a, image, s)  # (21)
        sigmoid.slope(a, image, s)  # (21)
    return image, h, f, centred, scale


def _normalise(y: Array, a: Array, scale: Array, gamma: Array, beta: Array, memory: Memory) -> None:
    """Batch norm of `y`, which it leaves centred, into `a`; `scale` is 1 over the deviation."""
    xp, n = namespace(y), y.shape[0]
    mean = xp.sum(y, axis=0, out=memory("mean", y.shape[1]))
    mean *= 1 / n  # (23)
    y -= mean  # (24)
    xp.multiply(y, y, out=a)
    xp.sum(a, axis=0, out=scale)
    scale *= 1 / n
    scale += EPSILON
    xp.sqrt(scale, out=scale)
    xp.divide(1, scale, out=scale)  # (24)
    xp.multiply(y, xp.multiply(scale, gamma, out=mean), out=a)  # (25)
    a += beta  # (25)


def _through_norm(
    delta: Array,
    y: Array,
    scale: Array,
    g: Mapping[str, Array],
    gradients: Mapping[str, Array],
    names: Sequence[str],
    memory: Memory,
) -> Array:
    """From the gradient by a norm's output to that by its input, in place; y is not kept."""
    xp, n = namespace(delta), delta.shape[0]
    gamma, dgamma, dbeta = g[names[0]], gradients[names[0]], gradients[names[1]]
    xp.sum(delta, axis=0, out=dbeta)  # (26)
    s = xp.multiply(delta, y, out=memory("scratch", *y.shape))
    xp.sum(s, axis=0, out=dgamma)
    dgamma *= scale  # (26)
    share = xp.multiply(dgamma, scale, out=memory("mean", y.shape[1]))
    share *= 1 / n
    y *= share
    y += xp.multiply(dbeta, 1 / n, out=share)
    delta -= y
    delta *= xp.multiply(scale, gamma, out=share)  # (27)
    return delta


# The losses. They may overwrite the logits, and leave their gradient in `delta`.


def _loss_of_d(loss: str, smoothing: float, a: Array, delta: Array, memory: Memory) -> Array:
    """`a` and `delta` hold the rows of real images and then those of fake ones."""
    xp, m = namespace(a), a.shape[0] // 2
    real, fake = slice(0, m), slice(m, 2 * m)
    if loss == "wasserstein-gp":
        delta[real] = -1 / m  # (12)
        delta[fake] = 1 / m  # (12)
        return (a[fake].sum() - a[real].sum()) * (1 / m)  # (9)
    if loss == "least-squares":
        a[real] -= 1 - smoothing
        xp.multiply(a, 1 / m, out=delta)  # (11)
        return _sum_of_squares(a) * (0.5 / m)  # (8)
    pushed = a[real].sum() * smoothing if smoothing else 0.0  # (7)
    a[real] *= -1
    J = (_softplus(a, memory) + pushed) * (1 / m)  # (7)
    PHI["sigmoid"].forward(a, delta, memory("scratch", 2 * m, 1))  # (10)
    delta[real] -= smoothing
    delta[real] *= -1 / m  # (10)
    delta[fake] *= 1 / m  # (10)
    return J


def _loss_of_g(loss: str, a: Array, delta: Array, memory: Memory) -> Array:
    xp, m = namespace(a), a.shape[0]
    if loss == "wasserstein-gp":
        delta[...] = -1 / m  # (15)
        return a.sum() * (-1 / m)  # (15)
    if loss == "least-squares":
        xp.subtract(a, 1, out=delta)
        J = _sum_of_squares(delta) * (0.5 / m)  # (14)
        delta *= 1 / m  # (14)
        return J
    sign = -1 if loss == "minimax" else 1
    a *= -sign
    J = _softplus(a, memory) * (sign / m)  # (13)
    PHI["sigmoid"].forward(a, delta, memory("scratch", m, 1))
    delta *= -1 / m  # (13)
    return J


def _penalty(loss: str, weight: float, v: Array, memory: Memory) -> Array:
    """The penalty, and its gradient with respect to `v`, in the place of `v`."""
    xp, m = namespace(v), v.shape[0]
    squares = xp.multiply(v, v, out=memory("squares", *v.shape))
    size = xp.sum(squares, axis=1, keepdims=True, out=memory("size", m, 1))  # (32)
    if loss == "r1":
        P = size.sum() * (weight / (2 * m))  # (33)
        v *= weight / m  # (34)
        return P
    size += TINY
    xp.sqrt(size, out=size)
    excess = xp.subtract(size, 1, out=memory("excess", m, 1))
    P = _sum_of_squares(excess) * (weight / m)  # (33)
    excess /= size
    excess *= 2 * weight / m
    v *= excess  # (35)
    return P


def _softplus(a: Array, memory: Memory) -> Array:
    """The sum of softplus(a)."""
    h = memory("softplus", *a.shape)
    PHI["softplus"].forward(a, h, memory("scratch", *a.shape))
    return h.sum()


def _sum_of_squares(v: Array) -> Array:
    v = v.reshape(-1)
    return v @ v


# What a row is, and what maxout adds.


def _put(x: Array, labels: Array | None, rows: Array) -> None:
    """Each image with its class beside it; as many as `rows` takes beside each other."""
    rows = rows.reshape(x.shape[0], -1)
    rows[:, : x.shape[1]] = x  # (1)
    if labels is not None:
        rows[:, x.shape[1] :] = labels  # (1)


def _down(G: Array, f: Array, out: Array) -> Array:
    """out = G f, where the pieces of a maxout unit share its G."""
    shape = (f.shape[0], -1, G.shape[1])
    namespace(G).multiply(G[:, None], f.reshape(shape), out=out.reshape(shape))
    return out


def _up(q: Array, f: Array, out: Array) -> Array:
    """out = q f, added up over the pieces of a maxout unit; `q` is not kept."""
    xp = namespace(q)
    if q.shape == out.shape:
        return xp.multiply(q, f, out=out)
    q *= f
    return xp.sum(q.reshape(q.shape[0], -1, out.shape[1]), axis=1, out=out)


def _maxout(a: Array, h: Array, s: Array) -> None:
    namespace(a).max(a.reshape(a.shape[0], -1, h.shape[1]), axis=1, out=h)  # (5)


def _winners(a: Array, h: Array, s: Array) -> None:
    xp = namespace(a)
    a = a.reshape(a.shape[0], -1, h.shape[1])
    xp.equal(a, h[:, None], out=a)
    count = xp.sum(a, axis=1, out=s[:, : h.shape[1]])
    a /= count[:, None]  # (6)


PHI = {**ACTIVATIONS, "maxout": Activation(_maxout, _winners)}


# What is refused.


def refuse_norm(player: str, norm: str) -> None:
    """Of the norms, there is by hand only the batch norm of the generator.

    Raises:
        InputError: it is another one.
    """
    refuse_unknown("gan", f"{player} norm", norm, ("none", "batch", "layer"))
    if norm == "layer" or (norm == "batch" and player == "discriminator"):
        raise InputError(
            f"gan: gradients by hand do not cover a {norm} norm in the {player}; "
            "take --gradients autograd"
        )


@cache  # the same in every step
def _layers(player: str, parameters: tuple[str, ...], activation: str, norm: str) -> Layers:
    """For each layer the names of W and b, or of W, gamma and beta."""
    refuse_unknown("gan", f"{player} activation", activation, PHI)
    refuse_norm(player, norm)
    if norm == "batch" and activation == "maxout":
        raise InputError("gan: maxout has no place for a batch norm before its activation")
    L = sum(name.startswith("W") for name in parameters)
    layers: list[tuple[str, ...]] = [(f"W{k}", f"b{k}") for k in range(1, L + 1)]
    if norm == "batch" and L:
        layers = [(f"W{k}", f"gamma{k + 1}", f"beta{k + 1}") for k in range(1, 2 * L - 2, 2)]
        layers.append((f"W{2 * L - 1}", f"b{2 * L - 1}"))
    expected = [name for layer in layers for name in layer]
    if not L or sorted(expected) != sorted(parameters):
        raise ValueError(
            f"gan: the {player} needs the parameters {', '.join(expected) or 'W1, b1, ...'}, "
            f"got {', '.join(parameters) or 'none'}"
        )
    return tuple(layers)


def _check_discriminator(
    d: Mapping[str, Array], layers: Layers, activation: str, n: int, columns: int, pack: int
) -> None:
    """It must take so many columns an image, and `pack` must divide the n images."""
    if not isinstance(pack, int) or pack < 1 or n % pack:
        raise InputError(f"gan: pack is {pack}; it needs to divide the {n} images of a batch")
    given = _refuse_sizes(d, layers, activation, pack * columns)
    if given != 1:
        raise ValueError(f"gan: the discriminator gives {given} columns; it needs to give 1")


def _check_generator(
    g: Mapping[str, Array],
    layers: Layers,
    activation: str,
    output: str,
    z: Array,
    labels: Array | None,
) -> int:
    """Returns how many pixels it gives."""
    refuse_unknown("gan", "output", output, OUTPUTS)
    _refuse_shape("z", z, "noise")
    if len(layers[0]) == 3 and z.shape[0] < 2:
        raise InputError("gan: a batch of one has no variance; batch norm needs two or more")
    classes = _classes(labels, z.shape[0])
    others = {"labels": labels} if labels is not None else {}
    refuse_mixtures("gan", z, {**others, **g}, "z")
    return _refuse_sizes(g, layers, activation, z.shape[1] + classes)


def _refuse_sizes(d: Mapping[str, Array], layers: Layers, activation: str, columns: int) -> int:
    return refuse_sizes("gan", d, layers, columns, PIECES if activation == "maxout" else 1)


def _refuse_shape(name: str, x: Array, what: str) -> None:
    if x.ndim != 2 or not x.size:
        raise ValueError(f"gan: {name} needs to be {what} in rows, got shape {x.shape}")


def _classes(labels: Array | None, n: int) -> int:
    if labels is None:
        return 0
    if labels.ndim != 2 or labels.shape[0] != n:
        raise ValueError(f"gan: labels is {labels.shape}; it needs a row for each of {n} images")
    return labels.shape[1]


def _refuse_masks(masks: Masks, d: Mapping[str, Array], layers: Layers, m: int) -> None:
    came, expected = [mask.shape for mask in masks], [(m, d[w].shape[0]) for w, _ in layers[1:]]
    if masks and came != expected:
        raise ValueError(
            f"gan: the dropout masks are {came}; the discriminator's hidden layers need {expected}"
        )
