"""``retention.toml`` in the data folder: how long what is kept, who says so. Without it nothing is ever deleted.

No period has a default: the law and the contract of each authority set them, and a guess would delete evidence.
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.mistakes import in_words

FILE_NAME = "retention.toml"
DAY_MS = 86_400_000

Kind = Literal["readings", "alerts", "notifications", "unworn", "quarantine", "visits", "order_messages"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Text = Annotated[str, Field(min_length=1, max_length=2000, pattern=r"\S")]


class PolicyError(ValueError):
    """The policy can not be used; the text names the file, the key, the fact and the remedy."""


class Rule(BaseModel):
    """For how many days something is kept, and the sentence of the policy that says so."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    days: int = Field(ge=1, le=36_525)
    text: Text


class Policy(BaseModel):
    """What is deleted after how long; a kind that is left out is kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Text
    source: Text = Field(description="The law, contract or schedule that sets the periods.")
    readings: Rule | None = Field(
        None, description="Readings of a wearer, from the end of the order's monitoring."
    )
    alerts: Rule | None = Field(
        None, description="Alerts with all revisions, from then and from their last change."
    )
    notifications: Rule | None = Field(None, description="Who was told of such alerts, likewise.")
    unworn: Rule | None = Field(None, description="Readings of a device while nobody wore it, from receipt.")
    quarantine: Rule | None = Field(None, description="Messages that were put aside, from receipt.")
    visits: Rule | None = Field(
        None, description="Journals and records of visits, from the end of the order's monitoring."
    )
    order_messages: Rule | None = Field(
        None,
        description="What the order service sent, files included, and the tasks that came of it, from then and from "
        "their coming.",
    )

    def rule(self, kind: Kind) -> Rule | None:
        """What it says of a kind."""
        found: Rule | None = getattr(self, kind)
        return found

    def said(self, kind: Kind) -> str:
        """What a proof quotes of it: the kind, the period, its words and where they come from."""
        rule = self.rule(kind)
        assert rule is not None
        return f"{kind}, {rule.days} days: {rule.text} ({self.source})"

    @property
    def digest(self) -> str:
        """SHA-256 of all that it says, hex: two policies of one version that differ are told apart."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def read(path: Path) -> Policy | None:
    """The policy, or None where there is no such file. Raises PolicyError."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise PolicyError(f"{path} can not be read: {error}") from None
    try:
        return Policy.model_validate(document)
    except ValidationError as error:
        raise PolicyError(f"{path} can not be used: {in_words(error, 'nothing is called so')}") from None
