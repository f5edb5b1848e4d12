"""What a trial takes of its machine: sampled on the worker, at the end of each epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import torch

_MEGABYTE = 1e6


class SystemWatch:
    """Processor, memory and GPU of one trial and its machine.

    The samples travel with the epochs' reports, through the ledger, so that they are as durable as
    every other number of a trial. Names and units are those of MLflow's own system metrics, which
    its page shows on a tab of theirs; those of ``process`` are the trial's alone.
    """

    def __init__(self, device: torch.device) -> None:
        """Begin to watch.

        Args:
            device: of the training.
        """
        self._device = device
        self._process = psutil.Process()
        # The first answer of each is about no time at all.
        self._process.cpu_percent()
        psutil.cpu_percent()

    def sample(self) -> dict[str, float]:
        """Use of the processor since the last sample in percent (of one core for the process), of
        memory by now in megabytes (1e6 bytes) and percent."""
        memory = psutil.virtual_memory()
        found = {
            "cpu_utilization_percentage": psutil.cpu_percent(),
            "system_memory_usage_megabytes": memory.used / _MEGABYTE,
            "system_memory_usage_percentage": memory.percent,
            "process_cpu_utilization_percentage": self._process.cpu_percent(),
            "process_memory_usage_megabytes": self._process.memory_info().rss / _MEGABYTE,
        }
        return found | (self._gpu() if self._device.type == "cuda" else {})

    def _gpu(self) -> dict[str, float]:
        import torch

        free, total = torch.cuda.mem_get_info(self._device)
        peak = torch.cuda.max_memory_allocated(self._device)
        torch.cuda.reset_peak_memory_stats(self._device)
        return {
            "gpu_0_memory_usage_megabytes": (total - free) / _MEGABYTE,
            "gpu_0_memory_usage_percentage": 100 * (total - free) / total,
            "process_gpu_memory_usage_megabytes": peak / _MEGABYTE,
        }
