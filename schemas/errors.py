"""The errors of Relmill. The driver treats each height of this tree differently.

RelmillError
├── UserError            the job, a file or an argument is wrong: message, non-zero exit, no traceback
│   ├── JobError         the job file
│   ├── BadInputError    a dataset, shard or other input file
│   └── ConflictError    another driver or another job owns the output
├── TransientError       the same call may succeed later: retried with a pause
├── OutOfMemoryError     retried with half the batch
├── StorageError         the output cannot be written: the run stops, resumable
└── InternalError        a bug in Relmill
"""


class RelmillError(Exception):
    """Any error that Relmill raises on purpose."""


class UserError(RelmillError):
    """Something the user gave is wrong; the message says what, where and what to do."""


class JobError(UserError):
    """The job file or a `--set` override is wrong; the message names the key."""


class BadInputError(UserError):
    """A dataset, shard or model file is not what it should be; the message names file and field."""


class ConflictError(UserError):
    """The output belongs to another job, or another driver took it over."""


class TransientError(RelmillError):
    """The same call may succeed later (a network fault); the driver retries with a pause."""


class OutOfMemoryError(RelmillError):
    """A batch did not fit into memory; the driver halves it and tries again."""


class StorageError(RelmillError):
    """The output cannot be written (disk full, no permission); nothing is lost, run the job again to resume."""


class InternalError(RelmillError):
    """A bug in Relmill, not in the data; please report it with the message."""
