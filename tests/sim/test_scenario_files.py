"""Scenarios as files: what is written is what happens, and whatever is wrong is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.order import order_from_json
from sim.civil_time import CivilTimeError, civil_text, duration_ms, instant_ms
from sim.itinerary import Place
from sim.life import Span
from sim.market import MARKET
from sim.scenario import Scenario, ScenarioError, every_path
from sim.story import load
from sim.streets import By
from sim.town import make_town
from sim.way import Surroundings

DOCS = Path(__file__).parent.parent.parent / "docs" / "scenarios.md"
HOUR_MS, MINUTE_MS = 3_600_000, 60_000
STORY = """
title = "A story"
shows = "Something."
from = "2026-11-03 18:00"
to = "23:00"

[places]
home = { east = 0, north = 0, about = "indoors" }
pub = { east = 1000, north = 0, about = "street" }

[zones.market]
radius_m = 100
at = "pub"

[units.flat]
place = "home"

[people.alex]
wears = ["gps_tag", "rf_tag"]
at = "home"
conditions = [{ curfew = "home", times = "Mo-Fr 19:00-07:00, Sa Su 21:00-09:00" }, { exclusion = "market" }]
acts = ["19:00 walk to pub at 6 km/h", "after 20 min walk to home", "21:00 open strap for 30 min"]
"""


def read(text: str, folder: Path) -> Scenario:
    path = folder / "story.toml"
    path.write_text(text)
    return load(path)


def refused(text: str, folder: Path) -> list[str]:
    with pytest.raises(ScenarioError) as error:
        read(text, folder)
    assert str(folder / "story.toml") in str(error.value)
    return [str(problem) for problem in error.value.problems]


def test_a_story_becomes_the_life_that_it_tells(tmp_path: Path) -> None:
    scenario = read(STORY, tmp_path)
    (wearer,) = scenario.wearers
    life, start_ms = wearer.life, scenario.start_ms
    assert civil_text(start_ms) == "Tue 3 Nov 18:00"
    assert scenario.end_ms - start_ms == 5 * HOUR_MS
    t_ms = start_ms + np.array([30, 65, 75, 85, 95, 200]) * MINUTE_MS
    lat, lon = life.way.at(t_ms)
    home = Place(52.9630, -1.1710)
    away = [home.distance_m(Place(*place)) for place in zip(lat.tolist(), lon.tolist(), strict=True)]
    assert away == pytest.approx([0, 500, 1000, 1000, 583, 0], abs=3)
    about = life.way.surroundings[life.way.leg(t_ms)].tolist()
    assert about == [
        Surroundings.INDOORS,
        Surroundings.OPEN,
        *2 * [Surroundings.STREET],
        Surroundings.OPEN,
        Surroundings.INDOORS,
    ]
    assert life.off_ankle == (Span(start_ms + 3 * HOUR_MS, start_ms + 3 * HOUR_MS + 30 * MINUTE_MS),)
    assert (life.name, [unit.address for unit in life.units]) == ("alex", ["home"])
    order = order_from_json(life.order)
    assert [condition.id for condition in order.conditions] == ["curfew", "exclusion"]


def test_between_places_of_the_town_people_go_by_its_streets_at_their_pace(tmp_path: Path) -> None:
    text = STORY.replace("[places]", "town = 1\n[places]")
    text = text.replace('home = { east = 0, north = 0, about = "indoors" }', 'home = { town = "home 40" }')
    text = text.replace('pub = { east = 1000, north = 0, about = "street" }', 'pub = { town = "pub 2" }')
    text = text.replace("walk to pub at 6 km/h", "walk to pub")
    way = read(text, tmp_path).wearers[0].life.way
    town = make_town(1)
    route = town.route(town.house(39), town.of("pub")[1], By.FOOT)
    first = int(np.flatnonzero(way.start_ms >= instant_ms("2026-11-03 19:00", None))[0])
    legs = slice(first, first + len(route.seconds))
    corners = [MARKET.offset(x, y) for x, y in zip(route.x[1:], route.y[1:], strict=True)]
    assert way.to_lat[legs] == pytest.approx([corner.lat for corner in corners], abs=1e-9)
    assert way.to_lon[legs] == pytest.approx([corner.lon for corner in corners], abs=1e-9)
    took_s = (way.start_ms[first + len(route.seconds)] - way.start_ms[first]) / 1000
    assert took_s == pytest.approx(route.whole_s, abs=1)
    problems = refused(text.replace("pub 2", "pub 99"), tmp_path)
    assert any("the town has 10 of 'pub'" in problem for problem in problems)


def test_the_same_seed_comes_from_the_same_name_and_others_from_others() -> None:
    seeds = {load(path).seed for path in every_path()}
    assert len(seeds) == len(every_path())


@pytest.mark.parametrize(
    ("change", "path", "says"),
    [
        (('to = "23:00"', 'to = "2026-11-03 17:00"'), "to", "Give a later time"),
        (("19:00 walk to pub", "19:00 walk to bar"), "people.alex.acts[0]", "'bar' is no place"),
        (("19:00 walk to pub", "19:00 fly to pub"), "people.alex.acts[0]", "nothing that can be done"),
        (("19:00 walk to pub", "walk to pub"), "people.alex.acts[0]", "has no time"),
        (("after 20 min", "19:05"), "people.alex.acts[1]", "before the last way has ended"),
        (("for 30 min", "for 30 moments"), "people.alex.acts[2]", "nothing that can be done"),
        (
            ('exclusion = "market"', 'exclusion = "mall"'),
            "people.alex.conditions[1].exclusion",
            "Zones are: market",
        ),
        (('times = "Mo-Fr', 'times = "Mon-Fri'), "people.alex.conditions[0].times", "Give 19:00-07:00"),
        (("radius_m = 100", 'radius_m = "wide"'), "zones.market.radius_m", "Give a number"),
        (
            ('about = "street"', 'about = "sky"'),
            "places.pub.about",
            "Give one of: open, street, indoors, deep",
        ),
        (('"rf_tag"]', '"ring"]'), "people.alex.wears", "can not be worn"),
        (('place = "home"', 'place = "hut"'), "units.flat.place", "'hut' is no place"),
        (("seed", "seed"), "colour", "this key is not known"),
    ],
)
def test_what_is_wrong_is_refused_with_file_key_fact_and_remedy(
    change: tuple[str, str], path: str, says: str, tmp_path: Path
) -> None:
    text = STORY.replace(*change)
    if path == "colour":
        text = 'colour = "blue"\n' + STORY
    problems = refused(text, tmp_path)
    assert any(problem.startswith(f"{path}: ") and says in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("20:00 gateway explodes", "no fault that is known"),
        ("20:00 ben gps_tag restarts", "'ben' is nobody"),
        ("20:00 alex alcohol_tag restarts", "wears no alcohol_tag"),
        ("22:59 gateway down for 2 h", "outside the story"),
        ("20:00 alex home_unit without power for 1 h", "Let somebody 'silence unit'"),
    ],
)
def test_a_fault_that_can_not_be_is_refused(fault: str, says: str, tmp_path: Path) -> None:
    text = STORY.replace('to = "23:00"', f'to = "23:00"\nfaults = ["{fault}"]')
    (problem,) = refused(text, tmp_path)
    assert problem.startswith("faults[0]: ")
    assert says in problem


def test_an_expectation_of_nobody_is_refused(tmp_path: Path) -> None:
    (problem,) = refused(STORY + '\n[[expect]]\nwearer = "ben"\nrule = "strap_tamper"\n', tmp_path)
    assert problem.startswith("expect[0].wearer: ")


def test_what_is_not_toml_is_refused(tmp_path: Path) -> None:
    (problem,) = refused("title = ", tmp_path)
    assert "is not TOML" in problem


# civil time


@pytest.mark.parametrize(
    ("text", "utc_hour"),
    [("2026-10-25 01:30 BST", 0.5), ("2026-10-25 01:30 GMT", 1.5), ("2026-10-25 03:00", 3.0)],
)
def test_the_hour_that_comes_twice_is_told_apart(text: str, utc_hour: float) -> None:
    midnight_ms = instant_ms("2026-10-25 00:00", None) + HOUR_MS
    assert instant_ms(text, None) - midnight_ms == utc_hour * HOUR_MS


@pytest.mark.parametrize(
    "text", ["2026-10-25 01:30", "2027-03-28 01:30", "2026-13-01 10:00", "25:00", "noon"]
)
def test_a_time_that_comes_twice_or_never_is_refused(text: str) -> None:
    with pytest.raises(CivilTimeError):
        instant_ms(text, None)


def test_a_time_without_a_date_is_the_next_one() -> None:
    at_ms = instant_ms("2026-11-03 19:00", None)
    assert instant_ms("19:00", at_ms) == at_ms
    assert instant_ms("18:59", at_ms) - at_ms == 24 * HOUR_MS - MINUTE_MS
    assert instant_ms("Mon 19:00", at_ms) - at_ms == 6 * 24 * HOUR_MS
    assert duration_ms("1 h 30 min") == 90 * MINUTE_MS


# the page


def test_the_page_lists_every_scenario_and_says_what_each_shows() -> None:
    page = DOCS.read_text()
    told = [line for line in page.splitlines() if line.startswith("| `")]
    listed = {f"| `{scenario.name}` | {scenario.shows} |" for scenario in map(load, every_path())}
    assert listed <= set(told), "\n".join(sorted(listed - set(told)))


def test_the_page_explains_every_phrase_and_shows_a_story_as_it_is() -> None:
    from sim.faults import PHRASES as FAULTS
    from sim.phrases import PHRASES as ACTS

    page = DOCS.read_text()
    said = [phrase.says for phrase in ACTS] + [phrase.says for phrase in FAULTS]
    missing = [phrase for phrase in said if f"- {phrase}" not in page]
    assert missing == []
    shown = next(path for path in every_path() if path.stem == "late_home").read_text()
    assert shown in page
