"""What a pre-trained network says of pictures, for any names and predicates, in the layouts that `evaluate` reads."""

from stages.predict.graph import scene_graph
from stages.predict.layouts import Layout, check_layout, prediction_text
from stages.predict.predictor import Precision, Predictor, View, check_detector, open_detector
from stages.predict.question import Question, hicodet_question, known_part, question_of, vcoco_question

__all__ = [
    "Layout",
    "Precision",
    "Predictor",
    "Question",
    "View",
    "check_detector",
    "check_layout",
    "hicodet_question",
    "known_part",
    "open_detector",
    "prediction_text",
    "question_of",
    "scene_graph",
    "vcoco_question",
]
