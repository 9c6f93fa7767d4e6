"""What there is to count: boxes of a detector, and a recording."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.cli.counting import rows_of_a_walk


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    path = tmp_path / "boxes.csv"
    path.write_text("\n".join(rows_of_a_walk()) + "\n")
    return path


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A figure in red (grey would pass for a shadow) walks in over the line and back out: 1 in, 1 out."""
    path = tmp_path_factory.mktemp("clips") / "walk.avi"
    floor = np.random.default_rng(1).integers(150, 170, (240, 320, 3), np.uint8)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (320, 240))
    depths = [*[-60] * 15, *range(-40, 200, 6), *[200] * 3, *range(200, -50, -6), *[-60] * 20]
    for top in depths:
        image = floor.copy()
        cv2.ellipse(image, (160, top + 20), (22, 28), 0, 0, 360, (50, 40, 190), cv2.FILLED)
        writer.write(image)
    writer.release()
    return path
