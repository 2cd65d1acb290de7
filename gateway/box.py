"""What this machine tells of itself: its clock, the disk under a folder, the sockets that processes listen on.

Linux only, as `tagwatch serve` is. What it does not tell is None.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from gateway import kernel_clock
from gateway.doctor.facts import ClockFacts, DiskFacts, Listener

_SYS = Path("/sys")
_LISTEN = "0A"


def clock(newest_receipt_ms: int | None) -> ClockFacts:
    """The system's clock now."""
    synchronised, off_ms = kernel_clock.synchronised()
    classes = _SYS / "class"
    return ClockFacts(
        now_ms=kernel_clock.wall_ms(),
        synchronised=synchronised,
        off_ms=off_ms,
        rtc=any((classes / "rtc").glob("rtc*")) if classes.is_dir() else None,
        kept_on_disk=Path("/etc/fake-hwclock.data").exists()
        or Path("/var/lib/systemd/timesync/clock").exists(),
        newest_receipt_ms=newest_receipt_ms,
    )


def disk(folder: Path) -> DiskFacts:
    """The file system that ``folder`` lies on."""
    there = os.statvfs(folder)
    kind, source = _mount(folder.resolve())
    device = _block_device(source)
    return DiskFacts(
        free_bytes=there.f_bavail * there.f_frsize,
        size_bytes=there.f_blocks * there.f_frsize,
        free_inodes=there.f_favail if there.f_files else None,
        file_system=kind,
        read_only=bool(there.f_flag & os.ST_RDONLY),
        encrypted=None if device is None else _encrypted(device),
        sd_card=None if device is None else _is_sd_card(device),
    )


def _mount(folder: Path) -> tuple[str, str]:
    """Type and source of the file system that holds ``folder``, as mountinfo tells it (proc(5))."""
    found = ("unknown", "")
    longest = -1
    with suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            before, _, after = line.partition(" - ")
            point = Path(before.split()[4].encode().decode("unicode_escape"))
            # a later mount over the same point hides the earlier one
            if (folder == point or point in folder.parents) and len(point.parts) >= longest:
                kind, source = after.split()[:2]
                found, longest = (kind, source), len(point.parts)
    return found


def _block_device(source: str) -> Path | None:
    """The folder in /sys of the block device that is mounted; None where none is, or it is not seen."""
    if source == "/dev/root":  # as kernels without an initial RAM disk call it
        number = Path("/").stat().st_dev
    else:
        try:
            number = Path(source).stat().st_rdev if source.startswith("/dev/") else 0
        except OSError:
            return None
    entry = _SYS / f"dev/block/{os.major(number)}:{os.minor(number)}"
    return entry.resolve() if number and entry.exists() else None


def _encrypted(device: Path) -> bool:
    """Whether dm-crypt (LUKS) lies somewhere between the file system and the disk."""
    with suppress(OSError):
        if (device / "dm" / "uuid").read_text().startswith("CRYPT-"):
            return True
    below = list((device / "slaves").glob("*"))
    return bool(below) and all(_encrypted(one.resolve()) for one in below)


def _is_sd_card(device: Path) -> bool:
    with suppress(OSError):
        disk = device if (device / "device").exists() else device.parent
        return (disk / "device" / "type").read_text().strip() == "SD"
    return any(_is_sd_card(one.resolve()) for one in (device / "slaves").glob("*"))


def listeners(pids: Mapping[str, int]) -> Iterator[Listener]:
    """The TCP sockets on which processes wait for connections; of those that may not be looked into, none."""
    owners: dict[str, str] = {}
    for process, pid in pids.items():
        with suppress(OSError):
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    owners[str(entry.readlink())] = process
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                columns = line.split()
                process = owners.get(f"socket:[{columns[9]}]", "")
                if columns[3] == _LISTEN and process:
                    address, port = columns[1].split(":")
                    where = _address(address)
                    yield Listener(process, str(where), int(port, 16), where.is_loopback)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address as /proc/net/tcp writes it: 32-bit words, each in the machine's byte order."""
    words = bytes.fromhex(text)
    data = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))
    found = ipaddress.ip_address(data)
    return found.ipv4_mapped or found if isinstance(found, ipaddress.IPv6Address) else found
