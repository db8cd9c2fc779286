"""Who claimed a run, and whether that process is certainly gone.

A claim is a lease that its process renews. A process that was killed cannot give its claims back,
and nobody should wait for the lease of a process that is known to be dead: on the same machine the
process table answers at once.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import uuid
from pathlib import Path


@functools.cache
def _machine() -> str:
    """Hash of what makes process ids comparable: this boot of this machine, this pid namespace."""
    parts = [platform.node(), f"{uuid.getnode():x}"]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        pass  # not Linux: the node must do
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _start_time(pid: int) -> str:
    """Kernel ticks at which the process started, "0" where unknown: tells a reused pid apart."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "0"
    return text.rpartition(")")[2].split()[19]  # field 22; the name before it may hold spaces


def new_owner() -> str:
    """``machine/pid/start/token``: this process, and a token that no other owner in it has."""
    pid = os.getpid()
    return f"{_machine()}/{pid}/{_start_time(pid)}/{uuid.uuid4().hex[:12]}"


def is_gone(owner: str) -> bool:
    """Whether the owner is certainly dead; False for a live process and where nobody can tell."""
    parts = owner.split("/")
    if os.name != "posix" or len(parts) != 4 or parts[0] != _machine() or not parts[1].isdigit():
        return False
    pid = int(parts[1])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False  # it lives and belongs to somebody else
    return _start_time(pid) != parts[2] or _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False
