"""What `tagwatch doctor` looks at: settings, files, store, processes. The box itself is looked at by `gateway.box`.

It changes nothing: no folder is made, no store migrated, no certificate renewed. The gateway may run meanwhile or not.
"""

from __future__ import annotations

import json
import os
import sqlite3
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from cryptography import x509
from sqlalchemy.exc import DBAPIError

from gateway import box, broker, findings, kernels, reach, replica, warm
from gateway.authority import LOOPBACK_NAMES, NEXT_CERTIFICATE, trusted_path
from gateway.doctor.facts import (
    DAY_MS,
    EXPIRES_WARNING_DAYS,
    KEY_WAITS_DAYS,
    CertificateFacts,
    Facts,
    FileFacts,
    PageFacts,
    ReplicaFacts,
    StoreFacts,
)
from gateway.settings import FILE_NAME, Settings, SettingsError
from gateway.store.database import HEAD
from gateway.store.dialect import make_engine, url_of
from gateway.store.stock import PUTS

Ask = Callable[[str], list[tuple[Any, ...]]]
_ANSWER_S = 3.0
QUICK_S = 15.0
"""So long the store is read through to see whether it is whole; with ``thorough`` as long as it takes."""
_SECRETS = (FILE_NAME, "config.json")
"""The settings may name a password; a device's configuration holds its key."""
_PUBLIC = (".pem", ".der", ".log", ".pid", ".conf")


def gather(data_dir: Path | None, *, thorough: bool = False) -> Facts:
    """Everything there is to know now. Raises nothing that a broken gateway could cause."""
    problem = ""
    try:
        settings = Settings.load(data_dir)
    except SettingsError as error:
        problem = str(error)
        # the rest is looked at as if they were left out
        settings = Settings.model_construct(data_dir=data_dir or Path("tagwatch-data"))
    folder = settings.data_dir
    run = _run(settings)
    place = _place(settings, run)
    certificates = tuple(_certificates(settings))
    held = _store(settings, thorough)
    owner = folder.stat().st_uid if folder.is_dir() else None
    environment = None
    if owner in (None, os.getuid()):  # for another user they lie elsewhere, and looking would make a folder
        environment = os.environ | kernels.environment(folder if folder.is_dir() else None)
    return Facts(
        settings_problem=problem,
        clock=box.clock(_newest_receipt(settings)),
        disk=box.disk(folder) if folder.is_dir() else None,
        runs=bool(run),
        user=os.getuid(),
        folder_owner=owner,
        certificates=certificates,
        secrets=(*_secrets(folder), *_elsewhere(settings)),
        broker_place="" if place is None else f"{place.host}:{place.port}",
        broker_problem=None if place is None else _broker(settings, place),
        ingest=findings.ask_ingest(settings, _ANSWER_S)[1] if run else None,
        kernels_kept=None if environment is None else kernels.VARIABLE in environment,
        kernels_warm=environment is not None and warm.compiled(environment),
        store=held,
        listeners=tuple(box.listeners(_pids(run))),
        tag_address="" if place is None or not settings.embedded else f"{settings.mqtt_host}:{place.port}",
        alert_paths=alert_paths(settings),
        master_key_beside=_same_disk(settings.master_key_path, folder),
        provisioning=sum(1 for _ in settings.devices_dir.glob("*/config.json")),
        replica=_replica(settings, runs=bool(run)),
        page=None if problem else _page(settings),
        broker_reloads=settings.embedded or bool(settings.broker_reload),
    )


def _page(settings: Settings) -> PageFacts | None:
    """Who can reach the page, and sign in there."""
    if not settings.web:
        return None
    users = None
    with suppress(DBAPIError, sqlite3.Error, ImportError), _asking(settings) as ask:
        users = ask("SELECT count(*) FROM account WHERE disabled_ms IS NULL AND password IS NOT NULL")[0][0]
    shown = reach.certificate(settings)
    # what is missing because the gateway has never run yet is no mistake of the settings
    first = shown is not None and shown.own and not settings.authority_dir.is_dir()
    refusal = "" if first and users else reach.refusal(settings, users or 0)
    expires_ms = None
    if shown is not None:
        with suppress(OSError, ValueError):  # the refusal tells
            expires_ms = _expires_ms(x509.load_pem_x509_certificate(shown.chain.read_bytes()))
    own = shown is not None and shown.own
    return PageFacts(refusal, users, not settings.page_on_this_machine, own, expires_ms)


def _replica(settings: Settings, *, runs: bool) -> ReplicaFacts | None:
    place = settings.replica_place
    if place is None:
        return None
    same = isinstance(place, Path) and isinstance(settings.store_place, Path) and _one_disk(place, settings)
    problem = "" if runs else replica.reachable(place)
    return ReplicaFacts(replica.shown(place), problem, same)


def _one_disk(place: Path, settings: Settings) -> bool:
    try:
        return place.parent.stat().st_dev == settings.store_path.parent.stat().st_dev
    except OSError:
        return False


def alert_paths(settings: Settings) -> tuple[str, ...]:
    """The ways by which people are told of alerts without looking at the page; those over one uplink are one."""
    from gateway.delivery import routes

    try:
        known = routes.read(settings.routes_path)
    except routes.RoutesError:
        return ()
    told = [known.contacts[name] for route in known.route for step in route.rota for name in step]
    ways = {
        "providers over the uplink": any(one.url is not None for one in told),
        "SMS modem": known.modem is not None and any(one.sms is not None for one in told),
    }
    return tuple(way for way, used in ways.items() if used)


def _same_disk(path: Path, folder: Path) -> bool:
    try:
        return path.stat().st_dev == folder.stat().st_dev
    except OSError:
        return False


def _run(settings: Settings) -> dict[str, Any]:
    """What a gateway that runs on this folder says of itself; {} where none does."""
    try:
        document: dict[str, Any] = json.loads(settings.run_path.read_text())
        return document if Path(f"/proc/{int(document['serve_pid'])}").exists() else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _pids(run: Mapping[str, Any]) -> dict[str, int]:
    pids = {name.removesuffix("_pid"): pid for name, pid in run.items() if name.endswith("_pid")}
    return {name: pid for name, pid in pids.items() if isinstance(pid, int)}


def _place(settings: Settings, run: Mapping[str, Any]) -> broker.Address | None:
    """Where the broker is: as the gateway that runs was told (an option may have overridden a setting)."""
    if run:
        tls = settings.embedded or settings.broker.startswith("mqtts")
        return broker.Address(str(run["mqtt_host"]), int(run["mqtt_port"]), tls)
    return None if settings.embedded else broker.address(settings)


def _broker(settings: Settings, place: broker.Address) -> str:
    """Why the broker can not be used; empty where it can."""
    tls = None
    if place.tls:
        if not (settings.authority_dir / "probe.pem").exists():
            return "the gateway has no certificate yet: start it once"
        try:
            tls = ssl.create_default_context(cafile=str(trusted_path(settings.authority_dir)))
            folder = settings.authority_dir
            tls.load_cert_chain(folder / "probe.pem", folder / "probe.key.pem")
        except OSError as error:
            return f"its certificates can not be read: {error}"
    name = settings.server_names[0] if settings.embedded else place.host
    return broker.complaint(place, tls, name, timeout_s=_ANSWER_S)


def _certificates(settings: Settings) -> Iterator[CertificateFacts]:
    wanted = tuple(dict.fromkeys((*settings.server_names, *LOOPBACK_NAMES)))
    if not settings.authority_dir.is_dir():
        return
    changing = (settings.authority_dir / NEXT_CERTIFICATE).exists()
    for name in ("ca", *(("ca.next",) if changing else ()), "server", "gateway", "probe"):
        path = settings.authority_dir / f"{name}.pem"
        try:
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
        except (OSError, ValueError) as error:
            yield CertificateFacts(name, None, problem=str(error))
            continue
        names: tuple[str, ...] = ()
        with suppress(x509.ExtensionNotFound):
            extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            names = tuple(str(each.value) for each in extension.value)
        yield CertificateFacts(name, _expires_ms(certificate), names, wanted if name == "server" else ())


def _expires_ms(certificate: x509.Certificate) -> int:
    return int(certificate.not_valid_after_utc.timestamp() * 1000)


def _secrets(folder: Path) -> Iterator[FileFacts]:
    """The files that hold keys or people's data, and the folder itself."""
    if not folder.is_dir():
        return
    for path in (folder, *sorted(folder.rglob("*"))):
        kept_open = path.suffix in _PUBLIC and "key" not in path.name and path.parent.name == "authority"
        made_again = {"kernels", "store"} & set(path.relative_to(folder).parts[:2]) and path.name != "store"
        if kept_open or made_again or path.is_symlink() or (path.is_dir() and path != folder):
            continue
        with suppress(OSError):  # one that has gone meanwhile
            status = path.stat()
            # within a folder that is its owner's alone only secrets matter
            secret = path == folder or _is_secret(path)
            yield FileFacts(str(path), status.st_mode & 0o777 if secret else 0, status.st_uid)


def _elsewhere(settings: Settings) -> Iterator[FileFacts]:
    """The master key, and the page's, where they do not lie in the data folder."""
    shown = reach.certificate(settings)
    for path in (settings.master_key_path, *([] if shown is None else [shown.key])):
        yield from _if_elsewhere(settings, path)


def _if_elsewhere(settings: Settings, path: Path) -> Iterator[FileFacts]:
    if not path.resolve().is_relative_to(settings.data_dir.resolve()):
        with suppress(OSError):
            status = path.stat()
            # root's is as good as the gateway's own
            owner = settings.data_dir.stat().st_uid if status.st_uid == 0 else status.st_uid
            yield FileFacts(str(path), status.st_mode & 0o777, owner)


def _is_secret(path: Path) -> bool:
    name = path.name
    return "key" in name or name.startswith("store.sqlite") or name in _SECRETS or path.suffix == ".sock"


@contextmanager
def _asking(settings: Settings) -> Iterator[Ask]:
    """The store, to be asked and never changed. Raises DBAPIError or sqlite3.Error where it can not be read."""
    place = settings.store_place
    if isinstance(place, Path):
        with closing(sqlite3.connect(f"file:{place}?mode=ro", uri=True, timeout=_ANSWER_S)) as file:
            yield lambda query: file.execute(query).fetchall()
        return
    engine = make_engine(url_of(place), int(_ANSWER_S * 1000))
    try:
        with engine.begin() as connection:
            yield lambda query: [tuple(row) for row in connection.exec_driver_sql(query)]
    finally:
        engine.dispose()


def _newest_receipt(settings: Settings) -> int | None:
    with suppress(DBAPIError, sqlite3.Error, ImportError), _asking(settings) as ask:
        newest = ask("SELECT max(received_ms) FROM heard")[0][0]
        return None if newest is None else int(newest)
    return None


def _store(settings: Settings, thorough: bool) -> StoreFacts:
    place = settings.store_place
    if isinstance(place, Path) and not place.exists():
        return StoreFacts(exists=False, form=None, head=HEAD)
    try:
        with _asking(settings) as ask:
            known = _has_form(ask, isinstance(place, Path))
            form = str(ask("SELECT version_num FROM alembic_version")[0][0]) if known else None
            expired, expiring = _devices(ask) if form == HEAD else (0, 0)
            waiting, to_swap = (_keys_waiting(ask), _to_swap(ask)) if form == HEAD else (0, 0)
        damage = _damage(place, None if thorough else QUICK_S) if isinstance(place, Path) else ""
    except (DBAPIError, sqlite3.Error) as error:
        problem = str(error.orig) if isinstance(error, DBAPIError) else str(error)
        return StoreFacts(exists=True, form=None, head=HEAD, problem=problem)
    except ImportError as error:
        return StoreFacts(exists=True, form=None, head=HEAD, problem=f"a library is missing: {error.name}")
    return StoreFacts(
        exists=known or isinstance(place, Path),
        form=form,
        head=HEAD,
        newer=form is not None and form > HEAD,
        checked=isinstance(place, Path),
        sound=None if damage is None else not damage,
        damage=damage or "",
        devices_expired=expired,
        devices_expiring=expiring,
        keys_waiting=waiting,
        to_swap=to_swap,
    )


def _has_form(ask: Ask, is_file: bool) -> bool:
    where = "sqlite_master WHERE name" if is_file else "pg_tables WHERE tablename"
    return bool(ask(f"SELECT 1 FROM {where} = 'alembic_version'"))


def _damage(path: Path, within_s: float | None) -> str | None:
    """What the file's own check complains of first, "" of nothing; None where it was not done ``within_s``."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=_ANSWER_S)) as connection:
        if within_s is not None:
            until = time.monotonic() + within_s
            connection.set_progress_handler(lambda: time.monotonic() > until, 10_000)
        try:
            row = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                return None
            raise
    return "" if row[0] == "ok" else str(row[0])


def _keys_waiting(ask: Ask) -> int:
    """How many devices that are not revoked have long been to change their key."""
    before_ms = round(time.time() * 1000) - KEY_WAITS_DAYS * DAY_MS
    return int(
        ask(
            "SELECT count(*) FROM device_key JOIN device ON device.id = device_key.device "
            f"WHERE device_key.use = 'next' AND device.revoked_at_ms IS NULL AND made_at_ms <= {before_ms}"
        )[0][0]
    )


def _to_swap(ask: Ask) -> int:
    """How many devices in quarantine somebody wears, or has at home for what they wear."""
    puts = ", ".join(f"'{one}'" for one in PUTS)
    return int(
        ask(
            "SELECT count(*) FROM device_event AS put WHERE put.what = 'quarantined' AND put.id = "
            f"(SELECT max(id) FROM device_event WHERE device = put.device AND what IN ({puts})) AND (EXISTS "
            "(SELECT 1 FROM activation WHERE activation.device = put.device AND removed_ms IS NULL) OR EXISTS "
            "(SELECT 1 FROM installation WHERE installation.unit = put.device AND removed_ms IS NULL))"
        )[0][0]
    )


def _devices(ask: Ask) -> tuple[int, int]:
    """How many devices' certificates have ended, and how many end soon; those that were revoked do not count."""
    expired = expiring = 0
    now_ms = time.time() * 1000
    for (data,) in ask("SELECT certificate FROM device WHERE revoked_at_ms IS NULL"):
        with suppress(ValueError):
            left_ms = _expires_ms(x509.load_der_x509_certificate(bytes(data))) - now_ms
            expired += left_ms <= 0
            expiring += 0 < left_ms < EXPIRES_WARNING_DAYS * DAY_MS
    return expired, expiring
