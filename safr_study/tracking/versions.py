"""One version of a registered model: its logged model, its files' checksums, its card.

A logged model is *from code*: its folder holds a copy of `model_code`, which takes everything from
the installed package, and a checkpoint of safetensors and JSON. No pickle is written or read.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import tempfile
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from mlflow.entities import LoggedModel, LoggedModelOutput, Metric
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from safr_study.checkpoint.manifest import file_sha256, read_facts
from safr_study.errors import CorruptCheckpoint
from safr_study.object_store import local_copy
from safr_study.render.model_card import ModelCard, shortened
from safr_study.tracking.registered_files import (
    FILES_TAG,
    LOGGED_TAG,
    MODEL_FILES_TAG,
    folder_digests,
)
from safr_study.tracking.store import Store

CHECKPOINT = "artifacts/checkpoint"
"""Folder of the checkpoint in a logged model."""
CARD = "README.md"
MODEL_CODE = {False: "model_code.py", True: "model_code_pairs.py"}
"""Files of code, of single texts and of pairs."""
EXAMPLE: dict[bool, list[Any]] = {
    False: ["a gripping , funny film", "so slow that nothing happens"],
    True: [
        {"first": "A man sleeps on a bench .", "second": "Nobody sleeps ."},
        {"first": "The film was never shown .", "second": "It has been shown ."},
    ],
}
"""Example input of every model, of single texts and of pairs; words that a model does not know are
no error."""
MODEL_TYPE = "safr"
OBJECTIVE_PREFIX = "objective/"
"""Beginning of the names of a run's objectives among its metrics."""
_REQUIRED = ("safr-study", "torch", "numpy", "safetensors", "mlflow")
"""Packages that decide a prediction; the first brings all the others that are needed."""
_FLAVOUR = "python_function"
_WEIGHTS_SUFFIX = ".safetensors"
_DESCRIPTION = 5000
"""Characters that MLflow's database keeps of a version's description."""
_VERSION_TRIES = 5
_VERSION_WAIT = (0.1, 1.0)
"""Shortest and longest wait between two tries, in seconds."""
_SAME_NUMBER = "Model Version creation error"


def create_version(store: Store, card: ModelCard, run_id: str, tags: Mapping[str, str]) -> str:
    """Log a checkpoint as a model of its run and make it a version; its number.

    Args:
        store: registry and artifacts.
        card: of the model; the files of its trial's checkpoint are verified first.
        run_id: run that gets the model.
        tags: tags of the version, next to the list of its files.

    Raises:
        CorruptCheckpoint: it is not what it was when it was written.
    """
    checkpoint = card.trial.checkpoint
    assert checkpoint is not None
    with local_copy(checkpoint.uri) as folder:
        digests = file_digests(folder)
        if weights_digest(digests, checkpoint.uri) != checkpoint.sha256:
            seed = f" under seed {card.trial.seed}" if card.confirmed else ""
            raise CorruptCheckpoint(
                "checkpoint",
                f"{checkpoint.uri} has other weights than those of trial {card.trial.number}{seed}",
            )
        text = card.markdown(read_facts(folder))
        model, found = _log_model(store, card, run_id, folder, tags, text)
    pulled = _pulled(digests, text)
    others = {path: digest for path, digest in found.items() if path not in pulled}
    all_tags = {
        **tags,
        FILES_TAG: json.dumps(pulled),
        MODEL_FILES_TAG: json.dumps(others),
        LOGGED_TAG: model.model_id,
    }
    for left in reversed(range(_VERSION_TRIES)):
        try:
            version = store.client.create_model_version(
                card.model,
                # Not models:/ID: MLflow's database would look for that in the process's default
                # store.
                source=model.artifact_location,
                run_id=run_id,
                model_id=model.model_id,
                tags=all_tags,
                description=shortened(text, _DESCRIPTION),
            )
            break
        except MlflowException as error:
            # Studies that end at once draw the same number; MLflow itself tries thrice.
            if not left or _SAME_NUMBER not in str(error):
                raise
            time.sleep(random.uniform(*_VERSION_WAIT))
    number = str(version.version)
    # As MLflow's own registration does: the model's page links to its version.
    link = json.dumps([{"name": card.model, "version": number}])
    store.client.set_logged_model_tags(model.model_id, {"mlflow.modelVersions": link})
    return number


def update_version(store: Store, card: ModelCard, number: str, tags: Mapping[str, str]) -> None:
    """Renew what is said of a version whose model stays as it is: its tags and its card."""
    client = store.client
    model_id = client.get_model_version(card.model, number).tags.get(LOGGED_TAG)
    if model_id is not None:
        assert card.trial.checkpoint is not None
        with local_copy(card.trial.checkpoint.uri) as folder:
            text = card.markdown(read_facts(folder))
            tags = {**tags, FILES_TAG: json.dumps(_pulled(file_digests(folder), text))}
        with tempfile.TemporaryDirectory() as made:
            path = Path(made) / CARD
            path.write_text(text, encoding="utf-8")
            client.log_model_artifact(model_id, str(path))
        client.update_model_version(card.model, number, shortened(text, _DESCRIPTION))
    for key, value in tags.items():
        client.set_model_version_tag(card.model, number, key, value)


def _log_model(
    store: Store,
    card: ModelCard,
    run_id: str,
    checkpoint: Path,
    tags: Mapping[str, str],
    text: str,
) -> tuple[LoggedModel, dict[str, str]]:
    """Make a checkpoint a logged model of its run, whose objectives become the model's too.

    A run has one: where an earlier attempt was cut off, its model is filled. The digest of each of
    its files is by its path.
    """
    client = store.client
    run = client.get_run(run_id)
    experiment = run.info.experiment_id
    existing = client.search_logged_models([experiment], f"source_run_id = '{run_id}'")
    model = next(iter(existing), None) or client.create_logged_model(
        experiment,
        name=f"{card.model}-{card.trial.number}",
        source_run_id=run_id,
        tags=dict(tags),
        params=run.data.params,
        model_type=MODEL_TYPE,
    )
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "model"
        described = Model(
            artifact_path=model.artifact_location,
            model_uuid=model.model_id,
            run_id=run_id,
            model_id=model.model_id,
        )
        save_logged(made, checkpoint, described)
        (made / CARD).write_text(text, encoding="utf-8")
        digests = folder_digests(made)
        client.log_model_artifacts(model.model_id, str(made))
    outputs = run.outputs.model_outputs if run.outputs else []
    # The database takes neither twice; a version that was deleted has left both.
    if model.model_id not in {output.model_id for output in outputs}:
        client.log_outputs(run_id, models=[LoggedModelOutput(model.model_id, step=0)])
    # The objectives at their own time: the run gets no second point.
    known = {metric.key for metric in model.metrics or ()}
    keys = [
        key for key in run.data.metrics if key.startswith(OBJECTIVE_PREFIX) and key not in known
    ]
    points = [client.get_metric_history(run_id, key)[-1] for key in keys]
    copied = [Metric(p.key, p.value, p.timestamp, p.step, model_id=model.model_id) for p in points]
    if copied:
        client.log_batch(run_id, copied)
    return client.finalize_logged_model(model.model_id, "READY"), digests


def save_logged(folder: Path, checkpoint: Path, described: Any) -> None:
    """Make the folder of a logged model.

    Args:
        folder: a new one.
        checkpoint: folder of the model's files.
        described: MLflow's ``Model`` of it, which is filled.
    """
    # Slow to import; the first one imports it without MLflow's warning about a type of its own.
    import safr_study.tracking.served  # noqa: F401, I001
    from mlflow.pyfunc import save_model

    pairs = read_facts(checkpoint).pairs
    with tempfile.TemporaryDirectory() as staging:
        # MLflow takes the folder's name over, and no link.
        named = Path(staging) / Path(CHECKPOINT).name
        shutil.copytree(checkpoint, named)
        save_model(
            path=str(folder),
            python_model=str(Path(__file__).with_name(MODEL_CODE[pairs])),
            artifacts={named.name: str(named)},
            input_example=EXAMPLE[pairs],
            pip_requirements=requirements(),
            mlflow_model=described,
        )
    # Both would be paths of the machine that registers; MLflow reads the last part alone.
    flavour = described.flavors[_FLAVOUR]
    flavour["model_code_path"] = MODEL_CODE[pairs]
    for artifact in flavour["artifacts"].values():
        artifact["uri"] = artifact["path"]
    described.save(str(folder / "MLmodel"))


def requirements() -> list[str]:
    """Packages of a logged model, pinned, without the build (``+cpu``) of this machine."""
    return [f"{name}=={metadata.version(name).partition('+')[0]}" for name in _REQUIRED]


def _pulled(digests: Mapping[str, str], card: str) -> dict[str, str]:
    """Digests of what ``pull`` fetches, by the path in the model."""
    files = {f"{CHECKPOINT}/{name}": digest for name, digest in digests.items()}
    return {**files, CARD: hashlib.sha256(card.encode()).hexdigest()}


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a flat folder, by name.

    Raises:
        CorruptCheckpoint: it is missing, or holds anything but plain files and one weights file.
    """
    if not folder.is_dir():
        raise CorruptCheckpoint("checkpoint", f"{folder} is missing; train the trial again")
    files = sorted(folder.iterdir())
    if not all(file.is_file() and not file.is_symlink() for file in files):
        raise CorruptCheckpoint("checkpoint", f"{folder} holds more than plain files")
    digests = {file.name: file_sha256(file) for file in files}
    weights_digest(digests, str(folder))
    return digests


def weights_digest(digests: Mapping[str, str], where: str) -> str:
    """The digest of the one weights file among the files of a checkpoint.

    Raises:
        CorruptCheckpoint: there is none, or more than one.
    """
    weights = [digest for name, digest in digests.items() if name.endswith(_WEIGHTS_SUFFIX)]
    if len(weights) != 1:
        raise CorruptCheckpoint(
            "checkpoint", f"{where} has {len(weights)} {_WEIGHTS_SUFFIX} files, not 1"
        )
    return weights[0]
