"""Walls of the operating system: a process builds as many around itself as it is permitted to.

Behind them a program may have every trick of Python, and run machine code of its own: there is no
file to be read, no network, and no other process. Each wall is tried by building it.

    network     a network namespace without a device (Linux; as root or with user namespaces), and a
                filter that refuses to make sockets (Linux on x86-64 and arm64; as anybody)
    processes   a PID namespace: no other process can be seen, and all in it end together
    files       no file can be opened: an empty folder is the root of all of them (Linux; as root or
                with user namespaces), or Landlock forbids it (Linux 5.13; as anybody)
    user        the process was root's, and belongs to nobody now

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
SOCKET = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
"""Of each machine, its number in a filter, and that of the call `socket`."""
IO_URING_SETUP = 425


def enter_namespaces() -> list[str]:
    """Leave the network, and the processes: these when the process forks the next time.

    Returns:
        the walls that stand.
    """
    if sys.platform != "linux":
        return []
    spaces = NEW_PIDS | NEW_NETWORK | NEW_IPC
    user, group = os.geteuid(), os.getegid()
    if user == 0 and _stands(lambda: _call("unshare", spaces)):
        return ["network", "processes"]
    if _stands(lambda: _call("unshare", spaces | NEW_USER)):
        _stands(lambda: _map_oneself(user, group))  # without it, only the names of users are lost
        return ["network", "processes"]
    return []


def _map_oneself(user: int, group: int) -> None:
    """Be the same user within a new user namespace."""
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
    # Who has no privileges cannot leave this root, nor get privileges in a new user namespace.
    powerless = _stands(_drop_capabilities) and os.geteuid() != 0
    locked = _stands(_landlock)
    files = locked or (rooted and powerless)
    return ["files"] * files + ["network"] * _stands(_no_sockets) + ["user"] * dropped


def _become_nobody() -> None:
    """Change from root to a user who owns nothing."""
    _stands(lambda: os.setgroups([]))  # in some containers not even root may
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def _drop_capabilities() -> None:
    """Give up the capabilities which one has in a user namespace of one's own."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    _call("capset", header, (ctypes.c_uint32 * 6)())


def _landlock() -> None:
    """Forbid all that Landlock can: every access to files; if it is new, TCP, and signals."""

    def create(rules: object, size: int, flags: int) -> int:
        return _call("syscall", LANDLOCK_CREATE, rules, ctypes.c_size_t(size), flags)

    _call("prctl", NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    version = create(None, 0, 1)
    files = {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)  # so many kinds of access it knows
    rules = (ctypes.c_uint64 * 3)(2**files - 1, 3 * (version >= 4), 3 * (version >= 6))
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    _call("syscall", LANDLOCK_RESTRICT, create(rules, size, 0), 0)


def _no_sockets() -> None:
    """Refuse the calls that make a socket, and those of a program for another kind of machine."""
    machine, socket = SOCKET[os.uname().machine]
    load, equal, at_least, answer = 0x20, 0x15, 0x35, 0x06  # instructions, of which each has
    program = [  # how many to skip if it is so, how many if not, and a number
        (load, 0, 0, 4),
        (equal, 0, 5, machine),
        (load, 0, 0, 0),
        (at_least, 3, 0, 0x40000000),  # another way to number the calls
        (equal, 2, 0, socket),
        (equal, 1, 0, IO_URING_SETUP),  # which makes them, too
        (answer, 0, 0, 0x7FFF0000),  # allowed
        (answer, 0, 0, 0x00050001),  # EPERM
    ]
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    _call("prctl", NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    _call("prctl", SET_FILTER, OF_PROGRAM, head, 0, 0)


def _stands(build: Callable[[], object]) -> bool:
    try:
        build()
    except (OSError, AttributeError, KeyError):  # not permitted, or not in this system
        return False
    return True


def _call(name: str, *arguments: object) -> int:
    """Call a function of the C library.

    Raises:
        OSError: it failed.
        AttributeError: there is none of this name.
    """
    result = getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
    return result
