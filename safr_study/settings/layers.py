"""The layers of a model by name, and a block among several: ``ffn1_pre``, ``ffn1_pre:3``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

from safr_study.errors import BadInput, did_you_mean

LAYERS = ("embedding", "vmask", "attention", "ffn1_pre", "ffn1_post", "ffn2", "block")
"""Layers whose superposition is measured; the first two once, the others in every block."""
BEFORE_THE_BLOCKS = LAYERS[:2]
"""Layers that a model has once."""
CAPACITY_LAYERS = ("ffn1_pre_relu", "ffn1_post_relu")
"""Where a study may measure capacity: before and after the activation, be it ReLU or GELU."""
_PLACE = re.compile(r"([a-z0-9_]+)(?::([1-9][0-9]{0,3}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class LayerPlace:
    """A layer of one block."""

    name: str
    """One of ``LAYERS``."""
    block: int | None
    """Number of the block, from 1; ``None``: the last."""

    def index(self, blocks: int) -> int:
        """The block's number from 0 in a model of so many; 0 for a layer before the blocks.

        Raises:
            BadInput: the model has no such block.
        """
        if self.name in BEFORE_THE_BLOCKS:
            return 0
        if self.block is not None and self.block > blocks:
            has = "one block; give 1" if blocks == 1 else f"{blocks} blocks; give one of 1-{blocks}"
            raise BadInput("layer", f"there is no block {self.block}: the model has {has}")
        return (self.block or blocks) - 1


def layer_place(text: str) -> LayerPlace:
    """The layer that is meant by ``NAME`` or ``NAME:BLOCK``; a capacity layer's name counts too.

    Raises:
        BadInput: there is no such layer.
    """
    found = _PLACE.fullmatch(text)
    name = "" if found is None else found[1].removesuffix("_relu")
    if found is None or name not in LAYERS:
        raise BadInput(
            "layer",
            f"{text!r} is no layer; give one of {', '.join(LAYERS)}, with a block as in ffn1_pre:1"
            + did_you_mean(text.partition(":")[0], LAYERS),
        )
    if name in BEFORE_THE_BLOCKS and found[2] is not None:
        raise BadInput("layer", f"{name} lies before the blocks; give it without a block")
    return LayerPlace(name, None if found[2] is None else int(found[2]))


def _check_capacity_layer(text: str) -> str:
    found = _PLACE.fullmatch(text)
    if found is None or found[1] not in CAPACITY_LAYERS:
        raise ValueError(
            f"{text!r} is no layer of capacity; give {' or '.join(CAPACITY_LAYERS)}, for another "
            "block than the last with its number, as in ffn1_pre_relu:1"
        )
    return text


CapacityLayer = Annotated[str, AfterValidator(_check_capacity_layer)]
"""``ffn1_pre_relu`` or ``ffn1_post_relu``, of the last block or of block N from 1 (``:N``)."""
