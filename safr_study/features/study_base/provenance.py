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
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        versions[name] = metadata.version(name)
    return Provenance(
        commit=source_commit(),
        versions=versions,
        corpus_fingerprint=corpus_fingerprint,
        device=device,
    )


def source_commit() -> str | None:
    """Commit of the checkout that the package runs from, ``-dirty`` where it was changed."""
    folder = Path(__file__).resolve().parents[3]
    if not (folder / ".git").exists():
        return None
    try:
        described = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() or None
