"""The checks of `sagastream doctor`: server, groups, work and sagas, for an operator in an emergency. Changes nothing.

Each check reports its finding in one line and, if something is wrong, the command that helps.
"""

from sagastream.doctor.examination import CHECKS, examine
from sagastream.doctor.finding import Finding, Verdict, worst
from sagastream.doctor.patient import Patient

__all__ = ["CHECKS", "Finding", "Patient", "Verdict", "examine", "worst"]
