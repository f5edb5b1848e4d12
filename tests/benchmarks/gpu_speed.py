"""Epochs on a GPU, one training alone and several at once; a line of JSON for each training.

SAFR_STUDY_DATA=... PYTHONPATH=tests python -m benchmarks.gpu_speed --out gpu.jsonl
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safr_study.data import encoded_corpus
from safr_study.settings import CorpusSpec, Penalties, TrainConfig

EPOCHS = 4


def train(folder: str, at_once: int, precision: str) -> dict[str, Any]:
    """One training on the treebank's sentences, lambda (1, 0.1)."""
    import torch

    from safr_study.training import fit, pick_device
    from safr_study.training.cuda_graphs import SWITCH

    corpus = encoded_corpus(CorpusSpec(dataset="sst2-treebank"), Path(folder))
    config = TrainConfig.parse(
        {
            "penalties": Penalties(lambda_imp=1.0, lambda_inter=0.1).model_dump(),
            "epochs": EPOCHS,
            "patience": EPOCHS,
            "precision": precision,
        }
    )
    began = time.time()
    result = fit(config, corpus, device=pick_device(1.0))
    return {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "at_once": at_once,
        "precision": precision,
        "graphs": os.environ.get(SWITCH) != "0",
        "began": began,
        "ended": time.time(),
        "seconds": [round(report.seconds, 3) for report in result.epochs],
        "accuracy": [report.dev_accuracy for report in result.epochs],
        "reserved_bytes": torch.cuda.max_memory_reserved(),
    }


def main(given: Sequence[str] | None = None) -> int:
    """Train and write; 2 without a GPU."""
    parser = argparse.ArgumentParser(prog="gpu_speed", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--precision", nargs="+", default=["float32", "auto"])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(given)
    import torch

    if not torch.cuda.is_available():
        sys.stderr.write("error: torch sees no GPU\n")
        return 2
    # A fork would copy this process's CUDA, which cannot be used there.
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, args.out.open("a", encoding="utf-8") as out:
        for precision in args.precision:
            for count in args.at_once:
                with context.Pool(count) as pool:
                    jobs = [(folder, count, precision)] * count
                    for line in pool.starmap(train, jobs, chunksize=1):
                        out.write(json.dumps(line) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
