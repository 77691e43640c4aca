"""`report.json` and `report.html`: what a run did, and whether its labels are right."""

from pipeline.report.report import write_report

__all__ = ["write_report"]
