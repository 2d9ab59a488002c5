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
    model: str, parameters: Mapping[str, Array], also: Sequence[str] = (), fewest: int = 1
) -> tuple[dict[int, tuple[str, str]], int]:
    """The names of W and b for each layer 1..L, encoder first, and the encoder's number of layers.

    `also` names the parameters that belong to no layer; `fewest` is 0 where a decoder may be alone.

    Raises:
        ValueError: a half is missing, or there are other names than these.
    """
    return _layer_names(model, tuple(parameters), tuple(also), fewest)


@cache  # the same in every step
def _layer_names(
    model: str, parameters: tuple[str, ...], also: tuple[str, ...], fewest: int
) -> tuple[dict[int, tuple[str, str]], int]:
    K, M = (
        sum(name.startswith(side) for name in parameters) for side in ("encoder.W", "decoder.W")
    )
    layers = [("encoder", i + 1) for i in range(K)] + [("decoder", i + 1) for i in range(M)]
    names = {k: (f"{side}.W{i}", f"{side}.b{i}") for k, (side, i) in enumerate(layers, 1)}
    expected = {name for pair in names.values() for name in pair} | set(also)
    if fewest > K or not M or expected != set(parameters):
        raise ValueError(
            f"{model}: expected the parameters encoder.W1, encoder.b1, ..., "
            f"{', '.join(('decoder.W1', 'decoder.b1', '...', *also))}, "
            f"got {', '.join(parameters) or 'none'}"
        )
    return names, K


def refuse_sizes(
    model: str,
    parameters: Mapping[str, Array],
    names: Iterable[tuple[str, ...]],
    width: int,
    pieces: int = 1,
) -> int:
    """Each layer must take as many columns as come in; returns how many the last one gives.

    Args:
        names: for each layer the name of W, and those of b or what else has a number a column.
        width: how many columns come in.
        pieces: of so many columns side by side, a layer hands on one; the last layer gives all.

    Raises:
        ValueError: a W or b of another shape.
    """
    given = width
    for w, *vectors in names:
        W = parameters[w].shape
        if len(W) != 2 or W[0] != width:
            raise ValueError(
                f"{model}: {w} is {W}; it needs a row for each of the {width} columns that come in"
            )
        given = W[1]
        for c in vectors:
            b = parameters[c].shape
            if b != (given,):
                raise ValueError(f"{model}: {c} is {b}, {w} is {W}; {c} needs to be ({given},)")
        width = given // pieces
    return given


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


def refuse_mixtures(
    model: str, x: Array, others: Mapping[str, Array | None], called: str = "x"
) -> None:
    """All arrays must have the dtype and the library of `x`, which a message calls `called`.

    Raises:
        TypeError: one has not.
    """
    xp, dtype = namespace(x), x.dtype
    for name, array in others.items():
        if array is not None and (array.dtype != dtype or namespace(array) is not xp):
            raise TypeError(
                f"{model}: {called} is {xp.__name__} {dtype}, {name} is "
                f"{namespace(array).__name__} {array.dtype}; they need to be the same"
            )
