"""How near training comes to the machine's limit, and how far from a straightforward program.

    python -m benchmarks.training_speed --out docs/results

One table for SST-2 (the treebank sentences) and IMDB, preset `masked`, lambda (1, 0.1), one
thread; needs SAFR_STUDY_DATA. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.straightforward import Straightforward, straightforward_steps
from benchmarks.training_flops import training_flops
from safr_study.data import Batch, EncodedCorpus, encoded_corpus, training_batches
from safr_study.evaluation.scoring import evaluate_model
from safr_study.model import Classifier
from safr_study.settings import (
    CURVE_SHARES,
    CorpusSpec,
    EvaluationConfig,
    Penalties,
    TrainConfig,
    Wanted,
)
from safr_study.training import computing
from safr_study.training.adam import DenseAdam, EmbeddingAdam
from safr_study.training.loop import initial_model
from safr_study.training.steps import stepping, trained

ROUNDS = 5
"""Rounds of GEMM, training and GEMM again; medians are reported."""
CPU = torch.device("cpu")
_onednn = torch.ops.mkldnn._linear_pointwise
KINDS = {
    "matrix products": ("mm", "addmm", "bmm", "baddbmm", "mkldnn", "_linear_pointwise"),
    "softmax and norms": ("softmax", "layer_norm", "vector_norm", "tanh", "sigmoid"),
    "Adam": ("_fused_adam",),
    "random numbers": ("random_", "uniform_"),
    "copies and lookups": ("copy_", "cat", "index", "embedding", "fill_", "zero_", "unique",
                           "gather", "clone"),
}  # fmt: skip
"""Kinds of operation by the beginning of torch's names; the rest is element-wise."""


@dataclass(frozen=True)
class Case:
    """One data set and how much of it is timed."""

    dataset: str
    fast_steps: int
    """Per round; after as many that are not timed."""
    plain_steps: int | None
    """Of the straightforward program; ``None``: a whole epoch."""
    evaluated: bool
    """Whether the evaluation on dev is timed too."""


CASES = (Case("sst2-treebank", 60, None, True), Case("imdb", 8, 4, False))


@dataclass(frozen=True)
class Line:
    """What one case measured; seconds are per step of 32 texts."""

    dataset: str
    gemm_gflops: float
    """Rate of the model's own products, by the quickest of MKL and oneDNN."""
    nominal_gflop: float
    seconds: float
    fraction: float
    """Nominal work over seconds, over the GEMM rate."""
    straightforward_seconds: float
    ratio: float
    optimiser_share: float
    kinds: dict[str, float]
    """Share of a step's time by kind of operation."""
    curve_epochs: float | None
    """SRS on dev at six k with ten random deletions each, over an epoch of training."""
    objective_epochs: float | None
    """SRS(30) and accuracy on dev, over an epoch of training."""
    causes_epochs: float | None = None
    """Neurons taken away at six k, NAOPC and the layers on dev, over an epoch of training."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for training-speed.json and .md")
    parser.add_argument("--dataset", choices=[case.dataset for case in CASES])
    parser.add_argument("--quick", action="store_true", help="few steps: for a look, not a result")
    arguments = parser.parse_args()
    lines = [
        measure(case, quick=arguments.quick)
        for case in CASES
        if arguments.dataset in (None, case.dataset)
    ]
    print(markdown(lines))  # noqa: T201
    if arguments.out:
        write(lines, arguments.out)


def write(lines: Iterable[Line], folder: Path) -> None:
    """Keep the lines and their table as training-speed.json and .md."""
    lines = list(lines)
    found = {"machine": machine(), "lines": [asdict(line) for line in lines]}
    (folder / "training-speed.json").write_text(json.dumps(found, indent=1) + "\n")
    (folder / "training-speed.md").write_text(markdown(lines) + "\n")


def measure(case: Case, *, quick: bool = False) -> Line:
    """Time one case in rounds that take turns, so that a slow moment of the machine hits all."""
    corpus = encoded_corpus(CorpusSpec(dataset=case.dataset))
    config = TrainConfig(penalties=Penalties(lambda_imp=1.0, lambda_inter=0.1))
    rounds, count = (3, case.fast_steps // 4) if quick else (ROUNDS, case.fast_steps)
    batches = list(islice(training_batches(corpus.train, 32, seed=0, epoch=1), count))
    tokens = int(np.mean([batch.ids.size for batch in batches]))
    nominal = sum(training_flops(config, batch.lengths) for batch in batches)
    with fast_training(corpus, config) as (model, step, optimiser):
        run = lambda: [step(batch) for batch in batches]  # noqa: E731
        for _ in range(1 + 100 // count):  # Beyond the first steps, which are dense.
            run()
        rates, seconds, of_optimiser = [], [], []
        for _ in range(rounds):
            before = gemm_rate(config, tokens)
            optimiser.clear()
            seconds.append(timed(run))
            of_optimiser.append(sum(optimiser))
            rates.append(max(before, gemm_rate(config, tokens)))
        kinds = profiled(run)
        rate, second = statistics.median(rates), statistics.median(seconds)
        epoch = second / count * corpus.train.examples / 32
        curve = objective = causes = None
        if case.evaluated:
            objective = evaluation_seconds(model, corpus, Wanted(shares=(0.3,))) / epoch
            whole = Wanted(shares=tuple(k for k in CURVE_SHARES if k), random=True)
            curve = evaluation_seconds(model, corpus, whole) / epoch
            of_neurons = Wanted(
                shares=whole.shares, causes=whole.shares, naopc=True, superposition=True
            )
            causes = evaluation_seconds(model, corpus, of_neurons) / epoch
    limit = 2 if quick else case.plain_steps
    straightforward = straightforward_seconds(corpus, config, limit)
    return Line(
        dataset=case.dataset,
        gemm_gflops=rate / 1e9,
        nominal_gflop=nominal / count / 1e9,
        seconds=second / count,
        fraction=nominal / second / rate,
        straightforward_seconds=straightforward,
        ratio=straightforward / (second / count),
        optimiser_share=statistics.median(of_optimiser) / second,
        kinds=kinds,
        curve_epochs=curve,
        objective_epochs=objective,
        causes_epochs=causes,
    )


def evaluation_seconds(model: Classifier, corpus: EncodedCorpus, want: Wanted) -> float:
    """Of one evaluation on dev with the default settings."""
    return timed(
        lambda: evaluate_model(
            model,
            corpus.dev,
            split_name="dev",
            config=EvaluationConfig(),
            want=want,
            preset="masked",
            device=CPU,
            train=corpus.train,
        )
    )


@contextmanager
def fast_training(
    corpus: EncodedCorpus, config: TrainConfig
) -> Iterator[tuple[Classifier, Callable[[Batch], object], list[float]]]:
    """A training under way: model, step, and the seconds that its optimiser took."""
    model = initial_model(config, corpus).train()
    optimizer = torch.optim.Adam(trained(model), lr=config.learning_rate, fused=True)
    noise = torch.Generator().manual_seed(0)
    spent: list[float] = []
    with ExitStack() as stack:
        stack.enter_context(computing(1))
        for kind, names in ((EmbeddingAdam, ("step", "_catch_up")), (DenseAdam, ("step",))):
            for name in names:
                stack.enter_context(patch.object(kind, name, timing(getattr(kind, name), spent)))
        yield model, stack.enter_context(stepping(config, model, optimizer, noise)), spent


def timing(work: Callable[..., None], spent: list[float]) -> Callable[..., None]:
    """The same work; the seconds of each call go into the list."""

    def timed_work(*arguments: Any) -> None:
        started = time.process_time()
        work(*arguments)
        spent.append(time.process_time() - started)

    return timed_work


def straightforward_seconds(corpus: EncodedCorpus, config: TrainConfig, steps: int | None) -> float:
    """Seconds per step of the straightforward program with the semantics of `reference`."""
    config = config.model_copy(update={"preset": "reference"})
    torch.manual_seed(0)
    plain = Straightforward(
        config,
        vocabulary=corpus.vocabulary_size,
        classes=len(corpus.class_names),
        length=corpus.max_len,
    )
    batches = training_batches(corpus.train, 32, seed=0, epoch=1, pad_to=corpus.max_len)
    noise = torch.Generator().manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        taken = straightforward_steps(plain, batches, noise)
        for _ in islice(taken, 1):
            pass
        counted: list[int] = []
        seconds = timed(lambda: counted.append(sum(1 for _ in islice(taken, steps))))
        return seconds / counted[0]
    finally:
        torch.set_num_threads(threads)


def gemm_rate(config: TrainConfig, tokens: int) -> float:
    """Operations per second over all the products of a block's and VMASK's linear layers.

    Each of the three products of a layer (forward, and backward for input and weight) into memory
    that is there already, with the quicker of the two libraries.
    """
    shape = config.shape
    width = shape.embed_dim
    sizes = [
        (width, 3 * width),
        (width, width),
        (width, shape.ffn_dim),
        (shape.ffn_dim, width),
        (width, shape.mask_hidden_dim),
    ]
    seconds = flops = 0.0
    for inputs, outputs in sizes:
        x, gradient = torch.randn(tokens, inputs), torch.randn(tokens, outputs)
        weight = torch.randn(outputs, inputs)
        for left, right in ((x, weight.t()), (gradient, weight), (gradient.t(), x)):
            out = torch.empty(left.shape[0], right.shape[1])
            work = 2.0 * left.shape[0] * left.shape[1] * right.shape[1]
            repeat = max(1, int(2e9 / work))
            by_mkl = partial(torch.mm, left, right, out=out)
            by_onednn = partial(_onednn, left, right.t(), None, "none", [], "")
            seconds += min(quickest(by_mkl, repeat), quickest(by_onednn, repeat))
            flops += work
    return flops / seconds


def quickest(product: Callable[[], object], repeat: int) -> float:
    """Seconds of one product, the best of three means."""
    product()
    return min(timed(lambda: [product() for _ in range(repeat)]) / repeat for _ in range(3))


def timed(work: Callable[[], object]) -> float:
    """Seconds of the processor: for one thread that computes, the clock's on an idle machine.

    What other processes take of the machine is left out, but for what they take of its caches.
    """
    started = time.process_time()
    work()
    return time.process_time() - started


def profiled(work: Callable[[], object]) -> dict[str, float]:
    """Share of the time by kind of operation; what is left is Python and autograd."""
    with profile(activities=[ProfilerActivity.CPU]) as found:
        started = time.perf_counter()
        work()
        seconds = time.perf_counter() - started
    shares: dict[str, float] = defaultdict(float)
    for event in found.key_averages():
        if event.key.startswith("aten::") or event.key.startswith("mkldnn::"):
            shares[kind_of(event.key.split("::")[1])] += event.self_cpu_time_total / 1e6 / seconds
    shares["Python and autograd"] = 1.0 - sum(shares.values())
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def kind_of(operation: str) -> str:
    for kind, names in KINDS.items():
        if operation.lstrip("_").startswith(tuple(name.lstrip("_") for name in names)):
            return kind
    return "element-wise"


def machine() -> str:
    """Processor, cores, memory, system and torch."""
    model = platform.processor() or platform.machine()
    memory = 0.0
    cpu, info = Path("/proc/cpuinfo"), Path("/proc/meminfo")
    if cpu.exists():
        fields = dict(
            (part.strip() for part in line.split(":", 1))
            for line in cpu.read_text().splitlines()
            if ":" in line
        )
        model = f"{fields['model name']} (family {fields['cpu family']}, model {fields['model']})"
    if info.exists():
        memory = int(info.read_text().split()[1]) / 2**20
    return (
        f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB; "
        f"{platform.system()} {platform.release()}; Python {platform.python_version()}, "
        f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"
    )


def markdown(lines: Iterable[Line]) -> str:
    """The tables."""
    lines = list(lines)
    rows = [
        "| | " + " | ".join(line.dataset for line in lines) + " |",
        "|---|" + "---|" * len(lines),
    ]

    def row(name: str, of: Callable[[Line], str]) -> None:
        rows.append(f"| {name} | " + " | ".join(of(line) for line in lines) + " |")

    row("GEMM of the model's shapes, GFLOP/s", lambda line: f"{line.gemm_gflops:.0f}")
    row("nominal work of a step of 32 texts, GFLOP", lambda line: f"{line.nominal_gflop:.2f}")
    row("a step, ms", lambda line: f"{1e3 * line.seconds:.1f}")
    row("**fraction of the GEMM rate**", lambda line: f"**{line.fraction:.2f}**")
    row(
        "a step of the straightforward program, ms",
        lambda line: f"{1e3 * line.straightforward_seconds:.0f}",
    )
    row("**times faster**", lambda line: f"**{line.ratio:.1f}**")
    row("optimiser's share of a step", lambda line: f"{100 * line.optimiser_share:.1f} %")
    row("SRS at 6 k with 10 random deletions, epochs", lambda line: epochs(line.curve_epochs))
    row("a trial's objectives on dev, epochs", lambda line: epochs(line.objective_epochs))
    row("neurons, NAOPC and layers on dev, epochs", lambda line: epochs(line.causes_epochs))
    for kind in (*KINDS, "element-wise", "Python and autograd"):
        row(f"of a step: {kind}", lambda line: f"{100 * line.kinds.get(kind, 0.0):.1f} %")  # noqa: B023
    return "\n".join(
        [f"{machine()}; 1 thread, preset `masked`, lambda (1, 0.1), batch 32.", "", *rows]
    )


def epochs(share: float | None) -> str:
    return "" if share is None else f"{share:.2f}"


if __name__ == "__main__":
    main()
