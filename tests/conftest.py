"""One test, every backend: the fixture `backend`."""

from __future__ import annotations

import os
import signal
import tempfile

import pytest
from hypothesis import HealthCheck, settings
from strict import STRICT

from tinygen.backend import get_backend
from tinygen.errors import InputError

pytest.register_assert_rewrite(
    "agreement", "mutants"
)  # so that its failures show their values, too

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


@pytest.fixture(autouse=True, scope="session")
def cache():
    """A cache for models that are trained once, which goes away with the tests."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
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
    try:
        return get_backend(name)
    except InputError as error:
        pytest.skip(str(error))
