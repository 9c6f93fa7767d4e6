"""Motion detection: a rendered situation for each way in which it used to fail; real clips are in `test_golden`."""

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.detectors.blobs import between_heads
from edge.detectors.motion import MotionDetector
from edge.models import Boxes, Detections, Frame, no_boxes

FPS = 10.0
WIDTH, HEIGHT = 384, 288
#: A person obliquely seen, in pixels: left, top, right, bottom.
PERSON = (180, 90, 212, 190)
Image = NDArray[np.uint8]


def room(rng: np.random.Generator, brightness: float = 1.0) -> NDArray[np.float64]:
    """A wall and a floor with boards, as a camera would see it without noise."""
    scene = np.empty((HEIGHT, WIDTH, 3))
    scene[:120] = (190, 185, 180)
    scene[120:] = (70, 110, 150)
    scene[120:, ::16] *= 0.8
    scene += rng.normal(0, 4, (HEIGHT, WIDTH, 1))
    return scene * brightness


def dressed(scene: NDArray[np.float64], box: tuple[int, int, int, int], brightness: float = 1.0) -> NDArray[np.float64]:
    """The scene with someone in it: hair, a shirt with folds, dark trousers."""
    x1, y1, x2, y2 = box
    tall, middle, half = y2 - y1, (x1 + x2) / 2, (x2 - x1) / 2
    rows, columns = np.mgrid[y1:y2, x1:x2]
    down, across = (rows - y1) / tall, np.abs(columns - middle) / half
    shape = across < np.where(down < 0.15, 0.35, np.where(down < 0.55, 0.95, 0.7))
    folds = 12 * np.sin(columns * 1.3)[..., None]
    colour = np.where(
        (down < 0.15)[..., None],
        (30, 35, 45),
        np.where((down < 0.55)[..., None], np.array((60, 40, 160)) + folds, (50, 35, 30)),
    )
    out = scene.copy()
    out[y1:y2, x1:x2][shape] = colour[shape] * brightness
    return out


def moved(by: float, box: tuple[int, int, int, int] = PERSON) -> tuple[int, int, int, int]:
    return (box[0] + round(by), box[1], box[2] + round(by), box[3])


class Watch:
    """A detector shown one picture after another, each with the camera's noise."""

    def __init__(self, mounting: str = "oblique", noise: float = 2.0) -> None:
        self.detector = MotionDetector(mounting="overhead" if mounting == "overhead" else "oblique")
        self.rng = np.random.default_rng(7)
        self.noises = self.rng.normal(0, noise, (6, HEIGHT, WIDTH, 3)).astype(np.float32)
        self.index = 0

    def show(self, scene: NDArray[np.float64], held: Boxes | None = None) -> Detections:
        noisy = scene + self.noises[self.rng.integers(6), : scene.shape[0], : scene.shape[1]]
        frame = Frame(self.index, self.index / FPS, np.clip(noisy, 0, 255).astype(np.uint8))
        self.index += 1
        return self.detector.detect(frame, no_boxes() if held is None else held)

    def settle(self, scene: NDArray[np.float64], seconds: float = 2.0) -> Detections:
        for _ in range(round(seconds * FPS)):
            found = self.show(scene)
        return found


def fractions(box: tuple[int, int, int, int]) -> Boxes:
    return np.array([np.array(box) / (WIDTH, HEIGHT, WIDTH, HEIGHT)], np.float32)


def overlap(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    shared = float(np.prod(np.clip(high - low, 0, None)))
    return shared / (float(np.prod(one[2:] - one[:2])) + float(np.prod(other[2:] - other[:2])) - shared)


@pytest.fixture
def scene() -> NDArray[np.float64]:
    return room(np.random.default_rng(5))


def test_the_first_picture_and_an_empty_scene_hold_nobody(scene: NDArray[np.float64]) -> None:
    watch = Watch()
    assert sum(len(watch.show(scene)) for _ in range(40)) == 0


def test_who_walks_through_is_boxed_closely(scene: NDArray[np.float64]) -> None:
    watch = Watch()
    watch.settle(scene)
    for step in range(0, 100, 6):
        box = moved(step)
        found = watch.show(dressed(scene, box))
        assert len(found) == 1
        assert overlap(found.boxes[0], fractions(box)[0]) > 0.7
        assert found.scores[0] >= 0.5


def test_who_stands_still_is_not_absorbed(scene: NDArray[np.float64]) -> None:
    watch = Watch()
    watch.settle(scene)
    for step in range(-60, 0, 6):
        watch.show(dressed(scene, moved(step)))
    for _ in range(200):
        found = watch.show(dressed(scene, PERSON), held=fractions(PERSON))
    assert len(found) == 1
    assert len(watch.settle(scene, 0.3)) == 0, "and leaves no ghost"


def test_who_was_there_from_the_first_picture_leaves_no_lasting_ghost(scene: NDArray[np.float64]) -> None:
    watch = Watch()
    watch.settle(dressed(scene, PERSON), 1.0)
    for step in range(0, 180, 12):
        watch.show(dressed(scene, moved(step)))
    assert len(watch.settle(scene, 3.0)) == 0


def test_a_chair_put_down_becomes_part_of_the_scene(scene: NDArray[np.float64]) -> None:
    watch = Watch()
    watch.settle(scene)
    changed = scene.copy()
    changed[150:200, 250:290] = (40, 90, 40)
    assert len(watch.settle(changed, 1.0)) == 1
    assert len(watch.settle(changed, 35.0)) == 0


@pytest.mark.parametrize("gain", [0.75, 1.2])
def test_light_that_changes_everywhere_is_nobody(scene: NDArray[np.float64], gain: float) -> None:
    watch = Watch()
    watch.settle(scene)
    for step in range(1, 21):
        assert len(watch.show(scene * (1 + (gain - 1) * step / 20))) == 0
    found = watch.show(dressed(scene * gain, PERSON, gain))
    assert len(found) == 1


def test_a_light_switched_off_is_got_over_within_a_second(scene: NDArray[np.float64]) -> None:
    watch = Watch()
    watch.settle(scene)
    night = np.empty_like(scene)
    night[:] = scene.mean(axis=2, keepdims=True) * (0.25, 0.12, 0.1)  # another colour too: no gain mends it
    watch.settle(night, 1.0)
    assert len(watch.show(night)) == 0
    assert len(watch.show(dressed(night, PERSON, 0.9))) == 1


def test_a_shadow_alone_is_nobody(scene: NDArray[np.float64]) -> None:
    watch = Watch()
    watch.settle(scene)
    for step in range(0, 60, 6):
        soft = np.zeros((HEIGHT, WIDTH))
        soft[150:230, 120 + step : 180 + step] = 1
        shade = 1 - 0.3 * cv2.GaussianBlur(soft, (0, 0), 4)
        assert len(watch.show(scene * shade[..., None])) == 0


def test_a_grey_shirt_before_a_grey_wall_does_not_cut_a_person_in_two(scene: NDArray[np.float64]) -> None:
    watch = Watch()
    watch.settle(scene)
    box = (180, 40, 212, 170)
    for step in range(0, 60, 6):
        person = dressed(scene, moved(step, box))
        x1, _, x2, _ = moved(step, box)
        person[60:112, x1 + 2 : x2 - 2] = scene[60:112, x1 + 2 : x2 - 2] * 0.75
        found = watch.show(person)
        assert len(found) == 1
        assert found.boxes[0][3] - found.boxes[0][1] > 0.8 * (130 / HEIGHT)


def test_a_pair_side_by_side_is_two(scene: NDArray[np.float64]) -> None:
    watch = Watch()
    watch.settle(scene)
    for step in range(-150, 150, 4):  # learn how large a person is here
        watch.show(dressed(scene, moved(step)))
    watch.settle(scene, 1.0)
    for step in range(0, 60, 6):
        pair = dressed(dressed(scene, moved(step)), moved(step + 29))
        assert len(watch.show(pair)) == (2 if step else 1), "one picture alone does not prove two heads"


def test_a_very_dark_scene_still_shows_people() -> None:
    dim = room(np.random.default_rng(5), 0.3)
    watch = Watch(noise=0.7)
    watch.settle(dim)
    found = [watch.show(dressed(dim, moved(step), 0.3)) for step in range(0, 60, 6)]
    assert sum(len(detections) == 1 for detections in found) >= 8


def test_a_box_cut_off_by_the_border_reaches_it(scene: NDArray[np.float64]) -> None:
    """The counter knows by this that the box's middle is not the body's."""
    watch = Watch()
    watch.settle(scene)
    found = watch.show(dressed(scene, (364, 90, 384, 190)))
    assert len(found) == 1
    assert found.boxes[0][2] == 1.0


def test_a_trembling_camera_sees_nobody(scene: NDArray[np.float64]) -> None:
    watch = Watch()
    watch.settle(scene)
    found = [len(watch.show(np.roll(scene, (step % 2, step % 3 - 1), axis=(0, 1)))) for step in range(30)]
    assert sum(found) == 0


def test_a_camera_that_changes_its_size_begins_anew(scene: NDArray[np.float64]) -> None:
    watch = Watch()
    watch.settle(scene)
    assert len(watch.show(scene[::2, ::2])) == 0
    assert len(watch.show(scene[::2, ::2])) == 0


def test_seen_from_above_two_apart_are_two_and_their_shadow_none() -> None:
    rng = np.random.default_rng(9)
    floor = np.full((240, 320, 3), (20.0, 25.0, 90.0)) + rng.normal(0, 2, (240, 320, 1))
    watch = Watch("overhead")
    watch.settle(floor)
    for row in range(200, 40, -16):
        seen = floor.copy()
        for column in (80, 230):
            ring = np.zeros((240, 320), np.uint8)
            cv2.ellipse(ring, (column, row + 18), (58, 40), 0, 0, 360, 255, -1)
            seen[ring > 0] *= 0.55
            cv2.ellipse(ring, (column, row), (45, 25), 0, 0, 360, 128, -1)
            seen[ring == 128] = (200, 190, 170)
        found = watch.show(seen)
        assert len(found) == 2
        assert sorted(round(float(box[0] + box[2]) / 2 * 320) for box in found.boxes) == pytest.approx([80, 230], abs=8)
        for box in found.boxes:
            assert (box[1] + box[3]) / 2 * 240 == pytest.approx(row, abs=10)


def outlines() -> Iterator[tuple[str, Callable[[], NDArray[np.float32]], int]]:
    def head(columns: int, heads: list[int]) -> NDArray[np.float32]:
        profile = np.full(columns, 70.0)
        for middle in heads:
            profile[middle - 6 : middle + 7] = 100
        return profile.astype(np.float32)

    yield "one head", lambda: head(60, [30]), 0
    yield "two heads", lambda: head(80, [20, 60]), 1
    yield "three heads", lambda: head(120, [20, 60, 100]), 2
    yield "an arm stretched out", lambda: np.concatenate([head(40, [20]), np.full(40, 35.0)]).astype(np.float32), 0
    yield (
        "a child by the hand",
        lambda: np.concatenate([head(40, [20]), np.full(14, 30.0), np.full(20, 60.0)]).astype(np.float32),
        1,
    )


@pytest.mark.parametrize(("make", "cuts"), [(m, c) for _, m, c in outlines()], ids=[n for n, _, _ in outlines()])
def test_a_blob_is_cut_between_heads(make: Callable[[], NDArray[np.float32]], cuts: int) -> None:
    assert len(between_heads(make(), width=40, height=100)) == cuts
