"""Which form and which letters a variant has, and what is renamed."""

from __future__ import annotations

import re
from itertools import product

import pytest

from tinygen.errors import InputError
from tinygen.homework.assignment import load, names
from tinygen.homework.variants import (
    Letter,
    Variant,
    choose,
    refuse_clashes,
    rename_code,
    rename_marked,
    rename_page,
)

VARIANT = Variant(
    7, "", {"z": Letter.parse("h"), "mu": Letter.parse(r"eta"), "x": Letter("x", "x")}
)
LETTERS = {"z": [*map(Letter.parse, ("z", "h", "u"))], "mu": [*map(Letter.parse, ("mu", "eta"))]}


def test_letters_in_code_and_in_mathematics():
    assert Letter.parse("z") == Letter("z", "z")
    assert Letter.parse("mu") == Letter("mu", r"\mu")
    assert Letter.parse(r"noise:\epsilon") == Letter("noise", r"\epsilon")


def test_a_large_class_has_as_many_different_variants_as_the_teacher_is_told():
    """In docs/teaching/instructor.md; two are alike if their form and all of their letters are."""
    different = {}
    for name in names():
        assignment = load(name)
        first = [assignment.variant(number) for number in range(1, 121)]
        different[name] = len({(one.form, *one.letters.values()) for one in first})
    assert different.pop("write_the_check") == 31
    assert different.pop("engine") == different.pop("training") == 62
    assert (min(different.values()), max(different.values())) == (81, 120)


@pytest.mark.parametrize(
    ("source", "renamed"),
    [
        ("z = mu * x\n", "h = eta * x\n"),
        ("dz = dmu[:, None]\n", "dh = deta[:, None]\n"),
        ("log_z = zz + z_1 + ddz\n", "log_z = zz + z_1 + ddz\n"),  # only whole names
        ("a.z = z.mu\n", "a.z = h.mu\n"),  # an attribute has a name of its own
        ("f(z, z=z)\n", "f(h, h=h)\n"),
        ("# z is `z`, and `dz / mu`\n", "# z is `h`, and `dh / eta`\n"),
        ('"""Of `z`.\n\n    mu, z: of z.\n"""\n', '"""Of `h`.\n\n    eta, h: of z.\n"""\n'),
        ('x = {"z": z}\n', 'x = {"z": h}\n'),
        ("def f(z,\n  mu):\n    return z @ mu; z\n", "def f(h,\n  eta):\n    return h @ eta; h\n"),
    ],
)  # fmt: skip
def test_code(source, renamed):
    assert rename_code(source, VARIANT) == renamed


@pytest.mark.parametrize(
    ("text", "renamed"),
    [
        ("of `@z` and `d@mu`", "of `h` and `deta`"),
        ("$@mu_i + @z^2$", r"$\eta_i + h^2$"),
        (r"$$\partial J / \partial @z \tag{1}$$", r"$$\partial J / \partial h \tag{1}$$"),
        ("```\ny = a @ x + @z\n```", "```\ny = a @ x + h\n```"),
        ("no letter here: z, mu", "no letter here: z, mu"),
    ],
)
def test_pages(text, renamed):
    assert rename_page(text, VARIANT) == renamed


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("of @z alone", "@z is in prose; expected it within backquotes or dollars"),
        ("of $@v$", "@v: expected one of LETTERS: z, mu, x"),
        ("of `@zz`", "@zz: expected one of LETTERS"),
    ],
)
def test_pages_with_an_unknown_letter_are_refused(text, sentence):
    with pytest.raises(InputError, match=re.escape(sentence)):
        rename_page(text, VARIANT)


def test_sentences():
    assert (
        rename_marked("the 1/2 of exp(@z/2), and d@mu", VARIANT) == "the 1/2 of exp(h/2), and deta"
    )


def test_variant_0_is_the_solution_as_it_stands():
    variant = choose(0, "vae", ["one", "two"], LETTERS)
    assert variant.form == "one" and not variant.names


def test_variants_never_change():
    """A student's variant of last year is the same this year: these were written down once."""
    chosen = [choose(number, "vae", ["one", "two"], LETTERS) for number in range(1, 7)]
    seen = ["-".join((v.form, v.letters["z"].code, v.letters["mu"].code)) for v in chosen]
    assert seen == ["two-z-mu", "one-u-eta", "two-z-eta", "one-u-mu", "two-z-eta", "one-z-mu"]


def test_all_combinations_occur():
    chosen = [choose(number, "vae", ["one", "two"], LETTERS) for number in range(100)]
    seen = {(v.form, v.letters["z"].code, v.letters["mu"].code) for v in chosen}
    assert seen == {*product(["one", "two"], "zhu", ["mu", "eta"])}


@pytest.mark.parametrize(
    ("letters", "source", "sentence"),
    [
        ({"z": "z h", "x": "x h"}, "", "LETTERS: dh stands for z and for x"),
        ({"z": "z h"}, "h = 1\n", "s.py:1: h is in LETTERS of z already"),
        ({"z": "z h"}, "a = 1\ndh = 1\n", "s.py:2: dh is in LETTERS of z already"),
        ({"z": "z h"}, "z = f'{z}'\n", "s.py:1: expected no letters in an f-string, got z"),
    ],
)
def test_letters_that_clash_are_refused(letters, source, sentence):
    options = {old: [*map(Letter.parse, words.split())] for old, words in letters.items()}
    with pytest.raises(InputError, match=re.escape(sentence)):
        refuse_clashes(options, {"s.py": source})


def test_attributes_and_other_names_do_not_clash():
    options = {"z": [Letter.parse("z"), Letter.parse("T")]}
    refuse_clashes(options, {"s.py": "def f(z, dz, hz):\n    return z.T + f'{hz}'\n"})
