"""Each family's answer is told from the others' and read into boxes."""

import numpy as np
import pytest

from edge.detectors.decoding import Family, Raw, count_cells, family_of, make_decoder, strongest
from edge.models import BAG, PERSON


def test_yolox_cells_are_decoded_at_their_stride() -> None:
    answer = np.zeros((count_cells(64, 64), 7), np.float32)  # 8x8, 4x4 and 2x2 cells
    answer[8 + 2] = (0.5, 0.25, np.log(2), np.log(4), 0.5, 0.1, 0.8)  # stride 8, column 2, row 1
    answer[64 + 16 + 3] = (0.0, 0.0, 0.0, 0.0, 1.0, 0.1, 0.9)  # stride 32, column 1, row 1
    answer[5] = (0.0, 0.0, 0.0, 0.0, 0.3, 0.9, 0.9)  # too weak
    raw = make_decoder("yolox", 64, 64, {1: PERSON})(answer, 0.35)
    np.testing.assert_allclose(raw.boxes[0], (20 - 8, 10 - 16, 20 + 8, 10 + 16), rtol=1e-5)
    np.testing.assert_allclose(raw.boxes[1], (16, 16, 48, 48), rtol=1e-5)
    assert raw.scores == pytest.approx([0.4, 0.9])


def test_cells_in_pixels_are_taken_as_they_are() -> None:
    answer = np.zeros((3 * count_cells(64, 64), 7), np.float32)
    answer[200] = (30, 20, 8, 16, 0.9, 0.0, 0.5)
    raw = make_decoder("decoded", 64, 64, {1: PERSON})(answer, 0.3)
    np.testing.assert_allclose(raw.boxes, [(26, 12, 34, 28)])
    assert raw.scores == pytest.approx([0.45])


def test_yolo_columns_and_their_classes_are_decoded() -> None:
    answer = np.array([[10, 40], [20, 20], [4, 4], [8, 8], [0.2, 0.1], [0.7, 0.1], [0.6, 0.9]], np.float32)
    raw = make_decoder("yolo", 64, 64, {1: PERSON, 2: BAG})(answer, 0.5)
    np.testing.assert_allclose(raw.boxes, [(8, 16, 12, 24), (38, 16, 42, 24)])
    assert raw.scores == pytest.approx([0.7, 0.9])
    assert raw.classes.tolist() == [PERSON, BAG]


def test_end_to_end_rows_are_picked_by_class() -> None:
    rows = np.array([[1, 2, 3, 4, 0.9, 0], [5, 6, 7, 8, 0.8, 2], [5, 6, 7, 8, 0.1, 2]], np.float32)
    raw = make_decoder("end2end", 64, 64, {2: PERSON})(rows, 0.2)
    np.testing.assert_allclose(raw.boxes, [(5, 6, 7, 8)])
    assert raw.scores == pytest.approx([0.8])


@pytest.mark.parametrize("family", ["yolox", "decoded", "yolo", "end2end"])
def test_an_answer_without_anyone_gives_no_boxes(family: Family) -> None:
    shape = {"yolox": (84, 85), "decoded": (252, 85), "yolo": (84, 84), "end2end": (300, 6)}[family]
    raw = make_decoder(family, 64, 64, {0: PERSON, 24: BAG})(np.zeros(shape, np.float32), 0.1)
    assert raw.boxes.shape == (0, 4)
    assert len(raw.scores) == len(raw.classes) == 0


def in_pixels(rows: int) -> np.ndarray:
    answer = np.zeros((1, rows, 85), np.float32)
    answer[0, :, 0] = np.linspace(4, 60, rows)
    return answer


@pytest.mark.parametrize(
    ("answer", "family"),
    [
        (np.zeros((1, 84, 85), np.float32), "yolox"),
        (in_pixels(84), "decoded"),
        (in_pixels(252), "decoded"),
        (np.zeros((1, 7, 84), np.float32), "yolo"),
        (np.zeros((1, 5, 84), np.float32), "yolo"),
        (np.zeros((1, 300, 6), np.float32), "end2end"),
        (np.zeros((1, 300, 7), np.float32), None),
        (np.zeros((2, 84, 85), np.float32), None),
        (np.zeros((1, 1000), np.float32), None),
    ],
)
def test_families_are_told_apart(answer: np.ndarray, family: Family | None) -> None:
    assert family_of(answer, 64, 64) == family


def test_of_two_boxes_on_one_person_the_better_stays() -> None:
    boxes = np.array([(0, 0, 10, 10), (1, 1, 11, 11), (20, 0, 30, 10)], np.float32)
    found = Raw(boxes, np.array([0.6, 0.9, 0.5], np.float32), np.zeros(3, np.uint8))
    assert strongest(found, 0.5).tolist() == [1, 2]
    assert strongest(found, 0.9).tolist() == [1, 0, 2]


def test_a_bag_held_close_is_not_taken_for_the_person_again() -> None:
    boxes = np.array([(0, 0, 10, 10), (0, 0, 10, 10)], np.float32)
    found = Raw(boxes, np.array([0.6, 0.9], np.float32), np.array([PERSON, BAG], np.uint8))
    assert strongest(found, 0.5).tolist() == [1, 0]
