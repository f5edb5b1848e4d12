"""MLflow: runs while a study goes on, the registry of its front, the page to look at them."""

# First: it sets what MLflow reads while it is imported.
import safr_study.tracking._environment  # noqa: F401, I001

from safr_study.tracking.confirm_runs import register_confirmed, track_confirmation
from safr_study.tracking.orphans import close_runs
from safr_study.tracking.pull import find_model, pull
from safr_study.tracking.registry import (
    ROLES,
    list_models,
    model_name,
    register_front,
    role_holders,
)
from safr_study.tracking.runs import experiment_name
from safr_study.tracking.store import Store, open_store, store_exists
from safr_study.tracking.tracker import Tracker
from safr_study.tracking.ui import UiServer, experiment_pages, experiment_url, serve_ui

__all__ = [
    "ROLES",
    "Store",
    "Tracker",
    "UiServer",
    "close_runs",
    "experiment_name",
    "experiment_pages",
    "experiment_url",
    "find_model",
    "list_models",
    "model_name",
    "open_store",
    "pull",
    "register_confirmed",
    "register_front",
    "role_holders",
    "serve_ui",
    "store_exists",
    "track_confirmation",
]
