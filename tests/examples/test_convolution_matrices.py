"""The pictures of docs/derivations/conv.md."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.image import imread
from running import example, run_there

from tinygen.byhand.conv import Conv, ConvTranspose

HERE = example("convolution_matrices")


def test_pictures(tmp_path: Any) -> None:
    done = run_there("--out", tmp_path / "run", name="convolution_matrices")
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("matrix.png", "checkerboard.png"):
        assert imread(tmp_path / "run" / name).std() > 0.05, "it is not empty"
    rows = [line.partition("[")[2] for line in done.stdout.splitlines()]
    assert [row[:7] for row in rows[:3]] == ["4 2 4 2", "4 4 4 4", "9 9 9 9"]


def test_a_matrix_is_the_transpose_of_the_other() -> None:
    conv, transposed = Conv((4, 5), 3, 2, 1), ConvTranspose((4, 5), 3, 2, 1)
    M = HERE.matrix(conv)
    np.testing.assert_array_equal(HERE.matrix(transposed), M.T)
    assert M.shape == (20, 6) and set(M.ravel()) == {*range(10)}
