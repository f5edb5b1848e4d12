"""The code that MLflow runs to load a logged model of pairs; a copy lies in the model's folder.

It holds no logic, so that a model is loaded by the installed package and not by what lies in its
folder.
"""

from mlflow.models import set_model

from safr_study.tracking.served import ServedPairs

set_model(ServedPairs())
