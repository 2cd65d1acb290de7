"""The town: the same each time, connected, drawn validly."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from shapely.geometry import shape
from typer.testing import CliRunner

from sim.cli import register
from sim.market import MARKET
from sim.streets import By, Kind
from sim.town import Town, make_town
from sim.way import Surroundings


@pytest.fixture(scope="module")
def town() -> Town:
    return make_town(1)


def _features(town: Town) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = town.geojson()["features"]  # type: ignore[assignment]
    return found


def test_the_same_seed_gives_the_same_map_and_another_seed_another() -> None:
    def digest(seed: int) -> str:
        make_town.cache_clear()
        return hashlib.sha256(json.dumps(make_town(seed).geojson()).encode()).hexdigest()

    assert digest(7) == digest(7) != digest(8)


def test_every_feature_of_the_map_is_valid_and_has_a_kind_and_a_name(town: Town) -> None:
    kinds = set()
    for feature in _features(town):
        assert shape(feature["geometry"]).is_valid, feature["properties"]
        assert feature["properties"]["name"]
        kinds.add(feature["properties"]["kind"])
    assert kinds >= {
        *(
            "street_high_street",
            "street_main",
            "street_terrace",
            "terrace",
            "water",
            "park",
            "rail",
            "rail_tunnel",
        ),
        *(
            "bus_route",
            "not_spot",
            "building_court",
            "building_probation_office",
            "building_hospital",
            "station",
        ),
        *("building_pub", "building_school", "building_flats", "building_approved_premises", "building_shop"),
    }


@pytest.mark.parametrize("seed", range(5))
def test_one_can_walk_and_drive_from_every_place_to_every_other(seed: int) -> None:
    town = make_town(seed)
    reached = np.zeros((len(town.streets.x),), np.bool_)
    for by in (By.FOOT, By.CAR):
        cost, _ = town.streets.tree(town.places[0].node, town.streets.cost(by))
        assert all(cost[spot.node] < 1e6 for spot in town.places)
        assert np.all(cost[town.streets.start[town.house_edge]] < 1e6)
        reached |= cost < 1e6
    assert reached.all()


@pytest.mark.parametrize("by", list(By))
def test_a_route_leads_from_door_to_door_at_the_speed_of_what_one_goes_by(town: Town, by: By) -> None:
    fastest = {By.FOOT: 1.4, By.BICYCLE: 4.3, By.CAR: 25.0, By.BUS: 20.0, By.TRAIN: 35.0}[by]
    places = [*town.places[::9], *(town.house(number) for number in range(0, len(town.house_x), 1501))]
    for a in places:
        for b in places:
            route = town.route(a, b, by)
            assert (route.x[0], route.y[0]) == (a.x, a.y)
            assert (route.x[-1], route.y[-1]) == (b.x, b.y)
            far = np.hypot(np.diff(route.x), np.diff(route.y))
            assert np.all(far <= fastest * np.array(route.seconds) + 1e-6)


def test_a_train_runs_through_a_tunnel_between_town_and_valley(town: Town) -> None:
    station, *_ = [spot for spot in town.of("station") if spot.name == "Merebridge"]
    halt = town.of("station")[0]
    about = town.route(station, halt, By.TRAIN).about
    assert Surroundings.TRAIN in about
    assert Surroundings.DEEP in about


def test_most_of_the_valley_has_no_mobile_coverage_and_all_of_the_town_has(town: Town) -> None:
    covered = town.covered(town.house_x, town.house_y)
    assert covered[~town.in_valley].all()
    assert 0.4 < np.mean(~covered[town.in_valley]) < 0.9
    valley = town.first("farm").place
    assert 10_000 < valley.distance_m(MARKET) < 20_000


def test_avoided_streets_are_kept_off_where_there_is_another_way(town: Town) -> None:
    a, b = town.spot("a", "a", 216.0, -410.0), town.spot("b", "b", 216.0, 410.0)
    plain = town.route(a, b, By.FOOT)
    other = town.route(a, b, By.FOOT, town.streets.kind == Kind.HIGH_STREET)
    on_high, still_on_high = (sum(abs(x - 208.0) < 0.01 for x in route.x) for route in (plain, other))
    assert on_high > 5
    assert still_on_high <= 4  # the corners next to both doors
    assert other.length_m > plain.length_m


def test_the_command_writes_the_same_map_each_time(tmp_path: Path) -> None:
    app = typer.Typer()
    register(app)
    for name in ("a.geojson", "b.geojson"):
        done = CliRunner().invoke(app, ["sim", "town", "--seed", "3", "--out", str(tmp_path / name)])
        assert done.exit_code == 0, done.output
    written = (tmp_path / "a.geojson").read_bytes()
    assert written == (tmp_path / "b.geojson").read_bytes()
    assert json.loads(written) == make_town(3).geojson()
    refused = CliRunner().invoke(app, ["sim", "town", "--out", str(tmp_path / "none" / "c.geojson")])
    assert refused.exit_code == 1
    assert "can not be written" in refused.output
