"""Graphs from arrays, made with the student's Node."""

import numpy as np


def graph(arguments, node):
    """Its nodes; number i is `node(i, parents)`."""
    nodes: list = []
    for i, numbers in enumerate(zip(arguments["first"], arguments["second"], strict=True)):
        nodes.append(node(i, [nodes[j] for j in numbers if j >= 0]))
    return nodes


def q1(submission, arguments, ask):
    x, z = submission.Node(arguments["x"]), submission.Node(arguments["z"])
    y = submission.multiply(x, z)
    if not isinstance(y, submission.Node):
        raise TypeError(f"expected a Node, got {type(y).__name__}")
    if set(y.parents) != {x, z} or len(y.parents) != 2:
        raise ValueError("expected the two Nodes that were multiplied as parents")
    if len(y.partials) != 2:
        raise ValueError(f"expected 2 partials, got {len(y.partials)}")
    parts = (partial(arguments["g"]) for partial in y.partials)
    to = dict(zip(y.parents, parts, strict=True))
    return {"value": y.value, "to the first": to[x], "to the second": to[z]}


def q2(submission, arguments, ask):
    nodes = graph(arguments, lambda i, parents: submission.Node(1.0, parents))
    order = submission.order(nodes[-1])
    if not isinstance(order, (list, tuple)):
        raise TypeError(f"expected a list of nodes, got {type(order).__name__}")
    numbers = {node: i for i, node in enumerate(nodes)}
    return np.array([numbers.get(node, -1) for node in order], dtype=int)


def q3(submission, arguments, ask):
    shape = tuple(int(size) for size in arguments["shape"])
    return submission.unbroadcast(arguments["g"], shape)


def q4(submission, arguments, ask):
    def scaled(i, parents):
        """A node whose partials multiply by a number; by 1, they pass on the array itself."""
        edges = [*zip(parents, arguments["factors"][i], strict=False)]
        node = submission.Node(0.0, parents)
        node.pass_on = lambda g: [(parent, g if c == 1 else c * g) for parent, c in edges]
        return node

    nodes, g = graph(arguments, scaled), arguments["g"]
    gradients = submission.backward(nodes[::-1], g)
    if not isinstance(gradients, dict):
        raise TypeError(f"expected a dict of gradients, got {type(gradients).__name__}")
    missing = np.zeros_like(g)
    return np.stack([gradients.get(node, missing) for node in nodes])


def q5(submission, arguments, ask):
    c = arguments["c"]
    return submission.measure(lambda x: float(np.sum(c * x**3)), arguments["x"], arguments["h"])
