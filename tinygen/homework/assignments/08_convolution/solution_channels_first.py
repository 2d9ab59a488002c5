"""Convolutions by hand: windows, their transpose, and the gradients of both.

Images `X` are (n, c, h, w): each channel is an image of its own. A window of `size` x `size` pixels
is a row of its numbers, in the order of its channels, rows and columns. Windows are `stride`
apart; there are p windows one below the other and q side by side, and `pad` zeros on every side.
"""

import numpy as np


def windows_in(length, size, stride, pad):
    """How many windows there are side by side in `length` pixels."""
    # BEGIN q1 (1) points=0.5
    return (length + 2 * pad - size) // stride + 1
    # END


def cut(X, size, stride, pad, p, q):
    """The windows of images `X` (n, c, h, w), each as a row: (n p q, c size size)."""
    # BEGIN q2 (2) points=1.5
    n, c, h, w = X.shape
    padded = np.zeros((n, c, h + 2 * pad, w + 2 * pad))
    padded[:, :, pad : pad + h, pad : pad + w] = X
    rows = np.empty((n, p, q, c * size * size))
    for r in range(p):
        for s in range(q):
            y, x = stride * r, stride * s
            rows[:, r, s] = padded[:, :, y : y + size, x : x + size].reshape(n, -1)
    return rows.reshape(n * p * q, -1)
    # END


def paste(rows, size, stride, pad, n, h, w, p, q):
    """The transpose of `cut`: windows (n p q, c size size) are added up to images (n, c, h, w)."""
    # BEGIN q3 (3) points=1.5
    windows = rows.reshape(n, p, q, -1, size, size)
    padded = np.zeros((n, windows.shape[3], h + 2 * pad, w + 2 * pad))
    for r in range(p):
        for s in range(q):
            y, x = stride * r, stride * s
            padded[:, :, y : y + size, x : x + size] += windows[:, r, s]
    return padded[:, :, pad : pad + h, pad : pad + w]
    # END


def convolution(rows, M, e, n, p, q):
    """The convolution of n images, given their windows, `rows` (n p q, c size size): (n, o, p, q).

    The weights `M` are (o, c size size), the biases `e` (o,).
    """
    # BEGIN q4 (4) points=1
    return (rows @ M.T + e).reshape(n, p, q, -1).transpose(0, 3, 1, 2)
    # END


def parameter_gradient(rows, dY):
    """`dM` (o, c size size) and `de` (o,), given the gradient of the result, `dY` (n, o, p, q)."""
    # BEGIN q5 (5) (6) points=1
    flat = dY.transpose(1, 0, 2, 3).reshape(dY.shape[1], -1)
    return flat @ rows, flat.sum(axis=1)
    # END


def window_gradient(dY, M):
    """The gradient with respect to the windows, (n p q, c size size); `paste` does the rest."""
    # BEGIN q6 (7) points=0.5
    return dY.transpose(0, 2, 3, 1).reshape(-1, len(M)) @ M
    # END


def transposed(X, T, g, stride, pad, h, w):
    """The transposed convolution of images `X` (n, c, p, q): images (n, o, h, w).

    The weights `T` are (c, o, size, size), the biases `g` (o,).
    """
    # BEGIN q7 (8) points=1.5
    n, _, p, q = X.shape
    _, o, size, _ = T.shape
    padded = np.zeros((n, o, h + 2 * pad, w + 2 * pad))
    for r in range(p):
        for s in range(q):
            y, x = stride * r, stride * s
            padded[:, :, y : y + size, x : x + size] += np.tensordot(X[:, :, r, s], T, axes=(1, 0))
    return padded[:, :, pad : pad + h, pad : pad + w] + g[:, None, None]
    # END


def transposed_input_gradient(dY, T, stride, pad, p, q):
    """`dX` (n, c, p, q), given the gradient of the result of `transposed`, `dY` (n, o, h, w)."""
    # BEGIN q8 (9) points=1 level=2
    n, o, h, w = dY.shape
    c, _, size, _ = T.shape
    padded = np.zeros((n, o, h + 2 * pad, w + 2 * pad))
    padded[:, :, pad : pad + h, pad : pad + w] = dY
    dX = np.empty((n, c, p, q))
    for r in range(p):
        for s in range(q):
            y, x = stride * r, stride * s
            window = padded[:, :, y : y + size, x : x + size]
            dX[:, :, r, s] = np.tensordot(window, T, axes=((1, 2, 3), (1, 2, 3)))
    return dX
    # END


def transposed_parameter_gradient(X, dY, size, stride, pad):
    """`dT` (c, o, size, size) and `dg` (o,), for `X` (n, c, p, q) and `dY` (n, o, h, w)."""
    # BEGIN q9 (10) (11) points=1.5 level=2
    n, o, h, w = dY.shape
    padded = np.zeros((n, o, h + 2 * pad, w + 2 * pad))
    padded[:, :, pad : pad + h, pad : pad + w] = dY
    dT = np.zeros((X.shape[1], o, size, size))
    for r in range(X.shape[2]):
        for s in range(X.shape[3]):
            y, x = stride * r, stride * s
            dT += np.tensordot(X[:, :, r, s], padded[:, :, y : y + size, x : x + size], axes=(0, 0))
    return dT, dY.sum(axis=(0, 2, 3))
    # END


# From here on all is given.

IMAGES, WEIGHTS = (1, 8, 8), (1, 9)
"""Shapes in the training below: of an image, and of `M`."""
