"""Reads from an ONNX file what must be known before it is run: the input's shape, and the exporter's notes.

onnxruntime tells both, OpenCV neither, and a model run with pictures of another size than it was exported for fails
deep inside or, worse, does not. An ONNX file is a protocol buffer; four of its fields are needed, so they are read
here (https://protobuf.dev/programming-guides/encoding and onnx.proto) rather than with a further dependency.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.detectors.errors import DetectorError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FLOAT32: Final = 1
_EXTERNAL: Final = 1  # where a tensor's data lie: in a file of their own


class _NotProtobuf(Exception):
    """The bytes are no protocol buffer."""


class _CutShort(_NotProtobuf):
    """They may be one, but end before it does."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """What a model says of itself.

    Attributes:
        content: the whole file; of a model in OpenVINO's form, its description (see `irfile`).
        input_shape: of the picture input: batch, channels, height, width; None where it is left open.
        notes: what the exporter noted (ultralytics: `names`, `task`, `imgsz`).
    """

    content: bytes
    input_shape: tuple[int | None, ...]
    notes: dict[str, str]


def read_onnx(path: Path) -> ModelFile:
    """Read a model file.

    Raises:
        DetectorError: it is missing, unreadable, no ONNX model, or not one for pictures of float32.
    """
    if path.is_dir():
        raise DetectorError(f"Model {path} is a directory. Give the .onnx or .xml file in it.")
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DetectorError(
            f"There is no model file {path}. Check the path, or use the detector 'motion', which needs no model."
        ) from error
    except OSError as error:
        raise DetectorError(f"Model {path} can't be read: {error.strerror or error}.") from error
    if content[:2] == b"PK" or path.suffix in {".pt", ".pth"}:
        raise DetectorError(
            f"{path} holds torch weights, which the detector 'onnx' can't run. Turn them into ONNX: doorline models "
            f"export {path}; or use the detector 'yolo'."
        )
    notes: dict[str, str] = {}
    shape: tuple[int | None, ...] | None = None
    kind = _FLOAT32
    try:
        for number, value in _fields(memoryview(content)):
            if number == 7 and isinstance(value, memoryview):
                shape, kind = _picture_input(value)
                if _weights_elsewhere(value):
                    raise DetectorError(
                        f"Model {path} keeps its weights in a second file. Export it into one: doorline models export; "
                        "or onnx.save(onnx.load(FILE), FILE, save_as_external_data=False)."
                    )
            elif number == 14 and isinstance(value, memoryview):
                entry = {n: bytes(v).decode() for n, v in _fields(value) if isinstance(v, memoryview)}
                notes[entry.get(1, "")] = entry.get(2, "")
    except (_NotProtobuf, UnicodeDecodeError) as error:
        if isinstance(error, _CutShort) and _begins_like_one(content):
            raise DetectorError(
                f"Model {path} ends in the middle ({len(content)} bytes): a copy or download broke off. Fetch it again."
            ) from error
        raise DetectorError(_not_a_model(path)) from error
    if shape is None:
        raise DetectorError(_not_a_model(path))
    if kind != _FLOAT32:
        raise DetectorError(
            f"Model {path} takes half-precision or integer pictures; export it with float32 (half=False, int8=False)."
        )
    return ModelFile(content, shape, notes)


def _begins_like_one(content: bytes) -> bool:
    """Whether a file that ends too soon began as an ONNX model: its version first, a small number, then its maker."""
    return len(content) > 4 and content[0] == 0x08 and content[1] < 0x20 and content[2] == 0x12


def _weights_elsewhere(graph: memoryview) -> bool:
    """Whether any weight of the graph lies in another file: read from memory, the model would not find it."""
    return any(
        number == 5 and isinstance(tensor, memoryview) and (14, _EXTERNAL) in _fields(tensor)
        for number, tensor in _fields(graph)
    )


def _not_a_model(path: Path) -> str:
    return (
        f"{path} is not an ONNX model that takes pictures. Export one, for example: "
        "doorline models export yolo11n.pt; or take a YOLOX release's .onnx file."
    )


def _picture_input(graph: memoryview) -> tuple[tuple[int | None, ...] | None, int]:
    """Shape and element type of the graph's first input of four dimensions (others may be weights)."""
    for number, info in _fields(graph):
        if number != 11 or not isinstance(info, memoryview):
            continue
        tensor = _only(_only(info, 2), 1)
        dims = [_dimension(d) for n, d in _fields(_only(tensor, 2)) if n == 1 and isinstance(d, memoryview)]
        if len(dims) == 4:
            kind = next((v for n, v in _fields(tensor) if n == 1 and isinstance(v, int)), _FLOAT32)
            return tuple(dims), kind
    return None, _FLOAT32


def _dimension(dim: memoryview) -> int | None:
    return next((value for number, value in _fields(dim) if number == 1 and isinstance(value, int)), None)


def _only(message: memoryview, wanted: int) -> memoryview:
    """A message's field of that number; empty if it has none."""
    return next((v for n, v in _fields(message) if n == wanted and isinstance(v, memoryview)), memoryview(b""))


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field of a protocol buffer message."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == _BYTES:
            length, at = _varint(data, at)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise _NotProtobuf
        if number == 0:
            raise _NotProtobuf
        if at + length > len(data):
            raise _CutShort
        yield number, data[at : at + length]
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise _CutShort if at >= len(data) else _NotProtobuf
