"""What shops do to a picture: lamps that flicker and are switched, glaring walls, people who stand and who overlap."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.detectors.blobs import BlobParams, BlobReader
from edge.detectors.pixels import brightest
from edge.detectors.shadows import Shadows
from tests.edge.detectors.test_motion import FPS, HEIGHT, PERSON, WIDTH, Watch, dressed, fractions, moved, room


@pytest.fixture
def scene() -> NDArray[np.float64]:
    return room(np.random.default_rng(5))


def learnt(scene: NDArray[np.float64]) -> Watch:
    """A detector that has seen one person walk through, and so knows how large people are."""
    watch = Watch()
    watch.settle(scene)
    for step in range(-150, 150, 4):
        watch.show(dressed(scene, moved(step)))
    watch.settle(scene, 1.0)
    return watch


def test_who_stands_for_a_minute_is_kept_and_then_leaves_no_ghost(scene: NDArray[np.float64]) -> None:
    watch = Watch()
    watch.settle(scene)
    for step in range(-60, 0, 6):
        watch.show(dressed(scene, moved(step)))
    for tick in range(round(60 * FPS)):
        sway = round(1.5 * np.sin(tick / 4))  # nobody stands like a post
        found = watch.show(dressed(scene, moved(sway)), held=fractions(moved(sway)))
    assert len(found) == 1
    assert len(watch.settle(scene, 0.5)) == 0


def test_a_flickering_lamp_is_nobody_and_hides_nobody(scene: NDArray[np.float64]) -> None:
    watch = Watch()
    watch.settle(scene)
    rng = np.random.default_rng(3)
    assert sum(len(watch.show(scene * rng.uniform(0.88, 1.12))) for _ in range(50)) == 0
    for step in range(0, 60, 6):
        gain = rng.uniform(0.88, 1.12)
        assert len(watch.show(dressed(scene * gain, moved(step), gain))) == 1


@pytest.mark.parametrize("gain", [0.55, 1.25])
def test_a_light_switched_and_switched_back_invents_nobody(scene: NDArray[np.float64], gain: float) -> None:
    watch = Watch()
    watch.settle(scene)
    found = [len(watch.show(scene * gain)) for _ in range(10)]
    found += [len(watch.show(scene)) for _ in range(10)]
    assert sum(found) == 0
    assert len(watch.show(dressed(scene, PERSON))) == 1


def test_who_is_there_while_the_light_is_switched_is_found_within_a_second(scene: NDArray[np.float64]) -> None:
    watch = Watch()
    watch.settle(scene)
    for step in range(-60, 0, 6):
        watch.show(dressed(scene, moved(step)))
    found = [len(watch.show(dressed(scene * 0.55, moved(6 * tick), 0.55))) for tick in range(10)]
    assert found[-1] == 1
    assert max(found) == 1


def wall(colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    return np.full((40, 60, 3), colour, np.uint8)


def not_shadow(empty: NDArray[np.uint8], seen: NDArray[np.uint8]) -> int:
    """How many of the pixels in question are no shadow."""
    test = Shadows(empty, brightest(empty), 1.0, (0.5, 1.0), 0.09)
    mask = np.full(empty.shape[:2], 255, np.uint8)
    return cv2.countNonZero(test.none_at(seen, mask, (slice(0, 40), slice(0, 60))))


def test_half_the_light_of_the_same_colour_is_a_shadow_and_another_colour_is_not() -> None:
    empty = wall((120, 160, 200))
    assert not_shadow(empty, wall((84, 112, 140))) == 0
    assert not_shadow(empty, wall((140, 112, 84))) == 40 * 60


def test_a_shadow_on_an_overexposed_wall_is_one_whatever_the_wall_s_colour_was() -> None:
    """Red and green end at 255 where they would be 380 and 300: the shadow shows the colour that the wall had not."""
    empty, shadow = wall((150, 255, 255)), wall((105, 210, 255))
    assert not_shadow(empty, shadow) == 0
    assert not_shadow(empty, wall((105, 120, 120))) == 40 * 60, "darker than any shadow of it could be"


def test_a_pair_that_overlaps_by_half_is_two(scene: NDArray[np.float64]) -> None:
    watch = learnt(scene)
    found = []
    for step in range(0, 60, 6):
        pair = dressed(dressed(scene, moved(step)), moved(step + 18))
        found.append(len(watch.show(pair)))
    assert found[2:] == [2] * (len(found) - 2)


def test_a_cart_pushed_by_a_person_is_no_second_person(scene: NDArray[np.float64]) -> None:
    watch = learnt(scene)
    for step in range(0, 60, 6):
        pushed = dressed(scene, moved(step))
        left = PERSON[2] + step - 4
        pushed[150:186, left : left + 34] = (120, 122, 125)
        pushed[150:186:6, left : left + 34] = (60, 60, 66)
        found = watch.show(pushed)
        assert len(found) == 1
        assert found.boxes[0][0] * WIDTH == pytest.approx(PERSON[0] + step, abs=8)


def read(reader: BlobReader, *shapes: NDArray[np.uint8]) -> list[int]:
    """How many people the reader finds in each mask."""
    return [len(reader.read(mask, mask)) for mask in shapes]


def figure(middle: int, head: int = 90) -> NDArray[np.uint8]:
    """A person of 100 pixels as a mask, the head narrower than the shoulders."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.rectangle(mask, (middle - 7, head), (middle + 7, 120), 255, cv2.FILLED)
    cv2.rectangle(mask, (middle - 18, 115), (middle + 18, 190), 255, cv2.FILLED)
    return mask


def test_two_heads_must_show_more_than_once() -> None:
    reader = BlobReader("oblique", BlobParams())
    pair = figure(180) | figure(206)
    assert read(reader, pair, pair, pair) == [1, 2, 2]


def test_an_arm_stretched_out_for_a_moment_makes_nobody() -> None:
    reader = BlobReader("oblique", BlobParams())
    alone = figure(180)
    arm = alone.copy()
    cv2.rectangle(arm, (196, 92), (206, 140), 255, cv2.FILLED)
    assert read(reader, alone, arm, alone, arm, alone) == [1, 1, 1, 1, 1]


@pytest.mark.parametrize("dim", [1.0, 0.5, 0.35])
def test_a_darker_camera_sees_the_same_people(scene: NDArray[np.float64], dim: float) -> None:
    watch = Watch(noise=2.0 * dim)
    watch.settle(scene * dim)
    for step in range(0, 60, 6):
        found = watch.show(dressed(scene * dim, moved(step), dim))
        assert len(found) == 1
        assert found.boxes[0][3] * HEIGHT == pytest.approx(PERSON[3], abs=6)
