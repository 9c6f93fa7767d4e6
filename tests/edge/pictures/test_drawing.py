"""What is drawn can be found in the picture: arrows point inward, zones show their kind, words stay within."""

import numpy as np
import pytest

from edge.models import Crossing, Frame, Line, Point, Track, Zone
from edge.pictures.annotate import Annotator, clock
from edge.pictures.drawing import (
    HUES,
    INWARD,
    LINE,
    ZONES,
    Colour,
    Image,
    draw_line,
    draw_zone,
    fitting,
    ink_on,
    label,
    label_size,
    readable_size,
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


@pytest.mark.parametrize("size", [(320, 240), (240, 320), (1920, 1080), (3840, 2160), (1080, 1920)])
def test_the_paper_below_words_is_as_wide_as_they_are(size: tuple[int, int]) -> None:
    image = blank(128, size)
    text = "frame 25   0:02.5"
    wide, high = label_size(image, text)
    label(image, text, (0, 0), (32, 32, 32), (245, 245, 245))
    changed = (image != 128).any(axis=2)
    assert np.flatnonzero(changed.any(axis=0)).max() == wide
    assert wide < image.shape[1]
    written = (image[:high] > 100).all(axis=2) & changed[:high]
    assert np.flatnonzero(written.any(axis=0)).max() < wide - 2, "the last letter has paper behind it"


@pytest.mark.parametrize("size", [(240, 640), (64, 48), (1080, 1920), (640, 480)])
def test_totals_and_moment_are_never_written_over_each_other(size: tuple[int, int]) -> None:
    name = "the main entrance of the north building on the second floor, by the lifts"
    door = Line(name, (0.1, 0.9), (0.9, 0.9), (0.5, 0.5))
    shapes = []
    for lines in ([], [door]):
        drawn = Annotator(lines, "oblique", size).draw(Frame(12345, 12345.6, blank(90, size)), [], [])
        shapes.append((drawn == (32, 32, 32)).all(axis=2))
    moment, both = shapes
    width = moment.shape[1]
    rows = np.flatnonzero(moment.any(axis=1))
    top = rows.min() == 0
    upper, lower = both[: both.shape[0] // 8], both[-both.shape[0] // 8 :]
    assert upper[:, : width // 2].any(), "the totals"
    assert (lower[:, width // 2 :].any() and not top) or upper[:, width // 2 :].any()
    told = fitting(blank(90, size), name, "   in 0   out 0")
    assert told.endswith("   in 0   out 0"), "the name is shortened, not the count"


def test_long_names_are_shortened_until_they_fit() -> None:
    image = blank(90, (640, 480))
    assert fitting(image, "door", "   in 3") == "door   in 3"
    short = fitting(image, "n" * 200, "   in 3")
    assert short.endswith("n..   in 3")
    assert label_size(image, short)[0] <= 640 < label_size(image, short.replace("..", "nnn.."))[0]


def test_a_turned_camera_s_small_picture_is_enlarged_by_its_shorter_side() -> None:
    assert readable_size((240, 640)) == (480, 1280)
    assert readable_size((384, 288)) == (768, 576)
    assert readable_size((1080, 1920)) == (1080, 1920)


def test_a_path_is_thin_where_nobody_was_seen() -> None:
    def drawn(gap_s: float) -> int:
        annotator = Annotator([], "overhead", (800, 600))
        for time_s, x in ((0.0, 0.2), (0.1, 0.21), (0.1 + gap_s, 0.8)):
            track = Track(1, (x - 0.02, 0.4, x + 0.02, 0.6), 1.0, True, True)
            image = annotator.draw(Frame(0, time_s, blank(255)), [track], [])
        return int((image[280:320, 300:500] != 255).any(axis=2).sum())

    assert drawn(2.0) < 0.6 * drawn(0.1)


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


def test_no_box_goes_through_the_number_of_another() -> None:
    annotator = Annotator([Line("door", (0.1, 0.9), (0.9, 0.9), (0.5, 0.95))], "oblique", (800, 600))
    first = Track(1, (0.3, 0.4, 0.5, 0.8), 0.9, True, True)
    behind = Track(2, (0.31, 0.2, 0.6, 0.7), 0.9, True, True)  # its left side comes down where the first's number is
    image = annotator.draw(Frame(0, 0.0, blank()), [first, behind], [])
    wide, high = label_size(image, "1")
    left, foot = round(0.3 * 799), round(0.4 * 599)
    number = image[foot - high : foot, left + 3 : left + wide]
    assert not len(where(number, HUES[2]))
    assert len(where(number, HUES[1])) > 0.5 * number.shape[0] * number.shape[1]
