"""The constructions that state a relation, one file a family; each rule with the sentences that are its test."""

from stages.parse.rules import clauses, copulas, nouns, possession, relatives
from stages.parse.rules.rule import Rule

RULES: tuple[Rule, ...] = (
    *clauses.RULES,
    *copulas.RULES,
    *relatives.RULES,
    *nouns.RULES,
    *possession.RULES,
)

__all__ = ["RULES", "Rule"]
