"""The facts about a gateway and its box that `tagwatch doctor` judges. `gateway.doctor.gathering` gathers them."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.findings import IngestFacts

DAY_MS = 86_400_000
EXPIRES_PROBLEM_DAYS, EXPIRES_WARNING_DAYS = 7, 60
"""Tags renew nothing by themselves: somebody needs weeks to get to them."""
KEY_WAITS_DAYS = 30
"""A tag that is worn is heard, and so has its next key, within minutes."""


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
