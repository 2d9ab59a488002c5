"""How many launches a training step is on a GPU, counted by the strict backend.

A launch is a kernel, a copy, or a call of a library; docs/backends.md says why they matter.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from running import ROOT, before_each_step
from strict import STRICT, count_launches

from tinygen import Adam, optim
from tinygen.byhand import pieces
from tinygen.models import GAN, VAE, Autoencoder
from tinygen.training import (
    AdversarialLearner,
    Plan,
    Progress,
    RunDir,
    SingleLossLearner,
    Trainer,
)
from tinygen.training.graphs import by_graphs

XP = STRICT.xp

# A step of the commands' default networks; the GAN is that of `mnist_gan --loss r1`. All that the
# trainer does between two steps counts: the batch is taken from the images on the device and made
# floats, the noise drawn, the gradient computed, Adam's update made, the figures added up. To that
# come, seldom, an order for each epoch, and the moving average of a generator in every tenth step.
MODELS = {
    "autoencoder": Autoencoder(),  # 784-512-256-32 and back, elu, mse
    "vae": VAE(),  # 784-400-20 and back, gelu
    "gan r1": GAN(latent=20, generator_hidden=(256, 512, 512), discriminator_activation="gelu",
                  loss="r1"),
}  # fmt: skip
LAUNCHES = {
    ("autoencoder", "autograd"): (60, 7),
    ("autoencoder", "by-hand"): (47, 7),
    ("vae", "autograd"): (67, 9),
    ("vae", "by-hand"): (54, 9),
    ("gan r1", "autograd"): (361, 24),
    ("gan r1", "by-hand"): (206, 24),
}
"""One by one, and with `by_graphs`."""


@pytest.mark.parametrize("graphs", [False, True])
@pytest.mark.parametrize(("name", "gradients"), LAUNCHES)
def test_a_step_is_so_many_launches(tmp_path, name, gradients, graphs):
    found = launches_of_a_step(tmp_path, MODELS[name], gradients, graphs)
    places = Counter(found).most_common()
    listed = "\n".join(f"{n:4} x {launch.name:24} {launch.line}" for launch, n in places)
    expected = LAUNCHES[name, gradients][graphs]
    assert len(found) == expected, (
        f"expected {expected} launches, got {len(found)}. If they are fewer, "
        f"write the new number down here and in docs/backends.md. They are\n{listed}"
    )


def launches_of_a_step(folder, model, gradients, graphs):
    """Those from the fourth step to the fifth; they do not depend on the size of a batch.

    In the second one graphs are recorded, and in the third their results are compared.
    """
    images = STRICT.asarray(np.zeros((5 * 16, 28, 28), np.uint8))
    p = model.initialise(seed=0, backend=STRICT)
    kind = AdversarialLearner if isinstance(model, GAN) else SingleLossLearner
    functions = model.gradients(gradients)
    learner = kind(model, p, Adam, by_graphs(functions) if graphs else functions)
    plan = Plan(1, 16, seed=0, show_every=1000, schedule=optim.constant(1e-3), config={})
    run = RunDir(folder)
    run.open()
    begun = []
    with count_launches() as found:
        before_each_step(learner, lambda step: begun.append(len(found)))
        Trainer(learner, plan, run, Progress(1, {}, quiet=True), STRICT).fit(images, evaluate=dict)
    return found[begun[3] : begun[4]]


@pytest.mark.parametrize(("name", "gradients"), LAUNCHES)
def test_the_page_has_the_same_number(name, gradients):
    """In the last columns, whatever it was before."""
    page = (ROOT / "docs" / "backends.md").read_text(encoding="utf-8")
    (row,) = (line for line in page.splitlines() if line.startswith(f"| {name}, {gradients} |"))
    assert tuple(map(int, row.split("|")[-3:-1])) == LAUNCHES[name, gradients]


def names_of(f):
    with count_launches() as found:
        f()
    return [launch.name for launch in found]


A = STRICT.asarray(np.arange(12, dtype=np.float32).reshape(3, 4))
B = STRICT.asarray(np.ones((4, 5), np.float32))
LONG = STRICT.asarray(np.ones((2, 200), np.float32))
I = STRICT.asarray(np.array([2, 0]))  # noqa: E741  an index
CALLS = {
    "a view": (lambda: (A.T, A[1:], A[None], A[..., 0], A.reshape(-1), A[::-1]), []),
    "a broadcast view": (lambda: (XP.broadcast_to(A, (2, 3, 4)), XP.split(A, [1])), []),
    "what is known": (lambda: (A.shape, XP.may_share_memory(A, B), XP.empty(3)), []),
    "itself": (lambda: (A.astype(np.float32, copy=False), XP.asarray(A)), []),
    "of no elements": (lambda: A[:0] + 1, []),
    "an operator": (lambda: A + 1, ["add"]),
    "in place": (lambda: A.copy().__iadd__(1), ["copy", "add"]),
    "a function": (lambda: XP.exp(A), ["exp"]),
    "another dtype": (lambda: A.astype(np.float64), ["astype"]),
    "rows of columns": (lambda: A.T.reshape(-1), ["copy for reshape"]),
    "side by side": (lambda: XP.ascontiguousarray(A.T), ["copy for ascontiguousarray"]),
    "a part, added to in its place": (lambda: A[1:].__setitem__(0, A[1] + 1), ["add", "copy"]),
    "a number into a part": (lambda: A[1:].__setitem__(0, 7), ["fill"]),
    "sums to the last axis": (lambda: (A.sum(), A.sum(axis=1)), ["sum", "sum"]),
    "sums over rows": (lambda: A.sum(axis=0, out=XP.empty(4, np.float32)), ["sum"]),
    "a sum by CUB with a place": (
        lambda: A.sum(axis=1, out=XP.empty(3, np.float32)), ["sum", "copy for sum"]
    ),
    "a mean of all": (lambda: A.mean(), ["sum", "divide"]),
    "a mean of rows": (lambda: A.mean(axis=0), ["mean"]),
    "a deviation": (lambda: A.std(axis=0), ["mean", "astype", "std", "sqrt"]),
    "all of few": (lambda: (A > 0).all(), ["greater", "all"]),
    "all of many": (lambda: (LONG > 0).all(), ["greater", "all", "all"]),
    "the largest's place": (lambda: (A.argmax(), A.argmax(1)), ["argmax", "astype", "argmax"]),
    "matrices": (lambda: (A @ B, B.T @ A.T), ["matmul", "matmul"]),
    "a matrix with gaps": (lambda: A[:, :2] @ B[:2], ["copy for matmul", "matmul"]),
    "to a place": (lambda: XP.matmul(A, B, out=XP.empty((3, 5), np.float32)), ["matmul"]),
    "vectors": (lambda: A[0] @ A[1], ["multiply", "sum", "copy for sum"]),
    "squares": (lambda: STRICT.sum_of_squares(A), ["sum_of_squares"]),
    "squares with gaps": (
        lambda: STRICT.sum_of_squares(A[:, 1:]), ["copy for sum_of_squares", "sum_of_squares"]
    ),
    "fused": (lambda: pieces.elu(A), ["fused elu"]),
    "fused within fused": (lambda: pieces.softplus(A), ["fused softplus"]),
    "stacks": (lambda: A[None] @ B[None], ["matmul"]),
    "a stack and a matrix": (lambda: XP.ones((2, 3, 4)) @ XP.ones((4, 5)),
                             ["ones", "ones", "pointers", "pointers", "pointers", "matmul"]),
    "rows by their numbers": (lambda: A[I], ["take"]),
    "rows by a list": (lambda: A[[2, 0]], ["from host", "take"]),
    "a mean in float64": (lambda: A.mean(dtype=np.float64), ["mean", "astype"]),
    "elements by two": (lambda: A[I, I], ["fill", "index", "index", "take"]),
    "by a mask": (lambda: A[A > 3], ["greater", "scan", "to host", "take"]),
    "into rows": (lambda: A.copy().__setitem__(I, A[:2]), ["copy", "put"]),
    "added to rows": (lambda: XP.add.at(A.copy(), I, A[:2]), ["copy", "add"]),
    "a choice": (lambda: XP.where(A > 0, A, 0), ["greater", "where"]),
    "a choice by numbers": (lambda: XP.where(A, A, 0), ["astype", "where"]),
    "two, side by side": (lambda: XP.concatenate([A, A]), ["concatenate"] * 2),
    "nine, side by side": (lambda: XP.concatenate([A] * 9), ["from host", "concatenate"]),
    "of the host": (lambda: (XP.asarray(np.ones(3)), XP.asarray(3.0)), ["from host", "fill"]),
    "to the host": (lambda: (A.get(), float(A[0, 0])), ["to host", "to host"]),
    "filled": (lambda: (XP.zeros(3), XP.ones_like(A), XP.full(3, 7.0)),
               ["zeros", "ones_like", "full"]),
    "noise": (lambda: STRICT.generator(0).standard_normal(3), ["standard_normal"]),
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_what_a_call_launches(call):
    """As read in CuPy's source, to which helpers/launches.py points."""
    f, expected = CALLS[call]
    assert names_of(f) == expected


def test_an_input_that_overlaps_the_output_is_copied():
    """CuPy asks whether the two are one object, not whether they are the same memory."""
    x = STRICT.asarray(np.arange(4, dtype=np.float32))
    assert names_of(lambda: XP.add(x, 1, out=x)) == ["add"]
    assert names_of(lambda: XP.add(x[...], 1, out=x)) == ["copy for add", "add"]
    assert names_of(lambda: XP.add(x[1:], x[:-1], out=x[:-1])) == ["copy for add"] * 2 + ["add"]
    y = STRICT.asarray(np.ones((4, 4), np.float32))
    assert names_of(lambda: XP.matmul(y, y, out=y)) == ["copy for matmul", "matmul"]

    def into_itself():
        x[...] += 1  # gets a view, adds in its place, and puts it where it is

    assert names_of(into_itself) == ["add"]


def test_a_launch_says_which_line_asks_for_it():
    with count_launches() as found:
        Autoencoder(pixels=4, hidden=(3,), latent=2).initialise(0, backend=STRICT)
    assert [launch.name for launch in found] == ["from host"]
    assert found[0].line.startswith(str(Path("tinygen", "parameters.py:")))


def test_what_is_not_known_is_not_counted_as_nothing():
    with count_launches(), pytest.raises(NotImplementedError, match="einsum"):
        XP.einsum("ij->j", A)
    assert XP.einsum("ij->j", A).shape == (4,)
