"""Every setting told: what it means, its default, what it is here and where that comes from; and all as a file."""

from __future__ import annotations

import json
import os
import textwrap
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import SecretStr

from gateway import store_url
from gateway.settings import FILE_NAME, Settings

Source = Literal["default", "file", "environment"]

_PREFIX = "TAGWATCH_"
_NOT_IN_A_FILE = ("data_dir",)
"""The file lies in it."""


@dataclass(frozen=True, slots=True)
class Told:
    """One setting. Values are as JSON has them; of a secret only what may be shown."""

    name: str
    description: str
    default: Any
    value: Any
    source: Source


def told(data_dir: Path | None, environment: Mapping[str, str] = os.environ) -> list[Told]:
    """Every setting of the gateway on ``data_dir``. Raises SettingsError where they can not be used."""
    settings = Settings.load(data_dir)
    path = settings.data_dir / FILE_NAME
    in_file = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    names = {name.upper() for name in environment}
    found = []
    for name, field in Settings.model_fields.items():
        source: Source = "default"
        if f"{_PREFIX}{name.upper()}" in names:
            source = "environment"
        elif name in in_file:
            source = "file"
        value, default = _plain(getattr(settings, name)), _plain(field.get_default())
        found.append(Told(name, field.description or "", default, value, source))
    return found


def template() -> str:
    """The text of a settings file that changes nothing: every setting, explained, at its default and commented out."""
    parts = [
        f"# Settings of a Tagwatch gateway: {FILE_NAME} in its data folder, readable by its user only.\n"
        f"# An environment variable {_PREFIX}NAME overrides a line here. `tagwatch settings` tells what holds.\n"
    ]
    for name, field in Settings.model_fields.items():
        if name in _NOT_IN_A_FILE:
            continue
        lines = textwrap.wrap(field.description or "", 100, initial_indent="# ", subsequent_indent="# ")
        default = _plain(field.get_default())
        example = f"#{name} =" if default is None else f"#{name} = {_toml(default)}"
        parts.append("\n".join([*lines, example]) + "\n")
    return "\n".join(parts)


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return store_url.shown(value.get_secret_value())
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _toml(value: Any) -> str:
    # for strings, numbers, truth and lists of them TOML is written like JSON
    return json.dumps(value, ensure_ascii=False)
