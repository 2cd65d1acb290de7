"""What an officer looks at with the device in hand: its parts, the sky, the strap, the baseline, the first reading."""

from __future__ import annotations

from typing import Any

from core.wire import beacon_number
from gateway.fitting.console import Refused
from gateway.fitting.context import HOME_UNIT, Context
from gateway.fitting.identity import ANOTHER
from gateway.fitting.journal import Facts
from gateway.fitting.stops import BatteryFlat, Stop

ENOUGH_SATELLITES = 4
"""Three coordinates and the time."""
GOOD_DBM = -90
"""A home unit still hears a tag some 10 dB below it; a person in the way takes that much (docs/rf.md)."""
LATER = frozenset({"strap", "radio", "gnss", "charger", "ear"})
"""Parts that have a step of their own, or that may be as they are."""
REMEDIES = {
    "case": "press the case shut until it clicks, or take another one",
    "mains": "plug the home unit into the wall, and switch the socket on",
    "place": "let the home unit stand still for a minute where it is to stay, and type the same command again",
}
_MOTION_TRIES_S = 8.0


def tests(context: Context) -> dict[str, Any]:
    """What each part says of itself: True, or what is wrong."""
    try:
        told: dict[str, Any] = context.on_the_line.console.ask("self_test")["tests"]
    except Refused as error:
        raise Stop(f"{context.on_the_line.device} can not test itself ({error})", ANOTHER) from None
    return told


def _charged(context: Context) -> dict[str, Any]:
    """The same, of a device that is not flat: it may have gone so since its parts were looked at."""
    told = tests(context)
    if told.get("battery", True) is not True:
        raise BatteryFlat(context.on_the_line.device, told["battery"])
    return told


def self_test(context: Context) -> Facts:
    """Every part gives its verdict, and those that must be well are."""
    bad: dict[str, Any] = {}
    told: dict[str, Any] = {}
    for _ in context.patiently(_MOTION_TRIES_S):
        told = tests(context)
        bad = {name: said for name, said in told.items() if said is not True and name not in LATER}
        if set(bad) - {"motion"} or not bad:
            break
        context.listener.says("lay it down for a moment: the motion sensor tests itself")
    if bad:
        broken = [name for name in bad if name not in (*REMEDIES, "battery")]
        name = next(iter(broken or bad))
        fact = f"{name} of {context.on_the_line.device}: {bad[name]}"
        if not broken and "battery" in bad:
            raise BatteryFlat(context.on_the_line.device, bad["battery"])
        if broken and not context.asked.dry_run:
            _put_aside(context, fact)
            fact += "; it is in quarantine now"
        raise Stop(fact, REMEDIES.get(name, ANOTHER))
    return {"device": context.on_the_line.device, "tests": told}


def _put_aside(context: Context, fact: str) -> None:
    """A part is broken that nobody mends in a hallway: the device is fitted to nobody until it was tested."""
    about = context.journal.visit if context.journal is not None else ""
    context.desk.report(context.on_the_line.device, "failed", f"self-test at a visit: {fact}", about)


def sky(context: Context) -> Facts:
    """How many satellites it hears, live, until it has a fix or the time for it is over."""
    told: dict[str, Any] = {}
    for left_s in context.patiently(context.asked.sky_s):
        try:
            told = context.on_the_line.console.ask("sky")
        except Refused as error:
            raise Stop(f"its receiver is not at work ({error})", ANOTHER) from None
        fixed = "fix" if told["fixes"] else "no fix yet"
        context.listener.says(
            f"{told['heard']} satellites heard of {told['in_view']}, {fixed}, {left_s:.0f} s left"
        )
        if told["fixes"] and told["heard"] >= ENOUGH_SATELLITES:
            break
    good = bool(told["fixes"]) and told["heard"] >= ENOUGH_SATELLITES
    return {"device": context.on_the_line.device, "good": good} | {
        name: told[name] for name in ("in_view", "heard", "used", "strongest_dbhz", "fixes")
    }


def strap(context: Context) -> Facts:
    """Strap and case are closed, for two looks in a row."""
    closed = 0
    for left_s in context.patiently(context.asked.strap_s):
        told = _charged(context)
        open_parts = [name for name in ("strap", "case") if told.get(name, True) is not True]
        closed = 0 if open_parts else closed + 1
        if closed == 2:
            return {"device": context.on_the_line.device, "at_ms": context.now_ms()}
        if open_parts:
            context.listener.says(f"{' and '.join(open_parts)} open: close it, {left_s:.0f} s left")
    raise Stop("strap or case is open", "close the strap until it clicks, and type the same command again")


def baseline(context: Context) -> Facts:
    """What infrared and temperature are at this skin."""
    try:
        told = context.on_the_line.console.ask("baseline")
    except Refused as error:
        raise Stop(
            f"no baseline can be taken: {error}",
            "close the strap so that the sensor lies flat on the skin, and type the same command again",
        ) from None
    return {
        "device": context.on_the_line.device,
        "infrared_mv": told["infrared_mv"],
        "temperature_c": told["temperature_e2"] / 100,
    }


def check(context: Context) -> Facts:
    """The officer has seen the device as it is now; from here on the first reading is waited for."""
    side = context.on_the_line
    at_ms = context.now_ms()
    row = context.desk.newest_row()
    try:
        side.console.ask("check")
    except Refused as error:
        raise Stop(
            f"{side.device} can not be passed: {error}",
            "close strap and case until both click, and type the same command again",
        ) from None
    if context.purpose == "check" and context.journal is not None:
        context.desk.report(side.device, "checked", "passed at a visit", context.journal.visit)
    return {"device": side.device, "at_ms": at_ms, "row": row}


def first_reading(context: Context, after: Facts, about: str | None = None) -> Facts:
    """The first reading since the check that is committed; ``about`` is the tag that a unit must have heard."""
    side = context.on_the_line
    for left_s in context.patiently(context.asked.reading_s):
        radio = _charged(context).get("radio")
        found = context.desk.reading_since(side.device, after["row"], about)
        if found is not None:
            return {"device": side.device, "received_ms": found.received_ms, "row": found.row}
        how = "connected" if radio is True else str(radio)
        context.listener.says(f"waiting for the first reading ({how}), {left_s:.0f} s left")
    radio = tests(context).get("radio")
    if radio is not True:
        raise Stop(
            f"no reading of {side.device} has arrived, for it has no connection ({radio})",
            "go to a window or outdoors, and type the same command again; nobody is monitored by it yet",
        )
    raise Stop(
        f"{side.device} is connected, and no reading of {about or 'it'} has arrived",
        "wait a minute, and type the same command again; nobody is monitored by it yet",
    )


def last_readings(context: Context) -> Facts:
    """What the device still holds reaches the gateway, if it can; what can not stays in its journal."""
    side = context.on_the_line
    held = side.again().held
    for left_s in context.patiently(context.asked.sky_s):
        if held == 0 or not context.desk.connected:  # where we have none it has hardly any, either
            break
        context.listener.says(f"{held} readings still to be committed, {left_s:.0f} s left")
        held = side.again().held
    return {"device": side.device, "held": held, "good": held == 0}


# --------------------------------------------------------------------------------------------- home unit


def hear(context: Context, tag: str) -> Facts:
    """The home unit listens for the wearer's tag."""
    side = context.on_the_line
    assert side.kind == HOME_UNIT
    number = beacon_number(tag)
    key = context.desk.beacon_key(tag)
    try:
        told = side.console.ask("hear", beacon=number, key=key.hex())
    except Refused as error:
        raise Stop(f"the home unit does not take the tag: {error}", "take another home unit") from None
    return {"device": side.device, "tag": tag, "beacon": number, "tags": len(told["tags"])}


def survey(context: Context, tag: str) -> Facts:
    """How the home unit hears the tag from each room, one after the other."""
    ask, rooms = context.asked.ask, list(context.asked.rooms)
    told: list[Facts] = []
    while True:
        if rooms:
            room = rooms.pop(0)
            if ask is not None:
                ask(f"Go to {room} with the tag, then press Enter")
        elif ask is not None and not context.asked.rooms:
            room = ask(
                "Go to a room with the tag and type its name; press Enter alone when all rooms are done"
            )
            if not room.strip():
                if told:
                    break
                continue
        else:
            break
        told.append({"room": room.strip(), **_heard_in(context, tag, room.strip())})
    if not told:
        told.append({"room": "here", **_heard_in(context, tag, "here")})
    if not any(one["good"] for one in told):
        raise Stop(
            "the home unit hears the tag from no room",
            "put the home unit in the middle of the home, away from metal, and type the same command again",
        )
    return {"device": context.on_the_line.device, "rooms": told, "good": all(one["good"] for one in told)}


def _heard_in(context: Context, tag: str, room: str) -> Facts:
    number = beacon_number(tag)
    before: int | None = None
    for left_s in context.patiently(context.asked.room_s):
        heard = {one[0]: one for one in context.on_the_line.console.ask("survey")["heard"]}
        _, believed, dbm, _ = heard.get(number, [number, 0, None, 0])
        before = believed if before is None else before
        if believed > before:
            return {"good": dbm >= GOOD_DBM, "dbm": dbm}
        context.listener.says(f"{room}: listening for the tag, {left_s:.0f} s left")
    return {"good": False, "dbm": None}
