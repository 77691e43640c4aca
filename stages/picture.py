"""Encoded pictures to RGB, the same for every stage that looks at one."""

import io

import numpy as np
from PIL import Image

# 16-bit samples are divided by 257, which takes 65535 to 255; cutting off what is above 255 would make nearly all of
# such a picture white.
_STEPS_16_TO_8 = 257


def decode_rgb(data: bytes) -> Image.Image:
    """Decode a picture to 8-bit RGB, whatever its own mode.

    CMYK is converted, transparency (also of palettes) is laid over white, 16-bit grey is scaled to 8 bit. Of an
    animation the first frame is taken. EXIF orientation is not applied: boxes are in the order of the stored pixels, as in COCO.

    Raises:
        OSError: if the bytes are no picture, or not all of one.
    """
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return _to_rgb(image)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy()
    if image.mode.startswith("I") or image.mode == "F":
        return _wide_grey_to_rgb(image)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(ground, layer).convert("RGB")
    return image.convert("RGB")


def _wide_grey_to_rgb(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits: `I;16` in either byte order, `I`, which some decoders give for it, and float."""
    grey = np.asarray(image if image.mode == "F" else image.convert("I"), dtype=np.float64)
    low, high = float(grey.min()), float(grey.max())
    if low < 0 or high > _STEPS_16_TO_8 * 255:
        # 32-bit pictures have no common scale: their own range becomes the scale.
        grey = (grey - low) * (255 / (high - low))
    elif image.mode == "F" and high <= 1:
        grey = grey * 255
    else:
        grey = grey / _STEPS_16_TO_8
    return Image.fromarray(np.rint(grey).astype(np.uint8)).convert("RGB")
