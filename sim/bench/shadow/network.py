"""The network beyond the modem: the host's own, up as soon as it is asked for."""


class PPP:
    """A point-to-point link over a stream; virtual, so the sockets behind it are the host's."""

    SEC_NONE = 0

    def __init__(self, stream) -> None:
        self._connected = False

    def active(self, on=None):
        if on is False:
            self._connected = False
        return self._connected

    def connect(self, security: int = SEC_NONE, user=None, key=None) -> None:
        self._connected = True

    def isconnected(self) -> bool:
        return self._connected

    def disconnect(self) -> None:
        self._connected = False
