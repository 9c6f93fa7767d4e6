"""A picture that rests is not looked at each time, and whatever moves in it is looked at at once."""

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.detectors import make_detector
from edge.detectors.motion import MotionDetector
from edge.detectors.stillness import Stillness
from edge.models import Detections, Frame, no_boxes

FPS = 20.0
Image = NDArray[np.uint8]
WALL = np.full((288, 384, 3), 150, np.uint8)


def with_someone(x: int, wall: Image = WALL) -> Image:
    image = wall.copy()
    image[80:230, x : x + 50] = (40, 60, 30)
    return image


def shown(detector: MotionDetector, pictures: list[Image]) -> list[Detections]:
    return [detector.detect(Frame(i, i / FPS, image), no_boxes()) for i, image in enumerate(pictures)]


@pytest.mark.parametrize("noise", [0.0, 4.0])
def test_a_picture_that_rests_is_looked_at_only_as_often_as_the_scene_is_learnt(noise: float) -> None:
    rng = np.random.default_rng(3)
    scene = [WALL, *[with_someone(180)] * 60]
    noisy = [np.clip(image + rng.normal(0, noise, image.shape), 0, 255).astype(np.uint8) for image in scene]
    detector = MotionDetector(mounting="oblique")
    found = shown(detector, noisy)
    assert 10 <= detector.looks <= 20  # every 0.3 s of three seconds, and at first
    assert all(len(each) == 1 for each in found[1:])


def test_who_begins_to_move_is_looked_at_in_that_very_picture() -> None:
    pictures = [WALL, *[with_someone(180)] * 32, *[with_someone(180 + 4 * step) for step in range(1, 10)]]
    detector = MotionDetector(mounting="oblique")
    found = shown(detector, pictures)
    lefts = [each.boxes[0, 0] * 384 for each in found[33:]]
    assert lefts == pytest.approx([180 + 4 * step for step in range(1, 10)], abs=2.5)


def test_a_picture_shown_twice_while_somebody_walks_does_not_rest() -> None:
    """Video of ten pictures a second, sent as twenty."""
    pictures = [WALL, *[with_someone(60 + 4 * (step // 2)) for step in range(60)]]
    detector = MotionDetector(mounting="oblique")
    shown(detector, pictures)
    assert detector.looks == len(pictures)


@pytest.mark.parametrize(("gate", "looks"), [(True, 7), (False, 20)])
def test_without_the_gate_every_picture_is_looked_at(gate: bool, looks: int) -> None:
    """What a picture costs in a busy hour is measured so: `doorline edge check` must not take a rest for speed."""
    detector = make_detector("motion", mounting="oblique", gate=gate)
    assert isinstance(detector, MotionDetector)
    shown(detector, [WALL] * 20)
    assert detector.looks == looks


@pytest.mark.parametrize(("exposure", "lasts"), [(1.0, 0.5), (0.5, 0.0)])
def test_in_the_dark_a_smaller_change_is_one(exposure: float, lasts: float) -> None:
    stillness = Stillness()
    stillness.lasts(WALL, 0.0, exposure)
    stillness.looked()
    changed = WALL.copy()
    changed[100:160, 100:160] += 8
    assert stillness.lasts(changed, 0.5, exposure) == lasts


def test_a_picture_of_another_size_has_changed() -> None:
    stillness = Stillness()
    stillness.lasts(WALL, 0.0, 1.0)
    stillness.looked()
    assert stillness.lasts(WALL[:200], 1.0, 1.0) == 0.0
