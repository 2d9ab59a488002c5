"""Six operations, what each does on the way back, and what that does on its own way back.

First order, `..._partials`: from the gradient `g` of a loss with respect to the result, those with
respect to the arguments. Second order, `..._second`: from the gradients `r` (and `s`) of a number P
with respect to what the first order returns, those with respect to `g` and to the arguments.
"""

import numpy as np


def divide(x, z):
    """`x` (n, c), each row divided by `z` (c,), element by element."""
    return x / z


def divide_partials(g, x, z):
    """The gradients `dx` (n, c) and `dz` (c,), of `g` (n, c)."""
    # BEGIN q1 (1) (2) points=1
    dx = g / z
    dz = -(g * x / z**2).sum(axis=0)
    return dx, dz
    # END


def tanh(x):
    return np.tanh(x)


def tanh_partials(g, x):
    """The gradient `dx`, of the shape of `g` and `x`."""
    # BEGIN q2 (3) points=0.5
    y = np.tanh(x)
    return g * (1 - y**2)
    # END


def logsumexp(x):
    """The logarithm of each row's sum of exponentials: (n, c) -> (n,). Nothing overflows."""
    top = x.max(axis=1, keepdims=True)
    return np.log(np.exp(x - top).sum(axis=1)) + top[:, 0]


def logsumexp_partials(g, x):
    """The gradient `dx` (n, c), of `g` (n,)."""
    # BEGIN q3 (4) points=1
    y = logsumexp(x)
    return g[:, None] * np.exp(x - y[:, None])
    # END


def matmul(A, B):
    """The product of the matrices `A` (n, k) and `B` (k, c)."""
    return A @ B


def matmul_partials(g, A, B):
    """The gradients `dA` (n, k) and `dB` (k, c), of `g` (n, c)."""
    # BEGIN q4 (5) (6) points=1
    dA = g @ B.T
    dB = A.T @ g
    return dA, dB
    # END


def mean(x):
    """The mean of each row: (n, c) -> (n,)."""
    return x.mean(axis=1)


def mean_partials(g, x):
    """The gradient `dx` (n, c), of `g` (n,)."""
    # BEGIN q5 (7) points=0.5
    c = x.shape[1]
    return np.repeat(g[:, None] / c, c, axis=1)
    # END


def largest(x):
    """The largest element of each row: (n, c) -> (n,)."""
    return x.max(axis=1)


def largest_partials(g, x):
    """The gradient `dx` (n, c), of `g` (n,); several that are the largest get equal parts."""
    # BEGIN q6 (8) points=1
    is_largest = x == x.max(axis=1, keepdims=True)
    return g[:, None] * is_largest / is_largest.sum(axis=1, keepdims=True)
    # END


def divide_second(r, s, g, x, z):
    """The gradients `dg` (n, c), `dx` (n, c) and `dz` (c,) of P, of `r` (n, c) and `s` (c,)."""
    # BEGIN q7 (9) (10) (11) points=1.5 level=2
    dg = r / z - s * x / z**2
    dx = -s * g / z**2
    dz = (2 * s * g * x / z**3 - r * g / z**2).sum(axis=0)
    return dg, dx, dz
    # END


def tanh_second(r, g, x):
    """The gradients `dg` and `dx` of P, in one shape with all arguments."""
    # BEGIN q8 (12) (13) points=1 level=2
    y = np.tanh(x)
    dg = r * (1 - y**2)
    dx = -2 * r * g * y * (1 - y**2)
    return dg, dx
    # END


def logsumexp_second(r, g, x):
    """The gradients `dg` (n,) and `dx` (n, c) of P, of `r` (n, c)."""
    # BEGIN q9 (14) (15) points=1 level=2
    y = np.exp(x - logsumexp(x)[:, None])
    dg = (r * y).sum(axis=1)
    dx = g[:, None] * y * (r - dg[:, None])
    return dg, dx
    # END


def matmul_second(r, s, g, A, B):
    """The gradients `dg` (n, c), `dA` (n, k) and `dB` (k, c) of P, of `r` (n, k) and `s` (k, c)."""
    # BEGIN q10 (16) (17) (18) points=1 level=2
    dg = r @ B + A @ s
    dA = g @ s.T
    dB = r.T @ g
    return dg, dA, dB
    # END


def largest_second(r, g, x):
    """The gradients `dg` (n,) and `dx` (n, c) of P, of `r` (n, c)."""
    # BEGIN q11 (19) (20) points=0.5 level=2
    is_largest = x == x.max(axis=1, keepdims=True)
    dg = (r * is_largest).sum(axis=1) / is_largest.sum(axis=1)
    dx = np.zeros_like(x)
    return dg, dx
    # END


def measured(f, x, way):
    """How fast the number `f(x)` changes as `x` moves along `way`, by a central difference."""
    return (f(x + 1e-5 * way) - f(x - 1e-5 * way)) / 2e-5


def compare(what, gradient, way, change):
    """Prints how fast a number should change along `way`, and how fast it does."""
    print(f"{what}: {np.sum(gradient * way):.6f}, measured {change:.6f}")


if __name__ == "__main__":
    random = np.random.default_rng(0)
    x, g, r, way = (random.standard_normal((3, 4)) for _ in range(4))
    z, along = random.uniform(0.5, 2, 4), random.standard_normal(4)
    print("First order: J is the sum of the results, each times what arrives.")
    _, dz = divide_partials(g, x, z)
    change = measured(lambda z: np.sum(g * divide(x, z)), z, along)
    compare("divide, its divisor", dz, along, change)
    change = measured(lambda x: np.sum(g * tanh(x)), x, way)
    compare("tanh", tanh_partials(g, x), way, change)
    print("Second order: P is the sum (E8).")
    dg, dx = tanh_second(r, g, x)
    change = measured(lambda g: np.sum(r * tanh_partials(g, x)), g, way)
    compare("tanh, what arrives", dg, way, change)
    change = measured(lambda x: np.sum(r * tanh_partials(g, x)), x, way)
    compare("tanh, its argument", dx, way, change)
