"""Becomes another program that ends when its parent does. Run as a file, by an isolated interpreter.

    launcher.py PARENT_PID SIGNAL UID:GID COMMAND...     (UID:GID is "-" to stay who we are)

The kernel sends SIGNAL when the thread that started us ends, whatever ends it, SIGKILL too (Linux: PR_SET_PDEATHSIG).
Asking for that here, rather than between fork and exec in the parent, runs no Python in a forked copy of a
process with threads. It comes after the change of user, which would undo it.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def _become(account: str) -> None:
    uid, gid = (int(number) for number in account.split(":"))
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def _end_with(parent: int, number: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:  # it ended before we asked
        sys.exit(f"the parent process {parent} is gone")


if __name__ == "__main__":
    _, parent_pid, signal_number, user, *command = sys.argv
    if user != "-":
        _become(user)
    _end_with(int(parent_pid), int(signal_number))
    os.execvpe(command[0], command, os.environ)  # noqa: S606 - the command comes from the supervisor, without a shell
