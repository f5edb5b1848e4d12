"""What memory a second trial on IMDB takes beyond an idle worker, and whether data are held once.

    SAFR_STUDY_DATA=... PYTHONPATH=tests python -m benchmarks.trial_memory --help

Two Ray workers with the full vocabulary. The first trains, the second is measured: idle, with all
its modules imported; with the corpus from Ray's object store, every token read; and in a whole
trial, with running states, evaluation and checkpoint. Only the pages of its own count, many times a
second: files and the object store are there once for all.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measured import Measured, report
from safr_study.cluster.ray_cluster import cluster
from safr_study.data import EncodedCorpus, EncodedSplit, encoded_corpus
from safr_study.runner.task import RunTask
from safr_study.settings import (
    CorpusSpec,
    EvaluationConfig,
    Objective,
    Penalties,
    TrainConfig,
)

_EVERY = 0.02
"""Seconds between two looks at the memory."""


def private_bytes() -> int:
    """Of this process alone: its anonymous pages, neither files nor Ray's object store."""
    text = Path("/proc/self/smaps_rollup").read_text(encoding="ascii")
    lines = (line.split() for line in text.splitlines() if line.startswith("Anonymous:"))
    return sum(1024 * int(words[1]) for words in lines)


def peak_of(work: Callable[[], object]) -> int:
    """The most private bytes while something is done."""
    highest = private_bytes()
    done = threading.Event()

    def watch() -> None:
        nonlocal highest
        while not done.wait(_EVERY):
            highest = max(highest, private_bytes())

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        work()
    finally:
        done.set()
        watching.join()
    return highest


class Worker:
    """One of Ray's processes."""

    def idle(self) -> int:
        """Private bytes once all is imported that a trial imports."""
        import safr_study.evaluation.scoring
        import safr_study.runner.worker
        import safr_study.training  # noqa: F401

        return private_bytes()

    def with_data(self, corpus: EncodedCorpus) -> int:
        """Private bytes once every token was read."""
        for split in (corpus.train, corpus.dev):
            int(split.tokens.sum(dtype=np.int64))
        return private_bytes()

    def trial(self, task: RunTask, corpus: EncodedCorpus) -> int:
        """The most private bytes while a trial runs."""
        from safr_study.runner.worker import train_run

        return peak_of(lambda: train_run(task, corpus, lambda _event: None))

    def parts(self, config: TrainConfig, corpus: EncodedCorpus) -> dict[str, int]:
        """Bytes of parameters and of what a step keeps for its backward pass, at the longest."""
        import torch

        from safr_study.data import evaluation_batches
        from safr_study.model import build_model
        from safr_study.training.steps import losses_of

        model = build_model(
            config.shape,
            preset=config.preset,
            vocabulary_size=corpus.vocabulary_size,
            classes=len(corpus.class_names),
            max_len=corpus.max_len,
            seed=0,
        )
        own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        kept: dict[int, int] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            if tensor.is_mkldnn:  # oneDNN's own, whose memory cannot be asked for
                kept[id(tensor)] = tensor.numel() * tensor.element_size()
                return tensor
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        longest = max(
            evaluation_batches(corpus.train, config.batch_size, pad_to=None),
            key=lambda batch: batch.ids.size,
        )
        noise = torch.Generator().manual_seed(0)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            tensors = torch.from_numpy(longest.ids), torch.from_numpy(longest.labels)
            losses = losses_of(config, *tensors, model.train(), noise)
        del losses
        parameters = sum(p.numel() * p.element_size() for p in model.parameters())
        return {"parameters": parameters, "activations": sum(kept.values())}


def part_of(corpus: EncodedCorpus, train: int, dev: int) -> EncodedCorpus:
    """The first texts, under the vocabulary of all."""
    return dataclasses.replace(
        corpus, train=_first(corpus.train, train), dev=_first(corpus.dev, dev), test=None
    )


def _first(split: EncodedSplit, texts: int) -> EncodedSplit:
    texts = min(texts, split.examples)
    end = int(split.offsets[texts])
    return EncodedSplit(
        tokens=split.tokens[:end].copy(),
        offsets=split.offsets[: texts + 1].copy(),
        labels=split.labels[:texts].copy(),
    )


def measure(dataset: str, train: int, dev: int) -> list[Measured]:
    """Start Ray and two trials."""
    whole = encoded_corpus(CorpusSpec(dataset=dataset))
    some = part_of(whole, train, dev)
    config = TrainConfig(
        epochs=2, patience=2, penalties=Penalties(lambda_imp=1.0, lambda_inter=0.1)
    )
    with cluster(), tempfile.TemporaryDirectory() as folder:
        import ray

        remote: Any = ray.remote(num_cpus=1)(Worker)
        data, part = ray.put(whole), ray.put(some)
        first, second = remote.remote(), remote.remote()
        tasks = [_task(config, dataset, Path(folder) / str(number)) for number in (0, 1)]
        ray.get(first.idle.remote())
        idle = ray.get(second.idle.remote())
        with_data = ray.get(second.with_data.remote(data))
        parts = ray.get(second.parts.remote(config, some))
        # A worker of its own, as the last one has the memory of a step already.
        ray.kill(second)
        second = remote.remote()
        idle = max(idle, ray.get(second.idle.remote()))
        running = first.trial.remote(tasks[0], part)
        peak = ray.get(second.trial.remote(tasks[1], part))
        ray.get(running)
    least = 4 * parts["parameters"] + parts["activations"]
    size = sum(
        array.nbytes
        for split in (whole.train, whole.dev)
        for array in (split.tokens, split.offsets, split.labels)
    )
    facts = {
        "idle_worker_mb": round(idle / 1e6),
        "peak_mb": round(peak / 1e6),
        "parameters_mb": round(parts["parameters"] / 1e6),
        "activations_mb": round(parts["activations"] / 1e6),
        "train_texts": some.train.examples,
        "vocabulary": whole.vocabulary_size,
    }
    title = f"a second trial on {dataset}"
    return [
        Measured(
            f"{title}: peak beyond an idle worker, against parameters, gradients, Adam and "
            "activations",
            (peak - idle) / least,
            "ratio",
            1.3,
            facts=facts,
        ),
        Measured(f"{title}: peak beyond an idle worker", (peak - idle) / 1e6, "MB"),
        Measured(
            f"{title}: private memory for the encoded data, of its {size / 1e6:.0f} MB",
            (with_data - idle) / 1e6,
            "MB",
        ),
    ]


def _task(config: TrainConfig, dataset: str, folder: Path) -> RunTask:
    return RunTask(
        number=0,
        train=config,
        corpus=CorpusSpec(dataset=dataset),
        evaluation=EvaluationConfig(),
        objectives=(Objective(name="accuracy"), Objective(name="srs@30")),
        folder=str(folder),
        gpus=0.0,
    )


def main(given: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="trial_memory", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--dataset", default="imdb")
    parser.add_argument("--train-texts", type=int, default=320)
    parser.add_argument("--dev-texts", type=int, default=128)
    args = parser.parse_args(given)
    logging.basicConfig(level=logging.WARNING)
    report(measure(args.dataset, args.train_texts, args.dev_texts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
