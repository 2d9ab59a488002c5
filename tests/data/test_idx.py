"""IDX files: what is right round-trips, and every fault is one sentence and costs no memory."""

import gzip
import hashlib
import os
import stat
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygen.data import idx
from tinygen.errors import InputError
from tinygen.files import replacing

SMALL = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)

arrays = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6))


def plain_bytes(array):
    """The format written down again from its description, byte by byte."""
    header = bytes([0, 0, 8, array.ndim])
    return header + b"".join(n.to_bytes(4, "big") for n in array.shape) + bytes(array.ravel())


def header(*shape, kind=8):
    return struct.pack(f">HBB{len(shape)}I", 0, kind, len(shape), *shape)


@pytest.fixture(params=["plain", "gzip"])
def save(request, tmp_path):
    """Save bytes as a file, plain or gzipped, under a name that does not tell which."""
    pack = (lambda b: b) if request.param == "plain" else gzip.compress

    def save(content):
        path = tmp_path / "some-file"
        path.write_bytes(pack(content))
        return path

    return save


def refusal(path, **options):
    """The message of a refusal: one line that names the file."""
    with pytest.raises(InputError) as caught:
        idx.read(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_reads_what_the_format_describes(save):
    array, sha256 = idx.read_hashed(save(plain_bytes(SMALL)), expect="images")
    np.testing.assert_array_equal(array, SMALL)
    assert array.dtype == np.uint8
    assert array.flags.writeable and array.flags.c_contiguous
    assert sha256 == hashlib.sha256(plain_bytes(SMALL)).hexdigest()


@given(array=arrays, suffix=st.sampled_from(["", ".gz"]))
def test_round_trip(tmp_path_factory, array, suffix):
    path = tmp_path_factory.getbasetemp() / f"round-trip{suffix}"
    idx.write(path, array)
    again = idx.read(path)
    assert again.shape == array.shape
    np.testing.assert_array_equal(again, array)
    content = path.read_bytes()
    assert (gzip.decompress(content) if suffix else content) == plain_bytes(array)


def test_equal_arrays_make_equal_files(tmp_path):
    for name in "ab":
        idx.write(tmp_path / f"{name}.gz", SMALL)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


@given(array=arrays, data=st.data())
def test_truncation_anywhere_is_refused(tmp_path_factory, array, data):
    path = tmp_path_factory.getbasetemp() / "truncated"
    for whole in (plain_bytes(array), gzip.compress(plain_bytes(array))):
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
        refusal(path)


@given(position=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_a_flipped_byte_in_gzip_is_refused_or_harmless(tmp_path_factory, position, flip):
    path = tmp_path_factory.getbasetemp() / "flipped"
    array = np.random.default_rng(0).integers(0, 9, 300).astype(np.uint8)
    content = bytearray(gzip.compress(plain_bytes(array), mtime=0))
    content[position % len(content)] ^= flip
    path.write_bytes(content)
    try:
        result = idx.read(path)
    except InputError:
        return
    # The time in gzip's header, or bits that fill up its last byte.
    np.testing.assert_array_equal(result, array)


def test_gzip_in_two_members_is_read(tmp_path):
    content = plain_bytes(SMALL)
    path = tmp_path / "members"
    path.write_bytes(gzip.compress(content[:9]) + gzip.compress(content[9:]))
    np.testing.assert_array_equal(idx.read(path), SMALL)


def test_empty(save):
    assert "got an empty file" in refusal(save(b""))


def test_trailing_bytes(save):
    assert "2 x 3 x 4 = 24 bytes after the header" in refusal(save(plain_bytes(SMALL) + b"!"))


def test_trailing_bytes_behind_gzip(tmp_path):
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(plain_bytes(SMALL)) + b"more")
    assert "damaged" in refusal(path)


def test_truncated_says_how_much_there_was(save):
    assert "= 24 bytes after the header, got 21" in refusal(save(plain_bytes(SMALL)[:-3]))


def test_short_header(save):
    assert "expected a header of 16 bytes, got only 10" in refusal(save(header(1, 2, 3)[:10]))


def test_gzip_cut_in_the_middle(tmp_path):
    path = tmp_path / "file.gz"
    whole = gzip.compress(plain_bytes(np.random.default_rng(0).integers(0, 256, 5000, np.uint8)))
    path.write_bytes(whole[: len(whole) // 2])
    assert "expected a whole gzip file, got a damaged one" in refusal(path)


def test_labels_where_images_are_expected_and_vice_versa(save):
    message = refusal(save(plain_bytes(SMALL[0, 0])), expect="images")
    assert "of images (3 or 4 dimensions), got labels (1 dimensions)" in message
    message = refusal(save(plain_bytes(SMALL)), expect="labels")
    assert "expected an IDX file of labels (1 dimensions), got images (3 dimensions)" in message
    message = refusal(save(plain_bytes(SMALL[0])), expect="images")
    assert "got one with 2 dimensions" in message
    message = refusal(save(plain_bytes(SMALL[None])), expect="labels")
    assert "got images (4 dimensions)" in message


def test_images_may_have_channels(save):
    np.testing.assert_array_equal(
        idx.read(save(plain_bytes(SMALL[..., None])), expect="images"), SMALL[..., None]
    )


def test_a_web_page_saved_as_gz(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_text("<!DOCTYPE html><title>Sign in</title>")
    assert "begins b'<!DO' (a web page?)" in refusal(path, expect="images")


@pytest.mark.parametrize("kind, name", [(0x09, "int8"), (0x0D, "float32"), (0x0E, "float64")])
def test_other_types(save, kind, name):
    message = refusal(save(header(3, kind=kind) + bytes(24)))
    assert f"expected an IDX file of uint8, got one of {name}" in message


def test_no_dimensions_and_too_many(save):
    assert "got 0" in refusal(save(header()))
    assert "got 200" in refusal(save(header(*[1] * 200) + b"x"))


HOSTILE = [
    (2**31, 28, 28),
    (2**32 - 1,) * 3,
    (2**32 - 1,) * 32,
    (2**16, 2**16, 2**16, 2**16),  # the product is 0 in 64 bits
    (0, 2**32 - 1, 2**32 - 1),  # the product is 0
    (2**31,),
    (2**24,),
]


@pytest.mark.parametrize("shape", HOSTILE)
def test_hostile_shapes_cost_no_memory(save, shape):
    path = save(header(*shape) + bytes(100))
    tracemalloc.start()
    message = refusal(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert " x ".join(map(str, shape)) in message
    assert peak < 2e6  # chunks of 256 KiB and the decompressor


def test_a_zero_does_not_hide_what_numpy_cannot_shape(save):
    assert "at most" in refusal(save(header(0, 2**32 - 1, 2**32 - 1)))


def test_a_gzip_bomb_stops_at_what_it_promised(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(header(1000) + bytes(100_000_000), compresslevel=1))
    tracemalloc.start()
    message = refusal(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "expected 1000 = 1000 bytes after the header, got more" in message
    assert peak < 2e6


def test_max_bytes(save):
    path = save(plain_bytes(SMALL))
    assert idx.read(path, max_bytes=24).size == 24
    assert "expected at most 23 bytes of values" in refusal(path, max_bytes=23)


def test_memory_while_reading(save):
    array = np.random.default_rng(0).integers(0, 256, 8_000_000).astype(np.uint8)
    path = save(plain_bytes(array))
    tracemalloc.start()
    idx.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.3 * array.nbytes  # a growing buffer has an eighth to spare, and the chunks


def test_what_is_no_file(tmp_path):
    assert "cannot be read (No such file or directory)" in refusal(tmp_path / "nowhere")
    assert "expected a file, got a folder" in refusal(tmp_path)
    (tmp_path / "file").write_bytes(b"x")
    assert "cannot be read (Not a directory)" in refusal(tmp_path / "file" / "below")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_refused_rather_than_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "expected a file" in refusal(tmp_path / "pipe")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="everything is permitted to root"
)
def test_a_file_that_may_not_be_read(tmp_path):
    path = tmp_path / "secret"
    idx.write(path, SMALL)
    path.chmod(0)
    assert "cannot be read (Permission denied)" in refusal(path)


def test_write_refuses_other_types(tmp_path):
    with pytest.raises(InputError, match="expected a uint8 array"):
        idx.write(tmp_path / "file", SMALL.astype(float))
    with pytest.raises(InputError, match="dimensions"):
        idx.write(tmp_path / "file", np.ones((), np.uint8))
    with pytest.raises(InputError, match="cannot be written"):
        idx.write(tmp_path, SMALL)
    assert list(tmp_path.iterdir()) == []


def test_an_aborted_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "file"
    idx.write(path, SMALL)

    def abort():
        with replacing(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        abort()
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    np.testing.assert_array_equal(idx.read(path), SMALL)


@pytest.mark.skipif(os.name != "posix", reason="permissions as on Unix")
def test_written_files_have_ordinary_permissions(tmp_path):
    idx.write(tmp_path / "file", SMALL)
    (tmp_path / "other").write_bytes(b"")
    modes = {stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    assert len(modes) == 1
