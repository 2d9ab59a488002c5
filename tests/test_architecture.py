"""The map of the project: who may import whom, what an import loads, and the public names."""

from __future__ import annotations

import ast
import configparser
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import tinygen

PACKAGE = Path(tinygen.__file__).parent
ROOT = PACKAGE.parent

# Each room of the package, and the rooms it may import; docs/architecture.md says why.
# A room that is not listed here is a failure, and so is an import within a function.
MAY_IMPORT = {
    "errors": "",
    "arguments": "errors",
    "files": "errors",
    "display": "",
    "backend": "errors",
    "parameters": "backend display",
    "autograd": "backend parameters",
    "ops": "backend autograd",
    "losses": "backend autograd ops",
    "nn": "errors display backend parameters autograd ops",
    "models": "errors display backend parameters autograd ops losses nn byhand",
    # An independent derivation: nothing of autograd, nor anything that is built on it.
    "byhand": "errors backend parameters",
    "explain": "arguments errors display files backend parameters autograd ops losses nn models "
    "byhand",
    "optim": "display backend parameters",
    "data": "errors display files backend",
    "training": "errors display files backend parameters autograd ops losses optim data models",
    # The curve in a notebook; it is imported only there.
    "training.live": "training plots",
    "evaluation": "errors backend data",
    # It trains the models that others are measured against.
    "evaluation.reference_models": "evaluation errors files backend parameters losses optim data "
    "models training",
    "plots": "display files",
    # Of explain, what students get a copy of.
    "homework": "arguments errors files explain",
    # What a user types stands above all; it offers the names of nn, ops and models.
    "commands": "arguments errors files backend parameters losses ops nn optim data models "
    "training evaluation plots",
    "__main__": "errors commands homework explain",
}

# Names that look like heavy libraries to whoever only wants to compute.
HEAVY = "cupy cupyx matplotlib pooch tqdm numba mpi4py requests PIL scipy torch hypothesis pytest"


def room_of(path):
    """The folder or file directly below tinygen/, without its ending, or a file with a row here."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    name = ".".join(parts)
    return name if name in MAY_IMPORT else parts[0]


def files():
    found = sorted(PACKAGE.rglob("*.py"))
    assert len(found) > 30  # or the walk sees nothing, and everything passes
    return found


def imports(path):
    """The absolute names of all that a file imports, wherever in it: (name, line)."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports here are absolute"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def test_every_room_is_in_the_table():
    rooms = {room_of(path) for path in files()} - {"__init__"}
    assert rooms - set(MAY_IMPORT) == set(), "say in MAY_IMPORT what the new room may import"
    mentioned = {room for allowed in MAY_IMPORT.values() for room in allowed.split()}
    assert mentioned <= set(MAY_IMPORT)


def test_the_table_goes_one_way():
    """The rooms can be ordered so that each imports only those before it."""
    left = {room: {*allowed.split()} for room, allowed in MAY_IMPORT.items()}
    while left:
        free = [room for room, needs in left.items() if not needs & set(left)]
        assert free, f"these import each other in a circle: {', '.join(left)}"
        for room in free:
            del left[room]


# tinygen/__init__.py gathers the public names of all rooms.
INSIDE = [path for path in files() if room_of(path) != "__init__"]


@pytest.mark.parametrize("path", INSIDE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    room = room_of(path)
    allowed = {room.split(".")[0], *MAY_IMPORT[room].split()}
    for name, line in imports(path):
        parts = name.split(".")
        if parts[0] != "tinygen":
            continue
        if name == "tinygen" and room in ("training", "__main__"):
            continue  # a run records tinygen.__version__, and the command line prints it
        assert len(parts) > 1 and parts[1] in MAY_IMPORT, (
            f"{path}:{line}: import from the rooms, not from tinygen itself: {name}"
        )
        assert parts[1] in allowed, f"{path}:{line}: {room} must not import {parts[1]}"


@pytest.mark.parametrize("room", ["autograd", "ops", "nn", "losses", "models"])
def test_by_hand_reaches_no_autograd_by_any_detour(room):
    reached, waiting = set(), ["byhand"]
    while waiting:
        new = {*MAY_IMPORT[waiting.pop()].split()} - reached
        reached |= new
        waiting += new
    assert room not in reached


def test_homework_takes_of_explain_only_what_needs_nothing_else():
    """Students get these files without tinygen, and so do Gradescope's machines."""
    for path in files():
        for name, line in imports(path) if room_of(path) == "homework" else ():
            if name.startswith("tinygen.explain"):
                kind = name.split(".")[2:4]
                assert kind in (["diagnosis", "arrays"], ["diagnosis", "factors"]), (path, line)


def test_only_the_backend_imports_cupy():
    for path in files():
        if room_of(path) != "backend":
            found = [
                line for name, line in imports(path) if name.split(".")[0] in ("cupy", "cupyx")
            ]
            assert not found, f"{path}: imports cupy in line {found}"


def test_the_walk_sees_what_it_should(tmp_path):
    """It is itself tested with the imports that it has to find."""
    path = tmp_path / "x.py"
    path.write_text(
        "import a.b, c\nfrom d import e as f\ndef g():\n    if True:\n        from h.i import j\n"
    )
    assert list(imports(path)) == [("a.b", 1), ("c", 1), ("d.e", 2), ("h.i.j", 5)]
    path.write_text("from . import x")
    with pytest.raises(AssertionError, match="imports here are absolute"):
        list(imports(path))


def run(code, environment=None):
    """What Python prints in a process of its own."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_importing_tinygen_loads_no_heavy_library():
    code = f"import sys, tinygen; print(*[n for n in {HEAVY.split()} if n in sys.modules])"
    assert run(code) == ""


def test_importing_tinygen_does_not_load_numpys_generators_either():
    """NumPy loads them when they are first used; they are a tenth of the time of the import."""
    if run("import sys, numpy; print('numpy.random' in sys.modules)") == "True":
        pytest.skip("this NumPy loads them by itself")
    assert run("import sys, tinygen; print('numpy.random' in sys.modules)") == "False"


def test_importing_tinygen_loads_only_what_every_computation_needs():
    """The models are imported when asked for; tests/benchmarks/step.py measures what that saves."""
    code = "import sys, tinygen; print(*[n for n in sys.modules if n.startswith('tinygen.')])"
    rooms = {name.split(".")[1] for name in run(code).split()}
    assert rooms == {"autograd", "backend", "display", "errors", "losses", "nn", "ops", "optim",
                     "parameters"}  # fmt: skip


def test_what_comes_when_asked_for_is_there_in_every_form():
    asked = ("tinygen.VAE", "tinygen.models.VAE", "tinygen.byhand.vae.loss_and_grads")
    for name in asked:
        assert run(f"import tinygen; print({name}.__name__)") == name.rpartition(".")[2]
    assert run("from tinygen import VAE, byhand; print(byhand.vae.__name__)").endswith("vae")
    assert run("from tinygen import *; print(VAE is models.VAE, byhand.gan is not None)") == (
        "True True"
    )


def test_importing_evaluation_loads_no_training():
    code = "import sys, tinygen.evaluation; print('tinygen.training' in sys.modules)"
    assert run(code) == "False"


def test_computing_loads_no_heavy_library():
    code = (
        "import sys, numpy as np, tinygen as tg\n"
        "net = tg.nn.mlp([3, 2])\n"
        "f = tg.value_and_grad(lambda p, x: tg.mse(net(p, x), x[:, :2]))\n"
        "p = net.initialise(0)\n"
        "f(p, np.ones((4, 3), np.float32))\n"
        f"print(*[n for n in {HEAVY.split()} if n in sys.modules])"
    )
    assert run(code) == ""


def test_the_public_names_exist_once_and_are_explained():
    names = tinygen.__all__
    assert len(names) == len({*names}), sorted(n for n in {*names} if names.count(n) > 1)
    for name in names:
        thing = getattr(tinygen, name)
        if not isinstance(thing, dict):  # a dict's docstring stands below it in the source
            assert (inspect.getdoc(thing) or "").strip(), f"{name} has no docstring"


def test_completion_shows_all_public_names_and_nothing_else():
    """A name that is imported when asked for is one of them; what this file imports is not."""
    shown = dir(tinygen)
    assert {*tinygen.__all__, "load", "save", "to_torch", "data", "plots", "trace"} <= {*shown}
    assert {"VAE", "GAN", "Autoencoder", "Classifier", "AdversarialAutoencoder"} <= {*shown}
    assert not {"annotations", "Any", "TYPE_CHECKING", "import_module"} & {*shown}
    for name in shown:
        assert getattr(tinygen, name) is not None
    assert tinygen.VAE is tinygen.models.VAE


def test_type_checkers_see_what_is_imported_later():
    """Each is imported below TYPE_CHECKING from where it comes in the end."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {}
    for node in block.body:
        for alias in node.names:
            if alias.name == "*":
                names = import_module(node.module).__all__
                seen |= dict.fromkeys(names, node.module)
                continue
            assert alias.asname == alias.name, "or it is no public name to a type checker"
            seen[alias.name] = node.module
    later = {name: f"tinygen.{room}" for name, room in tinygen._LATER_FROM.items()}
    assert seen == later | dict.fromkeys(tinygen._LATER, "tinygen")


def test_every_op_and_every_loss_is_a_public_name():
    for name, op in tinygen.OPS.items():
        if op.__module__.startswith(("tinygen.ops", "tinygen.losses")):
            public = inspect.unwrap(getattr(tinygen, name))  # concatenate calls its op in groups
            assert public is inspect.unwrap(op.forward), f"{name} is not in the __all__ of its room"


def test_public_classes_explain_their_public_methods():
    for name in tinygen.__all__:
        thing = getattr(tinygen, name)
        if not inspect.isclass(thing):
            continue
        for member in vars(thing).values():
            called = getattr(member, "__name__", "_")
            if inspect.isfunction(member) and not called.startswith(("_", "<")):
                inherited = inspect.getdoc(getattr(thing, called))
                assert inherited, f"{name}.{called} has no docstring"


def test_what_is_looked_at_later_is_imported_when_asked_for():
    assert run("import tinygen; print(tinygen.data.__name__)") == "tinygen.data"
    with pytest.raises(AttributeError, match="module 'tinygen' has no attribute 'nonsense'"):
        _ = tinygen.nonsense


BY_ORDER = ("parameters", "autograd", "nn", "optim", "models")
ORDERED = [path for path in files() if room_of(path) in BY_ORDER]


def is_set(node, names):
    """Whether an expression is a set, or a name that was given one."""
    return (
        isinstance(node, (ast.Set, ast.SetComp))
        or (isinstance(node, ast.Name) and node.id in names)
        or (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("set", "frozenset")
        )
    )


def walks_over_sets(code):
    """The lines in which something goes through the elements of a set."""
    tree = ast.parse(code)
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and is_set(node.value, ()):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    for node in ast.walk(tree):
        walked = []
        if isinstance(node, (ast.For, ast.comprehension)):
            walked = [node.iter]
        elif isinstance(node, ast.Starred):
            walked = [node.value]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
            "list",
            "tuple",
            "sum",
        ):
            walked = node.args[:1]
        for one in walked:
            if is_set(one, names):
                yield one.lineno


@pytest.mark.parametrize("path", ORDERED, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_goes_through_a_set(path):
    """A set of tensors has another order in every run, and so has what is summed over it."""
    lines = list(walks_over_sets(path.read_text(encoding="utf-8")))
    assert not lines, f"{path}: use a list or a dict, which keep their order, in lines {lines}"


def test_the_search_for_walks_over_sets_sees_what_it_should():
    code = "a = {1}\nfor x in a: pass\n[x for x in {1, 2}]\nsum(set(b))\nf(*a)\nlist(a)\n"
    assert sorted(walks_over_sets(code)) == [2, 3, 4, 5, 6]
    assert not list(walks_over_sets("a = {1}\n2 in a\nlen(a)\nsorted(a)\nfor x in b: pass\n"))


def test_pyproject_has_only_what_pip_demands():
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    assert [line for line in lines if line.startswith("[")] == ["[build-system]"]


def test_everything_else_is_set_in_setup_cfg():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert config["metadata"]["version"] == "attr: tinygen.__version__"
    oldest = tuple(map(int, config["options"]["python_requires"].removeprefix(">=").split(".")))
    assert oldest <= sys.version_info[:2]
    required = config["options"]["install_requires"].split()
    # Every library that is imported is installed with it, or is an extra.
    extras = " ".join(config["options.extras_require"].values())
    for path in files():
        for name, line in imports(path):
            top = name.split(".")[0]
            top = {
                "PIL": "pillow",
                "cupyx": "cupy",
                "cupy_backends": "cupy",
                "IPython": "jupyterlab",
            }.get(top, top)
            known = top == "tinygen" or top in sys.stdlib_module_names
            assert known or any(r.startswith(top) for r in required) or top in extras, (
                f"{path}:{line}: {top} is imported, and not in setup.cfg"
            )


def test_help_says_where_to_begin_and_finds_what_is_trained():
    assert "tg.fit(" in inspect.getdoc(tinygen)[:400]
    assert tinygen.TrainedModel is tinygen.training.TrainedModel
