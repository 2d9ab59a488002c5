"""How Sphinx builds the site. In this folder: ``python -m sphinx -W . _build``."""

import re
import shutil
import sys
from pathlib import Path

import mathjax  # of the package django-static-mathjax, which is MathJax and nothing else

import tinygen

sys.path.insert(0, str(Path(__file__).with_name("extensions")))

project = "tinygen"
version = release = tinygen.__version__
copyright = "the authors of tinygen"
extensions = [
    "myst_nb",  # Markdown as GitHub has it, and notebooks
    "sphinx.ext.autodoc",
    "sphinx.ext.linkcode",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sources",
    "assignments",
    "derivations",
    "notebooks",
    "short_names",
]
exclude_patterns = ["_build", ".jupyter_cache", "jupyter_execute", "stepper/*.html"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4  # those of GitHub, which the links in the pages lead to
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_in_temp = True  # what they write goes away
nb_execution_timeout = 600  # for a cell, on a busy machine; tests/test_notebooks.py has the budget
nb_merge_streams = True
nb_render_image_options = {"alt": "What the cell above draws"}
nb_output_stderr = "remove"  # progress bars, one line for each of their moves

highlight_language = "none"  # what does not say that it is code is a command, or its output
suppress_warnings = ["ref.python"]  # two rooms have a Dense
default_role = "code"  # what docstrings mean by `x`
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_type_aliases = {"Array": "Array", "Pair": "Pair"}
autodoc_preserve_defaults = True
napoleon_use_rtype = False
python_maximum_signature_line_length = 80

html_theme = "furo"
html_title = "tinygen"
templates_path = ["templates"]  # the theme's search page has no heading
html_static_path = ["static"]
html_favicon = "static/icon.svg"
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
html_show_sphinx = False
mathjax_path = "mathjax/tex-chtml.js"
copybutton_exclude = ".linenos, .gp, .go"

for room in (tinygen.ops, tinygen.losses):  # autodoc knows functions, and no Ops
    for name in room.__all__:
        function = getattr(room, name)
        setattr(room, name, getattr(function, "forward", function))


def accessible(app, pagename, templatename, context, doctree):
    """What Sphinx leaves to a screen reader to guess.

    A role of heading needs a level, an empty corner of a table is no heading, and a signature's
    parameters, which Sphinx writes as definitions without terms, are a list.
    """
    tree, body = context.get("furo_navigation_tree", ""), context.get("body", "")
    context["furo_navigation_tree"] = tree.replace(
        'role="heading"', 'role="heading" aria-level="2"'
    )
    body = body.replace('<th class="head"><p></p></th>', "<td></td>")

    def as_list(found):
        return f"<ul>{found[1].replace('dd>', 'li>')}</ul>"

    context["body"] = re.sub(r"<dl>(\n<dd>.*?)</dl>", as_list, body, flags=re.DOTALL)


def signature(app, what, name, thing, options, arguments, returned):
    """An alias within another type is written as autodoc stands for it."""
    alias = r"TypeAliasForwardRef\('(\w+)'\)"
    return tuple(text and re.sub(alias, r"\1", text) for text in (arguments, returned))


def skipped(app, what, name, thing, skip, options):
    """A named tuple's fields are in its signature; each is "alias for field number 0" itself."""
    return True if type(thing).__name__ == "_tuplegetter" else None


def setup(app):
    """MathJax comes along, so that the pages need no network."""
    app.connect("autodoc-skip-member", skipped)
    app.connect("autodoc-process-signature", signature)
    app.connect("html-page-context", accessible, priority=900)
    es5, to = Path(mathjax.__path__[0], "static/mathjax/es5"), Path(app.outdir, "_static/mathjax")
    fonts = "output/chtml/fonts/woff-v2"
    shutil.copytree(es5 / fonts, to / fonts, dirs_exist_ok=True)
    shutil.copy(es5 / "tex-chtml.js", to)
