"""A small engine: values that know how they were computed, and the way back from a result."""

import numpy as np


class Node:
    """A value, its parents (the nodes that it was computed from), and a partial for each parent.

    A partial is a function: of the gradient `g` that arrives here it makes what goes to the parent.
    """

    def __init__(self, value, parents=(), partials=()):
        self.value = np.asarray(value, dtype=float)
        self.parents = tuple(parents)
        self.partials = tuple(partials)

    def pass_on(self, g):
        """What goes to whom if the gradient `g` arrives here: pairs of a parent and its part."""
        parts = [partial(g) for partial in self.partials]
        pairs = zip(self.parents, parts, strict=True)
        return [(p, unbroadcast(part, p.value.shape)) for p, part in pairs]


def add(x, z):
    return Node(x.value + z.value, (x, z), (lambda g: g, lambda g: g))


def exp(x):
    value = np.exp(x.value)
    return Node(value, (x,), (lambda g: g * value,))


def total(x):
    """The sum of all elements."""
    return Node(x.value.sum(), (x,), (lambda g: np.full(x.value.shape, g),))


def multiply(x, z):
    """The Node of the product of the Nodes `x` and `z`, element by element."""
    # BEGIN q1 (1) points=1
    return Node(x.value * z.value, (x, z), (lambda g: g * z.value, lambda g: g * x.value))
    # END


def order(y):
    """A list of `y` and all nodes that it was computed from.

    Each is in it once, and behind all nodes that were computed from it: `y` is the first.
    """
    # BEGIN q2 (2) (3) points=3
    uses = {y: 0}  # how often a node is used by nodes that are not in the list yet
    waiting = [y]
    while waiting:
        for parent in waiting.pop().parents:
            if parent not in uses:
                uses[parent] = 0
                waiting.append(parent)
            uses[parent] += 1
    nodes, ready = [], [y]
    while ready:
        node = ready.pop()
        nodes.append(node)
        for parent in node.parents:
            uses[parent] -= 1
            if uses[parent] == 0:
                ready.append(parent)
    return nodes
    # END


def unbroadcast(g, shape):
    """The gradient `g` summed to `shape`, from which NumPy's broadcasting had made that of `g`."""
    # BEGIN q3 (4) points=2
    while g.ndim > len(shape):
        g = g.sum(axis=0)
    for axis, size in enumerate(shape):
        if size == 1:
            g = g.sum(axis=axis, keepdims=True)
    return g
    # END


def backward(nodes, g):
    """A dict with the gradient of each of the `nodes`.

    Args:
        nodes: as `order` gives them.
        g: the gradient that arrives at the first of them. Neither this array nor those that a
            node passes on may be written into: others hold them, too.
    """
    # BEGIN q4 (5) (6) points=3
    gradients = {nodes[0]: g}
    for node in nodes:
        for parent, part in node.pass_on(gradients[node]):
            if parent in gradients:
                gradients[parent] = gradients[parent] + part
            else:
                gradients[parent] = part
    return gradients
    # END


def measure(f, x, h):
    """The gradient of a number `f(x)` with respect to the array `x`, by central differences.

    Each element is moved by `h` up and down, while all others stay.
    """
    # BEGIN q5 (7) points=1 level=2
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = h
        gradient[i] = (f(x + step) - f(x - step)) / (2 * h)
    return gradient
    # END


def gradients_of(y):
    """The engine as a whole: the gradients of the sum of `y` with respect to every node."""
    return backward(order(y), np.ones_like(y.value))


if __name__ == "__main__":
    x = Node(2.0)
    a = multiply(x, x)
    b = add(a, x)
    y = multiply(a, b)
    print("value", y.value, "and gradient", gradients_of(y)[x], "expected 24 and 44")
