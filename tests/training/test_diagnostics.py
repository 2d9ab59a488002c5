"""The diagnoses of a GAN's training: on invented histories, and each of them reported once."""

from __future__ import annotations

import re
from typing import Any

import pytest
from running import example

from tinygen.training.diagnostics import ENOUGH, FAINT, FELL, SURE, diagnoses, new_diagnoses

KEY, TOTAL = "digits_covered", 10


def row(covered: float = 10, real: float = 0.8, fake: float = 0.8, norm: float = 1.0) -> Any:
    return {KEY: covered, "real_accuracy": real, "fake_accuracy": fake,
            "train_generator_norm": norm, "epoch": 1}  # fmt: skip


def names(*history: Any, critic: bool = False) -> set[str]:
    return set(diagnoses(history, KEY, TOTAL, critic))


def test_a_healthy_run_has_none() -> None:
    assert names(row()) == set()
    assert names(row(2), row(7), row(10), row(9), row(8)) == set()


def test_coverage_that_never_was_there_is_no_fall() -> None:
    assert names(row(0)) == names(row(1), row(1)) == names(row(0), row(3)) == set()


def test_less_than_half_for_three_epochs_is_stuck() -> None:
    assert names(*[row(4)] * 2) == names(row(4), row(4), row(5)) == set()
    assert names(*[row(4)] * 3) == {"stuck"}
    assert names(row(9), *[row(4)] * 3) == {"collapse"}, "which says more"
    assert "at most 4 of 10" in diagnoses([row(3), row(4), row(3)], KEY, TOTAL)["stuck"]


@pytest.mark.parametrize(("most", "now", "falls"), [
    (10, 7, False), (10, 6, True), (10, 0, True), (8, 6, False), (8, 5, True), (25, 17, True),
    (25, 18, False), (1, 0, True),
])  # fmt: skip
def test_coverage_that_falls_is_a_collapse(most: float, now: float, falls: bool) -> None:
    assert (names(row(1), row(most), row(now)) == {"collapse"}) == falls == (now < FELL * most)
    diagnosis = diagnoses([row(1), row(most), row(now)], KEY, TOTAL).get("collapse", "")
    assert (f"from {most} to {now}" in diagnosis) == falls


def test_what_a_few_good_samples_hit_by_luck_does_not_fall() -> None:
    """As on the ring, where 6 good samples of 2500 lay in 5 modes and the next 2 in one."""

    def rows(*pairs: tuple[float, float]) -> list[Any]:
        return [row(covered) | {"good_samples": fraction} for covered, fraction in pairs]

    assert names(*rows((5, 0.0024), (1, 0.0008))) == set()
    assert names(*rows((5, 0.0024), (1, 0.0008), (1, 0.0008))) == set()
    assert names(*rows((4, 0.0024), (1, 0.0008), (1, 0.0008))) == {"stuck"}
    # What has been there can fall, whatever is left of it.
    for fraction in (0.0, 0.0008, 0.9):
        assert names(*rows((5, ENOUGH), (1, fraction))) == {"collapse"}
    assert names(*rows((9, 0.04), (5, 0.9), (4, 0.9))) == set(), "not from what was luck"


def test_coverage_that_recovers_is_no_collapse_any_more() -> None:
    assert names(row(10), row(3)) == {"collapse"} and names(row(10), row(3), row(9)) == set()


@pytest.mark.parametrize("real", [0.9, SURE, 1.0])
@pytest.mark.parametrize("fake", [0.9, SURE, 1.0])
@pytest.mark.parametrize("norm", [5.0, 10 * FAINT, 9.9 * FAINT, 0.0])
@pytest.mark.parametrize("critic", [False, True])
def test_a_discriminator_that_is_sure_of_all(
    real: float, fake: float, norm: float, critic: bool
) -> None:
    """It must be so of both kinds, and may be so if it is a critic; no gradient may vanish."""
    expected = set()
    if norm < 10 * FAINT:
        expected = {"vanished"}
    elif real >= SURE and fake >= SURE and not critic:
        expected = {"perfect"}
    history = row(norm=10.0), row(real=real, fake=fake, norm=norm)
    assert names(*history, critic=critic) == expected


def test_a_gradient_that_never_was_there_has_vanished_too() -> None:
    assert names(row(norm=1e-9)) == {"vanished"} and names(row(norm=1e-5)) == set()


def test_diagnoses_may_come_together() -> None:
    assert names(row(10, norm=1.0), row(1, 1.0, 1.0, 1e-6)) == {"collapse", "vanished"}


def test_each_is_reported_when_it_begins_and_not_again_while_it_lasts() -> None:
    history: list[Any] = []
    reported = []
    for each in (row(10), row(4), row(3), row(9), row(2), row(2, 1.0, 1.0), row(2, 1.0, 1.0, 1e-4)):
        history.append(each)
        reported.append([text.split()[0:2] for text in new_diagnoses(history, KEY, TOTAL)])
    fell, sure = ["coverage", "fell"], ["the", "discriminator"]
    gone = ["the", "generator's"]
    assert reported == [[], [fell], [], [], [fell], [sure], [gone]]
    assert new_diagnoses([row(real=1.0, fake=1.0)], KEY, TOTAL), "also in the first epoch"


def test_what_is_to_be_covered_may_have_another_name() -> None:
    history = [{**row(), "modes": 8}, {**row(), "modes": 2}]
    assert list(diagnoses(history, "modes", 8)) == ["collapse"]


@pytest.mark.parametrize("name", ["mnist_gan", "gan_ring"])
def test_the_remedies_are_flags_that_exist(name: str) -> None:
    known = example(name).flags().format_help()
    texts = diagnoses([row(10), row(1, 1.0, 1.0, 1.0)], KEY, TOTAL)
    texts |= diagnoses([row(1, norm=0.0)] * 3, KEY, TOTAL)
    assert set(texts) == {"collapse", "perfect", "vanished", "stuck"}
    for text in texts.values():
        assert "\n" not in text and "; try --" in text
        for flag in re.findall(r"--[a-z0-9-]+", text):
            assert re.search(rf"(?<!\S){flag}\b", known), flag
