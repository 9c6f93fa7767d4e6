"""What was watched: every second accounted for once, and the reason for those that were not."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from edge.camera import open_source
from edge.cameras.gauge import FrameStats, Gauge
from edge.coverage import CoverageMeter, CoverageParams, CoveredMinute

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
GOOD = FrameStats(brightness=120.0, detail=60.0, seen_before=False)
REPEATED = FrameStats(120.0, 60.0, seen_before=True)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def watch(
    meter: CoverageMeter, begin: float, end: float, stats: FrameStats = GOOD, every: float = 0.5
) -> list[CoveredMinute]:
    done: list[CoveredMinute] = []
    for step in range(round((end - begin) / every) + 1):
        done += meter.observe(stats, at(begin + step * every))
    return done


def test_a_minute_watched_throughout_is_sixty_seconds_and_ok() -> None:
    meter = CoverageMeter("C1", began=NOON)
    assert watch(meter, 0, 60) == [CoveredMinute("C1", NOON, 60.0, 120, "ok")]


def test_a_minute_is_given_out_once_and_only_when_it_is_over() -> None:
    meter = CoverageMeter("C1", began=NOON)
    assert watch(meter, 0, 59.5) == []
    assert meter.tick(at(59.9)) == []
    assert [m.minute for m in watch(meter, 60, 61)] == [NOON]
    assert meter.tick(at(62)) == []


def test_a_gap_between_frames_is_not_watched() -> None:
    meter = CoverageMeter("C1", began=NOON)
    done = watch(meter, 0, 20) + watch(meter, 35, 60)
    assert done == [CoveredMinute("C1", NOON, 45.0, 91, "stalled")]


def test_a_gap_within_the_limit_is_watched() -> None:
    meter = CoverageMeter("C1", began=NOON)
    assert watch(meter, 0, 60, every=2.0)[0].seconds == 60.0


@pytest.mark.parametrize("away_s", [1.0, 25.0])
def test_a_camera_that_was_closed_was_not_watching_however_soon_it_is_open_again(away_s: float) -> None:
    meter = CoverageMeter("C1", began=NOON)
    watch(meter, 0, 20)
    meter.closed()
    assert meter.tick(at(20.4)) == []
    (minute,) = watch(meter, 20 + away_s, 60)
    assert (minute.seconds, minute.state) == (60.0 - away_s, "offline")


def test_why_no_pictures_come_is_the_cameras_word() -> None:
    meter = CoverageMeter("C1", began=NOON)
    watch(meter, 0, 10)
    meter.trouble("offline")
    done = [minute for second in range(11, 121) for minute in meter.tick(at(second))]
    assert [(m.seconds, m.state) for m in done] == [(10.0, "offline"), (0.0, "offline")]


@pytest.mark.parametrize(
    ("stats", "wait_s", "state"),
    [
        (FrameStats(3.0, 1.0, seen_before=False), 0.0, "dark"),
        (FrameStats(0.0, 0.0, seen_before=True), 0.0, "dark"),
        (FrameStats(90.0, 2.0, seen_before=False), 3.0, "covered"),
    ],
)
def test_pictures_in_which_nobody_could_be_seen_are_not_watched(stats: FrameStats, wait_s: float, state: str) -> None:
    meter = CoverageMeter("C1", began=NOON)
    watch(meter, 0, 10)
    (minute,) = watch(meter, 10.5, 60, stats)
    assert minute.state == state
    assert minute.seconds == pytest.approx(10 + wait_s, abs=1.0)


def test_a_freeze_is_lost_from_its_beginning_not_from_its_discovery() -> None:
    meter = CoverageMeter("C1", began=NOON)
    assert watch(meter, 0, 10) == []
    assert watch(meter, 10.5, 69, REPEATED) == [], "a minute in doubt is not given out"
    first, second = watch(meter, 69.5, 130, REPEATED)
    assert (first.minute, first.seconds, first.state) == (NOON, 10.0, "frozen")
    assert (second.seconds, second.state) == (0.0, "frozen")


def test_repetition_that_ends_was_an_empty_shop() -> None:
    meter = CoverageMeter("C1", began=NOON)
    done = watch(meter, 0, 30) + watch(meter, 30.5, 85, REPEATED)
    assert done == []
    assert [(m.seconds, m.state) for m in watch(meter, 85.5, 121)] == [(60.0, "ok"), (60.0, "ok")]


def test_an_outage_settles_what_was_in_doubt_and_doubt_begins_anew_after_it() -> None:
    meter = CoverageMeter("C1", began=NOON)
    done = watch(meter, 0, 30) + watch(meter, 30.5, 50, REPEATED)
    for second in range(51, 200):
        done += meter.tick(at(second))
    assert [(m.seconds, m.state) for m in done] == [(50.0, "stalled"), (0.0, "stalled"), (0.0, "stalled")]
    done = watch(meter, 200, 240, REPEATED) + watch(meter, 240.5, 301)
    assert [(m.seconds, m.state) for m in done] == [(40.0, "stalled"), (60.0, "ok")]


def test_a_recording_in_a_loop_is_not_frozen_but_one_that_stands_still_is() -> None:
    pictures = [np.full((54, 96, 3), 60 + number, np.uint8) for number in range(10)]
    camera, film = Gauge(), Gauge(loops=True)
    assert [camera.measure(pictures[n % 10]).seen_before for n in range(30)] == [False] * 10 + [True] * 20
    assert not any(film.measure(pictures[n % 10]).seen_before for n in range(30))
    assert film.measure(pictures[9]).seen_before


def test_what_is_in_doubt_when_looking_ends_was_watched() -> None:
    meter = CoverageMeter("C1", began=NOON)
    watch(meter, 0, 30)
    watch(meter, 30.5, 70, REPEATED)
    assert [m.seconds for m in meter.finish(at(70))] == [60.0, 10.0]


def test_the_main_reason_is_given() -> None:
    meter = CoverageMeter("C1", began=NOON)
    watch(meter, 0, 20)
    done = watch(meter, 20.5, 30, FrameStats(3.0, 1.0, seen_before=False))
    meter.trouble("offline")
    done += meter.tick(at(60))
    assert [(m.seconds, m.state) for m in done] == [(20.0, "offline")]


def test_two_processes_within_a_minute_add_up_to_it() -> None:
    first = CoverageMeter("C1", began=NOON)
    watch(first, 0, 25)
    (before,) = first.finish(at(25))
    second = CoverageMeter("C1", began=at(25))
    (after,) = watch(second, 25, 60)
    assert before.minute == after.minute
    assert before.seconds + after.seconds == pytest.approx(60.0, abs=0.1)
    assert before.state == "offline"


def test_a_clock_set_back_counts_nothing_twice_within_a_minute() -> None:
    meter = CoverageMeter("C1", began=NOON)
    done = watch(meter, 0, 50) + watch(meter, 20, 61)
    assert [m.seconds for m in done] == [60.0]


def test_a_clock_set_years_ahead_makes_no_years_of_records() -> None:
    meter = CoverageMeter("C1", began=datetime(1970, 1, 1, tzinfo=UTC))
    assert len(meter.observe(GOOD, NOON)) == 0
    assert len(watch(meter, 0.5, 60)) == 1


def test_seconds_never_exceed_a_minute_and_are_given_to_a_tenth() -> None:
    meter = CoverageMeter("C1", began=NOON, params=CoverageParams(gap_s=1.0))
    (minute,) = watch(meter, 0.123, 60.2, every=1 / 7)
    assert minute.seconds == 59.9 == round(minute.seconds, 1)


@pytest.mark.footage
@pytest.mark.parametrize("clip", ["overhead-bus.avi", "EnterExitCrossingPaths1front.mpg", "one-by-one.mp4"])
def test_real_footage_dark_as_it_may_be_counts_as_watched(footage: Path, clip: str) -> None:
    gauge, meter = Gauge(), CoverageMeter("C1", began=NOON)
    with open_source(str(footage / "video" / clip)) as source:
        for frame in source:
            meter.observe(gauge.measure(frame.image), at(frame.time_s))
            if frame.time_s > 10:
                break
    (minute,) = meter.finish(at(frame.time_s))
    assert minute.seconds == pytest.approx(frame.time_s, abs=0.1)


def test_doubt_before_the_dark_is_settled_in_it_and_holds_back_no_night() -> None:
    meter = CoverageMeter("C1", began=NOON)
    black = FrameStats(brightness=1.0, detail=0.0, seen_before=True)
    done = watch(meter, 0, 10) + watch(meter, 10.5, 50, REPEATED) + watch(meter, 50.5, 600, black)
    assert [m.minute for m in done] == [at(60.0 * minute) for minute in range(10)]
    assert [m.state for m in done[1:]] == ["dark"] * 9
