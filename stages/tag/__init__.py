"""Tag: from what captions state to relations between regions, by a prior (`prior`) or a network (`relation_tagger`)."""

from schemas import BadInputError, job
from stages.contract import Stage
from stages.tag.calibrated import CalibratedTagger
from stages.tag.calibration import Calibration, load_calibration
from stages.tag.counts import PriorCounts
from stages.tag.prior import Prior, load_prior
from stages.tag.relation_tagger import open_relation_tagger
from stages.tag.stage import PriorTagger, tag_scene

__all__ = ["Calibration", "Prior", "PriorCounts", "load_calibration", "load_prior", "open_tagger", "tag_scene"]


def open_tagger(settings: job.TagJob) -> Stage:
    """The tagger that a job asks for. Reads its model and its calibration, whose digests are part of its identity.

    Raises:
        BadInputError: if `tag.prior` names no prior, `tag.model` no network, or `tag.calibration` no calibration of
            this tagger's scores.
        UserError: if the network's libraries are not installed.
    """
    tagger = _uncalibrated(settings)
    if settings.calibration is None:
        return tagger
    try:
        calibration = load_calibration(settings.calibration)
    except BadInputError as error:
        raise BadInputError(f"tag.calibration: {error}") from error
    try:
        of_tagger = calibration.of_tagger(tagger.identity)
    except BadInputError as error:
        raise BadInputError(f"tag.calibration: {settings.calibration} {error}") from error
    return CalibratedTagger(tagger, of_tagger, sha256=calibration.sha256)


def _uncalibrated(settings: job.TagJob) -> Stage:
    if isinstance(settings, job.RelationTagger):
        return open_relation_tagger(settings)
    prior = load_prior(settings.prior)
    return PriorTagger(prior=settings.prior, sha256=prior.sha256, min_score=settings.min_score)
