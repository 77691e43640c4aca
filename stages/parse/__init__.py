"""Parse: from captions to noun phrases and the relations stated between them."""

from schemas.job import ParseJob
from stages.contract import Stage
from stages.parse.model import pipeline_digest
from stages.parse.parsed import Parse, ParsedAttribute, ParsedPhrase, ParsedRelation
from stages.parse.parser import CaptionParser
from stages.parse.stage import Parser

__all__ = ["CaptionParser", "Parse", "ParsedAttribute", "ParsedPhrase", "ParsedRelation", "open_parser"]


def open_parser(job: ParseJob) -> Stage:
    """The parser that a job asks for.

    Raises:
        BadInputError: if the pipeline it names is not there.
    """
    return Parser(model=job.model, sha256=pipeline_digest(job.model))
