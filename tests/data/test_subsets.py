"""Balanced subsets: all classes are alike, and the draw depends on the seed alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygen.data import balanced_subset, number_of_classes
from tinygen.errors import InputError

LABELS = np.random.default_rng(0).permutation(np.arange(600) % 10).astype(np.uint8)


@st.composite
def questions(draw: Any) -> Any:
    """Labels of any number of classes, as many or as few of each as it likes, and how many."""
    counts = draw(st.lists(st.integers(1, 12), min_size=1, max_size=6))
    labels = np.repeat(np.arange(len(counts)), counts)
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    n = draw(st.integers(len(counts), len(labels)))
    return rng.permutation(labels).astype(np.uint8), n, np.array(counts)


def water(counts: Any, n: int) -> int:
    """The level up to which glasses of these sizes are full when n is poured, and the rest."""
    level = 0
    while np.minimum(counts, level + 1).sum() <= n and level < counts.max():
        level += 1
    return level


@given(questions(), st.integers(0, 2**63 - 1), st.integers(0, 99))
def test_each_class_gives_as_many_as_any_other_or_all_that_it_has(
    question: Any, seed: int, draw: int
) -> None:
    labels, n, counts = question
    chosen = balanced_subset(labels, n, seed, draw)
    assert chosen.shape == (n,) and chosen.dtype == np.int64
    assert len({*chosen.tolist()}) == n and (np.diff(chosen) > 0).all()  # no place comes twice
    got = np.bincount(labels[chosen], minlength=len(counts))
    level = water(counts, n)
    assert level >= 1 and (got >= 1).all()  # no class is left out
    assert ((got == np.minimum(counts, level)) | (got == level + 1)).all()
    assert (got <= counts).all() and got.sum() == n


@pytest.mark.parametrize("n", [10, 100, 590, 600])
def test_a_multiple_of_the_classes_is_balanced(n: int) -> None:
    chosen = balanced_subset(LABELS, n, seed=0)
    assert np.bincount(LABELS[chosen]).tolist() == [n // 10] * 10


@pytest.mark.parametrize(
    "labels", [LABELS, np.sort(LABELS)], ids=["mixed", "one class after the other"]
)
def test_who_gets_one_more_is_drawn_by_lot(labels: Any) -> None:
    more = np.zeros(10)
    for draw in range(300):
        got = np.bincount(labels[balanced_subset(labels, 13, 0, draw)], minlength=10)
        assert {*got.tolist()} == {1, 2}
        more += got - 1
    # Five standard deviations of 300 draws with a chance of 3/10.
    assert abs(more - 90).max() < 5 * (300 * 0.3 * 0.7) ** 0.5


def test_each_image_of_a_class_is_drawn_as_often_as_any_other() -> None:
    times = np.zeros(600)
    for draw in range(400):
        times[balanced_subset(LABELS, 100, 0, draw)] += 1
    # Each has 10 of 60 chances; five standard deviations, for 600 of them.
    assert abs(times - 400 / 6).max() < 5 * (400 * (1 / 6) * (5 / 6)) ** 0.5


def test_a_draw_is_made_of_its_seed_and_its_number() -> None:
    draws = [
        balanced_subset(LABELS, 100, seed, draw) for seed, draw in ((0, 0), (0, 0), (0, 1), (1, 0))
    ]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert len({x.tobytes() for x in draws}) == 3
    # Neighbours have no more in common than chance: 17 of 100 places, give or take.
    overlaps = [
        len({*balanced_subset(LABELS, 100, 0, k)} & {*balanced_subset(LABELS, 100, 0, k + 1)})
        for k in range(50)
    ]
    assert 15 < np.mean(overlaps) < 18.5
    assert (balanced_subset(LABELS, 100, 0) == draws[0]).all()  # the first is what one gets


def test_the_kind_of_the_labels_plays_no_role() -> None:
    expected = balanced_subset(LABELS, 50, 3)
    for labels in (LABELS.astype(np.int64), LABELS.tolist(), LABELS.astype(np.int8)):
        np.testing.assert_array_equal(balanced_subset(labels, 50, 3), expected)


def test_all_of_them_come_in_the_order_of_the_data_set() -> None:
    np.testing.assert_array_equal(balanced_subset(LABELS, 600, 5, 7), np.arange(600))


def test_a_short_class_gives_all_it_has_and_the_others_make_up_for_it() -> None:
    labels = np.array([0] * 50 + [1] * 2 + [2] * 50)
    for draw in range(5):
        chosen = balanced_subset(labels, 30, 0, draw)
        assert np.bincount(labels[chosen]).tolist() == [14, 2, 14]
        assert {50, 51} <= {*chosen.tolist()}


@pytest.mark.parametrize(
    ("n", "sentence"),
    [
        (601, "601 labels were asked for, and there are 600"),
        (10**9, "1000000000 labels were asked for, and there are 600"),
        (9, "9 labels would leave some of the 10 classes without any"),
        (0, "0 labels would leave some of the 10 classes without any"),
        (-1, "-1 labels would leave some of the 10 classes without any"),
    ],
)
def test_more_than_there_are_or_fewer_than_classes_is_refused(n: int, sentence: str) -> None:
    with pytest.raises(InputError, match=f"^{sentence}$"):
        balanced_subset(LABELS, n, 0)


@pytest.mark.parametrize(
    ("labels", "classes"), [([0], 1), ([1, 0], 2), ([2, 0, 1, 1, 1], 3), (LABELS, 10)]
)
def test_classes_are_counted(labels: Any, classes: int) -> None:
    assert number_of_classes(np.array(labels, np.uint8)) == classes


@pytest.mark.parametrize(("labels", "missing"), [([0, 2], 1), ([3, 1, 2], 0), ([0, 1, 255], 2)])
def test_a_gap_is_refused_and_named(labels: Any, missing: int) -> None:
    sentence = f"^labels go up to {max(labels)}, but no training image is labelled {missing}; "
    for ask in (number_of_classes, lambda x: balanced_subset(x, 3, 0)):
        with pytest.raises(InputError, match=sentence) as error:
            ask(np.array(labels, np.uint8))
        assert "without a gap" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(("labels", "got"), [([], "none"), ([0, -3, 1], "-3")])
def test_labels_that_number_no_classes_are_refused(labels: Any, got: str) -> None:
    with pytest.raises(InputError, match=f"expected whole numbers from 0 on, got {got}$"):
        number_of_classes(np.array(labels, np.int64))


@pytest.mark.parametrize(
    ("labels", "got"),
    [
        ([0, 1, 1.5], r"float64 \(3,\)"),
        (["0", "1"], r"<U1 \(2,\)"),
        ([[1, 0], [0, 1]], r"int64 \(2, 2\)"),
    ],
)
def test_labels_of_another_kind_are_not_rounded(labels: Any, got: str) -> None:
    """1.5 once counted as class 1."""
    with pytest.raises(InputError, match=rf"expected whole numbers \(n,\) from 0 on, got {got}$"):
        number_of_classes(np.array(labels))
