"""The fields of NMEA sentences as integers. Boards have single-precision floats, which can not hold a position."""

DAYS = b"\x1f\x1d\x1f\x1e\x1f\x1e\x1f\x1f\x1e\x1f\x1e\x1f"


class MalformedError(ValueError):
    """A sentence with a good checksum whose position or status can not be what it should be."""


def decimal(field: bytes, places: int) -> int | None:
    """`field` ("12.34") in units of 10 ** -places, half rounded up; None unless it is digits with at most one point."""
    # digit by digit: nothing is allocated, and it is faster than slicing
    value = 0
    digits = 0
    decimals = -1
    for byte in field:
        if 48 <= byte <= 57:
            digits += 1
            if decimals < places:
                value = value * 10 + byte - 48
                if decimals >= 0:
                    decimals += 1
            elif decimals == places:
                decimals += 1
                if byte >= 53:
                    value += 1
        elif byte == 46 and decimals < 0:
            decimals = 0
        else:
            return None
    if not 0 < digits < 19:
        return None
    for _ in range(max(decimals, 0), places):
        value *= 10
    return value


def decimals_of(field: bytes) -> int:
    """How many digits stand behind the point."""
    point = field.find(b".")
    return 0 if point < 0 else len(field) - point - 1


def time_of_day(field: bytes) -> int | None:
    """`hhmmss[.sss]` in milliseconds since midnight, finer digits dropped; None where it is not a time of day.

    Second 60 is a leap second.
    """
    if len(field) < 6 or (len(field) > 6 and field[6] != 46):
        return None
    number = decimal(field[:10], 3)
    if number is None:
        return None
    hour, minute, ms = number // 10000000, number // 100000 % 100, number % 100000
    if hour > 23 or minute > 59 or ms > 60999:
        return None
    return (hour * 60 + minute) * 60000 + ms


def calendar_date(year: int, month: int, day: int) -> tuple[int, int, int] | None:
    """The date, or None where there is no such day."""
    if not 1 <= month <= 12 or not 1 <= day <= DAYS[month - 1]:
        return None
    if month == 2 and day == 29 and (year % 4 or (year % 100 == 0 and year % 400)):
        return None
    return year, month, day


def short_date(field: bytes) -> tuple[int, int, int] | None:
    """`ddmmyy`; years 80 to 99 are of the last century, as GPS time begins in 1980. None where it is not a date."""
    if len(field) != 6 or not field.isdigit():
        return None
    number = int(field)
    year = number % 100
    return calendar_date(year + (1900 if year >= 80 else 2000), number // 100 % 100, number // 10000)


def coordinate(field: bytes, hemisphere: bytes, plus: bytes, minus: bytes, limit_deg: int) -> int:
    """`[dd]dmm.mmmm` and its hemisphere in 1e-7 degree, to the nearest. Beyond `limit_deg`: MalformedError."""
    number = decimal(field, 9)
    if number is None or (hemisphere != plus and hemisphere != minus):
        raise MalformedError
    minutes_e9 = number % 100000000000
    if minutes_e9 >= 60000000000:
        raise MalformedError
    value = number // 100000000000 * 10000000 + (minutes_e9 + 3000) // 6000
    if value > limit_deg * 10000000:
        raise MalformedError
    return -value if hemisphere == minus else value


def root(square: int) -> int:
    """The square root of a non-negative integer, to the nearest integer."""
    if square == 0:
        return 0
    guess = square
    better = (square + 1) // 2
    while better < guess:
        guess = better
        better = (guess + square // guess) // 2
    return guess + 1 if square - guess * guess > guess else guess
