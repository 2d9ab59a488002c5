"""Stroke digits are drawn from known numbers, so that a model can be evaluated against the truth.

Each digit is a few smooth strokes in two ways of writing it, and an image is a blend of the two,
bent, slanted, scaled and drawn with a round pen. Nothing is downloaded, and every number that
shaped an image is returned.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from tinygen.errors import InputError

SIDE = 28
HALF_HEIGHT = 8.65  # pixels: with the pen's own width, a digit is as high as MNIST's 20
SOFTNESS = 1.3  # pixels over which the pen's edge fades, as wide as in MNIST
SEGMENT = 0.3  # the length of the straight pieces of a stroke, in half digit heights

# name: (centre, reach); a factor lies within centre +- reach, with a bell-shaped distribution
# except for "form", which is uniform.
FACTORS = {
    "form": (0.5, 0.5),  # 0 is the first way to write the digit, 1 the second
    "slant": (0.12, 0.48),  # columns to the right for each row upwards
    "tilt": (0.04, 0.14),  # rows upwards for each column to the right
    "bend": (0.0, 0.22),  # how far the ends are bowed to the right, in half digit heights
    "width": (1.12, 0.32),  # times the drawing's own width
    "scale": (0.95, 0.09),  # times MNIST's height of 20 pixels
    "thickness": (2.7, 1.4),  # pixels
    "shift_x": (0.0, 1.0),  # pixels to the right
    "shift_y": (0.0, 1.0),  # pixels down
}

# For each digit its strokes, and for each stroke a first and a second way to write it: the points
# "x y" that a smooth curve passes through, in hundredths of half the digit's height, y downwards. A
# curve that ends where it starts is smooth there too.
_DIGITS: tuple[tuple[tuple[str, str], ...], ...] = (
    (  # 0
        (
            "10 -100  -36 -70  -50 0  -36 72  0 100  38 70  50 0  42 -68  10 -100",
            "20 -95  -40 -80  -70 0  -50 70  0 97  52 65  70 -5  50 -75  20 -95",
        ),
    ),
    (  # 1
        ("0 -95  2 -100", "-36 -60  6 -100"),
        ("2 -100  0 0  -2 100", "6 -100  4 0  0 100"),
    ),
    (  # 2
        (
            "-50 -58  -15 -97  32 -88  46 -45  20 10  -20 58  -58 95",
            "-45 -70  -2 -100  42 -75  38 -30  5 30  -35 85  -62 72",
        ),
        ("-58 95  0 93  60 95", "-62 72  -10 75  68 95"),
    ),
    (  # 3
        ("-46 -76  -2 -100  40 -70  26 -24  -12 -6", "-50 -92  0 -98  46 -88  20 -46  -8 -14"),
        ("-12 -6  34 10  50 50  12 96  -50 76", "-8 -14  40 4  48 56  0 100  -52 84"),
    ),
    (  # 4
        ("-36 -92  -46 -40  -52 12", "26 -100  -16 -40  -62 30"),
        ("-52 12  0 12  46 4", "-62 30  0 30  62 28"),
        ("36 -96  26 0  20 100", "26 -100  26 0  24 100"),
    ),
    (  # 5
        ("46 -95  8 -95  -32 -92", "52 -97  16 -88  -22 -84"),
        ("-32 -92  -36 -55  -42 -16", "-22 -84  -36 -50  -48 -12"),
        (
            "-42 -16  5 -28  46 10  38 70  -6 98  -52 76",
            "-48 -12  -5 -22  30 16  26 66  -14 100  -60 92",
        ),
    ),
    (  # 6
        (
            "42 -96  -16 -58  -52 12  -44 75  2 100  50 66  36 16  -6 6  -46 46",
            "-2 -100  -36 -50  -52 10  -40 78  10 98  56 58  40 10  -4 8  -38 60",
        ),
    ),
    (  # 7
        ("-54 -90  0 -92  50 -92", "-56 -72  -10 -94  54 -84"),
        ("50 -92  12 -10  -16 100", "54 -84  20 0  10 100"),
        ("6 6  10 6", "-20 8  56 0"),
    ),
    (  # 8
        (
            "44 -72  0 -100  -44 -70  -26 -28  28 12  48 58  0 100  -48 60  -30 14  26 -26  44 -72",
            "52 -84  -2 -98  -52 -64  -22 -20  22 16  36 64  -6 99  -42 66  -20 16  28 -28  52 -84",
        ),
    ),
    (  # 9
        (
            "42 -68  2 -100  -46 -70  -42 -18  2 2  36 -26  42 -68",
            "36 -74  -12 -98  -56 -58  -44 -10  -6 -6  26 -34  36 -74",
        ),
        ("42 -68  40 10  28 100", "36 -74  38 30  -34 100"),
    ),
)


def generate(
    n: int, seed: int = 0, *, part: int = 0, block: int = 128
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Draw n stroke digits: images (n, 28, 28) and labels (n,), both uint8, and their factors.

    `factors` maps each name of `FACTORS` to (n,) float32, in the units given there; labels and
    factors are independent of one another. Image i depends on (seed, part, i) alone: a smaller set
    is the start of a larger one, and `block`, the number of images drawn at a time, changes only
    the speed. Another `part` holds other images of the same kind: 0 is for training, 1 for testing.

    Raises:
        InputError: n is below 1.

    >>> images, labels, factors = generate(100, seed=1)
    >>> images.shape, images.dtype, labels.shape, factors["slant"].shape
    ((100, 28, 28), dtype('uint8'), (100,), (100,))
    """
    if n < 1:
        raise InputError(f"strokes: expected at least one image to draw, got {n}")
    labels, factors = _draw_factors(n, seed, part)
    images = np.empty((n, SIDE, SIDE), np.uint8)
    for digit in range(10):
        members = np.flatnonzero(labels == digit)
        for start in range(0, len(members), block):
            chosen = members[start : start + block]
            f = {name: values[chosen] for name, values in factors.items()}
            images[chosen] = _ink(*_place(digit, f), f["thickness"])
    return images, labels, factors


def _draw_factors(n: int, seed: int, part: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    # A spawn key keeps these streams apart from every other use of the same seed.
    label_stream, factor_stream = np.random.SeedSequence(seed, spawn_key=(28, part)).spawn(2)
    labels = np.random.default_rng(label_stream).integers(0, 10, n).astype(np.uint8)
    u = np.random.default_rng(factor_stream).random((n, len(FACTORS), 3), dtype=np.float32)
    u = 2 * u - 1
    # The mean of three uniforms is bell-shaped, and unlike a normal never leaves its range.
    bell = (u[:, :, 0] + u[:, :, 1] + u[:, :, 2]) / 3
    factors = {
        name: np.ascontiguousarray(centre + reach * (u[:, k, 0] if name == "form" else bell[:, k]))
        for k, (name, (centre, reach)) in enumerate(FACTORS.items())
    }
    return labels, factors


def _place(digit: int, f: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of every segment in pixels: two arrays (segments, 2 for x y, b).

    Sums over segments are taken one by one (Python's sum), since NumPy's order of summation depends
    on how many images there are, and an image must be the same, bit for bit, in any batch.
    """
    first, second = _drawing(digit)  # (segments, 2 ends, 2 for x y)
    points = first[..., None] + (second - first)[..., None] * f["form"]
    x, y = points[:, :, 0], points[:, :, 1]  # (segments, 2 ends, b)
    x = x * f["width"]
    x = x + f["bend"] * (y * y) - f["slant"] * y
    y = y - f["tilt"] * x
    length = np.sqrt((x[:, 1] - x[:, 0]) ** 2 + (y[:, 1] - y[:, 0]) ** 2)
    size = HALF_HEIGHT * f["scale"]

    def centred(z: np.ndarray, shift: np.ndarray) -> np.ndarray:
        # As in MNIST the centre of mass lies in the middle of the image, before the shift.
        mass = sum(length * (z[:, 0] + z[:, 1]) / 2) / sum(length)
        return (z - mass) * size + ((SIDE - 1) / 2 + shift)

    x, y = centred(x, f["shift_x"]), centred(y, f["shift_y"])
    return np.stack([x[:, 0], y[:, 0]], axis=1), np.stack([x[:, 1], y[:, 1]], axis=1)


def _ink(start: np.ndarray, end: np.ndarray, thickness: np.ndarray) -> np.ndarray:
    """Draw segments with a round pen: (segments, 2, b) twice, (b,) -> uint8 images (b, 28, 28).

    How black a pixel is depends on its distance to the nearest segment. In coordinates along and
    across a segment of half length h, measured from its middle,

        distance^2 = max(|along| - h, 0)^2 + across^2

    and each coordinate is a term of the row plus a term of the column. Images are on the last axis,
    so that all of this is contiguous.
    """
    step = end - start
    length = np.sqrt(step[:, 0] ** 2 + step[:, 1] ** 2)
    ux, uy = (step / np.maximum(length, 1e-6)[:, None]).swapaxes(0, 1)
    mx, my = ((start + end) / 2).swapaxes(0, 1)
    half = length / 2
    pixel = np.arange(SIDE, dtype=np.float32)[:, None]
    shape = (SIDE, SIDE, len(thickness))
    nearest = np.full(shape, np.inf, np.float32)
    along, across = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for s in range(len(half)):
        column, row = pixel - mx[s], pixel - my[s]  # (28, b)
        np.add((row * uy[s])[:, None], column * ux[s], out=along)
        np.abs(along, out=along)
        np.subtract(along, half[s], out=along)
        np.maximum(along, 0, out=along)
        np.multiply(along, along, out=along)
        np.subtract((row * ux[s])[:, None], column * uy[s], out=across)
        np.multiply(across, across, out=across)
        np.add(along, across, out=along)
        np.minimum(nearest, along, out=nearest)
    np.sqrt(nearest, out=nearest)
    ink = np.clip((thickness / 2 - nearest) / SOFTNESS + 0.5, 0, 1)
    return np.rint(ink * 255).astype(np.uint8).transpose(2, 0, 1)


@cache
def _drawing(digit: int) -> tuple[np.ndarray, np.ndarray]:
    """Both ways to write a digit as straight segments: twice (segments, 2 ends, 2 for x y)."""
    pieces = []
    for first, second in _DIGITS[digit]:
        ways = np.array([first.split(), second.split()], float).reshape(2, -1, 2) / 100
        t = np.linspace(0, ways.shape[1] - 1, 400)
        fine = _curve(ways, t)
        # Cut into equal lengths, both ways at the same parameters, so that blends stay smooth.
        steps = np.hypot(*np.diff(fine, axis=1).transpose(2, 0, 1)).mean(axis=0)
        travelled = np.concatenate([[0], np.cumsum(steps)])
        count = int(np.ceil(travelled[-1] / SEGMENT))
        points = _curve(ways, np.interp(np.linspace(0, travelled[-1], count + 1), travelled, t))
        pieces.append(np.stack([points[:, :-1], points[:, 1:]], axis=2))
    first, second = np.concatenate(pieces, axis=1).astype(np.float32)
    return first, second


def _curve(points: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The Catmull-Rom spline through (2, k, 2) points at t in [0, k - 1]: (2, len(t), 2)."""
    if np.array_equal(points[:, 0], points[:, -1]):
        before, after = points[:, -2:-1], points[:, 1:2]
    else:
        before, after = points[:, :1], points[:, -1:]
    p = np.concatenate([before, points, after], axis=1)
    i = np.minimum(t.astype(int), points.shape[1] - 2)
    s = (t - i)[:, None]
    a, b, c, d = p[:, i], p[:, i + 1], p[:, i + 2], p[:, i + 3]
    return b + 0.5 * s * (c - a + s * (2 * a - 5 * b + 4 * c - d + s * (3 * (b - c) + d - a)))
