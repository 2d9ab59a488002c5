"""What passes between the grader and a submission: values as .npz, without pickle.

A message is eight bytes, the length of what follows, and an .npz file. In it, `message.npy` is
JSON, in which ``{"array": 3}`` stands for `3.npy`. Both sides use this module. What a submission
sends may be anything, so each size is checked before anything is read or allocated.
"""

from __future__ import annotations

import io
import json
import math
import socket
import struct
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

MiB = 2**20
LARGEST_MESSAGE = 32 * MiB
LARGEST_TREE = MiB // 4
"""The largest JSON, in bytes."""
MOST_ARRAYS = 200
DEEPEST = 6
"""The deepest nesting of containers."""
LENGTH = struct.Struct(">Q")

NUMBER = (bool, int, float, np.number, np.bool_)


class WireError(ValueError):
    """A value that cannot be sent, or an invalid message, with a sentence about it."""


def pack(value: Any) -> bytes:
    """A value as a message without its length.

    Args:
        value: an array of numbers, a number, a string, None, or a tuple, list or dict of them.

    Raises:
        WireError: it is none of these, or too large.
    """
    arrays: list[np.ndarray] = []
    tree = json.dumps(_to_tree(value, arrays, DEEPEST)).encode()
    size = sum(numbers(array.shape) * array.itemsize for array in arrays)
    if size > LARGEST_MESSAGE:
        raise WireError(f"expected results of at most {LARGEST_MESSAGE // MiB} MiB, got more")
    if len(arrays) > MOST_ARRAYS:
        raise WireError(f"expected results of at most {MOST_ARRAYS} arrays, got {len(arrays)}")
    if len(tree) > LARGEST_TREE:
        raise WireError(f"expected at most {LARGEST_TREE // 2**10} KiB of text, got more")
    members = {str(number): array for number, array in enumerate(arrays)}
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, message=np.frombuffer(tree, np.uint8), **members)
    return file.getvalue()


def sent(value: Any) -> Any:
    """A value as it would arrive if it were sent; see `pack`."""
    arrays: list[np.ndarray] = []
    tree = _to_tree(value, arrays, DEEPEST)
    return _from_tree(tree, {f"{i}.npy": array for i, array in enumerate(arrays)}, DEEPEST)


def unpack(data: bytes) -> Any:
    """The value of a message.

    Raises:
        WireError: it is not one that `pack` makes.
    """
    try:
        _refuse_a_long_directory(data)
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            members = file.infolist()
            sizes = [member.file_size for member in members]
            if (
                any(member.compress_type != zipfile.ZIP_STORED for member in members)
                or sum(sizes) > len(data)
                or len(sizes) > MOST_ARRAYS + 1
            ):
                raise WireError("a message with members that are compressed or overlap")
            arrays = {m.filename: _array(file.read(m)) for m in members}
        tree = arrays["message.npy"]
        if tree.nbytes > LARGEST_TREE:
            raise WireError("a message with too large a tree")
        return _from_tree(json.loads(tree.tobytes()), arrays, DEEPEST)
    except Exception as error:  # the bytes are a stranger's: any of this may raise anything
        raise WireError(f"expected a result, got bytes that are none ({error})") from None


def _refuse_a_long_directory(data: bytes) -> None:
    """Refuse it before it is read: the list of members, whose size is at the end of a .zip."""
    size = int.from_bytes(data[-10:-6], "little")
    if data[-22:-18] != b"PK\5\6" or data[-42:-38] == b"PK\6\7" or size > 100 * MOST_ARRAYS:
        raise WireError("no .npz with a short directory")


def send(connection: socket.socket, message: bytes) -> None:
    """Send what `pack` returned, all of it within the connection's timeout.

    Raises:
        OSError: the other side is gone, or does not read.
    """
    connection.sendall(LENGTH.pack(len(message)) + message)


def receive(connection: socket.socket) -> Any:
    """Wait for a value; the other side must be trusted to send all of it.

    Raises:
        EOFError: the other side is gone.
    """

    def exactly(size: int) -> bytes:
        data = connection.recv(size, socket.MSG_WAITALL)
        if len(data) < size:
            raise EOFError
        return data

    (size,) = LENGTH.unpack(exactly(LENGTH.size))
    return unpack(exactly(size))


def numbers(shape: Sequence[int]) -> int:
    """How many numbers an array counts as: an axis of length 0 counts as one of 1.

    A loop over the rows of shape (10**9, 0) takes as long as if there were something in them, and
    for shape (0, 10**9) the sum over the rows is just as large.
    """
    return math.prod(max(1, size) for size in shape)


def _to_tree(value: Any, arrays: list[np.ndarray], deepest: int) -> Any:
    """A value as JSON; its arrays are appended to `arrays`."""
    if isinstance(value, np.ndarray):
        array = np.asarray(value)
        if array.dtype.kind not in "biufc":
            raise WireError(f"expected an array of numbers, got one of {array.dtype}")
        if array.dtype.itemsize > 8 + 8 * (array.dtype.kind == "c"):
            array = array.astype(np.float64 if array.dtype.kind == "f" else np.complex128)
        arrays.append(array.astype(array.dtype.newbyteorder("="), copy=False))
        return {"array": len(arrays) - 1}
    if isinstance(value, np.generic) or type(value) is complex:
        if isinstance(value, (np.bool_, np.integer, np.float64)):
            return value.item()
        return _to_tree(np.asarray(value), arrays, deepest)
    if value is None or type(value) in (bool, int, float, str):
        return value
    if not deepest:
        raise WireError("expected results that are not nested so deeply")
    if isinstance(value, dict):
        if not all(type(name) is str for name in value):
            raise WireError("expected a dictionary whose keys are strings")
        return {"dict": {k: _to_tree(v, arrays, deepest - 1) for k, v in value.items()}}
    if isinstance(value, (tuple, list)):
        if len(value) > MOST_ARRAYS or _is_array(value):
            return _to_tree(_as_array(value), arrays, deepest)
        return {"tuple": [_to_tree(x, arrays, deepest - 1) for x in value]}
    raise WireError(
        f"expected an array, a number, or a tuple or dict of them, got {type(value).__name__}"
    )


def _is_array(value: tuple | list) -> bool:
    """Whether a list, as students may return, consists of numbers, or of lists of them."""
    return isinstance(value, list) and all(
        isinstance(x, NUMBER) or (isinstance(x, list) and _is_array(x)) for x in value
    )


def _as_array(value: tuple | list) -> np.ndarray:
    try:
        return np.array(value)
    except ValueError:
        raise WireError("expected an array, got lists of different lengths") from None


def _array(data: bytes) -> np.ndarray:
    """The array in a .npy file; no more memory is allocated than the file has data."""
    file = io.BytesIO(data)
    if np.lib.format.read_magic(file) != (1, 0):
        raise WireError("not version 1.0 of .npy")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.kind not in "biufc" or not dtype.isnative or min(shape, default=0) < 0:
        raise WireError(f"an array of {dtype}")
    if numbers(shape) * dtype.itemsize > LARGEST_MESSAGE:
        raise WireError(f"an array of shape {shape}")
    flat = np.frombuffer(data, dtype, offset=file.tell())
    return flat.reshape(shape, order="F" if fortran else "C").copy()


def _from_tree(tree: Any, arrays: dict[str, np.ndarray], deepest: int) -> Any:
    if not isinstance(tree, dict):
        if isinstance(tree, list):
            raise WireError("a list")
        return tree
    ((kind, value),) = tree.items()
    if kind == "array":
        return arrays.pop(f"{int(value)}.npy")  # each once, or few bytes would stand for many
    if not deepest:
        raise WireError("too deep")
    if kind == "tuple":
        return tuple(_from_tree(x, arrays, deepest - 1) for x in value)
    if kind == "dict":
        return {k: _from_tree(x, arrays, deepest - 1) for k, x in value.items()}
    raise WireError(f"a {kind}")
