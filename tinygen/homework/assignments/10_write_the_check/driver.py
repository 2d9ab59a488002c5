"""How a check is called: with one implementation after another, which all stay with the grader.

What a check says of one is written down by the grader before there is another one.
"""

import copy
from contextlib import suppress

PASSED, REFUSED, CRASHED = 0, 1, 2


def q1(submission, arguments, ask):
    return verdicts(submission, "check_softmax_cross_entropy", ("a", "t"), ask)


def q2(submission, arguments, ask):
    return verdicts(submission, "check_kl", ("mu", "v"), ask)


def q3(submission, arguments, ask):
    return verdicts(submission, "check_sampler", ("mu", "v", "count", "seed"), ask)


def q4(submission, arguments, ask):
    return verdicts(submission, "check_adam", ("w", "dw", "m", "v", "step", "rate"), ask)


def verdicts(submission, check, names, ask):
    """What a check says of each implementation; each meets the file as it was when loaded."""
    loaded = data(submission)
    while ask("left"):
        vars(submission).update(copy.deepcopy(loaded))
        ask("write_down", said=verdict(getattr(submission, check), implementation(names, ask)))
    return ask("sealed")


def data(submission):
    """The variables of a file; those that cannot be copied, such as modules, are left out."""
    copied = {}
    for name, x in vars(submission).items():
        if not name.startswith("__"):
            with suppress(Exception):
                copied[name] = copy.deepcopy(x)
    return copied


def verdict(check, function):
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
