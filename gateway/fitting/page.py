"""The record of a visit as a page to be printed and signed: no key, no zone, no address is on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment

from gateway.clock import utc_text

_TITLES = {
    "fit": "Fitting visit",
    "check": "Checking visit",
    "remove": "Removal visit",
    "swap": "Visit to change the tag",
}
_OUTCOMES = {
    "no_answer": "NOT DONE: no answer",
    "refused": "NOT DONE: refused",
    "unsafe": "NOT DONE: unsafe",
    "rebook": "NOT DONE: another visit is needed",
    "not_finished": "NOT FINISHED: nobody is monitored by it until it is",
}
_UNFINISHED_REMOVAL = "NOT FINISHED: it is off, and alerts go on until its activation has ended"
_ASKED = {
    "arrival": "At the door",
    "identity": "Identity known by",
    "age": "Of age",
    "adult": "Responsible adult",
    "interpreter": "Interpreter",
    "consent": "Told, and may go on",
    "skin": "Skin broken, sore or with a rash",
    "swelling": "Leg swollen",
    "pregnancy": "Pregnancy",
    "implant": "Pacemaker, pump or implant",
    "adjustment": "Adjustment",
    "note": "Note",
}
_PAGE = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{{ title }} {{ told.visit }}</title>
<style>
body { font: 16px/1.4 "DejaVu Sans", arial, sans-serif; margin: 2rem auto; max-width: 42rem; color: #0b0c0c }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid #b1b4b6 }
h2 { margin-top: 1.5rem; break-after: avoid }
.sign { margin-top: 3rem; border-top: 1px solid #0b0c0c; break-inside: avoid; display: flex }
.sign p { margin: .3rem 0; width: 65% }
.sign .when { width: 35% }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<table>
{% for name, value in facts %}
<tr><th scope="row">{{ name }}</th><td>{{ value }}</td></tr>
{% endfor %}
</table>
{% if door %}
<h2>At the door</h2>
<table>
{% for name, value in door %}
<tr><th scope="row">{{ name }}</th><td>{{ value }}</td></tr>
{% endfor %}
</table>
{% endif %}
<h2>What was done</h2>
<table>
<tr><th scope="col">Step</th><th scope="col">How it ended</th><th scope="col">When (UTC)</th></tr>
{% for line in told.journal if line["is"] != "begun" %}
<tr>
<td>{{ line.step }}</td>
<td>{{ line.facts.fact if line["is"] == "stopped" else "done" }}</td>
<td>{{ line.at }}</td>
</tr>
{% endfor %}
</table>
<h2>Signatures</h2>
{% for who in signs %}
<div class="sign"><p>{{ who }}</p><p class="when">Date and time</p></div>
{% endfor %}
</body>
</html>
"""
)


def html(told: Mapping[str, Any]) -> str:
    """The page of a record (``gateway.fitting.record.document``)."""
    steps = told["steps"]
    outcome = told.get("outcome", "done")
    end, moved = steps.get("outcome", {}), steps.get("bind", {})
    gap = moved.get("unproven_ms")
    facts = [
        (
            "Outcome",
            _UNFINISHED_REMOVAL
            if (outcome, told["purpose"]) == ("not_finished", "remove")
            else f"{_OUTCOMES[outcome]} ({end.get('why', '')})"
            if outcome in _OUTCOMES
            else None,
        ),
        ("Waits for", " and ".join(told["waits"]) if told.get("waits") else None),
        (
            "Monitored from (UTC)",
            utc_text(steps["at source"]["release_ms"]) if "at source" in steps else None,
        ),
        ("What happens next", end.get("next")),
        ("Device wearer", f"{told['wearer']['name']} ({told['wearer']['id']})"),
        ("Order", f"{told['order']}, version {told['order_version']}"),
        ("Device", told["device"]),
        ("Home unit", told["home_unit"]),
        ("Firmware", steps.get("read back", {}).get("firmware")),
        ("Certificate (SHA-256)", steps.get("read back", {}).get("certificate_sha256")),
        ("Activation", told["activation"]),
        ("In the place of", moved.get("replaced") and f"{moved['replaced']} ({moved['ended']} has ended)"),
        (
            "Nothing shows who wore it",
            f"from {utc_text(gap)} until {told['fitted']} (UTC)" if gap is not None else None,
        ),
        ("Fitted (UTC)", told["fitted"]),
        ("Removed (UTC)", told["removed"]),
        ("Satellites heard", steps.get("sky", {}).get("heard")),
        ("Position fix", ("yes" if steps["sky"]["fixes"] else "no") if "sky" in steps else None),
        ("Infrared at the skin (mV)", steps.get("baseline", {}).get("infrared_mv")),
        ("Temperature at the skin (°C)", steps.get("baseline", {}).get("temperature_c")),
        ("Visit", f"{told['visit']}, begun {told['began']}, ended {told['ended']}"),
        ("Officer", told["officer"]),
    ]
    facts += [
        (
            f"Heard from {one['room']}",
            "not heard" if one["dbm"] is None else f"{one['dbm']} dBm{'' if one['good'] else ' (weak)'}",
        )
        for one in steps.get("survey", {}).get("rooms", ())
    ]
    return _PAGE.render(
        title=_TITLES[told["purpose"]],
        told=told,
        facts=[one for one in facts if one[1] is not None],
        door=[
            (
                label,
                steps[f"door {name}"]["answer"].replace("_", " ")
                if steps[f"door {name}"]["asked"]
                else "not asked",
            )
            for name, label in _ASKED.items()
            if f"door {name}" in steps
        ],
        signs=_signs(told),
    )


def _signs(told: Mapping[str, Any]) -> list[str]:
    """Who signs: whoever was there."""
    door = {
        name.removeprefix("door "): one.get("answer")
        for name, one in told["steps"].items()
        if "door " in name
    }
    signs = [f"Field monitoring officer: {told['officer']}"]
    if door.get("arrival", "yes") == "yes" and door.get("identity") != "no":
        signs.append(f"Device wearer: {told['wearer']['name']}")
    if door.get("adult") in ("named", "other"):
        signs.append("Responsible adult (name, relation)")
    if door.get("interpreter") == "here":
        signs.append("Interpreter (name)")
    return signs
