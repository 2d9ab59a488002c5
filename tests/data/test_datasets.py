"""Loading data from locations, from mirrors and from nowhere; the mirrors run on this host."""

import gzip
import hashlib
import io
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinygen.data import (
    batches,
    datasets,
    idx,
    in_order,
    load,
    locations,
    mixture_points,
    npz,
    stroke_digits,
    strokes,
)
from tinygen.data.datasets import DATASETS, Dataset, Source
from tinygen.errors import InputError

REAL = os.environ.get("TINYGEN_DATA_DIR")
needs_mnist = pytest.mark.skipif(not REAL, reason="needs TINYGEN_DATA_DIR with MNIST")

TABLE = dict(DATASETS)
"""The table as it is; the tests below patch it."""

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = datasets.FILES


def small_set(seed=0, train=30, test=10, shape=(28, 28)):
    """Four arrays by file name, of a made-up data set with 3 and 1 images of each of 10 classes."""
    rng = np.random.default_rng(seed)
    return {
        TRAIN_IMAGES: rng.integers(0, 256, (train, *shape)).astype(np.uint8),
        TRAIN_LABELS: rng.permutation(np.arange(train) % 10).astype(np.uint8),
        TEST_IMAGES: rng.integers(0, 256, (test, *shape)).astype(np.uint8),
        TEST_LABELS: rng.permutation(np.arange(test) % 10).astype(np.uint8),
    }


def save(folder, arrays, suffix=".gz", rename=lambda name: name):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        idx.write(folder / (rename(name) + suffix), array)
    return folder


def content_sha256(arrays):
    """The hashes of arrays as uncompressed files, from the description of the format."""
    return {
        name: hashlib.sha256(
            bytes([0, 0, 8, a.ndim]) + b"".join(n.to_bytes(4, "big") for n in a.shape) + a.tobytes()
        ).hexdigest()
        for name, a in arrays.items()
    }


def zipped(tmp_path, arrays):
    """What a mirror of these arrays serves: file name -> bytes."""
    folder = save(tmp_path / "to-serve", arrays)
    return {f"{name}.gz": (folder / f"{name}.gz").read_bytes() for name in arrays}


def archive_sha256(files):
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


@pytest.fixture
def change(monkeypatch):
    """Changes fields of an entry of the table, for the length of a test."""

    def change(name, **fields):
        monkeypatch.setitem(DATASETS, name, replace(DATASETS[name], **fields))

    return change


@pytest.fixture(autouse=True)
def isolated(tmp_path, monkeypatch, no_proxy, closed_mirror, change):
    """A cache of the test's own, no data folder, and mirrors that refuse connections."""
    monkeypatch.delenv("TINYGEN_DATA_DIR", raising=False)
    monkeypatch.setattr(locations, "cache_folder", lambda: tmp_path / "cache")
    for name in DATASETS:
        change(name, mirrors=(closed_mirror,))


@pytest.fixture
def small_strokes(monkeypatch):
    """Stroke digits by the dozen instead of by the 60,000, for the tests of the fallback."""
    generate = strokes.generate
    monkeypatch.setattr(strokes, "generate", lambda n, *a, **k: generate(n // 5000, *a, **k))


@pytest.fixture
def small_mnist(change):
    """A made-up data set whose hashes are expected in place of MNIST's."""
    arrays = small_set()
    change("mnist", sha256=content_sha256(arrays))
    return arrays


@pytest.fixture
def small_fashion(tmp_path, change):
    """The archives of a made-up data set, which are expected in place of Fashion-MNIST's."""
    files = zipped(tmp_path / "fashion", small_set(seed=5))
    change("fashion-mnist", sha256=archive_sha256(files), images=(30, 10))
    return files


@pytest.fixture
def small_kmnist(tmp_path, change):
    """The same for KMNIST, with other images."""
    files = zipped(tmp_path / "kmnist", small_set(seed=6))
    change("kmnist", sha256=archive_sha256(files), images=(30, 10))
    return files


def put(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def quietly(*args, **kwargs):
    """Load; the data set and what was said."""
    said = []
    return load(*args, say=said.append, progress=False, **kwargs), said


def refusal(*args, **kwargs):
    with pytest.raises(InputError) as caught:
        quietly(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# The table


def test_the_command_line_offers_the_table():
    assert list(datasets.CHOICES) == ["auto", *TABLE, "strokes", "idx", "npz", "folder"]
    assert {"mnist", "fashion-mnist", "kmnist"} <= set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_every_entry_is_complete(name):
    source = TABLE[name]
    assert source.title and source.credit and source.mirrors
    for url in source.mirrors:
        assert re.fullmatch(r"https?://[a-z0-9.-]+/([a-z0-9-]+/)*", url)
    kinds = [re.search("images|labels", file)[0] for file in source.files]
    assert kinds == ["images", "labels"] * 2
    assert len({file.endswith(".gz") for file in source.sha256}) == 1  # all of one kind
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in source.sha256.values())
    if source.balanced:
        assert all(n % source.classes == 0 for n in source.images)


def test_no_hash_stands_in_the_table_twice():
    every = [sha256 for source in TABLE.values() for sha256 in source.sha256.values()]
    assert len(every) == 4 * len(TABLE) == len(set(every))


def test_a_new_data_set_is_an_entry_in_the_table(tmp_path, monkeypatch, two_mirrors):
    """Colour images of another size, from a mirror to the rows of a batch."""
    arrays = small_set(seed=9, shape=(5, 7, 3))
    names = ("a-images-idx4", "a-labels-idx1", "b-images-idx4", "b-labels-idx1")
    two_mirrors[0].files = zipped(tmp_path, dict(zip(names, arrays.values(), strict=True)))
    entry = Source(
        title="Blocks",
        credit="nobody",
        mirrors=(two_mirrors[0].url,),
        sha256=archive_sha256(two_mirrors[0].files),
        image_shape=(5, 7, 3),
        images=(30, 10),
    )
    monkeypatch.setitem(DATASETS, "blocks", entry)
    monkeypatch.setattr(datasets, "CHOICES", ("auto", *DATASETS, "strokes", "idx", "npz"))
    data, _ = quietly("blocks")
    assert (data.name, data.source) == ("blocks", f"Blocks in {tmp_path / 'cache' / 'blocks'}")
    assert (data.image_shape, data.pixels) == ((5, 7, 3), 105)
    np.testing.assert_array_equal(data.train_images, arrays[TRAIN_IMAGES])
    (x,) = batches(data.train_images, np.arange(30)[::-1], 30)
    assert x.shape == (30, 105)
    assert x[29, (3 * 7 + 2) * 3 + 1] == np.float32(arrays[TRAIN_IMAGES][0, 3, 2, 1]) / 255
    assert [rows.shape for rows in in_order(data.test_images, size=6)] == [(6, 105), (4, 105)]
    assert data.first(2, 3).test_images.shape == (3, 5, 7, 3)
    copy = (tmp_path / "cache" / "blocks").rename(tmp_path / "copy")
    idx.write(copy / "b-images-idx4.gz", arrays[TEST_IMAGES][..., :1])
    assert "expected Blocks, (10, 5, 7, 3), got (10, 5, 7, 1)" in refusal("blocks", copy)


# Folders


@needs_mnist
def test_the_real_mnist():
    data, said = quietly("mnist", REAL)
    assert data.train_images.shape == (60000, 28, 28) and data.test_images.shape == (10000, 28, 28)
    assert data.pixels == 784 and data.image_shape == (28, 28)
    # Known from everybody's tutorials: the first labels, and the mean to normalise by.
    assert data.train_labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert data.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert data.train_images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert np.bincount(data.train_labels)[[0, 1, 5]].tolist() == [5923, 6742, 5421]
    source = TABLE["mnist"]
    assert data.sha256 == source.sha256
    assert (len(data.train_images), len(data.test_images)) == source.images
    assert data.image_shape == source.image_shape
    assert {*data.test_labels.tolist()} == {*range(source.classes)}
    assert data.source.startswith("MNIST in ")
    assert said == []


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("rename", [str, lambda name: name.replace("-idx", ".idx")])
def test_any_usual_name_will_do(tmp_path, small_mnist, suffix, rename):
    folder = save(tmp_path / "data", small_mnist, suffix, rename)
    data, said = quietly("mnist", folder)
    np.testing.assert_array_equal(data.train_images, small_mnist[TRAIN_IMAGES])
    np.testing.assert_array_equal(data.test_labels, small_mnist[TEST_LABELS])
    assert data.sha256 == DATASETS["mnist"].sha256
    assert data.source == f"MNIST in {folder}"
    assert said == []


def test_the_order_of_places(tmp_path, monkeypatch, small_mnist):
    cache = save(tmp_path / "cache" / "mnist", small_mnist)
    assert quietly()[0].source == f"MNIST in {cache}"
    variable = save(tmp_path / "variable", small_mnist)
    monkeypatch.setenv("TINYGEN_DATA_DIR", str(variable))
    assert quietly()[0].source == f"MNIST in {variable}"
    named = save(tmp_path / "named", small_mnist)
    assert quietly("auto", tmp_path / "named")[0].source == f"MNIST in {named}"
    named = save(tmp_path / "named" / "mnist", small_mnist)
    assert quietly("auto", tmp_path / "named")[0].source == f"MNIST in {named}"
    (tmp_path / "empty").mkdir()
    data, said = quietly("mnist", tmp_path / "empty")
    assert data.source == f"MNIST in {variable}"
    assert said == [f"{tmp_path / 'empty'} has none of MNIST's files; looking further"]


def test_a_home_folder_is_understood(tmp_path, monkeypatch, small_mnist):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    save(tmp_path / "digits", small_mnist)
    assert quietly("mnist", "~/digits")[0].source == f"MNIST in {tmp_path / 'digits'}"


@pytest.mark.parametrize("choice", ["auto", "mnist"])
def test_a_bad_file_is_refused_though_a_good_one_lies_elsewhere(
    tmp_path, monkeypatch, small_mnist, choice
):
    monkeypatch.setenv("TINYGEN_DATA_DIR", str(save(tmp_path / "good", small_mnist)))
    bad = save(tmp_path / "bad", small_mnist)
    path = bad / f"{TEST_IMAGES}.gz"
    path.write_bytes(path.read_bytes()[:-100])
    message = refusal(choice, bad)
    assert message.startswith(f"{path}: ") and "damaged" in message


@pytest.mark.parametrize("choice", ["auto", "mnist"])
def test_a_missing_file_is_refused(tmp_path, small_mnist, choice):
    folder = save(tmp_path / "data", small_mnist)
    (folder / f"{TEST_LABELS}.gz").unlink()
    message = refusal(choice, folder)
    assert message == (f"{folder}: expected 4 files, plain or .gz, but there is no {TEST_LABELS}")


def test_other_data_is_not_mnist(tmp_path, small_mnist):
    other = small_set(seed=1)
    message = refusal(
        "auto", save(tmp_path / "data", small_mnist | {TEST_LABELS: other[TEST_LABELS]})
    )
    assert f"{TEST_LABELS}.gz: expected MNIST's {TEST_LABELS} with SHA-256" in message
    assert DATASETS["mnist"].sha256[TEST_LABELS] in message
    assert re.search(r"got [0-9a-f]{64}; .*--data idx", message)


def test_images_and_labels_exchanged(tmp_path, small_mnist):
    folder = save(tmp_path / "data", small_mnist | {TRAIN_LABELS: small_mnist[TRAIN_IMAGES]})
    message = refusal("mnist", folder)
    assert "expected an IDX file of labels (1 dimensions), got images" in message


def test_a_folder_that_is_none(tmp_path, monkeypatch):
    assert "No such file or directory" in refusal("auto", tmp_path / "nowhere")
    (tmp_path / "file").write_bytes(b"")
    assert "Not a directory" in refusal("auto", tmp_path / "file")
    monkeypatch.setenv("TINYGEN_DATA_DIR", str(tmp_path / "nowhere"))
    assert "nowhere: expected a folder with data" in refusal("auto")


def test_a_variable_that_names_no_folder_is_named_itself(tmp_path, monkeypatch, small_mnist):
    """For every data set, also one that is in a subfolder only; --data-dir goes first."""
    for wrong in (tmp_path / "nowhere", tmp_path / "file"):
        (tmp_path / "file").write_bytes(b"")
        monkeypatch.setenv("TINYGEN_DATA_DIR", str(wrong))
        for choice in ("auto", "mnist", "fashion-mnist", "kmnist", "idx"):
            assert (
                refusal(choice)
                == f"TINYGEN_DATA_DIR={wrong}: expected a folder with data, it is none"
            )
        folder = save(tmp_path / "good", small_mnist)
        assert quietly("mnist", folder)[0].source == f"MNIST in {folder}"
    for empty in ("idx", "mnist"):
        monkeypatch.setenv("TINYGEN_DATA_DIR", "")  # as if it were not set
        assert "TINYGEN_DATA_DIR=" not in refusal(empty).replace("TINYGEN_DATA_DIR=DIR", "")


@pytest.mark.skipif(os.name == "nt", reason="Windows says where anybody's home would be")
def test_the_home_of_nobody_is_refused(monkeypatch):
    sentence = (
        "~nobody-here/x: there is no such home folder; a folder of that name is ./~nobody-here/x"
    )
    for choice in ("idx", "mnist"):
        assert refusal(choice, "~nobody-here/x") == sentence
    monkeypatch.setenv("TINYGEN_DATA_DIR", "~nobody-here/x")
    assert refusal("auto") == sentence


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("by", ["flag", "variable"])
def test_the_folders_of_torchvision(
    tmp_path, monkeypatch, small_mnist, small_fashion, small_kmnist, suffix, by
):
    """As its data sets lay them down: all below one root, and beside each archive its content."""
    root = tmp_path / "tensors → torchvision"
    for folder, seed in (("MNIST", 0), ("FashionMNIST", 5), ("KMNIST", 6)):
        save(root / folder / "raw", small_set(seed), suffix)
        if not suffix:
            save(root / folder / "raw", small_set(seed), ".gz")
    if by == "variable":
        monkeypatch.setenv("TINYGEN_DATA_DIR", str(root))
    for name, folder in (
        ("mnist", "MNIST"),
        ("fashion-mnist", "FashionMNIST"),
        ("kmnist", "KMNIST"),
    ):
        data, said = quietly(name, root if by == "flag" else None)
        assert data.source == f"{DATASETS[name].title} in {root / folder / 'raw'}" and not said
        if by == "flag":  # of the folder itself
            assert quietly(name, root / folder)[0].source == data.source
    np.testing.assert_array_equal(data.train_images, small_set(6)[TRAIN_IMAGES])


def test_a_folder_may_be_relative_and_have_any_name(tmp_path, monkeypatch, small_mnist):
    save(tmp_path / "my data → ü", small_mnist)
    monkeypatch.chdir(tmp_path)
    assert quietly("mnist", "my data → ü")[0].source == "MNIST in my data → ü"


def test_a_dangling_link_is_refused(tmp_path, small_mnist):
    folder = save(tmp_path / "data", small_mnist)
    (folder / f"{TEST_LABELS}.gz").unlink()
    (folder / f"{TEST_LABELS}.gz").symlink_to(tmp_path / "nowhere")
    assert f"{TEST_LABELS}.gz: cannot be read" in refusal("auto", folder)


# Other data sets


@pytest.mark.parametrize("shape", [(28, 28), (5, 7), (5, 7, 3), (5, 7, 1)])
@pytest.mark.parametrize("axes", ["idx3", "idx4"])
def test_idx_takes_any_consistent_four_files(tmp_path, monkeypatch, shape, axes):
    arrays = small_set(shape=shape)
    arrays[TRAIN_LABELS][0] = 200  # any number of classes
    folder = save(tmp_path / "data", arrays, "", lambda name: name.replace("idx3", axes))
    data, _ = quietly("idx", folder)
    np.testing.assert_array_equal(data.test_images, arrays[TEST_IMAGES])
    assert data.image_shape == shape and data.pixels == np.prod(shape)
    assert data.sha256 == content_sha256(arrays)
    monkeypatch.setenv("TINYGEN_DATA_DIR", str(folder))
    assert quietly("idx")[0].source == f"the IDX files in {folder}"


@pytest.mark.parametrize(
    "changes, message",
    [
        ({TRAIN_LABELS: np.zeros(29, np.uint8)}, "got 30 images and 29 labels"),
        (
            {TEST_LABELS: np.zeros(11, np.uint8)},
            "test images: expected a label for each, got 10 images and 11 labels",
        ),
        ({TEST_IMAGES: np.zeros((10, 28, 27), np.uint8)}, "28 x 28 for training and 28 x 27"),
        (
            {TEST_IMAGES: np.zeros((10, 28, 28, 3), np.uint8)},
            "28 x 28 for training and 28 x 28 x 3",
        ),
        (
            {TEST_IMAGES: np.zeros((0, 28, 28), np.uint8), TEST_LABELS: np.zeros(0, np.uint8)},
            "test images: expected at least one, got a shape of (0, 28, 28)",
        ),
        ({TRAIN_IMAGES: np.zeros((30, 0, 28), np.uint8)}, "training images: expected at least one"),
        (
            {
                TRAIN_IMAGES: np.zeros((30, 5, 5, 2), np.uint8),
                TEST_IMAGES: np.zeros((10, 5, 5, 2), np.uint8),
            },
            "with 1 or 3 channels, got (30, 5, 5, 2)",
        ),
    ],
)
def test_idx_refuses_what_does_not_fit_together(tmp_path, changes, message):
    assert message in refusal("idx", save(tmp_path / "data", small_set() | changes))


KEYS = ("x_train", "y_train", "x_test", "y_test")


def in_one_file(path, **changes):
    """A data set in an .npz file; an array that is None is left out."""
    arrays = dict(zip(KEYS, small_set(shape=(5, 7, 3)).values(), strict=True)) | changes
    np.savez_compressed(path, **{key: x for key, x in arrays.items() if x is not None})
    return path


def test_npz_is_a_data_set_in_one_file(tmp_path):
    path = in_one_file(tmp_path / "data.npz")
    data, _ = quietly("npz", path)
    arrays = small_set(shape=(5, 7, 3))
    for name, expected in zip(("train_images", "train_labels", "test_images", "test_labels"),
                              arrays.values(), strict=True):  # fmt: skip
        np.testing.assert_array_equal(getattr(data, name), expected)
    assert data.sha256 == {"data.npz": hashlib.sha256(path.read_bytes()).hexdigest()}
    column = in_one_file(tmp_path / "column.npz", y_train=arrays[TRAIN_LABELS][:, None])
    np.testing.assert_array_equal(quietly("npz", column)[0].train_labels, arrays[TRAIN_LABELS])
    bare = in_one_file(tmp_path / "bare.npz", y_train=None, y_test=None)
    assert quietly("npz", bare)[0].train_labels is None


def test_npz_may_hold_rows(tmp_path):
    rows = np.random.default_rng(0).standard_normal((9, 5))
    path = in_one_file(tmp_path / "rows.npz", x_train=rows, x_test=rows, y_train=None, y_test=None)
    data, said = quietly("npz", path)
    np.testing.assert_array_equal(data.train_images, rows)
    assert said == []


def test_npz_refuses_what_is_no_such_file(tmp_path):
    path = tmp_path / "data.npz"
    one = in_one_file(path, x_test=None, y_train=None, y_test=None)
    assert "no x_test; tg.data.from_arrays sets some" in refusal("npz", one)
    assert refusal("mnist", one) == f"{one}: expected a folder with MNIST; --data npz reads it"
    path.unlink()
    assert "got nothing of that name" in refusal("npz", path)
    assert "got a folder" in refusal("npz", tmp_path)
    for key in ("x_test", "y_train"):
        said = refusal("npz", in_one_file(path, **{key: None}))
        assert "expected arrays x_train, x_test, y_train, y_test, got " in said
    objects = np.array([{}], object)
    assert "expected a whole .npz file" in refusal("npz", in_one_file(path, x_train=objects))
    assert "expected uint8" in refusal("npz", in_one_file(path, x_train=np.ones((3, 5, 7))))
    whole = in_one_file(path).read_bytes()
    flipped = whole[:500] + bytes([whole[500] ^ 255]) + whole[501:]
    for damaged in (whole[:-30], b"", b"PK\3\4", flipped):
        path.write_bytes(damaged)
        assert "expected a whole .npz file" in refusal("npz", path)
    np.save(path.with_suffix(".npy"), np.ones(3))
    assert "expected a whole .npz file" in refusal("npz", path.with_suffix(".npy"))


def test_npz_refuses_a_zip_that_numpy_does_not_write(tmp_path):
    path = tmp_path / "data.npz"
    # The flags and the compression of a member, in its local header and in the directory.
    for what, field, value in (("encrypted", 6, 1), ("compression", 8, 99)):
        content = bytearray(in_one_file(path).read_bytes())
        for signature, start in ((b"PK\3\4", field), (b"PK\1\2", field + 2)):
            at = content.find(signature)
            while at >= 0:
                content[at + start] = value
                at = content.find(signature, at + 4)
        path.write_bytes(content)
        said = refusal("npz", path)
        assert "expected an .npz file as numpy.savez writes it" in said and what in said


def test_npz_refuses_a_damaged_member_of_lzma(tmp_path):
    pytest.importorskip("lzma")
    path, whole = tmp_path / "data.npz", in_one_file(tmp_path / "whole.npz")
    with np.load(whole) as arrays, zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as file:
        for key in KEYS:
            member = io.BytesIO()
            np.save(member, arrays[key])
            file.writestr(f"{key}.npy", member.getvalue())
    assert quietly("npz", path)[0].pixels == quietly("npz", whole)[0].pixels
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes(40) + content[140:])
    assert "expected a whole .npz file" in refusal("npz", path)


def test_labels_below_0_are_refused(tmp_path):
    labels = small_set()[TRAIN_LABELS].astype(np.int64) - 5
    said = refusal("npz", in_one_file(tmp_path / "data.npz", y_train=labels))
    assert "expected labels from 0 on, got -5" in said


def test_npz_refuses_a_header_that_promises_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr(npz, "MAX_BYTES", 1000)
    assert "at most 1000 bytes" in refusal("npz", in_one_file(tmp_path / "data.npz"))


def test_idx_refuses_a_file_and_an_archive_that_differ(tmp_path):
    """No hash tells which of them is the old one."""
    folder = save(tmp_path / "data", small_set(), "")
    save(folder, small_set())
    assert quietly("idx", folder)[0].sha256 == content_sha256(small_set())
    idx.write(folder / f"{TEST_IMAGES}.gz", small_set(seed=1)[TEST_IMAGES])
    assert refusal("idx", folder) == (
        f"{folder / TEST_IMAGES} and {TEST_IMAGES}.gz differ: expected one of them, or equal ones"
    )


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_ink_on_paper_is_mentioned(tmp_path, channels):
    """Digits are the same size in both; what tells them apart is what is around them."""
    glowing = np.zeros((30, 28, 28, *channels), np.uint8)
    glowing[:, 4:-4, 4:-4] = 255  # more than half of the pixels
    arrays = small_set() | {TRAIN_IMAGES: glowing, TEST_IMAGES: glowing[:10]}
    assert quietly("idx", save(tmp_path / "dark", arrays))[1] == []
    photographs = np.random.default_rng(0).integers(0, 256, glowing.shape).astype(np.uint8)
    arrays |= {TRAIN_IMAGES: photographs}
    assert quietly("idx", save(tmp_path / "photographs", arrays))[1] == []
    arrays |= {TRAIN_IMAGES: 255 - glowing}
    (line,) = quietly("idx", save(tmp_path / "bright", arrays))[1]
    assert line.startswith(
        f"the IDX files in {tmp_path / 'bright'}: these images are dark on a bright background"
    )
    assert "255 - images turns them into it" in line


# What a data set promises


GREY = np.zeros((3, 4, 4), np.uint8)
ROWS = np.zeros((3, 16), np.float32)


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (GREY / 255, r"uint8 \(n, h, w\) .* got float64 \(3, 4, 4\); .*\(255 \* x\)\.round"),
        (GREY.astype(np.int64), "got int64"),
        (GREY.tolist(), "expected an array of NumPy, got a list"),
        (np.ma.masked_equal(GREY, 0), "expected an array of NumPy, got a MaskedArray"),
        (ROWS.astype(np.int32), "got int32"),
        (np.zeros(3, np.uint8), r"got uint8 \(3,\)"),
        (ROWS.astype(bool), "got bool"),
        (ROWS.astype(complex), "got complex128"),
        (ROWS.astype(object), "got object"),
        (np.where(np.arange(48).reshape(3, 16) == 37, np.nan, ROWS), "1 of 48 .* row 2, column 5"),
        (np.where(np.arange(48).reshape(3, 16) > 40, -np.inf, ROWS), "7 of 48 .* row 2, column 9"),
        (GREY[:0], "expected at least one"),
    ],
)
@pytest.mark.parametrize("part", ["train", "test"])
def test_a_data_set_says_what_is_wrong_with_it(images, sentence, part):
    good = ROWS if np.asarray(images).dtype.kind == "f" and np.ndim(images) == 2 else GREY
    train, test = (images, good) if part == "train" else (good, images)
    with pytest.raises(InputError, match=f"by me, {part}.* images: .*{sentence}") as caught:
        Dataset("mine", train, None, test, None, "by me", {})
    assert "\n" not in str(caught.value)


def test_a_data_set_has_a_label_for_each_image():
    with pytest.raises(InputError, match="expected a label for each, got 3 images and 2 labels"):
        Dataset("mine", GREY, np.zeros(2, np.uint8), GREY, None, "by me", {})


@pytest.mark.parametrize("labels", [np.eye(3), np.full(3, np.nan), np.array(["a", "b", "c"])])
def test_a_label_is_a_whole_number(labels):
    with pytest.raises(InputError, match=r"by me, test images: expected labels \(n,\) of whole"):
        Dataset("mine", GREY, None, GREY, labels, "by me", {})


def test_idx_never_falls_back(tmp_path):
    assert "data 'idx' needs a data_dir" in refusal("idx")
    assert "there is no train-images-idx3-ubyte and no" in refusal("idx", tmp_path)


def test_a_choice_that_was_mistyped():
    assert "unknown data 'minst' (did you mean 'mnist'?); choose one of auto, mnist" in refusal(
        "minst"
    )
    with pytest.raises(InputError, match=r"mixture 'rings' \(did you mean 'ring'\?\); choose"):
        mixture_points("rings", 3, 3)


def test_an_unknown_choice():
    assert "unknown data 'digits'; choose one of auto, mnist" in refusal("digits")


@pytest.mark.parametrize("form", ["published", "unzipped", "zipped anew"])
def test_fashion_mnist_in_folders(tmp_path, monkeypatch, small_fashion, form):
    arrays = small_set(seed=5)
    folder = tmp_path / "fashion-there"
    if form == "published":
        put(folder, small_fashion)
    elif form == "unzipped":
        save(folder, arrays, "")
    else:
        again = {name: gzip.decompress(content) for name, content in small_fashion.items()}
        put(folder, {name: gzip.compress(content, 1) for name, content in again.items()})
    data, _ = quietly("fashion-mnist", folder)
    assert data.source == f"Fashion-MNIST in {folder}"
    assert data.sha256 == content_sha256(arrays)
    np.testing.assert_array_equal(data.test_images, arrays[TEST_IMAGES])
    # The variable may point at MNIST, and Fashion-MNIST's files are called the same.
    monkeypatch.setenv("TINYGEN_DATA_DIR", str(folder))
    assert "could not be downloaded" in refusal("fashion-mnist")
    folder.rename(tmp_path / "fashion-mnist")
    monkeypatch.setenv("TINYGEN_DATA_DIR", str(tmp_path))
    assert quietly("fashion-mnist")[0].source == f"Fashion-MNIST in {tmp_path / 'fashion-mnist'}"


def test_what_the_archives_hashes_do_not_tell_the_content_does(tmp_path, small_fashion):
    folder = save(tmp_path / "data", small_set(seed=5), "")
    idx.write(folder / TEST_LABELS, np.zeros(10, np.uint8))
    assert "expected 1 labels of each of 10 classes" in refusal("fashion-mnist", folder)
    idx.write(folder / TEST_LABELS, np.arange(200, 210, dtype=np.uint8))
    assert "expected 1 labels of each of 10 classes" in refusal("fashion-mnist", folder)
    idx.write(folder / TRAIN_IMAGES, np.zeros((29, 28, 28), np.uint8))
    assert "(30, 28, 28), got (29, 28, 28)" in refusal("fashion-mnist", folder)
    idx.write(folder / TRAIN_IMAGES, np.zeros((31, 28, 28), np.uint8))
    assert f"expected at most {30 * 784} bytes" in refusal("fashion-mnist", folder)


def test_one_data_set_is_not_another(tmp_path, small_mnist, small_fashion, small_kmnist):
    """Their files are called alike; the table knows whose they are."""
    mnist = save(tmp_path / "mnist", small_mnist)
    kmnist = put(tmp_path / "kmnist", small_kmnist)
    file = f"{TRAIN_IMAGES}.gz"
    assert refusal("fashion-mnist", mnist) == (
        f"{mnist / file}: expected Fashion-MNIST's {TRAIN_IMAGES}, got MNIST's {TRAIN_IMAGES}"
    )
    assert f"MNIST's {TRAIN_IMAGES}, got Kuzushiji-MNIST's" in refusal("fashion-mnist", kmnist)
    assert f"MNIST's {TRAIN_IMAGES}, got Kuzushiji-MNIST's" in refusal("mnist", kmnist)
    assert quietly("kmnist", kmnist)[0].source == f"Kuzushiji-MNIST in {kmnist}"
    (kmnist / f"{TEST_IMAGES}.gz").write_bytes((kmnist / file).read_bytes())
    assert refusal("kmnist", kmnist).endswith(
        f"{TEST_IMAGES}, got Kuzushiji-MNIST's {TRAIN_IMAGES}"
    )


def test_stroke_digits():
    data = stroke_digits(seed=3, train=40, test=20)
    images, labels, factors = strokes.generate(40, seed=3)
    test_factors = strokes.generate(20, seed=3, part=1)[2]
    np.testing.assert_array_equal(data.train_images, images)
    np.testing.assert_array_equal(data.train_labels, labels)
    assert data.test_images.shape == (20, 28, 28)
    assert set(data.train_factors) == set(data.test_factors) == set(strokes.FACTORS)
    for name in factors:
        np.testing.assert_array_equal(data.train_factors[name], factors[name])
        np.testing.assert_array_equal(data.test_factors[name], test_factors[name])
    assert not (data.train_images[:20] == data.test_images).all((1, 2)).any()
    assert data.source == "built-in stroke digits, seed 3"
    assert data.sha256["train"] == hashlib.sha256(images.tobytes()).hexdigest()


def test_the_first_of_a_data_set(tmp_path):
    drawn = stroke_digits(seed=3, train=40, test=20)
    cut = drawn.first(train=7, test=9)
    np.testing.assert_array_equal(cut.train_images, drawn.train_images[:7])
    np.testing.assert_array_equal(cut.train_labels, drawn.train_labels[:7])
    assert len(cut.test_images) == len(cut.test_labels) == 9
    assert set(cut.train_factors) == set(strokes.FACTORS)
    for name, values in cut.train_factors.items():
        np.testing.assert_array_equal(values, drawn.train_factors[name][:7])
        assert len(cut.test_factors[name]) == 9
    assert len(drawn.first(100, 100).test_images) == 20  # all there are
    assert len(drawn.first(7).train_images) == 7 and len(drawn.first(7).test_images) == 20
    assert (cut.source, cut.sha256) == (drawn.source, drawn.sha256)
    own, _ = quietly("idx", save(tmp_path / "data", small_set()))
    assert own.train_factors is None and own.first(2, 3).test_factors is None
    assert own.first(2, 3).test_labels.shape == (3,)


def test_points_are_rows_of_their_own_shape():
    rows = np.random.default_rng(0).standard_normal((4, 2))
    points = Dataset("ring", rows, None, rows[:1], None, "drawn", {})
    assert (points.image_shape, points.pixels) == ((2,), 2)
    np.testing.assert_array_equal(next(in_order(points.train_images, np.float64)), rows)


def test_the_points_of_a_mixture_are_seeded():
    drawn = {seed: mixture_points("ring", 300, 2500, seed) for seed in (0, 1)}
    for data in drawn.values():
        radius = np.linalg.norm(data.train_images, axis=1)
        assert data.train_images.shape == (300, 2) and data.test_images.shape == (2500, 2)
        assert data.train_images.dtype == data.test_images.dtype == np.float32
        # Eight centres on the unit circle, standard deviation 0.01 (PacGAN).
        assert abs(radius.mean() - 1) < 0.01 and data.train_labels is None
        # A number of float32 may be drawn twice, a point may not.
        train, test = (
            {x.tobytes() for x in part} for part in (data.train_images, data.test_images)
        )
        assert not train & test
        for part, x in (("train", data.train_images), ("test", data.test_images)):
            assert data.sha256[part] == hashlib.sha256(x.tobytes()).hexdigest()
    assert drawn[0].sha256 != drawn[1].sha256
    assert drawn[0].sha256["train"] != drawn[0].sha256["test"]
    assert mixture_points("grid", 10, 10).name == "grid"


def test_choosing_strokes_looks_nowhere(tmp_path, small_strokes):
    data, said = quietly("strokes", tmp_path / "nowhere", seed=4)
    assert data.source == "built-in stroke digits, seed 4" and said == []


# Downloads


def test_download_into_the_cache_once(tmp_path, change, small_mnist, two_mirrors):
    first, second = two_mirrors
    change("mnist", mirrors=(first.url, second.url))
    first.files = zipped(tmp_path, small_mnist)
    data, said = quietly("mnist")
    np.testing.assert_array_equal(data.train_images, small_mnist[TRAIN_IMAGES])
    assert said == [f"Downloading {first.url}{name}.gz" for name in datasets.FILES]
    cache = tmp_path / "cache" / "mnist"
    assert sorted(p.name for p in cache.iterdir()) == sorted(f"{n}.gz" for n in datasets.FILES)
    assert quietly("auto")[0].source == f"MNIST in {cache}"
    assert len(first.asked) == 4 and second.asked == []
    (cache / f"{TEST_LABELS}.gz").unlink()
    assert quietly("mnist")[1] == [f"Downloading {first.url}{TEST_LABELS}.gz"]


@pytest.mark.parametrize("fault", ["web page", "other data", "cut gzip"])
def test_a_mirror_must_send_the_file_that_was_published(
    tmp_path, change, small_mnist, two_mirrors, fault
):
    bad, good = two_mirrors
    change("mnist", mirrors=(bad.url, good.url))
    good.files = zipped(tmp_path, small_mnist)
    name = f"{TRAIN_LABELS}.gz"
    content = {
        "web page": b"<html>Please sign in",
        "other data": gzip.compress(b"\0\0\x08\x01\0\0\0\x1e" + bytes(30)),
        "cut gzip": good.files[name][:-5],
    }[fault]
    bad.files = good.files | {name: content}
    data, said = quietly("mnist")
    np.testing.assert_array_equal(data.train_labels, small_mnist[TRAIN_LABELS])
    assert f"Downloading {good.url}{name}" in said


def test_a_mirror_that_unzips_is_as_good_where_the_content_has_a_hash(
    tmp_path, change, small_mnist, two_mirrors
):
    change("mnist", mirrors=(two_mirrors[0].url,))
    two_mirrors[0].files = {
        name: gzip.decompress(content) for name, content in zipped(tmp_path, small_mnist).items()
    }
    assert quietly("mnist")[0].sha256 == DATASETS["mnist"].sha256


def test_where_the_archive_has_the_hash_a_download_must_be_that(
    tmp_path, change, small_fashion, two_mirrors
):
    """The same arrays, zipped anew: good in a folder, but not what a mirror should have."""
    anew, published = two_mirrors
    change("fashion-mnist", mirrors=(anew.url, published.url))
    anew.files = {
        name: gzip.compress(gzip.decompress(content), 1) for name, content in small_fashion.items()
    }
    assert "(127.0.0.1: sent something else than the file; 127.0.0.1: answered 403)" in refusal(
        "fashion-mnist"
    )
    published.files = small_fashion
    data, _ = quietly("fashion-mnist")
    assert data.source == f"Fashion-MNIST in {tmp_path / 'cache' / 'fashion-mnist'}"
    assert len(anew.asked) == 2  # its first file, each time


def test_each_data_set_is_downloaded_into_a_folder_of_its_own(
    tmp_path, change, two_mirrors, small_mnist, small_fashion, small_kmnist
):
    fashion, kmnist = two_mirrors
    change("fashion-mnist", mirrors=(fashion.url,))
    change("kmnist", mirrors=(kmnist.url,))
    fashion.files, kmnist.files = small_fashion, small_kmnist
    cache = tmp_path / "cache"
    save(cache / "mnist", small_mnist)
    for name, title in (
        ("fashion-mnist", "Fashion-MNIST"), ("kmnist", "Kuzushiji-MNIST"), ("mnist", "MNIST"),
    ):  # fmt: skip
        assert quietly(name)[0].source == f"{title} in {cache / name}"


def test_no_mirror_has_it(change, two_mirrors, small_mnist, small_strokes):
    change("mnist", mirrors=tuple(mirror.url for mirror in two_mirrors))
    assert "could not be downloaded (127.0.0.1: answered 403; 127.0.0.1: ans" in refusal("mnist")
    data, _ = quietly("auto", seed=6)
    assert data.source == "built-in stroke digits, seed 6"


def test_a_cache_that_cannot_be_written(tmp_path, small_strokes):
    (tmp_path / "cache").write_bytes(b"in the way")
    sentence = f"({tmp_path / 'cache' / 'mnist'}: the cache cannot be written into ("
    assert sentence in refusal("mnist") and "set TINYGEN_CACHE_DIR to a folder" in refusal("mnist")
    data, (fact, remedy) = quietly("auto")
    assert (
        data.name == "strokes"
        and "--data mnist says why" in fact
        and "set TINYGEN_DATA_DIR" in remedy
    )


def test_a_complete_cache_is_only_read(tmp_path, monkeypatch, small_mnist):
    save(tmp_path / "cache" / "mnist", small_mnist)
    monkeypatch.setattr(datasets, "download", lambda *_, **__: pytest.fail("it was written into"))
    assert quietly("mnist")[1] == []


@pytest.mark.parametrize("fault", ["cut", "another file", "empty", "unzipped under another name"])
def test_a_damaged_file_in_the_cache_is_fetched_again(
    tmp_path, change, small_mnist, two_mirrors, fault
):
    change("mnist", mirrors=(two_mirrors[0].url,))
    two_mirrors[0].files = zipped(tmp_path, small_mnist)
    cache = save(tmp_path / "cache" / "mnist", small_mnist)
    path, good = cache / f"{TEST_LABELS}.gz", two_mirrors[0].files[f"{TEST_LABELS}.gz"]
    if fault == "unzipped under another name":
        path.unlink()
        path = cache / TEST_LABELS.replace("-idx", ".idx")
    path.write_bytes({"cut": good[:-3], "another file": gzip.compress(b"no")}.get(fault, b""))
    data, said = quietly("mnist")
    np.testing.assert_array_equal(data.test_labels, small_mnist[TEST_LABELS])
    assert [re.sub(": expected.*; ", ": ...; ", line) for line in said] == [
        f"{path}: ...; fetching it again", f"Downloading {two_mirrors[0].url}{TEST_LABELS}.gz",
    ]  # fmt: skip
    assert sorted(p.name for p in cache.iterdir()) == sorted(f"{n}.gz" for n in datasets.FILES)
    assert quietly("mnist")[1] == []


@pytest.mark.parametrize("choice", ["auto", "mnist"])
@pytest.mark.parametrize("again", ["damaged, too", "not there"])
def test_it_is_fetched_again_once_only(tmp_path, change, small_mnist, two_mirrors, choice, again):
    change("mnist", mirrors=(two_mirrors[0].url,))
    cache = save(tmp_path / "cache" / "mnist", small_mnist)
    path = cache / f"{TEST_LABELS}.gz"
    path.write_bytes(b"damaged")
    if again == "damaged, too":
        two_mirrors[0].files = {path.name: b"damaged as well"}
    message = refusal(choice)
    assert message.startswith(f"{path}: expected") and "could not be fetched again (127" in message
    assert two_mirrors[0].asked == [path.name] and path.read_bytes() == b"damaged"


def test_a_users_own_file_is_never_touched(tmp_path, monkeypatch, change, small_mnist, two_mirrors):
    change("mnist", mirrors=(two_mirrors[0].url,))
    two_mirrors[0].files = zipped(tmp_path, small_mnist)
    path = save(tmp_path / "mine", small_mnist) / f"{TEST_LABELS}.gz"
    path.write_bytes(b"damaged")
    monkeypatch.setenv("TINYGEN_DATA_DIR", str(path.parent))
    for data_dir in (path.parent, None):
        assert refusal("mnist", data_dir).startswith(f"{path}: expected an IDX file")
    assert two_mirrors[0].asked == [] and path.read_bytes() == b"damaged"


# No network


def test_without_a_network_auto_says_what_it_does(small_strokes):
    data, said = quietly("auto", seed=5)
    assert data.name == "strokes" and data.source == "built-in stroke digits, seed 5"
    fact, remedy = said
    assert "MNIST could not be downloaded; these are stroke digits" in fact
    assert "DIR/mnist" in remedy and "TINYGEN_DATA_DIR=DIR" in remedy
    assert max(map(len, said)) < 80
    for needed in ("127.0.0.1: Connection refused", *datasets.FILES, "--data-dir"):
        assert needed in refusal("mnist"), "which is named for those who ask why"


@pytest.mark.parametrize("choice", TABLE)
def test_without_a_network_the_others_are_refused(choice):
    message = refusal(choice)
    assert "could not be downloaded" in message and f"DIR/{choice}" in message


# Imports

SCRIPT = """
import sys
import zipfile
import tinygen.data
tinygen.data.load("idx", sys.argv[1])
print([name for name in ("pooch", "tqdm", "requests", "cupy", "matplotlib") if name in sys.modules])
"""


def test_nothing_heavy_is_imported_before_a_download(tmp_path):
    folder = save(tmp_path / "data", small_set())
    out = subprocess.run(
        [sys.executable, "-c", SCRIPT, folder],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert out.stdout.strip() == "[]"


def test_the_cache_is_where_pooch_has_it():
    import pooch

    code = "from tinygen.data import locations; print(locations.cache_folder())"
    out = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"TINYGEN_CACHE_DIR": ""},  # as if it were not set
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert out.stdout.strip() == str(pooch.os_cache("tinygen"))


def test_the_cache_can_be_moved():
    code = "from tinygen.data import locations; print(locations.cache_folder())"
    home = str(Path.home())
    for value, folder in (("/some/where", "/some/where"), ("~/x", f"{home}/x")):
        out = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ
            | {"TINYGEN_CACHE_DIR": value, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=True,
        )
        assert out.stdout.strip() == str(Path(folder))
