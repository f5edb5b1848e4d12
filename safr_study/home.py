"""Where everything of a user lives: one folder, and the names of the parts inside it."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from safr_study.errors import BadInput

SCHEMA_VERSION = 1
DEFAULT_HOME = ".safr-study"
HOME_VARIABLE = "SAFR_STUDY_HOME"


@dataclass(frozen=True, slots=True)
class Home:
    """One user's folder: tracking database, artifacts, ledgers, checkpoints, caches."""

    root: Path
    """Absolute path."""

    @property
    def tracking_database(self) -> Path:
        """SQLite file of the embedded MLflow store."""
        return self.root / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        """Folder of the embedded MLflow artifacts."""
        return self.root / "artifacts"

    @property
    def corpora(self) -> Path:
        """Cache of encoded corpora, one folder per fingerprint."""
        return self.root / "cache" / "corpora"

    @property
    def given_data(self) -> Path:
        """Data sets that were given as objects, by the digest of their content."""
        return self.root / "data"

    @property
    def scratch(self) -> Path:
        """What Ray writes while a study runs; removed when the study ends."""
        return self.root / "ray"

    def ledger(self, study: str) -> Path:
        """Journal file of one study's ledger."""
        return self.root / "ledgers" / f"{study}.journal"

    def lock(self, study: str) -> Path:
        """Held by the one driver that runs a study."""
        return self.root / "ledgers" / f"{study}.lock"

    def checkpoints(self, study: str) -> Path:
        """Checkpoints of one study, one folder per trial number."""
        return self.root / "checkpoints" / study

    def checkpoint(self, study: str, place: str) -> str:
        """Where a checkpoint of a study is now, though the home was moved since it was written.

        Args:
            study: the key of the study.
            place: path of the checkpoint's folder at that time; one elsewhere stays as it is.
        """
        _, found, below = place.rpartition(f"/{self.checkpoints(study).parent.name}/{study}/")
        return str(self.checkpoints(study) / below) if found and "://" not in place else place


def open_home(
    folder: Path | str | None = None, *, must_exist: bool = False, make: bool = True
) -> Home:
    """Find the home (argument, else ``SAFR_STUDY_HOME``, else ``./.safr-study``) and make it.

    Args:
        folder: the argument.
        must_exist: refuse an argument that is no folder: who reads has mistyped it.
        make: write what is missing of it; without, one that is not there is an empty one.

    Raises:
        BadInput: the folder cannot be used, was made by another version of safr-study, or belongs
            to another user and may be written by all.
    """
    root = Path(folder or os.environ.get(HOME_VARIABLE) or DEFAULT_HOME)
    try:
        root = root.expanduser().resolve()
        if must_exist and folder and not root.exists():
            raise BadInput(
                "home", f"there is no {root}; give the folder that the study was run with"
            )
        if make:
            root.parent.mkdir(parents=True, exist_ok=True)
            # It has texts, models and what was typed: its owner alone lets others in.
            root.mkdir(mode=0o700, exist_ok=True)
        elif not root.exists():
            return Home(root)
        _check_owner(root)
        marker = root / "home.json"
        if make and not marker.exists():
            # Whole or not at all, as a half-written one would shut the home for ever.
            unfinished = root / f".home-{os.getpid()}.json"
            unfinished.write_text(json.dumps({"schema": SCHEMA_VERSION}) + "\n", encoding="utf-8")
            unfinished.replace(marker)
        if not make and root.is_dir() and not marker.exists():
            return Home(root)
        found = json.loads(marker.read_text(encoding="utf-8")).get("schema")
    except (OSError, ValueError, AttributeError, RuntimeError) as error:
        # RuntimeError: a link to itself, or an unknown user's home.
        raise BadInput(
            "home", f"{root} cannot be used ({error}); give a writable folder with --home"
        ) from error
    if found != SCHEMA_VERSION:
        raise BadInput(
            "home",
            f"{root} has schema {found}, this version reads {SCHEMA_VERSION}; "
            "use another folder with --home, or the version of safr-study that made it",
        )
    return Home(root)


def _check_owner(root: Path) -> None:
    """Refuse a folder in which anybody may have put what is read as one's own."""
    found = root.stat()
    open_to_all = found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX
    if open_to_all and found.st_uid not in (os.geteuid(), 0):
        raise BadInput(
            "home",
            f"{root} belongs to another user, and everybody may write there; give a folder of your "
            "own with --home",
        )
