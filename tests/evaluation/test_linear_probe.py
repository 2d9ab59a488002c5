"""Linear probes of codes whose content was put there."""

from __future__ import annotations

import numpy as np
import pytest

from tinygen.evaluation import linear_probe_error, linear_probe_factors, linear_probe_r2

RNG = np.random.default_rng(11)
CODES, TEST_CODES = RNG.standard_normal((400, 6)), RNG.standard_normal((300, 6))
MIX = RNG.standard_normal((6, 3))


def test_what_is_linear_in_the_codes_is_predicted_exactly():
    r2 = linear_probe_r2(CODES, CODES @ MIX + 7, TEST_CODES, TEST_CODES @ MIX + 7)
    assert r2.shape == (3,) and r2.dtype == np.float64
    np.testing.assert_allclose(r2, 1, rtol=1e-12)


def test_what_is_independent_of_the_codes_is_not_predicted():
    y, test_y = RNG.standard_normal((400, 50)), RNG.standard_normal((300, 50))
    r2 = linear_probe_r2(CODES, y, TEST_CODES, test_y)
    # 6 coefficients learned from 400 codes of pure chance cost 6/400 on others; the mean of 50
    # such figures has an error of about 0.003.
    assert r2.mean() == pytest.approx(-6 / 400, abs=0.012)
    assert abs(r2).max() < 0.1


@pytest.mark.parametrize("fraction", [0.2, 0.5, 0.9])
def test_a_noisy_target_is_predicted_to_the_fraction_of_its_variance(fraction):
    codes, test_codes = RNG.standard_normal((2, 20_000, 2))

    def target(codes):
        noise = RNG.standard_normal((len(codes), 1))
        return fraction**0.5 * codes[:, :1] + (1 - fraction) ** 0.5 * noise - 3

    r2 = linear_probe_r2(codes, target(codes), test_codes, target(test_codes))
    # Four standard errors of a squared correlation from 20,000 codes, at most.
    assert r2 == pytest.approx(fraction, abs=0.02)


def test_a_square_is_not_linear():
    y, test_y = CODES[:, :1] ** 2, TEST_CODES[:, :1] ** 2
    assert abs(linear_probe_r2(CODES, y, TEST_CODES, test_y)[0]) < 0.15


def test_the_test_part_alone_counts():
    """A probe that is right up to an offset on the test part: R^2 by its definition."""
    y, test_y = CODES @ MIX, TEST_CODES @ MIX
    offset = np.array([0.0, 1.0, 10.0])
    r2 = linear_probe_r2(CODES, y, TEST_CODES, test_y + offset)
    np.testing.assert_allclose(r2, 1 - offset**2 / test_y.var(axis=0), rtol=1e-10)


def test_units_that_are_constant_or_repeated_do_no_harm():
    def with_spoilt(codes):
        return np.hstack([codes, np.full((len(codes), 1), 0.3), 2 * codes[:, :1]])

    args = CODES @ MIX, with_spoilt(TEST_CODES), TEST_CODES @ MIX
    np.testing.assert_allclose(linear_probe_r2(with_spoilt(CODES), *args), 1, rtol=1e-10)


def test_float32_is_computed_in_float64():
    codes, test_codes = (1000 + a.astype(np.float32) for a in (CODES, TEST_CODES))
    y, test_y = ((c.astype(np.float64) @ MIX).astype(np.float32) for c in (codes, test_codes))
    # float32 targets near 1,000 are rounded to 1e-4.
    np.testing.assert_allclose(linear_probe_r2(codes, y, test_codes, test_y), 1, atol=1e-7)


def test_a_constant_target_is_refused():
    y, test_y = CODES @ MIX, TEST_CODES @ MIX
    test_y[:, 1] = 0.1
    with pytest.raises(ValueError, match="got target 1 that is the same for every test code"):
        linear_probe_r2(CODES, y, TEST_CODES, test_y)


def test_separable_classes_are_told_apart():
    """Classes at the corners of a simplex, where least squares separates all of them."""
    labels, test_labels = RNG.integers(0, 6, 400), RNG.integers(0, 6, 300)

    def codes(labels):
        return 3 * np.eye(6)[labels] + RNG.uniform(-0.5, 0.5, (len(labels), 6))

    names = np.array([9, 4, 200, -1, 0, 3])  # any integers
    args = codes(labels), names[labels], codes(test_labels), names[test_labels]
    assert linear_probe_error(*args) == 0
    wrong = args[3].copy()
    wrong[:30] = 77  # a class that training has not
    assert linear_probe_error(*args[:3], wrong) == 0.1


def test_labels_that_are_independent_of_the_codes_are_guessed():
    labels, test_labels = RNG.integers(0, 10, 20_000), RNG.integers(0, 10, 20_000)
    codes, test_codes = RNG.standard_normal((2, 20_000, 3))
    error = linear_probe_error(codes, labels, test_codes, test_labels)
    assert type(error) is float
    assert error == pytest.approx(0.9, abs=0.01)  # more than four standard errors


def test_two_classes_meet_in_the_middle_between_their_means():
    """With two equally large classes the closed form is Fisher's discriminant."""
    z = np.array([[-2.0], [-1.0], [1.0], [2.0]]) + 5
    test_z = np.array([[4.9], [5.1], [-50.0], [60.0]])
    assert linear_probe_error(z, [1, 1, 2, 2], test_z, [1, 2, 1, 2]) == 0
    assert linear_probe_error(z, [1, 1, 2, 2], test_z, [2, 2, 1, 2]) == 0.25


@pytest.mark.parametrize(
    "shapes",
    [
        ((4, 2), (3, 1), (4, 2), (4, 1)),
        ((4, 2), (4, 1), (4, 2), (3, 1)),
        ((4, 2), (4, 1), (4, 3), (4, 1)),
        ((4, 2), (4, 1), (4, 2), (4, 3)),  # would broadcast
        ((4, 2), (4,), (4, 2), (4,)),
        ((4,), (4, 1), (4,), (4, 1)),
        ((0, 2), (0, 1), (4, 2), (4, 1)),
        ((4, 2), (4, 1), (0, 2), (0, 1)),
    ],
)
def test_shapes_that_do_not_fit(shapes):
    arrays = [np.arange(np.prod(shape, dtype=int), dtype=float).reshape(shape) for shape in shapes]
    with pytest.raises(ValueError, match=r"linear_probe_r2: expected \(n, c\) \(n, t\) .* got "):
        linear_probe_r2(*arrays)


@pytest.mark.parametrize(
    "shapes",
    [((4, 2), (3,), (4, 2), (4,)), ((4, 2), (4, 1), (4, 2), (4, 1)), ((4, 2), (4,), (0, 2), (0,))],
)
def test_labels_that_do_not_fit(shapes):
    with pytest.raises(ValueError, match=r"linear_probe_error: expected \(n, c\) \(n,\) .* got "):
        linear_probe_error(*(np.zeros(shape) for shape in shapes))


def test_factors_by_their_names_and_those_that_are_classes_are_left_out():
    def factors(codes):
        return {"a": codes[:, 0] * 2, "digit": np.arange(len(codes)), "b": codes[:, 1] ** 2}

    r2 = linear_probe_factors(CODES[:9], factors(CODES), TEST_CODES, factors(TEST_CODES))
    assert [*r2] == ["a", "b"] and r2["a"] == pytest.approx(1, abs=1e-12)
    own = linear_probe_r2(CODES[:9], CODES[:9, 1:2] ** 2, TEST_CODES, TEST_CODES[:, 1:2] ** 2)
    assert r2["b"] == pytest.approx(own[0], rel=1e-9) and type(r2["b"]) is float
