"""How the built-in parsing model is made: treebanks, cut-out fragments, silver captions, and the training rounds."""

from stages.parse.training.train import Round, train_parser

__all__ = ["Round", "train_parser"]
