"""The tracker on scripted people: who keeps their id through speed, gaps, crowding and uneven frames."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.geometry import Box
from edge.models import Detections, Mounting, Track
from edge.tracker import Tracker

#: Where someone's box is at a time, or None while they are not detected.
Person = Callable[[float], Box | None]


def around(x: float, y: float, w: float = 0.06, h: float = 0.2) -> Box:
    return (x - w / 2, y - h / 2, x + w / 2, y + h / 2)


def walker(start: tuple[float, float], speed: tuple[float, float], w: float = 0.06, h: float = 0.2) -> Person:
    return lambda t: around(start[0] + speed[0] * t, start[1] + speed[1] * t, w, h)


def hidden(person: Person, begin: float, end: float) -> Person:
    return lambda t: None if begin <= t < end else person(t)


def detections(boxes: Sequence[Box | None], scores: Sequence[float] | None = None) -> Detections:
    kept = [box for box in boxes if box is not None]
    return Detections(
        np.asarray(kept, np.float32).reshape(-1, 4),
        np.asarray(scores if scores is not None else [0.9] * len(kept), np.float32),
    )


def run(
    people: Sequence[Person],
    times: Sequence[float],
    *,
    mounting: Mounting = "oblique",
    merge: bool = False,
) -> list[list[Track]]:
    """Tracks per frame; with `merge`, boxes that touch come as one, as a blob detector gives them."""
    tracker = Tracker(aspect=1.0, mounting=mounting)
    frames = []
    for t in times:
        boxes = [box for person in people if (box := person(t)) is not None]
        frames.append(tracker.update(detections(merged(boxes) if merge else boxes), t))
    return frames


def merged(boxes: list[Box]) -> list[Box]:
    """Boxes that overlap joined into one, until none do."""
    for i, a in enumerate(boxes):
        for j, b in enumerate(boxes[i + 1 :], i + 1):
            if a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]:
                joined = (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
                return merged([*boxes[:i], joined, *boxes[i + 1 : j], *boxes[j + 1 :]])
    return boxes


def seconds(length: float, fps: float = 10.0) -> list[float]:
    return [i / fps for i in range(round(length * fps) + 1)]


def confirmed(frames: list[list[Track]]) -> list[int]:
    """Ids in the order in which they were given."""
    return list(dict.fromkeys(t.track_id for tracks in frames for t in tracks if t.confirmed))


def nearest(tracks: list[Track], box: Box) -> Track:
    return min(tracks, key=lambda t: abs(t.box[0] - box[0]) + abs(t.box[1] - box[1]))


@pytest.mark.parametrize("fps", [5.0, 10.0, 25.0, 60.0])
def test_a_walker_keeps_one_id_at_any_frame_rate(fps: float) -> None:
    frames = run([walker((0.1, 0.5), (0.15, 0.0))], seconds(5, fps))
    assert confirmed(frames) == [1]
    assert len(frames[-1]) == 1


def test_an_overhead_walker_who_crosses_in_ten_frames_keeps_one_id() -> None:
    times = [i / 15 for i in range(11)]
    frames = run([walker((0.5, 0.05), (0.0, 1.35), 0.25, 0.25)], times, mounting="overhead")
    assert confirmed(frames) == [1]
    assert sum(t.seen and t.confirmed for tracks in frames for t in tracks) >= 8


def test_ids_start_at_one_in_order_of_confirmation_and_are_never_used_again() -> None:
    people = [
        hidden(walker((0.2, 0.5), (0, 0)), 1.0, 99),
        hidden(walker((0.8, 0.5), (0, 0)), -1, 5.0),
    ]
    assert confirmed(run(people, seconds(8))) == [1, 2]


def test_unconfirmed_tracks_have_no_id_and_the_confirmed_hands_over_its_past() -> None:
    frames = run([walker((0.1, 0.5), (0.2, 0.0))], seconds(1))
    ids = [tracks[0].track_id for tracks in frames]
    first = next(i for i, tracks in enumerate(frames) if tracks[0].confirmed)
    assert first >= 1
    assert ids[:first] == [0] * first
    earlier = frames[first][0].earlier
    assert [past.time_s for past in earlier] == pytest.approx([i / 10 for i in range(first)])
    assert [(past.box[0] + past.box[2]) / 2 for past in earlier] == pytest.approx(
        [0.1 + 0.02 * i for i in range(first)], abs=0.01
    )
    assert all(not tracks[0].earlier for tracks in frames[first + 1 :])


def test_a_flicker_is_never_confirmed() -> None:
    frames = run([hidden(walker((0.5, 0.5), (0, 0)), 0.15, 99)], seconds(2))
    assert confirmed(frames) == []
    assert frames[-1] == []


@pytest.mark.parametrize("fps", [10.0, 25.0])
def test_a_short_occlusion_keeps_the_id(fps: float) -> None:
    frames = run([hidden(walker((0.2, 0.5), (0.12, 0.0)), 2.0, 2.8)], seconds(5, fps))
    assert confirmed(frames) == [1]
    assert [t.seen for t in frames[round(2.4 * fps)]] == [False]


@pytest.mark.parametrize("fps", [5.0, 25.0])
def test_a_lost_track_is_forgotten_after_seconds_not_frames(fps: float) -> None:
    frames = run([hidden(walker((0.5, 0.5), (0, 0)), 2.0, 99)], seconds(6, fps))
    gone = next(i for i, tracks in enumerate(frames) if i / fps > 2 and not tracks)
    assert 0.8 < gone / fps - 2.0 < 2.0


def test_a_stalled_stream_joins_nobody_over_the_gap() -> None:
    frames = run([walker((0.5, 0.5), (0, 0))], [0.0, 0.1, 0.2, 0.3, 60.0, 60.1, 60.2, 60.3])
    assert confirmed(frames) == [1, 2]


def test_uneven_frames_do_not_lose_a_walker() -> None:
    times = [0.0, 0.04, 0.2, 0.24, 0.5, 0.55, 0.9, 1.0, 1.04, 1.4, 1.45, 1.8, 2.0, 2.3, 2.34]
    assert confirmed(run([walker((0.1, 0.5), (0.3, 0.0))], times)) == [1]


def test_two_who_pass_each_other_keep_their_ids() -> None:
    people = [walker((0.1, 0.45), (0.15, 0.0)), walker((0.9, 0.55), (-0.15, 0.0))]
    frames = run(people, seconds(5))
    assert sorted(confirmed(frames)) == [1, 2]
    first = {i: nearest(frames[5], box).track_id for i, p in enumerate(people) if (box := p(0.5)) is not None}
    last = {i: nearest(frames[-1], box).track_id for i, p in enumerate(people) if (box := p(5.0)) is not None}
    assert first == last


def test_nobody_jumps_faster_than_a_person_can() -> None:
    def teleporting(t: float) -> Box:
        return around(0.1 if t < 2 else 0.9, 0.5)

    assert confirmed(run([teleporting], seconds(4))) == [1, 2]


def test_weak_detections_continue_a_track_and_confirm_none() -> None:
    tracker = Tracker(aspect=1.0)
    box = around(0.5, 0.5)
    for i in range(10):
        assert not any(track.confirmed for track in tracker.update(detections([box], [0.3]), i / 10))
    for i in range(10, 15):
        tracker.update(detections([box], [0.9]), i / 10)
    tracks = [tracker.update(detections([box], [0.3]), i / 10) for i in range(15, 40)]
    assert all(len(each) == 1 and each[0].seen and each[0].track_id == 1 for each in tracks)


def test_whoever_is_seen_badly_at_first_has_come_from_there_once_they_are_sure() -> None:
    tracker, person = Tracker(aspect=1.0), walker((0.1, 0.5), (0.3, 0.0))
    scores = [0.3, 0.3, 0.2, 0.4, 0.9, 0.3, 0.9, 0.9]
    frames = [tracker.update(detections([person(i / 10)], [score]), i / 10) for i, score in enumerate(scores)]
    assert [[track.confirmed for track in tracks] for tracks in frames] == [[False]] * 7 + [[True]]
    earlier = frames[-1][0].earlier
    assert [past.time_s for past in earlier] == pytest.approx([i / 10 for i in range(7)])
    assert [(past.box[0] + past.box[2]) / 2 for past in earlier] == pytest.approx(
        [0.1 + 0.03 * i for i in range(7)], abs=0.015
    )


def test_people_who_touch_are_both_kept_while_their_boxes_are_one() -> None:
    people = [walker((0.2, 0.5), (0.1, 0.0), 0.1, 0.3), walker((0.8, 0.5), (-0.1, 0.0), 0.1, 0.3)]
    frames = run(people, seconds(6), merge=True)
    assert sorted(confirmed(frames)) == [1, 2]
    together = frames[30]  # both at 0.5: one box
    assert sorted(t.track_id for t in together) == [1, 2]
    last = [nearest(frames[-1], box).track_id for p in people if (box := p(6.0)) is not None]
    assert sorted(last) == [1, 2]


def test_a_fragment_within_someone_is_no_second_person() -> None:
    body = walker((0.2, 0.5), (0.1, 0.0), 0.2, 0.6)

    def arm(t: float) -> Box | None:
        return around(0.2 + 0.1 * t, 0.5, 0.05, 0.1) if t > 1 else None

    assert confirmed(run([body, arm], seconds(5))) == [1]


def test_a_side_cut_off_by_the_picture_stays_on_its_border() -> None:
    def leaving(t: float) -> Box:
        x1, y1, x2, y2 = around(0.7 + 0.1 * t, 0.5, 0.2, 0.4)
        return (x1, y1, min(x2, 1.0), y2)

    frames = run([leaving], seconds(3))
    assert all(tracks[0].box[2] == 1.0 for tracks in frames[21:])


def test_predicted_gives_confirmed_tracks_ahead_of_time() -> None:
    tracker = Tracker(aspect=1.0)
    assert tracker.predicted(0.0).shape == (0, 4)
    for i in range(10):
        tracker.update(detections([around(0.2 + 0.02 * i, 0.5)]), i / 10)
    ahead = tracker.predicted(1.4)
    assert ahead.shape == (1, 4)
    assert ahead.dtype == np.float32
    assert float(ahead[0, 0] + ahead[0, 2]) / 2 == pytest.approx(0.2 + 0.2 * 1.4, abs=0.03)


def test_time_that_runs_back_is_refused() -> None:
    tracker = Tracker(aspect=1.0)
    tracker.update(Detections(), 1.0)
    with pytest.raises(ValueError, match=r"ran back from 1\.000 s to 0\.500 s"):
        tracker.update(Detections(), 0.5)


def test_boxes_without_area_are_ignored() -> None:
    tracker = Tracker(aspect=1.0)
    for i in range(5):
        assert tracker.update(detections([(0.5, 0.5, 0.5, 0.5), (0.6, 0.6, 0.5, 0.7)]), i / 10) == []


box = st.tuples(st.floats(0.1, 0.9), st.floats(0.1, 0.9), st.floats(0.02, 0.3), st.floats(0.02, 0.3))
frames_of_boxes = st.lists(st.lists(st.tuples(box, st.floats(0.05, 1.0)), max_size=5), min_size=1, max_size=15)


@given(frames_of_boxes, st.sampled_from(["overhead", "oblique"]), st.sampled_from([5.0, 30.0]))
def test_whatever_comes_tracks_are_sound_and_repeatable(
    frames: list[list[tuple[tuple[float, float, float, float], float]]], mounting: Mounting, fps: float
) -> None:
    def follow() -> list[list[Track]]:
        tracker = Tracker(aspect=1.5, mounting=mounting)
        return [
            tracker.update(detections([around(*values) for values, _ in found], [s for _, s in found]), i / fps)
            for i, found in enumerate(frames)
        ]

    result = follow()
    assert result == follow()
    for tracks, found in zip(result, frames, strict=True):
        ids = [t.track_id for t in tracks if t.confirmed]
        assert len(ids) == len(set(ids))
        assert all((t.track_id > 0) == t.confirmed for t in tracks)
        assert sum(t.seen and not t.confirmed for t in tracks) <= len(found)
        assert all(0 <= t.box[0] <= t.box[2] <= 1 and 0 <= t.box[1] <= t.box[3] <= 1 for t in tracks)
    given_ids = confirmed(result)
    assert given_ids == sorted(given_ids)
