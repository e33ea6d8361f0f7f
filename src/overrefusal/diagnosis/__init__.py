"""Why a prompt was declined: which pattern, which words, and what would help."""

from overrefusal.diagnosis.diagnose import Report, diagnose, diagnose_async
from overrefusal.diagnosis.findings import Diagnosis

__all__ = ["Diagnosis", "Report", "diagnose", "diagnose_async"]
