"""Variants of an assignment: which form a student gets, and which letters.

Variant 0 is the solution as written. In code, a letter is a whole name, or one with a d in front of
it for a gradient: where ``z`` becomes ``h``, ``dz`` becomes ``dh``.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from tinygen.errors import InputError

GREEK = (
    "alpha beta gamma delta epsilon varepsilon zeta eta theta iota kappa lambda mu nu xi pi rho "
    "sigma tau upsilon phi varphi chi psi omega"
)


@dataclass(frozen=True)
class Letter:
    """A letter in code and in LaTeX."""

    code: str
    latex: str

    @classmethod
    def parse(cls, text: str) -> Letter:
        r"""From ``"z"``, ``"mu"`` (which is ``\mu``), or ``r"noise:\epsilon"``."""
        code, _, latex = text.partition(":")
        return cls(code, latex or ("\\" + code if code in GREEK.split() else code))


@dataclass(frozen=True)
class Variant:
    """One student's version of an assignment.

    Attributes:
        number: the same number always gives the same variant.
        form: one of the assignment's forms, "" if it has none.
        letters: what each letter of the solution is called.
    """

    number: int
    form: str
    letters: Mapping[str, Letter]

    @property
    def names(self) -> dict[str, str]:
        """The names in code that change, with what they become."""
        letters = {old: new.code for old, new in self.letters.items()}
        return {old: new for old, new in with_gradients(letters) if old != new}


def with_gradients(names: Mapping[str, str]) -> list[tuple[str, str]]:
    """Each pair of names, and before it the same with a d in front."""
    return [pair for o, n in names.items() for pair in (("d" + o, "d" + n), (o, n))]


def choose(
    number: int, assignment: str, forms: Sequence[str], letters: Mapping[str, Sequence[Letter]]
) -> Variant:
    """The variant with a number: forms take turns, and letters are chosen independently."""

    def pick(what: str, options: Sequence) -> int:
        digest = sha256(f"{assignment} {number} {what}".encode()).digest()
        return int.from_bytes(digest, "big") % len(options) if number else 0

    form = forms[number % len(forms)] if forms else ""
    chosen = {code: options[pick(code, options)] for code, options in letters.items()}
    return Variant(number, form, chosen)


def rename_code(source: str, variant: Variant) -> str:
    """A program in a variant's letters, also in comments and docstrings where they are names."""
    lines = source.splitlines(keepends=True)
    names = variant.names
    changes = [(t.start, t.end, names.get(t.string, t.string)) for t in names_in(source)]
    changes += [
        (token.start, token.end, rename_words(token.string, variant))
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type in (tokenize.STRING, tokenize.COMMENT)
    ]
    for (row, column), (last, end), text in sorted(changes, reverse=True):
        tail = lines[last - 1][end:]
        lines[row - 1 : last] = [lines[row - 1][:column] + text + tail]
    return "".join(lines)


def names_in(source: str) -> Iterator[tokenize.TokenInfo]:
    """The names in a program that are not an attribute of something."""
    before = ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME and before != ".":
            yield token
        before = token.string


# In a string: what is within backquotes, and names of arguments as in "    x, z: matrices".
QUOTED = re.compile(r"`[^`]*`|^ +\w+(?:, \w+)*:", re.M)


def rename_words(text: str, variant: Variant) -> str:
    """A comment or a docstring in the letters of a variant."""
    return QUOTED.sub(lambda quoted: rename_fragment(quoted[0], variant), text)


def rename_fragment(code: str, variant: Variant) -> str:
    """Part of a line of code in the letters of a variant."""
    names = variant.names
    return re.sub(r"(?<![\w.])[A-Za-z]\w*", lambda name: names.get(name[0], name[0]), code)


# Code and mathematics in a page; what is between them is prose.
SEGMENT = re.compile(r"(?P<code>```.*?```|`[^`\n]*`)|(?P<math>\$\$.*?\$\$|\$[^$]+\$)", re.S)


def rename_page(text: str, variant: Variant) -> str:
    """A page with each ``@z`` replaced by the letter: as code in code, as LaTeX in mathematics.

    Raises:
        InputError: what follows an @ is not a letter, or is in prose.
    """
    pieces = []
    end = 0
    for segment in SEGMENT.finditer(text):
        pieces.append(_no_letters(text[end : segment.start()]))
        pieces.append(rename_marked(segment[0], variant, latex=segment["math"] is not None))
        end = segment.end()
    return "".join([*pieces, _no_letters(text[end:])])


def _no_letters(prose: str) -> str:
    wrong = re.search(r"@\w+", prose)
    if wrong:
        raise InputError(f"{wrong[0]} is in prose; expected it within backquotes or dollars")
    return prose


def rename_marked(text: str, variant: Variant, *, latex: bool = False) -> str:
    """A text with each ``@z`` replaced by a letter of the variant, as code or as LaTeX.

    Raises:
        InputError: what follows an @ is not a letter.
    """
    longest_first = sorted(variant.letters, key=len, reverse=True)

    def letter(name: re.Match[str]) -> str:
        for old in longest_first:
            if re.match(re.escape(old) + r"(?![A-Za-z0-9])", name[1]):
                new = variant.letters[old]
                return (new.latex if latex else new.code) + name[1][len(old) :]
        raise InputError(f"@{name[1]}: expected one of LETTERS: {', '.join(variant.letters)}")

    return re.sub(r"@([A-Za-z]\w*)", letter, text)


def refuse_clashes(letters: Mapping[str, Sequence[Letter]], sources: Mapping[str, str]) -> None:
    """No letter may stand for two things, or be a name that a solution already uses.

    Args:
        letters: the choices for each letter of a solution.
        sources: the solutions, by the names of their files.

    Raises:
        InputError: one does.
    """
    owner: dict[str, str] = {}
    for old, options in letters.items():
        for name, _ in with_gradients({o.code: "" for o in options}):
            if owner.setdefault(name, old) != old:
                raise InputError(f"LETTERS: {name} stands for {owner[name]} and for {old}")
    for where, source in sources.items():
        _refuse_letters_in_f_strings(source, where, letters)
        for token in names_in(source):
            name = token.string
            known = name in letters or name.removeprefix("d") in letters
            if name in owner and not known:
                line = token.start[0]
                raise InputError(f"{where}:{line}: {name} is in LETTERS of {owner[name]} already")


def _refuse_letters_in_f_strings(source: str, where: str, letters: Collection[str]) -> None:
    """Before Python 3.12 an f-string is one token, in which nothing could be renamed."""
    for string in ast.walk(ast.parse(source)):
        if isinstance(string, ast.JoinedStr):
            names = {node.id for node in ast.walk(string) if isinstance(node, ast.Name)}
            inside = sorted(names.intersection({*letters, *("d" + letter for letter in letters)}))
            if inside:
                raise InputError(
                    f"{where}:{string.lineno}: expected no letters in an f-string, got {inside[0]}"
                )
