"""When a sign-in must wait, as arithmetic."""

from datetime import UTC, datetime, timedelta

import pytest

from server.access.lockout import FREE_OF_ACCOUNT, FREE_OF_ADDRESS, FREE_OF_PAIR, Failures, retry_after, wait_after

NOW = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("count", "seconds"),
    [(0, 0), (4, 0), (5, 10), (6, 20), (7, 40), (10, 320), (11, 640), (12, 900), (400, 900)],
)
def test_the_wait_doubles_up_to_a_quarter_of_an_hour(count: int, seconds: int) -> None:
    assert wait_after(count, FREE_OF_PAIR) == timedelta(seconds=seconds)


def failures(pair: int = 0, account: int = 0, address: int = 0, ago: float = 0) -> Failures:
    last = NOW - timedelta(seconds=ago)
    return Failures(
        pair, account, address, last if pair else None, last if account else None, last if address else None
    )


def test_each_of_the_three_counters_can_make_one_wait() -> None:
    assert retry_after(failures(pair=FREE_OF_PAIR), NOW) == timedelta(seconds=10)
    assert retry_after(failures(account=FREE_OF_ACCOUNT), NOW) == timedelta(seconds=10)
    assert retry_after(failures(address=FREE_OF_ADDRESS), NOW) == timedelta(seconds=10)


def test_waiting_is_over_when_the_time_has_passed() -> None:
    assert retry_after(failures(pair=FREE_OF_PAIR, ago=10), NOW) <= timedelta(0)
    assert retry_after(failures(), NOW) <= timedelta(0)
