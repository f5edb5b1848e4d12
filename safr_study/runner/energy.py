"""The energy of a run, from the counters of the processors (RAPL) and of the GPU (NVML)."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil

POWERCAP = Path("/sys/class/powercap")
"""Where Linux has the processors' counters; most machines let root alone read them."""
Counter = Callable[[], float | None]
"""Joules since some moment; ``None``: it cannot be read."""


class EnergyMeter:
    """Joules that a run took of its machine since the meter was made.

    Of what the processors took the run has the share that its process has of their busy time since
    the last look, so that runs beside each other count nothing twice; of the GPU's the share that
    the run was given. Memory, disks, fans and the power supply are not counted.
    """

    def __init__(
        self, gpus: float, *, powercap: Path = POWERCAP, gpu: Counter | None = None
    ) -> None:
        """Begin to count.

        Args:
            gpus: of the run, or its share of one.
            powercap: folder of the processors' counters.
            gpu: counter of the GPU; ``None``: NVML's, where the run has a GPU.
        """
        self._gpus = min(1.0, gpus)
        self._zones = _zones(powercap)
        self._gpu = gpu or (nvml_counter() if gpus else lambda: None)
        self._joules = 0.0
        self._known = False
        self._process = psutil.Process()
        self._before = self._look()

    def joules(self) -> float | None:
        """So far; ``None``: no counter can be read."""
        before, now = self._before, self._look()
        self._before = now
        for zone, joules in now.zones.items():
            if zone in before.zones:
                # It begins at 0 again beyond its range.
                taken = (joules - before.zones[zone]) % self._zones[zone]
                busy = now.busy - before.busy
                self._joules += taken * (min(1.0, (now.own - before.own) / busy) if busy > 0 else 0)
                self._known = True
        if now.gpu is not None and before.gpu is not None:
            self._joules += self._gpus * max(0.0, now.gpu - before.gpu)
            self._known = True
        return self._joules if self._known else None

    def _look(self) -> _Look:
        times, own = psutil.cpu_times(), self._process.cpu_times()
        return _Look(
            zones={zone: joules for zone in self._zones if (joules := _read(zone)) is not None},
            busy=sum(times) - times.idle - getattr(times, "iowait", 0.0),
            own=own.user + own.system,
            gpu=self._gpu(),
        )


class _Look(NamedTuple):
    """The counters at one moment."""

    zones: dict[Path, float]
    """Joules of each processor."""
    busy: float
    """Seconds in which the machine's processors were busy."""
    own: float
    """Those of this process."""
    gpu: float | None
    """Joules of the GPU."""


def _zones(powercap: Path) -> dict[Path, float]:
    """Counters of whole processors that can be read, and the joules at which each begins anew."""
    found = {}
    for zone in sorted(powercap.glob("intel-rapl:*")):
        # Those of a processor's parts have a second number, and are in the processor's.
        if zone.name.count(":") == 1 and _read(zone / "energy_uj") is not None:
            found[zone / "energy_uj"] = _read(zone / "max_energy_range_uj") or float("inf")
    return found


def _read(file: Path) -> float | None:
    """A file of microjoules, in joules."""
    with contextlib.suppress(OSError, ValueError):
        return int(file.read_text("ascii")) / 1e6
    return None


def nvml_counter() -> Counter:
    """The counter of the process's first GPU, by the driver's own library.

    GPUs before Volta have none.
    """
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
        handle = ctypes.c_void_p()
        if nvml.nvmlInit_v2() != 0:
            return lambda: None
        first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip() or "0"
        found = (
            nvml.nvmlDeviceGetHandleByIndex_v2(int(first), ctypes.byref(handle))
            if first.isdecimal()
            else nvml.nvmlDeviceGetHandleByUUID(first.encode(), ctypes.byref(handle))
        )
        if found != 0:
            return lambda: None
    except (OSError, AttributeError):
        return lambda: None

    def read() -> float | None:
        millijoules = ctypes.c_ulonglong()
        if nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)) != 0:
            return None
        return millijoules.value / 1e3

    return read
