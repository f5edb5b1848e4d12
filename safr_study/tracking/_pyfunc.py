"""``mlflow.pyfunc``, imported without the warning that it gives about a type of its own."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    # https://github.com/mlflow/mlflow/blob/v3.17.2/mlflow/types/responses.py infers a schema for
    # its own agents while it is imported.
    warnings.filterwarnings("ignore", message=".*Any type hint is inferred as AnyType")
    from mlflow.pyfunc import PythonModel, PythonModelContext, save_model

__all__ = ["PythonModel", "PythonModelContext", "save_model"]
