"""What is doubtful about data of the user's own: they can be read, but a study of them misleads."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from safr_study.data.corpus import Concern, Corpus, Text, each_text
from safr_study.data.labels import alike
from safr_study.data.words import WordSplitter
from safr_study.errors import BadInput
from safr_study.settings import CorpusSpec
from safr_study.text import plural

LEAST_TEXTS = {"train": 10, "dev": 3}
"""Texts of each class that a split needs."""
MOST_ERROR = 5.0
"""Standard error that the accuracy on dev may have, percentage points."""
MOST_REPEATED = 20.0
"""Percent of dev or test that may be in a split before it."""
LONGEST_WORDS = 8.0
"""Characters that words may have on average in scripts which put no blanks between words: those of
Thai have 4 to 5, of Chinese 1 to 2."""
_LOOKED_AT = 2_000
"""Training texts whose words are looked at."""
_WITHOUT_BLANKS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Signs of Thai, Lao, Burmese, Khmer, Japanese and Chinese."""


def concerns_of(
    corpus: Corpus, repeated: Mapping[str, int], spec: CorpusSpec
) -> tuple[Concern, ...]:
    """Everything doubtful about a data set as it was read, before limits.

    Args:
        corpus: the whole of it.
        repeated: its `repeated_texts`.
        spec: its limits are named where a count is not that of the texts within them.
    """
    return (
        *_small_classes(corpus),
        *_small_dev(corpus),
        *_many_repeated(corpus, repeated, spec),
        *_doubtful_class(corpus),
        *_alike_classes(corpus),
        *_unseparated_words(corpus, spec),
    )


def check_concerns(concerns: Iterable[Concern], spec: CorpusSpec) -> None:
    """Refuse to begin with data that are doubtful, unless the settings allow it.

    Raises:
        BadInput: the first concern that is not allowed, with the option that allows it.
    """
    for concern in concerns:
        if concern.stops:
            raise BadInput("dataset", concern.sentence)
        if concern.permission is not None and not getattr(spec, concern.permission):
            option = concern.permission.replace("_", "-")
            raise BadInput("dataset", f"{concern.sentence}, or go on with --{option}")


def repeated_texts(corpus: Corpus, spec: CorpusSpec) -> dict[str, int]:
    """How many texts of dev are in train too, and of test in train or dev; empty ones apart.

    Texts are the same where their words are: white space is no difference, nor is case where the
    settings ignore it. A split without any is left out.
    """
    dev, test = (
        Counter(_keys(split.rows, spec)) if split is not None else Counter()
        for split in (corpus.dev, corpus.test)
    )
    shared: dict[str, set[str]] = {"dev": set(), "test": {key for key in dev if key in test}}
    for key in _keys(corpus.train.rows, spec):
        for name, texts in (("dev", dev), ("test", test)):
            if key in texts:
                shared[name].add(key)
    counts = {
        name: sum(texts[key] for key in shared[name] if key)
        for name, texts in (("dev", dev), ("test", test))
    }
    return {name: count for name, count in counts.items() if count}


def repeated_phrase(name: str, count: int) -> str:
    """How many texts of a split are in a split before it, as a part of a sentence."""
    where = "train" if name == "dev" else "train or dev"
    return f"{count:,} {name} {'text is' if count == 1 else 'texts are'} in {where} too"


def _keys(rows: Iterable[Text], spec: CorpusSpec) -> Iterator[str]:
    """What the same texts, or the same pairs, have in common."""
    for row in rows:
        key = "\n".join(" ".join(text.split()) for text in each_text([row])).strip()
        yield key.lower() if spec.lowercase else key


def _small_classes(corpus: Corpus) -> list[Concern]:
    found = []
    splits = {"train": corpus.train, "dev": corpus.dev}
    for split, least in LEAST_TEXTS.items():
        sizes = np.bincount(splits[split].labels, minlength=len(corpus.class_names))
        small = [label for label, size in enumerate(sizes) if size < least]
        if small:
            name, size = corpus.class_names[small[0]], int(sizes[small[0]])
            others = f" (and {len(small) - 1} others likewise)" if len(small) > 1 else ""
            problem = (
                f"class {name!r} has {plural(size, 'text')} in {split}, fewer than {least}{others}"
            )
            remedy = "give more of it, or leave the class out"
            found.append(Concern(problem, remedy, "allow_small"))
    return found


def _small_dev(corpus: Corpus) -> list[Concern]:
    texts = corpus.dev.examples
    error = 100.0 * math.sqrt(0.25 / texts)
    if error <= MOST_ERROR:
        return []
    enough = math.ceil(0.25 * (100.0 / MOST_ERROR) ** 2)
    problem = (
        f"the dev split has {plural(texts, 'text')}, so the standard error of accuracy is up to "
        f"{error:.2f} points, more than {MOST_ERROR:g}"
    )
    remedy = f"give {enough} or more (without a dev split a fifth of train is taken)"
    return [Concern(problem, remedy, "allow_small")]


def _many_repeated(corpus: Corpus, repeated: Mapping[str, int], spec: CorpusSpec) -> list[Concern]:
    found = []
    whole = (
        "" if spec.train_limit is spec.dev_limit is spec.test_limit is None else "of all texts, "
    )
    sizes = {"dev": corpus.dev.examples, "test": corpus.test.examples if corpus.test else 0}
    for name, count in repeated.items():
        share = 100.0 * count / sizes[name]
        if share > MOST_REPEATED:
            problem = (
                f"{whole}{repeated_phrase(name, count)}, {share:.1f} % of them, more than "
                f"{MOST_REPEATED:g} %"
            )
            found.append(Concern(problem, "drop the repeated rows", "allow_duplicates"))
    return found


def _doubtful_class(corpus: Corpus) -> list[Concern]:
    """A class -1 beside 0, 1, ...: a scale of three, or labels that are missing."""
    names = corpus.class_names
    if len(names) < 3 or names != ("-1", *map(str, range(len(names) - 1))):
        return []
    problem = f"label -1 is taken for a class beside {', '.join(names[1:4])}"
    return [Concern(problem, "leave its rows out of train if it stands for a missing label")]


def _alike_classes(corpus: Corpus) -> list[Concern]:
    found = alike(corpus.class_names)
    if not found:
        return []
    first, second = found[0]
    others = f" (and {plural(len(found) - 1, 'other')} likewise)" if len(found) > 1 else ""
    problem = f"classes {first!r} and {second!r} look alike{others}"
    return [Concern(problem, "write them in one way if one is meant")]


def _unseparated_words(corpus: Corpus, spec: CorpusSpec) -> list[Concern]:
    """Whole sentences that are taken for words, as nothing separates words in their script."""
    splitter = WordSplitter.of(spec)
    texts = corpus.train.each[:_LOOKED_AT]
    if 2 * sum(len(_WITHOUT_BLANKS.findall(text)) for text in texts) < sum(map(len, texts)):
        return []
    words = [word for text in texts for word in splitter.words(text)]
    lengths = [len(word) for word in words if _WITHOUT_BLANKS.search(word)]
    mean = sum(lengths) / max(1, len(lengths))
    if mean <= LONGEST_WORDS:
        return []
    problem = (
        f"the texts have no blanks between words: what is taken for a word has {mean:.0f} "
        "characters on average"
    )
    remedy = "put a blank between the words, as a segmenter of the language does"
    if spec.encoder is None:
        remedy += ", or give --tokenizer characters, which takes each sign for a word"
    return [Concern(problem, remedy, stops=True)]
