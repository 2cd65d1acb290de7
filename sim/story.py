"""A scenario's file, read: times, people, orders, faults and expectations (docs/scenarios.md).

Nothing in a file is ignored: a key that is not known, and a value that can not be used, is refused with the file, the
key, what is the matter, and what would be right.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from core.document import Reader, fact
from core.order import OrderError, order_from_json
from core.problems import Problem
from sim import acts, short_order
from sim.acts import Doings, UnitTroubles
from sim.civil_time import CivilTimeError, instant_ms
from sim.faults import Fault, faults, only_firmware
from sim.life import Body, Life, Unit
from sim.locations import Locations, named
from sim.scenario import WORN, Expectation, Scenario, ScenarioError, Version, Wearer

_MINUTE_MS = 60_000
_FULL_TURN = 1 << 31
_KEYS = (
    *(
        "title",
        "shows",
        "from",
        "to",
        "seed",
        "centre",
        "town",
        "places",
        "zones",
        "units",
        "people",
        "faults",
    ),
    *("expect", "never", "may", "known_issue", "long"),
)
_PERSON_KEYS = (
    *("wears", "at", "name", "copies", "regime", "conditions", "order", "varied", "suspended", "discounts"),
    *("atv_allowance_min", "units", "body", "acts"),
)


def load(path: Path) -> Scenario:
    """Read a scenario. Raises `ScenarioError` with every problem found."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ScenarioError(
            path, [Problem("file", str(error.strerror), "Name a file; see tagwatch sim list.")]
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(path, [Problem("file", f"is not TOML: {error}", "Mend it there.")]) from None
    story = _Story(path.stem, document)
    if story.read.problems:
        raise ScenarioError(path, story.read.problems)
    return story.scenario()


class _Cast(NamedTuple):
    """One entry of ``people``: one person, or several who do the same."""

    names: tuple[str, ...]
    body: Mapping[str, Any]
    path: str
    wears: frozenset[str]
    units: tuple[str, ...]
    did: Doings


class _Story:
    """One document, read."""

    def __init__(self, name: str, document: Mapping[str, Any]) -> None:
        self.name, self.document, self.read = name, document, Reader()
        read = self.read
        read.keys(document, "", *_KEYS)
        self.title, self.shows = read.text(document, "title", ""), read.text(document, "shows", "")
        self.start_ms = self._when("from", None)
        self.end_ms = self._when("to", self.start_ms)
        if not read.problems and self.end_ms <= self.start_ms:
            read.refuse("to", "is not after 'from'", "Give a later time.")
        self.seed = (
            read.whole(document, "seed", "", "Give a whole number.") if "seed" in document else _seed(name)
        )
        there = Locations(read, document)
        self.zones, self.spots, self.units, self.town = there.zones, there.spots, there.units, there.town
        self.wearers: list[Wearer] = []
        self.casts: list[_Cast] = []
        people = named(read, document, "people")
        if not people:
            read.refuse("people", "there is nobody", "Give at least one person.")
        if not read.problems:  # what follows rests on times and places
            for key, value in people.items():
                self._person(key, value)
            for cast in self.casts:
                for name in cast.names:
                    self._wearer(name, cast)
        worn = {wearer.life.name: wearer.life.wears for wearer in self.wearers}
        self.faults: list[Fault] = []
        self.expect: list[Expectation] = []
        if not read.problems:
            texts = read.items(document, "faults", "") if "faults" in document else []
            self.faults = faults(
                read, texts, "faults", wearers=worn, start_ms=self.start_ms, end_ms=self.end_ms
            )
            for i, item in enumerate(document.get("expect", ())):
                self._expect(item, f"expect[{i}]", worn)

    def scenario(self) -> Scenario:
        """The scenario; only where there are no problems."""
        document = self.document
        return Scenario(
            self.name,
            self.title,
            self.shows,
            self.seed,
            self.start_ms,
            self.end_ms,
            tuple(self.wearers),
            tuple(self.faults),
            tuple(self.expect),
            frozenset(document.get("never", ())),
            frozenset(document.get("may", ())),
            str(document.get("known_issue", "")),
            only_firmware(self.faults),
            bool(document.get("long", False)),
        )

    # ----------------------------------------------------------------------------------------- times

    def _when(self, key: str, after_ms: int | None) -> int:
        return self._instant(self.document.get(key), key, after_ms)

    def _instant(self, text: object, path: str, after_ms: int | None) -> int:
        if not isinstance(text, str):
            self.read.refuse(path, fact(text, "a time"), 'Give a time as text: "2026-11-03 19:00".')
            return 0
        try:
            return instant_ms(text, after_ms)
        except CivilTimeError as error:
            self.read.refuse(path, error.fact, error.remedy)
            return 0

    def _interval(self, value: object, path: str, after_ms: int) -> tuple[int, int]:
        """``["19:00", "19:02"]``, or one time, which means the minute that begins then."""
        if isinstance(value, list) and len(value) == 2:
            first = self._instant(value[0], f"{path}[0]", after_ms)
            return first, self._instant(value[1], f"{path}[1]", first)
        first = self._instant(value, path, after_ms)
        return first, first + _MINUTE_MS

    # ----------------------------------------------------------------------------------------- people

    def _person(self, key: str, value: object) -> None:
        read, path = self.read, f"people.{key}"
        body = read.mapping(value, path)
        if body is None:
            return
        read.keys(body, path, *_PERSON_KEYS)
        wears = frozenset(body.get("wears", ("gps_tag",)))
        for kind in sorted(wears - set(WORN)):
            read.refuse(f"{path}.wears", f"{kind!r} can not be worn", f"Give some of: {', '.join(WORN)}.")
        units = list(body.get("units", self.units if "rf_tag" in wears else ()))
        for name in units:
            if name not in self.units:
                read.refuse(
                    f"{path}.units", f"{name!r} is no home unit", f"Known: {', '.join(self.units) or 'none'}."
                )
        if body.get("at") not in self.spots:
            read.refuse(
                f"{path}.at", fact(body.get("at"), "a place"), f"Places are: {', '.join(self.spots)}."
            )
        if read.problems:
            return
        copies = read.whole(body, "copies", path, "Give how many.") if "copies" in body else 0
        names = [f"{key}{n:02d}" for n in range(1, copies + 1)] or [key]
        did = acts.doings(
            read,
            body.get("acts", ()),
            f"{path}.acts",
            at=body["at"],
            spots=self.spots,
            units=units,
            start_ms=self.start_ms,
            end_ms=self.end_ms,
            town=self.town,
        )
        self.casts.append(_Cast(tuple(names), body, path, wears, tuple(units), did))

    def _wearer(self, name: str, cast: _Cast) -> None:
        body, path, did = cast.body, cast.path, cast.did
        versions = self._versions(name, body, path)
        try:
            build = Body(**body.get("body", {}))
        except TypeError as error:
            self.read.refuse(f"{path}.body", str(error), "Give fields of sim.life.Body.")
            build = Body()
        life = Life(
            name=name,
            seed=(self.seed + len(self.wearers)) % _FULL_TURN,
            start_ms=self.start_ms,
            end_ms=self.end_ms,
            way=did.way,
            order=versions[0].document,
            wears=cast.wears,
            units=tuple(self._placed(unit) for unit in cast.units),
            body=build,
            drinks=did.drinks,
            exposures=did.exposures,
            forged=did.forged,
            **did.spans,
        )
        self.wearers.append(Wearer(life, versions, cast.units))

    def _placed(self, name: str) -> Unit:
        """A home unit with its troubles, whoever of those who live with it caused them."""
        address, place = self.units[name]
        unit = Unit(address, place)
        for cast in self.casts:
            mine = cast.did.units.get(name, UnitTroubles())
            unit = unit._replace(
                no_mains=tuple(sorted({*unit.no_mains, *mine.no_mains})),
                off=tuple(sorted({*unit.off, *mine.off})),
                moved=tuple(sorted({*unit.moved, *mine.moved})),
                carried_to=mine.carried_to or unit.carried_to,
            )
        return unit

    def _versions(self, name: str, body: Mapping[str, Any], path: str) -> tuple[Version, ...]:
        """The order, and what it is varied to."""
        read = self.read
        made = []
        changes = [({"at": None} | dict(body), path)]
        for i, item in enumerate(body.get("varied", ())):
            table = read.mapping(item, f"{path}.varied[{i}]")
            if table is not None:
                read.keys(
                    table,
                    f"{path}.varied[{i}]",
                    "at",
                    "told",
                    "conditions",
                    "suspended",
                    "discounts",
                    "atv_allowance_min",
                )
                changes.append((dict(changes[-1][0]) | dict(table), f"{path}.varied[{i}]"))
        for number, (change, at) in enumerate(changes):
            from_ms = self.start_ms if number == 0 else self._instant(change["at"], f"{at}.at", self.start_ms)
            told_ms = (
                self._instant(change["told"], f"{at}.told", self.start_ms) if "told" in change else from_ms
            )
            document = self._document(name, change, at, number + 1, from_ms)
            try:
                order_from_json(document)
            except OrderError as error:
                for problem in error.problems:
                    read.refuse(f"{at}, in its order: {problem.path}", problem.fact, problem.remedy)
            made.append(Version(told_ms, document))
        return tuple(made)

    def _document(
        self, name: str, body: Mapping[str, Any], path: str, version: int, from_ms: int
    ) -> dict[str, Any]:
        if "order" in body and version == 1:
            return dict(body["order"])
        read = self.read
        document: dict[str, Any] = {
            "order_id": f"{self.name}-{name}",
            "version": version,
            "regime": body.get("regime", "community_order"),
            "wearer": {"id": f"W-{name.upper()}", "name": body.get("name", name.capitalize())},
            "effective": short_order.iso(from_ms),
            "conditions": short_order.conditions(
                read, body.get("conditions", ()), f"{path}.conditions", self.zones, self.spots
            ),
        }
        for key, target in (("suspended", "suspensions"), ("discounts", "discounts")):
            if key in body:
                document[target] = [
                    self._time_off(item, f"{path}.{key}[{i}]", key) for i, item in enumerate(body[key])
                ]
        if "atv_allowance_min" in body:
            document["atv_allowance_min"] = body["atv_allowance_min"]
        return document

    def _time_off(self, item: object, path: str, key: str) -> dict[str, Any]:
        """``{ on = "2026-11-03 19:00-21:00", reason = "hospital", kind = "reasonable_excuse" }``."""
        body = dict(self.read.mapping(item, path) or {})
        from_ms, to_ms = short_order.interval(self.read, body.pop("on", None), f"{path}.on")
        return body | {"from": short_order.iso(from_ms), "to": short_order.iso(to_ms)}

    # ------------------------------------------------------------------------------------ expectations

    def _expect(self, item: object, path: str, worn: Mapping[str, frozenset[str]]) -> None:
        read = self.read
        body = read.mapping(item, path)
        if body is None:
            return
        read.keys(
            body,
            path,
            *("wearer", "device", "rule", "condition", "starts", "ends", "state", "told_by", "figures"),
        )
        wearer = body.get("wearer", next(iter(worn)) if len(worn) == 1 else None)
        if wearer not in worn:
            read.refuse(f"{path}.wearer", fact(wearer, "anybody"), f"People are: {', '.join(worn)}.")
            return
        starts = self._interval(body["starts"], f"{path}.starts", self.start_ms) if "starts" in body else None
        after_ms = self.start_ms if starts is None else starts[0]
        ends = self._interval(body["ends"], f"{path}.ends", after_ms) if "ends" in body else None
        told_ms = self._instant(body["told_by"], f"{path}.told_by", after_ms) if "told_by" in body else None
        state = body.get("state")
        if state not in (None, "open", "ended", "withdrawn"):
            read.refuse(f"{path}.state", f"{state!r} is no state", "Give open, ended or withdrawn.")
        device = body.get("device")
        if device is not None and device not in worn[wearer]:
            read.refuse(f"{path}.device", f"{wearer} wears no {device}", "Name a device that is worn.")
        self.expect.append(
            Expectation(
                wearer,
                read.text(body, "rule", path),
                device,
                body.get("condition"),
                starts,
                ends,
                state,
                told_ms,
                body.get("figures", {}),
            )
        )


def _seed(name: str) -> int:
    """A story that names no seed has its name's, so that no two are alike."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") >> 1
