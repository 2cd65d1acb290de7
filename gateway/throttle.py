"""How often a password may be tried: per browser, per address and per user, in bounded memory.

Whoever guesses is slowed down; nobody is locked out by it whom the guesser does not share a browser with:

- A browser in which this user has signed in before (it has a cookie that proves it, `gateway.sign_in`) is counted by
  itself alone. Nobody else's attempts hold it up.
- Every other attempt counts for its address and for the user it is about. An address runs out long before a user does,
  and gets new attempts more slowly: one attacker can not use up a user's attempts, from however many names it comes.
  Only many addresses together can; then that user's new browsers wait, seconds at a time, and the known ones do not.

Each limit is a bucket that fills again steadily, written as one number (the generic cell rate algorithm: the instant at
which it is full again). Buckets are found by a keyed hash, so there are at most so many, and no attacker can choose
whose bucket he shares. An attempt is counted when it begins, so many at once gain nothing; a right password gives it
back.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address

_SLOTS = 1 << 16
"""Of each kind: a few megabytes at the most, and by chance hardly two that are in use fall together."""
_TIDY = 4096
"""So many buckets may be full without being dropped."""


@dataclass(frozen=True, slots=True)
class Limit:
    """``burst`` attempts at once, then one more every ``every_s``."""

    burst: int
    every_s: float


BROWSER = Limit(10, 30.0)
ADDRESS = Limit(20, 30.0)
"""120 an hour: an office behind one address has that many mistypings at nine o'clock, and known browsers are apart."""
USER = Limit(200, 10.0)
"""360 an hour from anywhere, three times what one address gets: of passwords of 12 characters none is found so."""


class Throttle:
    """Counts attempts. Safe to use from several threads; instants are seconds of a clock that never goes back."""

    def __init__(self, salt: bytes | None = None) -> None:
        self._salt = secrets.token_bytes(16) if salt is None else salt
        self._full_at: dict[tuple[str, int], float] = {}
        self._tidy_at = _TIDY
        self._guard = threading.Lock()

    def begin(self, user: str, address: str, browser: str | None, now_s: float) -> float:
        """Count an attempt: 0.0 where it may be made, else how long to wait, s, and nothing is counted.

        ``browser`` is what proves that this user has signed in there before, None where nothing does.
        """
        with self._guard:
            buckets = self._buckets(user, address, browser)
            wait_s = max(
                self._full_at.get(slot, now_s) - now_s - (limit.burst - 1) * limit.every_s
                for slot, limit in buckets
            )
            if wait_s > 0:
                return wait_s
            for slot, limit in buckets:
                self._full_at[slot] = max(self._full_at.get(slot, now_s), now_s) + limit.every_s
            if len(self._full_at) > self._tidy_at:
                self._full_at = {slot: at_s for slot, at_s in self._full_at.items() if at_s > now_s}
                self._tidy_at = max(
                    _TIDY, 2 * len(self._full_at)
                )  # a crowd that stays is not gone through each time
            return 0.0

    def succeeded(self, user: str, address: str, browser: str | None) -> None:
        """The attempt that was counted was right."""
        with self._guard:
            for slot, limit in self._buckets(user, address, browser):
                if slot in self._full_at:
                    self._full_at[slot] -= limit.every_s

    def exhausted(self, user: str, address: str, browser: str | None, now_s: float) -> bool:
        """Whether the next attempt would have to wait."""
        with self._guard:
            return any(
                self._full_at.get(slot, now_s) - now_s > (limit.burst - 1) * limit.every_s
                for slot, limit in self._buckets(user, address, browser)
            )

    @property
    def size(self) -> int:
        """How many buckets are not full; never more than twice the slots and the browsers'."""
        return len(self._full_at)

    def _buckets(self, user: str, address: str, browser: str | None) -> list[tuple[tuple[str, int], Limit]]:
        if browser is not None:
            return [(self._slot("browser", browser), BROWSER)]
        return [(self._slot("address", network(address)), ADDRESS), (self._slot("user", user), USER)]

    def _slot(self, kind: str, key: str) -> tuple[str, int]:
        digest = hashlib.blake2b(key.encode(), key=self._salt, person=kind.encode(), digest_size=4).digest()
        return kind, int.from_bytes(digest, "big") % _SLOTS


def network(address: str) -> str:
    """What counts as one address: of IPv6 the 64 bits that one subscriber has; one that is none stands for itself."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Network((found, 64), strict=False))
