"""What is drawn can be found in the picture: arrows point inward, zones show their kind, words stay within."""

import numpy as np
import pytest

from edge.models import Crossing, Frame, Line, Point, Track, Zone
from edge.pictures.annotate import Annotator, clock
from edge.pictures.drawing import (
    INWARD,
    LINE,
    ZONES,
    Colour,
    Image,
    draw_line,
    draw_zone,
    ink_on,
    label,
    label_size,
    shown,
)


def blank(grey: int = 128, size: tuple[int, int] = (800, 600)) -> Image:
    return np.full((size[1], size[0], 3), grey, np.uint8)


def where(image: Image, colour: Colour) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Places (x, y) of pixels of just this colour."""
    rows, columns = np.nonzero((image == colour).all(axis=2))
    return np.stack([columns, rows], axis=1)


@pytest.mark.parametrize(
    ("points", "inside"),
    [
        (((0.2, 0.5), (0.8, 0.5)), (0.5, 0.9)),
        (((0.2, 0.5), (0.8, 0.5)), (0.5, 0.1)),
        (((0.8, 0.5), (0.2, 0.5)), (0.5, 0.1)),
        (((0.5, 0.1), (0.5, 0.9)), (0.9, 0.5)),
        (((0.5, 0.9), (0.5, 0.1)), (0.1, 0.5)),
        (((0.2, 0.3), (0.5, 0.6), (0.8, 0.3)), (0.5, 0.2)),
        (((0.2, 0.3), (0.5, 0.6), (0.8, 0.3)), (0.5, 0.95)),
    ],
)
@pytest.mark.parametrize("grey", [0, 128, 255])
def test_the_arrow_points_to_the_inside_on_any_ground(points: tuple[Point, ...], inside: Point, grey: int) -> None:
    image = blank(grey)
    first, *bends, last = points
    draw_line(image, Line("door", first, last, inside, bends=tuple(bends)))
    line, arrow = where(image, LINE), where(image, INWARD)
    assert len(line) > 500
    assert len(arrow) > 100
    at = np.asarray(inside) * [800, 600]
    # The arrow lies nearer to the inside than the part of the line it stands on.
    foot = line[np.hypot(*(line - arrow.mean(axis=0)).T).argmin()]
    assert np.hypot(*(arrow.mean(axis=0) - at)) < np.hypot(*(foot - at))


def test_what_is_ignored_is_hatched_and_what_counts_is_not() -> None:
    corners = ((0.2, 0.2), (0.6, 0.2), (0.6, 0.8), (0.2, 0.8))
    ignored, counted = blank(), blank()
    draw_zone(ignored, Zone("screen", corners, "ignore"), name="screen")
    draw_zone(counted, Zone("till", corners, "count"))
    inside = np.s_[200:400, 200:450]
    assert (counted[inside] == 128).all()
    assert 0.02 < (ignored[inside] != 128).mean() < 0.5
    assert len(where(counted, ZONES["count"])) > 500


def test_words_stay_within_the_picture_and_can_be_read() -> None:
    for grey in (0, 255):
        image = blank(grey, (320, 240))
        for at in ((-50, -50), (900, 900), (300, 5)):
            label(image, "17", at, (32, 32, 32), (245, 245, 245))
        assert label_size(image, "17")[0] < 60
        assert (image == 245).any()
    assert ink_on((0, 0, 120)) != ink_on((200, 230, 240))


def test_names_that_cannot_be_drawn_are_numbered() -> None:
    assert shown("door", 2) == "door"
    assert shown("正门", 2) == "line 2"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0:00.0"), (59.96, "1:00.0"), (62.5, "1:02.5"), (3600.04, "1:00:00.0"), (3725.5, "1:02:05.5")],
)
def test_moments_are_shown_as_a_player_does(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_a_zone_that_counts_has_totals_and_lights_up_alone() -> None:
    corners = ((0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7))
    annotator = Annotator(
        [Line("door", (0.1, 0.9), (0.9, 0.9), (0.5, 0.5))], "oblique", (400, 300), [Zone("till", corners, "count")]
    )
    frame = Frame(3, 0.3, blank(90, (400, 300)))
    track = Track(7, (0.4, 0.2, 0.6, 0.6), 1.0, True, True)
    before = annotator.draw(frame, [track], [])
    after = annotator.draw(frame, [track], [Crossing("till", "in", 7, 3, 0.3, 1.0, 7)])
    assert before.shape == after.shape == (600, 800, 3)
    changed = (before != after).any(axis=2)
    assert changed[:60, :300].any(), "the totals in the corner"
    assert changed[420, 300:500].any(), "the zone's lower border is lit"
    assert not changed[530:].any(), "the line is not"
    assert (frame.image == 90).all(), "the frame itself is left as it was"
