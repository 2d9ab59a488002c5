"""Adam's update as one compiled loop over memory, for the NumPy backend where numba is installed.

The update reads and writes four vectors once; NumPy walks over them a dozen times. One thread does
it: the loop is as fast as the memory, and threads of its own would wait for those of BLAS.
"""

import numba
import numpy as np


def adam_numba(x, g, m, v, rate, beta1, beta2, epsilon, decay) -> None:
    """The update of `tinygen.backend.base.Backend.adam` on vectors of float32 or float64."""
    # Scalars take the vectors' dtype: a Python float would make numba compute in float64.
    s = x.dtype.type
    _adam(x, g, m, v, s(rate), s(1 - beta1), s(1 - beta2), s(epsilon), s(1 - decay))


# "contract" lets a product and a sum become one instruction. No other relaxation is taken:
# a NaN stays a NaN, so that a diverged run is seen.
@numba.njit(fastmath={"contract"}, error_model="numpy")
def _adam(x, g, m, v, rate, one_minus_beta1, one_minus_beta2, epsilon, keep):
    for i in range(x.size):
        mi = m[i] + one_minus_beta1 * (g[i] - m[i])
        vi = v[i] + one_minus_beta2 * (g[i] * g[i] - v[i])
        m[i] = mi
        v[i] = vi
        x[i] = keep * x[i] - rate * mi / (np.sqrt(vi) + epsilon)
