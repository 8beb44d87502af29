"""The verifier: database → leaves → tree → every checkpoint, ours and those kept elsewhere; then the views.

It believes nothing that another table could contradict, and names each place that is not as it must be.
"""

from projections.verification.findings import Finding
from projections.verification.heads import Kept
from projections.verification.run import Report, verify_ledger

__all__ = ["Finding", "Kept", "Report", "verify_ledger"]
