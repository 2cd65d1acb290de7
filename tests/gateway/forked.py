"""Work in a process of its own, which a test may kill."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable


def forked(work: Callable[[], object]) -> int:
    """Begin ``work`` in a child of this process, which ends with 0 when it is done and 1 where it raises; its pid."""
    pid = os.fork()
    if pid == 0:
        done = 1
        try:
            work()
            done = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(done)
    return pid


def was_killed(pid: int) -> bool:
    """Wait for a child: False where it ended by itself, and well."""
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the work failed"
    return os.WIFSIGNALED(status)
