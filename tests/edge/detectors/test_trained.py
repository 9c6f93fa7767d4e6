"""A network at work on a camera: run only when the picture changed, where something moves, and not believed blindly."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.detectors.focus import Focus
from edge.detectors.fusion import FusionParams, fuse
from edge.detectors.gate import Gate
from edge.detectors.trained import TrainedDetector
from edge.models import BAG, PERSON, Boxes, Detections, Frame, no_boxes
from edge.pipeline import Pipeline, make_pipeline
from edge.scene import door_line

Image = NDArray[np.uint8]
WIDTH, HEIGHT, FPS = 320, 240, 10.0
#: A person's size, and where a rack stands that a network takes for one (pixels).
WIDE, TALL = 24, 70
RACK = (250, 60, 275, 130)


class Network:
    """Finds what is drawn in red, as a network finds people; racks are red, too."""

    size = (416, 416)

    def __init__(self) -> None:
        self.calls = 0
        self.shapes: list[tuple[int, ...]] = []

    def find(self, image: Image) -> Detections:
        self.calls += 1
        self.shapes.append(image.shape[:2])
        red = (image[..., 2] > 150) & (image[..., 0] < 110)
        columns = np.flatnonzero(red.any(axis=0))
        found = []
        for run in np.split(columns, np.flatnonzero(np.diff(columns) > 2) + 1) if len(columns) else []:
            rows = np.flatnonzero(red[:, run].any(axis=1))
            if len(run) > 4 and len(rows) > 8:
                found.append((run[0], rows[0], run[-1] + 1, rows[-1] + 1))
        height, width = image.shape[:2]
        boxes = np.array(found, np.float32).reshape(-1, 4) / np.array((width, height, width, height), np.float32)
        return Detections(np.asarray(boxes, np.float32), np.full(len(found), 0.8, np.float32))


def picture(walker_x: float | None, *, rack: bool = False, seed: int = 0) -> Image:
    """A grey room with sensor noise; the walker's left side at that column."""
    rng = np.random.default_rng(seed)
    image = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    image[150:] = 90
    if rack:
        image[RACK[1] : RACK[3], RACK[0] : RACK[2]] = (60, 60, 220)
    if walker_x is not None:
        x = round(walker_x)
        image[80 : 80 + TALL, max(x, 0) : max(x + WIDE, 0)] = (50, 40, 230)
    noise = rng.integers(-4, 5, image.shape)
    return np.asarray(np.clip(image + noise, 0, 255), np.uint8)


def play(images: Iterator[Image], start: int = 0) -> Iterator[Frame]:
    for index, image in enumerate(images):
        yield Frame(start + index, (start + index) / FPS, image)


def pipeline(detector: TrainedDetector) -> Pipeline:
    return make_pipeline(detector, [door_line("oblique")], mounting="oblique", aspect=WIDTH / HEIGHT)


def walk(first: int, last: int, step: float, *, rack: bool = False, seed: int = 0) -> Iterator[Image]:
    x = float(first)
    while x < last:
        seed += 1
        x += step
        yield picture(x, rack=rack, seed=seed)


def test_a_network_is_not_run_on_an_empty_noisy_room() -> None:
    network = Network()
    detector = TrainedDetector(network, mounting="oblique")
    for frame in play(picture(None, seed=n) for n in range(200)):
        assert len(detector.detect(frame, no_boxes())) == 0
    assert network.calls == 0


def test_without_fusion_an_empty_room_is_looked_at_now_and_then() -> None:
    network = Network()
    detector = TrainedDetector(network, mounting="oblique", fusion=False)
    for frame in play(picture(None, seed=n) for n in range(200)):  # 20 seconds
        detector.detect(frame, no_boxes())
    assert 2 <= network.calls <= 6


@pytest.mark.parametrize("fusion", [True, False])
def test_the_network_is_run_while_someone_walks(fusion: bool) -> None:
    network = Network()
    detector = TrainedDetector(network, mounting="oblique", fusion=fusion)
    steps = pipeline(detector)
    for frame in play(picture(None, seed=n) for n in range(30)):
        steps.step(frame)
    before, seen = network.calls, 0
    images = list(walk(-20, 240, 6.0, seed=100))
    for frame in play(iter(images), start=30):
        seen += any(track.confirmed and track.seen for track in steps.step(frame).tracks)
    assert network.calls - before > 0.9 * len(images)
    assert seen > 0.8 * len(images)


@pytest.mark.parametrize("fusion", [True, False])
def test_someone_who_stands_still_is_kept_and_costs_little(fusion: bool) -> None:
    network = Network()
    detector = TrainedDetector(network, mounting="oblique", fusion=fusion)
    steps = pipeline(detector)
    index = 0
    for image in [*(picture(None, seed=n) for n in range(20)), *walk(-20, 150, 6.0, seed=50)]:
        track = steps.step(Frame(index, index / FPS, image)).tracks
        index += 1
    (walker,) = [each for each in track if each.confirmed]
    before = network.calls
    for n in range(150):
        track = steps.step(Frame(index, index / FPS, picture(150, seed=1000 + n))).tracks
        index += 1
        assert [each.track_id for each in track if each.confirmed] == [walker.track_id]
    assert network.calls - before < 50


def test_the_gate_opens_for_someone_who_creeps() -> None:
    gate = Gate()
    opened = 0
    for index in range(200):
        image = picture(20 + 0.25 * index, seed=index)
        opened += gate.opens(image, index / FPS, followed=False)
    assert opened > 40


def test_the_gate_gets_used_to_what_never_rests() -> None:
    rng = np.random.default_rng(3)
    gate = Gate()
    opened = []
    for index in range(500):
        image = picture(None, seed=index)
        image[20:60, 20:80] = rng.integers(0, 255)  # a screen
        opened.append(gate.opens(image, index / FPS, followed=False))
    assert sum(opened[:100]) > 50
    assert sum(opened[-100:]) < 25
    walker = [gate.opens(picture(x, seed=x), 50 + x / FPS, followed=False) for x in range(100, 160, 6)]
    assert sum(walker) >= 8


def test_a_rack_that_looks_like_a_person_is_left_out_and_a_walker_before_it_kept() -> None:
    network = Network()
    detector = TrainedDetector(network, mounting="oblique", gate=False)
    for frame in play(picture(None, rack=True, seed=n) for n in range(30)):
        assert len(detector.detect(frame, no_boxes())) == 0
    found = 0
    for frame in play(walk(-20, 180, 6.0, rack=True, seed=100), start=30):
        boxes = detector.detect(frame, no_boxes()).boxes
        assert not any(abs(box[0] - RACK[0] / WIDTH) < 0.02 for box in boxes)
        found += len(boxes) == 1
    assert found > 25
    assert Network().find(picture(None, rack=True)).boxes.shape == (1, 4)  # which the network alone takes for one


def test_a_light_that_is_switched_takes_nobody_away() -> None:
    network = Network()
    detector = TrainedDetector(network, mounting="oblique", gate=False)
    steps = pipeline(detector)
    images = [*(picture(None, seed=n) for n in range(20)), *walk(-20, 120, 6.0, seed=50)]
    for frame in play(iter(images)):
        steps.step(frame)
    darker = (np.clip(picture(x, seed=200) * 0.7 + 10, 0, 255).astype(np.uint8) for x in range(124, 180, 6))
    for frame in play(darker, start=len(images)):
        step = steps.step(frame)
        assert any(track.confirmed for track in step.tracks)


@pytest.mark.parametrize(
    ("box", "score", "above", "below"),
    [
        ((0.1, 0.1, 0.2, 0.4), 0.8, -0.1, 0.1),  # nothing moved there
        ((0.4, 0.5, 0.5, 0.9), 0.8, 0.8, 1.0),  # all of it moved
        ((0.4, 0.5, 0.5, 0.9), 0.4, 0.5, 0.65),  # weak, and all of it moved
        ((0.45, 0.7, 0.6, 1.0), 0.8, 0.5, 0.8),  # a fifth of it moved
    ],
)
def test_a_score_follows_what_moved(box: tuple[float, ...], score: float, above: float, below: float) -> None:
    foreground = np.zeros((240, 320), np.uint8)
    foreground[120:216, 128:160] = 255  # 0.4 to 0.5 across, 0.5 to 0.9 down
    boxes = np.array([box], np.float32)
    found = fuse(Detections(boxes, np.array([score], np.float32)), foreground, FusionParams())
    assert above < (found.scores[0] if len(found) else 0.0) < below


def test_a_box_ends_where_what_moves_ends_but_loses_only_so_much() -> None:
    foreground = np.zeros((200, 200), np.uint8)
    foreground[50:150, 80:120] = 255
    foreground[20:60, 150:190] = 255
    boxes = np.array([(0.4, 0.25, 0.6, 0.79), (0.75, 0.1, 0.95, 0.8), (0.4, 0.25, 0.6, 0.78)], np.float32)
    classes = np.array([PERSON, PERSON, BAG], np.uint8)
    found = fuse(Detections(boxes, np.array([0.9, 0.8, 0.7], np.float32), classes), foreground, FusionParams())
    assert found.boxes[0, 3] == pytest.approx(0.75)
    assert found.boxes[found.classes == BAG][0, 3] == pytest.approx(0.78)
    half_hidden = found.boxes[found.boxes[:, 0] > 0.7][0]
    assert half_hidden[3] == pytest.approx(0.8 - 0.12 * 0.7)


def part(boxes: list[tuple[float, ...]], focus: Focus, foreground: Image | None = None) -> tuple[float, ...] | None:
    mask = np.zeros((240, 320), np.uint8) if foreground is None else foreground
    wanted: Boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return focus.choose(wanted, mask, (320, 240))


def test_a_part_holds_what_moves_with_room_around_and_stays() -> None:
    focus = Focus((240, 240))
    first = part([(0.5, 0.4, 0.55, 0.6)], focus)
    assert first is not None
    left, top, right, bottom = first
    assert left < 0.45
    assert right > 0.6
    assert top < 0.31
    assert bottom > 0.69
    assert (right - left) * 4 / 3 == pytest.approx(bottom - top)
    assert part([(0.52, 0.41, 0.57, 0.61)], focus) == first
    far = part([(0.5, 0.4, 0.55, 0.6), (0.05, 0.5, 0.1, 0.7)], focus)
    assert far is not None
    assert far != first
    assert far[0] <= 0.02
    assert far[2] > 0.6


def test_a_part_is_chosen_anew_where_the_picture_has_another_shape() -> None:
    focus, mask = Focus((240, 240)), np.zeros((240, 320), np.uint8)
    boxes: Boxes = np.array([(0.45, 0.4, 0.55, 0.6)], np.float32)
    wide, tall = focus.choose(boxes, mask, (320, 240)), focus.choose(boxes, mask, (240, 320))
    assert wide is not None
    assert tall is not None
    assert (wide[2] - wide[0]) * 4 / 3 == pytest.approx(wide[3] - wide[1])
    assert (tall[2] - tall[0]) * 3 / 4 == pytest.approx(tall[3] - tall[1])


def test_a_picture_is_enlarged_only_as_far_as_it_has_pixels() -> None:
    mask = np.zeros((240, 320), np.uint8)
    boxes: Boxes = np.array([(0.45, 0.45, 0.5, 0.55)], np.float32)
    heights = []
    for picture in ((320, 240), (384, 288), (640, 480), (1920, 1080)):
        found = Focus((416, 416)).choose(boxes, mask, picture)
        assert found is not None
        heights.append(round((found[3] - found[1]) * picture[1]))
    assert heights[:2] == [208, 208], "twice, at the most"
    assert heights[2:] == [240, 540], "half the picture, at the least"


def test_specks_are_nothing_to_look_at_and_a_leg_is() -> None:
    mask = np.zeros((240, 320), np.uint8)
    mask[100:103, 100:102] = 255
    assert part([], Focus((240, 240)), mask) is None
    mask[100:130, 200:210] = 255
    found = part([], Focus((240, 240)), mask)
    assert found is not None
    assert found[0] < 0.6 < 0.67 < found[2]


def test_boxes_found_in_a_part_are_put_back_into_the_whole() -> None:
    network = Network()
    detector = TrainedDetector(network, mounting="oblique", gate=False)
    for frame in play(picture(None, seed=n) for n in range(10)):
        detector.detect(frame, no_boxes())
    found = detector.detect(Frame(10, 1.0, picture(100, seed=7)), no_boxes())
    assert network.shapes[-1] < (HEIGHT, WIDTH)
    expected = (100 / WIDTH, 80 / HEIGHT, (100 + WIDE) / WIDTH, (80 + TALL) / HEIGHT)
    np.testing.assert_allclose(found.boxes[0].astype(float), expected, atol=0.01)
