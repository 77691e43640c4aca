"""`relmill predict`: a pre-trained network on pictures, datasets, outputs, and HICO-DET's test set."""

from pipeline.predict.run import PredictSummary, predict
from pipeline.predict.settings import PredictSettings

__all__ = ["PredictSettings", "PredictSummary", "predict"]
