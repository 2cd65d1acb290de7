"""``python -I -S tied.py PARENT COMMAND …``: become COMMAND, which is killed when the process PARENT ends.

A supervisor has threads, and what runs in a copy of it between fork and exec may wait for ever for a lock that one of
them held, and the supervisor for the copy. So this is a program of its own, that becomes the other.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def become(parent: int, command: list[str]) -> None:
    """Does not return: this process is ``command`` from now on, or ends where ``parent`` has ended already.

    Raises OSError where there is no such program.
    """
    for number in (
        signal.SIGPIPE,
        signal.SIGXFSZ,
    ):  # which this interpreter ignores, and its successor would, too
        signal.signal(number, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)  # it ended before this was arranged
    os.execvp(command[0], command)


if __name__ == "__main__":
    become(int(sys.argv[1]), sys.argv[2:])
