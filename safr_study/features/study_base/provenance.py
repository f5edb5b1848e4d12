"""What made a number, in addition to the settings: sources, libraries, device."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

from safr_study.records import Provenance

LIBRARIES = ("safr-study", "torch", "numpy", "ray", "optuna", "mlflow", "datasets", "moocore")
"""Those that can change a number or a ranking."""


def provenance(corpus_fingerprint: str, *, device: str) -> Provenance:
    """The provenance of what runs now."""
    libraries = {name: metadata.version(name) for name in LIBRARIES}
    versions = {"python": platform.python_version(), **libraries}
    return Provenance(source_commit(), versions, corpus_fingerprint, device)


def source_commit() -> str | None:
    """Commit of the checkout that the package runs from, ``-dirty`` where it was changed."""
    folder = Path(__file__).resolve().parents[3]
    if not (folder / ".git").exists():
        return None
    describe = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        quiet = subprocess.DEVNULL
        said = subprocess.check_output(describe, stderr=quiet, timeout=10, text=True)
        return said.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None
