"""What `tagwatch doctor` concludes: facts about a gateway and its box in, findings out. Nothing here looks anywhere.

Each finding has the fact, why it matters and what to do. What could not be found out is told as that, never as good.
`gateway.doctor_facts` gathers the facts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

from gateway import findings
from gateway.findings import Finding, IngestFacts, Severity
from gateway.gateway_time import BUILT_MS

ORDER: tuple[Severity, ...] = ("good", "note", "unknown", "warning", "problem")
"""From what needs nothing to what needs somebody now."""

DAY_MS = 86_400_000
EXPIRES_PROBLEM_DAYS, EXPIRES_WARNING_DAYS = 7, 60
KEY_WAITS_DAYS = 30
"""A tag that is worn is heard, and so has its next key, within minutes."""
"""Tags renew nothing by themselves: somebody needs weeks to get to them."""
PAGE_WARNING_DAYS = 21
"""Those who renew certificates every three months do so when 30 days are left."""
UNSURE_CLOCK_MS = 1_000
_VANISHING = ("tmpfs", "ramfs")
_WITHOUT_RIGHTS = ("vfat", "exfat", "msdos", "ntfs", "ntfs3", "fuseblk")
_REMOTE = ("nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "fuse.sshfs")


@dataclass(frozen=True, slots=True)
class ClockFacts:
    """``synchronised``, ``off_ms`` (the kernel's own bound) and ``rtc`` are None where the system does not tell."""

    now_ms: int
    synchronised: bool | None
    off_ms: float | None
    rtc: bool | None
    kept_on_disk: bool
    """Whether fake-hwclock (or systemd's own) saves the time over a power cut."""
    newest_receipt_ms: int | None
    """When the gateway last received anything, by its own clock then."""


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """The file system that holds the data folder."""

    free_bytes: int
    size_bytes: int
    free_inodes: int | None
    file_system: str
    read_only: bool
    encrypted: bool | None
    sd_card: bool | None


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """One certificate of the gateway's own authority. ``problem`` where its file can not be used."""

    name: str
    expires_ms: int | None
    names: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file that others must not read. ``mode`` are its permission bits; ``owner`` a user id."""

    path: str
    mode: int
    owner: int


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """``form`` and ``sound`` are None where they were not found out; ``problem`` where nothing can be read."""

    exists: bool
    form: str | None
    head: str
    newer: bool = False
    checked: bool = True
    """Whether its soundness is looked at here: a database server looks after its own."""
    sound: bool | None = None
    damage: str = ""
    problem: str = ""
    devices_expiring: int = 0
    devices_expired: int = 0
    keys_waiting: int = 0
    """Devices that were to change their MAC key ``KEY_WAITS_DAYS`` ago, and have not."""
    to_swap: int = 0
    """Devices in quarantine that are worn, or stand for somebody who wears another."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket of one of the gateway's processes that waits for connections."""

    process: str
    address: str
    port: int
    loopback: bool


@dataclass(frozen=True, slots=True)
class ReplicaFacts:
    """``problem`` is why it can not be reached, "" where it can, or where the ingest, which runs, tells that itself;
    ``same_disk`` whether it lies where the store does."""

    place: str
    problem: str
    same_disk: bool = False


@dataclass(frozen=True, slots=True)
class PageFacts:
    """``refusal`` is why the page can not be served as it is set, "" where it can; ``users`` is how many can sign in,
    None where the store did not tell; ``beyond``: other machines can reach it. Its certificate: whether it is the
    authority's ``own``, and until when."""

    refusal: str
    users: int | None
    beyond: bool = False
    own: bool = False
    expires_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that is judged. None where it could not be gathered because of what another finding tells."""

    settings_problem: str
    clock: ClockFacts
    disk: DiskFacts | None
    runs: bool
    user: int
    folder_owner: int | None
    certificates: tuple[CertificateFacts, ...]
    secrets: tuple[FileFacts, ...]
    broker_place: str
    broker_problem: str | None
    ingest: IngestFacts | None
    kernels_kept: bool | None
    """Whether compiled rules can be kept; None where that can be told by the gateway's user only."""
    kernels_warm: bool
    store: StoreFacts | None
    listeners: tuple[Listener, ...]
    tag_address: str
    """Where the embedded broker is set to listen, ``host:port``; empty with an outside broker."""
    alert_paths: tuple[str, ...]
    """The ways by which somebody is told of an alert without looking at the page."""
    master_key_beside: bool = False
    """The master key lies on the same disk as the store."""
    provisioning: int = 0
    """Of how many devices that were added the keys lie open in the devices folder."""
    replica: ReplicaFacts | None = None
    """The second store, where tags wait for one."""
    page: PageFacts | None = None
    """None where no page is served."""
    broker_reloads: bool = True
    """Whoever is to be kept out is kept out at once; an outside broker has to be told to read its files again."""


def examine(facts: Facts) -> list[Finding]:
    """Every finding, the gravest first; of the same severity in the order in which they are looked at."""
    found = [finding for check in CHECKS for finding in check(facts)]
    return sorted(found, key=lambda finding: -ORDER.index(finding.severity))


def exit_code(findings: Iterable[Finding]) -> int:
    """2 where something is a problem, 1 where something is a warning or could not be found out, else 0."""
    worst = max((ORDER.index(finding.severity) for finding in findings), default=0)
    return 2 if worst >= ORDER.index("problem") else 1 if worst >= ORDER.index("unknown") else 0


def as_json(findings: Sequence[Finding]) -> dict[str, object]:
    """What ``--json`` prints."""
    return {"exit_code": exit_code(findings), "findings": [asdict(finding) for finding in findings]}


def settings(facts: Facts) -> list[Finding]:
    """Can the settings be used?"""
    if facts.settings_problem:
        return [
            Finding(
                "settings",
                "problem",
                facts.settings_problem,
                "The gateway does not start with them.",
                "Correct the named setting; `tagwatch settings --template` shows each with its description.",
            )
        ]
    return [Finding("settings", "good", "the settings can be used")]


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
    elif now.newest_receipt_ms is not None and now.now_ms < now.newest_receipt_ms - UNSURE_CLOCK_MS:
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


def certificates(facts: Facts) -> list[Finding]:
    """Will tags still be let in tomorrow, and do they find the name that they dial?"""
    found: list[Finding] = []
    why = "When it has expired no tag can connect any more."
    for one in facts.certificates:
        if one.problem:
            found.append(
                Finding(
                    "certificates",
                    "problem",
                    f"the certificate {one.name} can not be used: {one.problem}",
                    why,
                    "Restore the folder `authority` from the backup. Do not delete it: every tag trusts it alone.",
                )
            )
            continue
        if one.expires_ms is None:
            continue
        days = (one.expires_ms - facts.clock.now_ms) // DAY_MS
        if days < EXPIRES_WARNING_DAYS:
            told = f"ends in {days} days" if days >= 0 else f"ended {-days} days ago"
            found.append(
                Finding(
                    "certificates",
                    "problem" if days < EXPIRES_PROBLEM_DAYS else "warning",
                    f"the certificate {one.name} {told}",
                    why,
                    "Begin with `tagwatch keys rotate-authority` (docs/identities.md)."
                    if one.name.startswith("ca")
                    else "Restart the gateway: it makes anew what ends within a year.",
                )
            )
        else:
            found.append(Finding("certificates", "good", f"the certificate {one.name} lasts {days} days"))
        missing = [name for name in one.wanted if name not in one.names]
        if missing:
            found.append(
                Finding(
                    "certificates",
                    "warning",
                    f"the certificate {one.name} does not stand for {', '.join(missing)}",
                    "Tags check the name that they dial.",
                    "Restart the gateway: it makes the certificate anew when server_names have changed.",
                )
            )
    if not facts.certificates:
        found.append(
            Finding(
                "certificates",
                "note",
                "there are none yet",
                "They are made at the first start.",
                "Start the gateway.",
            )
        )
    held = facts.store
    if held is not None and held.devices_expired:
        found.append(
            Finding(
                "certificates",
                "problem",
                f"the certificates of {held.devices_expired} devices have ended",
                "They can not connect any more.",
                "`tagwatch device renew ID`, and provision them at the next visit (docs/identities.md).",
            )
        )
    if held is not None and held.devices_expiring:
        found.append(
            Finding(
                "certificates",
                "warning",
                f"the certificates of {held.devices_expiring} devices end within {EXPIRES_WARNING_DAYS} days",
                "They can not connect from then on.",
                "`tagwatch device renew ID`, and provision them before that (docs/identities.md).",
            )
        )
    if held is not None and held.keys_waiting:
        found.append(
            Finding(
                "certificates",
                "warning",
                f"{held.keys_waiting} devices have not changed to the key that was made for them "
                f"{KEY_WAITS_DAYS} days ago or earlier",
                "Until they have, the old key is believed, too.",
                "`tagwatch device keys` names them: charge them where the gateway hears them, or use the console.",
            )
        )
    if held is not None and held.to_swap:
        found.append(
            Finding(
                "devices",
                "warning",
                f"{held.to_swap} devices in quarantine are in use",
                "Their wearers are monitored by what may be faulty; what they say counts until they are swapped.",
                "`tagwatch device list --state quarantined` names them, `tagwatch order tasks` the visits to make.",
            )
        )
    if any(one.name == "ca.next" for one in facts.certificates):
        found.append(
            Finding(
                "certificates",
                "note",
                "the authority is being changed: two are trusted",
                "Who has the old one's key could still pretend to be the broker to a device that was not renewed.",
                "Renew every device, then `tagwatch keys rotate-authority --finish` (docs/identities.md).",
            )
        )
    return found


def secrets(facts: Facts) -> list[Finding]:
    """Can others on this box read keys and people's data; can the gateway?"""
    found = []
    open_ones = [one for one in facts.secrets if one.mode & 0o077]
    if open_ones:
        found.append(
            Finding(
                "files",
                "problem",
                f"others on this machine may read {_some([one.path for one in open_ones])}",
                "They hold keys and people's movements.",
                "chmod go-rwx " + " ".join(one.path for one in open_ones[:5]),
            )
        )
    owner = facts.folder_owner
    foreign = [one for one in facts.secrets if owner is not None and one.owner != owner]
    if foreign:
        found.append(
            Finding(
                "files",
                "problem",
                f"not of the data folder's owner: {_some([one.path for one in foreign])}",
                "The gateway runs as that owner, and may not be able to use them.",
                "Run commands as the gateway's user (`sudo -u tagwatch tagwatch …`); chown what is there to it.",
            )
        )
    if owner is not None and facts.user not in (0, owner):
        found.append(
            Finding(
                "files",
                "warning",
                "this command runs as another user than the gateway",
                "What this user may not see it could not check.",
                "sudo -u tagwatch tagwatch doctor",
            )
        )
    if facts.secrets and not found:
        found.append(Finding("files", "good", f"{len(facts.secrets)} secret files are their owner's alone"))
    return found


def keys(facts: Facts) -> list[Finding]:
    """Do keys lie open that nobody needs any more?"""
    if not facts.provisioning:
        return [Finding("keys", "good", "no device's key lies open")]
    return [
        Finding(
            "keys",
            "note",
            f"the keys of {facts.provisioning} devices lie open in the devices folder",
            "They are there for provisioning; the gateway does not need them.",
            "tagwatch device provisioned ID, when a device has got them.",
        )
    ]


def gateway(facts: Facts) -> list[Finding]:
    """Does it run, and how is its ingest?"""
    if not facts.runs:
        return [
            Finding(
                "gateway",
                "warning",
                "the gateway does not run",
                "No reading is received; tags keep theirs meanwhile.",
                "systemctl start tagwatch; `journalctl -u tagwatch -n 50` tells why it ended.",
            )
        ]
    ingest = facts.ingest or IngestFacts(problem="it was not asked")
    return list(findings.ingest(ingest)) or [Finding("ingest", "good", "the ingest commits and judges")]


_NEVER_RELOADS = Finding(
    "broker reload",
    "warning",
    "the outside broker is not told to read its files again: broker_reload is not set",
    "A tag that says too much is thrown off and comes back at once, and all others wait for seconds; a device that was "
    "revoked is let in until somebody does it by hand.",
    "Set broker_reload as the README of `tagwatch broker config mosquitto` says.",
)


def broker(facts: Facts) -> list[Finding]:
    """Does the broker let the gateway in, and keep out whoever it is told to?"""
    reloads = [] if facts.broker_reloads else [_NEVER_RELOADS]
    if facts.broker_problem is None:
        return reloads
    if not facts.broker_problem:
        return [
            Finding(
                "broker", "good", f"the broker at {facts.broker_place} answers over TLS and accepts a client"
            ),
            *reloads,
        ]
    return [
        *reloads,
        Finding(
            "broker",
            "problem",
            f"the broker at {facts.broker_place} can not be used: {facts.broker_problem}",
            "No tag can hand over its readings; they keep them meanwhile.",
            "Embedded: broker/broker.log in the data folder. Outside: is it up, and does it trust authority/ca.pem?",
        ),
    ]


def kernels(facts: Facts) -> list[Finding]:
    """Would a restart be quick?"""
    if facts.kernels_kept is None:
        return [
            Finding(
                "kernels",
                "unknown",
                "whether the rules are compiled only the gateway's user can tell",
                "A start without them takes a minute or more.",
                "sudo -u tagwatch tagwatch doctor",
            )
        ]
    if not facts.kernels_kept:
        return [
            Finding(
                "kernels",
                "warning",
                "compiled rules can not be kept anywhere",
                "Every start compiles them anew, a minute or more in which nobody is judged.",
                "Make the data folder writable for the gateway's user.",
            )
        ]
    if not facts.kernels_warm:
        return [
            Finding(
                "kernels",
                "note",
                "the rules are not compiled yet",
                "The next start takes a minute or more, once.",
                "Nothing; or start the gateway when that does not matter.",
            )
        ]
    return [Finding("kernels", "good", "the rules are compiled and kept")]


def store(facts: Facts) -> list[Finding]:
    """Is the store of this program's form, and whole?"""
    held = facts.store
    if held is None:
        return []
    if held.problem:
        return [
            Finding(
                "store",
                "problem",
                f"the store can not be read: {held.problem}",
                "Nothing can be committed, judged or shown.",
                "See the findings about disk and files; restore the last backup if the file is damaged.",
            )
        ]
    if not held.exists:
        return [
            Finding(
                "store",
                "note",
                "there is no store yet",
                "It is made at the first start.",
                "Start the gateway.",
            )
        ]
    found = []
    if held.newer:
        found.append(
            Finding(
                "store",
                "problem",
                f"the store is of form {held.form}, which this program (form {held.head}) does not know",
                "This program refuses to open it: it could spoil evidence that it does not understand.",
                "Run the newer program, or restore the backup made before the upgrade.",
            )
        )
    elif held.form != held.head:
        found.append(
            Finding(
                "store",
                "warning",
                f"the store is of form {held.form or 'none'}; the next start makes it {held.head}",
                "An older program can not open it afterwards.",
                "Make a backup before the start.",
            )
        )
    else:
        found.append(Finding("store", "good", f"the store is of this program's form, {held.head}"))
    if not held.checked:
        return found
    if held.sound is None:
        found.append(
            Finding(
                "store",
                "unknown",
                "the store's soundness was not found out in time",
                "A damaged page shows only when it is read.",
                "Run `tagwatch doctor --thorough` at a quiet hour.",
            )
        )
    elif not held.sound:
        found.append(
            Finding(
                "store",
                "problem",
                f"the store is damaged: {held.damage}",
                "Some of the evidence may be unreadable, and it can become more.",
                "Stop the gateway, copy the store as it is, restore the last backup; tags send again what they kept.",
            )
        )
    else:
        found.append(Finding("store", "good", "the store is whole"))
    return found


def alerts(facts: Facts) -> list[Finding]:
    """Does somebody hear of an alert if one way fails?"""
    why = "If this one way fails nobody hears of an alert, and nobody notices that."
    if not facts.alert_paths:
        return [
            Finding(
                "alerts",
                "warning",
                "alerts are only shown on the page: nobody is told",
                "An alert at night waits until somebody looks.",
                "Set up two ways of telling people that do not share an uplink.",
            )
        ]
    if len(facts.alert_paths) == 1:
        return [
            Finding(
                "alerts",
                "warning",
                f"there is a single way of telling people of an alert: {facts.alert_paths[0]}",
                why,
                "Set up a second one that does not share its uplink, such as an SMS modem.",
            )
        ]
    return [Finding("alerts", "good", f"people are told by {', '.join(facts.alert_paths)}")]


def replica(facts: Facts) -> list[Finding]:
    """Does the second store take what tags wait for?"""
    copy = facts.replica
    if copy is None:
        return []
    if copy.problem:
        return [findings.replica_fails(copy.place, copy.problem)]
    if copy.same_disk:
        return [
            Finding(
                "replica",
                "warning",
                f"the replica {copy.place} lies on the same disk as the store",
                "When that disk ends both copies end.",
                "Put it on another disk, or better into a PostgreSQL database on another machine.",
            )
        ]
    if facts.ingest is not None and facts.ingest.replica_trouble:
        return []  # the ingest has told
    return [Finding("replica", "good", f"the replica {copy.place} can be written")]


def page(facts: Facts) -> list[Finding]:
    """Who can look at the page, and act on it?"""
    served = facts.page
    if served is None:
        return []
    if served.refusal:
        return [
            Finding(
                "page",
                "problem",
                served.refusal,
                "The gateway refuses to start so: nothing listens beyond this machine until TLS and a user exist.",
                "Mend the setting that is named first; `tagwatch settings` explains it.",
            )
        ]
    found = []
    if served.expires_ms is not None:
        days = (served.expires_ms - facts.clock.now_ms) // DAY_MS
        if days < PAGE_WARNING_DAYS:
            found.append(
                Finding(
                    "page",
                    "problem" if days < EXPIRES_PROBLEM_DAYS else "warning",
                    "the page's certificate "
                    + (f"ends in {days} days" if days >= 0 else f"ended {-days} days ago"),
                    "Browsers refuse the page then, and nobody can look or acknowledge there.",
                    "Have it renewed; the gateway takes up the new files by itself.",
                )
            )
    if served.users is None:
        return found  # the finding about the store tells why
    if not served.users:
        return [
            *found,
            Finding(
                "page",
                "warning",
                "there is no user: whoever is on this machine may look, and nobody can acknowledge on the page",
                "Looks are recorded under no name.",
                "tagwatch user add NAME --name 'Full Name' --role practitioner",
            ),
        ]
    found.append(Finding("page", "good", f"{served.users} users can sign in"))
    if served.own:
        found.append(
            Finding(
                "page",
                "note",
                "the page shows a certificate of the gateway's own authority",
                "Browsers believe it only where that authority was added to them by hand.",
                "Give a certificate that they believe: web_certificate and web_key.",
            )
        )
    return found


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


def _some(names: Sequence[str]) -> str:
    few = ", ".join(names[:5])
    return few if len(names) <= 5 else f"{few} and {len(names) - 5} more"


CHECKS: tuple[Callable[[Facts], list[Finding]], ...] = (
    settings,
    clock,
    disk,
    certificates,
    secrets,
    keys,
    gateway,
    broker,
    store,
    kernels,
    alerts,
    replica,
    page,
    listening,
)
