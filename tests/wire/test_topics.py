"""A topic names one device and one channel, and a device's name can't reach into another's topics."""

import pytest

from wire.topics import FROM_DEVICE, TO_DEVICE, Channel, TopicError, check_name, parse, pattern, topic


@pytest.mark.parametrize("channel", Channel)
def test_a_topic_parses_back_into_what_it_was_made_of(channel: Channel) -> None:
    assert parse(topic("door-1", channel)) == ("door-1", channel)


@pytest.mark.parametrize("name", ["", "+", "#", "a/b", "a+", "-a", ".a", "a b", "门", "a" * 65, "a\n"])
def test_a_name_that_could_reach_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(TopicError, match="cannot stand in a topic"):
        check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "doorline/v1/door-1",
        "doorline/v1/door-1/batch/more",
        "doorline/v1//batch",
        "doorline/v2/door-1/batch",
        "other/v1/door-1/batch",
        "doorline/v1/door-1/sing",
        "doorline/v1/+/batch",
    ],
)
def test_a_topic_of_another_form_is_refused(name: str) -> None:
    with pytest.raises(TopicError):
        parse(name)


def test_workers_share_a_subscription_where_the_broker_can() -> None:
    assert pattern(Channel.BATCH) == "doorline/v1/+/batch"
    assert pattern(Channel.BATCH, shared=True) == "$share/ingest/doorline/v1/+/batch"


def test_every_channel_has_one_direction() -> None:
    assert set(TO_DEVICE) | set(FROM_DEVICE) == set(Channel)
    assert not set(TO_DEVICE) & set(FROM_DEVICE)
