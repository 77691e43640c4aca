"""A sample in the formats of other tools, for people who would rather look at it there."""

from stages.audit.exports.fiftyone import fiftyone_files
from stages.audit.exports.label_studio import label_studio_files
from stages.audit.exports.pictures import PictureFiles
from stages.audit.exports.shown import ShownItem, shown_item

__all__ = ["PictureFiles", "ShownItem", "fiftyone_files", "label_studio_files", "shown_item"]
