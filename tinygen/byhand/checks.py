"""What a model by hand refuses before it computes: options, names and sizes that do not fit.

Nothing here reads a value, so nothing waits for a device. `model` is the name that an error message
begins with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from tinygen.backend import Array, namespace


def refuse_unknown(model: str, what: str, value: str, known: Iterable[str]) -> None:
    """An option must be one of those there are.

    Raises:
        ValueError: it is not.
    """
    known = tuple(known)
    if value not in known:
        raise ValueError(f"{model}: unknown {what} {value!r}; choose one of {', '.join(known)}")


def layer_names(
    model: str, parameters: Mapping[str, Array], also: Sequence[str] = ()
) -> tuple[dict[int, tuple[str, str]], int]:
    """The names of W and b for each layer 1..L, encoder first, and the encoder's number of layers.

    `also` names the parameters that belong to no layer.

    Raises:
        ValueError: a half is missing, or there are other names than these.
    """
    return _layer_names(model, tuple(parameters), tuple(also))


@cache  # the same in every step
def _layer_names(
    model: str, parameters: tuple[str, ...], also: tuple[str, ...]
) -> tuple[dict[int, tuple[str, str]], int]:
    K, M = (
        sum(name.startswith(side) for name in parameters) for side in ("encoder.W", "decoder.W")
    )
    layers = [("encoder", i + 1) for i in range(K)] + [("decoder", i + 1) for i in range(M)]
    names = {k: (f"{side}.W{i}", f"{side}.b{i}") for k, (side, i) in enumerate(layers, 1)}
    expected = {name for pair in names.values() for name in pair} | set(also)
    if not K or not M or expected != set(parameters):
        raise ValueError(
            f"{model}: expected the parameters encoder.W1, encoder.b1, ..., "
            f"{', '.join(('decoder.W1', 'decoder.b1', '...', *also))}, "
            f"got {', '.join(parameters) or 'none'}"
        )
    return names, K


def refuse_sizes(
    model: str, parameters: Mapping[str, Array], names: Iterable[tuple[str, str]], width: int
) -> int:
    """Each layer must take as many columns as come in; returns how many the last one gives.

    Raises:
        ValueError: a W or b of another shape.
    """
    for w, c in names:
        W, b = parameters[w].shape, parameters[c].shape
        if len(W) != 2 or W[0] != width:
            raise ValueError(
                f"{model}: {w} is {W}; it needs a row for each of the {width} columns that come in"
            )
        width = W[1]
        if b != (width,):
            raise ValueError(f"{model}: {c} is {b}, {w} is {W}; {c} needs to be ({width},)")
    return width


def refuse_other_pixels(model: str, x: Array, width: int) -> None:
    """The decoder must give as many columns as the images have.

    Raises:
        ValueError: it gives more or fewer.
    """
    if width != x.shape[1]:
        raise ValueError(
            f"{model}: x is {x.shape}, the decoder gives {width} columns; "
            "it needs to give as many as x has"
        )


def refuse_mixtures(model: str, x: Array, others: Mapping[str, Array]) -> None:
    """All arrays must have the dtype and the library of `x`.

    Raises:
        TypeError: one has not.
    """
    xp, dtype = namespace(x), x.dtype
    for name, array in others.items():
        if array.dtype != dtype or namespace(array) is not xp:
            raise TypeError(
                f"{model}: x is {xp.__name__} {dtype}, {name} is "
                f"{namespace(array).__name__} {array.dtype}; they need to be the same"
            )
