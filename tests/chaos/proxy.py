"""A line that can be bad in every way: cut, half-open, slow, reset, and deaf in one direction only.

One event loop in a thread of its own carries all proxies. The trap a proxy must not fall into is kindness: a half-open
line stays open on both ends and says nothing, and its connections never come to life again, though new ones do.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

_CHUNK: Final = 32768


@dataclass
class Way:
    """One direction of a line."""

    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    delay_s: float = 0.0
    bytes_per_s: float = 0.0

    def __post_init__(self) -> None:
        self.flowing.set()


class Lines:
    """The event loop that all lines share, while it is open."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="lines", daemon=True)
        self._thread.start()
        self._open: list[Line] = []

    def line(self, port: int) -> "Line":
        """A new line to a port of this machine."""
        made = asyncio.run_coroutine_threadsafe(Line.make(self.loop, port), self.loop).result(10)
        self._open.append(made)
        return made

    def close(self) -> None:
        for line in self._open:
            line.close()
        asyncio.run_coroutine_threadsafe(self._settle(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    async def _settle(self) -> None:
        left = [task for task in asyncio.all_tasks(self.loop) if task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for _ in range(20):
            # What was aborted says good-bye to its transport in the loop's next turns.
            await asyncio.sleep(0)


class Line:
    """Carries a local port to another. Its methods may be called from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, target: int) -> None:
        self._loop = loop
        self._target = target
        self._cut = False
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        #: Held, because nobody else holds one that waits on a line that is half open.
        self._tasks: set[asyncio.Task[None] | None] = set()
        self._up, self._down = Way(), Way()
        self.port = 0

    @classmethod
    async def make(cls, loop: asyncio.AbstractEventLoop, target: int) -> "Line":
        line = cls(loop, target)
        line._server = await asyncio.start_server(line._accept, "127.0.0.1", 0)
        line.port = line._server.sockets[0].getsockname()[1]
        return line

    def cut(self) -> None:
        """End what is open, take nothing new."""

        def end() -> None:
            self._cut = True
            self._drop(reset=False)

        self._do(end)

    def reset(self) -> None:
        """End what is open with a reset; new connections are taken."""
        self._do(lambda: self._drop(reset=True))

    def stall(self, *, up: bool = True, down: bool = True) -> None:
        """Keep everything open and carry nothing, in one direction or both, until healed."""

        def stop() -> None:
            for way, wanted in ((self._up, up), (self._down, down)):
                if wanted:
                    way.flowing.clear()

        self._do(stop)

    def half_open(self) -> None:
        """What is open now never carries anything again and never ends; new connections are well."""

        def forget() -> None:
            for way in (self._up, self._down):
                way.flowing.clear()
            self._up, self._down = Way(), Way()

        self._do(forget)

    def slow(self, delay_s: float, bytes_per_s: float) -> None:
        """Carry everything late and slowly."""

        def drag() -> None:
            for way in (self._up, self._down):
                way.delay_s, way.bytes_per_s = delay_s, bytes_per_s

        self._do(drag)

    def heal(self) -> None:
        """Be a good line again; what was half open stays so."""

        def mend() -> None:
            self._cut = False
            for way in (self._up, self._down):
                way.delay_s = way.bytes_per_s = 0.0
                way.flowing.set()

        self._do(mend)

    def close(self) -> None:
        """Take nothing more and end everything."""

        def end() -> None:
            if self._server is not None:
                self._server.close()
            self._drop(reset=False)

        self._do(end)

    def _do(self, what: Callable[[], object]) -> None:
        done = threading.Event()

        def run() -> None:
            try:
                what()
            finally:
                done.set()

        self._loop.call_soon_threadsafe(run)
        done.wait(10)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        self._tasks.add(asyncio.current_task())
        up, down = self._up, self._down
        try:
            with contextlib.suppress(asyncio.CancelledError):  # by the end of all lines, which waits for us
                await asyncio.gather(self._carry(reader, far_writer, up), self._carry(far_reader, writer, down))
        finally:
            self._tasks.discard(asyncio.current_task())
            for each in (writer, far_writer):
                self._writers.discard(each)
                each.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                await way.flowing.wait()
                if way.delay_s:
                    await asyncio.sleep(way.delay_s)
                if way.bytes_per_s:
                    await asyncio.sleep(len(data) / way.bytes_per_s)
                writer.write(data)
                await writer.drain()
            await way.flowing.wait()
            if writer.can_write_eof():
                writer.write_eof()

    def _drop(self, *, reset: bool) -> None:
        for writer in self._writers:
            if reset:
                end = writer.get_extra_info("socket")
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
