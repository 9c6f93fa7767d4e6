"""Says again what boxes said: twice, late, out of order, and by HTTPS at the same time as by MQTT.

It listens beside the ingest workers. Whatever it hears it may keep, publish again after a while, and post; so copies
of one batch race each other to the database. It also compares: a number that ever came with two contents is a fault
that no total would show.
"""

import heapq
import random
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import httpx
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from server.ingest.broker import SERVER_USER
from wire import messages, topics
from wire.messages import Batch
from wire.topics import Channel

_MOST_DELAY_S: Final = 1.5


class Parrot:
    """One listener that repeats what it hears while `chance` is above zero."""

    def __init__(self, port: int, password: str, secrets: Mapping[str, str], url: str, seed: int) -> None:
        """Connect.

        Args:
            port: of the broker itself.
            password: the server's own.
            secrets: the boxes' passwords, by name.
            url: of the web server; empty for none.
            seed: of what is repeated, and how often.
        """
        self.chance = 0.0
        self.repeated = 0
        self.posted = 0
        self.contradictions: list[tuple[str, str, int]] = []
        self._draw = random.Random(f"parrot/{seed}")
        self._secrets = secrets
        self._url = url
        self._contents: dict[tuple[str, str, int], bytes] = {}
        self._said: set[bytes] = set()
        self._due: list[tuple[float, int, str, bytes]] = []
        self._number = 0
        self._changed = threading.Condition()
        self._closed = False
        self._posts = ThreadPoolExecutor(2)
        self._web = httpx.Client(timeout=3, trust_env=False)
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="parrot", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.username_pw_set(SERVER_USER, password)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(topics.pattern(Channel.BATCH), qos=1)
        self._client.on_message = self._hear
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()
        self._thread = threading.Thread(target=self._repeat, name="parrot", daemon=True)
        self._thread.start()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(10)
        self._client.disconnect()
        self._client.loop_stop()
        self._posts.shutdown(wait=True, cancel_futures=True)
        self._web.close()

    def _hear(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        payload = bytes(message.payload)
        device, _ = topics.parse(message.topic)
        self._compare(device, payload)
        with self._changed:
            if payload in self._said or self._draw.random() >= self.chance:
                return
            self._said.add(payload)
            for _ in range(self._draw.randint(1, 3)):
                self._number += 1
                at = time.monotonic() + self._draw.uniform(0, _MOST_DELAY_S)
                heapq.heappush(self._due, (at, self._number, device, payload))
            self._changed.notify_all()
        if self._url:
            self._posts.submit(self._post, device, payload)

    def _compare(self, device: str, payload: bytes) -> None:
        batch = messages.decode(payload, Batch)
        for record in batch.records:
            content = messages.encode(record)
            for seq in range(messages.first_seq(record), record.seq + 1):
                if self._contents.setdefault((device, batch.epoch, seq), content) != content:
                    self.contradictions.append((device, batch.epoch, seq))

    def _repeat(self) -> None:
        while True:
            with self._changed:
                if self._closed:
                    return
                left = self._due[0][0] - time.monotonic() if self._due else 1.0
                if left > 0:
                    self._changed.wait(left)
                    continue
                _, _, device, payload = heapq.heappop(self._due)
            self.repeated += 1
            self._client.publish(topics.topic(device, Channel.BATCH), payload, qos=1)

    def _post(self, device: str, payload: bytes) -> None:
        try:
            self._web.post(f"{self._url}/api/v1/batches", content=payload, auth=(device, self._secrets[device]))
            self.posted += 1
        except httpx.HTTPError:
            return  # whoever was meant to hear it may be dead; the box sends it again by its own way
