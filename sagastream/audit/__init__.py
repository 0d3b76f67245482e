"""The auditor: reads what records, histories, ledgers and streams say about sagas, and reports where they differ.

It bypasses the services and changes nothing, so that no fault of theirs can hide another.
"""

from sagastream.audit.findings import Difference, Findings, Rule
from sagastream.audit.scene import Audit, Scene
from sagastream.audit.whole import Audited, audit, audit_one

__all__ = ["Audit", "Audited", "Difference", "Findings", "Rule", "Scene", "audit", "audit_one"]
