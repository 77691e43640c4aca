"""Tag: from what captions state to relations between regions, by a prior (`prior`) or a network (`relation_tagger`)."""

from schemas import job
from stages.contract import Stage
from stages.tag.counts import PriorCounts
from stages.tag.prior import Prior, load_prior
from stages.tag.relation_tagger import open_relation_tagger
from stages.tag.stage import PriorTagger, tag_scene

__all__ = ["Prior", "PriorCounts", "load_prior", "open_tagger", "tag_scene"]


def open_tagger(settings: job.TagJob) -> Stage:
    """The tagger that a job asks for. Reads its model to know the digest, which is part of the stage's identity.

    Raises:
        BadInputError: if `tag.prior` names no prior, or `tag.model` no network.
        UserError: if the network's libraries are not installed.
    """
    if isinstance(settings, job.RelationTagger):
        return open_relation_tagger(settings)
    prior = load_prior(settings.prior)
    return PriorTagger(prior=settings.prior, sha256=prior.sha256, min_score=settings.min_score)
