"""How good the labels are, measured against people."""

from stages.evaluate.labels import Agreement, FalsePositives, LabelScore, wilson_interval

__all__ = ["Agreement", "FalsePositives", "LabelScore", "wilson_interval"]
