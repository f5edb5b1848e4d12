"""Rank, delete, predict, score: everything that is measured of one model on one split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from safr_study.data import EncodedSplit
from safr_study.errors import BadInput
from safr_study.evaluation import srs
from safr_study.evaluation.agreement import rationale_agreement
from safr_study.evaluation.causes import cause_measures
from safr_study.evaluation.classification import class_measures, group_consistency
from safr_study.evaluation.deletion import (
    deletion_counts,
    sample_rows,
    take_texts,
    tokens_of,
)
from safr_study.evaluation.faithfulness import (
    kendall_tau_b,
    leave_one_out,
    mean_kendall,
)
from safr_study.evaluation.gates import gate_openness
from safr_study.evaluation.interchange import interchange
from safr_study.evaluation.monosemanticity import word_types
from safr_study.evaluation.naopc import normalised_aopc
from safr_study.evaluation.prediction import Predictor
from safr_study.evaluation.rankings import measured_scores, recomputed_ranks, token_scores
from safr_study.evaluation.srs import Deleted, delete_and_score
from safr_study.evaluation.superposition import SuperpositionMeter
from safr_study.model import Classifier, SafrClassifier
from safr_study.records import LayerMeasures, Measure, Scores
from safr_study.settings import CURVE_SHARES, EvaluationConfig, Preset, Ranking, Wanted, at_k

Floats = NDArray[np.float64]
_CURVE = tuple(share for share in CURVE_SHARES if share)


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """A model's scores, and what was predicted for each text."""

    scores: Scores
    full: NDArray[np.int64]
    """`[N]`, the class predicted for each whole text."""
    deleted: Mapping[float, Deleted]
    """Classes predicted after deletion by capacity, by k."""


def evaluate_model(
    model: Classifier,
    split: EncodedSplit,
    *,
    split_name: str,
    config: EvaluationConfig,
    want: Wanted,
    preset: Preset,
    device: torch.device,
    train_counts: NDArray[np.int64] | None = None,
    train: EncodedSplit | None = None,
    on_part: Callable[[str], None] = lambda _: None,
) -> Evaluated:
    """Measure what is wanted of a model on a split.

    One pass gives predictions, loss, gate openness and the ranking of the tokens by capacity; one
    more is made per k, and more for what else is wanted. Nothing depends on the caller: batches
    are fixed by the split and `config`, the global random state is neither read nor changed.

    Args:
        model: its weights are on `device`; left in the mode that it was in.
        split: the texts, with at least one.
        split_name: ``dev`` or ``test``, for the record.
        config: batches, layer, mode and draws.
        want: what to measure.
        preset: ``reference`` pads every batch to the model's maximum length, as its numbers
            depend on the padding.
        device: where the model's weights are.
        train_counts: `[V]`, how often the training texts have each word; for the ranking
            ``inverse_frequency``.
        train: the training texts, of which neurons that are taken away get their means; ``None``:
            those are of the split's own texts.
        on_part: called with the name of each part of the measuring as it begins.

    Raises:
        TrialFailure: a logit or a capacity is not finite.
        BadInput: no texts, or a k outside [0, 1].
    """
    if not split.examples:
        raise BadInput("split", f"{split_name} holds no texts to evaluate on")
    pad_to = None
    if preset == "reference" and isinstance(model, SafrClassifier):
        pad_to = len(model.positions)
    predictor = Predictor(model, config.batch_size, pad_to, device)

    on_part("measuring predictions and capacity")
    rankings: set[Ranking] = {"capacity", "keep_probability", *want.agreements, *want.controls}
    logits, tokens = measured_scores(predictor, split, rankings, config.capacity_layer)
    recomputed = None
    if config.recompute and want.shares:
        most = deletion_counts(split.lengths, max(want.shares))
        if config.delete != "both" or (want.sides and split.second is not None):
            # How many of a text's top tokens are on a side is known when all are ranked.
            most = split.lengths
        recomputed = recomputed_ranks(predictor, split, most, config.capacity_layer)
    measuring = _Measuring(
        predictor, split, config, logits, tokens, recomputed, train_counts, train, on_part
    )
    deleted = {k: measuring.deletion(k, want) for k in sorted(set(want.shares))}
    right = logits.argmax(axis=1) == split.labels
    values = {
        "accuracy": Measure(srs.accuracy(right), srs.accuracy_se(right)),
        "majority_accuracy": Measure(split.majority_accuracy),
    }
    of_classes, confusion = class_measures(logits, split.labels)
    values |= of_classes
    values |= group_consistency(right, split.groups)
    for k, one in deleted.items():
        values |= one.values
        if want.sides and split.second is not None:
            values |= measuring.sides(k)
    values |= _of_curve(values)
    keep = tokens.get("keep_probability")
    openness = gate_openness(None if keep is None else float(keep.sum()), len(split.tokens))
    if openness is not None:
        values["gate_openness"] = Measure(openness)
    by_ranking = measuring.rankings(want)
    values |= by_ranking.pop("capacity", {})
    if want.leave_one_out:
        values |= measuring.kendall()
    if want.naopc:
        values |= measuring.naopc()
    values |= measuring.causes(want)
    scores = Scores(
        split=split_name,
        examples=split.examples,
        values=values,
        mode=config.deletion,
        rankings=by_ranking,
        superposition=measuring.superposition() if want.superposition else (),
        confusion=confusion,
    )
    return Evaluated(scores, logits.argmax(axis=1), deleted)


@dataclass(frozen=True, slots=True, eq=False)
class _Measuring:
    """One model on one split, with what the first pass gave."""

    predictor: Predictor
    split: EncodedSplit
    config: EvaluationConfig
    logits: Floats
    measured: Mapping[Ranking, Floats]
    """`[T]` scores that the first pass gave."""
    recomputed: NDArray[np.int64] | None
    """`[T]`, ranks by capacity measured again after each deletion, where that is asked for."""
    train_counts: NDArray[np.int64] | None
    train: EncodedSplit | None
    on_part: Callable[[str], None]

    @property
    def capacities(self) -> Floats:
        """`[T]`."""
        return self.measured["capacity"]

    def deletion(self, k: float, want: Wanted, scores: Floats | None = None) -> Deleted:
        """Delete the top k by these scores, by capacity where there are none."""
        by = "capacity" if scores is None else "another ranking"
        self.on_part(f"deleting the top {100 * k:g} % by {by}")
        removed = self.recomputed if scores is None else None
        return delete_and_score(
            self.predictor,
            self.split,
            self.config,
            want,
            scores=self.capacities if scores is None else scores,
            k=k,
            full=self.logits,
            removed=removed,
        )

    def sides(self, k: float) -> dict[str, Measure]:
        """Delete the top k by capacity of either side of pairs."""
        turns = self.recomputed
        return srs.srs_by_side(
            self.predictor,
            self.split,
            self.config,
            scores=self.capacities if turns is None else -turns.astype(np.float64),
            k=k,
            full=self.logits,
        )

    def rankings(self, want: Wanted) -> dict[str, dict[str, Measure]]:
        """Measures of deleting by other rankings, and each ranking's agreement with a rationale."""
        if want.agreements or want.controls:
            self.on_part("ranking the words in other ways")
        scores_by = token_scores(
            self.predictor,
            self.split,
            dict.fromkeys((*want.agreements, *want.controls)),
            measured=self.measured,
            train_counts=self.train_counts,
            seed=self.config.seed,
            full=self.logits.argmax(axis=1),
        )
        measures: dict[str, dict[str, Measure]] = {
            name: {
                metric: measure
                for k in sorted(want.control_shares)
                for metric, measure in self.deletion(k, Wanted(), scores_by[name]).values.items()
            }
            for name in want.controls
            if name in scores_by
        }
        if self.split.rationale is not None:
            for name in want.agreements:
                if name in scores_by and (
                    agreement := rationale_agreement(
                        scores_by[name], self.split.rationale, self.split.offsets
                    )
                ):
                    measures.setdefault(name, {}).update(agreement)
        return measures

    def kendall(self) -> dict[str, Measure]:
        """Agreement of capacity with leave-one-out on the sample."""
        self.on_part("leaving out one word after the other")
        rows = self._sample(self.config.sample_texts)
        texts = take_texts(self.split, rows)
        capacities = self.capacities[tokens_of(self.split.offsets, rows)]
        lost = leave_one_out(self.predictor, texts, self.logits[rows], self.config.mode)
        # Where nothing changes, float32 leaves 1e-8 from other batches: a tie, not an order.
        return mean_kendall(kendall_tau_b(capacities, np.round(lost, 6), texts.offsets))

    def naopc(self) -> dict[str, Measure]:
        """Where capacity lies between the worst and the best order of the words."""
        self.on_part("looking for the best and the worst order of words")
        return normalised_aopc(
            self.predictor, self.split, self.config, scores=self.capacities, full=self.logits
        )

    def causes(self, want: Wanted) -> dict[str, Measure]:
        """What the neurons of the top words cause, and of words that differ between texts."""
        values = {}
        if want.causes:
            self.on_part("taking neurons away")
            values = cause_measures(
                self.predictor,
                self.split,
                self.config,
                want.causes,
                scores=self.capacities,
                train=self.train,
            )
        if want.interchange and self.split.groups is not None:
            self.on_part("exchanging neurons between the texts of a group")
            predicted = self.logits.argmax(axis=1)
            values |= interchange(self.predictor, self.split, self.config, predicted)
        return values

    def superposition(self) -> tuple[LayerMeasures, ...]:
        """The measures of every layer on fixed texts."""
        self.on_part("measuring the superposition of every layer")
        lengths = self.split.lengths
        size = int(self.config.sample_tokens / max(1.0, float(lengths.mean())))
        texts = take_texts(self.split, self._sample(max(1, size)))
        types, count = word_types(texts.tokens, seed=self.config.seed)
        meter = SuperpositionMeter(count)
        with self.predictor.measuring():
            for batch, output in self.predictor.outputs(texts):
                of_batch = torch.zeros((*batch.words.shape, 2), dtype=torch.int64)
                places = tokens_of(texts.offsets, batch.index)
                of_batch[torch.from_numpy(batch.words)] = torch.from_numpy(types[places])
                meter.add(output, output.positions.words, of_batch)
        return meter.result()

    def _sample(self, size: int) -> NDArray[np.int64]:
        return sample_rows(self.split.examples, size, self.config.seed)


def _of_curve(values: Mapping[str, Measure]) -> dict[str, Measure]:
    """Numbers of the whole curve, where all of its k were measured."""

    def curve(kind: str) -> list[float] | None:
        found = [values.get(at_k(kind, k)) for k in _CURVE]
        return None if None in found else [one.value for one in found if one is not None]

    if (shares := curve("realised_share")) is None:
        return {}
    numbers: dict[str, float | None] = {}
    for kind in ("srs", "srs_excess"):
        if (heights := curve(kind)) is not None:
            numbers[f"{kind}_auc"] = srs.area_under_curve(shares, heights)
    for kind in ("comprehensiveness", "sufficiency"):
        if (heights := curve(kind)) is not None:
            # The form of DeYoung et al. (ACL 2020): the plain mean over k > 0.
            numbers[f"{kind}_aopc"] = float(np.mean(heights))
    return {name: Measure(number) for name, number in numbers.items() if number is not None}
