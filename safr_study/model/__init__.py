"""The SAFR classifier and its losses, in pure torch: each module has its equation and shapes."""

from safr_study.model.kernels.inference import Inference as Inference
from safr_study.model.losses import LossTensors as LossTensors
from safr_study.model.losses import loss_terms as loss_terms
from safr_study.model.penalties import importance_loss as importance_loss
from safr_study.model.penalties import interaction_loss as interaction_loss
from safr_study.model.penalties import vmask_information as vmask_information
from safr_study.model.safr import SafrClassifier as SafrClassifier
from safr_study.model.safr import SafrOutput as SafrOutput
from safr_study.model.safr import build_model as build_model
