"""The well-known mistakes with importance weights."""

from tinygen.homework.assignment import Mistake

OVERFLOW = "right for ordinary weights, but the exponential of a large logarithm overflows"

MISTAKES = [
    Mistake("q1", "0.5 * ", "", "the 1/2 of both densities is missing"),
    Mistake(
        "q1", " + t.sum(axis=1)[:, None]", "",
        "log q lacks its log of the standard deviation: a narrow density is a high one",
    ),
    Mistake(
        "q1", "+ t.sum", "- t.sum",
        "the log of the standard deviation has the wrong sign: log q has it with a minus, and "
        "log q itself is subtracted",
    ),
    Mistake(
        "q1", "+ t.sum(axis=1)", "+ 0.5 * t.sum(axis=1)",
        "the term of the log of the standard deviation is halved: that belongs to the log of a "
        "variance",
    ),
    Mistake(
        "q1", "(scaled**2 - u**2)", "(u**2 - scaled**2)",
        "the squares of prior and q have changed places: a code far from 0 is an improbable one",
    ),
    Mistake("q1", "scaled**2 - u**2", "-(u**2)", "the square of log q is missing"),
    Mistake("q1", "scaled**2 - u**2", "scaled**2", "the prior is missing: log p of the code"),
    Mistake("q1", "log_p + ", "", "the likelihood is missing: log p of the image"),
    Mistake(
        "q1", "0.5 * (scaled**2 - u**2).sum(axis=2) + t.sum(axis=1)[:, None]",
        "0.5 * (scaled**2 - u**2).mean(axis=2) + t.mean(axis=1)[:, None]",
        "a mean over the dimensions of the code: the log of a product is a sum",
    ),
    Mistake(
        "q1", "np.exp(t)", "np.exp(t / 2)",
        "there is a 1/2 too many in the exponent: @t is the log of the standard deviation",
    ),
    Mistake(
        "q1", "np.exp(t)", "np.exp(2 * t)",
        "divided by the variance before it is squared: (2) divides the square by it",
    ),
    Mistake(
        "q1", "scaled**2 - u**2", "scaled**2 - u**2 - np.log(2 * np.pi)",
        "log(2 pi) is in one of the densities only: it is in both, and cancels",
    ),
    Mistake(
        "q2", "r.max(axis=1, keepdims=True)", "np.zeros((len(r), 1))",
        OVERFLOW + ", and that of a very negative one is 0: look at the hint",
    ),
    Mistake(
        "q2", "r.max(axis=1, keepdims=True)", "np.full((len(r), 1), r.max())",
        "one maximum for all images is not enough: each image needs its own",
    ),
    Mistake(
        "q2", ".mean(axis=1)", ".sum(axis=1)", "log k is missing: (4) has a mean, not a sum"
    ),
    Mistake(
        "q2", "top[:, 0] + ", "", "what was subtracted in the exponent has not been added again"
    ),
    Mistake(
        "q2", "top[:, 0] + np.log(np.exp(r - top).mean(axis=1))", "r.mean(axis=1)",
        "this is the mean of the logarithms, the ELBO: (4) is the logarithm of the mean",
    ),
    Mistake(
        "q2", "top[:, 0] + np.log(np.exp(r - top).mean(axis=1))", "top[:, 0]",
        "this is the largest weight alone: what about the others?",
    ),
    Mistake(
        "q2", "np.log(np.exp(r - top).mean(axis=1))", "np.exp(r - top).mean(axis=1)",
        "the logarithm is missing",
    ),
    Mistake(
        "q3", "r - r.max(axis=1, keepdims=True)", "r", OVERFLOW + ": look at the hint of q2"
    ),
    Mistake(
        "q3", "r.max(axis=1, keepdims=True)", "r.max()",
        "one maximum for all images is not enough: each image needs its own",
    ),
    Mistake(
        "q3", " / w.sum(axis=1, keepdims=True)", "",
        "not normalised: the weights of an image should add up to 1",
    ),
    Mistake(
        "q3", "w.sum(axis=1, keepdims=True)", "w.sum(axis=0)",
        "normalised over the images: the draws of one image should add up to 1",
    ),
    Mistake(
        "q3", "w.sum(axis=1, keepdims=True)", "w.sum()",
        "normalised over everything: the draws of each image should add up to 1",
    ),
    Mistake(
        "q3", "w.sum(", "w.mean(", "k times too large: the weights of an image add up to k"
    ),
    Mistake(
        "q3", "np.exp(r - r.max(axis=1, keepdims=True))", "r",
        "these are fractions of the logarithms: the weights are their exponentials",
    ),
    Mistake("q4", "-omega", "omega", "the sign: J is minus the mean of the bounds"),
    Mistake("q4", " / len(omega)", "", "the 1/n of (5) is missing"),
    Mistake(
        "q4", "len(omega)", "omega.size",
        "a 1/k too many: the weights are fractions already, and add up to 1",
    ),
    Mistake(
        "q4", "-omega / len(omega)", "-np.ones_like(omega) / omega.size",
        "all draws alike: that is the gradient of the mean of logarithms, the ELBO",
    ),
    Mistake("q5", "1 / ", "", "this is one over the number of draws that count"),
    Mistake(
        "q5", ".sum(axis=1)", ".mean(axis=1)",
        "k times too large: more than k draws cannot count",
    ),
    Mistake(
        "q5", "1 / (omega**2).sum(axis=1)", "1 / omega.max(axis=1)",
        "this is one over the largest weight: another measure, which lies below (7)",
    ),
    Mistake(
        "q5", "1 / (omega**2).sum(axis=1)", "np.exp(-(omega * np.log(omega)).sum(axis=1))",
        "this is the exponential of the entropy: another measure, which lies above (7)",
    ),
    Mistake(
        "q5", "1 / (omega**2).sum(axis=1)", "1 / (omega.shape[1] * (omega**2).sum(axis=1))",
        "this is the fraction of the draws that count, not their number",
    ),
    Mistake(
        "q6", "np.exp(2 * t)", "np.exp(t)",
        "divided by the standard deviation: the derivative of the square divides by the variance",
    ),
    Mistake("q6", "/ variance - u", "/ variance", "the prior is missing: (1) has the code, too"),
    Mistake(
        "q6", "(u - m[:, None]) / variance - u", "-u", "log q is missing: (2) has the code, too"
    ),
    Mistake(
        "q6", "variance - u", "variance + u",
        "the sign of the prior: a larger code is a less probable one",
    ),
    Mistake(
        "q6", "return dr[:, :, None] * (", "return -dr[:, :, None] * (",
        "the sign of everything: (3) adds log p and subtracts log q, and so do their derivatives",
    ),
    Mistake(
        "q6", "((u - m[:, None]) / variance - u)", "(u - m[:, None]) / variance - u",
        "a matter of brackets: d@r multiplies both terms",
    ),
    Mistake("q6", "dr[:, :, None] * ", "", "the chain rule multiplies: d@r is missing"),
    Mistake(
        "q7", "return -(dr", "return (dr",
        "the sign: in (2) the mean is subtracted, and in (3) log q is",
    ),
    Mistake(
        "q7", "np.exp(2 * t)", "np.exp(t)",
        "divided by the standard deviation: the derivative of the square divides by the variance",
    ),
    Mistake(
        "q7", ".sum(axis=1)", ".mean(axis=1)",
        "a mean over the draws: one mean acts through all draws, and the paths add up",
    ),
    Mistake("q7", "dr[:, :, None] * ", "", "the chain rule multiplies: d@r is missing"),
    Mistake(
        "q7", "(u - m[:, None])", "(m[:, None] + 0 * u)",
        "this is the derivative of a KL: here the weights have densities at the codes",
    ),
    Mistake(
        "q8", "(1 - scaled**2)", "(-(scaled**2))",
        "the 1 is missing, from the log of the standard deviation in (2)",
    ),
    Mistake(
        "q8", "(1 - scaled**2)", "np.ones_like(u)",
        "only the log of the standard deviation itself: it is in the square of (2), too, while "
        "the code is given",
    ),
    Mistake("q8", "1 - scaled**2", "1 + scaled**2", "the sign of the square's part"),
    Mistake("q8", "scaled**2", "scaled", "the derivative of the square has the square in it"),
    Mistake(
        "q8", "1 - scaled**2", "scaled**2 - 1", "the sign of everything: log q is subtracted in (3)"
    ),
    Mistake(
        "q8", ".sum(axis=1)", ".mean(axis=1)",
        "a mean over the draws: one @t acts through all draws, and the paths add up",
    ),
    Mistake(
        "q8", "(dr", "0.5 * (dr", "half of what is right: that belongs to the log of a variance"
    ),
    Mistake("q9", " + mean_rest", "", "d@m lacks the path at given codes"),
    Mistake("q9", " + scale_rest", "", "d@t lacks the path at given codes"),
    Mistake("q9", "(du * eps)", "du", "d@t lacks the noise"),
    Mistake("q9", " * np.exp(t)", "", "d@t lacks the standard deviation"),
    Mistake(
        "q9", "np.exp(t)", "(np.exp(t) / 2)",
        "the draw's part of d@t is half of what is right: that belongs to the log of a variance",
    ),
    Mistake(
        "q9", "du.sum(axis=1)", "du.mean(axis=1)",
        "d@m has a mean over the draws: all of them use one mean, and the paths add up",
    ),
    Mistake(
        "q9", "(du * eps).sum(axis=1)", "(du * eps).mean(axis=1)",
        "d@t has a mean over the draws: all of them use one @t, and the paths add up",
    ),
    Mistake(
        "q10", "r.reshape(len(r), -1, size)", "r[:, None]",
        "all draws in one group: this is the bound with k draws",
    ),
    Mistake(
        "q10", "r.reshape(len(r), -1, size)", "r[:, None, :size]",
        "only the first group: the mean over all groups has less noise",
    ),
    Mistake(
        "q10", "r.reshape(len(r), -1, size)", "r.reshape(len(r), size, -1).swapaxes(1, 2)",
        "the groups are mixed: the first draws are the first group",
    ),
    Mistake(
        "q10", "r.reshape(len(r), -1, size)", "r.reshape(len(r), size, -1)",
        "there are so many groups now, and each should have so many draws",
    ),
    Mistake(
        "q10", ".mean(axis=2)", ".sum(axis=2)",
        "the logarithm of a sum: of a group, too, it is that of the mean",
    ),
    Mistake(
        "q10", "np.log(np.exp(groups).mean(axis=2))", "groups",
        "this is the mean of the logarithms: the bound with one draw, whatever the size",
    ),
    Mistake("q10", "return np", "return -np", "the sign: this is a loss, and the bound was asked"),
]  # fmt: skip
