"""The few-shot subsets of HICO-DET that ship with Relmill; `stages.evaluate.hicodet_splits` reads them."""
