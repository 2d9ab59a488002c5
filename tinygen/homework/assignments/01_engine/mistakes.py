from tinygen.homework.assignment import Mistake

MISTAKES = [
    Mistake(
        "q1",
        "(lambda g: g * z.value, lambda g: g * x.value)",
        "(lambda g: g * x.value, lambda g: g * z.value)",
        "it is right only where the two factors are equal: try the example on paper",
    ),
    Mistake(
        "q1",
        "(lambda g: g * z.value, lambda g: g * x.value)",
        "(lambda g: z.value, lambda g: x.value)",
        "the partials ignore `@g`: they pass on the same, whatever arrives",
    ),
    Mistake(
        "q1",
        "lambda g: g * z.value, lambda g: g * x.value",
        "lambda g: g, lambda g: g",
        "these are the partials of a sum",
    ),
    Mistake(
        "q2",
        "uses[parent] += 1",
        "uses[parent] = 1",
        "a node comes as soon as its first use has, while others are still to come: "
        "its gradient is not complete at that time",
    ),
    Mistake(
        "q2",
        "return nodes",
        "return nodes[::-1]",
        "the order is that of the way forward: turn it around, the result comes first",
    ),
    Mistake(
        "q2",
        "if uses[parent] == 0:",
        "if uses[parent] == 0 and parent.parents:",
        "the leaves are left out, the nodes without parents: "
        "it is their gradients that are asked for in the end",
    ),
    Mistake(
        "q2",
        "return nodes",
        "return nodes[1:]",
        "the result itself is missing: the way back begins at it",
    ),
    Mistake(
        "q3",
        "g = g.sum(axis=0)",
        "g = g.sum(axis=-1)",
        "the wrong axes are summed: on which side of a shape does NumPy add axes?",
    ),
    Mistake(
        "q3",
        "g = g.sum(axis=0)",
        "g = g[0]",
        "of an added axis only the first entry is taken: "
        "each copy has its own part of the gradient, and all of them add up",
    ),
    Mistake(
        "q3",
        "g = g.sum(axis=0)",
        "g = g.mean(axis=0)",
        "over an added axis it is a mean: the parts of all copies add up",
    ),
    Mistake(
        "q3",
        "g = g.sum(axis=axis, keepdims=True)",
        "g = g.mean(axis=axis, keepdims=True)",
        "over a stretched axis it is a mean: the parts of all copies add up",
    ),
    Mistake(
        "q3",
        "g = g.sum(axis=axis, keepdims=True)",
        "g = g.take([0], axis=axis)",
        "of a stretched axis only the first entry is taken: "
        "each copy has its own part of the gradient, and all of them add up",
    ),
    Mistake(
        "q3",
        "if size == 1:",
        "if size == 0:",
        "an axis of length 1 that was stretched is not summed, only added axes are",
    ),
    Mistake(
        "q4",
        "gradients[parent] = gradients[parent] + part",
        "gradients[parent] = part",
        "where two paths meet, the second replaces the first: they add up",
    ),
    Mistake(
        "q4",
        "gradients[parent] = gradients[parent] + part",
        "gradients[parent] += part",
        "the gradient of d is wrong, as if a later part had been added to it, too: "
        "after d has had its turn, which nodes hold the same array?",
    ),
    Mistake(
        "q4",
        "gradients[parent] = gradients[parent] + part",
        "gradients[parent] = (gradients[parent] + part) / 2",
        "where two paths meet, the mean of both is taken: they add up",
    ),
    Mistake(
        "q4",
        "{nodes[0]: g}",
        "{nodes[0]: np.ones_like(g)}",
        "the way back begins with ones, whatever arrives at the result",
    ),
    Mistake(
        "q4",
        "gradients = {nodes[0]: g}",
        "gradients = {node: np.ones_like(node.value) for node in nodes}",
        "each gradient begins with ones, to which parts are added: "
        "only that of the result is given, the others are sums of parts alone",
    ),
    Mistake(
        "q4",
        "node.pass_on(gradients[node])",
        "dict(node.pass_on(gradients[node])).items()",
        "where a node has used a parent twice, one of the two parts is lost",
    ),
    Mistake(
        "q4",
        "gradients = {nodes[0]: g}\n    for node in nodes:",
        "gradients = {node: np.zeros_like(node.value) for node in nodes} | {nodes[0]: g}\n"
        "    for node in reversed(nodes):",
        "the nodes have their turn from the leaves on, before their gradients are there: "
        "is the order not as it should be already?",
    ),
    Mistake(
        "q4",
        "node.pass_on(gradients[node])",
        "node.pass_on(g)",
        "each node passes on what arrived at the result",
    ),
    Mistake(
        "q5",
        "(f(x + step) - f(x - step)) / (2 * h)",
        "(f(x + step) - f(x - step)) / h",
        "twice too large: how far are the two points apart?",
    ),
    Mistake(
        "q5",
        "(f(x + step) - f(x - step)) / (2 * h)",
        "(f(x + step) - f(x)) / h",
        "the difference is one-sided: its error is of the order of the step, not of its square",
    ),
    Mistake(
        "q5",
        "f(x + step) - f(x - step)",
        "f(x + step) - f(x + step)",
        "each difference is 0: up and down are the same point, or the same array",
    ),
    Mistake(
        "q5",
        "step[i] = h",
        "step[i] = h = 1e-6",
        "it is more accurate than it should be: the step is not `h`",
    ),
    Mistake(
        "q5",
        "step[i] = h",
        "step[...] = h",
        "all elements are moved at once: that is the sum of all derivatives, not one of them",
    ),
    Mistake(
        "q5",
        "(f(x + step) - f(x - step)) / (2 * h)",
        "(f(x - step) - f(x + step)) / (2 * h)",
        "the sign is turned around",
    ),
]
