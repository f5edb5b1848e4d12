"""Training one model, and keeping it."""

from safr_study.training.effective import effective_weights as effective_weights
from safr_study.training.loop import FitResult as FitResult
from safr_study.training.loop import fit as fit
from safr_study.training.numerics import computing as computing
from safr_study.training.numerics import limit_gpu_memory as limit_gpu_memory
from safr_study.training.numerics import pick_device as pick_device
