"""An autoencoder's forward and backward pass, one equation of page.md in each function.

There are n images, **one in each row**; i inputs and o outputs of a layer; d pixels; c
dimensions of the code::

    (n, d)   `x`, the clean images; `p`, their reconstruction
    (n, i)   `g`, what goes into a layer
    (o, i)   `A`, the layer's weights, and (o,) `t`, its bias
    (n, o)   `s`, its weighted sums
    (n, c)   `u`, the code

`dg`, `dA`, ... are the gradients of the loss J with respect to `g`, `A`, ..., in their shapes.
"""

import numpy as np


def dense(g, A, t):
    """The sums `s` (n, o) of a layer: `g` (n, i), `A` (o, i), `t` (o,)."""
    # BEGIN q1 (1) points=0.5
    return g @ A.T + t
    # END


def loss_terms(p, x, u, weights, kappa, lam):
    """R, S and Omega, numbers: `p` and `x` (n, d), `u` (n, c); weights: a dictionary.

    Its values are the matrices; what its keys are does not matter.
    """
    # BEGIN q2 (4) (5) (6) points=1
    R = ((p - x) ** 2).mean()
    S = kappa / len(x) * np.abs(u).sum()
    Omega = lam / 2 * sum((A**2).sum() for A in weights.values())
    return R, S, Omega
    # END


def output_gradient(s, x):
    """`ds` (n, d), of the last layer's sums `s` and the images `x` (n, d)."""
    # BEGIN q3 (8) points=1.5
    p = 1 / (1 + np.exp(-s))
    return 2 / x.size * (p - x) * p * (1 - p)
    # END


def weight_gradient(ds, g):
    """`dA` (o, i) of a layer, given `ds` (n, o) and the layer's input `g` (n, i)."""
    # BEGIN q4 (9) points=1
    return ds.T @ g
    # END


def bias_gradient(ds):
    """`dt` (o,) of a layer, given `ds` (n, o)."""
    # BEGIN q5 (10) points=0.5
    return ds.sum(axis=0)
    # END


def input_gradient(ds, A):
    """`dg` (n, i) of a layer, given `ds` (n, o) and the layer's weights `A` (o, i)."""
    # BEGIN q6 (11) points=1
    return ds @ A
    # END


def activation_backward(dg, s):
    """`ds` (n, o), given the gradient `dg` (n, o) of the activation's result."""
    # BEGIN q7 (12) points=1.5
    gate = 1 / (1 + np.exp(-s))
    return dg * (gate + s * gate * (1 - gate))
    # END


def code_gradient(du, u, kappa):
    """All of `du` (n, c): the decoder's, which is the argument `du`, and the penalty's."""
    # BEGIN q8 (13) points=1
    return du + kappa / len(u) * np.sign(u)
    # END


def with_decay(dA, A, lam):
    """All of `dA` (o, i): the data's, which is the argument `dA`, and the weight decay's."""
    # BEGIN q9 (14) points=0.5
    return dA + lam * A
    # END


def first_weight_gradient(ds, x, seen):
    """`dA` (o, d) of a denoising encoder's first layer: `ds` (n, o), `x` and seen (n, d)."""
    # BEGIN q10 (15) points=0.5
    return ds.T @ seen
    # END


def tied_gradient(at_code, x, at_pixels, u):
    """`dA` (c, d) where the decoder uses the encoder's weights.

    at_code (n, c) and at_pixels (n, d) are the gradients of the two layers' sums; `x` (n, d) and
    `u` (n, c) their inputs.
    """
    # BEGIN q11 (16) points=1 level=2
    return at_code.T @ x + u.T @ at_pixels
    # END


# From here on all is given.


def laid_out(x):
    """Images with one in each row, `x` (n, d), as a batch of this file."""
    return x
