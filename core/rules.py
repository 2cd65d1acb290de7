"""The rule set: every threshold by which readings are judged, typed, versioned and with its source.

Whatever is not law is configuration. An alert carries the version of the rule set that judged it; a new rule set is
never applied to what an older one has judged.
"""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Thresholds. Units stand in the names; all are positive, strengths (dBm) negative.

    version
        Carried by every alert. Change it whenever a figure changes.
    precision_floor_m
        A receiver's claim to be more precise than this is not believed: 5 m. The 10 m at 90 % that NIJ 1004.00 asks
        for outdoors (domain.md, P/M) halved, as the best that an ankle-worn receiver does under open sky.
    confirm_apart_s
        Two positions that confirm each other are at least this far apart: 10 s. Errors of a receiver last seconds, so
        positions of the same second are one piece of evidence; 10 s is below the 15 s of pursuit sampling (domain.md,
        MoJ data, Q), so consecutive readings count in every sampling mode.
    confirm_within_s
        Positions further apart than this do not support each other: 900 s. Below it two erroneous positions with hours
        of silence between them would make a visit of hours. Default of ours.
    vouch_s
        How long a position vouches for where the wearer is: 150 s, the normal sampling interval of 60 s (domain.md, Q)
        twice, so that one lost position opens nothing, and half a minute for the fix itself. Default of ours.
    unknown_after_s
        Whereabouts unknown this long during a curfew open an alert: 900 s (design law 5).
    address_margin_m
        Added to an address's radius before a position counts as away: 30 m, the indoor accuracy of NIJ 1004.00 (80 %;
        domain.md, P/M). A home is judged from indoors.
    ahead_s
        A reading dated further ahead of the gateway's clock is held until the clock gets there: 600 s. Clocks without
        network time drift by minutes; it stays below ``unknown_after_s`` so that a wrong clock makes no silence.
    fastest_m_s
        A position that asks for a greater speed from the last trusted one is a jump: 70 m/s (252 km/h). The fastest
        trains within Britain run at 225 km/h (from memory, M); an aircraft is left UNCERTAIN until it lands.
    time_grain_s
        Two positions may lie this much further apart in time than their stamps say: 1 s. Many receivers write whole
        seconds, and a train moves 30 m in one: without it, real trails show jumps that were none (tests, trails).
    still_m
        A stop is a stay within this of its middle, uncertainty apart: 50 m. Indoors receivers stray by 30 m (NIJ 1004.00,
        domain.md, P/M); a building and its yard are one place. Default of ours, scored on the diaries in the tests.
    stop_min_s
        A stay this long is a stop: 180 s, longer than a wait at a crossing. Default of ours, scored likewise.
    gap_s
        Trusted positions further apart than this leave a gap in the trail: 600 s, ten times the normal interval
        (domain.md, Q), the time still after which a tag may go over to hourly positions. Default of ours.
    rf_weak_below_dbm
        A home unit that hears a tag no stronger than this shows nothing: -95 dBm, a few dB above what such receivers
        can hear at all. Strength tells no more than that: in the corridor data (tests/core/test_home_units.py) people
        inside are weaker than people outside. Default of ours.
    rf_fewest_beacons
        Fewer beacons than this in one interval show nothing: 2. One alone may have come by an odd reflection. Default
        of ours.
    rf_missed_s
        A healthy home unit must have listened in vain for this long before that shows absence: 300 s. A body, a bath
        or a microwave oven hides a tag for minutes; it stays below ``unknown_after_s``. Default of ours.
    disagree_s
        Home unit and positions that contradict each other for this long are told as an equipment alert: 600 s, twice
        ``rf_missed_s``, so that nobody's leaving or coming is one. They show nothing from the first instant on.
    atv_allowance_min
        Accumulated time violation until breach: 120 min (domain.md, MoJ prototype, default); the order's own figure
        comes first.
    timezone
        Civil time of timetables and of sentences.
    """

    version: str = "ew-1"
    precision_floor_m: float = 5.0
    confirm_apart_s: int = 10
    confirm_within_s: int = 900
    vouch_s: int = 150
    unknown_after_s: int = 900
    address_margin_m: float = 30.0
    ahead_s: int = 600
    fastest_m_s: float = 70.0
    time_grain_s: float = 1.0
    still_m: float = 50.0
    stop_min_s: int = 180
    gap_s: int = 600
    rf_weak_below_dbm: float = -95.0
    rf_fewest_beacons: int = 2
    rf_missed_s: int = 300
    disagree_s: int = 600
    atv_allowance_min: int = 120
    timezone: str = "Europe/London"

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_dbm"):
                if not -200 < value < 0:
                    raise ValueError(
                        f"rule set {self.version}: {field.name} is {value}; give a strength from -200 to 0 dBm"
                    )
            elif isinstance(value, int | float) and not 0 < value < 1e9:
                raise ValueError(f"rule set {self.version}: {field.name} is {value}; give a positive number")
        if self.confirm_within_s <= self.confirm_apart_s:
            raise ValueError(
                f"rule set {self.version}: confirm_within_s ({self.confirm_within_s}) must exceed "
                f"confirm_apart_s ({self.confirm_apart_s}), or nothing could ever be confirmed"
            )
        if self.vouch_s > self.confirm_within_s:
            raise ValueError(
                f"rule set {self.version}: vouch_s ({self.vouch_s}) must not exceed confirm_within_s "
                f"({self.confirm_within_s}): positions that vouch for the time between them support each other"
            )


DEFAULT_RULES = RuleSet()
