"""What happens to a prediction when neurons, not words, are taken away (definitions, section 9).

a_ij is the activation of FFN1's neuron j at word i after the non-linearity, in the block in which
capacity is measured; T_k are the top share k of a text's words by capacity, N_i the neurons that
hold half of word i (`holding_half`). margin(x) is the logit of the class predicted on x minus the
best other one, and

    D(S) = mean over texts of margin(x) - margin(x with a_S replaced)

in units of the margin's standard deviation over texts. Everything of several words is done in all
pieces of each. Shapes: N texts, K shares, T tokens; of a batch B texts and W words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from safr_study.data import Batch, EncodedSplit
from safr_study.errors import TrialFailure
from safr_study.evaluation.deletion import (
    Choice,
    deletion_counts,
    random_scores,
    sample_rows,
    take_texts,
    tokens_of,
)
from safr_study.evaluation.faithfulness import mean_over_texts
from safr_study.evaluation.neuron_sets import (
    CANDIDATES,
    KEPT,
    OtherNeurons,
    best_of,
    holding_half,
    relative_gap,
)
from safr_study.evaluation.neurons import Patches, Site, Variant
from safr_study.evaluation.prediction import Predictor
from safr_study.evaluation.replacements import (
    Replacements,
    batches,
    draws_of,
    read_replacements,
)
from safr_study.model import Classifier
from safr_study.records import Measure
from safr_study.settings import (
    CURVE_SHARES,
    REPLACEMENTS,
    EvaluationConfig,
    Replacement,
    at_k,
    layer_place,
    replaced,
)

Floats = NDArray[np.float64]

RANDOM_SETS = 200
"""Matched random sets behind a p value; each takes one of the sets kept for every text."""


def cause_measures(
    predictor: Predictor,
    split: EncodedSplit,
    config: EvaluationConfig,
    shares: Sequence[float],
    *,
    scores: Floats,
    train: EncodedSplit | None,
) -> dict[str, Measure]:
    """neuron_effect@K, capacity_effect@K and neuron_sufficiency@K, with all three replacements.

    On ``config.cause_texts`` fixed texts; every text of them counts. In the last block each word
    moves the logits by itself, so all sets of words and shares come from one computation; for an
    earlier block each is a pass of its own.

    Args:
        predictor: of a `Classifier`.
        split: the whole texts.
        config: the block, the words that count, the seed.
        shares: k, ascending, each in (0, 1].
        scores: ``[T]``, the ranking; ties by position.
        train: the training texts; ``None``: means and other tokens are those of the split.

    Returns:
        The metrics by name, and beside them ``_p`` (share of `RANDOM_SETS` matched random sets
        with at least the effect) and ``_flips`` (percentage points of predictions that change) of
        the two effects, ``neurons_matched@K`` and ``words_matched@K`` (share of the sets within
        `CLOSE`) and ``neurons_chosen@K`` (mean \\|N_i\\|). Nothing for fewer than two texts, or
        where all have the same margin.

    Raises:
        TrialFailure: a logit is not finite.
        BadInput: the model has no such block.
    """
    rows = sample_rows(split.examples, config.cause_texts, config.seed)
    texts, scores = take_texts(split, rows), scores[tokens_of(split.offsets, rows)]
    site = site_of(predictor, config)
    with predictor.measuring():
        values = read_replacements(predictor, site, texts, train, seed=config.seed)
        if values is None:
            return {}
        top = TopWords.of(texts, config, shares, scores)
        others = OtherNeurons(
            values.held * torch.linalg.vector_norm(site.columns, dim=0),
            site.columns,
            seed=config.seed,
        )
        found = _Margins(texts.examples, len(shares))
        for batch, tokens in batches(predictor, texts):
            _Batch(site, batch, tokens, values, top, others).measure(found)
    return _measures(found, top, shares, seed=config.seed)


def site_of(predictor: Predictor, config: EvaluationConfig) -> Site:
    """FFN1's output in the block in which capacity is measured."""
    model: Classifier = predictor.model  # type: ignore[assignment]
    return Site(predictor, layer_place(config.capacity_layer).index(len(model.layers)))


@dataclass(frozen=True, slots=True, eq=False)
class TopWords:
    """T_k for each k, and random words in their place."""

    counts: NDArray[np.int64]
    """``[K, T]``: how many words of its text (or side) each token is one of."""
    ranks: NDArray[np.int64]
    """``[T]``."""
    random_ranks: NDArray[np.int32]
    """``[CANDIDATES, T]``: orders at random, the same for all models."""
    realised: tuple[float, ...]
    """Share of the words in T_k, for each k."""

    @classmethod
    def of(
        cls, texts: EncodedSplit, config: EvaluationConfig, shares: Sequence[float], scores: Floats
    ) -> TopWords:
        """The top words of some texts by a ranking ``[T]``."""
        choice = Choice.of(texts, config.delete)
        runs = np.diff(choice.offsets)
        counts = np.stack([np.repeat(deletion_counts(choice.lengths, k), runs) for k in shares])
        of_draws = (
            random_scores(texts.offsets, 0.0, draw, seed=config.seed) for draw in range(CANDIDATES)
        )
        drawn = np.stack([choice.ranks(one).astype(np.int32) for one in of_draws])
        ranks = choice.ranks(scores)
        words = max(1, int(choice.lengths.sum()))
        realised = tuple(float((ranks < count).sum()) / words for count in counts)
        return cls(counts, ranks, drawn, realised)


class _Margins:
    """Margins of N texts after each patch, and what is counted of the sets."""

    def __init__(self, texts: int, shares: int) -> None:
        self._shape = shares, texts
        self.whole = np.zeros(texts)
        self._after: dict[tuple[str, Replacement, int], Floats] = {}
        self.counted: dict[str, Floats] = defaultdict(lambda: np.zeros((shares, 2)))
        """Sums and numbers ``[K, 2]``."""

    def put(self, what: tuple[str, Replacement, int], k: int, rows: NDArray[np.int64],
            margins: Floats) -> None:  # fmt: skip
        """The margins of some texts after a patch at the k-th share."""
        self._after.setdefault(what, np.zeros(self._shape))[k, rows] = margins

    def count(self, name: str, k: int, found: Tensor) -> None:
        """Add up numbers of sets."""
        self.counted[name][k] += float(found.sum()), found.numel()

    def after(self, kind: str, by: Replacement, k: int) -> Floats:
        """``[draws, N]``: those of all draws, or of all sets."""
        found = [one[k] for (of, how, _), one in self._after.items() if (of, how) == (kind, by)]
        return np.stack(found)


class _Batch:
    """One batch of texts, and the variants of its words."""

    def __init__(self, site: Site, batch: Batch, tokens: NDArray[np.int64], values: Replacements,
                 top: TopWords, others: OtherNeurons) -> None:  # fmt: skip
        self._batch = batch
        self._read = read = site.read(batch)
        device = read.logits.device
        self._tokens = torch.from_numpy(tokens).to(device)
        self._counts = torch.from_numpy(top.counts[:, tokens]).to(device)  # [K, W]
        self._top = torch.from_numpy(top.ranks[tokens]).to(device) < self._counts
        self._random = torch.from_numpy(top.random_ranks[:, tokens]).to(device)
        self._values = values
        self._classes = read.logits.argmax(dim=1)
        self._patches: Patches = site.patches(batch, read)
        self._some = self._top.any(dim=0).nonzero()[:, 0]
        vectors = read.vectors[self._some]
        self._chosen = holding_half(vectors, site.columns)
        self._others = others.of(vectors, self._chosen)
        self._add_variants()

    def _add_variants(self) -> None:
        every = torch.arange(len(self._read.text), device=self._tokens.device)
        chosen, sets = self._chosen, self._others

        def add(what: tuple[str, Replacement, int], words: Tensor, neurons: object,
                draw: int) -> None:  # fmt: skip
            values = self._values.values(what[1], draw, self._tokens[words])
            self._patches.add(what, Variant(words, neurons, values))  # type: ignore[arg-type]

        for by in REPLACEMENTS:
            for draw in range(draws_of(by)):
                add(("words", by, draw), every, lambda: None, draw)
                add(("neurons", by, draw), self._some, lambda: chosen, draw)
                add(("rest", by, draw), self._some, lambda: ~chosen, draw)
            for number in range(KEPT):
                these = lambda number=number: sets.neurons(number)  # noqa: E731
                add(("other neurons", by, number), self._some, these, number)

    def measure(self, found: _Margins) -> None:
        """Put in every set of neurons and words at each k."""
        rows = self._batch.index
        found.whole[rows] = self._margins(self._read.logits)
        for k, top in enumerate(self._top):
            random, matches = self._random_words(k)
            found.count("words_matched", k, matches)
            found.count("neurons_matched", k, self._others.matches[:, top[self._some]])
            found.count("neurons_chosen", k, self._chosen.sum(dim=1)[top[self._some]])
            for by in REPLACEMENTS:
                for draw in range(draws_of(by)):
                    words, rest = ("words", by, draw), ("rest", by, draw)
                    for what, parts in {
                        ("neurons", by, draw): ((("neurons", by, draw), top),),
                        words: ((words, top),),
                        rest: ((rest, top), (words, ~top)),
                    }.items():
                        found.put(what, k, rows, self._margins(self._patches.logits(*parts)))
                for number in range(KEPT):
                    words = ("words", by, number % draws_of(by))
                    for what, part in {
                        ("other neurons", by, number): (("other neurons", by, number), top),
                        ("other words", by, number): (words, random[number]),
                    }.items():
                        found.put(what, k, rows, self._margins(self._patches.logits(part)))

    def _random_words(self, k: int) -> tuple[Tensor, Tensor]:
        """Random words in the place of T_k ``[KEPT, W]``, and of which texts with any each matches.

        As many of each text, whose sum of |FFN2's output| is like that of T_k.
        """
        read = self._read
        norms = torch.linalg.vector_norm(read.outputs, dim=1)

        def sums(words: Tensor) -> Tensor:
            summed: Tensor = norms.new_zeros(len(words), len(read.logits))
            return summed.index_add_(1, read.text, words * norms)

        drawn = self._random < self._counts[k]  # [CANDIDATES, W]
        best, matches = best_of(relative_gap(sums(drawn), sums(self._top[k : k + 1])))
        has_any = sums(self._top[k : k + 1])[0] > 0
        return drawn.gather(0, best[:, read.text]), matches[:, has_any]

    def _margins(self, logits: Tensor) -> Floats:
        found: Floats = margins(logits, self._classes).double().cpu().numpy()
        return found


def margins(logits: Tensor, classes: Tensor) -> Tensor:
    """The logit of a class minus the best other one ``[B]``, of logits ``[B, C]``."""
    best = logits.scatter(1, classes[:, None], -torch.inf).amax(dim=1)
    margin: Tensor = logits.gather(1, classes[:, None])[:, 0] - best
    return margin


def _measures(
    found: _Margins, top: TopWords, shares: Sequence[float], *, seed: int
) -> dict[str, Measure]:
    whole = found.whole
    if len(whole) < 2 or not (spread := float(whole.std(ddof=1))):
        return {}
    picks = np.random.default_rng(seed).integers(0, KEPT, (RANDOM_SETS, len(whole)))
    values: dict[str, Measure] = {}
    for number, k in enumerate(shares):
        for by in REPLACEMENTS:
            for name, kind in (("neuron_effect", "neurons"), ("capacity_effect", "words")):
                after = found.after(kind, by, number)
                others = found.after(f"other {kind}", by, number)
                values |= {
                    at_k(f"{replaced(name, by)}{end}", k): one
                    for end, one in _effect(whole, after, others, picks, spread).items()
                }
            rest = found.after("rest", by, number)
            values[at_k(replaced("neuron_sufficiency", by), k)] = _kept(whole, rest)
        for name, counted in found.counted.items():
            if counted[number, 1]:
                values[at_k(name, k)] = Measure(float(counted[number, 0] / counted[number, 1]))
    return values | _areas(values, shares, top.realised)


def _effect(
    whole: Floats, after: Floats, others: Floats, picks: NDArray[np.int64], spread: float
) -> dict[str, Measure]:
    """D of a set less that of the matched random ones, its p value, and the flips.

    Args:
        whole: margins ``[N]``.
        after: ``[draws, N]``, after the replacement of the set.
        others: ``[KEPT, N]``, after that of sets like it.
        picks: ``[RANDOM_SETS, N]``, which of these each random set takes of each text.
        spread: standard deviation of ``whole``.
    """
    if not np.isfinite(after).all() or not np.isfinite(others).all():
        raise TrialFailure(
            "the model's logits are not finite numbers where neurons are replaced; its training "
            "diverged: take a smaller learning rate or smaller lambdas"
        )
    lost, lost_others = whole - after.mean(axis=0), whole - others
    random = np.take_along_axis(lost_others, picks, axis=0).mean(axis=1)
    return {
        "": mean_over_texts((lost - lost_others.mean(axis=0)) / spread),
        "_p": Measure(float((random >= lost.mean()).mean())),
        "_flips": Measure(100.0 * float((after < 0).mean())),
    }


def _kept(whole: Floats, after: Floats) -> Measure:
    """Share of the margins ``[N]`` that is left after a replacement ``[draws, N]``.

    The ratio of the means, as single margins may be near 0; the error is that of its linear form.
    """
    left, mean = after.mean(axis=0), float(whole.mean())
    share = float(left.mean()) / mean
    return Measure(share, mean_over_texts((left - share * whole) / mean).se)


def _areas(
    values: Mapping[str, Measure], shares: Sequence[float], realised: Sequence[float]
) -> dict[str, Measure]:
    """Mean height of neuron sufficiency from the first to the last k of the curve, where all are.

    The trapezoid rule over the realised shares. Nothing where these are all the same.
    """
    curve = [k for k in CURVE_SHARES if k]
    if not set(curve) <= set(shares):
        return {}
    at = [realised[list(shares).index(k)] for k in curve]
    if at[-1] <= at[0]:
        return {}
    areas = {}
    for by in REPLACEMENTS:
        heights = [values[at_k(replaced("neuron_sufficiency", by), k)].value for k in curve]
        area = float(np.trapezoid(heights, at)) / (at[-1] - at[0])
        areas[replaced("neuron_sufficiency_auc", by)] = Measure(area)
    return areas
