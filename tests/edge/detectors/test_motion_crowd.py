"""People seen straight from above who touch: one shape, told to be two by its size."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.detectors.abreast import crowd, parted
from edge.detectors.blobs import BlobReader
from edge.detectors.shapes import Blob
from edge.detectors.sizes import Body

WIDTH, HEIGHT = 320, 240
#: Half a person's width and depth, in pixels.
SHOULDERS, CHEST = 40, 25
Mask = NDArray[np.uint8]


def people(*places: tuple[int, int]) -> Mask:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for place in places:
        cv2.ellipse(mask, place, (SHOULDERS, CHEST), 0, 0, 360, 255, cv2.FILLED)
    return mask


def learnt() -> BlobReader:
    """A reader that has seen one person walk through, and so knows how large people are."""
    reader = BlobReader("overhead")
    for row in range(60, 180, 6):
        reader.read(people((160, row)), people((160, row)))
    return reader


def centres(reader: BlobReader, mask: Mask) -> list[tuple[float, float]]:
    return sorted((blob.x + blob.w / 2, blob.y + blob.h / 2) for blob in reader.read(mask, mask))


@pytest.mark.parametrize(
    "pair", [((110, 120), (186, 120)), ((160, 90), (160, 136))], ids=["abreast", "one behind the other"]
)
def test_two_people_touching_seen_from_above_are_two(pair: tuple[tuple[int, int], tuple[int, int]]) -> None:
    reader = learnt()
    mask = people(*pair)
    assert len(centres(reader, mask)) == 1, "one picture alone does not prove two"
    found = centres(reader, mask)
    assert len(found) == 2
    for centre, place in zip(found, pair, strict=True):
        assert centre == pytest.approx(place, abs=6)


def test_two_people_touching_are_one_while_nothing_is_known_of_their_size() -> None:
    reader = BlobReader("overhead")
    mask = people((110, 120), (186, 120))
    assert [len(centres(reader, mask)) for _ in range(3)] == [1, 1, 1]


def test_an_outstretched_arm_and_a_body_with_all_limbs_and_shadow_are_one() -> None:
    reader = learnt()
    arm = people((130, 120))
    cv2.rectangle(arm, (165, 112), (235, 126), 255, cv2.FILLED)
    assert [len(centres(reader, arm)) for _ in range(3)] == [1, 1, 1]
    leaning = people((160, 120))
    cv2.ellipse(leaning, (160, 120), (70, 60), 0, 0, 360, 255, cv2.FILLED)
    assert [len(centres(reader, leaning)) for _ in range(3)] == [1, 1, 1]


def test_a_row_of_three_is_cut_in_three() -> None:
    mask = people((50, 120), (125, 120), (200, 120))
    x, y, w, h = cv2.boundingRect(mask)
    blob = Blob(x, y, w, h, cv2.countNonZero(mask))
    found = crowd(blob, mask, Body(np.pi * SHOULDERS * CHEST, 2 * SHOULDERS, 2 * CHEST))
    assert found is not None
    assert found.across
    assert [part.x + part.w / 2 for part in parted(blob, mask, found)] == pytest.approx([50, 125, 200], abs=6)
