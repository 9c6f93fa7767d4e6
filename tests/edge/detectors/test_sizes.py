"""How large people are is learnt from people, and from nothing that only stands there."""

import cv2
import numpy as np

from edge.detectors.blobs import BlobReader
from edge.detectors.shapes import Blob
from edge.detectors.sizes import SizeModel

SHAPE = (216, 384)


def test_what_stands_where_it_stood_teaches_no_size() -> None:
    """A streak of light that stays, and flickers, and now and then someone who walks by under the camera."""
    reader = BlobReader("overhead")
    for frame in range(400):
        mask = np.zeros(SHAPE, np.uint8)
        if frame % 3:
            cv2.rectangle(mask, (300, 60), (318, 110), 255, cv2.FILLED)
        walked = frame % 40
        if walked < 16:
            cv2.ellipse(mask, (120, 30 + 10 * walked), (48, 34), 0, 0, 360, 255, cv2.FILLED)
        reader.read(mask, mask)
    body = reader._sizes.body()
    assert body is not None
    assert 70 <= body.w <= 110
    assert 50 <= body.h <= 80


def test_nobody_stands_above_the_picture() -> None:
    """Feet of heads near the upper border, where people get small faster than the picture goes on."""
    sizes = SizeModel("oblique")
    people = [
        Blob(100, bottom - height, height // 3, height, height * height // 6)
        for bottom, height in ((100, 20), (150, 60), (200, 100))
    ]
    for _ in range(40):
        sizes.learn(people, SHAPE)
    assert sizes.learnt
    for top in range(-60, 60):
        feet = sizes.feet_below(top)
        assert feet is None or feet > top
