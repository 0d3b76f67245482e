"""How replies of the server are read."""

from __future__ import annotations

import pytest

from sagastream.bus import Reply
from sagastream.errors import ReplyError
from sagastream.replies import entries, entry_id, listed, named, scored, scores, sound, taken_ms, texts, values

REFUSED = ReplyError("NOPERM", "not you")


def test_a_refusal_is_raised_only_by_who_wants_a_sound_reply() -> None:
    assert (listed(REFUSED), texts(REFUSED), named(REFUSED), list(entries(REFUSED))) == ([], [], {}, [])
    with pytest.raises(ReplyError, match="not you"):
        sound(REFUSED)


@pytest.mark.parametrize("nothing", [None, 0, "", []], ids=repr)
def test_what_is_no_list_has_no_elements(nothing: Reply) -> None:
    assert sound(nothing) == nothing
    assert (listed(nothing), texts(nothing), named(nothing), list(entries(nothing))) == ([], [], {}, [])


def test_names_and_values_follow_each_other() -> None:
    assert named(["free", "8", "taken", 2, "lag", None]) == {"free": "8", "taken": "2", "lag": ""}
    assert values(["8", None, 2]) == ["8", None, "2"]


def test_scores_are_whole_however_the_server_writes_them() -> None:
    assert scored(["a", "1700000000000", "b", "1.7e+12"]) == [("a", 1_700_000_000_000), ("b", 1_700_000_000_000)]
    assert scores(["1.7e+12", None]) == [1_700_000_000_000, None]


def test_an_entry_that_is_gone_is_left_out() -> None:
    """Of one that was deleted while it was pending only its id is left."""
    reply: Reply = [["1-0", ["type", "RoomHeld"]], ["2-0", None], None, ["3-0", []]]

    assert list(entries(reply)) == [("1-0", {"type": "RoomHeld"}), ("3-0", {})]


def test_ids_of_entries_are_compared_as_numbers() -> None:
    assert sorted(["10-2", "9-0", "10-10", "10"], key=entry_id) == ["9-0", "10", "10-2", "10-10"]
    assert taken_ms("1700000000000-3") == 1_700_000_000_000
