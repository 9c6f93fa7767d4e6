"""What stands still is released where somebody has left, and never out of the middle of somebody who is there."""

import numpy as np
import pytest

from edge.detectors.ghosts import Ghosts

SHAPE = (144, 256)
TORSO = (slice(50, 90), slice(100, 130))
BODY = (slice(30, 130), slice(98, 132))


@pytest.mark.parametrize(("followed", "released"), [(None, True), (TORSO, True), (BODY, False)])
def test_a_shirt_like_the_wall_is_a_part_of_who_wears_it(followed: tuple[slice, slice] | None, released: bool) -> None:
    """The wall behind it has lines where the shirt ends, and the shirt has none: it looks like one who has left."""
    image, empty = (np.full((*SHAPE, 3), 180, np.uint8) for _ in range(2))
    empty[TORSO] = 120
    mask, held = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    mask[TORSO] = mask[30:46, 108:122] = mask[96:130, 102:128] = 255
    if followed is not None:
        held[followed] = 255
    ghosts = Ghosts()
    found = [ghosts.find(image, empty, mask, held, 0.3) for _ in range(5)]
    assert any(each is not None and each[70, 115] for each in found) == released
