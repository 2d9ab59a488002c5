"""Checks that refuse what is right, or pass what is wrong."""

from tinygen.homework.assignment import Mistake

MISTAKES = [
    Mistake(
        "q1", "random.dirichlet(np.ones(3), size=2)", "np.eye(3)[[0, 2]]",
        "all labels are one class only: what happens to labels that are divided among classes?",
    ),
    Mistake(
        "q1", "assert np.isclose(loss, -np.sum(t * np.log(q)) / 2)", "assert np.ndim(loss) == 0",
        "nothing says what the loss should be: its gradient may be right, and it another function",
    ),
    Mistake(
        "q1", "measured, atol=1e-6)", "measured, atol=1)",
        "the tolerance of the gradient is larger than the gradient",
    ),
    Mistake(
        "q1", "measured, atol=1e-6)", "measured, rtol=0, atol=0)",
        "a measured gradient is not exact: a right implementation is refused",
    ),
    Mistake(
        "q1", "assert np.isclose(loss, 1000 if top > 0 else np.log(2))", "assert loss >= 0",
        "for a large logit the loss may be any positive number",
    ),
    Mistake(
        "q1", "(1000.0, -1000.0)", "()",
        "no logit is large: overflow goes unnoticed",
    ),
    Mistake(
        "q2", "np.linspace(-4, 2, 6)", "np.linspace(-1, 2, 6)",
        "all variances are of the same order: a very small one is not tried",
    ),
    Mistake(
        "q2", "assert np.allclose(kl, integral.sum(axis=1))", "assert np.all(kl > -1e9)",
        "a gradient check alone does not know what the divergence is",
    ),
    Mistake(
        "q2", "assert np.allclose(dv, by_v, atol=1e-6)", "assert np.shape(dv) == np.shape(by_v)",
        "of one of the two gradients only the shape is checked",
    ),
    Mistake(
        "q2", "assert np.allclose(dmu, by_mu, atol=1e-6)",
        "assert np.allclose(np.sign(dmu), np.sign(by_mu))",
        "of one of the two gradients only the sign is checked",
    ),
    Mistake(
        "q2", "function(other, v)[0]), mu)", "function(other, v)[0]), mu) / len(mu)",
        "the measured gradient is that of a mean over the rows: right implementations are refused",
    ),
    Mistake(
        "q3", "< 1), \"the fourth", "< 50), \"the fourth",
        "mean and variance do not tell a normal distribution from another one",
    ),
    Mistake(
        "q3",
        "mu, v = np.array([[1.0, -2.0], [3.0, 0.5], [0.0, 2.0]]), "
        "np.array([[0.0, 1], [-1, 2], [1, -2]])",
        "mu, v = np.zeros((2, 3, 2))",
        "a standard normal distribution hides what is done with means and variances",
    ),
    Mistake(
        "q3", "assert np.all(np.abs(alike) < 0.1)", "assert np.all(np.abs(alike) < 5)",
        "units and rows may be copies of each other",
    ),
    Mistake(
        "q3", "assert np.abs((noise[1:] * noise[:-1]).mean()) < 0.05", "assert len(noise) > 1",
        "a code and the next one may be the same",
    ),
    Mistake(
        "q3", "assert np.array_equal(codes, sample(mu, v, 2000, 1))", "assert len(codes) == 2000",
        "nothing says that the same seed has to give the same codes",
    ),
    Mistake(
        "q3", "assert not np.allclose(codes, sample(mu, v, 2000, 2))",
        "assert len(codes) == 2000",
        "nothing says that another seed has to give other codes",
    ),
    Mistake(
        "q3", "assert np.all(np.abs(noise.mean(axis=0)) < 0.1)",
        "assert np.all(np.abs(noise.mean(axis=0)) < 1e-4)",
        "the mean of so many draws is not so close to what it is of infinitely many: right "
        "implementations are refused",
    ),
    Mistake(
        "q4", "[1, -5, 0, 1e-6, 30], [0.1, 2, 0, 1e-6, 0], [0, -0.5, 0, 2e-6, 1]",
        "[1, -5, 0, 1e-6, 30]",
        "one step only: later ones differ in what the moments are multiplied by",
    ),
    Mistake(
        "q4", "[1, -5, 0, 1e-6, 30], [0.1, 2, 0, 1e-6, 0], [0, -0.5, 0, 2e-6, 1]",
        "[1, -5, 2, 1, 30], [0.1, 2, 2, 1, 9], [0.1, -0.5, 3, 2, 1]",
        "no gradient is 0 or tiny: what the small number in the denominator is for goes unnoticed",
    ),
    Mistake(
        "q4", "[1, -5, 0, 1e-6, 30], [0.1, 2, 0, 1e-6, 0], [0, -0.5, 0, 2e-6, 1]",
        "[1, -0.5, 0, 1e-6, 0.3], [0.1, 0.2, 0, 1e-6, 0], [0, -0.5, 0, 2e-6, 1]",
        "no gradient is large: nothing says that it is used as it is",
    ),
    Mistake(
        "q4", "rtol=1e-7, atol=1e-20)", "rtol=1e-7, atol=1e-2)",
        "the tolerance is larger than some of the moments",
    ),
    Mistake(
        "q4", "rtol=1e-7, atol=1e-20)", "rtol=0, atol=0)",
        "right implementations differ by rounding, and are refused",
    ),
]  # fmt: skip
