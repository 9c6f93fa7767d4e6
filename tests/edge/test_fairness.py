"""The processor is shared: in equal parts or by weight, whoever is slow, and whoever hangs."""

import threading
from collections import Counter

import pytest

from edge.fairness import FairGate, Member, processors
from tests.fixtures.wait import wait_until


class Camera(threading.Thread):
    """Wants turn after turn; each takes as long as the test lets it."""

    def __init__(self, name: str, member: Member, log: list[str], step: threading.Semaphore) -> None:
        super().__init__(name=name, daemon=True)
        self.member, self.log, self.step, self.halt = member, log, step, threading.Event()
        self.start()

    def run(self) -> None:
        while not self.halt.is_set():
            with self.member.turn():
                self.log.append(self.name)
                self.step.acquire()


class Hall:
    """Cameras that always want a turn, at a gate whose clock is the test's."""

    def __init__(self, slots: int, weights: dict[str, float]) -> None:
        self.now = 0.0
        self.gate = FairGate(slots, clock=lambda: self.now)
        self.log: list[str] = []
        self.step = threading.Semaphore(0)
        self.cameras = [Camera(name, self.gate.member(weight), self.log, self.step) for name, weight in weights.items()]

    def let_turns_pass(self, number: int, takes_s: dict[str, float]) -> Counter[str]:
        for turn in range(1, number + 1):
            self.wait_for(turn)
            self.now += takes_s[self.log[turn - 1]]
            self.step.release()
        return Counter(self.log[:number])

    def wait_for(self, turn: int) -> None:
        """Only when all others wait is the next one the gate's choice and not the system's."""
        others = len(self.cameras) - 1
        wait_until(lambda: len(self.log) == turn and self.gate.waiting == others, what=f"turn {turn}")

    def close(self) -> None:
        for camera in self.cameras:
            camera.halt.set()
        self.step.release(len(self.cameras) * 2)
        for camera in self.cameras:
            camera.join(10)


@pytest.mark.parametrize(
    ("weights", "takes_s", "turns"),
    [
        ({"A": 1, "B": 1, "C": 1}, {"A": 0.1, "B": 0.1, "C": 0.1}, {"A": 20, "B": 20, "C": 20}),
        ({"A": 20, "B": 10}, {"A": 0.1, "B": 0.1}, {"A": 40, "B": 20}),
        # The slow one has as much time as each of the others, and no more.
        ({"slow": 1, "B": 1, "C": 1}, {"slow": 0.5, "B": 0.1, "C": 0.1}, {"slow": 6, "B": 27, "C": 27}),
    ],
    ids=["equal", "by weight", "one is slow"],
)
def test_time_is_had_in_proportion_to_weight(
    weights: dict[str, float], takes_s: dict[str, float], turns: dict[str, int]
) -> None:
    hall = Hall(1, weights)
    counted = hall.let_turns_pass(60, takes_s)
    hall.close()
    assert {name: counted[name] for name in turns} == {name: pytest.approx(due, abs=2) for name, due in turns.items()}


def test_as_many_turns_run_at_once_as_there_are_processors() -> None:
    hall = Hall(2, {"A": 1, "B": 1, "C": 1})
    wait_until(lambda: len(hall.log) == 2 and hall.gate.waiting == 1, what="two turns and one that waits")
    hall.step.release()
    wait_until(lambda: len(hall.log) == 3, what="the third")
    hall.close()
    assert processors() >= 1


def test_one_that_was_idle_brings_no_credit() -> None:
    now = [0.0]
    gate = FairGate(1, clock=lambda: now[0])
    busy, idle = gate.member(), gate.member()
    for _ in range(50):
        with busy.turn():
            now[0] += 1.0
    with idle.turn():
        now[0] += 1.0
    assert busy.had - idle.had <= 1.0


def test_one_that_never_comes_back_stops_nobody() -> None:
    gate = FairGate(1, patience_s=0.05)
    hung, other = gate.member(), gate.member()
    gate.enter(hung)
    done = threading.Event()

    def work() -> None:
        with other.turn():
            done.set()

    threading.Thread(target=work, daemon=True).start()
    assert done.wait(10)
    gate.leave(hung)


def test_one_that_hung_is_not_made_to_wait_as_long_as_it_hung() -> None:
    now = [0.0]
    gate = FairGate(1, patience_s=10.0, clock=lambda: now[0])
    hung, other = gate.member(), gate.member()
    with hung.turn():
        now[0] += 3600.0
    with other.turn():
        now[0] += 0.1
    assert hung.had - other.had <= 10.0
