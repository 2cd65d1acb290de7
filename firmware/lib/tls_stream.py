"""A TCP connection under mutual TLS, for asyncio on MicroPython; or a bare one, to a broker on the same machine.

The event loop polls the raw socket: a TLS socket has no descriptor, and the stock loop would ask it every
millisecond. So TLS is always read first, and the raw socket is waited for only when TLS has nothing left.
"""

import errno
import socket
from asyncio import core  # type: ignore[attr-defined]

import tls

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Awaitable

_TCP, _NO_DELAY = 6, 1  # the same numbers on every board; without it the handshake takes three times as long


# generators, as in MicroPython's own streams: the loop's queue takes the task that yields
def _readable(raw: socket.socket) -> "Awaitable[None]":  # type: ignore[misc]
    yield core._io_queue.queue_read(raw)


def _writable(raw: socket.socket) -> "Awaitable[None]":  # type: ignore[misc]
    yield core._io_queue.queue_write(raw)


class TlsStream:
    """The stream of :func:`dial` and :func:`dial_bare`; of the latter ``secure`` is ``raw`` itself."""

    def __init__(self, raw: socket.socket, secure: socket.socket) -> None:
        self._raw = raw
        self._secure = secure
        self._open = secure is raw

    async def read(self, n: int) -> bytes:
        """Exactly n bytes; EOFError when the peer ends before."""
        data = bytearray(n)
        view = memoryview(data)
        at = 0
        while at < n:
            got = self._secure.readinto(view[at:])
            if got is None:
                await _readable(self._raw)
            elif got == 0:
                raise EOFError("the peer has closed the connection")
            else:
                at += got
        return bytes(data)

    async def write(self, data: "bytes | bytearray") -> None:
        """All of ``data``; the first write does the handshake too."""
        view = memoryview(data)
        while len(view):
            written = self._secure.write(view)
            if written:
                self._open = True
                view = view[written:]
            elif self._open:
                await _writable(self._raw)
            else:
                # in the handshake it is the peer that is waited for: our own few bytes always fit the empty socket
                await _readable(self._raw)

    def close(self) -> None:
        """Close both sockets; never raises."""
        for one in (self._secure, self._raw):
            try:
                one.close()
            except OSError:
                pass  # closed already, by the peer or by the other one


def certificates(data: bytes) -> list[bytes]:
    """The certificates that stand in ``data`` one after the other, in DER. Raises ValueError where it is none."""
    found: list[bytes] = []
    at = 0
    while at < len(data) or not found:
        head = data[at : at + 6]
        if len(head) < 6 or head[0] != 0x30:
            raise ValueError("no certificate in DER")
        width = head[1] & 0x7F if head[1] & 0x80 else 0
        end = at + 2 + width + (int.from_bytes(head[2 : 2 + width], "big") if width else head[1])
        if width > 4 or end > len(data):
            raise ValueError("no whole certificate in DER")
        found.append(data[at:end])
        at = end
    return found


async def dial(
    host: str, port: int, server_name: str, authority: bytes, certificate: bytes, key: bytes
) -> TlsStream:
    """Connect to ``host``, trust only ``authority``, expect ``server_name``, show ``certificate``; all in DER.

    ``authority`` are one certificate or more, one after the other: a gateway that changes its authority has
    two. Raises OSError, or ValueError for certificates that can not be read. TLS itself begins with the first write.
    """
    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    context.verify_mode = tls.CERT_REQUIRED  # type: ignore[attr-defined]
    for one in certificates(authority):
        context.load_verify_locations(one)
    context.load_cert_chain(certificate, key)
    raw = await _connected(host, port)
    try:
        secure = context.wrap_socket(raw, server_hostname=server_name, do_handshake_on_connect=False)
    except BaseException:
        raw.close()
        raise
    return TlsStream(raw, secure)


async def dial_bare(host: str, port: int) -> TlsStream:
    """Connect to ``host`` without TLS. Raises OSError."""
    raw = await _connected(host, port)
    return TlsStream(raw, raw)


async def _connected(host: str, port: int) -> socket.socket:
    family, kind, protocol, _name, address = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0]
    raw = socket.socket(family, kind, protocol)
    try:
        raw.setblocking(False)
        raw.setsockopt(_TCP, _NO_DELAY, 1)
        try:
            raw.connect(address)
        except OSError as problem:
            if problem.errno != errno.EINPROGRESS:
                raise
        await _writable(raw)
    except BaseException:  # a cancelled dial too must not leak its descriptor
        raw.close()
        raise
    return raw
