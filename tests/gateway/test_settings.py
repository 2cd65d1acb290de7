"""Settings: one typed class, file then environment then argument, errors that name the key."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway import broker, reach, settings_told
from gateway.cli import app
from gateway.settings import Settings, SettingsError


def test_an_argument_overrides_the_environment_which_overrides_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tagwatch.toml").write_text("mqtt_port = 1001\nweb_port = 1002\ngroup_size = 7\n")
    monkeypatch.setenv("TAGWATCH_WEB_PORT", "2002")
    monkeypatch.setenv("TAGWATCH_GROUP_SIZE", "8")
    read = Settings.load(tmp_path, group_size=9)
    assert (read.mqtt_port, read.web_port, read.group_size) == (1001, 2002, 9)


def test_the_folder_itself_can_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tagwatch.toml").write_text("mqtt_port = 1001\n")
    monkeypatch.setenv("TAGWATCH_DATA_DIR", str(tmp_path))
    assert Settings.load().mqtt_port == 1001


def test_a_child_process_gets_exactly_the_same_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = Settings.load(
        tmp_path, web=False, server_names=("gateway.example", "10.0.0.1"), group_ms=3, clock="stepped"
    )
    for name, value in given.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings.load() == given


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("mqtt_port", 70_000),
        ("broker", "amqp://somewhere"),
        ("broker", "mqtt://"),
        ("broker", "mqtt://10.0.0.1"),
        ("clock", "sundial"),
        ("server_names", ()),
        ("queue_size", 1),
    ],
)
def test_a_setting_that_can_not_be_used_is_named(tmp_path: Path, setting: str, value: object) -> None:
    with pytest.raises(SettingsError, match=setting):
        Settings.load(tmp_path, **{setting: value})


def test_a_setting_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="mqtt_prot: no setting is called so"):
        Settings.load(tmp_path, mqtt_prot=1)


def test_a_misspelt_key_in_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tagwatch.toml").write_text("mqtt_prot = 1\n")
    with pytest.raises(SettingsError, match="mqtt_prot"):
        Settings.load(tmp_path)


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "tagwatch.toml").write_text("mqtt_port: 5\n")
    with pytest.raises(SettingsError, match=r"tagwatch\.toml"):
        Settings.load(tmp_path)


def test_everything_listens_on_this_machine_only_until_told_otherwise(tmp_path: Path) -> None:
    read = Settings.load(tmp_path)
    assert (read.mqtt_host, read.web_host) == ("127.0.0.1", "127.0.0.1")


def test_a_simulation_waits_for_nobody_and_a_gateway_spares_its_disk(tmp_path: Path) -> None:
    assert Settings.load(tmp_path, clock="stepped").group_s == 0
    assert Settings.load(tmp_path).group_s == 0.02
    assert Settings.load(tmp_path, clock="stepped", group_ms=5).group_s == 0.005


def test_a_broker_that_others_shall_reach_needs_a_name_that_they_can_dial(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="put first what tags shall dial"):
        Settings.load(tmp_path, mqtt_host="0.0.0.0")
    with pytest.raises(SettingsError, match=r"10\.0\.0\.5 is not among server_names"):
        Settings.load(tmp_path, mqtt_host="10.0.0.5")
    read = Settings.load(tmp_path, mqtt_host="0.0.0.0", mqtt_port=9, server_names=("gateway.example",))
    assert broker.address(read) == broker.Address("127.0.0.1", 9, tls=True)
    assert broker.address_for_tags(read) == broker.Address("gateway.example", 9, tls=True)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])
def test_a_page_that_others_could_reach_is_refused_while_nobody_can_sign_in(
    tmp_path: Path, host: str
) -> None:
    read = Settings.load(tmp_path, web_host=host, server_names=("gateway.example",))
    assert not read.page_on_this_machine
    assert reach.refusal(read, 0).startswith(
        f"web_host: {host} can be reached from other machines, and nobody"
    )


def test_the_page_needs_an_address_and_a_certificate_its_key(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"web_host: gateway\.example is not an address"):
        Settings.load(tmp_path, web_host="gateway.example")
    with pytest.raises(SettingsError, match="web_certificate and web_key belong together"):
        Settings.load(tmp_path, web_certificate="page.pem")


def test_every_setting_is_told_with_its_meaning_its_default_and_where_it_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tagwatch.toml").write_text("mqtt_port = 1001\nweb_port = 1002\n")
    monkeypatch.setenv("TAGWATCH_WEB_PORT", "2002")
    monkeypatch.setenv("TAGWATCH_STORE", "postgresql://me:secret@localhost/tagwatch")
    done = CliRunner().invoke(app, ["settings", "--json", "--data-dir", str(tmp_path)])
    every = {one["name"]: one for one in json.loads(done.stdout)}
    assert set(every) == set(Settings.model_fields)
    assert all(one["description"].endswith(".") for one in every.values())
    where = {name: (one["default"], one["value"], one["source"]) for name, one in every.items()}
    assert where["mqtt_port"] == (8883, 1001, "file")
    assert where["web_port"] == (8080, 2002, "environment")
    assert where["group_size"] == (1000, 1000, "default")
    assert "secret" not in done.stdout, "a password is never shown"
    plain = CliRunner().invoke(app, ["settings", "--data-dir", str(tmp_path)])
    assert "mqtt_port = 1001   from file" in plain.stdout


def test_the_template_changes_nothing_until_a_line_is_uncommented(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["settings", "--template"])
    without = Settings.load(tmp_path)
    (tmp_path / "tagwatch.toml").write_text(done.stdout)
    assert Settings.load(tmp_path) == without
    lines = [line[1:] for line in done.stdout.splitlines() if line[:1] == "#" and line[:2] != "# "]
    given = tomllib.loads("\n".join(line for line in lines if not line.endswith("=")))
    assert given.keys() | {"data_dir", "group_ms"} >= set(Settings.model_fields)
    assert Settings.load(tmp_path, **given) == without
    assert settings_told.template() == done.stdout
