"""The fields of NMEA sentences as integers. Boards have single-precision floats, which can not hold a position."""

DAYS = b"\x1f\x1d\x1f\x1e\x1f\x1e\x1f\x1f\x1e\x1f\x1e\x1f"


class MalformedError(ValueError):
    """A sentence with a good checksum whose position or status can not be what it should be."""


def decimal(field: bytes, places: int) -> int | None:
    """`field` ("12.34") in units of 10 ** -places, half rounded up; None unless it is digits with at most one point."""
    whole, _, fraction = field.partition(b".")
    if not (whole + fraction).isdigit() or len(field) > 18:
        return None
    value = int(whole + fraction[:places]) if whole or places else 0
    missing = places - len(fraction)
    if missing > 0:
        scale: int = 10**missing
        return value * scale
    if missing < 0 and fraction[places] >= 0x35:
        return value + 1
    return value


def time_of_day(field: bytes) -> int | None:
    """`hhmmss[.sss]` in milliseconds since midnight, finer digits dropped; None where it is not a time of day.

    Second 60 is a leap second.
    """
    whole, _, fraction = field.partition(b".")
    if len(whole) != 6 or not whole.isdigit() or (fraction and not fraction.isdigit()):
        return None
    number = int(whole)
    hour, minute, second = number // 10000, number // 100 % 100, number % 100
    if hour > 23 or minute > 59 or second > 60:
        return None
    return ((hour * 60 + minute) * 60 + second) * 1000 + int((fraction + b"000")[:3])


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
    whole, _, fraction = field.partition(b".")
    fraction = fraction[:9]
    if not (whole + fraction).isdigit() or not 0 < len(whole) < 6:
        raise MalformedError
    if hemisphere != plus and hemisphere != minus:
        raise MalformedError
    scale: int = 10 ** (9 - len(fraction))
    minutes_e9 = int(whole[-2:] + fraction) * scale
    if minutes_e9 >= 60000000000:
        raise MalformedError
    degrees = int(whole[:-2]) if len(whole) > 2 else 0
    value = degrees * 10000000 + (minutes_e9 + 3000) // 6000
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
