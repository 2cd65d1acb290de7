"""What an officer's computer knows of the gateway: its address, whom to trust there, and the officer's token.

One file, `officer.json` in the tool's folder, mode 0600, written by `tagwatch fit login`.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gateway.fitting.stops import Stop
from gateway.whole_files import write_whole

FILE = "officer.json"
_LOGIN = "type `tagwatch fit login https://…` with the gateway's address"


@dataclass(frozen=True, slots=True)
class Officer:
    """``trusts`` is PEM, "" for the certificates that this system trusts; ``authority`` is the gateway's (DER, hex),
    by which bundles are known.
    """

    url: str
    token: str = field(repr=False)
    trusts: str = ""
    name: str = ""
    full_name: str = ""
    authority: str = ""

    def write(self, folder: Path) -> None:
        """Keep it. Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(folder / FILE, (json.dumps(asdict(self), indent=1) + "\n").encode(), 0o600)

    @classmethod
    def read(cls, folder: Path) -> Officer:
        """Raises Stop where there is none that can be used."""
        path = folder / FILE
        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                    raise Stop(
                        f"{path} holds a token and may be read by others",
                        f"chmod 600 {path}, and have the operator revoke the token",
                    )
                document = json.loads(file.read())
            return cls(**document)
        except FileNotFoundError:
            raise Stop("nobody is signed in here to a gateway", _LOGIN) from None
        except (OSError, ValueError, TypeError) as error:
            raise Stop(f"{path} can not be used ({error})", _LOGIN) from None
