"""Passes of a model over a split: logits with or without deleted tokens, and measures per token."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from safr_study.data import Batch, EncodedSplit, batch_of, evaluation_batches, remove_tokens
from safr_study.errors import TrialFailure
from safr_study.evaluation.deletion import take_texts, tokens_of
from safr_study.model import (
    Inference,
    PretrainedClassifier,
    SafrClassifier,
    SafrOutput,
    kernels,
    of_encoder,
    piece_counts,
)
from safr_study.settings import UNK, DeletionMode

Floats = NDArray[np.float64]
Measures = Callable[[SafrOutput], Mapping[str, Tensor]]
"""Named numbers per position `[B, L]` of a forward pass."""

_GRADIENT_POSITIONS = 2**13
"""Most positions in a batch with gradients, which holds every inner value: bounds the memory."""
_TOKENS_AT_ONCE = 2**21
"""Tokens of the texts that are run together, before the deletion: bounds the memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """A model and the way its texts are batched, so that a number is repeated exactly."""

    model: nn.Module
    """Maps ids `[B, L]` (0 = PAD) to a `SafrOutput`; run in evaluation mode. Some methods need the
    further arguments of `SafrClassifier`. Its weights must stay as they are."""
    batch_size: int
    pad_to: int | None
    """Length of every batch; ``None``: its longest text."""
    device: torch.device
    """Device of the model's weights."""
    _inference: list[Inference] = field(default_factory=list, init=False, repr=False)
    """Made when it is first needed."""

    def logits(
        self,
        split: EncodedSplit,
        keep: NDArray[np.bool_] | None = None,
        mode: DeletionMode = "remove",
    ) -> Floats:
        """Logits `[N, C]` of the split's texts, of which some tokens may be deleted.

        Args:
            split: the whole texts, at least one.
            keep: `[T]`, false for the deleted tokens; ``None``: none is.
            mode: what deleting a token means; ``attn`` and ``gate`` need a `SafrClassifier`.

        Raises:
            TrialFailure: a logit is not finite.
        """
        if keep is None:
            return self.measure(split)[0]
        if mode == "remove":
            return self.measure(remove_tokens(split, keep))[0]
        if mode == "unk" and isinstance(self.model, PretrainedClassifier):
            # Each piece of the word is hidden, not the word as a whole.
            return self.measure(split, marks={"shown": keep})[0]
        if mode == "unk":
            unknown = split.tokens.dtype.type(UNK)
            return self.measure(replace(split, tokens=np.where(keep, split.tokens, unknown)))[0]
        argument = {"attn": "visible", "gate": "gate"}[mode]
        return self.measure(split, marks={argument: keep})[0]

    def logits_of_each(
        self,
        split: EncodedSplit,
        keeps: NDArray[np.bool_],
        mode: DeletionMode = "remove",
        *,
        known: Floats,
    ) -> Floats:
        """Logits `[K, N, C]` after each of K deletions, all run together.

        Only the texts that lose a token are run, as a split of their own: its other batches move
        a logit of float32 by about 1e-6. One that loses the same tokens in several deletions is
        run once, and the batches of many texts hold less padding.

        Args:
            split: the whole texts, at least one.
            keeps: `[K, T]`, false for the deleted tokens.
            mode: what deleting a token means.
            known: `[N, C]`, the logits of the whole texts, for those that lose nothing.

        Raises:
            TrialFailure: a logit is not finite.
        """
        together = max(1, _TOKENS_AT_ONCE // max(1, len(split.tokens)))
        found = np.repeat(known[None], len(keeps), axis=0)
        for start in range(0, len(keeps), together):
            some = keeps[start : start + together]
            deletion, row = np.nonzero([_lost(split, keep) for keep in some])
            if not len(row):
                continue
            marks = np.stack([_fingerprints(split, keep) for keep in some])[deletion, row]
            _, first, place = np.unique(
                np.stack([row.astype(np.uint64), marks]),
                axis=1, return_index=True, return_inverse=True,
            )  # fmt: skip
            texts = take_texts(split, row[first])
            kept = some[
                np.repeat(deletion[first], texts.lengths), tokens_of(split.offsets, row[first])
            ]
            found[start + deletion, row] = self.logits(texts, kept, mode)[place]
        return found

    def measure(
        self,
        split: EncodedSplit,
        of: Measures | None = None,
        marks: Mapping[str, NDArray[np.bool_]] | None = None,
    ) -> tuple[Floats, dict[str, Floats]]:
        """Logits `[N, C]`, and named measures `[T]` of each token, from one pass.

        Args:
            split: the texts, at least one.
            of: takes the measures from each batch; what it gives for PAD is left out. ``None``:
                there are none.
            marks: `[T]`, further arguments of the model by name; true for what is no word.

        Raises:
            TrialFailure: a logit or a measure is not finite.
        """
        rows: list[NDArray[np.int64]] = []
        logits: list[Floats] = []
        measures: dict[str, Floats] = {}
        with self.measuring():
            for batch in self._batches(split, self.batch_size):
                real, places = batch.words, tokens_of(split.offsets, batch.index)
                arguments = {}
                for name, mark in (marks or {}).items():
                    arguments[name] = np.ones(real.shape, dtype=np.bool_)
                    arguments[name][real] = mark[places]
                found, measured = self._batch(batch, of, real, arguments)
                rows.append(batch.index)
                logits.append(found)
                for name, values in measured.items():
                    measures.setdefault(name, np.zeros(len(split.tokens)))[places] = values
        order = np.argsort(np.concatenate(rows))
        return np.concatenate(logits)[order], measures

    def gradient_x_input(self, split: EncodedSplit, classes: NDArray[np.int64]) -> Floats:
        """|sum over E of embedding * d logit / d embedding| of each token `[T]`.

        The logit is that of one class per text; the soft gate depends on the embedding and is part
        of the gradient. Needs a `SafrClassifier`, whose parameters get no gradient.

        Args:
            split: the texts.
            classes: `[N]`.

        Raises:
            TrialFailure: a gradient is not finite.
        """
        found = np.zeros(len(split.tokens))
        with _evaluation_mode(self.model), torch.enable_grad():
            for batch in self.batches(split, _GRADIENT_POSITIONS):
                real, places = batch.words, tokens_of(split.offsets, batch.index)
                gradient = self._gradient(batch, torch.from_numpy(classes[batch.index]))
                found[places] = _finite(gradient.abs(), "gradients", real)
        return found

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """The model in evaluation mode, without gradients; afterwards in the mode it was in."""
        with _evaluation_mode(self.model), torch.inference_mode():
            yield

    def outputs(self, split: EncodedSplit) -> Iterator[tuple[Batch, SafrOutput]]:
        """Each batch of `measure` and all that a pass gives, within `measuring`."""
        for batch in self._batches(split, self.batch_size):
            ids = torch.from_numpy(batch.ids).to(self.device)
            yield batch, self.model(ids, **of_encoder(self.model, pieces=batch.pieces))

    def batches(self, split: EncodedSplit, positions: int) -> Iterator[Batch]:
        """Every text once, in batches of at most so many positions, or of one text."""
        longest = self.pad_to or max(1, int(split.positions.max(initial=0)))
        return self._batches(split, min(self.batch_size, max(1, positions // longest)))

    def batch(self, split: EncodedSplit, rows: NDArray[np.int64]) -> Batch:
        """Some texts as one batch, in this order."""
        return batch_of(split, rows, self.pad_to, piece_counts(self.model))

    def _batches(self, split: EncodedSplit, size: int) -> Iterator[Batch]:
        pieces = piece_counts(self.model)
        return evaluation_batches(split, size, pad_to=self.pad_to, pieces=pieces)

    def _gradient(self, batch: Batch, classes: Tensor) -> Tensor:
        """Gradient `[B, L]` of the logits of `classes [B]` with respect to a scale of 1."""
        ids = torch.from_numpy(batch.ids).to(self.device)
        weight = next(self.model.parameters())
        scale = torch.ones(ids.shape, dtype=weight.dtype, device=ids.device, requires_grad=True)
        more = of_encoder(self.model, pieces=batch.pieces)
        output: SafrOutput = self.model(ids, scale=scale, **more)
        chosen = output.logits.gather(1, classes.to(self.device)[:, None])
        # The texts of a batch do not see each other, so the sum's gradient is that of each.
        (gradient,) = torch.autograd.grad(chosen.sum(), scale)
        return gradient

    def _batch(
        self,
        batch: Batch,
        of: Measures | None,
        real: NDArray[np.bool_],
        arguments: Mapping[str, NDArray[np.bool_]],
    ) -> tuple[Floats, dict[str, Floats]]:
        """Logits `[B, C]`, measures of the real tokens; frees all else before the next batch."""
        ids = torch.from_numpy(batch.ids).to(self.device)
        plain = of is None and not arguments and kernels.FAST
        if plain and isinstance(self.model, SafrClassifier):
            if not self._inference:
                self._inference.append(Inference(self.model))
            return _finite(self._inference[0](ids), "logits"), {}
        moved = {name: torch.from_numpy(a).to(self.device) for name, a in arguments.items()}
        more = of_encoder(self.model, inner=of is not None, pieces=batch.pieces)
        output: SafrOutput = self.model(ids, **moved, **more)
        measured = {} if of is None else of(output)
        return _finite(output.logits, "logits"), {
            name: _finite(values, f"values of {name}", real) for name, values in measured.items()
        }


def _lost(split: EncodedSplit, keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether each text has a deleted token, `[N]`."""
    gone_before = np.concatenate(([0], np.cumsum(~keep)))
    lost: NDArray[np.bool_] = np.diff(gone_before[split.offsets]) > 0
    return lost


def _fingerprints(split: EncodedSplit, keep: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """A number for each text `[N]`, equal for equal kept tokens and, in 2^64, for no others."""
    weights = np.random.default_rng(0).integers(0, 2**64, len(keep), dtype=np.uint64)
    sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(weights * keep)))
    fingerprints: NDArray[np.uint64] = np.diff(sums[split.offsets])
    return fingerprints


@contextmanager
def _evaluation_mode(model: nn.Module) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _finite(values: Tensor, what: str, real: NDArray[np.bool_] | None = None) -> Floats:
    """The values in float64; with `real`, those of the real tokens, flat."""
    found: Floats = values.detach().double().cpu().numpy()
    if real is not None:
        found = found[real]
    if not np.isfinite(found).all():
        raise TrialFailure(
            f"the model's {what} are not finite numbers; its training diverged: "
            "take a smaller learning rate or smaller lambdas"
        )
    return found
