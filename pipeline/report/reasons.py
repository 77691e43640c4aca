"""What the reason slugs of rejected, dead and repaired scenes mean, in words and with what to do."""

_WORDS = {
    # rejected by ingest
    "annotation-without-image": "The annotations speak of an image that has no entry. Usually a cut or mixed-up file.",
    "image-without-name": "The entry of the image does not say which file it is.",
    "duplicate-image-id": "Two different images share one id, so it is open whose the boxes are. Mend the annotations.",
    # rejected by screen
    "image-missing": "The picture is not in the image folder. Check `dataset.images`, or fetch the missing files.",
    "image-unreadable": "The picture may not be read. Grant permission and run a new job.",
    "image-unsafe-path": "The file name leads out of the image folder. Such names are never followed.",
    "image-truncated": "The file ends before the picture does: an incomplete download. Fetch it again.",
    "image-undecodable": "The bytes are no picture that can be decoded. Look at the file.",
    "image-too-small": "A side is shorter than `screen.min_side`.",
    "image-too-large": "More pixels than `screen.max_pixels`.",
    "image-animated": "Several frames; boxes and captions speak of one picture.",
    "image-size-mismatch": "The picture measures otherwise than the annotations say, so the boxes cannot be trusted.",
    "too-many-boxes": "More boxes than `screen.max_boxes`; pairs grow with their square.",
    # rejected by caption or tag
    "no-pixels": "The stage looks at pictures, and the job has none. Give `dataset.images`; leave out `pixels: false`.",
    # dead
    "exception": "The stage raised on this scene alone. The traceback is in its line; mend the cause, `relmill retry`.",
    "out-of-memory": "Even alone this scene did not fit into memory. Retry with more, or lower `screen.max_pixels`.",
    "timeout": "The stage took longer than `runtime.timeout_s` for this scene alone.",
    "transient": "The store kept failing after every pause. `relmill retry` once it is well.",
    "worker-died": "The process died on this scene alone, every time. Often memory, or a fault in a decoder.",
    # repaired
    "box-clipped": "A box reached outside the picture and was cut to it.",
    "box-outside": "A box lay wholly outside the picture and was dropped.",
    "box-zero-area": "A box enclosed nothing and was dropped.",
    "box-not-finite": "A box held NaN, infinity or no numbers and was dropped.",
    "box-negative-size": "A box had negative width or height and was dropped.",
    "box-is-crowd": "A box outlined a group rather than one thing and was dropped.",
    "unknown-category": "A box had a class that is not listed and was dropped.",
    "duplicate-image": "An image was entered more than once, always the same; taken once.",
    "duplicate-annotation-id": "An annotation id stood more than once.",
    "duplicate-relation": "A human relation stood more than once; taken once.",
    "relation-without-predicate": "A human relation had no predicate and was dropped.",
    "relation-without-region": "A human relation had an end that is no region any more and was dropped.",
    "relation-to-itself": "A human relation had one region at both ends and was dropped.",
    "caption-empty": "A caption was empty and was dropped.",
    "caption-too-long": "A caption was longer than what is parsed.",
    "no-caption": "The scene has no caption, so captions can give it no relation.",
    "text-not-unicode": "A text held half a surrogate pair, replaced by U+FFFD.",
    "text-too-long": "A caption's words or a class name were longer than the text encoder takes, and were not asked.",
    "text-unknown": "A caption's words or a class name have words that the tagger never learned, and were not asked. "
    "If they are many, it was trained for other pictures; give another `tag.model`.",
    "image-size-invalid": "The size in the annotations was none; taken from the picture.",
}


def reason_in_words(slug: str) -> str:
    """A sentence on a reason; a stage of your own may have reasons that only its details explain."""
    return _WORDS.get(slug, "See the detail that was recorded with each scene.")
