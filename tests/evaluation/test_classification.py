"""What a classifier is judged by, against counting and sorting by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygen.evaluation import confusion, most_wrong

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=30)


@given(PAIRS)
def test_each_pair_is_counted_in_its_row_and_column(pairs: list[tuple[int, int]]) -> None:
    labels, predictions = ([pair[i] for pair in pairs] for i in (0, 1))
    counts = confusion(labels, predictions, 5)
    assert counts.shape == (5, 5) and counts.dtype == np.int64
    for k, j in np.ndindex(5, 5):
        assert counts[k, j] == pairs.count((k, j))
    # The error rate is the fraction that is not on the diagonal.
    wrong = sum(k != j for k, j in pairs)
    assert counts.sum() - np.trace(counts) == wrong
    np.testing.assert_array_equal(confusion(predictions, labels, 5), counts.T)


def test_classes_that_never_occur_have_rows_of_zeros() -> None:
    assert confusion([0], [2], 4).tolist() == [[0, 0, 1, 0], [0] * 4, [0] * 4, [0] * 4]
    assert confusion([], [], 2).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64])
def test_small_integers_do_not_overflow(dtype: Any) -> None:
    """17 times 20 is more than a uint8 holds."""
    labels = np.array([17, 19], dtype)
    counts = confusion(labels, labels, 20)
    assert counts[17, 17] == counts[19, 19] == 1 and counts.sum() == 2


@pytest.mark.parametrize(
    ("labels", "predictions", "words"),
    [
        ([0, 1], [0], r"expected \(n,\) \(n,\), got \(2,\) \(1,\)"),
        ([[0, 1]], [[0, 1]], r"got \(1, 2\) \(1, 2\)"),
        (0, 0, r"got \(\) \(\)"),
        ([0, 2], [0, 1], r"expected classes in 0 \.\. 1, got 0 to 2"),
        ([0, 1], [0, -1], r"expected classes in 0 \.\. 1, got -1 to 0"),
    ],
)
def test_what_cannot_be_counted_is_refused(labels: Any, predictions: Any, words: str) -> None:
    with pytest.raises(ValueError, match=f"^confusion: .*{words}"):
        confusion(labels, predictions, 2)


@given(st.integers(0, 40), st.integers(1, 4), st.integers(0, 50), st.integers(0, 10**6))
def test_the_worst_come_first_and_what_was_right_is_not_among_them(
    n: int, classes: int, most: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    q, labels = rng.dirichlet(np.ones(classes), n), rng.integers(0, classes, n)
    worst = most_wrong(q, labels, most)
    wrong = [i for i in range(n) if q[i].argmax() != labels[i]]
    expected = sorted(wrong, key=lambda i: q[i, labels[i]])[:most]
    assert worst.tolist() == expected


def test_of_images_that_are_equally_wrong_the_first_comes_first() -> None:
    q = np.tile([0.2, 0.8], (5, 1))
    assert most_wrong(q, [0, 0, 1, 0, 0], 3).tolist() == [0, 1, 3]
    many = np.tile([[0.2, 0.8], [0.4, 0.6]], (500, 1))
    assert most_wrong(many, np.zeros(1000, int), 1000).tolist() == [
        *range(0, 1000, 2),
        *range(1, 1000, 2),
    ]


def test_no_mistakes_give_no_images() -> None:
    worst = most_wrong(np.eye(3), [0, 1, 2], 8)
    assert worst.shape == (0,) and worst.dtype.kind == "i"


@pytest.mark.parametrize(
    ("q", "labels", "words"),
    [
        ([0.5, 0.5], [0], r"got \(2,\) \(1,\)"),
        ([[0.5, 0.5]], [0, 1], r"got \(1, 2\) \(2,\)"),
        ([[0.5, 0.5]], [[0]], r"got \(1, 2\) \(1, 1\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(q: Any, labels: Any, words: str) -> None:
    with pytest.raises(ValueError, match=rf"^most_wrong: expected \(n, classes\) \(n,\), {words}"):
        most_wrong(q, labels, 3)


@pytest.mark.parametrize("wrong", [[0.7, 1.2], ["0", "1"], [True, False]])
def test_classes_that_are_no_integers_are_refused(wrong: Any) -> None:
    """0.7 was counted as class 0."""
    for call in (lambda: confusion(wrong, [0, 1], 2), lambda: confusion([0, 1], wrong, 2),
                 lambda: most_wrong([[0.5, 0.5]] * 2, wrong, 2)):  # fmt: skip
        with pytest.raises(ValueError, match=r"expected integers"):
            call()
