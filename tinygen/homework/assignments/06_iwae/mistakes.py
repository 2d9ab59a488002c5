"""The well-known mistakes with importance weights."""

from tinygen.homework.assignment import Mistake

OVERFLOW = (
    "right for ordinary weights, but the exponential of a large logarithm overflows, and that of "
    "a very negative one is 0: look at the hint"
)
NOT_THE_LARGEST = (
    "right if the draws of an image are alike, but in case 2 one image has draws that are "
    "thousands apart, and an exponential overflows: another number has to be subtracted"
)
A_LOGARITHM = "@t stands where its exponential should: it is a logarithm"
FIRST_DRAW = "only the first draw: the gradients of all draws add up"

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
        "the square is divided by the standard deviation: (2) divides it by the square of that",
    ),
    Mistake(
        "q1", "np.exp(t)", "np.exp(2 * t)",
        "divided by the variance before it is squared: (2) divides the square by it",
    ),
    Mistake(
        "q1", "scaled**2 - u**2", "scaled**2 - u**2 - np.log(2 * np.pi)",
        "log(2 pi) is in log p only: it is in log q, too, and cancels",
    ),
    Mistake("q1", "np.exp(t)", "t", A_LOGARITHM),
    Mistake(
        "q1", "+ t.sum(axis=1)", "+ 2 * t.sum(axis=1)",
        "the term of the log of the standard deviation is twice too large: the 1/2 of (2) is in "
        "front of it, too",
    ),
    Mistake(
        "q1", "+ t.sum(axis=1)", "+ np.exp(t).sum(axis=1)",
        "the standard deviation stands where its log should",
    ),
    Mistake(
        "q1", "+ 0.5 * (scaled**2 - u**2).sum(axis=2) + t",
        "- (0.5 * (scaled**2 + u**2) + np.log(2 * np.pi)).sum(axis=2) - t",
        "log q is added: by (3) it is subtracted",
    ),
    Mistake(
        "q1", "scaled**2 - u**2", "scaled**2 + u**2",
        "the sign of the prior's square: a code far from 0 is an improbable one",
    ),
    Mistake("q1", "scaled**2 - u", "scaled - u", "the first term of (2) is not squared"),
    Mistake(
        "q1", "0.5 * (scaled**2 - u**2)", "(0.5 * scaled**2 - u**2)",
        "the 1/2 of the prior is missing",
    ),
    Mistake(
        "q1", "log_p + 0.5 * (scaled**2 - u**2).sum(axis=2) + t.sum(axis=1)[:, None]",
        "np.exp(log_p + 0.5 * (scaled**2 - u**2).sum(axis=2) + t.sum(axis=1)[:, None])",
        "these are the weights: their logarithms are asked",
    ),
    Mistake("q1", "log_p +", "np.exp(log_p) +", "log_p is a logarithm already, and (3) adds it"),
    Mistake(
        "q1", "scaled**2 - u**2", "scaled**2 - u**2 + np.log(2 * np.pi)",
        "log(2 pi) is in log q only: it is in log p, too, and cancels",
    ),
    Mistake(
        "q1", "log_p +", "log_p + (u.shape[2] - 1) / 2 * np.log(2 * np.pi) +",
        "in (1), log(2 pi) is outside of the sum: there is one for each dimension",
    ),
    Mistake(
        "q1", "log_p +", "log_p - (u.shape[2] - 1) / 2 * np.log(2 * np.pi) +",
        "in (2), log(2 pi) is outside of the sum: there is one for each dimension",
    ),
    Mistake("q1", "/ np.exp(t)", "* np.exp(t)", "multiplied by the variance: (2) divides by it"),
    Mistake(
        "q1", " / np.exp(t)[:, None]", "", "the variance is missing: (2) divides the square by it"
    ),
    Mistake("q1", "- u**2", "- u", "the code in (1) is not squared"),
    Mistake("q1", "(u - m[:, None])", "u", "log q lacks its mean"),
    Mistake(
        "q1", "- u**2", "- (u - m[:, None]) ** 2",
        "the prior has a mean: that of (1) is 0, and @m belongs to q",
    ),
    Mistake(
        "q1", "log_p + 0.5 * (scaled**2 - u**2).sum(axis=2) + t",
        "log_p - 0.5 * (scaled**2 - u**2).sum(axis=2) - t",
        "the sign of log p - log q of the code: by (3), log p is added and log q subtracted",
    ),
    Mistake(
        "q1", "t.sum(axis=1)", "np.log(t).sum(axis=1)",
        "the log of a negative number: log_p and @t are logarithms already",
    ),
    Mistake(
        "q2", "r.max(axis=1, keepdims=True)", "np.zeros((len(r), 1))",
        OVERFLOW,
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
        "q2", "np.exp(r - top).mean(axis=1))", "np.exp(r - top)).mean(axis=1)",
        "the logarithm of each weight, and then their mean: (4) is the logarithm of the mean",
    ),
    Mistake("q2", "r.max(", "r.min(", NOT_THE_LARGEST),
    Mistake(
        "q2", "top[:, 0] + ", "-top[:, 0] + ",
        "what was subtracted in the exponent is subtracted once more",
    ),
    Mistake(
        "q2", "np.exp(r - top).mean(axis=1))", "np.exp(r - top).sum(axis=1)) / r.shape[1]",
        "the 1/k stands outside of the logarithm: (4) has it inside",
    ),
    Mistake(
        "q2", "top[:, 0] + np.log(np.exp(r - top).mean(axis=1))",
        "(top[:, 0] + np.log(np.exp(r - top).sum(axis=1))) / r.shape[1]",
        "the 1/k stands outside of the logarithm: (4) has it inside",
    ),
    Mistake(
        "q2", ".mean(axis=1)", ".sum(axis=1) / len(r)",
        "divided by n: in (4) it is the k draws that are averaged",
    ),
    Mistake(
        "q3", "r - r.max(axis=1, keepdims=True)", "r", OVERFLOW + " of q2"
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
    Mistake("q3", "r.max(", "r.min(", NOT_THE_LARGEST),
    Mistake(
        "q3", "r - r.max(axis=1, keepdims=True)", "r.max(axis=1, keepdims=True) - r",
        "a sign in the exponent: the largest logarithm gets the smallest weight",
    ),
    Mistake(
        "q3", "w / w.sum(axis=1, keepdims=True)", "np.log(w / w.sum(axis=1, keepdims=True))",
        "these are the logarithms of the normalised weights",
    ),
    Mistake(
        "q3", "w / w.sum(axis=1, keepdims=True)", "w / np.sqrt((w**2).sum(axis=1, keepdims=True))",
        "the squares of an image's weights add up to 1: the weights themselves should",
    ),
    Mistake(
        "q3", "return w / w.sum(axis=1, keepdims=True)",
        "return r - r.max(axis=1, keepdims=True) - np.log(w.sum(axis=1, keepdims=True))",
        "these are the logarithms of the normalised weights",
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
    Mistake("q4", "len(omega)", "omega.shape[1]", "divided by k: (5) is a mean over the n images"),
    Mistake(
        "q4", "-omega / len(omega)", "-np.ones_like(omega) / len(omega)",
        "all draws alike: by (4), a draw with a large weight has a large share in the sum",
    ),
    Mistake(
        "q4", "-omega", "-omega * (1 - omega)",
        "this is the derivative of a normalised weight: (4) has the logarithm of the sum",
    ),
    Mistake(
        "q4", "-omega / len(omega)", "-1 / (len(omega) * omega)",
        "one over the weights: the derivative of the log of a sum is one over the sum, times that "
        "of the term",
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
        "q5", "(omega**2).sum(axis=1)", "omega.sum(axis=1) ** 2",
        "the square of a sum in the denominator: there (7) has the sum of the squares",
    ),
    Mistake(
        "q5", "(omega**2).sum(axis=1)", "np.sqrt((omega**2).sum(axis=1))",
        "this is the root of what is right",
    ),
    Mistake(
        "q5", "1 / (omega**2).sum(axis=1)", "omega.sum(axis=1) ** 2 / omega.shape[1]",
        "divided by k: in (7) there is the sum of the squares",
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
    Mistake("q6", "np.exp(2 * t)", "(t**2)", A_LOGARITHM),
    Mistake("q6", "/ variance", "* variance", "multiplied by the variance: (2) divides by it"),
    Mistake("q6", "(u - m[:, None]) / variance", "u / variance", "log q lacks its mean"),
    Mistake(
        "q6", "(u - m[:, None]) / variance", "(m[:, None] - u) / variance",
        "the sign of log q's part: log q is subtracted in (3), and has a minus itself",
    ),
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
    Mistake("q7", "np.exp(2 * t)", "t**2", A_LOGARITHM),
    Mistake("q7", " / np.exp(2 * t)", "", "the variance is missing: (2) divides by it"),
    Mistake("q7", "/ np", "* np", "multiplied by the variance: (2) divides by it"),
    Mistake("q7", ".sum(axis=1)", "[:, 0]", FIRST_DRAW),
    Mistake(
        "q7", "(dr[:, :, None] * (u - m[:, None])).sum(axis=1)",
        "dr.sum(axis=1)[:, None] * (u - m[:, None]).sum(axis=1)",
        "a product of sums over the draws: each draw's d@r goes with its own code",
    ),
    Mistake(
        "q7", "-(dr[:, :, None] * (u - m[:, None])).sum(axis=1) / np.exp(2 * t)",
        "-(dr[:, :, None] * ((u - m[:, None]) / np.exp(2 * t)[:, None] - u)).sum(axis=1)",
        "the prior is in it: (1) has no mean, and the codes are given",
    ),
    Mistake(
        "q7", "-(dr[:, :, None] * (u - m[:, None])).sum(axis=1) / np.exp(2 * t)",
        "(dr[:, :, None] * ((u - m[:, None]) / np.exp(2 * t)[:, None] - u)).sum(axis=1)",
        "this is the path through the codes, for q9: (10) is at given codes",
    ),
    Mistake(
        "q7", "-(dr[:, :, None] * (u - m[:, None])).sum(axis=1) / np.exp(2 * t)", "0 * m",
        "this is 0: the draws' parts would cancel if each weighed the same, but each has its d@r",
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
    Mistake("q8", "np.exp(t)", "t", A_LOGARITHM),
    Mistake(
        "q8", "np.exp(t)", "np.exp(2 * t)",
        "divided by the variance before it is squared: (2) divides the square by it",
    ),
    Mistake("q8", "dr[:, :, None] * ", "", "the chain rule multiplies: d@r is missing"),
    Mistake("q8", ".sum(axis=1)", "[:, 0]", FIRST_DRAW),
    Mistake(
        "q8", "1 - scaled**2", "1 - 0.5 * scaled**2",
        "the square's part is halved: the 1/2 of (2) and the inner derivative of 1/variance cancel",
    ),
    Mistake(
        "q8", "1 - scaled**2", "1 - 2 * scaled**2",
        "the square's part is twice too large: the 1/2 of (2) is in front of it, too",
    ),
    Mistake(
        "q8", "1 - scaled**2", "2 - scaled**2",
        "the part of the log of the standard deviation is twice too large: the 1/2 of (2) is in "
        "front of it, too",
    ),
    Mistake(
        "q8", "(1 - scaled**2)", "(t[:, None] - scaled**2)",
        "the log of the standard deviation stands in it itself, not its derivative",
    ),
    Mistake(
        "q8", "(1 - scaled**2)", "(1 - scaled**2) / np.exp(t)[:, None]",
        "this is the gradient with respect to the standard deviation: the step to its log is "
        "missing",
    ),
    Mistake(
        "q8", "(dr[:, :, None] * (1 - scaled**2)).sum(axis=1)",
        "1 - (dr[:, :, None] * scaled**2).sum(axis=1)",
        "a matter of brackets: d@r multiplies both terms",
    ),
    Mistake(
        "q8", "np.exp(t)", "np.exp(t / 2)",
        "the square is divided by the standard deviation: (2) divides it by the square of that",
    ),
    Mistake(
        "q8", "scaled**2", "(u - m[:, None]) / np.exp(2 * t)[:, None]",
        "the derivative of the square's part has the square in it: only 1/variance depends on @t",
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
    Mistake("q9", "return dm, dt", "return dt, dm", "the results have changed places"),
    Mistake("q9", "du.sum(axis=1) + ", "", "d@m lacks the path through the draws"),
    Mistake(
        "q9", "(du * eps).sum(axis=1) * np.exp(t) + ", "", "d@t lacks the path through the draws"
    ),
    Mistake(
        "q9", "+ mean_rest", "- mean_rest",
        "d@m has the path at given codes subtracted: its sign is in it already",
    ),
    Mistake(
        "q9", "+ scale_rest", "- scale_rest",
        "d@t has the path at given codes subtracted: its sign is in it already",
    ),
    Mistake(
        "q9", "du.sum(axis=1) + mean_rest", "(du + mean_rest[:, None]).sum(axis=1)",
        "d@m has the path at given codes once for each draw: its sum over the draws is in it "
        "already",
    ),
    Mistake(
        "q9", "(du * eps).sum(axis=1) * np.exp(t) + scale_rest",
        "(du * eps * np.exp(t)[:, None] + scale_rest[:, None]).sum(axis=1)",
        "d@t has the path at given codes once for each draw: its sum over the draws is in it "
        "already",
    ),
    Mistake("q9", "du.sum(axis=1)", "du[:, 0]", "d@m has the first draw only: all add up"),
    Mistake(
        "q9", "(du * eps).sum(axis=1)", "(du * eps)[:, 0]",
        "d@t has the first draw only: all add up",
    ),
    Mistake(
        "q9", "(du * eps).sum(axis=1)", "du.sum(axis=1) * eps.sum(axis=1)",
        "d@t has a product of sums over the draws: each draw's gradient goes with its own noise",
    ),
    Mistake("q9", "np.exp(t)", "t", "in d@t, " + A_LOGARITHM),
    Mistake("q9", "np.exp(t)", "np.exp(2 * t)", "d@t has the variance for the standard deviation"),
    Mistake(
        "q9", "np.exp(t)", "0.5 * np.exp(t / 2)",
        "the draw's part of d@t would be right if @t were the log of the variance",
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
        "there are size groups now: size is the number of draws in each",
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
    Mistake(
        "q10", ".mean(axis=2)", ".mean(axis=1)",
        "the mean is over the groups: (14) has it over the draws within a group",
    ),
    Mistake(
        "q10", ".mean(axis=2)", ".sum(axis=2) / r.shape[1]",
        "divided by all draws: a group has fewer",
    ),
    Mistake(
        "q10", "np.log(np.exp(groups).mean(axis=2)).mean()",
        "np.log(np.exp(groups).mean(axis=2).mean())",
        "the logarithm of a mean over everything: each group has a logarithm of its own",
    ),
    Mistake("q10", ".mean()", ".sum()", "a sum over groups and images: (14) is their mean"),
    Mistake(
        "q10", ".mean(axis=2)).mean()", ".mean(axis=2)).sum(axis=1).mean()",
        "a sum over the groups: (14) is a mean over them",
    ),
]  # fmt: skip
