"""What students get wrong in the homework on GANs."""

from tinygen.homework.assignment import Mistake

ROWS, COLUMNS = ("rows",), ("columns",)
BOTH_SUMS = "the loss is a mean over the images, and so is its gradient: here both are sums"
OF_THE_LOG = (
    "is the derivative of a logarithm alone: within it there is a sigmoid, which has one, too"
)
OF_THE_SIGMOID = "is the derivative of a sigmoid alone: around it there is a logarithm"
PLACES = "the results have changed places"


def each(question, rows, columns, hint):
    """A mistake that is written in one way for images in rows, in another for columns."""
    return [
        Mistake(question, rows[0], rows[1], hint, ROWS),
        Mistake(question, columns[0], columns[1], hint, COLUMNS),
    ]


MISTAKES = [
    Mistake(
        "q1", "softplus(-r).mean() + softplus(q).mean()",
        "(-np.log(sigmoid(r))).mean() + softplus(q).mean()",
        "infinite where the discriminator is sure: the logarithm of a probability that has become "
        "0, or an exponential that overflows; there is a way from logits to losses without either",
    ),
    Mistake(
        "q1", "softplus(-r).mean() + softplus(q).mean()",
        "softplus(r).mean() + softplus(-q).mean()",
        "real and fake images are exchanged: this is small where real images are called fake",
    ),
    Mistake(
        "q1", "softplus(-r).mean() + softplus(q).mean()",
        "0.5 * (softplus(-r).mean() + softplus(q).mean())",
        "the two means are added; neither is halved",
    ),
    Mistake(
        "q1", "softplus(-r).mean() + softplus(q).mean()",
        "(softplus(-r).sum() + softplus(q).sum()) / (len(r) + len(q))",
        "real and fake images have a mean each; here it is one mean over all the images",
    ),
    Mistake(
        "q1", "softplus(-r).mean() + softplus(q).mean()",
        "softplus(-r).sum() + softplus(q).sum()",
        "the loss is a mean over the images, and not their sum",
    ),
    Mistake(
        "q1",
        "softplus(-r).mean() + softplus(q).mean()",
        "softplus(-r).mean() - softplus(q).mean()",
        "the loss of the fake images is subtracted: both are costs",
    ),
    Mistake(
        "q1",
        "softplus(-r).mean() + softplus(q).mean()",
        "softplus(r).mean() + softplus(q).mean()",
        "the sign of @r: here a real image costs much where it is taken for real",
    ),
    Mistake(
        "q1",
        "softplus(-r).mean() + softplus(q).mean()",
        "softplus(-r).mean() + softplus(-q).mean()",
        "the sign of @q: here a fake image costs much where it is taken for fake",
    ),
    Mistake(
        "q1", "softplus(-r).mean() + softplus(q).mean()", "softplus(-r).mean()",
        "the loss of the fake images is missing",
    ),
    Mistake(
        "q1", "softplus(-r).mean() + softplus(q).mean()", "softplus(q).mean()",
        "the loss of the real images is missing",
    ),
    Mistake(
        "q2", "dr = -sigmoid(-r) / len(r)", "dr = sigmoid(-r) / len(r)",
        "the sign of d@r: raising the logit of a real image lowers the loss",
    ),
    Mistake(
        "q2", "dr = -sigmoid(-r) / len(r)", "dr = -sigmoid(r) / len(r)",
        "d@r is large where the discriminator is right; it has to be large where it is wrong",
    ),
    Mistake(
        "q2", "dr = -sigmoid(-r) / len(r)", "dr = (sigmoid(r) - 1) / len(r)",
        "the formula of d@r is right, but it is a difference of two numbers close to 1, which "
        "loses all digits where the discriminator is sure; there is one without a difference",
    ),
    Mistake(
        "q2", "dr = -sigmoid(-r) / len(r)", "dr = -sigmoid(-r)",
        "the loss is a mean over the real images: d@r lacks their number",
    ),
    Mistake(
        "q2", "dq = sigmoid(q) / len(q)", "dq = sigmoid(q) / len(r)",
        "d@q is divided by the number of real images instead of that of the fake ones",
    ),
    Mistake(
        "q2", "dq = sigmoid(q) / len(q)", "dq = sigmoid(q) * (1 - sigmoid(q)) / len(q)",
        "d@q has a derivative too many: softplus is differentiated twice",
    ),
    Mistake(
        "q2",
        "dr = -sigmoid(-r) / len(r)",
        "dr = -sigmoid(-r) / (len(r) + len(q))",
        "d@r is divided by the number of all images; real and fake ones have a mean each",
    ),
    Mistake(
        "q2",
        "dq = sigmoid(q) / len(q)",
        "dq = sigmoid(q)",
        "the loss is a mean over the fake images: d@q lacks their number",
    ),
    Mistake(
        "q2",
        "dq = sigmoid(q) / len(q)",
        "dq = sigmoid(-q) / len(q)",
        "d@q is large where the discriminator is right; it has to be large where it is wrong",
    ),
    Mistake(
        "q2",
        "dq = sigmoid(q) / len(q)",
        "dq = (1 - sigmoid(-q)) / len(q)",
        "the formula of d@q is right, but it is a difference of two numbers close to 1, which "
        "loses all digits where the discriminator is sure",
    ),
    Mistake(
        "q2", "dq = sigmoid(q) / len(q)", "dq = -sigmoid(q) / len(q)",
        "the sign of d@q: raising the logit of a fake image raises the loss",
    ),
    Mistake(
        "q2", "dr = -sigmoid(-r) / len(r)", "dr = sigmoid(r) / len(r)",
        "in d@r a 1 is missing: raising the logit of a real image lowers the loss",
    ),
    Mistake(
        "q2", "dr = -sigmoid(-r) / len(r)", "dr = -1 / sigmoid(r) / len(r)", "d@r " + OF_THE_LOG
    ),
    Mistake(
        "q2", "dr = -sigmoid(-r) / len(r)", "dr = -sigmoid(r) * sigmoid(-r) / len(r)",
        "d@r " + OF_THE_SIGMOID,
    ),
    Mistake("q2", "dq = sigmoid(q) / len(q)", "dq = 1 / sigmoid(-q) / len(q)", "d@q " + OF_THE_LOG),
    Mistake("q2", "return dr, dq", "return dq, dr", PLACES),
    Mistake(
        "q3", "loss = softplus(-q).mean()", "loss = softplus(q).mean()",
        "the loss is low where the discriminator sees that an image is fake; the generator wants "
        "the opposite",
    ),
    Mistake(
        "q3", "dq = -sigmoid(-q) / len(q)", "dq = -sigmoid(q) / len(q)",
        "d@q is that of the minimax loss, which vanishes where the discriminator is sure that an "
        "image is fake",
    ),
    Mistake(
        "q3", "dq = -sigmoid(-q) / len(q)", "dq = sigmoid(-q) / len(q)",
        "the sign of d@q: raising the logit of its images lowers the generator's loss",
    ),
    Mistake(
        "q3", "dq = -sigmoid(-q) / len(q)", "dq = -sigmoid(-q)",
        "the loss is a mean over the images: d@q lacks their number",
    ),
    Mistake(
        "q3",
        "loss = softplus(-q).mean()",
        "loss = -np.log(sigmoid(q)).mean()",
        "the logarithm of a number that has become 0 is infinite: use a softplus",
    ),
    Mistake(
        "q3",
        "loss = softplus(-q).mean()",
        "loss = softplus(-q).sum()",
        "the loss is a mean over the images, and not their sum",
    ),
    Mistake(
        "q3", "loss = softplus(-q).mean()\n    dq = -sigmoid(-q) / len(q)",
        "loss, dq = -softplus(q).mean(), -sigmoid(q) / len(q)",
        "this is the minimax loss, which q4 asks for",
    ),
    Mistake(
        "q3", "loss = softplus(-q).mean()\n    dq = -sigmoid(-q) / len(q)",
        "loss, dq = softplus(-q).sum(), -sigmoid(-q)", BOTH_SUMS,
    ),
    Mistake(
        "q3", "dq = -sigmoid(-q) / len(q)", "dq = -1 / sigmoid(q) / len(q)", "d@q " + OF_THE_LOG
    ),
    Mistake(
        "q3", "dq = -sigmoid(-q) / len(q)", "dq = -sigmoid(q) * sigmoid(-q) / len(q)",
        "d@q " + OF_THE_SIGMOID,
    ),
    Mistake("q3", "return loss, dq", "return dq, loss", PLACES),
    Mistake(
        "q4", "loss = -softplus(q).mean()", "loss = softplus(q).mean()",
        "this is what the discriminator wants; in the minimax game the generator wants the "
        "opposite",
    ),
    Mistake(
        "q4", "dq = -sigmoid(q) / len(q)", "dq = -sigmoid(-q) / len(q)",
        "d@q is that of the non-saturating loss, and not of this one",
    ),
    Mistake(
        "q4", "dq = -sigmoid(q) / len(q)", "dq = sigmoid(q) / len(q)",
        "d@q has the sign of the discriminator's gradient: the minus before the loss is not in it",
    ),
    Mistake(
        "q4",
        "loss = -softplus(q).mean()",
        "loss = np.log(1 - sigmoid(q)).mean()",
        "the logarithm of a number that has become 0 is infinite: use a softplus",
    ),
    Mistake(
        "q4",
        "dq = -sigmoid(q) / len(q)",
        "dq = -sigmoid(q)",
        "the loss is a mean over the images: d@q lacks their number",
    ),
    Mistake(
        "q4",
        "dq = -sigmoid(q) / len(q)",
        "dq = -sigmoid(q) * (1 - sigmoid(q)) / len(q)",
        "d@q has a derivative too many: softplus is differentiated twice",
    ),
    Mistake(
        "q4", "loss = -softplus(q).mean()\n    dq = -sigmoid(q) / len(q)",
        "loss, dq = softplus(-q).mean(), -sigmoid(-q) / len(q)",
        "this is the non-saturating loss, which q3 asks for",
    ),
    Mistake(
        "q4", "loss = -softplus(q).mean()\n    dq = -sigmoid(q) / len(q)",
        "loss, dq = -softplus(q).sum(), -sigmoid(q)", BOTH_SUMS,
    ),
    Mistake(
        "q4", "dq = -sigmoid(q) / len(q)", "dq = 1 / sigmoid(-q) / len(q)", "d@q " + OF_THE_LOG
    ),
    Mistake(
        "q5", "F = 1 - H**2", "F = 1 - H",
        "a power is missing in @F: the derivative of tanh is the same at a sum and at its opposite",
        ROWS,
    ),
    Mistake(
        "q5", "K = -2 * H * F", "K = -2 * H",
        "the chain rule is missing in @K: the derivative of a square has the derivative of what is "
        "squared in it",
        ROWS,
    ),
    Mistake(
        "q5", "K = -2 * H * F", "K = 2 * H * F",
        "the sign of @K: tanh bends downwards where its sum is positive",
        ROWS,
    ),
    Mistake(
        "q5", "F = sigmoid(S)", "F = softplus(S)",
        "@F is the activation itself, and not its derivative",
        COLUMNS,
    ),
    Mistake(
        "q5", "K = F * (1 - F)", "K = F * (1 - F) * (1 - 2 * F)",
        "@K is the third derivative of softplus; the second is that of a sigmoid, taken once",
        COLUMNS,
    ),
    Mistake(
        "q5", "K = F * (1 - F)", "K = 1 - F**2",
        "@K is made of @F as the derivative of tanh is of tanh: @F is a sigmoid",
        COLUMNS,
    ),
    Mistake(
        "q5", "K = F * (1 - F)", "K = F * (1 - S)",
        "in @K one factor has the sum where the sigmoid of it should be",
        COLUMNS,
    ),
    Mistake(
        "q5", "K = F * (1 - F)", "K = 0 * F",
        "softplus is curved: @K is not 0, as it would be for ReLU",
        COLUMNS,
    ),
    Mistake(
        "q5",
        "K = -2 * H * F",
        "K = -2 * S * F",
        "@K has the sums in it where the chain rule has tanh of them",
        ROWS,
    ),
    Mistake(
        "q5",
        "F = 1 - H**2",
        "F = 1 - S**2",
        "@F has the square of the sums in it; the derivative of tanh can be written with tanh "
        "alone",
        ROWS,
    ),
    Mistake("q5", "return F, K", "return K, F", PLACES),
    *each(
        "q5",
        ("return F, K", "return H, F"),
        ("return F, K", "return softplus(S), F"),
        "these are the activation and its first derivative: the first and the second are asked",
    ),
    Mistake(
        "q5", "K = -2 * H * F", "K = 1 - F**2",
        "@K is made of @F as @F is of tanh, but @F is no tanh",
        ROWS,
    ),
    Mistake(
        "q5", "K = -2 * H * F", "K = -2 * F",
        "@K lacks tanh itself: the derivative of a square has what is squared in it",
        ROWS,
    ),
    Mistake(
        "q6", "dq[:, None] * w * F", "dq[:, None] * w",
        "the gradient does not pass through the activation: its derivative @F is missing",
        ROWS,
    ),
    Mistake(
        "q6", "w[:, None] * F * dq", "w[:, None] + 0 * F * dq",
        "the gradient of the logits is missing: every image is moved alike, whatever its logit",
        COLUMNS,
    ),
    Mistake(
        "q6", "dq[:, None] * w * F", "dq.mean() * w * F",
        "the gradient of each logit goes back to its own image; here all images get the mean",
        ROWS,
    ),
    Mistake(
        "q6", "w[:, None] * F * dq", "w[:, None] * F * dq.mean()",
        "the gradient of each logit goes back to its own image; here all images get the mean",
        COLUMNS,
    ),
    Mistake(
        "q6", "dq[:, None] * w * F", "dq[:, None] * F",
        "the weights @w of the last layer are missing",
        ROWS,
    ),
    Mistake(
        "q6", "w[:, None] * F * dq", "w[:, None] * dq + 0 * F",
        "the gradient does not pass through the activation: its derivative @F is missing",
        COLUMNS,
    ),
    Mistake(
        "q6",
        "dq[:, None] * w * F",
        "0 * dq[:, None] + w * F",
        "the gradient of the logits is missing: every image is moved alike, whatever its logit",
        ROWS,
    ),
    Mistake(
        "q6",
        "dq[:, None] * w * F",
        "dq[:, None] * w * F * (1 - F)",
        "@F is a derivative already, and is not to be differentiated again",
        ROWS,
    ),
    Mistake(
        "q6",
        "w[:, None] * F * dq",
        "w[:, None] * F * (1 - F) * dq",
        "@F is a derivative already, and is not to be differentiated again",
        COLUMNS,
    ),
    *each(
        "q6",
        ("* w * F", "* w * (1 - F**2)"),
        ("* F * dq", "* sigmoid(F) * dq"),
        "@F is the derivative already; here it is taken for the sums or the units",
    ),
    Mistake(
        "q7", "dY * Y * (1 - Y)", "dY * Y",
        "the derivative of the sigmoid at the generator's end has two factors; one is missing",
    ),
    Mistake(
        "q7", "dU = dY * Y * (1 - Y)", "dU = dY + 0 * Y",
        "the gradient does not pass through the sigmoid at the generator's end",
    ),
    Mistake(
        "q7", "dU = dY * Y * (1 - Y)", "dU = dY * Y * (1 - Y) / dY.size",
        "the mean over the images is in the gradient already; here it is divided once more, by the "
        "number of all pixels",
    ),
    Mistake(
        "q7", "dU.sum(axis=0)", "dU.mean(axis=0)",
        "d@b adds up what each image contributes; a mean over images is in d@Y already",
        ROWS,
    ),
    Mistake(
        "q7", "dU.sum(axis=1)", "dU.mean(axis=1)",
        "d@b adds up what each image contributes; a mean over images is in d@Y already",
        COLUMNS,
    ),
    Mistake(
        "q7",
        "dY * Y * (1 - Y)",
        "dY * (1 - Y**2)",
        "this is the derivative of a tanh: the generator ends with a sigmoid",
    ),
    Mistake(
        "q7",
        "Z.T @ dU",
        "Z.T @ dU / len(Z)",
        "d@B is divided by the number of images; a mean over images is in d@Y already",
        ROWS,
    ),
    Mistake(
        "q7",
        "dU @ Z.T",
        "dU @ Z.T / Z.shape[1]",
        "d@B is divided by the number of images; a mean over images is in d@Y already",
        COLUMNS,
    ),
    Mistake(
        "q7", "dY * Y * (1 - Y)", "dY * (1 - Y)",
        "the derivative of the sigmoid at the generator's end has two factors; one is missing",
    ),
    Mistake(
        "q7", "dY * Y * (1 - Y)", "dY * sigmoid(Y) * (1 - sigmoid(Y))",
        "here is the sigmoid of @Y, which is that of the sums already",
    ),
    *each(
        "q7",
        ("dU.sum(axis=0)", "dY.sum(axis=0)"),
        ("dU.sum(axis=1)", "dY.sum(axis=1)"),
        "d@b does not pass through the sigmoid at the generator's end",
    ),
    *each(
        "q7",
        ("return Z.T @ dU, dU.sum(axis=0)", "return dU.sum(axis=0), Z.T @ dU"),
        ("return dU @ Z.T, dU.sum(axis=1)", "return dU.sum(axis=1), dU @ Z.T"),
        PLACES,
    ),
    Mistake(
        "q8", "lam / (2 * len(F))", "lam / len(F)",
        "the penalty lacks its half",
        ROWS,
    ),
    Mistake(
        "q8", "lam / (2 * V.shape[1])", "lam / V.shape[1]",
        "the penalty lacks its half",
        COLUMNS,
    ),
    Mistake(
        "q8", "R = lam / (2 * len(F)) * np.sum(V**2)", "R = lam / 2 * np.mean(V**2)",
        "the penalty is a mean over the images, but a sum over the pixels; here it is a mean over "
        "both",
        ROWS,
    ),
    Mistake(
        "q8", "R = lam / (2 * V.shape[1]) * np.sum(V**2)", "R = lam / 2 * np.mean(V**2)",
        "the penalty is a mean over the images, but a sum over the pixels; here it is a mean over "
        "both",
        COLUMNS,
    ),
    Mistake(
        "q8", "V = (w * F) @ A.T", "V = (w * F) @ A.T / len(F)",
        "@V is the derivative of each logit, and not of their mean: no number of images is in it",
        ROWS,
    ),
    Mistake(
        "q8", "V = A.T @ (w[:, None] * F)", "V = A.T @ (w[:, None] * F) / F.shape[1]",
        "@V is the derivative of each logit, and not of their mean: no number of images is in it",
        COLUMNS,
    ),
    Mistake(
        "q8", "np.sum(V**2)", "np.sum(np.sqrt(np.sum(V**2, axis=1)))",
        "R1 has the square of the norm in it; here it is the norm",
        ROWS,
    ),
    Mistake(
        "q8", "np.sum(V**2)", "np.sum(np.sqrt(np.sum(V**2, axis=0)))",
        "R1 has the square of the norm in it; here it is the norm",
        COLUMNS,
    ),
    Mistake(
        "q8",
        "np.sum(V**2)",
        "np.sum(V) ** 2",
        "it is the square of a sum; (16) has a sum of squares",
    ),
    Mistake(
        "q8",
        "(w * F)",
        "(0 * w + F)",
        "the weights @w of the last layer are missing in @V",
        ROWS,
    ),
    Mistake(
        "q8",
        "(w[:, None] * F)",
        "(0 * w[:, None] + F)",
        "the weights @w of the last layer are missing in @V",
        COLUMNS,
    ),
    Mistake(
        "q8",
        "lam / (2",
        "1 / (2",
        "the weight @lam of the penalty is missing",
    ),
    *each(
        "q8",
        ("(w * F)", "(w + 0 * F)"),
        ("(w[:, None] * F)", "(w[:, None] + 0 * F)"),
        "the way to the images leads through the activation: @F is missing in @V",
    ),
    *each(
        "q8",
        ("(w * F)", "(w * (1 - F**2))"),
        ("(w[:, None] * F)", "(w[:, None] * sigmoid(F))"),
        "@F is the derivative already; here it is taken for the sums or the units",
    ),
    *each(
        "q8",
        ("np.sum(V**2)", "np.sum(V.sum(axis=1) ** 2)"),
        ("np.sum(V**2)", "np.sum(V.sum(axis=0) ** 2)"),
        "the penalty has the square of a sum over the pixels; (16) has a sum of squares",
    ),
    *each(
        "q8",
        ("np.sum(V**2)", "len(V) * np.sum(V.mean(axis=0) ** 2)"),
        ("np.sum(V**2)", "V.shape[1] * np.sum(V.mean(axis=1) ** 2)"),
        "the penalty is on the mean of @V over the images; (16) has the mean of what each costs",
    ),
    Mistake(
        "q8", "np.sum(V**2)", "np.sqrt(np.sum(V**2))",
        "the penalty has the norm of all of @V; (16) has the squares of norms",
    ),
    *each(
        "q8",
        ("np.sum(V**2)", "np.sum((np.sqrt(np.sum(V**2, axis=1)) - 1) ** 2)"),
        ("np.sum(V**2)", "np.sum((np.sqrt(np.sum(V**2, axis=0)) - 1) ** 2)"),
        "this is the penalty of WGAN-GP, which wants norms of 1; R1 wants 0",
    ),
    Mistake("q8", "return V, R", "return R, V", PLACES),
    Mistake(
        "q9", "dV = lam / len(V) * V", "dV = lam / (2 * len(V)) * V",
        "d@V is half of what is right: what does the derivative of a square bring?",
        ROWS,
    ),
    Mistake(
        "q9", "dV = lam / V.shape[1] * V", "dV = lam / (2 * V.shape[1]) * V",
        "d@V is half of what is right: what does the derivative of a square bring?",
        COLUMNS,
    ),
    Mistake(
        "q9", "dV.T @ (w * F)", "dV.T @ (0 * w + F)",
        "@A is multiplied by all that has come down to it, @w included",
        ROWS,
    ),
    Mistake(
        "q9", "(w[:, None] * F) @ dV.T", "(0 * w[:, None] + F) @ dV.T",
        "@A is multiplied by all that has come down to it, @w included",
        COLUMNS,
    ),
    Mistake(
        "q9", "dw = np.sum((dV @ A) * F, axis=0)", "dw = np.sum(dV @ A, axis=0)",
        "@w meets @F on the way down, so d@w has @F in it",
        ROWS,
    ),
    Mistake(
        "q9", "dw = np.sum((A @ dV) * F, axis=1)", "dw = np.sum(A @ dV, axis=1)",
        "@w meets @F on the way down, so d@w has @F in it",
        COLUMNS,
    ),
    Mistake(
        "q9",
        "dV = lam",
        "dV = 1",
        "the weight @lam of the penalty is missing",
    ),
    *each(
        "q9",
        ("dV = lam / len(V) * V", "dV = lam * V"),
        ("dV = lam / V.shape[1] * V", "dV = lam * V"),
        "the mean over the images is missing: (16) has it",
    ),
    *each(
        "q9",
        ("dV = lam / len(V) * V", "dV = V"),
        ("dV = lam / V.shape[1] * V", "dV = V"),
        "it is the gradient of |@V|^2 / 2, without the weight of the penalty and without the mean",
    ),
    *each(
        "q9",
        ("dV.T @ (w * F)", "dV.T @ (w + 0 * F)"),
        ("(w[:, None] * F) @ dV.T", "(w[:, None] + 0 * F) @ dV.T"),
        "@A is multiplied by all that has come down to it, @F included",
    ),
    *each(
        "q9",
        ("np.sum((dV @ A) * F, axis=0)", "np.sum((dV @ A) * F * w, axis=0)"),
        ("np.sum((A @ dV) * F, axis=1)", "np.sum((A @ dV) * F * w[:, None], axis=1)"),
        "d@w has @w itself in it: (15) is linear in it",
    ),
    Mistake("q9", "return dA, dw", "return dw, dA", PLACES),
    Mistake(
        "q10", "dS = Q * w * K", "dS = Q * K + 0 * w",
        "@F was multiplied by @w on the way down, so its gradient has @w in it",
        ROWS,
    ),
    Mistake(
        "q10", "dS = Q * w[:, None] * K", "dS = Q * K + 0 * w[:, None]",
        "@F was multiplied by @w on the way down, so its gradient has @w in it",
        COLUMNS,
    ),
    Mistake(
        "q10", "dS.sum(axis=0)", "0 * dS.sum(axis=0)",
        "the biases @e have a gradient: the sums depend on them, and @F on the sums",
        ROWS,
    ),
    Mistake(
        "q10", "dS.sum(axis=1)", "0 * dS.sum(axis=1)",
        "the biases @e have a gradient: the sums depend on them, and @F on the sums",
        COLUMNS,
    ),
    Mistake(
        "q10", "lam / len(V) * V @ A", "V @ A",
        "it is the gradient of |@V|^2 / 2, without the weight of the penalty and without the mean",
        ROWS,
    ),
    Mistake(
        "q10", "A @ (lam / V.shape[1] * V)", "A @ V",
        "it is the gradient of |@V|^2 / 2, without the weight of the penalty and without the mean",
        COLUMNS,
    ),
    Mistake(
        "q10", "Y.T @ dS", "V.T @ dS",
        "the way from the sums to @A goes through the images, and not through @V",
        ROWS,
    ),
    Mistake(
        "q10", "dS @ Y.T", "dS @ V.T",
        "the way from the sums to @A goes through the images, and not through @V",
        COLUMNS,
    ),
    Mistake(
        "q10",
        "dS = Q * w * K",
        "dS = Q * w + 0 * K",
        "@K is missing: the way from @F to the sums leads through it",
        ROWS,
    ),
    Mistake(
        "q10",
        "dS = Q * w[:, None] * K",
        "dS = Q * w[:, None] + 0 * K",
        "@K is missing: the way from @F to the sums leads through it",
        COLUMNS,
    ),
    *each(
        "q10",
        ("lam / len(V) * V @ A", "lam / (2 * len(V)) * V @ A"),
        ("lam / V.shape[1] * V", "lam / (2 * V.shape[1]) * V"),
        "half of what is right: what does the derivative of a square bring?",
    ),
    *each(
        "q10",
        ("lam / len(V) * V @ A", "lam * V @ A"),
        ("lam / V.shape[1] * V", "lam * V"),
        "the mean over the images is missing: (16) has it",
    ),
    *each(
        "q10",
        ("return Y.T @ dS, dS.sum(axis=0)", "return dS.sum(axis=0), Y.T @ dS"),
        ("return dS @ Y.T, dS.sum(axis=1)", "return dS.sum(axis=1), dS @ Y.T"),
        PLACES,
    ),
]  # fmt: skip
