"""The importance-weighted likelihood against a model whose likelihood has a closed form."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from strict import STRICT, count_syncs

from tinygen.backend import get_backend
from tinygen.evaluation import negative_log_likelihood

# A linear Gaussian model: z ~ N(0, I) (2,), x | z ~ N(W z + b, s^2 I) (5,).
RNG = np.random.default_rng(3)
W, B, S = RNG.standard_normal((5, 2)), RNG.standard_normal(5), 0.5
# Its true posterior is N(A (x - b), P^-1); the proposals here are wider, so weights differ.
P = np.eye(2) + W.T @ W / S**2
A = np.linalg.solve(P, W.T) / S**2
L = 1.3 * np.linalg.cholesky(np.linalg.inv(P))
X = (RNG.standard_normal((40, 2)) @ W.T + B + S * RNG.standard_normal((40, 5))).astype(np.float32)


def exact_nll(x):
    """-log N(x; b, W W^T + s^2 I), averaged over the rows."""
    C = W @ W.T + S**2 * np.eye(5)
    r = x.astype(np.float64) - B
    squares = np.einsum("ni,ij,nj->n", r, np.linalg.inv(C), r)
    return np.mean(squares + np.linalg.slogdet(2 * np.pi * C)[1]) / 2


def gaussian_weights(backend, dtype="float32"):
    """log w of the linear Gaussian model, computed on the backend."""
    w, b, a, factor = (backend.asarray(m.astype(dtype)) for m in (W, B, A, L))
    log_det = float(np.linalg.slogdet(L)[1])

    def log_weights(x, k, generator):
        xp = backend.xp
        noise = generator.standard_normal((k, len(x), 2), dtype=dtype)
        z = xp.matmul(x - b, a.T) + xp.matmul(noise, factor.T)
        r = (x - b) - xp.matmul(z, w.T)
        log_p = -(r * r).sum(-1) / (2 * S**2) - (z * z).sum(-1) / 2
        log_q = -(noise * noise).sum(-1) / 2 - log_det
        # 5 + 2 normalising terms of log p, 2 of log q.
        return log_p - log_q - float(5 / 2 * np.log(2 * np.pi * S**2))

    return log_weights


def given_weights(table):
    """Weights that are prescribed: image i, whose only pixel is i, gets those of row i in order."""
    done = [0] * len(table)

    def log_weights(x, k, generator):
        i = int(x[0, 0])
        done[i] += k
        return table[i, done[i] - k : done[i], None]

    return log_weights


def numbered(n):
    return [np.arange(n, dtype=np.float32)[:, None]]


def test_many_samples_give_the_exact_likelihood(backend):
    estimate = negative_log_likelihood(
        gaussian_weights(backend), [backend.asarray(X)], 4000, backend.generator(1)
    )
    # From 4,000 samples of which so many count, the error of one image is about (1/800)^(1/2), and
    # of the mean of 40 a sixth of it; four of these.
    assert 800 < estimate["effective_samples"] < 4000
    assert estimate["nll"] == pytest.approx(exact_nll(X), abs=0.02)
    assert all(type(value) is float for value in estimate.values())


def test_a_perfect_proposal_needs_one_sample():
    """With the true posterior every weight is p(x) itself."""
    perfect = np.linalg.cholesky(np.linalg.inv(P))

    def log_weights(x, k, generator):
        x = x.astype(np.float64)
        noise = generator.standard_normal((k, len(x), 2))
        z = (x - B) @ A.T + noise @ perfect.T
        r = x - B - z @ W.T
        log_p = -(r * r).sum(-1) / (2 * S**2) - (z * z).sum(-1) / 2
        log_q = -(noise * noise).sum(-1) / 2 - np.linalg.slogdet(perfect)[1]
        return log_p - log_q - 5 / 2 * np.log(2 * np.pi * S**2)

    for samples in (1, 7):
        estimate = negative_log_likelihood(log_weights, [X], samples, np.random.default_rng(0))
        assert estimate["nll"] == pytest.approx(exact_nll(X), rel=1e-12)
        assert estimate["effective_samples"] == pytest.approx(samples, rel=1e-9)


def test_more_samples_bring_the_estimate_down_to_the_truth(backend):
    log_weights = gaussian_weights(backend)
    estimates = [
        negative_log_likelihood(log_weights, [backend.asarray(X)] * 20, k, backend.generator(k))
        for k in (1, 3, 10, 100)
    ]
    values = [f["nll"] for f in estimates]
    # 800 images: each step is several standard errors of the paired difference.
    assert values[0] > values[1] + 0.05 > values[2] + 0.06 > values[3] + 0.06 > exact_nll(X) + 0.05


def test_log_of_the_mean_weight_by_a_plain_sum():
    table = RNG.standard_normal((3, 50))
    estimate = negative_log_likelihood(given_weights(table), numbered(3), 50, None, rows=7)
    each = -np.log(np.exp(table).mean(axis=1))
    w = np.exp(table)
    assert estimate["nll"] == pytest.approx(each.mean(), rel=1e-12)
    assert estimate["standard_error"] == pytest.approx(each.std() / 3**0.5, rel=1e-10)
    effective = (w.sum(axis=1) ** 2 / (w**2).sum(axis=1)).mean()
    assert estimate["effective_samples"] == pytest.approx(effective, rel=1e-10)


@pytest.mark.parametrize("rows", [1, 3, 64, 1000])
@pytest.mark.parametrize("sizes", [(40,), (1, 39), (13, 13, 14)])
def test_cutting_otherwise_gives_the_same_estimate(rows, sizes):
    cuts = np.split(X, np.cumsum(sizes)[:-1])
    log_weights = gaussian_weights(get_backend("numpy"), "float64")
    estimate = negative_log_likelihood(log_weights, cuts, 70, np.random.default_rng(5), rows=rows)
    expected = negative_log_likelihood(log_weights, [X], 70, np.random.default_rng(5))
    for key in expected:
        assert estimate[key] == pytest.approx(expected[key], rel=1e-10)


@pytest.mark.parametrize("shift", [-1e4, 0.0, 1e4])
@pytest.mark.parametrize("rows", [2, 1000])
def test_huge_and_tiny_weights(backend, shift, rows):
    small = np.tile(np.linspace(-3, 3, 12), (2, 1))
    table = backend.asarray((shift + small).astype(np.float64))
    images = [backend.asarray(x) for x in numbered(2)]
    estimate = negative_log_likelihood(given_weights(table), images, 12, None, rows=rows)
    expected = -shift - np.log(np.exp(small[0]).mean())
    assert estimate["nll"] == pytest.approx(expected, rel=1e-12)
    assert estimate["standard_error"] == 0
    effective = np.exp(small[0]).sum() ** 2 / np.exp(2 * small[0]).sum()
    assert estimate["effective_samples"] == pytest.approx(effective, rel=1e-9)


def test_weights_of_every_size_beside_one_another():
    for order in (1, -1):
        table = np.array([[-np.inf, -1e4, -1e4, 0.0, 1e4][::order]])
        estimate = negative_log_likelihood(given_weights(table), numbered(1), 5, None, rows=1)
        assert estimate["nll"] == pytest.approx(np.log(5) - 1e4, rel=1e-12)
        assert estimate["effective_samples"] == pytest.approx(1)


def test_float32_weights_are_added_in_float64():
    # A million equal weights: in float32 the sum would stop growing, or drift by several per cent.
    estimate = negative_log_likelihood(
        lambda x, k, g: np.full((k, 1), -87.3, np.float32), numbered(1), 300_000, None
    )
    assert estimate["nll"] == pytest.approx(float(-np.float32(-87.3)), rel=1e-9)
    assert estimate["effective_samples"] == pytest.approx(300_000, rel=1e-6)


def test_memory_does_not_grow_with_the_samples():
    def peak(samples):
        tracemalloc.start()
        negative_log_likelihood(
            lambda x, k, g: g.standard_normal((k, 1)), numbered(2), samples, np.random.default_rng()
        )
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak(1000)
    few, many = peak(5000), peak(200_000)
    assert many < few + 20_000  # bytes; all weights of one image would be 1.6 million
    assert many < 200_000


def test_progress_and_waits():
    done = []
    images = [STRICT.asarray(X[:2]), STRICT.asarray(X[2:3])]
    with count_syncs() as waits:
        negative_log_likelihood(
            gaussian_weights(STRICT), images, 25, STRICT.generator(0), rows=10, advance=done.append
        )
    assert done == [10, 10, 5] * 3
    assert waits == ["get"] * 9


def test_what_makes_no_sense():
    def call(log_weights=lambda x, k, g: np.zeros((k, 1)), images=(X,), samples=3, rows=2):
        return negative_log_likelihood(log_weights, images, samples, None, rows=rows)

    with pytest.raises(ValueError, match="at least 1 sample and 1 row at a time, got 0 and 2"):
        call(samples=0)
    with pytest.raises(ValueError, match="got 3 and 0"):
        call(rows=0)
    with pytest.raises(ValueError, match="expected images, got none"):
        call(images=[X[:0]])
    with pytest.raises(
        ValueError, match=r"expected log_weights \(2, 1\), a row for each draw, got \(2,\)"
    ):
        call(lambda x, k, g: np.zeros(k))
    with pytest.raises(ValueError, match=r"expected log_weights \(2, 1\), .* got \(1, 2\)"):
        call(lambda x, k, g: np.zeros((1, k)))
