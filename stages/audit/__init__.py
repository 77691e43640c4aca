"""What people say of labels: samples of them, verdicts, and what follows from both."""

from stages.audit.sample_files import check_output, log_digest, read_sample, write_sample
from stages.audit.verdict_log import VerdictLog, latest, read_verdicts

__all__ = [
    "VerdictLog",
    "check_output",
    "latest",
    "log_digest",
    "read_sample",
    "read_verdicts",
    "write_sample",
]
