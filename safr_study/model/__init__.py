"""The SAFR classifier and its losses, in pure torch."""

from safr_study.model.builder import build_model
from safr_study.model.kernels.inference import Inference
from safr_study.model.losses import LossTensors, loss_terms
from safr_study.model.output import SafrOutput
from safr_study.model.penalties import importance_loss, interaction_loss, vmask_information
from safr_study.model.safr import PAD, SafrClassifier

__all__ = [
    "PAD",
    "Inference",
    "LossTensors",
    "SafrClassifier",
    "SafrOutput",
    "build_model",
    "importance_loss",
    "interaction_loss",
    "loss_terms",
    "vmask_information",
]
