"""The tables. Instants are UTC milliseconds; ``received_ms`` and ``*_at_ms`` are gateway time, ``*_t_ms`` tag time.

What was made when stands in ``migrations/``; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
)

metadata = MetaData()

# SQLite counts up by itself only for a column that is called INTEGER.
_SERIAL = BigInteger().with_variant(Integer, "sqlite")

meta = Table(
    "meta",
    metadata,
    Column(
        "name",
        Text,
        primary_key=True,
        doc="generation, changes, commands, judged_ms, told_from_ms, healthy_ms, judged_envelope, judged_changes, "
        "scrub_due, alert_from, alert_revision_from",
    ),
    Column("value", BigInteger, nullable=False),
)

counter = Table(
    "counter",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

device = Table(
    "device",
    metadata,
    Column("id", Text, primary_key=True, doc="[a-z0-9]{4,16}"),
    Column("key", LargeBinary, nullable=False, doc="256-bit MAC key, sealed: gateway/seal.py"),
    Column("certificate", LargeBinary, nullable=False, doc="DER"),
    Column("added_at_ms", BigInteger, nullable=False),
    Column("revoked_at_ms", BigInteger),
    Column(
        "kind", Text, nullable=False, server_default="gps_tag", doc="gps_tag, rf_tag, home_unit, alcohol_tag"
    ),
)

device_key = Table(
    "device_key",
    metadata,
    Column("device", Text, ForeignKey("device.id"), primary_key=True),
    Column(
        "number", BigInteger, primary_key=True, autoincrement=False, doc="the how manieth key of its device"
    ),
    Column(
        "use", Text, nullable=False, doc="next: not used yet; retired: before the one in device; shredded"
    ),
    Column("key", LargeBinary, nullable=False, doc="sealed: gateway/seal.py; empty where shredded"),
    Column("over_air", Boolean, nullable=False, doc="next: the device is told by a command"),
    Column("made_at_ms", BigInteger, nullable=False),
    Column("from_ms", BigInteger, doc="retired: when it was first used"),
    Column("until_ms", BigInteger, doc="retired: when the one after it was first used"),
    Index("device_key_by_use", "use", "device", "number"),
)

device_certificate = Table(
    "device_certificate",
    metadata,
    Column("device", Text, ForeignKey("device.id"), primary_key=True),
    Column("serial", Text, primary_key=True, doc="of the certificate, hexadecimal"),
    Column("use", Text, nullable=False, doc="next: not shown yet; retired: before the one in device"),
    Column("certificate", LargeBinary, nullable=False, doc="DER"),
    Column("made_at_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger, doc="next: from then on the one in device is not let in any more"),
)

# --- devices in stock: gateway/stock, store/stock.py; rows are only ever added ---

device_event = Table(
    "device_event",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    Column("device", Text, ForeignKey("device.id"), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("what", Text, nullable=False, doc="see store/stock.py"),
    Column("by", Text, nullable=False, doc="who, by name"),
    Column("reason", Text, nullable=False),
    Column("about", Text, nullable=False, doc="activation, visit or finding, or ''"),
    Index("device_event_by_device", "device", "id"),
    sqlite_autoincrement=True,
)

device_fault = Table(
    "device_fault",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    Column("device", Text, ForeignKey("device.id"), nullable=False),
    Column("sensor", Text, nullable=False, doc="which of its sensors; '': all of it"),
    Column("from_ms", BigInteger, nullable=False, doc="tag time"),
    Column("to_ms", BigInteger, doc="tag time, not included; none: from then on"),
    Column("at_ms", BigInteger, nullable=False, doc="when it was found"),
    Column("by", Text, nullable=False, doc="who has found it, by name"),
    Column("reason", Text, nullable=False),
    Column(
        "takes_back",
        BigInteger().with_variant(Integer, "sqlite"),
        ForeignKey("device_fault.id"),
        doc="this is no finding, but says that one was wrong",
    ),
    UniqueConstraint("takes_back", name="device_fault_taken_back_once"),
    sqlite_autoincrement=True,
)

heard = Table(
    "heard",
    metadata,
    Column("device", Text, ForeignKey("device.id"), primary_key=True),
    Column("received_ms", BigInteger, nullable=False, doc="its newest authentic message, whatever it held"),
)

order_version = Table(
    "order_version",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("effective_ms", BigInteger, nullable=False, doc="from when it holds"),
    Column("known_at_ms", BigInteger, nullable=False, doc="when the gateway learnt of it"),
    Column("wearer_id", Text, nullable=False),
    Column("wearer_name", Text, nullable=False),
    Column("document", Text, nullable=False, doc="the typed order, JSON as given"),
)

order_due = Table(
    "order_due",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column(
        "due_ms", BigInteger, nullable=False, doc="when to see whether a tag is worn; 0: as soon as may be"
    ),
    Index("order_due_by_time", "due_ms"),
)

activation = Table(
    "activation",
    metadata,
    Column("id", Text, primary_key=True, doc="{device}-{n}, n-th wearing of that device"),
    Column("device", Text, ForeignKey("device.id"), nullable=False),
    Column("order_id", Text, nullable=False),
    Column("fitted_ms", BigInteger, nullable=False, doc="tag time"),
    Column("removed_ms", BigInteger, doc="tag time"),
    Index("activation_by_device", "device", "fitted_ms"),
)

installation = Table(
    "installation",
    metadata,
    Column("unit", Text, ForeignKey("device.id"), primary_key=True, doc="the home unit's device id"),
    Column("activation", Text, ForeignKey("activation.id"), primary_key=True),
    Column("installed_ms", BigInteger, primary_key=True, doc="the unit's time"),
    Column("removed_ms", BigInteger, doc="the unit's time"),
    Column("place", Integer, nullable=False, doc="of its address in the order's list, from 0"),
)

envelope = Table(
    "envelope",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    Column("device", Text, ForeignKey("device.id"), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("wide", Boolean, nullable=False, doc="its numbers span more than a run of readings can"),
    Column("first_t_ms", BigInteger, doc="tag time of its earliest dated reading"),
    Column("last_t_ms", BigInteger),
    Column("received_ms", BigInteger, nullable=False),
    Column("fresh", Text, doc="JSON [[first, last], ...]: which of its numbers count; none: all of them"),
    Column("data", LargeBinary, nullable=False, doc="the signed envelope as received"),
    Index("envelope_by_number", "device", "epoch", "wide", "first_seq"),
    Index("envelope_by_time", "device", "last_t_ms"),
)

sequence_range = Table(
    "sequence_range",
    metadata,
    Column("device", Text, ForeignKey("device.id"), primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("first", BigInteger, primary_key=True),
    Column("last", BigInteger, nullable=False),
    Column("how", Integer, nullable=False, doc="1 stored, 2 gap, 3 unread, 4 forgotten"),
)

gap = Table(
    "gap",
    metadata,
    Column("device", Text, ForeignKey("device.id"), primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True, doc="number of the gap record itself"),
    Column("first", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("reason", Integer, nullable=False, doc="1 journal full, 2 unreadable"),
)

conflict = Table(
    "conflict",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    Column("device", Text, ForeignKey("device.id"), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False, doc="of data"),
    Column("data", LargeBinary, nullable=False, doc="the envelope that disagrees with the evidence"),
    UniqueConstraint("device", "epoch", "first_seq", "sha256", name="conflict_once"),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    Column("received_ms", BigInteger, nullable=False, doc="first time"),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("authentic", Boolean, nullable=False, doc="the MAC was right"),
    Column(
        "unread", Boolean, nullable=False, doc="some of its numbers were committed as unread: never pruned"
    ),
    Column("size", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("data", LargeBinary, nullable=False, doc="its beginning"),
    Column("times", BigInteger, nullable=False, doc="how often the same bytes came"),
    UniqueConstraint("reason", "topic", "sha256", name="quarantine_once"),
    Index("quarantine_by_reason", "reason", "unread", "id"),
)

alert = Table(
    "alert",
    metadata,
    Column("number", _SERIAL, primary_key=True, doc="what people call it"),
    Column("id", Text, nullable=False, unique=True, doc="hash of what it is about"),
    Column("revision", Integer, nullable=False),
    Column("device", Text, ForeignKey("device.id"), doc="none where it is about an order without a tag"),
    Column("activation", Text, doc="none for equipment that nobody wears, and for an order without a tag"),
    Column("rule", Text, nullable=False),
    Column("state", Text, nullable=False, doc="open, ended, withdrawn"),
    Column("severity", Text, nullable=False),
    Column("start_ms", BigInteger, nullable=False, doc="tag time"),
    Column("raised_at_ms", BigInteger, nullable=False),
    Column("changed_at_ms", BigInteger, nullable=False),
    Column("document", Text, nullable=False, doc="the alert, JSON"),
    Column("order_id", Text, doc="of an alert about an order under which nobody wears a tag"),
    Index("alert_by_device", "device"),
    Index("alert_by_order", "order_id"),
    sqlite_autoincrement=True,
)

alert_revision = Table(
    "alert_revision",
    metadata,
    Column("number", _SERIAL, primary_key=True, doc="counts every change of every alert: the page's notices"),
    Column("alert", BigInteger().with_variant(Integer, "sqlite"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
    ForeignKeyConstraint(["alert"], ["alert.number"]),
    UniqueConstraint("alert", "revision", name="alert_revision_once"),
    sqlite_autoincrement=True,
)

look = Table(
    "look",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("viewer", Text, nullable=False, doc="who looked"),
    Column("view", Text, nullable=False, doc="the page or call"),
    Column("about", Text, nullable=False, doc="JSON: the alerts and activations that were shown"),
    sqlite_autoincrement=True,
)

command = Table(
    "command",
    metadata,
    Column("device", Text, ForeignKey("device.id"), primary_key=True),
    Column("generation", BigInteger, primary_key=True, autoincrement=False),
    Column(
        "n", BigInteger, primary_key=True, autoincrement=False, doc="1, 2, 3 … within device and generation"
    ),
    Column("name", Text, nullable=False),
    Column("arguments", Text, nullable=False, doc="JSON, by name; see gateway/commands.py"),
    Column("made_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False, doc="from then on it is not said any more"),
    Column("epoch", BigInteger, doc="of the reading that acknowledged it"),
    Column("seq", BigInteger),
    Column("outcome", Integer, doc="0 done, 1 not understood, 2 failed, 3 refused; none: not acknowledged"),
    Column("given_by", Text, nullable=False, server_default="", doc="'gateway', or who; '' before form 0004"),
    Column(
        "lost",
        Boolean,
        nullable=False,
        server_default=false(),
        doc="the device has told that it can not read any more what this command set",
    ),
    Index("command_by_outcome", "outcome", "expires_at_ms"),
)

# --- delivery of alerts to people: gateway/delivery, store/outbox.py ---

telling = Table(
    "telling",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    Column("alert", BigInteger().with_variant(Integer, "sqlite"), ForeignKey("alert.number"), nullable=False),
    Column("revision", Integer, nullable=False, doc="a revision that people are to be told of"),
    Column("state", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("start_ms", BigInteger, nullable=False, doc="tag time"),
    Column("at_ms", BigInteger, nullable=False),
    Column("decided_ms", BigInteger, doc="when it was decided who is told; none: not yet"),
    Column("outcome", Text, doc="told, merged, unchanged, before, acknowledged; none: not decided"),
    Column("doubtful", Boolean, nullable=False, server_default=false(), doc="a faulty device has fed it"),
    Column(
        "only_doubt",
        Boolean,
        nullable=False,
        server_default=false(),
        doc="nothing else has changed: who never heard of the alert is not told",
    ),
    UniqueConstraint("alert", "revision", name="telling_once"),
    Index("telling_by_outcome", "outcome", "alert", "id"),
    sqlite_autoincrement=True,
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    Column("alert", BigInteger().with_variant(Integer, "sqlite"), ForeignKey("alert.number"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("state", Text, nullable=False, doc="of the alert in that revision"),
    Column("severity", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("contact", Text, nullable=False),
    Column(
        "round", Integer, nullable=False, doc="0 first, then one more whenever nobody acknowledged in time"
    ),
    Column("key", Text, nullable=False, unique=True, doc="the same in every repetition of one message"),
    Column("digest", Boolean, nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    Column("next_ms", BigInteger, nullable=False, doc="not tried before"),
    Column("attempts", Integer, nullable=False, doc="begun, over the contact's own path"),
    Column("sms_next_ms", BigInteger, nullable=False),
    Column("sms_attempts", Integer, nullable=False, doc="begun, over the modem"),
    Column("error", Text, doc="what came of the last attempt"),
    Column("done_ms", BigInteger),
    Column("outcome", Text, doc="sent, sent by sms, dropped: why; none: waits"),
    Column("doubtful", Boolean, nullable=False, server_default=false()),
    Index("delivery_by_outcome", "outcome", "contact", "next_ms"),
    Index("delivery_by_alert", "alert"),
    sqlite_autoincrement=True,
)

escalation = Table(
    "escalation",
    metadata,
    Column(
        "alert", BigInteger().with_variant(Integer, "sqlite"), ForeignKey("alert.number"), primary_key=True
    ),
    Column("route", Text, primary_key=True),
    Column("revision", Integer, nullable=False, doc="this or a later one is to be acknowledged"),
    Column("began_ms", BigInteger, nullable=False),
    Column("round", Integer, nullable=False, doc="the last one that was told"),
    Column("next_ms", BigInteger, nullable=False),
    Column("outcome", Text, doc="acknowledged, withdrawn, route gone; none: waits for somebody"),
    Index("escalation_by_outcome", "outcome", "next_ms"),
)

acknowledgement = Table(
    "acknowledgement",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    Column("alert", BigInteger().with_variant(Integer, "sqlite"), ForeignKey("alert.number"), nullable=False),
    Column("revision", Integer, nullable=False, doc="the newest that could be seen"),
    Column("person", Text, nullable=False, doc="by name"),
    Column("at_ms", BigInteger, nullable=False),
    Column("note", Text, nullable=False, server_default="", doc="what the person wrote beside it"),
    Column("account", Text, doc="who was signed in; none: by the command"),
    Index("acknowledgement_by_alert", "alert"),
    sqlite_autoincrement=True,
)

path = Table(
    "path",
    metadata,
    Column("contact", Text, primary_key=True, doc="a contact of routes.toml, or 'modem'"),
    Column("failing_ms", BigInteger, doc="since when nothing got through; none: the last attempt did"),
    Column("failures", Integer, nullable=False, doc="in a row"),
    Column("retry_ms", BigInteger, nullable=False, doc="not tried before"),
    Column("sent_ms", BigInteger),
    Column("error", Text),
)

# --- deletion by policy, with proof: gateway/retention.py, store/erasures.py ---

closure = Table(
    "closure",
    metadata,
    Column("order_id", Text, primary_key=True, doc="nobody is judged by it any more; what was said stands"),
    Column("at_ms", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
)

hold = Table(
    "hold",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    Column("scope", Text, nullable=False, doc="order, activation, device, alert or everything"),
    Column("name", Text, nullable=False, doc="its id or number; '' for everything"),
    Column("who", Text, nullable=False, doc="who demands it"),
    Column("why", Text, nullable=False),
    Column("from_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger, doc="none: until it is lifted"),
    Column("lifted_ms", BigInteger),
    Column("lifted_by", Text),
    sqlite_autoincrement=True,
)

erasure = Table(
    "erasure",
    metadata,
    Column("id", _SERIAL, primary_key=True, doc="1, 2, 3 …: the chain of proofs, never changed"),
    Column("run", Text, nullable=False, doc="the same for all that one run of the policy has deleted"),
    Column("at_ms", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
    Column("kind", Text, nullable=False, doc="a kind of gateway/policy.py, or keys"),
    Column("about", Text, nullable=False, doc="JSON: of what, and how many rows of which table"),
    Column("version", Text, nullable=False, doc="of the policy"),
    Column("policy", Text, nullable=False, doc="the policy, word by word"),
    Column("items", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("root", Text, nullable=False, doc="Merkle tree (RFC 6962, SHA-256) over what was deleted, hex"),
    Column("previous", Text, nullable=False, doc="the hash of the proof before, 64 zeros at the first"),
    Column("hash", Text, nullable=False, doc="SHA-256 over all of this and over its rows of erased, hex"),
    sqlite_autoincrement=True,
)

erased = Table(
    "erased",
    metadata,
    Column(
        "erasure", BigInteger().with_variant(Integer, "sqlite"), ForeignKey("erasure.id"), primary_key=True
    ),
    Column("device", Text, primary_key=True, doc="'' where it was of none"),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False, doc="0 for what has no epoch"),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("spans", Text, nullable=False, doc="JSON [[first, last], ...]: which numbers are gone"),
    Column("first_t_ms", BigInteger, doc="tag time of the earliest dated reading"),
    Column("last_t_ms", BigInteger),
    Column("leaves", LargeBinary, nullable=False, doc="32 bytes for each that was deleted, in their order"),
    Index("erased_by_number", "device", "epoch", "first"),
)

# --- the second copy: gateway/replica.py, store/copying.py ---

replica = Table(
    "replica",
    metadata,
    Column(
        "name",
        Text,
        primary_key=True,
        doc="pair; here: resync, copied, forgotten, forgotten_mark; on the copy: generation, changes, mark, envelopes",
    ),
    Column("value", BigInteger, nullable=False),
)

replica_change = Table(
    "replica_change",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    Column("of_table", Text, nullable=False),
    Column("row_key", Text, nullable=False, doc="JSON: the values of its primary key"),
    Column(
        "mark", BigInteger, nullable=False, server_default="0", doc="drawn at random: no other change has it"
    ),
    sqlite_autoincrement=True,
)

# --- who is kept out for a while: store/devices.py ---

barred = Table(
    "barred",
    metadata,
    Column("device", Text, ForeignKey("device.id"), primary_key=True),
    Column("until_ms", BigInteger, nullable=False, doc="by the clock of the box"),
)

# --- orders as they come in: gateway/orders, store/intake.py, store/order_clients.py ---

order_client = Table(
    "order_client",
    metadata,
    Column("name", Text, primary_key=True, doc="its client id, and its user name"),
    Column("secret", Text, nullable=False, doc="scrypt: gateway/orders/clients.py"),
    Column("password", Text, nullable=False, doc="scrypt"),
    Column("added_at_ms", BigInteger, nullable=False),
    Column("revoked_at_ms", BigInteger),
)

order_token = Table(
    "order_token",
    metadata,
    Column("hash", Text, primary_key=True, doc="SHA-256 of the token, hex"),
    Column("client", Text, ForeignKey("order_client.name"), nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Index("order_token_by_end", "expires_ms"),
)

order_case = Table(
    "order_case",
    metadata,
    Column("id", Text, primary_key=True, doc="32 hexadecimal digits: what the order service is told"),
    Column("kind", Text, nullable=False, doc="wearer or order"),
    Column("wearer", Text, doc="of an order: the id of its wearer's case; none where it named nobody"),
    Column("reference", Text, nullable=False, doc="of an order: what the order service calls it, or ''"),
    Column("added_at_ms", BigInteger, nullable=False),
    Index("order_case_by_wearer", "wearer"),
)

order_identity = Table(
    "order_identity",
    metadata,
    Column("case_id", Text, ForeignKey("order_case.id"), primary_key=True, doc="of a wearer"),
    Column("token", Text, primary_key=True, doc="'pnc_id=...', or 'person=' with name and date of birth"),
    Index("order_identity_by_token", "token"),
)

order_message = Table(
    "order_message",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    Column("case_id", Text, ForeignKey("order_case.id"), nullable=False, doc="what it made or changed"),
    Column("operation", Text, nullable=False, doc="createDW, updateCPMO, ..."),
    Column("client", Text, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False, doc="of data, hex"),
    Column("content", Text, nullable=False, doc="SHA-256 of what it says, however it is written, hex"),
    Column("data", LargeBinary, nullable=False, doc="as received"),
    Column("times", BigInteger, nullable=False, doc="how often it came"),
    Column("last_ms", BigInteger, nullable=False),
    UniqueConstraint("operation", "content", name="order_message_once"),
    Index("order_message_by_case", "case_id", "id"),
    sqlite_autoincrement=True,
)

order_attachment = Table(
    "order_attachment",
    metadata,
    Column("id", Text, primary_key=True, doc="32 hexadecimal digits; its bytes lie in a file of that name"),
    Column("case_id", Text, ForeignKey("order_case.id"), nullable=False),
    Column("file_name", Text, nullable=False, doc="as told; nothing is opened by it"),
    Column("about", Text, nullable=False, doc="the table that the order service named"),
    Column("client", Text, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    UniqueConstraint("case_id", "file_name", "sha256", name="order_attachment_once"),
)

order_attachment_piece = Table(
    "order_attachment_piece",
    metadata,
    Column("attachment", Text, ForeignKey("order_attachment.id"), primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False, doc="0, 1, 2 …"),
    Column("data", LargeBinary, nullable=False, doc="its bytes, where the second store is to have them"),
)

order_task = Table(
    "order_task",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("kind", Text, nullable=False, doc="see gateway/orders/tasks.py"),
    Column("about", Text, nullable=False, doc="which part of the order: a condition, a field, or ''"),
    Column("sentence", Text, nullable=False),
    Column("version", Integer, nullable=False, doc="of the order, in which it was found last"),
    Column("raised_ms", BigInteger, nullable=False),
    Column("done_ms", BigInteger, doc="none: somebody has to see to it"),
    Column("done_by", Text, doc="who, or 'version N' where that has settled it"),
    Column("note", Text, doc="what was done"),
    UniqueConstraint("order_id", "kind", "about", name="order_task_once"),
    Index("order_task_by_state", "done_ms", "id"),
    sqlite_autoincrement=True,
)

order_change = Table(
    "order_change",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("version", Integer, nullable=False, doc="the first that it made; where it made none, the newest"),
    Column("last_version", Integer, doc="the last that it made; none: it is a record that changed nothing"),
    Column("kind", Text, nullable=False, doc="gateway/orders/kinds.py"),
    Column("by", Text, nullable=False, doc="who, by name"),
    Column("at_ms", BigInteger, nullable=False, doc="when it was recorded, gateway time"),
    Column("effective_ms", BigInteger, nullable=False, doc="from when it acts"),
    Column("reason", Text, nullable=False),
    Column("document", Text, nullable=False, doc="JSON: consent, circumstances, what was asked for, ..."),
    Column("identity", Text, nullable=False, doc="SHA-256 of what was asked for, hex: the same asked twice"),
    Index("order_change_by_order", "order_id", "id"),
    sqlite_autoincrement=True,
)

# --- who may look and act: gateway/users.py, gateway/sign_in.py, store/accounts.py ---

account = Table(
    "account",
    metadata,
    Column(
        "name",
        Text,
        primary_key=True,
        doc="by which one signs in; never deleted, for acknowledgements name it",
    ),
    Column("full_name", Text, nullable=False),
    Column("role", Text, nullable=False, doc="gateway/users.py"),
    Column("password", Text, doc="Argon2id, in PHC form; none: it can not sign in on the page"),
    Column("password_ms", BigInteger, doc="when it was set"),
    Column("once", Boolean, nullable=False, doc="the password is for one sign-in, and must be changed there"),
    Column("made_ms", BigInteger, nullable=False),
    Column("disabled_ms", BigInteger),
)

session = Table(
    "session",
    metadata,
    Column("id", Text, primary_key=True, doc="SHA-256 of the token in the browser's cookie, hex"),
    Column("account", Text, ForeignKey("account.name"), nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False, doc="when the person last did something, to the minute"),
    Column("address", Text, nullable=False, doc="where the person signed in from"),
    Column("ended_ms", BigInteger),
    Column("why", Text, doc="why it ended"),
    Index("session_by_account", "account", "ended_ms"),
)

access_token = Table(
    "access_token",
    metadata,
    Column("id", Text, primary_key=True, doc="the part of the token that may be shown"),
    Column("account", Text, ForeignKey("account.name"), nullable=False),
    Column("hash", Text, nullable=False, doc="SHA-256 of the whole token, hex"),
    Column("purpose", Text, nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger, doc="when it was last used, to the hour"),
    Column("revoked_ms", BigInteger),
)

# --- enrolment bundles: gateway/fitting/issuing.py, store/bundles.py ---

bundle = Table(
    "bundle",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, ForeignKey("account.name"), nullable=False, doc="the officer who may use it"),
    Column("issued_ms", BigInteger, nullable=False, doc="gateway time"),
    Column("expires_ms", BigInteger, nullable=False, doc="until then a visit may be begun with it"),
    Column("revoked_ms", BigInteger),
    Column("orders", Text, nullable=False, doc="JSON: for which orders"),
    Column("devices", Text, nullable=False, doc="JSON: whose keys are in it"),
)

bundle_visit = Table(
    "bundle_visit",
    metadata,
    Column("bundle", Text, ForeignKey("bundle.id"), primary_key=True),
    Column("order_id", Text, primary_key=True),
    Column("visit", Text, nullable=False, doc="the one visit to that order that it was used for"),
    Column("at_ms", BigInteger, nullable=False, doc="when the gateway was told, gateway time"),
)
