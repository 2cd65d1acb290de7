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
    accuse_apart_s
        And the first and the last of those that show a wearer where he must not be, or away from where he must be, this
        far: 70 s. Indoors a wrong signal can win for two minutes and lead a receiver a hundred metres and more astray
        while it claims half of that; of positions a minute apart it takes two with it. Scored on simulated lives from
        10 s to 190 s (docs/score.md). What ends a visit or an absence accuses nobody: 10 s are enough for that.
    accuse_walking_s
        Likewise in a zone, where at each of them the receiver measures a speed of 3 km/h and more: 15 s, two positions
        of a tag in pursuit (domain.md, Q), or of one that takes them every 20 s. Who walks in and is then lost in a
        house is not known otherwise; a receiver that is led astray in a house measures no walk. Default of ours, tried
        on simulated lives (docs/score.md).
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
        A position that asks for a greater speed from the last trusted one is a jump: 84 m/s (302 km/h). Domestic
        trains run at 225 km/h, those to the Channel Tunnel at 300 km/h, 83 m/s (from memory, M): below that, a whole
        ride through Kent would be a sign of forged positions. At 60 s it lets an error of 5.1 km pass as a move, where
        70 m/s let 4.3 km; no rule rests on one position. An aircraft is left UNCERTAIN until it lands.
    time_grain_s
        Two positions may lie this much further apart in time than their stamps say: 1 s. Many receivers write whole
        seconds, and a train moves 30 m in one: without it, real trails show jumps that were none (tests, trails).
    unmoved_s
        A motion sensor that says that the tag was not carried away is believed against positions that say otherwise for
        this long: 600 s. In a house a wrong signal wins for six minutes at most (docs/sensors.md, phones in rooms); a
        sensor that is deceived hides nobody for longer. Default of ours, tried on simulated lives (docs/score.md).
    unmoved_share
        Of a tag that was not carried away a position is uncertain by so many times what its receiver claims: 1.6.
        Between walls 95 of 100 simulated positions lie within 1.4 to 1.6 claims (docs/sensors.md), and a tag that stays
        has the same error for minutes, so that many positions prove no more than one.
    still_m
        A stop is a stay within this of its middle, uncertainty apart: 50 m. Indoors receivers stray by 30 m (NIJ
        1004.00, domain.md, P/M); a building and its yard are one place. Default of ours, scored in the tests.
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
        Fewer beacons than this in one interval show nothing: 2. One alone may have come by an odd reflection; but it
        was sent, so like a weak one it breaks a silence. Default of ours.
    rf_missed_s
        A healthy home unit must have listened in vain for this long, without one beacon between, before that shows
        absence: 180 s, twelve beacons in a row. A body, a bath or a microwave oven hides a tag for a minute or two; in
        the recordings of a furnished flat no receiver ever misses so many (tests/core/test_home_units.py). With 300 s,
        as in ``ew-2``, no absence was told within four minutes. Default of ours.
    disagree_s
        Home unit and positions that contradict each other for this long are told as an equipment alert: 600 s, more
        than three times ``rf_missed_s``, so that nobody's leaving or coming is one. They show nothing from the first
        instant on.
    atv_allowance_min
        Accumulated time violation until breach: 120 min (domain.md, MoJ prototype, default); the order's own figure
        comes first.
    tac_level_g_dl
        Transdermal alcohol (TAC) that counts towards a drinking event under abstinence: 0.020 g/dl (domain.md,
        Q). In limit mode the order's level stands in its place, never a default. Also the least change that
        makes a rise or a fall.
    tac_readings, tac_span_s
        So many consecutive readings, the last at least so long after the first, are several: 3 (domain.md, Q)
        and 3000 s. Three readings every 30 min (domain.md, Q) span 60 min; the ten below that leave room for
        early ones. A tag that samples faster is not believed sooner: all its readings of 50 min must be at the level.
        One that samples slower, up to every ``tac_join_s``, is believed later: three hourly readings span 2 h. Slower
        still, nothing is consecutive, and its days are UNVERIFIED, never SOBER. The seven real tags sample every 30 to
        31 min, so no other interval was tried on real curves: default of ours, to be looked at with a faster tag.
    tac_below_s
        A drinking event is over when the readings have stayed below the level for this long, and its curve is read from
        as long before it: 7200 s. A curve comes down in the last hours. Default of ours.
    tac_every_s
        A reading is due this often: 1800 s (domain.md, Q). A sober day is made of half-hours.
    tac_join_s
        Readings further apart than this are not consecutive: 4500 s, one lost reading of 30.7 min (as real tags
        sample) and a margin. Default of ours.
    tac_gap_s
        A longer silence of the sensor leaves the day UNVERIFIED and ends a drinking event unseen: 7200 s
        (domain.md, default).
    tac_rise_g_dl_h, tac_fall_g_dl_h
        No body takes up or gives off alcohol faster than this: 0.05 and 0.025 g/dl an hour (domain.md,
        literature, M).
    tac_fall_high_g_dl_h, tac_high_g_dl
        After a peak of 0.15 g/dl it may fall by 0.035 an hour (domain.md, literature, M).
    tac_scatter_g_dl
        Readings scatter by this much about what a body makes: 0.010 g/dl, half the level. Default of ours,
        tried on the seven real curves (docs/sobriety.md).
    tac_limit_share
        In limit mode readings confirm only from so much above the order's level: a share of it, 0.2. On seven real
        curves readings lie some 8 % about a smooth curve (docs/sensors.md), and nobody calibrates a tag against its
        wearer: what it shows just above a limit may have been just below. Below that it stays a suspicion. Default of
        ours, scored on simulated lives (docs/score.md).
    tac_lag_s
        The skin lags behind the breath by this: 4140 s, 69 min, the median of PMC6779481 (domain.md, Q).
    tac_lag_more_s
        A skin may lag behind by so much more: drinking that seems to have begun so soon after midnight may have begun
        before it, and leaves the day before UNVERIFIED: 7200 s. Skins differ, and who drinks slowly is long below the
        level: the simulated lives that were called SOBER with 3600 s had drunk for two hours before midnight. Nobody
        publishes how lags are spread that we know of; default of ours (docs/score.md).
    tac_carry_s
        A drinking event that goes on this far into a later day leaves that day UNVERIFIED too: 43,200 s (noon).
        It would hide whatever was drunk. Default of ours.
    tac_note_g_dl, tac_note_s
        A confirmed drinking event that reached this level, or lasted this long, carries a note about medical
        help: 0.15 g/dl and 86,400 s. Not a diagnosis. Defaults of ours.
    ir_band_v
        An alcohol sensor whose infrared voltage is further than this from the baseline of fitting is not at the
        skin as it was then: 0.25 V (SCRAM manual 2.3, domain.md, Q).
    ir_baseline_readings, ir_baseline_s
        The baseline is the median of the first 12 readings after fitting, or of those of the first 7200 s (at
        least three). The real curves begin with 12 readings in under two hours, whose mean their tags took.
    ir_suspect_s
        Several readings beyond the band, the last at least so long after the first, raise an obstruction as
        suspected: 1800 s. Ten minutes, of fast sampling, were so five times in 1,000 wearer-days of simulated lives in
        which nothing had happened (docs/score.md). Lasting longer than ``tac_gap_s``, or with the temperature away too,
        it is confirmed. Default of ours.
    skin_fall_c
        A sensor colder than at fitting by this much, obstructed, was taken off the skin rather than covered: 5
        °C. Skin under the seven real tags was up to 9 °C colder than at fitting, so cold alone shows nothing.
        Default of ours.
    skin_coldest_c, skin_warmest_c
        No worn sensor is colder or warmer: 10 and 45 °C; the seven real ones were between 20 and 39 °C. Default
        of ours.
    sober_share
        A day is verified from this share of its half-hours: 0.90 (domain.md, default).
    no_contact_s
        A device from which nothing was received for this long raises *no contact*: 86,400 s (SCRAM manual,
        domain.md, Q). By the gateway's receipts, not by tag time.
    reach_m_s
        A zone could have been reached from the last position at this speed in a straight line: 50 m/s, faster than any
        road allows. A pass between two positions that needs more is no pass. Default of ours.
    zone_silence_s
        Whereabouts are unknown to a zone after this long without a position, or once the zone could have been reached
        if that is later: 4,500 s. A tag at rest reports hourly (domain.md, vendor), so a shorter silence says nothing
        and would flood. Default of ours.
    trail_silence_s
        Whereabouts are unknown to trail monitoring after this long without a position: 4,500 s, as for zones and for
        the same reason: a tag at rest reports hourly (domain.md, vendor). Nobody publishes such a figure. Default of
        ours.
    located_m
        A position of at least this precision tells where the wearer is, even where a zone's edge runs through it:
        200 m, beyond any receiver that sees satellites. Default of ours.
    pass_within_s
        A pass is inferred between two positions no further apart than this: 300 s, five sampling intervals (domain.md,
        Q). Between positions further apart a straight line says too little. Default of ours.
    pass_depth_m
        and only if the line comes this deep into the zone, 50 m, and deeper than either position is uncertain: a path
        that bends along an edge stays out. Default of ours.
    pass_share
        and as deep as this share of its length: 0.2. Who goes around a zone's corner by a quarter of a circle comes no
        nearer to the straight line than 0.21 of it: a bus on the road around a park was told as passing. Default of
        ours.
    no_position_s
        No trusted position for this long, while a condition needs positions, opens an alert: 14,400 s (4 h), four times
        the hourly position at rest (domain.md, Q). Default of ours.
    jumps_fewest, jumps_apart_s, jumps_within_s
        So many impossible jumps, each within this of the one before, the first and the last this far apart, are a sign
        that positions are forged: 3, 60 s and 900 s. An echo off a wall lasts seconds. Defaults of ours; also how long
        after the last report of forged beacons, of a crash or of something lost it counts as over (``jumps_within_s``).
    sign_holds_s
        Signs of jamming or of forged satellite signals are over when the tag has reported none for this long: 7500 s.
        It tells each once an hour at most (docs/firmware.md), and at rest it looks once an hour, for 3 min: a look that
        comes a moment too soon says nothing, the next one is two hours after the last report. Five minutes to spare.
    battery_low_pct
        A battery at or below this counts as not charged: 20 % (domain.md, MoJ compliance service, Q).
    battery_critical_pct
        A battery about to give out: 10 %. Default of ours.
    battery_recovered_pct
        A battery alert is over, without a charger seen, at or above this: 25 %, so that 20 % does not flicker.
    battery_rise_pct
        A rise by more than this between two readings means that it was charged in between: 3 %; less is temperature.
        Default of ours.
    battery_trend_s, battery_trend_readings
        A trend is a line through at least so many readings over at least so long: 3 over 1,800 s. Defaults of ours.
    battery_flat_ahead_s
        An alert opens when the trend runs out within this: 10,800 s (3 h), time to get home and charge it.
        Default of ours.
    battery_mv, battery_pct
        Charge by voltage of a lithium-ion cell at rest, between these points along straight lines. From memory (M), and
        no data of ours can test it: set it for the device in use. A modem that sends, or frost, pulls a cell down by a
        tenth of a volt or more, which reads as a charge 10 to 20 % too low near empty: early, never late. A device that
        reports per cent (BATTERY_PERCENT) is believed as it is.
    timezone
        Civil time of timetables and of sentences.
    """

    version: str = "ew-4"
    precision_floor_m: float = 5.0
    confirm_apart_s: int = 10
    accuse_apart_s: int = 70
    accuse_walking_s: int = 15
    confirm_within_s: int = 900
    vouch_s: int = 150
    unknown_after_s: int = 900
    address_margin_m: float = 30.0
    ahead_s: int = 600
    fastest_m_s: float = 84.0
    time_grain_s: float = 1.0
    unmoved_s: int = 600
    unmoved_share: float = 1.6
    still_m: float = 50.0
    stop_min_s: int = 180
    gap_s: int = 600
    rf_weak_below_dbm: float = -95.0
    rf_fewest_beacons: int = 2
    rf_missed_s: int = 180
    disagree_s: int = 600
    atv_allowance_min: int = 120
    tac_level_g_dl: float = 0.020
    tac_readings: int = 3
    tac_span_s: int = 3000
    tac_below_s: int = 7200
    tac_every_s: int = 1800
    tac_join_s: int = 4500
    tac_gap_s: int = 7200
    tac_rise_g_dl_h: float = 0.05
    tac_fall_g_dl_h: float = 0.025
    tac_fall_high_g_dl_h: float = 0.035
    tac_high_g_dl: float = 0.15
    tac_scatter_g_dl: float = 0.010
    tac_limit_share: float = 0.2
    tac_lag_s: int = 4140
    tac_lag_more_s: int = 7200
    tac_carry_s: int = 43_200
    tac_note_g_dl: float = 0.15
    tac_note_s: int = 86_400
    ir_band_v: float = 0.25
    ir_baseline_readings: int = 12
    ir_baseline_s: int = 7200
    ir_suspect_s: int = 1800
    skin_fall_c: float = 5.0
    skin_coldest_c: float = 10.0
    skin_warmest_c: float = 45.0
    sober_share: float = 0.90
    no_contact_s: int = 86_400
    reach_m_s: float = 50.0
    zone_silence_s: int = 4500
    trail_silence_s: int = 4500
    located_m: float = 200.0
    pass_within_s: int = 300
    pass_depth_m: float = 50.0
    pass_share: float = 0.2
    no_position_s: int = 14_400
    jumps_fewest: int = 3
    jumps_apart_s: int = 60
    jumps_within_s: int = 900
    sign_holds_s: int = 7500
    battery_low_pct: float = 20.0
    battery_critical_pct: float = 10.0
    battery_recovered_pct: float = 25.0
    battery_rise_pct: float = 3.0
    battery_trend_s: int = 1800
    battery_trend_readings: int = 3
    battery_flat_ahead_s: int = 10_800
    battery_mv: tuple[int, ...] = (3300, 3500, 3600, 3680, 3740, 3800, 3880, 3980, 4060, 4180)
    battery_pct: tuple[int, ...] = (0, 5, 10, 20, 35, 50, 65, 80, 90, 100)
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
        if self.accuse_apart_s > self.confirm_within_s:
            raise ValueError(
                f"rule set {self.version}: accuse_apart_s ({self.accuse_apart_s}) must not exceed confirm_within_s "
                f"({self.confirm_within_s}), or positions a minute apart could never show anything"
            )
        if self.vouch_s > self.confirm_within_s:
            raise ValueError(
                f"rule set {self.version}: vouch_s ({self.vouch_s}) must not exceed confirm_within_s "
                f"({self.confirm_within_s}): positions that vouch for the time between them support each other"
            )


DEFAULT_RULES = RuleSet()
