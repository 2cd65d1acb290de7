"""Which device it is, whether it is the right one, and giving it identity, keys and settings."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from gateway.devices import Credentials
from gateway.fitting.console import Refused, named
from gateway.fitting.context import HOME_UNIT, Context
from gateway.fitting.journal import Facts
from gateway.fitting.stops import NoAnswer, Stop

CALIBRATED = {"alcohol_tag": "fuel_cell"}
"""What the settings of a kind must have that only its maker knows."""
ANOTHER = "take another one, and send this one to the workshop"


def find(context: Context, kinds: list[str], device: str | None) -> Facts:
    """The port, and who is there."""
    side = context.look(kinds, device)
    return {"port": side.path, "kind": side.kind, "said": named(side.who)}


def identify(context: Context, wanted: str | None, begun_with: str | None, *, worn: bool) -> Facts:
    """Is it the right one? ``begun_with`` is the device of this visit until now.

    ``worn``: it is to be one that the wearer has on, else one that nobody has.
    """
    side = context.on_the_line
    device = side.who.device
    if worn:
        _is_worn_here(context, device, begun_with)
    if device is None:
        side.device = wanted or begun_with or _asked(context, side.kind)
        _may_be_given(context, side.device, side.kind)
        # or what is given next would go to whichever device is on the plug by then, and some obey
        side.console.expected = (None,)
    else:
        side.device = device
        if wanted is not None and wanted != device:
            raise Stop(
                f"this is {device}, not {wanted}",
                f"plug in {wanted}, or type the command with the number on this case",
            )
        entry = context.entry(device)
        if entry is None:
            raise Stop(f"{device} belongs to another gateway, or was never added to this one", ANOTHER)
        if entry.revoked:
            raise Stop(f"{device} was revoked: nothing that it says is believed", ANOTHER)
        if entry.kind != side.kind:
            raise Stop(f"{device} is on record as a {entry.kind} and says that it is a {side.kind}", ANOTHER)
        context.sign_as_its_owner()
        side.console.expected = (device,)
    if not worn:
        _is_not_put_aside(context, side.device)
        if side.kind != HOME_UNIT:
            _may_be_worn(context, side.device, side.kind)
    return {
        "device": side.device,
        "kind": side.kind,
        "new": device is None,
        "firmware": side.who.version,
        "epoch": side.who.epoch,
        "held": side.who.held,
        "locked": side.who.locked,
    }


def bound_here(context: Context, device: str) -> str | None:
    """The activation that this very visit has made of a device."""
    row = context.worn(device)
    begun = context.journal.begun("bind") if context.journal else None
    if row is None or row.order_id != context.order.order_id or begun is None or begun["device"] != device:
        return None
    return row.activation


def _asked(context: Context, kind: str) -> str:
    if context.asked.ask is not None:
        return context.asked.ask(f"The number on the case of this new {kind.replace('_', ' ')}").strip()
    option = "--unit" if kind == HOME_UNIT else "--device"
    raise Stop(
        f"this {kind.replace('_', ' ')} is new and has no identity",
        f"type the same command with {option} and the number on its case",
    )


def _may_be_given(context: Context, device: str, kind: str) -> None:
    entry = context.entry(device)
    if entry is None:
        if CALIBRATED.get(kind, "") not in ("", *context.asked.extra):
            raise Stop(
                f"a new alcohol tag needs the calibration of its maker ({CALIBRATED[kind]})",
                "type the command with --settings and the file that came with the tag",
            )
        return
    if entry.revoked:
        raise Stop(f"the number {device} was revoked and is never used again", "take another tag")
    if entry.kind != kind:
        raise Stop(
            f"the number {device} belongs to a {entry.kind}, and this is a {kind}",
            "read the number on the case again, and type the command with it",
        )
    if not entry.kept:
        raise Stop(
            f"{device} was fitted before and has lost its identity: its keys are not kept here",
            "take another tag, and have the gateway's operator revoke this number",
        )


def _is_worn_here(context: Context, device: str | None, begun_with: str | None) -> None:
    worn = [row.device for row in context.on_this_wearer()]
    if device is None or device not in (*worn, begun_with):
        raise Stop(
            f"this is {named(context.on_the_line.who)}, and the wearer has {' and '.join(worn) or 'nothing'} on "
            "record",
            "plug in the tag that the wearer has on; if it is truly another, call the gateway's operator",
        )


def _is_not_put_aside(context: Context, device: str) -> None:
    """Quarantined, retired and lost devices are fitted to nobody; a visit that has bound one already goes on."""
    if context.journal is not None and context.journal.begun("bind") is not None:
        return
    entry = context.entry(device)
    if entry is not None and entry.aside:
        raise Stop(
            entry.aside,
            f"{ANOTHER}; once it was tested and is good: `tagwatch device release {device}`",
        )


def _may_be_worn(context: Context, device: str, kind: str) -> None:
    order_id = context.order.order_id
    row = context.worn(device)
    if row is not None and bound_here(context, device) is None:
        if row.order_id == order_id:
            raise Stop(
                f"{device} is fitted to this wearer already ({row.activation})",
                f"nothing is to be done; `tagwatch fit {order_id} --check` looks at it",
            )
        raise Stop(
            f"{device} is on another wearer on record ({row.activation})",
            f"take another tag, or remove this one first with `tagwatch fit {row.order_id} --remove`",
        )
    for other in context.on_this_wearer():
        if other.device not in (device, context.replaces) and other.kind == kind:
            raise Stop(
                f"this wearer has a {kind.replace('_', ' ')} on already ({other.device})",
                f"remove it first with `tagwatch fit {order_id} --remove`, then type the same command again; or change "
                f"one for the other with `tagwatch fit {order_id} --swap`",
            )


# ------------------------------------------------------------------------------------------------- giving


def give(context: Context) -> Facts:
    """Identity, keys and settings: all that the device has not got, or nothing where it has it all."""
    side = context.on_the_line
    if side.who.device is None:
        known = context.entry(side.device) is not None
        credentials = (
            context.desk.credentials(side.device) if known else context.desk.enrol(side.device, side.kind)
        )
        wanted = _files(credentials, context.asked.extra)
        # it has it as soon as it is told to, and the answer may be lost
        side.console.expected = (None, side.device)
    else:
        wanted = _what_differs(context)
        if not wanted:
            return {"device": side.device, "given": []}
    context.listener.says("writing; leave the plug on")
    try:
        side.console.put(wanted)
    except Refused as error:
        if not _has_it_all(context):
            raise Stop(f"{side.device} does not take its settings ({error})", ANOTHER) from None
    _wait_for_boot(context)
    return {"device": side.device, "given": sorted(wanted)}


def _has_it_all(context: Context) -> bool:
    """Whether the device has taken what it was given, though it was not heard to say so."""
    side = context.on_the_line
    try:
        if side.again().device != side.device:
            return False
        context.sign_as_its_owner()
        return not _what_differs(context)
    except Stop:
        return False


def _files(credentials: Credentials, extra: Any) -> dict[str, bytes]:
    place = {"host": credentials.host, "port": credentials.port, "server_name": credentials.server_name}
    settings = {"device": credentials.device, **place, "key": credentials.key.hex(), "tls": credentials.tls}
    return {
        "config.json": json.dumps({**extra, **settings}).encode(),
        "ca.der": credentials.ca_der,
        "cert.der": credentials.cert_der,
        "key.der": credentials.key_der,
    }


def _what_differs(context: Context) -> dict[str, bytes]:
    """What a device that has its identity lacks of what it should have, and what it is to change to.

    A key or certificate that is being changed is given here where it lies at hand; an old one is never brought back.
    """
    side = context.on_the_line
    read = _read(context)
    wrong = _mismatches(context, read)
    entry = context.entry(side.device)
    assert entry is not None, "it was known when it was identified"
    files: dict[str, bytes] = {}
    if entry.following_sha256 and read["sha256"].get("cert.der") != entry.following_sha256:
        files |= context.desk.following_certificate(side.device)
        wrong = [name for name in wrong if name not in files]
    rekeyed = entry.key_changes == "console" and not side.following
    # of a home unit nobody can read the keys of the tags that it hears: its settings are not made again
    rekeyed = rekeyed and side.kind != HOME_UNIT and context.desk.keys_leave
    if not wrong and not rekeyed:
        return files
    extra = {**read["settings"], **context.asked.extra}
    if entry.kept and wrong:
        credentials = context.desk.credentials(side.device)
        whole = _files(credentials, {**extra, "tags": []} if "tags" in extra else extra)
        settings = json.loads(whole["config.json"]) | context.desk.place().settings()
        files = whole | files | {"config.json": b""}
        settings["server_name"] = credentials.server_name
    else:
        certificates = [name for name in wrong if name.endswith(".der")]
        if certificates or (wrong and side.kind == HOME_UNIT):
            raise Stop(
                f"{side.device} has not what it should have ({', '.join(wrong)}), and it is not kept here any more",
                "take another one, and have the gateway's operator revoke this number",
            )
        settings = {**read["settings"], **context.desk.place().settings()}
        settings |= {"key": context.desk.key(side.device).hex(), **context.asked.extra}
    if entry.key_changes:
        # whichever of the two it has, and whatever it is told meanwhile, it has the next one then
        settings["key"] = context.desk.following_key(side.device).hex()
        settings["key_before"] = context.desk.key(side.device).hex()
    return files | {"config.json": json.dumps(settings).encode()}


def _wait_for_boot(context: Context) -> None:
    """A device that takes what it was given resets, and says then who it is."""
    side = context.on_the_line
    side.console.expected = (None, side.device)
    side.console.signature = side.console.settle = None
    heard = False
    for _ in context.patiently(context.asked.boot_s, 0.3):
        context.listener.says("it starts again with its new settings")
        try:
            who = side.console.identify(tries=1)
        except NoAnswer:
            continue
        heard = True
        if who.device == side.device:
            side.who = who
            side.console.expected = (side.device,)
            context.sign_as_its_owner()
            return
    if not heard:
        raise NoAnswer(side.path)  # it may be flat: it has all of what it was given, or nothing
    raise Stop(f"{side.device} does not come back with the identity that it was given", ANOTHER)


# -------------------------------------------------------------------------------------------- reading back


def read_back(context: Context) -> Facts:
    """What the device says that it has, held against what it should have; and that it knows its key."""
    side = context.on_the_line
    read = _read(context)
    wrong = _mismatches(context, read)
    if wrong:
        raise Stop(f"{side.device} has not kept what it was given ({', '.join(wrong)})", ANOTHER)
    side.again()
    if side.following and side.kind == "rf_tag" and context.journal is not None:
        context.desk.report(side.device, "rekeyed", "it knows its next key", context.journal.visit)
    return {
        "device": side.device,
        "epoch": side.who.epoch,
        "firmware": side.who.version,
        "following_key": side.following,
        "certificate_sha256": read["sha256"]["cert.der"],
        "settings": {name: value for name, value in read["settings"].items() if name != "key"},
    }


def _read(context: Context) -> dict[str, Any]:
    """``read``, under the device's own key: a device that does not know it refuses the line."""
    side = context.on_the_line
    try:
        return side.console.ask("read")
    except Refused as error:
        if "neither an object nor signed" in str(error) or "locked" in str(error):
            raise Stop(
                f"what is plugged in says that it is {side.device}, and does not know the key of {side.device}",
                ANOTHER,
            ) from None
        raise Stop(f"{side.device} can not be read ({error})", ANOTHER) from None


def _mismatches(context: Context, read: dict[str, Any]) -> list[str]:
    """What of a device's settings and certificates is not as the gateway has it."""
    side = context.on_the_line
    entry = context.entry(side.device)
    assert entry is not None
    settings, digests = read["settings"], read["sha256"]
    place = context.desk.place()
    wanted = {"device": side.device, **place.settings(), **context.asked.extra}
    wrong = [name for name, value in wanted.items() if settings.get(name, True) != value]
    # while a certificate is changed, the one before and the one to come are good; so is either authority
    held = {"cert.der": {entry.certificate_sha256, entry.following_sha256}}
    if not place.changing:
        held["ca.der"] = {hashlib.sha256(place.authority).hexdigest()}
    wrong += [name for name, good in sorted(held.items()) if digests.get(name) not in good]
    if digests.get("key.der") != "held":
        wrong.append("key.der")
    return wrong
