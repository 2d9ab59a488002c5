"""Walls of the operating system: a process builds as many around itself as it is permitted to.

Behind them a program may use any trick of Python, and run its own machine code: there is no file to
read, no network, and no other process. Whether a wall is possible is found by building it.

    calls       a filter lets the process compute, and denies every other system call: no file,
                socket, process or shared memory can be reached, so this is also the wall network,
                processes and files (Linux on x86-64 and arm64; as any user)
    namespaces  one of networks, without a device, and one of processes: no other can be seen, and
                all in it end together; the walls network and processes (Linux; as root or with user
                namespaces)
    files       an empty folder is the root of all files (Linux; as root or with user namespaces);
                Landlock forbids opening any (Linux 5.13; as any user), but not changing its mode
    user        the process was root's, and now belongs to nobody

See namespaces(7), chroot(2), landlock(7), seccomp(2) and capabilities(7).
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Callable

NOBODY = 65534
NEW_USER, NEW_PIDS, NEW_NETWORK, NEW_IPC = 0x10000000, 0x20000000, 0x40000000, 0x08000000
NO_NEW_PRIVILEGES = 38
LANDLOCK_CREATE, LANDLOCK_RESTRICT = 444, 446
SET_FILTER, OF_PROGRAM = 22, 2
MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""The number of each architecture in a filter, and its column in CALLS."""
CALLS: dict[str, tuple[int, int]] = {
    **{"read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80), "lseek": (8, 62)},
    **{"recvfrom": (45, 207), "sendto": (44, 206), "poll": (7, -1), "ppoll": (271, 73)},
    **{"select": (23, -1), "pselect6": (270, 72)},
    **{"mmap": (9, 222), "munmap": (11, 215), "mremap": (25, 216), "mprotect": (10, 226)},
    **{"brk": (12, 214), "madvise": (28, 233), "futex": (202, 98), "sched_yield": (24, 124)},
    **{"rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139)},
    **{"sigaltstack": (131, 132), "restart_syscall": (219, 128), "membarrier": (324, 283)},
    **{"getpid": (39, 172), "gettid": (186, 178), "sched_getaffinity": (204, 123)},
    **{"time": (201, -1), "times": (100, 153), "gettimeofday": (96, 169)},
    **{"clock_gettime": (228, 113), "clock_getres": (229, 114), "getrusage": (98, 165)},
    **{"nanosleep": (35, 101), "clock_nanosleep": (230, 115), "getrandom": (318, 278)},
    **{"exit": (60, 93), "exit_group": (231, 94)},
}
"""What Python and NumPy need, once all is loaded, to compute and to talk to the grader."""
CLOCKS = ("clock_gettime", "clock_getres", "clock_nanosleep")
"""Calls whose first argument is a clock; below 0 it would be that of another process."""


def enter_namespaces() -> list[str]:
    """Leave the network, and the other processes, the latter from the next fork on.

    Returns:
        the walls that stand.
    """
    if sys.platform != "linux":
        return []
    spaces = NEW_PIDS | NEW_NETWORK | NEW_IPC
    user, group = os.geteuid(), os.getegid()
    if user == 0 and _stands(lambda: _call("unshare", spaces)):
        return ["namespaces", "network", "processes"]
    if _stands(lambda: _call("unshare", spaces | NEW_USER)):
        _stands(lambda: _map_oneself(user, group))  # without this, only the names of users are lost
        return ["namespaces", "network", "processes"]
    return []


def _map_oneself(user: int, group: int) -> None:
    """Stay the same user within a new user namespace."""
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def close_files() -> list[str]:
    """Make the working folder, which is empty, the root of all files, and give up every privilege.

    Returns:
        the walls that stand.
    """
    if sys.platform != "linux":
        return ["user"] if _stands(_become_nobody) else []
    rooted = _stands(lambda: os.chroot("."))
    dropped = _stands(_become_nobody)
    # Without privileges, a process cannot leave this root, or gain any in a new user namespace.
    powerless = _stands(_drop_capabilities) and os.geteuid() != 0
    _stands(_landlock)
    return ["files"] * (rooted and powerless) + ["user"] * dropped


def _become_nobody() -> None:
    """Change from root to a user who owns nothing."""
    _stands(lambda: os.setgroups([]))  # in some containers not even root may
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def _drop_capabilities() -> None:
    """Give up the capabilities that a process has in its own user namespace."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    _call("capset", header, (ctypes.c_uint32 * 6)())


def _landlock() -> None:
    """Forbid all that Landlock can: every access to files; in newer versions, TCP and signals."""

    def create(rules: object, size: int, flags: int) -> int:
        return _call("syscall", LANDLOCK_CREATE, rules, ctypes.c_size_t(size), flags)

    _call("prctl", NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    version = create(None, 0, 1)
    files = {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)  # how many kinds of access it knows
    rules = (ctypes.c_uint64 * 3)(2**files - 1, 3 * (version >= 4), 3 * (version >= 6))
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    _call("syscall", LANDLOCK_RESTRICT, create(rules, size, 0), 0)


def refuse_calls() -> list[str]:
    """From now on, allow only computing; the last wall, after which no other can be built.

    Returns:
        the walls that stand.
    """
    filtered = sys.platform == "linux" and _stands(_filter_calls)
    return ["calls", "files", "network", "processes"] if filtered else []


def _filter_calls() -> None:
    """Deny all calls except CALLS, and those of a program for another architecture."""
    architecture, column = MACHINES[os.uname().machine]
    clocks = [CALLS[name][column] for name in CLOCKS]
    others = {call[column] for call in CALLS.values()} - {-1, *clocks}
    numbers = [*others, *clocks]
    load, equal, at_least, answer = 0x20, 0x15, 0x35, 0x06  # instructions, of which each has
    refused, allowed = (answer, 0, 0, 0x00050001), (answer, 0, 0, 0x7FFF0000)  # with EPERM
    program = [  # how many to skip if it is so, how many if not, and a number
        (load, 0, 0, 4),
        (equal, 0, len(numbers) + 1, architecture),
        (load, 0, 0, 0),
        *((equal, len(numbers) - i + 3 * (number in others), 0, number)
          for i, number in enumerate(numbers)),
        refused,
        (load, 0, 0, 16),  # the first argument
        (at_least, 0, 1, 2**31),
        refused,
        allowed,
    ]  # fmt: skip
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    _call("prctl", NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    _call("prctl", SET_FILTER, OF_PROGRAM, head, 0, 0)


def _stands(build: Callable[[], object]) -> bool:
    try:
        build()
    except (OSError, AttributeError, KeyError):  # not permitted, or not available on this system
        return False
    return True


def _call(name: str, *arguments: object) -> int:
    """Call a function of the C library.

    Raises:
        OSError: it failed.
        AttributeError: there is no function of this name.
    """
    result = getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
    return result
