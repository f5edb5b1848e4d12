"""The lock of a study's driver under its first name; see ``lease``."""

from __future__ import annotations

from safr_study.study.lease import driver_lock

__all__ = ["driver_lock"]
