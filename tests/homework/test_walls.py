"""The walls, without the courtesy before them: what the operating system itself forbids."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tinygen.homework.sandbox import parent
from tinygen.homework.sandbox.parent import Limits, Request, run

if sys.platform != "linux":
    pytest.skip("walls are of Linux", allow_module_level=True)

LIMITS = Limits(memory=2**30)
REFUSED = r"Errno|Error|may not|ended Python|more memory"
LIKE_A_USER = """
    os.setgroups([]); os.setgid(NOBODY); os.setuid(NOBODY)
    _call("prctl", 4, 1, 0, 0, 0)
"""
"""Changes root to a user who may look at his own process."""


@pytest.fixture
def altered(tmp_path, monkeypatch):
    """The sandbox with changes in its files, or what the kernel forbids."""
    folder = tmp_path / "sandbox"
    shutil.copytree(parent.CHILD.parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(parent, "CHILD", folder / "child.py")

    def change(file, old, new):
        text = (folder / file).read_text()
        assert text.count(old) == 1
        (folder / file).write_text(text.replace(old, new))

    return change


def forbid(altered, *calls):
    """The system does not permit some calls."""
    names = repr(calls)
    altered(
        "walls.py",
        "    result = getattr(ctypes",
        f"    if name in {names} or arguments[0] in {names}: raise PermissionError\n"
        "    result = getattr(ctypes",
    )
    if "chroot" in calls:
        altered("walls.py", 'os.chroot(".")', "_call('chroot', 0)")


def nothing_refused(altered):
    """Without the courtesy."""
    altered("child.py", "    courtesy.refuse_actions()\n", "")


def asked(bodies, **more):
    """What some functions return, or the name of the error, in one process."""
    source = "import sys\nos, socket = sys.modules['os'], sys.modules['socket']\n" + "".join(
        f"def f{i}(o):\n    {body}\n" for i, body in enumerate(bodies)
    )
    driver = "".join(f"def f{i}(s, a, ask):\n    return s.f{i}(a)\n" for i in range(len(bodies)))
    done = run(source, driver, [Request(f"f{i}", more) for i in range(len(bodies))], limits=LIMITS)
    assert not done.problem, done.problem
    return done.walls, [a.problem or a.result for a in done.answers]


OPEN = [
    "return open(o['file']).read()",
    "return os.read(os.open(o['file'], os.O_RDONLY), 100).decode()",
    "return open('../' * 20 + o['file']).read()",
    "return open('/proc/1/root' + o['file']).read()",
    "return open('/proc/self/cwd/' + '../' * 20 + o['file']).read()",
    "os.chdir('/'); os.chdir('..'); return open('.' + o['file']).read()",
    "os.link(o['file'], 'x'); return open('x').read()",
    "os.symlink(o['file'], 'x'); return open('x').read()",
    "return sys.modules['importlib'].import_module('tinygen.homework.grading').__file__",
    "return open('/proc/' + str(o['pid']) + '/environ').read()",
    "return open('/proc/' + str(o['pid']) + '/mem').read(1)",
    "os.mkdir('x'); os.chroot('x'); os.chdir('../' * 20); return open('.' + o['file']).read()",
    "os.execv('/bin/cat', ['cat', o['file']])",
    "open(o['out'], 'w').write('x'); return 'written'",
    "open('inside', 'w').write('x' * 10**8); return 'written'",
    "os.remove(o['file']); return 'removed'",
    "os.rename(o['file'], 'x'); return 'renamed'",
    "os.mkdir(o['out']); return 'made'",
]


LANDLOCK, FILTER = 444, 22
"""What is called to build them."""


@pytest.mark.parametrize(
    "forbidden",
    [
        (),
        ("unshare", "chroot", LANDLOCK),  # the filter alone
        ("user", "unshare", "chroot", LANDLOCK),
        (FILTER, LANDLOCK),
        (FILTER, "unshare", LANDLOCK),
        (FILTER, "chroot"),
        (FILTER, "user", LANDLOCK),
        (FILTER, "user", "unshare", "chroot"),
    ],
    ids=lambda names: "without " + " ".join(map(str, names)) if names else "all",
)
def test_no_file_can_be_read_or_written(forbidden, altered, tmp_path):
    """With all walls, and with those that are left where the system forbids some."""
    nothing_refused(altered)
    if "user" in forbidden:
        if os.geteuid():
            pytest.skip("this is a user already")
        altered("walls.py", "    spaces = NEW_PIDS", LIKE_A_USER + "    spaces = NEW_PIDS")
    forbid(altered, *forbidden)
    secret, out = tmp_path / "solution.py", tmp_path / "out"
    secret.write_text("SECRET")
    for path in [tmp_path, *tmp_path.parents][:-2]:
        os.chmod(path, 0o755)
    walls, answers = asked(OPEN, file=str(secret), out=str(out), pid=os.getpid())
    if FILTER in forbidden and "chroot" in forbidden:
        assert "files" not in walls  # the mode of one can still be changed
    if "files" not in walls and (LANDLOCK in forbidden or not has_landlock()):
        pytest.skip(f"this system has only the walls {walls}")
    for body, answer in zip(OPEN, answers, strict=True):
        assert re.search(REFUSED, answer), (body, answer)
        assert "SECRET" not in answer
    assert secret.read_text() == "SECRET"
    assert not out.exists()


def has_landlock():
    return ctypes.CDLL(None).syscall(LANDLOCK, None, ctypes.c_size_t(0), 1) > 0


def test_the_walls_that_this_system_permits_stand():
    """Or all tests here would be skipped: `unshare` of the shell is asked what is permitted."""
    root = os.geteuid() == 0
    command = ["unshare", "--net", "--pid", "--fork", *([] if root else ["--user"]), "true"]
    if not shutil.which("unshare") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("this system permits no namespaces")
    walls, _ = asked(["return 1"])
    assert {"namespaces", "calls", "files", "network", "processes", "memory"} <= {*walls}
    assert ("user" in walls) == root


LIKE_A_MAC = "    sys.platform = 'darwin'\n    stand = walls.enter_namespaces()\n"


@pytest.mark.parametrize("system", ["a user who may nothing", "root who may nothing", "a Mac"])
def test_where_there_are_no_walls_the_courtesy_stands(system, altered, tmp_path):
    """And the grader is told; an endless loop ends in any case."""
    if system == "a Mac":
        altered("child.py", "    stand = walls.enter_namespaces()\n", LIKE_A_MAC)
    else:
        forbid(altered, "unshare", "chroot", LANDLOCK, FILTER)
    if system == "a user who may nothing":
        if os.geteuid():
            pytest.skip("this is a user already")
        altered("walls.py", "    spaces = NEW_PIDS", LIKE_A_USER + "    spaces = NEW_PIDS")
    (tmp_path / "solution.py").write_text("SECRET")
    bodies = [OPEN[0], "while True: pass", "return 1", "os.system('true')", REACH["network"][0]]
    walls, answers = asked(bodies, file=str(tmp_path / "solution.py"), port=9)
    assert not {"files", "network", "processes"} & {*walls}
    assert "may not open files" in answers[0]
    assert "takes longer" in answers[1]
    assert answers[2] == 1
    assert "may not use the operating system" in answers[3]
    assert "may not use the network" in answers[4]
    assert not left_behind()


REACH = {
    "network": [
        "socket.socket().connect(('127.0.0.1', o['port'])); return 'sent'",
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "    s.sendto(b'x', ('127.0.0.1', o['port'])); return 'sent'",
        "s = socket.socket(socket.AF_UNIX); s.connect('\\0' + o['name']); return 'sent'",
    ],
    "processes": [
        "os.kill(o['pid'], 0); return 'seen'",
        "os.kill(os.getppid() or 1 / 0, 9); return 'killed'",
        "os.killpg(o['pid'], 9); return 'killed'",
        "os.sched_setaffinity(o['pid'], [0]); return 'changed'",
    ],
    "forks": [
        "os.fork(); return 'forked'",
        "sys.modules['threading'].Thread(target=print).start(); return 'started'",
        "sys.modules['subprocess'].run(['/bin/true']); return 'ran'",
        "os.posix_spawn('/bin/true', ['true'], {}); return 'ran'",
    ],
    "user": [
        "os.setuid(0); return 'root'",
        "os.setgid(0); return 'root'",
        "os.setgroups([0]); return 'root'",
        "os.chroot('.'); return 'root'",
        "os.nice(-5); return 'nice'",
        "os.sethostname('x') if hasattr(os, 'sethostname') else 1 / 0; return 'root'",
    ],
    "memory": [
        "return len(sys.modules['mmap'].mmap(-1, 2**32))",
        "return len(bytearray(2**31))",
        "import resource; return 'imported'",
    ],
}


@pytest.mark.parametrize("forbidden", [("unshare", LANDLOCK), (FILTER,)], ids=["calls", "others"])
@pytest.mark.parametrize("as_user", [False, True], ids=["as it is", "as a user"])
def test_what_a_wall_forbids(forbidden, as_user, altered):
    """By the filter alone, and without it."""
    nothing_refused(altered)
    forbid(altered, *forbidden)
    if as_user:
        if os.geteuid():
            pytest.skip("this is a user already")
        altered("walls.py", "    spaces = NEW_PIDS", LIKE_A_USER + "    spaces = NEW_PIDS")
    name = f"tinygen-{os.getpid()}"
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as local,
    ):
        port = tcp.getsockname()[1]
        udp.bind(("127.0.0.1", port))
        local.bind("\0" + name)
        local.listen()
        bodies = [(wall, body) for wall, some in REACH.items() for body in some]
        walls, answers = asked([body for _, body in bodies], port=port, name=name, pid=os.getpid())
        for server in (tcp, udp, local):
            server.settimeout(0)
            with pytest.raises(BlockingIOError):
                server.accept() if server is not udp else server.recv(1)
    for (wall, body), answer in zip(bodies, answers, strict=True):
        if wall in walls or (as_user and wall == "user"):
            assert re.search(REFUSED, str(answer)), (body, answer)
    if not {"network", "processes", "memory"} <= {*walls}:
        pytest.skip(f"this system has only the walls {walls}")


def test_the_filter_lets_compute_and_nothing_else(altered, tmp_path):
    """As in a container: by Python, by the C library, and by its other numbers for the calls."""
    nothing_refused(altered)
    forbid(altered, "unshare", "chroot", LANDLOCK)
    file = tmp_path / "other.json"
    file.touch(0o644)
    name = repr(str(file).encode())
    calls = [
        *("socket(2, 1, 0)", "syscall(0x40000000 + 41, 2, 1, 0)", "syscall(425, 1, bytes(200))"),
        *(f"open({name}, 0)", f"chmod({name}, 0)", f"unlink({name})", f"access({name}, 0)"),
        *(f"setxattr({name}, b'user.x', b'x', 1, 0)", f"execve({name}, None, None)"),
        *("shmget(0, 4096, 0o1600)", "semget(0, 1, 0o1600)", "msgget(0, 0o1600)"),
        *("memfd_create(b'x', 0)", "kill(o['pid'], 0)", "fork()"),
        *("prlimit(o['pid'], 7, None, bytes(16))", "mkdir(b'x', 0o700)", "personality(-1)"),
        "clock_gettime(~o['pid'] << 3 | 2, bytes(16))",
        *("fcntl(0, 8, o['pid'])", "ioctl(1, 0x8901, bytes(8))", "setuid(0)", "alarm(1)"),
    ]
    library = "l = sys.modules['ctypes'].CDLL(None, use_errno=True)\n    "
    check = "\n    if result >= 0: return 'made'\n    raise OSError"
    bodies = [*REACH["network"], *(f"{library}result = l.{call}{check}" for call in calls)]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        walls, answers = asked(bodies, port=port, name="x", pid=os.getpid())
    assert file.stat().st_mode & 0o777 == 0o644
    if "calls" not in walls:
        pytest.skip(f"this system has only the walls {walls}")
    for body, answer in zip(bodies, answers, strict=True):
        assert re.search(REFUSED, str(answer)), (body, answer)


def test_no_new_namespaces(altered):
    """By machine code: privileges which a namespace of users would give are not to be had."""
    nothing_refused(altered)
    forbid(altered, FILTER)
    call = "c = sys.modules['ctypes']; l = c.CDLL(None, use_errno=True)\n    "
    bodies = [
        call + f"return l.unshare({flags}), c.get_errno()"
        for flags in (0x10000000, 0x00020000, 0x40000000, 0x10020000)
    ]
    bodies += [
        call + "return l.mount(b'x', b'/', b'tmpfs', 0, None), c.get_errno()",
        call + "return l.mount(b'x', b'/', b'proc', 0, None), c.get_errno()",
        call + "return l.ptrace(16, 1, 0, 0), c.get_errno()",
        call + "return l.setuid(0), c.get_errno()",
    ]
    walls, answers = asked(bodies)
    if "files" not in walls:
        pytest.skip(f"this system has only the walls {walls}")
    for body, answer in zip(bodies, answers, strict=True):
        assert isinstance(answer, tuple) and answer[0] == -1, (body, answer)


def test_a_fork_bomb_is_gone_with_its_process(altered):
    """Where the number of processes is not limited, they end with the first one."""
    nothing_refused(altered)
    altered("limits.py", '"forks": ("RLIMIT_NPROC", 0)', '"forks": ("RLIMIT_NPROC", 30)')
    forbid(altered, FILTER)
    bomb = "while True:\n        try: os.fork() or os.setsid()\n        except OSError: pass"
    walls, answers = asked([bomb])
    if "namespaces" not in walls:
        pytest.skip(f"this system has only the walls {walls}")
    assert "takes longer" in answers[0]
    assert not left_behind()


def left_behind():
    """The processes of a sandbox that are still there."""
    name = str(parent.CHILD).encode()
    return [p for p in Path("/proc").glob("[0-9]*/cmdline") if name in _contents(p)]


def _contents(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("as_user", [False, True], ids=["as it is", "as a user"])
def test_who_ends_the_namespace_cannot_be_ended_from_inside(as_user, altered):
    """It would be, if it were in the same group of processes, and an endless loop would go on."""
    nothing_refused(altered)
    if as_user:
        altered("walls.py", "    spaces = NEW_PIDS", LIKE_A_USER + "    spaces = NEW_PIDS")
    forbid(altered, LANDLOCK, FILTER)  # which forbid it, too
    loop = "os.kill(0, 9); os.kill(0, 15)\n    while True: pass"
    walls, answers = asked([loop, "return 1"])
    if "namespaces" not in walls:
        pytest.skip(f"this system has only the walls {walls}")
    assert "takes longer" in answers[0], answers
    assert answers[1] == 1
    assert not left_behind()


def test_what_it_leaves_in_its_folder_is_removed(altered, tmp_path, monkeypatch):
    """Where there is no wall around its files; folders may be deeper than Python can follow."""
    nothing_refused(altered)
    forbid(altered, FILTER)
    altered("child.py", "    stand += walls.close_files()\n", "")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    body = (
        "os.chmod('.', 0o700)\n    for i in range(1200): os.mkdir('x'); os.chdir('x')\n    return i"
    )
    assert asked([body])[1] == [1199]
    assert os.listdir(tmp_path / "temporary") == []


def descendants(pid):
    """The processes that a process has started, and those that these have."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return children + [other for child in children for other in descendants(child)]


def test_the_sandbox_ends_when_the_grader_does(tmp_path):
    """Killed without a word, as by the system when memory is short."""
    code = (
        "from tinygen.homework.sandbox.parent import Limits, Request, run\n"
        "print(1, flush=True)\n"
        "run('def f():\\n    while True: pass', 'def q(s, a, ask): s.f()',"
        " [Request('q', {}, 50)])"
    )
    grader = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},  # the folder stays, as nobody removes it
    )
    grader.stdout.read(1)
    end = time.monotonic() + 20
    while len(started := descendants(grader.pid)) < 3 and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(1)
    grader.kill()
    grader.wait()
    grader.stdout.close()
    while any(Path(f"/proc/{pid}").exists() for pid in started):
        assert time.monotonic() < end + 10
        time.sleep(0.05)
