"""One-token edits of the book by hand, drawn at random: mistakes that nobody chose.

An edit swaps + and -, or * and /, drops a factor, a sign or a transposition, exchanges two sides,
two axes, or a sum and a mean, doubles or halves a number, or leaves out an update in place. Where
an explanation fits, it gives the wrong gradient to seven digits or more; it is right if it is, too,
at the ops that the edited function stands for.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
from mutants import functions_in

import tinygen as tg

SWAPPED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
OTHER = {"sum": "mean", "mean": "sum"}

PLACES = {
    # pieces
    "Dense.product": "of (affine|matmul)",
    "Dense.weight_gradient": r"(to|of) (\w+\.)?(W|b)\d|sum over rows were a mean|last row",
    "bias_gradient": r"(to|of) (\w+\.)?(W|b)\d|sum over rows were a mean|last row",
    "Dense.input_gradient": r"(affine|matmul)\d|uses of (affine|matmul)",
    "relu": "relu", "leaky_relu": "leaky_relu", "elu": "elu", "gelu": "gelu", "gelu_gate": "gelu",
    "tanh": "tanh", "sigmoid": "sigmoid", "softplus": "softplus",
    "logistic": "sigmoid|softplus|bernoulli", "tanh_second": r"tanh\d|to subtract1|multiply1",
    "activation_backward": "(tanh|relu|elu|sigmoid|softplus)|multiply",
    "activation_jvp": "to matmul1|multiply2", "dropout": "multiply|constant",
    "batch_norm": "divide1|sqrt1|mean[123]|gamma|beta|multiply[12]|subtract[12]",
    "batch_norm_backward": "divide1|sqrt1|mean[123]|gamma|beta|multiply[12]|subtract[12]",
    "mse": "mse|square|mean1|error|from loss", "sum_of_squares": "square|norm|sum|mean3|weight",
    "softmax_cross_entropy": "log_softmax|log_p|total|sum1|multiply2",
    "bernoulli": "bernoulli|mean1",
    "gaussian": r"exp2|decoder\.log_var|2 pi|multiply[3456]|add[123]|mean1",
    "reparameterise": r"exp1|noise|multiply[12]|to z|of z\b",
    "reparameterise_backward": r"z to|mu\b|log_var|multiply[12]",
    "kl": r"kl\b|gaussian_kl|multiply3",
    "log_ratio": "log_w|log_var|subtract1|multiply[345]|constant1",
    "log_ratio_backward": "log_w|log_var|subtract1|multiply[345]|add1",
    "log_mean_exp": r"logsumexp|log\(",
    "zero_centred": "mean3|sum[12]|square", "one_centred": "norm|mean3|square|multiply3",
    # chain and gan
    "chain": "affine|matmul|tanh|h were",
    "chain_backward": r"affine|matmul|tanh|to (\w+\.)?(W|b)\d|all steps",
    "input_derivative": "matmul|multiply[12]",
    "input_derivative_backward": r"matmul|multiply[12]|subtract1|affine\d to|tanh",
    "cross_entropy_of_d": "softplus|mean[12]|discriminator_loss",
    "wasserstein_of_d": "a_fake|a_real|mean[12]|subtract2",
    "non_saturating_of_g": "softplus|generator_loss|negative",
    "wasserstein_of_g": "mean4|generator_loss|a2",
    "least_squares_of_d": "square|mean[12]|subtract|discriminator_loss|add1",
    "least_squares_of_g": "square|mean|subtract|generator_loss",
}  # fmt: skip


def all_edits(source: str) -> Iterator[tuple[str, int, int]]:
    """Which function of the module, which node in it, and how it is edited."""
    for name, function in functions_in(ast.parse(source)).items():
        if name in PLACES:
            for place, node in enumerate(ast.walk(function)):
                for way in range(4):
                    if edited(copy.copy(node), way) is not None:
                        yield name, place, way


def applied(source: str, name: str, place: int, way: int) -> tuple[str, str]:
    """What is edited, and the source with the edit."""
    tree = ast.parse(source)
    function = functions_in(tree)[name]
    old = [*ast.walk(function)][place]
    new = edited(copy.copy(old), way)
    assert new is not None
    text = f"{ast.unparse(old)} -> {ast.unparse(new)}"
    Put(old, new).visit(function)
    return text, ast.unparse(ast.fix_missing_locations(tree))


class Put(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> Any:
        return self.new if node is self.old else self.generic_visit(node)


def edited(node: Any, way: int) -> ast.AST | None:
    """The node edited in one of up to four ways; None if it has no such."""
    if isinstance(node, ast.BinOp) and type(node.op) in SWAPPED:
        if way == 0:
            node.op = SWAPPED[type(node.op)]()
            return node
        if way == 1 and isinstance(node.op, (ast.Sub, ast.Div)):
            node.left, node.right = node.right, node.left
            return node
        if way in (2, 3) and isinstance(node.op, ast.Mult):
            return node.left if way == 2 else node.right
    if way:
        return None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return node.operand
    if isinstance(node, ast.Attribute) and node.attr in ("T", *OTHER):
        if node.attr == "T":
            return node.value
        node.attr = OTHER[node.attr]
        return node
    if (
        isinstance(node, ast.keyword)
        and node.arg == "axis"
        and isinstance(node.value, ast.Constant)
    ):
        node.value = ast.Constant(1 - node.value.value)
        return node
    if (isinstance(node, ast.Constant) and type(node.value) is float) or _is_two(node):
        return ast.Constant(node.value / 2 if _is_two(node) else node.value * 2)
    if isinstance(node, ast.AugAssign):
        return ast.Pass()
    return None


def _is_two(node: Any) -> bool:
    return isinstance(node, ast.Constant) and node.value == 2


def models(random: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    """By hand, by autograd, parameters and data, of sizes that are drawn and all differ."""
    n, d, o, c, k, m = (int(i) for i in random.permutation(np.arange(4, 16))[:6])
    shape: dict[str, Any] = {"hidden": (o,), "activation": "tanh", "biases": "normal"}
    for options in ({}, {"likelihood": "gaussian"}, {"objective": "iwae"}):
        vae = tg.models.VAE(pixels=d, latent=c, samples=k, beta=1.3, **shape, **options)
        p = vae.initialise(int(random.integers(99)), np.float64)
        p.flat[...] += 0.1 * random.standard_normal(p.flat.shape)
        yield *_both(vae), p, *vae.draw(random.random((n, d)), random)
    ae = tg.models.Autoencoder(pixels=d, latent=c, **shape)
    yield *_both(ae), ae.initialise(1, np.float64), *ae.draw(random.random((n, d)), random)
    shape |= {"hidden": (o, m), "dropout": 0.3}
    for activation in ("relu", "elu", "gelu", "softplus", "sigmoid", "leaky_relu"):
        model = tg.models.Classifier(pixels=d, classes=c, **(shape | {"activation": activation}))
        labels = np.eye(c)[random.integers(c, size=n)]
        p = model.initialise(1, np.float64)
        yield *_both(model), p, *model.draw(random.random((n, d)), random, labels=labels)
    import gan_checks

    for loss in ("non-saturating", "least-squares", "wasserstein-gp", "r1"):
        gan = gan_checks.gan(
            loss, pixels=d, latent=c, generator_hidden=(o,), discriminator_hidden=(m,)
        )
        g, d_, by_d, by_g = gan_checks.turn(gan, rows=n, seed=int(random.integers(99)))
        (hand, autograd) = _both(gan)
        yield hand.discriminator, autograd.discriminator, d_, *by_d
        yield hand.generator, autograd.generator, g, d_, *by_g


def _both(model: Any) -> tuple[Any, Any]:
    return model.gradients("by-hand"), model.gradients("autograd")
