"""What an operator must know at three in the morning, looked at once: server, groups, work and sagas. Changes nothing.

Each check tells what it found in one line, and where something is wrong the command that helps.
"""

from sagastream.doctor.examination import CHECKS, examine
from sagastream.doctor.finding import Finding, Verdict, worst
from sagastream.doctor.patient import Patient

__all__ = ["CHECKS", "Finding", "Patient", "Verdict", "examine", "worst"]
