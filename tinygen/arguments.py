"""A parser of command lines that refuses with one sentence, which says what was probably meant."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from tinygen.errors import InputError, did_you_mean


class Parser(argparse.ArgumentParser):
    """argparse, but raising an `InputError` instead of printing a usage and leaving."""

    def error(self, message: str) -> NoReturn:
        *_, missing = message.rpartition("arguments are required: ")
        for action in self._actions:
            if action.choices and action.metavar in missing.split(", "):
                message += f"; choose one of {', '.join(map(str, action.choices))}"
        raise InputError(message)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        known, unknown = self.parse_known_args(args, namespace)
        if unknown:
            first, equals, _ = unknown[0].partition("=")
            like_a_flag = first.startswith("-") or equals
            meant = did_you_mean(first, [*flags(self)]) if like_a_flag else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{meant}")
        return known

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Of a subcommand, too: argparse would not say which one was meant."""
        if action.choices is not None and value not in action.choices:
            choices = [str(choice) for choice in action.choices]
            raise argparse.ArgumentError(action, _invalid(value, choices))


def flags(p: argparse.ArgumentParser) -> Iterator[str]:
    """All flags of a parser, and of its subcommands."""
    yield from p._option_string_actions
    for action in p._actions:
        if isinstance(action, argparse._SubParsersAction):
            for parser in action.choices.values():
                yield from flags(parser)


@dataclass(frozen=True)
class name_in:  # noqa: N801  it is called as the other types for argparse are
    """A type for argparse: one of some names, which the usage does not list."""

    names: Sequence[str]

    def __call__(self, text: str) -> str:
        if text not in self.names:
            raise argparse.ArgumentTypeError(_invalid(text, self.names))
        return text


def _invalid(value: object, choices: Sequence[str]) -> str:
    meant = did_you_mean(value, choices)
    return f"invalid choice: {value!r}{meant}; choose one of {', '.join(choices)}"


def refused(error: Exception) -> NoReturn:
    """Say an error in one line, and exit with 2."""
    print(f"error: {' '.join(str(error).splitlines())}", file=sys.stderr)
    sys.exit(2)
