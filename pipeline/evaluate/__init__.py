"""`relmill evaluate`: files in, the papers' tables out."""
