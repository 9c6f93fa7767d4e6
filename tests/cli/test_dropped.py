"""A folder into which a till drops its files: whole ones are taken, once, and leave it."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from cli.dropped import Dropped
from server.access.models import Scope
from server.sales.formats import TillFormat
from server.services import Services, make_services
from server.settings import Settings
from server.stores.models import NewStore

SYSTEM = Scope.system("tests")
HEAD = "receipt_no,at,gross\n"
SECRET = "c2l4dGVlbiBieXRlcyB0d2ljZSBvdmVyIG9uZSBrZXk="


@pytest.fixture
def services(db_dsn: str) -> Iterator[Services]:
    settings = Settings(dsn=SecretStr(db_dsn), secret_key=SecretStr(SECRET), _env_file=None)  # type: ignore[call-arg]
    with make_services(settings) as made:
        made.stores.add_store(SYSTEM, NewStore("S01", "Shop"))
        yield made


class Watched:
    """A watched folder and a clock that stands."""

    def __init__(self, services: Services, folder: Path) -> None:
        self.folder = folder
        self.services = services
        self.seconds = 0.0
        self.said: list[str] = []
        self.dropped = Dropped(
            services.imports,
            SYSTEM,
            folder,
            "S01",
            TillFormat(),
            settle=30,
            tell=self.said.append,
            now=lambda: self.seconds,
        )

    def after(self, seconds: float) -> int:
        self.seconds += seconds
        return self.dropped.look()

    def numbers(self) -> list[str]:
        return sorted(each.receipt_no for each in self.services.sales.recent(SYSTEM, "S01"))

    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture
def watched(services: Services, tmp_path: Path) -> Watched:
    return Watched(services, tmp_path)


def test_a_file_is_taken_once_it_lies_still_and_is_moved_aside(watched: Watched) -> None:
    (watched.folder / "a.csv").write_text(HEAD + "1,2025-11-20 10:00,5\n")
    assert watched.after(0) == 0, "it was seen just now"
    assert watched.after(29) == 0
    assert watched.after(1) == 1
    assert watched.numbers() == ["1"]
    assert watched.names() == ["done/a.csv"]
    assert watched.after(100) == 0
    assert "1 new" in watched.said[0]


def test_a_file_that_is_still_written_to_is_left_alone(watched: Watched) -> None:
    path = watched.folder / "a.csv"
    path.write_text(HEAD + "1,2025-11-20 10:00,5\n")
    watched.after(0)
    for number in range(2, 5):
        with path.open("a") as file:
            file.write(f"{number},2025-11-20 10:00,5\n")
        assert watched.after(29) == 0
    assert watched.numbers() == []
    assert watched.after(30) == 1
    assert watched.numbers() == ["1", "2", "3", "4"]


def test_one_rewritten_at_the_same_length_is_seen_by_its_time(watched: Watched) -> None:
    path = watched.folder / "a.csv"
    path.write_text(HEAD + "1,2025-11-20 10:00,5\n")
    watched.after(0)
    path.write_text(HEAD + "2,2025-11-20 10:00,5\n")
    os.utime(path, ns=(1, 1))
    assert watched.after(30) == 0
    assert watched.after(30) == 1
    assert watched.numbers() == ["2"]


@pytest.mark.parametrize("name", ["a.csv.part", ".a.csv", "~a.xlsx", "a.tmp", "a.crdownload", "notes.pdf"])
def test_what_a_till_has_not_finished_by_its_name_is_not_taken(watched: Watched, name: str) -> None:
    (watched.folder / name).write_text(HEAD + "1,2025-11-20 10:00,5\n")
    watched.after(0)
    assert watched.after(1000) == 0
    assert watched.names() == [name]


def test_an_empty_file_is_not_written_yet(watched: Watched) -> None:
    (watched.folder / "a.csv").touch()
    watched.after(0)
    assert watched.after(1000) == 0


def test_rows_that_are_wrong_go_aside_with_their_file_and_come_back_corrected(watched: Watched) -> None:
    (watched.folder / "a.csv").write_text(HEAD + "1,2025-11-20 10:00,5\n2,2025-11-20 10:00,five\n")
    watched.after(0)
    assert watched.after(30) == 1
    assert watched.numbers() == ["1"]
    assert watched.names() == ["failed/a.csv", "failed/a.errors.csv"]
    assert watched.dropped.failed == 1
    errors = watched.folder / "failed" / "a.errors.csv"
    rows = list(csv.DictReader(errors.read_text(encoding="utf-8-sig").splitlines()))
    assert [(row["receipt_no"], row["doorline_line"], row["doorline_field"]) for row in rows] == [("2", "3", "gross")]
    corrected = errors.read_text(encoding="utf-8-sig").replace(",five,", ",5,")
    (watched.folder / "a.csv").write_text(corrected)
    watched.after(0)
    assert watched.after(30) == 1
    assert watched.numbers() == ["1", "2"]
    assert "done/a.csv" in watched.names()


def test_a_file_that_cannot_be_read_at_all_goes_aside_with_the_reason(watched: Watched) -> None:
    for _ in range(2):
        (watched.folder / "a.csv").write_text("x,y\n1,2\n")
        watched.after(0)
        assert watched.after(30) == 1
    assert watched.names() == [
        "failed/a-2.csv",
        "failed/a-2.csv.reason.txt",
        "failed/a.csv",
        "failed/a.csv.reason.txt",
    ], "the second of a name does not take the place of the first"
    reason = (watched.folder / "failed" / "a.csv.reason.txt").read_text()
    assert "no column for receipt_no" in reason


def test_while_the_database_is_away_files_wait(watched: Watched) -> None:
    (watched.folder / "a.csv").write_text(HEAD + "1,2025-11-20 10:00,5\n")
    watched.after(0)
    watched.services.db.close()
    assert watched.after(30) == 0
    assert watched.names() == ["a.csv"]
    assert "waits" in watched.said[0]
