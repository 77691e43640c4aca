"""The prior P(predicate | subject class, object class, geometry) and its file.

Counts, smoothed; nothing is trained. With e an event (a predicate, or NONE for "nobody related these two"):

    P(e | s, o, g)   is proportional to   P(e | s, o) * product over features f of P(g_f | e, s, o) ** T
    P(e | s, o)      = (n(s, o, e) + M * back-off) / (n(s, o) + M); the back-off is the mean of P(e | s) and P(e | o),
                       and each of these backs off to P(e) in the same way
    P(g_f | e, s, o) backs off to P(g_f | e, o), P(g_f | e), the events that share the verb or preposition, and
                       all related pairs, in this order; NONE only to NONE

A predicate never seen thus has the geometry of its kind ("sit upon" of "sit on" and "sit at"), at worst that of "some
relation". T = 0.4, because the five features of one pair are far from independent: on a held-out tenth of HICO-DET
train and V-COCO trainval the cross-entropy of choosing the pair is 0.66 at 0.3 to 0.5, and 0.86 at 1.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.resources import files
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from schemas import BadInputError
from stages.storage import Folder
from stages.tag.counts import NONE, Count, Event, PriorCounts, prior_class
from stages.tag.geometry import BINS, EDGES, NUM_BINS, NUM_FEATURES

VERSION: Final = "relmill.prior/1"

TEMPERATURE: Final = 0.4
# Pseudo-counts. Between 5 and 150 the choices on the held-out tenth do not change by more than its sampling error.
_CLASS_MASS: Final = 10.0
_BIN_MASS: Final = 20.0

Bins = npt.NDArray[np.int64]
Table = npt.NDArray[np.float64]

_NO_BINS: Final[Bins] = np.zeros((NUM_FEATURES, NUM_BINS), dtype=np.int64)


class Prior:
    """A fitted prior. Its counts never change; tables are made when first asked for."""

    def __init__(self, events: Mapping[Event, Count], *, data: Mapping[str, Any]) -> None:
        self.data = dict(data)
        """What it was fitted on: fingerprint, datasets, numbers of scenes and relations."""
        self._events = dict(sorted(events.items()))
        self._tables: dict[Event, Table] = {}

    @classmethod
    def of(cls, counts: PriorCounts, *, datasets: Sequence[str] = ()) -> "Prior":
        """The prior of these counts; `datasets` are names to remember."""
        background = sum(count.number for event, count in counts.events.items() if event.predicate == NONE)
        data = {
            "datasets": list(datasets),
            "fingerprint": counts.fingerprint,
            "num_background_pairs": background,
            "num_relations": counts.num_relations,
            "num_scenes": counts.num_scenes,
        }
        return cls(counts.events, data=data)

    @cached_property
    def predicates(self) -> tuple[str, ...]:
        """Predicates seen in fitting, sorted; NONE is not among them."""
        return tuple(sorted({event.predicate for event in self._events} - {NONE}))

    # Asking

    def log_prior(self, subject: str, predicate: str, object_: str) -> float:
        """log P(predicate | classes); of "any relation" if the predicate was never seen."""
        s, o = prior_class(subject), prior_class(object_)
        if predicate in self.predicates:
            return float(np.log(self._class_probability(s, o, predicate)))
        return float(np.log(1.0 - self._class_probability(s, o, NONE)))

    def log_likelihood_ratio(self, subject: str, predicate: str, object_: str, bins: Bins) -> Table:
        """(N,) tempered log of P(geometry | predicate) / P(geometry | NONE) for pairs of these classes.

        Above 0, a pair looks more like the relation than like two things that happen to be in one picture.

        Args:
            bins: (N, NUM_FEATURES) from `geometry_bins`.
        """
        s, o = prior_class(subject), prior_class(object_)
        table = self._log_geometry(Event(s, o, predicate)) - self._log_geometry(Event(s, o, NONE))
        ratio: Table = TEMPERATURE * table[np.arange(NUM_FEATURES), bins].sum(axis=1)
        return ratio

    def probabilities(self, subject: str, object_: str, bins: Bins) -> Table:
        """(N, len(predicates) + 1) posterior of each predicate and, last, of NONE; each row sums to 1."""
        s, o = prior_class(subject), prior_class(object_)
        events = [*self.predicates, NONE]
        classes = np.log([self._class_probability(s, o, event) for event in events])
        tables = np.stack([self._log_geometry(Event(s, o, event)) for event in events])
        logits = classes + TEMPERATURE * tables[:, np.arange(NUM_FEATURES), bins].sum(axis=2).T
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        posterior: Table = weights / weights.sum(axis=1, keepdims=True)
        return posterior

    # Classes

    def _class_probability(self, s: str, o: str, predicate: str) -> float:
        both = self._class_counts
        overall = both["", ""]
        vocabulary = len(self.predicates) + 1
        anywhere = (overall.get(predicate, 0) + 1.0) / (sum(overall.values()) + vocabulary)
        of_subject = _smoothed(both.get((s, ""), {}), predicate, anywhere)
        of_object = _smoothed(both.get(("", o), {}), predicate, anywhere)
        return _smoothed(both.get((s, o), {}), predicate, (of_subject + of_object) / 2)

    @cached_property
    def _class_counts(self) -> dict[tuple[str, str], dict[str, int]]:
        """Event counts by (subject, object), with "" for any."""
        counts: dict[tuple[str, str], dict[str, int]] = {("", ""): {}}
        for event, count in self._events.items():
            for key in {(event.subject, event.object), (event.subject, ""), ("", event.object), ("", "")}:
                events = counts.setdefault(key, {})
                events[event.predicate] = events.get(event.predicate, 0) + count.number
        return counts

    # Geometry

    def _log_geometry(self, event: Event) -> Table:
        """(NUM_FEATURES, NUM_BINS) log P(bin | event), from the widest back-off to the event itself."""
        known = self._tables.get(event)
        if known is None:
            table = self._predicate_table(event.predicate)
            for level in (Event("", event.object, event.predicate), event):
                table = _blended(self._bins.get(level, _NO_BINS), table)
            # Padding stays 0; no true bin is ever 0, as every level blends in a uniform share.
            known = self._tables[event] = np.log(np.where(table > 0, table, 1.0))
        return known

    def _predicate_table(self, predicate: str) -> Table:
        """(NUM_FEATURES, NUM_BINS) P(bin | predicate) whatever the classes."""
        anywhere = Event("", "", predicate)
        known = self._tables.get(anywhere)
        if known is None:
            known = _uniform()
            if predicate != NONE:
                related = [self._bins[Event("", "", p)] for p in self.predicates]
                kin = [self._bins[Event("", "", p)] for p in self.predicates if _kin(p, predicate)]
                known = _blended(sum(kin, _NO_BINS), _blended(sum(related, _NO_BINS), known))
            known = self._tables[anywhere] = _blended(self._bins.get(anywhere, _NO_BINS), known)
        return known

    @cached_property
    def _bins(self) -> dict[Event, Bins]:
        """Counts of each event, and of events with "" for any subject, or for any classes."""
        sums: dict[Event, Bins] = {}
        for event, count in self._events.items():
            for key in {event, Event("", event.object, event.predicate), Event("", "", event.predicate)}:
                sums[key] = sums.get(key, _NO_BINS) + count.bins
        return sums

    # File

    def to_json(self) -> bytes:
        """The prior as canonical JSON: equal counts give equal bytes."""
        classes = sorted({name for event in self._events for name in (event.subject, event.object)})
        class_ids = {name: i for i, name in enumerate(classes)}
        predicate_ids = {name: i for i, name in enumerate(self.predicates)} | {NONE: -1}
        rows = [
            [
                class_ids[event.subject], class_ids[event.object], predicate_ids[event.predicate],
                *(counted.bins[f, : BINS[f]].tolist() for f in range(NUM_FEATURES)),
            ]
            for event, counted in self._events.items()
        ]  # fmt: skip
        head = {
            "version": VERSION,
            "data": dict(sorted(self.data.items())),
            "edges": {name: list(edges) for name, edges in EDGES.items()},
            "classes": classes,
            "predicates": list(self.predicates),
        }
        lines = [json.dumps(row, separators=(",", ":")) for row in rows]
        text = (
            json.dumps(head, ensure_ascii=False, indent=1)[:-2] + ',\n "counts": [\n' + ",\n".join(lines) + "\n ]\n}\n"
        )
        return text.encode()

    @property
    def sha256(self) -> str:
        """Hex digest of `to_json()`, the prior's identity."""
        return hashlib.sha256(self.to_json()).hexdigest()

    @classmethod
    def from_json(cls, text: bytes, *, name: str = "prior") -> "Prior":
        """Read what `to_json` wrote.

        Raises:
            BadInputError: naming the file, if it is no prior of this version.
        """
        try:
            document = json.loads(text)
            version = document["version"]
        except (ValueError, KeyError, TypeError) as error:
            raise BadInputError(f"{name}: not a prior; give a file that `relmill fit-prior` wrote") from error
        edges = {feature: list(values) for feature, values in EDGES.items()}
        if version != VERSION or document.get("edges") != edges:
            raise BadInputError(
                f"{name}: prior of version {version!r}, this relmill reads {VERSION!r}; fit it again: relmill fit-prior"
            )
        try:
            events = dict(_read_row(row, document["classes"], document["predicates"]) for row in document["counts"])
            data = dict(document["data"])
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise BadInputError(f"{name}: damaged prior ({error!r}); fit it again: relmill fit-prior") from error
        if not events:
            raise BadInputError(f"{name}: prior without counts; fit it on a dataset with human relations")
        return cls(events, data=data)


def load_prior(prior: str) -> Prior:
    """The prior named in a job: `builtin`, or the path or URL of a file.

    Raises:
        BadInputError: if there is no such file, or it is no prior.
    """
    if prior == "builtin":
        text = files("stages.tag").joinpath("builtin_prior.json").read_bytes()
        return Prior.from_json(text, name="the builtin prior")
    folder, _, name = prior.rpartition("/")
    try:
        text = Folder(folder or ".").read(name)
    except FileNotFoundError as error:
        raise BadInputError(
            f"tag.prior: no file {prior}; give `builtin`, or a file that `relmill fit-prior` wrote"
        ) from error
    return Prior.from_json(text, name=prior)


def _read_row(row: Sequence[Any], classes: Sequence[str], predicates: Sequence[str]) -> tuple[Event, Count]:
    s, o, p, *histograms = row
    if min(s, o) < 0 or p < -1 or len(histograms) != NUM_FEATURES:
        raise ValueError(f"row {row!r}")
    bins = np.zeros((NUM_FEATURES, NUM_BINS), dtype=np.int64)
    for feature, histogram in enumerate(histograms):
        bins[feature, : BINS[feature]] = histogram
    if bins.min() < 0 or len(set(bins.sum(axis=1).tolist())) != 1:
        raise ValueError(f"row {row!r}: counts of the features disagree")
    return Event(classes[s], classes[o], NONE if p == -1 else predicates[p]), Count(int(bins[0].sum()), bins)


def _uniform() -> Table:
    table = np.zeros((NUM_FEATURES, NUM_BINS))
    for feature, bins in enumerate(BINS):
        table[feature, :bins] = 1 / bins
    return table


def _blended(counted: Bins, back_off: Table) -> Table:
    """Each row's frequencies, blended with a wider distribution that counts as much as `_BIN_MASS` pairs."""
    table: Table = (counted + _BIN_MASS * back_off) / (counted.sum(axis=1, keepdims=True) + _BIN_MASS)
    return table


def _smoothed(counts: Mapping[str, int], key: str, back_off: float) -> float:
    return (counts.get(key, 0) + _CLASS_MASS * back_off) / (sum(counts.values()) + _CLASS_MASS)


def _kin(known: str, asked: str) -> bool:
    """Whether a seen predicate tells of one asked for: the same verb, or the bare preposition of verbs that take it."""
    if known.partition(" ")[0] == asked.partition(" ")[0]:
        return True
    return known.endswith(" " + asked) or asked.endswith(" " + known)
