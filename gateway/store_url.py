"""Where a store may be: a file, or a PostgreSQL database by URL, whose password is shown to nobody."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

_SCHEMES = ("postgresql", "postgres")


def is_url(place: str) -> bool:
    """Is this the URL of a database, and not the path of a file?"""
    return "://" in place


def check(url: str) -> None:
    """Raises ValueError, which does not show it, where ``url`` is not that of a PostgreSQL database."""
    _parts(url)


def shown(place: str) -> str:
    """A store's place as logs and errors may show it: of a URL neither password nor parameters, which may hold one."""
    if not is_url(place):
        return place
    try:
        parts = _parts(place)
    except ValueError:
        return "(a URL that can not be read)"
    user = f"{parts.username}@" if parts.username else ""
    port = f":{parts.port}" if parts.port else ""
    return f"postgresql://{user}{parts.hostname or ''}{port}{parts.path}"


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  read here, because that is where it is checked
    except ValueError:
        raise ValueError(
            "the URL can not be read: write postgresql://user@host/name, and what is odd in a password as %XX"
        ) from None
    if parts.scheme not in _SCHEMES:
        raise ValueError("a store is a path, or a URL that begins with postgresql://")
    if not parts.path.strip("/"):
        raise ValueError("the URL names no database: write postgresql://user@host/name")
    return parts
