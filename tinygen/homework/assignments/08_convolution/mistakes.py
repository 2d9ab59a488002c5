"""What students get wrong in the homework on convolutions."""

from tinygen.homework.assignment import Mistake

STEP = "y, x = stride * r, stride * s"
OTHER_ORDER = "the rows are in another order: first all of the first image, then all of the second"
TURNED = "the windows are turned by 180 degrees, as in a convolution of signals: (2) turns nothing"
EXCHANGED = "rows and columns of a window are exchanged"
EMPTY = "a slice from `pad` to `-pad` is empty where `pad` is 0"
NO_STEP = "the windows are next to each other; they should be `stride` pixels apart"
IN_WINDOWS = (
    "sum(dY_in.sum(axis=(0, {1}, {2})) for r in range(X.shape[{1}]) for s in range(X.shape[{2}]) "
    "for y, x in [(stride * r, stride * s)] "
    "for dY_in in [padded[:, {0}y : y + size, x : x + size]])"
)
MEAN = """\
    down, right = np.zeros(h + 2 * pad), np.zeros(w + 2 * pad)
    for r in range(p):
        down[stride * r : stride * r + size] += 1
    for s in range(q):
        right[stride * s : stride * s + size] += 1
    overlaps = np.maximum(np.outer(down, right), 1)
"""


def each(question, last, first, hint):
    """A mistake that is written in one way for channels that are last, in another for first."""
    return [
        Mistake(question, last[0], last[1], hint, ("channels_last",)),
        Mistake(question, first[0], first[1], hint, ("channels_first",)),
    ]


MISTAKES = [
    Mistake(
        "q1", "// stride + 1", "// stride",
        "the first window is not counted: it is there before any step is made",
    ),
    Mistake(
        "q1", "// stride", "/ stride",
        "a number of windows is a whole number: where the last one would stick out, round down",
    ),
    Mistake(
        "q1", "2 * pad", "pad",
        "the zeros are on one side only; they are on both",
    ),
    Mistake(
        "q1", "(length + 2 * pad - size) // stride", "-((size - length - 2 * pad) // stride)",
        "a window that would stick out at the end is counted, too; round down, and not up",
    ),
    Mistake(
        "q1", "(length + 2 * pad - size) // stride + 1", "(length + 2 * pad) // stride",
        "it counts where windows would begin, also those that would begin too late to fit",
    ),
    Mistake(
        "q1",
        "length + 2 * pad",
        "length",
        "the zeros are missing: they make the image longer",
    ),
    Mistake(
        "q1",
        "(length + 2 * pad - size) // stride",
        "(length + 2 * pad) // stride - size",
        "the size of a window is subtracted after the division: it is in pixels, as the length is",
    ),
    Mistake(
        "q1", "- size) // stride + 1", "- size + 1) // stride",
        "the 1 is added before the rounding: it is added to what was rounded down",
    ),
    Mistake("q2", STEP, "y, x = r, s", NO_STEP),
    *each(
        "q2",
        ("padded[:, pad : pad + h, pad : pad + w] = X", "padded[:, :h, :w] = X"),
        ("padded[:, :, pad : pad + h, pad : pad + w] = X", "padded[:, :, :h, :w] = X"),
        "all the zeros are below and at the right; half of them belong above and at the left",
    ),
    *each(
        "q2",
        ("x : x + size].reshape(n, -1)", "x : x + size].transpose(0, 3, 1, 2).reshape(n, -1)"),
        ("x : x + size].reshape(n, -1)", "x : x + size].transpose(0, 2, 3, 1).reshape(n, -1)"),
        "the numbers of a window are in another order: look where the channels belong",
    ),
    *each(
        "q2",
        ("x : x + size].reshape(n, -1)", "x : x + size].swapaxes(1, 2).reshape(n, -1)"),
        ("x : x + size].reshape(n, -1)", "x : x + size].swapaxes(2, 3).reshape(n, -1)"),
        "a window is read column by column; it should be read row by row",
    ),
    Mistake(
        "q2", "return rows.reshape", "return rows.swapaxes(1, 2).reshape",
        "the windows of an image are in another order: they should be numbered row by row",
    ),
    Mistake(
        "q2", "return rows.reshape", "return rows.transpose(1, 2, 0, 3).reshape", OTHER_ORDER
    ),
    Mistake(
        "q2", "return rows.reshape",
        "return rows.reshape(n, p, q, c, size, size).transpose(0, 3, 1, 2, 4, 5).reshape",
        "a row has numbers of several windows: with an axis of channels before those of the "
        "windows, a `transpose` is needed before the `reshape`",
        ["channels_first"],
    ),
    *each(
        "q2",
        ("x : x + size].reshape", "x : x + size][:, ::-1, ::-1].reshape"),
        ("x : x + size].reshape", "x : x + size][:, :, ::-1, ::-1].reshape"),
        TURNED,
    ),
    *each(
        "q2",
        (
            "padded[:, pad : pad + h, pad : pad + w] = X",
            "padded = np.pad(np.pad(X, [(0, 0), (pad, 0), (pad, 0), (0, 0)], 'wrap'), "
            "[(0, 0), (0, pad), (0, pad), (0, 0)])",
        ),
        (
            "padded[:, :, pad : pad + h, pad : pad + w] = X",
            "padded = np.pad(np.pad(X, [(0, 0), (0, 0), (pad, 0), (pad, 0)], 'wrap'), "
            "[(0, 0), (0, 0), (0, pad), (0, pad)])",
        ),
        "what should be a zero above or at the left is a pixel from the other end: a negative "
        "index counts from there",
    ),
    Mistake(
        "q3", "x : x + size] += windows", "x : x + size] = windows",
        "where windows overlap they have to be added up; here the last one wins",
    ),
    Mistake("q3", STEP, "y, x = r, s", NO_STEP),
    *each(
        "q3",
        ("return padded[:, pad : pad + h, pad : pad + w]", "return padded[:, :h, :w]"),
        ("return padded[:, :, pad : pad + h, pad : pad + w]", "return padded[:, :, :h, :w]"),
        "it is the wrong part of the padded image that is cut out",
    ),
    *each(
        "q3",
        (
            "rows.reshape(n, p, q, size, size, -1)",
            "rows.reshape(n, p, q, -1, size, size).transpose(0, 1, 2, 4, 5, 3)",
        ),
        (
            "rows.reshape(n, p, q, -1, size, size)",
            "rows.reshape(n, p, q, size, size, -1).transpose(0, 1, 2, 5, 3, 4)",
        ),
        "the numbers of a window are read in another order than `cut` writes them: the channels",
    ),
    *each(
        "q3",
        (
            "rows.reshape(n, p, q, size, size, -1)",
            "rows.reshape(p, q, n, size, size, -1).transpose(2, 0, 1, 3, 4, 5)",
        ),
        (
            "rows.reshape(n, p, q, -1, size, size)",
            "rows.reshape(p, q, n, -1, size, size).transpose(2, 0, 1, 3, 4, 5)",
        ),
        OTHER_ORDER,
    ),
    *each(
        "q3",
        ("windows[:, r, s]", "windows[:, r, s, ::-1, ::-1]"),
        ("windows[:, r, s]", "windows[:, r, s, :, ::-1, ::-1]"),
        TURNED,
    ),
    *each(
        "q3",
        ("windows[:, r, s]", "windows[:, r, s].swapaxes(1, 2)"),
        ("windows[:, r, s]", "windows[:, r, s].swapaxes(2, 3)"),
        EXCHANGED,
    ),
    *each(
        "q3",
        ("return padded[:, pad : pad + h, pad : pad + w]", "return padded[:, pad:-pad, pad:-pad]"),
        (
            "return padded[:, :, pad : pad + h, pad : pad + w]",
            "return padded[:, :, pad:-pad, pad:-pad]",
        ),
        EMPTY,
    ),
    *each(
        "q3",
        ("    return padded", MEAN + "    padded /= overlaps[..., None]\n    return padded"),
        ("    return padded", MEAN + "    padded /= overlaps\n    return padded"),
        "a mean where windows overlap: what they have there is added up",
    ),
    Mistake(
        "q4", "+ e)", "+ 0 * e)",
        "the biases are missing",
    ),
    *each(
        "q4",
        (".reshape(n, p, q, -1)", ".reshape(n, q, p, -1).swapaxes(1, 2)"),
        (".reshape(n, p, q, -1).transpose(0, 3, 1, 2)", ".reshape(n, -1, p, q)"),
        "the numbers are right, but in another order: which axis of the product runs fastest, and "
        "which should?",
    ),
    Mistake(
        "q4",
        "+ e)",
        "- e)",
        "the biases are subtracted",
    ),
    *each(
        "q4",
        (".reshape(n, p, q, -1)", ".reshape(p, q, n, -1).transpose(2, 0, 1, 3)"),
        (
            ".reshape(n, p, q, -1).transpose(0, 3, 1, 2)",
            ".reshape(p, q, n, -1).transpose(2, 3, 0, 1)",
        ),
        OTHER_ORDER,
    ),
    *each(
        "q5",
        ("rows.T @ flat", "rows.T @ flat / len(dY)"),
        ("flat @ rows", "flat @ rows / len(dY)"),
        "d@M is divided by the number of images; a mean over them is in d@Y already",
    ),
    *each(
        "q5",
        ("rows.T @ flat", "rows.T @ flat / len(rows)"),
        ("flat @ rows", "flat @ rows / len(rows)"),
        "d@M is a mean over the windows; each window has the same weights, so that their gradients "
        "add up",
    ),
    *each(
        "q5",
        ("flat.sum(axis=0)", "flat.mean(axis=0)"),
        ("flat.sum(axis=1)", "flat.mean(axis=1)"),
        "d@e is a mean over the windows; the bias is added in each of them, so that their "
        "gradients add up",
    ),
    *each(
        "q5",
        ("dY.reshape(len(rows), -1)", "dY.swapaxes(1, 2).reshape(len(rows), -1)"),
        (
            "dY.transpose(1, 0, 2, 3).reshape(dY.shape[1], -1)",
            "dY.reshape(dY.shape[1], -1)",
        ),
        "the numbers of d@Y are in another order than the windows are",
    ),
    Mistake(
        "q5", "dY.transpose(1, 0, 2, 3).reshape(dY.shape[1], -1)",
        "dY.reshape(-1, dY.shape[1]).T",
        "the numbers of d@Y are in another order than the windows are",
        ["channels_first"],
    ),
    Mistake(
        "q5", "(1, 0, 2, 3)", "(1, 0, 3, 2)", "the windows are numbered column by column",
        ["channels_first"],
    ),
    *each(
        "q5",
        ("dY.reshape(len(rows), -1)", "dY.transpose(1, 2, 0, 3).reshape(len(rows), -1)"),
        ("dY.transpose(1, 0, 2, 3)", "dY.transpose(1, 2, 3, 0)"),
        OTHER_ORDER,
    ),
    *each(
        "q6",
        ("dY.reshape(-1, M.shape[1])", "dY.swapaxes(1, 2).reshape(-1, M.shape[1])"),
        ("dY.transpose(0, 2, 3, 1).reshape(-1, len(M))", "dY.reshape(-1, len(M))"),
        "the numbers of d@Y are in another order than the windows are",
    ),
    *each(
        "q6",
        ("@ M.T", "@ M.T / len(M)"),
        ("@ M", "@ M / M.shape[1]"),
        "nothing is to be divided by the size of a window: that is what an average pool does",
    ),
    Mistake(
        "q6", "(0, 2, 3, 1)", "(0, 3, 2, 1)", "the windows are numbered column by column",
        ["channels_first"],
    ),
    *each(
        "q6",
        ("dY.reshape(-1, M.shape[1])", "dY.transpose(1, 2, 0, 3).reshape(-1, M.shape[1])"),
        ("dY.transpose(0, 2, 3, 1)", "dY.transpose(2, 3, 0, 1)"),
        OTHER_ORDER,
    ),
    Mistake("q7", STEP, "y, x = r, s", NO_STEP),
    Mistake(
        "q7", "x : x + size] += np", "x : x + size] = np",
        "where windows overlap they have to be added up; here the last one wins",
    ),
    *each(
        "q7",
        (
            "axes=(1, 0))\n    return padded[:, pad : pad + h, pad : pad + w] + g",
            "axes=(1, 0)) + g\n    return padded[:, pad : pad + h, pad : pad + w]",
        ),
        (
            "axes=(1, 0))\n    return padded[:, :, pad : pad + h, pad : pad + w] + g[:, None, "
            "None]",
            "axes=(1, 0)) + g[:, None, None]\n    return padded[:, :, pad : pad + h, pad : pad + "
            "w]",
        ),
        "the bias @g is in every window, so that a pixel gets it as often as windows overlap there",
    ),
    *each(
        "q7",
        ("pad : pad + w] + g", "pad : pad + w] + 0 * g"),
        ("+ g[:, None, None]", "+ 0 * g[:, None, None]"),
        "the bias @g is missing",
    ),
    *each(
        "q7",
        ("np.tensordot(X[:, r, s], T,", "np.tensordot(X[:, r, s], T[:, ::-1, ::-1],"),
        ("np.tensordot(X[:, :, r, s], T,", "np.tensordot(X[:, :, r, s], T[:, :, ::-1, ::-1],"),
        "the windows are turned by 180 degrees; the transpose of `cut` turns nothing",
    ),
    *each(
        "q7",
        ("return padded[:, pad : pad + h, pad : pad + w]", "return padded[:, :h, :w]"),
        ("return padded[:, :, pad : pad + h, pad : pad + w]", "return padded[:, :, :h, :w]"),
        "it is the wrong part of the padded image that is cut out",
    ),
    *each(
        "q7",
        ("np.tensordot(X[:, r, s], T,", "np.tensordot(X[:, r, s], T.swapaxes(1, 2),"),
        ("np.tensordot(X[:, :, r, s], T,", "np.tensordot(X[:, :, r, s], T.swapaxes(2, 3),"),
        EXCHANGED,
    ),
    *each(
        "q7",
        ("return padded[:, pad : pad + h, pad : pad + w]", "return padded[:, pad:-pad, pad:-pad]"),
        (
            "return padded[:, :, pad : pad + h, pad : pad + w]",
            "return padded[:, :, pad:-pad, pad:-pad]",
        ),
        EMPTY,
    ),
    Mistake("q8", STEP, "y, x = r, s", NO_STEP),
    *each(
        "q8",
        ("padded[:, pad : pad + h, pad : pad + w] = dY", "padded[:, :h, :w] = dY"),
        ("padded[:, :, pad : pad + h, pad : pad + w] = dY", "padded[:, :, :h, :w] = dY"),
        "all the zeros are below and at the right; half of them belong above and at the left",
    ),
    *each(
        "q8",
        ("np.tensordot(window, T,", "np.tensordot(window, T[:, ::-1, ::-1],"),
        ("np.tensordot(window, T,", "np.tensordot(window, T[:, :, ::-1, ::-1],"),
        "the windows are turned by 180 degrees: d@X needs the same weights at the same places",
    ),
    *each(
        "q8",
        ("np.tensordot(window, T,", "np.tensordot(window.swapaxes(1, 2), T,"),
        ("np.tensordot(window, T,", "np.tensordot(window.swapaxes(2, 3), T,"),
        EXCHANGED,
    ),
    Mistake(
        "q8", "axes=((1, 2, 3), (1, 2, 3)))", "axes=((1, 2, 3), (1, 2, 3))) / size**2",
        "a mean over the window: what its pixels pass back is added up",
    ),
    Mistake(
        "q9", "dT += np", "dT = np",
        "every pixel of @X uses the same weights, so that d@T is a sum over them; here the last "
        "one wins",
    ),
    Mistake("q9", STEP, "y, x = r, s", NO_STEP),
    *each(
        "q9",
        ("dY.sum(axis=(0, 1, 2))", "dY.sum(axis=(1, 2)).mean(axis=0)"),
        ("dY.sum(axis=(0, 2, 3))", "dY.sum(axis=(2, 3)).mean(axis=0)"),
        "d@g is a mean over the images; a mean is in d@Y already",
    ),
    *each(
        "q9",
        ("dY.sum(axis=(0, 1, 2))", "dY.mean(axis=(1, 2)).sum(axis=0)"),
        ("dY.sum(axis=(0, 2, 3))", "dY.mean(axis=(2, 3)).sum(axis=0)"),
        "d@g is a mean over the pixels; the bias is added in each of them, so that their gradients "
        "add up",
    ),
    *each(
        "q9",
        ("padded[:, pad : pad + h, pad : pad + w] = dY", "padded[:, :h, :w] = dY"),
        ("padded[:, :, pad : pad + h, pad : pad + w] = dY", "padded[:, :, :h, :w] = dY"),
        "all the zeros are below and at the right; half of them belong above and at the left",
    ),
    *each(
        "q9",
        ("return dT,", "return dT / (n * X.shape[1] * X.shape[2]),"),
        ("return dT,", "return dT / (n * X.shape[2] * X.shape[3]),"),
        "d@T is a mean over images and pixels of @X; all of them use the same weights, so that "
        "their gradients add up",
    ),
    *each(
        "q9",
        ("x : x + size], axes", "x : x + size][:, ::-1, ::-1], axes"),
        ("x : x + size], axes", "x : x + size][:, :, ::-1, ::-1], axes"),
        TURNED,
    ),
    *each(
        "q9",
        ("x : x + size], axes", "x : x + size].swapaxes(1, 2), axes"),
        ("x : x + size], axes", "x : x + size].swapaxes(2, 3), axes"),
        EXCHANGED,
    ),
    *each(
        "q9",
        ("dY.sum(axis=(0, 1, 2))", IN_WINDOWS.format("", 1, 2)),
        ("dY.sum(axis=(0, 2, 3))", IN_WINDOWS.format(":, ", 2, 3)),
        "d@g has a pixel as often as windows overlap there; the bias is added once",
    ),
]  # fmt: skip
