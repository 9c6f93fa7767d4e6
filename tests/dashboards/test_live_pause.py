"""How often a live page asks: rarely enough for a slow database, soon enough after one that was away."""

import pytest

from dashboards.live import EVERY_S, MOST_PAUSE_S, pause_after


@pytest.mark.parametrize(
    ("took", "pause"),
    [
        (0.0, EVERY_S),
        (0.01, EVERY_S - 0.01),
        # At most a fifth of the time is spent asking.
        (0.5, 2.0),
        (2.0, 8.0),
        # Half a minute in a database that went: the page is not left blind for two more.
        (35.0, MOST_PAUSE_S),
    ],
)
def test_the_pause_after_a_look(took: float, pause: float) -> None:
    assert pause_after(took, EVERY_S) == pytest.approx(pause)
