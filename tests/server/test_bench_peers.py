"""What stands beside the peers is measured as it is told: the same steps, every guarantee, every saga to its end."""

import pytest

from bench.peers import __main__ as peers
from bench.peers.ours import PLAIN, NotEnded, timed
from bench.peers.table import PEERS

pytestmark = [pytest.mark.server, pytest.mark.processes]


@pytest.mark.parametrize("arrangement", ["one", "procs"])
def test_the_peers_steps_are_played_to_the_end_in_both_arrangements(arrangement: str) -> None:
    """Sagas that did not all complete have no figure."""
    assert timed(PLAIN, 50, "no", arrangement) > 0


def test_sagas_that_are_not_there_are_not_counted() -> None:
    """Whoever begins too few would be the fastest of all."""

    async def none(url: str, sagas: int, named: str) -> None:
        await PLAIN.begin(url, sagas // 2, named)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("bench.peers.ours._WITHIN_S", 0.5)
        with pytest.raises(NotEnded):
            timed(type(PLAIN)(PLAIN.casting, none), 40, "no", "one")


def test_both_are_in_the_table_and_the_lines_hold_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    """The library with the peers' steps, and the shop with its own."""
    assert max(len(peer.name) for peer in PEERS) <= 38

    code = peers.main(["--only", "process, everysec", "--share", "0.01", "--repeat", "1"])

    told = capsys.readouterr().out
    assert code == 0
    assert "sagastream, one process, everysec" in told
    assert "the shop, one process, everysec" in told
