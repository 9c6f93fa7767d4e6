"""Trained detectors run from ONNX: each family's answer decoded, each unusable model refused beforehand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.camera import open_source
from edge.detectors import DetectorError, make_detector
from edge.detectors.onnx import OnnxDetector, decode_end2end, decode_yolo, decode_yolox, letterbox, strongest
from edge.models import Frame, no_boxes


@pytest.fixture(scope="session")
def yolox(footage: Path) -> Path:
    return footage / "models" / "yolox_nano.onnx"


@pytest.fixture(scope="session")
def square(footage: Path) -> Frame:
    with open_source(str(footage / "video" / "pets-s2l1.mp4")) as source:
        return next(iter(source))


@pytest.mark.footage
@pytest.mark.parametrize("runtime", ["onnxruntime", "opencv"])
def test_yolox_finds_the_people_of_the_annotation(footage: Path, yolox: Path, square: Frame, runtime: str) -> None:
    if runtime == "onnxruntime":
        pytest.importorskip("onnxruntime")
    detector = OnnxDetector(yolox, runtime="opencv" if runtime == "opencv" else "onnxruntime", confidence=0.6)
    assert detector.family == "yolox"
    found = detector.detect(square, no_boxes())
    rows = np.loadtxt(footage / "tracks" / "pets-s2l1.gt.txt", delimiter=",")
    x, y, w, h = rows[rows[:, 0] == 1][:, 2:6].T / np.array([[768], [576], [768], [576]])
    feet = np.stack([x + w / 2, y + h], axis=1)
    assert len(found) >= 3
    for box in found.boxes:
        here = np.array([(box[0] + box[2]) / 2, box[3]])
        assert np.abs(feet - here).max(axis=1).min() < 0.04
    assert np.all(np.diff(found.scores) <= 0)


@pytest.mark.footage
def test_a_picture_of_another_shape_gives_the_same_people(yolox: Path, square: Frame) -> None:
    detector = OnnxDetector(yolox, confidence=0.5)
    image = square.image
    wide = np.full((image.shape[0], image.shape[1] * 2, 3), 114, np.uint8)
    wide[:, : image.shape[1]] = image
    twice = np.repeat(np.repeat(wide, 2, axis=0), 2, axis=1)
    plain, padded = detector.detect(Frame(0, 0.0, wide), no_boxes()), detector.detect(Frame(0, 0.0, twice), no_boxes())
    assert len(plain) == len(padded) > 0
    np.testing.assert_allclose(plain.boxes, padded.boxes, atol=0.02)


def unreadable(folder: Path) -> Path:
    path = folder / "notes.onnx"
    path.write_text("these are not weights\n" * 20)
    return path


def cut_short(folder: Path) -> Path:
    path = folder / "short.onnx"
    path.write_bytes(b"\x08\x07\x12\x07pytorch\x3a\xff\xff\xff\x01" + bytes(100))
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "none.onnx", "There is no model file"),
        (lambda folder: folder, "is a directory"),
        (unreadable, "not an ONNX model"),
        (cut_short, "not an ONNX model"),
    ],
)
def test_an_unusable_model_is_refused_with_a_remedy(tmp_path: Path, make: Callable[[Path], Path], words: str) -> None:
    with pytest.raises(DetectorError, match=words):
        make_detector("onnx", mounting="oblique", model=make(tmp_path))


@pytest.mark.footage
def test_a_model_with_its_weights_cut_off_is_refused(tmp_path: Path, yolox: Path) -> None:
    path = tmp_path / "half.onnx"
    path.write_bytes(yolox.read_bytes()[:100_000])
    with pytest.raises(DetectorError, match=r"half\.onnx"):
        OnnxDetector(path)


@pytest.mark.parametrize(("name", "words"), [("onnx", "needs a model file"), ("magic", "no detector 'magic'")])
def test_an_unknown_detector_or_one_without_its_model_is_refused(name: str, words: str) -> None:
    with pytest.raises(DetectorError, match=words):
        make_detector(name, mounting="oblique")


def test_yolox_cells_are_decoded_at_their_stride() -> None:
    answer = np.zeros((64 * 64 // 64 + 16 + 4, 7), np.float32)  # 64x64: 8x8, 4x4 and 2x2 cells
    answer[8 + 2] = (0.5, 0.25, np.log(2), np.log(4), 0.5, 0.1, 0.8)  # stride 8, column 2, row 1
    answer[64 + 16 + 3] = (0.0, 0.0, 0.0, 0.0, 1.0, 0.1, 0.9)  # stride 32, column 1, row 1
    boxes, scores = decode_yolox(answer, 64, 64, person=1)
    np.testing.assert_allclose(boxes[10], (20 - 8, 10 - 16, 20 + 8, 10 + 16), rtol=1e-5)
    np.testing.assert_allclose(boxes[83], (16, 16, 48, 48), rtol=1e-5)
    assert scores[10] == pytest.approx(0.4)
    assert scores[83] == pytest.approx(0.9)


def test_yolo_and_end_to_end_answers_are_decoded() -> None:
    answer = np.array([[10.0], [20.0], [4.0], [8.0], [0.2], [0.7]], np.float32)
    boxes, scores = decode_yolo(answer, person=1)
    np.testing.assert_allclose(boxes, [(8, 16, 12, 24)])
    assert scores[0] == pytest.approx(0.7)
    rows = np.array([[1, 2, 3, 4, 0.9, 0], [5, 6, 7, 8, 0.8, 2]], np.float32)
    boxes, scores = decode_end2end(rows, person=2)
    np.testing.assert_allclose(boxes, [(5, 6, 7, 8)])
    assert scores == pytest.approx([0.8])


def test_of_two_boxes_on_one_person_the_better_stays() -> None:
    boxes = np.array([(0, 0, 10, 10), (1, 1, 11, 11), (20, 0, 30, 10)], np.float32)
    assert strongest(boxes, np.array([0.6, 0.9, 0.5], np.float32), 0.5).tolist() == [1, 2]
    assert strongest(boxes, np.array([0.6, 0.9, 0.5], np.float32), 0.9).tolist() == [1, 0, 2]


@pytest.mark.parametrize(("centred", "corner"), [(True, (0, 16)), (False, (0, 0))])
def test_a_picture_is_laid_in_without_distortion(centred: bool, corner: tuple[int, int]) -> None:
    image = np.full((50, 100, 3), 255, np.uint8)
    laid, placed = letterbox(image, 64, 64, centred=centred)
    assert (placed.left, placed.top) == corner
    white = np.argwhere(laid[..., 0] == 255)
    assert white.min(axis=0).tolist() == [corner[1], 0]
    assert (np.ptp(white, axis=0) + 1).tolist() == [32, 64]
