"""The training of the built-in model: on treebanks, then twice again with captions that the model before proved.

Each round starts from random weights, so that the last model depends on the round before only through which captions
its parses proved.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

from schemas import BadInputError
from stages.evaluate.factual import read_factual
from stages.parse.conventions import CONVENTIONS_FILE
from stages.parse.lemmas import LEMMAS_FILE
from stages.parse.model import WORDS_FILE, batch_independent
from stages.parse.row_ops import one_blas_thread
from stages.parse.training.conventions import count_conventions
from stages.parse.training.silver import proved
from stages.parse.training.treebank import lower_cased, noun_fragments, read_treebank, runs
from stages.parse.tree import Tree

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

TRAIN = ("ewt-train", "gum-train", "pud")
DEV = ("ewt-dev", "gum-dev")
# Steps of each round; the first two only have to be good enough to prove captions.
STEPS = (2500, 3000, 9000)
# Every so many sentences, one is also given in lower case.
_LOWER_CASED = 5
_LOWER_CASED_WORDS = range(3, 26)
# A word seen less often may be a typing error or a foreign one.
_KNOWN_FROM = 3
_STORED = ["TAG", "POS", "MORPH", "HEAD", "DEP", "SPACY"]


@dataclass(frozen=True, slots=True)
class Round:
    """What one round trained on, for the log and the model card."""

    steps: int
    num_treebank_docs: int
    num_silver: int
    num_captions: int
    scores: dict[str, float]
    """On the treebanks' development parts."""


def train_parser(
    treebanks: Path, captions: Path, output: Path, *, steps: Sequence[int] = STEPS, seed: int = 0
) -> list[Round]:
    """Train the parsing model into the folder `output`, which must not exist.

    Same inputs, seed and processor type: same bytes.

    Args:
        treebanks: folder with `ewt-train`, `gum-train`, `pud`, `ewt-dev` and `gum-dev`, each `.conllu` or `.conllu.gz`.
        captions: FACTUAL's train split, CSV.
        output: gets `model/`, the pipeline with its conventions and words, and `rounds/`, the corpora.
        steps: of each round; the last gives the model.
        seed: of weights, dropout and order.

    Raises:
        BadInputError: if an input is missing or malformed, or `output` exists.
    """
    if output.exists():
        raise BadInputError(f"{output}: exists already; give another --output, or remove it")
    gold = read_factual(str(captions))
    base = [doc for name in TRAIN for doc in treebank_docs(list(read_treebank(_treebank(treebanks, name))))]
    dev = [doc for name in DEV for doc in read_treebank(_treebank(treebanks, name))]
    rounds = output / "rounds"
    rounds.mkdir(parents=True)
    _store(dev, rounds / "dev.spacy")
    silver: list[Doc] = []
    done: list[Round] = []
    for number, num_steps in enumerate(steps, start=1):
        corpus, folder = rounds / f"train-{number}.spacy", rounds / f"model-{number}"
        _store([*base, *silver], corpus)
        folder.mkdir()
        scores = _train(corpus, rounds / "dev.spacy", folder, num_steps=num_steps, seed=seed)
        done.append(Round(num_steps, len(base), len(silver), len(gold), scores))
        nlp = _load(folder / "model-best")
        with one_blas_thread():
            docs = list(nlp.pipe([caption.text for caption in gold], batch_size=256))
        conventions = count_conventions(
            (Tree.of(doc), list(caption.tuples)) for caption, doc in zip(gold, docs, strict=True)
        )
        if number < len(steps):
            silver = list(proved(zip(gold, docs, strict=True), conventions))
    model = output / "model"
    _ship(nlp, model)
    (model / CONVENTIONS_FILE).write_bytes(conventions.to_json())
    (model / WORDS_FILE).write_text("\n".join(known_words([*base, *docs])) + "\n", encoding="utf-8")
    (model / LEMMAS_FILE).write_bytes(lemmas_to_json(verb_forms(base)))
    return done


def treebank_docs(sentences: Sequence["Doc"]) -> list["Doc"]:
    """What the parser learns from treebanks: sentences, runs of them, noun phrases cut out, lower-cased copies."""
    fragments = {fragment.text: fragment for sentence in sentences for fragment in noun_fragments(sentence)}
    lower = [lower_cased(sentence) for sentence in sentences[::_LOWER_CASED] if len(sentence) in _LOWER_CASED_WORDS]
    return [*runs(sentences), *fragments.values(), *lower]


def known_words(docs: Iterable["Doc"]) -> list[str]:
    """Lower-case words of some docs that are no rarities, sorted."""
    counts = Counter(token.text.lower() for doc in docs for token in doc if token.text.isalpha())
    return sorted(word for word, number in counts.items() if number >= _KNOWN_FROM)


def verb_forms(docs: Iterable["Doc"]) -> dict[str, str]:
    """Form to lemma of the verbs of a treebank, each with the lemma that it has most often."""
    counts: dict[str, Counter[str]] = {}
    for doc in docs:
        for token in doc:
            form, lemma = token.text.lower(), token.lemma_.lower()
            if token.pos_ == "VERB" and form.isalpha() and lemma.isalpha():
                counts.setdefault(form, Counter())[lemma] += 1
    return {form: min(lemmas, key=lambda lemma: (-lemmas[lemma], lemma)) for form, lemmas in sorted(counts.items())}


def lemmas_to_json(forms: Mapping[str, str]) -> bytes:
    """The file `lemmas.json` of a model."""
    return json.dumps(forms, ensure_ascii=False, indent=0).encode() + b"\n"


def _treebank(folder: Path, name: str) -> Path:
    for ending in (".conllu.gz", ".conllu"):
        if (folder / f"{name}{ending}").is_file():
            return folder / f"{name}{ending}"
    raise BadInputError(
        f"{folder}: has neither {name}.conllu.gz nor {name}.conllu; the training needs {', '.join((*TRAIN, *DEV))}"
    )


def _store(docs: Iterable["Doc"], path: Path) -> None:
    from spacy.tokens import DocBin

    DocBin(docs=docs, attrs=_STORED).to_disk(path)


def _load(folder: Path) -> "Language":
    import spacy

    with batch_independent():
        return spacy.load(folder)


def _ship(nlp: "Language", model: Path) -> None:
    """Write the pipeline without the paths of the machine that trained it."""
    nlp.config["paths"] = dict.fromkeys(nlp.config["paths"])
    nlp.to_disk(model)


def _train(corpus: Path, dev: Path, folder: Path, *, num_steps: int, seed: int) -> dict[str, float]:
    """One run of spaCy's training loop; its table goes to standard error."""
    from spacy.training.initialize import init_nlp
    from spacy.training.loop import train
    from spacy.util import load_config

    overrides = {
        "paths.train": str(corpus),
        "paths.dev": str(dev),
        "training.max_steps": num_steps,
        "system.seed": seed,
    }
    with as_file(files("stages.parse.training").joinpath("training.cfg")) as path:
        config = load_config(path, overrides)
    with batch_independent(), one_blas_thread():
        nlp = init_nlp(config)
        trained, _ = train(nlp, folder, stdout=sys.stderr)
    performance = trained.meta["performance"]
    return {name: float(performance[name]) for name in ("tag_acc", "pos_acc", "dep_uas", "dep_las")}
