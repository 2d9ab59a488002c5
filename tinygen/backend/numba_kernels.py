"""Compiled loops over memory, for the NumPy backend where numba is installed.

Adam's update passes once over its four vectors; NumPy passes over them a dozen times. Windows of
images are short, and NumPy spends more time getting from one to the next than on their numbers.
Both run in one thread: the loops are as fast as the memory, and threads of their own would wait for
those of BLAS.
"""

import numba
import numpy as np


def adam_numba(x, g, m, v, rate, beta1, beta2, epsilon, decay) -> None:
    """The update of `tinygen.backend.base.Backend.adam` on vectors of float32 or float64."""
    # Scalars take the vectors' dtype: a Python float would make numba compute in float64.
    s = x.dtype.type
    _adam(x, g, m, v, s(rate), s(1 - beta1), s(1 - beta2), s(epsilon), s(1 - decay))


# "contract" lets a product and a sum become one instruction. No other relaxation is made:
# a NaN stays a NaN, so that a diverged run is seen.
@numba.njit(fastmath={"contract"}, error_model="numpy")
def _adam(x, g, m, v, rate, one_minus_beta1, one_minus_beta2, epsilon, keep):
    for i in range(x.size):
        mi = m[i] + one_minus_beta1 * (g[i] - m[i])
        vi = v[i] + one_minus_beta2 * (g[i] * g[i] - v[i])
        m[i] = mi
        v[i] = vi
        x[i] = keep * x[i] - rate * mi / (np.sqrt(vi) + epsilon)


def copy_windows_numba(x, p, stride) -> None:
    """As `tinygen.backend.patches.copy_windows`, of arrays of float32 or float64."""
    _copy_windows(_rows_of_images(x), _rows_of_windows(p), stride)


def add_windows_numba(x, p, stride) -> None:
    """As `tinygen.backend.patches.add_windows`, of arrays of float32 or float64."""
    _add_windows(_rows_of_images(x), _rows_of_windows(p), stride)


def _rows_of_images(x):
    n, h, w, c = x.shape
    return np.ascontiguousarray(x).reshape(n, h, w * c)


def _rows_of_windows(p):
    """A row of a window is a piece of a row of the image: columns and channels in one order."""
    n, oh, ow, k, _, c = p.shape
    return np.ascontiguousarray(p).reshape(n, oh, ow, k, k * c)


@numba.njit
def _copy_windows(x, p, stride):
    n, oh, ow, k, length = p.shape
    step = stride * length // k
    for image in range(n):
        for a in range(oh):
            for b in range(ow):
                for i in range(k):
                    piece = x[image, stride * a + i, step * b : step * b + length]
                    row = p[image, a, b, i]
                    for m in range(length):
                        row[m] = piece[m]


@numba.njit
def _add_windows(x, p, stride):
    n, oh, ow, k, length = p.shape
    step = stride * length // k
    for image in range(n):
        for a in range(oh):
            for b in range(ow):
                for i in range(k):
                    piece = x[image, stride * a + i, step * b : step * b + length]
                    row = p[image, a, b, i]
                    for m in range(length):
                        piece[m] += row[m]
