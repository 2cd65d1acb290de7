"""The record of a visit as a page to be printed and signed: no key, no zone, no address is on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment

_TITLES = {"fit": "Fitting visit", "check": "Checking visit", "remove": "Removal visit"}
_PAGE = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{{ title }} {{ told.visit }}</title>
<style>
body { font: 16px/1.4 arial, sans-serif; margin: 2rem auto; max-width: 42rem; color: #0b0c0c }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid #b1b4b6 }
.sign { margin-top: 3rem; border-top: 1px solid #0b0c0c; padding-top: .3rem; width: 60% }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<table>
{% for name, value in facts %}
<tr><th scope="row">{{ name }}</th><td>{{ value }}</td></tr>
{% endfor %}
</table>
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
<p class="sign">Field monitoring officer: {{ told.officer }}</p>
<p class="sign">Device wearer</p>
</body>
</html>
"""
)


def html(told: Mapping[str, Any]) -> str:
    """The page of a record (``gateway.fitting.record.document``)."""
    steps = told["steps"]
    facts = [
        ("Device wearer", f"{told['wearer']['name']} ({told['wearer']['id']})"),
        ("Order", f"{told['order']}, version {told['order_version']}"),
        ("Device", told["device"]),
        ("Home unit", told["home_unit"]),
        ("Firmware", steps.get("read back", {}).get("firmware")),
        ("Certificate (SHA-256)", steps.get("read back", {}).get("certificate_sha256")),
        ("Activation", told["activation"]),
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
        title=_TITLES[told["purpose"]], told=told, facts=[one for one in facts if one[1] is not None]
    )
