"""Checks: functions that are given an implementation and refuse it if it is wrong.

A check calls the implementation as often as it likes (though not thousands of times), with arrays
of its own choice, and raises an AssertionError if a result is wrong. A right one it lets pass.
"""

import numpy as np


def differences(function, x, step=1e-5):
    """The gradient of a function of an array, which returns a number: central differences."""
    gradient = np.empty_like(x)
    for place in np.ndindex(x.shape):
        there, back = x.copy(), x.copy()
        there[place] += step
        back[place] -= step
        gradient[place] = (function(there) - function(back)) / (2 * step)
    return gradient


def check_softmax_cross_entropy(function):
    """Checks `function(a, t)`, which returns the loss, a number, and its gradient `da` (n, c).

    The loss is the mean over the rows of the cross-entropy, in nats, of logits `a` (n, c) with
    labels `t` (n, c): the rows of `t` sum to 1.
    """
    # BEGIN q1 (1) (2) points=3
    random = np.random.default_rng(1)
    a, t = random.standard_normal((2, 3)), random.dirichlet(np.ones(3), size=2)
    loss, da = function(a, t)
    q = np.exp(a) / np.exp(a).sum(axis=1, keepdims=True)
    assert np.isclose(loss, -np.sum(t * np.log(q)) / 2), "the loss"
    measured = differences(lambda other: function(other, t)[0], a)
    assert np.allclose(da, measured, atol=1e-6), "the gradient"
    for top in (1000.0, -1000.0):
        loss, da = function(np.array([[top, 0.0, 0.0]]), np.array([[0.0, 1.0, 0.0]]))
        right = np.array([[1.0, -1.0, 0.0]]) if top > 0 else np.array([[0.0, -0.5, 0.5]])
        assert np.isclose(loss, 1000 if top > 0 else np.log(2)), "the loss of a large logit"
        assert np.allclose(da, right), "the gradient of a large logit"
    # END


def check_kl(function):
    """Checks `function(mu, v)`, which returns the divergence (n,), and `dmu` and `dv` (n, c).

    The divergence is that of N(`mu`, exp(`v`)) from a standard normal, a sum over the units, for
    each row of `mu` and `v` (n, c); the gradients are those of its sum over the rows.
    """
    # BEGIN q2 (3) (4) points=2
    random = np.random.default_rng(2)
    mu, v = random.standard_normal((3, 2)), np.linspace(-4, 2, 6).reshape(3, 2)
    kl, dmu, dv = function(mu, v)
    x = np.linspace(-20, 20, 2001)[:, None, None]
    log_q = -(np.log(2 * np.pi) + v + (x - mu) ** 2 / np.exp(v)) / 2
    log_p = -(np.log(2 * np.pi) + x**2) / 2
    integral = np.sum(np.exp(log_q) * (log_q - log_p), axis=0) * (x[1] - x[0])
    assert np.shape(kl) == (3,), "the shape"
    assert np.allclose(kl, integral.sum(axis=1)), "the divergence is not its integral"
    by_mu = differences(lambda other: np.sum(function(other, v)[0]), mu)
    by_v = differences(lambda other: np.sum(function(mu, other)[0]), v)
    assert np.allclose(dmu, by_mu, atol=1e-6), "the gradient with respect to mu"
    assert np.allclose(dv, by_v, atol=1e-6), "the gradient with respect to v"
    # END


def check_sampler(sample):
    """Checks `sample(mu, v, count, seed)`, which draws `count` codes of each row (count, n, c).

    They are independent, with mean `mu` (n, c) and variance exp(`v`) (n, c), and normal. The same
    seed gives the same codes, another seed others. `count` is at most 20,000.
    """
    # BEGIN q3 (5) points=2.5 level=2
    mu, v = np.array([[1.0, -2.0], [3.0, 0.5], [0.0, 2.0]]), np.array([[0.0, 1], [-1, 2], [1, -2]])
    codes = sample(mu, v, 2000, 1)
    assert codes.shape == (2000, 3, 2), "the shape"
    noise = (codes - mu) / np.exp(v / 2)
    assert np.all(np.abs(noise.mean(axis=0)) < 0.1), "the mean"
    assert np.all(np.abs(noise.var(axis=0) - 1) < 0.2), "the variance"
    assert np.all(np.abs((noise**4).mean(axis=0) - 3) < 1), "the fourth moment of a normal is 3"
    alike = np.corrcoef(noise.reshape(2000, 6).T) - np.eye(6)
    assert np.all(np.abs(alike) < 0.1), "units and rows should be independent"
    assert np.abs((noise[1:] * noise[:-1]).mean()) < 0.05, "so should be one code and the next"
    assert np.array_equal(codes, sample(mu, v, 2000, 1)), "the same seed"
    assert not np.allclose(codes, sample(mu, v, 2000, 2)), "another seed"
    # END


def check_adam(update):
    """Checks `update(w, dw, m, v, step, rate)`, which returns the new `w`, `m` and `v` (d,).

    A step of Adam with decays 0.9 and 0.999 and 1e-8, as on the page; `step` counts from 1.
    """
    # BEGIN q4 (6) (7) (8) (9) points=2.5 level=2
    w = np.array([1.0, -2.0, 3.0, 0.5, 7.0])
    m, v = np.zeros(5), np.zeros(5)
    expected = w, m, v
    gradients = np.array([[1, -5, 0, 1e-6, 30], [0.1, 2, 0, 1e-6, 0], [0, -0.5, 0, 2e-6, 1]])
    for step, gradient in enumerate(gradients, 1):
        w, m, v = update(w, gradient, m, v, step, 0.1)
        w_right, m_right, v_right = expected
        m_right = 0.9 * m_right + 0.1 * gradient
        v_right = 0.999 * v_right + 0.001 * gradient**2
        root = np.sqrt(v_right / (1 - 0.999**step)) + 1e-8
        w_right = w_right - 0.1 * m_right / (1 - 0.9**step) / root
        expected = w_right, m_right, v_right
        for got, right in zip((w, m, v), expected, strict=True):
            assert np.allclose(got, right, rtol=1e-7, atol=1e-20), f"step {step}"
    # END


# From here on all is given: some implementations of the softmax, on which to try a check.


def right(a, t):
    """A right one."""
    log_q = a - np.logaddexp.reduce(a, axis=1, keepdims=True)
    return -np.sum(t * log_q) / len(a), (np.exp(log_q) - t) / len(a)


def without_mean(a, t):
    """Its gradient is that of a sum over the rows."""
    loss, da = right(a, t)
    return loss, da * len(a)


def of_probabilities(a, t):
    """It overflows where a logit is large."""
    q = np.exp(a) / np.exp(a).sum(axis=1, keepdims=True)
    return -np.sum(t * np.log(q)) / len(a), (q - t) / len(a)


def try_out():
    """Prints what the check of the softmax says of these."""
    for function in (right, without_mean, of_probabilities):
        with np.errstate(all="ignore"):
            try:
                check_softmax_cross_entropy(function)
                print(f"{function.__name__}: passes")
            except AssertionError as error:
                print(f"{function.__name__}: refused: {error}")


if __name__ == "__main__":
    try_out()
