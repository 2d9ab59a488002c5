"""The programs, each with a name for each of its results."""


def named(results, *names):
    if not isinstance(results, tuple) or len(results) != len(names):
        raise ValueError(f"expected the {len(names)} results that the program returned at first")
    return dict(zip(names, results, strict=True))


def q1(submission, arguments, ask):
    results = submission.vae(*arguments.values())
    return named(results, "the loss", "the gradient of `M`", "that of `L`", "that of `D`")


def q3(submission, arguments, ask):
    results = submission.gan_step(*arguments.values())
    return named(results, "`loss_D`", "`loss_G`", "the new `A`", "the new `w`", "the new `G`")


def q7(submission, arguments, ask):
    results = submission.batch_norm(*arguments.values())
    names = "`a`", "`dr`", "`dgain`", "`dshift`", "`mean`", "`variance`", "`b`"
    return named(results, *names)
