"""The one exception that means: what the user asked for was refused."""

from collections.abc import Collection
from numbers import Integral


class InputError(ValueError):
    """The user's input was refused; the message is one sentence for a person.

    >>> try:
    ...     refuse_unknown("dtype", "int8", ["float32", "float64"])
    ... except InputError as error:  # or ValueError, which it is, too
    ...     print(error)
    unknown dtype 'int8'; choose one of float32, float64
    """


def require_seed(seed: object) -> None:
    """Refuse an invalid seed; NumPy's own message would not say that it is the seed.

    Raises:
        InputError: it is not a whole number, or it is negative.

    >>> require_seed(-1)
    Traceback (most recent call last):
    tinygen.errors.InputError: expected a seed, a whole number of at least 0, got -1
    """
    if not isinstance(seed, Integral) or int(seed) < 0:
        raise InputError(f"expected a seed, a whole number of at least 0, got {seed!r}")


def refuse_unknown(what: str, name: object, names: Collection[str]) -> None:
    """An option's name must be one of those that exist.

    Raises:
        InputError: it is not; the message says which one was probably meant.

    >>> refuse_unknown("unit", "elu", ["elu", "tanh"])  # says nothing, as all is well
    >>> refuse_unknown("unit", "ELU", ["elu", "tanh"])
    Traceback (most recent call last):
    tinygen.errors.InputError: unknown unit 'ELU' (did you mean 'elu'?); choose one of elu, tanh
    """
    if name not in [*names]:  # a list, since what is asked for need not be hashable
        raise InputError(
            f"unknown {what} {name!r}{did_you_mean(name, names)}; choose one of {', '.join(names)}"
        )


def did_you_mean(name: object, names: Collection[str]) -> str:
    """What to put after a name that does not exist: the most similar of those that do, if any.

    >>> did_you_mean("ReLu", ["elu", "relu", "tanh"]), did_you_mean("sine", ["elu"])
    (" (did you mean 'relu'?)", '')
    """
    from difflib import get_close_matches  # for messages only; `import tinygen` should be quick

    bare = {other.lstrip("-"): other for other in names}  # what all flags begin with says nothing
    similar = get_close_matches(str(name).lower().lstrip("-"), bare, n=1)
    return f" (did you mean {bare[similar[0]]!r}?)" if similar else ""
