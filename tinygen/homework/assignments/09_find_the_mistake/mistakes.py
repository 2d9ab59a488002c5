"""The mistakes of which each program has one, and how labels go wrong.

A hint tells a symptom, and not the line: the student's own check shows it while the mistake is
still there. SEEN are those that a gradient check of the program sees; of the training, one of its
line 37.
"""

from tinygen.homework.assignment import Mistake

SEEN = [
    Mistake(
        "q1", "dD = z.T @ dlogits / n", "dD = mean.T @ dlogits / n",
        "the loss is right, but d@D is not its gradient, though it nearly is where the codes are "
        "hardly moved",
    ),
    Mistake(
        "q1", "dmean = (dz + mean) / n", "dmean = dz / n",
        "the loss is right, but d@M is not its gradient, unless all means are 0",
    ),
    Mistake(
        "q1", "dz * noise * dsigma", "dz * noise * sigma",
        "the loss is right, but d@L is not its gradient, though it would be if @D were 0",
    ),
    Mistake(
        "q1", "dz * noise * dsigma", "dz * dsigma",
        "the loss is right, but d@L is not its gradient: it does not know which way a code was "
        "moved",
    ),
    Mistake(
        "q1", "loss = (nll.sum() + kl.sum()) / n", "loss = (nll.sum() - kl.sum()) / n",
        "all three gradients are right, but not those of the loss that is returned: raising the "
        "divergence lowers it",
    ),
    Mistake(
        "q3", "H_fake = np.tanh(fake @ A)", "H_fake = np.tanh(fake @ A, out=H_real)",
        "the loss of the discriminator is right, but d@A and d@w are not its gradients: the real "
        "images have not the effect that they should have",
    ),
    Mistake(
        "q3", "np.outer(db, w) * (1 - H_fake**2)", "np.outer(da, w) * (1 - H_fake**2)",
        "the loss of the discriminator is right, but d@A is not its gradient, while d@w is",
    ),
    Mistake(
        "q3", "dA, dw = x.T @ dS_real + fake.T @ dS_fake,", "dA, dw = x.T @ dS_real,",
        "the loss of the discriminator is right, but d@A is not its gradient: half of the images "
        "have no part in it",
    ),
    Mistake(
        "q3", "(np.outer(db, w) * (1 - H**2)) @ A.T", "np.outer(db, w) @ A.T",
        "the discriminator's step is right, and so is the generator's loss, but not its gradient, "
        "though it nearly is where @A is small",
    ),
    Mistake(
        "q3", "G - rate * z.T @ dfake", "G + rate * z.T @ dfake",
        "the discriminator's step is right, and so is the generator's loss, but its step goes "
        "uphill",
    ),
    Mistake(
        "q5", "(y - t[rows]) / batch", "(t[rows] - y) / batch",
        "the training goes uphill: the probabilities move away from the labels",
    ),
    Mistake(
        "q5", "x[rows].T @ (y - t[rows]) / batch",
        "x[rows].T @ ((y - t[rows]) * y * (1 - y)) / batch",
        "the training follows the gradient of another loss: an example that is completely wrong "
        "does not move the weights",
    ),
    Mistake(
        "q7", "dshift = da.sum(axis=0)", "dshift = da.mean(axis=0)",
        "the result is right, but the gradients with respect to `shift` and to what goes in are "
        "not",
    ),
    Mistake(
        "q7", "dgain = (da * y * s).sum(axis=0)", "dgain = (da * y).sum(axis=0)",
        "the result is right, but the gradients with respect to `gain` and to what goes in are not",
    ),
    Mistake(
        "q7", "da - dshift / n - y * s * dgain / n", "da - dshift / n",
        "only the gradient with respect to what goes in is wrong: it is as if the standard "
        "deviation were a constant",
    ),
    Mistake(
        "q7", "da - dshift / n - y * s * dgain / n", "da - y * s * dgain / n",
        "only the gradient with respect to what goes in is wrong: it is as if the mean were a "
        "constant",
    ),
]  # fmt: skip

UNSEEN = [
    Mistake(
        "q1", "standard_normal((n, c))", "standard_normal((n, 1))",
        "each gradient is that of the loss, but the codes are not drawn as they should be: "
        "measure how two units of a code are correlated",
    ),
    Mistake(
        "q1", "standard_normal((n, c))", "random((n, c))",
        "each gradient is that of the loss, but the codes are not drawn as they should be: "
        "measure their mean",
    ),
    Mistake(
        "q1", "np.exp(log_var / 2), np.exp(log_var / 2) / 2", "np.exp(log_var), np.exp(log_var)",
        "each gradient is that of the loss, but the codes are not drawn as they should be: measure "
        "their variance for a log variance of 1",
    ),
    Mistake(
        "q1", "softplus(logits) - x * logits, sigmoid(logits) - x",
        "softplus(logits) - logits, sigmoid(logits) - 1",
        "each gradient is that of the loss, but the loss likes bright images, whatever it is given",
    ),
    Mistake(
        "q3", "softplus(-b).mean(), -sigmoid(-b) / n", "-softplus(b).mean(), -sigmoid(b) / n",
        "the discriminator's step is right, and the generator's gradient is that of its loss, but "
        "it is not the loss of the page: the generator would not begin to learn",
    ),
    Mistake(
        "q3", "softplus(-b).mean(), -sigmoid(-b) / n", "((b - 1) ** 2).mean() / 2, (b - 1) / n",
        "the discriminator's step is right, and the generator's gradient is that of its loss, but "
        "it is not the loss of the page: a logit far above 1 is punished",
    ),
    Mistake(
        "q3", "softplus(-b).mean(), -sigmoid(-b) / n", "softplus(-b).sum(), -sigmoid(-b)",
        "the discriminator's step is right, and the generator's gradient is that of its loss, but "
        "twice as many images would give twice the loss",
    ),
    Mistake(
        "q3", "H = np.tanh(fake @ A)", "H = H_fake",
        "the discriminator's step is right; the generator's loss is neither that of the "
        "discriminator before its step, nor that of the one after it",
    ),
    Mistake(
        "q5", "x, t = x[order], t[order]", "x = x[order]",
        "each gradient is right for what it is given; but where the labels are easy to tell, "
        "little is learned",
    ),
    Mistake(
        "q5", "range(0, len(x), batch)", "range(batch, len(x), batch)",
        "each gradient is right, but some examples could be changed, and the weights after an "
        "epoch would be the same",
    ),
    Mistake(
        "q5", "m = beta * m + (1 - beta) * dw", "m = (1 - beta) * m + beta * dw",
        "the gradients are right, but a step depends more on the last batch than it should",
    ),
    Mistake(
        "q5", "v = gamma * v + (1 - gamma) * dw**2", "v = gamma * v + (1 - gamma) * m**2",
        "the gradients are right, but the steps are too long where gradients change their signs",
    ),
    Mistake(
        "q5", "v / (1 - gamma**step)", "v",
        "the gradients are right, but the first steps are larger than the rate allows",
    ),
    Mistake(
        "q5", "m / (1 - beta**step)", "m / (1 - beta)",
        "the gradients and the first step are right, but later ones are too large",
    ),
    Mistake(
        "q7", "mean = (1 - rate) * mean + rate * middle",
        "mean = rate * mean + (1 - rate) * middle",
        "the result and its gradients are right, but not what is remembered of the batch, and so "
        "not its use after the training",
    ),
    Mistake(
        "q7", "variance + rate * spread * n / (n - 1)", "variance + rate * spread",
        "the result and its gradients are right, but one running statistic is too small on average",
    ),
    Mistake(
        "q7", "(test - mean) / np.sqrt(variance + tiny)",
        "(test - test.mean(axis=0)) / np.sqrt(variance + tiny)",
        "all is right until the training is over; then the result of a row depends on the others",
    ),
    Mistake(
        "q7", "(test - mean) / np.sqrt(variance + tiny)",
        "(test - mean) / np.sqrt(spread + tiny)",
        "all is right until the training is over; then the result depends on the last batch of it "
        "more than it should",
    ),
]  # fmt: skip

LABELS = [
    Mistake(question, "return", f"return {step} +", hint)
    for question in ("q2", "q4", "q6", "q8")
    for step, hint in [
        (1, "not this line: the mistake is before it"),
        (-1, "not this line: the mistake is after it"),
    ]
]


def of(mistakes, *questions):
    """Those of some questions."""
    return [mistake for mistake in mistakes if mistake.question in questions]


# A variant takes the same place in the list of each program: its four mistakes are of both kinds.
MISTAKES = [*of(SEEN, "q3", "q5"), *UNSEEN, *of(SEEN, "q1", "q7"), *LABELS]
