"""Every setting of a gateway: one typed class, read from a file, then from the environment.

The file is ``tagwatch.toml`` in the data folder (optional); an environment variable ``TAGWATCH_`` + the setting's name
in capitals overrides it; an argument overrides both.
"""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from gateway import store_url
from gateway.mistakes import in_words

FILE_NAME = "tagwatch.toml"
EMBEDDED = "embedded"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
EVERYWHERE = "0.0.0.0"


class SettingsError(ValueError):
    """A setting that can not be used; the text names it, the fact and the remedy."""


class Settings(BaseSettings):
    """The settings of one gateway. Make it by ``Settings.load``, which reads the data folder's file too."""

    model_config = SettingsConfigDict(env_prefix="TAGWATCH_", extra="forbid", frozen=True)

    data_dir: Path = Field(Path("tagwatch-data"), description="The one folder that holds everything.")
    broker: str = Field(
        EMBEDDED,
        description=(
            "'embedded' starts and supervises a broker; mqtts://host:port uses another, mqtt://host:port one on this "
            "machine without TLS."
        ),
    )
    mqtt_host: str = Field("127.0.0.1", description="Address that the embedded broker listens on.")
    mqtt_port: int = Field(
        8883, ge=0, le=65535, description="Port of the embedded broker; 0 picks a free one and keeps it."
    )
    server_names: tuple[str, ...] = Field(
        ("localhost", "127.0.0.1"),
        description="Names and addresses that the broker's certificate stands for; tags check the first.",
    )
    web: bool = Field(True, description="Serve the page.")
    web_host: str = Field(
        "127.0.0.1",
        description=(
            "Address of the page. One that other machines can reach is taken once there is a user (`tagwatch user "
            "add`), and then over TLS only; before that reach the page through ssh -L."
        ),
    )
    web_port: int = Field(
        8080, ge=0, le=65535, description="Port of the page; 0 picks a free one and keeps it."
    )
    web_certificate: str = Field(
        "",
        description=(
            "File (PEM) with the certificate of the page, and those that lead to its authority, seen from the data "
            "folder; read again when it changes. Left out, a page beyond this machine shows the gateway's own "
            "(authority/server.pem), for the names in server_names."
        ),
    )
    web_key: str = Field("", description="File (PEM) with the key of web_certificate.")
    session_idle_minutes: int = Field(
        60, ge=1, le=1440, description="Whoever does nothing on the page for so long is signed out."
    )
    session_hours: int = Field(
        12, ge=1, le=168, description="Whoever signed in so long ago signs in anew: a shift."
    )
    # orders in
    orders: bool = Field(False, description="Take in orders over HTTP (docs/intake.md).")
    order_host: str = Field(
        "127.0.0.1",
        description="Address at which orders are taken in; other than this machine's only with TLS.",
    )
    order_port: int = Field(
        8084, ge=0, le=65535, description="Port of that; 0 picks a free one and keeps it."
    )
    order_prefix: str = Field(
        "/x_seem_cemo",
        pattern=r"^(/[A-Za-z0-9._-]+)*$",
        description="Prefix of the addresses that take in messages.",
    )
    order_token_path: str = Field(
        "/oauth_token.do",
        pattern=r"^(/[A-Za-z0-9._-]+)+$",
        description="Where an order service gets its token.",
    )
    order_token_s: int = Field(1800, ge=1, le=86_400, description="How long a token is good, seconds.")
    order_body_bytes: int = Field(
        1 << 20, ge=4096, description="Bytes of the largest message that is taken in."
    )
    order_attachment_bytes: int = Field(
        16 << 20, ge=4096, description="Bytes of the largest file that is taken in with an order."
    )
    order_certificate: str = Field(
        "",
        description=(
            "File with the certificate (PEM, with its chain) for TLS where orders are taken in, seen from the data "
            "folder; empty for none."
        ),
    )
    order_certificate_key: str = Field("", description="File with its key (PEM).")
    postcodes: str = Field(
        "",
        description=(
            "File of postcodes, seen from the data folder, by which `tagwatch zone add --postcode` finds places: your "
            "copy of OS Code-Point Open or of the ONS Postcode Directory (docs/zones.md)."
        ),
    )
    # what wearers are told
    wearer_phone: str = Field(
        "",
        max_length=60,
        description=(
            "Telephone number that wearers call, as it stands on their leaflet; empty: a line to write it on by hand."
        ),
    )
    wearer_phone_hours: str = Field(
        "",
        max_length=100,
        description="When somebody answers there, as '24 hours, every day / 24 awr, bob dydd'.",
    )
    clock: Literal["system", "stepped"] = Field(
        "system", description="'stepped' lets the simulator own time, over the control socket."
    )
    clock_trust: Literal["auto", "synchronised", "box"] = Field(
        "auto",
        description=(
            "When this machine's clock is believed: 'synchronised' when a time server keeps it, 'auto' also when there "
            "is a hardware clock, 'box' always. While it is not, silence is measured by what is known to have passed."
        ),
    )
    group_ms: int | None = Field(
        None,
        ge=0,
        le=5000,
        description=(
            "How long a commit waits for more messages to share its write to disk. Longer spares an SD card, shorter "
            "answers sooner. Left out: 20 with the system clock, 0 with the stepped one."
        ),
    )
    group_size: int = Field(1000, ge=1, le=20000, description="Messages in one commit at most.")
    queue_size: int = Field(
        8192,
        ge=16,
        le=65535,
        description=(
            "Messages between socket and disk. The embedded broker sends half as many unacknowledged at most, so "
            "overload waits in the tags' journals, not here."
        ),
    )
    quarantine_rows: int = Field(
        1000,
        ge=1,
        description="Messages that are not authentic kept for each reason; older ones are only counted.",
    )
    quarantine_bytes: int = Field(
        4096, ge=64, description="Bytes kept of each of them; its size and SHA-256 are kept in any case."
    )
    broker_max_payload: int = Field(
        2 * 1024 * 1024,
        ge=4096,
        description="Bytes of a message beyond which the embedded broker cuts a client off.",
    )
    broker_connections: int = Field(
        20_000,
        ge=10,
        description=(
            "Connections that the broker (embedded, or configured by `tagwatch broker config`) has at most. Each that "
            "says nothing holds 20 to 40 KiB until it is cut off."
        ),
    )
    tag_messages_per_s: int = Field(
        300,
        ge=0,
        description=(
            "Messages a second, over 5 s, beyond which what a tag says is not read but left in its journal, and the "
            "broker keeps it out for a minute (an outside one by broker_reload); 0 for no limit. One that obeys the "
            "protocol reaches 150."
        ),
    )
    # who may do what at the broker
    partition_senders: tuple[str, ...] = Field(
        (),
        description=(
            "For test runs only: names of certificates, each with a hyphen, that may say and hear everything at the "
            "broker. A load generator sends so for a whole fleet."
        ),
    )
    broker_folder: Path = Field(
        Path("mosquitto"),
        description=(
            "Where `tagwatch broker config` keeps what an outside broker is configured with, seen from the data folder."
        ),
    )
    broker_reload: str = Field(
        "",
        description=(
            "Command that makes an outside broker read its list of revoked certificates again (see the README that "
            "`tagwatch broker config` writes). It is run whenever a device was revoked, or says too much."
        ),
    )
    near_zone_m: int = Field(
        1000,
        ge=0,
        le=50_000,
        description=(
            "So near an exclusion zone a GPS tag sends every position at once. A kilometre is driven in the minute "
            "between two positions at 60 km/h."
        ),
    )
    store: SecretStr = Field(
        SecretStr("store.sqlite"),
        description=(
            "Where readings, orders and alerts are kept: a SQLite file (a relative path is in the data folder) or a "
            "PostgreSQL database, postgresql://user@host/name. A URL may hold a password; it is never shown."
        ),
    )
    # the second copy
    commit_after: Literal["local", "replica"] = Field(
        "local",
        description=(
            "When a tag may forget a reading: 'local' once it is on this machine's disk, 'replica' once the second "
            "store holds it, too. While that can not be written tags keep everything."
        ),
    )
    replica: SecretStr = Field(
        SecretStr(""),
        description=(
            "The second store, for commit_after = 'replica': a PostgreSQL database on another machine, "
            "postgresql://user@host/name, or a SQLite file on another disk. A password in it is never shown."
        ),
    )
    busy_timeout_ms: int = Field(
        10_000, ge=0, description="How long a write waits for another process's write to the store."
    )
    # keys
    master_key: Path = Field(
        Path("master.key"),
        description=(
            "File with the key under which all other keys are sealed, seen from the data folder. Of use on another "
            "medium than the store: whoever has both has everything. Keep a copy apart from the backups."
        ),
    )
    # operation
    hung_after_s: float = Field(
        30.0,
        ge=0.5,
        le=600,
        description="An ingest that shows no sign of life for so long is ended and started again.",
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto",
        description="'json' logs one object a line, 'text' for people; 'auto' is text on a terminal only.",
    )

    @field_validator("broker")
    @classmethod
    def _broker_is_known(cls, value: str) -> str:
        if value == EMBEDDED:
            return value
        parts = urlsplit(value)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise ValueError("write 'embedded', mqtt://host:port or mqtts://host:port")
        if parts.scheme == "mqtt" and parts.hostname not in LOOPBACK:
            raise ValueError(
                f"mqtt:// to {parts.hostname} would send people's positions readable to anyone on the way: "
                "write mqtts://, or run the broker on this machine"
            )
        return value

    @field_validator("store")
    @classmethod
    def _store_is_known(cls, value: SecretStr) -> SecretStr:
        place = value.get_secret_value()
        if store_url.is_url(place):
            store_url.check(place)
        elif not place:
            raise ValueError("write a path, or postgresql://user@host/name")
        return value

    @field_validator("web_host")
    @classmethod
    def _page_has_an_address(cls, value: str) -> str:
        try:
            return value if value == "localhost" else str(ip_address(value))
        except ValueError:
            raise ValueError(
                f"{value} is not an address; give 127.0.0.1 or ::1, or 0.0.0.0 for other machines to reach the page"
            ) from None

    @field_validator("server_names")
    @classmethod
    def _some_name(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("give at least one name: tags check it")
        return value

    @field_validator("partition_senders")
    @classmethod
    def _no_device(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any("-" not in name or name.startswith("tagwatch-") for name in value):
            raise ValueError("write names with a hyphen that do not begin with tagwatch-: no device has such")
        return value

    @field_validator("replica")
    @classmethod
    def _replica_is_known(cls, value: SecretStr) -> SecretStr:
        if store_url.is_url(value.get_secret_value()):
            store_url.check(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _copied_only_where_it_counts(self) -> Settings:
        named = bool(self.replica.get_secret_value())
        if self.commit_after == "replica" and not named:
            raise ValueError("commit_after is 'replica', and replica names no store: give its URL or path")
        if named and self.commit_after == "local":
            raise ValueError(
                "replica is set, and commit_after is 'local', so nothing would be copied: set commit_after = 'replica'"
            )
        if named and self.replica_place == self.store_place:
            raise ValueError("replica is the store itself: give another machine's, or another disk's")
        return self

    @model_validator(mode="after")
    def _orders_do_not_travel_readable(self) -> Settings:
        if bool(self.order_certificate) != bool(self.order_certificate_key):
            raise ValueError("give both order_certificate and order_certificate_key, or neither")
        if self.order_host not in LOOPBACK and not self.order_certificate:
            raise ValueError(
                f"order_host {self.order_host} can be reached from other machines, and orders would travel readable: "
                "give order_certificate and order_certificate_key, or 127.0.0.1 and a proxy that speaks TLS"
            )
        return self

    @model_validator(mode="after")
    def _certificate_has_its_key(self) -> Settings:
        if bool(self.web_certificate) != bool(self.web_key):
            raise ValueError("web_certificate and web_key belong together: give both or neither")
        return self

    @model_validator(mode="after")
    def _listens_where_it_is_known(self) -> Settings:
        if self.mqtt_host not in (EVERYWHERE, *LOOPBACK, *self.server_names):
            raise ValueError(
                f"mqtt_host {self.mqtt_host} is not among server_names: add it, for tags check the name"
            )
        if self.mqtt_host not in LOOPBACK and self.server_names[0] in LOOPBACK:
            raise ValueError(
                "server_names begins with a name of this machine only: put first what tags shall dial"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the environment, then the data folder's file."""
        data_dir = init_settings().get("data_dir") or env_settings().get("data_dir") or Path("tagwatch-data")
        file = TomlConfigSettingsSource(settings_cls, Path(data_dir) / FILE_NAME)
        return init_settings, env_settings, file

    @classmethod
    def load(cls, data_dir: Path | str | None = None, **overrides: Any) -> Settings:
        """Read the settings; ``overrides`` that are None count as not given.

        Raises SettingsError naming every setting that can not be used.
        """
        given = {name: value for name, value in overrides.items() if value is not None}
        if data_dir is not None:
            given["data_dir"] = Path(data_dir)
        try:
            return cls(**given)
        except ValidationError as error:
            said = in_words(error, "no setting is called so")
            raise SettingsError(f"settings can not be used: {said}") from None
        except ValueError as error:
            file = (Path(data_dir) if data_dir else Path("tagwatch-data")) / FILE_NAME
            raise SettingsError(f"{file} can not be read: {error}") from None

    @property
    def embedded(self) -> bool:
        """Whether the gateway starts its own broker."""
        return self.broker == EMBEDDED

    @property
    def group_s(self) -> float:
        """How long a commit waits for company, seconds."""
        default = 20 if self.clock == "system" else 0
        return (default if self.group_ms is None else self.group_ms) / 1000

    @property
    def store_place(self) -> Path | str:
        """What ``Store.open`` opens: the SQLite file, or a URL, which may hold a password."""
        place = self.store.get_secret_value()
        return place if store_url.is_url(place) else self.data_dir / place

    @property
    def replica_place(self) -> Path | str | None:
        """What holds the second copy: a SQLite file, or a URL, which may hold a password; None where there is none."""
        place = self.replica.get_secret_value()
        if not place:
            return None
        return place if store_url.is_url(place) else self.data_dir / place

    @property
    def store_path(self) -> Path:
        """The SQLite file. Raises SettingsError where the store is a database."""
        place = self.store_place
        if isinstance(place, str):
            raise SettingsError(f"the store is {store_url.shown(place)}, not a file")
        return place

    @property
    def page_on_this_machine(self) -> bool:
        """Whether only this machine can reach the page."""
        return self.web_host == "localhost" or ip_address(self.web_host).is_loopback

    @property
    def authority_dir(self) -> Path:
        """Certificates and the keys that sign them."""
        return self.data_dir / "authority"

    @property
    def broker_dir(self) -> Path:
        """Generated configuration and disposable store of the embedded broker."""
        return self.data_dir / "broker"

    @property
    def mosquitto_dir(self) -> Path:
        """Generated configuration of an outside Mosquitto."""
        return self.data_dir / self.broker_folder

    @property
    def devices_dir(self) -> Path:
        """What each device is provisioned with."""
        return self.data_dir / "devices"

    @property
    def master_key_path(self) -> Path:
        """File of the master key."""
        return self.data_dir / self.master_key

    @property
    def judged_path(self) -> Path:
        """The file of the judging's checkpoints (`gateway.checkpoints`): a cache, made anew where it is missing."""
        return self.data_dir / "judged.sqlite"

    @property
    def control_path(self) -> Path:
        """Unix socket of the ingest."""
        return self.data_dir / "control.sock"

    @property
    def routes_path(self) -> Path:
        """Who is told of which alerts (`gateway.delivery.routes`)."""
        return self.data_dir / "routes.toml"

    @property
    def retention_path(self) -> Path:
        """How long what is kept (`gateway.policy`)."""
        return self.data_dir / "retention.toml"

    @property
    def run_path(self) -> Path:
        """What runs now: ports and process ids, JSON."""
        return self.data_dir / "run.json"

    def environment(self) -> dict[str, str]:
        """These settings as environment variables, so that a child process has exactly the same."""
        document = self.model_dump(mode="json", exclude_none=True)
        document["store"] = self.store.get_secret_value()
        document["replica"] = self.replica.get_secret_value()
        return {
            f"TAGWATCH_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
            for name, value in document.items()
        }
