"""From settings to a model; nothing below it knows the settings."""

from __future__ import annotations

import torch

from safr_study.model.safr import SafrClassifier
from safr_study.settings import ModelShape, Preset


def build_model(
    shape: ModelShape,
    *,
    preset: Preset,
    vocabulary_size: int,
    classes: int,
    max_len: int,
    seed: int,
) -> SafrClassifier:
    """A fresh float32 model on the CPU, in training mode.

    torch's default initialisation, embedding N(0, 1), drawn from ``seed`` alone; torch's global
    generator is left as it was. The same seed gives the same weights with and without VMASK,
    except those of VMASK.

    Args:
        shape: sizes.
        preset: ``masked`` or ``reference`` (definitions, section 1).
        vocabulary_size: V, with PAD and UNK.
        classes: C.
        max_len: longest text, in tokens.
        seed: at least 0.
    """
    # Not torch.manual_seed: it would reseed every GPU too.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return SafrClassifier(
            vocabulary_size=vocabulary_size,
            classes=classes,
            max_len=max_len,
            embed_dim=shape.embed_dim,
            ffn_dim=shape.ffn_dim,
            heads=shape.heads,
            layers=shape.layers,
            dropout=shape.dropout,
            mask_hidden_dim=shape.mask_hidden_dim if shape.vmask else None,
            gumbel_temperature=shape.gumbel_temperature,
            padding_aware=preset == "masked",
        )
