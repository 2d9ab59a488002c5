"""Cheats: each gets nothing for the question that it did not solve, and the other one's points."""

from __future__ import annotations

import io
import json
import os
import re
import resource
import socket
import time
import zipfile
import zlib

import numpy as np
import pytest
from tiny_homework import HEADER, RIGHT, install

from tinygen.homework import assignment, grading, prove
from tinygen.homework.cheats import CHEATS
from tinygen.homework.grading import grade
from tinygen.homework.sandbox import parent, wire
from tinygen.homework.sandbox.limits import ONE_THREAD
from tinygen.homework.sandbox.parent import Limits, Request, run

if os.name != "posix":
    pytest.skip("grading needs Linux or a Mac", allow_module_level=True)

HONEST = RIGHT[RIGHT.index("def total") :]
"""The other question, solved."""
LIMITS = Limits(start=2, memory=2**30)


@pytest.fixture(autouse=True)
def tiny(tmp_path, monkeypatch):
    install(tmp_path / "kit", monkeypatch)


def graded(source, folder):
    path = folder / "tiny.py"
    path.write_text(HEADER + source)
    return grade(path, limits=LIMITS)


OF_THE_PROOF = {
    "the checker is replaced": "expected an array, got str",
    "the solution is read": "may not open files",
    "NumPy is replaced": "expected the shape",
    "100 GB": "more memory than 1 GiB",
    "a file is written outside": "may not open files",
    "os._exit": "ended Python",
    "a forged result is printed": "None",
    "a fork bomb": "operating system",
    "an endless loop": "takes longer than 0.5 s",
}
"""What is said of the cheats that each assignment is proved with."""


def of_the_proof(name, folder):
    """Such a cheat in the place of q1 of `tiny`."""
    tiny = assignment.load("tiny")
    return prove.cheat(name, tiny, tiny.questions(tiny.variant(0))[0], folder / "outside")


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_of_the_proof_loses_its_question_alone(name, tmp_path):
    body = of_the_proof(name, tmp_path)
    source = f"import numpy as np\n\ndef product(x, w):\n{body}\n\n{HONEST}"
    one, other = graded(source, tmp_path).questions
    assert (one.points, other.points) == (0, 1), (one, other)
    assert re.search(OF_THE_PROOF[name], one.text), one.text
    assert not (tmp_path / "outside").exists()


def test_the_solution_would_do_if_it_could_be_read(tmp_path):
    """So what that cheat lacks is a file, and nothing else."""
    tiny = assignment.load("tiny")
    source = f"def product(x, w):\n{of_the_proof('the solution is read', tmp_path)}"
    got = tiny.results(source, "q1", tiny.variant(0), 0)
    np.testing.assert_array_equal(got, tiny.known("q1", tiny.variant(0), 0).expected)


def test_a_cheat_that_gets_points_is_a_failed_proof(monkeypatch):
    tiny = assignment.load("tiny")
    assert [*prove.prove_cheats(tiny)] == []
    work = {"somebody works": "return x @ w / len(x)", "somebody tries": "return x"}
    monkeypatch.setattr(prove, "CHEATS", work)
    assert [*prove.prove_cheats(tiny)] == ["cheats: q1 gets 2 points where somebody works"]


ALONE = {
    "an endless loop that catches all": (
        """
    while True:
        try:
            while True: pass
        except BaseException: pass""",
        "takes longer than 0.5 s",
    ),
    "a sleep": ("import time; time.sleep(100)", "takes longer"),
    "signals ignored": (
        """
    signal = sys.modules["signal"]
    for number in range(1, 32):
        try: signal.signal(number, signal.SIG_IGN)
        except Exception: pass
    while True: pass""",
        "takes longer",
    ),
    "os._exit with a failure": ("sys.modules['os']._exit(7)", r"ended Python \(exit code 7\)"),
    "abort": ("sys.modules['os'].abort()", "SIGABRT|SIGSEGV"),
    "memory bit by bit": (
        "x = [bytes(10**7)]\n    while True: x.append(bytes(10**7))",
        "more memory",
    ),
    "a stack overflow": (
        "sys.setrecursionlimit(10**9)\n    class A: __repr__ = lambda a: repr(a)\n    repr(A())",
        "crash|levels deep|memory",
    ),
    "np.savez replaced": ("np.savez = lambda *a, **k: None\n    return np.ones((3, 2))", "none"),
    "ctypes from where it is": ("sys.modules['ctypes'].string_at(0)", "crash|call C"),
    "more output than anybody reads": (
        "while True: print('x' * 10**5)",
        "takes longer",
    ),
    "standard output closed": ("sys.stdout.close(); sys.modules['os'].close(1)", "None"),
}
"""What may end its process, or spoil it."""

TOGETHER = {
    "sys.exit": ("sys.exit()", "leaves Python"),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "an exception that cannot be printed": (
        """
    class Bad(Exception):
        def __str__(self): raise RuntimeError
    raise Bad""",
        "Bad",
    ),
    "100 GB of a list": ("return [0] * 10**11", "more memory"),
    "a huge array that takes no memory": (
        "return np.broadcast_to(1.0, (10**12,))",
        "at most 32 MiB, got more",
    ),
    "an array of objects": ("return np.array([[None]])", "array of numbers"),
    "an object": ("return object()", "got object"),
    "a huge result": (
        "return np.zeros(2**25 - 1000, bool)",
        "expected a result of 6 numbers, got one of 33,553,432",
    ),
    "rows without numbers": ("return np.zeros((10**9, 0))", "at most 32 MiB, got more"),
    "columns without numbers": (
        "return np.zeros((0, 10**6))",
        "expected a result of 6 numbers, got one of 1,000,000",
    ),
    "too many arrays": ("return {str(i): np.ones(1) for i in range(201)}", "200 arrays, got 201"),
    "too long a text": ("return 'x' * 300_000", "at most 256 KiB of text"),
    "nested without end": ("a = []; a.append(a); return a", "levels deep|nested"),
    "nested deeply": ("a = 1\n    for _ in range(500): a = (a,)\n    return a", "nested"),
    "deep recursion": ("f = lambda: f()\n    return f()", "more than 1000 levels deep"),
    "NaN": ("return np.full((3, 2), np.nan)", "NaN"),
    "infinity": ("return np.full((3, 2), np.inf)", "infinity"),
    "complex numbers": ("return np.ones((3, 2)) * 1j", "complex"),
    "a string": ("return 'right'", "expected"),
    "bytes": ("return b'right'", "expected"),
    "nothing": ("pass", "None"),
    "an array that converts itself": (
        """
    class Bad:
        def __array__(self, *a, **k): sys.modules["os"]._exit(0)
    return Bad()""",
        "got Bad",
    ),
    "an array that is equal to everything": (
        """
    class Bad(np.ndarray):
        def __eq__(self, other): return True
        def __sub__(self, other): return np.zeros(1)
        __array_ufunc__ = None
    return np.zeros((3, 2)).view(Bad)""",
        "expected|wrong|zero|is 0",
    ),
    "a number that is equal to everything": (
        """
    class Bad(float):
        def __eq__(self, other): return True
        def __lt__(self, other): return True
    return Bad(3)""",
        "expected",
    ),
    "a pickle with a surprise": (
        """
    class Bad:
        def __reduce__(self): return (print, ("0wned",))
    return {"x": Bad()}""",
        "got Bad",
    ),
    "a dictionary with a surprise": ("return {1: 2}", "keys are strings"),
    "the result of a verdict": ("return {'fraction': 1, 'sentence': ''}", "expected"),
    "a file written inside": ("open('inside', 'w').write('x')", "may not open files"),
    "the network": ("sys.modules['socket'].socket().connect(('127.0.0.1', PORT))", "network"),
    "a module of the system": ("import os; os.remove('/')", "may not import os"),
    "ctypes": ("import ctypes; ctypes.string_at(0)", "may not import ctypes"),
    "a thread": (
        "t = sys.modules['threading'].Thread(target=lambda: 1); t.start(); t.join()",
        "thread|expected",
    ),
    "a program": ("sys.modules['os'].system('true')", "operating system"),
    "an import of a neighbour": ("import tinygen", "may not import tinygen"),
    "an import of a part": ("from . import x", "may not import"),
    "null bytes": ("return '\\0' * 100", "expected"),
    "a question that fails in its sentence": (
        "raise ValueError('\\0\\x1b[2J' + 'x' * 10**7)",
        "ValueError",
    ),
}
"""What is asked in one process, one after another."""


def cheat(name, body):
    return f"def {name}(x, w):\n    {body.strip()}\n"


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    """What is said of each of TOGETHER; an honest question at the end has its point."""
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as server:
        install(tmp_path_factory.mktemp("kit"), patch)
        tiny = grading.assignments.load("tiny")
        (q1, of_q1), (q2, of_q2) = grading._asked(tiny, tiny.variant(0), 2, 1)
        source = "import sys\nimport numpy as np\n" + HONEST
        driver = "def q2(s, a, ask): return s.total(*a.values())\n"
        for i, (body, _) in enumerate(TOGETHER.values()):
            source += cheat(f"f{i}", body.replace("PORT", str(server.getsockname()[1])))
            driver += f"def f{i}(s, a, ask): return s.f{i}(*a.values())\n"
        requests = [Request(f"f{i}", of_q1.cases[0]) for i in range(len(TOGETHER))]
        requests += [Request("q2", case) for case in of_q2.cases]
        done = run(source, driver, requests, limits=LIMITS)
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()
        honest = [done.answers.pop() for _ in of_q2.cases][::-1]
        assert grading._graded(q2, of_q2, honest, False).points == 1
        graded = [grading._graded(q1, of_q1, [answer], False) for answer in done.answers]
        return dict(zip(TOGETHER, graded, strict=True))


@pytest.mark.parametrize("name", TOGETHER)
def test_a_cheat_has_no_points_and_a_sentence(name, sentences):
    one = sentences[name]
    assert one.points == 0
    assert re.search(TOGETHER[name][1], one.text), one.text
    assert len(one.text) <= 1000 and one.text.isprintable()


@pytest.mark.parametrize("name", ALONE)
def test_a_cheat_that_ends_its_process_loses_its_question_alone(name, tmp_path):
    body, sentence = ALONE[name]
    source = "import sys\nimport numpy as np\n" + cheat("product", body) + HONEST
    one, other = graded(source, tmp_path).questions
    assert (one.points, other.points) == (0, 1), (one, other)
    assert re.search(sentence, one.text), one.text
    assert len(one.text) <= 1000 and one.text.isprintable()


WHILE_LOADED = {
    "an endless loop": ("while True: pass", "loading it takes longer than 2 s"),
    "an endless loop that catches all": (
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "loading it takes longer than 2 s",
    ),
    "os._exit": ("sys.modules['os']._exit(0)", "ended Python"),
    "a closed socket": (
        "for i in range(50):\n    try: sys.modules['os'].close(i)\n    except OSError: pass",
        "ended Python",
    ),
}


@pytest.mark.parametrize("name", WHILE_LOADED)
def test_a_cheat_while_it_is_loaded_loses_all(name, tmp_path):
    body, sentence = WHILE_LOADED[name]
    result = graded(f"import sys\n{body}\n" + RIGHT, tmp_path)
    assert result.points == 0
    assert all(re.search(sentence, question.text) for question in result.questions), result


def test_what_fails_while_it_is_loaded_costs_itself_alone(tmp_path):
    source = """
import sys
import numpy as np
sys.exit()
raise KeyboardInterrupt
raise BaseException
1 / 0
import torch
open("/etc/passwd")
x = np.ones(10**12)
print("q1 (1): right", "points", 3)
def grade(*a): return 3
sys.settrace(lambda *a: 1 / 0)
sys.excepthook = None; raise ValueError
sys.stdout = sys.stderr = None
del np
"""
    result = graded(source + RIGHT, tmp_path)
    assert result.points == 3, result
    assert "leaves Python" in result.problems[0]


FORGED = {
    "nothing": b"",
    "bytes that are none": b"x" * 100,
    "a huge length": (2**63).to_bytes(8, "big"),
    "a length, and then nothing": (1000).to_bytes(8, "big"),
    "no zip": (4).to_bytes(8, "big") + b"abcd",
}


def zipped(compression=zipfile.ZIP_STORED, **members):
    """A message of any members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as target:
        for name, data in members.items():
            target.writestr(f"{name}.npy", data)
    return len(file.getvalue()).to_bytes(8, "big") + file.getvalue()


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def tree(text):
    return npy(np.frombuffer(text.encode(), np.uint8))


def header(shape, dtype):
    """Of a .npy file that claims to be larger than it is."""
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


MESSAGES = {
    "a bomb": zipped(zipfile.ZIP_DEFLATED, message=tree('{"dict": {}}'), bomb=npy(np.zeros(10**7))),
    "a pickle": zipped(
        message=tree('{"dict": {"result": {"array": 0}}}'),
        **{"0": npy(np.array([print], dtype=object), allow_pickle=True)},
    ),
    "a claim": zipped(
        message=tree('{"dict": {"result": {"array": 0}}}'), **{"0": header((2**40,), "<f8")}
    ),
    "a negative size": zipped(
        message=tree('{"dict": {"result": {"array": 0}}}'), **{"0": header((-1,), "<f8")}
    ),
    "rows of nothing": zipped(
        message=tree('{"dict": {"result": {"array": 0}}}'), **{"0": header((10**15, 0), "<f8")}
    ),
    "columns of nothing": zipped(
        message=tree('{"dict": {"result": {"array": 0}}}'),
        **{"0": header((0, 2**13, 2**13), "|b1")},
    ),
    "a program for a shape": zipped(
        message=tree('{"dict": {"result": {"array": 0}}}'), **{"0": header("print(1)", "<f8")}
    ),
    "no tree": zipped(message=tree("[" * 10**5)),
    "a deep tree": zipped(message=tree('{"tuple": [' * 50000)),
    "no message": zipped(other=tree("1")),
    "a number": zipped(message=tree("1")),
    "another array": zipped(message=tree('{"dict": {"result": {"array": 7}}}')),
    "points": zipped(message=tree('{"dict": {"points": 2, "fraction": 1, "result": 1}}')),
    "no line": zipped(
        message=tree('{"dict": {"problem": "Bad", "message": {"tuple": []}, "line": "x"}}')
    ),
    "a problem that is none": zipped(message=tree('{"dict": {"problem": {"tuple": []}}}')),
    "an ask for nothing": zipped(message=tree('{"dict": {"ask": 1, "arrays": 2}}')) * 6000,
    "an ask for what is private": zipped(
        message=tree('{"dict": {"ask": "x.__globals__", "arrays": {"dict": {}}}}')
    )
    * 6000,
    "an array many times": zipped(
        message=tree('{"tuple": [{"array": 0}, {"array": 0}]}'), **{"0": npy(np.ones(3))}
    ),
    "an endless number": zipped(message=tree("9" * 10**5)),
    "not a number": zipped(message=tree('{"dict": {"result": NaN}}')),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_plain_values_or_refused(name):
    data = MESSAGES[name]
    (size,) = wire.LENGTH.unpack(data[:8])
    try:
        value = wire.unpack(data[8 : 8 + size])
    except wire.WireError:
        return
    assert wire.pack(value)
    assert name in ("a number", "points", "no line", "a problem that is none", "not a number") or (
        name.startswith("an ask")
    )


END_TO_END = {**FORGED, **{name: MESSAGES[name] for name in (
    "a bomb", "a pickle", "a number", "points", "no line", "an ask for nothing"
)}}  # fmt: skip


@pytest.mark.parametrize("name", END_TO_END)
def test_a_forged_message_is_a_wrong_result(name, tmp_path):
    """Written to wherever it can be written."""
    source = f"""
import sys
def product(x, w):
    data = sys.modules["zlib"].decompress({zlib.compress(END_TO_END[name], 9)!r})
    for descriptor in range(3, 100):
        rest = data
        try:
            while rest:
                rest = rest[sys.modules["os"].write(descriptor, rest) :]
        except OSError:
            pass
"""
    one, _ = graded(source + HONEST, tmp_path).questions
    assert one.points == 0
    assert re.search("expected|None|wrote to where results go|takes longer|Bad", one.text), one.text
    assert len(one.text) <= 1000 and one.text.isprintable()


def test_a_forged_message_can_say_what_a_function_can_return(tmp_path):
    """So forging gains nothing, and the test above writes to where the grader reads.

    Each process here ends while the next request is waiting for it, unread.
    """
    right = np.arange(8.0).reshape(4, 2)
    message = zipped(
        message=tree(json.dumps({"dict": {"result": {"array": 0}}})), **{"0": npy(right)}
    )
    praise = zipped(message=tree('{"dict": {"problem": "right", "line": 9999}}'))
    source = f"""
import sys, time
def f(message):
    for descriptor in range(3, 100):
        try: sys.modules["os"].write(descriptor, message)
        except OSError: pass
    time.sleep(0.3)
    sys.modules["os"]._exit(0)
def q(): f({message!r})
def r(): f({praise!r})
def after(): return 1
"""
    names = ["q", "r", "after"]
    driver = "".join(f"def {name}(s, a, ask): return s.{name}()\n" for name in names)
    done = run(source, driver, [Request(name, {}) for name in names], limits=LIMITS)
    np.testing.assert_array_equal(done.answers[0].result, right)
    assert done.answers[1].problem.startswith("it stopped: right")
    assert done.answers[2].result == 1


SPY = """
import sys
gc = sys.modules["builtins"].__import__("gc")
seen, waiting, texts = set(), [*sys.modules.values(), sys._getframe()], []
while waiting:
    x = waiting.pop()
    if id(x) in seen: continue
    seen.add(id(x))
    if isinstance(x, (str, bytes)): texts.append(x if isinstance(x, str) else x.decode("latin-1"))
    waiting += gc.get_referents(x)
    if isinstance(x, type(sys._getframe())) and x.f_back: waiting.append(x.f_back)
"""


def test_the_process_does_not_know_the_solution_or_the_grader(tmp_path):
    """All that can be reached from its modules and frames is searched for them."""
    source = (
        SPY
        + """
def found(word): return sum(word in text for text in texts if "def found" not in text)
def modules(): return " ".join(m for m in sys.modules if "tinygen" in m)
def environment(): return " ".join(sys.modules["os"].environ)
def variables():
    frame, names = sys._getframe(), []
    while frame:
        names += frame.f_locals
        frame = frame.f_back
    return " ".join(names)
"""
    )
    words = ["x @ w / len(x)", "np.sum(x, axis=0)\n    # END", "over the wrong axis", str(tmp_path)]
    driver = (
        "def f(s, a, ask): return s.found(a['word'])\n"
        "def m(s, a, ask): return s.modules()\n"
        "def e(s, a, ask): return s.environment()\n"
        "def v(s, a, ask): return s.variables()\n"
    )
    requests = [Request("f", {"word": word}) for word in ["get_referents", *words]]
    done = run(source, driver, [*requests, *(Request(name, {}) for name in "mev")])
    known, *unknown, modules, environment, names = [a.problem or a.result for a in done.answers]
    assert "connection" in names and "task" not in names  # with the source
    assert known > 0 and not done.problem, done
    assert unknown == [0] * len(words)
    assert set(modules.split()) == {
        "tinygen",
        "tinygen.homework",
        *(
            f"tinygen.homework.sandbox{x}"
            for x in ("", ".courtesy", ".limits", ".loading", ".walls", ".wire")
        ),
    }
    assert set(environment.split()) - {"LD_LIBRARY_PATH", "LC_CTYPE"} == {*ONE_THREAD}


def asked_all(bodies, above="", **limits):
    """The answers to questions ``q0``, ``q1``, ..., each of which has a function, and the time."""
    source = f"import sys\n{above}\n" + "".join(
        f"def f{i}(): {body}\n" for i, body in enumerate(bodies)
    )
    driver = "".join(f"def q{i}(s, a, ask): return s.f{i}()\n" for i in range(len(bodies)))
    requests = [Request(f"q{i}", {}) for i in range(len(bodies))]
    start = time.monotonic()
    answers = run(source, driver, requests, limits=Limits(**limits)).answers
    return answers, time.monotonic() - start


LOOP = "\n    while True: pass"


def test_endless_loops_do_not_take_the_time_of_what_is_right(monkeypatch):
    """Ten of them and one function: all of it takes the time that all together have, at most."""
    monkeypatch.setattr(parent, "busy", lambda: 1)
    answers, seconds = asked_all([LOOP] * 10 + ["return 1"], seconds=8)
    assert "takes longer than 2 s" in answers[0].problem
    assert answers[9].problem == "no time is left: all questions together have 8 s"
    assert answers[10].result == 1 or "no time" in answers[10].problem
    assert seconds < 8 + 3  # of which it may take some to start processes


def test_what_is_slow_leaves_time_for_the_others(monkeypatch):
    monkeypatch.setattr(parent, "busy", lambda: 1)
    answers, _ = asked_all(["return 1", LOOP, LOOP, LOOP, "return 2"], seconds=8)
    assert [answer.result for answer in answers] == [1, None, None, None, 2]


def test_time_for_all_is_limited_too():
    """Whatever is done with the limits of each question and of each start."""
    slow = "sys.modules['time'].sleep(0.2)"
    answers, _ = asked_all(["sys.modules['os']._exit(0)"] * 50, slow, seconds=2)
    assert "ended Python" in answers[0].problem
    assert answers[-1].problem == "no time is left: all questions together have 2 s"


def test_a_request_alone_knows_nothing_of_the_others():
    source = """
import math
def f(x):
    math.__dict__["seen"] = seen = [*math.__dict__.get("seen", []), x]
    return seen
"""
    driver = "def q(s, a, ask): return tuple(s.f(a['x']))\n"
    for alone, seen in ((False, [(1,), (1, 2), (1, 2, 3)]), (True, [(1,), (2,), (3,)])):
        done = run(source, driver, [Request("q", {"x": x}, alone=alone) for x in (1, 2, 3)])
        assert [answer.result for answer in done.answers] == seen


def test_processes_that_are_alone_are_cheap():
    """Sixty take less than twenty times as long as one does, for which Python is started."""

    def seconds(count):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run("def f(): pass", "def q(s, a, ask): s.f()", [Request("q", {}, alone=True)] * count)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert seconds(60) < 20 * seconds(1)


def test_a_driver_asks_the_grader():
    def ask(request, name, arrays):
        assert name == "double"
        return request.arguments["a"] * 2 * arrays["x"]

    source = (
        "def f(ask): return ask('double', x=3) + ask('double', x=1)\ndef g(r): return r.normal()"
    )
    driver = """
def q(s, a, ask): return s.f(ask)
def many(s, a, ask):
    while True: ask('double', x=1)
def large(s, a, ask):
    import numpy
    return ask('double', x=numpy.ones(10**6))
def wrong(s, a, ask): return ask('half')
def refused(s, a, ask):
    try: return ask('half')
    except ValueError as error: return str(error)
def drawn(s, a, ask):
    import numpy
    return s.g(numpy.random.default_rng(1))
"""
    names = ["q", "many", "large", "wrong", "refused", "drawn"]
    requests = [Request(name, {"a": 5}) for name in names]
    done = run(source, driver, requests, ask, Limits(asks=100))
    results = [answer.problem or answer.result for answer in done.answers]
    assert results[0] == 40
    assert results[1] == "it asks more than 100 times"
    assert "at most 1048576 bytes" in results[2]
    assert "AssertionError" in results[3]
    assert "AssertionError" in results[4]
    assert results[5] == np.random.default_rng(1).normal()
