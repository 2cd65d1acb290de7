"""Postcodes looked up in files of the two published layouts, made small; what is doubtful about a centre is told."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from core.national_grid import from_grid
from gateway.postcodes import INDEX, PostcodeError, centre_of, spelt

CODE_POINT = (
    '"SO16 0AS",10,437292,115542,"E92000001","E19000002","E18000009","E10000014","E07000093","E05012936"\r\n'
    '"NG1  5FT",10,457200,339900,"E92000001","E19000003","E18000005","","E06000018","E05012286"\r\n'
    '"NG1 5FU",60,457300,339800,"E92000001","E19000003","E18000005","","E06000018","E05012286"\r\n'
    '"NG1 5FX",90,0,0,"E92000001","","","","E06000018",""\r\n'
)
HEADERS = "PC,PQ,EA,NO,CY,RH,LH,CC,DC,WC\r\nPostcode,Positional_quality_indicator,Eastings,Northings,x,x,x,x,x,x\r\n"
ONS = (
    '"pcd","pcd2","pcds","dointr","doterm","usertype","oseast1m","osnrth1m","osgrdind","lat","long"\n'
    '"NG1 5FT","NG1  5FT","NG1 5FT","198001","","0","457200","0339900",1,52.952800,-1.150100\n'
    '"NG1 5ZZ","NG1  5ZZ","NG1 5ZZ","198001","201906","0","457200","0339900",1,52.952900,-1.150200\n'
    '"BT1 5GS","BT1  5GS","BT1 5GS","198001","","0","333600","0374000",5,54.597000,-5.930000\n'
    '"GY1 1AA","GY1  1AA","GY1 1AA","198001","","0","","",9,99.999999,0.000000\n'
    "broken line\n"
)


def code_point(folder: Path, rows: str = CODE_POINT) -> Path:
    file = folder / "codepo_gb.zip"
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("Doc/Code-Point_Open_Column_Headers.csv", HEADERS)
        packed.writestr("Doc/licence.txt", "OGL")
        packed.writestr("Data/CSV/ng.csv", rows)
    return file


def directory(folder: Path, rows: str = ONS) -> Path:
    file = folder / "ONSPD.csv"
    file.write_text(rows)
    return file


def test_code_point_open_is_read_as_it_is_published(tmp_path: Path) -> None:
    found = centre_of("ng15ft", code_point(tmp_path), tmp_path)
    assert (found.postcode, found.place, found.doubts) == ("NG1 5FT", from_grid(457200, 339900), ())


def test_the_directory_of_the_ons_is_read_as_it_is_published_in_either_year(tmp_path: Path) -> None:
    found = centre_of("NG1 5FT", directory(tmp_path), tmp_path)
    assert (found.place.latitude, found.place.longitude, found.doubts) == (52.9528, -1.1501, ())
    renamed = ONS.replace("osgrdind", "gridind").replace("oseast1m", "east1m").replace('"pcd"', '"pcd7"')
    assert centre_of("BT1 5GS", directory(tmp_path, renamed), tmp_path).doubts, (
        "its quality is read there too"
    )


@pytest.mark.parametrize(
    ("postcode", "words"),
    [("NG1 5ZZ", "was given up in 2019-06"), ("BT1 5GS", "guessed from the postcodes around it")],
)
def test_a_centre_that_is_doubtful_says_so(tmp_path: Path, postcode: str, words: str) -> None:
    (doubt,) = centre_of(postcode, directory(tmp_path), tmp_path).doubts
    assert words in doubt


def test_the_middle_of_a_sector_is_doubtful(tmp_path: Path) -> None:
    (doubt,) = centre_of("NG1 5FU", code_point(tmp_path), tmp_path).doubts
    assert "quality 60" in doubt
    assert "a kilometre off" in doubt


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("nowhere", "is no postcode"),
        ("NG1 5F", "is no postcode"),
        ("NG1 9ZZ", "not among the 4 postcodes of codepo_gb.zip"),
        ("BT1 5GS", "none of Northern Ireland"),
        ("NG1 5FX", "has no place for NG1 5FX"),
    ],
)
def test_a_postcode_that_has_no_place_is_refused_with_what_to_do(
    tmp_path: Path, written: str, words: str
) -> None:
    with pytest.raises(PostcodeError, match=words):
        centre_of(written, code_point(tmp_path), tmp_path)


def test_without_a_file_it_is_told_where_there_is_one(tmp_path: Path) -> None:
    for file in (None, tmp_path / "missing.zip"):
        with pytest.raises(
            PostcodeError, match=r"setting `postcodes`.*Code-Point Open.*ONS Postcode Directory"
        ):
            centre_of("NG1 5FT", file, tmp_path)


def test_the_index_is_made_once_and_anew_when_the_file_is_another(tmp_path: Path) -> None:
    read: list[str] = []

    def watch(parts: object, _count: int) -> list[str]:
        read.append("read")
        return list(parts)  # type: ignore[call-overload,no-any-return]

    file = code_point(tmp_path)
    for _ in range(3):
        centre_of("NG1 5FT", file, tmp_path, watch)
    assert read == ["read"]
    code_point(tmp_path, CODE_POINT.replace("457200,339900", "457201,339901") + "\r\n")
    assert centre_of("NG1 5FT", file, tmp_path, watch).place == from_grid(457201, 339901)
    assert read == ["read", "read"]


def test_an_index_that_is_cut_off_is_made_anew(tmp_path: Path) -> None:
    file = code_point(tmp_path)
    centre_of("NG1 5FT", file, tmp_path)
    index = tmp_path / INDEX
    index.write_bytes(index.read_bytes()[:100])
    assert centre_of("NG1 5FT", file, tmp_path).postcode == "NG1 5FT"


@pytest.mark.parametrize("content", ["", "a,b,c\n1,2,3\n", '{"type": "Polygon"}'])
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(PostcodeError, match="holds no postcodes that are understood"):
        centre_of("NG1 5FT", directory(tmp_path, content), tmp_path)
    assert not (tmp_path / INDEX).exists()


@pytest.mark.parametrize(
    ("written", "usual"),
    [("ng15ft", "NG1 5FT"), ("sw1a 2aa", "SW1A 2AA"), (" M1 1AE ", "M1 1AE"), ("GIR0AA", "GIR 0AA")],
)
def test_a_postcode_has_one_spelling(written: str, usual: str) -> None:
    assert spelt(written) == usual
