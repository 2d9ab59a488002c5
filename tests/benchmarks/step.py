"""How long a training step takes, beside what it is compared with, interleaved in one run.

    python tests/benchmarks/step.py
    python tests/benchmarks/step.py --backend cupy --json docs/benchmarks/h200.json

The step is that of the autoencoder 784-512-256-64 and back: forward, backward, Adam; that of the
VAE of Burda et al., 784-200-200-50 and back at their batch of 20, with its draws; and at a batch of
128 those of both players of a GAN, see gan_arms.py, and that of an autoencoder of convolutions, see
conv_arms.py. The arms are

- the matrix products of such a step alone, written into memory that is already there;
- tinygen by hand and by autograd; on a GPU by CUDA graphs, too;
- PyTorch (eager, fused Adam; on a GPU compiled, too), and JAX, MyGrad and HIPS autograd, each
  where it is installed.

Each arm has a process of its own. Each round lets every arm take a burst of steps, one arm after
the other in a new random order; the table shows medians, and ratios of medians. Behind it stand the
engine's own cost for one op, Adam alone, and the time of `import tinygen` beside `import numpy`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import conv_arms
import gan_arms
import numpy as np

import tinygen as tg
from tinygen.backend.numpy_backend import adam_numpy
from tinygen.files import write_text
from tinygen.models import VAE, Autoencoder
from tinygen.training.graphs import by_graphs

MODEL = Autoencoder(latent=64, activation="relu")
WIDTHS = (784, 512, 256, 64, 256, 512, 784)
BURDA = VAE(hidden=(200, 200), latent=50, activation="tanh", binarize=True)
BURDA_BATCH = 20
RATE = 1e-3

Arm = Callable[[], Any]


def matrix_products(model: Any, backend: Any, x: Any) -> Arm:
    """Forward y = h W; backward h^T g and g W^T, the last one not for the first layer."""
    xp, n = backend.xp, len(x)
    make = backend.generator(0)
    W = [p for p in model.initialise(0, backend=backend).values() if p.ndim == 2]
    h = [make.standard_normal((n, w.shape[0]), dtype=np.float32) for w in W]
    y = [make.standard_normal((n, w.shape[1]), dtype=np.float32) for w in W]
    dh, dW = [xp.empty_like(a) for a in h], [xp.empty_like(w) for w in W]

    def step() -> None:
        for k, w in enumerate(W):
            xp.matmul(h[k], w, out=y[k])
        for k in range(len(W) - 1, -1, -1):
            xp.matmul(h[k].T, y[k], out=dW[k])
            if k:
                xp.matmul(y[k], W[k].T, out=dh[k])

    return step


def tinygen_step(model: Any, gradients_of: Any, backend: Any, x: Any) -> Arm:
    parameters = model.initialise(0, backend=backend)
    gradients, adam = parameters.zeros_like(), tg.Adam(parameters)
    count = itertools.count()

    def step() -> None:
        t = next(count)
        data = model.draw(x, backend.generator((0, 1, t)), t)
        gradients_of(parameters, *data, out=gradients)
        adam.update(parameters, gradients, RATE)

    return step


def tinygen_arms(model: Any) -> dict[str, Any]:
    hand, autograd = model.gradients("by-hand"), model.gradients("autograd")
    return {
        "tinygen by hand": partial(tinygen_step, model, hand),
        "tinygen autograd": partial(tinygen_step, model, autograd),
        "tinygen by hand, graphs": partial(tinygen_step, model, by_graphs(hand)),
        "tinygen autograd, graphs": partial(tinygen_step, model, by_graphs(autograd)),
    }


def pytorch(backend: Any, x: Any) -> Arm:
    import torch

    device = "cuda" if backend.name == "cupy" else "cpu"
    layers: list[Any] = []
    for i, o in pairwise(WIDTHS):
        layers += [torch.nn.Linear(i, o), torch.nn.ReLU()]
    del layers[5]  # the code is linear
    layers[-1] = torch.nn.Sigmoid()
    net = torch.nn.Sequential(*layers).to(device)
    adam = torch.optim.Adam(net.parameters(), lr=RATE, fused=True)
    data = torch.from_numpy(backend.to_numpy(x)).to(device)

    def step() -> None:
        adam.zero_grad()
        torch.nn.functional.mse_loss(net(data), data).backward()
        adam.step()

    return step


def compiled(arm: Any) -> Any:
    """The same step after torch.compile, as CUDA graphs."""

    def make(backend: Any, x: Any) -> Arm:
        import torch

        return torch.compile(arm(backend, x), mode="reduce-overhead")

    return make


def pytorch_vae(backend: Any, x: Any) -> Arm:
    import torch
    from torch import nn

    device = "cuda" if backend.name == "cupy" else "cpu"
    c = BURDA.latent
    encoder = nn.Sequential(
        nn.Linear(784, 200), nn.Tanh(), nn.Linear(200, 200), nn.Tanh(), nn.Linear(200, 2 * c)
    ).to(device)
    decoder = nn.Sequential(
        nn.Linear(c, 200), nn.Tanh(), nn.Linear(200, 200), nn.Tanh(), nn.Linear(200, 784)
    ).to(device)
    adam = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=RATE, fused=True)
    data = torch.from_numpy(backend.to_numpy(x)).to(device)

    def step() -> None:
        adam.zero_grad()
        binary = torch.bernoulli(data)
        mu, log_var = encoder(binary).chunk(2, dim=1)
        z = mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)
        nll = nn.functional.binary_cross_entropy_with_logits(decoder(z), binary, reduction="sum")
        kl = 0.5 * (log_var.exp() + mu * mu - 1 - log_var).sum()
        ((nll + kl) / len(data)).backward()
        adam.step()

    return step


def jax_jit(backend: Any, x: Any) -> Arm:
    import jax
    import jax.numpy as jnp

    p = [jnp.asarray(a) for a in MODEL.initialise(0).values()]
    data = jnp.asarray(backend.to_numpy(x))

    def loss(p: Any) -> Any:
        h = data
        for k in range(0, len(p), 2):
            h = h @ p[k] + p[k + 1]
            if k == len(p) - 2:
                h = jax.nn.sigmoid(h)
            elif k != 4:
                h = jax.nn.relu(h)
        return ((h - data) ** 2).mean()

    def update(p: Any, m: Any, v: Any, t: Any) -> Any:
        g = jax.grad(loss)(p)
        m = [0.9 * a + 0.1 * b for a, b in zip(m, g, strict=True)]
        v = [0.999 * a + 0.001 * b * b for a, b in zip(v, g, strict=True)]
        hat = [(a / (1 - 0.9**t), b / (1 - 0.999**t)) for a, b in zip(m, v, strict=True)]
        p = [a - RATE * b / (jnp.sqrt(c) + 1e-8) for a, (b, c) in zip(p, hat, strict=True)]
        return p, m, v, t + 1

    compiled = jax.jit(update, donate_argnums=(0, 1, 2))
    state = [p, [a * 0 for a in p], [a * 0 for a in p], jnp.float32(1)]

    def step() -> None:
        state[:] = compiled(*state)
        jax.block_until_ready(state)

    return step


def mygrad(backend: Any, x: Any) -> Arm:
    import mygrad as mg

    parameters = MODEL.initialise(0)
    gradients, adam = parameters.zeros_like(), tg.Adam(parameters)
    data = backend.to_numpy(x)

    def step() -> None:
        p = {name: mg.tensor(view, copy=False) for name, view in parameters.items()}
        h = data
        for k, (W, b) in enumerate(_pairs(p)):
            h = h @ W + b
            if k == 5:
                h = mg.nnet.sigmoid(h)
            elif k != 2:
                h = mg.nnet.relu(h)
        mg.mean((h - data) ** 2).backward()
        for name, view in gradients.items():
            view[...] = p[name].grad
        del h, p  # MyGrad locks the arrays that a graph still holds
        adam.update(parameters, gradients, RATE)

    return step


def hips_autograd(backend: Any, x: Any) -> Arm:
    import autograd
    import autograd.numpy as anp

    parameters = MODEL.initialise(0)
    gradients, adam = parameters.zeros_like(), tg.Adam(parameters)
    data = backend.to_numpy(x)

    def loss(p: Any) -> Any:
        h = data
        for k, (W, b) in enumerate(_pairs(p)):
            h = anp.dot(h, W) + b
            if k == 5:
                h = 1 / (1 + anp.exp(-h))
            elif k != 2:
                h = anp.maximum(h, 0)
        return anp.mean((h - data) ** 2)

    gradient = autograd.grad(loss)

    def step() -> None:
        for name, g in gradient(dict(parameters)).items():
            gradients[name][...] = g
        adam.update(parameters, gradients, RATE)

    return step


def _pairs(p: Any) -> list[tuple[Any, Any]]:
    values = list(p.values())
    return list(zip(values[::2], values[1::2], strict=True))


ARMS = {
    "matrix products": partial(matrix_products, MODEL),
    **tinygen_arms(MODEL),
    "PyTorch, fused Adam": pytorch,
    "JAX, jit": jax_jit,
    "MyGrad": mygrad,
    "HIPS autograd": hips_autograd,
}
VAE_ARMS = {
    "matrix products": partial(matrix_products, BURDA),
    **tinygen_arms(BURDA),
    "PyTorch, fused Adam": pytorch_vae,
}
GANS = {f"GAN, {loss}": gan_arms.arms(loss) for loss in ("non-saturating", "wasserstein-gp")}
GAN_BATCH = CONV_BATCH = 128
ARMS_OF = {"autoencoder": ARMS, "vae": VAE_ARMS, "convolutions": conv_arms.ARMS, **GANS}
for name, arms in ARMS_OF.items():
    if name != "GAN, wasserstein-gp":  # it compiles no gradient of a gradient
        arms["PyTorch, compiled"] = compiled(arms["PyTorch, fused Adam"])
ON_THE_HOST = ("JAX, jit", "MyGrad", "HIPS autograd")
ON_THE_GPU = ("PyTorch, compiled", "tinygen by hand, graphs", "tinygen autograd, graphs")


BURST, WARM = 8, 3
"""Steps that an arm takes at once, and how many of them, the first, are not counted."""


def worker(pipe: Any, model: str, arm: str, backend_name: str, batch: int) -> None:
    """Take a burst of steps whenever asked; say None if the library is not installed."""
    backend = tg.get_backend(backend_name)
    x = backend.generator(1).random((batch, 784), dtype=np.float32)
    try:
        step = ARMS_OF[model][arm](backend, x)
    except ImportError:
        return pipe.send(None)
    pipe.send("ready")
    wait = waiter(backend)
    while pipe.recv():
        times = []
        for _ in range(BURST):
            wait()
            start = time.perf_counter()
            step()
            wait()
            times.append(1e3 * (time.perf_counter() - start))
        pipe.send(times[WARM:])


def measure(model: str, backend_name: str, batch: int, rounds: int) -> dict[str, float]:
    """The median milliseconds of each arm that is installed.

    Each arm lives in a process of its own, or the idle threads of one library, which go on spinning
    for a while, would slow down another.
    """
    spawn = multiprocessing.get_context("spawn")
    pipes, processes = {}, []
    for arm in ARMS_OF[model]:
        if arm not in (ON_THE_GPU if backend_name == "numpy" else ON_THE_HOST):
            pipes[arm], theirs = spawn.Pipe()
            process = spawn.Process(target=worker, args=(theirs, model, arm, backend_name, batch))
            process.start()
            processes.append(process)
    pipes = {arm: pipe for arm, pipe in pipes.items() if pipe.recv() is not None}
    times: dict[str, list[float]] = {arm: [] for arm in pipes}
    order = list(pipes)
    for round_ in range(rounds):
        random.Random(round_).shuffle(order)
        for arm in order:
            time.sleep(0.02)  # until the threads of the arm before have gone to sleep
            pipes[arm].send(True)
            times[arm] += pipes[arm].recv()
    for pipe in pipes.values():
        pipe.send(False)
    for process in processes:
        process.join()
    return {arm: statistics.median(ts) for arm, ts in times.items()}


def engine_cost(rounds: int = 60, ops: int = 300) -> dict[str, float]:
    """Microseconds that recording an op and walking back over it cost, beyond the arithmetic."""
    x = tg.Tensor(np.ones((2, 2), np.float32), requires_grad=True)
    a = np.ones((2, 2), np.float32)

    def recorded() -> None:
        y = x
        for _ in range(ops):
            y = tg.tanh(y)
        y.backward(a)

    def plain() -> None:
        y = a
        kept = []
        for _ in range(ops):
            y = np.tanh(y)
            kept.append(y)
        g = a
        for y in reversed(kept):
            g = g * (1 - y * y)

    times: dict[str, list[float]] = {"recorded": [], "plain": []}
    for _ in range(rounds):
        for name, run in (("recorded", recorded), ("plain", plain)):
            start = time.perf_counter()
            run()
            times[name].append(1e6 * (time.perf_counter() - start) / ops)
    with_engine, without = (statistics.median(times[n]) for n in ("recorded", "plain"))
    return {"with engine": with_engine, "arithmetic": without, "engine": with_engine - without}


def adam_times(rounds: int = 60) -> dict[str, float]:
    """Median milliseconds of Adam's update on the model's parameters, by each NumPy kernel."""
    kernels = {"NumPy": adam_numpy}
    try:
        from tinygen.backend.numba_kernels import adam_numba
    except ImportError:
        pass
    else:
        kernels["numba"] = adam_numba
    size = MODEL.initialise(0).flat.size
    x, g, m, v = np.random.default_rng(0).random((4, size), dtype=np.float32)
    times: dict[str, list[float]] = {name: [] for name in kernels}
    for _ in range(rounds):
        for name, kernel in kernels.items():
            start = time.perf_counter()
            kernel(x, g, m, v, RATE, 0.9, 0.999, 1e-8, 0.0)
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(ts) for name, ts in times.items()}


def import_times(rounds: int = 20) -> dict[str, float]:
    """Median milliseconds of processor time for importing numpy or tinygen, in fresh processes."""
    times: dict[str, list[float]] = {"numpy": [], "tinygen": []}
    with tempfile.TemporaryDirectory() as folder:
        # Compiled once, as after an installation, whatever the environment says of that.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for round_ in range(rounds + 1):
            for name, taken in times.items():
                code = f"import time; t = time.process_time(); import {name}; "
                code += "print(time.process_time() - t)"
                command = [sys.executable, "-c", code]
                done = subprocess.run(command, capture_output=True, check=True, env=environment)
                if round_:
                    taken.append(1e3 * float(done.stdout))
    return {name: statistics.median(ts) for name, ts in times.items()}


def waiter(backend: Any) -> Callable[[], None]:
    """A function that waits for the device; PyTorch's stream and CuPy's are both waited for."""
    if backend.name == "numpy":
        return lambda: None
    return lambda: backend.xp.cuda.Device().synchronize()


def processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((x.split(": ")[1] for x in lines if x.startswith("model name")), "unknown")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--backend", default="numpy")
    p.add_argument("--rounds", type=int, default=20)
    p.add_argument("--batch", type=int, nargs="*", default=[32, 128, 512])
    p.add_argument("--json", type=Path, default=Path("runs/benchmark.json"))
    args = p.parse_args()
    backend = tg.get_backend(args.backend)

    steps = {}
    for batch in args.batch:
        steps[batch] = measure("autoencoder", args.backend, batch, args.rounds)
        show(f"autoencoder, batch {batch}", steps[batch])
    vae_step = measure("vae", args.backend, BURDA_BATCH, 3 * args.rounds)
    show(f"VAE, batch {BURDA_BATCH}", vae_step)
    conv_step = measure("convolutions", args.backend, CONV_BATCH, args.rounds)
    show(f"convolutions, batch {CONV_BATCH}", conv_step)
    gan_steps = {}
    for name in GANS:
        gan_steps[name] = measure(name, args.backend, GAN_BATCH, args.rounds)
        show(f"{name}, batch {GAN_BATCH}", gan_steps[name])
    engine, adam, imports = engine_cost(), adam_times(), import_times()
    print("Adam alone: " + ", ".join(f"{name} {ms:.2f} ms" for name, ms in adam.items()))
    print(f"an op: {engine['with engine']:.1f} us forward and backward, "
          f"of them {engine['engine']:.1f} us for the engine")  # fmt: skip
    print(f"import: numpy {imports['numpy']:.0f} ms, tinygen {imports['tinygen']:.0f} ms, "
          f"{imports['tinygen'] / imports['numpy']:.2f} x")  # fmt: skip

    result = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "backend": backend.describe(),
        "python": platform.python_version(),
        "milliseconds a step": steps,
        "milliseconds a step of the VAE": vae_step,
        "milliseconds a step of convolutions": conv_step,
        "milliseconds a step of the GAN": gan_steps,
        "microseconds an op": engine,
        "milliseconds of Adam": adam,
        "milliseconds to import": imports,
    }
    args.json.parent.mkdir(parents=True, exist_ok=True)
    write_text(args.json, json.dumps(result, indent=2) + "\n")
    print(f"written to {args.json}")


def show(title: str, times: dict[str, float]) -> None:
    products = times["matrix products"]
    print(f"{title:30}{'ms a step':>10}{'x products':>12}{'x PyTorch':>11}")
    for name, ms in times.items():
        beside = times.get("PyTorch, fused Adam")
        print(f"  {name:28}{ms:10.2f}{ms / products:12.2f}"
              + (f"{ms / beside:11.2f}" if beside else ""))  # fmt: skip
    print()


if __name__ == "__main__":
    main()
