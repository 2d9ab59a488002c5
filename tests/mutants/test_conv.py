"""Mistakes in convolutions by hand, planted one at a time: which checks see them, and which cannot.

`patches` and `fold` serve autograd as well, so that two derivations agree on whatever they do; and
differences are content if one is the transpose of the other. That these are the right windows, only
loops over pixels say, PyTorch's numbers, and examples on paper. One channel, a stride of 1 or a
square image hide much: here all lengths differ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import chain_checks
import conv_checks
import numpy as np
from conv_checks import drawn
from mutants import Plant, both, in_functions, rows_of, table_tests

import tinygen as tg
from tinygen.backend import patches as arrays
from tinygen.byhand import chain, conv
from tinygen.byhand.conv import Conv
from tinygen.models import GAN, Autoencoder


def matrices() -> None:
    """Each layer is the product with a matrix that loops over pixels make."""
    for size, kernel, stride, padding in (
        ((6, 7), 3, 2, "same"), ((6, 4), 4, 2, 1), ((8, 7), 2, 3, 0), ((3, 5), 3, 1, 1),
    ):  # fmt: skip
        conv_checks.check_matrix(Conv(size, kernel, stride, padding), c=2, o=3)


def chains() -> None:
    """A chain is the dense one of its matrices, masks and second derivative included."""
    for name in ("same", "even kernel", "up and judged"):
        conv_checks.check_chain_of_matrices(drawn(name, dropout=True))


def differences() -> None:
    """The gradient is that of the chain's own result, whatever that is."""
    for name in ("same", "up"):
        chain_checks.check_backward(drawn(name, dropout=True, n=2))
    chain_checks.check_backward(drawn("even kernel", norm=True, n=2))


def second() -> None:
    """So is that of a function of the derivative with respect to the image."""
    for name in ("even kernel", "up and judged"):
        chain_checks.check_sine(drawn(name, dropout=True, n=2))


def autograd() -> None:
    """Two derivations agree: of an autoencoder with dropout, and of a discriminator with R1."""
    random = np.random.default_rng(0)
    shape: dict[str, Any] = {"channels": (3, 4), "image": (5, 7, 2), "biases": "normal"}
    for kernel in (2, 3):
        model = Autoencoder(70, (6,), 2, "tanh", dropout=0.3, kernel=kernel, **shape)
        p, data = model.initialise(0, np.float64), model.draw(random.random((3, 70)), random)
        by_hand, by_ops = (model.gradients(how) for how in ("by-hand", "autograd"))
        tg.compare_gradients(by_hand, by_ops, p, *data)
    gan = GAN(70, 3, (4,), (5,), discriminator_activation="tanh", loss="r1", **shape)
    p, (batch, _) = gan.initialise(0, np.float64), gan.draw(random.random((3, 70)), random)
    hand, ops = (gan.gradients(how) for how in ("by-hand", "autograd"))
    fake, d = hand.generate(p.part("generator."), batch.z), p.part("discriminator.")
    np.testing.assert_allclose(fake, ops.generate(p.part("generator."), batch.z), rtol=1e-10)
    data = batch.real, fake, None, None, batch.masks
    tg.compare_gradients(hand.discriminator, ops.discriminator, d, *data)


def pools() -> None:
    """Pools are those of loops, up-sampling is a product, and their gradients are measured."""
    for size, kernel, stride in (((4, 6), 2, 2), ((5, 7), 3, 2), ((7, 4), 2, 3)):
        conv_checks.check_pools(size, kernel, stride)
    conv_checks.check_upsampling(2)


def ops() -> None:
    """And those of the ops, ties included."""
    x = np.random.default_rng(1).integers(0, 3, (2, 5, 7, 2)).astype(float)
    dy = np.random.default_rng(2).standard_normal((2, 2, 3, 2))
    h, f = conv.max_pool(x, 3, 2)
    dx, mean = conv.max_pool_backward(dy, f, (5, 7), 3, 2), conv.average_pool(x, 3, 2)
    of_mean = conv.average_pool_backward(dy, (5, 7), 3, 2)
    for op, value, gradient in ((tg.max_pool, h, dx), (tg.average_pool, mean, of_mean)):
        y = op(t := tg.Tensor(x, requires_grad=True), kernel=3, stride=2)
        np.testing.assert_allclose(y.array, value, rtol=1e-12)
        np.testing.assert_allclose(tg.grad(y, t, g=dy), gradient, rtol=1e-12, atol=1e-14)


def paper() -> None:
    conv_checks.check_convolution_on_paper()
    conv_checks.check_transposed_convolution_on_paper()
    conv_checks.check_pools_on_paper()
    conv_checks.check_r1_on_paper()


def pytorch() -> None:
    """Of 200 layers, convolutions, transposed ones and pools."""
    conv_checks.check_by_torch()


CHECKS: list[Callable[[], None]] = [
    matrices, chains, differences, second, autograd, pools, ops, paper, pytorch,
]  # fmt: skip


def by_hand(old: str, new: str) -> Plant:
    return in_functions(conv, (old, new))


def in_chain(old: str, new: str) -> Plant:
    return in_functions(chain, (old, new))


def in_arrays(*pieces: tuple[str, str]) -> Plant:
    """In what ops and the book by hand have in common."""
    return in_functions(arrays, *pieces)


PATCHES = "P.reshape(-1, P.shape[3])"
FOLDED = "dP.reshape(-1, *self.windows, dP.shape[1])"
CHANNELS_FIRST = (
    "P.reshape(-1, self.kernel**2, images.shape[3]).swapaxes(1, 2).reshape(-1, P.shape[3])"
)
CHANNELS_LAST = (
    "dP.reshape(-1, dP.shape[1] // self.kernel**2, self.kernel**2).swapaxes(1, 2)"
    ".reshape(-1, *self.windows, dP.shape[1])"
)
COPIED = "p[:, :, :, i, j] = x[:, _every(stride, i, oh), _every(stride, j, ow)]"
ADDED = "x[:, _every(stride, i, oh), _every(stride, j, ow)] += p[:, :, :, i, j]"
DW = "namespace(h).matmul(self.patches(h).T, self.pixels(da), out=out)"
COPY, ADD = "copy(x, p, stride)", "add(x, p, stride)"
FROM_THE_END = "x[:, (x.shape[1] - kernel) % stride:, (x.shape[2] - kernel) % stride:]"

MUTANTS: dict[str, Plant] = {
    # The windows: of the code by hand alone, and of what it shares with the ops.
    "a window's channels come first": by_hand(PATCHES, CHANNELS_FIRST),
    "and in fold, too": both(by_hand(PATCHES, CHANNELS_FIRST), by_hand(FOLDED, CHANNELS_LAST)),
    "the kernel is flipped": by_hand("self.patches(h) @ W", "self.patches(h) @ W[::-1]"),
    "flipped on the way back": by_hand("self.pixels(da) @ W.T", "self.pixels(da) @ W[::-1].T"),
    "flipped everywhere": both(
        by_hand(PATCHES, f"{PATCHES}[:, ::-1]"),
        by_hand(FOLDED, FOLDED.replace("dP.", "dP[:, ::-1].", 1)),
    ),
    "shared: columns before rows": in_arrays(
        (COPIED, COPIED.replace("i, j]", "j, i]", 1)), (ADDED, ADDED.replace("i, j]", "j, i]"))
    ),
    "shared: padding begins a row later": in_arrays(
        (
            "(padding, padding), (padding, padding)",
            "((padding - 1, padding + 1) if padding else (0, 0)), (padding, padding)",
        ),
    ),
    "shared: same has its odd row above": in_arrays(
        ("(h // 2, h - h // 2), (w // 2, w - w // 2)", "(h - h // 2, h // 2), (w // 2, w - w // 2)")
    ),
    "shared: no stride in fold": in_arrays((ADDED, ADDED.replace("stride", "1"))),
    "shared: windows overwrite in fold": in_arrays((ADDED, ADDED.replace("+=", "="))),
    "shared: a margin is not cut off": in_arrays(
        ("x[:, top : top + h, left : left + w]", "x[:, bottom : bottom + h, left : left + w]")
    ),
    "shared: what is left lies above": in_arrays(
        (COPY, COPY.replace("x", FROM_THE_END)), (ADD, ADD.replace("x", FROM_THE_END, 1))
    ),
    "shared: left above in fold alone": in_arrays((ADD, ADD.replace("(x", f"({FROM_THE_END}"))),
    # The three products.
    "dx: W is reshaped, not transposed": by_hand(
        "self.pixels(da) @ W.T", "self.pixels(da) @ W.reshape(W.shape[::-1])"
    ),
    "dW: a mean over the windows": by_hand(
        DW, DW.replace("(da)", "(da) * (len(da) / len(self.pixels(da)))")
    ),
    "dW: of the last window alone": by_hand(
        DW, DW.replace("(h).T", "(h)[-1:].T").replace("(da)", "(da)[-1:]")
    ),
    "transposed: W is reshaped": by_hand(
        "super().input_gradient(h, W.T)", "super().input_gradient(h, W.reshape(W.shape[::-1]))"
    ),
    "transposed: dx has a flipped W": by_hand(
        "super().product(da, W.T)", "super().product(da, W.T[::-1])"
    ),
    "transposed: dW of flipped windows": by_hand(
        "namespace(h).matmul(self.pixels(h).T, self.patches(da), out=out)",
        "namespace(h).matmul(self.pixels(h).T, self.patches(da)[:, ::-1], out=out)",
    ),
    "transposed: dW is a mean": by_hand(
        "namespace(h).matmul(self.pixels(h).T, self.patches(da), out=out)",
        "namespace(h).matmul(self.pixels(h).T / len(self.pixels(h)), self.patches(da), out=out)",
    ),
    "transposed: dx has the other sign": by_hand(
        "super().product(da, W.T)", "-super().product(da, W.T)"
    ),
    # In a chain.
    "db: a mean over the pixels": in_chain(
        "bias_gradient(pixels, out=dvectors[0])",
        "bias_gradient(pixels * (len(da) / len(pixels)), out=dvectors[0])",
    ),
    "db: the second derivative's is a mean": in_chain(
        "bias_gradient(da.reshape(-1, len(db)))",
        "bias_gradient(da.reshape(-1, len(db))) * (len(db) / da.shape[1])",
    ),
    "dropout: a mask for channels in a row": in_chain(
        "namespace(mask).tile(mask, (1, times))", "namespace(mask).repeat(mask, times, axis=1)"
    ),
    "dropout: only the first pixel": in_chain(
        "namespace(mask).tile(mask, (1, times))",
        "namespace(mask).concatenate([mask] + [mask * 0 + 1] * (times - 1), axis=1)",
    ),
    # Pools.
    "average: its gradient is not divided": by_hand("dy * (1 / kernel**2)", "dy"),
    "average: divided by the kernel": by_hand("dy * (1 / kernel**2)", "dy * (1 / kernel)"),
    "average: a sum": by_hand(
        "_windows(x, kernel, stride).mean(axis=3)", "_windows(x, kernel, stride).sum(axis=3)"
    ),
    "maximum: several get all": by_hand("f /= f.sum(axis=3, keepdims=True)", "pass"),
    "maximum: the first gets all": by_hand(
        "f /= f.sum(axis=3, keepdims=True)", "f *= f.cumsum(axis=3) == 1"
    ),
    "maximum: all of a window get it": by_hand(
        "(windows == h[:, :, :, None]).astype(x.dtype)", "namespace(x).ones_like(windows)"
    ),
    "pools: channels before pixels": by_hand(
        "P.reshape(*P.shape[:3], kernel**2, x.shape[3])",
        "P.reshape(*P.shape[:3], x.shape[3], kernel**2).swapaxes(3, 4)",
    ),
    "pools: windows lie side by side": by_hand(
        "patches(x, kernel, stride)", "patches(x, kernel, kernel)"
    ),
    "up-sampling: images side by side": by_hand(
        "xp.repeat(xp.repeat(x, factor, axis=1), factor, axis=2)",
        "xp.tile(x, (1, factor, factor, 1))",
    ),
    "up-sampling: its gradient is a mean": by_hand(
        "dy.reshape(n, h // factor, factor, w // factor, factor, c).sum(axis=(2, 4))",
        "dy.reshape(n, h // factor, factor, w // factor, factor, c).mean(axis=(2, 4))",
    ),
    "up-sampling: its gradient is a corner": by_hand(
        "dy.reshape(n, h // factor, factor, w // factor, factor, c).sum(axis=(2, 4))",
        "dy[:, ::factor, ::factor]",
    ),
}

# Which checks see a mistake, and which do not.
TABLE = """
a window's channels come first        | matrices differences autograd pytorch | paper
and in fold, too                      | matrices autograd pytorch             | differences paper
the kernel is flipped                 | matrices differences autograd pytorch |
flipped on the way back               | matrices differences autograd pytorch |
flipped everywhere                    | matrices autograd pytorch paper       | differences second
shared: columns before rows           | matrices pytorch paper                | differences autograd
shared: padding begins a row later    | matrices pytorch chains               | differences autograd
shared: same has its odd row above    | matrices                              | differences autograd
shared: no stride in fold             | matrices differences pytorch pools    | autograd
shared: windows overwrite in fold     | matrices differences pytorch pools    | autograd
shared: a margin is not cut off       | matrices                              | differences autograd
shared: what is left lies above       | matrices pytorch pools                | differences autograd
shared: left above in fold alone      | matrices differences pytorch pools    | autograd paper
dx: W is reshaped, not transposed     | matrices differences autograd pytorch | paper
dW: a mean over the windows           | matrices differences autograd pytorch |
dW: of the last window alone          | matrices differences autograd pytorch |
transposed: W is reshaped             | matrices differences autograd pytorch | paper
transposed: dx has a flipped W        | matrices differences autograd pytorch |
transposed: dW of flipped windows     | matrices differences autograd pytorch |
transposed: dW is a mean              | matrices differences autograd pytorch |
transposed: dx has the other sign     | matrices differences autograd pytorch |
db: a mean over the pixels            | differences autograd paper            | matrices pytorch
db: the second derivative's is a mean | autograd chains second                | differences matrices
dropout: a mask for channels in a row | autograd chains                       | differences matrices
dropout: only the first pixel         | autograd chains                       | differences matrices
average: its gradient is not divided  | pytorch pools ops paper               |
average: divided by the kernel        | pytorch pools ops paper               |
average: a sum                        | pytorch pools ops paper               |
maximum: several get all              | ops paper                             | pools pytorch
maximum: the first gets all           | ops paper                             | pools pytorch
maximum: all of a window get it       | pytorch pools ops paper               |
pools: channels before pixels         | pytorch pools ops                     | paper
pools: windows lie side by side       | pytorch pools                         | paper
up-sampling: images side by side      | pools paper                           | ops pytorch
up-sampling: its gradient is a mean   | pools paper                           | ops pytorch
up-sampling: its gradient is a corner | pools paper                           | ops pytorch
"""
ROWS = rows_of(TABLE)
(
    test_all_checks_pass_without_a_mistake,
    test_who_sees_a_mistake,
    test_each_mistake_is_in_the_table_and_seen,
) = table_tests(ROWS, MUTANTS, CHECKS)
