"""`relmill inspect`: a look into an output or a shard."""

from pipeline.inspect.output import inspect_output
from pipeline.inspect.inspection import Inspection

__all__ = ["Inspection", "inspect_output"]
