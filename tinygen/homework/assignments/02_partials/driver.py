"""The partials, each with a name for each of its results."""


def named(results, *names):
    """Results, with what sentences call them."""
    count = len(results) if isinstance(results, (tuple, list)) else 0
    if count != len(names):
        got = "None: is there a return?" if results is None else count or "one alone"
        raise ValueError(f"expected {len(names)} results, {', '.join(names)}, got {got}")
    return dict(zip(names, results, strict=True))


def q1(submission, arguments, ask):
    return named(submission.divide_partials(*arguments.values()), "`dx`", "`dz`")


def q4(submission, arguments, ask):
    return named(submission.matmul_partials(*arguments.values()), "`dA`", "`dB`")


def q7(submission, arguments, ask):
    return named(submission.divide_second(*arguments.values()), "`dg`", "`dx`", "`dz`")


def q8(submission, arguments, ask):
    return named(submission.tanh_second(*arguments.values()), "`dg`", "`dx`")


def q9(submission, arguments, ask):
    return named(submission.logsumexp_second(*arguments.values()), "`dg`", "`dx`")


def q10(submission, arguments, ask):
    return named(submission.matmul_second(*arguments.values()), "`dg`", "`dA`", "`dB`")


def q11(submission, arguments, ask):
    return named(submission.largest_second(*arguments.values()), "`dg`", "`dx`")
