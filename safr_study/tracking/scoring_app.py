"""The application that ``safr-study serve`` runs in a process of its own, named to uvicorn."""

from __future__ import annotations

import os

from mlflow.pyfunc import scoring_server

from safr_study.tracking.request_guard import RequestGuard

MODEL_VARIABLE = "SAFR_STUDY_SERVED_MODEL"
"""Folder of the logged model."""

if MODEL_VARIABLE in os.environ:
    app = RequestGuard(
        scoring_server.init(
            scoring_server.load_model_with_mlflow_config(os.environ[MODEL_VARIABLE])
        )
    )
