"""`relmill inspect`: a look into an output or a shard."""

from pipeline.inspect.inspection import Inspection
from pipeline.inspect.output import inspect_output

__all__ = ["Inspection", "inspect_output"]
