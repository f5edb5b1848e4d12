"""Training one model, and keeping it."""

from safr_study.training.checkpoints import LoadedModel, load_model, save_model, verify_model
from safr_study.training.dev import DevMeasures, measure_dev
from safr_study.training.effective import EffectiveWeights, effective_weights
from safr_study.training.loop import FitResult, fit
from safr_study.training.numerics import computing, limit_gpu_memory, pick_device
from safr_study.training.pickles import refuse_pickles

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
    "refuse_pickles",
    "save_model",
    "verify_model",
]
