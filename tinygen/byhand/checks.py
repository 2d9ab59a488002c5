"""The checks of each model by hand: one call refuses what does not fit, before any computation.

No check reads a value of an array, so nothing waits for a device. Every message begins with the
model's name, and says what was expected and what it got. Checks raise

    ValueError   an unknown option, or shapes that do not fit
    InputError   (a ValueError, too) a combination that makes no sense, or is not covered by hand
    TypeError    arrays of several dtypes or libraries, or of integers
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from math import inf, prod
from numbers import Integral

from tinygen.backend import Array, namespace, require_floats
from tinygen.byhand.chain import Geometry
from tinygen.byhand.conv import Conv, ConvTranspose
from tinygen.byhand.pieces import ACTIVATIONS, SUMS, Dense
from tinygen.errors import InputError, did_you_mean

LIKELIHOODS = ("bernoulli", "gaussian")
OBJECTIVES = ("elbo", "iwae")
LOSSES = ("non-saturating", "minimax", "least-squares", "wasserstein-gp", "r1")
OUTPUTS = ("sigmoid", "none")
READS = ("last", "all")
DENSE = tuple(name for name in ACTIVATIONS if name != "maxout")
"""Activations that have as many units as sums."""

Names = tuple[tuple[str, ...], ...]
"""For each layer, in order, the names of W and b; with batch norm of W, gamma and beta."""
Shapes = tuple[tuple[int, ...], ...]
Masks = Sequence[Array]


# One for each function.


def autoencoder(
    p: Mapping[str, Array],
    x: Array,
    corrupted: Array | None,
    masks: Masks,
    activation: str,
    output: str,
    reconstruction: str,
    encoder_geometry: Geometry = (),
    decoder_geometry: Geometry = (),
) -> None:
    """The check of `tinygen.byhand.autoencoder.loss_and_grads`."""
    refuse_reconstruction(activation, output, reconstruction)
    E, D = encoder_and_decoder("autoencoder", tuple(p))
    refuse_rows("autoencoder", "x", x, "images in rows (n, d)")
    if corrupted is not None and corrupted.shape != x.shape:
        raise ValueError(
            f"autoencoder: corrupted is {corrupted.shape}, x is {x.shape}; they need the same shape"
        )
    code = refuse_sizes("autoencoder", p, E, x.shape[1], geometry=encoder_geometry)
    pixels = refuse_sizes("autoencoder", p, D, code, geometry=decoder_geometry)
    refuse_other_pixels("autoencoder", x, pixels)
    if len(masks):
        hidden = units(p, E, encoder_geometry)[:-1] + units(p, D, decoder_geometry)[:-1]
        refuse_masks("autoencoder", masks, len(x), hidden)
    refuse_mixtures("autoencoder", x, {"corrupted": corrupted, **named(masks), **p})


def decoder(
    p: Mapping[str, Array],
    x: Array,
    codes: Array,
    masks: Masks,
    activation: str,
    output: str,
    reconstruction: str,
    geometry: Geometry = (),
) -> None:
    """The check of `tinygen.byhand.autoencoder.decoder_loss_and_grads`."""
    refuse_reconstruction(activation, output, reconstruction)
    D = dense_names("autoencoder", tuple(p))
    refuse_rows("autoencoder", "x", x, "images in rows (n, d)")
    if codes is None or codes.ndim != 2 or len(codes) != len(x):
        raise ValueError(
            f"autoencoder: a decoder needs codes ({len(x)}, c), "
            f"got {None if codes is None else codes.shape}"
        )
    pixels = refuse_sizes("autoencoder", p, D, codes.shape[1], geometry=geometry)
    refuse_other_pixels("autoencoder", x, pixels)
    if len(masks):
        refuse_masks("autoencoder", masks, len(x), units(p, D, geometry)[:-1])
    refuse_mixtures("autoencoder", x, {"codes": codes, **named(masks), **p})


def vae(
    p: Mapping[str, Array],
    x: Array,
    noise: Array,
    beta: float,
    activation: str,
    likelihood: str,
    objective: str,
    free_bits: float,
    encoder_geometry: Geometry = (),
    decoder_geometry: Geometry = (),
) -> None:
    """The check of `tinygen.byhand.vae.loss_and_grads`."""
    refuse_unknown("vae", "activation", activation, DENSE)
    refuse_unknown("vae", "likelihood", likelihood, LIKELIHOODS)
    refuse_unknown("vae", "objective", objective, OBJECTIVES)
    for name, value in (("beta", beta), ("free_bits", free_bits)):
        if not 0 <= value < inf:
            raise ValueError(f"vae: {name} needs to be a number that is at least 0, got {value}")
    if free_bits and objective == "iwae":
        raise ValueError(
            f"vae: objective 'iwae' needs free_bits 0, got {free_bits}; it has no KL by itself"
        )
    E, D = encoder_and_decoder(
        "vae", tuple(p), ("decoder.log_var",) if likelihood == "gaussian" else ()
    )
    refuse_rows("vae", "x", x, "images in rows (n, d)")
    columns = refuse_sizes("vae", p, E, x.shape[1], geometry=encoder_geometry)
    c, odd = divmod(columns, 2)
    if odd or not c:
        raise ValueError(
            f"vae: {E[-1][0]} gives {columns} columns; it needs an even number, first those of mu "
            "and then as many of log_var"
        )
    refuse_other_pixels("vae", x, refuse_sizes("vae", p, D, c, geometry=decoder_geometry))
    if noise.ndim != 3 or not len(noise) or noise.shape[1:] != (len(x), c):
        raise ValueError(
            f"vae: noise is {noise.shape}; it needs to be (k, {len(x)}, {c}), k draws of a code "
            "for each image"
        )
    if likelihood == "gaussian" and p["decoder.log_var"].shape != (1,):
        raise ValueError(
            f"vae: decoder.log_var is {p['decoder.log_var'].shape}; it needs to be (1,)"
        )
    refuse_mixtures("vae", x, {"noise": noise, **p})


def classifier(
    p: Mapping[str, Array],
    x: Array,
    labels: Array,
    masks: Masks,
    activation: str,
    linear: bool,
    reads: str,
    geometry: Geometry = (),
) -> None:
    """The check of `tinygen.byhand.classifier.loss_and_grads`."""
    refuse_unknown("classifier", "activation", activation, DENSE)
    refuse_unknown("classifier", "reads", reads, READS)
    names = dense_names("classifier", tuple(p))
    body, last = names[:-1], names[-1:]
    refuse_rows("classifier", "x", x, "images in rows (n, d)")
    if linear and not body:
        raise ValueError("classifier: there is no layer before the softmax that could be linear")
    outputs = widths("classifier", body, shapes(p, body), x.shape[1], geometry=tuple(geometry))
    read = sum(outputs) if reads == "all" and body else [x.shape[1], *outputs][-1]
    expected = len(x), refuse_sizes("classifier", p, last, read)
    if labels.shape != expected:
        raise ValueError(f"classifier: labels are {labels.shape}; they need to be {expected}")
    if len(masks):
        activated = units(p, body, geometry)[: -1 if linear else None]
        refuse_masks("classifier", masks, len(x), activated)
    refuse_mixtures("classifier", x, {"labels": labels, **named(masks), **p})


def discriminator(
    d: Mapping[str, Array],
    real: Array,
    fake: Array,
    labels: Array | None,
    alpha: Array | None,
    masks: tuple[Masks, Masks, Masks],
    loss: str,
    pack: int,
    activation: str,
    norm: str,
    geometry: Geometry = (),
) -> None:
    """The check of `tinygen.byhand.gan.discriminator_loss_and_grads`."""
    refuse_unknown("gan", "loss", loss, LOSSES)
    names = player_names("discriminator", tuple(d), activation, norm)
    refuse_rows("gan", "real", real, "images in rows")
    if fake.shape != real.shape:
        raise ValueError(f"gan: fake is {fake.shape}, real is {real.shape}; they need one shape")
    n = len(real)
    columns = real.shape[1] + classes(labels, n)
    refuse_other_judge(d, names, activation, n, columns, pack, geometry)
    groups = masks[: 3 if loss == "wasserstein-gp" else 2]
    if len(masks) != 3 or len({len(group) for group in groups}) > 1:
        raise ValueError("gan: all groups of rows need dropout masks, or none does")
    others = {"fake": fake, "labels": labels}
    for j, group in enumerate(groups):
        refuse_dropout(d, names, group, n // pack, activation, geometry)
        others |= {f"masks {j}, {k}": mask for k, mask in enumerate(group)}
    if loss == "wasserstein-gp":
        expected, shape = (n // pack, 1), None if alpha is None else alpha.shape
        if shape != expected:
            raise ValueError(f"gan: alpha is {shape}; it needs to be {expected}")
        others["alpha"] = alpha
    refuse_mixtures("gan", real, {**others, **d}, "real")


def generator(
    g: Mapping[str, Array],
    z: Array,
    labels: Array | None,
    output: str,
    activation: str,
    norm: str,
    geometry: Geometry = (),
) -> int:
    """The check of `tinygen.byhand.gan.generate`; returns how many pixels an image has."""
    names = player_names("generator", tuple(g), activation, norm)
    refuse_unknown("gan", "output", output, OUTPUTS)
    refuse_rows("gan", "z", z, "noise in rows")
    if len(names[0]) == 3 and len(z) < 2:
        raise InputError("gan: a batch of one has no variance; batch norm needs two or more")
    width = z.shape[1] + classes(labels, len(z))
    refuse_mixtures("gan", z, {"labels": labels, **g}, "z")
    return refuse_sizes("gan", g, names, width, activation, geometry)


def players(
    g: Mapping[str, Array],
    d: Mapping[str, Array],
    z: Array,
    labels: Array | None,
    masks: Masks,
    loss: str,
    pack: int,
    output: str,
    generator_activation: str,
    generator_norm: str,
    discriminator_activation: str,
    discriminator_norm: str,
    generator_geometry: Geometry = (),
    discriminator_geometry: Geometry = (),
) -> None:
    """The check of `tinygen.byhand.gan.generator_loss_and_grads`."""
    pixels = generator(
        g, z, labels, output, generator_activation, generator_norm, generator_geometry
    )
    names = player_names("discriminator", tuple(d), discriminator_activation, discriminator_norm)
    refuse_unknown("gan", "loss", loss, LOSSES)
    n = len(z)
    columns = pixels + classes(labels, n)
    geometry = discriminator_geometry
    refuse_other_judge(d, names, discriminator_activation, n, columns, pack, geometry)
    refuse_dropout(d, names, masks, n // pack, discriminator_activation, geometry)
    refuse_mixtures("gan", z, {**{f"masks {k}": mask for k, mask in enumerate(masks)}, **d}, "z")


def adversaries(z: Array, codes: Array, d: Mapping[str, Array]) -> None:
    """The check of `tinygen.byhand.aae.discriminator_loss_and_grads`, before the GAN's."""
    if codes.shape != z.shape:
        raise ValueError(f"aae: z is {z.shape}, codes are {codes.shape}; they need one shape")
    refuse_mixtures("aae", z, {"codes": codes}, "z")
    refuse_width("codes", codes, "discriminator", d)


def refuse_width(
    what: str, rows: Array, whose: str, p: Mapping[str, Array], geometry: Geometry = ()
) -> None:
    """A network of an adversarial autoencoder must take as many columns as come in."""
    W = p["W1"].shape if "W1" in p else rows.shape[1:]
    pixels, rows_of_W = size_in(geometry[0] if geometry else Dense())
    if rows.ndim != 2 or not rows.size or W[:1] != (rows.shape[1] / pixels * rows_of_W,):
        raise ValueError(
            f"aae: {what} are {rows.shape}, the {whose}'s W1 is {W}; "
            "it needs a row for each of their columns"
        )


# Options.


def refuse_unknown(model: str, what: str, value: str, known: Collection[str]) -> None:
    """An option must be one of those that exist."""
    if value not in known:
        meant = did_you_mean(value, known)
        raise ValueError(
            f"{model}: unknown {what} {value!r}{meant}; choose one of {', '.join(known)}"
        )


def refuse_reconstruction(activation: str, output: str, reconstruction: str) -> None:
    """Refuse options that an autoencoder cannot have."""
    refuse_unknown("autoencoder", "activation", activation, DENSE)
    refuse_unknown("autoencoder", "output", output, OUTPUTS)
    refuse_unknown("autoencoder", "reconstruction", reconstruction, ("mse", "bce"))
    if reconstruction == "bce" and output != "sigmoid":
        raise ValueError(
            f"autoencoder: reconstruction {reconstruction!r} needs output 'sigmoid', got {output!r}"
        )


def refuse_norm(player: str, norm: str) -> None:
    """By hand there is only one norm, the batch norm of the generator."""
    refuse_unknown("gan", f"{player} norm", norm, ("none", "batch", "layer"))
    if norm == "layer" or (norm == "batch" and player == "discriminator"):
        raise InputError(
            f"gan: gradients by hand do not cover a {norm} norm in the {player}; "
            "take gradients 'autograd'"
        )


# Names.


def pairs(names: tuple[str, ...], side: str = "") -> Names:
    """The names that the layers should have, a W and a b for each W that there is."""
    L = sum(name.startswith(f"{side}W") for name in names)
    return tuple((f"{side}W{k}", f"{side}b{k}") for k in range(1, L + 1))


@cache  # the same in every step
def encoder_and_decoder(
    model: str, names: tuple[str, ...], also: tuple[str, ...] = ()
) -> tuple[Names, Names]:
    """The names of the encoder's layers and the decoder's; `also` belongs to no layer."""
    E, D = pairs(names, "encoder."), pairs(names, "decoder.")
    if not E or not D or {name for layer in E + D for name in layer} | {*also} != {*names}:
        raise ValueError(
            f"{model}: expected the parameters encoder.W1, encoder.b1, ..., "
            f"{', '.join(('decoder.W1', 'decoder.b1', '...', *also))}, "
            f"got {', '.join(names) or 'none'}"
        )
    return E, D


@cache
def dense_names(model: str, names: tuple[str, ...]) -> Names:
    """The names of the layers of a single network."""
    layers = pairs(names)
    if not layers or {name for layer in layers for name in layer} != {*names}:
        raise ValueError(
            f"{model}: expected the parameters W1, b1, ..., got {', '.join(names) or 'none'}"
        )
    return layers


@cache
def player_names(player: str, names: tuple[str, ...], activation: str, norm: str) -> Names:
    """The names of a player's layers, those of batch norm among them."""
    refuse_unknown("gan", f"{player} activation", activation, ACTIVATIONS)
    refuse_norm(player, norm)
    if norm == "batch" and activation == "maxout":
        raise InputError("gan: maxout has no place for a batch norm before its activation")
    layers = pairs(names)
    if norm == "batch" and layers:
        last = 2 * len(layers) - 1
        normed = ((f"W{k}", f"gamma{k + 1}", f"beta{k + 1}") for k in range(1, last, 2))
        layers = (*normed, (f"W{last}", f"b{last}"))
    expected = [name for layer in layers for name in layer]
    if not layers or sorted(expected) != sorted(names):
        raise ValueError(
            f"gan: the {player} needs the parameters {', '.join(expected) or 'W1, b1, ...'}, "
            f"got {', '.join(names) or 'none'}"
        )
    return layers


# Shapes.


def refuse_rows(model: str, name: str, x: Array, what: str) -> None:
    """A batch must have two axes and something in it."""
    if x.ndim != 2 or not x.size:
        raise ValueError(f"{model}: {name} needs to be {what}, got shape {x.shape}")


def refuse_sizes(
    model: str,
    p: Mapping[str, Array],
    names: Names,
    width: int,
    activation: str = "",
    geometry: Geometry = (),
) -> int:
    """Each layer must take as many columns as come in, `width` first; returns the last one's."""
    return widths(model, names, shapes(p, names), width, activation, tuple(geometry))[-1]


def shapes(p: Mapping[str, Array], names: Names) -> Shapes:
    """The shapes of all parameters of these layers, one after another."""
    return tuple([p[name].shape for layer in names for name in layer])  # quicker than a generator


@cache  # the same in every step
def widths(
    model: str,
    names: Names,
    shapes: Shapes,
    width: int,
    activation: str = "",
    geometry: tuple[Dense, ...] = (),
) -> list[int]:
    """How wide the output of each layer is, if the first one's input has that width."""
    if geometry and len(geometry) != len(names):
        raise ValueError(
            f"{model}: expected a geometry of {len(names)} layers, got one of {len(geometry)}"
        )
    outputs, of_all = [], iter(shapes)
    for layer, kind in zip(names, geometry or [Dense()] * len(names), strict=True):
        width = width_of(model, dict(zip(layer, of_all, strict=False)), kind, width)
        outputs.append(width)
        if activation == "maxout" and len(outputs) < len(names):
            width = maxout_units(model, layer[0], kind, width)
    return outputs


def width_of(model: str, shapes: Mapping[str, tuple[int, ...]], kind: Dense, width: int) -> int:
    """How wide the output of a layer is; its W must suit an input of that width."""
    (w, W), *vectors = shapes.items()
    pixels, rows = size_in(kind)
    channels, left = divmod(width, pixels)
    if left:
        raise ValueError(
            f"{model}: {w} belongs to {kind}; the {width} columns that come in are no images "
            "of its size"
        )
    if len(W) != 2 or W[0] != channels * rows:
        raise ValueError(
            f"{model}: {w} is {W}; it needs a row for each of the {channels * rows} columns "
            "that come in"
        )
    pixels, columns = size_out(kind)
    channels, left = divmod(W[1], columns)
    if left:
        raise ValueError(f"{model}: {w} is {W}; its columns are no windows for {kind}")
    for c, b in vectors:
        if b != (channels,):
            raise ValueError(f"{model}: {c} is {b}, {w} is {W}; {c} needs to be ({channels},)")
    return pixels * channels


def size_in(kind: Dense) -> tuple[int, int]:
    """The pixels that go into a layer, and the rows that its W has for each of their channels."""
    if isinstance(kind, ConvTranspose):
        return prod(kind.windows), 1
    return (prod(kind.size), kind.kernel**2) if isinstance(kind, Conv) else (1, 1)


def size_out(kind: Dense) -> tuple[int, int]:
    """The pixels that come out, and the columns that W has for each of their channels."""
    if isinstance(kind, ConvTranspose):
        return prod(kind.size), kind.kernel**2
    return (prod(kind.windows), 1) if isinstance(kind, Conv) else (1, 1)


def maxout_units(model: str, w: str, kind: Dense, width: int) -> int:
    """How many units so many sums make."""
    if kind != Dense():
        raise InputError(f"{model}: maxout needs dense layers, got {kind}")
    units, left = divmod(width, SUMS)
    if left:
        raise ValueError(f"{model}: {w} gives {width} columns; maxout needs {SUMS} for each unit")
    return units


def refuse_other_pixels(model: str, x: Array, width: int) -> None:
    """The decoder must give as many columns as the images have."""
    if width != x.shape[1]:
        raise ValueError(
            f"{model}: x is {x.shape}, the decoder gives {width} columns; "
            "it needs to give as many as x has"
        )


def refuse_masks(
    model: str, masks: Masks, n: int, widths: Sequence[int], whose: str = "the activated layers"
) -> None:
    """One dropout mask (n, width) for each of these layers."""
    shapes, expected = [mask.shape for mask in masks], [(n, width) for width in widths]
    if shapes != expected:
        raise ValueError(f"{model}: the dropout masks are {shapes}; {whose} need {expected}")


def units(p: Mapping[str, Array], names: Names, geometry: Geometry) -> list[int]:
    """How many columns the mask of each of these layers has: units, or channels of images."""
    return [
        p[W].shape[1] // size_out(kind)[1]
        for (W, *_), kind in zip(names, geometry or [Dense()] * len(names), strict=True)
    ]


def refuse_dropout(
    d: Mapping[str, Array],
    names: Names,
    masks: Masks,
    m: int,
    activation: str,
    geometry: Geometry,
) -> None:
    """The dropout masks of a discriminator; maxout has one for its units, not for their sums."""
    if len(masks):
        sums = SUMS if activation == "maxout" else 1
        hidden = [columns // sums for columns in units(d, names, geometry)[:-1]]
        refuse_masks("gan", masks, m, hidden, "the discriminator's hidden layers")


def refuse_other_judge(
    d: Mapping[str, Array],
    names: Names,
    activation: str,
    n: int,
    columns: int,
    pack: int,
    geometry: Geometry,
) -> None:
    """A discriminator must take `columns` for each image, and `pack` must divide the n images."""
    if not isinstance(pack, Integral) or pack < 1 or n % pack:
        raise InputError(f"gan: pack is {pack}; it needs to divide the {n} images of a batch")
    given = refuse_sizes("gan", d, names, pack * columns, activation, geometry)
    if given != 1:
        raise ValueError(f"gan: the discriminator gives {given} columns; it needs to give 1")


def classes(labels: Array | None, n: int) -> int:
    """The number of classes; the labels must have a row for each image."""
    if labels is None:
        return 0
    if labels.ndim != 2 or len(labels) != n:
        raise ValueError(f"gan: labels is {labels.shape}; it needs a row for each of {n} images")
    return labels.shape[1]


# Dtypes and libraries.


def named(masks: Masks) -> dict[str, Array]:
    """Masks by the names that messages give them."""
    return {f"masks[{i}]": mask for i, mask in enumerate(masks)}


def refuse_mixtures(
    model: str, x: Array, others: Mapping[str, Array | None], called: str = "x"
) -> None:
    """All arrays must be floats of the dtype and library of `x`, which messages call `called`."""
    require_floats(x, where=model)
    xp, dtype = namespace(x), x.dtype
    for name, array in others.items():
        if hasattr(array, "requires_grad"):
            raise TypeError(
                f"{model}: expected arrays for gradients by hand, got a Tensor as {name}; "
                "model.loss takes Tensors"
            )
        if array is not None and (array.dtype != dtype or namespace(array) is not xp):
            raise TypeError(
                f"{model}: {called} is {xp.__name__} {dtype}, {name} is "
                f"{namespace(array).__name__} {array.dtype}; they need to be the same"
            )
