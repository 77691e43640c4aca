"""Every situation a picture can show, and the bystanders around it."""

from stages.ingest.scenes.situations import handling, motion, resting, riding, spatial
from stages.ingest.scenes.situations.bystanders import IDLE, add_neighbour, bystander
from stages.ingest.scenes.situations.situation import Setting, Situation

SITUATIONS: tuple[Situation, ...] = (
    *riding.SITUATIONS,
    *resting.SITUATIONS,
    *handling.SITUATIONS,
    *motion.SITUATIONS,
    *spatial.SITUATIONS,
)

__all__ = ["IDLE", "SITUATIONS", "Setting", "Situation", "add_neighbour", "bystander"]
