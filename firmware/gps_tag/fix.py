"""One epoch of a receiver: what its sentences say about one instant, and the fix that follows from them.

A position is evidence. So any sentence that says *no fix* takes the epoch's position away, whatever the others say.
Where they disagree about the place (some receivers write some sentences with fewer decimals), the one that was said
last counts: always a position that the receiver really gave, and from the same sentence in every epoch.
"""

from nmea_fields import MalformedError, calendar_date, coordinate, decimal, decimals_of, root, short_date
from records import NO_CHECKSUM, NOT_SATELLITE, PRECISION_GST, THREE_D, UNKNOWN_U8, UNKNOWN_U16

# 10 m (90 %, NIJ 1004.00; see docs/protocol.md) per unit of HDOP is one decimetre per hundredth.
# Receivers write 99.9 and the like for an HDOP that they do not know.
HDOP_UNKNOWN_FROM = 9900
# A position written with few decimals may lie half a cell away from what is written: 1852 m x sqrt(2) / 2 for a
# whole minute, in decimetres. With four decimals that is 1 dm and left out.
MINUTE_CELL_DM = 13096
COARSE_DECIMALS = 4

# Mode letters (NMEA 0183 4.11): autonomous, differential, float, precise, RTK. The rest (estimated, manual, simulated,
# and what a vendor adds) does not rest on satellites alone.
SATELLITE_MODES = b"ADFPR"


class Fix:
    """A valid position of one epoch.

    `lat_e7`, `lon_e7`: 1e-7 degree. `precision_dm`: 95 % radius in decimetres, 65535 unknown. `speed` km/h, `course`
    units of 1.5 degrees, `satellites`, `hdop` tenths: 255 unknown. `flags`: bits 2 to 5 of a position's. `date`:
    (year, month, day) or None. `time_ds`: tenths of a second since midnight UTC (864,000 and more within a leap
    second) or None.
    """

    def __init__(self, lat_e7: int, lon_e7: int) -> None:
        self.lat_e7 = lat_e7
        self.lon_e7 = lon_e7
        self.precision_dm = UNKNOWN_U16
        self.speed = UNKNOWN_U8
        self.course = UNKNOWN_U8
        self.satellites = UNKNOWN_U8
        self.hdop = UNKNOWN_U8
        self.flags = 0
        self.date: tuple[int, int, int] | None = None
        self.time_ds: int | None = None


class Epoch:
    """Gathers the sentences of one instant, then of the next: one object for all, as making one costs more than that.

    `ms` is the time of day, None while no sentence has told it; `vtg` the last VTG.
    """

    def __init__(self) -> None:
        self.seen: list[bytes] = []  # addresses of the timed sentences so far
        self.begin(None)

    def begin(self, ms: int | None) -> None:
        """Forget everything; the sentences of another instant follow."""
        self.ms = ms
        self.seen.clear()
        self._no_fix = False
        self._flags = 0
        self._placed = False
        self._lat = b""
        self._lon = b""
        self._north = b""
        self._east = b""
        self._lat_e7 = 0
        self._lon_e7 = 0
        self._hdop = 0  # hundredths, the largest told
        self._satellites = -1
        self._altitude = False
        self._speed = b""  # knots
        self._course = b""
        self.vtg = b""
        self._gsa = b""
        self._gsa_mode = 0
        self._gst_dm = 0
        self._date: tuple[int, int, int] | None = None
        self._dates_differ = False

    def add(self, kind: bytes, f: list[bytes], bare: bool) -> None:
        """Take a timed sentence: letters with the comma, fields, whether it came bare. Raises MalformedError."""
        if bare:
            self._flags |= NO_CHECKSUM
        if kind == b"RMC,":
            self._rmc(f)
        elif kind == b"GGA,":
            self._gga(f)
        elif kind == b"GLL,":
            self._gll(f)
        elif kind == b"GNS,":
            self._gns(f)
        elif kind == b"ZDA,":
            self._zda(f)
        elif kind == b"GST,":
            self._gst(f)

    # -------------------------------------------------------------------------------------------- sentences

    def _rmc(self, f: list[bytes]) -> None:
        if len(f) < 10:
            raise MalformedError
        self._dated(short_date(f[9]))
        if (f[2] != b"A" and f[2] != b"D") or not self._mode(f[12] if len(f) > 12 else b""):
            self._no_fix = True
            return
        self._at(f[3], f[4], f[5], f[6])
        self._speed = f[7]
        self._course = f[8]

    def _gga(self, f: list[bytes]) -> None:
        if len(f) < 9:
            raise MalformedError
        quality = f[6]
        if quality == b"0" or not quality:
            self._no_fix = True
            return
        if not quality.isdigit():
            raise MalformedError
        self._at(f[2], f[3], f[4], f[5])
        if b"6" <= quality <= b"8":
            self._flags |= NOT_SATELLITE
        self._quality(f)

    def _gns(self, f: list[bytes]) -> None:
        if len(f) < 9:
            raise MalformedError
        modes = f[6].replace(b"N", b"")
        if not modes:
            self._no_fix = True
            return
        self._at(f[2], f[3], f[4], f[5])
        for mode in modes:
            if mode in SATELLITE_MODES:
                break
        else:
            self._flags |= NOT_SATELLITE
        self._quality(f)

    def _gll(self, f: list[bytes]) -> None:
        if len(f) < 7:
            raise MalformedError
        if (f[6] != b"A" and f[6] != b"D") or not self._mode(f[7] if len(f) > 7 else b""):
            self._no_fix = True
            return
        self._at(f[1], f[2], f[3], f[4])

    def _zda(self, f: list[bytes]) -> None:
        if len(f) > 4 and len(f[4]) == 4 and f[2].isdigit() and f[3].isdigit() and f[4].isdigit():
            self._dated(calendar_date(int(f[4]), int(f[3]), int(f[2])))

    def _gst(self, f: list[bytes]) -> None:
        if len(f) < 8:
            raise MalformedError
        north_mm, east_mm = decimal(f[6], 3), decimal(f[7], 3)
        if north_mm is not None and east_mm is not None:
            self._gst_dm = (root(4 * (north_mm * north_mm + east_mm * east_mm)) + 50) // 100

    def take_gsa(self, body: bytes) -> None:
        """Take a GSA from its address on."""
        # One for each constellation, and the constellation that gives nothing may say so: the best of them counts.
        at = body.find(b",", 6)
        if 0 < at < len(body) - 2 and body[at + 2] == 44 and 49 <= body[at + 1] <= 51:
            self._gsa_mode = max(self._gsa_mode, body[at + 1] - 48)
            self._gsa = body

    # ----------------------------------------------------------------------------------------------- fields

    def _mode(self, letter: bytes) -> bool:
        """Whether a mode letter (empty before NMEA 2.3) allows a fix."""
        if letter == b"N":
            return False
        if letter and letter not in SATELLITE_MODES:
            self._flags |= NOT_SATELLITE
        return True

    def _at(self, lat: bytes, north_south: bytes, lon: bytes, east_west: bytes) -> None:
        if lat == self._lat and lon == self._lon and north_south == self._north and east_west == self._east:
            return  # as the sentence before it
        lat_e7 = coordinate(lat, north_south, b"N", b"S", 90)
        lon_e7 = coordinate(lon, east_west, b"E", b"W", 180)
        if lat_e7 == 0 == lon_e7:  # what receivers write before they know where they are
            self._no_fix = True
        self._placed = True
        self._lat = lat
        self._lon = lon
        self._north = north_south
        self._east = east_west
        self._lat_e7 = lat_e7
        self._lon_e7 = lon_e7

    def _quality(self, f: list[bytes]) -> None:
        """Fields 7 to 9 of GGA and GNS: satellites, HDOP, altitude."""
        if f[7].isdigit():
            self._satellites = max(self._satellites, int(f[7]))
        self._hdop = max(self._hdop, decimal(f[8], 2) or 0)
        if len(f) > 9 and f[9]:
            self._altitude = True

    def _dated(self, date: tuple[int, int, int] | None) -> None:
        if date is not None:
            self._dates_differ = self._dates_differ or (self._date is not None and self._date != date)
            self._date = date

    # -------------------------------------------------------------------------------------------------- fix

    def disputed(self) -> bool:
        """Whether one sentence gives a place and another says that there is none."""
        return self._placed and (self._no_fix or self._gsa_mode == 1)

    def fix(self, even_disputed: bool = False) -> Fix | None:
        """The fix of all sentences taken, or None if any of them denies it.

        ``even_disputed`` gives the place all the same, marked as proving nothing.
        """
        if not self._placed or not (self._lat_e7 or self._lon_e7):
            return None
        fix = Fix(self._lat_e7, self._lon_e7)
        fix.flags = self._flags
        if self.disputed():
            if not even_disputed:
                return None
            fix.flags |= NOT_SATELLITE
        if self._gsa_mode == 3 or (self._gsa_mode == 0 and self._altitude):
            fix.flags |= THREE_D
        if self._satellites >= 0:
            fix.satellites = min(self._satellites, UNKNOWN_U8 - 1)
        self._set_precision(fix)
        self._set_motion(fix)
        if self.ms is not None:
            fix.time_ds = self.ms // 100
        if not self._dates_differ:
            fix.date = self._date
        return fix

    def _set_precision(self, fix: Fix) -> None:
        hdop = self._hdop
        if not hdop and self._gsa:
            hdop = decimal(b"".join(self._gsa.split(b",")[16:17]), 2) or 0
        precision_dm = 0
        if 0 < hdop < HDOP_UNKNOWN_FROM:
            fix.hdop = min((hdop + 5) // 10, UNKNOWN_U8)
            precision_dm = hdop
        if self._gst_dm:
            fix.flags |= PRECISION_GST
            precision_dm = self._gst_dm
        if precision_dm:
            decimals = min(decimals_of(self._lat), decimals_of(self._lon))
            if decimals < COARSE_DECIMALS:
                precision_dm += MINUTE_CELL_DM // 10**decimals
            fix.precision_dm = min(precision_dm, UNKNOWN_U16)

    def _set_motion(self, fix: Fix) -> None:
        speed_e3 = decimal(self._speed, 3)  # knots
        course_e2 = decimal(self._course, 2)
        vtg = self.vtg.split(b",") if self.vtg and (speed_e3 is None or course_e2 is None) else []
        if speed_e3 is not None:
            fix.speed = min((speed_e3 * 1852 + 500000) // 1000000, UNKNOWN_U8 - 1)
        elif len(vtg) > 8 and vtg[8] == b"K":
            speed = decimal(vtg[7], 0)
            if speed is not None:
                fix.speed = min(speed, UNKNOWN_U8 - 1)
        if course_e2 is None and len(vtg) > 2 and vtg[2] == b"T":
            course_e2 = decimal(vtg[1], 2)
        if course_e2 is not None and course_e2 <= 36000:
            fix.course = (course_e2 + 75) // 150 % 240
