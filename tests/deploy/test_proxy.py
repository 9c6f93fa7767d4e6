"""The deployment we hand out, and the proxy in front of it: what is trusted is where the proxy's requests come from."""

import re
from ipaddress import ip_address, ip_network
from pathlib import Path

from server.settings import Settings


def test_the_front_and_nobody_else_is_the_proxy_that_is_trusted(repository_root: Path) -> None:
    text = (repository_root / "deploy/compose.yaml").read_text()
    trusted = re.findall(r"DOORLINE_TRUSTED_PROXIES: (\S+)", text)
    assert trusted == re.findall(r"  front:\n(?:    .*\n)*?        ipv4_address: (\S+)", text)
    assert Settings(trusted_proxies=trusted[0], _env_file=None).trusted_proxies == trusted[0]  # type: ignore[call-arg]


def test_nobody_is_given_the_address_of_the_front_or_of_the_pages(repository_root: Path) -> None:
    text = (repository_root / "deploy/compose.yaml").read_text()
    subnet, given = (ip_network(re.findall(rf"{name}: (\S+)", text)[0]) for name in ("subnet", "ip_range"))
    fixed = [ip_address(each) for each in re.findall(r"(?:ipv4_address|gateway): (\S+)", text)]
    assert len(fixed) == len(set(fixed)) == 3
    assert all(each in subnet and each not in given for each in fixed)


def test_every_name_in_the_example_is_a_setting_and_left_out_means_loopback(repository_root: Path) -> None:
    text = (repository_root / "deploy/server.env.example").read_text()
    shown = dict(re.findall(r"^(?:# )?DOORLINE_([A-Z_]+)=(.*)$", text, re.MULTILINE))
    assert {name.lower() for name in shown} <= Settings.model_fields.keys()
    assert shown["TRUSTED_PROXIES"] == Settings.model_fields["trusted_proxies"].default
