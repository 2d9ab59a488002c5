"""An assignment: everything in its folder, loaded and checked, and what is made from it."""

from __future__ import annotations

import ast
import importlib.util
import re
import types
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from tinygen.errors import InputError, refuse_unknown
from tinygen.homework import marks, variants
from tinygen.homework.feedback import Fingerprint, Hints, Known, fingerprint
from tinygen.homework.marks import Question
from tinygen.homework.sandbox import wire
from tinygen.homework.variants import Letter, Variant

FOLDER = Path(__file__).parent / "assignments"
TOLERANCE = 1e-7
SECONDS = 2.0

Ask = Callable[..., Any]

NAMED = '''

def named(results, *names):
    """Several results, with what sentences call them."""
    count = len(results) if isinstance(results, (tuple, list)) else 0
    if count != len(names):
        got = "None: is there a return?" if results is None else count or "one alone"
        raise ValueError(f"expected {len(names)} results, {', '.join(names)}, got {got}")
    return dict(zip(names, results, strict=True))
'''
"""What a driver defines to give results names."""


@dataclass(frozen=True)
class Mistake:
    """A mistake that students make: `old` of a question's region becomes `new`.

    Attributes:
        question: ``"q3"``.
        old: what occurs exactly once in the question's region.
        new: what the student writes instead.
        hint: what is wrong, in lower case, without a full stop and without the right line.
        forms: the forms of the solution that it applies to; () for all.
    """

    question: str
    old: str
    new: str
    hint: str
    forms: Sequence[str] = ()


class Assignment:
    """A folder under assignments/.

    Attributes:
        folder: where it is.
        name: ``"vae"`` for ``05_vae``.
        title, minutes: what it is about, and how long it takes.
        forms: the parametrisations of the solution, [""] if there is only one.
        letters: the choices for each letter in the solution.
        mistakes: the planted ones.
        page: the student's page, a template.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name.partition("_")[2]
        self.module = _module(folder / "assignment.py")
        self.title: str = self.module.TITLE
        self.minutes: int = self.module.MINUTES
        self.forms: list[str] = getattr(self.module, "FORMS", None) or [""]
        self.letters = {
            Letter.parse(options.split()[0]).code: [Letter.parse(o) for o in options.split()]
            for options in getattr(self.module, "LETTERS", {}).values()
        }
        self.mistakes: list[Mistake] = _module(folder / "mistakes.py").MISTAKES
        page = folder / "page.md"
        self.page = page.read_text(encoding="utf-8") if page.exists() else ""
        self._parsed = {form: self._solution(form) for form in self.forms}
        self._refuse_contradictions()

    def _solution(self, form: str) -> tuple[str, list[Question]]:
        """A form's solution, followed by what is given in all forms, and its questions."""
        path, given = self.path(form), self.folder / "given.py"
        if not path.exists():
            raise InputError(f"expected a {path.name} in {self.folder.name}")
        text = _program(path) + ("\n\n" + _program(given) if given.exists() else "")
        return marks.parse(text, path.name)

    def path(self, form: str) -> Path:
        """The file of the solution in a form."""
        return self.folder / (f"solution_{form}.py" if form else "solution.py")

    def _refuse_contradictions(self) -> None:
        sources = {f"solution {form}": text for form, (text, _) in self._parsed.items()}
        variants.refuse_clashes(self.letters, sources)
        asked = [
            [(q.id, q.points, q.level) for q in questions] for _, questions in self._parsed.values()
        ]
        if any(other != asked[0] for other in asked):
            raise InputError(f"{self.name}: expected the same questions and points in all forms")
        for id_, *_ in asked[0]:
            if not hasattr(self.module, id_):
                raise InputError(
                    f"expected a function {id_} in assignment.py of {self.folder.name}"
                )
        for mistake in self.mistakes:
            for form in mistake.forms or self.forms:
                refuse_unknown("form", form, self.forms)
                self.question(mistake.question, form)
                self.source(Variant(0, form, {}), [mistake])

    def variant(self, number: int) -> Variant:
        """The variant with a number; 0 is the solution as written."""
        return variants.choose(number, self.name, self.forms, self.letters)

    def questions(self, variant: Variant, level: int = marks.LEVELS[-1]) -> list[Question]:
        """What is asked at a level."""
        return [q for q in self._parsed[variant.form][1] if q.level <= level]

    def question(self, id_: str, form: str) -> Question:
        """The question with this id."""
        questions = {q.id: q for q in self._parsed[form][1]}
        refuse_unknown("question", id_, questions)
        return questions[id_]

    def solution(self, variant: Variant, mistakes: Sequence[Mistake] = ()) -> str:
        """The solution in the letters of a variant, with `mistakes` in it."""
        return variants.rename_code(self.source(variant, mistakes), variant)

    def source(self, variant: Variant, mistakes: Sequence[Mistake] = ()) -> str:
        """The solution in its own letters, with `mistakes` in it."""
        text, questions = self._parsed[variant.form]
        for question in reversed(questions):  # so that the lines above keep their numbers
            planted = [mistake for mistake in mistakes if mistake.question == question.id]
            if not planted and not question.label_of:
                continue
            region = marks.region_of(text, question)
            for mistake in planted:
                region = self._plant(mistake, region)
            if question.label_of:
                fault = self.fault(question.label_of, variant)
                faulty = self.question(question.label_of, variant.form)
                label = marks.label_at(marks.region_of(text, faulty), fault.old)
                region = re.sub(r"\b0\b", label, region)
            text = marks.with_region(text, question, region.splitlines())
        return text

    def _plant(self, mistake: Mistake, region: str) -> str:
        if region.count(mistake.old) != 1:
            raise InputError(
                f"{self.name}: expected {mistake.old!r} once in {mistake.question}, "
                f"got {region.count(mistake.old)} times"
            )
        return region.replace(mistake.old, mistake.new)

    def fault(self, id_: str, variant: Variant) -> Mistake:
        """The mistake that a variant's stub has in a faulty question."""
        possible = self.mistakes_of(id_, variant.form)
        return possible[variant.number // len(self.forms) % len(possible)]

    def labels(self, question: Question, variant: Variant) -> list[int]:
        """The labels from which a question on a label asks to choose."""
        faulty = self.question(question.label_of, variant.form)
        return marks.labels_in(marks.region_of(self._parsed[variant.form][0], faulty))

    def mistakes_of(self, id_: str, form: str) -> list[Mistake]:
        """The mistakes of a question that are possible in a form."""
        return [m for m in self.mistakes if m.question == id_ and form in (m.forms or self.forms)]

    def stub(self, variant: Variant, level: int = marks.LEVELS[-1]) -> str:
        """What the student gets, with the questions still to be written."""
        # Without labels of mistakes, as nothing is wrong in what is not asked.
        text, _ = self._parsed[variant.form]
        questions = self.questions(variant, level)
        faulty = {
            q.id: self._plant(self.fault(q.id, variant), marks.region_of(text, q))
            for q in questions
            if q.faulty
        }
        text = variants.rename_code(marks.stub(text, questions, faulty), variant)
        return self.header(variant, level) + text

    def header(self, variant: Variant, level: int) -> str:
        """The first line of a stub, which says what it is."""
        short = "" if level == marks.LEVELS[-1] else f", level {level}"
        return f"# tinygen homework: {self.name}, variant {variant.number}{short}\n"

    @cached_property
    def _driver(self) -> str:
        path = self.folder / "driver.py"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def driver(self, variant: Variant) -> str:
        """The module that calls each question: ``q1(submission, arguments, ask)``.

        In its sentences, letters within backquotes are those of the variant.
        """
        names: dict[str, Sequence[str]] = getattr(self.module, "RESULTS", {})
        text = self._driver + (NAMED if names else "")
        for q in self.questions(variant):
            if not re.search(rf"^def {q.id}\(", self._driver, re.M):
                if "." in q.function:
                    raise InputError(f"expected a {q.id} in driver.py, as {q.function} is a method")
                call = f"submission.{q.function}(*arguments.values())"
                if q.id in names:
                    call = f"named({call}, {', '.join(map(repr, names[q.id]))})"
                text += f"\n\ndef {q.id}(submission, arguments, ask):\n    return {call}\n"
        return variants.rename_words(text, variant).lstrip()

    def is_secret(self, question: Question) -> bool:
        """Whether only the grader can check it: it asks the grader, or is about a label."""
        functions = {
            node.name: node
            for node in ast.parse(self._driver).body
            if isinstance(node, ast.FunctionDef)
        }
        body = functions[question.id].body if question.id in functions else []
        names = [n.id for part in body for n in ast.walk(part) if isinstance(n, ast.Name)]
        return bool(question.label_of) or "ask" in names

    def cases(self, id_: str, form: str, seed: int) -> list[dict[str, Any]]:
        """The arguments of each case of a question."""
        made = getattr(self.module, id_)(np.random.default_rng([seed, int(id_[1:])]), form)
        return made if isinstance(made, list) else [made]

    def ask(self, case: Mapping[str, Any]) -> Ask:
        """What a driver may ask the grader about a case."""

        def ask(name: str, **arrays: Any) -> Any:
            return getattr(self.module, f"ask_{name}")(case, **arrays)

        return ask

    def seconds(self, id_: str) -> float:
        """How long a question may take."""
        return getattr(self.module, "SECONDS", {}).get(id_, SECONDS)

    def results(self, source: str, id_: str, variant: Variant, seed: int) -> list[Any]:
        """A result for each case of a question; the program is trusted and runs in this process."""
        submission = execute(source, "solution")
        question = getattr(execute(self.driver(variant), "driver"), id_)
        with np.errstate(all="ignore"):
            results = [
                question(submission, deepcopy(case), self.ask(case))
                for case in self.cases(id_, variant.form, seed)
            ]
        return [wire.sent(result) for result in results]  # as the sandbox does

    def known(self, id_: str, variant: Variant, seed: int) -> Known:
        """What is known about a question: the right results, and those of planted mistakes.

        Raises:
            InputError: the solution fails.
        """

        def hints(*groups: Sequence[Mistake]) -> Hints:
            return [
                (self.hint(group, variant), seen)
                for group in groups
                if (seen := self._fingerprint(group, id_, variant, seed))
            ]

        single = self.mistakes_of(id_, variant.form)
        try:
            cases = self.cases(id_, variant.form, seed)
            expected = self.results(self.source(variant), id_, variant, seed)
        except Exception as error:
            raise InputError(
                f"{self.name}: the solution of {id_} fails: {type(error).__name__}: {error}"
            ) from error
        return Known(
            cases=cases,
            expected=expected,
            mistakes=cache(lambda: hints(*((mistake,) for mistake in single))),
            pairs=cache(lambda: hints(*combinations(single, 2))),
            names=variant.names,
            tolerance=getattr(self.module, "TOLERANCE", {}).get(id_, TOLERANCE),
            judge=getattr(self.module, f"judge_{id_}", None),
            judge_all=getattr(self.module, f"judge_all_{id_}", None),
        )

    def _fingerprint(
        self, mistakes: Sequence[Mistake], id_: str, variant: Variant, seed: int
    ) -> Fingerprint | None:
        """The fingerprint of the results of mistakes; None if they cannot be combined or fail."""
        try:
            results = self.results(self.source(variant, mistakes), id_, variant, seed)
            return fingerprint(results)
        except Exception:
            return None

    def hint(self, mistakes: Sequence[Mistake], variant: Variant) -> str:
        """What is wrong, in the letters of a variant."""
        sentences = [variants.rename_marked(m.hint, variant) for m in mistakes]
        return "; and ".join(sentences)


def execute(source: str, name: str) -> types.ModuleType:
    """A trusted program as a module.

    It is compiled in parts, separated by two blank lines, as most of them stay the same when one
    has a mistake.
    """
    module = types.ModuleType(name)
    for part in source.split("\n\n\n"):
        exec(_compiled(part, f"{name}.py"), module.__dict__)
    return module


@lru_cache(maxsize=1024)
def _compiled(source: str, filename: str) -> types.CodeType:
    return compile(source, filename, "exec")


def _program(path: Path) -> str:
    """The text of a file, if Python can parse it."""
    text = path.read_text(encoding="utf-8")
    try:
        ast.parse(text)
    except SyntaxError as error:
        raise InputError(f"{path.name}:{error.lineno}: {error.msg}") from None
    return text


def _module(path: Path) -> types.ModuleType:
    """The module in a file."""
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        where = f"{path.name} of {path.parent.name}"
        raise InputError(f"{where} fails: {type(error).__name__}: {error}") from error
    return module


def names() -> list[str]:
    """The names of all assignments, in order."""
    return [folder.name.partition("_")[2] for folder in _folders()]


def _folders() -> list[Path]:
    return sorted(path.parent for path in FOLDER.glob("*_*/assignment.py"))


@cache
def load(name: str) -> Assignment:
    """The assignment with a name, such as ``"vae"``.

    Raises:
        InputError: there is none.
    """
    folders = {folder.name.partition("_")[2]: folder for folder in _folders()}
    refuse_unknown("assignment", name, folders)
    return Assignment(folders[name])
