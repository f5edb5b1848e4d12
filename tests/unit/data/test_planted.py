from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pytest

from safr_study.data import Split, load_corpus
from safr_study.data.planted import VARIANTS, planted_corpus
from safr_study.errors import BadInput
from safr_study.settings import CorpusSpec

NAMES = ["planted", *(f"planted:{name}" for name in VARIANTS if name != "single")]


@cache
def _splits(name: str, seed: int = 0) -> dict[str, Split]:
    corpus = planted_corpus(name, seed)
    assert corpus.test is not None
    return {"train": corpus.train, "dev": corpus.dev, "test": corpus.test}


def _cues(text: str) -> list[str]:
    return [word for word in text.split() if word.startswith("cue")]


def _distractors(text: str) -> list[str]:
    return [word for word in text.split() if word.startswith("dis")]


@pytest.mark.parametrize("name", NAMES)
def test_sizes_and_exact_balance(name: str) -> None:
    classes = 4 if name.endswith("4class") else 2
    for split, size in {"train": 2000, "dev": 500, "test": 1000}.items():
        labels = _splits(name)[split].labels
        assert np.bincount(labels, minlength=classes).tolist() == [size // classes] * classes


@pytest.mark.parametrize("name", NAMES)
def test_a_text_has_its_fillers_cues_and_distractors_and_the_rationale_marks_the_cues(
    name: str,
) -> None:
    r = {"planted:redundant": 3, "planted:conjunction": 2}.get(name, 1)
    for split in _splits(name).values():
        assert split.rationale is not None
        for text, marks in zip(split.texts, split.rationale, strict=True):
            words = text.split()
            assert len(_cues(text)) == len(_distractors(text)) == r
            fillers = [word for word in words if word.startswith("f")]
            assert 8 <= len(fillers) <= 40
            assert len(words) == len(fillers) + 2 * r
            assert marks.tolist() == [int(word.startswith("cue")) for word in words]


@pytest.mark.parametrize("name", ["planted", "planted:redundant", "planted:4class"])
def test_the_cue_decides_the_class(name: str) -> None:
    for split in _splits(name).values():
        for text, label in zip(split.texts, split.labels, strict=True):
            assert {cue[3] for cue in _cues(text)} == {str(label)}


def test_in_a_conjunction_the_second_cue_flips_the_first_and_none_says_anything_alone() -> None:
    split = _splits("planted:conjunction")["train"]
    pairs = [[int(cue[3]) for cue in _cues(text)] for text in split.texts]
    flipped = [1 - first if second == 1 else first for first, second in pairs]
    assert flipped == split.labels.tolist()
    for position in (0, 1):
        agreement = np.mean([pair[position] for pair in pairs] == split.labels)
        # 4 standard deviations of a fair coin thrown 2,000 times.
        assert abs(agreement - 0.5) < 0.045


def test_noise_leaves_five_percent_of_the_labels_wrong() -> None:
    split = _splits("planted:noise")["train"]
    wrong = [_cues(t)[0][3] != str(y) for t, y in zip(split.texts, split.labels, strict=True)]
    assert sum(wrong) == 100


@pytest.mark.parametrize("name", NAMES)
def test_distractors_are_as_frequent_as_cues_and_independent_of_the_label(name: str) -> None:
    splits = [_splits(name, seed)["train"] for seed in range(2)]
    texts = [text for split in splits for text in split.texts]
    labels = np.concatenate([split.labels for split in splits])
    cues = Counter(word for text in texts for word in _cues(text))
    distractors = Counter(word for text in texts for word in _distractors(text))
    assert len(cues) == len(distractors) == 20 * (labels.max() + 1)
    expected = sum(cues.values()) / len(cues)
    assert sum(distractors.values()) / len(distractors) == expected
    for counts in (cues, distractors):
        assert max(abs(n - expected) for n in counts.values()) < 4.5 * np.sqrt(expected)
    fair = np.mean(labels == 0)
    first = Counter(
        word
        for text, label in zip(texts, labels, strict=True)
        for word in set(_distractors(text))
        if label == 0
    )
    holding = Counter(word for text in texts for word in set(_distractors(text)))
    for word in distractors:
        assert abs(first[word] / holding[word] - fair) < 4.5 * np.sqrt(
            fair * (1 - fair) / distractors[word]
        )


def test_cues_and_distractors_stand_anywhere() -> None:
    split = _splits("planted")["train"]
    for kind in ("cue", "dis"):
        places = [
            (next(i for i, word in enumerate(words) if word.startswith(kind)) + 0.5) / len(words)
            for words in map(str.split, split.texts)
        ]
        assert np.histogram(places, bins=4, range=(0, 1))[0] == pytest.approx([500] * 4, abs=90)


def test_filler_frequencies_follow_zipf() -> None:
    counts = Counter(
        word
        for text in _splits("planted")["train"].texts
        for word in text.split()
        if word[0] == "f"
    )
    total = sum(counts.values())
    harmonic = sum(1 / rank for rank in range(1, 2001))
    for rank in (1, 2, 4, 8):
        assert counts[f"f{rank - 1:04d}"] / total == pytest.approx(1 / rank / harmonic, rel=0.1)


def test_repeated_texts_repeat_every_filler_and_plain_ones_do_not() -> None:
    def least(name: str) -> list[int]:
        return [
            min(Counter(word for word in text.split() if word[0] == "f").values())
            for text in _splits(name)["dev"].texts
        ]

    assert min(least("planted:repeated")) >= 2
    assert max(least("planted")) == 1


def test_length_goes_with_the_label_in_the_length_variant_alone() -> None:
    def correlation(name: str) -> float:
        split = _splits(name)["train"]
        lengths = [len(text.split()) for text in split.texts]
        return float(np.corrcoef(lengths, split.labels)[0, 1])

    assert correlation("planted:length") > 0.4
    assert abs(correlation("planted")) < 0.09


def test_the_seed_decides_the_texts() -> None:
    one, same, other = (planted_corpus("planted", seed) for seed in (1, 1, 2))
    assert one.train.texts == same.train.texts
    assert one.train.labels.tolist() == same.train.labels.tolist()
    assert one.train.texts != other.train.texts
    assert one.train.texts[:500] != one.dev.texts


def test_loading_uses_the_split_seed_and_the_limits() -> None:
    spec = CorpusSpec(dataset="planted", split_seed=3, train_limit=100, dev_limit=50)
    corpus = load_corpus(spec)
    assert np.bincount(corpus.train.labels).tolist() == [50, 50]
    assert np.bincount(corpus.dev.labels).tolist() == [25, 25]
    assert corpus.train.rationale is not None
    assert len(corpus.train.rationale) == 100
    assert set(corpus.train.texts) <= set(planted_corpus("planted", 3).train.texts)


def test_an_unknown_variant_is_one_sentence() -> None:
    with pytest.raises(BadInput, match=r"^dataset: no planted variant 'odd'; .*redundant"):
        planted_corpus("planted:odd", 0)
