"""The film of a training: it grows, resumes, survives damage, and shows what it should."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from picture_files import frames_of
from PIL import Image

from tinygen import plots
from tinygen.plots.film import MAX_SIDE
from tinygen.plots.style import DATA_COLOUR, FIELD_COLOURS, SAMPLE_COLOUR


def grow(path, epochs, seed=0, shape=(28, 30)):
    for epoch in epochs:
        images = np.random.default_rng((seed, epoch)).random((5, shape[0] * shape[1]))
        plots.add_frame(path, images, shape, 3, epoch)


def test_an_animation_grows_and_what_it_had_stays(tmp_path):
    path = tmp_path / "x.gif"
    before = np.empty((0, 132, 180, 3), np.uint8)
    for epoch in range(6):
        grow(path, [epoch])
        now, milliseconds = frames_of(path)
        assert now.shape == (epoch + 1, 132, 180, 3)  # 2 x 28 rows twice, and 20 for the epoch
        assert milliseconds == [200] * epoch + [2000]
        assert np.array_equal(now[:-1], before)
        before = now
    assert os.listdir(tmp_path) == ["x.gif"]


def test_a_frame_shows_the_images(tmp_path):
    images = np.array([[0, 0.5, 1, 1.5], [1, 0, -0.5, 1], [1, 1, 1, 1]])
    large = images.reshape(3, 2, 2).repeat(30, axis=1).repeat(30, axis=2).reshape(3, -1)
    plots.add_frame(tmp_path / "x.gif", large, (60, 60), 2, epoch=12)
    (frame,), milliseconds = frames_of(tmp_path / "x.gif")
    assert milliseconds == [2000] and frame.shape == (20 + 4 * 60, 4 * 60, 3)  # twice as large
    found = frame[20 + 30 :: 60, 30::60, 0]
    expected = 255 - 255 * np.array([[0, 0.5, 1, 0], [1, 1, 0, 1], [1, 1, 0, 0], [1, 1, 0, 0]])
    assert abs(found - expected).max() <= 255 / 62 + 1, "half a step of 32 greys"
    assert frame[:20].min() < 100, "the epoch is written above"
    assert np.array_equal(frame[20:].reshape(4, 60, 4, 60, 3).min(axis=(1, 3))[..., 0], found)


@pytest.mark.parametrize("shape", [(1, 70_000), (70_000, 1), (500, 500)])
def test_a_frame_of_large_images_is_made_small(tmp_path, shape):
    """GIF knows no side of more than 65,535 pixels, and all frames are held in memory."""
    images = np.ones((4, shape[0] * shape[1]))
    for epoch in (1, 2):
        plots.add_frame(tmp_path / "x.gif", images, shape, 2, epoch)
    frames, _ = frames_of(tmp_path / "x.gif")
    assert len(frames) == 2 and max(frames[0].shape) <= MAX_SIDE + 20


@pytest.mark.parametrize("columns", [1, 4])
def test_equal_images_are_a_frame_for_each_epoch(tmp_path, columns):
    """Pillow would leave out a frame that is equal to the one before it."""
    path = tmp_path / "x.gif"
    epochs = [0, 1, 2, 100_000, 100_001]
    for epoch in epochs:
        plots.add_frame(path, np.zeros((4, 12)), (3, 4), columns, epoch)
    assert frames_of(path)[1] == [200] * 4 + [2000]


def test_a_resumed_run_replaces_the_frames_it_draws_again(tmp_path):
    path = tmp_path / "x.gif"
    grow(path, [0, 2, 4, 6])
    old, _ = frames_of(path)
    grow(path, [3, 6], seed=1)
    new, milliseconds = frames_of(path)
    assert len(new) == 4 and milliseconds == [200] * 3 + [2000]
    assert np.array_equal(new[:2], old[:2])
    assert not np.array_equal(new[3], old[3])


def test_an_interrupted_run_leaves_the_animation_of_one_that_was_not(tmp_path):
    grow(tmp_path / "whole.gif", range(5))
    grow(tmp_path / "resumed.gif", [*range(4), *range(2, 5)])
    whole, resumed = (tmp_path / f"{name}.gif" for name in ("whole", "resumed"))
    assert whole.read_bytes() == resumed.read_bytes()


def test_an_animation_of_many_epochs(tmp_path):
    """Their list is longer than one block of a GIF, of 255 bytes."""
    path = tmp_path / "x.gif"
    for epoch in range(100_000, 100_040):
        plots.add_frame(path, np.zeros((1, 12)), (3, 4), 1, epoch)
    assert len(frames_of(path)[0]) == 40


@pytest.mark.parametrize("fraction", [0, 0.01, 0.5, 0.99])
def test_a_truncated_animation_is_replaced(tmp_path, fraction):
    path = tmp_path / "x.gif"
    grow(path, range(5))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(fraction * len(whole))])
    grow(path, [5])
    alone = frames_of(path)[0]
    assert len(alone) == 1
    path.write_bytes(whole)
    grow(path, [5])
    assert np.array_equal(frames_of(path)[0][-1], alone[0])


def other_gif(path, comment, size=(180, 132)):
    a, b = (Image.new("L", size, shade) for shade in (0, 200))
    options = {} if comment is None else {"comment": comment}
    a.save(path, save_all=True, append_images=[b], **options)


@pytest.mark.parametrize("comment", [None, "hello", "[1]", "[2, 1]", "[1, 1]", '["a", "b"]', "3"])
def test_the_animation_of_another_program_is_replaced(tmp_path, comment):
    path = tmp_path / "x.gif"
    other_gif(path, comment)
    grow(path, [7])
    assert len(frames_of(path)[0]) == 1


def test_it_is_the_comment_that_says_which_epochs_an_animation_has(tmp_path):
    """So that the test before this one can fail."""
    path = tmp_path / "x.gif"
    other_gif(path, json.dumps([1, 2]))
    grow(path, [7])
    assert len(frames_of(path)[0]) == 3


@pytest.mark.parametrize("content", [b"", b"nonsense", b"GIF89a", b"GIF89a" + b"\xff" * 100])
def test_what_is_no_animation_is_replaced(tmp_path, content):
    path = tmp_path / "x.gif"
    path.write_bytes(content)
    grow(path, [0, 1])
    assert len(frames_of(path)[0]) == 2


def test_frames_of_another_size_are_dropped(tmp_path):
    path = tmp_path / "x.gif"
    grow(path, [0, 1])
    grow(path, [2, 3], shape=(30, 28))
    assert frames_of(path)[0].shape == (2, 140, 168, 3)


def test_any_damage_costs_frames_at_most(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "x.gif"
    grow(path, range(3), shape=(8, 8))
    whole = path.read_bytes()
    for _ in range(40):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        grow(path, [3], shape=(8, 8))
        with Image.open(path) as gif:
            assert 1 <= gif.n_frames <= 4


def test_a_frame_that_cannot_be_written_leaves_the_animation(tmp_path, monkeypatch):
    path = tmp_path / "x.gif"
    grow(path, [0, 1])
    before = path.read_bytes()

    def fail(self, file, **options):
        file.write(b"half a pic")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="No space left"):
        grow(path, [2])
    assert os.listdir(tmp_path) == ["x.gif"] and path.read_bytes() == before


def coloured(path, epochs, seed=0):
    for epoch in epochs:
        images = np.random.default_rng((seed, epoch)).random((5, 6 * 7 * 3))
        plots.add_frame(path, images, (6, 7, 3), 3, epoch)


def test_a_frame_of_colours_shows_them_to_the_nearest_of_216(tmp_path):
    images = np.random.default_rng(0).random((4, 5, 60, 3))
    plots.add_frame(tmp_path / "x.gif", images.reshape(4, -1), (5, 60, 3), 2, epoch=1)
    (frame,), _ = frames_of(tmp_path / "x.gif")
    assert frame.shape == (20 + 2 * 10, 2 * 120, 3)
    tiles = np.concatenate([np.concatenate(images[k : k + 2], axis=1) for k in (0, 2)])
    error = abs(frame[20::2, ::2] / 255 - tiles).max(axis=(0, 1))
    # Half a step of 6 levels, each rounded down to a multiple of 4.
    assert (error < 0.5 / 5 + 4 / 255).all()
    assert frame[0, -1].tolist() == [252] * 3 and frame[:20].min() == 0, "the epoch is above"


def test_an_animation_in_colour_grows_and_resumes_as_one_in_grey_does(tmp_path):
    path, before = tmp_path / "whole.gif", np.empty((0, 44, 90, 3), np.uint8)
    for epoch in range(4):
        coloured(path, [epoch])
        now, milliseconds = frames_of(path)
        assert now.shape == (epoch + 1, 44, 90, 3) and milliseconds == [200] * epoch + [2000]
        assert np.array_equal(now[:-1], before)
        before = now
    coloured(tmp_path / "resumed.gif", [0, 1, 2])
    coloured(tmp_path / "resumed.gif", [2], seed=1)
    coloured(tmp_path / "resumed.gif", [1, 2, 3])
    assert path.read_bytes() == (tmp_path / "resumed.gif").read_bytes()


# Points of the plane. The square below reaches from -2 to 2; a pixel of a frame is 0.01 wide.

POINTS = np.array([[1.0, 1.5], [-1.0, 0.5], [0.3, -1.9]])


def rgb(colour):
    """A colour as a frame has it, rounded down to multiples of 4."""
    return [*(np.round(255 * np.array(to_rgb(colour))).astype(int) & 252)]


def frame_of(path):
    """The only frame of an animation, without what stands above it: (400, 400, 3)."""
    (frame,), _ = frames_of(path)
    assert frame.shape == (420, 400, 3)
    return frame[20:].astype(int)


def places(frame, colour):
    """Where a frame has a colour: the middles of its pixels in the plane, (n, 2)."""
    rows, columns = np.nonzero((frame == rgb(colour)).all(axis=2))
    return np.stack([columns + 0.5 - 200, 200 - rows - 0.5], axis=1) / 100


def test_a_frame_of_the_plane_shows_points_and_the_field_where_they_are(tmp_path):
    # Real where x > 0 and y > 0, and the higher the more.
    x, y = plots.plane_points(2.0).T
    field = np.where((x > 0) & (y > 0), y / 2, 0).reshape(plots.FIELD_SIDE, -1)
    plots.add_mixture_frame(tmp_path / "x.gif", POINTS[:2], POINTS[2:], 2.0, 3, field)
    frame = frame_of(tmp_path / "x.gif")
    for colour, points in ((DATA_COLOUR, POINTS[2:]), (SAMPLE_COLOUR, POINTS[:2])):
        found = places(frame, colour)
        assert len(found) == 4 * len(points)
        nearest = abs(found[:, None] - points).max(axis=2).argmin(axis=1)
        assert abs(found - points[nearest]).max() <= 0.02 + 1e-9
        assert {*nearest} == {*range(len(points))}
    assert frame[399, 0].tolist() == frame[0, 0].tolist() == rgb(FIELD_COLOURS[0])
    assert frame[0, 399].tolist() == rgb(FIELD_COLOURS[2])
    assert np.all(frame[98:102, 250] == rgb("white")), "y = 1 is a field of 1/2"


def test_samples_hide_the_data_and_those_outside_are_counted(tmp_path):
    far = np.array([[2.001, 0], [0, -2.001], [1e300, 0], [-np.inf, 1]])
    plots.add_mixture_frame(tmp_path / "x.gif", POINTS, POINTS, 2.0, 3)
    plots.add_mixture_frame(tmp_path / "y.gif", np.concatenate([POINTS, far]), POINTS, 2.0, 3)
    one, other = (frame_of(tmp_path / name) for name in ("x.gif", "y.gif"))
    assert len(places(one, DATA_COLOUR)) == 0 and len(places(one, SAMPLE_COLOUR)) == 12
    assert np.array_equal(one, other)
    above = [frames_of(tmp_path / name)[0][0, :20] for name in ("x.gif", "y.gif")]
    dark = [np.flatnonzero((part < 100).any(axis=(0, 2))) for part in above]
    assert dark[0].max() < 60 < 100 < dark[1].max() < 300, "the second says how many"


def test_centres_have_a_circle_each(tmp_path):
    plots.add_mixture_frame(tmp_path / "x.gif", [[9.0, 9]], [[9.0, 9]], 2.0, 3, centres=POINTS[:2])
    found = places(frame_of(tmp_path / "x.gif"), "black")
    distance = np.linalg.norm(found[:, None] - POINTS[:2], axis=2).min(axis=1)
    assert len(found) > 40 and distance.min() > 0.045 and distance.max() < 0.085


def grow_plane(path, epochs, seed=0):
    for epoch in epochs:
        rng = np.random.default_rng((seed, epoch))
        field = rng.random((20, 20))  # all the colours there are
        plots.add_mixture_frame(path, *rng.normal(0, 1, (2, 50, 2)), 2.0, epoch, field, POINTS)


def test_an_animation_of_the_plane_grows_and_resumes_as_that_of_images_does(tmp_path):
    path, before = tmp_path / "whole.gif", np.empty((0, 420, 400, 3), np.uint8)
    for epoch in range(4):
        grow_plane(path, [epoch])
        now, milliseconds = frames_of(path)
        assert now.shape == (epoch + 1, 420, 400, 3)
        assert milliseconds == [200] * epoch + [2000]
        assert np.array_equal(now[:-1], before)
        before = now
    grow_plane(tmp_path / "resumed.gif", [0, 1, 2])
    grow_plane(tmp_path / "resumed.gif", [2], seed=1)
    grow_plane(tmp_path / "resumed.gif", [1, 2, 3])
    assert path.read_bytes() == (tmp_path / "resumed.gif").read_bytes()


def test_a_film_of_sixty_frames_is_small(tmp_path):
    """As of a training: a smooth field that moves, points at twenty-five modes."""
    path, rng = tmp_path / "x.gif", np.random.default_rng(0)
    x, y = plots.plane_points(5.0).T
    modes = np.stack(np.meshgrid(*[np.arange(-4.0, 5, 2)] * 2), axis=-1).reshape(-1, 2)

    def points(n, deviation):
        return modes[rng.integers(0, 25, n)] + deviation * rng.standard_normal((n, 2))

    real = points(1000, 0.05)
    for epoch in range(4):
        field = 0.5 + 0.4 * np.sin(x + epoch) * np.cos(y)
        field = field.reshape(plots.FIELD_SIDE, -1)
        plots.add_mixture_frame(path, points(2500, 0.2), real, 5.0, epoch, field, modes)
    assert path.stat().st_size < 4 / 60 * 3e6
