"""The tag's settings: those it was provisioned with, in ``/config.json``, and those that the gateway may change."""

import json
from array import array

import cbor
import kept
import policy
from commands import DONE, NOT_UNDERSTOOD, REFUSED
from records import DATE_SUSPECT, QUALITY_MASK, UNSET

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from folder import Folder

_REQUIRED = {"device": str, "host": str, "port": int, "server_name": str, "key": str}
# The journal's 640 KiB are of 1 MiB of flash; the rest is for certificates and for LittleFS to copy while it writes.
_OPTIONAL = {"upload_s": 120, "every_fix": False, "tls": True, "journal_kib": 640, "key_before": ""}
_KEY_BYTES = 32


class Config:
    """Settings of one tag; see :func:`load`."""

    def __init__(self, settings: dict[str, object], path: str) -> None:
        for name, kind in _REQUIRED.items():
            if name not in settings:
                raise ValueError("%s has no %r: provision the tag again" % (path, name))
            _check(path, name, settings[name], kind)
        _check(path, "sample_s", settings["sample_s"], int)
        for name, default in _OPTIONAL.items():
            _check(path, name, settings.setdefault(name, default), type(default))
        self.device = str(settings["device"])
        self.host = str(settings["host"])
        self.port = _whole(path, settings, "port", 1, 65535)
        self.server_name = str(settings["server_name"])
        self.key = self.provisioned_key = _key(path, "key", str(settings["key"]))
        before = str(settings["key_before"])
        self.key_before = _key(path, "key_before", before) if before else b""
        self.sample_s = _whole(path, settings, "sample_s", 1, 86400)
        self.upload_s = _whole(path, settings, "upload_s", 1, 86400)
        self.journal_kib = _whole(path, settings, "journal_kib", 16, 65536)
        self.every_fix = settings["every_fix"] is True
        self.tls = settings["tls"] is True
        if not 4 <= len(self.device) <= 16 or not all(
            letter in "abcdefghijklmnopqrstuvwxyz0123456789" for letter in self.device
        ):
            raise ValueError("%s: device %r is not 4 to 16 of a-z 0-9" % (path, self.device))


def _check(path: str, name: str, value: object, kind: type) -> None:
    # bool is an int to Python, but "port": true is a mistake
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError("%s: %r is %r, not of type %s" % (path, name, value, kind.__name__))


def _whole(path: str, settings: dict[str, object], name: str, low: int, high: int) -> int:
    value = settings[name]
    if not isinstance(value, int) or not low <= value <= high:
        raise ValueError("%s: %r is %r, not within %d to %d" % (path, name, value, low, high))
    return value


def _key(path: str, name: str, text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        # the key itself is never shown
        raise ValueError("%s: %r is not %d bytes in hexadecimal" % (path, name, _KEY_BYTES))
    return key


def load(path: str, sample_s: int = 60) -> Config:
    """Settings from the JSON file ``path``.

    ``device``, ``host``, ``port``, ``server_name`` and ``key`` (hexadecimal) must be there; ``sample_s`` as given,
    ``upload_s`` 120, ``journal_kib`` 640, ``every_fix`` false and ``tls`` true are the defaults; ``key_before`` is the
    key that ``key`` takes the place of. Raises ValueError that names the file, the setting and what is wrong with it.
    """
    try:
        with open(path) as file:
            settings = json.load(file)
    except OSError:
        raise ValueError("%s is not there: provision the tag" % path) from None
    except ValueError:
        raise ValueError("%s is not JSON: provision the tag again" % path) from None
    if not isinstance(settings, dict):
        raise ValueError("%s is not a JSON object: provision the tag again" % path)
    settings.setdefault("sample_s", sample_s)
    return Config(settings, path)


# keys of the command's map, see docs/protocol.md "Commands"
SAMPLE_S, UPLOAD_S, PURSUIT_S, AT_ONCE_TIMES, AT_ONCE_PLACES = range(1, 6)
_BOUNDS = {SAMPLE_S: (1, 3600), UPLOAD_S: (1, 3600), PURSUIT_S: (1, 60)}
PURSUIT_DEFAULT_S = 15
MOST_TIMES = 64  # intervals: a month of nights, and as many again
MOST_PLACES = 8
_MOST_RADIUS_M = 100000
_FILE = "settings"
_MOST_U32 = 0xFFFFFFFF


class Changeable:
    """The settings that the gateway may change by command, kept apart from the provisioned ones.

    ``sample_s`` and ``upload_s`` begin as provisioned; ``pursuit_s`` is the sampling interval in pursuit.
    ``lost``: what stood on flash could not be read, and all are as provisioned.
    """

    def __init__(self, provisioned: Config, folder: "Folder") -> None:
        self.lost = False
        self._defaults = {
            SAMPLE_S: provisioned.sample_s,
            UPLOAD_S: provisioned.upload_s,
            PURSUIT_S: PURSUIT_DEFAULT_S,
        }
        self._folder = folder
        self._changed: dict[int, object] = {}
        try:
            data = kept.read(folder, _FILE)
            if data is not None:
                changed = cbor.decode(data)
                if not isinstance(changed, dict) or _judge(changed) != DONE:
                    raise ValueError("settings that no command could have set")
                self._changed = changed
        except ValueError:
            self.lost = True
        self._apply()

    def change(self, arguments: list[object]) -> int:
        """The command ``settings``: all of it is taken, or none; its outcome. Raises OSError when flash refuses.

        ``arguments`` is a list of one map. A key that is left out stays as it is; null makes it what was provisioned.
        """
        (wish,) = arguments
        if not isinstance(wish, dict):
            return NOT_UNDERSTOOD
        outcome = _judge(wish)
        if outcome != DONE:
            return outcome
        changed = self._changed.copy()
        for key, value in wish.items():
            if value is None:
                changed.pop(key, None)
            else:
                changed[key] = value
        kept.write(self._folder, _FILE, cbor.encode(changed))
        self._changed = changed
        self.lost = False
        self._apply()
        return DONE

    def timed(self, t_ds: int, flags: int) -> bool:
        """Whether an instant lies in one of the times at which nothing waits: one not known, or in doubt, may."""
        known = flags & QUALITY_MASK != UNSET and not flags & DATE_SUSPECT
        return policy.in_times(self._times, t_ds // 10 if known else None)

    def at_once(self, t_ds: int, flags: int, lat_e7: int, lon_e7: int, precision_dm: int) -> bool:
        """Whether a position at that instant and place is to be uploaded at once.

        A time that is not known, or in doubt, may lie in any of the intervals; a position that is not precise, near
        any place that its error reaches.
        """
        return self.timed(t_ds, flags) or policy.near_places(self._places, lat_e7, lon_e7, precision_dm)

    def _apply(self) -> None:
        self.sample_s = self._number(SAMPLE_S)
        self.upload_s = self._number(UPLOAD_S)
        self.pursuit_s = self._number(PURSUIT_S)
        self._times = array("I", self._numbers(AT_ONCE_TIMES))
        self._places = array("i", self._numbers(AT_ONCE_PLACES))

    def _numbers(self, key: int) -> list[int]:
        value = self._changed.get(key)
        return value if isinstance(value, list) else []

    def _number(self, key: int) -> int:
        value = self._changed.get(key, self._defaults[key])
        assert isinstance(value, int)
        return value


def _judge(wish: dict[int, object]) -> int:
    """DONE where every setting of a map may be set, else NOT_UNDERSTOOD or REFUSED."""
    outcome = DONE
    for key, value in wish.items():
        if not SAMPLE_S <= key <= AT_ONCE_PLACES:
            return NOT_UNDERSTOOD
        if value is None:
            continue
        if key in _BOUNDS:
            if type(value) is not int:
                return NOT_UNDERSTOOD
            low, high = _BOUNDS[key]
            good = low <= value <= high
        else:
            if not isinstance(value, list) or not all(type(number) is int for number in value):
                return NOT_UNDERSTOOD
            good = _times_good(value) if key == AT_ONCE_TIMES else _places_good(value)
        if not good:
            outcome = REFUSED
    return outcome


def _times_good(times: list[int]) -> bool:
    if len(times) % 2 or len(times) > 2 * MOST_TIMES:
        return False
    return all(times[i] < times[i + 1] for i in range(len(times) - 1)) and (
        not times or (times[0] >= 0 and times[-1] <= _MOST_U32)
    )


def _places_good(places: list[int]) -> bool:
    if len(places) % 3 or len(places) > 3 * MOST_PLACES:
        return False
    return all(
        abs(places[i]) <= 900000000
        and abs(places[i + 1]) <= 1800000000
        and 1 <= places[i + 2] <= _MOST_RADIUS_M
        for i in range(0, len(places), 3)
    )
