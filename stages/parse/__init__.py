"""Parse: from captions to noun phrases and the relations stated between them."""

from schemas.job import ParseJob
from stages.contract import Stage
from stages.parse.stage import RuleParser, parse_captions

__all__ = ["open_parser", "parse_captions"]


def open_parser(job: ParseJob) -> Stage:
    """The parser that a job asks for; `builtin`, the only one so far, is the rule parser."""
    assert job.model == "builtin"
    return RuleParser()
