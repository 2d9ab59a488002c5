"""`tinygen` on the command line: which command is meant, and a call of it.

tinygen train vae --latent 2
python -m tinygen train vae --latent 2
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

import tinygen
from tinygen.errors import InputError, refuse_unknown


class Command(NamedTuple):
    """The module whose `main` it is, imported when it is called, and what it does."""

    module: str
    about: str


COMMANDS = {
    "train autoencoder": Command("commands.autoencoder", "an autoencoder of images"),
    "train vae": Command("commands.vae", "a variational autoencoder of images"),
    "train gan": Command("commands.gan", "a GAN of images"),
    "train ring": Command("commands.ring", "a GAN of points in the plane, in a minute or two"),
    "train judge": Command("commands.judge", "the classifier that scores a GAN's images"),
    "sample": Command("commands.sample", "draw new images with a trained model"),
    "homework": Command("homework.__main__", "assignments that grade themselves"),
    "explain": Command("explain.__main__", "a page on which one steps through a gradient"),
    "completion": Command("commands.completion", "a script that completes all this in a shell"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Call the command that is asked for.

    Returns:
        0 done, 2 it was refused, 130 stopped by a signal, 1 anything else.
    """
    words = sys.argv[1:] if arguments is None else [*arguments]
    if words in (["--version"], ["-V"]):
        print(f"tinygen {tinygen.__version__}")
        return 0
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    group = words[:1] == ["train"]
    if words[group:] in ([], ["-h"], ["--help"]):
        print(usage("train" if group else ""))
        return 0
    try:
        name = chosen(words)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return call(name, words[len(name.split()) :])


def usage(group: str) -> str:
    """The help of ``tinygen``, or of ``tinygen train``: the commands that begin so."""
    words = "tinygen train MODEL" if group else "tinygen COMMAND"
    shown = {name: about for name, (_, about) in COMMANDS.items() if name.startswith(group)}
    commands = [f"  {name:19}{about}" for name, about in shown.items()]
    more = ["Others train in Python, as in tg.fit(tg.AdversarialAutoencoder(), images)."] * bool(
        group
    )
    about = [*more, f"{words} --help says more."]
    return "\n".join([f"usage: {words} ...", "", *commands, "", *about])


def chosen(words: Sequence[str]) -> str:
    """The name of the command that some words begin with.

    Raises:
        InputError: there is none; the message says which one was probably meant.

    >>> chosen(["train", "vae", "--latent", "2"]), chosen(["sample", "runs/vae"])
    ('train vae', 'sample')
    """
    first = words[0]
    if f"train {first}" in COMMANDS:
        raise InputError(f"expected tinygen train {first}, got tinygen {first}")
    if first == "train" and words[1].startswith("-"):
        raise InputError(f"expected a model before {words[1]}, as in tinygen train vae {words[1]}")
    refuse_unknown("command", first, dict.fromkeys(name.split()[0] for name in COMMANDS))
    name = " ".join(words[:2]) if first == "train" else first
    refuse_unknown("command", name, [other for other in COMMANDS if other.startswith(first)])
    return name


def call(name: str, arguments: Sequence[str]) -> int:
    """Import a command's module, and call its `main`; homework and explain end by themselves."""
    module = COMMANDS[name].module
    command: Any = partial(import_module(f"tinygen.{module}").main, prog=f"tinygen {name}")
    if module.startswith("commands."):
        return import_module("tinygen.commands.command_line").run(command, arguments)
    command(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
