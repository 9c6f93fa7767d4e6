"""One process of a chain that may be killed at any moment and started again, with its log kept."""

import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Process:
    """One process that may be killed and started again."""

    words: Sequence[str]
    env: Mapping[str, str]
    log: Path
    running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self.running is None or self.running.poll() is not None:
            with self.log.open("ab") as output:
                self.running = subprocess.Popen(
                    self.words, env=self.env, stdout=output, stderr=output, cwd=self.log.parent
                )

    def kill(self) -> None:
        if self.running is not None:
            self.running.kill()
            self.running.wait()

    def send(self, number: signal.Signals) -> None:
        if self.running is not None and self.running.poll() is None:
            self.running.send_signal(number)

    def end(self) -> None:
        """In good order, if it can."""
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            if self.running is not None:
                self.running.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
