"""A model's parameters: one flat vector with named views.

``parameters["W1"]`` is a view of ``parameters.flat``, so writing to one writes to the other. A
gradient and Adam's moments are `Parameters` of the same layout; a norm, a check or an update is
then one line on ``flat``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np

from tinygen.backend import Array, Backend, namespace, to_host
from tinygen.backend.writes import WRITES
from tinygen.display import html_table

Shapes = Mapping[str, tuple[int, ...]]


class Parameters(Mapping[str, Array]):
    """Named arrays that lie one after another in a single vector.

    Args:
        shapes: the shape of each name, in the order in which they lie.
        flat: the vector, as long as all shapes together; it is used, not copied.

    >>> import numpy as np
    >>> p = Parameters({"W": (2, 2), "b": (2,)}, np.zeros(6, np.float32))
    >>> p["b"][...] = 1
    >>> p.flat
    array([0., 0., 0., 0., 1., 1.], dtype=float32)
    """

    def __init__(self, shapes: Shapes, flat: Array) -> None:
        sizes = _sizes(shapes)
        if flat.shape != (sum(sizes),):
            raise ValueError(
                f"parameters: the shapes need a vector of {sum(sizes)}, got shape {flat.shape}"
            )
        self.shapes = {name: tuple(shape) for name, shape in shapes.items()}
        self._flat = flat
        self._views = {}
        start = 0
        for (name, shape), size in zip(self.shapes.items(), sizes, strict=True):
            self._views[name] = flat[start : start + size].reshape(shape)
            start += size

    @property
    def flat(self) -> Array:
        """The vector; assigning writes into it, so that the views change, too."""
        return self._flat

    @flat.setter
    def flat(self, vector: Array) -> None:
        shape = _shape_of(vector)
        if shape != self._flat.shape:
            raise ValueError(f"parameters: flat needs shape {self._flat.shape}, got {shape}")
        if vector is not self._flat:
            self._flat[...] = vector
        self.note_write()

    @classmethod
    def zeros(cls, shapes: Shapes, dtype: object, backend: Backend) -> Parameters:
        """Parameters of `shapes` that are all zero, on `backend`."""
        size = sum(_sizes(shapes))
        return cls(shapes, backend.xp.zeros(size, dtype))

    def like(self, flat: Array) -> Parameters:
        """`flat` seen through the layout of these parameters."""
        return Parameters(self.shapes, flat)

    def zeros_like(self) -> Parameters:
        """Zeros in the layout of these parameters."""
        return self.like(namespace(self.flat).zeros_like(self.flat))

    def room_for_gradients(self, out: Parameters | None) -> Parameters:
        """`out`, if gradients of these parameters can be written there, or new memory for them.

        Raises:
            ValueError: `out` has another layout or dtype, or is the memory of the parameters.
        """
        if out is None:
            return self.like(namespace(self.flat).empty_like(self.flat))
        refuse_other_types("out", out)
        if (
            list(out.shapes.items()) != list(self.shapes.items())
            or out.flat.dtype != self.flat.dtype
        ):
            raise ValueError(f"out needs the layout of the parameters, {self}; got {out}")
        if namespace(self.flat).may_share_memory(out.flat, self.flat):
            raise ValueError("out is the parameters themselves; it needs memory of its own")
        out.note_write()
        return out

    def note_write(self) -> None:
        """To be called after writing into `flat`, so that a stale graph is noticed."""
        WRITES.note(self.flat)

    def gathered(self, named: Mapping[str, Array]) -> Parameters:
        """Arrays by name, such as gradients of `leaves`, copied into the layout of these.

        Raises:
            ValueError: the names or shapes are different.
        """
        shapes = {name: getattr(x, "shape", None) for name, x in named.items()}
        if shapes != self.shapes:
            raise ValueError(f"expected the layout {self}, got {shapes}")
        copied = self.zeros_like()
        for name, x in named.items():
            copied[name][...] = x
        return copied

    def only(self, *prefixes: str) -> Parameters:
        """The parameters whose names begin with one of `prefixes`, in the same memory.

        Raises:
            ValueError: there are none, or others lie between them.
        """
        begin, chosen, ended = 0, {}, False
        for name, shape in self.shapes.items():
            if name.startswith(prefixes):
                if ended:
                    named = " and ".join(map(repr, prefixes))
                    raise ValueError(f"parameters: others lie between those of {named}: {self}")
                chosen[name] = shape
            elif chosen:
                ended = True
            else:
                begin += prod(shape)
        if not chosen:
            called = " or ".join(f"{prefix}..." for prefix in prefixes)
            raise ValueError(f"parameters: none is called {called}; there is {self}")
        size = sum(prod(shape) for shape in chosen.values())
        return Parameters(chosen, self.flat[begin : begin + size])

    def part(self, prefix: str) -> Parameters:
        """The parameters whose names begin with `prefix`, without it, in the same memory.

        Raises:
            ValueError: there are none, or others lie between them.
        """
        n, part = len(prefix), self.only(prefix)
        return Parameters({name[n:]: s for name, s in part.shapes.items()}, part.flat)

    def copy(self) -> Parameters:
        """The same values in memory of their own."""
        return self.like(self.flat.copy())

    def to(self, backend: Backend, dtype: object = None) -> Parameters:
        """The same values on another backend, or with another dtype; copies only if it has to."""
        host = to_host(self.flat)
        return self.like(backend.asarray(host, dtype or self.flat.dtype))

    def __reduce__(self) -> tuple[Any, ...]:
        # copy.deepcopy and pickle would otherwise copy flat and each of its views separately.
        return type(self), (self.shapes, self.flat)

    def __getitem__(self, name: str) -> Array:
        try:
            return self._views[name]
        except KeyError:
            raise KeyError(f"no parameter {name!r}; there are {', '.join(self._views)}") from None

    def __setitem__(self, name: str, value: Any) -> None:
        """Write into the view, so that ``p["W"] -= ...`` does what it says."""
        view = self[name]
        shape = _shape_of(value)
        if shape not in (view.shape, ()):
            raise ValueError(f"parameter {name} {view.shape}: got a value of shape {shape}")
        if value is not view:
            view[...] = value
        WRITES.note(view)

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def __repr__(self) -> str:
        inside = ", ".join(f"{name} {shape}" for name, shape in self.shapes.items())
        return f"Parameters({self.flat.size} {self.flat.dtype}: {inside})"

    def _repr_html_(self) -> str:
        rows = [
            (name, shape, self[name].size, _size_of(self[name]))
            for name, shape in self.shapes.items()
        ]
        caption = f"{self.flat.size} parameters, {self.flat.dtype}"
        return html_table(caption, ("name", "shape", "numbers", "root mean square"), rows)


def refuse_other_types(where: str, parameters: object) -> None:
    """An optimiser moves one flat vector, which a dict or a list of arrays is not.

    >>> import numpy as np
    >>> refuse_other_types("Adam", {"W": np.zeros(3)})
    Traceback (most recent call last):
    TypeError: Adam: expected a Parameters, such as net.initialise(seed=0) returns, got a dict
    """
    if not isinstance(parameters, Parameters):
        raise TypeError(
            f"{where}: expected a Parameters, such as net.initialise(seed=0) returns, "
            f"got a {type(parameters).__name__}"
        )


def refuse_unnamed(parameters: object) -> None:
    """Say so if the data are passed first.

    >>> import numpy as np
    >>> refuse_unnamed(np.zeros(3))
    Traceback (most recent call last):
    TypeError: expected parameters, arrays by name, before the data, got a ndarray
    """
    if not isinstance(parameters, Mapping):
        raise TypeError(
            "expected parameters, arrays by name, before the data, "
            f"got a {type(parameters).__name__}"
        )


def _shape_of(x: Any) -> tuple[int, ...]:
    """The shape of an array of any backend, or of Python numbers in lists."""
    return x.shape if hasattr(x, "shape") else np.shape(x)


def _size_of(x: Array) -> str:
    """The root mean square of an array, as text."""
    host = to_host(x).astype(np.float64)
    return f"{np.sqrt(np.mean(host * host)):.3g}" if host.size else ""


def _sizes(shapes: Shapes) -> list[int]:
    for name, shape in shapes.items():
        if not isinstance(shape, (tuple, list)):
            raise TypeError(
                f"parameters: expected a tuple such as (3,) as the shape of {name}, got {shape!r}"
            )
    return [prod(shape) for shape in shapes.values()]


def part(parameters: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """The entries whose names begin with `prefix`, without it: the encoder of an autoencoder, say.

    >>> part({"encoder.W1": 1, "encoder.b1": 2, "decoder.W1": 3}, "encoder.")
    {'W1': 1, 'b1': 2}
    """
    refuse_unnamed(parameters)
    n = len(prefix)
    return {name[n:]: x for name, x in parameters.items() if name.startswith(prefix)}
