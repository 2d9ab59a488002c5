"""The pieces that models are made of: each a forward computation and, right under it, its backward.

(P7) at the end of a line is equation P7 of docs/derivations/pieces.md, which that line computes.

A name with a d before it is the gradient of the loss with respect to what has the name, and has its
shape: dW, dz. Where each entry or row of the result depends on its own entry or row alone, a piece
returns value and derivative at once, since many share an exponential: ``h, f = tanh(a)``. A piece
writes into arrays that it made itself, and into the gradients that it is there to fill, and into
nothing else; what it returns may be an argument itself (`identity`, `kl`), so callers do not write
there. ``namespace(a)`` is the library that `a` belongs to, NumPy or CuPy. A GPU computes a `fused`
function as one kernel; its meaning does not change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log, pi, sqrt

from tinygen.backend import Array, backend_of, namespace
from tinygen.backend.fused import fused

Pair = tuple[Array, Array]

ALPHA = 0.01
"""The derivative of leaky relu on the left."""
C, B = sqrt(2 / pi), 0.044715
"""The constants of GELU's tanh approximation (Hendrycks and Gimpel 2016)."""
SUMS = 5
"""How many sums a maxout unit has; it hands on the largest."""
EPSILON = 1e-5
"""Added to a variance by batch norm."""
TINY = 1e-12
"""Added to a squared norm, whose root has no derivative at 0."""


# A dense layer.


@dataclass(frozen=True)
class Dense:
    """The product of a layer's input with its weights, linear in each of them.

    A convolution (`tinygen.byhand.conv`) is another such product: all that a chain needs of either
    is these three methods.

    >>> import numpy as np
    >>> h, W, da = np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), np.array([[10.0]])
    >>> DENSE.product(h, W)
    array([[11.]])
    >>> DENSE.weight_gradient(h, da), DENSE.input_gradient(da, W)  # 10 h^T, and 10 W^T
    (array([[10.],
           [20.]]), array([[30., 40.]]))
    """

    def product(self, h: Array, W: Array) -> Array:
        """(n, i) (i, o) -> (n, o)."""
        return h @ W

    def weight_gradient(self, h: Array, da: Array, out: Array | None = None) -> Array:
        """dW (i, o), given the gradient `da` (n, o) and the layer's input `h`."""
        return namespace(h).matmul(h.T, da, out=out)  # (P2)

    def input_gradient(self, da: Array, W: Array) -> Array:
        """dh: (n, o) (i, o) -> (n, i)."""
        return da @ W.T  # (P4)


DENSE = Dense()


def add_bias(r: Array, b: Array) -> Array:
    """a: (n, o) (o,) -> (n, o); it is written into `r`, which is h W.

    >>> import numpy as np
    >>> add_bias(np.zeros((2, 2)), np.array([1.0, 2.0]))
    array([[1., 2.],
           [1., 2.]])
    """
    r += b  # (P1)
    return r


def bias_gradient(da: Array, out: Array | None = None) -> Array:
    """db: (n, o) -> (o,).

    >>> import numpy as np
    >>> bias_gradient(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([4., 6.])
    """
    return da.sum(axis=0, out=out)  # (P3)


# Activations: h = phi(a) and f = phi'(a), entry by entry. At a kink, a = 0, f is from the left.


def identity(a: Array) -> Pair:
    """No activation at all.

    >>> import numpy as np
    >>> identity(np.array([-1.0, 2.0]))  # the value and its derivative, as of every activation
    (array([-1.,  2.]), array([1., 1.]))
    """
    return a, namespace(a).ones_like(a)


@fused
def relu(a: Array) -> Pair:
    """max(a, 0).

    >>> import numpy as np
    >>> relu(np.array([-1.0, 2.0]))
    (array([0., 2.]), array([0., 1.]))
    """
    f = (a > 0).astype(a.dtype)  # (P6) floats, not booleans: they multiply
    return namespace(a).maximum(a, 0 * f), f  # (P5) NumPy is faster with two arrays


@fused
def leaky_relu(a: Array) -> Pair:
    """max(a, 0.01 a).

    >>> import numpy as np
    >>> leaky_relu(np.array([-1.0, 2.0]))
    (array([-0.01,  2.  ]), array([0.01, 1.  ]))
    """
    f = (a > 0).astype(a.dtype)
    f *= 1 - ALPHA
    f += ALPHA  # (P8)
    return a * f, f  # (P7)


@fused
def elu(a: Array) -> Pair:
    """a on the right, exp(a) - 1 on the left (Clevert et al. 2016).

    >>> import numpy as np
    >>> h, f = elu(np.array([-1.0, 2.0]))
    >>> h.round(4), f.round(4)
    (array([-0.6321,  2.    ]), array([0.3679, 1.    ]))
    """
    xp = namespace(a)
    m = xp.minimum(a, 0)
    h = xp.exp(m)
    h += 1
    m *= 0.5
    h *= xp.tanh(m, out=m)  # (P10)
    f = h + 1  # (P11)
    h += xp.maximum(a, 0)  # (P9)
    return h, f


@fused
def elu_second(a: Array) -> Array:
    """phi''(a).

    >>> import numpy as np
    >>> elu_second(np.array([-1.0, 2.0])).round(4)
    array([0.3679, 0.    ])
    """
    xp = namespace(a)
    return xp.exp(xp.minimum(a, 0)) * (a <= 0)  # (P12)


@fused
def tanh(a: Array) -> Pair:
    """The hyperbolic tangent.

    >>> import numpy as np
    >>> h, f = tanh(np.array([0.0, 1.0]))
    >>> h.round(4), f.round(4)
    (array([0.    , 0.7616]), array([1.  , 0.42]))
    """
    h = namespace(a).tanh(a)  # (P13)
    return h, 1 - h * h  # (P14)


@fused
def tanh_second(a: Array) -> Array:
    """phi''(a).

    >>> import numpy as np
    >>> a, h = np.array([0.5]), 1e-5
    >>> measured = (tanh(a + h)[1] - tanh(a - h)[1]) / (2 * h)  # of phi', by a central difference
    >>> tanh_second(a).round(4), measured.round(4)
    (array([-0.7269]), array([-0.7269]))
    """
    h, f = tanh(a)
    return -2 * h * f  # (P15)


@fused
def logistic(a: Array) -> Pair:
    """sigmoid(a), and the exponential t that it is made of, which cannot overflow.

    >>> import numpy as np
    >>> s, t = logistic(np.array([-1000.0, 0.0, 2.0]))
    >>> s.round(4), t.round(4)
    (array([0.    , 0.5   , 0.8808]), array([0.    , 1.    , 0.1353]))
    """
    xp = namespace(a)
    t = xp.exp(-xp.abs(a))  # (P16)
    y = xp.maximum(a >= 0, t) / (1 + t)  # (P17)
    return y, t


@fused
def sigmoid(a: Array) -> Pair:
    """1 / (1 + exp(-a)), the logistic function.

    >>> import numpy as np
    >>> h, f = sigmoid(np.array([0.0, 2.0]))
    >>> h.round(4), f.round(4)
    (array([0.5   , 0.8808]), array([0.25 , 0.105]))
    """
    h, t = logistic(a)
    return h, t / (1 + t) ** 2  # (P18)


@fused
def sigmoid_second(a: Array) -> Array:
    """phi''(a).

    >>> import numpy as np
    >>> sigmoid_second(np.array([-2.0, 0.0, 2.0])).round(4)  # phi' is largest at 0
    array([ 0.08,  0.  , -0.08])
    """
    h, f = sigmoid(a)
    return f * (1 - 2 * h)  # (P19)


@fused
def softplus(a: Array) -> Pair:
    """log(1 + exp(a)), whose derivative is the sigmoid.

    >>> import numpy as np
    >>> h, f = softplus(np.array([0.0, 2.0]))
    >>> h.round(4), f.round(4)
    (array([0.6931, 2.1269]), array([0.5   , 0.8808]))
    """
    xp = namespace(a)
    y, t = logistic(a)
    return xp.maximum(a, 0) + xp.log1p(t), y  # (P20) (P21)


def softplus_second(a: Array) -> Array:
    """phi''(a).

    >>> import numpy as np
    >>> a = np.array([0.5])
    >>> bool(np.allclose(softplus_second(a), sigmoid(a)[1]))  # its derivative is the sigmoid
    True
    """
    _, f = sigmoid(a)
    return f  # (P22)


@fused
def gelu(a: Array) -> Pair:
    """a times a soft gate p, in the tanh approximation (Hendrycks and Gimpel 2016).

    >>> import numpy as np
    >>> h, f = gelu(np.array([-1.0, 0.0, 1.0]))
    >>> h.round(4), f.round(4)
    (array([-0.1588,  0.    ,  0.8412]), array([-0.083,  0.5  ,  1.083]))
    """
    xp = namespace(a)
    p, du = gelu_gate(a)
    h = a * p  # (P25)
    f = du
    f *= h
    f *= 2
    f -= 1
    f *= xp.subtract(1, p, out=p)
    f += 1  # (P27)
    return h, f


@fused
def gelu_gate(a: Array) -> Pair:
    """The gate p, and the derivative of what is in its tanh.

    >>> import numpy as np
    >>> p, _ = gelu_gate(np.array([-5.0, 0.0, 5.0]))  # closed, half open, open
    >>> p.round(4)
    array([0. , 0.5, 1. ])
    """
    xp = namespace(a)
    u = a * a
    du = u * (3 * B * C)
    du += C  # (P26)
    u *= B
    u += 1
    u *= a
    u *= C  # (P23)
    p = xp.tanh(u, out=u)
    p += 1
    p *= 0.5  # (P24)
    return p, du


@fused
def gelu_second(a: Array) -> Array:
    """phi''(a).

    >>> import numpy as np
    >>> a, h = np.array([0.0, 1.0]), 1e-5
    >>> measured = (gelu(a + h)[1] - gelu(a - h)[1]) / (2 * h)  # of phi', by a central difference
    >>> gelu_second(a).round(4), measured.round(4)
    (array([0.7979, 0.2421]), array([0.7979, 0.2421]))
    """
    p, du = gelu_gate(a)
    return 4 * p * (1 - p) * ((2 + (1 - 2 * p) * a * du) * du - C)  # (P28)


def maxout(a: Array) -> Pair:
    """The largest of each unit's 5 sums: (n, 5 o) -> (n, o), and f (n, 5 o).

    >>> import numpy as np
    >>> maxout(np.array([[1.0, 5.0, 2.0, 0.0, 3.0]]))  # one unit, which takes the second sum
    (array([[5.]]), array([[0., 1., 0., 0., 0.]]))
    """
    sums = a.reshape(len(a), SUMS, -1)
    h = sums.max(axis=1)  # (P29)
    f = (sums == h[:, None]).astype(a.dtype)
    f /= f.sum(axis=1, keepdims=True)  # (P30)
    return h, f.reshape(a.shape)


ACTIVATIONS: dict[str, Callable[[Array], Pair]] = {
    "none": identity,
    "relu": relu,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "gelu": gelu,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "maxout": maxout,
}
"""Every activation by the name under which a model asks for it: a -> phi(a), phi'(a)."""

SECOND: dict[str, Callable[[Array], Array] | None] = {
    **dict.fromkeys(("none", "relu", "leaky_relu", "maxout")),
    "elu": elu_second,
    "gelu": gelu_second,
    "tanh": tanh_second,
    "sigmoid": sigmoid_second,
    "softplus": softplus_second,
}
"""a -> phi''(a) of each; None where phi is made of straight lines, so that it is 0."""


def activation_backward(dh: Array, f: Array) -> Array:
    """``da = dh f``, where all sums of a maxout unit get the unit's `dh`.

    >>> import numpy as np
    >>> h, f = relu(np.array([[-1.0, 2.0]]))
    >>> activation_backward(np.array([[10.0, 10.0]]), f)
    array([[ 0., 10.]])
    """
    if dh.shape == f.shape:
        return dh * f  # (P31)
    return (dh[:, None] * f.reshape(len(f), SUMS, -1)).reshape(f.shape)  # (P31)


def activation_jvp(q: Array, f: Array, units: int) -> Array:
    """``q f``, the Jacobian-vector product: how much h changes when `a` changes by a small q.

    The sums of a maxout unit are added up.

    >>> import numpy as np
    >>> h, f = relu(np.array([[-1.0, 2.0]]))
    >>> activation_jvp(np.array([[0.1, 0.1]]), f, units=2)
    array([[0. , 0.1]])
    """
    if f.shape[1] == units:
        return q * f  # (P32)
    return (q * f).reshape(len(f), SUMS, units).sum(axis=1)  # (P32)


def dropout(h: Array, f: Array, mask: Array) -> Pair:
    """Both times the mask (n, o), whose entries are 0 or 1 / (1 - rate).

    >>> import numpy as np
    >>> h, f = np.array([[1.0, 2.0]]), np.ones((1, 2))
    >>> dropout(h, f, np.array([[0.0, 2.0]]))  # with a rate of 1/2
    (array([[0., 4.]]), array([[0., 2.]]))
    """
    # For maxout, f of each sum gets its unit's mask, as da gets its unit's dh in (P31).
    return h * mask, activation_backward(mask, f)  # (P33) (P34)


# Batch norm.


@fused
def sum_of_products(y: Array, z: Array) -> Array:
    """Of each column: (n, o) (n, o) -> (o,).

    >>> import numpy as np
    >>> sum_of_products(np.array([[1.0], [2.0]]), np.array([[3.0], [4.0]]))
    array([11.])
    """
    return namespace(y).sum(y * z, axis=0)


def batch_norm(r: Array, gamma: Array, beta: Array) -> tuple[Array, Pair]:
    """Each column of `r` (n, o) with mean 0 and variance 1, then times gamma (o,), plus beta.

    >>> import numpy as np
    >>> r = np.array([[1.0, 100.0], [3.0, 0.0]])
    >>> a, _ = batch_norm(r, np.ones(2), np.array([0.0, 10.0]))
    >>> a.round(4)
    array([[-1., 11.],
           [ 1.,  9.]])
    """
    y = r - r.mean(axis=0)  # (P35)
    s = ((y * y).mean(axis=0) + EPSILON) ** -0.5  # (P36)
    a = y * (s * gamma)
    a += beta  # (P37)
    return a, (y, s)


def batch_norm_backward(da: Array, cache: Pair, gamma: Array, dgamma: Array, dbeta: Array) -> Array:
    """Fill dgamma and dbeta; returns dr.

    >>> import numpy as np
    >>> r, gamma = np.array([[1.0], [2.0], [6.0]]), np.ones(1)
    >>> _, cache = batch_norm(r, gamma, np.zeros(1))
    >>> dr = batch_norm_backward(np.ones((3, 1)), cache, gamma, np.zeros(1), np.zeros(1))
    >>> bool(abs(dr).max() < 1e-12)  # who raises all sums by as much changes nothing
    True
    """
    (y, s), xp, n = cache, namespace(da), len(da)
    xp.sum(da, axis=0, out=dbeta)  # (P38)
    xp.multiply(s, sum_of_products(da, y), out=dgamma)  # (P39)
    return batch_norm_input_gradient(da, y, s, gamma, dgamma, dbeta, n)  # (P40)


@fused
def batch_norm_input_gradient(
    da: Array, y: Array, s: Array, gamma: Array, dgamma: Array, dbeta: Array, n: int
) -> Array:
    """dr, without the part of da that moves a column's mean or its variance.

    >>> import numpy as np
    >>> da, y, one = np.ones((2, 1)), np.array([[1.0], [-1.0]]), np.ones(1)
    >>> s, gamma, dgamma, dbeta = one, one, 0 * one, 2 * one
    >>> batch_norm_input_gradient(da, y, s, gamma, dgamma, dbeta, 2)
    array([[0.],
           [0.]])
    """
    dr = y * (s * dgamma / n)
    dr += dbeta / n
    dr = namespace(da).subtract(da, dr, out=dr)
    dr *= s * gamma  # (P40)
    return dr


# What a model makes of its last sums: losses with their gradient, log-likelihoods with derivatives.


def mse(y: Array, x: Array) -> Pair:
    """The mean of (y - x)^2 over all entries, and dy.

    >>> import numpy as np
    >>> R, dy = mse(np.array([[1.0, 2.0]]), np.array([[1.0, 4.0]]))
    >>> float(R), dy
    (2.0, array([[ 0., -2.]]))
    """
    dy = y - x
    R = sum_of_squares(dy) * (1 / x.size)  # (P41)
    dy *= 2 / x.size  # (P42)
    return R, dy


def softmax_cross_entropy(a: Array, t: Array) -> Pair:
    """The mean over the rows of -sum t log q, with q = softmax(a) and labels `t` (n, c); and da.

    >>> import numpy as np
    >>> J, da = softmax_cross_entropy(np.zeros((1, 2)), np.array([[1.0, 0.0]]))
    >>> round(float(J), 4), da  # log 2, and q - t
    (0.6931, array([[-0.5,  0.5]]))
    """
    xp, n = namespace(a), len(a)
    log_q = a - a.max(axis=1, keepdims=True)
    q = xp.exp(log_q)
    total = q.sum(axis=1, keepdims=True)
    q /= total  # (P43)
    log_q -= xp.log(total)  # (P44)
    J = (t * log_q).sum() * (-1 / n)  # (P45)
    q *= t.sum(axis=1, keepdims=True)
    q -= t
    q *= 1 / n  # (P46)
    return J, q


def bernoulli(a: Array, x: Array) -> Pair:
    """log p(x), (k, n), of pixels x (n, d) that are white with probability sigmoid(a), a (k, n, d).

    It also returns the derivative with respect to `a`. A single draw may come without the axis k.

    >>> import numpy as np
    >>> log_p, da = bernoulli(np.zeros((1, 1, 2)), np.array([[1.0, 0.0]]))
    >>> log_p.round(4), da  # -2 log 2, and x - sigmoid(a)
    (array([[-1.3863]]), array([[[ 0.5, -0.5]]]))
    """
    nats, da = bernoulli_of_each_pixel(a, x)
    return nats.sum(axis=-1), da  # (P47) (P48)


@fused
def bernoulli_of_each_pixel(a: Array, x: Array) -> Pair:
    """log p of each pixel by itself, (k, n, d), and its derivative.

    >>> import numpy as np
    >>> nats, da = bernoulli_of_each_pixel(np.zeros(1), np.ones(1))
    >>> nats.round(4), da  # -log 2, and 1 - sigmoid(a)
    (array([-0.6931]), array([0.5]))
    """
    xp = namespace(a)
    y, t = logistic(a)
    nats = x * a
    nats -= xp.maximum(a, 0)  # first these two, which nearly cancel where a pixel is right
    nats -= xp.log(1 + t)  # (P47)
    return nats, x - y  # (P48)


def gaussian(a: Array, s: Array, x: Array) -> tuple[Array, Array, Array]:
    """log p(x), (k, n), of pixels x (n, d) from N(a, exp(s)), a (k, n, d), s (1,).

    It also returns the derivatives with respect to `a` and to `s`.

    >>> import numpy as np
    >>> log_p, da, ds = gaussian(np.zeros((1, 1, 1)), np.zeros(1), np.array([[2.0]]))
    >>> log_p.round(4), da  # -(log(2 pi) + 2^2) / 2, and (x - a) / exp(s)
    (array([[-2.9189]]), array([[[2.]]]))
    """
    xp, d = namespace(a), x.shape[-1]
    precision = xp.exp(-s)
    error = x - a
    Q = (error * error).sum(axis=-1)
    log_p = -0.5 * (d * (log(2 * pi) + s) + precision * Q)  # (P49)
    return log_p, precision * error, 0.5 * (precision * Q - d)  # (P50) (P51)


# A code that is drawn.


@fused
def reparameterise(mu: Array, v: Array, noise: Array) -> Pair:
    """``z = mu + sigma noise``, (n, c) (n, c) (k, n, c) -> (k, n, c); and sigma noise alone.

    >>> import numpy as np
    >>> mu, v, noise = np.array([[5.0]]), np.log([[9.0]]), np.array([[[2.0]], [[-1.0]]])
    >>> z, _ = reparameterise(mu, v, noise)  # two draws; sigma is 3, as v is log sigma^2
    >>> z.ravel().round(4)
    array([11.,  2.])
    """
    scaled = namespace(v).exp(0.5 * v) * noise  # (P52)
    return mu + scaled, scaled  # (P53)


def reparameterise_backward(dz: Array, scaled: Array) -> Pair:
    """dmu and dv, (n, c) each.

    >>> import numpy as np
    >>> dz, scaled = np.array([[[10.0]], [[10.0]]]), np.array([[[6.0]], [[-3.0]]])  # of two draws
    >>> reparameterise_backward(dz, scaled)  # 10 + 10, and half of 60 - 30
    (array([[20.]]), array([[15.]]))
    """
    return dz.sum(axis=0), 0.5 * sum_of_products(dz, scaled)  # (P54) (P55)


@fused
def kl(mu: Array, v: Array) -> tuple[Array, Array, Array]:
    """KL(N(mu, exp(v)), N(0, 1)) of each entry; its derivatives with respect to `mu` and to `v`.

    >>> import numpy as np
    >>> KL, dmu, dv = kl(np.array([[0.0, 3.0]]), np.zeros((1, 2)))
    >>> KL, dmu, dv  # 0 where it is the prior already; mu^2 / 2 where only the mean differs
    (array([[0. , 4.5]]), array([[0., 3.]]), array([[0., 0.]]))
    """
    excess = namespace(v).expm1(v)  # exp(v) - 1, accurate for small v
    return 0.5 * (excess - v + mu * mu), mu, 0.5 * excess  # (P56) (P57) (P58)


def log_ratio(z: Array, v: Array, noise: Array) -> Array:
    """log p(z) / q(z) of each code: (k, n, c) (n, c) (k, n, c) -> (k, n).

    >>> import numpy as np
    >>> mu = v = np.zeros((1, 2))  # q is the prior, so the two densities are equal
    >>> noise = np.random.default_rng(0).standard_normal((3, 1, 2))
    >>> z, _ = reparameterise(mu, v, noise)
    >>> bool(abs(log_ratio(z, v, noise)).max() < 1e-12)
    True
    """
    # noise^2 - z^2 as a product: where q is close to the prior, the squares nearly cancel.
    return 0.5 * (v + (noise - z) * (noise + z)).sum(axis=-1)  # (P59)


def log_ratio_backward(drho: Array, z: Array) -> Pair:
    """dz (k, n, c), and dv at given z and noise, (n, 1): the same for all c. `drho` is (k, n).

    >>> import numpy as np
    >>> dz, dv = log_ratio_backward(np.ones((1, 1)), np.array([[[2.0, 3.0]]]))
    >>> dz, dv
    (array([[[-2., -3.]]]), array([[0.5]]))
    """
    return -drho[..., None] * z, 0.5 * drho.sum(axis=0)[:, None]  # (P60) (P61)


def log_mean_exp(log_w: Array) -> Pair:
    """log of the mean of k weights, (k, n) -> (n,); and its derivative, (k, n).

    >>> import numpy as np
    >>> value, d = log_mean_exp(np.array([[1000.0], [1000.0]]))
    >>> value.round(4), d.round(4).tolist()
    (array([1000.]), [[0.5], [0.5]])
    """
    xp, top = namespace(log_w), log_w.max(axis=0)
    w = xp.exp(log_w - top)  # the largest is 1, so exp cannot overflow
    total = w.sum(axis=0)
    return top + xp.log(total) - log(len(log_w)), w / total  # (P62) (P63)


# Penalties on v (m, i), the derivatives of m logits by their inputs: the value, and dv.


def zero_centred(v: Array, weight: float) -> Pair:
    """``weight / 2`` times the mean of ``|v|^2``: R1 (Mescheder et al. 2018).

    >>> import numpy as np
    >>> loss, dv = zero_centred(np.array([[3.0, 4.0]]), weight=2.0)
    >>> float(loss), dv
    (25.0, array([[6., 8.]]))
    """
    m = len(v)
    return sum_of_squares(v) * (weight / (2 * m)), v * (weight / m)  # (P64) (P65)


def one_centred(v: Array, weight: float) -> Pair:
    """`weight` times the mean of ``(|v| - 1)^2``: WGAN-GP (Gulrajani et al. 2017).

    >>> import numpy as np
    >>> loss, dv = one_centred(np.array([[3.0, 4.0]]), weight=10.0)
    >>> round(float(loss), 4), dv.round(4)  # 10 (5 - 1)^2
    (160.0, array([[48., 64.]]))
    """
    m = len(v)
    N = namespace(v).sqrt((v * v).sum(axis=1, keepdims=True) + TINY)  # (P66)
    P = sum_of_squares(N - 1) * (weight / m)  # (P67)
    return P, v * ((2 * weight / m) * (N - 1) / N)  # (P68)


def l2_penalty(W: Array, dW: Array, weight: float) -> Array:
    """``weight / 2`` times the sum of W^2; adds its gradient to dW.

    >>> import numpy as np
    >>> W, dW = np.array([[3.0, 4.0]]), np.zeros((1, 2))
    >>> float(l2_penalty(W, dW, weight=2.0)), dW
    (25.0, array([[6., 8.]]))
    """
    dW += weight * W  # (P70)
    return sum_of_squares(W) * (weight / 2)  # (P69)


def sum_of_squares(v: Array) -> Array:
    """A number, as an array of the dtype of `v`.

    >>> import numpy as np
    >>> float(sum_of_squares(np.array([3.0, 4.0])))
    25.0
    """
    return backend_of(v).sum_of_squares(v)
