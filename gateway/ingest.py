"""The ingest: messages from the broker → one transaction → acknowledgement and commit down → alerts.

Runs as a process of its own (``python -m gateway.ingest --data-dir DIR``), started by ``gateway.service``. One thread
decides and writes; the network and the control socket have threads that only hand over to it.
"""

from __future__ import annotations

import math
import os
import secrets
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError

from core import envelope, wire
from core.rules import DEFAULT_RULES
from gateway import broker, checkpoints, child, compiling, gateway_time, logs, replica, topics, trust
from gateway.authority import Authority
from gateway.checkpoints import Checkpoints
from gateway.clock import Clock, ClockError, SteppedClock
from gateway.commands import Outbox
from gateway.commit import Committer
from gateway.control import WORKING, ControlError, ControlServer
from gateway.duties import Duties
from gateway.ears import Ears
from gateway.gateway_time import BoxClock, ThisBox
from gateway.group import Committed, Received
from gateway.heartbeat import Heartbeat
from gateway.judge import CannotJudgeError, Judge
from gateway.orders import Orders, unfitted
from gateway.outside_door import OutsideDoor
from gateway.rates import BARRED_MS, Rates
from gateway.replica import Copier
from gateway.rotation import Rekeys
from gateway.seal import SealError, Vault
from gateway.settings import Settings
from gateway.store import Store, StoreError, alerts, devices, state
from gateway.store.marks import Mark
from gateway.suspects import Suspects
from gateway.uplink import Echo, LinkDeadError, Unread, Uplink

log = structlog.get_logger(__name__)

TICK_S = 1.0
"""How often silence is judged, at least (law 4)."""

_LOOK_S = 0.05
"""For so long at a time it is looked what tags are to be told: whatever was received waits meanwhile."""
_WAKE_S = 0.25  # how soon a stop is noticed
_COPYING_S = 0.005
_REPLICA_S = 20.0
"""So long a step of the clock waits for the replica."""
_RETRY_S = (0.05, 5.0)
_BAR_AGAIN_S = 1.0
_REBUILD_S = 30.0
_FAILED_FIRST = 4
"""Where judging fails at so many without one at whom it does not, it is not the fault of one wearer."""
_ADVANCE_S = 45.0
"""So long a step of the clock waits for the broker; not counting the time in which this process is at work."""
_ECHO_AGAIN_S = 2.0
_COMPILING_S = 1800.0
"""So long compiling the rules may take, on the slowest of small boxes, before this process counts as hung."""
_MARK_S = 3600.0
"""How often it is written down up to where everything is judged; whoever needs it now asks (`gateway.retention`)."""
_LOADING_S = 180.0
"""And so long judging a piece of what is stored anew: some 65,000 readings, or all of one wearer."""


@dataclass(slots=True)
class _Step:
    """A wish to move the clock, until it is fulfilled."""

    t_ms: int
    done: Future[int] = field(default_factory=Future)


class Ingest:
    """The pipeline of one gateway. ``run`` it on the main thread; ``stop`` from anywhere."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        vault: Vault,
        link: Uplink,
        clock: Clock,
        rates: Rates,
        heart: Heartbeat | None = None,
        copier: Copier | None = None,
        keep_out: Callable[[Sequence[str]], None] = lambda devices: None,
    ) -> None:
        self._settings = settings
        self._heart = Heartbeat(None, settings.hung_after_s) if heart is None else heart
        self._judged_s: float | None = None
        self._store = store
        self._copier = copier
        self._owed: list[tuple[int, Committed]] = []
        """What is to be answered once the replica holds it; the number is what its copier was asked for."""
        self._link = link
        self._rates = rates
        self._keep_out = keep_out
        self._barred_s: dict[str, float] = {}
        """Who was barred just now, and when: what it has said before is still on its way here."""
        self._clock = clock
        self._committer = Committer(
            store,
            vault,
            quarantine_rows=settings.quarantine_rows,
            quarantine_bytes=settings.quarantine_bytes,
        )
        self._outbox = Outbox(store, vault, self._committer.key)
        self._orders = Orders()
        self._duties = Duties(store, settings.near_zone_m, compiled=self._orders)
        self._ears = Ears(store)
        self._rekeys = Rekeys(store)
        self._copied: tuple[int, int] | None = None
        """A count of changes, and what the copier was asked for when the store stood there."""
        program = checkpoints.program(DEFAULT_RULES)
        self._checkpoints = Checkpoints(settings.judged_path, program)
        self._suspects = Suspects(settings.data_dir, program)
        self._judge: Judge | None = None
        self._careful = False
        """Judging has failed: wearers are judged one by one, to find at whom."""
        self._failed_first: list[str] = []
        """At whom it failed before anybody else had been judged: they are judged last."""
        self._take_back = threading.Event()
        self._judge_again_s = 0.0
        self._steps: dict[str, _Step] = {}
        self._settling: list[Future[Mark]] = []
        """Who waits to be told that everything is judged."""
        self._mark_s = time.monotonic() + _MARK_S
        self._stopping = threading.Event()
        self._counts: Counter[str] = Counter()
        self._trouble = ""
        self._working = ""
        self._told: tuple[dict[str, int], dict[str, int]] = ({}, {})
        """Counters, and alerts by state, when the store was last read for somebody who asked."""

    def run(self) -> None:
        """Work until stopped. Raises LinkDeadError where only a new process helps."""
        self._compile()
        self._look_at_clock()
        self._judge_now()
        self._link.start()
        next_tick = time.monotonic() + TICK_S
        while not self._stopping.is_set():
            self._heart.beat()
            wait_s = 0.0 if self._behind else max(0.0, min(self._wake_s, next_tick - time.monotonic()))
            items = self._link.take(self._settings.group_size, wait_s, self._settings.group_s)
            self._working = "committing and judging" if items else ""
            self._work(items)
            self._working = ""
            if self._behind and not items and self._judge_now() is None:
                self._stopping.wait(_WAKE_S)  # the store can not be read, or what time it is
            self._answer_owed()
            self._bar_floods()
            if time.monotonic() >= next_tick:
                next_tick = time.monotonic() + TICK_S
                if self._copier is not None:
                    self._copier.ask()  # alerts, and what others have written
                self._link.check()
                if self._settings.clock == "system":
                    self._look_at_clock()
                    self._say_commands(present=self._clock.certain)
                    self._judge_now()
            if self._settling or time.monotonic() >= self._mark_s:
                self._mark()
            if self._take_back.is_set():
                self._take_back.clear()
                for name in self._suspects.take_back():
                    log.info("a wearer who was put aside is judged again", activation=name)
                self._judge = None
        self._with_judge(Judge.rest)
        self._checkpoints.close()
        self._suspects.close()

    @property
    def _behind(self) -> int:
        """How many wearers are still to be judged by what is stored of them; meanwhile messages are committed."""
        return 0 if self._judge is None else self._judge.behind

    def _bar_floods(self) -> None:
        """Have whoever says too much kept out for a while; the broker's door reads it in the store."""
        over = self._rates.taken()
        if not over:
            return
        now_s = time.monotonic()
        self._barred_s = {name: at_s for name, at_s in self._barred_s.items() if now_s - at_s < _BAR_AGAIN_S}
        names = {topics.speaker(topic.decode(errors="replace")) for topic in over}
        floods = [name for name in names if name is not None and name not in self._barred_s]
        if not floods:
            return
        self._barred_s |= dict.fromkeys(floods, now_s)
        log.warning("a device says more than any may, and is kept out for a while", devices=sorted(floods))

        def bar() -> None:
            with self._store.write() as connection:
                devices.bar(connection, floods, time.time_ns() // 1_000_000 + BARRED_MS)

        if self._look(bar):
            self._keep_out(floods)

    def _compile(self) -> None:
        """Have the rules compiled before anybody is told that this gateway is ready."""
        if compiling.compiled():
            return
        self._working = WORKING
        self._heart.beat(_COMPILING_S)
        log.info("compiling the rules, once after an update: it takes a minute or more")
        began_s = time.monotonic()
        compiling.compile_all()
        log.info("the rules are compiled", after_s=round(time.monotonic() - began_s, 1))
        self._working = ""

    def stop(self) -> None:
        """End ``run`` after what it is doing now."""
        self._stopping.set()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer one request of the control socket. Raises ControlError or ValueError."""
        if request.get("do") == "status":
            return self.status()
        if request.get("do") == "link":
            return {
                "connected": self._link.subscribed.is_set(),
                "refused_s": round(self._link.refused_s, 3),
            }
        if request.get("do") == "advance":
            t_ms = request.get("t_ms")
            if type(t_ms) is not int:
                raise ControlError("advance needs t_ms, a whole number of milliseconds since 1970")
            return {"t_ms": t_ms, "judged": self._advance(t_ms)}
        if request.get("do") == "settle":
            return self._settle()._asdict()
        if request.get("do") == "judge_again":
            put_aside = sorted(self._suspects.aside)
            self._take_back.set()
            return {"put_aside": put_aside}
        raise ControlError(
            f"{request.get('do')!r} is nothing to do: ask for status, link, advance, settle or judge_again"
        )

    def status(self) -> dict[str, Any]:
        """How it goes: counters since the store was made, and what this process does now."""
        trouble = self._trouble
        try:
            with self._store.read() as connection:
                self._told = state.counters(connection), alerts.count_by_state(connection)
        except DBAPIError as error:  # whoever asks is told that, and what was true before
            trouble = trouble or str(error.orig)
        counters, alert_states = self._told
        prefix = "quarantined_"
        judge = self._judge
        return {
            "clock": self._settings.clock,
            "now_ms": self._clock.now_ms(),
            "time": self._time(),
            "connected": self._link.subscribed.is_set(),
            "trouble": trouble,
            "stalled_s": round(self._heart.stalled_s, 3),
            "judged_ago_s": self._judged_ago_s(),
            "unjudged": self._behind,
            "put_aside": dict(self._suspects.aside),
            "working": self._working,
            "queue": self._link.waiting,
            "messages": counters.get("messages", 0),
            "committed": counters.get("readings", 0),
            "duplicates": counters.get("duplicates", 0),
            "conflicts": counters.get("conflicts", 0),
            "forgotten": counters.get("forgotten", 0),
            "hellos": counters.get("hellos", 0),
            "ahead": dict(judge.held) if judge is not None else {},
            "quarantined": counters.get("quarantined", 0),
            "quarantined_by_reason": {
                name.removeprefix(prefix): value
                for name, value in counters.items()
                if name.startswith(prefix)
            },
            "alerts": sum(alert_states.values()),
            "alerts_by_state": alert_states,
            "replica": None if self._copier is None else self._replica(self._copier),
            "process": {"pid": os.getpid(), **self._counts, **self._link.counts},
        }

    def _time(self) -> dict[str, Any] | None:
        """Upon what gateway time rests, and what speaks against it; None with a stepped clock."""
        if not isinstance(self._clock, BoxClock):
            return None
        return {
            "basis": self._clock.line.basis.name.lower(),
            "known": self._clock.line.known,
            "certain": self._clock.certain,
            "doubt": self._clock.doubt,
            "box_off_s": round(self._clock.off_ms / 1000, 3),
        }

    def _look_at_clock(self) -> None:
        """See whether gateway time is right; where it was not, everything is judged anew by what is stored."""
        clock = self._clock
        if not isinstance(clock, BoxClock):
            return
        changed: list[int | None] = []
        self._look(lambda: changed.append(clock.look(lambda: self._heart.beat(_LOADING_S))))
        if changed and changed[0] is not None:
            self._judge = None
            self._outbox.forget()

    def _replica(self, copier: Copier) -> dict[str, Any]:
        failing_s = copier.failing_s
        return {
            "place": copier.place,
            "trouble": copier.trouble,
            "failing_s": 0.0 if failing_s is None else round(time.monotonic() - failing_s, 3),
            "unanswered": sum(len(owed.commits) for _, owed in list(self._owed)),
        }

    def _judged_ago_s(self) -> float | None:
        """How long ago everything was judged last, seconds; None where that says nothing: time stands, or a start."""
        if self._judged_s is None or self._settings.clock != "system":
            return None
        return round(time.monotonic() - self._judged_s, 3)

    def _work(self, items: Sequence[Received | Unread | Echo]) -> None:
        """Commit messages; at an echo of a step of the clock, what came before it is done first."""
        messages: list[Received | Unread] = []
        for item in items:
            if isinstance(item, Unread):
                messages.append(item)
                continue
            if isinstance(item, Received):
                # it was stamped by a clock that is never set; what time that was is known best now
                messages.append(item._replace(received_ms=self._clock.at(item.received_ms)))
                continue
            self._handle(messages)
            messages = []
            self._link.acknowledge([item.ticket])
            step = self._steps.get(item.token)
            if step is not None and not step.done.done():
                if self._wait_for_the_replica():
                    self._take_step(step)
                else:
                    step.done.set_exception(
                        ControlError("the replica can not be written: time was not moved")
                    )
        self._handle(messages)

    def _handle(self, messages: Sequence[Received | Unread]) -> None:
        if not messages:
            return
        wanted = [message for message in messages if isinstance(message, Received)]
        done = [pair for part in self._suspects.apart(wanted) for pair in self._committed(part)]
        # only now, with everything on disk, may anyone be told
        if sum(len(group) for group, _ in done) == len(wanted):
            self._link.acknowledge([message.ticket for message in messages])
        else:
            self._link.acknowledge([message.ticket for group, _ in done for message in group])
        for _, committed in done:
            if self._copier is None:
                self._answer(committed)
            else:
                self._owe(self._copier, committed)
            self._counts["groups"] += 1
            if isinstance(self._clock, BoxClock):
                gateway_time.witnesses(committed.understood, committed.heard, self._clock)
            self._with_judge(partial(Judge.add, committed=committed))
        self._judge_now()

    def _committed(self, messages: Sequence[Received]) -> list[tuple[Sequence[Received], Committed]]:
        """Commit ``messages``, trying again for as long as the store can not be written; [] when stopped meanwhile."""
        wait_s, longest_s = _RETRY_S
        decide = partial(self._committer.commit, messages)
        if len(messages) == 1 and self._suspects.is_guilty(messages[0]):
            log.error("a message at which the gateway ended again and again is put aside")
            decide = partial(self._committer.refuse, messages[0], "the gateway ended over it")
        # before the commit: what is bound here must not find in the store what is added to it afterwards
        self._with_judge(Judge.refresh)
        while not self._stopping.is_set():
            self._heart.beat()
            self._suspects.deciding(messages)
            try:
                committed = decide()
            except DBAPIError as error:
                self._suspects.idle()  # a disk that does not take it is no fault of theirs
                self._say_trouble(error)
                self._stopping.wait(wait_s)
                wait_s = min(2 * wait_s, longest_s)
                continue
            except Exception as error:
                # a fault of this program over some message must not stop all the others
                log.exception("a group could not be decided upon", messages=len(messages))
                self._counts["internal_errors"] += 1
                if len(messages) == 1:
                    decide = partial(self._committer.refuse, messages[0], type(error).__name__)
                    continue
                return [pair for message in messages for pair in self._committed([message])]
            self._suspects.decided(messages)
            if self._trouble:
                log.info("the store can be written again")
                self._trouble = ""
            return [(messages, committed)]
        return []

    def _say_trouble(self, error: DBAPIError) -> None:
        text = logs.safe(error)
        self._counts["failed_writes"] += 1
        if text != self._trouble:
            log.error("the store can not be written; nothing is acknowledged until it can", problem=text)
            self._trouble = text

    @property
    def _wake_s(self) -> float:
        """How long to wait for messages: hardly, while the replica is about to have what tags wait to be told."""
        copying = self._copier is not None and self._owed and not self._copier.trouble
        return _COPYING_S if copying else _WAKE_S

    def _owe(self, copier: Copier, committed: Committed) -> None:
        """Answer this when the replica has it. While it has not, one entry holds all: a line for each device."""
        if not committed.commits:
            return
        if self._owed and self._owed[-1][0] > copier.began:
            _, owed = self._owed.pop()
        else:
            owed = Committed()
        owed.commits |= committed.commits
        owed.hellos |= committed.hellos
        owed.nonces |= committed.nonces
        owed.answers += committed.answers
        owed.adopted |= committed.adopted
        self._owed.append((copier.ask(), owed))

    def _answer_owed(self) -> None:
        while self._copier is not None and self._owed and self._owed[0][0] <= self._copier.done:
            self._answer(self._owed.pop(0)[1])

    def _wait_for_the_replica(self) -> bool:
        """Before time moves on everything is answered; False where the replica does not come to it."""
        deadline = time.monotonic() + _REPLICA_S
        while self._owed and time.monotonic() < deadline and not self._stopping.is_set():
            self._heart.beat()
            time.sleep(0.002)
            self._answer_owed()
        return not self._owed

    def _answer(self, committed: Committed) -> None:
        """Tell each device that was heard its commit, and with it a command that it is time to say."""
        now_ms = self._clock.now_ms()
        changed = {answer.device for answer in committed.answers} | set(committed.nonces) | committed.adopted
        if changed and now_ms is not None:
            self._look(lambda: self._outbox.refresh(now_ms, changed))
        downs: list[tuple[str, wire.Down]] = []
        for (device, epoch), upto in committed.commits.items():
            command = None
            if now_ms is not None:
                command = self._outbox.next_for(
                    device,
                    now_ms,
                    hello=device in committed.hellos,
                    present=self._clock.certain,
                )
            downs.append((device, wire.Down(self._committer.generation, (epoch, upto), command)))
        self._say(downs)

    def _say_commands(self, *, present: bool) -> None:
        """Say the commands that it is time to say to devices that do not speak by themselves."""
        now_ms = self._clock.now_ms()
        if now_ms is None:
            return
        within_s = _LOOK_S if self._settings.clock == "system" else math.inf
        self._look(lambda: self._duties.look(now_ms, within_s))
        self._look(lambda: self._ears.look(now_ms))
        self._look(lambda: unfitted.look(self._store, now_ms, within_s))
        self._look(lambda: self._tell_next_keys(now_ms))
        if not self._look(lambda: self._outbox.refresh(now_ms)):
            return
        if not self._look(self._committer.refresh):  # a device may have been added, and never heard
            return
        generation = self._committer.generation
        self._say(
            [
                (device, wire.Down(generation, None, command))
                for device, command in self._outbox.due(now_ms, present=present)
            ]
        )

    def _tell_next_keys(self, now_ms: int) -> None:
        """Have devices told the keys that they are to change to: those only that every copy has."""
        with self._store.read() as connection:
            changes = state.changes(connection)
        if self._copier is not None:
            if self._copied is None or self._copied[0] != changes:
                self._copied = changes, self._copier.ask()
            if self._copier.done < self._copied[1]:
                return
        self._rekeys.look(now_ms, changes)

    def _say(self, downs: Sequence[tuple[str, wire.Down]]) -> None:
        sealed: list[tuple[str, bytes]] = []
        for device, down in downs:
            key = self._committer.key(device)
            if key is None:
                continue
            topic = topics.down(device)
            sealed.append((topic, envelope.seal(key, device, topic, wire.encode_down(down))))
            self._counts["commands_said"] += down.command is not None
        self._link.send(sealed)

    def _look(self, work: Callable[[], object]) -> bool:
        """Look into the store; False where that can not be done now: what was known before goes on."""
        try:
            work()
        except DBAPIError as error:
            self._say_trouble(error)
            return False
        return True

    def _judge_now(self, *, stepped: bool = False) -> int | None:
        """Judge at the present instant; returns how many alerts were written, None where it could not be done.

        Between its steps a stepped clock stands behind those of the tags.
        """
        now_ms = self._clock.now_ms()
        if now_ms is None or time.monotonic() < self._judge_again_s:
            return None
        if self._judge is None:
            self._heart.beat(_LOADING_S)
            self._judge = Judge(
                self._store,
                compiled=self._orders,
                checkpoints=self._checkpoints,
                going_on=lambda: self._heart.beat(_LOADING_S),
                aside=self._suspects.aside,
                careful=self._failed_first if self._careful or self._suspects.careful else None,
                about=self._judging_one,
            )
        if not self._with_judge(Judge.refresh):
            return None
        written: list[int] = []
        present = stepped or self._clock.certain
        # who steps the clock waits until all is judged; who does not can have tags told what is committed meanwhile
        whole = self._settings.clock != "system"
        self._with_judge(lambda judge: written.append(judge.judge(now_ms, present=present, whole=whole)))
        if written and not self._behind:
            self._judged_s = time.monotonic()
            self._suspects.judged()
            self._careful = False
            self._failed_first.clear()
        return written[0] if written else None

    def _with_judge(self, work: Callable[[Judge], object]) -> bool:
        """Let the judge work, if there is one; False where there is none, or it failed."""
        if self._judge is None:
            return False
        self._suspects.judging()
        try:
            work(self._judge)
        except DBAPIError as error:
            self._say_trouble(error)
            return False
        except CannotJudgeError as error:
            self._doubt(error)
            return False
        except Exception:
            # committing evidence goes on, whatever a rule does; the monitor is made anew from the store
            log.exception("judging failed; wearers are judged one by one")
            self._judge_anew(_REBUILD_S if self._careful else 0.0)
            return False
        finally:
            self._suspects.idle()
        return True

    def _judging_one(self, activation_id: str) -> None:
        self._suspects.judging(activation_id)
        self._heart.beat(_LOADING_S)

    def _doubt(self, error: CannotJudgeError) -> None:
        """It failed at one wearer: put aside, where it does not fail at everybody, so that the others are judged."""
        name = error.activation
        if error.others or name in self._failed_first:
            why = f"the program fails at it ({type(error.__cause__).__name__})"
            log.error(
                "a wearer can not be judged and is put aside", activation=name, exc_info=error.__cause__
            )
            self._suspects.put_aside(name, why)
            self._judge_anew(0.0)
        elif len(self._failed_first) < _FAILED_FIRST:
            self._failed_first.append(name)
            self._judge_anew(0.0)
        else:
            log.error("judging fails at everybody; it is tried again", exc_info=error.__cause__)
            self._failed_first.clear()
            self._judge_anew(_REBUILD_S)

    def _judge_anew(self, after_s: float) -> None:
        self._counts["judge_errors"] += 1
        self._judge = None
        self._careful = True
        self._checkpoints.discard()  # whatever it stumbled over is not to be there again
        self._judge_again_s = time.monotonic() + after_s

    def _settle(self) -> Mark:
        wish: Future[Mark] = Future()
        self._settling.append(wish)
        try:
            return wish.result(_ADVANCE_S)
        except FutureTimeoutError:
            raise ControlError(
                f"not everything was judged within {_ADVANCE_S:.0f} s: the status says why"
            ) from None
        finally:
            self._settling.remove(wish)

    def _mark(self) -> None:
        """Write down, now and then or when somebody asks, up to where everything is judged."""
        self._mark_s = time.monotonic() + _MARK_S
        waiting = [wish for wish in self._settling if not wish.done()]
        if waiting:
            self._judge_now()
        marks: list[Mark | None] = []
        self._with_judge(lambda judge: marks.append(judge.mark()))
        if marks and marks[0] is not None:
            for wish in waiting:
                wish.set_result(marks[0])

    def _advance(self, t_ms: int) -> int:
        if not isinstance(self._clock, SteppedClock):
            raise ControlError(
                "this gateway follows the system's clock; set clock = 'stepped' to move it by hand"
            )
        token = secrets.token_hex(8)
        step = self._steps[token] = _Step(t_ms)
        deadline = time.monotonic() + _ADVANCE_S
        try:
            while time.monotonic() < deadline and not self._stopping.is_set():
                sent = self._link.echo(token)
                try:
                    return step.done.result(_ECHO_AGAIN_S if sent else 0.05)
                except FutureTimeoutError:  # the connection was lost, or is not there yet
                    if self._working:
                        deadline = time.monotonic() + _ADVANCE_S
            raise ControlError(f"the broker did not come back within {_ADVANCE_S:.0f} s: time was not moved")
        finally:
            del self._steps[token]

    def _take_step(self, step: _Step) -> None:
        assert isinstance(self._clock, SteppedClock)
        try:
            self._clock.advance(step.t_ms)
        except ClockError as error:
            step.done.set_exception(ControlError(str(error)))
            return
        try:
            with self._store.write() as connection:
                state.set_number(connection, state.JUDGED_MS, step.t_ms)
        except DBAPIError as error:
            self._say_trouble(error)
            step.done.set_exception(ControlError(f"the store can not be written: {error.orig}"))
            return
        self._say_commands(present=True)
        judged = self._judge_now(stepped=True)
        while judged is None and self._judge is None and time.monotonic() >= self._judge_again_s:
            judged = self._judge_now(stepped=True)  # with care now, or without whom it fails at
        if judged is None:
            step.done.set_exception(ControlError("judging failed; the log of the ingest says why"))
        else:
            step.done.set_result(judged)


def _clock(settings: Settings, store: Store) -> Clock:
    if settings.clock == "system":
        settled_ms = 0 if settings.clock_trust == "box" else trust.SETTLE_MS
        return BoxClock(store, ThisBox(settings.clock_trust), settled_ms)
    with store.read() as connection:
        last = state.number(connection, state.JUDGED_MS, -1)
    return SteppedClock(None if last < 0 else last)


def main(arguments: list[str] | None = None) -> int:
    """The process; returns its exit code, 1 where a new one may do better."""
    settings, ready_fd = child.begin("gateway.ingest", "ingest", __doc__, arguments)
    try:
        store = Store.open(settings.store_place, busy_timeout_ms=settings.busy_timeout_ms)
    except StoreError as error:  # a disk that is full or read-only may be neither in a moment
        log.error("the store can not be opened; nothing is received until it can", problem=str(error))
        return 1
    place = broker.address(settings)
    try:
        authority = Authority.of(settings)
    except SealError as error:
        log.error("no key can be opened; nothing is received until it can", problem=str(error))
        return 1
    try:
        clock = _clock(settings, store)
    except DBAPIError as error:
        log.error("the store can not be used; nothing is received until it can", problem=logs.safe(error))
        return 1
    # simulated tags are as fast as their time, and each of them is slowed down by its own answers
    limited = settings.clock == "system" and settings.tag_messages_per_s > 0
    rates = Rates(settings.tag_messages_per_s)
    link = Uplink(
        place,
        broker.client_tls(authority) if place.tls else None,
        queue_size=settings.queue_size,
        stamp=clock.stamp,
        open_to_us=lambda: not settings.embedded or broker.door_is_open(settings),
        rates=rates if limited else None,
    )
    heart = Heartbeat(ready_fd, settings.hung_after_s)
    try:
        copier = _copier(settings, store)
    except DBAPIError as error:
        log.error("the store can not be written; nothing is received until it can", problem=logs.safe(error))
        return 1
    # the embedded broker's door is a process of its own
    door = None if settings.embedded else OutsideDoor(settings, store)
    keep_out = (lambda devices: None) if door is None else door.bar
    ingest = Ingest(settings, store, authority.vault, link, clock, rates, heart, copier, keep_out)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ingest.stop())
    control = ControlServer(settings.control_path, ingest.answer)
    if ready_fd is not None:
        threading.Thread(target=_tell_ready, args=(link, heart), daemon=True).start()
    if door is not None:
        door.start()
    try:
        ingest.run()
    except LinkDeadError as error:
        log.error("the link to the broker is dead", problem=str(error))
        return 1
    finally:
        control.close()
        link.stop()
        if copier is not None:
            copier.stop()
        if door is not None:
            door.stop()
        store.close()
    return 0


def _copier(settings: Settings, store: Store) -> Copier | None:
    place = settings.replica_place
    if place is None:
        replica.end(store)
        return None
    replica.begin(store)
    copier = Copier(store, place)
    copier.start()
    return copier


def _tell_ready(link: Uplink, heart: Heartbeat) -> None:
    link.subscribed.wait()
    heart.ready()


if __name__ == "__main__":
    sys.exit(main())
