"""Models that others are measured with: trained once, then cached, never trusted when damaged."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from running import ROOT, command, environment, run_here
from threadpoolctl import threadpool_info, threadpool_limits

import tinygen as tg
from tinygen.byhand import vae as byhand_vae
from tinygen.data import Dataset, in_order
from tinygen.errors import InputError
from tinygen.evaluation import GenerationScores, frechet_distance, reference_models
from tinygen.training import Interrupted, Progress, RunDir
from tinygen.training.learners.single_step import SingleLossLearner

NUMPY = tg.get_backend("numpy")
HAS_THREADS = any(x["user_api"] == "blas" for x in threadpool_info())
TALKING, QUIET = Progress(1, {}), Progress(1, {}, quiet=True)


def bars(seed: int = 0, train: int = 300, test: int = 60) -> Dataset:
    """Images of 4x4 in three classes, by the column that is bright; quick to learn."""
    random = np.random.default_rng(seed)

    def drawn(n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = (np.arange(n) % 3).astype(np.uint8)
        x = random.integers(0, 90, (n, 4, 4))
        x[np.arange(n), :, labels] += 150
        return x.astype(np.uint8), labels

    images = drawn(train) + drawn(test)
    digest = hashlib.sha256(b"".join(a.tobytes() for a in images)).hexdigest()
    return Dataset("bars", *images, source="drawn", sha256={"all": digest})


DATA = bars()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own; and no waiting for the disk."""
    monkeypatch.setenv("TINYGEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("os.fsync", lambda file: None)
    return tmp_path / "models"


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A number for each training step, wherever it is made."""
    made: list[int] = []
    right = SingleLossLearner.step

    def step(self: SingleLossLearner, *arguments: Any) -> Any:
        made.append(len(made))
        return right(self, *arguments)

    monkeypatch.setattr(SingleLossLearner, "step", step)
    return made


def judge(data: Dataset = DATA, progress: Any = QUIET) -> reference_models.Judge:
    return reference_models.reference_classifier(data, progress, smoke=True)


STEPS = reference_models.SMOKE_EPOCHS * 3  # 300 images in batches of 128


def test_it_is_trained_once_and_read_from_then_on(
    steps: list[int], cache: Path, capsys: Any
) -> None:
    first = judge(progress=TALKING)
    assert len(steps) == STEPS
    (folder,) = cache.iterdir()
    line = "training the judge of bars, once; it is kept in the cache\n"
    assert capsys.readouterr().out == line
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = judge(progress=TALKING)
    assert len(steps) == STEPS and capsys.readouterr() == ("", "")
    assert (again.sha256, again.error) == (first.sha256, first.error)
    assert again.parameters.flat.tobytes() == first.parameters.flat.tobytes()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files


def test_whoever_trains_it_gets_the_same(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the hash names it, on any day and in any folder."""
    first = judge()
    monkeypatch.setenv("TINYGEN_CACHE_DIR", str(cache / "another"))
    assert judge().sha256 == first.sha256


def blas_threads() -> set[int]:
    return {x["num_threads"] for x in threadpool_info() if x["user_api"] == "blas"}


@pytest.mark.skipif(not HAS_THREADS, reason="threadpoolctl does not know this NumPy's BLAS")
def test_all_of_it_is_computed_by_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them add in another order. The training, what is read, and the rows; none after."""
    seen: dict[str, set[int]] = {}

    def watch(owner: Any, name: str) -> None:
        right = getattr(owner, name)

        def call(*arguments: Any, **options: Any) -> Any:
            seen.setdefault(name, set()).update(blas_threads())
            return right(*arguments, **options)

        monkeypatch.setattr(owner, name, call)

    names = ("loss", "probabilities_and_features", "loss_and_grads", "evaluate_generation", "fit")
    owners = (
        reference_models.Classifier,
        reference_models.Classifier,
        byhand_vae,
        reference_models,
        reference_models.PCA,
    )
    for owner, name in zip(owners, names, strict=True):
        watch(owner, name)
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        read = judge()
        read(np.zeros((1, 16)))
        rows(spy=read)
        assert blas_threads() == before == {2}
    assert seen == {name: {1} for name in names}


def test_no_compiled_kernel_has_a_part_in_it(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Numba's Adam rounds otherwise, and not everybody has it."""

    def compiled(*_: Any) -> None:
        raise AssertionError("the compiled Adam was called")

    with monkeypatch.context() as context:
        context.setattr(NUMPY, "_adam", compiled)
        first = judge()
        rows()
    monkeypatch.setenv("TINYGEN_CACHE_DIR", str(cache / "another"))
    assert judge().sha256 == first.sha256


def test_the_same_figures_are_printed_by_every_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """With one thread of BLAS and numba, and with two threads and no numba."""
    monkeypatch.setenv("TINYGEN_CACHE_DIR", str(tmp_path / "one"))
    assert run_here("--smoke", name="mnist_judge") == 0
    here = capsys.readouterr().out
    assert "training the judge of strokes, once" in here
    assert re.search(r"^test error 0\.\d\d%, sha256 [0-9a-f]{64}$", here, re.MULTILINE)
    for row in ("real test images", "a real half, the other", "training images", "VAE"):
        assert f"\n{row} " in here
    (tmp_path / "no" / "numba").mkdir(parents=True)
    (tmp_path / "no" / "numba" / "__init__.py").write_text("raise ImportError('hidden')")
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "2")
    path = f"{tmp_path / 'no'}{os.pathsep}{ROOT}"
    there = subprocess.run(
        command("--smoke", name="mnist_judge"),
        env=environment(TINYGEN_CACHE_DIR=str(tmp_path / "two"), PYTHONPATH=path, **threads),
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    # Not the hash alone, but all figures: the VAE is the same one, too.
    assert here == there.stdout


def test_a_quiet_run_says_nothing(capsys: Any) -> None:
    judge()
    assert capsys.readouterr() == ("", "")


def test_it_has_learned_and_its_error_is_what_it_gets_wrong() -> None:
    read = judge()
    x = DATA.test_images.reshape(-1, 16).astype(np.float32) / 255
    logits = read.model.logits(read.parameters, x)
    wrong = sum(logits[k].argmax() != label for k, label in enumerate(DATA.test_labels))
    assert read.error == wrong / 60 <= 0.1
    assert read.model.classes == 3 and read.model.pixels == 16


def test_it_scores_generated_images_against_the_test_images() -> None:
    classifier = judge()
    images = DATA.train_images[:50].reshape(-1, 16).astype(np.float32) / 255
    classes, scores = classifier.score(images, DATA)
    probabilities, features = classifier(images)
    assert classes.tolist() == probabilities.argmax(axis=1).tolist()
    real = classifier(DATA.test_images.reshape(-1, 16).astype(np.float32) / 255)[1]
    assert scores.frechet_distance == frechet_distance(features, real)
    assert scores.digits_covered == 3


def test_its_hash_is_that_of_its_numbers() -> None:
    read = judge()
    flat = read.parameters.flat
    assert flat.dtype == np.float32
    expected = hashlib.sha256(b"".join(x.tobytes() for x in flat.astype("<f4"))).hexdigest()
    assert read.sha256 == expected


def test_it_reads_images_a_thousand_at_a_time() -> None:
    read = judge()
    x = np.random.default_rng(0).random((2003, 16))  # also if they are float64
    probabilities, features = read(x)
    assert probabilities.shape == (2003, 3) and features.shape == (2003, 64)
    assert probabilities.dtype == features.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    for k in (0, 999, 1000, 2002):
        p, f = read(x[k : k + 1])
        # Another number of rows may be added up in another order.
        np.testing.assert_allclose(p[0], probabilities[k], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(f[0], features[k], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty", "a bit", "gone"])
def test_a_damaged_one_is_trained_anew(steps: list[int], cache: Path, damage: str) -> None:
    first = judge()
    (path,) = cache.glob("*/checkpoint.npz")
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 16
    broken = {"truncated": content[: len(content) // 2], "garbage": b"PK" * 500, "empty": b"",
              "a bit": bytes(flipped)}  # fmt: skip
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(broken[damage])
    again = judge()
    assert len(steps) == 2 * STEPS and again.sha256 == first.sha256
    assert path.read_bytes()[:4] == content[:4]
    judge()
    assert len(steps) == 2 * STEPS


def test_other_data_or_another_training_gives_another(steps: list[int], cache: Path) -> None:
    other = replace(DATA, sha256={"all": "another"})  # the hashes alone decide what is the same
    judges = [judge(), judge(other), judge(bars(seed=1)), judge(DATA.first(train=200, test=60))]
    assert len(list(cache.iterdir())) == 4
    assert judges[0].sha256 == judges[1].sha256, "trained anew, and on the same images"
    assert len({classifier.sha256 for classifier in judges}) == 3
    whole = reference_models.reference_classifier(DATA, QUIET)
    assert whole.sha256 != judges[0].sha256 and len(list(cache.iterdir())) == 5
    before = len(steps)
    judge(), judge(bars(seed=1))
    assert len(steps) == before


@pytest.mark.parametrize("at", [0, 4, STEPS - 1])
def test_ctrl_c_says_what_was_stopped_and_the_next_call_goes_on(
    steps: list[int], monkeypatch: pytest.MonkeyPatch, cache: Path, at: int
) -> None:
    counted = SingleLossLearner.step

    def step(self: SingleLossLearner, *arguments: Any) -> Any:
        if len(steps) == at:
            signal.raise_signal(signal.SIGINT)
        return counted(self, *arguments)

    with monkeypatch.context() as context:
        context.setattr(SingleLossLearner, "step", step)
        with pytest.raises(
            Interrupted, match=r"^stopped while the judge was trained; the same command goes on "
        ):
            judge()
    stopped = judge()
    assert len(steps) == STEPS, "no step was made twice"
    monkeypatch.setenv("TINYGEN_CACHE_DIR", str(cache / "straight"))
    assert judge().sha256 == stopped.sha256


@pytest.mark.parametrize("which", ["train_labels", "test_labels"])
def test_data_without_labels_has_no_judge(which: str, steps: list[int]) -> None:
    with pytest.raises(InputError, match="bars has no labels, from which a judge could learn"):
        judge(replace(DATA, **{which: None}))
    assert not steps


@pytest.mark.parametrize(("train", "test", "words"), [
    (3, 60, "bars has 3 training images; to judge generated ones takes at least 4"),
    (300, 7, "bars has 7 test images; to judge generated ones takes at least 8"),
])  # fmt: skip
def test_too_few_images_are_refused_before_anything_is_trained(
    train: int, test: int, words: str, steps: list[int], cache: Path
) -> None:
    with pytest.raises(InputError, match=words):
        judge(bars(train=train, test=test))
    assert not steps and not cache.exists()


def test_as_few_images_as_that_are_enough() -> None:
    scores, _ = rows(bars(train=4, test=8))
    assert len(scores) == 5


def locked(folder: Path) -> None:
    """Nobody can write a lock there any more, whoever they are."""
    (folder / "lock").unlink()
    (folder / "lock").mkdir()


def test_what_is_complete_is_read_where_nothing_can_be_written(
    cache: Path, steps: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = rows()
    read, made = judge(), len(steps)
    for folder in cache.iterdir():
        locked(folder)

    def written(*_: Any) -> None:
        raise OSError("read-only")

    monkeypatch.setattr(RunDir, "open", written)
    monkeypatch.setattr(RunDir, "write_history", written)
    assert judge().sha256 == read.sha256 and rows()[0] == first
    assert len(steps) == made
    for path in cache.glob("*/*.*"):
        path.unlink()
    with pytest.raises(InputError, match=r"judge-.*trained once are kept there, but it cannot"):
        judge()
    with pytest.raises(InputError, match=r"rows-.*trained once are kept there, but it cannot"):
        rows(spy=Spy(read))


@pytest.mark.parametrize("what", ["judge", "rows"])
def test_it_says_once_that_it_waits_for_another_process(
    what: str, cache: Path, steps: list[int]
) -> None:
    """Which holds the lock, and ends as soon as that is printed."""
    read = judge()
    rows(spy=Spy(read))
    lines = []
    (folder,) = cache.glob(f"{what}-*")
    for path in folder.glob("*.*"):
        path.unlink()

    class Recording(Progress):
        def say(self, text: str) -> None:
            lines.append(text)
            other.release()

    with FileLock(folder / "lock") as other:
        progress = Recording(1, {})
        if what == "judge":
            assert judge(progress=progress).sha256 == read.sha256
        else:
            reference_models.baselines(DATA, read, progress, smoke=True)
    first = {"judge": "trains the judge of bars", "rows": "measures the baselines of bars"}
    assert lines[0] == f"waiting for another process that {first[what]}"
    assert not any("waiting" in text for text in lines[1:])


# The rows of the table.


class Spy:
    """A judge that remembers what it was shown."""

    def __init__(self, read: reference_models.Judge) -> None:
        self.read, self.sha256, self.shown = read, read.sha256, []  # type: ignore[var-annotated]

    def __call__(self, images: Any) -> Any:
        self.shown.append(np.asarray(images))
        return self.read(images)


def rows(data: Dataset = DATA, spy: Any = None) -> tuple[dict[str, GenerationScores], Any]:
    spy = spy or Spy(judge())
    return reference_models.baselines(data, spy, QUIET, smoke=True), spy


def test_the_rows() -> None:
    scores, spy = rows()
    names = ["real test images", "a real half, the other", "training images",
             "Gaussian, 16 PCA codes", "VAE"]  # fmt: skip
    assert list(scores) == names
    for row in scores.values():
        assert all(math.isfinite(x) for x in vars(row).values())
    real, half, train, gaussian, _ = scores.values()
    # Against themselves there is nothing between them, but for the judge's own errors.
    assert real.frechet_distance == pytest.approx(0, abs=1e-9 + 1e-6 * gaussian.frechet_distance)
    assert real.precision == real.recall == 1
    assert real.digits_covered == 3 and real.histogram_kl < 0.01
    assert half.frechet_distance > 0
    assert half.digits_covered == 3
    assert gaussian.frechet_distance > real.frechet_distance
    # As many generated images as real ones, all of them images.
    test, trained, drawn, decoded = spy.shown
    np.testing.assert_array_equal(trained, next(in_order(DATA.train_images[:60])))
    assert 0 < train.frechet_distance < gaussian.frechet_distance and train.digits_covered == 3
    np.testing.assert_array_equal(test, np.concatenate([*in_order(DATA.test_images)]))
    for x in (drawn, decoded):
        assert x.shape == test.shape and x.min() >= 0 and x.max() <= 1
        assert len(np.unique(x, axis=0)) == len(x)


def test_the_halves_are_disjoint_and_random_and_make_up_the_whole() -> None:
    """Their distance, computed here from the features of all."""
    scores, spy = rows()
    _, features = spy.read(spy.shown[0])
    order = np.random.default_rng(reference_models.SEED).permutation(60)
    expected = frechet_distance(features[order[:30]], features[order[30:]])
    assert scores["a real half, the other"].frechet_distance == pytest.approx(expected, rel=1e-9)


def test_the_gaussian_has_the_datas_mean_and_variance() -> None:
    data = bars(test=900)
    _, spy = rows(data)
    x = data.train_images.reshape(-1, 16) / 255
    drawn = spy.shown[2]
    # A mean of 900 draws is off by 0.3 / 30 at most, and some draws are cut off at 0.
    np.testing.assert_allclose(drawn.mean(axis=0), x.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(drawn.std(axis=0), x.std(axis=0), atol=0.05)


def test_the_vae_and_the_rows_are_cached_too(steps: list[int], cache: Path) -> None:
    first, _ = rows()
    made = len(steps)
    assert made == 2 * STEPS
    names = ["judge", "rows", "vae"]
    assert sorted(path.name.split("-")[0] for path in cache.iterdir()) == names
    again, spy = rows()
    assert len(steps) == made and again == first
    assert not spy.shown, "nothing was measured again"


def test_rows_of_other_images_or_another_judge_are_others(cache: Path) -> None:
    """Also of fewer test images of the same data, by which the judge is the same one."""
    runs = [rows(), rows(DATA.first(train=300, test=40)), rows(bars(seed=1))]
    other: Any = Spy(judge())
    other.sha256 = "another"
    runs.append(rows(spy=other))
    assert all(spy.shown for _, spy in runs)
    assert len([*cache.glob("rows-*")]) == 4
    assert runs[0][0] == runs[3][0] != runs[1][0]


@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty", "another figure", "no rows",
                                    "a list", "gone"])  # fmt: skip
def test_damaged_rows_are_measured_anew(cache: Path, damage: str) -> None:
    first, _ = rows()
    (path,) = cache.glob("rows-*/rows.json")
    text = path.read_text()
    other = json.loads(text)
    other["rows"]["VAE"]["recall"] += 0.25
    broken = {"truncated": text[: len(text) // 2], "garbage": "\0" * 50, "empty": "",
              "no rows": "{}", "another figure": json.dumps(other), "a list": "[1]"}  # fmt: skip
    if damage == "gone":
        path.unlink()
    else:
        path.write_text(broken[damage])
    again, spy = rows()
    assert again == first and spy.shown
    assert path.read_text() == text


def test_a_figure_that_is_infinite_comes_back(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which JSON has not."""
    right = reference_models.evaluate_generation

    def infinite(*arguments: Any, **options: Any) -> GenerationScores:
        return replace(right(*arguments, **options), histogram_kl=math.inf)

    monkeypatch.setattr(reference_models, "evaluate_generation", infinite)
    first, _ = rows()
    again, spy = rows()
    assert not spy.shown and again == first and again["VAE"].histogram_kl == math.inf
    (path,) = cache.glob("rows-*/rows.json")
    assert "Infinity" not in path.read_text()


def test_ctrl_c_while_the_vae_is_trained(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    read = judge()

    def step(self: SingleLossLearner, *arguments: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return right(self, *arguments)

    right = SingleLossLearner.step
    with monkeypatch.context() as context:
        context.setattr(SingleLossLearner, "step", step)
        with pytest.raises(Interrupted, match="stopped while the vae was trained"):
            reference_models.baselines(DATA, read, QUIET, smoke=True)
    assert not [*cache.glob("rows-*/rows.json")]
