"""Why a result is wrong, in a sentence. It needs only NumPy, since students get a copy of it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, product
from typing import Any, NamedTuple

import numpy as np

from tinygen.explain.diagnosis.arrays import explain_array, fitted
from tinygen.explain.diagnosis.factors import Sizes
from tinygen.homework.sandbox.limits import Limits


class Verdict(NamedTuple):
    """How much of a question's points a result is worth, in [0, 1], and why not all of them."""

    fraction: float
    sentence: str = ""


class Fingerprint(NamedTuple):
    """What identifies a result: what it consists of, and some sums of each array."""

    shapes: str
    sums: np.ndarray


class Stopped(NamedTuple):
    """What takes the place of a missing result, with a sentence that says why."""

    sentence: str


TOO_LONG = "it takes longer than {:g} s: is there an endless loop, or far too many steps?"
TOO_LONG_TO_LOAD = (
    "loading it takes longer than {:g} s: is there an endless loop, "
    'or something that belongs under `if __name__ == "__main__":`?'
)
TO_BE_WRITTEN = re.compile(r"(q\d+): (\S+) is to be written")
MISSING = re.compile(r"expected `(\w+)` in the file, got none")
"""What sandbox/loading.py says about a function that is not there."""
LEFT_OVER = ": the line `raise NotImplementedError` is still there; delete it"
CELL = re.compile(r"# %% cell (\d+)")
REFUSED = ("ImportError", "PermissionError")
"""Exceptions that say what a submission may not do; see sandbox/courtesy.py."""
SENTENCES = {
    "MemoryError": "it needs more memory than {memory}",
    "_ArrayMemoryError": "it needs more memory than {memory}",
    "RecursionError": "functions call each other more than 1000 levels deep",
    "SystemExit": "it leaves Python, where a function has to return",
}
"""What some exceptions are called."""
PRODUCT = re.compile(r"matmul: .* \(size (\d+) is different from (\d+)\)")
BROADCAST = re.compile(r"operands could not be broadcast together with shapes (\S+) (\S+)")

Judge = Callable[[Any, Any, Mapping[str, Any]], Verdict]
"""(got, expected, case) -> Verdict"""
JudgeAll = Callable[[Sequence[Any], Sequence[Any], Sequence[Mapping[str, Any]]], Verdict]
"""(got, expected, cases) -> Verdict"""
Hints = Sequence[tuple[str, Fingerprint]]


@dataclass(frozen=True)
class Known:
    """What is known about a question.

    Attributes:
        cases: the arguments of each case, by name.
        expected: the right result of each case.
        mistakes: gives the hints, with the fingerprint of the results that each mistake leads to.
        pairs: gives the same for every two mistakes at once.
        names: what the student calls the arguments, where that is another name.
        tolerance: relative to the largest element of an array.
        judge: decides what is right, where that need not equal what is expected.
        judge_all: the same for all cases together, each of which is asked in its own process.
    """

    cases: Sequence[Mapping[str, Any]]
    expected: Sequence[Any]
    mistakes: Callable[[], Hints]
    pairs: Callable[[], Hints]
    names: Mapping[str, str]
    tolerance: float
    judge: Judge | None
    judge_all: JudgeAll | None = None


@np.errstate(all="ignore")  # a wrong result may be anything
def verdict(got: Sequence[Any], known: Known) -> Verdict:
    """How much the results of a question are worth: by default as much as the worst of them.

    Args:
        got: a result for each case, or that it stopped.
        known: the question.
    """
    got = [_several(a, b) for a, b in zip(got, known.expected, strict=True)]
    of_cases = [
        _of_case(a, b, case, known)
        for a, b, case in zip(got, known.expected, known.cases, strict=True)
    ]
    if known.judge_all:
        without = [one for one in of_cases if one.sentence]
        of_cases = without[:1] or [known.judge_all(got, known.expected, known.cases)]
    fraction, sentence = worst = min(of_cases, key=lambda one: one.fraction)
    if fraction == 1:
        return Verdict(1)
    hint = hint_of(got, known)
    if hint:
        return Verdict(fraction, hint)
    number = of_cases.index(worst)
    if not sentence:
        sizes = sizes_of(known.cases[number], known.names)
        sentence = _why(got[number], known.expected[number], sizes, known.tolerance)
    stopped = [x.sentence for x in got if isinstance(x, Stopped)]
    if len(of_cases) > 1 and stopped != [sentence] * len(got):
        which = described(known.cases[number], known.names)
        sentence = f"case {number + 1} of {len(got)}{which}: {sentence}"
    return Verdict(fraction, sentence)


def _several(got: Any, expected: Any) -> Any:
    """Numbers in a list, which a message holds as an array, are as good as numbers in a tuple."""
    if isinstance(got, np.ndarray) and isinstance(expected, (tuple, list)):
        return tuple(got) if got.shape == (len(expected),) else got
    return got


def described(case: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """The arguments of a case, as in ``" (g (2, 3), shape (3,))"``; numbers if that is long."""
    numbers = {name: x for name, x in case.items() if isinstance(x, (int, float))}
    nested = any(isinstance(x, dict) for x in case.values())
    for some in (numbers,) if nested else (case, numbers):
        text = ", ".join(f"{names.get(name, name)} {_in_short(x)}" for name, x in some.items())
        if 0 < len(text) <= LONGEST_CASE:
            return f" ({text})"
    return ""


LONGEST_CASE = 40
"""The longest description of a case, in characters."""


def _in_short(x: Any) -> str:
    """The shape of an array; a few whole numbers, such as a shape's, as they are."""
    array = np.asarray(x)
    if array.ndim == 1 and array.dtype.kind in "iu" and array.size <= 4:
        return str(tuple(array.tolist()))
    return str(array.shape) if array.ndim else f"{x:.4g}" if array.dtype.kind == "f" else str(x)


def _of_case(got: Any, expected: Any, case: Mapping[str, Any], known: Known) -> Verdict:
    """How much a result is worth; why its numbers are wrong is added later."""
    if isinstance(got, Stopped):
        return Verdict(0, got.sentence)
    sentence = _of_structure(got, expected, "")
    if sentence:
        return Verdict(0, sentence)
    if known.judge:
        for a, b in zip(_arrays(got).values(), _arrays(expected).values(), strict=True):
            if a.ndim != b.ndim:
                return Verdict(0, f"the result: {_wrong_shape(a, b)}")
        try:
            return known.judge(got, expected, case)
        except Exception as error:  # a stranger's result may do anything to it
            return Verdict(0, f"this cannot be judged: {error}")
    return Verdict(float(not wrong_parts(got, expected, known.tolerance)))


def failure(
    kind: str, message: str, line: int, source: str, question: str = "", memory: int = Limits.memory
) -> str:
    """What went wrong in a submission that stopped, with the line in which it did.

    Args:
        kind: the name of the exception.
        message: that of the exception.
        line: the last line of the submission that ran, from 1; 0 if it is not known.
        source: the submission.
        question: the one that was asked, such as ``"q3"``; "" while it was loaded.
        memory: how much there was, in bytes.
    """
    lines = source.split("\n")  # as Python does, for which a form feed does not end a line
    where = (
        f"{place_of(line, lines)}, `{lines[line - 1].strip()}`: "
        if line in range(1, len(lines) + 1)
        else ""
    )
    if kind == "NotImplementedError":
        missing = TO_BE_WRITTEN.fullmatch(message)
        if missing and missing[1] != question:
            return f"it calls {missing[2]} ({missing[1]}), which is not written yet"
        if missing or not message:
            return "not written yet" + LEFT_OVER * _goes_on_below(line, lines)
    if kind in SENTENCES:
        return where + SENTENCES[kind].format(memory=f"{memory / 2**30:g} GiB")
    if not where and message.startswith("expected "):  # raised by its caller
        name = MISSING.fullmatch(message)
        if name and re.search(rf"^[ \t]*(def|class) {name[1]}\b", source, re.M):
            return f"`{name[1]}` cannot be read, because of an error in the file"
        return message
    if kind == "ValueError" and (sentence := _of_shapes(message)):
        return where + sentence
    # No sentence begins with a stranger's words, which may be "right".
    start = where or "it stopped: "
    return start + (message if kind in REFUSED else f"{kind}: {message}".removesuffix(": "))


def _of_shapes(message: str) -> str:
    """What NumPy says about shapes that do not fit, in plain words; "" for other messages."""
    if lengths := PRODUCT.fullmatch(message):
        right, left = lengths.groups()
        return f"the rows on the left of @ have {left} numbers, the columns on the right {right}"
    if shapes := BROADCAST.fullmatch(message.strip()):
        one, other = (re.sub(r",(?=\d)", ", ", shape) for shape in shapes.groups())
        return f"the shapes {one} and {other} do not fit: axes are compared from the last one on"
    return ""


def place_of(line: int, lines: Sequence[str]) -> str:
    """``"line 34"``; for a notebook, whose cells are marked in `lines`, ``"cell 5, line 3"``."""
    for below, text in enumerate(reversed(lines[:line])):
        if cell := CELL.fullmatch(text):
            return f"cell {cell[1]}, line {below}"
    return f"line {line}"


def _goes_on_below(line: int, lines: Sequence[str]) -> bool:
    """Whether code follows a line in the same block."""
    code = [x for x in lines[max(line - 1, 0) :] if x.strip() and not x.lstrip().startswith("#")]
    indents = [len(x) - len(x.lstrip()) for x in code[:2]]
    return line > 0 and len(indents) == 2 and indents[0] == indents[1]


def line_of(title: str, result: Verdict) -> str:
    """The line about a question: ``"q3 (23): right"``."""
    return f"{title}: {'right' if result.fraction == 1 else result.sentence}"


def hint_of(got: Sequence[Any], known: Known) -> str:
    """The hint of the mistake that leads to these results, or ""."""
    try:
        seen = fingerprint(got)
    except (TypeError, ValueError):  # not arrays of numbers
        return ""
    for hints in (known.mistakes, known.pairs):  # pairs are many, and seldom needed
        for hint, mistake in hints():
            if same(seen, mistake, known.tolerance):
                return hint
    return ""


def fingerprint(results: Sequence[Any]) -> Fingerprint:
    """A fingerprint of the results of all cases.

    Raises:
        TypeError, ValueError: they are not numbers, nor arrays, tuples or dictionaries of them.
    """
    arrays = _arrays(tuple(results))
    shapes = " ".join(f"{name}{list(x.shape)}" for name, x in arrays.items())
    return Fingerprint(shapes, np.array([_sums(x) for x in arrays.values()]))


def same(one: Fingerprint, other: Fingerprint, tolerance: float) -> bool:
    """Whether two fingerprints are those of the same results."""
    if one.shapes != other.shapes:
        return False
    size = np.abs(other.sums).max(axis=1, keepdims=True)
    return bool(np.all(np.abs(one.sums - other.sums) <= tolerance * size))


def packed(hints: Hints) -> dict[str, Any]:
    """Hints as a few values, however many there are."""
    return {
        "sentences": "\n".join(hint for hint, _ in hints),
        "shapes": "\n".join(seen.shapes for _, seen in hints),
        "sums": np.concatenate([np.zeros((0, 6)), *(seen.sums for _, seen in hints)]),
        "arrays": np.array([len(seen.sums) for _, seen in hints], dtype=int),
    }


def unpacked(values: Mapping[str, Any]) -> Hints:
    """The hints that `packed` has packed."""
    if not len(values["arrays"]):
        return []
    sums = np.split(values["sums"], np.cumsum(values["arrays"])[:-1])
    sentences, shapes = values["sentences"].split("\n"), values["shapes"].split("\n")
    return [*zip(sentences, map(Fingerprint, shapes, sums), strict=True)]


def _sums(x: np.ndarray) -> list[float]:
    """The norm of an array, four weighted sums, and how many elements are not finite."""
    flat = x.ravel()
    finite = np.isfinite(flat)
    kinds = np.select([np.isnan(flat), flat > 0], [1.0, 2.0], 3.0) * ~finite
    flat = np.where(finite, flat, 0)
    weights = [np.cos((i + 1) * np.arange(1, flat.size + 1) ** 0.9) for i in range(4)]
    scale = max(flat.size, 1) ** 0.5
    sums = [float(w @ flat) / scale for w in weights]
    return [float(np.linalg.norm(flat)) / scale, *sums, float(weights[0] @ kinds)]


def parts(result: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The arrays of a result, each with its name: "" if it is alone."""
    if isinstance(result, dict):
        for key, value in result.items():
            yield from parts(value, f"{name}.{key}".lstrip("."))
    elif isinstance(result, (tuple, list)):
        for number, value in enumerate(result, 1):
            yield from parts(value, f"{name}.{number}".lstrip("."))
    else:
        yield name, result


def number_array(x: Any) -> np.ndarray:
    """A result as float64.

    Raises:
        TypeError, ValueError: it is neither a number nor an array of real numbers.
    """
    array = np.asarray(x)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"expected numbers, got {_kind(x)}")
    return array.astype(np.float64)


def _kind(x: Any) -> str:
    """What something is, for a sentence."""
    if x is None:
        return "None: is there a return?"
    if isinstance(x, (tuple, list)):
        return "1 result in a tuple" if len(x) == 1 else f"{len(x)} results"
    if isinstance(x, dict):
        return f"a dictionary with {', '.join(map(str, x)) or 'nothing'}"
    if isinstance(x, np.ndarray):
        return f"an array of {x.dtype}" if x.dtype.kind not in "biuf" else f"an array {x.shape}"
    if isinstance(x, int) and not -(2**63) <= x < 2**64:
        return "a whole number that is too large for NumPy"
    return "a number" if isinstance(x, (bool, int, float, np.generic)) else type(x).__name__


def wrong_parts(got: Any, expected: Any, tolerance: float) -> list[str]:
    """The names of the wrong arrays in a result, beginning with those of a wrong shape."""
    a, b = _arrays(got), _arrays(expected)
    of_shape = [name for name in b if a[name].shape != b[name].shape]
    rest = [name for name in b if name not in of_shape]
    return of_shape + [name for name in rest if not _close(a[name], b[name], tolerance)]


def _arrays(result: Any) -> dict[str, np.ndarray]:
    return {name: number_array(x) for name, x in parts(result)}


def _why(got: Any, expected: Any, sizes: Sizes, tolerance: float) -> str:
    """What is wrong with the numbers of a result."""
    wrong = wrong_parts(got, expected, tolerance)
    a, b = _arrays(got), _arrays(expected)
    for other in wrong[1:]:
        swapped = ((a[wrong[0]], b[other]), (a[other], b[wrong[0]]))
        if all(x.shape == y.shape and _close(x, y, tolerance) for x, y in swapped):
            return f"{_called(wrong[0])} and {_called(other)} are exchanged"
    sentence = _of_array(wrong[0], a, b, sizes, tolerance)
    if len(wrong) > 1:
        verb = "is" if len(wrong) == 2 else "are"
        sentence += f" ({', '.join([_called(wrong[1]), *wrong[2:]])} {verb} wrong, too)"
    return sentence


def _called(name: str) -> str:
    """What a result is called in a sentence: ``"result 2"``, or a phrase such as ``"the loss"``."""
    return name if " " in name or "`" in name else f"result {name}"


def _of_structure(got: Any, expected: Any, name: str) -> str:
    """What is wrong with the types; "" if nothing is."""
    subject = f"{_called(name)} is" if name else "got"
    if isinstance(expected, dict):
        if not isinstance(got, dict) or {*got} != {*expected}:
            return f"expected a dictionary with {', '.join(expected)}, {subject} {_kind(got)}"
        pairs = [(got[key], value, f"{name}.{key}".lstrip(".")) for key, value in expected.items()]
    elif isinstance(expected, (tuple, list)):
        if not isinstance(got, (tuple, list)) or len(got) != len(expected):
            return f"expected {len(expected)} results, {subject} {_kind(got)}"
        pairs = [
            (a, b, f"{name}.{i}".lstrip("."))
            for i, (a, b) in enumerate(zip(got, expected, strict=True), 1)
        ]
    elif isinstance(got, (dict, tuple, list)) or not _is_numbers(got):
        what = "an array" if np.ndim(expected) else "a number"
        return f"expected {what}, {subject} {_kind(got)}"
    else:
        return ""
    return next((s for pair in pairs if (s := _of_structure(*pair))), "")


def _is_numbers(x: Any) -> bool:
    try:
        number_array(x)
        return True
    except (TypeError, ValueError):
        return False


def _close(a: np.ndarray, b: np.ndarray, tolerance: float) -> bool:
    off = np.where(a == b, 0, np.abs(a - b))  # an infinity equals itself
    return bool(np.all(off <= tolerance * _largest_of(b)))


def _largest_of(b: np.ndarray) -> float:
    """The largest magnitude of the finite elements."""
    return float(np.abs(b[np.isfinite(b)]).max(initial=0))


def _of_array(
    name: str,
    got: Mapping[str, np.ndarray],
    expected: Mapping[str, np.ndarray],
    sizes: Sizes,
    tolerance: float,
) -> str:
    """What is wrong with one array of a result."""
    a, b = got[name], expected[name]
    subject = _called(name) if name else "the result"
    if a.shape != b.shape:
        transposed = a.shape == b.T.shape and _close(a, b.T, tolerance)
        why = ": it is transposed" if transposed else ""
        return f"{subject}: {_wrong_shape(a, b)}{why}"
    if not np.isfinite(a).all():
        bad = "NaN" if np.isnan(a).any() else "infinity"
        how_many = f"has {bad} in {np.sum(~np.isfinite(a))} of {a.size} elements"
        return f"{subject} {how_many if a.ndim else f'is {bad}'}"
    others = {key: x for key, x in expected.items() if x.shape == got[key].shape}
    fits = explain_array(name, got, others, sizes, max(1e-6, tolerance))
    if fits and fits[0].kind == "factor":
        return f"{subject} {named_factor(plain(fits[0].predicate), fitted(a, b), sizes)}"
    if fits:
        return f"{subject} {plain(fits[0].predicate)}"
    return _largest(subject, a, b, tolerance)


def _wrong_shape(a: np.ndarray, b: np.ndarray) -> str:
    if not b.ndim:
        return f"expected a number, got an array {a.shape}"
    return f"expected the shape {b.shape}, got {a.shape}"


def plain(predicate: str) -> str:
    """An explanation in the words of a student."""
    plainly = {
        "is 2 times what is right": "is twice too large",
        "is 1/2 times what is right": "is half of what is right",
    }
    predicate = re.sub(r"^is -(.+) too large in", r"is \1 too small in", predicate)
    predicate = re.sub(r"^(is .*?) (with .*?) (times what is right)$", r"\1 \3, \2", predicate)
    other = re.fullmatch(r"is that of (.+)", predicate)
    return f"is {_called(other[1])}" if other else plainly.get(predicate, predicate)


def named_factor(predicate: str, factor: float, sizes: Sizes) -> str:
    """An explanation by a factor, written as a product or a ratio of sizes if it is one."""
    made, where = _of_sizes(abs(factor), sizes)
    made = "-" * (factor < 0) + made
    if where and re.fullmatch(r"is -?[\d./e+-]+ times what is right", predicate):
        return f"{predicate}, or {made} times, with {where}"
    if where and " - 1)" in predicate:  # possible, but seldom the case
        return f"is {made} times what is right, with {where}"
    return predicate


def _of_sizes(factor: float, sizes: Sizes) -> tuple[str, str]:
    """``"3 * 5/7"`` and what these sizes are: the fewest, up to three, that give a factor."""
    for count in (1, 2, 3):
        for chosen in combinations_with_replacement(sizes, count):
            for powers in product((1, -1), repeat=count):
                made = math.prod(size**power for size, power in zip(chosen, powers, strict=True))
                if math.isclose(factor, made, rel_tol=1e-5):
                    above, below = (
                        " * ".join(str(s) for s, p in zip(chosen, powers, strict=True) if p == sign)
                        for sign in (1, -1)
                    )
                    below = f"({below})" if " " in below else below
                    where = " and ".join(f"{s} = {sizes[s]}" for s in dict.fromkeys(chosen))
                    return f"{above or 1}{'/' * bool(below)}{below}", where
    return "", ""


def _largest(subject: str, a: np.ndarray, b: np.ndarray, tolerance: float) -> str:
    """The largest difference, and where."""
    off, size = np.abs(a - b), _largest_of(b)
    if 0 < off.max() < 1e-4 * size:
        digits = int(-np.log10(off.max() / size))
        return f"{subject} is right to {digits} digits only: is something small added?"
    if not a.ndim:
        return f"{subject}: expected {b:.6g}, got {a:.6g}"
    where = tuple(int(i) for i in np.unravel_index(np.argmax(off), off.shape))
    at = ", ".join(map(str, where))
    wrong = int(np.sum(off > tolerance * size))
    count = f"all {wrong}" if wrong == a.size else f"{wrong} of {a.size}"
    one = f"at [{at}], expected {b[where]:.6g}, got {a[where]:.6g}"
    return f"{subject} is wrong in {count} elements; {one}"


def sizes_of(case: Mapping[str, Any], names: Mapping[str, str]) -> Sizes:
    """The lengths of axes and the numbers in a case, each with what it is."""
    sizes: dict[Any, str] = {}
    for original, x in case.items():
        name = names.get(original, original)
        values = x.items() if isinstance(x, dict) else [("", x)]
        for key, value in values:
            path = f"{name}.{key}".rstrip(".")
            if isinstance(value, (int, float, np.number)) and not isinstance(value, bool):
                sizes.setdefault(value, path)
            for axis, length in enumerate(np.shape(value)):
                sizes.setdefault(length, f"{path}.shape[{axis}]")
    return {size: name for size, name in sizes.items() if size > 0 and size != 1}
