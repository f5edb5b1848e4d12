"""Sizes of a pretrained encoder, as its own files say them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from safr_study.settings.base import Settings

Family = Literal["bert", "distilbert", "roberta", "electra"]
Activation = Literal["gelu", "gelu_tanh", "relu"]
_ACTIVATIONS: dict[Activation, str] = {
    "gelu": "GELU",
    "gelu_tanh": "GELU (tanh)",
    "relu": "ReLU",
}


class EncoderShape(Settings):
    """What the weights of an encoder mean: post-LN blocks over the pieces of words."""

    family: Family
    pieces: int = Field(ge=1, le=10_000_000)
    """V: pieces of words that its tokenizer knows."""
    embed_dim: int = Field(ge=1, le=65536)
    """E: width of the blocks."""
    piece_dim: int = Field(ge=1, le=65536)
    """Width of the embedding; where it is not E, a linear layer leads from one to the other."""
    ffn_dim: int = Field(ge=1, le=1_048_576)
    """D: neurons of FFN1, where capacity is measured."""
    heads: int = Field(ge=1, le=1024)
    """H: attention heads; divides E."""
    layers: int = Field(ge=1, le=1024)
    """Transformer blocks."""
    positions: int = Field(ge=3, le=1_000_000)
    """Rows of the table of positions."""
    first_position: int = Field(default=0, ge=0)
    """Row of the first piece."""
    segments: int = Field(default=0, ge=0)
    """Rows of the table of segments; 0: none."""
    activation: Activation = "gelu"
    norm_epsilon: float = Field(default=1e-12, gt=0.0)
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Dropout after the embedding and the FFN output."""
    output_dropout: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Dropout after the attention output; DistilBERT has none."""
    attention_dropout: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Dropout of the attention itself."""
    begin: int = Field(ge=0)
    """Piece before a text ([CLS], <s>)."""
    end: int = Field(ge=0)
    """Piece after it ([SEP], </s>)."""
    pad: int = Field(ge=0)
    """Piece of an empty position."""
    hidden: int = Field(ge=0)
    """Piece that is put in the place of a deleted one: the mask, else the unknown piece."""

    unknown: int | None = Field(default=None, ge=0)
    """Piece of what the tokenizer cannot spell; ``None``: there is none."""

    @field_validator("heads")
    @classmethod
    def _check_heads(cls, heads: int, others: ValidationInfo) -> int:
        width = others.data.get("embed_dim", heads)
        if width % heads:
            raise ValueError(f"does not divide the width {width}")
        return heads

    @property
    def activation_name(self) -> str:
        """The non-linearity of FFN1 for people."""
        return _ACTIVATIONS[self.activation]

    @property
    def between(self) -> tuple[int, ...]:
        """Pieces between the two texts of a pair."""
        return (self.end, self.end) if self.family == "roberta" else (self.end,)

    @property
    def has_sides(self) -> bool:
        """Whether the second text of a pair has a segment of its own; RoBERTa's has none."""
        return self.segments > 1 and self.family != "roberta"

    @property
    def longest(self) -> int:
        """Most pieces of a text, its beginning and end included."""
        return self.positions - self.first_position
