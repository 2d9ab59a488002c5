"""Gradients by CUDA graphs are the same as without, or there is no graph and a warning says why.

On the strict backend a graph repeats what was launched when it was recorded, with the numbers and
in the memory of that time (helpers/recording.py); on a GPU, CuPy's do.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from running import run_captured
from strict import STRICT, count_launches

import tinygen as tg
from tinygen.commands import setup
from tinygen.models import GAN, VAE, AdversarialAutoencoder, Autoencoder
from tinygen.parameters import Parameters
from tinygen.training.graphs import Graphed, by_graphs
from tinygen.training.learners import AAELearner, AdversarialLearner, SingleLossLearner

SMALL = {"pixels": 36, "hidden": (16,), "latent": 4}
PLAYERS = {"pixels": 36, "latent": 4, "generator_hidden": (12,), "discriminator_hidden": (16,)}
MODELS = {
    "autoencoder": Autoencoder(input_noise=0.1, dropout=0.1, weight_decay=1e-3, **SMALL),
    "of convolutions": Autoencoder(channels=(4,), **SMALL),
    "vae": VAE(binarize=True, **SMALL),
    "iwae": VAE(objective="iwae", samples=3, **SMALL),
    "gan": GAN(**PLAYERS),
    "r1": GAN(loss="r1", penalty=2.0, **PLAYERS),
    "wgan-gp": GAN(loss="wasserstein-gp", discriminator_activation="gelu", **PLAYERS),
    "aae": AdversarialAutoencoder(discriminator_hidden=(16,), **SMALL),
}
LEARNERS = {GAN: AdversarialLearner, AdversarialAutoencoder: AAELearner}
STEPS = 6


@pytest.fixture(params=["strict", pytest.param("cupy", marks=pytest.mark.gpu)])
def device(request):
    return STRICT if request.param == "strict" else request.getfixturevalue("gpu")


def close(found, expected):
    """To the bit on the strict backend; a GPU's sums may have another order in a graph."""
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("gradients", ["autograd", "by-hand"])
@pytest.mark.parametrize("name", MODELS)
def test_training_is_the_same(device, name, gradients):
    model = MODELS[name]

    def trained(change):
        p = model.initialise(0, np.dtype(np.float64), device)
        kind = LEARNERS.get(type(model), SingleLossLearner)
        learner = kind(model, p, tg.Adam, change(model.gradients(gradients)))
        x = device.asarray(np.random.default_rng(0).random((8, 36)))
        figures = []
        for k in range(STEPS):
            data = learner.draw(x, device.generator((0, k)), k)
            figures.append(learner.step(data, rate=1e-3 * (k + 1)))
        return device.to_numpy(p.flat), [{k: float(x) for k, x in f.items()} for f in figures]

    parameters, figures = trained(by_graphs)  # a warning would be an error here
    expected, figures_expected = trained(lambda gradients: gradients)
    close(parameters, expected)
    for found, wanted in zip(figures, figures_expected, strict=True):
        close([*found.values()], [*wanted.values()])


def parameters(device, dtype=np.float64):
    return Parameters({"W": (3,)}, device.asarray(np.array([1.0, 2.0, 3.0], dtype)))


def data(device, k, rows=4):
    """Those of call k."""
    return device.asarray(np.random.default_rng(k).random((rows, 3)))


def square(p, x):
    return (x * p["W"]).sum() ** 2


def names_of(call):
    with count_launches() as found:
        call()
    return [launch.name for launch in found]


def test_a_launch_is_one(device):
    if device is not STRICT:
        pytest.skip("launches are counted on the strict backend")
    f, p = Graphed(square), parameters(device)
    calls = [data(device, k) for k in range(4)]
    assert names_of(lambda: f(p, calls[0])) == ["multiply", "sum", "power"]
    for x in calls[1:3]:
        f(p, x)
    assert names_of(lambda: f(p, calls[3])) == ["copy", "graph", "copy"]


def test_results_are_not_written_over(device):
    f, p = Graphed(square), parameters(device)
    xs = [data(device, k) for k in range(6)]
    found = [f(p, x) for x in xs]
    close([float(y) for y in found], [float(square(p, x)) for x in xs])


def test_each_kind_of_arguments_has_its_graph(device):
    """Other shapes, dtypes, numbers and parameters than those of a recording are another kind."""

    def f(p, x, factor, parts):
        y = square(p, x) * factor
        return y if parts is None else y + parts[0].sum()

    graphed, p, q = Graphed(f), parameters(device), parameters(device)
    q.flat[...] = device.asarray(np.array([-1.0, 0.0, 5.0]))
    single = parameters(device, np.float32)
    kinds = [
        lambda x: (p, x, 1.0, None), lambda x: (p, x[:2], 1.0, None), lambda x: (q, x, 1.0, None),
        lambda x: (p, x, 2.0, None), lambda x: (p, x, 1.0, (x[0],)), lambda x: (p, x[0], 1.0, None),
        lambda x: (single, x.astype(np.float32), 1.0, None),
    ]  # fmt: skip
    for _ in range(2):
        for arguments in kinds:
            for k in range(4):
                given = arguments(data(device, k))
                close(float(graphed(*given)), float(f(*given)))
    assert len(graphed._recordings) == len(kinds)


def test_what_changes_in_every_call_is_never_recorded(device):
    graphed, p = Graphed(lambda p, x, weight: square(p, x) * weight), parameters(device)
    for k in range(6):
        x = data(device, k)
        close(float(graphed(p, x, k / 10)), k / 10 * float(square(p, x)))
    assert not graphed._recordings


def test_parameters_are_read_where_they_are(device):
    graphed, p, x = Graphed(square), parameters(device), data(device, 0)
    for k in range(6):
        p.flat[...] = device.asarray(np.full(3, 1.0 + k))
        close(float(graphed(p, x)), float(square(p, x)))


def test_gradients_are_written_where_they_are_wanted_and_noted(device):
    model = Autoencoder(pixels=3, hidden=(4,), latent=2)
    graphed, plain = by_graphs(model.gradients("autograd")), model.gradients("autograd")
    p = model.initialise(0, np.dtype(np.float64), device)
    out, expected = p.zeros_like(), p.zeros_like()
    for k in range(5):
        _, gradients = graphed(p, data(device, k), out=out)
        plain(p, data(device, k), out=expected)
        assert gradients is out
        close(device.to_numpy(out.flat), device.to_numpy(expected.flat))
    y = (tg.Tensor(out.flat, requires_grad=True) ** 2).sum()
    graphed(p, data(device, 7), out=out)
    with pytest.raises(RuntimeError, match="written in place after the graph was recorded"):
        y.backward()


def test_without_a_place_for_gradients_they_are_copies(device):
    model = Autoencoder(pixels=3, hidden=(4,), latent=2)
    graphed = by_graphs(model.gradients("by-hand"))
    p = model.initialise(0, np.dtype(np.float64), device)
    found = [graphed(p, data(device, k))[1] for k in range(5)]
    for k, gradients in enumerate(found):
        expected = model.gradients("by-hand")(p, data(device, k))[1]
        close(device.to_numpy(gradients.flat), device.to_numpy(expected.flat))


# What cannot be recorded.


def counting(device):
    """Python counts; a launch repeats the number of the recording."""
    calls = []

    def f(p, x):
        calls.append(None)
        return square(p, x) * len(calls)

    return f


def drawing(device):
    seeds = iter(range(99))
    return lambda p, x: square(p, x + device.generator(next(seeds)).random(x.shape))


WRONG = {
    "a count": (counting, "gave another result than an ordinary call"),
    "random numbers": (drawing, "gave another result than an ordinary call"),
    "a number that is read": (
        lambda device: lambda p, x: square(p, x) * (2 if x.sum() > 0 else 1), "is capturing"
    ),
    "an array of the host": (
        lambda device: lambda p, x: square(p, x + device.asarray(np.ones(3))), "is capturing"
    ),
    "results in a dict": (
        lambda device: lambda p, x: {"y": square(p, x)}, "or tuples, got a dict"
    ),
    "a product of stacks": (
        lambda device: lambda p, x: square(p, (x[None] @ x.T[None] @ x[None])[0]), "cuBLAS"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_it_goes_on_without_graphs_and_says_why(device, name):
    make, why = WRONG[name]
    f, p = Graphed(make(device)), parameters(device)
    with pytest.warns(RuntimeWarning, match=f"goes on without CUDA graphs: .*{why}") as said:
        for k in range(3):
            f(p, data(device, k))
    assert len(said) == 1
    assert "graph" not in names_of(lambda: f(p, data(device, 3)))


def test_other_arguments_are_refused(device):
    f = Graphed(lambda p, x, generator: square(p, x))
    with pytest.warns(RuntimeWarning, match="expected arrays, Parameters, numbers or tuples, got"):
        f(parameters(device), data(device, 0), device.generator(0))


def test_memory_that_was_freed_is_noticed_by_the_strict_backend():
    """A GPU would compute with whatever is there by then."""
    latest = []

    def f(p, x):
        y = square(p, x) + (latest[0] if latest else 0)
        latest[:] = [square(p, x)]
        return y

    graphed, p = Graphed(f), parameters(STRICT)
    with pytest.raises(MemoryError, match="freed since it was recorded"):
        for k in range(4):
            graphed(p, data(STRICT, k))


def test_nothing_is_decided_by_a_result_that_is_not_finite(device):
    f, p = Graphed(square), parameters(device)
    for k in range(6):
        x = data(device, k) * (np.nan if k in (2, 3) else 1)
        np.testing.assert_allclose(float(f(p, x)), float(square(p, x)), rtol=1e-9)
    assert [each.compared for each in f._recordings.values()] == [True]


def test_the_commands_refuse_it_without_a_gpu(capsys):
    done = run_captured(capsys, "--graphs")
    assert "error: --graphs needs --backend cupy, got numpy" in done.stderr


def test_a_command_trains_by_graphs(tmp_path, monkeypatch, capsys):
    """On the strict backend in place of CuPy: the figures of all epochs are the same."""
    monkeypatch.setattr(setup, "get_backend", lambda *_: STRICT)
    flags = ("--backend", "cupy", "--smoke", "--epochs", "2")
    rows = []
    for more in ((), ("--graphs",)):
        out = tmp_path / f"run{len(more)}"
        done = run_captured(capsys, *flags, *more, "--out", out, name="gan_ring")
        assert done.returncode == 0, done.stderr
        assert ("by CUDA graphs" in done.stdout) == bool(more)
        lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        rows.append([{**json.loads(line), "seconds": None} for line in lines])
    assert rows[0] == rows[1] and len(rows[0]) == 2
