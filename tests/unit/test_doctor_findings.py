"""Findings that follow from another one send nobody after what is only its consequence."""

from __future__ import annotations

from sagastream.doctor.examination import mended_first
from sagastream.doctor.finding import ok, problem

WRITES = problem("writes", "it takes no writes: MISCONF", "redis-cli CONFIG GET dir")
SILENT = problem("groups", "nobody reads: last heard of 59 s ago", "sagastream coordinator", about="saga")


def test_where_the_server_takes_no_writes_no_second_reader_is_started() -> None:
    """Reading is a write to a full disk: whoever starts another of the same name has two, once there is room."""
    _, silent, other = mended_first([WRITES, SILENT, ok("clock", "alike")])

    assert (silent.verdict, silent.help, silent.about) == (SILENT.verdict, "", "saga")
    assert silent.told == "nobody reads: last heard of 59 s ago; it may only wait for writes: mend those first"
    assert other == ok("clock", "alike")


def test_a_reader_that_is_gone_is_started_where_the_server_takes_writes() -> None:
    assert mended_first([ok("writes", "a test transaction was committed"), SILENT])[1] == SILENT
