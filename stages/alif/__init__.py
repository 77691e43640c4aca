"""ALIF: the network of RLIPv2, which encodes an image and texts together and decodes pairs with their relations.

Its modules are PyTorch's, so to import this is to import PyTorch: others do it where they use it.
"""

from stages.alif.build import build_model
from stages.alif.checkpoint import Checkpoint, checkpoint_sha256, load_checkpoint, save_checkpoint
from stages.alif.config import PUBLISHED, AlifConfig, Repairs, published_config
from stages.alif.convert import Converted, convert, read_published
from stages.alif.model import AlifModel, Encoded
from stages.alif.tagger import PairGroup, decode_pairs, repeated

__all__ = [
    "PUBLISHED",
    "AlifConfig",
    "AlifModel",
    "Checkpoint",
    "Converted",
    "Encoded",
    "PairGroup",
    "Repairs",
    "build_model",
    "checkpoint_sha256",
    "convert",
    "decode_pairs",
    "load_checkpoint",
    "published_config",
    "read_published",
    "repeated",
    "save_checkpoint",
]
