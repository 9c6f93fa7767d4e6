"""A picture that leaves the shop: within its size, and with nobody in it that could be recognised."""

import cv2
import numpy as np
import pytest

from edge.answering.snapshot import Image, snapshot
from edge.models import Boxes, no_boxes
from wire.asking import MAX_PICTURE


def striped(width: int, height: int) -> Image:
    """Stripes one pixel wide: all the detail a picture can have."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, ::2] = 255
    return image


def opened(jpeg: bytes) -> Image:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def test_it_is_as_wide_as_was_asked_and_no_wider_than_it_was() -> None:
    for width, expected in ((960, (960, 540)), (640, (640, 360)), (1280, (1280, 720))):
        jpeg, size = snapshot(np.full((720, 1280, 3), 90, np.uint8), no_boxes(), width)
        assert size == expected
        assert opened(jpeg).shape[:2] == expected[::-1]


def test_detail_is_gone_everywhere_and_where_people_are_only_a_shape_is_left() -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (540, 960, 3), dtype=np.uint8)
    people: Boxes = np.asarray([[0.25, 0.25, 0.5, 0.75]], np.float32)
    shown = opened(snapshot(image, people, 960)[0]).astype(np.float32)
    inside, outside = shown[150:390, 250:470], shown[20:120, 520:940]
    # Noise of one pixel has a spread of 74; the mean of a block of 5 a fifth of it, of one of 22 next to none.
    assert outside.std() < 22
    assert inside.std() < 6
    jpeg, _ = snapshot(striped(960, 540), no_boxes(), 960)
    assert opened(jpeg)[:, 100:800].std() < 40


def test_the_most_detailed_picture_stays_within_its_size() -> None:
    rng = np.random.default_rng(2)
    image = rng.integers(0, 256, (1080, 1920, 3), dtype=np.uint8)
    jpeg, _ = snapshot(image, no_boxes(), 1280)
    assert len(jpeg) <= MAX_PICTURE
    small, size = snapshot(image, no_boxes(), 1280, most=6000)
    assert len(small) <= 6000
    assert size[0] < 1280
    with pytest.raises(ValueError, match="no picture of at most 10 bytes"):
        snapshot(image, no_boxes(), 1280, most=10)
