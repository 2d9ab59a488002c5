"""The terms of the ELBO, averaged over batches, against a mean by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tinygen.evaluation import ELBO, evaluate_elbo

RNG = np.random.default_rng(5)
NLL, KL = 80 + RNG.standard_normal(7), RNG.exponential(size=(7, 3))
MEANS = np.where(np.arange(7)[:, None] % 2, 1.0, -1.0) * [0.5, 0.001, 2]


def batches(backend, sizes):
    """What `terms` gets: a batch of images and a second array, as a VAE's noise would be."""
    index = np.split(np.arange(7), np.cumsum(sizes)[:-1])
    return [(backend.asarray(rows), backend.asarray(-rows)) for rows in index]


@pytest.mark.parametrize("sizes", [(7,), (3, 3, 1), (1,) * 7])
def test_images_count_equally_however_they_are_batched(backend, sizes):
    def terms(rows, noise):
        rows = backend.to_numpy(rows)
        assert (backend.to_numpy(noise) == -rows).all()
        return tuple(backend.asarray(each[rows]) for each in (NLL, KL, MEANS))

    elbo = evaluate_elbo(terms, batches(backend, sizes))
    assert elbo.reconstruction == pytest.approx(sum(NLL) / 7, rel=1e-14)
    np.testing.assert_allclose(elbo.kl_per_dimension, sum(KL) / 7, rtol=1e-14)
    assert elbo.kl == pytest.approx(KL.sum() / 7, rel=1e-14)
    assert elbo.active_units == 2  # the second has a variance of 1e-6
    assert elbo.metrics == {
        "negative_elbo": elbo.reconstruction + elbo.kl,
        "reconstruction": elbo.reconstruction,
        "kl": elbo.kl,
        "active_units": 2,
    }
    assert [type(value) for value in elbo.metrics.values()] == [float, float, float, int]


def test_float32_terms_are_averaged_in_float64():
    nll, kl = (80 + each.astype(np.float32) for each in (NLL, KL))
    elbo = evaluate_elbo(lambda rows: (nll[rows], kl[rows], MEANS[rows]), [(np.arange(7),)])
    # A mean in float32 would be rounded to 6e-8 of itself.
    assert elbo.reconstruction == pytest.approx(sum(map(float, nll)) / 7, rel=1e-14)
    np.testing.assert_allclose(elbo.kl_per_dimension, kl.astype(float).sum(axis=0) / 7, rtol=1e-14)


def test_no_images_have_no_elbo():
    with pytest.raises(ValueError, match="evaluate_elbo: expected images, got none"):
        evaluate_elbo(lambda: (), [])


def test_an_elbo_in_words():
    elbo = ELBO(80.0, np.array([10.0, 5.25, 0.0]), active_units=2)
    assert str(elbo) == "95.25 nats = 80.00 + kl 15.25, 2 of 3 units active"
