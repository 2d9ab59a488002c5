"""How a check is called: with one implementation, which stays with the grader."""

PASSED, REFUSED, CRASHED = 0, 1, 2


def q1(submission, arguments, ask):
    return verdict(submission.check_softmax_cross_entropy, implementation(("a", "t"), ask))


def q2(submission, arguments, ask):
    return verdict(submission.check_kl, implementation(("mu", "v"), ask))


def q3(submission, arguments, ask):
    return verdict(submission.check_sampler, implementation(("mu", "v", "count", "seed"), ask))


def q4(submission, arguments, ask):
    names = ("w", "dw", "m", "v", "step", "rate")
    return verdict(submission.check_adam, implementation(names, ask))


def verdict(check, function):
    """What a check says of an implementation."""
    try:
        check(function)
    except AssertionError:
        return REFUSED
    except NotImplementedError:
        raise
    except Exception:
        return CRASHED
    return PASSED


def implementation(names, ask):
    """A function with these arguments that the grader computes."""

    def function(*arguments):
        if len(arguments) != len(names):
            raise TypeError(f"expected arguments {', '.join(names)}, got {len(arguments)}")
        return ask("call", **dict(zip(names, arguments, strict=True)))

    return function
