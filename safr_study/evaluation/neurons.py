"""The output of FFN1 in one block of a model: read, and replaced neuron by neuron.

Shapes: B texts of a batch, W words of theirs, one text after the other, C classes, E width, D
neurons of FFN1; P positions, which are those of words or of an encoder's pieces, R of them words'.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from safr_study.data import Batch
from safr_study.evaluation.prediction import Predictor
from safr_study.model import PretrainedClassifier, SafrClassifier, SafrOutput, of_encoder
from safr_study.model.piece_layout import ByWord


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """What one pass computed at a block's FFN1 and FFN2."""

    logits: Tensor
    """``[B, C]``."""
    vectors: Tensor
    """``[W, D]``: FFN1 after the activation; of an encoder as its ``word_vector`` says."""
    outputs: Tensor
    """``[W, E]``: FFN2's output; of an encoder the mean over pieces."""
    text: Tensor
    """``[W]``, the row of each word's text in the batch."""
    word: Tensor
    """``[R]``, the number of the word of each position."""
    place: Tensor
    """``[R]`` in ``[0, B * P)``."""
    activations: Tensor
    """``[B, P, D]``: what enters FFN2."""
    before: Tensor
    """``[R, E]``: what enters the block's last LayerNorm."""
    after: Tensor
    """``[R, E]``: the block's output."""
    shares: Tensor
    """``[R]``, the weight of each position in the pooling."""


class Site:
    """FFN1's output in one block.

    Args:
        predictor: of a `Classifier`.
        block: its number, from 0.
    """

    def __init__(self, predictor: Predictor, block: int) -> None:
        self.model = cast("SafrClassifier | PretrainedClassifier", predictor.model)
        self._device = predictor.device
        self._block = block
        layer: Any = self.model.layers[block]
        self._ffn2: nn.Linear = (
            layer.linear2 if isinstance(self.model, PretrainedClassifier) else layer.ff.linear2
        )
        self._norm: nn.LayerNorm = layer.norm2
        self.is_last = block == len(self.model.layers) - 1

    @property
    def columns(self) -> Tensor:
        """v_j, the column of FFN2 that each neuron multiplies ``[E, D]``."""
        return self._ffn2.weight.detach()

    def read(self, batch: Batch) -> Read:
        """What a batch computes; in evaluation mode, without gradients."""
        seen: dict[str, Tensor] = {}

        def entering(name: str) -> Callable[..., None]:
            def keep(_: nn.Module, given: tuple[Tensor, ...]) -> None:
                seen[name] = given[0]

            return keep

        hooks = [
            self._ffn2.register_forward_pre_hook(entering("activations")),
            self._norm.register_forward_pre_hook(entering("before")),
        ]
        with _removed(hooks):
            output = self._run(batch)
        words = torch.from_numpy(batch.words).to(self._device)  # [B, L]
        text, _ = words.nonzero(as_tuple=True)
        numbers = torch.full(words.shape, -1, device=self._device)
        numbers[words] = torch.arange(len(text), device=self._device)
        at_ffn1 = output.ffn1_post_relu
        if isinstance(at_ffn1, ByWord):
            # The word of each piece; of special pieces and padding none.
            numbers = F.pad(numbers, (0, 1), value=-1).gather(1, at_ffn1.layout.word)
        places = (numbers.flatten() >= 0).nonzero()[:, 0]
        block = self._block
        return Read(
            output.logits,
            at_ffn1[block][words],
            output.ffn2[block][words],
            text,
            numbers.flatten()[places],
            places,
            seen["activations"],
            seen["before"].flatten(0, 1)[places],
            self._norm(seen["before"].flatten(0, 1)[places]),
            self._pooling(output, words).flatten()[places],
        )

    def logits(self, batch: Batch, activations: Tensor) -> Tensor:
        """Logits ``[B, C]`` of a batch with other activations ``[B, P, D]``."""

        def instead(_: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (activations, *given[1:])

        with _removed([self._ffn2.register_forward_pre_hook(instead)]):
            return self._run(batch).logits

    def patches(self, batch: Batch, read: Read) -> Patches:
        """A place for variants of a batch's activations."""
        return Sums(self, read) if self.is_last else Passes(self, batch, read)

    def moved(self, rows: Tensor, read: Read, change: Tensor) -> Tensor:
        """How much positions ``[r]`` move the logits ``[r, C]`` by a change of FFN1 ``[r, D]``.

        In the last block alone: behind it positions are only averaged and multiplied.
        """
        after = self._norm(read.before[rows] + change @ self._ffn2.weight.t())
        moved: Tensor = after.sub_(read.after[rows]) @ self.model.fc.weight.t()
        return moved * read.shares[rows, None]

    def _run(self, batch: Batch) -> SafrOutput:
        ids = torch.from_numpy(batch.ids).to(self._device)
        output: SafrOutput = self.model(ids, **of_encoder(self.model, pieces=batch.pieces))
        return output

    def _pooling(self, output: SafrOutput, words: Tensor) -> Tensor:
        """The weight of each position in the pooling ``[B, P]``; see the models' own."""
        kind, model = output.logits.dtype, self.model
        if isinstance(model, PretrainedClassifier):
            layout = cast("ByWord", output.ffn1_post_relu).layout
            if model.pooling == "cls":
                beginning = torch.zeros_like(layout.word, dtype=kind)
                beginning[:, 0] = 1.0
                return beginning
            pooled = layout.pieces_of(words.to(kind), 0.0)
        else:
            pooled = (words if model.padding_aware else torch.ones_like(words)).to(kind)
        return pooled / pooled.sum(dim=1, keepdim=True).clamp(min=1)


@contextmanager
def _removed(hooks: Sequence[Any]) -> Iterator[None]:
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class Rows(NamedTuple):
    """The positions of some words."""

    numbers: Tensor
    """``[r]`` in ``[0, R)``."""
    place: Tensor
    """``[r]``, of each the place of its word among these words."""
    activations: Tensor
    """``[r, D]``."""

    @classmethod
    def of(cls, words: Tensor, read: Read) -> Rows:
        """Those of words ``[w]``, each at most once."""
        place = torch.full((len(read.text),), -1, device=read.text.device)
        place[words] = torch.arange(len(words), device=place.device)
        numbers = (place[read.word] >= 0).nonzero()[:, 0]
        activations = read.activations.flatten(0, 1)[read.place[numbers]]
        return cls(numbers, place[read.word[numbers]], activations)


class Variant(NamedTuple):
    """Other activations of some words."""

    words: Tensor
    """``[w]``, numbers of words, each at most once."""
    neurons: Callable[[], Tensor | None]
    """Which are replaced, ``[w, D]`` bool; ``None``: all."""
    values: Callable[[], Tensor]
    """``[w, D]``."""

    def change(self, rows: Rows) -> Tensor:
        """What is added to the activations of the words' positions ``[r, D]``."""
        change = self.values().index_select(0, rows.place).sub_(rows.activations)
        neurons = self.neurons()
        if neurons is not None:
            change.mul_(neurons.index_select(0, rows.place))
        return change


class Patches(ABC):
    """Variants of a batch's activations by name, of which any may be put into any of its words."""

    @abstractmethod
    def add(self, name: object, variant: Variant) -> None:
        """Give a variant its name."""

    @abstractmethod
    def logits(self, *parts: tuple[object, Tensor]) -> Tensor:
        """Logits ``[B, C]`` with variants of no common word, each put into words ``[W]`` (bool)."""


class Sums(Patches):
    """Patches in the last block: each word moves the logits by itself, so that they add up."""

    def __init__(self, site: Site, read: Read) -> None:
        self._site, self._read = site, read
        self._moved: dict[object, Tensor] = {}
        self._rows: dict[int, tuple[Tensor, Rows]] = {}

    def add(self, name: object, variant: Variant) -> None:
        """Compute how much each word moves the logits."""
        read = self._read
        # By the tensor, which is kept, so that no other has its id: many variants are of its words.
        words = variant.words
        if id(words) not in self._rows:
            self._rows[id(words)] = words, Rows.of(words, read)
        rows = self._rows[id(words)][1]
        moved = self._site.moved(rows.numbers, read, variant.change(rows))
        of_words = moved.new_zeros(len(read.text), moved.shape[1])
        self._moved[name] = of_words.index_add_(0, read.word[rows.numbers], moved)

    def logits(self, *parts: tuple[object, Tensor]) -> Tensor:
        """The logits, moved."""
        found = self._read.logits.clone()
        for name, words in parts:
            found.index_add_(0, self._read.text[words], self._moved[name][words])
        return found


class Passes(Patches):
    """Patches in any block: one pass of the model each time."""

    def __init__(self, site: Site, batch: Batch, read: Read) -> None:
        self._site, self._batch, self._read = site, batch, read
        self._variants: dict[object, Variant] = {}

    def add(self, name: object, variant: Variant) -> None:
        """Keep it: what it changes is computed when it is put in."""
        self._variants[name] = variant

    def logits(self, *parts: tuple[object, Tensor]) -> Tensor:
        """Those of a pass."""
        read = self._read
        activations = read.activations.flatten(0, 1).clone()
        for name, words in parts:
            variant = self._variants[name]
            rows = Rows.of(variant.words, read)
            change = variant.change(rows)
            chosen = words[read.word[rows.numbers]]
            activations[read.place[rows.numbers[chosen]]] += change[chosen]
        return self._site.logits(self._batch, activations.view_as(read.activations))
