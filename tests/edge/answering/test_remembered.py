"""What a camera remembers of its last minute, and what a line tried on it would have counted: as the counter counts."""

import gc
import threading
import weakref
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from edge.answering.memory import MOST_SIGHTINGS, Memory, Picture
from edge.answering.walked import paths, try_line
from edge.camera import open_source
from edge.detectors import make_detector
from edge.geometry import LineError
from edge.models import Crossing, Detections, Frame, Track
from edge.pipeline import Step, camera_pipeline
from edge.scene import door_line
from edge.settings import CameraSettings, LineSettings
from tests.fixtures.footage import Clips
from tests.fixtures.wait import wait_until
from wire.asking import MAX_PATH_POINTS, MAX_PATHS

SCENE = "scene:overhead?seed=3&rate=20&seconds=40&light=steady&size=192x144&fps=8"
DOOR = door_line("overhead")
LINE = LineSettings(id="L1", start=DOOR.start, end=DOOR.end, inside=DOOR.inside)
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SETTINGS = CameraSettings(id="C1", source=SCENE, mounting="overhead", line=(LINE,))


@pytest.fixture(scope="module")
def watched() -> tuple[Memory, list[Crossing]]:
    """A camera's memory of forty seconds, and what was counted in them."""
    memory, counted = Memory(), []
    with open_source(SCENE) as frames:
        pipeline = None
        for frame in frames:
            if pipeline is None:
                detector = make_detector("motion", mounting="overhead")
                pipeline = camera_pipeline(detector, SETTINGS, frame.aspect)
                memory.begin(SETTINGS, frame.aspect)
            step = pipeline.step(frame)
            memory.saw(frame, step, NOON + timedelta(seconds=frame.time_s))
            counted += step.crossings
        assert pipeline is not None
    return memory, counted + pipeline.finish()


def test_a_line_tried_counts_what_it_would_have_counted(watched: tuple[Memory, list[Crossing]]) -> None:
    memory, counted = watched
    recent = memory.recent(60)
    assert recent is not None
    tried = try_line("C1", recent, LINE)
    now = recent.moments[-1].time_s
    expected = sorted((each.track_id, each.direction, round(now - each.time_s, 6)) for each in counted)
    assert len(expected) >= 5
    assert sorted((each.track, each.direction, round(each.ago, 6)) for each in tried.crossings) == expected
    assert (tried.entries, tried.exits) == (
        sum(each.direction == "in" for each in counted),
        sum(each.direction == "out" for each in counted),
    )
    assert tried.people >= len({each.track_id for each in counted})
    assert tried.seconds == pytest.approx(40, abs=0.5)
    assert tried.at == recent.at


def test_with_inside_on_the_other_side_in_is_out_and_elsewhere_nothing_is_counted(
    watched: tuple[Memory, list[Crossing]],
) -> None:
    recent = watched[0].recent(60)
    assert recent is not None
    there = try_line("C1", recent, LINE)
    (x, y), inside = DOOR.start, DOOR.inside
    across = replace(LINE, inside=(inside[0], 2 * y - inside[1]))
    back = try_line("C1", recent, across)
    assert (back.entries, back.exits) == (there.exits, there.entries)
    nowhere = replace(LINE, id="L9", start=(0.01, 0.01), end=(0.03, 0.01), inside=(0.02, 0.1))
    assert try_line("C1", recent, nowhere).crossings == ()
    assert x < 0.5
    with pytest.raises(LineError):
        try_line("C1", recent, replace(LINE, inside=LINE.start))


def test_of_fewer_seconds_less_is_told(watched: tuple[Memory, list[Crossing]]) -> None:
    memory, counted = watched
    short = memory.recent(15)
    assert short is not None
    tried = try_line("C1", short, LINE)
    assert 14 < tried.seconds <= 15
    assert 0 < tried.entries + tried.exits < len(counted)
    assert all(each.ago <= 15 for each in tried.crossings)


def test_paths_are_where_people_walked(watched: tuple[Memory, list[Crossing]]) -> None:
    memory, counted = watched
    recent = memory.recent(60)
    assert recent is not None
    found = paths("C1", recent)
    assert found.anchor == "centre"
    ways = {each.track: each.points for each in found.paths}
    for crossing in counted:
        way = ways[crossing.track_id]
        assert len(way) <= MAX_PATH_POINTS
        assert [ago for _, _, ago in way] == sorted((ago for _, _, ago in way), reverse=True)
        # Whoever crossed the door was seen on both sides of it.
        assert min(y for _, y, _ in way) < DOOR.start[1] < max(y for _, y, _ in way)


# -- what is remembered


def frame(number: int, time_s: float) -> Frame:
    return Frame(number, time_s, np.zeros((12, 16, 3), np.uint8))


def step(*tracks: Track) -> Step:
    return Step(Detections(), Detections(), list(tracks), [])


def track(number: int) -> Track:
    return Track(number, (0.4, 0.4, 0.5, 0.6), 0.9, confirmed=True, seen=True)


def test_what_is_older_than_a_minute_is_forgotten_and_a_crowd_sooner() -> None:
    memory = Memory()
    memory.begin(SETTINGS, 16 / 12)
    assert memory.recent(60) is None
    for second in range(100):
        memory.saw(frame(second, float(second)), step(track(second + 1)), None)
    recent = memory.recent(60)
    assert recent is not None
    assert recent.seconds == 60
    crowd = step(*(track(number) for number in range(1, 1001)))
    for number in range(50):
        memory.saw(frame(100 + number, 100 + number / 100), crowd, None)
    recent = memory.recent(60)
    assert recent is not None
    assert sum(len(each.tracks) for each in recent.moments) <= MOST_SIGHTINGS
    assert len(paths("C1", recent).paths) == MAX_PATHS


def test_a_new_pipeline_or_a_stream_that_begins_anew_forgets_what_was_before() -> None:
    """Tracks are numbered anew: somebody else's way would be joined to theirs."""
    memory = Memory()
    memory.begin(SETTINGS, 16 / 12)
    memory.saw(frame(0, 5.0), step(track(1)), None)
    memory.saw(frame(1, 1.0), step(track(2)), None)
    recent = memory.recent(60)
    assert recent is not None
    assert [each.time_s for each in recent.moments] == [1.0]
    memory.begin(SETTINGS, 16 / 9)
    assert memory.recent(60) is None


def test_no_picture_is_kept_in_case_somebody_asks_for_one() -> None:
    memory = Memory()
    memory.begin(SETTINGS, 16 / 12)
    seen = frame(0, 0.0)
    image = weakref.ref(seen.image)
    memory.saw(seen, step(track(1)), None)
    del seen
    gc.collect()
    assert image() is None
    assert memory.recent(60) is not None
    assert memory.picture(0.0) is None


def test_who_waits_for_a_picture_gets_the_next_with_all_that_was_found_in_it() -> None:
    """Also of those whom the camera's settings leave out: they are people none the less."""
    memory = Memory()
    memory.begin(SETTINGS, 16 / 12)
    left_out = Detections(np.asarray([[0.7, 0.1, 0.8, 0.3]], np.float32), np.ones(1, np.float32))
    got: list[Picture | None] = []
    waiting = threading.Thread(target=lambda: got.append(memory.picture(20)))
    waiting.start()
    number = iter(range(10_000))

    def shown() -> bool:
        at = next(number)
        memory.saw(frame(at, at / 10), Step(left_out, Detections(), [track(1)], []), NOON)
        return bool(got)

    wait_until(shown, 20, "a picture")
    waiting.join(10)
    assert got[0] is not None
    assert got[0].people.tolist() == pytest.approx(np.asarray([[0.7, 0.1, 0.8, 0.3], [0.4, 0.4, 0.5, 0.6]]))
    assert (got[0].found, got[0].at) == (1, NOON)


# -- real people


@pytest.mark.footage
def test_a_line_proposed_for_a_bare_camera_counts_real_people_as_a_person_did(clips: Clips, footage: Path) -> None:
    """Nothing was drawn while they walked; what is tried afterwards finds who crossed in the last minute."""
    name = "EnterExitCrossingPaths1front.mpg"
    truth = clips.counted(name).truth
    bare = CameraSettings(id="C1", source=str(footage / "video" / name), mounting=truth.mounting)
    memory = Memory()
    with open_source(str(footage / "video" / name)) as frames:
        pipeline = camera_pipeline(
            make_detector("motion", mounting=truth.mounting), bare, truth.size[0] / truth.size[1]
        )
        memory.begin(bare, truth.size[0] / truth.size[1])
        for each in frames:
            memory.saw(each, pipeline.step(each), None)
        fps = frames.fps
    recent = memory.recent(60)
    assert recent is not None
    now = recent.moments[-1].time_s
    for line in truth.lines:
        drawn = LineSettings(id="L1", start=line.start, end=line.end, inside=line.inside, anchor=line.anchor)
        found = try_line("C1", recent, drawn)
        true = [(each.direction, now - each.frame / fps) for each in line.crossings]
        true = [(direction, ago) for direction, ago in true if ago <= 60]
        assert true
        assert len(found.crossings) == len(true)
        for (direction, ago), tried in zip(sorted(true, key=lambda one: -one[1]), found.crossings, strict=True):
            assert tried.direction == direction
            assert tried.ago == pytest.approx(ago, abs=2.0)
