"""A model out of its checkpoint: what was trained comes back, nothing of the file is believed."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forged_checkpoints import forged, npy
from hypothesis import given
from hypothesis import strategies as st
from running import TINY, run_here, write_tiny_data
from strict import STRICT, StrictArray, count_syncs

import tinygen as tg
from tinygen import optim
from tinygen.data import idx
from tinygen.errors import InputError
from tinygen.models import (
    GAN,
    VAE,
    AdversarialAutoencoder,
    Autoencoder,
    Classifier,
    Decoder,
    Encoder,
)
from tinygen.models.serialization import KINDS, describe, from_description
from tinygen.training import (
    PseudoLabelLearner,
    RunDir,
    SingleLossLearner,
    State,
    checkpoint,
    loading,
)

NUMPY = tg.get_backend("numpy")
MODELS: dict[str, Any] = {
    "autoencoder": Autoencoder(9, (5, 4), 3, "tanh", "none", weight_decay=0.1, dropout=0.2),
    "vae": VAE(9, (5,), 3, binarize=True, beta=2.0, samples=2),
    "gaussian vae": VAE(9, (5,), 3, "tanh", "gaussian", kl_warm_up=7),
    "gan": GAN(9, 3, (5,), (6, 5), loss="wasserstein-gp", penalty=3.0, classes=2, pack=2),
    "usual gan": GAN(9, 3, (5,), (5,), generator_norm="layer", smoothing=0.1),
    "adversarial": AdversarialAutoencoder(9, (5,), 3, discriminator_hidden=(4,)),
    "classifier": Classifier(9, (5, 4), 6, "elu", 0.0, latent=2, reads="all", input_noise=0.5),
    "softmax": Classifier(9, (), 6),
    "encoder": Encoder(9, (5,), 3, heads=2),
    "decoder": Decoder(3, (5,), 9, reconstruction="bce"),
}
EVERY = pytest.mark.parametrize("name", MODELS)
WITH_BOTH = ["autoencoder", "vae", "gaussian vae", "adversarial"]
DATA = {"name": "tiny", "source": "drawn", "sha256": {"train": "0" * 64}, "train": 40, "test": 7,
        "shape": [3, 3], "preprocessing": "uint8 / 255"}  # fmt: skip
IMAGES = np.random.default_rng(0).integers(0, 256, (7, 3, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for the disk, as in test_trainer.py."""
    monkeypatch.setattr("os.fsync", lambda file: None)


def saved(
    folder: Path, name: str, dtype: str = "float32", place: Any = NUMPY, **about: Any
) -> tg.Parameters:
    """A checkpoint as `Trainer` writes it; returns its parameters, on the host."""
    model = MODELS[name]
    p = model.initialise(3, dtype, place)
    learner = SingleLossLearner(model, p, partial(optim.SGD, momentum=0.9), gradients=None)
    run_dir = RunDir(folder)
    run_dir.open()
    about = {"model": describe(model), "data": DATA} | about
    config = {"dtype": dtype, "lr": 0.1}
    State().save(run_dir.checkpoint, learner, place, config, about)
    return p.to(NUMPY)


# What was saved comes back.


def test_every_kind_is_tried_here() -> None:
    assert {type(model).__name__ for model in MODELS.values()} == set(KINDS)
    assert all(name == kind.__name__ for name, kind in KINDS.items())


@EVERY
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_kind_of_model_comes_back(tmp_path: Path, name: str, dtype: str) -> None:
    p = saved(tmp_path, name, dtype)
    for path in (tmp_path, str(tmp_path), tmp_path / "checkpoint.npz"):
        trained = tg.load(path)
        assert trained.model == MODELS[name] and type(trained.model) is type(MODELS[name])
        assert trained.parameters.shapes == p.shapes == trained.model.shapes
        assert trained.parameters.flat.dtype == dtype
        np.testing.assert_array_equal(trained.parameters.flat, p.flat)
        assert trained.config == {"dtype": dtype, "lr": 0.1} and trained.data == DATA
        assert trained.path == tmp_path / "checkpoint.npz" and trained.backend is NUMPY
    little = p.flat.astype("<f4" if dtype == "float32" else "<f8")
    assert trained.sha256 == hashlib.sha256(little.tobytes()).hexdigest()


@EVERY
def test_a_description_goes_through_json(name: str) -> None:
    text = json.dumps(describe(MODELS[name]))
    model = from_description(json.loads(text))
    assert model == MODELS[name]
    assert [type(x) for x in vars_of(model)] == [type(x) for x in vars_of(MODELS[name])]


def vars_of(model: Any) -> list[Any]:
    """The options of a model."""
    return [*asdict(model).values()]


@given(
    st.lists(st.integers(1, 9), max_size=3),
    st.sampled_from(sorted(Autoencoder.__dataclass_fields__)),
    st.floats(0, 9),
)
def test_whatever_the_options_they_come_back(hidden: list[int], name: str, x: float) -> None:
    model = Autoencoder(9, tuple(hidden), 2)
    if isinstance(getattr(model, name), float) and name != "dropout":
        model = replace(model, **{name: x})
    assert from_description(json.loads(json.dumps(describe(model)))) == model


def test_what_is_no_single_model_has_no_description() -> None:
    class Comparison:
        pass

    assert describe(Comparison()) is None and describe(None) is None
    frozen = tg.models.Frozen(MODELS["softmax"], lambda x: x, 0, 1)
    assert describe(frozen) is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_of_a_gan_the_average_stands_in_the_generators_place(tmp_path: Path, dtype: str) -> None:
    model = MODELS["gan"]
    p = model.initialise(0, dtype)
    average = np.linspace(-1, 1, p.part("generator.").flat.size).astype(dtype)
    arrays = {"parameters": p.flat, "average": average}
    about = {"dtype": dtype, "model": describe(model), "data": DATA}
    path = tmp_path / "checkpoint.npz"
    for averaged, expected in (("generator.", average), (None, p.part("generator.").flat)):
        checkpoint.save(path, arrays, {**about, "averaged": averaged})
        trained = tg.load(path)
        np.testing.assert_array_equal(trained.parameters.part("generator.").flat, expected)
        np.testing.assert_array_equal(
            trained.parameters.part("discriminator.").flat, p.part("discriminator.").flat
        )


def test_an_average_of_all_parameters_stands_in_the_place_of_all(tmp_path: Path) -> None:
    model = MODELS["classifier"]
    p = model.initialise(0)
    learner = PseudoLabelLearner(
        model, p, optim.SGD, model.gradients("autograd"), np.zeros((1, 3, 3)), np.zeros((1, 10)),
        batch_size=1, ramp_up=1, decay=0.9,
    )  # fmt: skip
    learner.average.flat[...] = np.linspace(-1, 1, p.flat.size)
    about = {"model": describe(model), "data": DATA}
    path = RunDir(tmp_path).checkpoint
    State().save(path, learner, NUMPY, {"dtype": "float32"}, about)
    flat = tg.load(tmp_path).parameters.flat
    np.testing.assert_array_equal(flat, np.linspace(-1, 1, p.flat.size).astype(np.float32))


# The encoder and the decoder.


@pytest.mark.parametrize("name", WITH_BOTH)
def test_encoder_and_decoder_are_models_of_their_own(tmp_path: Path, name: str) -> None:
    p, model = saved(tmp_path, name), MODELS[name]
    trained = tg.load(tmp_path)
    x = trained.prepare(IMAGES)
    encoder, decoder = trained.encoder, trained.decoder
    assert type(encoder.model) is Encoder and encoder.model == model.encoder
    assert type(decoder.model) is Decoder and decoder.model == model.decoder
    codes = encoder(x)
    assert codes.shape == (7, 3) and codes.dtype == np.float32
    np.testing.assert_array_equal(codes, model.encoder(p.part("encoder."), x))
    if name != "adversarial":
        coded = model.encode(p, x)
        np.testing.assert_array_equal(codes, coded if name == "autoencoder" else coded[0])
        np.testing.assert_array_equal(decoder(codes), model.decode(p, codes))
    assert decoder(codes).shape == (7, 9)
    # Their parameters are those of the whole, without a variance that may stand beside them.
    for part, prefix in ((encoder, "encoder."), (decoder, "decoder.")):
        assert part.parameters.shapes == part.model.shapes
        assert np.shares_memory(part.parameters.flat, trained.parameters.flat)
        for key, value in part.parameters.items():
            np.testing.assert_array_equal(value, p[prefix + key])
        assert part.data == trained.data and part.path == trained.path
        assert part.sha256 != trained.sha256
    np.testing.assert_array_equal(encoder.prepare(IMAGES), x)


def test_a_gaussian_vae_brings_its_variance_along(tmp_path: Path) -> None:
    p = MODELS["gaussian vae"].initialise(3)
    assert p["decoder.log_var"].shape == (1,)
    saved(tmp_path, "gaussian vae")
    trained = tg.load(tmp_path)
    np.testing.assert_array_equal(trained.parameters["decoder.log_var"], p["decoder.log_var"])
    assert "log_var" not in trained.decoder.parameters


@pytest.mark.parametrize("name", ["gan", "classifier", "encoder", "decoder"])
def test_a_model_without_an_encoder_or_a_decoder_says_so(tmp_path: Path, name: str) -> None:
    saved(tmp_path, name)
    trained = tg.load(tmp_path)
    for part in ("encoder", "decoder"):
        kind = type(MODELS[name]).__name__
        with pytest.raises(InputError, match=rf"checkpoint\.npz: {kind} has no {part}$"):
            getattr(trained, part)


def test_an_encoder_by_itself_is_called_as_it_is(tmp_path: Path) -> None:
    p = saved(tmp_path, "encoder")
    trained = tg.load(tmp_path)
    x = trained.prepare(IMAGES)
    np.testing.assert_array_equal(trained(x), MODELS["encoder"](p, x))


# From the host to the host.


@pytest.mark.parametrize("name", WITH_BOTH)
def test_host_images_are_encoded_and_decoded_on_any_backend(
    backend: Any, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path, name)
    trained, host = tg.load(tmp_path, backend), tg.load(tmp_path)
    codes = host.encoder(host.prepare(IMAGES))
    images = host.decoder(codes)
    monkeypatch.setattr(loading, "ROWS", 3)  # of 7, so that the last piece is smaller
    for whole in (trained, trained.encoder):
        found = whole.encode(IMAGES)
        assert type(found) is np.ndarray and found.dtype == np.float32
        np.testing.assert_allclose(found, codes, rtol=1e-5, atol=1e-6)
    for whole in (trained, trained.decoder):  # float64 codes, as a density draws them
        found = whole.decode(codes.astype(np.float64))
        assert type(found) is np.ndarray and found.dtype == np.float32
        np.testing.assert_allclose(found, images.reshape(7, 3, 3), rtol=1e-5, atol=1e-6)


def test_a_model_without_the_part_cannot_encode_or_decode(tmp_path: Path) -> None:
    saved(tmp_path, "classifier")
    trained = tg.load(tmp_path)
    with pytest.raises(InputError, match="Classifier has no encode"):
        trained.encode(IMAGES)
    with pytest.raises(InputError, match="Classifier has no decode"):
        trained.decode(np.zeros((1, 3)))


# Images as the model has seen them.


@pytest.mark.parametrize("trained_on", [[3, 3], [3, 3, 1]])
def test_grey_images_have_an_axis_of_channels_or_none(tmp_path: Path, trained_on: Any) -> None:
    saved(tmp_path, "vae", data=DATA | {"shape": trained_on})
    trained = tg.load(tmp_path)
    x = trained.prepare(IMAGES)
    np.testing.assert_array_equal(trained.prepare(IMAGES[..., None]), x)
    np.testing.assert_array_equal(trained.encode(IMAGES[..., None]), trained.encode(IMAGES))
    size = " x ".join(map(str, trained_on))
    for shape, got in {
        (2, 3, 3, 3): "3 x 3 x 3",
        (2, 3, 4, 1): "3 x 4 x 1",
        (2, 8): "8",
        (3, 3, 1): r"3 x 1; images\[None\] is a batch of one",
    }.items():
        with pytest.raises(InputError, match=f"of images of {size} pixels, got {got}$"):
            trained.prepare(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_images_are_prepared_as_in_the_training(tmp_path: Path, dtype: str) -> None:
    saved(tmp_path, "autoencoder", dtype)
    x = tg.load(tmp_path).prepare(IMAGES)
    assert x.dtype == dtype and x.shape == (7, 9)
    np.testing.assert_array_equal(x, (IMAGES.reshape(7, 9) / np.array(255, dtype)).astype(dtype))


@pytest.mark.parametrize(
    ("shape", "got"),
    [
        ((7, 4, 4), "4 x 4"),
        ((7, 8), "8"),
        ((7, 1, 9), "1 x 9"),
        ((7,), "no"),
        ((7, 3, 3, 3), "3 x"),
    ],
)
def test_images_of_another_size_are_refused(tmp_path: Path, shape: Any, got: str) -> None:
    saved(tmp_path, "vae")
    trained = tg.load(tmp_path)
    sentence = rf"checkpoint\.npz: the model is of images of 3 x 3 pixels, got {got}"
    for who in (trained, trained.encoder):
        with pytest.raises(InputError, match=sentence) as refused:
            who.prepare(np.zeros(shape, np.uint8))
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "data",
    [
        None,
        3,
        "x",
        [],
        {},
        {"shape": 5},
        {"shape": None},
        {"shape": {"3": 3}},
        {"shape": "33"},
        {"shape": ["3", "3"]},
    ],
)
def test_a_checkpoint_that_does_not_say_what_size_takes_no_images(
    tmp_path: Path, data: Any
) -> None:
    saved(tmp_path, "autoencoder", data=data)
    with pytest.raises(InputError, match=r"the model is of images of .* pixels, got 3 x 3"):
        tg.load(tmp_path).prepare(IMAGES)


@pytest.mark.parametrize("name", ["autoencoder", "vae", "classifier", "encoder"])
def test_bytes_and_integers_are_refused_and_prepare_is_named(
    backend: Any, tmp_path: Path, name: str
) -> None:
    """Fed to a model as they are, bytes of 0 to 255 would be pixels 255 times too bright."""
    saved(tmp_path, name, place=backend)
    trained = tg.load(tmp_path, backend)
    who = trained.encoder if name in WITH_BOTH else trained
    for wrong in (IMAGES.reshape(7, 9), IMAGES.reshape(7, 9).astype(np.int64)):
        with pytest.raises(InputError, match=r"floats, got u?int\d+; trained\.prepare\(images\)"):
            who(backend.asarray(wrong))
    with pytest.raises(InputError, match="got list"):
        who([[0.5] * 9])


def test_a_float_for_an_array_of_the_graph(tmp_path: Path) -> None:
    """What is differentiated with respect to the image is a Tensor, and goes through."""
    saved(tmp_path, "autoencoder")
    trained = tg.load(tmp_path)
    x = tg.Tensor(trained.prepare(IMAGES), requires_grad=True)
    (trained.encoder(x) * 1.0).sum().backward()
    assert x.grad.shape == (7, 9)


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (IMAGES * 1.0, r"expected values in \[0, 1\], got 4 to 248; divide by 255"),
        (IMAGES.astype(np.int64), r"images of uint8 or of floats in \[0, 1\], got int64"),
        (IMAGES[0], r"of 3 x 3 pixels, got 3; images\[None\] is a batch of one"),
        (IMAGES[0].tolist(), r"images\[None\]"),
    ],
)
def test_what_is_no_batch_of_bytes_is_told_what_to_be(
    tmp_path: Path, images: Any, sentence: str
) -> None:
    saved(tmp_path, "autoencoder")
    for call in (tg.load(tmp_path).prepare, tg.load(tmp_path).encoder.prepare):
        with pytest.raises(InputError, match=sentence):
            call(images)


def test_floats_and_rows_are_prepared_as_bytes_are(tmp_path: Path) -> None:
    saved(tmp_path, "autoencoder")
    trained = tg.load(tmp_path)
    x, floats = trained.prepare(IMAGES), IMAGES / np.float32(255)
    for images in (IMAGES.reshape(7, 9), floats, floats.reshape(7, 9), floats[..., None]):
        np.testing.assert_array_equal(trained.prepare(images), x)


def test_lists_are_host_arrays_too(tmp_path: Path) -> None:
    saved(tmp_path, "autoencoder")
    trained = tg.load(tmp_path)
    rows = [[0.5, -1.0, 2.0]]
    np.testing.assert_array_equal(trained.decode(rows), trained.decode(np.array(rows)))


def test_rows_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    saved(tmp_path, "autoencoder", data=DATA | {"shape": [9], "preprocessing": "none"})
    trained = tg.load(tmp_path)
    x = np.random.default_rng(0).standard_normal((4, 9)).astype(np.float32)
    np.testing.assert_array_equal(trained.prepare(x), x)
    x[2, 1] = np.nan
    with pytest.raises(InputError, match=r"1 of 36 values .* row 2, column 1"):
        trained.prepare(x)


@pytest.mark.parametrize("trained_on", [0.0, 1.0])
def test_ink_on_paper_for_a_model_of_the_opposite_is_warned_of(
    tmp_path: Path, trained_on: float
) -> None:
    saved(tmp_path, "autoencoder", data=DATA | {"background": trained_on})
    trained = tg.load(tmp_path)
    same = np.full((5, 3, 3), 255 * int(trained_on), np.uint8)
    trained.prepare(same)  # warnings are errors here
    with pytest.warns(UserWarning, match=r"255 - images inverts them") as warned:
        trained.prepare(255 - same)
    assert warned[0].filename == __file__ and len(warned) == 1
    with pytest.warns(UserWarning, match=r"background of \d.00, those"):
        trained.encode(255 - same)


def test_a_run_records_its_background(tmp_path: Path) -> None:
    from tinygen.training.run_dir import about

    data = write_tiny_data(tmp_path / "data")
    assert run_here(*TINY, "--data-dir", data, "--out", tmp_path / "run", "--quiet") == 0
    images = idx.read(data / "train-images-idx3-ubyte")
    inner = images[:, 1:-1, 1:-1].astype(float).sum()
    expected = (images.astype(float).sum() - inner) / (255 * 250 * (25 - 9))
    assert tg.load(tmp_path / "run").data["background"] == pytest.approx(expected, abs=5e-4)
    assert tg.load(tmp_path / "run").data["range"] is None
    points = tg.data.mixture_points("ring", 3, 3)
    assert about(points)["background"] is None
    x = [float(row[k]) for row in points.train_images for k in (0, 1)]
    assert about(points)["range"] == [min(x), max(x)]


def test_a_home_folder_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    saved(tmp_path / "run", "autoencoder")
    assert tg.load("~/run").path == tmp_path / "run" / "checkpoint.npz"


# Elsewhere.


@EVERY
def test_on_another_backend(backend: Any, tmp_path: Path, name: str) -> None:
    p = saved(tmp_path, name, place=backend)
    trained = tg.load(tmp_path, backend)
    assert type(trained.parameters.flat) is type(backend.asarray(p.flat))
    np.testing.assert_array_equal(backend.to_numpy(trained.parameters.flat), p.flat)
    assert trained.sha256 == tg.load(tmp_path).sha256
    if name in WITH_BOTH:
        x = trained.prepare(IMAGES)
        with count_syncs() as syncs:
            y = trained.decoder(trained.encoder(x))
        assert not syncs and type(y) is type(x)
        host = tg.load(tmp_path)
        expected = host.decoder(host.encoder(host.prepare(IMAGES)))
        # The same float32 arithmetic in another library.
        np.testing.assert_allclose(backend.to_numpy(y), expected, rtol=1e-5, atol=1e-6)


def test_where_it_lies_is_as_one_says(tmp_path: Path) -> None:
    saved(tmp_path, "vae")
    assert type(tg.load(tmp_path, STRICT).parameters.flat) is StrictArray
    assert tg.load(tmp_path, "numpy").backend is NUMPY
    with pytest.raises(InputError, match="unknown backend"):
        tg.load(tmp_path, "abacus")


@pytest.mark.parametrize(
    ("example", "dtype", "more"),
    [("mnist_autoencoder", "float64", ()), ("mnist_vae", "float32", ("--nll-samples", "0"))],
)
def test_a_run_of_an_example_comes_back(
    tmp_path: Path, example: str, dtype: str, more: tuple[str, ...]
) -> None:
    folder = write_tiny_data(tmp_path / "data")
    flags = (*TINY, "--epochs", "1", "--data-dir", folder, "--dtype", dtype, "--quiet", *more)
    assert run_here(*flags, "--out", tmp_path / "run", name=example) == 0
    trained = tg.load(tmp_path / "run")
    images = idx.read(folder / "t10k-images-idx3-ubyte")
    x = trained.prepare(images)
    assert x.dtype == dtype and trained.config["dtype"] == dtype and trained.config["latent"] == 2
    y = trained.decoder(trained.encoder(x))
    np.testing.assert_array_equal(y, trained.model.reconstruct(trained.parameters, x))
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert trained.data == summary["data"] and trained.config == summary["config"]
    if example == "mnist_autoencoder":
        error = ((y - x) ** 2).mean()
        assert error == pytest.approx(summary["test"]["mse"], rel=1e-9)


# What is refused.


def refused(path: Path) -> str:
    """The sentence with which it is refused, having spent next to no memory."""
    tracemalloc.start()
    with pytest.raises(InputError) as caught:
        tg.load(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    file = path / "checkpoint.npz" if path.is_dir() else path
    most = (4 << 20) + 9 * (file.stat().st_size if file.exists() else 0)
    assert peak < most, f"{peak} bytes were spent on a file that was refused"
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}") and "\n" not in sentence and len(sentence) < 600
    return sentence


def test_a_checkpoint_of_an_older_version_says_no_model(tmp_path: Path) -> None:
    model = MODELS["autoencoder"]
    p = model.initialise(0)
    learner = SingleLossLearner(model, p, optim.SGD, gradients=None)
    State().save(RunDir(tmp_path).checkpoint, learner, NUMPY, {"dtype": "float32"})
    assert "checkpoint.npz: it does not say which model it holds" in refused(tmp_path)
    # As does one of several models, or of none that can be given back.
    saved(tmp_path, "autoencoder", model=describe(object()))
    assert "it does not say which model it holds" in refused(tmp_path)


HOSTILE: list[Any] = [
    3, "x", [], {}, {"kind": "VAE"}, {"options": {}}, {"kind": None, "options": {}},
    {"kind": ["VAE"], "options": {}}, {"kind": {}, "options": {}}, {"kind": "VAE", "options": []},
    {"kind": "VAE", "options": None}, {"kind": "Model", "options": {}},
    {"kind": "object", "options": {}}, {"kind": "__class__", "options": {}},
    {"kind": "vae", "options": {}}, {"kind": "x" * 10**5, "options": {}},
    {"kind": "a\nb", "options": {}},
]  # fmt: skip
WRONG: list[Any] = [
    ("pixels", "9"), ("pixels", None), ("pixels", 9.0), ("pixels", True), ("pixels", 0),
    ("pixels", -1), ("pixels", [9]), ("pixels", {}), ("pixels", 10**400), ("pixels", 2**63),
    ("hidden", 5), ("hidden", "5"), ("hidden", None), ("hidden", [0]), ("hidden", [5.0]),
    ("hidden", [True]), ("hidden", ["5"]), ("hidden", [[5]]), ("hidden", [None]),
    ("hidden", {"5": 5}), ("hidden", [-5]), ("hidden", [10**400]), ("hidden", [1] * 10**5),
    ("activation", "swish"), ("activation", 3), ("activation", None), ("activation", ["tanh"]),
    ("activation", "x" * 10**5), ("activation", "a\nb"),
    ("weight_decay", -1.0), ("weight_decay", float("nan")), ("weight_decay", float("inf")),
    ("weight_decay", "0"), ("weight_decay", None), ("weight_decay", True), ("weight_decay", [0.0]),
    ("weight_decay", 10**400), ("weight_decay", -(10**400)),
    ("dropout", 1.0), ("dropout", -0.1), ("dropout", float("nan")), ("dropout", 10**400),
    ("output", "softmax"), ("reconstruction", "l1"), ("weights", "magic"), ("biases", 0),
    ("net", 1), ("__class__", "VAE"), ("shapes", {}), ("a\nb", 1), ("x" * 10**5, 1), ("", 1),
]  # fmt: skip


@pytest.mark.parametrize("description", HOSTILE, ids=lambda x: str(x)[:40])
def test_a_description_that_is_none_is_refused(tmp_path: Path, description: Any) -> None:
    saved(tmp_path, "autoencoder", model=description)
    sentence = refused(tmp_path)
    assert "it does not say which model it holds" in sentence or "unknown kind of model" in sentence


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda x: str(x)[:30] if x else "nothing")
def test_an_option_that_makes_no_sense_is_refused(tmp_path: Path, name: str, value: Any) -> None:
    description = describe(MODELS["autoencoder"])
    assert description
    description["options"][name] = value
    saved(tmp_path, "autoencoder", model=description)
    refused(tmp_path)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("VAE", {"likelihood": "laplace"}), ("VAE", {"samples": 0}), ("VAE", {"binarize": 1}),
        ("VAE", {"kl_warm_up": -1}), ("VAE", {"heads": 3}), ("VAE", {"beta": 10**400}),
        ("VAE", {"objective": "iwae", "free_bits": 1.0}),
        ("GAN", {"loss": "hinge"}), ("GAN", {"pack": 0}), ("GAN", {"penalty": "1"}),
        ("GAN", {"penalty": float("nan"), "loss": "r1"}), ("GAN", {"penalty": 1.0}),
        ("GAN", {"loss": "r1", "penalty": 10**400}), ("GAN", {"smoothing": 1}),
        ("GAN", {"generator_hidden": [0]}), ("GAN", {"classes": -1}),
        ("AdversarialAutoencoder", {"discriminator_hidden": [-1]}),
        ("Classifier", {"reads": "first"}), ("Classifier", {"latent": -1}),
        ("Classifier", {"classes": 0}), ("Classifier", {"input_noise": -1}),
        ("Encoder", {"heads": 0}), ("Encoder", {"latent": 0}), ("Decoder", {"output": "tanh"}),
        ("Decoder", {"reconstruction": "bce", "output": "none"}),
    ],
)  # fmt: skip
def test_what_a_model_refuses_a_checkpoint_cannot_ask_for(
    tmp_path: Path, kind: str, options: Any
) -> None:
    saved(tmp_path, "autoencoder", model={"kind": kind, "options": options})
    refused(tmp_path)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("Autoencoder", {"pixels": 10**9}),
        ("Autoencoder", {"hidden": [10**9, 10**9]}),
        ("VAE", {"latent": 2**53}),
        ("GAN", {"generator_hidden": [10**8] * 20, "generator_norm": "none"}),
        ("Classifier", {"classes": 10**12}),
        ("Classifier", {"hidden": [2**40] * 900}),
        ("AdversarialAutoencoder", {"discriminator_hidden": [10**9]}),
        ("Encoder", {"heads": 10**9, "latent": 10**9}),
        ("Decoder", {"pixels": 10**15}),
    ],
)
def test_a_huge_model_is_refused_before_any_memory_is_asked_for(
    tmp_path: Path, kind: str, options: Any
) -> None:
    saved(tmp_path, "autoencoder", model={"kind": kind, "options": options})
    assert "parameters does not fit into it" in refused(tmp_path)


def test_thousands_of_layers_are_refused_before_they_are_built(tmp_path: Path) -> None:
    """They would all fit, of one unit each; a layer takes a kilobyte, and 7 bytes to ask for."""
    for kind, name in (("Autoencoder", "hidden"), ("GAN", "discriminator_hidden")):
        saved(tmp_path, "autoencoder", model={"kind": kind, "options": {name: [1] * 2000}})
        assert f"option {name!r} cannot be" in refused(tmp_path)


@pytest.mark.parametrize("options", [{"pixels": 8}, {"latent": 2}, {"hidden": [5]}])
def test_a_description_of_another_architecture_is_refused(tmp_path: Path, options: Any) -> None:
    description = describe(MODELS["autoencoder"])
    assert description
    description["options"] |= options
    saved(tmp_path, "autoencoder", model=description)
    assert "of another architecture: its parameters has shape" in refused(tmp_path)


@pytest.mark.parametrize("dtype", [None, "float16", "int8", "O", ["float32"], {}, 3, "x" * 10**5])
def test_a_dtype_that_is_none_is_taken_for_the_usual_one(tmp_path: Path, dtype: Any) -> None:
    """So float32 still comes back, and nothing else is read as if it were."""
    p = saved(tmp_path, "vae")
    path = tmp_path / "checkpoint.npz"
    meta = checkpoint.read_meta(path)
    meta["config"] = {"dtype": dtype}
    checkpoint.save(path, {"parameters": p.flat}, meta)
    np.testing.assert_array_equal(tg.load(path).parameters.flat, p.flat)
    checkpoint.save(path, {"parameters": p.flat.astype(np.float64)}, meta)
    assert "its parameters is float64, expected float32" in refused(path)


@pytest.mark.parametrize("config", [None, 3, [], "x"])
def test_a_configuration_that_is_none_is_empty(tmp_path: Path, config: Any) -> None:
    p = saved(tmp_path, "vae")
    meta = checkpoint.read_meta(tmp_path / "checkpoint.npz")
    checkpoint.save(tmp_path / "checkpoint.npz", {"parameters": p.flat}, {**meta, "config": config})
    trained = tg.load(tmp_path)
    assert trained.config == {} and trained.parameters.flat.tobytes() == p.flat.tobytes()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("where", ["parameters", "average"])
def test_nan_is_refused(tmp_path: Path, bad: float, where: str) -> None:
    model = MODELS["gan"]
    p = model.initialise(0)
    arrays = {"parameters": p.flat, "average": p.part("generator.").flat.copy()}
    arrays[where][3] = bad
    about = {"config": {}, "model": describe(model), "averaged": "generator."}
    checkpoint.save(tmp_path / "checkpoint.npz", arrays, about)
    assert "it holds NaN or infinity" in refused(tmp_path)


@pytest.mark.parametrize(
    "averaged", [3, [], {}, None, True, "critic.", "x", "g", "discriminator.W", "generator.W1"]
)
def test_an_average_of_nothing_there_is_is_none(tmp_path: Path, averaged: Any) -> None:
    p = saved(tmp_path, "gan", averaged=averaged)
    np.testing.assert_array_equal(tg.load(tmp_path).parameters.flat, p.flat)


@pytest.mark.parametrize("averaged", ["", "generator.", "discriminator."])
def test_an_average_that_is_missing_is_refused(tmp_path: Path, averaged: str) -> None:
    saved(tmp_path, "usual gan", averaged=averaged)
    assert "it holds no average.npy" in refused(tmp_path)


def test_nothing_there_and_damage(tmp_path: Path) -> None:
    assert "there is no checkpoint" in refused(tmp_path)  # an empty folder
    assert "there is no checkpoint" in refused(tmp_path / "nothing")
    saved(tmp_path / "run", "vae")
    path = tmp_path / "run" / "checkpoint.npz"
    whole = path.read_bytes()
    for content in (b"", whole[:-1], whole[: len(whole) // 2], b"x" * 1000):
        path.write_bytes(content)
        assert "no complete tinygen checkpoint" in refused(path)
    meta = {"format": checkpoint.FORMAT, "model": describe(MODELS["vae"])}
    forged(path, {"meta.json": json.dumps(meta)})
    assert "does not fit into it" in refused(path)
    forged(path, {"meta.json": json.dumps(meta), "other.npy": npy(np.zeros(10**4))})
    assert "it holds no parameters.npy" in refused(path)


def test_a_class_of_the_same_name_is_another_model():
    class VAE:
        pass

    assert describe(VAE()) is None
