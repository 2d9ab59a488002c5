"""The autoencoder by hand against finite differences, closed forms and its worked example."""

import itertools
import math

import numpy as np
import pytest
from differences import (
    MARGIN,
    NON_SMOOTH,
    PHI,
    TOLERANCE,
    check_directional_derivatives,
    directional_derivative,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strict import count_syncs, see_dtypes

from tinygen.byhand.autoencoder import decoder_loss_and_grads, loss_and_grads
from tinygen.byhand.checks import DENSE
from tinygen.parameters import Parameters

RECONSTRUCTIONS = [("none", "mse"), ("sigmoid", "mse"), ("sigmoid", "bce")]


def make(encoder, decoder, rng=None, dtype=np.float64, scale=0.5):
    """Parameters of the layers d -> encoder... -> decoder..., random or zero."""
    shapes = {}
    for side, widths in (("encoder", encoder), ("decoder", [encoder[-1], *decoder])):
        for k, (i, o) in enumerate(itertools.pairwise(widths), 1):
            shapes |= {f"{side}.W{k}": (i, o), f"{side}.b{k}": (o,)}
    size = sum(math.prod(shape) for shape in shapes.values())
    flat = np.zeros(size) if rng is None else scale * rng.standard_normal(size)
    return Parameters(shapes, flat.astype(dtype))


def hidden_widths(encoder, decoder):
    return [*encoder[1:-1], *decoder[:-1]]


# --- an independent opinion on the loss: one pixel at a time, with Python's own mathematics ---


def walk(parameters, seen, masks, activation):
    """Each image's numbers before the kinks, its code, and its last sums, by plain loops."""
    names = [name for name in parameters if ".W" in name]
    code = sum(name.startswith("encoder") for name in names) - 1
    kinks, codes, outputs = [], [], []
    for i, row in enumerate(np.asarray(seen, float).tolist()):
        waiting = list(masks)
        for k, name in enumerate(names):
            W, b = parameters[name], parameters[name.replace("W", "b")]
            row = [
                sum(row[j] * float(W[j, o]) for j in range(len(row))) + float(b[o])
                for o in range(len(b))
            ]
            if k == code:
                codes.append(row)
            elif k < len(names) - 1:
                kinks += row
                row = [PHI[activation](a) for a in row]
                if waiting:
                    row = [h * float(m) for h, m in zip(row, waiting.pop(0)[i], strict=True)]
        outputs.append(row)
    return kinks, codes, outputs


def textbook_loss(
    parameters,
    x,
    corrupted=None,
    masks=(),
    *,
    activation,
    output,
    reconstruction,
    weight_decay,
    code_l1,
):
    seen = x if corrupted is None else corrupted
    _, codes, outputs = walk(parameters, seen, masks, activation)
    n, d = x.shape
    R = 0.0
    for a_row, x_row in zip(outputs, x.tolist(), strict=True):
        for a, t in zip(a_row, x_row, strict=True):
            y = 1 / (1 + math.exp(-a)) if output == "sigmoid" else a
            if reconstruction == "mse":
                R += (y - t) ** 2 / (n * d)
            else:
                R += -(t * math.log(y) + (1 - t) * math.log(1 - y)) / n
    S = code_l1 * sum(abs(z) for row in codes for z in row) / n
    weights = [w for name in parameters if ".W" in name for w in parameters[name].flat]
    return R + S + weight_decay / 2 * sum(float(w) ** 2 for w in weights)


# --- finite differences ---


@st.composite
def cases(draw):
    """An autoencoder of any shape, a batch, and every option, away from kinks."""
    width = st.integers(1, 4)
    d = draw(st.integers(1, 5))
    encoder = [d, *draw(st.lists(width, min_size=1, max_size=3))]
    decoder = [*draw(st.lists(width, max_size=2)), d]
    n = draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    output, reconstruction = draw(st.sampled_from(RECONSTRUCTIONS))
    options = {
        "activation": draw(st.sampled_from(sorted(DENSE))),
        "output": output,
        "reconstruction": reconstruction,
        "weight_decay": draw(st.sampled_from([0.0, 0.1])),
        "code_l1": draw(st.sampled_from([0.0, 0.3])),
    }
    p = make(encoder, decoder, rng)
    x = rng.random((n, d))
    corrupted = x + 0.3 * rng.standard_normal((n, d)) if draw(st.booleans()) else None
    masks = ()
    if draw(st.booleans()):
        keep = 0.75
        masks = tuple(
            (rng.random((n, width)) < keep) / keep for width in hidden_widths(encoder, decoder)
        )
    kinks, codes, _ = walk(p, x if corrupted is None else corrupted, masks, options["activation"])
    if options["activation"] in NON_SMOOTH:
        assume(min(map(abs, kinks), default=1) > MARGIN)
    if options["code_l1"]:
        assume(min(abs(z) for row in codes for z in row) > MARGIN)
    return p, (x, corrupted, masks), options, rng


@settings(max_examples=80)
@given(cases())
def test_directional_derivatives_of_the_loss(case):
    check_directional_derivatives(loss_and_grads, *case)


@settings(max_examples=60)
@given(cases())
def test_loss_is_the_textbook_loss(case):
    p, data, options, _ = case
    loss, _ = loss_and_grads(p, *data, **options)
    # rounding of a few hundred float64 operations
    assert loss == pytest.approx(textbook_loss(p, *data, **options), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize(("output", "reconstruction"), RECONSTRUCTIONS)
@pytest.mark.parametrize("activation", sorted(DENSE))
def test_every_single_entry_of_the_gradient(activation, output, reconstruction):
    rng = np.random.default_rng(5)
    encoder, decoder = [3, 3, 2], [3, 3]
    p = make(encoder, decoder, rng)
    x = rng.random((4, 3))
    data = (
        x,
        x + 0.2 * rng.standard_normal(x.shape),
        tuple((rng.random((4, w)) < 0.8) / 0.8 for w in hidden_widths(encoder, decoder)),
    )
    options = {
        "activation": activation,
        "output": output,
        "reconstruction": reconstruction,
        "weight_decay": 0.01,
        "code_l1": 0.1,
    }
    kinks, codes, _ = walk(p, data[1], data[2], activation)
    assert min(map(abs, itertools.chain(kinks, *codes))) > MARGIN  # the seed is chosen for this
    _, gradients = loss_and_grads(p, *data, **options)
    measured = [
        directional_derivative(lambda q: loss_and_grads(q, *data, **options)[0], p, v)
        for v in np.eye(p.flat.size)
    ]
    np.testing.assert_allclose(
        gradients.flat, measured, rtol=TOLERANCE, atol=TOLERANCE * np.abs(measured).max()
    )


# --- closed forms ---


def worked_example():
    """Section 7 of docs/derivations/autoencoder.md."""
    p = make([2, 2, 1], [2])
    p["encoder.W1"][...] = [[1, -1], [1, 2]]
    p["encoder.W2"][...] = [[1], [-3]]
    p["decoder.W1"][...] = [[1, -1]]
    p["decoder.b1"][...] = [0, 1 / 2]
    return p, np.array([[1.0, 0], [1, 1]])


def test_the_worked_example_exactly():
    p, x = worked_example()
    loss, g = loss_and_grads(p, x, activation="relu", output="none", reconstruction="mse")
    assert loss == 9 / 8  # every number here is a binary fraction: no rounding, no tolerance
    assert g["decoder.W1"].tolist() == [[1, -1 / 2]]
    assert g["decoder.b1"].tolist() == [-1, 0]
    assert g["encoder.W2"].tolist() == [[-9 / 4], [-5 / 4]]
    assert g["encoder.b2"].tolist() == [-1]
    assert g["encoder.W1"].tolist() == [[-1, 15 / 4], [-5 / 4, 15 / 4]]
    assert g["encoder.b1"].tolist() == [-1, 15 / 4]


def test_the_worked_example_with_penalties():
    p, x = worked_example()
    loss, g = loss_and_grads(
        p,
        x,
        activation="relu",
        output="none",
        reconstruction="mse",
        code_l1=1 / 2,
        weight_decay=1.0,
    )
    assert loss == 89 / 8
    assert g["encoder.W2"].tolist() == [[-3 / 2], [-9 / 2]]


def test_the_worked_example_with_cross_entropy():
    p, x = worked_example()
    ln3 = math.log(3)
    p["decoder.W1"][...] = [[ln3, -ln3]]
    p["decoder.b1"][...] = 0
    loss, g = loss_and_grads(p, x, activation="relu", output="sigmoid", reconstruction="bce")
    exact = {"rel": 1e-14, "abs": 1e-15}  # the rounding of log 3 and of a few operations
    assert loss == pytest.approx(math.log(256 / 27) / 2, **exact)
    assert g["decoder.W1"] == pytest.approx(np.array([[1 / 4, 1 / 4]]), **exact)
    assert g["decoder.b1"] == pytest.approx(np.array([-1 / 2, 0]), **exact)
    assert g["encoder.W2"] == pytest.approx(np.array([[-3 / 4 * ln3], [-1 / 4 * ln3]]), **exact)


def test_denoising_changes_the_input_and_not_the_target():
    p, x = worked_example()
    options = {"activation": "relu", "output": "none", "reconstruction": "mse"}
    noisy = np.array([[1.0, 1], [1, 1]])  # as if both images were the second
    loss, g = loss_and_grads(p, x, noisy, **options)
    # y = (-1, 3/2) twice, against (1, 0) and (1, 1); delta = (-1, 3/4), (-1, 1/4)
    assert loss == (4 + 9 / 4 + 4 + 1 / 4) / 4
    assert g["decoder.b1"].tolist() == [-2, 1]


def test_a_dropped_unit_neither_speaks_nor_learns():
    p, x = worked_example()
    options = {"activation": "relu", "output": "none", "reconstruction": "mse"}
    loss, g = loss_and_grads(p, x, None, (np.array([[2.0, 0], [2, 0]]),), **options)
    # z = 2, 4; y = (2, -3/2), (4, -7/2); y - x = (1, -3/2), (3, -9/2)
    assert loss == (1 + 9 / 4 + 9 + 81 / 4) / 4
    assert g["encoder.W2"][1] == 0 and not g["encoder.W1"][:, 1].any()
    # delta of the code = 5/4, 15/4; it reaches the kept unit with weight 1 and scale 2
    assert g["encoder.b1"].tolist() == [2 * (5 / 4 + 15 / 4), 0]


def test_confidently_wrong_pixels_learn_with_cross_entropy_and_not_with_squared_error():
    p = make([1, 1], [1])
    p["decoder.b1"][...] = 40.0
    x = np.zeros((1, 1))
    bce = loss_and_grads(p, x, activation="none", output="sigmoid", reconstruction="bce")[1]
    mse = loss_and_grads(p, x, activation="none", output="sigmoid", reconstruction="mse")[1]
    assert bce["decoder.b1"] == 1
    assert 0 <= mse["decoder.b1"] < 1e-15  # 2 y (1 - y) with 1 - y = 4e-18


def test_batch_of_copies_has_the_gradient_of_one_image():
    rng = np.random.default_rng(0)
    p, x = make([3, 4, 2], [4, 3], rng), rng.random((1, 3))
    for output, reconstruction in RECONSTRUCTIONS:
        options = {
            "activation": "tanh",
            "output": output,
            "reconstruction": reconstruction,
            "code_l1": 0.2,
        }
        one = loss_and_grads(p, x, **options)
        many = loss_and_grads(p, np.repeat(x, 7, axis=0), **options)
        assert many[0] == pytest.approx(one[0], rel=1e-13)  # sums in another order
        np.testing.assert_allclose(many[1].flat, one[1].flat, rtol=1e-12, atol=1e-15)


# --- the linear autoencoder is PCA ---

LINEAR = {"activation": "none", "output": "none", "reconstruction": "mse"}


def correlated_images(rng):
    """Images with well separated principal components and a mean that is not zero, and PCA."""
    axes = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    x = (rng.standard_normal((40, 5)) * [3, 2, 1, 0.5, 0.3]) @ axes + rng.standard_normal(5)
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    return x, values[::-1], vectors[:, ::-1]


def sine_of_largest_angle(A, B):
    A, B = np.linalg.qr(A)[0], np.linalg.qr(B)[0]
    return np.linalg.norm(B - A @ (A.T @ B), 2)


def test_pca_in_any_basis_has_no_gradient_and_the_discarded_variance_as_loss():
    rng = np.random.default_rng(1)
    x, values, vectors = correlated_images(rng)
    V, Q, mean = vectors[:, :2], rng.standard_normal((2, 2)), x.mean(axis=0)
    p = make([5, 2], [5])
    p["encoder.W1"][...] = V @ Q
    p["encoder.b1"][...] = -mean @ V @ Q
    p["decoder.W1"][...] = np.linalg.inv(Q) @ V.T
    p["decoder.b1"][...] = mean
    loss, g = loss_and_grads(p, x, **LINEAR)
    assert loss == pytest.approx(values[2:].sum() / 5, rel=1e-12)  # rounding of eigh and inv
    assert np.abs(g.flat).max() < 1e-12  # rounding, too


def test_gradient_descent_on_a_linear_autoencoder_finds_the_principal_subspace():
    rng = np.random.default_rng(2)
    x, values, vectors = correlated_images(rng)
    p = make([5, 2], [5], rng, scale=0.1)
    out = p.zeros_like()
    for _ in range(8000):
        loss, g = loss_and_grads(p, x, **LINEAR, out=out)
        p.flat[...] -= 0.1 * g.flat
    # descent converges geometrically; what is left after 8000 steps is far below this
    assert sine_of_largest_angle(vectors[:, :2], p["decoder.W1"].T) < 1e-6
    assert loss == pytest.approx(values[2:].sum() / 5, rel=1e-9)
    assert sine_of_largest_angle(vectors[:, :1], p["decoder.W1"][:1].T) > 0.01  # but any basis


# --- numbers that overflow, dtypes, memory ---


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cross_entropy_of_extreme_logits(dtype):
    p = make([4, 1], [4], dtype=dtype)
    p["decoder.b1"][...] = [1000, 1000, -1000, -1000]
    x = np.array([[1, 0, 0, 1]], dtype)
    loss, g = loss_and_grads(p, x, activation="none", output="sigmoid", reconstruction="bce")
    assert loss == 2000
    assert g["decoder.b1"].tolist() == [0, 1, 0, -1]


@pytest.mark.parametrize("number", [float, np.float64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("output", "reconstruction"), RECONSTRUCTIONS)
@pytest.mark.parametrize("activation", sorted(DENSE))
def test_dtype_in_is_dtype_out_and_float32_agrees(
    activation, output, reconstruction, dtype, number
):
    rng = np.random.default_rng(3)
    p, x = make([6, 5, 3], [5, 6], rng), rng.random((4, 6))
    noisy, masks = x + 0.1, tuple((rng.random((4, 5)) < 0.5) * 2.0 for _ in range(2))
    options = {"activation": activation, "output": output, "reconstruction": reconstruction}
    options |= {"weight_decay": number(1e-3), "code_l1": number(1e-2)}
    exact = loss_and_grads(p, x, noisy, masks, **options)
    cast = [x.astype(dtype), noisy.astype(dtype), tuple(m.astype(dtype) for m in masks)]
    J, g = loss_and_grads(p.like(p.flat.astype(dtype)), *cast, **options)
    assert J.dtype == dtype and J.shape == () and g.flat.dtype == dtype
    tolerance = 20 * float(np.finfo(dtype).eps)  # a handful of roundings in sums of a few terms
    assert exact[0] == pytest.approx(J, rel=tolerance)
    assert np.linalg.norm(g.flat - exact[1].flat) <= tolerance * np.linalg.norm(exact[1].flat)


@pytest.mark.parametrize(("output", "reconstruction"), RECONSTRUCTIONS)
@pytest.mark.parametrize("activation", sorted(DENSE))
def test_a_step_in_float32_waits_for_nothing_and_makes_no_float64(
    backend, activation, output, reconstruction
):
    rng = np.random.default_rng(7)
    p, x = make([6, 5, 3], [5, 6], rng, np.float32), rng.random((4, 6), np.float32)
    masks = [(rng.random((4, 5)) < 0.5).astype(np.float32) * 2 for _ in range(2)]
    options = {"activation": activation, "output": output, "reconstruction": reconstruction}
    whole = options | {"weight_decay": np.float64(1e-3), "code_l1": np.float64(1e-2)}
    codes = rng.standard_normal((4, 3), np.float32)
    steps = [
        (loss_and_grads, (p, x, x + 1, masks), whole),
        (decoder_loss_and_grads, (p.part("decoder."), x, codes, masks[1:]), options),
    ]
    for step, data, terms in steps:
        J, g = step(*data, **terms)
        q, *arrays = data[0].to(backend), *map(backend.asarray, (*data[1:3], *data[3]))
        with count_syncs() as syncs, see_dtypes() as dtypes:
            K, f = step(q, *arrays[:2], arrays[2:], **terms)
        assert not syncs and set(dtypes) <= {np.dtype("f4"), np.dtype(bool)}
        # The same float32 arithmetic, perhaps in another library: a few roundings.
        np.testing.assert_allclose(backend.to_numpy(K), J, rtol=1e-6)
        np.testing.assert_allclose(backend.to_numpy(f.flat), g.flat, rtol=1e-5, atol=1e-6)


@settings(max_examples=40)
@given(cases())
def test_what_lay_in_out_never_shows_and_nothing_given_is_changed(case):
    p, (x, corrupted, masks), options, _ = case
    inputs = [p.flat, x, *masks] + ([] if corrupted is None else [corrupted])
    copies = [array.copy() for array in inputs]
    J, g = loss_and_grads(p, x, corrupted, masks, **options)
    out = p.like(np.full_like(p.flat, np.nan))
    again, same = loss_and_grads(p, x, corrupted, masks, **options, out=out)
    assert same is out
    assert again == J and np.array_equal(out.flat, g.flat)
    assert all(np.array_equal(a, b) for a, b in zip(inputs, copies, strict=True))


# --- a decoder alone ---


def alone(case):
    """Of a case the decoder in its own names, its images with codes and masks, and its options."""
    p, (x, _, masks), options, rng = case
    half = p.part("decoder.")
    codes = 2 * rng.standard_normal((len(x), half["W1"].shape[0]))
    return half, (x, codes, masks_of_decoder(half, masks)), terms_of_decoder(options), rng


def masks_of_decoder(half, masks):
    """The last of those of the whole."""
    return masks[len(masks) - (len(half) // 2 - 1) :] if masks else ()


def terms_of_decoder(options):
    """It has no code to make sparse, and no weight decay."""
    return {name: options[name] for name in ("activation", "output", "reconstruction")}


@settings(max_examples=40)
@given(cases())
def test_directional_derivatives_of_a_decoders_loss(case):
    p, (x, codes, masks), options, rng = alone(case)
    # An encoder that gives each image the code that is asked for, so that `walk` can be asked.
    n, c = codes.shape
    shapes = {"encoder.W1": (n, c), "encoder.b1": (c,)}
    shapes |= {f"decoder.{name}": shape for name, shape in p.shapes.items()}
    whole = Parameters(shapes, np.concatenate([codes.ravel(), np.zeros(c), p.flat]))
    kinks, _, _ = walk(whole, np.eye(n), masks, options["activation"])
    if options["activation"] in NON_SMOOTH:
        assume(min(map(abs, kinks), default=1) > MARGIN)
    loss, gradients = decoder_loss_and_grads(p, x, codes, masks, **options)
    assert gradients.shapes == p.shapes
    for v in (gradients.flat, rng.standard_normal(p.flat.size)):
        v = v / max(np.linalg.norm(v), 1e-300)
        measured = directional_derivative(
            lambda q: decoder_loss_and_grads(q, x, codes, masks, **options)[0], p, v
        )
        scale = np.linalg.norm(gradients.flat) + abs(loss)
        assert abs(measured - gradients.flat @ v) <= TOLERANCE * scale


@settings(max_examples=40)
@given(cases())
def test_a_decoder_alone_learns_what_it_learns_behind_an_encoder_that_gives_these_codes(case):
    p, (x, corrupted, masks), options, _ = case
    options = terms_of_decoder(options)
    _, codes, _ = walk(p, x if corrupted is None else corrupted, masks, options["activation"])
    loss, gradients = loss_and_grads(p, x, corrupted, masks, **options)
    half = p.part("decoder.")
    of_half = masks_of_decoder(half, masks)
    own, of_decoder = decoder_loss_and_grads(half, x, np.array(codes), of_half, **options)
    assert own == pytest.approx(loss, rel=1e-12, abs=1e-14)
    expected = gradients.part("decoder.").flat
    np.testing.assert_allclose(of_decoder.flat, expected, rtol=1e-11, atol=1e-13)


def test_the_worked_example_from_the_code_on():
    p, x = worked_example()
    codes = np.array([[1.0], [-1.0]])
    options = {"activation": "relu", "output": "none", "reconstruction": "mse"}
    loss, g = decoder_loss_and_grads(p.part("decoder."), x, codes, **options)
    assert loss == 9 / 8 and list(g) == ["W1", "b1"]
    assert g["W1"].tolist() == [[1, -1 / 2]] and g["b1"].tolist() == [-1, 0]


@settings(max_examples=40)
@given(cases())
def test_what_lay_in_a_decoders_out_never_shows_and_nothing_given_is_changed(case):
    p, (x, codes, masks), options, _ = alone(case)
    inputs = [p.flat, x, codes, *masks]
    copies = [array.copy() for array in inputs]
    J, g = decoder_loss_and_grads(p, x, codes, masks, **options)
    out = p.like(np.full_like(p.flat, np.nan))
    again, same = decoder_loss_and_grads(p, x, codes, masks, **options, out=out)
    assert same is out and g.shapes == p.shapes
    assert again == J and np.array_equal(out.flat, g.flat)
    assert all(np.array_equal(a, b) for a, b in zip(inputs, copies, strict=True))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"activation": "maxout"}, r"unknown activation 'maxout'; choose one of none, relu"),
        ({"output": "softmax"}, r"unknown output 'softmax'; choose one of sigmoid, none"),
        ({"reconstruction": "l1"}, r"unknown reconstruction 'l1'; choose one of mse, bce"),
        ({"output": "none"}, r"reconstruction 'bce' needs output 'sigmoid', got 'none'"),
        ({"x": np.zeros(2)}, r"x needs to be images in rows \(n, d\), got shape \(2,\)"),
        ({"codes": None}, r"autoencoder: a decoder needs codes \(2, c\), got None"),
        ({"codes": np.zeros((3, 1))}, r"a decoder needs codes \(2, c\), got \(3, 1\)"),
        ({"codes": np.zeros(2)}, r"a decoder needs codes \(2, c\), got \(2,\)"),
        ({"codes": np.zeros((2, 4))}, r"W1 is \(1, 2\); it needs a row for each of the 4"),
        ({"masks": (np.ones((2, 2)),)}, r"masks are \[\(2, 2\)\]; .* need \[\]"),
        ({"x": np.zeros((2, 3))}, r"x is \(2, 3\), the decoder gives 2 columns"),
    ],
)
def test_what_a_decoder_alone_refuses(change, words):
    p, x = worked_example()
    arguments = {"x": x, "codes": np.array([[1.0], [-1.0]]), **GOOD, **change}
    with pytest.raises(ValueError, match=words) as refused:
        decoder_loss_and_grads(p.part("decoder."), **arguments)
    assert "\n" not in str(refused.value)


def test_a_decoders_dtypes_are_not_mixed():
    p, x = worked_example()
    good = {"x": x, "codes": np.ones((2, 1))}
    for name, wrong in ((name, array.astype(np.float32)) for name, array in good.items()):
        with pytest.raises(TypeError, match=r"codes is numpy float..; they need to be the same"):
            decoder_loss_and_grads(p.part("decoder."), **good | {name: wrong}, **GOOD)
    p = make([2, 1], [3, 2]).part("decoder.")
    with pytest.raises(TypeError, match=r"masks\[0\] is numpy bool; they need to be the same"):
        decoder_loss_and_grads(p, **good, masks=(np.ones((2, 3), bool),), **GOOD)
    with pytest.raises(TypeError, match=r"W1 is numpy float32; they need to be the same"):
        decoder_loss_and_grads(p.like(p.flat.astype(np.float32)), **good, **GOOD)


@pytest.mark.parametrize(
    "shapes",
    [
        {"decoder.W1": (1, 2), "decoder.b1": (2,)},  # the names that it has behind an encoder
        {"W1": (1, 2)},  # no bias
        {"W2": (1, 2), "b2": (2,)},
        {"W1": (1, 2), "b1": (2,), "log_var": (1,)},
        {},
    ],
)
def test_names_that_are_no_decoder_are_refused(shapes):
    size = sum(math.prod(shape) for shape in shapes.values())
    p = Parameters(shapes, np.zeros(size))
    with pytest.raises(ValueError, match=r"expected the parameters W1, b1, \.\.\., got"):
        decoder_loss_and_grads(p, np.zeros((1, 2)), np.zeros((1, 1)), **GOOD)


# --- refusals ---

GOOD = {"activation": "relu", "output": "sigmoid", "reconstruction": "bce"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"activation": "swish"}, r"unknown activation 'swish'; choose one of none, relu"),
        ({"activation": "maxout"}, r"unknown activation 'maxout'; choose one of none, relu"),
        ({"output": "softmax"}, r"unknown output 'softmax'; choose one of sigmoid, none"),
        ({"reconstruction": "l1"}, r"unknown reconstruction 'l1'; choose one of mse, bce"),
        ({"output": "none"}, r"reconstruction 'bce' needs output 'sigmoid', got 'none'"),
        ({"x": np.zeros(2)}, r"x needs to be images in rows \(n, d\), got shape \(2,\)"),
        ({"x": np.zeros((0, 2))}, r"x needs to be images"),
        ({"x": np.zeros((3, 5))}, r"encoder.W1 is \(2, 2\); it needs a row for each of the 5"),
        ({"corrupted": np.zeros((1, 2))}, r"corrupted is \(1, 2\), x is \(2, 2\)"),
        ({"masks": (np.ones((2, 3)),)}, r"masks are \[\(2, 3\)\]; .* need \[\(2, 2\)\]"),
        ({"masks": (np.ones((2, 2)),) * 2}, r"masks are .* need \[\(2, 2\)\]"),
        ({"out": make([2, 2], [2])}, r"out needs the layout of the parameters, .*encoder.W1"),
        ({"out": make([2, 2, 1], [2], dtype=np.float32)}, r"out needs the layout"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_was_expected(change, words):
    p, x = worked_example()
    arguments = {"x": x, **GOOD, **change}
    with pytest.raises(ValueError, match=words):
        loss_and_grads(p, **arguments)


def test_out_must_not_be_the_parameters():
    p, x = worked_example()
    for out in (p, p.like(p.flat)):
        with pytest.raises(ValueError, match="needs memory of its own"):
            loss_and_grads(p, x, **GOOD, out=out)


@pytest.mark.parametrize("which", ["x", "corrupted", "masks", "parameters"])
def test_dtypes_are_not_mixed(which):
    p, x = worked_example()
    data = {"x": x, "corrupted": x, "masks": (np.ones((2, 2)),)}
    if which == "parameters":
        p = p.like(p.flat.astype(np.float32))
    elif which == "masks":
        data["masks"] = (np.ones((2, 2), bool),)
    else:
        data[which] = x.astype(np.float32)
    with pytest.raises(TypeError, match="they need to be the same"):
        loss_and_grads(p, **data, **GOOD)


@pytest.mark.parametrize(
    "shapes",
    [
        {"encoder.W1": (2, 2), "encoder.b1": (2,)},  # no decoder
        {"decoder.W1": (1, 2), "decoder.b1": (2,)},  # no encoder
        {"encoder.W1": (2, 1), "encoder.b1": (1,), "decoder.W1": (1, 2)},  # no bias
        {"encoder.W1": (2, 1), "encoder.b1": (1,), "decoder.W2": (1, 2), "decoder.b2": (2,)},
        {"W1": (2, 1), "b1": (1,)},
        {},
    ],
)
def test_names_that_are_no_autoencoder_are_refused(shapes):
    size = sum(math.prod(shape) for shape in shapes.values())
    with pytest.raises(ValueError, match=r"expected the parameters encoder\.W1"):
        loss_and_grads(Parameters(shapes, np.zeros(size)), np.zeros((1, 2)), **GOOD)


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("encoder.b2", (2,), r"encoder\.b2 is \(2,\), encoder\.W2 is \(2, 1\)"),
        ("decoder.W1", (3, 2), r"decoder\.W1 is \(3, 2\); it needs a row for each of the 1 col"),
        ("decoder.W1", (1, 3), r"decoder\.b1 is \(2,\), decoder\.W1 is \(1, 3\)"),
    ],
)
def test_sizes_that_do_not_chain_are_refused(name, shape, words):
    p, x = worked_example()
    with pytest.raises(ValueError, match=words):
        loss_and_grads({**p, name: np.zeros(shape)}, x, **GOOD)


def test_a_decoder_that_gives_another_size_is_refused():
    with pytest.raises(ValueError, match=r"x is \(1, 2\), the decoder gives 3 columns"):
        loss_and_grads(make([2, 1], [3]), np.zeros((1, 2)), **GOOD)


@pytest.mark.parametrize("order", [[2, 3, 0, 1], [0, 2, 1, 3], [1, 0, 3, 2]])
def test_parameters_may_lie_in_any_order(order):
    """Both layers are square, so that no shape tells which one comes first."""
    rng = np.random.default_rng(8)
    shapes = [("W1", (3, 3)), ("b1", (3,)), ("W2", (3, 3)), ("b2", (3,))]
    p = Parameters(dict(shapes), rng.standard_normal(24))
    q = Parameters(dict(shapes[i] for i in order), np.zeros(24))
    for name in p:
        q[name][...] = p[name]
    x, z = rng.random((5, 3)), rng.standard_normal((5, 3))
    options = {"activation": "tanh", "output": "sigmoid", "reconstruction": "mse"}
    (J, g), (K, f) = (decoder_loss_and_grads(r, x, z, **options) for r in (p, q))
    assert J == K and f.shapes == q.shapes
    assert all(np.array_equal(f[name], g[name]) for name in p)
