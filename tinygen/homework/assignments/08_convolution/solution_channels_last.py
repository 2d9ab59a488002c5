"""Convolutions by hand: windows, their transpose, and the gradients of both.

Images `X` are (n, h, w, c): the channels of a pixel are the last axis. A window of `size` x `size`
pixels is a row of its numbers, in the order of its rows, columns and channels. Windows are `stride`
apart; there are p windows one below the other and q side by side, and `pad` zeros on every side.
"""

import numpy as np


def windows_in(length, size, stride, pad):
    """How many windows there are side by side in `length` pixels."""
    # BEGIN q1 (1) points=0.5
    return (length + 2 * pad - size) // stride + 1
    # END


def cut(X, size, stride, pad, p, q):
    """The windows of images `X` (n, h, w, c), each as a row: (n p q, size size c)."""
    # BEGIN q2 (2) points=1.5
    n, h, w, c = X.shape
    padded = np.zeros((n, h + 2 * pad, w + 2 * pad, c))
    padded[:, pad : pad + h, pad : pad + w] = X
    rows = np.empty((n, p, q, size * size * c))
    for r in range(p):
        for s in range(q):
            y, x = stride * r, stride * s
            rows[:, r, s] = padded[:, y : y + size, x : x + size].reshape(n, -1)
    return rows.reshape(n * p * q, -1)
    # END


def paste(rows, size, stride, pad, n, h, w, p, q):
    """The transpose of `cut`: windows (n p q, size size c) are added up to images (n, h, w, c)."""
    # BEGIN q3 (3) points=1.5
    windows = rows.reshape(n, p, q, size, size, -1)
    padded = np.zeros((n, h + 2 * pad, w + 2 * pad, windows.shape[5]))
    for r in range(p):
        for s in range(q):
            y, x = stride * r, stride * s
            padded[:, y : y + size, x : x + size] += windows[:, r, s]
    return padded[:, pad : pad + h, pad : pad + w]
    # END


def convolution(rows, M, e, n, p, q):
    """The convolution of n images, given their windows, `rows` (n p q, size size c): (n, p, q, o).

    The weights `M` are (size size c, o), the biases `e` (o,).
    """
    # BEGIN q4 (4) points=1
    return (rows @ M + e).reshape(n, p, q, -1)
    # END


def parameter_gradient(rows, dY):
    """`dM` (size size c, o) and `de` (o,), given the gradient of the result, `dY` (n, p, q, o)."""
    # BEGIN q5 (5) (6) points=1
    flat = dY.reshape(len(rows), -1)
    return rows.T @ flat, flat.sum(axis=0)
    # END


def window_gradient(dY, M):
    """The gradient with respect to the windows, (n p q, size size c); `paste` does the rest."""
    # BEGIN q6 (7) points=0.5
    return dY.reshape(-1, M.shape[1]) @ M.T
    # END


def transposed(X, T, g, stride, pad, h, w):
    """The transposed convolution of images `X` (n, p, q, c): images (n, h, w, o).

    The weights `T` are (c, size, size, o), the biases `g` (o,).
    """
    # BEGIN q7 (8) points=1.5
    n, p, q, _ = X.shape
    _, size, _, o = T.shape
    padded = np.zeros((n, h + 2 * pad, w + 2 * pad, o))
    for r in range(p):
        for s in range(q):
            y, x = stride * r, stride * s
            padded[:, y : y + size, x : x + size] += np.tensordot(X[:, r, s], T, axes=(1, 0))
    return padded[:, pad : pad + h, pad : pad + w] + g
    # END


def transposed_input_gradient(dY, T, stride, pad, p, q):
    """`dX` (n, p, q, c), given the gradient of the result of `transposed`, `dY` (n, h, w, o)."""
    # BEGIN q8 (9) points=1 level=2
    n, h, w, o = dY.shape
    c, size, _, _ = T.shape
    padded = np.zeros((n, h + 2 * pad, w + 2 * pad, o))
    padded[:, pad : pad + h, pad : pad + w] = dY
    dX = np.empty((n, p, q, c))
    for r in range(p):
        for s in range(q):
            y, x = stride * r, stride * s
            window = padded[:, y : y + size, x : x + size]
            dX[:, r, s] = np.tensordot(window, T, axes=((1, 2, 3), (1, 2, 3)))
    return dX
    # END


def transposed_parameter_gradient(X, dY, size, stride, pad):
    """`dT` (c, size, size, o) and `dg` (o,), for `X` (n, p, q, c) and `dY` (n, h, w, o)."""
    # BEGIN q9 (10) (11) points=1.5 level=2
    n, h, w, o = dY.shape
    padded = np.zeros((n, h + 2 * pad, w + 2 * pad, o))
    padded[:, pad : pad + h, pad : pad + w] = dY
    dT = np.zeros((X.shape[3], size, size, o))
    for r in range(X.shape[1]):
        for s in range(X.shape[2]):
            y, x = stride * r, stride * s
            dT += np.tensordot(X[:, r, s], padded[:, y : y + size, x : x + size], axes=(0, 0))
    return dT, dY.sum(axis=(0, 1, 2))
    # END


# From here on all is given.

IMAGES, WEIGHTS = (8, 8, 1), (9, 1)
"""Shapes in the training below: of an image, and of `M`."""
