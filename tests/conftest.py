"""What all tests share: backends, repeatable examples, one BLAS thread, and what is quick."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from functools import lru_cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from strict import STRICT
from threadpoolctl import threadpool_limits

from tinygen.backend import get_backend
from tinygen.errors import InputError

# So that failures of helpers show their values, too.
helpers = {path.stem for path in (Path(__file__).parent / "helpers").glob("*.py")}
pytest.register_assert_rewrite(*(helpers - set(sys.modules)))

# The same examples in every run, so that a red run can be repeated; no deadline, because CI
# machines pause; no files left behind.
settings.register_profile(
    "tinygen",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("tinygen")

QUICK = {"autograd", "backend", "byhand", "ops"}
"""The folders of the core, of which `-m quick` runs on NumPy all that is not slow, but these:"""
NOT_QUICK = {
    "test_a_long_chain_needs_no_recursion",
    "test_a_step_is_so_many_launches",
    "test_a_wrong_gradient_in_a_large_input_is_found_by_directions_alone",
    "test_autograd_and_finite_differences_agree",
    "test_by_hand_and_autograd_agree",
    "test_compiled_loops_do_what_the_plain_ones_do",
    "test_every_single_entry_of_the_gradient",
    "test_gradient_descent_on_a_linear_autoencoder_finds_the_principal_subspace",
    "test_gradients_by_layers_on_the_way_are_added",
    "test_indexing_is_numpys",
    "test_no_false_alarms",
    "test_the_gradient_of_a_function_of_the_derivative",
    "test_the_gradient_of_a_function_of_the_result",
    "test_the_penalty_against_finite_differences_of_the_first_derivative",
    "test_the_right_sine_passes_at_every_size_and_seed",
    "test_the_second_derivative",
    "test_with_whole_channels_dropped",
}


def pytest_ignore_collect(collection_path, config):
    """With `-m quick`, nothing else needs to be imported."""
    if config.option.markexpr == "quick" and collection_path.parent == Path(__file__).parent:
        return collection_path.name not in QUICK
    return None


@pytest.hookimpl(tryfirst=True)  # before -m looks at the markers
def pytest_collection_modifyitems(items):
    for item in items:
        core = item.path.parent.name in QUICK and item.name.partition("[")[0] not in NOT_QUICK
        callspec = getattr(item, "callspec", None)
        elsewhere = callspec is not None and callspec.params.get("backend", "numpy") != "numpy"
        marked = any(item.get_closest_marker(name) for name in ("slow", "gpu"))
        if core and not elsewhere and not marked:
            item.add_marker("quick")


@pytest.hookimpl(wrapper=True)
def pytest_collect_file():
    """Doctests are looked for in tinygen alone: an import that fails here must not be ignored."""
    return [collector for collector in (yield) if type(collector) is pytest.Module]


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """BLAS on one thread: on small matrices it is faster, and workers of xdist share the cores."""
    with threadpool_limits(1, user_api="blas"):
        yield


@pytest.fixture(autouse=True, scope="session")
def cache():
    """A cache for models that are trained once, which goes away with the tests."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TINYGEN_CACHE_DIR"] = folder
        yield


@pytest.fixture(autouse=True, scope="session")
def ctrl_c():
    """Ctrl-C works as in a terminal; what a shell starts in the background is deaf to it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=["numpy", "strict", pytest.param("cupy", marks=pytest.mark.gpu)])
def backend(request):
    """NumPy; the strict stand-in for CuPy; and CuPy itself, where there is a GPU."""
    return STRICT if request.param == "strict" else _get(request.param)


@pytest.fixture
def gpu():
    """The CuPy backend, in tests that are about a real GPU."""
    return _get("cupy")


def _get(name):
    backend = _backend_or_why_not(name)
    if isinstance(backend, InputError):
        pytest.skip(str(backend))
    return backend


@lru_cache
def _backend_or_why_not(name):
    """Asked once: finding out that CuPy does not work can take a second each time."""
    try:
        return get_backend(name)
    except InputError as error:
        return error
