"""The training of a small BLIP captioner.

Its modules are PyTorch's, so to import this is to import PyTorch: others do it where they use it.
"""

from stages.caption.training.batches import BatchConfig, CaptionBatch, CaptionBatches, ReadPicture
from stages.caption.training.folder import image_processor, save_captioner
from stages.caption.training.loss import caption_loss, next_token_logits
from stages.caption.training.samples import CaptionedPicture, captioned_picture, clean_caption, names_sides
from stages.caption.training.tiny import PATCH, PROMPT, tiny_captioner
from stages.caption.training.train import STATE_SCHEMA, CaptionTrainingConfig, train
from stages.caption.training.vocabulary import caption_tokenizer, caption_vocabulary

__all__ = [
    "PATCH",
    "PROMPT",
    "STATE_SCHEMA",
    "BatchConfig",
    "CaptionBatch",
    "CaptionBatches",
    "CaptionTrainingConfig",
    "CaptionedPicture",
    "ReadPicture",
    "caption_loss",
    "caption_tokenizer",
    "caption_vocabulary",
    "captioned_picture",
    "clean_caption",
    "image_processor",
    "names_sides",
    "next_token_logits",
    "save_captioner",
    "tiny_captioner",
    "train",
]
