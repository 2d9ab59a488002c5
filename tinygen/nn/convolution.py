"""Layers for images ``(n, h, w, c)``: a convolution, and its transpose.

A convolution is a dense layer that is applied to every window of an image. As a map of whole
images, each a row, it is again a product with a matrix, sparse and with the same few numbers in
every column; a transposed convolution multiplies by the transpose of such a matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygen.backend import require_floats
from tinygen.backend.patches import Padding, Size, as_window, is_whole, smallest_size
from tinygen.errors import InputError
from tinygen.nn.initialisers import Draw
from tinygen.nn.layers import Dense, whole_numbers
from tinygen.ops import fold, matmul, patches, reshape


class Conv(Dense):
    """``patches(x) W + b``: ``(n, h, w, inputs) -> (n, oh, ow, outputs)``.

    W is ``(kernel kernel inputs, outputs)``. As everywhere in the field, the kernel is not
    flipped: strictly speaking this is a correlation.

    Args:
        inputs, outputs: the numbers of channels.
        kernel: the height and width of a window.
        stride: how far apart windows are.
        padding: how many zeros are put on each side; "same" puts enough that a stride of 1 keeps
            the size, and a stride of s divides it by s, rounded up.
        weights, biases: as in `Dense`; weights are drawn as ``(kernel, kernel, inputs, outputs)``.

    Raises:
        InputError: a number is invalid, or the input has another number of channels.
        ValueError: the window does not fit into the input.

    >>> Conv(1, 16, kernel=3, stride=2, padding=1).shapes
    {'W': (9, 16), 'b': (16,)}
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        padding: Padding = 0,
        weights: str | Draw = "he_normal",
        biases: str | Draw | None = "zeros",
    ) -> None:
        name = type(self).__name__
        inputs, outputs = whole_numbers(name, inputs, outputs, what="channels")
        window = as_window(kernel, stride, padding, where=f"{name}: ")
        super().__init__(inputs, outputs, weights, biases)
        self.kernel, self.stride, self.padding = window
        self.shapes = {**self.shapes, "W": (self.kernel**2 * self.inputs, self.outputs)}

    def _more_arguments(self) -> list[str]:
        return [f"{name}={getattr(self, name)!r}" for name in ("kernel", "stride", "padding")]

    def initialise(self, generator: np.random.Generator) -> dict[str, Any]:
        W = self.weights(generator, (self.kernel, self.kernel, self.inputs, self.outputs))
        drawn = {"W": np.reshape(W, self.shapes["W"])}
        if self.biases:
            drawn["b"] = self.biases(generator, self.shapes["W"])
        return drawn

    def __call__(self, p: Mapping[str, Any], x: Any, *, training: bool = False) -> Any:
        self._refuse_other_shapes(p, x)
        rows = patches(x, kernel=self.kernel, stride=self.stride, padding=self.padding)
        y = super().__call__(p, reshape(rows, shape=(-1, rows.shape[3])))
        return reshape(y, shape=(*rows.shape[:3], self.outputs))

    def _refuse_other_shapes(self, p: Mapping[str, Any], x: Any) -> None:
        """A bias of one number would broadcast."""
        name = type(self).__name__
        require_floats(x, where=name)
        if len(x.shape) != 4 or x.shape[3] != self.inputs:
            raise InputError(f"{name}: expected images (n, h, w, {self.inputs}), got {x.shape}")
        shapes = {key: p[key].shape for key in self.shapes if key in p}
        if shapes != self.shapes:
            raise InputError(f"{name}: expected parameters {self.shapes}, got {shapes}")


class ConvTranspose(Conv):
    """``fold(x W) + b``: ``(n, oh, ow, inputs) -> (n, h, w, outputs)``.

    W is ``(inputs, kernel kernel outputs)``. Without b, its matrix is the transpose of that of the
    `Conv` with the same kernel, stride and padding and the transposed W (not the inverse). Of the
    sizes from which that `Conv` makes ``oh`` by ``ow``, it gives the smallest.

    Args:
        output_padding: how many rows and columns to add, below and on the right, fewer than the
            stride; a number, or one for rows and one for columns.
        weights: drawn like those of that `Conv`. So "he_normal" suits the gradients going back,
            where in a `Conv` it suits the values going forward; either will do (He et al. 2015,
            section 2.2), and PyTorch and Keras do the same.

    >>> ConvTranspose(16, 1, kernel=3, stride=2, padding=1, output_padding=1).shapes
    {'W': (16, 9), 'b': (1,)}
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        padding: Padding = 0,
        output_padding: int | Size = 0,
        weights: str | Draw = "he_normal",
        biases: str | Draw | None = "zeros",
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding, weights, biases)
        pair = [*output_padding] if np.iterable(output_padding) else [output_padding] * 2
        below = [is_whole(n, least=0) and n < self.stride for n in pair]
        if below != [True, True]:
            raise InputError(
                f"ConvTranspose: the output padding must be a whole number below the stride, "
                f"{self.stride}, or two of them, got {output_padding!r}"
            )
        self.output_padding = (int(pair[0]), int(pair[1]))
        self.shapes = {**self.shapes, "W": (self.inputs, self.kernel**2 * self.outputs)}

    def _more_arguments(self) -> list[str]:
        return [*super()._more_arguments(), f"output_padding={self.output_padding}"]

    def initialise(self, generator: np.random.Generator) -> dict[str, Any]:
        mirrored = Conv(self.outputs, self.inputs, self.kernel, weights=self.weights, biases=None)
        drawn = {"W": mirrored.initialise(generator)["W"].T}
        if self.biases:
            drawn["b"] = self.biases(generator, (self.kernel**2 * self.outputs, self.outputs))
        return drawn

    def __call__(self, p: Mapping[str, Any], x: Any, *, training: bool = False) -> Any:
        self._refuse_other_shapes(p, x)
        n, oh, ow, _ = x.shape
        h, w = smallest_size((oh, ow), self.kernel, self.stride, self.padding)
        h, w = h + self.output_padding[0], w + self.output_padding[1]
        if min(h, w) < 1:
            raise InputError(
                f"ConvTranspose: expected larger images or less padding, got {oh} x {ow} with "
                f"kernel {self.kernel}, stride {self.stride} and padding {self.padding}"
            )
        rows = matmul(reshape(x, shape=(-1, self.inputs)), p["W"])
        y = fold(
            reshape(rows, shape=(n, oh, ow, self.kernel**2 * self.outputs)),
            size=(h, w),
            kernel=self.kernel,
            stride=self.stride,
            padding=self.padding,
        )
        return y + p["b"] if self.biases else y
