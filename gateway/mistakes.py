"""What pydantic finds wrong with a file that a person wrote, in words."""

from __future__ import annotations

from pydantic import ValidationError


def in_words(error: ValidationError, unknown: str) -> str:
    """Each mistake as *key: what is wrong*; ``unknown`` is what to say of a key that there is not.

    What was written there is left out: some of it is secret.
    """
    return "; ".join(
        f"{'.'.join(map(str, mistake['loc'])) or 'together'}: "
        + (unknown if mistake["type"] == "extra_forbidden" else mistake["msg"].removeprefix("Value error, "))
        for mistake in error.errors(include_input=False, include_url=False)
    )
