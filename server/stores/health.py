"""How each camera does, from what its box last said. Pure.

A camera that says nothing is the dangerous one: it reads as an empty shop. So silence is a state of its own, and every
state says what to do, in the reader's language.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, cast, get_args

from server.access.models import Locale
from server.stores.models import Camera, CameraHealth, CameraState, Device

#: A box repeats its status well within this; after it, its word is old.
SILENT_AFTER: Final = timedelta(minutes=10)
#: A box's clock that is off by more than this is said to be wrong (milliseconds).
CLOCK_OFF_MS: Final = 5000

_STATES: Final = frozenset(get_args(CameraState))
_REMEDY: Final[dict[Locale, dict[CameraState, str]]] = {
    "en": {
        "ok": "",
        "offline": "No picture. Check the camera's power and network cable, then the address in edge.toml.",
        "frozen": "The picture stands still. Restart the camera.",
        "dark": "The picture is dark. Check the lights, or whether the lens is covered.",
        "covered": "The lens is covered. Clean it, or move what stands in front of it.",
        "stalled": "The box can't keep up. Close other programs on it or lower target_fps.",
        "never_seen": "No box has reported this camera yet. Name it in the box's edge.toml and start the box.",
    },
    "zh": {
        "ok": "",
        "offline": "没有画面。请检查摄像头的电源和网线，再检查 edge.toml 中的地址。",
        "frozen": "画面静止不动。请重启摄像头。",
        "dark": "画面太暗。请检查灯光，或镜头是否被遮挡。",
        "covered": "镜头被遮挡。请擦拭镜头，或移开前面的物品。",
        "stalled": "盒子处理不过来。请关闭其上的其他程序，或调低 target_fps。",
        "never_seen": "还没有盒子上报过这台摄像头。请在盒子的 edge.toml 中写上它，然后启动盒子。",
    },
}
_REFUSED: Final[dict[Locale, str]] = {
    "en": "The camera refuses the box's user name or password. Write the right ones into its address in edge.toml and "
    "start the box anew.",
    "zh": "摄像头拒绝了盒子的用户名或密码。请在 edge.toml 的摄像头地址中写上正确的用户名和密码，然后重新启动盒子。",
}
#: Of a box that never said a word; nothing went silent there, it has yet to begin.
_NOT_HEARD: Final[dict[Locale, str]] = {
    "en": "The box {device} has not been heard yet. Start it with the file it was given: it speaks within a minute.",
    "zh": "还没有收到盒子 {device} 的消息。请用发放的文件启动它：一分钟内就会有消息。",
}
_BOX_GONE: Final[dict[Locale, str]] = {
    "en": "The box {device} is not connected. Check its power and network; it keeps its counts and sends them later.",
    "zh": "盒子 {device} 未连接。请检查其电源和网络；计数保存在盒子里，恢复后会补传。",
}


def camera_health(
    cameras: Sequence[Camera], devices: Sequence[Device], now: datetime, locale: Locale
) -> list[CameraHealth]:
    """The state of each camera, in the order given.

    Args:
        cameras: those in service.
        devices: the store's boxes with their last status.
        now: UTC.
        locale: language of the messages.
    """
    return [_one(camera, devices, now, locale) for camera in cameras]


def _one(camera: Camera, devices: Sequence[Device], now: datetime, locale: Locale) -> CameraHealth:
    reports = [
        (device.status_at, device, report)
        for device in devices
        if device.status_at is not None
        for report in _cameras(device)
        if report.get("camera") == camera.camera_id
    ]
    if not reports:
        return _unreported(camera, devices, now, locale)
    seen, device, report = max(reports, key=lambda found: found[0])
    if _is_gone(device, now):
        return _box_gone(camera, device, seen, locale)
    said = str(report.get("state"))
    state = cast("CameraState", said) if said in _STATES else "offline"
    remedy = _REFUSED[locale] if state == "offline" and report.get("refused") is True else _REMEDY[locale][state]
    return CameraHealth(camera.camera_id, camera.name, state == "ok", state, seen, remedy, device.device_id)


def _unreported(camera: Camera, devices: Sequence[Device], now: datetime, locale: Locale) -> CameraHealth:
    """A last will replaces the box's status and names no camera: then the silence is the box's, not the camera's."""
    gone = [(device.status_at, device) for device in devices if device.status_at and _is_gone(device, now)]
    if gone:
        seen, device = max(gone, key=lambda found: found[0])
        return _box_gone(camera, device, seen, locale)
    unheard = next((device.device_id for device in devices if device.status_at is None), None)
    remedy = _REMEDY[locale]["never_seen"] if unheard is None else _NOT_HEARD[locale].format(device=unheard)
    return CameraHealth(camera.camera_id, camera.name, False, "never_seen", None, remedy, unheard)


def is_awaited(device: Device, now: datetime) -> bool:
    """Whether a box that never said a word has had no time for it yet."""
    return device.status_at is None and now - device.created_at <= SILENT_AFTER


def _is_gone(device: Device, now: datetime) -> bool:
    silent = device.status_at is None or now - device.status_at > SILENT_AFTER
    return silent or not (device.status or {}).get("online")


def _box_gone(camera: Camera, device: Device, seen: datetime, locale: Locale) -> CameraHealth:
    message = _BOX_GONE[locale].format(device=device.device_id)
    return CameraHealth(camera.camera_id, camera.name, False, "offline", seen, message, device.device_id)


def _cameras(device: Device) -> list[dict[str, object]]:
    reported = (device.status or {}).get("cameras")
    return [each for each in reported if isinstance(each, dict)] if isinstance(reported, list) else []
