"""One version of a registered model: its files, their checksums, its card."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlflow.exceptions import MlflowException

from safr_study.checkpoint.manifest import read_facts
from safr_study.errors import CorruptCheckpoint
from safr_study.object_store import local_copy
from safr_study.records import TrialRecord
from safr_study.render.model_card import CardEstimate, model_card, shortened
from safr_study.settings import Objective
from safr_study.tracking.logged import CARD, CHECKPOINT, log_model, replace_card
from safr_study.tracking.store import Store

FILES_TAG = "safr.files"
"""Tag of a version: JSON of the SHA-256 of every file that is pulled, by its path in the model."""
LOGGED_TAG = "safr.model_id"
"""Tag of a version: its logged model, which MLflow's database does not keep next to it."""
_WEIGHTS_SUFFIX = ".safetensors"
_DESCRIPTION = 5000
"""Characters that MLflow's database keeps of a version's description."""
_VERSION_TRIES = 5
_VERSION_WAIT = (0.1, 1.0)
"""Shortest and longest wait between two tries, in seconds."""
_SAME_NUMBER = "Model Version creation error"


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a version's card says next to what its checkpoint says of itself."""

    model: str
    """Name of the registered model."""
    study: str
    trial: TrialRecord
    """The trial, with the scores of this very model."""
    objectives: tuple[Objective, ...]
    estimates: tuple[CardEstimate, ...] = ()
    """Means and intervals of a confirmation."""
    seeds: int = 0
    """Number of seeds behind the estimates."""

    @property
    def subject(self) -> str:
        """Trial, and the seed of a confirmation, in words."""
        seed = f" under seed {self.trial.seed}" if self.estimates else ""
        return f"trial {self.trial.number}{seed}"


def create_version(store: Store, facts: CardFacts, run_id: str, tags: Mapping[str, str]) -> str:
    """Log a checkpoint as a model of its run and make it a version; its number.

    Args:
        store: registry and artifacts.
        facts: for the model's card; the files of the trial's checkpoint are verified first.
        run_id: run that gets the model.
        tags: tags of the version, next to the list of its files.

    Raises:
        CorruptCheckpoint: it is not what it was when it was written.
    """
    checkpoint = facts.trial.checkpoint
    assert checkpoint is not None
    with local_copy(checkpoint.uri) as folder:
        digests = file_digests(folder)
        if weights_digest(digests, checkpoint.uri) != checkpoint.sha256:
            raise CorruptCheckpoint(
                "checkpoint", f"{checkpoint.uri} has other weights than those of {facts.subject}"
            )
        card = _card(facts, folder)
        model = log_model(
            store, run_id, folder, name=f"{facts.model}-{facts.trial.number}", tags=tags, card=card
        )
    all_tags = {**tags, FILES_TAG: _files_tag(digests, card), LOGGED_TAG: model.model_id}
    for left in reversed(range(_VERSION_TRIES)):
        try:
            version = store.client.create_model_version(
                facts.model,
                # Not models:/ID: MLflow's database would look for that in the process's default
                # store.
                source=model.artifact_location,
                run_id=run_id,
                model_id=model.model_id,
                tags=all_tags,
                description=shortened(card, _DESCRIPTION),
            )
            break
        except MlflowException as error:
            # Studies that end at once draw the same number; MLflow itself tries thrice.
            if not left or _SAME_NUMBER not in str(error):
                raise
            time.sleep(random.uniform(*_VERSION_WAIT))
    number = str(version.version)
    # As MLflow's own registration does: the model's page links to its version.
    link = json.dumps([{"name": facts.model, "version": number}])
    store.client.set_logged_model_tags(model.model_id, {"mlflow.modelVersions": link})
    return number


def update_version(store: Store, facts: CardFacts, number: str, tags: Mapping[str, str]) -> None:
    """Renew what is said of a version whose model stays as it is: its tags and its card."""
    client = store.client
    model_id = client.get_model_version(facts.model, number).tags.get(LOGGED_TAG)
    if model_id is not None:
        assert facts.trial.checkpoint is not None
        with local_copy(facts.trial.checkpoint.uri) as folder:
            card = _card(facts, folder)
            digests = file_digests(folder)
        replace_card(store, model_id, card)
        client.update_model_version(facts.model, number, shortened(card, _DESCRIPTION))
        tags = {**tags, FILES_TAG: _files_tag(digests, card)}
    for key, value in tags.items():
        client.set_model_version_tag(facts.model, number, key, value)


def _card(facts: CardFacts, folder: Path) -> str:
    return model_card(
        facts.model,
        facts.study,
        facts.trial,
        read_facts(folder),
        facts.objectives,
        estimates=facts.estimates,
        seeds=facts.seeds,
    )


def _files_tag(digests: Mapping[str, str], card: str) -> str:
    files = {f"{CHECKPOINT}/{name}": digest for name, digest in digests.items()}
    return json.dumps({**files, CARD: hashlib.sha256(card.encode()).hexdigest()})


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
    digests = {}
    for file in files:
        with file.open("rb") as stream:
            digests[file.name] = hashlib.file_digest(stream, "sha256").hexdigest()
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
