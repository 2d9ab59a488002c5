"""How a check is called: with one implementation after another, which all stay with the grader."""

import numpy as np

PASSED, REFUSED, CRASHED = 0, 1, 2


def q1(submission, arguments, ask):
    return verdicts(submission.check_softmax_cross_entropy, ("a", "t"), arguments, ask)


def q2(submission, arguments, ask):
    return verdicts(submission.check_kl, ("mu", "v"), arguments, ask)


def q3(submission, arguments, ask):
    return verdicts(submission.check_sampler, ("mu", "v", "count", "seed"), arguments, ask)


def q4(submission, arguments, ask):
    names = ("w", "dw", "m", "v", "step", "rate")
    return verdicts(submission.check_adam, names, arguments, ask)


def verdicts(check, names, arguments, ask):
    """What a check says of each implementation."""
    said = []
    for number in range(arguments["count"]):
        try:
            check(implementation(number, names, ask))
        except AssertionError:
            said.append(REFUSED)
        except NotImplementedError:
            raise
        except Exception:
            said.append(CRASHED)
        else:
            said.append(PASSED)
    return np.array(said)


def implementation(number, names, ask):
    """A function with these arguments that the grader computes."""

    def function(*arguments):
        if len(arguments) != len(names):
            raise TypeError(f"expected arguments {', '.join(names)}, got {len(arguments)}")
        return ask("call", number=number, **dict(zip(names, arguments, strict=True)))

    return function
