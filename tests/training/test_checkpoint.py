"""A checkpoint: complete or refused, whatever happened to the file, and never believed blindly."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import subprocess
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest
from forged_checkpoints import forged, npy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from running import environment

import tinygen as tg
from tinygen.backend import get_backend
from tinygen.errors import InputError
from tinygen.files import replacing, write_text
from tinygen.optim import Adam
from tinygen.parameters import Parameters
from tinygen.training import RunDir, SingleLossLearner, State, checkpoint

ARRAYS = {
    "parameters": np.linspace(-1, 1, 40, dtype=np.float32),
    "m": np.arange(40, dtype=np.float32),
}
META = {"config": {"lr": 0.1}, "step": 3}


def saved(folder, arrays=ARRAYS, meta=META):
    path = folder / "checkpoint.npz"
    checkpoint.save(path, arrays, meta)
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a checkpoint."""
    return saved(tmp_path_factory.mktemp("whole")).read_bytes()


def npy_claiming(shape, descr="<f4", data=b""):
    """An array file whose header promises anything."""
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}"
    header = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def meta(**more):
    return json.dumps({"format": checkpoint.FORMAT, **more})


def refused(path, like=ARRAYS):
    """The sentence with which it is refused, having spent next to no memory."""
    tracemalloc.start()
    with pytest.raises(InputError) as caught:
        checkpoint.load(path, like)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20, f"{peak} bytes were spent on a file that was refused"
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ") and "\n" not in sentence
    return sentence


# What was saved comes back.


@given(
    array=hnp.arrays(st.sampled_from(["float32", "float64", "int64", "uint8"]), hnp.array_shapes()),
    meta=st.dictionaries(st.text(), st.one_of(st.integers(), st.text(), st.floats(-1e9, 1e9))),
)
def test_round_trip(tmp_path, array, meta):
    meta.pop("format", None)
    path = saved(tmp_path, {"x": array}, meta)
    arrays, loaded = checkpoint.load(path, {"x": array})
    assert arrays["x"].dtype == array.dtype and arrays["x"].tobytes() == array.tobytes()
    assert loaded == {"format": checkpoint.FORMAT, **meta} == checkpoint.read_meta(path)


def test_numpy_alone_can_read_the_arrays(tmp_path):
    with np.load(saved(tmp_path), allow_pickle=False) as arrays:
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(arrays[name], array)


def test_what_was_loaded_is_writable(tmp_path):
    arrays, _ = checkpoint.load(saved(tmp_path), ARRAYS)
    arrays["m"] += 1


# Damage.


def test_truncated_anywhere(tmp_path, whole):
    path = tmp_path / "checkpoint.npz"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        refused(path)


def refused_or_unchanged(path, content):
    """Whether it is refused; if it is not, all that is loaded is what was saved."""
    path.write_bytes(content)
    try:
        arrays, meta = checkpoint.load(path, ARRAYS)
    except InputError:
        return True
    for name, array in ARRAYS.items():
        assert arrays[name].tobytes() == array.tobytes()
    assert meta == {"format": checkpoint.FORMAT, **META}
    return False


@pytest.mark.parametrize("flip", [lambda at: 1 << at % 8, lambda at: 255], ids=["bit", "byte"])
def test_each_byte_that_is_flipped_is_noticed_or_changes_nothing(tmp_path, whole, flip):
    path, refusals = tmp_path / "checkpoint.npz", 0
    for at in range(len(whole)):
        content = bytearray(whole)
        content[at] ^= flip(at)
        refusals += refused_or_unchanged(path, content)
    assert refusals > len(whole) / 2


@given(data=st.data())
def test_several_damaged_bytes_are_noticed_or_change_nothing(tmp_path, whole, data):
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(2, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    refused_or_unchanged(tmp_path / "checkpoint.npz", content)


@given(data=st.data())
def test_a_section_that_is_cut_out_or_doubled_is_noticed_or_changes_nothing(tmp_path, whole, data):
    start, stop = (data.draw(st.integers(0, len(whole))) for _ in range(2))
    refused_or_unchanged(tmp_path / "checkpoint.npz", whole[:start] + whole[stop:])


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x05\x06" + bytes(18), b"hello" * 1000])
def test_what_is_no_checkpoint(tmp_path, content):
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(content)
    assert "no complete tinygen checkpoint" in refused(path)


def test_an_array_file_of_numpy_itself_is_no_checkpoint(tmp_path):
    path = tmp_path / "checkpoint.npz"
    np.savez(path, **ARRAYS)
    assert "it holds no meta.json" in refused(path)


def test_nothing_there_a_folder_and_a_pipe(tmp_path):
    assert "there is no checkpoint" in refused(tmp_path / "nothing")
    assert "it is a folder or a device" in refused(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        assert "it is a folder or a device" in refused(tmp_path / "pipe")


def test_another_shape_or_dtype_is_named(tmp_path):
    path = saved(tmp_path)
    sentence = refused(path, {"parameters": np.zeros(41, np.float32)})
    assert "another architecture: its parameters has shape (40,), expected (41,)" in sentence
    sentence = refused(path, {"parameters": np.zeros(40)})
    assert "its parameters is float32, expected float64" in sentence
    assert "it holds no v.npy" in refused(path, {"v": np.zeros(40)})


# Hostility.


class Bomb:
    """Unpickling it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_is_never_unpickled(tmp_path):
    exploded = tmp_path / "exploded"
    pickle.loads(pickle.dumps(Bomb(exploded)))
    exploded.rmdir()  # it would explode
    array = np.full(40, None)
    array[0] = Bomb(exploded)
    path = forged(
        tmp_path / "x", {"meta.json": meta(), "parameters.npy": npy(array, allow_pickle=True)}
    )
    assert "its parameters is object, expected float32" in refused(path)
    path = forged(tmp_path / "x", {"meta.json": pickle.dumps(Bomb(exploded))})
    refused(path)
    assert not exploded.exists()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compressed_bomb_is_not_unpacked(tmp_path, method):
    bomb = npy_claiming((40,), data=bytes(2 << 20))  # twice what `refused` allows
    path = forged(tmp_path / "x", {"meta.json": meta(), "parameters.npy": bomb}, method)
    assert "compressed" in refused(path)
    with zipfile.ZipFile(path, "w") as archive:  # the description plain, the array not
        archive.writestr("meta.json", meta())
        archive.writestr("parameters.npy", bomb, method)
    assert "parameters.npy is compressed" in refused(path)


@pytest.mark.parametrize("shape", [(2**40,), (2**31, 2**31), (-1,), (2**63,), (40.0,), 40, "x"])
def test_a_header_that_promises_anything(tmp_path, shape):
    array = npy_claiming(shape, data=bytes(160))
    refused(forged(tmp_path / "x", {"meta.json": meta(), "parameters.npy": array}))


@pytest.mark.parametrize(
    "descr", ["|O", ">f4", "<f8", "<c8", "|V4", "<M8[s]", "|S4", "(1000000,)<f4", "<f999", "\0"]
)
def test_a_header_of_another_type(tmp_path, descr):
    array = npy_claiming((40,), descr, data=bytes(160))
    refused(forged(tmp_path / "x", {"meta.json": meta(), "parameters.npy": array}))


@pytest.mark.parametrize(
    "array",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x09\x09" + bytes(200),
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(200),  # a header of 4 GB
        b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 70_000,
        b"\x93NUMPY\x01\x00\x00\x03" + b"(" * 3000,
        npy_claiming((40,), data=bytes(159)),
        npy_claiming((40,), data=bytes(161)),
        npy(np.zeros((40,), np.float32)).replace(b"(40,)", b"(40L,"),  # as Python 2 wrote it
        npy(np.zeros((40,), np.float32)).replace(b"(40,)", b"{[(`'"),
    ],
)
def test_an_array_that_is_none(tmp_path, array):
    refused(forged(tmp_path / "x", {"meta.json": meta(), "parameters.npy": array}))


@pytest.mark.parametrize("field", [8, 12])  # sizes before and after packing
@pytest.mark.parametrize("name", ["meta.json", "parameters.npy"])
def test_the_directory_promises_huge_entries(tmp_path, name, field):
    path = forged(tmp_path / "x", {"meta.json": meta(), "parameters.npy": npy_claiming((40,))})
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    if name == "parameters.npy":
        at = content.index(b"PK\x01\x02", at + 1)
    content[at + 12 + field : at + 16 + field] = (2**31).to_bytes(4, "little")
    path.write_bytes(content)
    refused(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "3",
        "{}",
        '{"format": 1}',
        '{"format": "tinygen checkpoint 2"}',
        "[" * 20_000,
        '{"a":' * 20_000,
        "[" * 20_000 + "]" * 20_000,
        "9" * 10_000,
        "\ud800".encode("utf-8", "surrogatepass"),
        b"\xff\xfe\x00",
    ],
)
def test_a_description_that_is_none(tmp_path, text):
    refused(forged(tmp_path / "x", {"meta.json": text, "parameters.npy": npy(ARRAYS["m"])}))


def test_an_endless_description(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "MOST_META", 1000)
    path = forged(tmp_path / "x", {"meta.json": meta(a="a" * 1000)})
    assert "meta.json has more than 1000 bytes" in refused(path)


# The state of a run, in and out.

SHAPES = {"W1": (4, 6), "b1": (6,), "W2": (2, 5)}


NUMPY = get_backend("numpy")


def learner_of(shapes=SHAPES, dtype=np.float32):
    size = sum(int(np.prod(shape)) for shape in shapes.values())
    parameters = Parameters(shapes, np.linspace(0, 1, size, dtype=dtype))
    return SingleLossLearner(None, parameters, Adam, gradients=None)


def restored(path, learner):
    state = State()
    state.restore(path, learner, NUMPY)
    return state


def row(epoch):
    return {"epoch": epoch, "step": epoch, "train_loss": 0.5, "rate": 0.1, "seconds": 1.0}


def test_a_state_comes_back(tmp_path):
    run_dir, learner = RunDir(tmp_path), learner_of()
    state = State(7, {"loss": (np.float32(0.1), 20)}, [row(1), row(2)], 2.5)
    learner.optimizer.state["v"][...] = 3
    state.save(run_dir.checkpoint, learner, NUMPY, {"lr": 0.1})
    other = learner_of()
    other.parameters.flat[...] = 0
    leaf = tg.leaves(other.parameters)["W1"]
    y = (leaf * leaf).sum()
    again = restored(run_dir.checkpoint, other)
    assert other.parameters.flat.tobytes() == learner.parameters.flat.tobytes()
    with pytest.raises(RuntimeError):  # a graph on the old values is stale
        tg.grad(y, leaf)
    np.testing.assert_array_equal(other.optimizer.state["v"], 3)
    assert (again.step, other.optimizer.steps, again.seconds) == (7, 7, 2.5)
    assert again.totals == state.totals and again.totals["loss"][0].dtype == np.float32
    assert again.history == state.history
    assert run_dir.saved_configuration() == {"lr": 0.1}


def test_the_names_in_a_checkpoint_are_its_format(tmp_path):
    """Written out here as earlier versions wrote them: their runs must go on."""
    path, numbers = RunDir(tmp_path).checkpoint, np.arange(40, dtype=np.float32)
    meta = {
        "config": {"lr": 0.1}, "shapes": {"W1": [4, 6], "b1": [6], "W2": [2, 5]}, "step": 2,
        "totals": {"loss": [1.5, 20]}, "history": [row(1)], "seconds": 3.5, "dtype": "float32",
        "averaged": None,
    }  # fmt: skip
    arrays = {"parameters": numbers, "m": numbers + 1, "v": numbers + 2}
    checkpoint.save(path, arrays, meta)
    learner = learner_of()
    state = restored(path, learner)
    assert (state.step, learner.steps, state.seconds) == (2, 2, 3.5)
    assert state.totals == {"loss": (1.5, 20)} and state.history == [row(1)]
    for name, vector in learner.vectors.items():
        np.testing.assert_array_equal(vector, arrays[name])
    before = path.read_bytes()
    state.save(path, learner, NUMPY, {"lr": 0.1})
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "shapes",
    [
        {"W1": (6, 4), "b1": (6,), "W2": (2, 5)},  # each as long as before
        {"b1": (6,), "W1": (4, 6), "W2": (2, 5)},
        {"W1": (4, 6), "b1": (6,), "W3": (2, 5)},
        {"W1": (4, 6), "b1": (6,)},
        {"W1": (4, 6), "b1": (6,), "W2": (2, 5), "b2": (5,)},
    ],
)
def test_another_architecture_is_refused(tmp_path, shapes):
    path, other = RunDir(tmp_path).checkpoint, learner_of(shapes)
    State().save(path, learner_of(), NUMPY, {})
    before = other.parameters.flat.copy()
    with pytest.raises(InputError, match=r"of another architecture: it has .*, expected "):
        restored(path, other)
    np.testing.assert_array_equal(other.parameters.flat, before)


def test_another_dtype_is_refused(tmp_path):
    path = RunDir(tmp_path).checkpoint
    State().save(path, learner_of(), NUMPY, {})
    with pytest.raises(InputError, match="is float32, expected float64"):
        restored(path, learner_of(dtype=np.float64))


MISSING = object()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("step", x) for x in (MISSING, None, -1, 1.0, True, "3", 2**60, [1], float("nan"))],
        *[("totals", x) for x in (MISSING, None, "x", [], {"loss": 1.0}, {"loss": [1.0]})],
        *[("totals", {"loss": [x, 20]}) for x in (None, "x", True, 1e300, 10**400)],
        *[("totals", {"loss": [float(x), 20]}) for x in ("nan", "inf")],
        *[("totals", {"loss": [1.0, x]}) for x in (None, 0, -1, 1.5, True, 2**60)],
        *[("seconds", x) for x in (MISSING, "x", {}, False, float("nan"))],
        *[("history", x) for x in (MISSING, None, 3, "abc", {}, [[]], [3], ["x"], [{}], [None])],
        ("history", [row(2)]),
        ("history", [row(1), row(1)]),
        ("history", [row(1) | {"epoch": True}]),
        ("history", [row(1) | {"test_mse": "0.1"}]),
        ("history", [row(1) | {"test_mse": float("inf")}]),
        ("history", [row(1) | {"test_mse": None}]),
        ("shapes", MISSING),
        ("shapes", []),
        ("shapes", "W1"),
        ("shapes", {"W1": None}),
        ("shapes", {"W1": [[[]]]}),
    ],
)
def test_a_description_that_makes_no_sense_is_refused_and_changes_nothing(tmp_path, key, value):
    path, learner, state = RunDir(tmp_path).checkpoint, learner_of(), State()
    state.save(path, learner, NUMPY, {})
    arrays, described = checkpoint.load(path, learner.vectors)
    described[key] = value
    if value is MISSING:
        del described[key]
    checkpoint.save(path, arrays, described)
    learner.parameters.flat[...] = -5
    with pytest.raises(InputError, match=r"checkpoint\.npz: "):
        state.restore(path, learner, NUMPY)
    assert np.all(learner.parameters.flat == -5) and state.step == 0 and state.history == []


@pytest.mark.parametrize("config", [MISSING, None, [], "x", 3])
def test_a_configuration_that_is_none(tmp_path, config):
    run_dir = RunDir(tmp_path)
    checkpoint.save(run_dir.checkpoint, {}, {} if config is MISSING else {"config": config})
    with pytest.raises(InputError, match="it has no configuration"):
        run_dir.saved_configuration()


def test_an_experiment_goes_on_only_where_there_is_one_and_overwrites_none(tmp_path):
    run_dir, trainings = RunDir(tmp_path), [tmp_path / "one", tmp_path / "two"]

    def refusal(resume=False, restart=False):
        with pytest.raises(InputError) as refused:
            run_dir.refuse_experiment(resume, restart, trainings)
        return str(refused.value)

    run_dir.refuse_experiment(False, False, trainings)
    assert "there is no checkpoint in" in refusal(resume=True)
    trainings[1].mkdir()
    assert "holds an unfinished run" in refusal()
    run_dir.refuse_experiment(True, False, trainings)
    run_dir.refuse_experiment(False, True, trainings)
    run_dir.write_summary()
    assert "holds a finished run; add --restart to begin anew, or choose another" in refusal()
    run_dir.refuse_experiment(True, False, trainings)
    run_dir.refuse_experiment(False, True, trainings)
    checkpoint.save(run_dir.checkpoint, {}, {})
    for flags in ({}, {"resume": True}, {"restart": True}):
        assert "holds another run" in refusal(**flags)


# Crashes while writing.

INTERRUPTED_WRITE = """
import os, sys
from pathlib import Path
import numpy as np
from tinygen import files
from tinygen.training import RunDir, checkpoint

def crash(*args, **options):
    os._exit(9)

where = sys.argv[2]
if where == "in the middle":
    written = np.lib.format.write_array
    calls = []
    def write_array(*args, **options):
        calls.append(1)
        if len(calls) == 2:
            args[0]._fileobj.flush()
            crash()
        written(*args, **options)
    np.lib.format.write_array = write_array
else:
    setattr(os, {"before fsync": "fsync", "before the rename": "replace"}[where], crash)
new = {"parameters": np.ones(40, np.float32), "m": np.ones(40, np.float32)}
checkpoint.save(Path(sys.argv[1]), new, {"step": 4})
"""


@pytest.mark.parametrize("where", ["in the middle", "before fsync", "before the rename"])
def test_a_process_that_is_killed_while_writing_leaves_the_old_one(tmp_path, where):
    path = saved(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WRITE, str(path), where],
        env=environment(),
        check=False,
        capture_output=True,
    )
    assert done.returncode == 9, done.stderr
    arrays, meta = checkpoint.load(path, ARRAYS)
    assert meta["step"] == 3
    np.testing.assert_array_equal(arrays["m"], ARRAYS["m"])
    saved(tmp_path, meta={"step": 5})  # what the dead process left is not in the way
    assert checkpoint.read_meta(path)["step"] == 5
    RunDir(tmp_path).sweep()
    assert os.listdir(tmp_path) == ["checkpoint.npz"]


@pytest.mark.parametrize("room", [0, 1, 100, 300, 600, 900])
def test_a_full_disk_leaves_the_old_one_and_nothing_else(tmp_path, monkeypatch, room):
    path = saved(tmp_path)
    full = lambda *args: FullDisk(open(*args), room)  # noqa: E731, SIM115
    monkeypatch.setattr("tinygen.files.open", full, raising=False)
    with pytest.raises(OSError, match="No space left") as caught:
        checkpoint.save(path, ARRAYS, {"step": 4})
    monkeypatch.undo()
    assert caught.value.errno == errno.ENOSPC and caught.value.filename == str(path)
    assert checkpoint.load(path, ARRAYS)[1]["step"] == 3
    assert os.listdir(tmp_path) == ["checkpoint.npz"]


class FullDisk(io.RawIOBase):
    """A file on a disk that has room for so many bytes."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(data)

    def seek(self, *to):
        return self.file.seek(*to)

    def tell(self):
        return self.file.tell()

    def flush(self):
        if not self.file.closed:
            self.file.flush()

    def fileno(self):
        return self.file.fileno()

    def close(self):
        self.file.close()
        super().close()


def test_an_error_that_is_not_the_disks_passes_through(tmp_path):
    write_text(tmp_path / "x", "before")
    for error in (KeyboardInterrupt, ZeroDivisionError):
        with pytest.raises(error), replacing(tmp_path / "x") as file:
            file.write(b"half")
            raise error
    assert os.listdir(tmp_path) == ["x"] and (tmp_path / "x").read_text() == "before"


@pytest.mark.parametrize("refusals", [1, 3, 100])
def test_a_file_that_somebody_reads_is_replaced_a_moment_later(tmp_path, monkeypatch, refusals):
    """Windows does not let it be renamed over as long as it is open."""
    write_text(tmp_path / "x", "before")
    replace, tries = os.replace, []

    def refuse(*paths):
        tries.append(paths)
        if len(tries) <= refusals:
            raise PermissionError(errno.EACCES, "Access is denied")
        replace(*paths)

    monkeypatch.setattr("os.replace", refuse)
    if refusals < 100:
        write_text(tmp_path / "x", "after")
        assert len(tries) == refusals + 1
    else:
        with pytest.raises(PermissionError, match="Access is denied"):
            write_text(tmp_path / "x", "after")
    assert os.listdir(tmp_path) == ["x"]
    assert (tmp_path / "x").read_text() == ("before" if refusals == 100 else "after")


def test_text_is_utf_8_whatever_the_locale(tmp_path):
    write_text(tmp_path / "x", "größer →\n")
    assert (tmp_path / "x").read_bytes() == "größer →\n".encode()


def test_the_flag_that_was_once_called_loss(tmp_path):
    """Runs of before go on; a GAN's loss is still called so."""
    run_dir = RunDir(tmp_path)
    for saved, read in (
        ({"loss": "bce", "lr": 0.1}, {"reconstruction": "bce", "lr": 0.1}),
        ({"loss": "r1"}, {"loss": "r1"}),
    ):
        checkpoint.save(run_dir.checkpoint, {}, {"config": saved})
        assert run_dir.saved_configuration() == read
