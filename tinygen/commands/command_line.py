"""The flags that all training commands share, and the messages for those that are wrong."""

from __future__ import annotations

import argparse
import io
import math
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from tinygen import optim
from tinygen.arguments import Parser, name_in
from tinygen.backend import NAMES, keep_freed_memory
from tinygen.data import CHOICES
from tinygen.data.locations import expanded
from tinygen.errors import InputError
from tinygen.models.architecture import KERNEL
from tinygen.nn import BIASES, WEIGHTS
from tinygen.ops import ACTIVATIONS
from tinygen.plots.style import STYLES, use_style
from tinygen.training.recipes import Recipe
from tinygen.training.run_dir import release_claims
from tinygen.training.stopping import as_ctrl_c
from tinygen.training.trainer import Diverged, Interrupted

DATA = "data_sha256"
"""The entry of a configuration that is not a flag: the hashes of the data."""

MOST_UNITS = 10**6
"""The widest layer that can be asked for; beyond it, products of widths are not valid sizes."""

MOST_EPOCHS = 50_000
"""The history of more epochs would not fit into a checkpoint's description."""

ARCHITECTURES = ("dense", "conv")
CHANNELS = (32, 64)
"""Channels of the convolutions by default."""
MOST_KERNEL = 99
UNKNOWN_SIZE = MOST_KERNEL, MOST_KERNEL
"""The size of images until the data are known: large enough for every kernel."""
BEFORE = {"architecture": "dense", "channels": [], "kernel": 3, "start": None}
"""The values with which runs were trained before these flags existed."""
SCHEDULES = ("linear", "cosine", "one-cycle", "step", "stages", "constant")
OPTIMIZERS = ("adam", "rmsprop", "sgd")

Needs = tuple[str, str, tuple[Any, ...]]
"""A flag, another, and the values of that one without which it has no effect; None: not given."""
NEEDS: tuple[Needs, ...] = (
    ("channels", "architecture", ("conv",)),
    ("kernel", "architecture", ("conv",)),
    ("data_dir", "data", tuple(name for name in CHOICES if name != "strokes")),
    ("graphs", "backend", ("cupy",)),
    ("warm_up", "schedule", tuple(name for name in SCHEDULES if name != "stages")),
    *((flag, "optimizer", ("adam",)) for flag in ("beta1", "beta2", "epsilon")),
)
"""The needs of the flags of all examples."""


class _Formatter(argparse.HelpFormatter):
    """Help of 78 columns that states defaults where there are any."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=24, width=78)

    def _get_help_string(self, action: argparse.Action) -> str:
        default = action.default
        if default is None or default is False or default in ((), argparse.SUPPRESS):
            return action.help or ""
        shown = _shown(list(default)) if isinstance(default, tuple) else str(default)
        return f"{action.help} (default: {shown})"


def bare_parser(about: str | None, prog: str | None = None) -> argparse.ArgumentParser:
    """A parser without any flags, which reports errors as all examples do.

    Args:
        about: the docstring of an example, whose first line is shown; ``python -OO`` has none.
        prog: what the user typed to call it, by default the name of the script.
    """
    description = (about or "").partition("\n")[0]
    return Parser(prog, description=description, formatter_class=_Formatter, allow_abbrev=False)


def parser(
    task: str,
    about: str | None,
    data: bool = True,
    prog: str | None = None,
    distributed: bool = False,
    graphs: bool = False,
) -> argparse.ArgumentParser:
    """A parser with the flags that every example has; the example adds its own.

    Args:
        task: the example's name; its run goes to ``runs/<task>`` by default.
        about: as in `bare_parser`.
        data: whether the user can choose the data.
        prog: as in `bare_parser`.
        distributed: whether the user can ask for `setup.ranks_of`.
        graphs: whether the example takes its gradients from `setup.Run.gradients`.
    """
    p = bare_parser(about, prog)
    p.set_defaults(task=task)
    running = p.add_argument_group("running")
    add = running.add_argument
    add("--backend", **choice(NAMES, "library that the arrays are of"))
    add("--gradients", **choice(("autograd", "by-hand"), "how gradients are computed"))
    add("--dtype", **choice(("float32", "float64"), "precision of all arrays"))
    add("--seed", type=whole(0, 2**63 - 1), default=0, metavar="N", help="random seed")
    add("--out", type=path, metavar="DIR", help=f"folder of the run (default: runs/{task})")
    either = running.add_mutually_exclusive_group().add_argument
    either("--resume", action="store_true", help="continue from the run's checkpoint")
    either("--restart", action="store_true", help="start again, and replace the run there")
    if distributed:
        about = "train with all processes that mpiexec has started"
        add("--distributed", action="store_true", help=about)
    if graphs:
        about = "launch each gradient as one CUDA graph, on a GPU"
        add("--graphs", action="store_true", help=about)
    add("--quiet", action="store_true", help="print errors only")
    add("--smoke", action="store_true", help="a tiny run, to check that everything works")
    add("--plot-style", **choice(tuple(STYLES), "background of the page that plots are for"))
    if data:
        add = p.add_argument_group("data").add_argument
        add("--data", **choice(CHOICES, "data set; auto is mnist, or strokes without a network"))
        add(
            "--data-dir",
            type=path,
            metavar="DIR",
            help="folder of the four IDX files or of pictures, or the .npz file",
        )
    add, usual = p.add_argument_group("training").add_argument, Recipe()
    add("--epochs", type=whole(1, MOST_EPOCHS), default=10, metavar="N",
        help="passes over the images")  # fmt: skip
    add("--batch-size", type=whole(1), default=128, metavar="N", help="images per step")
    add("--lr", type=real(above=0, most=10), default=usual.lr, metavar="X",
        help="learning rate, the peak of its schedule")  # fmt: skip
    add("--schedule", **choice(SCHEDULES, "decay of the learning rate"))
    add("--warm-up", type=real(least=0, most=0.9), default=usual.warm_up, metavar="X",
        help="fraction of the run in which the rate first rises")  # fmt: skip
    add("--optimizer", **choice(OPTIMIZERS, "the optimizer"))
    add("--beta1", type=real(least=0, most=0.999999), default=usual.beta1, metavar="X",
        help="decay of Adam's mean of gradients")  # fmt: skip
    add("--beta2", type=real(least=0, most=0.999999), default=usual.beta2, metavar="X",
        help="decay of Adam's mean of squared gradients")  # fmt: skip
    add("--epsilon", type=real(above=0, most=1), default=1e-8, metavar="X",
        help="added to the root of Adam's mean square")  # fmt: skip
    add("--show-every", type=whole(1), default=50, metavar="N",
        help="steps between updates of the loss shown")  # fmt: skip
    return p


def add_network_flags(p: argparse.ArgumentParser) -> Any:
    """The flags of a dense network; returns their group, for the example to add its own."""
    group = p.add_argument_group("model")
    add = group.add_argument
    add("--hidden", type=widths, default=(512, 256), metavar="N,N",
        help="widths between the pixels and the code")  # fmt: skip
    add("--latent", type=whole(1, MOST_UNITS), default=32, metavar="N", help="width of the code")
    add("--activation", **choice(tuple(ACTIVATIONS), "activation of the hidden layers", "elu"))
    add("--weights", **choice(tuple(WEIGHTS), "initial weights", "glorot_uniform"))
    add("--biases", **choice(tuple(BIASES), "initial biases"))
    return group


def add_start_flag(group: Any) -> None:
    """The flag ``--start``, which `Run.trainer` reads."""
    group.add_argument("--start", type=path, metavar="RUN",
        help="a run of the same network, whose parameters this one starts from")  # fmt: skip


def add_distortion_flag(group: Any, default: float | None) -> None:
    """The flag for an `input_distortion`."""
    about = "how far training images are rotated, stretched, sheared and shifted at random"
    kind = real(least=0, most=1)
    group.add_argument("--input-distortion", type=kind, default=default, metavar="X", help=about)


def add_convolution_flags(group: Any, conv: dict[str, Any]) -> None:
    """The flags for convolutions, which change other defaults to those of `conv`; see `parse`."""
    others = [f"{key.replace('_', ' ')} {_shown(value)}" for key, value in conv.items()]
    add = group.add_argument
    about = "dense, or conv: convolutions before (in a decoder after) dense layers"
    add("--architecture", **choice(ARCHITECTURES, "") | {"help": about})
    shown = "; ".join([_shown(CHANNELS), *others])
    add("--channels", type=widths, default=(), metavar="N,N",
        help=f"channels per convolution, of stride 2 (default with conv: {shown})")  # fmt: skip
    add("--kernel", type=whole(1, MOST_KERNEL), default=KERNEL, metavar="N",
        help="width of the convolutions' kernels")  # fmt: skip


def add_preset_flag(p: argparse.ArgumentParser, presets: dict[str, Any]) -> None:
    """The flag that `parse` adds where there are presets."""
    about = f"a recipe that other flags may change: {', '.join(presets)}"
    p.add_argument("--preset", type=name_in(tuple(presets)), metavar="NAME", help=about)


def network(args: argparse.Namespace) -> dict[str, Any]:
    """The values of the flags of `add_network_flags`, as keywords for a model."""
    names = ("hidden", "latent", "activation", "weights", "biases")
    return {name: getattr(args, name) for name in names}


def options(args: argparse.Namespace, model: type) -> dict[str, Any]:
    """The flags named like a field of a model's class, as keywords for it."""
    return {f.name: getattr(args, f.name) for f in fields(model) if f.name in args}


def parse(
    p: argparse.ArgumentParser,
    arguments: Sequence[str] | None,
    smoke: dict[str, Any],
    presets: dict[str, dict[str, Any]] | None = None,
    conv: dict[str, Any] | None = None,
    needs: Sequence[Needs] = (),
) -> argparse.Namespace:
    """Read the command line. Presets and ``--smoke`` change defaults, so explicit flags win.

    All pictures from now on have the ``--plot-style``.

    Args:
        conv: other defaults with ``--architecture conv``, if `add_convolution_flags` was used.
        needs: of the example's own flags.

    Raises:
        InputError: a flag is unknown, its value makes no sense, or it would have no effect.
    """
    if presets:
        add_preset_flag(p, presets)
    first, _ = p.parse_known_args(arguments)
    preset = presets[first.preset] if presets and first.preset else {}
    p.set_defaults(**preset)
    first, _ = p.parse_known_args(arguments)
    if conv is not None and first.architecture == "conv":
        p.set_defaults(**{"channels": CHANNELS} | conv | preset)
    if first.smoke:
        p.set_defaults(**smoke)
    args = p.parse_args(arguments)
    given = _given(p, arguments)
    _refuse_ignored(args, given, (*NEEDS, *needs))
    if conv is not None:
        widths = [name for name, x in conv.items() if isinstance(x, tuple) and name in preset]
        _choose_architecture(args, preset, widths, given)
    if args.out is None:
        args.out = Path("runs") / (args.task + ("-smoke" if args.smoke else ""))
        if args.smoke:  # an earlier run there may be replaced
            args.restart = not vars(args).get("resume")
    if "plot_style" in args:
        use_style(args.plot_style)
    return args


def _given(p: argparse.ArgumentParser, arguments: Sequence[str] | None) -> dict[str, Any]:
    """The flags that the user gave, without defaults."""
    absent = object()
    every = argparse.Namespace(**{action.dest: absent for action in p._actions})
    return {k: x for k, x in vars(p.parse_args(arguments, every)).items() if x is not absent}


def _refuse_ignored(
    args: argparse.Namespace, given: dict[str, Any], needs: Sequence[Needs]
) -> None:
    """A flag that the user gave must not be silently ignored."""
    for flag, other, values in needs:
        if flag in given and getattr(args, other) not in values:
            this, that = _flag(flag), _flag(other)
            raise InputError(
                f"{this} changes nothing with {that} {getattr(args, other)}"
                if None in values
                else f"{this} needs {that} {' or '.join(values)}, got {getattr(args, other)}"
            )


def _choose_architecture(
    args: argparse.Namespace, preset: dict[str, Any], widths: list[str], given: dict[str, Any]
) -> None:
    """A preset's `widths` are for one architecture; for the other the user must give them."""
    of_preset = preset.get("architecture", "dense")
    if args.architecture != of_preset and not {*widths} <= {*given}:
        raise InputError(
            f"--preset {args.preset} is of a {of_preset} network; with --architecture "
            f"{args.architecture} it needs {' and '.join(map(_flag, widths))}"
        )
    if args.architecture == "dense":
        args.channels, args.kernel = (), KERNEL  # whatever the preset says
    elif not args.channels:
        raise InputError("--architecture conv needs --channels, one or more")


def configuration(args: argparse.Namespace) -> dict[str, Any]:
    """All flags that a run's result depends on, as JSON-able values."""
    # What a preset or --smoke sets is there under its own name, and the data by their hashes.
    without = {"out", "resume", "restart", "quiet", "show_every", "data", "data_dir", "task"}
    without |= {"preset", "smoke", "plot_style", "distributed", "graphs"}
    return {k: _plain(v) for k, v in sorted(vars(args).items()) if k not in without}


def refuse_other_configuration(saved: dict[str, Any], now: dict[str, Any], where: Path) -> None:
    """A run is resumed only with the flags it had.

    Raises:
        InputError: naming each flag that differs, unless each has flags that the other lacks.
    """
    saved = {key: value for key, value in BEFORE.items() if key in now} | saved
    if {*saved} - {*now} and {*now} - {*saved}:
        raise InputError(f"{where} holds a run of another command; choose another --out")
    differ = [
        f"{_flag(key[:40])} was {_shown(saved.get(key))}, is {_shown(now.get(key))}"
        for key in sorted({**saved, **now})
        if key != DATA and saved.get(key) != now.get(key)
    ]
    if differ:
        raise InputError(
            f"{where} cannot be resumed with other flags ({'; '.join(differ)}); "
            "--restart begins anew"
        )


def other_data(saved: dict[str, Any], now: dict[str, Any], where: Path) -> InputError:
    """The error for a run that is resumed with other data; both are what is recorded about them."""
    was, got = _data_in_words(saved), _data_in_words(now)
    got = got if got != was else "other images from there"
    return InputError(
        f"{where} cannot be resumed with other data: it began with {was}, this is {got}; give "
        "--data, --data-dir and --smoke as before, --restart to begin anew, or another --out"
    )


def _data_in_words(data: dict[str, Any]) -> str:
    n = data.get("train", "unknown")
    return f"{str(data.get('source', 'unknown data'))[:200]} ({n} training images)"


def schedule(args: argparse.Namespace, steps: int) -> optim.Schedule:
    """The learning rate of each of the run's `steps`."""
    rising = round(args.warm_up * steps)
    falling = steps - rising
    if args.schedule == "one-cycle":  # it has a rise of its own
        return optim.one_cycle(args.lr, steps, rise=args.warm_up)
    if args.schedule == "stages":  # they have none
        return optim.stages(args.lr, steps // args.epochs)
    fall = {
        "constant": lambda: optim.constant(args.lr),
        "step": lambda: optim.step_decay(args.lr, max(1, falling // 3)),
        "cosine": lambda: optim.cosine(args.lr, falling),
        "linear": lambda: optim.linear(args.lr, falling),
    }[args.schedule]()
    return optim.warm_up(fall, rising)


def run(main: Callable[..., None], arguments: Sequence[str] | None = None) -> int:
    """Call `main` and turn what it raises into one sentence on stderr and an exit code.

    The process belongs to `main`: it keeps the memory that a training step frees for the next one.

    Args:
        main: takes the arguments, or nothing if there are none.

    Returns:
        0 done, 2 wrong input, 130 stopped by Ctrl-C or another signal, 1 anything else.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # it may be unable to encode a path
        sys.stdout.reconfigure(errors="backslashreplace")
    keep_freed_memory()
    try:
        with as_ctrl_c():
            main() if arguments is None else main(arguments)
    except InputError as error:
        return _told(f"error: {error}", 2)
    except Interrupted as stop:
        return _told(_with(stop, "is saved, the same command with --resume goes on"), 130)
    except KeyboardInterrupt:
        return _told("stopped", 130)
    except Diverged as error:
        way = "is the last good one, and --restart with a lower --lr may get further"
        return _told(f"error: {_with(error, way)}", 1)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _told(f"error: {error.filename or 'a file'}: {error.strerror or error}", 1)
    except MemoryError as error:
        return _told(f"error: there is not enough memory ({error})", 1)
    finally:
        release_claims()
    return 0


def _with(error: Interrupted | Diverged, way: str) -> str:
    """What ended a run, and what can be done with its checkpoint, if there is one."""
    return f"{error}; {error.checkpoint} {way}" if error.checkpoint else str(error)


def choice(names: Sequence[str], what: str, default: str | None = None) -> dict[str, Any]:
    """The keywords for a flag that takes one of several names, by default the first."""
    help_ = f"{what}: {', '.join(names)}"
    about = {"default": default or names[0], "metavar": "NAME", "help": help_}
    return {"type": name_in(names), **about}


def path(text: str) -> Path:
    """A type for argparse: a path, in which ~ is the home folder."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, got an empty text; the folder here is .")
    try:
        return expanded(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def whole(least: int, most: int = 10**9) -> Callable[[str], int]:
    """A type for argparse: a whole number within bounds."""

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"expected a whole number in digits, got {text!r}"
            ) from None
        if value < least:
            raise argparse.ArgumentTypeError(f"expected at least {least}, got {value}")
        if value > most:
            raise argparse.ArgumentTypeError(f"expected at most {most}, got {text}")
        return value

    return convert


def real(
    least: float = -math.inf, above: float = -math.inf, most: float = math.inf
) -> Callable[[str], float]:
    """A type for argparse: a finite number within bounds."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected a number, got {text!r}") from None
        if not (math.isfinite(value) and least <= value <= most and value > above):
            bounds = [f"at least {least:g}"] if least > -math.inf else []
            bounds += [f"above {above:g}"] if above > -math.inf else []
            bounds += [f"at most {most:g}"] if most < math.inf else []
            expected = " and ".join(bounds) or "a finite number"
            raise argparse.ArgumentTypeError(f"expected a number {expected}, got {text}")
        return value

    return convert


def widths(text: str) -> tuple[int, ...]:
    """A type for argparse: ``512,256``; an empty text means no layers."""
    if not text:
        return ()
    try:
        return tuple(whole(1, MOST_UNITS)(part) for part in text.split(","))
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error} in {text!r}; write widths as 512,256") from None


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _plain(value: Any) -> Any:
    """The value of a flag as JSON represents it."""
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value


def _shown(value: Any) -> str:
    text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return text[:100] or "empty"


def _told(sentence: str, code: int) -> int:
    if sys.stderr is not None:  # a daemon may have closed it
        sentence = sentence.encode(errors="replace").decode()  # half a character has no code
        print(" ".join(sentence.splitlines()), file=sys.stderr, flush=True)
    return code
