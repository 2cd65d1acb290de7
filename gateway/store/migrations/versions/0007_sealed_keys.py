"""From here on the devices' keys are sealed (``gateway.seal``), so that an older program must not take them for keys.

The column is the same: the gateway seals what lies in it open when it starts, for only it has the master key.
"""

from __future__ import annotations

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Nothing: the form alone changes."""


def downgrade() -> None:
    """A sealed key is not put back open."""
    raise NotImplementedError("this form of the store can not be taken back: restore a backup instead")
