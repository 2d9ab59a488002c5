"""The well-known mistakes of a VAE's loss and gradient."""

from tinygen.homework.assignment import Mistake

SIGMA, VARIANCE = ["log_sigma"], ["log_variance"]
BOTH_NEGATIVE = "both signs are wrong: a KL is never negative"

MISTAKES = [
    Mistake(
        "q1", "np.exp(t)", "np.exp(t / 2)",
        "the noise is multiplied by the square root of the standard deviation: what is @t the log "
        "of?",
        forms=SIGMA,
    ),
    Mistake(
        "q1", "np.exp(t)", "np.exp(2 * t)",
        "the noise is multiplied by the variance: what is @t the log of?",
        forms=SIGMA,
    ),
    Mistake(
        "q1", "np.exp(t / 2)", "np.exp(t)",
        "the noise is multiplied by the variance: what is @t the log of?",
        forms=VARIANCE,
    ),
    Mistake("q1", "np.exp(t)", "t", "@t is a logarithm: take its exponential", forms=SIGMA),
    Mistake("q1", "np.exp(t / 2)", "t", "@t is a logarithm: take its exponential", forms=VARIANCE),
    Mistake(
        "q1", "m + np.exp(t) * eps", "m * eps + np.exp(t)",
        "mean and standard deviation have changed places: which of them does the noise multiply?",
        forms=SIGMA,
    ),
    Mistake(
        "q1", "m + np.exp(t / 2) * eps", "m * eps + np.exp(t / 2)",
        "mean and standard deviation have changed places: which of them does the noise multiply?",
        forms=VARIANCE,
    ),
    Mistake(
        "q1", "m + ", "m - ",
        "the noise is subtracted: that has the same distribution, but (2) adds it, and so will "
        "the backward pass",
    ),
    Mistake(
        "q1", "np.exp(t / 2)", "np.exp(2 * t)",
        "the noise is multiplied by the square of the variance: what is @t the log of?",
        forms=VARIANCE,
    ),
    Mistake(
        "q1", "np.exp(t)", "np.exp(t) / 2",
        "the noise is multiplied by half a standard deviation: there is no 1/2 in (1)",
        forms=SIGMA,
    ),
    Mistake(
        "q1", "np.exp(t / 2)", "np.exp(t) / 2",
        "the noise is multiplied by half a variance: that is not its square root", forms=VARIANCE,
    ),
    Mistake(
        "q2", "-np.logaddexp(0, -f), -np.logaddexp(0, f)",
        "-np.log(1 + np.exp(-f)), -np.log(1 + np.exp(f))",
        "right for small logits, but the exponential of a large one, in case 2, overflows: look at "
        "the hint",
    ),
    Mistake(
        "q2", "-np.logaddexp(0, -f), -np.logaddexp(0, f)",
        "np.log(np.clip(1 / (1 + np.exp(-f)), 1e-7, 1 - 1e-7)), "
        "np.log(np.clip(1 / (1 + np.exp(f)), 1e-7, 1 - 1e-7))",
        "right for small logits, but a clipped probability has lost how wrong a pixel with a "
        "large one, in case 2, is: do without the probability",
    ),
    Mistake(
        "q2", ".sum(axis=-1)", ".mean(axis=-1)",
        "a mean over the pixels: the log probability of an image is a sum",
    ),
    Mistake("q2", " + (1 - x) * log_black", "", "the black pixels are missing: 1 - x of them"),
    Mistake(
        "q2", "return (x", "return -(x",
        "the sign: this is the cross-entropy; a log probability is at most 0",
    ),
    Mistake(
        "q2", "x * log_white + (1 - x) * log_black", "(1 - x) * log_white + x * log_black",
        "black and white have changed places: y is the probability of white",
    ),
    Mistake("q2", "x * log_white", "log_white", "the x before log y is missing"),
    Mistake(
        "q3", "np.exp(2 * t)", "np.exp(t)",
        "exp(@t) is the standard deviation, and the KL needs the variance", forms=SIGMA,
    ),
    Mistake(
        "q3", "- t", "- 0.5 * t",
        "the logarithm's term is half of what it should be: the log of the variance is 2 @t",
        forms=SIGMA,
    ),
    Mistake(
        "q3", "- t", "+ t",
        "the logarithm's term has the wrong sign: a large variance would be punished twice",
    ),
    Mistake("q3", "- t", "- np.log(t)", "@t is a logarithm already: its logarithm is not asked"),
    Mistake(
        "q3", "- t", "- 0.5 * np.log(t**2)",
        "@t is a logarithm already: its logarithm is not asked", forms=SIGMA,
    ),
    Mistake(
        "q3", "- t", "- np.log(t**2)", "@t is a logarithm already: its logarithm is not asked",
        forms=VARIANCE,
    ),
    Mistake("q3", "np.exp(2 * t)", "t**2", "@t is a logarithm: take its exponential", forms=SIGMA),
    Mistake("q3", "np.exp(t)", "t", "@t is a logarithm: take its exponential", forms=VARIANCE),
    Mistake(
        "q3", "0.5 * (np.exp(2 * t) + m**2 - 1) - t", "np.exp(2 * t) + m**2 - 1 - 2 * t",
        "twice too large: the 1/2 in front is missing", forms=SIGMA,
    ),
    Mistake(
        "q3", "0.5 * (np.exp(2 * t) + m**2 - 1) - t", "t - 0.5 * (np.exp(2 * t) + m**2 - 1)",
        BOTH_NEGATIVE, forms=SIGMA,
    ),
    Mistake(
        "q3", "np.exp(t)", "np.exp(2 * t)",
        "exp(2 @t) is the square of the variance: @t is its log already", forms=VARIANCE,
    ),
    Mistake(
        "q3", "np.exp(t)", "np.exp(t / 2)",
        "exp(@t/2) is the standard deviation, and the KL needs the variance", forms=VARIANCE,
    ),
    Mistake(
        "q3", "- t", "- 2 * t",
        "the logarithm's term is twice too large: @t is the log of the variance already",
        forms=VARIANCE,
    ),
    Mistake(
        "q3", "0.5 * (", "(", "twice too large: the 1/2 in front is missing", forms=VARIANCE
    ),
    Mistake("q3", "0.5 * (", "-0.5 * (", BOTH_NEGATIVE, forms=VARIANCE),
    Mistake(
        "q3", " - 1", "", "the -1 is missing: the KL of the prior from itself is 0, not 1/2"
    ),
    Mistake("q3", "m**2", "m", "the mean is not squared"),
    Mistake(
        "q3", "- t", "- t / 2",
        "the logarithm's term is half of what it should be: (5) has the log of the variance",
        forms=VARIANCE,
    ),
    Mistake(
        "q3", "np.exp(t) + m**2 - 1 - t", "t**2 + m**2 - 1 - np.log(t**2)",
        "@t is taken for the standard deviation: it is the log of the variance", forms=VARIANCE,
    ),
    Mistake(
        "q4", ".sum(axis=1).mean()", ".mean()",
        "a mean over the dimensions of the code: the KL of a code is the sum of its dimensions'",
    ),
    Mistake(
        "q4", ".sum(axis=1).mean()", ".sum()", "the KL is summed over the images: there 1/n is due"
    ),
    Mistake(
        "q4", ".sum(axis=1).mean()", ".sum() / len(log_p)",
        "the sum of the KL is divided by k: there are n images",
    ),
    Mistake("q4", "+ beta", "- beta", "the KL is subtracted: in a loss it is a cost"),
    Mistake(
        "q4", "-log_p", "log_p",
        "the sign of log p: a loss should fall when the images become more probable",
    ),
    Mistake("q4", "beta * ", "", "the weight of the KL is missing"),
    Mistake(
        "q4", "-log_p.mean() + beta * ", "-beta * log_p.mean() + ",
        "the weight belongs to the KL, not to log p",
    ),
    Mistake(
        "q4", "log_p.mean()", "log_p.sum(axis=0).mean()",
        "log p is summed over the draws: take their mean",
    ),
    Mistake(
        "q4", "log_p.mean()", "log_p.sum(axis=1).mean()",
        "log p is summed over the images: take their mean",
    ),
    Mistake(
        "q4", "log_p.mean()", "log_p.sum()",
        "log p is summed over draws and images: take the mean over both",
    ),
    Mistake(
        "q4", ".sum(axis=1).mean()", ".sum(axis=1).mean() / len(log_p)",
        "a 1/k too many in the KL, which does not depend on the draw",
    ),
    Mistake(
        "q4", ".sum(axis=1).mean()", ".sum(axis=0).mean()",
        "the KL has a sum over the images and a mean over the dimensions: the other way round",
    ),
    Mistake(
        "q4", "-log_p.mean() + beta * KL.sum(axis=1).mean()",
        "beta * (KL.sum(axis=1).mean() - log_p.mean())",
        "the weight multiplies both terms: it belongs to the KL alone",
    ),
    Mistake(
        "q5", "(y - x)", "(x - y)",
        "the sign: you have the gradient of log p, and J has it with a minus",
    ),
    Mistake("q5", " / (k * n)", "", "J has a mean over draws and images: where is its factor?"),
    Mistake("q5", "(k * n)", "n", "k times too large: J has a mean over the draws, too"),
    Mistake("q5", "(k * n)", "k", "n times too large: J has a mean over the images, too"),
    Mistake(
        "q5", "(k * n)", "f.shape[2]",
        "divided by the number of pixels, over which J has a sum: it has a mean over the draws and "
        "images",
    ),
    Mistake(
        "q5", "(k * n)", "f.size",
        "d times too small: log p is a sum over the pixels, not a mean",
    ),
    Mistake(
        "q5", "(y - x)", "(y - x) * y * (1 - y)",
        "a factor y(1 - y) too many: that is squared error's; here it cancels",
    ),
    Mistake(
        "q5", "(y - x)", "(y - x) / (y * (1 - y))",
        "this is the gradient with respect to y: one step of the chain rule, to the logits, is "
        "missing",
    ),
    Mistake(
        "q5", "y = 1 / (1 + np.exp(-f))", "y = f",
        "the logits are compared with the pixels: their probabilities should be",
    ),
    Mistake(
        "q5", "(y - x)", "(y - (x > 0.5))",
        "the pixels are rounded to black and white: here they may be grey",
    ),
    Mistake(
        "q5", "np.exp(-f)", "np.exp(f)",
        "a sign in the sigmoid: by (3), a large logit means that white is probable",
    ),
    Mistake(
        "q5", "y - x", "y + x",
        "a sign: where the probability is that of the pixel, the gradient should be 0",
    ),
    Mistake(
        "q6", ".sum(", ".mean(",
        "a mean over the draws: all draws use the same mean, and the gradients of all paths add up",
    ),
    Mistake(
        "q6", "du.sum(axis=0)", "du[0]",
        "only the first draw: the gradients of all draws add up",
    ),
    Mistake(
        "q6", "du.sum(axis=0)", "du.sum(axis=0) / du.shape[1]",
        "a 1/n too many: it is in d@u already",
    ),
    Mistake(
        "q7", "return (", "return 0.5 * (",
        "half of what is right: the 1/2 belongs to the log of a variance, and @t is the log of the "
        "standard deviation",
        forms=SIGMA,
    ),
    Mistake(
        "q7", "return (du * np.exp(t)", "return 0.5 * (du * np.exp(t / 2)",
        "this would be right if @t were the log of the variance", forms=SIGMA,
    ),
    Mistake(
        "q7", "np.exp(t)", "np.exp(2 * t)",
        "the variance stands where (2) has the standard deviation", forms=SIGMA,
    ),
    Mistake(
        "q7", " * np.exp(t)", "",
        "the standard deviation is missing: the path leads through the exponential, whose "
        "derivative is itself",
        forms=SIGMA,
    ),
    Mistake(
        "q7", "0.5 * ", "",
        "the 1/2 is missing, the inner derivative of exp(@t/2)", forms=VARIANCE,
    ),
    Mistake(
        "q7", "np.exp(t / 2)", "np.exp(t)",
        "the variance stands where (2) has the standard deviation", forms=VARIANCE,
    ),
    Mistake(
        "q7", " * np.exp(t / 2)", "",
        "the standard deviation is missing: the path leads through the exponential, whose "
        "derivative contains it",
        forms=VARIANCE,
    ),
    Mistake(
        "q7", " * eps", "", "the noise is missing: it multiplies the standard deviation in (2)"
    ),
    Mistake(
        "q7", ".sum(", ".mean(",
        "a mean over the draws: all draws use the same @t, and the gradients of all paths add up",
    ),
    Mistake(
        "q7", ".sum(axis=0)", "[0]", "only the first draw: the gradients of all draws add up"
    ),
    Mistake(
        "q7", "(du * np.exp(t) * eps).sum(axis=0)",
        "du.sum(axis=0) * np.exp(t) * eps.sum(axis=0)",
        "a product of sums over the draws: each draw's gradient goes with its own noise",
        forms=SIGMA,
    ),
    Mistake(
        "q7", "(du * np.exp(t / 2) * eps).sum(axis=0)",
        "du.sum(axis=0) * np.exp(t / 2) * eps.sum(axis=0)",
        "a product of sums over the draws: each draw's gradient goes with its own noise",
        forms=VARIANCE,
    ),
    Mistake(
        "q7", "np.exp(t)", "t", "@t stands where its exponential should: it is a logarithm",
        forms=SIGMA,
    ),
    Mistake(
        "q7", "np.exp(t / 2)", "t",
        "@t stands where the standard deviation should: it is the log of the variance",
        forms=VARIANCE,
    ),
    Mistake(
        "q7", "np.exp(t / 2)", "np.exp(-t / 2)",
        "this is the gradient with respect to the variance: the step to its log is missing",
        forms=VARIANCE,
    ),
    Mistake(
        "q8", "beta / len(m) * ", "",
        "this is the derivative of one KL: J has the mean of all images', with a weight",
    ),
    Mistake("q8", "beta / len(m)", "beta", "the 1/n is missing: J has a mean over the images"),
    Mistake("q8", "beta / len(m)", "1 / len(m)", "the weight of the KL is missing"),
    Mistake(
        "q8", "beta /", "0.5 * beta /",
        "half of what is right: the 1/2 of (5) and the 2 of the square cancel",
    ),
    Mistake(
        "q8", "beta /", "-beta /", "the sign: a mean further from 0 makes J larger, not smaller"
    ),
    Mistake(
        "q8", "len(m)", "m.size",
        "c times too small: J has a sum over the dimensions of the code",
    ),
    Mistake(
        "q8", "beta /", "2 * beta /",
        "twice too large: the 1/2 of (5) and the 2 of the square cancel",
    ),
    Mistake("q8", " * m", " * m**2 / 2", "this is the term of (5) itself, not its derivative"),
    Mistake("q8", " * m", " * m**2", "this has the square itself, not its derivative"),
    Mistake(
        "q9", " - 1", "",
        "the -1 is missing, the derivative of the logarithm's term: at @t = 0 the KL is smallest",
    ),
    Mistake(
        "q9", "(np.exp(2 * t) - 1)", "np.exp(2 * t) - 1",
        "a matter of brackets: the factor is also that of the -1", forms=SIGMA,
    ),
    Mistake(
        "q9", "(np.exp(t) - 1)", "np.exp(t) - 1",
        "a matter of brackets: the factor is also that of the -1", forms=VARIANCE,
    ),
    Mistake(
        "q9", "beta / len(t) * ", "",
        "this is the derivative of one KL: J has the mean of all images', with a weight",
        forms=SIGMA,
    ),
    Mistake(
        "q9", "beta / (2 * len(t)) * ", "0.5 * ",
        "this is the derivative of one KL: J has the mean of all images', with a weight",
        forms=VARIANCE,
    ),
    Mistake(
        "q9", "np.exp(2 * t)", "np.exp(t)",
        "exp(@t) is the standard deviation, and the KL has the variance", forms=SIGMA,
    ),
    Mistake("q9", "beta / len(t)", "beta", "the 1/n is missing", forms=SIGMA),
    Mistake("q9", "beta / len(t)", "1 / len(t)", "the weight of the KL is missing", forms=SIGMA),
    Mistake(
        "q9", "beta / len(t)", "0.5 * beta / len(t)",
        "half of what is right: the 1/2 of (5) cancels the inner derivative of exp(2 @t)",
        forms=SIGMA,
    ),
    Mistake(
        "q9", "np.exp(t)", "np.exp(t / 2)",
        "exp(@t/2) is the standard deviation, and the KL has the variance", forms=VARIANCE,
    ),
    Mistake("q9", "beta / (2 * len(t))", "beta / 2", "the 1/n is missing", forms=VARIANCE),
    Mistake(
        "q9", "beta / (2 * len(t))", "1 / (2 * len(t))", "the weight of the KL is missing",
        forms=VARIANCE,
    ),
    Mistake(
        "q9", "(2 * len(t))", "len(t)", "twice too large: the 1/2 of (5) is missing",
        forms=VARIANCE,
    ),
    Mistake(
        "q9", "beta /", "-beta /",
        "the sign: at large @t the KL grows with @t, so that the gradient is positive there",
    ),
    Mistake(
        "q9", "len(t)", "t.size",
        "c times too small: J has a sum over the dimensions of the code",
    ),
    Mistake(
        "q9", " - 1", " + 1",
        "the sign of the logarithm's term: at @t = 0 the KL is smallest",
    ),
    Mistake(
        "q9", " - 1", " - t", "the logarithm's term stands in it itself, not its derivative"
    ),
    Mistake(
        "q9", "(np.exp(2 * t) - 1)", "(np.exp(t) - np.exp(-t))",
        "this is the gradient with respect to the standard deviation: the step to its log is "
        "missing",
        forms=SIGMA,
    ),
    Mistake(
        "q9", "(np.exp(t) - 1)", "2 * (np.exp(t / 2) - np.exp(-t / 2))",
        "this is the gradient with respect to the standard deviation: (11) asks for that with "
        "respect to @t, the log of the variance",
        forms=VARIANCE,
    ),
    Mistake(
        "q9", "(np.exp(2 * t) - 1)", "0.5 * (1 - np.exp(-2 * t))",
        "this is the gradient with respect to the variance: (11) asks for that with respect to "
        "@t, the log of the standard deviation",
        forms=SIGMA,
    ),
    Mistake(
        "q9", "(np.exp(t) - 1)", "(1 - np.exp(-t))",
        "this is the gradient with respect to the variance: the step to its log is missing",
        forms=VARIANCE,
    ),
    Mistake(
        "q9", "(np.exp(2 * t) - 1)", "(np.exp(2 * t) - 1 / t)",
        "the logarithm's term has a derivative of 1/@t, as if @t were the standard deviation: it "
        "is its log",
        forms=SIGMA,
    ),
    Mistake(
        "q9", "(np.exp(2 * t) - 1)", "(t - 1 / t)",
        "@t is taken for the standard deviation: it is its log", forms=SIGMA,
    ),
    Mistake(
        "q9", "(np.exp(t) - 1)", "(np.exp(t) - 1 / t)",
        "the logarithm's term has a derivative of 1/@t, as if @t were the variance: it is its log",
        forms=VARIANCE,
    ),
    Mistake(
        "q9", "(np.exp(t) - 1)", "(1 - 1 / t)",
        "@t is taken for the variance: it is its log", forms=VARIANCE,
    ),
    Mistake(
        "q9", "np.exp(2 * t)", "np.exp(t / 2)",
        "exp(@t/2) is the root of the standard deviation, and the KL has the variance",
        forms=SIGMA,
    ),
    Mistake(
        "q9", "np.exp(t)", "np.exp(2 * t)",
        "exp(2 @t) is the square of the variance, and the KL has the variance", forms=VARIANCE,
    ),
    Mistake(
        "q10", "[mean_draw + mean_KL, scale_draw + scale_KL]",
        "[scale_draw + scale_KL, mean_draw + mean_KL]",
        "the halves have changed places: the encoder's first c columns are the means",
    ),
    Mistake(
        "q10", "[mean_draw + mean_KL, scale_draw + scale_KL]", "[mean_draw, scale_draw]",
        "only the path through the draw: the one through the KL is missing",
    ),
    Mistake(
        "q10", "[mean_draw + mean_KL, scale_draw + scale_KL]", "[mean_KL, scale_KL]",
        "only the path through the KL: the one through the draw is missing, so the decoder does "
        "not reach the encoder",
    ),
    Mistake(
        "q10", "[mean_draw + mean_KL, scale_draw + scale_KL]",
        "[mean_draw - mean_KL, scale_draw - scale_KL]",
        "the KL's path is subtracted: its sign is in it already",
    ),
    Mistake(
        "q10", "[mean_draw + mean_KL, scale_draw + scale_KL]",
        "[mean_draw + scale_draw, mean_KL + scale_KL]",
        "gradients of two different arrays are added: both paths of the same array belong together",
    ),
    Mistake(
        "q10", "[mean_draw + mean_KL, scale_draw + scale_KL]",
        "[mean_draw * mean_KL, scale_draw * scale_KL]",
        "the paths are multiplied: along a path gradients multiply, different paths add up",
    ),
    Mistake(
        "q11", "np.maximum(floor, KL.mean(axis=0)).sum()",
        "np.maximum(floor, KL).mean(axis=0).sum()",
        "the cost has a floor for each image: the mean over the images comes first, by (13)",
    ),
    Mistake(
        "q11", "np.maximum", "np.minimum",
        "the cost has a ceiling, not a floor: which of both does (14) take?",
    ),
    Mistake(
        "q11", ".sum()", ".mean()",
        "the cost has a mean over the dimensions of the code: (14) has a sum",
    ),
    Mistake("q11", "cost = beta * ", "cost = ", "the weight is missing in the cost"),
    Mistake(
        "q11", "(KL.mean(axis=0) > floor) * np.ones_like(KL)", "(KL > floor)",
        "the derivative asks of each image whether it is above the floor: (14) compares the mean",
    ),
    Mistake(
        "q11", "KL.mean(axis=0) > floor", "KL.mean(axis=0) < floor",
        "the derivative passes where it should not: below the floor the cost is a constant",
    ),
    Mistake(
        "q11", "(KL.mean(axis=0) > floor) * ", "",
        "the derivative is that without a floor: below it the cost is a constant",
    ),
    Mistake(
        "q11", "beta / len(KL)", "beta",
        "the 1/n of the mean in (13) is missing in the derivative",
    ),
    Mistake(
        "q11", "np.maximum(floor, KL.mean(axis=0))", "np.maximum(0, KL.mean(axis=0) - floor)",
        "the cost is what lies above the floor: below it, (14) has the floor, not 0",
    ),
    Mistake(
        "q11", "np.maximum(floor, KL.mean(axis=0))",
        "np.where(KL.mean(axis=0) > floor, KL.mean(axis=0), 0)",
        "a dimension below the floor costs nothing: by (14) it costs the floor",
    ),
    Mistake(
        "q11", "np.maximum(floor, KL.mean(axis=0)).sum()",
        "np.maximum(floor, KL.mean(axis=0).sum())",
        "the cost has one floor for the sum: (14) has one for each dimension",
    ),
    Mistake(
        "q11", "beta / len(KL)", "1 / len(KL)", "the weight is missing in the derivative"
    ),
    Mistake(
        "q11", "beta / len(KL) * (KL.mean(axis=0) > floor) * np.ones_like(KL)",
        "np.maximum(floor, KL)",
        "the second result is a maximum itself: its derivative is asked, a constant on each side",
    ),
]  # fmt: skip
