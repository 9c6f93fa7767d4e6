"""A door inside the house is never knocked at: addresses are looked at, pinned, and asked under their own name."""

import socket

import pytest

from server.errors import InvalidInput
from server.webhooks.addresses import Barred, Endpoint, endpoint_of, networks_of, pinned
from server.webhooks.sending import Sender, signature
from tests.server.conftest import TurnedClock
from tests.server.webhooks.subscriber import HERE, Subscriber


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.5",
        "192.168.1.1",
        "172.16.3.4",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:10.0.0.5",
        "::10.0.0.5",
        "64:ff9b::a00:5",
        "2002:a00:5::1",
    ],
)
def test_a_name_that_leads_into_the_house_is_barred(address: str) -> None:
    endpoint = Endpoint("https", "hooks.example.com", 443, "/")
    with pytest.raises(Barred, match=r"hooks\.example\.com"):
        pinned(endpoint, (), lambda _host, _port: [address])
    with pytest.raises(Barred):
        pinned(endpoint, (), lambda _host, _port: ["93.184.215.14", address])


def test_addresses_of_the_open_network_are_taken_over_tls_only() -> None:
    def outside(_host: str, _port: int) -> list[str]:
        return ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]

    assert pinned(Endpoint("https", "example.com", 443, "/"), (), outside) == "93.184.215.14"
    with pytest.raises(Barred, match="not https"):
        pinned(Endpoint("http", "example.com", 80, "/"), (), outside)
    allowed = networks_of("10.20.0.0/16, fd00::/8")
    assert pinned(Endpoint("http", "crm", 80, "/"), allowed, lambda *_: ["10.20.1.2"]) == "10.20.1.2"
    with pytest.raises(Barred):
        pinned(Endpoint("http", "crm", 80, "/"), allowed, lambda *_: ["10.21.1.2"])


def test_a_name_that_changes_its_mind_after_the_check_is_never_connected_to(subscriber: Subscriber) -> None:
    """The second question of a name leads inside: the address that is connected to is the one that was looked at."""
    asked: list[str] = []

    def rebinding(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["93.184.215.14"] if len(asked) == 1 else ["127.0.0.1"]

    sender = Sender((), rebinding)
    url = f"https://rebind.example.com:{subscriber.port}/"
    sender.check(url)
    outcome = sender.send(url, {}, b"{}")
    assert not outcome.is_done
    assert "127.0.0.1" in outcome.reason
    assert subscriber.heard == []


def test_the_pinned_address_is_asked_under_the_name(subscriber: Subscriber) -> None:
    sender = Sender(HERE, lambda _host, _port: ["127.0.0.1"])
    outcome = sender.send(f"http://crm.example.com:{subscriber.port}/x", {}, b"{}")
    assert outcome.is_done
    assert subscriber.heard[0][0]["Host"] == f"crm.example.com:{subscriber.port}"


def test_a_subscriber_that_never_answers_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.webhooks.sending._STEP", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        outcome = Sender(HERE).send(f"http://127.0.0.1:{silent.getsockname()[1]}/", {}, b"{}")
    assert not outcome.is_done
    assert outcome.status is None


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x/",
        "https://",
        "https://user:pw@x/",
        "https://x/#a",
        "https://x:99999/",
        "https://x/ y",
        "https://ü/",
        "x",
    ],
)
def test_what_is_no_address_of_the_web_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        endpoint_of(url)
    assert refused.value.field == "url"


def test_a_signature_is_bound_to_its_moment(clock: TurnedClock) -> None:
    first = signature("secret", clock(), b"{}")
    clock.turn(seconds=1)
    assert signature("secret", clock(), b"{}") != first
