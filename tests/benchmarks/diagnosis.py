"""How often the reason for a wrong gradient is found: `python tests/benchmarks/diagnosis.py`.

Three measurements, each a line of counts:

- ops: every partial of every op of the table in tests/ops, made wrong in five ways inside a longer
  function; `check_gradients` has to name the op and the argument;
- planted: mistakes in the backward pass of a VAE or a classifier by hand, of random sizes that
  differ from each other; the kind and the place have to be right;
- mutants: the project's tables, where a comparison with autograd sees them; what a right reason
  says is in right_explanations.py;
- edits: one-token edits of byhand/, drawn at random (edits.py).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

import tinygen as tg
from tinygen import explain  # noqa: F401  its checks are those of tg

TESTS = Path(__file__).parents[1]

# Every partial of every op.

Fault = Callable[[Callable[..., Any]], Callable[..., Any]]


def twice(right: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *a, **o: 2 * right(*a, **o)


def negated(right: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *a, **o: -right(*a, **o)


def nothing(right: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *a, **o: 0 * right(*a, **o)


def slightly(right: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *a, **o: 1.001 * right(*a, **o)


def shifted(right: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *a, **o: right(*a, **o) + 0.1


FAULTS: list[Fault] = [twice, negated, nothing, slightly, shifted]


class Planted:
    """The partials of an op, of which number i is wrong."""

    def __init__(self, right: Any, i: int, fault: Fault) -> None:
        self.right, self.i, self.fault = right, i, fault

    def __getitem__(self, i: int) -> Any:
        return self.fault(self.right[i]) if i == self.i else self.right[i]


def inside(op: Any, case: Any) -> Callable[..., Any]:
    """The op in the middle of a longer function."""
    fixed = case.floats(np.float64)[: case.fixed]
    return lambda *xs: tg.sin(op(*fixed, *(1.0 * x for x in xs), **case.options)) * 0.5


def measure_ops(*names: str) -> Counter[str]:
    """Of how many single faults the op and its argument are named, of all ops or of some."""
    sys.path[:0] = [str(TESTS / "helpers"), str(TESTS / "ops")]
    table = __import__("test_ops").CASES
    counts: Counter[str] = Counter()
    for name, cases in table.items():
        op = tg.OPS.get(name)
        for case in cases if op is not None and name in (names or table) else ():
            inputs = case.floats(np.float64)[case.fixed :]
            for i in range(len(inputs)):
                if op.partials[case.fixed + i] is None:
                    continue
                for fault in FAULTS:
                    counts[named_rightly(op, case, inputs, case.fixed + i, fault)] += 1
    return counts


def named_rightly(op: Any, case: Any, inputs: Any, i: int, fault: Fault) -> str:
    right = op.partials
    op.partials = Planted(right, i, fault)
    try:
        tg.check_gradients(inside(op, case), inputs)
    except tg.GradientError as error:
        expected = f"the partial d{op.argument(i)} of {op.name} is wrong"
        if expected in " ".join(str(error).split()):
            return "named"
        print(f"{op.name} {op.argument(i)} {fault.__name__}: {error}")
        return "not named"
    except Exception as error:  # such as a gradient of another dtype, which the engine refuses
        print(f"{op.name} {op.argument(i)} {fault.__name__}: {error!r}")
        return "refused"
    finally:
        op.partials = right
    print(f"{op.name} {op.argument(i)} {fault.__name__}: not seen")
    return "not seen"


# Mistakes in a backward pass by hand, of random sizes.

ROWS = [
    # What is replaced in which module by what, for which models, and what the reason has to say.
    ("pieces", "matmul(h.T, da, out=out)", "matmul(h.T, da / len(da), out=out)",
     "classifier autoencoder", r"the sum over rows were a mean|1/N"),
    ("pieces", "matmul(h.T, da, out=out)", "matmul(h.T, -da, out=out)",
     "classifier autoencoder elbo", r"other sign.*"),
    ("pieces", "matmul(h.T, da, out=out)", "matmul(h[-1:].T, da[-1:], out=out)",
     "classifier1", r"last row of the batch"),
    ("pieces", "da.sum(axis=0, out=out)", "da.mean(axis=0, out=out)",
     "classifier autoencoder elbo", r"1/N|the sum over rows were a mean"),
    ("pieces", "da.sum(axis=0, out=out)", "(2 * da).sum(axis=0, out=out)",
     "classifier autoencoder elbo", r"2 times|counted twice"),
    ("chain", "dh = cache.kind[k].input_gradient(da, W)",
     "dh = cache.kind[k].input_gradient(-da, W)", "autoencoder elbo", r"other sign.*affine"),
    ("chain", "dh = cache.kind[k].input_gradient(da, W)",
     "dh = cache.kind[k].input_gradient(2 * da, W)", "autoencoder iwae", r"counted twice.*affine"),
    ("pieces", "return dh * f", "return dh", "classifier autoencoder elbo gaussian",
     r"the derivative of tanh were left out"),
    ("pieces", "return dh * f", "return dh * f * f", "classifier autoencoder elbo iwae",
     r"the derivative of tanh were applied twice"),
    ("pieces", "1 - h * h", "1 - h", "classifier autoencoder elbo",
     r"1 - the result of tanh stood for the derivative of tanh"),
    ("pieces", "1 - h * h", "h * h", "classifier autoencoder",
     r"1 minus the derivative of tanh"),
    ("pieces", "q *= 1 / n", "pass", "classifier", r"a sum for a mean|by N with|[nN] with n"),
    ("pieces", "q -= t", "q -= 2 * t", "classifier", r"log_softmax|log_p"),
    ("pieces", "2 / x.size", "1 / x.size", "autoencoder", r"1/2"),
    ("pieces", "2 / x.size", "2 / len(x)", "autoencoder", r"by d with|d times|by D"),
    ("autoencoder", "return R, dy * f", "return R, dy", "autoencoder",
     r"the derivative of sigmoid were left out"),
    ("pieces", "x - y", "y - x", "elbo iwae", r"other sign.*(bernoulli|mean1|a )"),
    ("pieces", "precision * error", "error", "gaussian", r"were left out.*"),
    ("pieces", "0.5 * (precision * Q - d)", "precision * Q - d", "gaussian",
     r"2 times|twice|left out"),
    ("pieces", "dz.sum(axis=0), 0.5", "dz.mean(axis=0), 0.5", "elbo iwae",
     r"to mu were multiplied by 1/K"),
    ("pieces", "0.5 * (dz * scaled).sum(axis=0)", "(dz * scaled).sum(axis=0)", "elbo iwae gaussian",
     r"factor 0\.5 were left out .* log_var|to log_var counted twice"),
    ("pieces", "return mu + scaled, scaled", "return mu + scaled, noise", "elbo iwae gaussian",
     r"the derivative of exp were left out"),
    ("pieces", "return mu + scaled, scaled", "return mu + scaled, namespace(v).exp(0.5 * v)",
     "elbo iwae gaussian", r"the factor noise were left out"),
    ("pieces", "return mu + scaled, scaled",
     "return mu + scaled, namespace(v).exp(0.5 * v) * scaled",
     "elbo", r"the derivative of exp were applied twice"),
    ("vae", "beta / n", "beta", "elbo gaussian", r"a sum for a mean.*gaussian_kl|by N with"),
    ("vae", "beta / n", "1 / n", "elbo gaussian", r"factor 1\.7 were left out"),
    ("vae", "dmu + direct.dmu", "dmu", "elbo gaussian", r"gaussian_kl\d to mu were missing"),
    ("vae", "dmu + direct.dmu", "dmu - direct.dmu", "elbo gaussian",
     r"gaussian_kl\d to mu had the other sign"),
    ("vae", "dv + direct.dv", "dv", "elbo gaussian", r"gaussian_kl\d to log_var were missing"),
    ("vae", "dv + direct.dv", "dv + 2 * direct.dv", "elbo gaussian",
     r"gaussian_kl\d to log_var counted twice"),
    ("vae", "dv + direct.dv", "0 * dv + direct.dv", "elbo gaussian",
     r"(z to multiply\d|\d to exp\d|exp\d to multiply\d|\d to log_var) were missing"),
    ("vae", "dmu + direct.dmu", "0 * dmu + direct.dmu", "elbo gaussian", r"z to mu were missing"),
    ("vae", "w_hat * (-1 / n)", "-w_hat", "iwae", r"a sum for a mean|by N with"),
    ("vae", "dlog_w * beta", "dlog_w", "iwae", r"factor 1\.7 were left out"),
    ("vae", "[dmu + direct.dmu, dv + direct.dv]", "[dv + direct.dv, dmu + direct.dmu]",
     "elbo gaussian", r"gradients of (mu and log_var|log_var and mu) were exchanged"),
]  # fmt: skip


def drawn_model(family: str, random: np.random.Generator) -> tuple[Any, int, int]:
    """A model of sizes that all differ, its batch size, and its number of draws."""
    n, d, o, c, k, m = (int(i) for i in random.permutation(np.arange(3, 14))[:6])
    c = next(i for i in (c, m, 15, 17) if 2 * i not in (n, d, o, k))
    options: dict[str, Any] = {"hidden": (o,), "activation": "tanh", "biases": "normal"}
    if family.startswith("classifier"):
        hidden = () if family.endswith("1") else (o,)
        options |= {"hidden": hidden, "weights": "glorot_uniform"}
        return tg.models.Classifier(pixels=d, classes=c, dropout=0.0, **options), n, k
    if family == "autoencoder":
        return tg.models.Autoencoder(pixels=d, latent=c, **options), n, k
    options |= {"likelihood": "gaussian"} if family == "gaussian" else {}
    options |= {"objective": "iwae"} if family == "iwae" else {}
    return tg.models.VAE(pixels=d, latent=c, samples=k, beta=1.7, **options), n, k


def measure_planted(number: int = 200, seed: int = 14) -> Counter[str]:
    """Mistakes in byhand/: whether the reason says what was planted."""
    sys.path.insert(0, str(TESTS / "helpers"))
    import pytest
    from mutants import in_functions

    random = np.random.default_rng(seed)
    counts: Counter[str] = Counter()
    cases = [(row, family) for row in ROWS for family in row[3].split()]
    for case in range(number):
        (module, old, new, _, said), family = cases[case % len(cases)]
        model, n, k = drawn_model(family, random)
        with pytest.MonkeyPatch.context() as patch:
            where = __import__(f"tinygen.byhand.{module}", fromlist=["byhand"])
            in_functions(where, (old, new))(patch)
            expected = said.replace("N", f"(n|{n})").replace("K", f"(k|{k})")
            result = judged(model, n, expected, random)
        if result != "right":
            print(f"{result}: {old} -> {new}, {model}\n{MESSAGES[-1]}\n")
        counts[result] += 1
    return counts


MESSAGES: list[str] = []


def judged(model: Any, n: int, expected: str, random: np.random.Generator) -> str:
    p = model.initialise(int(random.integers(1000)), np.float64)
    if "decoder.log_var" in p:
        p["decoder.log_var"][...] = 0.7  # of a variance of 1, a mistake is not seen
    x = random.random((n, model.pixels))
    options = {}
    if isinstance(model, tg.models.Classifier):
        labels = np.eye(model.classes)[random.integers(model.classes, size=n)]
        options = {"labels": labels}
    data = model.draw(x, random, **options)
    try:
        tg.compare_gradients(model.gradients("by-hand"), model.gradients("autograd"), p, *data)
    except tg.GradientError as error:
        said = " ".join(str(error).split())
        MESSAGES.append(str(error))
        if "no known mistake" in said or "why:" not in said:
            return "none known"
        first = said.split("why:", 1)[1].split(" or: ")[0]
        return "right" if re.search(expected, first) else "another"
    MESSAGES.append("")
    return "not seen"


# The tables of mutants.


def comparisons() -> Iterator[tuple[Any, ...]]:
    """By hand, by autograd, parameters and data, of some models of pairwise different sizes."""
    random = np.random.default_rng(3)
    sizes: dict[str, Any] = {"pixels": 6, "hidden": (5,), "activation": "tanh"}
    for options in (
        {}, {"likelihood": "gaussian"}, {"objective": "iwae"}, {"free_bits": 0.3},
    ):  # fmt: skip
        vae = tg.models.VAE(latent=4, samples=3, beta=2.7, biases="normal", **sizes, **options)
        p = vae.initialise(1, np.float64)
        if "decoder.log_var" in p:
            p["decoder.log_var"][...] = 0.7
        data = vae.draw(random.random((7, 6)), random)
        yield vae.gradients("by-hand"), vae.gradients("autograd"), p, *data
    for activation in ("tanh", "relu", "gelu", "elu", "sigmoid", "softplus"):
        classifier = tg.models.Classifier(
            pixels=6, hidden=(5, 8), classes=4, activation=activation, dropout=0.3, biases="normal"
        )
        labels = np.eye(4)[random.integers(4, size=7)]
        data = classifier.draw(random.random((7, 6)), random, labels=labels)
        p = classifier.initialise(1, np.float64)
        yield classifier.gradients("by-hand"), classifier.gradients("autograd"), p, *data
    import aae_phases
    import gan_checks

    widths = {"pixels": 6, "latent": 4, "generator_hidden": (5,), "discriminator_hidden": (8,)}
    for loss in ("non-saturating", "wasserstein-gp", "r1", "least-squares"):
        model = gan_checks.gan(loss, **widths)
        g, d, by_d, by_g = gan_checks.turn(model, rows=7)
        hand, autograd = model.gradients("by-hand"), model.gradients("autograd")
        yield hand.discriminator, autograd.discriminator, d, *by_d
        yield hand.generator, autograd.generator, g, d, *by_g
    for loss in ("non-saturating", "wasserstein-gp"):
        aae = tg.models.AdversarialAutoencoder(
            pixels=6, hidden=(5,), latent=4, activation="tanh", loss=loss, biases="normal",
            discriminator_hidden=(8,), discriminator_activation="tanh",
        )  # fmt: skip
        hand, autograd = aae.gradients("by-hand"), aae.gradients("autograd")
        for phase, (p, *data) in aae_phases.turn(aae, 7, 3).items():
            yield getattr(hand, phase), getattr(autograd, phase), p, *data
    yield from of_convolutions(random)


def of_convolutions(random: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    """The same of models with convolutions."""
    import gan_checks

    shape: dict[str, Any] = {"image": (5, 7, 2), "channels": (3, 4), "biases": "normal"}
    model = tg.models.Autoencoder(70, (6,), 9, "tanh", dropout=0.3, **shape)
    p, data = model.initialise(1, np.float64), model.draw(random.random((8, 70)), random)
    yield model.gradients("by-hand"), model.gradients("autograd"), p, *data
    gan = tg.models.GAN(70, 11, (6,), (9,), discriminator_activation="tanh", loss="r1", **shape)
    g, d, by_d, by_g = gan_checks.turn(gan, rows=8)
    hand, autograd = gan.gradients("by-hand"), gan.gradients("autograd")
    yield hand.discriminator, autograd.discriminator, d, *by_d
    yield hand.generator, autograd.generator, g, d, *by_g


def measure_mutants(*tables: str) -> Counter[str]:
    """Of how many that a comparison sees the reason is right, another, or none."""
    sys.path[:0] = [str(TESTS / folder) for folder in ("helpers", "mutants", "benchmarks")]
    import pytest

    right = __import__("right_explanations").RIGHT
    counts: Counter[str] = Counter()
    for table in tables or right:
        for name, plant in __import__(f"test_{table}").MUTANTS.items():
            with pytest.MonkeyPatch.context() as patch:
                plant(patch)
                said = reason(comparisons())
            if said is None:
                continue
            of = "loss" if said.startswith("the first loss") else "gradient alone"
            result = verdict(said, right[table].get(name, ""))
            counts[f"{of} wrong: {result}"] += 1
            print(f"## {table}, {name}: {result}\n{said}")
    return counts


def verdict(said: str, expected: str) -> str:
    """Whether the first explanation has the expected words; "" is what nothing can explain."""
    first = " ".join(said.split()).split("why:")[-1].split(" or: ")[0]
    if NONE in first:
        return "none known"
    words = first.split(" (tinygen/")[0]
    return "right" if expected and re.search(expected, words) else "another"


NONE = "no known mistake"


def reason(cases: Iterator[tuple[Any, ...]]) -> str | None:
    """The message of the first comparison that fails, if one does."""
    for f, g, p, *data in cases:
        try:
            tg.compare_gradients(f, g, p, *data, tolerance=1e-11)
        except tg.GradientError as error:
            return str(error)
        except Exception:  # a mutant may be no model at all
            return None
    return None


# Random edits.


def measure_edits(number: int = 200, seed: int = 7) -> Counter[str]:
    """One-token edits of byhand/, drawn at random, of which a comparison sees each."""
    sys.path[:0] = [str(TESTS / folder) for folder in ("helpers", "benchmarks")]
    import edits
    import pytest
    from mutants import made_of, source_of

    random = np.random.default_rng(seed)
    modules = [
        __import__(f"tinygen.byhand.{m}", fromlist=["x"]) for m in ("pieces", "chain", "gan")
    ]
    drawn = [(m, edit) for m in modules for edit in edits.all_edits(source_of(m))]
    counts: Counter[str] = Counter()
    for i in random.permutation(len(drawn)):
        module, (name, *where) = drawn[i]
        text, source = edits.applied(source_of(module), name, *where)
        function = attrgetter(name)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(function(module), "__code__", function(made_of(source, module)).__code__)
            said = reason(edits.models(random))
        if said is None or "why:" not in said:
            continue
        of = "loss" if said.startswith("the first loss") else "gradient alone"
        result = verdict(said, edits.PLACES[name])
        counts[f"{of} wrong: {result}"] += 1
        print(f"## {name}: {text}: {result}\n{said}", flush=True)
        if sum(counts.values()) == number:
            break
    return counts


PARTS = {
    "ops": measure_ops,
    "planted": measure_planted,
    "mutants": measure_mutants,
    "edits": measure_edits,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", default=[*PARTS], help=", ".join(PARTS))
    for part in parser.parse_args().parts:
        print(part, dict(PARTS[part]()))


if __name__ == "__main__":
    main()
