"""The steps of the pipeline, one folder or module each, in the order of the data."""
