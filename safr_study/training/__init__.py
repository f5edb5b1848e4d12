"""Training one model, and keeping it."""

from safr_study.training.checkpoints import LoadedModel, load_model, save_model
from safr_study.training.dev import DevMeasures, measure_dev
from safr_study.training.effective import EffectiveWeights, effective_weights
from safr_study.training.loop import FitResult, fit
from safr_study.training.numerics import computing, limit_gpu_memory, pick_device

__all__ = [
    "DevMeasures",
    "EffectiveWeights",
    "FitResult",
    "LoadedModel",
    "computing",
    "effective_weights",
    "fit",
    "limit_gpu_memory",
    "load_model",
    "measure_dev",
    "pick_device",
    "save_model",
]
