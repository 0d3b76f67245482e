"""Tests sagas without a server: needs the extra ``testing`` (the shipped script runs in lupa's Lua).

>>> from sagastream.testing import Scenario, simulate
"""

try:
    import lupa  # noqa: F401  # only to report the missing extra before another import fails
except ImportError as error:  # pragma: no cover  # tests always have it
    raise ImportError("sagastream.testing runs the shipped script in Lua: pip install 'sagastream[testing]'") from error

from sagastream.testing.actor import Actor
from sagastream.testing.faults import Fault, Weather
from sagastream.testing.scenario import Scenario
from sagastream.testing.simulation import Report, simulate
from sagastream.testing.stage import Stage, Untrue

__all__ = ["Actor", "Fault", "Report", "Scenario", "Stage", "Untrue", "Weather", "simulate"]
