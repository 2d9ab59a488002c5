"""The well-known mistakes of an autoencoder's backward pass."""

from tinygen.homework.assignment import Mistake

ROWS, COLUMNS = ["rows"], ["columns"]
LAST_ONE = "only the last image: in a loop over the images, add to the result instead of assigning"
FIRST_ONE = "only the first image: the gradients of all images add up"
AVERAGED = "a 1/n too many: the mean over the images is in d@s already"
CLEAN = "the clean images are the target; what goes into the layer is what the encoder sees"
NOISE = "only the noise: the layer's input is the whole corrupted image"

MISTAKES = [
    Mistake("q1", " + t", "", "the bias is missing", forms=ROWS),
    Mistake("q1", " + t[:, None]", "", "the bias is missing", forms=COLUMNS),
    Mistake("q1", " + t", " - t", "the bias is subtracted"),
    Mistake(
        "q1", "g @ A.T + t", "np.maximum(g @ A.T + t, 0)",
        "an activation is in it: (1) is the sums alone", forms=ROWS,
    ),
    Mistake(
        "q1", "A @ g + t[:, None]", "np.maximum(A @ g + t[:, None], 0)",
        "an activation is in it: (1) is the sums alone", forms=COLUMNS,
    ),
    Mistake(
        "q2", "((p - x) ** 2).mean()", "((p - x) ** 2).sum() / len(x)",
        "the squared error is a mean over the pixels, too", forms=ROWS,
    ),
    Mistake(
        "q2", "((p - x) ** 2).mean()", "((p - x) ** 2).sum() / x.shape[1]",
        "the squared error is a mean over the pixels, too", forms=COLUMNS,
    ),
    Mistake(
        "q2", "((p - x) ** 2).mean()", "((p - x) ** 2).sum()",
        "the squared error is a mean over images and pixels",
    ),
    Mistake("q2", "kappa / len(x)", "kappa", "the penalty of the code lacks its 1/n", forms=ROWS),
    Mistake(
        "q2", "kappa / x.shape[1]", "kappa", "the penalty of the code lacks its 1/n", forms=COLUMNS
    ),
    Mistake(
        "q2", "len(x)", "x.shape[1]",
        "the penalty of the code is divided by the number of pixels: (5) has that of the images",
        forms=ROWS,
    ),
    Mistake(
        "q2", "x.shape[1]", "len(x)",
        "the penalty of the code is divided by the number of pixels: (5) has that of the images",
        forms=COLUMNS,
    ),
    Mistake(
        "q2", "np.abs(u).sum()", "np.abs(u).mean(axis=1).sum()",
        "the penalty of the code is a sum over its dimensions, not a mean", forms=ROWS,
    ),
    Mistake(
        "q2", "np.abs(u).sum()", "np.abs(u).mean(axis=0).sum()",
        "the penalty of the code is a sum over its dimensions, not a mean", forms=COLUMNS,
    ),
    Mistake("q2", "np.abs(u)", "(u**2)", "the penalty of the code has squares: (5) has |@u|"),
    Mistake("q2", "np.abs(u)", "u", "the penalty of the code lacks the absolute value"),
    Mistake("q2", "lam / 2", "lam", "the weight decay lacks its 1/2"),
    Mistake(
        "q2", "(A**2).sum()", "np.sqrt((A**2).sum())",
        "the weight decay has the norm of each matrix: (6) has its square",
    ),
    Mistake("q2", "= lam", "= -lam", "the weight decay is negative: it is a cost"),
    Mistake("q2", "kappa /", "1 /", "the weight of the code's penalty is missing"),
    Mistake("q2", "lam / 2", "1 / 2", "the weight of the decay is missing"),
    Mistake(
        "q2", "((p - x) ** 2)", "np.abs(p - x)", "the error has absolute values: (4) has squares"
    ),
    Mistake(
        "q2", "(A**2).sum()", "(A**2).mean()",
        "the weight decay has the mean of each matrix's squares: (6) has their sum",
    ),
    Mistake(
        "q2", "(A**2).sum()", "A.sum() ** 2",
        "the weight decay has the square of a sum: (6) has the sum of squares",
    ),
    Mistake(
        "q2", "sum((A**2).sum() for A in weights.values())",
        "(list(weights.values())[-1] ** 2).sum()",
        "the weight decay has the last matrix only: in a loop, add instead of assigning",
    ),
    Mistake(
        "q3", "2 /", "1 /", "half of what is right: the 2 of the square's derivative is missing"
    ),
    Mistake(
        "q3", "x.size", "len(x)", "the 1/d is missing: (4) is a mean over the pixels, too",
        forms=ROWS,
    ),
    Mistake(
        "q3", "x.size", "x.shape[1]", "the 1/d is missing: (4) is a mean over the pixels, too",
        forms=COLUMNS,
    ),
    Mistake(
        "q3", "x.size", "x.shape[1]", "the 1/n is missing: (4) is a mean over the images, too",
        forms=ROWS,
    ),
    Mistake(
        "q3", "x.size", "len(x)", "the 1/n is missing: (4) is a mean over the images, too",
        forms=COLUMNS,
    ),
    Mistake("q3", " / x.size", "", "the 1/(n d) of (4) is missing"),
    Mistake(
        "q3", " * p * (1 - p)", "",
        "this is the gradient with respect to @p: the sigmoid's derivative is missing",
    ),
    Mistake(
        "q3", "* p * (1 - p)", "* s * (1 - s)",
        "the sigmoid's derivative is written with its result, not with its input",
    ),
    Mistake("q3", " * p", "", "the sigmoid's derivative lacks its first factor"),
    Mistake("q3", " * (1 - p)", "", "the sigmoid's derivative lacks its second factor"),
    Mistake(
        "q3", "(p - x)", "(x - p)",
        "the sign: where @p is larger than the pixel, growing further costs more",
    ),
    Mistake(
        "q3", "2 / x.size * (p - x) * p * (1 - p)", "1 / len(x) * (p - x)",
        "this is the gradient of the cross-entropy: the loss here is the squared error",
        forms=ROWS,
    ),
    Mistake(
        "q3", "2 / x.size * (p - x) * p * (1 - p)", "1 / x.shape[1] * (p - x)",
        "this is the gradient of the cross-entropy: the loss here is the squared error",
        forms=COLUMNS,
    ),
    Mistake(
        "q3", "1 / (1 + np.exp(-s))", "s",
        "the sums @s are compared with the pixels: the reconstruction @p is, by (3)",
    ),
    Mistake(
        "q3", "np.exp(-s)", "np.exp(s)",
        "a sign in the sigmoid: by (3), a large sum makes a white pixel",
    ),
    Mistake("q4", "ds.T @ g", "ds.T @ g / len(g)", AVERAGED, forms=ROWS),
    Mistake("q4", "ds @ g.T", "ds @ g.T / g.shape[1]", AVERAGED, forms=COLUMNS),
    Mistake("q4", "ds.T @ g", "np.outer(ds[-1], g[-1])", LAST_ONE, forms=ROWS),
    Mistake("q4", "ds @ g.T", "np.outer(ds[:, -1], g[:, -1])", LAST_ONE, forms=COLUMNS),
    Mistake(
        "q4", "ds.T @ g", "np.outer(ds.sum(axis=0), g.sum(axis=0))",
        "the sum over the images is outside: sum the products, do not multiply the sums",
        forms=ROWS,
    ),
    Mistake(
        "q4", "ds @ g.T", "np.outer(ds.sum(axis=1), g.sum(axis=1))",
        "the sum over the images is outside: sum the products, do not multiply the sums",
        forms=COLUMNS,
    ),
    Mistake("q4", "ds.T @ g", "np.outer(ds[0], g[0])", FIRST_ONE, forms=ROWS),
    Mistake("q4", "ds @ g.T", "np.outer(ds[:, 0], g[:, 0])", FIRST_ONE, forms=COLUMNS),
    Mistake("q5", ".sum(", ".mean(", AVERAGED),
    Mistake("q5", "ds.sum(axis=0)", "ds[-1]", LAST_ONE, forms=ROWS),
    Mistake("q5", "ds.sum(axis=1)", "ds[:, -1]", LAST_ONE, forms=COLUMNS),
    Mistake("q5", "ds.sum(axis=0)", "ds[0]", FIRST_ONE, forms=ROWS),
    Mistake("q5", "ds.sum(axis=1)", "ds[:, 0]", FIRST_ONE, forms=COLUMNS),
    Mistake("q6", "ds @ A", "ds @ A / len(ds)", AVERAGED, forms=ROWS),
    Mistake("q6", "A.T @ ds", "A.T @ ds / ds.shape[1]", AVERAGED, forms=COLUMNS),
    Mistake(
        "q6", "ds @ A", "ds @ A / len(A)",
        "a mean over the outputs: an input acts through all of them, and the paths add up",
        forms=ROWS,
    ),
    Mistake(
        "q6", "A.T @ ds", "A.T @ ds / len(A)",
        "a mean over the outputs: an input acts through all of them, and the paths add up",
        forms=COLUMNS,
    ),
    Mistake(
        "q6", "ds @ A", "ds[:, -1:] * A[-1]",
        "only the last output: an input acts through all of them, and the paths add up",
        forms=ROWS,
    ),
    Mistake(
        "q6", "A.T @ ds", "A[-1][:, None] * ds[-1]",
        "only the last output: an input acts through all of them, and the paths add up",
        forms=COLUMNS,
    ),
    Mistake(
        "q7", "gate + s * gate * (1 - gate)", "gate",
        "the second term of the product rule is missing: the sigmoid depends on @s, too",
    ),
    Mistake(
        "q7", "gate + s * gate", "s * gate",
        "the first term of the product rule is missing: the derivative of @s itself",
    ),
    Mistake(
        "q7", "gate + s * gate * (1 - gate)", "s * gate",
        "this multiplies by the activation itself: its derivative is needed",
    ),
    Mistake(
        "q7", "s * gate * (1 - gate)", "gate * (1 - gate)",
        "the @s in the second term of the product rule is missing",
    ),
    Mistake(
        "q7", " * (1 - gate)", "",
        "the derivative of the sigmoid is not the sigmoid: a factor is missing",
    ),
    Mistake(
        "q7", "dg * ", "",
        "the chain rule multiplies: d@g, what arrives from above, is missing",
    ),
    Mistake(
        "q7", "(gate + s * gate * (1 - gate))", "(s > 0)", "this is the derivative of a ReLU"
    ),
    Mistake(
        "q7", "(gate + s * gate * (1 - gate))", "gate + s * gate * (1 - gate)",
        "a matter of brackets: d@g multiplies both terms of the product rule",
    ),
    Mistake(
        "q7", "gate + s", "gate - s",
        "the sign of the second term: in the product rule both terms are added",
    ),
    Mistake(
        "q7", "gate = 1 /", "gate = s /",
        "the activation itself stands where its gate, the sigmoid, should",
    ),
    Mistake(
        "q7", "np.exp(-s)", "np.exp(s)",
        "a sign in the sigmoid: by (2), the gate opens where @s is positive",
    ),
    Mistake(
        "q7", "np.exp(-s)", "np.exp(-dg)",
        "the derivative is taken at d@g: it is that at @s, the activation's input",
    ),
    Mistake(
        "q8", "du + ", "", "the decoder's path is lost: the gradients of both paths add up"
    ),
    Mistake(
        "q8", "du + ", "du - ",
        "the sign of the penalty: J grows with |@u|, and d@u says how J grows; it is gradient "
        "descent that subtracts it, later",
    ),
    Mistake("q8", " / len(u)", "", "the 1/n of (5) is missing", forms=ROWS),
    Mistake("q8", " / u.shape[1]", "", "the 1/n of (5) is missing", forms=COLUMNS),
    Mistake(
        "q8", "len(u)", "u.shape[1]",
        "divided by the dimensions of the code: (5) has the number of images", forms=ROWS,
    ),
    Mistake(
        "q8", "u.shape[1]", "len(u)",
        "divided by the dimensions of the code: (5) has the number of images", forms=COLUMNS,
    ),
    Mistake(
        "q8", "len(u)", "u.size", "a 1/c too many: (5) is a sum over the dimensions of the code",
        forms=ROWS,
    ),
    Mistake(
        "q8", "u.shape[1]", "u.size",
        "a 1/c too many: (5) is a sum over the dimensions of the code", forms=COLUMNS,
    ),
    Mistake("q8", "np.sign(u)", "np.abs(u)", "this adds the penalty itself, not its derivative"),
    Mistake("q8", "np.sign(u)", "u", "this is the derivative of half a square, not of |@u|"),
    Mistake("q8", "kappa /", "1 /", "the weight of the penalty is missing"),
    Mistake(
        "q8", "du + kappa / len(u) * np.sign(u)", "du", "the penalty's path is missing",
        forms=ROWS,
    ),
    Mistake(
        "q8", "du + kappa / u.shape[1] * np.sign(u)", "du", "the penalty's path is missing",
        forms=COLUMNS,
    ),
    Mistake(
        "q8", " * np.sign(u)", "",
        "the penalty pushes positive and negative entries in the same direction: |@u| falls to "
        "the left of 0",
    ),
    Mistake("q8", "np.sign(u)", "np.sign(du)", "the sign is that of d@u: it should be that of @u"),
    Mistake("q8", "np.sign(u)", "2 * u", "this is the derivative of a square, not of |@u|"),
    Mistake("q9", "dA + ", "", "the gradient of the data is lost: both parts add up"),
    Mistake("q9", "dA + ", "dA - ", "the sign: a decay makes large weights cost more"),
    Mistake("q9", "lam * A", "2 * lam * A", "twice too large: the 1/2 of (6) cancels the 2"),
    Mistake("q9", "lam * A", "lam / 2 * A", "half of what is right: the 1/2 of (6) cancels the 2"),
    Mistake(
        "q9", "lam * A", "lam / 2 * (A**2).sum()",
        "this adds the decay itself, not its derivative",
    ),
    Mistake(
        "q9", "lam * A", "lam / 2 * A**2", "this adds the decay itself, not its derivative"
    ),
    Mistake(
        "q9", "lam * A", "lam * np.sign(A)", "this is the derivative of |@A|: (6) has squares"
    ),
    Mistake("q9", "lam * A", "A", "the weight of the decay is missing"),
    Mistake("q9", "lam * A", "lam", "the derivative of a square has the weight @A in it"),
    Mistake("q9", "lam * A", "lam * A**2", "the derivative of a square is not a square"),
    Mistake("q10", "seen", "x", CLEAN),
    Mistake("q10", "ds.T @ seen", "ds.T @ (seen - x)", NOISE, forms=ROWS),
    Mistake("q10", "ds @ seen.T", "ds @ (seen - x).T", NOISE, forms=COLUMNS),
    Mistake("q10", "seen", "seen / len(x)", AVERAGED, forms=ROWS),
    Mistake("q10", "ds @", "ds / x.shape[1] @", AVERAGED, forms=COLUMNS),
    Mistake(
        "q11", "at_code.T @ x + ", "", "only the decoder's path: the encoder has the same weights",
        forms=ROWS,
    ),
    Mistake(
        "q11", "at_code @ x.T + ", "", "only the decoder's path: the encoder has the same weights",
        forms=COLUMNS,
    ),
    Mistake(
        "q11", " + u.T @ at_pixels", "",
        "only the encoder's path: the decoder has the same weights", forms=ROWS,
    ),
    Mistake(
        "q11", " + u @ at_pixels.T", "",
        "only the encoder's path: the decoder has the same weights", forms=COLUMNS,
    ),
    Mistake(
        "q11", "at_code.T @ x + u.T @ at_pixels", "(at_code.T @ x + u.T @ at_pixels) / 2",
        "a mean of both paths: gradients of paths add up", forms=ROWS,
    ),
    Mistake(
        "q11", "at_code @ x.T + u @ at_pixels.T", "(at_code @ x.T + u @ at_pixels.T) / 2",
        "a mean of both paths: gradients of paths add up", forms=COLUMNS,
    ),
    Mistake("q11", " + ", " - ", "the decoder's path is subtracted: gradients of paths add up"),
]  # fmt: skip
