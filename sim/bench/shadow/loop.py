"""asyncio's waiting, over virtual time: sockets are real, serial lines are the board's, timers are the world's."""

import select
from asyncio import core

TURNS = 16  # so that tasks that are always due do not keep those out that wait for a socket


class IOQueue:
    """What asyncio asks when no task can run. The host's poll never sees a serial line: it has no descriptor."""

    def __init__(self, world) -> None:
        self.map = {}  # id of a stream: [its reading task, its writing task, the stream]
        self._world = world
        self._poller = select.poll()
        self._turns = 0  # of asyncio, since it was last looked whether anything has happened

    def queue_read(self, stream) -> None:
        self._queue(stream, 0)
        if hasattr(stream, "virtual_line") and stream.held:
            self._world.rung = True

    def queue_write(self, stream) -> None:
        self._queue(stream, 1)

    def _queue(self, stream, side: int) -> None:
        entry = self.map.setdefault(id(stream), [None, None, stream])
        if entry[side] is not None:
            raise RuntimeError("two tasks wait for one side of %r" % stream)
        entry[side] = core.cur_task
        core.cur_task.data = self  # so that a cancelled task is taken out again
        self._settle(entry)

    def _settle(self, entry) -> None:
        """Tell the poll which events are still waited for."""
        stream = entry[2]
        events = (select.POLLIN if entry[0] else 0) | (select.POLLOUT if entry[1] else 0)
        virtual = hasattr(stream, "virtual_line")
        if events:
            if not virtual:
                self._poller.register(stream, events)
        else:
            del self.map[id(stream)]
            if not virtual:
                self._poller.unregister(stream)

    def remove(self, task) -> None:
        for entry in list(self.map.values()):
            if task in (entry[0], entry[1]):
                self._release(entry, entry[0] is task, entry[1] is task, False)

    def _release(self, entry, reading: bool, writing: bool, wake: bool = True) -> bool:
        released = False
        for side, wanted in ((0, reading), (1, writing)):
            task = entry[side]
            if wanted and task is not None:
                entry[side] = None
                released = True
                if wake:
                    core._task_queue.push(task)
        if released:
            self._settle(entry)
        return released

    def waits_for_socket(self) -> bool:
        """Whether any task waits for a socket."""
        return any(not hasattr(entry[2], "virtual_line") for entry in self.map.values())

    def wait_io_event(self, dt_ms: int) -> None:
        """Let time pass until something happens, at most `dt_ms`; with 0 look whether something has.

        asyncio asks with 0 before each task that is due. Nothing happens between two of them, as time stands still:
        that a socket is ready may be noticed some turns later.
        """
        if dt_ms == 0 and self._turns < TURNS:
            task = core._task_queue.peek()
            if task is not None and task.ph_key <= self._world.loop_ticks_ms():
                self._turns += 1
                return
        self._turns = 0
        self._world.pass_until(dt_ms, self._sockets_ready)

    def wake_line(self, line) -> bool:
        """Wake the task that reads this serial line; whether there was one."""
        entry = self.map.get(id(line))
        return entry is not None and self._release(entry, True, False)

    def _sockets_ready(self, real_ms: int, also=None) -> bool:
        if also is None:
            ready = self._poller.poll(real_ms)
            if not ready:
                return False
        else:
            self._poller.register(also, select.POLLIN)
            try:
                ready = self._poller.poll(real_ms)
            finally:
                self._poller.unregister(also)
        woken = False
        for stream, events in ready:
            if stream is not also:
                entry = self.map[id(stream)]
                woken = self._release(entry, events & ~select.POLLOUT, events & ~select.POLLIN) or woken
        return woken
