"""The one exception that means: what the user asked for was refused."""

from collections.abc import Collection


class InputError(ValueError):
    """The user's input was refused; the message is one sentence for a person."""


def refuse_unknown(what: str, name: object, names: Collection[str]) -> None:
    """An option's name must be one of those that exist.

    Raises:
        InputError: it is not.
    """
    if name not in names:
        raise InputError(f"unknown {what} {name!r}; choose one of {', '.join(names)}")
