"""What asks a run to stop: every signal saves, none is lost, and what is ignored stays ignored."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from running import environment

from tinygen.training import stopping

HANDLED = [s for s in stopping.SIGNALS if signal.getsignal(s) is not signal.SIG_IGN]


@pytest.mark.parametrize("number", HANDLED)
def test_each_signal_is_noted_and_a_second_one_of_its_kind_stops_at_once(number: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), stopping.noted() as asked:
        assert not asked()
        signal.raise_signal(number)
        assert asked()
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


@pytest.mark.skipif(len(HANDLED) < 2, reason="there is but one signal here")
def test_signals_of_two_kinds_are_one_request() -> None:
    """As a terminal sends one to the whole group and the parent another; systemd sends two."""
    with stopping.noted() as asked:
        for number in HANDLED:
            signal.raise_signal(number)
        assert asked()


@pytest.mark.parametrize("number", HANDLED)
def test_outside_of_training_each_is_like_ctrl_c(number: int) -> None:
    with pytest.raises(KeyboardInterrupt), stopping.as_ctrl_c():
        signal.raise_signal(number)
        pytest.fail("it went on")


@pytest.mark.parametrize("number", HANDLED)
def test_what_is_ignored_stays_ignored(number: int) -> None:
    """As SIGHUP is under nohup."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with stopping.as_ctrl_c(), stopping.noted() as asked:
            signal.raise_signal(number)
            assert not asked()
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_a_system_without_sighup(tmp_path) -> None:
    """As Windows is; what else it lacks is left out, too."""
    code = """
import signal, sys
sys.modules.update(dict.fromkeys(("fcntl", "termios", "resource", "pwd", "grp")))
del signal.SIGHUP, signal.pthread_sigmask
import warnings
warnings.simplefilter("ignore")  # filelock's, that without fcntl it has a weaker lock
import tinygen.training, tinygen.training.parallel, tinygen.evaluation.reference_models
from tinygen.training import stopping
assert stopping.SIGNALS == (signal.SIGINT, signal.SIGTERM)
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
