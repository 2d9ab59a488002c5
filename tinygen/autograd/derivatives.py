"""Derivatives beyond the gradient, from backward passes alone: Jacobians, and products with them.

``f(x, *data)`` is a function of a `Parameters`, a mapping of names to arrays, a list or tuple of
arrays, or a single array, which it gets as Tensors; x and a direction v have the same layout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from tinygen.autograd.engine import (
    Tensor,
    grad,
    in_container_of,
    leaves_like,
    refuse_outer_leaves,
    topological_order,
)
from tinygen.autograd.operators import raw
from tinygen.backend import Array, backend_of
from tinygen.parameters import Parameters

Layout = TypeVar("Layout")
"""What `x` is: a `Parameters`, a mapping, a list, a tuple, or a single array."""


def jacobian(f: Callable[..., Tensor], x: Any, *data: Any) -> Any:
    """The derivative of each element of ``f(x)`` with respect to each element of `x`.

    Returns:
        An array of shape ``(*f(x).shape, *x.shape)``, or a dict, list or tuple of them. Each
        element of ``f(x)`` costs a backward pass.

    >>> jacobian(lambda x: x * x, np.array([1.0, 3.0]))
    array([[2., 0.],
           [0., 6.]])
    """
    xs, y = _called(f, x, data)
    named, backend = _named(xs, xs), backend_of(y.array)
    rows = {k: backend.xp.zeros((y.size, *t.shape), t.dtype) for k, t in named.items()}
    for i in range(y.size):
        one = (np.arange(y.size) == i).reshape(y.shape)  # asks for the gradient of element i
        g = backend.asarray(one, y.dtype)
        for k, dx in grad(y, named, g=g, retain_graph=True).items():
            rows[k][i] = dx
    whole = {k: rows[k].reshape((*y.shape, *t.shape)) for k, t in named.items()}
    if type(xs) is Tensor:
        return whole[None]
    return whole if isinstance(xs, Mapping) else in_container_of(xs, [*whole.values()])


def jvp(f: Callable[..., Tensor], x: Any, v: Any, *data: Any) -> Array:
    """How ``f(x)`` changes as `x` moves along `v`: its Jacobian times `v`, in two backward passes.

    A backward pass gives ``u^T J``, which is linear in the cotangent u; the gradient of
    ``u^T J v`` with respect to u is ``J v`` (Townsend 2017, "A new trick for calculating Jacobian
    vector products").

    >>> jvp(lambda x: x * x, np.array([1.0, 3.0]), np.array([1.0, 10.0]))
    array([ 2., 60.])
    """
    xs, y = _called(f, x, data)
    u = Tensor(backend_of(y.array).xp.zeros_like(y.array), requires_grad=True)
    return grad(_inner(grad(y, xs, g=u, create_graph=True), v), u)


def hvp(f: Callable[..., Tensor], x: Layout, v: Any, *data: Any) -> Layout:
    """The Hessian of a scalar ``f(x)`` times `v`, in the layout of `x` (Pearlmutter 1994).

    This is how the gradient changes as `x` moves along `v`.

    >>> hvp(lambda x: (x * x * x).sum(), np.array([1.0, 3.0]), np.array([1.0, 10.0]))
    array([  6., 180.])
    """
    xs, y = _called(f, x, data)
    product = grad(_inner(grad(y, xs, create_graph=True), v), xs)
    if isinstance(x, Parameters):
        product = x.gathered(product)
    return product


def _called(f: Callable[..., Tensor], x: Any, data: tuple[Any, ...]) -> tuple[Any, Tensor]:
    """Leaves in the layout of `x`, and what `f` makes of them."""
    xs = leaves_like(x)
    y = f(xs, *data)
    if type(y) is not Tensor:
        raise TypeError(f"the function returned a {type(y).__name__}, expected a Tensor")
    refuse_outer_leaves(topological_order(y), [*_named(xs, xs).values()])
    return xs, y


def _named(several: Any, layout: Any) -> dict[Any, Any]:
    """Arrays by name, or by position in a list; a single one is called None."""
    if isinstance(layout, Mapping) and isinstance(several, Mapping):
        return dict(several)
    if isinstance(layout, (list, tuple)) and isinstance(several, (list, tuple)):
        return dict(enumerate(several))
    return {None: several}


def _inner(g: Any, v: Any) -> Tensor:
    """The inner product of `g` and `v`, which must have one layout."""
    g, along = _named(g, g), _named(v, g)
    expected = {k: np.shape(raw(dx)) for k, dx in g.items()}
    fits = along.keys() == g.keys()
    got = {k: np.shape(raw(x)) for k, x in along.items()} if fits else f"a {type(v).__name__}"
    if got != expected:
        raise ValueError(f"expected v in the layout of x, {expected}, got {got}")
    first, *others = [(dx * along[k]).sum() for k, dx in g.items()]
    return sum(others, first)
