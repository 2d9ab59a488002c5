from tinygen.homework.assignment import Mistake

COLUMNS = "the largest elements of columns are looked for: (E7) has those of rows"
ONE_ROW = "only one row gets something: the largest element of each row is meant, not that of all"
PARTS = """\
is_largest = x == x.max(axis=1, keepdims=True)
    return g[:, None] * is_largest / is_largest.sum(axis=1, keepdims=True)"""
"""All of q6."""
NO_CHANGE = (
    "`d@x` is not what is asked: in a row with one largest element, how does (8) change when an "
    "element of `@x` changes a little?"
)
LINEAR = "`d@g` still has a factor `@g`: the first order is linear in it"

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
        "in `d@z` a power of `@z` is missing: what is the derivative of 1/t?",
    ),
    Mistake(
        "q1",
        "dx = g / z",
        "dx = g * z",
        "`d@x` is multiplied by `@z`: what is a quotient's derivative by its numerator?",
    ),
    Mistake(
        "q1",
        "dx = g / z",
        "dx = g + 0 * z",
        "`d@x` ignores `@z`: how fast does a quotient change with its numerator?",
    ),
    Mistake(
        "q1",
        "dx = g / z",
        "dx = 1 / z + 0 * g",
        "in `d@x` the factor `@g` is missing: it is what is passed on",
    ),
    Mistake(
        "q1",
        "g * x / z**2",
        "x / z**2",
        "in `d@z` the factor `@g` is missing: it is what is passed on",
    ),
    Mistake(
        "q2",
        "1 - y**2",
        "1 - x**2",
        "the square is that of the argument: the derivative of tanh can be written with tanh alone",
    ),
    Mistake("q2", "1 - y**2", "1 - y", "the square is missing in the derivative of tanh"),
    Mistake(
        "q2",
        "g * (1 - y**2)",
        "1 - y**2",
        "this is the derivative alone: a partial passes on `@g` times it",
    ),
    Mistake(
        "q2",
        "1 - y**2",
        "y * (1 - y)",
        "this is the derivative of the sigmoid: tanh has another one",
    ),
    Mistake(
        "q2",
        "g * (1 - y**2)",
        "g * y",
        "this is the operation itself times `@g`: its derivative is due",
    ),
    Mistake(
        "q2",
        "1 - y**2",
        "1 + y**2",
        "a sign: where tanh is nearly 1 it hardly changes",
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
        "right for small numbers, but that of a large one overflows: "
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
        "q3",
        "np.exp(x - y[:, None])",
        "np.exp(x - y[:, None]) * (1 - np.exp(x - y[:, None]))",
        "a derivative too many: the first derivative of (E4) is a well-known function itself",
    ),
    Mistake(
        "q3",
        "np.exp(x - y[:, None])",
        "np.exp(x) / np.exp(x).sum()",
        "the exponentials are divided by the sum of all rows: "
        "each row is a set of its own (and large ones overflow)",
    ),
    Mistake(
        "q3",
        "np.exp(x - y[:, None])",
        "np.exp(x - x.max()) / np.exp(x - x.max()).sum()",
        "the exponentials are divided by the sum of all rows: each row is a set of its own",
    ),
    Mistake(
        "q3",
        "np.exp(x - y[:, None])",
        "np.exp(x - x.max()) / np.exp(x - x.max()).sum(axis=1, keepdims=True)",
        "one maximum for all rows is not enough: far below it, all exponentials of a row are 0",
    ),
    Mistake(
        "q3",
        "np.exp(x - y[:, None])",
        "1 / (1 + np.exp(-x))",
        "this is the sigmoid, of each element alone: in (E4) the whole row is together",
    ),
    Mistake(
        "q3",
        "np.exp(x - y[:, None])",
        "np.exp(x) / y[:, None]",
        "divided by the logarithm of the sum: its derivative is one over the sum itself",
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
        "q5",
        "g[:, None] / c",
        "g[:, None] * c",
        "multiplied by the number of elements: a mean of many changes little when one of them does",
    ),
    Mistake(
        "q5",
        "np.repeat(g[:, None] / c, c, axis=1)",
        "np.tile(g / c, c).reshape(x.shape)",
        "the elements of `@g` are one after another in a row: a row gets one of them, its own, "
        "in all places",
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
        ONE_ROW,
    ),
    Mistake(
        "q6",
        "x.max(axis=1, keepdims=True)",
        "x.max(axis=0)",
        COLUMNS,
    ),
    Mistake(
        "q6",
        "is_largest.sum(axis=1, keepdims=True)",
        "x.shape[1]",
        "`@g` is divided by the length of the row: how many elements get a part?",
    ),
    Mistake(
        "q6",
        PARTS,
        PARTS.replace("x.max(axis=1, keepdims=True)", "x.max(axis=0)").replace(
            "is_largest.sum(axis=1, keepdims=True)", "is_largest.sum(axis=0)"
        ),
        COLUMNS,
    ),
    Mistake(
        "q6",
        PARTS,
        PARTS.replace("(axis=1, keepdims=True)", "()"),
        ONE_ROW,
    ),
    Mistake(
        "q6",
        "is_largest.sum(axis=1, keepdims=True)",
        "is_largest.sum()",
        "the largest elements of all rows are counted: those of each row get the parts of its `@g`",
    ),
    Mistake(
        "q6",
        PARTS,
        "dx = np.zeros_like(x)\n    dx[:, x.argmax(axis=1)] = g\n    return dx",
        "whole columns are written, as `:` stands for all rows: each row has a place of its own",
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
        "q7",
        "r / z - s",
        "r / z + s",
        "in `d@g` the part with `@s` has the wrong sign",
    ),
    Mistake(
        "q7",
        "dx = -s",
        "dx = r / z - s",
        "in `d@x` there is a path too many: which of the two first-order results depend on `@x`?",
    ),
    Mistake(
        "q7",
        "dx = -s * g",
        "dx = -s + 0 * g",
        "in `d@x` the factor `@g` is missing",
    ),
    Mistake(
        "q7",
        "2 * s * g * x",
        "-2 * s * g * x",
        "in `d@z` the part with `@s` has the wrong sign",
    ),
    Mistake(
        "q7",
        ").sum(axis=0)",
        ")",
        "`d@z` is not summed: each element of `@z` is in all rows",
    ),
    Mistake(
        "q7",
        "2 * s * g * x / z**3 - r * g / z**2",
        "-r * g / z**2",
        "in `d@z` one of two paths is missing: the second result, (2), depends on `@z`, too",
    ),
    Mistake(
        "q7",
        """\
dg = r / z - s * x / z**2
    dx = -s * g / z**2
    dz = (2 * s * g * x / z**3 - r * g / z**2).sum(axis=0)""",
        "dg, dx, dz = r / z, 0 * x, -(r * g / z**2).sum(axis=0)",
        "the second sum of P is missing, with `@s` and the second result, (2)",
    ),
    Mistake("q7", "dg = r / z - s * x / z**2", "dg = g * (r / z - s * x / z**2)", LINEAR),
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
        LINEAR,
    ),
    Mistake(
        "q8",
        "-2 * r * g * y",
        "-2 * r * y",
        "in `d@x` the factor `@g` is missing",
    ),
    Mistake(
        "q8",
        "dg = r *",
        "dg = g *",
        "`d@g` has `@g` in the place of `@r`: (3) is linear in `@g`",
    ),
    Mistake(
        "q8",
        "-2 * r * g * y",
        "-2 * g * y",
        "in `d@x` the direction `@r` is missing",
    ),
    Mistake(
        "q8",
        "dg = r * (1 - y**2)",
        "dg = 1 - y**2",
        "in `d@g` the direction `@r` is missing",
    ),
    Mistake(
        "q8",
        "-2 * r * g * y * (1 - y**2)",
        "r * g * (1 - y**2)",
        "`d@x` is the first order times `@r`: it is (3) that has to be differentiated",
    ),
    Mistake(
        "q8",
        "-2 * r * g * y * (1 - y**2)",
        "0 * x",
        "`d@x` is 0, as if the derivative of tanh were a constant: in (3) it depends on `@x`",
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
        "it changes that of all elements of its row",
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
        "in `d@x` the mean of `@r` is subtracted with equal weights: a weighted mean is due",
    ),
    Mistake(
        "q9",
        "g[:, None] * y * (r",
        "g[:, None] * (r",
        "in `d@x` the softmax itself is missing as a factor",
    ),
    Mistake(
        "q9",
        "dg = (r * y).sum(axis=1)",
        "dg = r.sum(axis=1)",
        "`d@g` is a plain sum of `@r`: what is an element of (4) divided by `@g`?",
    ),
    Mistake(
        "q9",
        "r - dg[:, None]",
        "r - y",
        "in `d@x` the softmax is subtracted from `@r`: one number for each row is due",
    ),
    Mistake(
        "q9",
        "r - dg[:, None]",
        "r - (g * dg)[:, None]",
        "in `d@x` the mean that is subtracted has a factor `@g`: "
        "its weights are the softmax, not (4)",
    ),
    Mistake(
        "q9",
        "r - dg[:, None]",
        "r + dg[:, None]",
        "in `d@x` a sign: what is in the denominator makes a quotient smaller",
    ),
    Mistake(
        "q9",
        "r - dg[:, None]",
        "r - r.sum(axis=1, keepdims=True)",
        "in `d@x` the plain sum of `@r` is subtracted: a weighted mean is due",
    ),
    Mistake(
        "q9",
        "r - dg[:, None]",
        "r - dg.sum()",
        "in `d@x` one number for all rows is subtracted: each row has its own",
    ),
    Mistake("q9", "return dg, dx", "return g * dg, dx", LINEAR),
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
        "q10",
        "g @ s.T",
        "g @ B.T",
        "`d@A` is that of J, by (5): here it is that of P",
    ),
    Mistake(
        "q10",
        "r.T @ g",
        "A.T @ g",
        "`d@B` is that of J, by (6): here it is that of P",
    ),
    Mistake(
        "q10",
        "dg = r @ B + A @ s\n    dA = g @ s.T",
        "dg, dA = r @ B, 0 * A",
        "the second sum of P is missing, with `@s` and the second result, (6)",
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
        NO_CHANGE,
    ),
    Mistake(
        "q11",
        "(r * is_largest).sum(axis=1) / is_largest.sum(axis=1)",
        "r.mean(axis=1)",
        "`d@g` is a mean of the whole row: only the largest elements were passed anything",
    ),
    Mistake(
        "q11",
        "(r * is_largest).sum(axis=1) / is_largest.sum(axis=1)",
        "r[np.arange(len(r)), x.argmax(axis=1)]",
        "where several elements are the largest, only the first one counts: all do",
    ),
    Mistake("q11", "dx = np.zeros_like(x)", "dx = g[:, None] * is_largest * r", NO_CHANGE),
    Mistake(
        "q11",
        "dx = np.zeros_like(x)",
        "dx = g[:, None] * is_largest / is_largest.sum(axis=1, keepdims=True)",
        NO_CHANGE,
    ),
    Mistake(
        "q11",
        "dx = np.zeros_like(x)",
        "dx = g[:, None] * r * is_largest / is_largest.sum(axis=1, keepdims=True)",
        NO_CHANGE,
    ),
    Mistake("q11", "return dg, dx", "return g * dg, dx", LINEAR),
]
