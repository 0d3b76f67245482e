"""A recording becomes a mix that can be sent again: nothing that waits, nothing that knows an entry's id beforehand."""

from __future__ import annotations

import hiredis

from bench.mix import Acknowledgement, Burst, encoded, mixed, read
from bench.relay import Exchange, Recording, _Link

FOUND = [[b"s", [[b"1-0", [b"type", b"A"]], [b"2-0", [b"type", b"B"]]]]]
READ = [b"XREADGROUP", b"GROUP", b"g", b"c", b"COUNT", b"9", b"BLOCK", b"2000", b"STREAMS", b"s", b">"]


def recording(*told: tuple[int, list[bytes], object]) -> Recording:
    """Return a recording of commands by their connection, with what was answered."""
    exchanges = [Exchange(link, command, at, reply, True) for at, (link, command, reply) in enumerate(told)]
    return Recording(exchanges)


def test_a_read_that_found_something_is_sent_again_without_waiting() -> None:
    """A read that blocks would hold up whatever comes after it on its connection."""
    mix = mixed(recording((0, READ, FOUND)))

    (burst,) = mix.steps
    assert isinstance(burst, Burst)
    assert burst.data == encoded([word for word in READ if word not in (b"BLOCK", b"2000")])
    assert burst.reads == {0: b"g"}
    assert mix.entries == 2


def test_a_read_that_found_nothing_belongs_to_no_saga() -> None:
    """How often an idle worker looks says nothing about what a saga costs."""
    mix = mixed(recording((0, READ, None), (0, READ, FOUND)))

    assert mix.commands == 1


def test_an_acknowledgement_keeps_its_number_and_no_id() -> None:
    """Entry ids of another server mean nothing here."""
    mix = mixed(recording((0, READ, FOUND), (1, [b"XACK", b"s", b"g", b"1-0", b"2-0"], 2)))

    assert mix.steps[1] == Acknowledgement(1, (b"s", b"g"), 2)


def test_what_one_connection_sent_in_a_row_goes_out_together() -> None:
    """A pipeline stays one."""
    mix = mixed(recording((0, [b"HMGET", b"a", b"x"], []), (0, [b"HMGET", b"b", b"x"], []), (1, [b"TIME"], [])))

    assert [(step.link, step.replies) for step in mix.steps if isinstance(step, Burst)] == [(0, 2), (1, 1)]


def test_scripts_are_known_and_groups_are_there_before_anything_is_sent() -> None:
    """A script that was not known was sent with its text; that is not how sagas go."""
    unknown = hiredis.ReplyError("NOSCRIPT no matching script")
    mix = mixed(recording(
        (0, [b"XGROUP", b"CREATE", b"s", b"g", b"0", b"MKSTREAM"], b"OK"),
        (0, [b"EVALSHA", b"00", b"1", b"k"], unknown),
        (0, [b"EVAL", b"return 1", b"1", b"k"], [b"1"]),
    ))  # fmt: skip

    assert mix.groundwork == (
        encoded([b"XGROUP", b"CREATE", b"s", b"g", b"0", b"MKSTREAM"]),
        encoded([b"SCRIPT", b"LOAD", b"return 1"]),
    )
    assert [step.data for step in mix.steps if isinstance(step, Burst)] == [encoded([b"EVAL", b"return 1", b"1", b"k"])]


def test_what_a_connection_says_of_itself_is_left_out() -> None:
    """Names and versions are told once per connection, whatever the number of sagas."""
    mix = mixed(recording((0, [b"CLIENT", b"SETNAME", b"stock/1"], b"OK"), (0, [b"TIME"], [])))

    assert mix.commands == 1


def test_commands_that_were_never_answered_are_left_out() -> None:
    """What was under way when the recording ended did not happen as far as anybody knows."""
    told = recording((0, [b"TIME"], []))
    told.exchanges.append(Exchange(0, [b"TIME"], 7))

    assert mixed(told).commands == 1


def test_a_group_reads_entries_by_stream() -> None:
    """The ids that will be acknowledged."""
    assert read(FOUND) == {b"s": [b"1-0", b"2-0"]}
    assert read(None) == {}


def test_all_connections_of_one_client_are_one_link() -> None:
    """It sends over any of them what follows from answers over others: over several at once it would come too early."""
    told_to = Recording()
    links = [_Link(told_to.link(f"unnamed {number}"), told_to) for number in range(3)]
    for link, name in zip(links, (b"saga/1", b"stock/1", b"saga/1"), strict=True):
        link.asked(encoded([b"CLIENT", b"SETNAME", name]) + encoded([b"TIME"]))

    told = [each.link for each in told_to.exchanges if each.name == "TIME"]
    assert told[0] == told[2] != told[1]
