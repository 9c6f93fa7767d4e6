"""Weights trained on the spot, once for all tests that want some."""

import importlib.util
from pathlib import Path
from typing import Final

import pytest

from tests.fixtures.labelled import labelled
from tests.fixtures.skips import skip_or_fail
from tests.fixtures.trained import Example, train

#: A shop the weights are trained in.
SCENE: Final = "scene:oblique?seed=101&rate=60&seconds=40&size=384x256"


@pytest.fixture(scope="session")
def ultralytics() -> None:
    """Skips, saying so, where it is not installed."""
    if importlib.util.find_spec("ultralytics") is None:
        skip_or_fail("ultralytics", "pip install 'doorline[yolo]' (AGPL-3.0) to test the detector 'yolo'")


@pytest.fixture(scope="session")
def examples() -> list[Example]:
    """Pictures with people in them, and their boxes."""
    return [(image, boxes) for image, boxes in labelled(SCENE, every=6) if len(boxes)][:32]


@pytest.fixture(scope="session")
def weights(ultralytics: None, tmp_path_factory: pytest.TempPathFactory, examples: list[Example]) -> Path:
    """A .pt file that finds the people of `examples`."""
    return train(tmp_path_factory.mktemp("weights") / "rendered.pt", examples)
