"""The functions, each with a name for each of its results."""


def named(results, *names):
    """Results, with what sentences call them."""
    count = len(results) if isinstance(results, (tuple, list)) else 0
    if count != len(names):
        got = "None: is there a return?" if results is None else count or "one alone"
        raise ValueError(f"expected {len(names)} results, {' and '.join(names)}, got {got}")
    return dict(zip(names, results, strict=True))


def q2(submission, arguments, ask):
    return named(submission.discriminator_gradient(*arguments.values()), "`dr`", "`dq`")


def q3(submission, arguments, ask):
    return named(submission.non_saturating(*arguments.values()), "the loss", "`dq`")


def q4(submission, arguments, ask):
    return named(submission.minimax(*arguments.values()), "the loss", "`dq`")


def q5(submission, arguments, ask):
    return named(submission.activation(*arguments.values()), "`F`", "`K`")


def q7(submission, arguments, ask):
    return named(submission.to_generator(*arguments.values()), "`dB`", "`db`")


def q8(submission, arguments, ask):
    return named(submission.penalty(*arguments.values()), "`V`", "the penalty")


def q9(submission, arguments, ask):
    return named(submission.penalty_gradient(*arguments.values()), "`dA`", "`dw`")


def q10(submission, arguments, ask):
    return named(submission.penalty_curvature(*arguments.values()), "`dA`", "`de`")
