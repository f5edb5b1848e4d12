"""The pilot measures what a trial then takes."""

from __future__ import annotations

from pathlib import Path

import torch
from test_cuda import task_of

from safr_study.cluster.gpu_pilot import gpu_share, measure_peak
from safr_study.cluster.slots import NodeCapacity
from safr_study.data import EncodedCorpus
from safr_study.runner.worker import train_run
from safr_study.settings import CorpusSpec, StudySpec
from safr_study.settings.space_files import find_space


def test_a_trial_fits_into_the_share_that_its_pilot_chose(
    gpu: torch.device, planted: EncodedCorpus, tmp_path: Path
) -> None:
    task = task_of(tmp_path, 1.0)
    spec = StudySpec(
        name="s",
        corpus=CorpusSpec(dataset="planted:redundant"),
        space=find_space("smoke"),
        train=task.train,
    )
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1.0, 0)
    peak = measure_peak(spec, planted)
    assert peak is not None
    total = torch.cuda.get_device_properties(gpu).total_memory
    assert 0 < peak < 1
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    assert train_run(task, planted, lambda _: None).failure is None
    assert torch.cuda.max_memory_reserved() <= peak * total
    share = gpu_share(peak, [NodeCapacity(64.0, 1.0)], 1.0)
    assert torch.cuda.max_memory_reserved() <= share * total
