"""The counter as a table of situations: one row a situation, each a way in which counters go wrong."""

from dataclasses import dataclass, replace

import pytest

from edge.counter import Counter, CounterParams
from edge.models import Crossing, Line, Point
from tests.edge.walks import DOOR, FPS, WIDE, Walk, count, on_exit, path, totals

UPRIGHT = Line("upright", (0.5, 0.2), (0.5, 0.8), (0.9, 0.5))
SLANT = Line("slant", (0.3, 0.3), (0.7, 0.7), (0.7, 0.3))

#: A corner at 0.6,0.4: its first piece runs level, its second down; inside is beyond both, to the right and above.
BENT = Line("bent", (0.2, 0.4), (0.6, 0.8), (0.9, 0.2), bends=((0.6, 0.4),))

BELOW, ABOVE = (0.5, 0.7), (0.5, 0.3)


@dataclass(frozen=True)
class Situation:
    name: str
    walks: list[Walk]
    due: tuple[int, int]
    line: Line = DOOR
    aspect: float = 1.0
    params: CounterParams | None = None


def jitter(around: float, size: float, times: int) -> list[Point]:
    return [(0.5, around + (size if i % 2 else -size)) for i in range(times)]


SITUATIONS = [
    Situation("walks in", [Walk(1, path(BELOW, ABOVE))], (1, 0)),
    Situation("walks out", [Walk(1, path(ABOVE, BELOW))], (0, 1)),
    Situation("inside swapped", [Walk(1, path(BELOW, ABOVE))], (0, 1), replace(DOOR, inside=(0.5, 0.9))),
    Situation("ends swapped", [Walk(1, path(BELOW, ABOVE))], (1, 0), replace(DOOR, start=DOOR.end, end=DOOR.start)),
    Situation("in then out", [Walk(1, path(BELOW, ABOVE, BELOW))], (1, 1)),
    Situation("in, out, in", [Walk(1, path(BELOW, ABOVE, BELOW, ABOVE))], (2, 1)),
    Situation("U-turn, settled on exit", [Walk(1, path(BELOW, ABOVE, BELOW))], (0, 0), on_exit(DOOR)),
    Situation("in, out, in, settled on exit", [Walk(1, path(BELOW, ABOVE, BELOW, ABOVE))], (1, 0), on_exit(DOOR)),
    Situation("walks in, settled on exit", [Walk(1, path(BELOW, ABOVE))], (1, 0), on_exit(DOOR)),
    Situation("turns round before the line", [Walk(1, path(BELOW, (0.5, 0.52), BELOW))], (0, 0)),
    Situation("turns round on the line", [Walk(1, path(BELOW, (0.5, 0.49), BELOW))], (0, 0)),
    Situation("turns round in the band's far half", [Walk(1, path(BELOW, (0.5, 0.475), BELOW, step=0.005))], (0, 0)),
    Situation("jitters on the line", [Walk(1, jitter(0.5, 0.02, 60))], (0, 0)),
    Situation("comes, jitters on the line, goes back", [
        Walk(1, [*path(BELOW, (0.5, 0.5)), *jitter(0.5, 0.025, 40), *path((0.5, 0.5), BELOW)])
    ], (0, 0)),
    Situation("comes, jitters on the line, goes in", [
        Walk(1, [*path(BELOW, (0.5, 0.5)), *jitter(0.5, 0.025, 40), *path((0.5, 0.5), ABOVE)])
    ], (1, 0)),
    Situation("one wild box on the far side", [
        Walk(1, [*path(BELOW, (0.5, 0.56)), (0.5, 0.44), *path((0.5, 0.56), BELOW)])
    ], (0, 0)),
    Situation("stops on the line for good", [Walk(1, [*path(BELOW, (0.5, 0.5)), *[(0.5, 0.499)] * 50])], (0, 0)),
    Situation("stops on the line, then goes on", [
        Walk(1, [*path(BELOW, (0.5, 0.5)), *[(0.5, 0.5)] * 50, *path((0.5, 0.5), ABOVE)])
    ], (1, 0)),
    Situation("stands within the band's far half", [Walk(1, [*path(BELOW, (0.5, 0.48)), *[(0.5, 0.48)] * 9])], (0, 0)),
    Situation("diagonal", [Walk(1, path((0.3, 0.7), (0.7, 0.3)))], (1, 0)),
    Situation("shallow diagonal", [Walk(1, path((0.32, 0.56), (0.68, 0.44)))], (1, 0)),
    Situation("fast: three sightings a side", [Walk(1, path((0.5, 0.95), (0.5, 0.05), step=0.18))], (1, 0)),
    Situation("one jump over the line", [Walk(1, [(0.5, 0.9), (0.5, 0.2), (0.5, 0.1)])], (1, 0)),
    Situation("one jump, then gone", [Walk(1, [(0.5, 0.9), (0.5, 0.2)])], (1, 0)),
    Situation("gone just past the line, within the band", [Walk(1, path(BELOW, (0.5, 0.48)))], (0, 0)),
    Situation("gone with one sighting past the band", [Walk(1, [*path(BELOW, (0.5, 0.5)), (0.5, 0.45)])], (1, 0)),
    Situation("passes left of the segment", [Walk(1, path((0.2, 0.7), (0.2, 0.3)))], (0, 0)),
    Situation("passes just beyond the segment's end", [Walk(1, path((0.71, 0.7), (0.71, 0.3)))], (0, 0)),
    Situation("passes just within the segment's end", [Walk(1, path((0.69, 0.7), (0.69, 0.3)))], (1, 0)),
    Situation("round the end, then through the door", [
        Walk(1, path((0.5, 0.7), (0.85, 0.7), (0.85, 0.3), (0.5, 0.3), BELOW))
    ], (0, 1)),
    Situation("through the door, then back round its end", [
        Walk(1, path(BELOW, ABOVE, (0.85, 0.3), (0.85, 0.7), BELOW))
    ], (1, 0)),
    Situation("walks along the line, beyond the band", [Walk(1, path((0.3, 0.55), (0.7, 0.55)))], (0, 0)),
    Situation("walks along the very line", [Walk(1, path((0.1, 0.5), (0.9, 0.5)))], (0, 0)),
    Situation("never confirmed", [Walk(1, path(BELOW, ABOVE), late=99)], (0, 0)),
    Situation("confirmed only past the line", [Walk(1, path((0.5, 0.56), ABOVE), late=8)], (1, 0)),
    Situation("confirmed at its last sighting", [Walk(1, [(0.5, 0.6), (0.5, 0.5), (0.5, 0.4)], late=2)], (1, 0)),
    Situation("begins within the band", [Walk(1, path((0.5, 0.51), ABOVE))], (0, 0)),
    Situation("unseen while crossing, found again", [
        Walk(1, [*path(BELOW, (0.5, 0.54)), *[None] * 8, *path((0.5, 0.46), ABOVE)])
    ], (1, 0)),
    Situation("carried over the line by prediction only", [Walk(1, [*path(BELOW, (0.5, 0.54)), *[None] * 12])], (0, 0)),
    Situation("not reported for a moment", [Walk(1, path(BELOW, ABOVE), silent=frozenset(range(8, 13)))], (1, 0)),
    Situation("lost in the band, found under another id", [
        Walk(1, path(BELOW, (0.5, 0.51))), Walk(2, path((0.5, 0.49), ABOVE), start=14)
    ], (1, 0)),
    Situation("lost before the band, found past it", [
        Walk(1, path(BELOW, (0.5, 0.55))), Walk(2, path((0.5, 0.45), ABOVE), start=12)
    ], (1, 0)),
    Situation("lost in the band, someone far off appears", [
        Walk(1, path(BELOW, (0.5, 0.51))), Walk(2, path((0.9, 0.49), (0.9, 0.2)), start=14)
    ], (0, 0)),
    Situation("lost in the band, someone appears much later", [
        Walk(1, path(BELOW, (0.5, 0.51))), Walk(2, path((0.5, 0.49), ABOVE), start=60)
    ], (0, 0)),
    Situation("opposite ways at once", [
        Walk(1, path((0.45, 0.7), (0.45, 0.3))), Walk(2, path((0.55, 0.3), (0.55, 0.7)))
    ], (1, 1)),
    Situation("three abreast", [
        Walk(i, path((x, 0.7), (x, 0.3))) for i, x in ((1, 0.4), (2, 0.5), (3, 0.6))
    ], (3, 0)),
    Situation("close behind one another", [
        Walk(1, path(BELOW, ABOVE)), Walk(2, path(BELOW, ABOVE), start=3)
    ], (2, 0)),
    Situation("upright line", [Walk(1, path((0.3, 0.5), (0.7, 0.5)))], (1, 0), UPRIGHT),
    Situation("upright line, outward", [Walk(1, path((0.7, 0.5), (0.3, 0.5)))], (0, 1), UPRIGHT),
    Situation("slanting line", [Walk(1, path((0.4, 0.6), (0.6, 0.4)))], (1, 0), SLANT),
    Situation("slanting line, beyond its end", [Walk(1, path((0.6, 0.9), (0.9, 0.6)))], (0, 0), SLANT),
    Situation("leaves by the side, its centre sinking over the line", [
        Walk(1, [*path((0.5, 0.4), (0.94, 0.4)), *path((0.97, 0.42), (0.985, 0.6), step=0.01)], size=(0.12, 0.2))
    ], (0, 0), WIDE),
    Situation("crosses clear of the border, then leaves by it", [
        Walk(1, [*path(BELOW, ABOVE), *path(ABOVE, (0.99, 0.3))])
    ], (1, 0), WIDE),
    Situation("leaves by the top, over an upright line's height", [
        Walk(1, [*path((0.4, 0.5), (0.4, 0.06)), *path((0.45, 0.0), (0.6, 0.0), step=0.01)])
    ], (0, 0), replace(UPRIGHT, start=(0.5, 0.0))),
    Situation("touches the side border all the way, as wide as ever", [
        Walk(1, path((0.05, 0.9), (0.05, 0.1)), size=(0.1, 0.1))
    ], (1, 0), WIDE),
    Situation("wide picture: the band is as wide beside an upright line", [
        Walk(1, [*path((0.3, 0.5), (0.5, 0.5)), *[(0.514, 0.5)] * 9])
    ], (0, 0), UPRIGHT, 2.0),
    Situation("wide picture: past the band of an upright line", [
        Walk(1, [*path((0.3, 0.5), (0.5, 0.5)), *[(0.52, 0.5)] * 9])
    ], (1, 0), UPRIGHT, 2.0),
    Situation("bent line, over its first piece", [Walk(1, path((0.4, 0.8), (0.4, 0.2)))], (1, 0), BENT),
    Situation("bent line, over its second piece", [Walk(1, path((0.8, 0.65), (0.45, 0.65)))], (0, 1), BENT),
    Situation("bent line, through its very corner", [Walk(1, path((0.8, 0.2), (0.4, 0.6)))], (0, 1), BENT),
    Situation("bent line, into its very corner and on", [
        Walk(1, path((0.8, 0.2), (0.6, 0.4), (0.4, 0.6)))
    ], (0, 1), BENT),
    Situation("bent line, stops in its corner, then goes back", [
        Walk(1, [*path((0.8, 0.2), (0.6, 0.4)), *[(0.6, 0.4)] * 9, *path((0.6, 0.4), (0.8, 0.2))])
    ], (0, 0), BENT),
    Situation("bent line, past the corner just inside it", [Walk(1, path((0.44, 0.56), (0.56, 0.44)))], (0, 0), BENT),
    Situation("bent line, past the corner just outside it", [Walk(1, path((0.5, 0.3), (0.7, 0.5)))], (0, 0), BENT),
    Situation("bent line, cuts its corner off within the band", [
        Walk(1, path((0.52, 0.3), (0.7, 0.48)))
    ], (0, 0), BENT),
    Situation("bent line, cuts its corner off well", [Walk(1, path((0.3, 0.3), (0.7, 0.7)))], (1, 1), BENT),
    Situation("bent line, jitters about its corner", [
        Walk(1, [*path((0.8, 0.2), (0.6, 0.4)), *[(0.59, 0.41), (0.61, 0.39)] * 30])
    ], (0, 0), BENT),
    Situation("bent line, round its end", [
        Walk(1, path((0.8, 0.6), (0.8, 0.95), (0.5, 0.95), (0.5, 0.6)))
    ], (0, 0), BENT),
    Situation("bent line, in over one piece and out over the other", [
        Walk(1, path((0.4, 0.2), (0.4, 0.6), (0.8, 0.6)))
    ], (1, 1), replace(BENT, inside=(0.4, 0.6))),
    Situation("seated, half hidden: one side of the box jumps over an upright line", [
        Walk(1, [(0.46, 0.5), (0.53, 0.5)] * 20, sizes=[(0.1, 0.3), (0.24, 0.3)] * 20)
    ], (0, 0), UPRIGHT),
    Situation("walks over an upright line while the box changes its width", [
        Walk(1, path((0.3, 0.5), (0.7, 0.5)), sizes=[(0.1, 0.3), (0.13, 0.3), (0.08, 0.3)] * 7)
    ], (1, 0), UPRIGHT),
    Situation("narrow band asked for", [Walk(1, [*path(BELOW, (0.5, 0.5)), *[(0.5, 0.485)] * 9])], (1, 0), DOOR, 1.0,
              CounterParams(band=0.01, least_band=0.01)),
]  # fmt: skip


@pytest.mark.parametrize(("height", "due"), [(0.1, 1), (0.16, 1), (0.24, 0), (0.6, 0)])
def test_band_is_narrower_for_small_bodies_far_off(height: float, due: int) -> None:
    walk = Walk(1, [*path(BELOW, (0.5, 0.5)), *[(0.5, 0.48)] * 9], size=(0.06, height))
    assert len(count([walk], [DOOR], params=CounterParams())) == due


@pytest.mark.parametrize("case", SITUATIONS, ids=lambda case: case.name)
def test_situation(case: Situation) -> None:
    assert totals(count(case.walks, [case.line], aspect=case.aspect, params=case.params)) == case.due


def test_each_situation_has_its_own_name() -> None:
    assert len({case.name for case in SITUATIONS}) == len(SITUATIONS)


def test_crossing_is_dated_when_the_line_was_crossed_not_when_it_was_certain() -> None:
    (crossing,) = count([Walk(7, path((0.5, 0.7), (0.5, 0.3), step=0.01), start=5)], [DOOR])
    assert (crossing.line_id, crossing.direction, crossing.track_id) == ("door", "in", 7)
    assert abs(crossing.frame - 25) <= 1
    assert crossing.time_s == pytest.approx(crossing.frame / FPS)


def test_moment_of_a_long_unseen_step_is_interpolated() -> None:
    points: list[Point | None] = [(0.5, 0.7), (0.5, 0.6), *[None] * 9, (0.5, 0.1), (0.5, 0.05)]
    (crossing,) = count([Walk(1, points)], [DOOR])
    assert crossing.frame == 3  # 0.6 to 0.1 in ten frames: the line at 0.5 is reached after a fifth of them


def test_crossing_is_reported_as_soon_as_it_is_certain() -> None:
    counter = Counter([DOOR], mounting="overhead", aspect=1.0)
    walk = Walk(1, path(BELOW, ABOVE))
    seen: list[tuple[int, Crossing]] = []
    for frame in range(len(walk.points)):
        track = walk.at(frame)
        assert track is not None
        seen += [(frame, crossing) for crossing in counter.update([track], frame, frame / FPS)]
    ((certain, crossing),) = seen
    assert 0 < certain - crossing.frame <= 4
    assert counter.finish() == []


def test_settling_on_exit_waits_for_the_end_of_the_track() -> None:
    counter = Counter([on_exit(DOOR)], mounting="overhead", aspect=1.0)
    walk = Walk(1, path(BELOW, ABOVE))
    for frame in range(len(walk.points)):
        track = walk.at(frame)
        assert track is not None
        assert counter.update([track], frame, frame / FPS) == []
    later = [counter.update([], frame, frame / FPS) for frame in range(21, 60)]
    ((crossing,),) = [found for found in later if found]
    assert crossing.frame == 10
    assert counter.finish() == []


def test_stitched_track_keeps_the_first_id() -> None:
    walks = [Walk(1, path(BELOW, (0.5, 0.51))), Walk(2, path((0.5, 0.49), ABOVE), start=14)]
    (crossing,) = count(walks, [DOOR])
    assert crossing.track_id == 1


def test_stitched_u_turn_cancels_on_exit() -> None:
    walks = [
        Walk(1, path(BELOW, ABOVE, (0.5, 0.49))),
        Walk(2, path((0.5, 0.51), BELOW), start=33),
    ]
    assert count(walks, [on_exit(DOOR)]) == []


def test_evidence_of_one_sighting_is_trusted_less() -> None:
    (sure,) = count([Walk(1, path(BELOW, ABOVE))], [DOOR])
    (unsure,) = count([Walk(1, [(0.5, 0.9), (0.5, 0.2)])], [DOOR])
    assert 0 < unsure.confidence < sure.confidence <= 1


def test_two_lines_are_counted_apart() -> None:
    first, second = replace(WIDE, line_id="first", start=(0, 0.6), end=(1, 0.6)), replace(WIDE, line_id="second")
    found = count([Walk(1, path((0.5, 0.9), (0.5, 0.1)))], [first, second])
    assert [(c.line_id, c.direction) for c in found] == [("first", "in"), ("second", "in")]
    assert found[0].frame < found[1].frame


@pytest.mark.parametrize(
    ("mounting", "anchor", "frame"),
    [
        ("overhead", None, 10),
        ("oblique", None, 20),
        ("oblique", "centre", 10),
        ("oblique", "head", 0),
        ("overhead", "feet", 20),
    ],
)
def test_anchor_is_the_mountings_own_unless_the_line_names_one(mounting: str, anchor: str | None, frame: int) -> None:
    walk = Walk(1, path((0.5, 0.7), (0.5, 0.1)), start=0, size=(0.1, 0.4))
    line = replace(DOOR, anchor=anchor)  # type: ignore[arg-type]
    found = count([walk], [line], mounting=mounting)  # type: ignore[arg-type]
    assert [c.frame for c in found] == ([frame] if frame else [])
