"""A week of hours in one cell: what people write is read, and reads back as it is written; the rest is refused."""

from datetime import time

import pytest

from server.errors import InvalidInput
from server.stores.hours_text import read_hours, write_hours

WEEK = "Mon-Fri 10:00-22:00; Sat-Sun 09:30-22:30; holidays 10:00-18:00"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("", ""),
        ("10:00-22:00", "10:00-22:00"),
        ("daily 9:00 - 21:30", "09:00-21:30"),
        (WEEK, WEEK),
        ("周一至周五 10:00–22:00；周六、周日 09:30~22:30；节假日 10:00-18:00", WEEK),
        ("monday to friday: 10:00-22:00\nsat/sun 09:30-22:30\npublic holidays 10:00-18:00", WEEK),
        ("每天 10:00-14:00, 16:00-22:00", "10:00-14:00, 16:00-22:00"),
        ("10:00-22:00; Sun closed", "Mon-Sat 10:00-22:00"),
        ("10:00-22:00; 周日 休息", "Mon-Sat 10:00-22:00"),
        ("Sat-Mon 10:00-24:00", "Mon 10:00-00:00; Sat-Sun 10:00-00:00"),
        ("Fri 20:00-04:00", "Fri 20:00-04:00"),
    ],
)
def test_what_people_write_is_read(text: str, written: str) -> None:
    spans = read_hours(text)
    assert write_hours(spans) == written
    assert read_hours(written) == spans


@pytest.mark.parametrize("text", ["ten to ten", "10-22", "Mon-Fun 10:00-22:00", "10:00", "25:00-26:00"])
def test_what_can_not_be_meant_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_hours(text)
    assert refused.value.field == "hours"
    assert "10:00-22:00" in (refused.value.remedy or "")


@pytest.mark.parametrize("text", ["daily 10:00-22:00; holidays closed", "10:00-22:00；节假日 休息"])
def test_holidays_can_not_be_closed_in_one_cell(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_hours(text)
    assert "on the store's page" in (refused.value.remedy or "")


def test_midnight_is_the_end_of_the_day() -> None:
    assert read_hours("Sun 10:00-24:00")[0].closes == time(0)
