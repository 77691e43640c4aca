"""How good predictions and labels are, measured against people."""

from stages.evaluate.benchmark import BenchmarkScore, ClassScore
from stages.evaluate.detections import ImagePrediction, ImageTruth, LabelSpace, image_prediction, image_truth
from stages.evaluate.hicodet import HicoConventions, HicoEvaluator
from stages.evaluate.label_quality import LabelQuality
from stages.evaluate.labels import Agreement, FalsePositives, LabelScore, wilson_interval
from stages.evaluate.openimages import OpenImagesConventions, OpenImagesEvaluator
from stages.evaluate.openimages_triplets import TripletConventions, TripletEvaluator
from stages.evaluate.scene_graph import SceneGraphConventions, SceneGraphEvaluator
from stages.evaluate.vcoco import VCocoConventions, VCocoEvaluator

__all__ = [
    "Agreement",
    "BenchmarkScore",
    "ClassScore",
    "FalsePositives",
    "HicoConventions",
    "HicoEvaluator",
    "ImagePrediction",
    "ImageTruth",
    "LabelQuality",
    "LabelScore",
    "LabelSpace",
    "OpenImagesConventions",
    "OpenImagesEvaluator",
    "SceneGraphConventions",
    "SceneGraphEvaluator",
    "TripletConventions",
    "TripletEvaluator",
    "VCocoConventions",
    "VCocoEvaluator",
    "image_prediction",
    "image_truth",
    "wilson_interval",
]
