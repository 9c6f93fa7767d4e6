"""What the centre set, laid over `edge.toml`. Pure but for the last function.

A camera that the centre sets counts as the centre says, whole: a key it leaves out has its default and not what the
file says, or what a box does would depend on what somebody once wrote on a ladder. What only the box knows (the
camera's address, its model, its processor) stays the file's, and so does every camera the centre does not name.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from edge.config import check_cameras, check_counts
from edge.remote.kept import load, place
from edge.settings import CameraSettings, ConfigError, EdgeConfig
from wire.config import CameraConfig, Config

#: Keys of a camera that stay the file's.
LOCAL: Final = tuple(
    field.name
    for field in msgspec.structs.fields(CameraSettings)
    if field.name not in {each.name for each in msgspec.structs.fields(CameraConfig)}
)


def overlaid(config: EdgeConfig, desired: Config | None) -> tuple[CameraSettings, ...]:
    """The file's cameras, in its order, as they are to count.

    Raises:
        ConfigError: it names a camera the file has not, or what could not count.
    """
    wanted: Mapping[str, CameraConfig] = {} if desired is None else {each.id: each for each in desired.camera}
    for name in wanted.keys() - {camera.id for camera in config.camera}:
        raise ConfigError(f"camera {name}", "is not in this box's edge.toml", "Add it there with its source")
    cameras = tuple(_laid(camera, wanted[camera.id]) if camera.id in wanted else camera for camera in config.camera)
    for camera in cameras:
        if camera.id in wanted:
            check_counts(camera, f"camera {camera.id}")
    check_cameras(cameras)
    return cameras


def _laid(camera: CameraSettings, wanted: CameraConfig) -> CameraSettings:
    local = {key: getattr(camera, key) for key in LOCAL}
    set_from_afar = {**msgspec.to_builtins(wanted), "source": camera.source}
    try:
        made = msgspec.convert(set_from_afar, CameraSettings)
    except msgspec.ValidationError as error:
        raise ConfigError(f"camera {camera.id}", str(error), "Correct the value") from error
    return msgspec.structs.replace(made, **local)


def in_use(config: EdgeConfig) -> tuple[EdgeConfig, int]:
    """A configuration as the agent goes by it, and the revision it has from the centre (0 for none).

    Raises:
        ConfigError: as `overlaid`.
    """
    kept, _ = load(place(config.outbox.path), config.device.name, own=False)
    desired = kept.trying or kept.applied
    cameras = overlaid(config, desired)
    return msgspec.structs.replace(config, camera=cameras), 0 if desired is None else desired.revision
