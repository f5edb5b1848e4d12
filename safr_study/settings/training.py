"""How one model is trained: its shape, its regularisers, and the training itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from safr_study.settings.base import Settings

Preset = Literal["masked", "reference"]
ClassWeights = Literal["none", "balanced"]
Pooling = Literal["mean", "cls"]
WordVector = Literal["mean", "first"]
Precision = Literal["auto", "float32", "bfloat16"]


RIVALS_OFF: Mapping[str, float] = {"lambda_l1": 0.0, "lambda_ortho": 0.0, "ffn_topk": 1.0}
"""Rivals of SAFR's penalties, each with the value at which there is none."""


class ModelShape(Settings):
    """Sizes of the SAFR classifier; the defaults are the paper's."""

    later: ClassVar[frozenset[str]] = frozenset({"pooling", "word_vector", "ffn_topk"})

    embed_dim: int = Field(default=256, ge=2, le=4096)
    """E: width of the embedding and of the block; even (sinusoids come in pairs)."""
    ffn_dim: int = Field(default=1024, ge=1, le=65536)
    """D: neurons of FFN1, where capacity is measured."""
    heads: int = Field(default=8, ge=1, le=64)
    """H: attention heads; divides ``embed_dim``."""
    layers: int = Field(default=1, ge=1, le=24)
    """Transformer blocks."""
    mask_hidden_dim: int = Field(default=1024, ge=1, le=65536)
    """Hidden units of VMASK."""
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Dropout after the positions, the attention output and the FFN output."""
    vmask: bool = True
    """``False``: the baseline without VMASK; lambdas and VMASK measures are then null."""
    gumbel_temperature: float = Field(default=1.0, gt=0.0)
    """Temperature of the hard Gumbel-softmax gate in training."""
    pooling: Pooling = "mean"
    """What the classifier reads of a pretrained encoder: the mean over the pieces of the words, or
    the vector of the piece at the beginning (``cls``)."""
    word_vector: WordVector = "mean"
    """A word's vector at FFN1 of a pretrained encoder, before and after the activation: the mean of
    its pieces' or that of its ``first`` piece. So it decides capacity and whatever else is measured
    there; embedding, attention and the other layers are means always."""
    ffn_topk: float = Field(default=1.0, gt=0.0, le=1.0)
    """Share of FFN1's neurons that each token keeps in every block, those with the largest
    activations; the others are 0. Of an encoder each piece."""

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        if self.embed_dim % self.heads:
            raise ValueError(f"heads={self.heads} does not divide embed_dim={self.embed_dim}")
        if self.embed_dim % 2:
            raise ValueError(f"embed_dim={self.embed_dim} must be even")
        return self


class Penalties(Settings):
    """Weights and forms of the regularisers (SAFR's are ``None`` without VMASK)."""

    later: ClassVar[frozenset[str]] = frozenset({"interaction_pairs", "lambda_l1", "lambda_ortho"})

    lambda_imp: float | None = Field(default=0.0, ge=0.0)
    """Weight of the importance loss: monosemantic important tokens."""
    lambda_inter: float | None = Field(default=0.0, ge=0.0)
    """Weight of the interaction loss: correlated pairs may share neurons."""
    vmask_beta: float = Field(default=0.0, ge=0.0)
    """Weight of VMASK's information loss, masked mean of p log p + (1-p) log(1-p)."""
    interference: Literal["dot", "squared"] = "dot"
    """Attention interference: A A^T, or its square as in the paper's equation."""
    interaction_scale: Literal["cell", "row"] = "cell"
    """``row`` multiplies by n - 1 per text, so that lambda_inter does not depend on length."""
    interaction_pairs: Literal["all", "across"] = "all"
    """``across``: the interaction loss takes those pairs of words alone that have one in either
    text of a pair; ``row`` then multiplies by the mean number of partners of a word."""
    lambda_l1: float = Field(default=0.0, ge=0.0)
    """Weight of the L1 norm of FFN1's activations: a mean over words, neurons and blocks."""
    lambda_ortho: float = Field(default=0.0, ge=0.0)
    """Weight of the orthogonality loss: FFN1's neurons read different directions."""


class TrainConfig(Settings):
    """Everything that decides the numbers of one training run, in addition to the corpus."""

    later: ClassVar[frozenset[str]] = frozenset(
        {"class_weights", "epoch_texts", "texts", "train_encoder", "warmup", "decay"}
        | {"deletion_augmentation", "deletion_bound"}
    )

    preset: Preset = "masked"
    """Padding-aware semantics, or those of the authors' released code."""
    shape: ModelShape = ModelShape()
    penalties: Penalties = Penalties()
    learning_rate: float = Field(default=1e-4, gt=0.0, le=10.0)
    """Learning rate of Adam."""
    warmup: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of the steps of all ``epochs`` over which the learning rate rises to its value."""
    decay: Literal["none", "linear"] = "none"
    """``linear``: after the warm-up the learning rate falls to 0 at the end of all ``epochs``."""
    batch_size: int = Field(default=32, ge=1, le=1_000_000)
    """Texts per step."""
    epochs: int = Field(default=20, ge=1, le=100_000)
    """Most epochs; early stopping may end before."""
    epoch_texts: int | None = Field(default=None, ge=1)
    """Training texts of an epoch, about: a pass over all texts is then several epochs, each
    measured on dev, kept on disk, and a place for a rung. ``None``: all."""
    patience: int = Field(default=3, ge=1)
    """Passes over the training texts (epochs, without ``epoch_texts``) without a better dev
    accuracy (or an equal one at a lower dev loss) before the end."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of initialisation, order of batches, dropout and gates."""
    threads: int = Field(default=1, ge=1)
    """CPU threads of the computation; part of the result, as it orders the sums."""
    precision: Precision = "auto"
    """``auto``: training is in bfloat16 autocast on CUDA, and in float32 on the CPU.
    Penalties and measurements are float32 always."""
    train_encoder: Literal["all", "head"] = "all"
    """Which weights of a model over a pretrained encoder are trained: ``head`` leaves the encoder's
    as they are, and trains the classifier and VMASK alone."""
    texts: Literal["both", "second"] = "both"
    """``second``: the words of the first text of each pair are left out, in training and ever
    after: the baseline that tells whether the pair is needed."""
    class_weights: ClassWeights = "none"
    """``balanced``: in the cross-entropy a text of class c weighs n / (C n_c), so that all classes
    have the same weight in an epoch; n_c of the n training texts are of c, one of C classes."""
    deletion_augmentation: float = Field(default=0.0, ge=0.0, le=1.0)
    """Share of the training texts that lose random words, others in each epoch."""
    deletion_bound: float = Field(default=0.7, gt=0.0, le=1.0)
    """Largest share of its words that such a text loses; how much is uniform below it."""
