"""All that only a GPU can tell of tinygen, in about six minutes.

    python tests/benchmarks/gpu_check.py --json gpu.json
    python tests/benchmarks/gpu_check.py --backend numpy     # what can be asked without a GPU

A check has a name, and gives what it measured and whether that is right; an exception is wrong,
and the next check goes on. What is only measured, or could not be asked, is not judged.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import step as steps

import tinygen as tg
from tinygen.errors import InputError
from tinygen.files import write_text
from tinygen.models import GAN, VAE, AdversarialAutoencoder, Autoencoder, Classifier, Decoder
from tinygen.training.graphs import by_graphs
from tinygen.training.learners import AAELearner, AdversarialLearner, SingleLossLearner

ROOT = Path(__file__).parents[2]
NUMPY = tg.get_backend("numpy")

Measured = dict[str, Any]
Outcome = tuple[bool | None, Measured]
"""Whether it is right, or None where nothing is judged; and what was measured."""
Checks = Iterator[tuple[str, Callable[[], Outcome]]]


@dataclass(frozen=True)
class Settings:
    """What the sections are asked for."""

    backend: Any
    steps: int
    rounds: int
    deadline: float

    def left(self) -> float:
        """The seconds until the end."""
        return self.deadline - time.monotonic()


# What runs here.


def versions(settings: Settings) -> Checks:
    backend = settings.backend
    yield "tinygen", lambda: (None, {"version": tg.__version__, "backend": backend.describe()})
    yield "host", lambda: (None, {"python": platform.python_version(), "numpy": np.__version__,
                                  "processor": steps.processor()})  # fmt: skip
    if backend.name == "cupy":
        yield "CUDA", lambda: (None, cuda(backend.xp.cuda))
    yield "PyTorch", torch_version


def cuda(cuda: Any) -> Measured:
    device = cuda.Device()
    return {
        "runtime": cuda.runtime.runtimeGetVersion(),
        "driver": cuda.runtime.driverGetVersion(),
        "compute capability": device.compute_capability,
        "GB": round(device.mem_info[1] / 1e9),
    }


def torch_version() -> Outcome:
    if not find_spec("torch"):
        return None, {"absent": "its step times are left out; pip install torch"}
    import torch

    return None, {"version": torch.__version__}


# Calls that CuPy could refuse, or answer otherwise than NumPy.


def added_at(xp: Any, a: Any) -> Any:
    xp.add.at(a, xp.asarray([1, 1, 5]), 1.0)
    return a


CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "a comparison into floats": lambda xp, a: xp.greater(a, 0, out=xp.empty_like(a)),
    "a sum into a column": lambda xp, a: xp.sum(a, axis=1, out=xp.zeros_like(a)[:, 1]),
    "a sum into unaligned memory": lambda xp, a: xp.sum(a, axis=0, out=xp.zeros_like(a[0:2])
                                                        .reshape(-1)[3:8]),
    "a product of matrices into unaligned memory": lambda xp, a: xp.matmul(
        a[1:].T, a[1:], out=xp.zeros(40, a.dtype)[7:32].reshape(5, 5)),
    "a result over its own input": lambda xp, a: xp.multiply(
        a[:, None], a.reshape(6, 1, 5), out=a.reshape(6, 1, 5)),
    "the larger of a boolean and a float": lambda xp, a: xp.maximum(a >= 0, a),
    "where with a number": lambda xp, a: xp.where(a > 0, a, 0.0),
    "a float64 scalar of NumPy": lambda xp, a: a * np.float64(2),
    "an empty selection": lambda xp, a: a[a > 99],
    "add.at with an index twice": added_at,
    "einsum": lambda xp, a: xp.einsum("ij,kj->ik", a, a),
    "logaddexp of two -inf": lambda xp, a: xp.logaddexp(a - xp.inf, a - xp.inf),
    "the maximum with a NaN": lambda xp, a: xp.max(xp.where(a > 0, a, xp.nan), axis=0),
    "argmax": lambda xp, a: xp.argmax(a, axis=1),
    "variance": lambda xp, a: xp.var(a, axis=0),
    "cumsum": lambda xp, a: xp.cumsum(a, axis=1),
    "a power of a negative number": lambda xp, a: a**3,
    "a row of a Tensor": lambda xp, a: (a @ tg.Tensor(a.T))[0].array,
}  # fmt: skip


def calls(settings: Settings) -> Checks:
    host = np.random.default_rng(0).standard_normal((6, 5)).astype(np.float32)
    for name, call in CALLS.items():
        yield name, partial(same_as_numpy, settings.backend, call, host)


def same_as_numpy(backend: Any, call: Callable[[Any, Any], Any], host: Any) -> Outcome:
    found, expected = (b.to_numpy(call(b.xp, b.asarray(host.copy()))) for b in (backend, NUMPY))
    if found.dtype != expected.dtype or found.shape != expected.shape:
        return False, {"expected": f"{expected.dtype}{expected.shape}",
                       "got": f"{found.dtype}{found.shape}"}  # fmt: skip
    # Sums have another order, and a product and a sum may be rounded once.
    return np.allclose(found, expected, rtol=1e-5, atol=1e-5, equal_nan=True), {}


# Precision: TF32 keeps 10 of the 23 binary places of a float32, and would be silent.

PRODUCTS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "x @ W": lambda xp, x, W: x @ W,
    "(W.T @ x.T).T": lambda xp, x, W: (W.T @ x.T).T,
    "matmul(x, W, out=)": lambda xp, x, W: xp.matmul(x, W, out=xp.empty_like(x @ W)),
    "a stack of one": lambda xp, x, W: (x[None] @ W[None])[0],
    "einsum": lambda xp, x, W: xp.einsum("ni,io->no", x, W),
}
ERROR_OF_FLOAT32 = 5e-6
"""Of the largest element; NumPy's is below 1e-6, and that of TF32 about 3e-4."""


def precision(settings: Settings) -> Checks:
    for name, product in PRODUCTS.items():
        yield name, partial(product_error, settings.backend, product)


def product_error(backend: Any, product: Callable[[Any, Any, Any], Any]) -> Outcome:
    random = np.random.default_rng(0)
    x, W = (random.standard_normal(shape).astype(np.float32) for shape in ((128, 784), (784, 512)))
    found = backend.to_numpy(product(backend.xp, backend.asarray(x), backend.asarray(W)))
    exact = x.astype(np.float64) @ W.astype(np.float64)
    error = float(np.abs(found - exact).max() / np.abs(exact).max())
    return found.dtype == np.float32 and error < ERROR_OF_FLOAT32, {"error": error}


# Every model after some steps, both ways, beside NumPy's by autograd from the same draws.

SMALL: dict[str, Any] = {"pixels": 36, "hidden": (16,), "latent": 4}
SMALL_GAN: dict[str, Any] = {
    "pixels": 36,
    "latent": 4,
    "generator_hidden": (16, 12),
    "discriminator_hidden": (16,),
    "discriminator_activation": "gelu",
}
MODELS: dict[str, Any] = {
    "autoencoder": Autoencoder(input_noise=0.1, dropout=0.1, **SMALL),
    "autoencoder of convolutions": Autoencoder(channels=(4,), **SMALL),
    "VAE": VAE(binarize=True, **SMALL),
    "IWAE": VAE(objective="iwae", samples=3, **SMALL),
    "GAN, non-saturating": GAN(**SMALL_GAN),
    "GAN, r1": GAN(loss="r1", penalty=2.0, **SMALL_GAN),
    "GAN, wasserstein-gp": GAN(loss="wasserstein-gp", **SMALL_GAN),
    "adversarial autoencoder": AdversarialAutoencoder(discriminator_hidden=(16,), **SMALL),
    "classifier": Classifier(pixels=36, hidden=(16,)),
    "decoder": Decoder(**SMALL),
}
LEARNERS: dict[type, Any] = {GAN: AdversarialLearner, AdversarialAutoencoder: AAELearner}
"""What trains a model that has more than one loss."""
BATCH, RATE = 16, 1e-3
FARTHEST = {"float64": 1e-9, "float32": 1e-3}
"""How far the parameters may be apart after 50 steps, relative to their norm.

By hand and by autograd on one processor it is 1e-16 and 6e-8. Sums in another order make more of
it where a gradient nearly vanishes, since Adam divides by its size.
"""


class DrawnOnTheHost:
    """A generator that draws NumPy's numbers for any backend."""

    def __init__(self, backend: Any, seed: Any) -> None:
        self.backend, self.generator = backend, NUMPY.generator(seed)

    def standard_normal(self, size: Any, dtype: Any) -> Any:
        return self.backend.asarray(self.generator.standard_normal(size, dtype))

    def random(self, size: Any, dtype: Any) -> Any:
        return self.backend.asarray(self.generator.random(size, dtype))


def parity(settings: Settings) -> Checks:
    for name, model in MODELS.items():
        yield name, partial(distances, settings, model)


def distances(settings: Settings, model: Any) -> Outcome:
    apart = {}
    for dtype in FARTHEST:
        expected = trained(NUMPY, model, "autograd", dtype, settings.steps)
        for way in ("autograd", "by-hand"):
            for graphs in (False, True) if settings.backend.name != "numpy" else (False,):
                found = trained(settings.backend, model, way, dtype, settings.steps, graphs)
                distance = np.linalg.norm(found - expected) / np.linalg.norm(expected)
                apart[f"{dtype} {way}{' graphs' * graphs}"] = float(distance)
    right = all(distance < FARTHEST[which.split()[0]] for which, distance in apart.items())
    return right, apart


def trained(
    backend: Any, model: Any, way: str, dtype: str, number: int, graphs: bool = False
) -> Any:
    """The parameters after so many steps, on the host; what goes on without graphs is an error."""
    p, gradients = model.initialise(0, np.dtype(dtype), backend), model.gradients(way)
    kind = LEARNERS.get(type(model), SingleLossLearner)
    learner = kind(model, p, tg.Adam, by_graphs(gradients) if graphs else gradients)
    x, *labels = (backend.asarray(a.astype(dtype)) for a in batch_of(model))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        for k in range(number):
            learner.step(learner.draw(x, DrawnOnTheHost(backend, (0, k)), k, *labels), RATE)
    return backend.to_numpy(p.flat).astype(np.float64)


def batch_of(model: Any) -> list[Any]:
    """Images, and what a classifier and a decoder learn them with: labels, codes."""
    random = np.random.default_rng(1)
    batch = [random.random((BATCH, model.pixels))]
    if isinstance(model, Classifier):
        batch.append(np.eye(model.classes)[np.arange(BATCH) % model.classes])
    if isinstance(model, Decoder):
        batch.append(random.standard_normal((BATCH, model.latent)))
    return batch


# Commands with warnings as errors, and the tests that are for a GPU.

COMMANDS = {
    "tinygen train autoencoder": ("autoencoder", "--data", "strokes"),
    "the same by hand": ("autoencoder", "--data", "strokes", "--gradients", "by-hand"),
    "tinygen train vae": ("vae", "--data", "strokes"),
    "tinygen train gan": ("gan", "--data", "strokes"),
    "tinygen train ring": ("ring",),
    "by CUDA graphs": ("gan", "--data", "strokes", "--loss", "r1", "--graphs"),
}


def commands(settings: Settings) -> Checks:
    for name, (command, *flags) in COMMANDS.items():
        if "--graphs" in flags and settings.backend.name == "numpy":
            continue
        with tempfile.TemporaryDirectory() as folder:
            more = ("--smoke", "--quiet", "--backend", settings.backend.name, "--out", folder)
            words = ("-W", "error", "-m", "tinygen", "train", command, *flags, *more)
            yield name, partial(program, settings, *words)


def tests(settings: Settings) -> Checks:
    if settings.backend.name == "numpy":
        yield "pytest -m gpu", lambda: (None, {"left out": "these tests need a GPU"})
        return
    several = ("-n", "8") if find_spec("xdist") else ()
    words = ("-m", "pytest", "-q", "-m", "gpu", "--tb=line", "-p", "no:cacheprovider", *several)
    yield "pytest -m gpu", partial(program, settings, *words)


def program(settings: Settings, *words: str) -> Outcome:
    """Run Python with these words until the time is over; its last line says how it went."""
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False,
        timeout=max(1, settings.left()),
    )  # fmt: skip
    measured = {"seconds": round(time.monotonic() - begin, 1)}
    lines = (done.stdout + done.stderr).strip().splitlines()
    if done.returncode or "pytest" in words:
        measured["says"] = lines[-1] if lines else "nothing"
    return done.returncode == 0, measured


# How long a step takes: the arms of step.py.


def times(settings: Settings) -> Checks:
    for name in steps.ARMS_OF:
        yield name, partial(step_times, settings, name)


def step_times(settings: Settings, model: str) -> Outcome:
    """Milliseconds; docs/results.md has the targets, which no check judges."""
    batch = steps.BURDA_BATCH if model == "vae" else steps.GAN_BATCH
    return None, steps.measure(model, settings.backend.name, batch, settings.rounds)


# The whole.

SECTIONS = {
    "versions": versions,
    "calls": calls,
    "precision": precision,
    "parity": parity,
    "commands": commands,
    "tests": tests,
    "times": times,
}
MARKS = {True: "ok", False: "WRONG", None: ""}


def attempt(check: Callable[[], Outcome], settings: Settings) -> Outcome:
    """What a check says, if there is time for it."""
    if settings.left() < 0:
        return None, {"left out": "the time is over"}
    try:
        return check()
    except Exception as error:  # whatever it is, the next check may pass
        return False, {type(error).__name__: (str(error).splitlines() or [""])[0]}


def run(settings: Settings, sections: list[str]) -> list[dict[str, Any]]:
    """A row for each check, which is printed as soon as it is there."""
    rows = []
    for section in sections:
        print(section, flush=True)
        for name, check in SECTIONS[section](settings):
            right, measured = attempt(check, settings)
            rows.append({"section": section, "name": name, "right": right, "measured": measured})
            print(f"  {MARKS[right]:5} {name:44} {shown(measured)}", flush=True)
    return rows


def shown(measured: Measured) -> str:
    return ", ".join(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
                     for name, value in measured.items())  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--backend", default="cupy", help="numpy: what can be asked without a GPU")
    p.add_argument("--only", nargs="*", choices=SECTIONS, default=[*SECTIONS], metavar="SECTION")
    p.add_argument("--minutes", type=float, default=5.0, help="after which no check begins")
    p.add_argument("--steps", type=int, default=50, help="of the comparison with NumPy")
    p.add_argument("--rounds", type=int, default=10, help="of the step times")
    p.add_argument("--json", type=Path, help="a file for all that was measured")
    args = p.parse_args(arguments)
    try:
        backend = tg.get_backend(args.backend)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    begin = time.monotonic()
    rows = run(Settings(backend, args.steps, args.rounds, begin + 60 * args.minutes), args.only)
    wrong = [row["name"] for row in rows if row["right"] is False]
    seconds = round(time.monotonic() - begin)
    print(f"{len(rows)} checks in {seconds} s, wrong: {'; '.join(wrong) or 'none'}")
    if args.json:
        result = {"device": backend.describe(), "seconds": seconds, "wrong": wrong, "rows": rows}
        write_text(args.json, json.dumps(result, indent=2) + "\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
