"""Gradients by CUDA graphs: what a function launches is recorded, and then launched as a whole.

A GPU waits for Python, which launches kernel after kernel: docs/backends.md. A graph is one launch.
It can only repeat what was recorded, on the same memory and with the same numbers. A function
``(parameters, *data, out=None) -> (loss, gradients)`` suits it, as only its arguments differ
between two steps: parameters stay where they are, and data are copied to where they were when it
was recorded. The learning rate, the noise, and whatever Python counts stay outside.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, update_wrapper
from typing import Any

import numpy as np

from tinygen.backend import Array, backend_of, to_host
from tinygen.parameters import Parameters


def by_graphs(gradients: Any) -> Any:
    """The gradients of a model, with each of its functions run by graphs: see `Graphed`.

    Args:
        gradients: ``model.gradients(how)``, one function or one for each player.
    """
    if isinstance(gradients, tuple):
        return gradients._make(map(Graphed, gradients))  # type: ignore[attr-defined]
    return Graphed(gradients)


class Graphed:
    """A function of parameters and data, which it computes by a CUDA graph where it can.

    The shapes and dtypes of its data, its numbers, and where its parameters lie make a kind of
    call. The first call of a kind is an ordinary one. A second in a row is recorded. The third is
    computed both ways, from other data than the recording; if the results agree, all later calls
    are launches of the graph. A number that changes with each step, such as a weight that rises,
    makes another kind each time, which is never recorded.

    Where it cannot be recorded, or the results differ, it warns, and all calls are ordinary ones.

    Args:
        function: of arrays, `Parameters`, numbers and tuples of them. It writes gradients to
            ``out=``. It must not draw random numbers, count, or write anything else.

    NumPy launches nothing, so there is a warning:

    >>> import numpy as np
    >>> import tinygen as tg
    >>> model, x = tg.Autoencoder(pixels=4, hidden=(3,), latent=1), np.eye(4, dtype=np.float32)
    >>> loss_and_grads, p = Graphed(model.gradients("by-hand")), model.initialise(seed=0)
    >>> with warnings.catch_warnings(record=True) as said:
    ...     warnings.simplefilter("always")
    ...     losses = [loss_and_grads(p, x)[0] for _ in range(3)]
    >>> print(said[0].message)  # doctest: +ELLIPSIS
    loss_and_grads goes on without CUDA graphs: NumPy launches nothing ...; take backend 'cupy'
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        update_wrapper(self, function)
        self._function = function
        self._refused = False
        self._latest: Any = None
        self._recordings: dict[Any, _Recording] = {}

    def __call__(self, *arguments: Any, out: Parameters | None = None) -> Any:
        options = {} if out is None else {"out": out}
        ordinary = partial(self._function, *arguments, **options)
        if self._refused:
            return ordinary()
        try:
            kind = _kind_of((arguments, out))
        except TypeError as error:
            self._refuse(str(error))
            return ordinary()
        latest, self._latest = self._latest, kind
        recording = self._recordings.get(kind)
        if recording is None:
            if kind == latest:
                self._record(kind, arguments, options)
            return ordinary()  # last, so that `out` is as it leaves it
        if not recording.compared and not self._compare(recording, arguments, ordinary):
            return ordinary()
        recording.launch(arguments)
        if out is not None:
            out.note_write()
        return _mapped(lambda x: x if x is recording.out else x.copy(), recording.result)

    def _record(self, kind: Any, arguments: Any, options: Any) -> None:
        places = _mapped(lambda x: x if isinstance(x, Parameters) else x.copy(), arguments)
        backend = backend_of(_data_of(_arrays_in(arguments)[0]))
        try:
            result, launch = backend.record(partial(self._function, *places, **options))
            _kind_of(result)  # a dict's content would be neither compared nor copied
        except Exception as error:  # whatever it is, an ordinary call needs no recording
            self._refuse(str(error).partition("\n")[0])
        else:
            out = options.get("out")
            self._recordings[kind] = _Recording(places, result, launch, out)

    def _compare(self, recording: _Recording, arguments: Any, ordinary: Callable[[], Any]) -> bool:
        """Whether a launch gives what an ordinary call gives. This waits for the GPU."""
        expected = [to_host(_data_of(x)).copy() for x in _arrays_in(ordinary())]
        if not all(np.isfinite(x).all() for x in expected):
            return False  # nothing to compare; perhaps in the next call
        recording.launch(arguments)
        launched = [to_host(_data_of(x)) for x in _arrays_in(recording.result)]
        recording.compared = all(map(_agree, launched, expected))
        if not recording.compared:
            self._refuse("the first launch gave another result than an ordinary call")
        return recording.compared

    def _refuse(self, why: str) -> None:
        self._refused = True
        self._recordings.clear()
        plain = getattr(self._function, "func", self._function)  # of a partial
        name = getattr(plain, "__qualname__", type(plain).__name__)
        warnings.warn(f"{name} goes on without CUDA graphs: {why}", RuntimeWarning, stacklevel=3)


@dataclass
class _Recording:
    """A graph, with what it reads and writes.

    Attributes:
        places: the arguments of the recording; the arrays among them are copies, into which those
            of a call are written.
        result: what was returned, which a launch overwrites.
        start: launches the graph.
        out: the `Parameters` of the result that belong to the caller.
        compared: whether a launch has given what an ordinary call gives.
    """

    places: Any
    result: Any  # before what launches it, so that its memory is free when the pool of that goes
    start: Callable[[], None]
    out: Parameters | None
    compared: bool = False

    def launch(self, arguments: Any) -> None:
        for place, x in zip(_arrays_in(self.places), _arrays_in(arguments), strict=True):
            if not isinstance(x, Parameters):
                place[...] = x
        self.start()


def _kind_of(x: Any) -> Any:
    """What must be the same for a graph to compute a call; a dictionary's key."""
    if isinstance(x, Parameters):
        layout = tuple(x.shapes.items())
        return backend_of(x.flat).address(x.flat), layout, str(x.flat.dtype)
    if isinstance(x, (tuple, list)):
        return type(x), *map(_kind_of, x)
    if x is None or isinstance(x, (str, int, float, np.generic)):
        return type(x), x
    if _is_array(x):
        return x.shape, str(x.dtype)
    raise TypeError(f"expected arrays, Parameters, numbers or tuples, got a {type(x).__name__}")


def _is_array(x: Any) -> bool:
    return hasattr(x, "dtype") and hasattr(x, "shape") and not isinstance(x, np.generic)


def _mapped(f: Callable[[Any], Any], x: Any) -> Any:
    """`x` with f applied to each array and each Parameters in it."""
    if isinstance(x, (tuple, list)):
        return getattr(x, "_make", type(x))(_mapped(f, part) for part in x)
    return f(x) if isinstance(x, Parameters) or _is_array(x) else x


def _arrays_in(x: Any) -> list[Any]:
    """The arrays and the Parameters, in order."""
    arrays: list[Any] = []
    _mapped(arrays.append, x)
    return arrays


def _data_of(x: Any) -> Array:
    return x.flat if isinstance(x, Parameters) else x


def _agree(x: np.ndarray, expected: np.ndarray) -> bool:
    """Whether half their digits agree, by norms: sums may have been added in another order."""
    tolerance = np.sqrt(np.finfo(expected.dtype).eps) * np.linalg.norm(expected)
    return bool(np.linalg.norm(x - expected) <= tolerance)
