"""Files of a run: plain ones, and tables that MLflow's page shows as such."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pandas as pd
from mlflow import MlflowClient

TABLES_TAG = "mlflow.loggedArtifacts"
"""By it the page finds a run's tables, also to compare those of several runs."""


def put_file(client: MlflowClient, run_id: str, path: str, content: bytes) -> None:
    """Write or replace an artifact, ``front.png`` or ``tables/trials.json``."""
    place = PurePosixPath(path)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / place.name
        file.write_bytes(content)
        folder_there = str(place.parent)
        client.log_artifact(run_id, str(file), None if folder_there == "." else folder_there)


def table_file(table: pd.DataFrame) -> bytes:
    """As ``mlflow.log_table`` writes one; that would append to what an earlier start wrote.

    A value that is missing or no finite number is null.
    """
    # The most digits that pandas writes.
    text: str = table.to_json(
        orient="split", index=False, date_format="iso", force_ascii=False, double_precision=15
    )
    return text.encode()


def tables_tag(paths: Sequence[str]) -> str:
    """The value of `TABLES_TAG` for tables at these paths."""
    return json.dumps([{"path": path, "type": "table"} for path in paths])
