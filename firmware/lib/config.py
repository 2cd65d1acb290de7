"""The tag's settings, from ``/config.json`` on its flash; written when the tag is provisioned."""

import json

_REQUIRED = {"device": str, "host": str, "port": int, "server_name": str, "key": str}
_OPTIONAL = {"sample_s": 60, "upload_s": 120, "every_fix": False, "tls": True}
_KEY_BYTES = 32


class Config:
    """Settings of one tag; see :func:`load`."""

    def __init__(self, settings: dict[str, object], path: str) -> None:
        for name, kind in _REQUIRED.items():
            if name not in settings:
                raise ValueError("%s has no %r: provision the tag again" % (path, name))
            _check(path, name, settings[name], kind)
        for name, default in _OPTIONAL.items():
            _check(path, name, settings.setdefault(name, default), type(default))
        self.device = str(settings["device"])
        self.host = str(settings["host"])
        self.port = _whole(path, settings, "port", 1, 65535)
        self.server_name = str(settings["server_name"])
        self.key = _key(path, str(settings["key"]))
        self.sample_s = _whole(path, settings, "sample_s", 1, 86400)
        self.upload_s = _whole(path, settings, "upload_s", 1, 86400)
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


def _key(path: str, text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        # the key itself is never shown
        raise ValueError("%s: 'key' is not %d bytes in hexadecimal" % (path, _KEY_BYTES))
    return key


def load(path: str) -> Config:
    """Settings from the JSON file ``path``.

    ``device``, ``host``, ``port``, ``server_name`` and ``key`` (hexadecimal) must be there; ``sample_s`` 60,
    ``upload_s`` 120, ``every_fix`` false and ``tls`` true are the defaults. Raises ValueError that names the file, the
    setting and what is wrong with it.
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
    return Config(settings, path)
