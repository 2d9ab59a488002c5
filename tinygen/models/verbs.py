"""What a model says to those who take it for a trained one: where the weights are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

VERBS = ("encode", "posterior", "decode", "reconstruct", "sample", "loss", "classify")
"""What trained models can be asked for; `tinygen.training.loading.VERBS` says which of them."""
WHERE = "a model holds no weights; tg.fit(model, images) returns a trained one"

Method = TypeVar("Method", bound=Callable[..., Any])


class WithoutWeights:
    """A base of models: asked for a verb of a trained model, it says what is missing."""

    if not TYPE_CHECKING:  # to a type checker it would have every attribute

        def __getattr__(self, name: str) -> NoReturn:
            about = f"; {WHERE}" if name in VERBS else ""
            sentence = f"{type(self).__name__!r} object has no attribute {name!r}{about}"
            raise AttributeError(sentence, name=name, obj=self)


def of_parameters(verb: Method) -> Method:
    """A verb as a function of parameters and data that complains if it is called without them.

    >>> @of_parameters
    ... def encode(self, p, x): ...
    >>> encode("a model", [1, 2])
    Traceback (most recent call last):
    TypeError: encode: expected parameters and then data, got a list; a model holds no \
weights; tg.fit(model, images) returns a trained one
    """

    @wraps(verb)
    def checked(self: Any, *arguments: Any, **options: Any) -> Any:
        given = arguments[0] if arguments else options.get("p")
        if not isinstance(given, Mapping):
            raise TypeError(
                f"{verb.__name__}: expected parameters and then data, "
                f"got {f'a {type(given).__name__}' if arguments else 'none'}; {WHERE}"
            )
        return verb(self, *arguments, **options)

    return checked  # type: ignore[return-value]
