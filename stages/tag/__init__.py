"""Tag: from what captions state to relations between regions."""

from schemas import job
from stages.contract import Stage
from stages.tag.counts import PriorCounts
from stages.tag.prior import Prior, load_prior
from stages.tag.stage import PriorTagger, tag_scene

__all__ = ["Prior", "PriorCounts", "load_prior", "open_tagger", "tag_scene"]


def open_tagger(settings: job.PriorTagger) -> Stage:
    """The tagger that a job asks for. Reads the prior to know its digest, which is part of the stage's identity.

    Raises:
        BadInputError: if `tag.prior` names no prior.
    """
    prior = load_prior(settings.prior)
    return PriorTagger(prior=settings.prior, sha256=prior.sha256, min_score=settings.min_score)
