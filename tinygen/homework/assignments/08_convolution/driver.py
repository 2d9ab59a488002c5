"""The gradients that are two, each with its name."""


def named(results, *names):
    """Results, with what sentences call them."""
    if not isinstance(results, (tuple, list)) or len(results) != len(names):
        got = len(results) if isinstance(results, (tuple, list)) else type(results).__name__
        raise ValueError(f"expected {len(names)} results, {' and '.join(names)}, got {got}")
    return dict(zip(names, results, strict=True))


def q5(submission, arguments, ask):
    return named(submission.parameter_gradient(*arguments.values()), "`dM`", "`de`")


def q9(submission, arguments, ask):
    return named(submission.transposed_parameter_gradient(*arguments.values()), "`dT`", "`dg`")
