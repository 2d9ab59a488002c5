"""Whether a model's networks are dense or begin with convolutions, as its options ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from math import isqrt, prod
from typing import Any, Protocol

import numpy as np

from tinygen.backend import Backend
from tinygen.display import times
from tinygen.errors import InputError
from tinygen.models.verbs import WithoutWeights
from tinygen.nn import Conv, Sequential, convolutional, deconvolutional, mlp
from tinygen.nn.networks import stages_of
from tinygen.nn.sequential import initialise_parameters
from tinygen.parameters import Parameters

KERNEL = 3
"""The width of windows where none is asked for."""


class Options(Protocol):
    """What a model says about its images, and about the convolutions on them.

    Attributes:
        pixels: the width of an image.
        channels: of each convolution on the side of the encoder or the discriminator; without any
            the networks are dense.
        kernel: the height and width of the windows.
        image: the shape of an image, ``(h, w, c)``; by default a grey square.
    """

    @property
    def pixels(self) -> int: ...
    @property
    def channels(self) -> tuple[int, ...]: ...
    @property
    def kernel(self) -> int: ...
    @property
    def image(self) -> tuple[int, ...]: ...


class SeveralNetworks(WithoutWeights):
    """A model whose parameters are those of several networks, each under a prefix."""

    @cached_property
    def networks(self) -> dict[str, Sequential]:
        """Its networks, each with the function of its output, by the prefix of its parameters."""
        raise NotImplementedError

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The parameters' names and shapes: ``encoder.W1``, ``encoder.b1``, ... ``decoder.b3``."""
        return {f"{k}{n}": s for k, net in self.networks.items() for n, s in net.shapes.items()}

    def initialise(
        self, seed: int, dtype: Any = np.float32, backend: Backend | str = "numpy"
    ) -> Parameters:
        """The starting parameters; the same numbers on every backend."""
        return initialise_parameters(self.shapes, self._fill, seed, dtype, backend)

    def _fill(self, p: Parameters, generator: np.random.Generator) -> None:
        for prefix, net in self.networks.items():
            net.fill(p, generator, prefix)


def convolutions_of(model: Options) -> dict[str, Any]:
    """A model's options for convolutions, as keywords for another model."""
    image = () if needs_shape(model) and not model.channels else model.image
    return {"channels": model.channels, "kernel": model.kernel, "image": image}


def needs_shape(model: Options) -> bool:
    """Whether a model must know the shape of its images: for convolutions, or to distort them."""
    return bool(model.channels or getattr(model, "input_distortion", 0))


def image_option(needed: Any, shape: Sequence[int]) -> tuple[int, ...]:
    """The option `image` for images of a data set, (h, w) or (h, w, c); none if not `needed`.

    Convolutions need it, and distortions.
    """
    return (*shape, 1)[:3] if needed else ()


def from_images(
    model: Options, sizes: Sequence[int], inputs: int | None = None, **style: Any
) -> Sequential:
    """Images to `sizes[-1]` numbers: convolutions, if there are any, and dense layers.

    Args:
        sizes: the widths of the dense layers.
        inputs: the width of a row, if it holds more than the pixels of an image.
        style: as in `tinygen.nn.mlp`.
    """
    if model.channels:
        return convolutional(shape_of(model), model.channels, model.kernel, sizes, **style)
    _refuse_without_channels(model)
    return mlp([inputs or model.pixels, *sizes], **style)


def to_images(model: Options, sizes: Sequence[int], **style: Any) -> Sequential:
    """The mirror image of `from_images`: `sizes[0]` numbers to images; channels in reverse."""
    if model.channels:
        channels = model.channels[::-1]
        return deconvolutional(sizes, channels, model.kernel, shape_of(model), **style)
    _refuse_without_channels(model)
    return mlp([*sizes, model.pixels], **style)


def _refuse_without_channels(model: Options) -> None:
    """Without convolutions, the options for them would be ignored."""
    if (model.image and not needs_shape(model)) or model.kernel != KERNEL:
        raise InputError(
            f"kernel and image are options of convolutions; expected channels, such as (32, 64), "
            f"got none with kernel {model.kernel} and image {model.image or 'none'}"
        )


def widths_of_stages(model: Options) -> list[int]:
    """How many numbers an image is after each convolution."""
    if not model.channels:
        return []
    return [prod(stage) for stage in stages_of(shape_of(model), model.channels)[1:]]


def multiplications_of_convolutions(model: Options) -> list[int]:
    """The multiplications of each convolution for an image: each output is a sum over a window."""
    stages = pairwise(stages_of(shape_of(model), model.channels))
    return [larger[2] * model.kernel**2 * prod(smaller) for larger, smaller in stages]


def feature_maps(net: Sequential, p: Mapping[str, Any], x: Any) -> list[Any]:
    """What each convolution, with its activation, makes of images: ``[(n, h, w, c), ...]``."""
    maps: list[Any] = []
    for layer, y in zip(net.layers, net.outputs(p, x), strict=True):
        if isinstance(layer, Conv):
            maps.append(y)
        elif maps and len(y.shape) == 4:
            maps[-1] = y
    return maps


def window(model: Options, shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of what a unit of the first layer sees: an image of that shape, or a window."""
    if model.channels:
        return model.kernel, model.kernel, shape_of(model)[2]
    return tuple(shape)


def shape_of(model: Options) -> tuple[int, ...]:
    """The shape of the images that are convolved or distorted, (h, w, c).

    Raises:
        InputError: it has another number of pixels, or it is unknown and not a grey square.
    """
    side = isqrt(max(model.pixels, 0))
    shape = model.image or (side, side, 1)
    if prod(shape) != model.pixels or len(shape) != 3:
        raise InputError(
            f"convolutions and distortions need the shape of an image, (h, w, c), with "
            f"{model.pixels} pixels in all, got {times(shape) if model.image else 'none'}"
        )
    return shape
