"""The backward pass: gradients flow from a result to its parents, each node visited once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from tinygen.autograd.tensor import ENGINE, Tensor, leaves
from tinygen.backend import Array, namespace
from tinygen.parameters import Parameters

Gradients = dict[int, Any]
"""Gradients by the ``id`` of their tensor."""


def grad(
    y: Tensor,
    wrt: Any,
    *,
    g: Array | Tensor | None = None,
    create_graph: bool = False,
    retain_graph: bool = False,
) -> Any:
    """The gradient of `y` by one tensor, or by each of a list, tuple or dict of tensors.

    Args:
        y: the result to differentiate.
        wrt: a Tensor, leaf or interior, or a list, tuple or mapping of Tensors.
        g: the cotangent, of the shape of `y`; may be left out if `y` is a single number.
        create_graph: record the gradients as Tensors, so that they can be differentiated again.
        retain_graph: keep the graph behind `y`, so that it can be walked once more.

    Returns:
        What `wrt` is made of, with gradients in place of tensors: arrays of their own, or Tensors
        with `create_graph`. A tensor that `y` does not depend on gets zeros.

    >>> x = Tensor(3.0, requires_grad=True)
    >>> dx = grad(x * x * x, x, create_graph=True)
    >>> dx.item(), grad(dx, x).item()
    (27.0, 18.0)
    """
    wanted = _listed(wrt)
    found = _sweep(y, g, wanted, create_graph, retain_graph or create_graph)
    results = [_own(found, x, create_graph) for x in wanted]
    if isinstance(wrt, Mapping):
        return dict(zip(wrt, results, strict=True))
    return results[0] if type(wrt) is Tensor else type(wrt)(results)


def value_and_grad(f: Callable[..., Tensor]) -> Callable[..., tuple[Array, Any]]:
    """Turn ``f(parameters, *data) -> loss`` into ``(parameters, *data) -> (loss, gradients)``.

    The parameters are a `Parameters`, a mapping of names to arrays, or a single array; the
    gradients have the same layout. With `Parameters`, ``out=`` takes those of an earlier step, to
    write into.
    Further keywords go to `f`.

    >>> import numpy as np
    >>> value_and_grad(lambda x: (x * x).sum())(np.float32([1, 2]))
    (np.float32(5.0), array([2., 4.], dtype=float32))
    """

    def with_gradients(
        parameters: Any, *data: Any, out: Parameters | None = None, **options: Any
    ) -> tuple[Array, Any]:
        is_mapping = isinstance(parameters, Mapping)
        named = leaves(parameters if is_mapping else {"x": parameters})
        loss = f(named if is_mapping else named["x"], *data, **options)
        if type(loss) is not Tensor:
            raise TypeError(
                f"value_and_grad: the function returned a {type(loss).__name__}, "
                "expected a Tensor that depends on the parameters"
            )
        if not isinstance(parameters, Parameters):
            gradients = grad(loss, named)
            return loss.array, gradients if is_mapping else gradients["x"]
        out = parameters.room_for_gradients(out)
        found = _sweep(loss, None, list(named.values()), False, False)
        for name, leaf in named.items():
            out[name][...] = found.get(id(leaf), 0)
        return loss.array, out

    return with_gradients


def fill_gradients(
    y: Tensor, g: Any, create_graph: bool, retain_graph: bool, accumulate: bool
) -> None:
    """`Tensor.backward`: leave gradients at the leaves and where `retain_grad` asked for them."""
    nodes = _reachable(y)
    wanted = [t for t in nodes if t._op is None or t._retains]
    found = _sweep(y, g, wanted, create_graph, retain_graph or create_graph, nodes)
    for t in wanted:
        new = _own(found, t, create_graph)
        t.grad = t.grad + new if accumulate and t.grad is not None else new


def _sweep(
    y: Tensor,
    g: Any,
    wanted: Sequence[Tensor],
    create_graph: bool,
    retain_graph: bool,
    nodes: list[Tensor] | None = None,
) -> Gradients:
    """Walk the graph behind `y` once and return the gradients of the `wanted` tensors.

    A node may be handled only when all its consumers were, or it would pass on a part of its
    gradient. A tensor is numbered after its parents, so going down the numbers is such an order.
    Nodes are taken off the list, so that each is freed once it was handled.
    """
    if nodes is None:
        nodes = _reachable(y)
        needed = _needed(nodes, wanted)
    else:  # all leaves are wanted, and so all that leads to them
        needed = dict.fromkeys(map(id, nodes), True)
    asked = {id(t): True for t in wanted}
    gradients: Gradients = {id(y): _seed(y, g, create_graph)}
    owned: dict[int, bool] = {}
    found: Gradients = {}
    while nodes:
        t = nodes.pop()
        key = id(t)
        dy = gradients.pop(key, None)
        if dy is None:
            continue
        if t._hooks:
            dy = _hooked(t, dy)
        if key in asked:
            found[key] = dy
            owned.pop(key, None)
        if t._op is None:
            continue
        for parent, dx in _partials(t, dy, needed, create_graph):
            k = id(parent)
            before = gradients.get(k)
            if before is None:
                gradients[k] = dx
            elif k in owned:
                before += dx
                gradients[k] = before
            else:
                # A partial may hand the same array to both parents, or a view: it is not ours
                # to write into. Their sum is.
                gradients[k] = before + dx
                if not create_graph:
                    owned[k] = True
        if not retain_graph:
            t._parents = None
    return found


def _reachable(y: Tensor) -> list[Tensor]:
    """`y` and all that it depends on and that requires a gradient, the oldest first."""
    if type(y) is not Tensor or not y.requires_grad:
        raise ValueError(
            "this result depends on no tensor that requires a gradient; "
            "make a leaf with Tensor(x, requires_grad=True), outside of no_grad()"
        )
    seen = {id(y): y}
    waiting = [y]
    while waiting:
        t = waiting.pop()
        if t._parents is None:
            raise RuntimeError(
                f"the graph behind this result of {t._op} was freed by an earlier backward pass; "
                "pass retain_graph=True to that one"
            )
        for x in t._parents:
            if type(x) is Tensor and x.requires_grad and id(x) not in seen:
                seen[id(x)] = x
                waiting.append(x)
    return sorted(seen.values(), key=_serial)


_serial = attrgetter("_serial")


def _needed(nodes: list[Tensor], wanted: Sequence[Tensor]) -> dict[int, bool]:
    """The nodes through which a wanted tensor is reached; nothing else need be differentiated."""
    needed = {id(t): True for t in wanted}
    for t in nodes:
        if id(t) not in needed and t._parents:
            for x in t._parents:
                if id(x) in needed:
                    needed[id(t)] = True
                    break
    return needed


def _seed(y: Tensor, g: Any, create_graph: bool) -> Any:
    if g is None:
        if y.size != 1:
            raise ValueError(
                f"a gradient starts at a single number, this result of {y._op} has shape "
                f"{y.shape}; reduce it with sum() or mean(), or pass the cotangent g"
            )
        g = namespace(y.array).ones(y.shape, y.dtype)
    if not hasattr(g, "shape"):
        raise TypeError(f"the cotangent g must be an array or a Tensor, got {g!r}")
    if tuple(g.shape) != y.shape:
        raise ValueError(f"the cotangent g has shape {tuple(g.shape)}, the result has {y.shape}")
    if g.dtype != y.dtype:
        g = g.astype(y.dtype)
    if create_graph:
        return g if type(g) is Tensor else Tensor(g)
    return g.array if type(g) is Tensor else g


def _partials(t: Tensor, dy: Any, needed: dict[int, bool], create_graph: bool) -> Any:
    """The parents of `t` that need a gradient, each with its share of it."""
    op, parents, options = t._op, t._parents, t._options
    assert op is not None and parents is not None
    if create_graph:
        y, arguments = t, parents
    else:
        y, arguments = t.array, tuple([x.array if type(x) is Tensor else x for x in parents])
    if t._written[0] > t._serial:
        raise _overwritten(op, "result")
    shares = []
    for i, x in enumerate(parents):
        if type(x) is not Tensor:
            continue
        if x._written[0] > t._serial:
            raise _overwritten(op, f"argument {op.arguments[0 if op.variadic else i]}")
        if x._op is None and x._source is not None and x._source[0].version != x._source[1]:
            raise RuntimeError(
                f"{op}: the parameters were updated since leaves(parameters) made these tensors, "
                "so the gradients would be wrong; make leaves in every step, and call backward "
                "before the update"
            )
        if not x.requires_grad or id(x) not in needed:
            continue
        partial = op.partials[i] if not op.variadic else op.partial(i)
        if partial is None:
            continue
        dx = partial(dy, y, *arguments, **options)
        if dx.shape != x.array.shape:
            dx = _sum_to(dx, x.array.shape, op)
        if dx.dtype != x.array.dtype:
            dx = dx.astype(x.array.dtype)
        if ENGINE.watch is not None:
            ENGINE.watch(f"the gradient of {op}", (dy, *arguments), dx)
        shares.append((x, dx))
    return shares


def _overwritten(op: Any, what: str) -> RuntimeError:
    return RuntimeError(
        f"{op}: its {what} was written in place after the graph was recorded; "
        "its gradient would be wrong"
    )


def _sum_to(g: Any, shape: tuple[int, ...], op: Any) -> Any:
    """Undo a broadcast: sum `g` over the axes along which `shape` was repeated."""
    new = g.ndim - len(shape)
    if new < 0 or any(n not in (1, m) for n, m in zip(shape, g.shape[new:], strict=True)):
        raise ValueError(
            f"{op}: a partial has shape {tuple(g.shape)}, its argument {shape}; expected that "
            "shape, or what broadcasting makes of it"
        )
    repeated = [new + i for i, n in enumerate(shape) if n == 1 and g.shape[new + i] != 1]
    return g.sum(axis=(*range(new), *repeated), keepdims=True).reshape(shape)


def _hooked(t: Tensor, g: Any) -> Any:
    if type(g) is not Tensor:
        g = namespace(g).array(g)  # a hook may write into it, and others may hold the same array
    for hook in tuple(t._hooks or ()):
        new = hook(g)
        if new is None:
            continue
        if tuple(new.shape) != t.shape or new.dtype != t.dtype or type(new) is not type(g):
            raise ValueError(
                f"a hook returned {type(new).__name__} {tuple(new.shape)} {new.dtype} for a "
                f"gradient that is {type(g).__name__} {t.shape} {t.dtype}"
            )
        g = new
    return g


def _own(found: Gradients, t: Tensor, create_graph: bool) -> Any:
    """The gradient as an array that the caller may write into; zeros where nothing arrived."""
    g = found.get(id(t))
    if g is None:
        zeros = namespace(t.array).zeros(t.shape, t.dtype)
        return Tensor(zeros) if create_graph else zeros
    return g if create_graph else namespace(t.array).array(g)


def _listed(wrt: Any) -> list[Tensor]:
    if type(wrt) is Tensor:
        wanted = [wrt]
    else:
        wanted = list(wrt.values() if isinstance(wrt, Mapping) else wrt)
    for i, x in enumerate(wanted):
        if type(x) is not Tensor or not x.requires_grad:
            raise TypeError(
                f"grad: wrt number {i} is no tensor that requires a gradient, "
                f"but a {type(x).__name__}"
            )
    return wanted
