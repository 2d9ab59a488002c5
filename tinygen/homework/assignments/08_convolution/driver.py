"""The gradients that are two, each with its name."""


def named(results, *names):
    """Results, with what sentences call them."""
    count = len(results) if isinstance(results, (tuple, list)) else 0
    if count != len(names):
        got = "None: is there a return?" if results is None else count or "one alone"
        raise ValueError(f"expected {len(names)} results, {' and '.join(names)}, got {got}")
    return dict(zip(names, results, strict=True))


def q5(submission, arguments, ask):
    return named(submission.parameter_gradient(*arguments.values()), "`dM`", "`de`")


def q9(submission, arguments, ask):
    return named(submission.transposed_parameter_gradient(*arguments.values()), "`dT`", "`dg`")
