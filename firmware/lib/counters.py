"""What a tag counts about itself since boot; shown at the fitting visit and read by the bench."""

COUNTERS: dict[str, int] = {}


def count(name: str, n: int = 1) -> None:
    """Add ``n`` to the counter ``name``; a name counts from its first use."""
    COUNTERS[name] = COUNTERS.get(name, 0) + n
