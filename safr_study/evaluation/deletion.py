"""Which tokens are deleted: how many, in which order, and what remains of the texts.

Scores, ranks and masks are ragged like the split itself: one entry per token of the split, the
tokens of text i at ``offsets[i]`` to ``offsets[i + 1]``. Any score can be ranked: capacity, an
oracle, or the random scores below.
"""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from safr_study.data import EncodedSplit
from safr_study.errors import BadInput
from safr_study.settings import Sides

_LARGEST_DENOMINATOR = 1_000_000
"""k is the nearest fraction with at most this denominator: 0.1 + 0.2 is 3/10."""

SAMPLE_DRAW = -2
"""Draw of the sample: no random deletion and no control ranking has it."""

_GOLDEN_GAMMA = 0x9E3779B97F4A7C15
_MASK_64 = 0xFFFFFFFFFFFFFFFF


def deletion_counts(lengths: NDArray[np.int64], k: float) -> NDArray[np.int64]:
    """Tokens to delete from each text: q = round-half-even(k n) (definitions, section 2).

    The product is exact, so a half is a half: q of k = 0.07, n = 150 is 10 (10.5 to even), where
    the float product 10.500000000000002 would give 11.

    Args:
        lengths: `[N]`, tokens of each text.
        k: share of the tokens, in [0, 1].

    Returns:
        `[N]`, 0 <= q <= n.

    Raises:
        BadInput: k outside [0, 1].
    """
    share = _share(k)
    longest = int(lengths.max(initial=0))
    counts = np.array([round(share * n) for n in range(longest + 1)], dtype=np.int64)
    return counts[lengths]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The tokens among which a deletion chooses: those of each text, or of one side of each pair.

    They are G runs of tokens that follow one another, so that what is ragged by text elsewhere is
    ragged by run here: of pairs each side is a run of its own, and that of the other side is shut.
    """

    offsets: NDArray[np.int64]
    """`[G + 1]`: run g has the tokens ``offsets[g]`` to ``offsets[g + 1]``."""
    open: NDArray[np.bool_]
    """`[G]`, whether tokens of the run may be deleted."""

    @classmethod
    def of(cls, split: EncodedSplit, side: Sides) -> Choice:
        """All tokens of a split's texts, or those on one side of its pairs.

        Raises:
            BadInput: a side of single texts.
        """
        if side == "both":
            return cls(split.offsets, np.ones(split.examples, dtype=np.bool_))
        if split.second is None:
            raise BadInput("delete", f"there is no {side} text where texts are no pairs; use both")
        seconds_before = np.concatenate(([0], np.cumsum(split.second, dtype=np.int64)))
        middles = split.offsets[1:] - np.diff(seconds_before[split.offsets])
        ends = np.stack((middles, split.offsets[1:]), axis=1).reshape(-1)
        runs = np.arange(len(ends)) % 2
        return cls(np.concatenate(([0], ends)), runs == (side == "second"))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """`[G]`, tokens of each run that may be deleted: none where it is shut."""
        return np.diff(self.offsets) * self.open

    @property
    def tokens(self) -> NDArray[np.bool_]:
        """`[T]`, the tokens that may be deleted."""
        chosen: NDArray[np.bool_] = np.repeat(self.open, np.diff(self.offsets))
        return chosen

    def ranks(self, scores: NDArray[np.float64]) -> NDArray[np.int64]:
        """Place of each token `[T]` in its run by these scores; see `rank_tokens`."""
        return rank_tokens(scores, self.offsets)


def rank_tokens(scores: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place of each token in its own text, by descending score, ties by position.

    Args:
        scores: `[T]`, finite.
        offsets: `[N + 1]`.

    Returns:
        `[T]`, 0 = the highest score of its text.
    """
    order = np.lexsort((-scores, _text_of_token(offsets)))
    ranks = np.empty(len(scores), dtype=np.int64)
    ranks[order] = positions_in_text(offsets)
    return ranks


def random_scores(
    offsets: NDArray[np.int64],
    k: float,
    draw: int,
    *,
    seed: int,
    ids: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """One uniform number per token; deleting the q highest of each text is a random deletion.

    A text's numbers depend on (seed, its id, k, draw) alone: not on the other texts, the batch or
    the model, so all the models of a study lose the same tokens. They are the outputs of a
    SplitMix64 generator (Steele, Lea and Flood 2014) seeded by a hash of those four.

    Args:
        offsets: `[N + 1]`.
        k: share of the tokens, in [0, 1].
        draw: which of the B deletions.
        seed: ``EvaluationConfig.seed``.
        ids: `[N]`, the example ids; ``None``: the rows of the split.

    Returns:
        `[T]`, uniform in [0, 1).

    Raises:
        BadInput: k outside [0, 1].
    """
    share = _share(k)
    texts = np.arange(len(offsets) - 1) if ids is None else ids
    state = np.zeros(len(texts), dtype=np.uint64)
    for word in (seed, share.numerator, share.denominator, draw):
        state = _mixed(state ^ np.uint64(word & _MASK_64))
    state = _mixed(state ^ texts.astype(np.uint64))
    steps = (positions_in_text(offsets) + 1).astype(np.uint64) * np.uint64(_GOLDEN_GAMMA)
    keys = _finalised(np.repeat(state, np.diff(offsets)) + steps)
    return (keys >> np.uint64(11)).astype(np.float64) * 2.0**-53


def without_top(
    ranks: NDArray[np.int64], offsets: NDArray[np.int64], counts: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Keep mask `[T]` that drops the `counts[i]` best-ranked tokens of each text i."""
    keep: NDArray[np.bool_] = ranks >= np.repeat(counts, np.diff(offsets))
    return keep


def take_texts(split: EncodedSplit, rows: NDArray[np.int64]) -> EncodedSplit:
    """Some texts as a split of their own.

    Args:
        split: N texts.
        rows: `[S]` in [0, N), in any order, repeated or not.
    """
    places = tokens_of(split.offsets, rows)
    return EncodedSplit(
        tokens=split.tokens[places],
        offsets=np.concatenate(([0], np.cumsum(split.lengths[rows]))),
        labels=split.labels[rows],
        rationale=None if split.rationale is None else split.rationale[places],
        groups=None if split.groups is None else split.groups[rows],
        second=None if split.second is None else split.second[places],
    )


def sample_rows(examples: int, size: int, seed: int) -> NDArray[np.int64]:
    """Rows of a fixed sample of a split, ascending; every row where `size` is enough.

    A row's place in the draw depends on (seed, row) alone, so a smaller sample is part of a
    larger one.

    Args:
        examples: N.
        size: texts wanted, ``EvaluationConfig.sample_texts``.
        seed: ``EvaluationConfig.seed``.

    Returns:
        `[min(size, N)]`.
    """
    drawn = random_scores(np.arange(examples + 1), 0.0, SAMPLE_DRAW, seed=seed)
    return np.sort(np.argsort(-drawn, kind="stable")[:size])


def sample_texts(split: EncodedSplit, size: int, *, seed: int) -> EncodedSplit:
    """Some texts as a split of their own, the same at each call; all where ``size`` is enough.

    Groups stay whole, so there may be fewer texts; one of several texts comes first, so that
    something can be measured of groups.

    Args:
        split: N texts.
        size: texts wanted.
        seed: ``EvaluationConfig.seed``.
    """
    if split.groups is None:
        return take_texts(split, sample_rows(split.examples, size, seed))
    _, group, sizes = np.unique(split.groups, return_inverse=True, return_counts=True)
    drawn = random_scores(np.arange(len(sizes) + 1), 0.0, SAMPLE_DRAW, seed=seed)
    order = np.argsort(-drawn, kind="stable")
    first = int(np.argmax(sizes[order] > 1))
    order = np.concatenate((order[first : first + 1], np.delete(order, first)))
    fitting = max(1, int(np.searchsorted(np.cumsum(sizes[order]), size, side="right")))
    return take_texts(split, np.flatnonzero(np.isin(group, order[:fitting])))


def tokens_of(offsets: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of the tokens of some texts in the split, text after text.

    Args:
        offsets: `[N + 1]`.
        rows: `[S]` in [0, N).
    """
    lengths = np.diff(offsets)[rows]
    ends = np.cumsum(lengths)
    places: NDArray[np.int64] = np.arange(lengths.sum()) + np.repeat(
        offsets[rows] - ends + lengths, lengths
    )
    return places


def positions_in_text(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place of each token in its own text `[T]`, from 0."""
    positions: NDArray[np.int64] = np.arange(offsets[-1]) - np.repeat(
        offsets[:-1], np.diff(offsets)
    )
    return positions


def _share(k: float) -> Fraction:
    if not 0 <= k <= 1:
        raise BadInput("k", f"{k:g} is no share of the tokens; give a number from 0 to 1")
    return Fraction(k).limit_denominator(_LARGEST_DENOMINATOR)


def _text_of_token(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """First output of SplitMix64 from each state: a bijection that scatters near words."""
    return _finalised(words + np.uint64(_GOLDEN_GAMMA))


def _finalised(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
