"""Pictures of a folder, as Pillow wrote them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tinygen as tg
from tinygen.data import from_arrays, from_folder, load
from tinygen.data.datasets import Dataset
from tinygen.errors import InputError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (10, 3, 4), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (10, 3, 4, 3), dtype=np.uint8)


def written(folder: Path, images: Any, ending: str = "png", names: str = "abcdefghij") -> Path:
    folder.mkdir(exist_ok=True)
    for name, image in zip(names, images, strict=True):
        Image.fromarray(image).save(folder / f"{name}.{ending}")
    return folder


def all_of(data: Dataset) -> Any:
    return np.concatenate([data.train_images, data.test_images])


def rows(images: Any) -> list[bytes]:
    return sorted(image.tobytes() for image in images)


@pytest.mark.parametrize("images", [GREY, COLOUR])
def test_each_picture_is_there_once(tmp_path: Path, images: Any) -> None:
    data = from_folder(written(tmp_path, images), test_fraction=0.3)
    assert data.train_images.shape == (7, *images.shape[1:]) and len(data.test_images) == 3
    assert rows(all_of(data)) == rows(images) and data.train_labels is None
    assert data.train_images.dtype == np.uint8 and str(tmp_path) in data.source


def test_a_sub_folder_is_a_class(tmp_path: Path) -> None:
    for name, some in {"b": COLOUR[:6], "a": COLOUR[6:]}.items():
        written(tmp_path / name, some, names="abcdef"[: len(some)])
    (tmp_path / "empty").mkdir()
    (tmp_path / "a" / ".hidden.png").write_bytes(b"of the system")
    data = from_folder(tmp_path, test_fraction=0.5)
    labels = np.concatenate([data.train_labels, data.test_labels])
    expected = {image.tobytes(): int(k < 6) for k, image in enumerate(COLOUR)}
    assert [expected[image.tobytes()] for image in all_of(data)] == labels.tolist()


def test_the_seed_decides_which_are_set_apart(tmp_path: Path) -> None:
    written(tmp_path, GREY)
    one, same, other = (from_folder(tmp_path, test_fraction=0.4, seed=k) for k in (1, 1, 2))
    np.testing.assert_array_equal(one.test_images, same.test_images)
    assert rows(one.test_images) != rows(other.test_images)
    assert one.sha256 == same.sha256 != other.sha256


def test_grey_among_colours_and_other_modes_are_what_they_show(tmp_path: Path) -> None:
    Image.fromarray(GREY[0]).save(tmp_path / "a.png")
    Image.fromarray(COLOUR[0]).convert("RGBA").save(tmp_path / "b.PNG")
    Image.fromarray(GREY[1]).convert("1").save(tmp_path / "c.png")
    images = all_of(from_folder(tmp_path))
    bits = np.where(np.asarray(Image.open(tmp_path / "c.png")), 255, 0).astype(np.uint8)
    expected = [np.stack([x] * 3, axis=2) for x in (GREY[0], bits)]
    assert rows(images) == rows([*expected, COLOUR[0]])


def test_a_photograph_is_the_right_way_up(tmp_path: Path) -> None:
    """A camera that was held upright writes its rows as columns, and says so."""
    photograph = np.zeros((8, 16), np.uint8)
    photograph[:, :8] = 255  # bright at the left of the sensor
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter, clockwise, to be seen
    for name in "ab":
        Image.fromarray(photograph).save(tmp_path / f"{name}.jpg", exif=exif, quality=100)
    image = from_folder(tmp_path).train_images[0]
    assert image.shape == (16, 8) and image[:7].min() > 200 and image[9:].max() < 50


def test_what_is_not_as_expected_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: expected a folder"):
        from_folder(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"expected pictures \(\.png, .*, got none"):
        from_folder(tmp_path)
    Image.fromarray(GREY[0]).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"expected two images at least, .* got 1"):
        from_folder(tmp_path)
    Image.fromarray(GREY[0, :, :2]).save(tmp_path / "b.png")
    with pytest.raises(
        InputError, match=r"3 x 4 \(a.png\) and 3 x 2 \(b.png\).*ImageOps.fit\(picture, \(4, 3\)\)"
    ) as refused:
        from_folder(tmp_path)
    assert "\n" not in str(refused.value)
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:50])
    with pytest.raises(InputError, match=r"b\.png: expected a PNG or JPEG picture"):
        from_folder(tmp_path)
    Image.fromarray(GREY[0].astype(np.uint16)).save(tmp_path / "b.png")
    with pytest.raises(InputError, match=r"b\.png: expected 8 bits for a colour, .* I;16"):
        from_folder(tmp_path)
    written(tmp_path / "class", GREY)
    with pytest.raises(InputError, match="got both"):
        from_folder(tmp_path)


def test_the_table_of_data_has_it(tmp_path: Path) -> None:
    said: list[Any] = []
    written(tmp_path, np.full((10, 3, 4), 250, np.uint8))
    data = load("folder", tmp_path, say=said.append)
    assert rows(all_of(data)) == rows(all_of(from_folder(tmp_path)))
    assert len(said) == 1 and "dark on a bright background" in said[0]
    with pytest.raises(InputError, match="data 'folder' needs a data_dir"):
        load("folder")


def test_arrays_keep_their_labels() -> None:
    data = from_arrays(GREY, np.arange(10), test_fraction=0.26)
    assert data.train_labels is not None and data.test_labels is not None
    assert (len(data.train_labels), len(data.test_labels)) == (7, 3)
    np.testing.assert_array_equal(GREY[data.train_labels], data.train_images)
    np.testing.assert_array_equal(GREY[data.test_labels], data.test_images)
    points = from_arrays(RNG.random((10, 2)), test_fraction=0.999)
    assert len(points.train_images) == 1  # one is left
    assert len(from_arrays(GREY, test_fraction=0.001).test_images) == 1
    trained = tg.fit(tg.Autoencoder(12, (), 2), data, epochs=1, batch_size=7, quiet=True)
    assert "test_loss" in trained.history[0]


@pytest.mark.parametrize(
    ("images", "labels", "fraction", "sentence"),
    [
        (GREY, None, 0, "a test_fraction between 0 and 1, got 0"),
        (GREY, None, 1.0, "a test_fraction between 0 and 1, got 1"),
        (GREY / 255, None, 0.1, "expected uint8"),
        ([*GREY], None, 0.1, r"got a list; np\.stack\(images\)"),
        (GREY, [1, 2], 0.1, "10 images and 2 labels"),
    ],
)
def test_arrays_are_looked_at(images: Any, labels: Any, fraction: float, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        from_arrays(images, labels, test_fraction=fraction)


def test_a_data_set_of_arrays_needs_no_more_than_them() -> None:
    data = Dataset("mine", GREY[:6], None, GREY[6:], None)
    assert (data.source, data.sha256) == ("arrays", {})


def test_what_is_there_instead_of_pictures_is_named(tmp_path: Path) -> None:
    written(tmp_path, GREY, "bmp")
    with pytest.raises(InputError, match=r"got none, but files of \.bmp$"):
        from_folder(tmp_path)
    (tmp_path / "train").mkdir()
    written(tmp_path / "train" / "cats", GREY)
    with pytest.raises(InputError, match=r"got none, but some in \S+train.cats$"):
        from_folder(tmp_path)


@pytest.mark.parametrize("place", ["", "cats"])
@pytest.mark.parametrize("choice", ["auto", "mnist"])
def test_pictures_are_not_passed_over_in_favour_of_mnist(
    tmp_path: Path, place: str, choice: str
) -> None:
    written(tmp_path / place, GREY)
    with pytest.raises(InputError, match=r"has pictures and none of MNIST's files; --data folder"):
        load(choice, tmp_path)


def test_a_path_in_the_place_of_a_choice_is_asked_about(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"got a path; tg\.data\.from_folder\('"):
        load(str(tmp_path))
    with pytest.raises(InputError, match=r"got a path; tg\.data\.load\('npz', 'mine\.npz'\)$"):
        load("mine.npz")
