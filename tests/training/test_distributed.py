"""Data-parallel training: 1, 2 and 3 ranks give one run, and end together whatever ends one."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import under_mpiexec
from running import TINY, environment, run_captured, run_there, write_tiny_data
from strict import STRICT, count_syncs
from under_mpiexec import GAMES, IMAGES, LABELS, MODELS, TRAININGS

import tinygen as tg
from tinygen.backend import to_host
from tinygen.backend.numpy_backend import NUMPY
from tinygen.commands import setup
from tinygen.errors import InputError
from tinygen.training import checkpoint
from tinygen.training.distributed import Ranks, refuse_other_than_means, rows_of

# Beside this Python, as pip puts it there; or the system's.
MPIEXEC = shutil.which("mpiexec", path=os.path.dirname(sys.executable)) or shutil.which("mpiexec")
needs_mpi = pytest.mark.skipif(
    not (MPIEXEC and importlib.util.find_spec("mpi4py")),
    reason="needs mpi4py and mpiexec: pip install tinygen[mpi] mpich",
)
OPEN_MPI = {  # what it asks for where cores are few, or where all is done by root
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
}
FLAGS = ("--distributed", "--dtype", "float64", "--dropout", "0.2", *TINY)
"""Two epochs of 8 steps."""


def mpiexec(ranks, *arguments):
    """The helper's program on some ranks."""
    program = [sys.executable, under_mpiexec.__file__, *map(str, arguments)]
    return subprocess.run(
        [MPIEXEC, "-n", str(ranks), *program],
        env=environment(**OPEN_MPI), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


class Recorded:
    """A communicator in which a rank is alone with its part."""

    def __init__(self, rank, size):
        self.rank, self.size = rank, size

    def Allreduce(self, part, total):
        self.sent = part
        total[...] = part

    @property
    def part(self):
        return to_host(self.sent)

    def bcast(self, x):
        return x

    def allgather(self, x):
        return [x]


# The parts.


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("name", TRAININGS)
def test_the_parts_of_all_ranks_add_up_to_the_gradient(name, size, backend, tmp_path) -> None:
    model, how = TRAININGS[name]
    p, x, labels = model.initialise(0, np.float64, backend), IMAGES[:4], LABELS[:4]
    data = under_mpiexec.drawn(model, x, labels, 0)
    data = on(backend, data)
    loss, gradients = model.gradients(how)(p, *data)
    ranks = [Recorded(rank, size) for rank in range(size)]
    for one in ranks:
        got, out = Ranks(one, tmp_path).averaged(model.gradients(how))(p, *data, out=p.zeros_like())
        assert got.shape == () and backend.to_numpy(out.flat) == pytest.approx(one.part[:-2])
    total = sum(one.part for one in ranks)
    assert total[:-2] == pytest.approx(backend.to_numpy(gradients.flat), rel=1e-12, abs=1e-14)
    assert total[-2] == pytest.approx(float(loss), rel=1e-13)


def test_the_vector_travels_where_mpi_can_read_it(tmp_path) -> None:
    """On a GPU, nothing is copied to the host but whether to stop, and MPI waits for the GPU."""
    model = MODELS["elbo"]
    p = model.initialise(0, np.float32, STRICT)
    data = on(STRICT, under_mpiexec.drawn(model, IMAGES[:4].astype(np.float32), LABELS[:4], 0))
    sent = {}
    for reads_gpus, waits in [(False, ["get", "get"]), (True, ["synchronize", "bool"])]:
        world = Recorded(1, 3)
        ranks = Ranks(world, tmp_path, reads_gpus=reads_gpus)
        with count_syncs() as syncs:
            _, out = ranks.averaged(model.gradients("by-hand"))(p, *data)
        assert syncs == waits
        assert type(world.sent) is (STRICT.xp.ndarray if reads_gpus else np.ndarray)
        assert world.sent.dtype == out.flat.dtype == np.float32
        sent[reads_gpus] = world.part
        assert (to_host(out.flat) == world.part[:-2]).all()
    assert (sent[True] == sent[False]).all() and sent[True][:-1].any()


def test_each_rank_takes_a_gpu_of_its_machine(monkeypatch, tmp_path) -> None:
    asked = []

    def get_backend(*arguments):
        asked.append(arguments)
        raise InputError("there is none")

    monkeypatch.setattr(setup, "get_backend", get_backend)
    ranks = Ranks(Recorded(5, 8), tmp_path, local_rank=1)
    args = Namespace(backend="cupy", batch_size=8, out=tmp_path, resume=False)
    with pytest.raises(InputError, match="there is none"):
        setup.set_up_on(ranks, MODELS["elbo"], args, {})
    assert asked == [("cupy", 1)]


def test_where_gradients_are_averaged_is_said(tmp_path) -> None:
    host, gpu = (Ranks(Recorded(0, 2), tmp_path, reads_gpus=gpu) for gpu in (False, True))
    assert (
        host.describe(NUMPY) == gpu.describe(NUMPY) == "2, which average gradients in host memory"
    )
    assert host.describe(STRICT).endswith("in host memory: MPI reads no GPU's")
    assert gpu.describe(STRICT).endswith("in the memory of GPUs")


def on(backend, data):
    if isinstance(data, tuple):
        return tuple(on(backend, x) for x in data)
    return backend.asarray(data) if hasattr(data, "shape") else data


def test_what_has_no_rows_is_refused() -> None:
    """A vector would otherwise go to every rank whole."""
    for wrong in (np.zeros(4), np.zeros((4, 1, 7)), np.zeros(())):
        with pytest.raises(ValueError, match=r"expected an array \(\.\.\., 4, columns\), got"):
            rows_of((np.zeros((4, 7)), wrong), 4, slice(0, 2))


def test_a_loss_that_is_no_mean_is_refused(capsys) -> None:
    refuse_other_than_means(MODELS["elbo"])
    with pytest.raises(InputError, match=r"free bits, got 0\.5, compare the mean KL of a whole"):
        refuse_other_than_means(tg.VAE(free_bits=0.5))
    done = run_captured(capsys, "--distributed", name="mnist_gan")
    assert done.returncode == 2
    assert "expected an autoencoder or a VAE, got a GAN" in done.stderr


def test_free_bits_are_indeed_no_mean_of_parts(tmp_path) -> None:
    """Why they are refused: a maximum of means is none."""
    p = MODELS["iwae"].initialise(0, np.float64)
    data = MODELS["iwae"].draw(IMAGES, np.random.default_rng(0))
    _, kl, _ = MODELS["iwae"].elbo_terms(p, *data[:2])
    model = tg.VAE(pixels=9, hidden=(5,), latent=2, free_bits=float(kl[:, 0].mean()))
    ranks = [Recorded(rank, 2) for rank in range(2)]
    for one in ranks:
        Ranks(one, tmp_path).averaged(model.gradients("by-hand"))(p, *data)
    loss, _ = model.gradients("by-hand")(p, *data)
    assert sum(one.part[-2] for one in ranks) > loss + 1e-6


def test_ranks_with_other_data_are_refused(tmp_path) -> None:
    """Such as strokes on a machine that has no network, beside MNIST on others."""
    communicator = Recorded(0, 3)
    communicator.allgather = lambda value: [value, value, {"data": "strokes"}]
    with pytest.raises(InputError, match="the same flags and data on all ranks, got other ones on"):
        Ranks(communicator, tmp_path).refuse_different("flags and data", {"data": "mnist"})


def test_only_a_resumed_run_begins_with_the_checkpoint_of_rank_0(tmp_path) -> None:
    """Beside a finished run a new one begins; without its summary it would look unfinished."""
    out, scratch = tmp_path / "out", tmp_path / "scratch"
    for folder in (out, scratch):
        folder.mkdir()
    (out / "checkpoint.npz").write_bytes(b"parameters")
    sent = []
    for rank, resume in [(0, False), (1, False), (0, True), (1, True)]:
        communicator = Recorded(rank, 2)
        communicator.bcast = lambda x, at=rank: sent[-1] if at else sent.append(x) or x
        assert Ranks(communicator, scratch).folder(out, resume) == (scratch if rank else out)
        copied = [path.read_bytes() for path in scratch.iterdir()]
        assert copied == ([b"parameters"] if rank and resume else [])


def test_more_ranks_than_images_in_a_batch_are_refused(tmp_path) -> None:
    ranks = Ranks(Recorded(0, 3), tmp_path)
    with pytest.raises(InputError, match="--batch-size 2: expected at least an image for each of"):
        args = Namespace(batch_size=2, out=tmp_path, resume=False)
        setup.set_up_on(ranks, MODELS["elbo"], args, {})


def test_without_mpi4py_one_sentence_names_the_extra(capsys, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    done = run_captured(capsys, "--distributed")
    assert done.returncode == 2
    assert "error: --distributed needs mpi4py" in done.stderr
    assert "pip install tinygen[mpi]" in done.stderr


# All ranks.


@pytest.fixture(scope="module")
def alone():
    return {name: under_mpiexec.trained(*what) for name, what in {**TRAININGS, **GAMES}.items()}


@needs_mpi
@pytest.mark.parametrize("size", [1, 2, 3])
def test_some_ranks_give_the_run_of_one(size, alone, tmp_path) -> None:
    """In float64 up to rounding; and among themselves bit for bit, or they would drift apart."""
    assert mpiexec(size, "train", tmp_path).returncode == 0
    first, *others = (np.load(tmp_path / f"{rank}_of_{size}.npz") for rank in range(size))
    for name, expected in alone.items():
        assert first[name] == pytest.approx(expected, rel=1e-12, abs=1e-12), name
        assert all((other[name] == first[name]).all() for other in others), name


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_tiny_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def uninterrupted(data, tmp_path_factory):
    """The parameters after a run without MPI."""
    out = tmp_path_factory.mktemp("alone")
    flags = [flag for flag in FLAGS if flag != "--distributed"]
    assert run_there(*flags, "--data-dir", data, "--out", out, timeout=300).returncode == 0
    return parameters(out)


def parameters(out):
    with np.load(Path(out) / "checkpoint.npz") as file:
        return file["parameters"]


def step_of(out):
    return checkpoint.read_meta(Path(out) / "checkpoint.npz")["step"]


@needs_mpi
def test_one_rank_without_mpiexec_says_so(data, uninterrupted, tmp_path) -> None:
    done = run_there(*FLAGS, "--data-dir", data, "--out", tmp_path, timeout=300)
    assert done.returncode == 0
    assert "ranks     1; with more it starts as mpiexec -n 4" in done.stdout
    assert parameters(tmp_path) == pytest.approx(uninterrupted, rel=1e-12, abs=1e-12)


@needs_mpi
def test_ctrl_c_on_one_rank_saves_and_other_ranks_go_on(data, uninterrupted, tmp_path) -> None:
    flags = (*FLAGS, "--data-dir", data, "--out", tmp_path)
    done = mpiexec(3, "ctrl-c", 1, 10, *flags)
    assert done.returncode not in (0, 2)
    assert done.stderr.count("stopped after step 11 of 16") == 1
    assert step_of(tmp_path) == 11
    assert mpiexec(2, "nothing", 0, 0, *flags, "--resume").returncode == 0
    assert parameters(tmp_path) == pytest.approx(uninterrupted, rel=1e-12, abs=1e-12)
    rows = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [8, 16]


@needs_mpi
def test_a_killed_rank_ends_all_and_the_last_checkpoint_stays(
    data, uninterrupted, tmp_path
) -> None:
    """What only rank 0 can refuse, as it looks into the folder, all refuse in one sentence."""
    flags = (*FLAGS, "--data-dir", data, "--out", tmp_path)
    assert mpiexec(2, "kill", 1, 10, *flags).returncode != 0
    assert step_of(tmp_path) == 8
    done = mpiexec(2, "nothing", 0, 0, *flags)
    assert done.returncode == 2
    assert done.stderr.count("holds an unfinished run") == 1
    done = mpiexec(3, "nothing", 0, 0, *flags, "--resume")
    assert done.returncode == 0
    assert json.loads((tmp_path / "summary.json").read_text())["versions"]["ranks"] == 3
    assert parameters(tmp_path) == pytest.approx(uninterrupted, rel=1e-12, abs=1e-12)


@needs_mpi
def test_nan_in_the_rows_of_one_rank_ends_all(data, tmp_path) -> None:
    done = mpiexec(2, "nan", 1, 10, *FLAGS, "--data-dir", data, "--out", tmp_path)
    assert done.returncode not in (0, 2)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert "at step 11, " in line and f"{tmp_path / 'checkpoint.npz'} is the last good one" in line
    assert step_of(tmp_path) == 8


ALONE = {
    "error": (1, 2, "RuntimeError: the seventh seal", 1),
    "refuse": (0, 3, "error: the eighth day", 2),
    "exit": (1, 2, None, 1),
    "disk": (0, 3, "error: checkpoint.npz: No space left on device", 1),
    "flag": (1, 2, "error: unrecognized arguments: --bogus", 2),
}
"""What happens to a rank alone: to which, of how many, what it says, and how all end."""


def reasons(done):
    """What the ranks say about their end; MPI has words of its own."""
    return [line for line in done.stderr.splitlines() if "rror: " in line or "alone" in line]


@needs_mpi
@pytest.mark.parametrize("what", ALONE)
def test_what_one_rank_alone_ends_with_ends_all(what, data, tmp_path) -> None:
    """The others may be waiting for its gradients; it says what it was, and they say nothing."""
    rank, size, said, code = ALONE[what]
    done = mpiexec(size, what, rank, 10, *FLAGS, "--data-dir", data, "--out", tmp_path)
    assert done.returncode == code
    first = f"rank {rank} of {size}, counted from 0, stopped alone and ends the others"
    assert reasons(done) == [first, said][: 1 + bool(said)]
    assert what == "flag" or step_of(tmp_path) == 8


@needs_mpi
@pytest.mark.parametrize(
    ("what", "flag", "said"),
    [
        ("nothing", "--bogus", "unrecognized arguments: --bogus"),
        ("version", "--quiet", "expected the same version of tinygen on all ranks, got other ones"),
    ],
)
def test_what_all_ranks_refuse_is_said_once(what, flag, said, data, tmp_path) -> None:
    done = mpiexec(3, what, 1, 0, *FLAGS, "--data-dir", data, "--out", tmp_path, flag)
    assert done.returncode == 2
    (line,) = reasons(done)
    assert line.startswith(f"error: {said}")
