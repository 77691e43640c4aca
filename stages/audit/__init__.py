"""What people say of labels: samples of them, verdicts, and what follows from both."""

from stages.audit.estimates import precision
from stages.audit.figures import audit_figures
from stages.audit.judged import judged_items
from stages.audit.read_item import read_item
from stages.audit.sample_files import check_output, log_digest, read_sample, write_sample
from stages.audit.trace import Trace, trace_of
from stages.audit.verdict_log import VerdictLog, latest, read_verdicts

__all__ = [
    "Trace",
    "VerdictLog",
    "audit_figures",
    "check_output",
    "judged_items",
    "latest",
    "log_digest",
    "precision",
    "read_item",
    "read_sample",
    "read_verdicts",
    "trace_of",
    "write_sample",
]
