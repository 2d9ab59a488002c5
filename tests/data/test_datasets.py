"""Loading data from folders, from mirrors and from nowhere; the mirrors run on this host."""

import gzip
import hashlib
import http.server
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tinygen.data import datasets, idx, load, stroke_digits, strokes
from tinygen.errors import InputError

REAL = os.environ.get("TINYGEN_DATA_DIR")
needs_mnist = pytest.mark.skipif(not REAL, reason="needs TINYGEN_DATA_DIR with MNIST")

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = datasets.FILES


def small_set(seed=0, train=30, test=10, size=(28, 28)):
    """Four arrays by file name, of a made-up data set."""
    rng = np.random.default_rng(seed)
    return {
        TRAIN_IMAGES: rng.integers(0, 256, (train, *size)).astype(np.uint8),
        TRAIN_LABELS: rng.integers(0, 10, train).astype(np.uint8),
        TEST_IMAGES: rng.integers(0, 256, (test, *size)).astype(np.uint8),
        TEST_LABELS: rng.integers(0, 10, test).astype(np.uint8),
    }


def save(folder, arrays, suffix=".gz", rename=lambda name: name):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        idx.write(folder / (rename(name) + suffix), array)
    return folder


@pytest.fixture(autouse=True)
def isolated(tmp_path, monkeypatch):
    """A cache of the test's own, no data folder, no proxy, and mirrors that refuse connections."""
    for name in ("TINYGEN_DATA_DIR", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(datasets, "cache_folder", lambda: tmp_path / "cache")
    closed = f"http://127.0.0.1:{closed_port()}/"
    monkeypatch.setattr(datasets, "MIRRORS", {"mnist": (closed,), "fashion-mnist": (closed,)})


@pytest.fixture
def small_strokes(monkeypatch):
    """Stroke digits by the dozen instead of by the 60,000, for the tests of the fallback."""
    generate = strokes.generate
    monkeypatch.setattr(strokes, "generate", lambda n, *a, **k: generate(n // 5000, *a, **k))


@pytest.fixture
def small_mnist(monkeypatch):
    """A made-up data set whose hashes are expected in place of MNIST's."""
    arrays = small_set()
    hashes = {
        name: hashlib.sha256(
            bytes([0, 0, 8, a.ndim]) + b"".join(n.to_bytes(4, "big") for n in a.shape) + a.tobytes()
        ).hexdigest()
        for name, a in arrays.items()
    }
    monkeypatch.setattr(datasets, "MNIST_SHA256", hashes)
    return arrays


def closed_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Mirror:
    """A web server that serves `files` (name -> bytes); a promised length may be too long."""

    def __init__(self):
        self.files, self.asked, self.missing_bytes = {}, [], 0
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.lstrip("/")
                mirror.asked.append(name)
                if name not in mirror.files:
                    self.send_error(403)
                    return
                content = mirror.files[name]
                self.send_response(200)
                self.send_header("Content-Length", str(len(content) + mirror.missing_bytes))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def two_mirrors(monkeypatch):
    mirrors = Mirror(), Mirror()
    urls = tuple(m.url for m in mirrors)
    monkeypatch.setattr(datasets, "MIRRORS", {"mnist": urls, "fashion-mnist": urls})
    yield mirrors
    for mirror in mirrors:
        mirror.close()


def zipped(tmp_path, arrays):
    folder = save(tmp_path / "to-serve", arrays)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def quietly(*args, **kwargs):
    """Load; the data set and what was said."""
    said = []
    return load(*args, say=said.append, progress=False, **kwargs), said


def refusal(*args, **kwargs):
    with pytest.raises(InputError) as caught:
        quietly(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Folders


@needs_mnist
def test_the_real_mnist():
    data, said = quietly("mnist", REAL)
    assert data.train_images.shape == (60000, 28, 28) and data.test_images.shape == (10000, 28, 28)
    assert data.pixels == 784 and data.image_shape == (28, 28)
    # Known from everybody's tutorials: the first labels, and the mean to normalise by.
    assert data.train_labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert data.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert data.train_images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert np.bincount(data.train_labels)[[0, 1, 5]].tolist() == [5923, 6742, 5421]
    assert data.sha256 == datasets.MNIST_SHA256
    assert data.source.startswith("MNIST in ")
    assert said == []


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("rename", [str, lambda name: name.replace("-idx", ".idx")])
def test_any_usual_name_will_do(tmp_path, small_mnist, suffix, rename):
    folder = save(tmp_path / "data", small_mnist, suffix, rename)
    data, said = quietly("mnist", folder)
    np.testing.assert_array_equal(data.train_images, small_mnist[TRAIN_IMAGES])
    np.testing.assert_array_equal(data.test_labels, small_mnist[TEST_LABELS])
    assert data.sha256 == datasets.MNIST_SHA256
    assert data.source == f"MNIST in {folder}"
    assert said == []


def test_the_order_of_places(tmp_path, monkeypatch, small_mnist):
    cache = save(tmp_path / "cache" / "mnist", small_mnist)
    assert quietly()[0].source == f"MNIST in {cache}"
    variable = save(tmp_path / "variable", small_mnist)
    monkeypatch.setenv("TINYGEN_DATA_DIR", str(variable))
    assert quietly()[0].source == f"MNIST in {variable}"
    named = save(tmp_path / "named" / "mnist", small_mnist)
    assert quietly("auto", tmp_path / "named")[0].source == f"MNIST in {named}"
    (tmp_path / "empty").mkdir()
    data, said = quietly("mnist", tmp_path / "empty")
    assert data.source == f"MNIST in {variable}"
    assert said == [f"{tmp_path / 'empty'} has none of MNIST's files; looking further"]


def test_a_home_folder_is_understood(tmp_path, monkeypatch, small_mnist):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    save(tmp_path / "digits", small_mnist)
    assert quietly("mnist", "~/digits")[0].source == f"MNIST in {tmp_path / 'digits'}"


@pytest.mark.parametrize("choice", ["auto", "mnist"])
def test_a_bad_file_is_refused_though_a_good_one_lies_elsewhere(
    tmp_path, monkeypatch, small_mnist, choice
):
    monkeypatch.setenv("TINYGEN_DATA_DIR", str(save(tmp_path / "good", small_mnist)))
    bad = save(tmp_path / "bad", small_mnist)
    path = bad / f"{TEST_IMAGES}.gz"
    path.write_bytes(path.read_bytes()[:-100])
    message = refusal(choice, bad)
    assert message.startswith(f"{path}: ") and "damaged" in message


@pytest.mark.parametrize("choice", ["auto", "mnist"])
def test_a_missing_file_is_refused(tmp_path, small_mnist, choice):
    folder = save(tmp_path / "data", small_mnist)
    (folder / f"{TEST_LABELS}.gz").unlink()
    message = refusal(choice, folder)
    assert message == f"{folder}: expected four files, plain or .gz, found no {TEST_LABELS}"


def test_other_data_is_not_mnist(tmp_path, small_mnist):
    other = small_set(seed=1)
    message = refusal(
        "auto", save(tmp_path / "data", small_mnist | {TEST_LABELS: other[TEST_LABELS]})
    )
    assert f"{TEST_LABELS}.gz: expected MNIST's {TEST_LABELS} with SHA-256" in message
    assert datasets.MNIST_SHA256[TEST_LABELS] in message
    assert re.search(r"found [0-9a-f]{64}; .*--data idx", message)


def test_images_and_labels_exchanged(tmp_path, small_mnist):
    folder = save(tmp_path / "data", small_mnist | {TRAIN_LABELS: small_mnist[TRAIN_IMAGES]})
    message = refusal("mnist", folder)
    assert "expected an IDX file of labels (1 dimensions), found images" in message


def test_a_folder_that_is_none(tmp_path, monkeypatch):
    assert "No such file or directory" in refusal("auto", tmp_path / "nowhere")
    (tmp_path / "file").write_bytes(b"")
    assert "Not a directory" in refusal("auto", tmp_path / "file")
    monkeypatch.setenv("TINYGEN_DATA_DIR", str(tmp_path / "nowhere"))
    assert "nowhere: expected a folder with data" in refusal("auto")


def test_a_dangling_link_is_refused(tmp_path, small_mnist):
    folder = save(tmp_path / "data", small_mnist)
    (folder / f"{TEST_LABELS}.gz").unlink()
    (folder / f"{TEST_LABELS}.gz").symlink_to(tmp_path / "nowhere")
    assert f"{TEST_LABELS}.gz: cannot be read" in refusal("auto", folder)


# Other data sets


@pytest.mark.parametrize("size", [(28, 28), (5, 7)])
def test_idx_takes_any_consistent_four_files(tmp_path, monkeypatch, size):
    arrays = small_set(size=size)
    arrays[TRAIN_LABELS][0] = 200  # any number of classes
    folder = save(tmp_path / "data", arrays, "")
    data, _ = quietly("idx", folder)
    np.testing.assert_array_equal(data.test_images, arrays[TEST_IMAGES])
    assert data.image_shape == size and data.pixels == size[0] * size[1]
    expected = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in arrays}
    assert data.sha256 == expected
    monkeypatch.setenv("TINYGEN_DATA_DIR", str(folder))
    assert quietly("idx")[0].source == f"the IDX files in {folder}"


@pytest.mark.parametrize(
    "changes, message",
    [
        ({TRAIN_LABELS: np.zeros(29, np.uint8)}, "found 30 images and 29 labels"),
        ({TEST_LABELS: np.zeros(11, np.uint8)}, "each test image, found 10 images and 11 labels"),
        ({TEST_IMAGES: np.zeros((10, 28, 27), np.uint8)}, "28 x 28 for training and 28 x 27"),
        (
            {TEST_IMAGES: np.zeros((0, 28, 28), np.uint8), TEST_LABELS: np.zeros(0, np.uint8)},
            "expected test images",
        ),
        ({TRAIN_IMAGES: np.zeros((30, 0, 28), np.uint8)}, "expected training images"),
    ],
)
def test_idx_refuses_what_does_not_fit_together(tmp_path, changes, message):
    assert message in refusal("idx", save(tmp_path / "data", small_set() | changes))


def test_idx_never_falls_back(tmp_path):
    assert "--data idx needs --data-dir" in refusal("idx")
    assert "found no train-images-idx3-ubyte and no" in refusal("idx", tmp_path)


def test_an_unknown_choice():
    assert "unknown data 'digits'; choose one of auto, mnist" in refusal("digits")


def fashion_like(train=60_000, test=10_000):
    return {
        TRAIN_IMAGES: np.zeros((train, 28, 28), np.uint8),
        TRAIN_LABELS: np.resize(np.arange(10, dtype=np.uint8), train),
        TEST_IMAGES: np.zeros((test, 28, 28), np.uint8),
        TEST_LABELS: np.resize(np.arange(10, dtype=np.uint8), test),
    }


def test_fashion_mnist_in_folders(tmp_path, monkeypatch):
    arrays = fashion_like()
    folder = save(tmp_path / "fashion", arrays, "")
    data, _ = quietly("fashion-mnist", folder)
    assert data.source == f"Fashion-MNIST in {folder}"
    assert set(data.sha256) == set(datasets.FILES)
    # The variable may point at MNIST, and Fashion-MNIST's files are called the same.
    monkeypatch.setenv("TINYGEN_DATA_DIR", str(folder))
    assert "could not be downloaded" in refusal("fashion-mnist")
    folder.rename(tmp_path / "fashion-mnist")
    monkeypatch.setenv("TINYGEN_DATA_DIR", str(tmp_path))
    assert quietly("fashion-mnist")[0].source == f"Fashion-MNIST in {tmp_path / 'fashion-mnist'}"


def test_fashion_mnist_is_checked(tmp_path):
    folder = save(tmp_path / "fashion", fashion_like(), "")
    idx.write(folder / TEST_LABELS, np.zeros(10_000, np.uint8))
    assert "expected 1000 labels of each of 10 classes" in refusal("fashion-mnist", folder)
    idx.write(folder / TEST_LABELS, np.full(10_000, 200, np.uint8))
    assert "expected 1000 labels of each of 10 classes" in refusal("fashion-mnist", folder)
    idx.write(folder / TRAIN_IMAGES, np.zeros((100, 28, 28), np.uint8))
    assert "(60000, 28, 28), found (100, 28, 28)" in refusal("fashion-mnist", folder)


@needs_mnist
def test_mnist_is_not_fashion():
    assert "found MNIST's file of the same name" in refusal("fashion-mnist", REAL)


def test_stroke_digits():
    data = stroke_digits(seed=3, train=40, test=20)
    images, labels, factors = strokes.generate(40, seed=3)
    test_factors = strokes.generate(20, seed=3, part=1)[2]
    np.testing.assert_array_equal(data.train_images, images)
    np.testing.assert_array_equal(data.train_labels, labels)
    assert data.test_images.shape == (20, 28, 28)
    assert set(data.train_factors) == set(data.test_factors) == set(strokes.FACTORS)
    for name in factors:
        np.testing.assert_array_equal(data.train_factors[name], factors[name])
        np.testing.assert_array_equal(data.test_factors[name], test_factors[name])
    assert not (data.train_images[:20] == data.test_images).all((1, 2)).any()
    assert data.source == "built-in stroke digits, seed 3"
    assert data.sha256["train"] == hashlib.sha256(images.tobytes()).hexdigest()


def test_the_first_of_a_data_set(tmp_path):
    drawn = stroke_digits(seed=3, train=40, test=20)
    cut = drawn.first(train=7, test=9)
    np.testing.assert_array_equal(cut.train_images, drawn.train_images[:7])
    np.testing.assert_array_equal(cut.train_labels, drawn.train_labels[:7])
    assert len(cut.test_images) == len(cut.test_labels) == 9
    assert set(cut.train_factors) == set(strokes.FACTORS)
    for name, values in cut.train_factors.items():
        np.testing.assert_array_equal(values, drawn.train_factors[name][:7])
        assert len(cut.test_factors[name]) == 9
    assert len(drawn.first(100, 100).test_images) == 20  # all there are
    assert (cut.source, cut.sha256) == (drawn.source, drawn.sha256)
    found, _ = quietly("idx", save(tmp_path / "data", small_set()))
    assert found.train_factors is None and found.first(2, 3).test_factors is None
    assert found.first(2, 3).test_labels.shape == (3,)


def test_choosing_strokes_looks_nowhere(tmp_path, small_strokes):
    data, said = quietly("strokes", tmp_path / "nowhere", seed=4)
    assert data.source == "built-in stroke digits, seed 4" and said == []


# Downloads


def test_download_into_the_cache_once(tmp_path, small_mnist, two_mirrors):
    first, second = two_mirrors
    first.files = zipped(tmp_path, small_mnist)
    data, said = quietly("mnist")
    np.testing.assert_array_equal(data.train_images, small_mnist[TRAIN_IMAGES])
    assert said == [f"Downloading {first.url}{name}.gz" for name in datasets.FILES]
    cache = tmp_path / "cache" / "mnist"
    assert sorted(p.name for p in cache.iterdir()) == sorted(f"{n}.gz" for n in datasets.FILES)
    assert quietly("auto")[0].source == f"MNIST in {cache}"
    assert len(first.asked) == 4 and second.asked == []


@pytest.mark.parametrize("fault", ["forbidden", "web page", "other data", "cut gzip", "cut short"])
def test_a_bad_mirror_is_left_for_the_next(tmp_path, small_mnist, two_mirrors, fault):
    bad, good = two_mirrors
    good.files = zipped(tmp_path, small_mnist)
    bad.files = dict(good.files)
    name = f"{TRAIN_LABELS}.gz"
    if fault == "forbidden":
        del bad.files[name]
    elif fault == "web page":
        bad.files[name] = b"<html>Please sign in"
    elif fault == "other data":
        bad.files[name] = gzip.compress(b"\0\0\x08\x01\0\0\0\x1e" + bytes(30))
    elif fault == "cut gzip":
        bad.files[name] = bad.files[name][:-5]
    else:
        bad.missing_bytes = 100
    data, _ = quietly("mnist")
    np.testing.assert_array_equal(data.train_labels, small_mnist[TRAIN_LABELS])
    cache = tmp_path / "cache" / "mnist"
    assert sorted(p.name for p in cache.iterdir()) == sorted(f"{n}.gz" for n in datasets.FILES)


def test_a_mirror_that_unzips_is_as_good(tmp_path, small_mnist, two_mirrors):
    two_mirrors[0].files = {
        name: gzip.decompress(content) for name, content in zipped(tmp_path, small_mnist).items()
    }
    assert quietly("mnist")[0].sha256 == datasets.MNIST_SHA256


def test_no_mirror_has_it(tmp_path, small_mnist, two_mirrors, small_strokes):
    two_mirrors[1].files = dict.fromkeys(
        (f"{name}.gz" for name in datasets.FILES), b"<html>Please sign in"
    )
    message = refusal("mnist")
    assert "(127.0.0.1: answered 403; 127.0.0.1: sent something else than the file)" in message
    assert list((tmp_path / "cache" / "mnist").iterdir()) == []
    data, _ = quietly("auto", seed=6)
    assert data.source == "built-in stroke digits, seed 6"


def test_an_aborted_download_leaves_nothing_and_goes_on_later(
    tmp_path, monkeypatch, small_mnist, two_mirrors
):
    two_mirrors[0].files = zipped(tmp_path, small_mnist)
    fetch = datasets._fetch

    def fetch_and_abort(url, path, progress):
        fetch(url, path, progress)
        if TEST_IMAGES in url:
            raise KeyboardInterrupt

    monkeypatch.setattr(datasets, "_fetch", fetch_and_abort)
    with pytest.raises(KeyboardInterrupt):
        quietly("mnist")
    cache = tmp_path / "cache" / "mnist"
    whole = [f"{TRAIN_IMAGES}.gz", f"{TRAIN_LABELS}.gz"]
    assert sorted(p.name for p in cache.iterdir()) == whole
    monkeypatch.setattr(datasets, "_fetch", fetch)
    assert quietly("mnist")[1][0].endswith(f"{TEST_IMAGES}.gz")


def test_a_bar_on_a_terminal_only(tmp_path, monkeypatch, small_mnist, two_mirrors):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    two_mirrors[0].files = zipped(tmp_path, small_mnist)
    for stream, progress in ((Terminal(), True), (Terminal(), False), (io.StringIO(), True)):
        monkeypatch.setattr(sys, "stderr", stream)
        load("mnist", say=lambda line: None, progress=progress)
        if stream.isatty() and progress:
            size = len(two_mirrors[0].files[f"{TRAIN_IMAGES}.gz"])
            assert re.search(f"{TRAIN_IMAGES}.gz: 100%.* {size / 1000:.1f}k", stream.getvalue())
        else:
            assert stream.getvalue() == ""
        shutil.rmtree(tmp_path / "cache")


def test_fashion_mnist_is_downloaded_into_a_folder_of_its_own(tmp_path, two_mirrors, small_mnist):
    two_mirrors[0].files = zipped(tmp_path, fashion_like())
    save(tmp_path / "cache" / "mnist", small_mnist)
    assert quietly("fashion-mnist")[0].source.endswith("fashion-mnist")
    assert quietly("mnist")[0].source == f"MNIST in {tmp_path / 'cache' / 'mnist'}"


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch, small_strokes):
    (tmp_path / "cache").write_bytes(b"in the way")
    assert "(" + str(tmp_path / "cache" / "mnist") in refusal("mnist")
    assert quietly("auto")[0].name == "strokes"


# No network


def test_without_a_network_auto_says_what_it_does(small_strokes):
    data, said = quietly("auto", seed=5)
    assert data.name == "strokes" and data.source == "built-in stroke digits, seed 5"
    (line,) = said
    assert line.startswith("Using the built-in stroke digits: MNIST could not be downloaded (")
    assert "127.0.0.1: Connection refused" in line
    for needed in (*datasets.FILES, "--data-dir", "TINYGEN_DATA_DIR"):
        assert needed in line


@pytest.mark.parametrize("choice", ["mnist", "fashion-mnist"])
def test_without_a_network_the_others_are_refused(choice):
    message = refusal(choice)
    assert "could not be downloaded" in message and f"DIR/{choice}" in message


def test_a_silent_host_is_left_after_one_address_of_each_kind(monkeypatch):
    addresses = [(socket.AF_INET, 1, 6, "", (f"192.0.2.{i}", 80)) for i in range(16)]
    addresses += [(socket.AF_INET6, 1, 6, "", (f"2001:db8::{i}", 80, 0, 0)) for i in range(16)]
    tried = []

    def connect(address, timeout):
        tried.append((address, timeout))
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(TimeoutError):
        datasets._require_connection("http://mirror.example/file")
    assert [address for address, _ in tried] == [("192.0.2.0", 80), ("2001:db8::0", 80)]
    assert all(timeout <= 5 for _, timeout in tried)


def test_no_file_is_asked_of_a_dead_mirror_twice(monkeypatch, small_strokes):
    tried = []

    def refuse(url):
        tried.append(url)
        raise TimeoutError

    monkeypatch.setattr(datasets, "_require_connection", refuse)
    quietly("auto")
    assert len(tried) == 1


# Imports

SCRIPT = """
import sys
import tinygen.data
tinygen.data.load("idx", sys.argv[1])
print([name for name in ("pooch", "tqdm", "requests", "cupy", "matplotlib") if name in sys.modules])
"""


def test_nothing_heavy_is_imported_before_a_download(tmp_path):
    folder = save(tmp_path / "data", small_set())
    out = subprocess.run(
        [sys.executable, "-c", SCRIPT, folder],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert out.stdout.strip() == "[]"


def test_the_cache_is_where_pooch_has_it():
    import pooch

    code = "from tinygen.data import datasets; print(datasets.cache_folder())"
    out = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert out.stdout.strip() == str(pooch.os_cache("tinygen"))


def test_loading_fails_fast():
    start = time.perf_counter()
    refusal("mnist")
    assert time.perf_counter() - start < 5  # a minute would be the way of requests
