"""Batches: every image once, the same on every backend, as floats of the dtype asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strict import STRICT, StrictArray

from tinygen.data import as_floats, batches, epoch_order, in_order, index_batches
from tinygen.data.batches import background, require_finite
from tinygen.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 3, 4)).astype(np.uint8)


@given(n=st.integers(1, 300), seed=st.integers(0, 2**64), epoch=st.integers(0, 1000))
def test_an_order_is_a_permutation(n, seed, epoch):
    order = epoch_order(n, seed, epoch)
    assert order.dtype == np.int64 and order.shape == (n,)
    assert sorted(order.tolist()) == list(range(n))
    np.testing.assert_array_equal(order, epoch_order(n, seed, epoch))


def test_orders_differ_by_seed_and_epoch_and_from_other_streams():
    orders = [epoch_order(1000, seed, epoch) for seed in (0, 1, 5) for epoch in range(4)]
    orders += [np.random.default_rng(seed).permutation(1000) for seed in (0, 1, 5, [5, 1])]
    assert len({order.tobytes() for order in orders}) == len(orders)


def test_an_order_is_uniform():
    # The image in the first place, over 6000 epochs of 6 images: 1000 each, standard deviation 29.
    first = np.bincount([epoch_order(6, 0, epoch)[0] for epoch in range(6000)], minlength=6)
    assert np.abs(first - 1000).max() < 5 * 29


@given(n=st.integers(1, 60), data=st.data())
def test_batches_hold_every_image_once_in_order(n, data):
    batch_size = data.draw(st.integers(1, n))
    images = np.arange(n, dtype=np.uint8).reshape(n, 1, 1)
    order = epoch_order(n, seed=1, epoch=2)
    result = list(batches(images, order, batch_size))
    assert [len(x) for x in result[:-1]] == [batch_size] * (len(result) - 1)
    assert len(result[-1]) == (n % batch_size or batch_size)  # the last, smaller one is not dropped
    np.testing.assert_array_equal(np.rint(255 * np.concatenate(result)).ravel(), order)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, "float32"])
def test_pixels_become_floats_of_the_dtype_asked_for(dtype):
    for x in batches(IMAGES, np.arange(10), 4, dtype=dtype):
        assert x.dtype == dtype
    every = np.arange(256, dtype=np.uint8).reshape(256, 1, 1)
    x = as_floats(every, dtype)
    assert x.shape == (256, 1) and x.min() == 0 and x.max() == 1
    exact = np.arange(256)[:, None] / 255
    np.testing.assert_allclose(x, exact, rtol=np.finfo(dtype).eps)  # one rounding of the quotient


def test_batches_are_fresh_and_images_stay_as_they_are():
    before = IMAGES.copy()
    first, *_ = batches(IMAGES, np.arange(10), 5)
    first[:] = 7
    np.testing.assert_array_equal(IMAGES, before)


def test_rows_are_images_in_reading_order():
    (x,) = batches(IMAGES, np.arange(10), 10)
    assert x.shape == (10, 12)
    assert x[3, 1 * 4 + 2] == np.float32(IMAGES[3, 1, 2]) / np.float32(255)


def test_channels_are_the_last_to_be_read():
    colours = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    (x,) = batches(colours, np.array([1, 0]), 2)
    np.testing.assert_array_equal(x * 255, np.stack([np.arange(36, 72), np.arange(36)]))
    assert [rows.shape for rows in in_order(colours, size=1)] == [(1, 36)] * 2


def test_no_images_are_no_rows():
    assert as_floats(IMAGES[:0]).shape == (0, 12)


def test_arrays_on_a_device_stay_there():
    order = epoch_order(10, 0, 0)
    expected = list(batches(IMAGES, order, 4))
    result = list(batches(STRICT.asarray(IMAGES), STRICT.asarray(order), 4))
    for x, e in zip(result, expected, strict=True):
        assert isinstance(x, StrictArray) and x.dtype == np.float32
        np.testing.assert_array_equal(x.get(), e)


def test_index_batches_also_cut_labels():
    labels = np.arange(10) % 3
    result = [labels[index] for index in index_batches(np.arange(10)[::-1], 4)]
    np.testing.assert_array_equal(np.concatenate(result), labels[::-1])


@pytest.mark.parametrize("batch_size", [0, -1, 11])
def test_a_batch_size_that_cannot_be_is_refused_at_once(batch_size):
    with pytest.raises(InputError, match=f"expected .* got {batch_size}"):
        batches(IMAGES, np.arange(10), batch_size)  # not at the first batch


def test_images_of_floats_are_refused_at_once():
    with pytest.raises(InputError, match="expected pixels of uint8, got float64"):
        batches(IMAGES / 255, np.arange(10), 5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("given", [np.float32, np.float64])
def test_rows_of_floats_stay_what_they_are(backend, given, dtype):
    rows = np.random.default_rng(0).standard_normal((5, 2)).astype(given)
    there = backend.asarray(rows)
    result = as_floats(there, dtype)
    assert result.dtype == dtype
    np.testing.assert_array_equal(backend.to_numpy(result), rows.astype(dtype))
    result[0, 0] = 99  # a batch is the step's own
    np.testing.assert_array_equal(backend.to_numpy(there), rows)


@pytest.mark.parametrize(
    ("shape", "dtype"), [((3, 2, 2), np.float32), ((3,), np.float32), ((3, 2), np.int64)]
)
def test_other_arrays_are_neither_images_nor_rows(shape, dtype):
    with pytest.raises(InputError, match=f"expected pixels of uint8, got {np.dtype(dtype)}"):
        as_floats(np.zeros(shape, dtype))


def test_batches_of_rows_hold_every_row_once():
    rows = np.random.default_rng(0).standard_normal((7, 2))
    order = epoch_order(7, 0, 0)
    result = np.concatenate(list(batches(rows, order, 3, dtype=np.float64)))
    np.testing.assert_array_equal(result, rows[order])


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (np.nan, r"digits: 1 of 6 values are NaN or infinite, the first in row 1, column 2"),
        (np.inf, r"1 of 6 values are NaN"),
        (200, r"digits: expected values in \[0, 1\], got 0 to 200; divide by 255\?"),
        (1.5e5, r"expected values in \[0, 1\], got 0 to 150000$"),
        (-0.5, r"expected values in \[0, 1\], got -0.5 to 0$"),
    ],
)
def test_values_that_no_model_can_answer_with(backend, value, sentence):
    x = backend.asarray(np.array([[0, 0, 0], [0, 0, value]], np.float32))
    with pytest.raises(InputError, match=sentence):
        require_finite("digits", x, unit_interval=True)
    if np.isfinite(value):  # points in the plane may lie anywhere
        require_finite("digits", x)


def test_the_background_is_the_outermost_pixels():
    images = np.full((2, 3, 4), 255, np.uint8)
    images[:, 1, 1:3] = 7
    assert background(images) == background(images[..., None]) == 1
    images[0, 0, 0] = 0
    assert background(images) == pytest.approx(1 - 1 / 20)
    assert background(np.full((1, 1, 1), 51, np.uint8)) == pytest.approx(0.2)
