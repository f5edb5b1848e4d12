"""The SAFR classifier and its losses, in pure torch: each module has its equation and shapes."""

from torch import Tensor

from safr_study.model.kernels.inference import Inference as Inference
from safr_study.model.losses import activation_l1 as activation_l1
from safr_study.model.losses import importance_loss as importance_loss
from safr_study.model.losses import interaction_loss as interaction_loss
from safr_study.model.losses import loss_terms as loss_terms
from safr_study.model.losses import orthogonality as orthogonality
from safr_study.model.losses import penalty_weights as penalty_weights
from safr_study.model.losses import vmask_information as vmask_information
from safr_study.model.piece_layout import SPECIAL as SPECIAL
from safr_study.model.piece_layout import PieceTable as PieceTable
from safr_study.model.piece_layout import piece_table as piece_table
from safr_study.model.pretrained import PretrainedClassifier as PretrainedClassifier
from safr_study.model.pretrained import build_pretrained as build_pretrained
from safr_study.model.pretrained import freeze_encoder as freeze_encoder
from safr_study.model.pretrained import of_encoder as of_encoder
from safr_study.model.pretrained import piece_counts as piece_counts
from safr_study.model.safr import SafrClassifier as SafrClassifier
from safr_study.model.safr import SafrOutput as SafrOutput
from safr_study.model.safr import build_model as build_model

Classifier = SafrClassifier | PretrainedClassifier
"""A model of either kind: trained from scratch, or over a pretrained encoder."""


def ffn1_weights(model: Classifier) -> tuple[Tensor, ...]:
    """The weights of FFN1 ``[D, E]`` of each block."""
    of_encoder = isinstance(model, PretrainedClassifier)
    return tuple((b if of_encoder else b.ff).linear1.weight for b in model.layers)  # type: ignore
