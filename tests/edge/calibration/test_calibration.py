"""Calibration: lines that count rendered doors exactly, sizes from known people, and nothing from too few."""

from collections import Counter as Tally
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from edge.calibration.lines import propose_line
from edge.calibration.picture import draw
from edge.calibration.proposal import Calibration, calibrate, count
from edge.calibration.sizes import guess_mounting, propose_size
from edge.calibration.walks import WalkCollector
from edge.calibration.watching import Backdrop, Watcher, as_counted
from edge.camera import open_source
from edge.detectors import DetectorError, make_detector
from edge.detectors.motion import MotionDetector
from edge.models import Frame, Line, Mounting, Point, Zone, no_boxes
from edge.pictures.privacy import veiled
from edge.scene import door_line, open_scene
from edge.settings import CameraSettings
from tests.edge.calibration.walked import ASPECT, EMPTY, seen, standing, through_a_door, walked
from tests.fixtures.footage import Clips
from tests.fixtures.onnxmodel import answering


class TestLine:
    def test_it_lies_across_the_door_and_counts_everyone(self) -> None:
        walks = walked(*through_a_door(12))
        proposal = propose_line(walks, aspect=ASPECT, overhead=False)
        assert proposal is not None
        assert proposal.passed == 12
        assert proposal.doubtful == 0
        (x1, y1), (x2, y2) = proposal.start, proposal.end
        assert abs(y2 - y1) < 0.05
        assert x1 < 0.42 < 0.58 < x2
        line = Line("door", proposal.start, proposal.end, (0.5, 0.95))
        assert count(line, walks, "oblique", ASPECT) == {"in": 6, "out": 6}

    def test_the_inside_is_where_most_were_not_seen_first(self) -> None:
        down = [way if way[0][1] < way[-1][1] else way[::-1] for way in through_a_door(8)]
        for ways, below in ((down, True), ([way[::-1] for way in down], False)):
            result = calibrate(seen(walked(*ways)))
            assert result.line is not None
            assert result.inside_from == "seen"
            assert (result.line.inside[1] > result.line.start[1]) is below
            assert result.counts == {"in": 8, "out": 0}

    def test_what_is_told_of_the_inside_is_believed(self) -> None:
        result = calibrate(seen(walked(*through_a_door(8))), inside=(0.5, 0.1))
        assert result.line is not None
        assert result.line.inside == (0.5, 0.1)
        assert result.inside_from == "told"

    def test_where_both_sides_are_even_it_is_a_guess_and_said_to_be(self) -> None:
        result = calibrate(seen(walked(*through_a_door(8))))
        assert result.inside_from == "guessed"
        assert result.line is not None
        assert result.line.inside[1] > result.line.start[1], "guessed to be where the camera is"

    @pytest.mark.parametrize("people", [0, 1, 4])
    def test_too_few_people_give_no_line(self, people: int) -> None:
        result = calibrate(seen(walked(*through_a_door(people))))
        assert result.line is None
        assert result.evidence is None

    def test_how_sure_it_is_grows_with_people(self) -> None:
        words = [calibrate(seen(walked(*through_a_door(people)))).sureness for people in (6, 14, 26)]
        assert words == ["weak", "fair", "well founded"]

    def test_people_who_turn_at_the_line_keep_it_away(self) -> None:
        """Six pass all the way down; three come half way and turn round: a line half way down would see them turn."""
        passing: list[list[Point]] = [[(0.4 + 0.04 * k, 0.1), (0.4 + 0.04 * k, 0.9)] for k in range(6)]
        turning: list[list[Point]] = [[(0.45, 0.9), (0.45, 0.55), (0.5, 0.9)] for _ in range(3)]
        proposal = propose_line(walked(*passing, *turning, height=0.15), aspect=ASPECT, overhead=False)
        assert proposal is not None
        assert not 0.5 < proposal.start[1] < 0.6
        assert proposal.doubtful == 0

    def test_passers_by_are_told_from_customers_where_the_inside_is_known(self) -> None:
        street: list[list[Point]] = [[(0.05, 0.3 + 0.01 * k), (0.95, 0.3 + 0.01 * k)] for k in range(12)]
        customers: list[list[Point]] = [[(0.45 + 0.02 * k, 0.2), (0.45 + 0.02 * k, 0.8)] for k in range(6)]
        walks = walked(*street, *customers, height=0.15, mounting="overhead")
        blind = propose_line(walks, aspect=ASPECT, overhead=True)
        told = propose_line(walks, aspect=ASPECT, overhead=True, inside=(0.5, 0.95))
        assert blind is not None
        assert told is not None
        assert abs(blind.end[0] - blind.start[0]) < 0.1, "most people walk along the street: a line across it"
        assert abs(told.end[1] - told.start[1]) < 0.05
        assert told.passed == 6

    def test_it_does_not_depend_on_the_order_of_the_walks(self) -> None:
        walks = walked(*through_a_door(10), jitter=0.002)
        assert propose_line(walks, aspect=ASPECT, overhead=False) == propose_line(
            walks[::-1], aspect=ASPECT, overhead=False
        )

    @pytest.mark.parametrize("mounting", ["overhead", "oblique"])
    def test_a_rendered_door_is_counted_as_it_truly_was(self, mounting: Mounting) -> None:
        source = f"scene:{mounting}?seconds=100&seed=2&rate=12&light=steady&fps=10"
        result = watch(source, mounting=mounting, inside=(0.5, 0.95))
        assert result.line is not None
        scene = open_scene(source)
        door, proposed = (
            Tally(each.direction for each in scene.truth(line)) for line in (door_line(mounting), result.line)
        )
        assert result.counts == proposed
        # Between the two lines some turn on their heel.
        assert all(abs(door[way] - proposed[way]) <= 1 for way in ("in", "out"))
        assert min(door.values()) >= 3, "a scene with nobody in it would prove nothing"


class TestSize:
    def test_heights_grow_towards_the_camera_as_they_truly_do(self) -> None:
        """Boxes of people half as high as their feet are low in the picture, less a tenth."""
        walks = []
        for number in range(8):
            collector = WalkCollector(aspect=ASPECT, mounting="oblique")
            collector.add(Frame(0, 0.0, EMPTY), [])
            for step in range(60):
                y = 0.4 + 0.5 * step / 60
                track = standing(number + 1, 0.2 + 0.07 * number, y, 0.5 * y - 0.1, "oblique")
                collector.add(Frame(20 + step, 2 + step / 10, EMPTY), [track])
            walks += collector.walks()
        proposal = propose_size(walks, mounting="oblique", aspect=ASPECT)
        assert proposal is not None
        assert proposal.by_depth
        assert proposal.people == 8
        for y, height in ((0.5, 0.15), (0.8, 0.3)):
            assert proposal.at(y) == pytest.approx(height, abs=0.01)

    def test_children_and_pairs_do_not_bend_it(self) -> None:
        ways: list[list[Point]] = [[(0.1 * k, 0.45), (0.1 * k, 0.9)] for k in range(1, 9)]
        odd = [0.3, 0.3, 0.3, 0.3, 0.3, 0.15, 0.3, 0.42]
        walks = [walk for way, height in zip(ways, odd, strict=True) for walk in walked(way, height=height)]
        proposal = propose_size(walks, mounting="oblique", aspect=ASPECT)
        assert proposal is not None
        assert proposal.at(0.6) == pytest.approx(0.3, abs=0.01)

    def test_too_few_give_none(self) -> None:
        assert propose_size(walked(*through_a_door(4)), mounting="oblique", aspect=ASPECT) is None

    def test_from_above_it_is_one_diameter(self) -> None:
        ways: list[list[Point]] = [[(0.3 + 0.05 * k, 0.15), (0.3 + 0.05 * k, 0.85)] for k in range(8)]
        walks = walked(*ways, height=0.2, mounting="overhead")
        proposal = propose_size(walks, mounting="overhead", aspect=ASPECT)
        assert proposal is not None
        assert proposal.at(0.2) == proposal.at(0.8) == pytest.approx(0.2, abs=0.005)

    def test_the_mounting_shows_in_the_shape_of_people(self) -> None:
        ways = through_a_door(6)
        assert guess_mounting(walked(*ways), ASPECT) == "oblique"
        assert guess_mounting(walked(*ways, mounting="overhead"), ASPECT) == "overhead"
        few = walked(*through_a_door(3), mounting="overhead")
        assert guess_mounting(few, ASPECT) == guess_mounting([], ASPECT) == "oblique"


def watch(
    source: str, *, mounting: Mounting | None, inside: Point | None = None, zones: tuple[Zone, ...] = ()
) -> Calibration:
    watcher = Watcher(mounting=mounting, detect_with=lambda each: make_detector("motion", mounting=each), zones=zones)
    with open_source(source) as opened:
        for frame in opened:
            watcher.take(frame)
    return calibrate(watcher.watched(), inside=inside)


class TestWatching:
    def test_a_camera_is_watched_with_its_own_detector_and_all_that_is_set_of_it(self, tmp_path: Path) -> None:
        answer = np.zeros((1, 5, 84), np.float32)
        answer[0, :, 0] = (32, 32, 16, 32, 0.5)
        model = answering(tmp_path, answer, notes={"names": "{0: 'person'}", "task": "detect"})
        frame = Frame(0, 0.0, np.zeros((64, 64, 3), np.uint8))
        camera = CameraSettings(id="C1", source=0, detector="onnx", model=str(model), gate=False, fusion=False)
        for confidence, people in ((None, 1), (0.4, 1), (0.6, 0)):
            chosen = as_counted(msgspec.structs.replace(camera, confidence=confidence))("oblique")
            assert len(chosen.detect(frame, no_boxes())) == people

    def test_auto_is_decided_by_how_the_camera_turns_out_to_hang(self, tmp_path: Path) -> None:
        camera = CameraSettings(id="C1", source=0, model=str(tmp_path / "absent.onnx"))
        assert isinstance(as_counted(camera)("overhead"), MotionDetector)
        with pytest.raises(DetectorError, match=r"absent\.onnx"):
            as_counted(camera)("oblique")

    def test_what_the_camera_will_leave_out_is_not_watched_either(self) -> None:
        scene = "scene:overhead?seconds=20&seed=4&rate=20&light=steady&fps=10&size=320x240"
        street = Zone("street", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)), "ignore")
        assert watch(scene, mounting="overhead").watched.walks
        assert watch(scene, mounting="overhead", zones=(street,)).watched.walks == []


class TestPicture:
    def test_it_shows_the_line_and_a_legend_below(self) -> None:
        result = calibrate(seen(walked(*through_a_door(8))))
        picture = draw(result, "door 1 门")
        height, width = picture.shape[:2]
        assert width == 840
        assert height > 630 + 100, "the scene, enlarged, and the legend below it"
        assert result.line is not None
        x = round((result.line.start[0] + 0.02) * width)
        column = picture[round(result.line.start[1] * 630) - 4 : round(result.line.start[1] * 630) + 4, x]
        assert (np.abs(column.astype(int) - (60, 200, 255)).sum(axis=1) < 40).any()

    def test_without_a_line_the_ways_are_shown_alone(self) -> None:
        assert draw(calibrate(seen(walked(*through_a_door(2))))).shape[1] == 840

    def test_nobody_can_be_recognised(self) -> None:
        """A face of fine stripes is gone, whether it was found or not; what is as broad as a door is still there."""
        image = np.full((432, 768, 3), 90, np.uint8)
        image[:, 380:] = 200
        image[100:140:4, 100:140] = 255
        image[100:140:4, 600:640] = 0
        veil = veiled(image, np.asarray([[590 / 768, 95 / 432, 650 / 768, 145 / 432]], np.float32))
        for left in (104, 604):
            assert veil[104:136, left : left + 32].std() < 0.4 * image[104:136, left : left + 32].std()
        assert abs(int(veil[300, 100, 0]) - 90) < 3
        assert abs(int(veil[300, 700, 0]) - 200) < 3
        assert veil.shape == image.shape

    def test_who_walks_through_is_not_in_the_backdrop(self) -> None:
        backdrop = Backdrop()
        for step in range(100):
            image = np.full((108, 192, 3), 100, np.uint8)
            cv2.rectangle(image, (2 * step - 20, 40), (2 * step, 80), (255, 255, 255), cv2.FILLED)
            backdrop.add(image, no_boxes())
        assert np.abs(backdrop.picture().astype(int) - 100).max() <= 2


@pytest.mark.footage
def test_a_dark_bus_is_set_up_as_by_hand(clips: Clips, footage: Path) -> None:
    result = watch(str(footage / "video" / "overhead-bus.avi"), mounting=None)
    assert result.watched.mounting == "overhead"
    assert result.line is not None
    assert result.line.start[1] == pytest.approx(0.5, abs=0.1)
    assert result.line.end[1] == pytest.approx(0.5, abs=0.1)
    truth = clips.counted("overhead-bus.avi").truth.lines[0]
    assert sum(result.counts.values()) == pytest.approx(len(truth.crossings), abs=1)


@pytest.mark.footage
def test_two_people_are_not_enough(footage: Path) -> None:
    result = watch(str(footage / "video" / "EnterExitCrossingPaths1front.mpg"), mounting="oblique")
    assert result.line is None
