from tinygen.homework.assignment import Mistake

MISTAKES = [
    Mistake(
        "q1",
        "-(g * x / z**2)",
        "(g * x / z**2)",
        "`d@z` has the wrong sign: a larger divisor makes a positive quotient smaller",
    ),
    Mistake(
        "q1",
        "-(g * x / z**2).sum(axis=0)",
        "-(g * x / z**2)",
        "`d@z` is not summed: each element of `@z` divides a whole column, "
        "and what comes back from all rows adds up",
    ),
    Mistake(
        "q1",
        "g * x / z**2",
        "g * x / z",
        "in `d@z` a power of `@z` is missing: the derivative of 1/t is -1/t^2",
    ),
    Mistake("q1", "dx = g / z", "dx = g * z", "`d@x` is multiplied by `@z`, not divided"),
    Mistake(
        "q2",
        "1 - y**2",
        "1 - x**2",
        "the square is that of the argument: the derivative of tanh has that of the result",
    ),
    Mistake("q2", "1 - y**2", "1 - y", "the square is missing in the derivative of tanh"),
    Mistake(
        "q2",
        "g * (1 - y**2)",
        "1 - y**2",
        "this is the derivative alone: a partial passes on `@g` times it",
    ),
    Mistake(
        "q3",
        "g[:, None] * np.exp(x - y[:, None])",
        "np.exp(x - y[:, None])",
        "this is the softmax alone: each row of it is passed on times that row's `@g`",
    ),
    Mistake(
        "q3",
        "g[:, None] * np.exp(x - y[:, None])",
        "np.repeat(g[:, None], x.shape[1], axis=1)",
        "each element gets all of `@g`, as for a plain sum: "
        "here an element acts on the result in proportion to its exponential",
    ),
    Mistake(
        "q3",
        "np.exp(x - y[:, None])",
        "np.exp(x - x.max(axis=1, keepdims=True))",
        "the exponentials are not divided by their sum: in each row the factors add up to 1",
    ),
    Mistake(
        "q3",
        "np.exp(x - y[:, None])",
        "np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)",
        "right for small numbers, but the exponential of 800 overflows: "
        "subtract something before the exponential is taken",
    ),
    Mistake(
        "q3",
        "np.exp(x - y[:, None])",
        "np.exp(x) / np.exp(x).sum(axis=0)",
        "the exponentials are divided by the sum of their column: "
        "each row is a set of its own (and large ones overflow)",
    ),
    Mistake(
        "q4",
        "return dA, dB",
        "return dB, dA",
        "the two gradients are returned in the other order",
    ),
    Mistake(
        "q4",
        "dB = A.T @ g",
        "dB = g.T @ A",
        "the gradient of the right factor is transposed: it needs the shape of that factor",
    ),
    Mistake(
        "q4",
        "dA = g @ B.T",
        "dA = B @ g.T",
        "the gradient of the left factor is transposed: it needs the shape of that factor",
    ),
    Mistake(
        "q4",
        "dB = A.T @ g",
        "dB = A.T @ g / len(g)",
        "the gradient of the right factor is a mean over the rows: (E1) has a sum",
    ),
    Mistake(
        "q5",
        "g[:, None] / c, c, axis=1",
        "g[:, None], c, axis=1",
        "this is the partial of a sum: a mean also divides by the number of elements",
    ),
    Mistake(
        "q5",
        "g[:, None] / c, c, axis=1",
        "g[:, None] / len(x), c, axis=1",
        "divided by the number of rows: the mean is over the elements of one row",
    ),
    Mistake(
        "q5",
        "np.repeat(g[:, None] / c, c, axis=1)",
        "g[:, None] / c",
        "one number for each row: every element of the row gets it, so it has to be repeated",
    ),
    Mistake(
        "q6",
        "g[:, None] * is_largest / is_largest.sum(axis=1, keepdims=True)",
        "g[:, None] * is_largest",
        "where several elements are the largest, each gets all of `@g`: they get equal parts",
    ),
    Mistake(
        "q6",
        "is_largest = x == x.max(axis=1, keepdims=True)",
        "is_largest = np.arange(x.shape[1]) == x.argmax(axis=1)[:, None]",
        "where several elements are the largest, only the first gets a part: all of them do",
    ),
    Mistake(
        "q6",
        "g[:, None] * is_largest",
        "is_largest",
        "`@g` is left out: it decides how much is passed on",
    ),
    Mistake(
        "q6",
        "x.max(axis=1, keepdims=True)",
        "x.max()",
        "only one row gets something: the largest element of each row is meant, not that of all",
    ),
    Mistake(
        "q7",
        "r / z - s * x / z**2",
        "r / z",
        "in `d@g` the second path is missing: `@g` is in both first-order results",
    ),
    Mistake(
        "q7",
        "-s * g / z**2",
        "s * g / z**2",
        "`d@x` has the wrong sign",
    ),
    Mistake(
        "q7",
        "2 * s * g * x / z**3",
        "s * g * x / z**3",
        "in `d@z` a factor 2 is missing: it is the derivative of a square in the denominator",
    ),
    Mistake(
        "q7",
        "(2 * s * g * x / z**3 - r * g / z**2)",
        "(2 * s * g * x / z**3)",
        "in `d@z` one of two paths is missing: the first result depends on `@z`, too",
    ),
    Mistake(
        "q7",
        "- r * g / z**2",
        "+ r * g / z**2",
        "in `d@z` the part with `@r` has the wrong sign",
    ),
    Mistake(
        "q8",
        "-2 * r * g * y * (1 - y**2)",
        "-2 * r * g * y",
        "in `d@x` the derivative of tanh itself is missing: in (3), `@x` stands within a tanh",
    ),
    Mistake(
        "q8",
        "-2 * r * g * y",
        "2 * r * g * y",
        "`d@x` has the wrong sign: there is a minus in (3)",
    ),
    Mistake(
        "q8",
        "-2 * r * g * y",
        "-r * g * y",
        "`d@x` is half of what is right: the derivative of a square has a 2",
    ),
    Mistake(
        "q8",
        "dg = r * (1 - y**2)",
        "dg = r * g * (1 - y**2)",
        "`d@g` still has a factor `@g`: (3) is linear in it",
    ),
    Mistake(
        "q8",
        "-2 * r * g * y",
        "-2 * r * y",
        "in `d@x` the factor `@g` is missing",
    ),
    Mistake(
        "q9",
        "y * (r - dg[:, None])",
        "y * r",
        "in `d@x` the softmax's denominator is taken to be constant: "
        "all elements of the row are in it",
    ),
    Mistake(
        "q9",
        "y * (r - dg[:, None])",
        "y * (1 - y) * r",
        "in `d@x` each element acts on its own softmax only: "
        "it acts on the softmax of the whole row",
    ),
    Mistake(
        "q9",
        "g[:, None] * y * (r - dg[:, None])",
        "y * (r - dg[:, None])",
        "in `d@x` the factor `@g` is missing",
    ),
    Mistake(
        "q9",
        "r - dg[:, None]",
        "r - r.mean(axis=1, keepdims=True)",
        "in `d@x` the mean of `@r` is subtracted with equal weights: the weights are the softmax",
    ),
    Mistake(
        "q10",
        "r @ B + A @ s",
        "r @ B",
        "in `d@g` one of two terms is missing: `@g` is in both first-order results",
    ),
    Mistake(
        "q10",
        "r @ B + A @ s",
        "A @ s",
        "in `d@g` one of two terms is missing: the first result is made of `@g`, too",
    ),
    Mistake(
        "q10",
        "r @ B + A @ s",
        "r @ B - A @ s",
        "in `d@g` the terms are subtracted: paths add up",
    ),
    Mistake(
        "q10",
        "return dg, dA, dB",
        "return dg, dB, dA",
        "the last two gradients are returned in the other order",
    ),
    Mistake(
        "q11",
        "(r * is_largest).sum(axis=1) / is_largest.sum(axis=1)",
        "(r * is_largest).sum(axis=1)",
        "where several elements are the largest, `d@g` is a sum: in (8) they get equal parts",
    ),
    Mistake(
        "q11",
        "dx = np.zeros_like(x)",
        "dx = is_largest * r",
        "`d@x` is not what is asked: how does (8) change when an element of `@x` changes a little?",
    ),
    Mistake(
        "q11",
        "(r * is_largest).sum(axis=1) / is_largest.sum(axis=1)",
        "r.mean(axis=1)",
        "`d@g` is a mean of the whole row: only the largest elements were passed anything",
    ),
]
