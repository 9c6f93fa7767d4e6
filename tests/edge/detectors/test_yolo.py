"""The optional ultralytics detector: quiet on the network, clear when it is missing, and usable when it is there."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from edge.detectors import DetectorError, make_detector
from edge.models import Frame, no_boxes
from tests.fixtures.skips import skip_or_fail

HERE = importlib.util.find_spec("ultralytics") is not None


@pytest.fixture
def ultralytics() -> None:
    if not HERE:
        skip_or_fail("ultralytics", "pip install 'doorline[yolo]' (AGPL-3.0) to test the detector 'yolo'")


@pytest.mark.skipif(HERE, reason="ultralytics is installed; what is tested is its absence")
def test_without_ultralytics_the_remedy_and_the_licence_are_named(tmp_path: Path) -> None:
    model = tmp_path / "people.pt"
    model.write_bytes(b"weights")
    with pytest.raises(DetectorError, match=r"pip install 'doorline\[yolo\]'.*AGPL-3\.0"):
        make_detector("yolo", mounting="oblique", model=model)


def test_missing_weights_are_said_to_be_missing_and_never_fetched(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="There is no model file"):
        make_detector("yolo", mounting="oblique", model=tmp_path / "yolo11n.pt")


@pytest.mark.yolo
def test_an_untrained_model_runs_and_gives_boxes_within_the_picture(ultralytics: None, tmp_path: Path) -> None:
    from ultralytics import YOLO

    weights = tmp_path / "untrained.pt"
    untrained = YOLO("yolo11n.yaml")
    untrained.model.names = {**untrained.model.names, 0: "person"}
    untrained.save(str(weights))
    detector = make_detector("yolo", mounting="oblique", model=weights, confidence=0.0001, gate=False, fusion=False)
    image = np.random.default_rng(1).integers(0, 255, (240, 320, 3), np.uint8)
    found = detector.detect(Frame(0, 0.0, image), no_boxes())
    assert found.boxes.shape == (len(found), 4)
    assert found.boxes.dtype == np.float32
    assert found.scores.shape == (len(found),)
    assert np.all((found.boxes >= 0) & (found.boxes <= 1))
    assert os.environ["YOLO_AUTOINSTALL"] == "false"
    assert os.environ["YOLO_OFFLINE"] == "true"


@pytest.mark.yolo
def test_a_damaged_model_is_refused(ultralytics: None, tmp_path: Path) -> None:
    weights = tmp_path / "broken.pt"
    weights.write_bytes(b"not weights at all")
    with pytest.raises(DetectorError, match=r"broken\.pt"):
        make_detector("yolo", mounting="oblique", model=weights)
