"""Checkpoints as MLflow's logged models: code, safetensors, signature, example, requirements, card.

A logged model is *from code*: its folder holds a copy of `model_code`, which takes everything from
the installed package, and a checkpoint of safetensors and JSON. No pickle is written or read.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from mlflow.entities import LoggedModel, LoggedModelOutput, Metric
from mlflow.models import Model

from safr_study.tracking.store import Store

CHECKPOINT = "artifacts/checkpoint"
"""Folder of the checkpoint in a logged model."""
CARD = "README.md"
MODEL_CODE = "model_code.py"
EXAMPLE = ["a gripping , funny film", "so slow that nothing happens"]
"""Example input of every model; words that a model does not know are no error."""
MODEL_TYPE = "safr"
OBJECTIVE_PREFIX = "objective/"
"""Beginning of the names of a run's objectives among its metrics."""
_REQUIRED = ("safr-study", "torch", "numpy", "safetensors", "mlflow")
"""Packages that decide a prediction; the first brings all the others that are needed."""
_FLAVOUR = "python_function"


def log_model(
    store: Store,
    run_id: str,
    checkpoint: Path,
    *,
    name: str,
    tags: Mapping[str, str],
    card: str,
) -> LoggedModel:
    """Make a checkpoint a logged model of its run.

    A run has one: where an earlier attempt was cut off, its model is filled.

    Args:
        store: runs and artifacts.
        run_id: run that trained it; its objectives become the model's metrics too.
        checkpoint: folder of the checkpoint, verified.
        name: name for people.
        tags: tags of the logged model.
        card: Markdown of its README.md.
    """
    client = store.client
    run = client.get_run(run_id)
    experiment = run.info.experiment_id
    existing = client.search_logged_models([experiment], f"source_run_id = '{run_id}'")
    model = next(iter(existing), None) or client.create_logged_model(
        experiment,
        name=name,
        source_run_id=run_id,
        tags=dict(tags),
        params=run.data.params,
        model_type=MODEL_TYPE,
    )
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "model"
        _save(made, checkpoint, model=model, run_id=run_id)
        (made / CARD).write_text(card, encoding="utf-8")
        client.log_model_artifacts(model.model_id, str(made))
    client.log_outputs(run_id, models=[LoggedModelOutput(model.model_id, step=0)])
    _copy_metrics(client, run, model.model_id)
    return client.finalize_logged_model(model.model_id, "READY")


def replace_card(store: Store, model_id: str, card: str) -> None:
    """Give a logged model another card."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / CARD
        path.write_text(card, encoding="utf-8")
        store.client.log_model_artifact(model_id, str(path))


def _save(folder: Path, checkpoint: Path, *, model: Any, run_id: str) -> None:
    # Slow to import; the first one imports it without MLflow's warning about a type of its own.
    import safr_study.tracking.served  # noqa: F401, I001
    from mlflow.pyfunc import save_model

    described = Model(
        artifact_path=model.artifact_location,
        model_uuid=model.model_id,
        run_id=run_id,
        model_id=model.model_id,
    )
    with tempfile.TemporaryDirectory() as staging:
        # MLflow takes the folder's name over, and no link.
        named = Path(staging) / Path(CHECKPOINT).name
        shutil.copytree(checkpoint, named)
        save_model(
            path=str(folder),
            python_model=str(Path(__file__).with_name(MODEL_CODE)),
            artifacts={named.name: str(named)},
            input_example=EXAMPLE,
            pip_requirements=requirements(),
            mlflow_model=described,
        )
    # Both would be paths of the machine that registers; MLflow reads the last part alone.
    flavour = described.flavors[_FLAVOUR]
    flavour["model_code_path"] = MODEL_CODE
    for artifact in flavour["artifacts"].values():
        artifact["uri"] = artifact["path"]
    described.save(str(folder / "MLmodel"))


def requirements() -> list[str]:
    """Packages of a logged model, pinned, without the build (``+cpu``) of this machine."""
    return [f"{name}=={metadata.version(name).partition('+')[0]}" for name in _REQUIRED]


def _copy_metrics(client: Any, run: Any, model_id: str) -> None:
    """Copy the run's objectives to the model, at their own time: the run gets no second point."""
    keys = [key for key in run.data.metrics if key.startswith(OBJECTIVE_PREFIX)]
    points = [client.get_metric_history(run.info.run_id, key)[-1] for key in keys]
    copied = [Metric(p.key, p.value, p.timestamp, p.step, model_id=model_id) for p in points]
    if copied:
        client.log_batch(run.info.run_id, metrics=copied)
