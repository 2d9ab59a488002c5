"""A chain of layers: forward, backward, and the derivative of that derivative.

(C7) at the end of a line is equation C7 of docs/derivations/chain.md, which that line computes.
Layers are counted k = 1..L. The letters::

    h[k - 1]  what goes into layer k               f[k]  phi'(a[k]), mask included
    a[k]      its sum                              dW, da, ...: gradients of the loss
    e[k], t[k], v    the derivative of a row's one result with respect to its a[k], h[k] and x
    q, p[k]          the gradient of a function P of v with respect to e[k] and t[k]
    c[k]             and to a[k], but only by way of f[k]

Each is a matrix with one example in each row. An image is a row, too: its pixels lie one after
another, each with its channels. A layer is `Dense` or one of `tinygen.byhand.conv`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

from tinygen.backend import Array, namespace
from tinygen.byhand.pieces import (
    ACTIVATIONS,
    DENSE,
    SECOND,
    Dense,
    activation_backward,
    activation_jvp,
    add_bias,
    batch_norm,
    batch_norm_backward,
    bias_gradient,
    dropout,
    l2_penalty,
)
from tinygen.errors import InputError

Layers = dict[int, list[Array]]
"""For each k = 1..L the layer's W and b; with batch norm W, gamma and beta."""
Geometry = Sequence[Dense]
"""For each layer with weights its kind: Dense(), Conv(...); empty if all are dense."""


def layers(p: Mapping[str, Array], prefix: str = "") -> Layers:
    """The layers among parameters, or gradients, in the order of their numbers.

    >>> layers({"encoder.W1": 1, "encoder.b1": 2, "decoder.W1": 3, "decoder.b1": 4}, "decoder.")
    {1: [3, 4]}
    """
    names = names_of_layers(tuple(p), prefix)
    return {k: [p[name] for name in of_layer] for k, of_layer in enumerate(names, 1)}


@cache  # the same in every step
def names_of_layers(names: tuple[str, ...], prefix: str) -> list[list[str]]:
    """For each layer the names of W and b, or of W, gamma and beta.

    >>> names_of_layers(("W1", "gamma2", "beta2", "W3", "b3"), prefix="")  # numbered one by one
    [['W1', 'gamma2', 'beta2'], ['W3', 'b3']]
    """
    order, every = {"W": 0, "b": 1, "gamma": 1, "beta": 2}, []
    for name in names:
        kind = name.removeprefix(prefix).rstrip("0123456789")
        if name.startswith(prefix) and kind in order:
            every.append((int(name[len(prefix + kind) :]), order[kind], name))
    layers: list[list[str]] = []
    for _, place, name in sorted(every):
        if place == 0:
            layers.append([])
        layers[-1].append(name)
    for W, *vectors in layers:
        if not vectors:
            raise InputError(f"chain: expected a bias, or gamma and beta, of {W}, got none")
    return layers


class Cache(NamedTuple):
    """What a forward pass leaves for the backward pass.

    >>> import numpy as np
    >>> layers_ = {1: [np.ones((1, 2)), np.zeros(2)], 2: [np.ones((2, 1)), np.zeros(1)]}
    >>> _, cache = chain(layers_, np.array([[3.0], [-3.0]]), "relu")
    >>> cache.f[1]  # relu lets the first example pass, and not the second
    array([[1., 1.],
           [0., 0.]])
    >>> cache.rows(0, 1).f[1]
    array([[1., 1.]])
    """

    activation: str
    masks: Sequence[Array]
    kind: Mapping[int, Dense]
    h: dict[int, Array]
    a: dict[int, Array]
    f: dict[int, Array]
    norms: dict[int, tuple[Array, Array]]

    def rows(self, start: int, stop: int) -> Cache:
        """The cache of some of the rows; not with batch norm, where rows depend on each other."""
        i = slice(start, stop)
        h, a, f = ({k: x[i] for k, x in each.items()} for each in (self.h, self.a, self.f))
        return self._replace(masks=[mask[i] for mask in self.masks], h=h, a=a, f=f)


def chain(
    layers: Layers,
    x: Array,
    activation: str,
    masks: Sequence[Array] = (),
    linear: bool = True,
    *,
    geometry: Geometry = (),
) -> tuple[Array, Cache]:
    """The last layer's output for `x` (n, i), and the cache for `chain_backward`.

    The activation follows every layer but the last, and that one, too, if it is not `linear`; a
    dropout mask (n, o) follows each activation, if there are masks; for images a mask is
    (n, channels). `geometry` is for each layer with weights: Dense(), Conv(...).

    >>> import numpy as np
    >>> layers_ = {1: (np.ones((3, 2)), np.zeros(2)), 2: (np.ones((2, 1)), np.zeros(1))}
    >>> y, cache = chain(layers_, np.array([[1.0, 2.0, 3.0], [-1.0, -2.0, -3.0]]), "relu")
    >>> y  # of relu(x W1) W2
    array([[12.],
           [ 0.]])
    """
    L, phi = len(layers), ACTIVATIONS[activation]
    kind = dict(enumerate(geometry or [DENSE] * L, 1))
    h, a, f, norms, wide = {0: x}, {}, {}, {}, []  # (C1)
    for k, (W, *vectors) in layers.items():
        r = kind[k].product(h[k - 1], W)
        pixels = r.reshape(-1, len(vectors[0]))  # a row for each; in a dense layer r itself
        if len(vectors) == 1:
            pixels = add_bias(pixels, *vectors)  # (C2) (P1)
        else:
            pixels, norms[k] = batch_norm(pixels, *vectors)  # (P35) (P36) (P37)
        a[k] = pixels.reshape(r.shape)
        if k == L and linear:
            h[k] = a[k]  # (C4)
            break
        h[k], f[k] = phi(a[k])  # (C3)
        if len(masks):
            mask = masks[k - 1]
            times = h[k].shape[1] // mask.shape[1]  # the pixels of an image
            wide.append(namespace(mask).tile(mask, (1, times)) if times > 1 else mask)
            h[k], f[k] = dropout(h[k], f[k], wide[-1])  # (C3) (P33) (P34)
    return h[L], Cache(activation, wide, kind, h, a, f, norms)


def chain_backward(
    dh: Array,
    layers: Layers,
    cache: Cache,
    gradients: Layers | None = None,
    also: Mapping[int, Array] | None = None,
    to_input: bool = True,
) -> Array:
    """From the gradient of the chain's result, `dh` (n, o), to that of its input, (n, i).

    Args:
        dh, layers, cache: the result's gradient, and what the forward pass was given and left.
        gradients: those of the layers, to be filled in. With batch norm they are needed.
        also: gradients with respect to some h[k] that arrive by another path.
        to_input: whether the input's gradient is wanted. Where the input is data it is not, and
            the gradient that is returned is that of h[1].

    The example of `chain`: two paths of weight 1 where relu is open, and none where it is not:

    >>> import numpy as np
    >>> layers_ = {1: [np.ones((3, 2)), np.zeros(2)], 2: [np.ones((2, 1)), np.zeros(1)]}
    >>> _, cache = chain(layers_, np.array([[1.0, 2.0, 3.0], [-1.0, -2.0, -3.0]]), "relu")
    >>> gradients = {k: [np.zeros_like(x) for x in layer] for k, layer in layers_.items()}
    >>> chain_backward(np.ones((2, 1)), layers_, cache, gradients)
    array([[2., 2., 2.],
           [0., 0., 0.]])
    >>> gradients[2][0].ravel(), gradients[2][1]  # of W2 and b2
    (array([6., 6.]), array([2.]))
    """
    gradients, also = gradients or {}, also or {}
    for k in range(len(layers), 0, -1):
        W, vector, *_ = layers[k]  # b or gamma
        if k in also:
            dh = dh + also[k]  # (C7)
        da = activation_backward(dh, cache.f[k]) if k in cache.f else dh  # (C6) (C4)
        if k in gradients or k in cache.norms:
            dW, *dvectors = gradients[k]
            pixels = da.reshape(-1, len(vector))
            if k in cache.norms:
                norm = cache.norms[k]
                dr = batch_norm_backward(pixels, norm, vector, *dvectors)  # (P38) (P39) (P40)
                da = dr.reshape(da.shape)
            else:
                bias_gradient(pixels, out=dvectors[0])  # (C9)
            cache.kind[k].weight_gradient(cache.h[k - 1], da, out=dW)  # (C8)
        if k > 1 or to_input:
            dh = cache.kind[k].input_gradient(da, W)  # (C5)
    return dh


def input_derivative(
    layers: Layers, cache: Cache
) -> tuple[Array, tuple[dict[int, Array], dict[int, Array]]]:
    """v (n, i), the derivative of each row's output with respect to that row; and e and t.

    v is what `chain_backward` returns for dh = 1; here the steps are kept. The last layer has to be
    linear, and no layer has batch norm.

    >>> import numpy as np
    >>> D = {1: [np.array([[2.0]]), np.zeros(1)], 2: [np.array([[3.0]]), np.zeros(1)]}
    >>> _, cache = chain(D, np.array([[5.0], [-5.0]]), "leaky_relu")
    >>> v, _ = input_derivative(D, cache)
    >>> v  # 2 times 3; and times 0.01, where the unit is on the left
    array([[6.  ],
           [0.06]])
    """
    L, W = len(layers), {k: layer[0] for k, layer in layers.items()}
    e, t = {L: namespace(cache.h[L]).ones_like(cache.h[L])}, {}  # (C10)
    for k in range(L - 1, 0, -1):
        t[k] = cache.kind[k + 1].input_gradient(e[k + 1], W[k + 1])  # (C11)
        e[k] = activation_backward(t[k], cache.f[k])  # (C12)
    return cache.kind[1].input_gradient(e[1], W[1]), (e, t)  # (C13)


def input_derivative_backward(
    dv: Array,
    layers: Layers,
    cache: Cache,
    path: tuple[dict[int, Array], dict[int, Array]],
    gradients: Layers,
) -> None:
    """Add to the layers' gradients that of a function P of v, given dv; `path` is e and t.

    For P = v^2 / 2 with v = W1 W2, so that dv = v = 6, and dW1 = 6 W2:

    >>> import numpy as np
    >>> D = {1: [np.array([[2.0]]), np.zeros(1)], 2: [np.array([[3.0]]), np.zeros(1)]}
    >>> _, cache = chain(D, np.array([[5.0]]), "none")
    >>> v, path = input_derivative(D, cache)
    >>> gradients = {k: [np.zeros_like(x) for x in D[k]] for k in D}
    >>> input_derivative_backward(v, D, cache, path, gradients)
    >>> gradients[1][0], gradients[2][0]
    (array([[18.]]), array([[12.]]))
    """
    L, (e, t), second, kind = len(layers), path, SECOND[cache.activation], cache.kind
    p, c = {0: dv}, {}
    for k in range(1, L):  # up, back through (C13) to (C11)
        q = kind[k].product(p[k - 1], layers[k][0])  # (C14)
        p[k] = activation_jvp(q, cache.f[k], units=t[k].shape[1])  # (C15)
        if second:
            mask = cache.masks[k - 1] if len(cache.masks) else 1
            c[k] = q * t[k] * second(cache.a[k]) * mask  # (C17)
    for k in layers:
        gradients[k][0] += kind[k].weight_gradient(p[k - 1], e[k])  # (C16)
    da = namespace(dv).zeros_like(cache.h[L])  # v does not depend on a[L]
    for k in reversed(c):  # down, since each a[k] depends on all the layers below it
        dh = kind[k + 1].input_gradient(da, layers[k + 1][0])
        da = c[k] + activation_backward(dh, cache.f[k])  # (C18)
        dW, db = gradients[k]
        dW += kind[k].weight_gradient(cache.h[k - 1], da)  # (C19)
        db += bias_gradient(da.reshape(-1, len(db)))  # (C20)


def decay(layers: Layers, gradients: Layers, weight: float) -> Array:
    """The weight decay of all W, but not b; adds its gradient to theirs.

    >>> import numpy as np
    >>> W, b = np.array([[3.0, 4.0]]), np.array([9.0, 9.0])
    >>> gradients = {1: [np.zeros_like(W), np.zeros_like(b)]}
    >>> float(decay({1: [W, b]}, gradients, weight=2.0)), gradients  # 3^2 + 4^2
    (25.0, {1: [array([[6., 8.]]), array([0., 0.])]})
    """
    return sum(l2_penalty(layers[k][0], gradients[k][0], weight) for k in layers)  # (P69) (P70)
