"""The tag's settings: what is missing or mistyped is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import config
import pytest

GOOD: dict[str, Any] = {
    "device": "gps00001",
    "host": "gateway.example",
    "port": 8883,
    "server_name": "gateway.example",
    "key": "07" * 32,
}


def written(folder: Path, settings: object) -> str:
    """The path of a settings file."""
    path = folder / "config.json"
    path.write_text(settings if isinstance(settings, str) else json.dumps(settings))
    return str(path)


def test_settings_are_read_with_their_defaults(tmp_path: Path) -> None:
    settings = config.load(written(tmp_path, GOOD))
    assert (settings.device, settings.host, settings.port) == ("gps00001", "gateway.example", 8883)
    assert settings.key == b"\x07" * 32
    assert (settings.sample_s, settings.upload_s, settings.every_fix) == (60, 120, False)


def test_settings_may_be_set(tmp_path: Path) -> None:
    settings = config.load(written(tmp_path, {**GOOD, "sample_s": 15, "upload_s": 30, "every_fix": True}))
    assert (settings.sample_s, settings.upload_s, settings.every_fix) == (15, 30, True)


@pytest.mark.parametrize("name", GOOD)
def test_a_missing_setting_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=rf"no '{name}': provision"):
        config.load(written(tmp_path, {key: value for key, value in GOOD.items() if key != name}))


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("port", "8883", "not of type int"),
        ("port", True, "not of type int"),
        ("port", 0, "not within 1 to 65535"),
        ("sample_s", 0, "not within"),
        ("upload_s", 1.5, "not of type int"),
        ("every_fix", 1, "not of type bool"),
        ("host", None, "not of type str"),
        ("device", "GPS-1", "not 4 to 16 of a-z 0-9"),
        ("device", "gps", "not 4 to 16"),
        ("key", "07" * 31, "not 32 bytes"),
        ("key", "zz" * 32, "not 32 bytes"),
    ],
)
def test_an_ill_typed_setting_is_named(tmp_path: Path, name: str, value: object, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        config.load(written(tmp_path, {**GOOD, name: value}))
    assert name in str(refused.value)
    if name == "key":
        assert str(value) not in str(refused.value), "the key is a secret"


@pytest.mark.parametrize(("text", "why"), [("{", "not JSON"), ("[]", "not a JSON object")])
def test_a_file_that_is_not_settings_is_named(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        config.load(written(tmp_path, text))


def test_no_file_is_told() -> None:
    with pytest.raises(ValueError, match=r"/nowhere/config\.json is not there: provision the tag"):
        config.load("/nowhere/config.json")
