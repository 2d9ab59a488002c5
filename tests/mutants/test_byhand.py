"""Mistakes in the arithmetic of pieces.py and chain.py: which checks see them.

Finite differences see that a derivative is that of its value, whatever that is; only the textbook
says that it is the right value. And neither sees what goes wrong where numbers are extreme. Of a
mistake that both see at once, few examples are here: their tables have all functions in them.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from typing import Any

import chain_checks
import numpy as np
import pieces_checks
import pytest
from chain_checks import VARIANTS, Net, drawn
from mutants import Plant, mutated, replaced, rows_of, table_tests
from pieces_checks import ARGUMENTS, CLAIMS, TEXTBOOK, Sizes
from strict import STRICT

from tinygen.byhand import chain, pieces

# The checks of the pieces.


def value() -> None:
    for name in TEXTBOOK:
        pieces_checks.check_value(name, Sizes(), 1)


def derivative() -> None:
    for name in CLAIMS:
        pieces_checks.check_derivative(name, Sizes(n=3), 1)


def at_zero() -> None:
    for name, left in (("relu", 0.0), ("leaky_relu", 0.01), ("elu", 1.0)):
        pieces_checks.check_derivative_at_zero(name, left)
    pieces_checks.check_second_derivative_of_elu_at_zero()
    pieces_checks.check_ties_of_maxout()


def extreme() -> None:
    try:
        for dtype in (np.float32, np.float64):
            pieces_checks.check_logistic_without_overflow(dtype)
            pieces_checks.check_cross_entropy_of_large_logits(dtype)
            pieces_checks.check_bernoulli_of_large_logits(dtype)
            pieces_checks.check_mean_of_extreme_weights(dtype)
            pieces_checks.check_penalty_of_a_zero_gradient(dtype)
    except FloatingPointError as error:
        raise AssertionError("an overflow") from error


def digits() -> None:
    pieces_checks.check_digits_of_activations()
    pieces_checks.check_digits_of_bernoulli()
    pieces_checks.check_digits_of_a_small_kl()
    pieces_checks.check_digits_of_a_log_ratio()


def two() -> None:
    pieces_checks.check_batch_of_two(2.0)


def untouched() -> None:
    for name in ARGUMENTS:
        pieces_checks.check_untouched(name)


def device() -> None:
    for name in ARGUMENTS:
        pieces_checks.check_float32_without_syncs(STRICT, name)


# Those of the chain.


def nets(depth: int, *variants: str, last: int = 2) -> list[Net]:
    """Small ones."""
    widths = (*(2, 3, 2)[:depth], last)
    return [
        drawn(widths, activation, 1, n=3, **VARIANTS[variant])
        for activation in ("tanh", "maxout")
        for variant in variants
    ]


EVERY = nets(3, *VARIANTS)
JUDGES = [net for depth in (1, 2, 3) for net in nets(depth, "plain", "dropout", last=1)]


def forward() -> None:
    for net in EVERY:
        chain_checks.check_forward(net)


def backward() -> None:
    for net in EVERY:
        chain_checks.check_backward(net)


def also() -> None:
    for net in EVERY:
        chain_checks.check_also(net)


def ways() -> None:
    for net in EVERY:
        chain_checks.check_ways_back(net)


def v() -> None:
    for net in JUDGES:
        chain_checks.check_input_derivative(net)


def second() -> None:
    for net in JUDGES:
        chain_checks.check_sine(net)


def linear() -> None:
    for depth in (1, 2, 3):
        chain_checks.check_linear(depth)


def one_unit() -> None:
    chain_checks.check_one_unit()


def rows() -> None:
    for net in JUDGES:
        chain_checks.check_rows(net)


def names() -> None:
    chain_checks.check_layers()
    chain_checks.check_layers_of_batch_norm()
    chain_checks.check_more_than_nine_layers()


def decayed() -> None:
    chain_checks.check_weight_decay("norm")


def nothing_changed() -> None:
    for net in EVERY + JUDGES:
        chain_checks.check_untouched(net)


CHECKS: list[Callable[[], None]] = [
    value, derivative, at_zero, extreme, digits, two, untouched, device, forward, backward, also,
    ways, v, second, linear, one_unit, rows, names, decayed, nothing_changed,
]  # fmt: skip


# How a mistake is planted.


def wrong(function: Any, old: str, new: str) -> Plant:
    """A mistake in one function, for what it replaces may stand in others, too."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        source, count = replaced(textwrap.dedent(inspect.getsource(function)), old, new)
        assert count == 1, f"{function.__name__}: {count} times {old!r}"
        made: dict[str, Any] = {}
        exec(compile(source, f"mutant of {function.__name__}", "exec"), function.__globals__, made)
        right, mutant = map(inspect.unwrap, (function, made[function.__name__]))  # not decorated
        patch.setattr(right, "__code__", mutant.__code__)

    return plant


def named(old: str, new: str) -> Plant:
    """A mistake in the names of layers, which are cached."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        made = mutated(chain, (old, new)).names_of_layers.__wrapped__
        patch.setattr(chain, "names_of_layers", made)

    return plant


def constant(name: str, number: float) -> Plant:
    """A constant of pieces.py that is another number."""
    return lambda patch: patch.setattr(pieces, name, number)


def straight(name: str) -> Plant:
    """An activation whose second derivative is forgotten."""
    return lambda patch: patch.setitem(pieces.SECOND, name, None)


DOWN = "c[k] + activation_backward(dh, cache.f[k])"

MUTANTS: dict[str, Plant] = {
    # Layers and activations.
    "dW: a mean": wrong(
        pieces.Dense.weight_gradient,
        "namespace(h).matmul(h.T, da, out=out)",
        "namespace(h).matmul(h.T, da / len(da), out=out)",
    ),
    "db: a mean": wrong(pieces.bias_gradient, "da.sum", "da.mean"),
    "dh: the other sign": wrong(pieces.Dense.input_gradient, "da @ W.T", "-da @ W.T"),
    "relu: 1 at 0": wrong(pieces.relu, "a > 0", "a >= 0"),
    "relu: it works in place": wrong(
        pieces.relu, "namespace(a).maximum(a, 0 * f)", "namespace(a).maximum(a, 0 * f, out=a)"
    ),
    "leaky relu: 0.1 on the left": constant("ALPHA", 0.1),
    "elu: 0 on the right": wrong(pieces.elu, "h += xp.maximum(a, 0)", "pass"),
    "elu: a difference": wrong(pieces.elu, "h *= xp.tanh(m, out=m)", "h -= 2"),
    "elu': on the right, h + 1": wrong(pieces.elu, "h + 1", "h + xp.maximum(a, 0) + 1"),
    "elu'': 0 at 0": wrong(pieces.elu_second, "a <= 0", "a < 0"),
    "tanh': no square": wrong(pieces.tanh, "1 - h * h", "1 - h"),
    "tanh'': no 2": wrong(pieces.tanh_second, "-2 * h * f", "-h * f"),
    "sigmoid: it overflows": wrong(
        pieces.logistic, "y = xp.maximum(a >= 0, t) / (1 + t)", "y = 1 / (1 + xp.exp(-a))"
    ),
    "sigmoid': a difference": wrong(pieces.sigmoid, "t / (1 + t) ** 2", "h * (1 - h)"),
    "sigmoid'': no 2": wrong(pieces.sigmoid_second, "1 - 2 * h", "1 - h"),
    "softplus: a sum with 1": wrong(pieces.softplus, "xp.log1p(t)", "xp.log(1 + t)"),
    "softplus': the exponential": wrong(
        pieces.softplus, "y, t = logistic(a)", "y = t = logistic(a)[1]"
    ),
    "softplus'': its derivative": wrong(
        pieces.softplus_second, "_, f = sigmoid(a)", "f, _ = sigmoid(a)"
    ),
    "gelu: another cube": constant("B", 0.044),
    "gelu: u' has no 3": wrong(pieces.gelu_gate, "3 * B * C", "B * C"),
    "gelu': the gate alone": wrong(pieces.gelu, "f *= xp.subtract(1, p, out=p)", "f = p - 1"),
    "gelu'': no C": wrong(
        pieces.gelu_second, "(2 + (1 - 2 * p) * a * du) * du - C", "(2 + (1 - 2 * p) * a * du) * du"
    ),
    "maxout: a unit's sums side by side": wrong(
        pieces.maxout,
        "a.reshape(len(a), SUMS, -1)",
        "a.reshape(len(a), -1, SUMS).swapaxes(1, 2)",
    ),
    "maxout: equal sums get all": wrong(pieces.maxout, "f /= f.sum(axis=1, keepdims=True)", "pass"),
    "da: a sum gets its share": wrong(
        pieces.activation_backward, "dh[:, None]", "dh[:, None] / SUMS"
    ),
    "jvp: the mean of the sums": wrong(
        pieces.activation_jvp,
        "(q * f).reshape(len(f), SUMS, units).sum(axis=1)",
        "(q * f).reshape(len(f), SUMS, units).mean(axis=1)",
    ),
    "dropout: none in f": wrong(pieces.dropout, "activation_backward(mask, f)", "f"),
    # Batch norm.
    "norm: one mean for all": wrong(pieces.batch_norm, "r.mean(axis=0)", "r.mean()"),
    "norm: n - 1": wrong(
        pieces.batch_norm, "(y * y).mean(axis=0)", "(y * y).sum(axis=0) / (len(y) - 1)"
    ),
    "norm: another epsilon": constant("EPSILON", 1e-3),
    "norm: dgamma by y": wrong(
        pieces.batch_norm_backward,
        "xp.multiply(s, sum_of_products(da, y), out=dgamma)",
        "xp.sum(da * y, axis=0, out=dgamma)",
    ),
    "norm: the deviation is a constant": wrong(
        pieces.batch_norm_input_gradient, "dr = y * (s * dgamma / n)", "dr = 0 * y"
    ),
    # Losses and likelihoods.
    "mse: dy has no 2": wrong(pieces.mse, "2 / x.size", "1 / x.size"),
    "mse: it writes into y": wrong(pieces.mse, "dy = y - x", "dy = y\ndy -= x"),
    "softmax: it overflows": wrong(
        pieces.softmax_cross_entropy, "a.max(axis=1, keepdims=True)", "0"
    ),
    "softmax: a mean over classes": wrong(pieces.softmax_cross_entropy, "-1 / n", "-1 / a.size"),
    "softmax: labels sum to 1": wrong(
        pieces.softmax_cross_entropy, "q *= t.sum(axis=1, keepdims=True)", "pass"
    ),
    "bernoulli: both logs first": wrong(
        pieces.bernoulli_of_each_pixel,
        "nats -= xp.maximum(a, 0)",
        "nats -= xp.maximum(a, 0) + xp.log(1 + t)\nt = 0 * t",
    ),
    "bernoulli: of -log p": wrong(pieces.bernoulli_of_each_pixel, "x - y", "y - x"),
    "gaussian: no log(2 pi)": wrong(pieces.gaussian, "log(2 * pi) + s", "s"),
    "gaussian: by a, no precision": wrong(pieces.gaussian, "precision * error", "error"),
    "gaussian: by s, no d": wrong(pieces.gaussian, "precision * Q - d", "precision * Q"),
    # A code that is drawn.
    "z: the deviation is exp(v)": wrong(pieces.reparameterise, "0.5 * v", "v"),
    "dv: no half": wrong(
        pieces.reparameterise_backward,
        "0.5 * sum_of_products(dz, scaled)",
        "sum_of_products(dz, scaled)",
    ),
    "kl: exp(v) - 1": wrong(pieces.kl, "namespace(v).expm1(v)", "namespace(v).exp(v) - 1"),
    "kl: by mu, a half": wrong(
        pieces.kl,
        "return 0.5 * (excess - v + mu * mu), mu, 0.5 * excess",
        "return 0.5 * (excess - v + mu * mu), 0.5 * mu, 0.5 * excess",
    ),
    "kl: by v, no 1": wrong(pieces.kl, "0.5 * excess", "0.5 * (excess + 1)"),
    "kl: in float64": wrong(pieces.kl, "0.5 * excess", "namespace(v).float64(0.5) * excess"),
    "ratio: squares": wrong(
        pieces.log_ratio, "(noise - z) * (noise + z)", "(noise * noise - z * z)"
    ),
    "ratio: dz has the other sign": wrong(
        pieces.log_ratio_backward, "-drho[..., None]", "drho[..., None]"
    ),
    "ratio: dv has no half": wrong(
        pieces.log_ratio_backward, "0.5 * drho.sum(axis=0)[:, None]", "drho.sum(axis=0)[:, None]"
    ),
    "weights: they overflow": wrong(pieces.log_mean_exp, "log_w.max(axis=0)", "0 * log_w[0]"),
    "weights: no log k": wrong(pieces.log_mean_exp, "log(len(log_w))", "0"),
    "weights: not normalised": wrong(pieces.log_mean_exp, "w / total", "w"),
    # Penalties.
    "r1: dv is a sum": wrong(pieces.zero_centred, "weight / m", "weight"),
    "gp: nothing under the root": constant("TINY", 0.0),
    "gp: dv has no 2": wrong(pieces.one_centred, "2 * weight / m", "weight / m"),
    "gp: it waits": wrong(pieces.one_centred, "len(v)", "int((v[:, 0] == v[:, 0]).sum())"),
    "l2: it overwrites": wrong(pieces.l2_penalty, "dW += weight * W", "dW[...] = weight * W"),
    # The chain: forward and backward.
    "chain: never activated at last": wrong(chain.chain, "k == L and linear", "k == L"),
    "chain: no dropout": wrong(chain.chain, "dropout(h[k], f[k], wide[-1])", "h[k], f[k]"),
    "chain: the other road alone": wrong(chain.chain_backward, "dh = dh + also[k]", "dh = also[k]"),
    "chain: it adds in place": wrong(chain.chain_backward, "dh = dh + also[k]", "dh += also[k]"),
    "chain: straight at last": wrong(
        chain.chain_backward, "k in cache.f", "k in cache.f and k < len(layers)"
    ),
    "chain: the norm is left out": wrong(chain.chain_backward, "da = dr.reshape(da.shape)", "pass"),
    "chain: no dW below a norm": wrong(
        chain.chain_backward,
        "cache.kind[k].weight_gradient(cache.h[k - 1], da, out=dW)",
        "k in cache.norms or cache.kind[k].weight_gradient(cache.h[k - 1], da, out=dW)",
    ),
    "chain: all the way": wrong(chain.chain_backward, "k > 1 or to_input", "True"),
    # Its second derivative.
    "v: twice the result": wrong(
        chain.input_derivative,
        "namespace(cache.h[L]).ones_like(cache.h[L])",
        "0 * cache.h[L] + 2",
    ),
    "v: no phi'": wrong(
        chain.input_derivative,
        "activation_backward(t[k], cache.f[k])",
        "activation_backward(t[k], 0 * cache.f[k] + 1)",
    ),
    "second: it overwrites": wrong(
        chain.input_derivative_backward,
        "gradients[k][0] += kind[k].weight_gradient(p[k - 1], e[k])",
        "gradients[k][0][...] = kind[k].weight_gradient(p[k - 1], e[k])",
    ),
    "second: q has the other sign": wrong(
        chain.input_derivative_backward,
        "q = kind[k].product(p[k - 1], layers[k][0])",
        "q = -kind[k].product(p[k - 1], layers[k][0])",
    ),
    "second: p without phi'": wrong(
        chain.input_derivative_backward,
        "activation_jvp(q, cache.f[k], units=t[k].shape[1])",
        "activation_jvp(q, 0 * cache.f[k] + 1, units=t[k].shape[1])",
    ),
    "second: no phi''": straight("tanh"),
    "second: e for t": wrong(chain.input_derivative_backward, "q * t[k]", "q * e[k]"),
    "second: no mask": wrong(
        chain.input_derivative_backward, "cache.masks[k - 1] if len(cache.masks) else 1", "1"
    ),
    "second: of a[L], too": wrong(
        chain.input_derivative_backward,
        "namespace(dv).zeros_like(cache.h[L])",
        "namespace(dv).ones_like(cache.h[L])",
    ),
    "second: only of the last phi'": wrong(
        chain.input_derivative_backward,
        DOWN,
        f"{DOWN} if k == L - 1 else activation_backward(dh, cache.f[k])",
    ),
    "second: no way down": wrong(chain.input_derivative_backward, DOWN, "c[k]"),
    "second: no dW on it": wrong(
        chain.input_derivative_backward,
        "dW += kind[k].weight_gradient(cache.h[k - 1], da)",
        "pass",
    ),
    "second: no db on it": wrong(
        chain.input_derivative_backward, "db += bias_gradient(da.reshape(-1, len(db)))", "pass"
    ),
    # What is around it.
    "rows: all masks": wrong(chain.Cache.rows, "[mask[i] for mask in self.masks]", "self.masks"),
    "layers: as they lie": named("sorted(every)", "sorted(every, key=lambda one: one[1])"),
    "layers: nine at most": named("'0123456789'", "'123456789'"),
    "decay: of b, too": wrong(
        chain.decay,
        "l2_penalty(layers[k][0], gradients[k][0], weight)",
        "sum(map(l2_penalty, layers[k], gradients[k], [weight] * 9))",
    ),
}

# Which checks see a mistake, and some that do not.
TABLE = """
dW: a mean                         | value derivative                |
db: a mean                         | value derivative                |
dh: the other sign                 | value derivative                |
relu: 1 at 0                       | at_zero                         | value derivative
relu: it works in place            | untouched                       | value derivative
leaky relu: 0.1 on the left        | value                           | derivative
elu: 0 on the right                | value derivative                |
elu: a difference                  | digits                          | value derivative
elu': on the right, h + 1          | value derivative                |
elu'': 0 at 0                      | at_zero                         | value derivative
tanh': no square                   | value derivative                |
tanh'': no 2                       | value derivative                |
sigmoid: it overflows              | extreme                         | value derivative
sigmoid': a difference             | digits                          | value derivative
sigmoid'': no 2                    | value derivative                |
softplus: a sum with 1             | digits                          | value derivative
softplus': the exponential         | value derivative                |
softplus'': its derivative         | value derivative                |
gelu: another cube                 | value                           | derivative
gelu: u' has no 3                  | derivative                      | value
gelu': the gate alone              | derivative                      | value
gelu'': no C                       | derivative                      | value
maxout: a unit's sums side by side | value derivative at_zero        |
maxout: equal sums get all         | at_zero                         | value derivative
da: a sum gets its share           | value derivative at_zero        |
jvp: the mean of the sums          | value derivative                |
dropout: none in f                 | value derivative                |
norm: one mean for all             | value derivative                |
norm: n - 1                        | value derivative two            |
norm: another epsilon              | value derivative two            |
norm: dgamma by y                  | value derivative two            |
norm: the deviation is a constant  | value derivative two            |
mse: dy has no 2                   | derivative                      | value
mse: it writes into y              | untouched                       | value derivative
softmax: it overflows              | extreme                         | value derivative
softmax: a mean over classes       | value derivative extreme        |
softmax: labels sum to 1           | derivative                      | value
bernoulli: both logs first         | digits                          | value derivative
bernoulli: of -log p               | derivative extreme              | value
gaussian: no log(2 pi)             | value                           | derivative
gaussian: by a, no precision       | derivative                      | value
gaussian: by s, no d               | derivative                      | value
z: the deviation is exp(v)         | value derivative                |
dv: no half                        | derivative                      | value
kl: exp(v) - 1                     | digits                          | value derivative
kl: by mu, a half                  | derivative                      | value
kl: by v, no 1                     | derivative digits               | value
kl: in float64                     | device                          | value derivative
ratio: squares                     | digits                          | value derivative
ratio: dz has the other sign       | derivative                      | value
ratio: dv has no half              | derivative                      | value
weights: they overflow             | extreme                         | value derivative
weights: no log k                  | value extreme                   | derivative
weights: not normalised            | derivative extreme              | value
r1: dv is a sum                    | derivative                      | value
gp: nothing under the root         | extreme                         | value derivative
gp: dv has no 2                    | derivative                      | value
gp: it waits                       | device                          | value derivative
l2: it overwrites                  | derivative                      | value
chain: never activated at last     | forward                         | backward
chain: no dropout                  | forward                         | backward
chain: the other road alone        | also                            | forward backward
chain: it adds in place            | nothing_changed                 | backward also
chain: straight at last            | backward also                   | forward
chain: the norm is left out        | backward also                   | forward
chain: no dW below a norm          | backward also                   | forward
chain: all the way                 | ways                            | forward backward
v: twice the result                | v linear one_unit               | second
v: no phi'                         | v second one_unit               | linear
second: it overwrites              | second                          | v linear one_unit
second: q has the other sign       | second linear one_unit          | v
second: p without phi'             | second one_unit                 | v linear
second: no phi''                   | second one_unit                 | v linear
second: e for t                    | second one_unit                 | v linear
second: no mask                    | second                          | v linear one_unit
second: of a[L], too               | second one_unit                 | v linear
second: only of the last phi'      | second                          | v linear one_unit
second: no way down                | second                          | v linear one_unit
second: no dW on it                | second one_unit                 | v linear
second: no db on it                | second one_unit                 | v linear
rows: all masks                    | rows                            |
layers: as they lie                | names                           |
layers: nine at most               | names                           |
decay: of b, too                   | decayed                         |
"""
ROWS = rows_of(TABLE)
(
    test_all_checks_pass_without_a_mistake,
    test_who_sees_a_mistake,
    test_each_mistake_is_in_the_table_and_seen,
) = table_tests(ROWS, MUTANTS, CHECKS)


def test_a_piece_that_is_gone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="product: 0 times 'h @ V'"):
        wrong(pieces.Dense.product, "h @ V", "h @ W")(monkeypatch)
