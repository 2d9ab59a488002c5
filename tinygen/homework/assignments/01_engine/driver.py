"""Graphs from arrays, made with the student's Node."""

import numpy as np


def graph(arguments, node):
    """Its nodes; number i is `node(i, parents)`."""
    nodes: list = []
    for i, numbers in enumerate(arguments["parents"]):
        nodes.append(node(i, [nodes[j] for j in numbers if j >= 0]))
    return nodes


def kind(x):
    return "None: is there a return?" if x is None else type(x).__name__


def q1(submission, arguments, ask):
    x, z = submission.Node(arguments["x"]), submission.Node(arguments["z"])
    y = submission.multiply(x, z)
    if not isinstance(y, submission.Node):
        raise TypeError(f"expected a Node, got {kind(y)}")
    if [*map(id, y.parents)] not in ([id(x), id(z)], [id(z), id(x)]):
        got = ", ".join(map(kind, y.parents)) or "none"
        raise ValueError(f"expected as parents the two Nodes that were multiplied, got {got}")
    if len(y.partials) != 2:
        raise ValueError(f"expected 2 partials, got {len(y.partials)}")
    to = {}
    for parent, partial in zip(y.parents, y.partials, strict=True):
        if not callable(partial):
            raise TypeError(f"expected partials that are functions of `g`, got {kind(partial)}")
        g = arguments["g"].copy()
        to[parent] = partial(g)
        if (g != arguments["g"]).any():
            raise ValueError("expected partials that leave `g` as it is, got one that changes it")
    return {"the value": y.value, "what goes to `x`": to[x], "what goes to `z`": to[z]}


def q2(submission, arguments, ask):
    nodes = graph(arguments, lambda i, parents: submission.Node(1.0, parents))
    order = submission.order(nodes[-1])
    if not isinstance(order, (list, tuple)):
        raise TypeError(f"expected a list of nodes, got {kind(order)}")
    for node in order:
        if not isinstance(node, submission.Node):
            raise TypeError(f"expected a list of nodes, got one with {kind(node)} in it")
    numbers = {node: i for i, node in enumerate(nodes)}
    return np.array([numbers.get(node, -1) for node in order], dtype=int)


def q3(submission, arguments, ask):
    shape = tuple(int(size) for size in arguments["shape"])
    return submission.unbroadcast(arguments["g"], shape)


def times(c):
    """A partial that multiplies by a number; by 1, it passes on the array itself."""
    return lambda g: g if c == 1 else c * g


def fitted(part, parent):
    """A part of the gradient of a parent, summed over the axis that the parent has not."""
    return part.sum(axis=0) if np.ndim(part) > parent.value.ndim else part


def q4(submission, arguments, ask):
    """The gradients of six nodes, of which e and f have an axis more than the others."""
    large = arguments["g"].shape

    def scaled(i, parents):
        partials = [times(c) for c in arguments["factors"][i][: len(parents)]]
        node = submission.Node(np.zeros(large if i > 3 else large[1:]), parents, partials)
        edges = [*zip(parents, partials, strict=True)]
        node.pass_on = lambda g: [(parent, fitted(partial(g), parent)) for parent, partial in edges]
        return node

    nodes = graph(arguments, scaled)[::-1]
    gradients = submission.backward(nodes, arguments["g"])
    if not isinstance(gradients, dict):
        raise TypeError(f"expected a dict of gradients, got {kind(gradients)}")
    names = dict(zip(nodes, "fedcba", strict=True))
    missing = [names[node] for node in nodes if node not in gradients]
    if missing:
        lacks = ", ".join(missing)
        raise ValueError(f"expected gradients of 6 nodes, got {6 - len(missing)}: none of {lacks}")
    return {f"the gradient of {names[node]}": gradients[node] for node in nodes}


def q5(submission, arguments, ask):
    """The f of the page, in which all elements act together."""
    x, c = arguments["x"].copy(), arguments["c"]
    gradient = submission.measure(lambda x: float(np.sum(c * x**3) + np.prod(x)), x, arguments["h"])
    if not np.allclose(x, arguments["x"], rtol=1e-12):
        raise ValueError("expected `x` as it was before, got one with other elements")
    return gradient
