"""Training one model, and keeping it."""

from safr_study.training.effective import EffectiveWeights, effective_weights
from safr_study.training.loop import FitResult, fit
from safr_study.training.numerics import computing, limit_gpu_memory, pick_device

__all__ = [
    "EffectiveWeights",
    "FitResult",
    "computing",
    "effective_weights",
    "fit",
    "limit_gpu_memory",
    "pick_device",
]
