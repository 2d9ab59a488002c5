"""Write the script with which a shell completes tinygen's commands, flags and their values.

tinygen completion bash > ~/.local/share/bash-completion/completions/tinygen
"""

from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from tinygen.arguments import name_in
from tinygen.commands import command_line
from tinygen.errors import InputError

SHELLS = ("bash", "zsh", "fish")


def flags(prog: str | None = None) -> ArgumentParser:
    p = command_line.bare_parser(__doc__, prog)
    p.add_argument("shell", type=name_in(SHELLS), metavar="SHELL",
                   help=f"one of {', '.join(SHELLS)}")  # fmt: skip
    return p


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    args = flags(prog).parse_args(arguments)
    try:
        shtab = import_module("shtab")
    except ImportError:
        raise InputError(
            'expected the package shtab, got none; pip install "tinygen[completion]"'
        ) from None
    p = parser_of_all()
    say_values(p, shtab)
    script = shtab.complete(p, args.shell).splitlines()
    comments = [line for line in script[: script.index("", 2)] if not line.startswith("# ")]
    head = [*comments, f"# Made by `tinygen completion {args.shell}`, with shtab."]
    print("\n".join([*head, *script[script.index("", 2) :]]))


def parser_of_all() -> ArgumentParser:
    """All commands under one parser, which is meant to be read, not to parse."""

    def as_given(parser: ArgumentParser, **_: Any) -> ArgumentParser:
        return parser

    kind: Any = as_given  # instead of a class from which argparse would make an empty parser
    top, train = ArgumentParser("tinygen"), ArgumentParser("tinygen train")
    top.add_argument("--version", action="store_true", help="print the version")
    groups: dict[str, Any] = {"": top.add_subparsers(parser_class=kind)}
    groups[""].add_parser("train", help="train a model", parser=train)
    groups["train"] = train.add_subparsers(parser_class=kind)
    for name, (module, about) in import_module("tinygen.__main__").COMMANDS.items():
        group, _, last = name.rpartition(" ")
        groups[group].add_parser(last, help=about, parser=parser_of(module))
    return top


def parser_of(module: str) -> ArgumentParser:
    """The parser of a command, with the flag that `command_line.parse` adds."""
    command = import_module(f"tinygen.{module}")
    if not module.startswith("commands."):
        return command.parser()
    p = command.flags()
    if presets := getattr(command, "PRESETS", None):
        command_line.add_preset_flag(p, presets)
    return p


def say_values(p: ArgumentParser, shtab: Any) -> None:
    """Mark for shtab which flags take one of several names, a folder or a file."""
    for action in p._actions:
        if isinstance(action, _SubParsersAction):
            for parser in action.choices.values():
                say_values(parser, shtab)
        elif isinstance(action.type, name_in):
            action.choices = action.type.names
        elif action.type in (Path, command_line.path):
            action.complete = shtab.DIRECTORY if action.metavar == "DIR" else shtab.FILE  # type: ignore[attr-defined]
