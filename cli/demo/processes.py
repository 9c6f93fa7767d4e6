"""The demo's own processes: started apart, watched, and ended in order.

Each is a child with a watchdog (see `server.storage.child`), so none outlives the demo, not even one that is killed.
A process that dies is started again a few times, for that is what a machine in a shop would do, and its last words are
shown, because a log nobody opens explains nothing.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from server.storage.child import Child

#: A process may die so often, no more, and is left alone then.
_MOST_STARTS: Final = 4
_LAST_WORDS: Final = 12
_PATIENCE_S: Final = 8.0
_LOG_KEPT: Final = 4 * 1024 * 1024


@dataclass(slots=True)
class _Process:
    name: str
    command: list[str | Path]
    env: dict[str, str]
    child: Child
    starts: int = 1


class Processes:
    """Those started so far.

    Args:
        logs: folder of their logs.
        tell: shows a line to whoever watches.
    """

    def __init__(self, logs: Path, tell: Callable[[str], None]) -> None:
        self._logs = logs
        self._tell = tell
        self._running: list[_Process] = []

    def start(self, name: str, module: str, *arguments: str | Path, env: Mapping[str, str] | None = None) -> None:
        """Run `python -m module arguments` as `name`."""
        command: list[str | Path] = [sys.executable, "-m", module, *arguments]
        whole = environment(env or {})
        log = self._log(name)
        if log.exists() and log.stat().st_size > _LOG_KEPT:
            log.replace(log.with_suffix(".log.1"))
        self._running.append(_Process(name, command, whole, Child(command, log, env=whole)))

    def look(self) -> None:
        """Start again what has died, and say so."""
        for process in [each for each in self._running if each.child.ended]:
            self._tell(f"[bold red]{process.name} has stopped.[/] Its last words ({self._log(process.name)}):")
            self._tell(last_words(process.child))
            process.child.stop(0.1)
            if process.starts >= _MOST_STARTS:
                self._running.remove(process)
                self._tell(f"{process.name} has stopped {process.starts} times and is left alone now.")
                continue
            process.starts += 1
            process.child = Child(process.command, self._log(process.name), env=process.env)
            self._tell(f"{process.name} was started again.")

    def dead(self) -> tuple[str, str] | None:
        """A process that has ended, and its last words."""
        for process in self._running:
            if process.child.ended:
                return process.name, last_words(process.child)
        return None

    def stop(self) -> None:
        """End them all, those started last first; whoever does not listen is killed."""
        for group in _tiers(self._running):
            for process in group:
                process.child.send(signal.SIGTERM)
            give_up = time.monotonic() + _PATIENCE_S
            for process in group:
                process.child.stop(max(0.2, give_up - time.monotonic()), at_last=signal.SIGKILL)
        self._running.clear()

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"


def _tiers(processes: Sequence[_Process]) -> list[list[_Process]]:
    """Boxes first, that they can still say good-bye, then what serves them."""
    boxes = [each for each in processes if each.name.endswith("-box") or each.name == "simulated"]
    return [boxes, [each for each in processes if each not in boxes]]


def last_words(child: Child) -> str:
    """The end of what a process has said."""
    return "\n".join("    " + line for line in child.output().strip().splitlines()[-_LAST_WORDS:]) or "    (nothing)"


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """Ours without any setting of Doorline's, and `more`; a child finds our modules where we did."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("DOORLINE_")}
    paths = os.pathsep.join(dict.fromkeys(path or str(Path.cwd()) for path in sys.path))
    return {**ours, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1", **more}
