"""What the doctor concludes about the box: its clock, its disk, and who can reach it."""

from __future__ import annotations

from gateway import findings
from gateway.doctor.facts import DiskFacts, Facts
from gateway.findings import Finding
from gateway.gateway_time import BUILT_MS

_UNSURE_CLOCK_MS = 1_000
_VANISHING = ("tmpfs", "ramfs")
_WITHOUT_RIGHTS = ("vfat", "exfat", "msdos", "ntfs", "ntfs3", "fuseblk")
_REMOTE = ("nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "fuse.sshfs")


def clock(facts: Facts) -> list[Finding]:
    """Does this box know the time, and will it after a power cut?"""
    now, found = facts.clock, []
    why = "After a start the gateway takes its time from this clock; else silence is told of late, and no tag the time."
    if now.now_ms < BUILT_MS:
        found.append(
            Finding(
                "clock",
                "problem",
                "the clock stands before this program was made",
                why,
                "Give the box the time: a network with NTP (`timedatectl set-ntp true`), or `date --set`.",
            )
        )
    elif now.newest_receipt_ms is not None and now.now_ms < now.newest_receipt_ms - _UNSURE_CLOCK_MS:
        behind_min = (now.newest_receipt_ms - now.now_ms) / 60_000
        found.append(
            Finding(
                "clock",
                "problem",
                f"the clock stands {behind_min:.0f} min before the last message that was received",
                why,
                "Find out which of the two is right: `timedatectl timesync-status`; then let NTP set the clock.",
            )
        )
    if now.synchronised is None:
        found.append(
            Finding(
                "clock",
                "unknown",
                "the system does not tell whether its clock is synchronised",
                why,
                "Look at `timedatectl` on the machine itself (a container does not see it).",
            )
        )
    elif not now.synchronised:
        found.append(
            Finding(
                "clock",
                "problem",
                "the clock is not synchronised with any time server",
                why,
                "`timedatectl set-ntp true` (systemd-timesyncd), or install chrony; look at `timedatectl`.",
            )
        )
    else:
        off = "" if now.off_ms is None else f", off by at most {now.off_ms:.0f} ms"
        found.append(Finding("clock", "good", f"the clock is synchronised{off}"))
    if now.rtc:
        found.append(Finding("clock", "good", "a hardware clock keeps the time over a power cut"))
    elif now.rtc is None:
        found.append(
            Finding(
                "clock",
                "unknown",
                "the system does not tell whether it has a hardware clock",
                why,
                "Look for /dev/rtc0 on the machine itself (a container does not see it).",
            )
        )
    else:
        found.append(
            Finding(
                "clock",
                "note" if now.kept_on_disk else "warning",
                "no hardware clock: after a power cut the box wakes in the past"
                + (", at the time saved last" if now.kept_on_disk else ""),
                "Until a time server has answered silence is told of late, and no tag is told the time.",
                "Fit an RTC with a battery"
                + ("" if now.kept_on_disk else ", or at least install fake-hwclock")
                + "; docs/operation.md, 'When the clock of the box jumps'.",
            )
        )
    return found


def disk(facts: Facts) -> list[Finding]:
    """Is there room, does it last, is it readable by whoever steals it?"""
    held = facts.disk
    if held is None:
        return [
            Finding(
                "disk",
                "unknown",
                "the data folder does not exist yet",
                "Nothing can be told of a disk that is not there.",
                "Start the gateway once, or make the folder; then ask again.",
            )
        ]
    found = list(findings.disk(held.free_bytes, held.size_bytes, held.free_inodes, read_only=held.read_only))
    found += _file_system(held)
    if held.encrypted is None:
        found.append(
            Finding(
                "disk",
                "unknown",
                "it can not be told whether the disk is encrypted",
                "Whoever takes the box has everybody's movements and the devices' keys.",
                "See `lsblk -o NAME,TYPE,MOUNTPOINT` on the machine: a line `crypt` above the mount is LUKS.",
            )
        )
    elif not held.encrypted:
        with_key = facts.master_key_beside
        found.append(
            Finding(
                "disk",
                "warning",
                "the disk is not encrypted" + (", and holds the master key" if with_key else ""),
                "Whoever takes it has everybody's movements"
                + (" and every device's key." if with_key else "."),
                "Put the data folder on LUKS: docs/installation.md, 'An encrypted disk'."
                + (" Or `master_key` on another medium: docs/keys.md." if with_key else ""),
            )
        )
    else:
        found.append(Finding("disk", "good", "the disk is encrypted"))
    if held.sd_card:
        found.append(
            Finding(
                "disk",
                "warning",
                "the data folder lies on an SD card",
                "SD cards wear out, and some lose what they said was written when the power is cut.",
                "Use an SSD or eMMC; until then a higher group_ms spares the card, and backups go elsewhere.",
            )
        )
    return found


def _file_system(held: DiskFacts) -> list[Finding]:
    name = held.file_system
    if name in _VANISHING:
        return [
            Finding(
                "disk",
                "problem",
                f"the data folder lies in memory ({name})",
                "Everything that tags were allowed to forget is gone with the next restart.",
                "Move the data folder to a disk: data_dir.",
            )
        ]
    if name in _WITHOUT_RIGHTS:
        return [
            Finding(
                "disk",
                "problem",
                f"the file system ({name}) keeps neither owners nor permissions",
                "Keys can not be hidden from others there, and it does not survive power cuts.",
                "Use ext4, xfs or btrfs.",
            )
        ]
    if name in _REMOTE:
        return [
            Finding(
                "disk",
                "problem",
                f"the data folder lies on another machine ({name})",
                "The store needs locks and a disk that keeps what it says it kept; a share promises neither.",
                "Use a local disk, or PostgreSQL for a store elsewhere.",
            )
        ]
    return [Finding("disk", "good", f"the file system is {name}")]


def listening(facts: Facts) -> list[Finding]:
    """Who can reach this box, and what of it?"""
    found = []
    beyond = [one for one in facts.listeners if not one.loopback]
    for one in beyond:
        place = f"{one.address}:{one.port}"
        if one.process == "broker" and facts.tag_address.rsplit(":", 1)[-1] == str(one.port):
            found.append(
                Finding(
                    "listening",
                    "note",
                    f"tags reach the broker at {place}; it asks each for its certificate",
                    "It is the only thing that other machines need to reach.",
                    "Let the firewall admit this port only.",
                )
            )
        elif one.process == "web" and facts.page is not None and facts.page.beyond and not facts.page.refusal:
            found.append(
                Finding(
                    "listening",
                    "note",
                    f"people reach the page at {place}, over TLS, and have to sign in",
                    "Whoever can reach it can try passwords; each address and each user has few attempts.",
                    "Let the firewall admit the networks of those who work here only.",
                )
            )
        else:
            found.append(
                Finding(
                    "listening",
                    "problem",
                    f"the process {one.process} listens at {place}, for other machines to reach",
                    "Nothing but the broker is meant to be reached from elsewhere.",
                    "Set its address to 127.0.0.1; reach the page through an SSH tunnel.",
                )
            )
    if facts.listeners and not beyond:
        found.append(Finding("listening", "good", "everything listens on this machine only"))
    return found
