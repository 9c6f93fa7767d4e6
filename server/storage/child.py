"""A server process of ours that ends when we end, however we end.

Used for the embedded database and the embedded broker. PR_SET_PDEATHSIG would do on Linux, but it fires when the
starting *thread* ends, and setting it needs code between fork and exec, which is unsafe beside other threads. So a
watchdog, a shell of two commands, holds the reading end of a pipe: the kernel closes our end when we die, even by
SIGKILL.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import structlog

_log = structlog.get_logger(__name__)

_WATCHDOG: Final = 'read -r _; kill -{signal} "$1"'


class Child:
    """One launched process, its log, and its watchdog.

    Args:
        command: program and arguments.
        log: standard output and error are appended to it.
        env: the whole environment.
        stop_signal: what asks it to end in good order.
        options: more for `subprocess.Popen`, such as `user`.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        *,
        env: Mapping[str, str],
        stop_signal: signal.Signals = signal.SIGTERM,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        extra = dict(options or {})
        self._log_file = log
        self._stop_signal = stop_signal
        with log.open("ab") as output:
            self._log_start = output.tell()
            # A session of its own: Ctrl-C in a terminal must reach us only, so that the rest can stop first.
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=dict(env),
                start_new_session=True,
                **extra,
            )
        self._watchdog: subprocess.Popen[bytes] | None = None
        if os.name == "posix":
            self._watchdog = subprocess.Popen(
                [
                    "/bin/sh",
                    "-c",
                    _WATCHDOG.format(signal=stop_signal.name.removeprefix("SIG")),
                    "sh",
                    str(self._process.pid),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
                **extra,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself or was stopped."""
        return self._process.poll() is not None

    def output(self) -> str:
        """What it has said since it was launched."""
        with self._log_file.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode("utf-8", "replace")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens when it has ended."""
        self._process.send_signal(number)

    def stop(self, seconds: float = 30.0, *, at_last: signal.Signals = signal.SIGTERM) -> None:
        """End it: ask, insist with `at_last` after `seconds`, kill after as long again; returns when it has ended."""
        for number in (self._stop_signal, at_last):
            if self._end(number, seconds):
                break
            _log.warning("a child process takes too long to stop", pid=self.pid, signal=number.name)
        else:
            self._process.kill()
            self._process.wait()
        self._dismiss_watchdog()

    def _end(self, number: signal.Signals, seconds: float) -> bool:
        if sys.platform == "win32":
            self._process.terminate()
        else:
            self._process.send_signal(number)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _dismiss_watchdog(self) -> None:
        if self._watchdog is None:
            return
        # Killed before its pipe closes, lest it signal a process that has the number by then.
        self._watchdog.kill()
        self._watchdog.wait()
        if self._watchdog.stdin is not None:
            self._watchdog.stdin.close()
        self._watchdog = None
