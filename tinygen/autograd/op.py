"""An Op: a function on arrays, together with one partial derivative for each argument."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from tinygen.autograd.tensor import ENGINE, Tensor

OPS: dict[str, Op] = {}
"""Every op by its name."""

Partial = Callable[..., Any]


class Op:
    """A differentiable function of arrays.

    Called with arrays it computes at array speed and records nothing. Called with a Tensor it also
    records itself, so that the backward pass can ask for its partials. Made by the decorator `op`.
    """

    def __init__(self, forward: Callable[..., Any], partials: dict[str, Partial | None]) -> None:
        self.forward = forward
        self.name = forward.__name__
        self.__name__ = self.name
        self.__doc__ = forward.__doc__
        self.__module__ = forward.__module__
        self.__wrapped__ = forward  # help() and doctest look here for signature and examples
        signature = inspect.signature(forward).parameters.values()
        self.arguments = [p.name for p in signature if p.kind != p.KEYWORD_ONLY]
        self.variadic = any(p.kind == p.VAR_POSITIONAL for p in signature)
        self.defaults = {p.name: p.default for p in signature if p.kind == p.KEYWORD_ONLY}
        expected = ["d" + name for name in self.arguments]
        if list(partials) != expected:
            raise TypeError(
                f"op {self.name}: expected the partials {', '.join(expected)}, "
                f"got {', '.join(partials) or 'none'}"
            )
        self.partials = list(partials.values())

    def partial(self, i: int) -> Partial | None:
        """The derivative by argument `i`, or None where the op has none."""
        if not self.variadic:
            return self.partials[i]
        of_any = self.partials[0]
        return of_any and (lambda g, y, *xs, **options: of_any(i, g, y, *xs, **options))

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        for x in arguments:
            if type(x) is Tensor:
                return self._apply(arguments, options)
        try:
            return self.forward(*arguments, **options)
        except (ValueError, TypeError, IndexError) as error:
            raise self._explained(error, arguments) from error

    def _apply(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> Tensor:
        arrays = [x.array if type(x) is Tensor else x for x in arguments]
        try:
            y = self.forward(*arrays, **options)
        except (ValueError, TypeError, IndexError) as error:
            raise self._explained(error, arrays) from error
        if ENGINE.watch is not None:
            ENGINE.watch(self.name, arrays, y)
        # A result that is no float, as of astype(int), is constant: only floats have gradients.
        records = ENGINE.recording and y.dtype.kind == "f" and self._needs_gradient(arguments)
        if self.defaults:
            options = {**self.defaults, **options}
        made = Tensor._made(y, self, arguments, options, records)
        if getattr(y, "base", None) is not None:  # a view: whoever writes it, writes the argument
            made._written = next(x for x in arguments if type(x) is Tensor)._shared_count()
        return made

    def _needs_gradient(self, arguments: tuple[Any, ...]) -> bool:
        for i, x in enumerate(arguments):
            differentiable = self.partials[0 if self.variadic else i] is not None
            if differentiable and type(x) is Tensor and x.requires_grad:
                return True
        return False

    def _explained(self, error: Exception, arrays: Any) -> Exception:
        """The same kind of error, saying which op it was and what came."""
        if str(error).startswith(self.name + ":"):
            return error
        if len(arrays) > len(self.arguments) and not self.variadic:
            return TypeError(
                f"{self.name}: takes {len(self.arguments)} by position, got {len(arrays)}; "
                f"by keyword it takes {', '.join(self.defaults) or 'nothing'}"
            )
        names = self.arguments * len(arrays) if self.variadic else self.arguments
        came = ", ".join(f"{n} is {_kind(x)}" for n, x in zip(names, arrays, strict=False))
        kind = next(k for k in (IndexError, ValueError, TypeError) if isinstance(error, k))
        return kind(f"{self.name}: {came}; {error}")

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<op {self.name}{inspect.signature(self.forward)}>"


def op(**partials: Partial | None) -> Callable[[Callable[..., Any]], Op]:
    """Make an op of a function on arrays; its partials stand on it, in the order of its arguments.

    The function takes arrays by position and everything else by keyword. A partial of an argument
    ``x`` is called ``dx`` and has the form ``dx(g, y, *arguments, **options)``:

    - ``g`` is the gradient of the loss by the op's result ``y``, and has its shape;
    - it returns the gradient by ``x``. If ``x`` was broadcast, so may this be: the engine sums it
      back to the shape of ``x``;
    - it is written with ops and operators only, so that with Tensors it is itself recorded;
    - None instead of a function says that nothing flows back to this argument.

    A function of ``*xs`` has one partial with the position in front: ``dxs(i, g, y, *xs)``.

    >>> @op(dx=lambda g, y, x: 3.0 * x * x * g)
    ... def cube(x):
    ...     return x * x * x
    >>> x = Tensor(2.0, requires_grad=True)
    >>> cube(x).backward()
    >>> float(x.grad)
    12.0
    >>> del OPS["cube"]
    """

    def make(forward: Callable[..., Any]) -> Op:
        made = Op(forward, partials)
        known = OPS.get(made.name, made)
        if known.__module__ != made.__module__:  # the same cell of a notebook may be run again
            raise TypeError(f"op {made.name}: {known.__module__} has one of this name already")
        OPS[made.name] = made
        return made

    return make


def _kind(x: Any) -> str:
    shape = getattr(x, "shape", None)
    return repr(x) if shape is None else f"{tuple(shape)} {x.dtype}"
