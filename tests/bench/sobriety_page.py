"""Writes ``docs/sobriety.md`` and a picture of each real curve: ``python -m tests.bench.sobriety_page``.

Needs the data (``TAGWATCH_DATA``); what the page says is what the core finds, and a test holds it to that.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from core.alerts import Alert
from core.monitor import evaluate
from core.readings import Events, Readings, Samples
from core.rules import DEFAULT_RULES
from core.sober_days import sober_days
from core.sober_rates import SoberDay
from core.sobriety import Sobriety
from core.sobriety_curve import MICRO, SCALE, body_curve, rates, scaled
from tests.core.drinkers import LONDON, PEOPLE, person, tagged

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = Path(__file__).with_name("sobriety_page.md")
HOUR_MS = 3_600_000
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 900, 340, 62, 12, 34, 44


@dataclass(frozen=True)
class Finding:
    """What the core finds of one person."""

    name: str
    samples: Samples
    body: tuple[float, ...]
    alerts: tuple[Alert, ...]
    days: tuple[SoberDay, ...]

    @property
    def event(self) -> Alert:
        """The one drinking event."""
        (event,) = (alert for alert in self.alerts if alert.rule == "drinking_event")
        return event


def find(data: Path, name: str) -> Finding:
    """Judge one person two days after the last reading."""
    samples = person(data, name)
    case = tagged(fitted_ms=int(samples.t_ms[0]), removed_ms=int(samples.t_ms[-1]) + 1)
    now_ms = int(samples.t_ms[-1]) + 48 * HOUR_MS
    alerts = evaluate([case], {case.id: Readings(samples=samples)}, now_ms, families=(Sobriety,))
    (days,) = sober_days(case, samples, Events.empty(), now_ms).values()
    body = np.zeros(len(samples), np.int64)
    tac = np.array([scaled(value) for value in samples.tac_g_dl], np.int64)
    body_curve(samples.t_ms, tac, len(tac), rates(DEFAULT_RULES), body)
    return Finding(name, samples, tuple(body / SCALE / MICRO), tuple(alerts), days)


def overall(finding: Finding) -> tuple[float, float]:
    """Rise and fall of the whole event in g/dl an hour, from its ends to its highest reading."""
    event, samples = finding.event, finding.samples
    t, tac = samples.t_ms, samples.tac_g_dl
    end_ms = t[-1] if event.end_ms is None else event.end_ms
    inside = np.flatnonzero((t >= event.start_ms) & (t <= end_ms))
    before, last = inside[0] - 1, inside[-1]
    top = int(inside[np.argmax(tac[inside])])
    rise = (tac[top] - tac[before]) / ((t[top] - t[before]) / HOUR_MS)
    fall = (tac[top] - tac[last]) / ((t[last] - t[top]) / HOUR_MS)
    return float(rise), float(fall)


def local(t_ms: int) -> str:
    return f"{datetime.fromtimestamp(t_ms / 1000, LONDON):%H:%M}"


def table(findings: list[Finding]) -> str:
    """The findings as a table in Markdown."""
    lines = [
        "| person | readings | drinking event at the skin | confirmed | drinking began | highest reading | "
        "a body can have made | beyond a body | 2 May | 3 May | rise, fall overall |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in findings:
        figures, end_ms = one.event.figures, one.event.end_ms
        confirmed = datetime.fromisoformat(str(figures["confirmed_at"])).timestamp() * 1000
        first, second = one.days
        rise, fall = overall(one)
        cells = [
            one.name,
            str(len(one.samples)),
            f"{local(one.event.start_ms)}–{'' if end_ms is None else local(end_ms)}",
            f"{local(int(confirmed))}",
            local(one.event.start_ms - DEFAULT_RULES.tac_lag_s * 1000),
            f"{figures['peak_g_dl']:.3f}",
            f"{figures['body_peak_g_dl']:.3f}",
            f"{figures['beyond_a_body']} of {figures['readings']}",
            first.state,
            second.state,
            f"{rise:.3f}, {fall:.3f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def strict(findings: list[Finding]) -> list[str]:
    """Whom the rates would clear if they were taken of the whole event."""
    return [
        one.name
        for one in findings
        if (pair := overall(one))[0] > DEFAULT_RULES.tac_rise_g_dl_h
        or pair[1]
        > (
            DEFAULT_RULES.tac_fall_high_g_dl_h
            if float(one.event.figures["peak_g_dl"]) >= DEFAULT_RULES.tac_high_g_dl
            else DEFAULT_RULES.tac_fall_g_dl_h
        )
    ]


def captions(findings: list[Finding]) -> str:
    """A picture and what was found, person by person."""
    parts = []
    for one in findings:
        said = "\n".join(f"> {alert.sentence}" for alert in one.alerts)
        days = "\n".join(
            f"- {day.day:%-d %B}: **{day.state}**, {day.valid} of {day.half_hours} half-hours valid. "
            + " ".join(reason.sentence for reason in day.reasons)
            for day in one.days
        )
        parts.append(
            f"### {one.name}\n\n![Alcohol curve of {one.name}](sobriety/{one.name}.svg)\n\n{said}\n\n{days}"
        )
    return "\n\n".join(parts)


def picture(one: Finding) -> str:
    """The curve as SVG: readings, body curve, event, infrared."""
    t, tac, ir = one.samples.t_ms, one.samples.tac_g_dl, one.samples.ir_v
    top = 0.05 * (int(max(tac) / 0.05) + 1)
    span = float(t[-1] - t[0])

    def x(at_ms: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (at_ms - float(t[0])) / span

    def y(g_dl: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - g_dl / top)

    event = one.event
    level, floor = y(DEFAULT_RULES.tac_level_g_dl), y(0.0)
    end_ms = float(t[-1]) if event.end_ms is None else float(event.end_ms)
    can = [
        value - body <= DEFAULT_RULES.tac_scatter_g_dl + 1e-9
        for value, body in zip(tac, one.body, strict=True)
    ]
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="sans-serif" font-size="13">',
        f"<title>Alcohol curve of {one.name}</title>",
        f"<desc>{event.sentence}</desc>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<rect x="{x(event.start_ms):.1f}" y="{TOP}" width="{x(end_ms) - x(event.start_ms):.1f}" '
        f'height="{floor - TOP:.1f}" fill="#fff3d6"/>',
    ]
    for k in range(round(top / 0.05) + 1):
        at = y(0.05 * k)
        out.append(f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        out.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{0.05 * k:.2f}</text>')
    hour = datetime.fromtimestamp(int(t[0]) / 1000, LONDON).replace(minute=0, second=0) + timedelta(hours=1)
    while hour.timestamp() * 1000 < t[-1]:
        at = x(hour.timestamp() * 1000)
        if hour.hour % 3 == 0:
            out.append(f'<text x="{at:.1f}" y="{HEIGHT - 26}" text-anchor="middle">{hour:%H:%M}</text>')
        out.append(f'<path d="M{at:.1f} {floor:.1f}v{6 if hour.hour % 3 == 0 else 3}" stroke="#555"/>')
        hour += timedelta(hours=1)
    out.append(f'<path d="M{LEFT} {level:.1f}H{WIDTH - RIGHT}" stroke="#a33" stroke-dasharray="6 4"/>')
    line = " ".join(f"{x(a):.1f},{y(max(v, 0.0)):.1f}" for a, v in zip(t, one.body, strict=True))
    out.append(
        f'<polygon points="{x(t[0]):.1f},{floor:.1f} {line} {x(t[-1]):.1f},{floor:.1f}" '
        f'fill="#1d70b8" fill-opacity="0.25" stroke="#1d70b8" stroke-width="1.5"/>'
    )
    readings = " ".join(f"{x(a):.1f},{y(v):.1f}" for a, v in zip(t, tac, strict=True))
    out.append(f'<polyline points="{readings}" fill="none" stroke="#999"/>')
    for a, v, ok in zip(t, tac, can, strict=True):
        shape = 'fill="#1d70b8"' if ok else 'fill="#fff" stroke="#a33" stroke-width="1.5"'
        out.append(f'<circle cx="{x(a):.1f}" cy="{y(v):.1f}" r="3.2" {shape}/>')
    base = float(np.median(ir[:12]))
    for a, v in zip(t, ir, strict=True):
        if abs(v - base) > DEFAULT_RULES.ir_band_v:
            out.append(f'<path d="M{x(a):.1f} {floor - 2:.1f}l-4 -8h8z" fill="#000"/>')
    out.append(
        f'<text x="{LEFT}" y="20">{one.name}: TAC in g/dl by the local clock, 2 and 3 May 2017. '
        f'<tspan fill="#1d70b8">● and area: what a body can have made.</tspan> '
        f'<tspan fill="#a33">○ faster than a body. ┄ 0.020</tspan></text>'
    )
    out.append(
        f'<text x="{LEFT}" y="{HEIGHT - 6}" fill="#555">shaded: the drinking event · ▲ infrared more than 0.25 V '
        f"from the baseline of fitting ({base:.2f} V)</text>"
    )
    out.append("</svg>")
    return "\n".join(out) + "\n"


def page(data: Path) -> dict[str, str]:
    """The page and its pictures: text by path below ``docs``."""
    findings = [find(data, name) for name in PEOPLE]
    cleared = strict(findings)
    text = TEXT.read_text(encoding="utf-8")
    text = text.replace("{{TABLE}}", table(findings)).replace("{{PEOPLE}}", captions(findings))
    text = text.replace("{{CLEARED}}", ", ".join(cleared) or "nobody")
    return {
        "sobriety.md": text,
        **{f"sobriety/{one.name}.svg": picture(one) for one in findings},
    }


def main() -> None:
    """Write them."""
    data = Path(os.environ.get("TAGWATCH_DATA", DOCS.parents[1] / "shared" / "data"))
    for name, text in page(data).items():
        path = DOCS / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
