"""``python -m tests.stage.play --seeds 0:20000 --jobs 2``: the shop's orders and a stranger's trips, seed after seed.

Stops at the first lie and ends with 1, having printed what is needed for it; ends with 3 if some kind of fault never
happened in a long range.
"""

from __future__ import annotations

import sys

from sagastream.testing.__main__ import main
from sagastream.testing.scenario import Scenario
from tests.stage.order_cast import orders
from tests.stage.trip_cast import TRIPS, TRIPS_WITHOUT_A_PIVOT

TARGET = f"{__spec__.name if __spec__ else __name__}:scenario"


def scenario(seed: int) -> Scenario:
    """Return what a seed plays: of ten seeds eight play orders."""
    return {8: TRIPS, 9: TRIPS_WITHOUT_A_PIVOT}.get(seed % 10) or orders(seed)


if __name__ == "__main__":
    sys.exit(main(target=TARGET))
