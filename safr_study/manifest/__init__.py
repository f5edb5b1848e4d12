"""What a trained model's folder holds beside its weights: settings, words, checksums; no pickle."""

from safr_study.manifest.facts import (
    MANIFEST,
    VOCABULARY,
    WEIGHTS,
    Manifest,
    ModelFacts,
    checkpoint_ref,
    corrupt,
    read_facts,
    verify_model,
)
from safr_study.manifest.hashing import file_sha256
from safr_study.manifest.pickles import refuse_pickles

__all__ = [
    "MANIFEST",
    "VOCABULARY",
    "WEIGHTS",
    "Manifest",
    "ModelFacts",
    "checkpoint_ref",
    "corrupt",
    "file_sha256",
    "read_facts",
    "refuse_pickles",
    "verify_model",
]
