"""The configuration of the demo's boxes: the two that count, and what the simulated ones need to know."""

import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from cli.demo.chain import MANAGER_STORE, STORES, DemoStore
from cli.demo.home import Home, write_secret
from cli.demo.story import Story
from edge.models import Line

FPS: Final = 10
#: People a minute over the line whatever the hour: someone is looking, and nobody waits for a customer at night.
_LEAST_RATE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Video:
    """A film to be counted instead of the flagship's scene, again and again."""

    path: Path
    line: Line


def write_box(home: Home, store: DemoStore, password: str, broker: tuple[str, int], video: Video | None) -> Path:
    """Write a box's `edge.toml` and password.

    Returns:
        the configuration's path.
    """
    folder = home.box(store.device)
    folder.mkdir(parents=True, exist_ok=True)
    write_secret(folder / "password", password.encode())
    host, port = broker
    config = folder / "edge.toml"
    config.write_text(
        f"""[device]
name = "{store.device}"

[broker]
host = "{host}"
port = {port}
password_file = "password"

[outbox]
path = "outbox.sqlite"
flush_after_s = 1.0

{_camera(store, video if store.store_id == MANAGER_STORE else None)}
""",
        encoding="utf-8",
    )
    return config


def _camera(store: DemoStore, video: Video | None) -> str:
    from edge.scene import door_line

    mounting = store.scene or "overhead"
    line = video.line if video else door_line(mounting, store.line)
    anchor = f'\nanchor = "{line.anchor}"' if line.anchor else ""
    source = str(video.path) if video else _scene(store)
    return f"""[[camera]]
id = "{store.camera}"
source = {_quoted(source)}
mounting = "{"oblique" if video else mounting}"
target_fps = {FPS}
loop = true

[[camera.line]]
id = "{store.line}"
start = [{line.start[0]}, {line.start[1]}]
end = [{line.end[0]}, {line.end[1]}]
inside = [{line.inside[0]}, {line.inside[1]}]{anchor}"""


def _scene(store: DemoStore) -> str:
    """Never the same people twice: the seed is the hour of the start."""
    now = datetime.now(UTC)
    rate = max(_LEAST_RATE, 2 * Story(date.today()).visitors_per_minute(store, now))  # noqa: DTZ011 - no holiday hangs on it
    seed = int(time.time()) % 1_000_000 + STORES.index(store)
    return f"scene:{store.scene}?seed={seed}&rate={rate:.1f}&fps={FPS}"


def _quoted(text: str) -> str:
    """A TOML basic string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
