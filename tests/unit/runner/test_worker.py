"""One trial as a worker runs it, on a corpus small enough to train in a moment."""

from __future__ import annotations

import contextlib
import copy
import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from plain_scores import deletion_at
from tiny_encoder import tiny_encoder

from safr_study.checkpoint.manifest import STATE, verify_model
from safr_study.checkpoint.model_files import load_model
from safr_study.data import EncodedCorpus, EncodedSplit, encoded_corpus
from safr_study.errors import TrialFailure
from safr_study.evaluation.deletion import sample_texts
from safr_study.model import SafrClassifier
from safr_study.records import EpochReport, Replicate, from_plain
from safr_study.records.run import RunResult
from safr_study.runner.task import (
    EVENT,
    RunTask,
    SharedFault,
    event,
    read_event,
    replicate_event,
)
from safr_study.runner.worker import measure_on_test, train_run, trainable
from safr_study.settings import Constraint, CorpusSpec, EvaluationConfig, Objective, TrainConfig
from safr_study.training import fit
from safr_study.training.steps import train_epoch

CPU = torch.device("cpu")
SPEC = CorpusSpec(dataset="planted:single", train_limit=80, dev_limit=40, max_len=42)
EPOCHS = 4
RUNGS = (1, 3)
RUNG_TEXTS = 25
OBJECTIVES = (Objective(name="accuracy"), Objective(name="srs@30"))


def bounds(*texts: str) -> tuple[Constraint, ...]:
    return tuple(map(Constraint.parse_text, texts))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny products are slower on several threads, and much slower on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def corpus() -> EncodedCorpus:
    return encoded_corpus(SPEC)


@pytest.fixture
def task(tmp_path: Path) -> RunTask:
    return task_in(tmp_path / "00005")


@pytest.fixture(scope="module")
def undisturbed(corpus: EncodedCorpus, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """The same trial without anything that goes wrong, elsewhere."""
    return train_run(task_in(tmp_path_factory.mktemp("whole")), corpus, lambda _: None)


def task_in(folder: Path) -> RunTask:
    config = {
        "shape": {"embed_dim": 16, "ffn_dim": 16, "heads": 2, "mask_hidden_dim": 8},
        "penalties": {"lambda_imp": 0.1, "lambda_inter": 0.1},
        "learning_rate": 1e-2,
        "epochs": EPOCHS,
        "patience": EPOCHS,
        "seed": 3,
    }
    return RunTask(
        number=5,
        train=TrainConfig.model_validate(config),
        corpus=SPEC,
        evaluation=EvaluationConfig(draws=2, sample_texts=10, sample_tokens=200),
        objectives=OBJECTIVES,
        folder=str(folder),
        gpus=0.0,
        rungs=RUNGS,
        rung_texts=RUNG_TEXTS,
    )


class Seen:
    """What a trial reported, event by event; may be told to end it like a kill."""

    def __init__(self, *, killed_at: int | None = None) -> None:
        self.events: list[dict[str, Any]] = []
        self._killed_at = killed_at

    def __call__(self, event: dict[str, str]) -> None:
        self.events.append(json.loads(event[EVENT]))
        if len(self.events) == self._killed_at:
            raise KeyboardInterrupt

    @property
    def epochs(self) -> list[int]:
        """Epochs of the first seed that were trained here."""
        return [event["epoch"]["epoch"] for event in self.events if "epoch" in event]

    @property
    def replicates(self) -> list[tuple[int, int]]:
        """Seed and epoch of the others."""
        told = [event["replicate"] for event in self.events if "replicate" in event]
        return [(one["seed"], one["epoch"]) for one in told]


def whole(task: RunTask, corpus: EncodedCorpus, folder: str) -> RunResult:
    """The same trial without anything that goes wrong, elsewhere."""
    return train_run(replace(task, folder=folder), corpus, lambda _: None)


def epochs_of(finished: RunResult) -> list[EpochReport]:
    """All epochs of a run, those before a kill too: from its last running state."""
    assert finished.checkpoint is not None
    state = max((Path(finished.checkpoint.uri).parent / STATE).glob("epoch-*.json"))
    return [from_plain(EpochReport, one) for one in json.loads(state.read_text())["reports"]]


def numbers(finished: RunResult, *, rungs: bool = True) -> Any:
    """All that must repeat bit for bit: everything but times and places; without the rungs too."""
    assert finished.checkpoint is not None
    epochs = [replace(epoch, seconds=0.0) for epoch in epochs_of(finished)]
    if not rungs:
        epochs = [replace(epoch, objectives=None) for epoch in epochs]
    digest, epoch = finished.checkpoint.sha256, finished.checkpoint.epoch
    return (
        finished.replicates,
        finished.violations,
        finished.dev,
        digest,
        epoch,
        epochs,
        finished.failure,
    )


def test_on_request_each_epoch_says_what_it_took_of_its_machine(
    task: RunTask, corpus: EncodedCorpus
) -> None:
    seen, plain = Seen(), Seen()
    train_run(replace(task, system_metrics=True), corpus, seen)
    train_run(replace(task, folder=f"{task.folder}-plain"), corpus, plain)
    told = [event["epoch"]["system"] for event in seen.events if "epoch" in event]
    assert len(told) == EPOCHS
    assert {event["epoch"]["system"] for event in plain.events if "epoch" in event} == {None}
    for sample in told:
        assert 0 <= sample["cpu_utilization_percentage"] <= 100
        assert 0 < sample["system_memory_usage_percentage"] < 100
        # Training computes all the time, on one thread.
        assert sample["process_cpu_utilization_percentage"] > 0
    pages, size = (Path("/proc/self/statm").read_text().split()[1], resource.getpagesize())
    assert told[-1]["process_memory_usage_megabytes"] == pytest.approx(
        int(pages) * size / 1e6, rel=0.2
    )


def test_a_trial_is_trained_measured_and_kept(task: RunTask, corpus: EncodedCorpus) -> None:
    seen = Seen()
    finished = train_run(task, corpus, seen)
    assert seen.epochs == [1, 2, 3, 4]
    assert [report.epoch for report in epochs_of(finished)] == [1, 2, 3, 4]
    assert finished.checkpoint is not None
    assert finished.dev is not None
    assert finished.checkpoint == verify_model(Path(task.folder) / "model")
    model = load_model(Path(task.folder) / "model")
    assert (model.config, model.corpus, model.scores) == (
        task.train,
        SPEC,
        finished.dev.scores,
    )
    assert accuracy(model.model, corpus.dev) == pytest.approx(finished.dev.scores.accuracy)
    (only,) = finished.replicates
    srs = deletion_at(finished.dev.scores, 0.3).srs
    assert only == Replicate(3, (finished.dev.scores.accuracy, srs))
    assert finished.device == "cpu"


def accuracy(model: SafrClassifier, split: EncodedSplit) -> float:
    """Percent of the texts predicted right, one by one."""
    right = 0
    with torch.inference_mode():
        for text in range(split.examples):
            tokens = split.tokens[split.offsets[text] : split.offsets[text + 1]]
            logits = model(torch.from_numpy(tokens.astype(np.int64))[None]).logits
            right += int(logits.argmax() == split.labels[text])
    return 100 * right / split.examples


def test_the_objectives_are_measured_at_rungs_alone_on_the_fixed_part_of_dev(
    task: RunTask, corpus: EncodedCorpus
) -> None:
    finished = train_run(task, corpus, lambda _: None)
    measured = {report.epoch: report.objectives for report in epochs_of(finished)}
    assert {epoch for epoch, values in measured.items() if values is not None} == set(RUNGS)
    part = sample_texts(corpus.dev, RUNG_TEXTS, seed=task.evaluation.seed)
    assert part.examples == RUNG_TEXTS < corpus.dev.examples
    models: dict[int, SafrClassifier] = {}

    def keep(model: SafrClassifier, epoch: int) -> None:
        models[epoch] = copy.deepcopy(model)

    fit(task.train, corpus, device=CPU, measure=keep)
    for rung in RUNGS:
        values = measured[rung]
        assert values is not None
        assert len(values) == len(OBJECTIVES)
        assert values[0] == pytest.approx(accuracy(models[rung].eval(), part))
    # What the sampler and the front get is measured on all of dev.
    assert finished.replicates[0].values[0] == pytest.approx(
        accuracy(load_model(Path(task.folder) / "model").model, corpus.dev)
    )


def test_without_rungs_nothing_is_measured_on_the_way(task: RunTask, corpus: EncodedCorpus) -> None:
    finished = train_run(replace(task, rungs=()), corpus, lambda _: None)
    assert all(report.objectives is None for report in epochs_of(finished))


def test_measuring_at_rungs_changes_no_number(
    task: RunTask, corpus: EncodedCorpus, tmp_path: Path
) -> None:
    plain = whole(replace(task, rungs=()), corpus, str(tmp_path / "plain"))
    judged = train_run(task, corpus, lambda _: None)
    assert numbers(judged, rungs=False) == numbers(plain)


def test_every_seed_is_trained_as_if_alone_and_the_first_one_is_kept(
    task: RunTask, corpus: EncodedCorpus, tmp_path: Path
) -> None:
    seen = Seen()
    finished = train_run(replace(task, more_seeds=(4, 9)), corpus, seen)
    assert seen.epochs == [1, 2, 3, 4]
    assert seen.replicates == [(seed, epoch) for seed in (4, 9) for epoch in (1, 2, 3, 4)]
    alone = []
    for seed in (3, 4, 9):
        config = task.train.model_copy(update={"seed": seed})
        ended = whole(replace(task, train=config), corpus, str(tmp_path / f"seed-{seed}"))
        alone.append(ended.replicates[0])
    assert list(finished.replicates) == alone
    assert len({replicate.values for replicate in alone}) > 1, "the seeds must differ to tell"
    assert finished.checkpoint is not None
    first = verify_model(tmp_path / "seed-3" / "model")
    assert finished.checkpoint.sha256 == first.sha256


def test_violations_are_means_over_the_seeds_and_zero_where_the_constraint_is_just_kept(
    task: RunTask, corpus: EncodedCorpus
) -> None:
    majority = corpus.dev.majority_accuracy
    constrained = replace(
        task, more_seeds=(4,), constraints=bounds("accuracy >= majority + 60", "accuracy <= 90")
    )
    finished = train_run(constrained, corpus, lambda _: None)
    mean = np.mean([replicate.values[0] for replicate in finished.replicates])
    assert finished.violations == pytest.approx((majority + 60 - mean, mean - 90))
    assert finished.violations[0] > 0 > finished.violations[1] or mean > 90


@pytest.mark.parametrize("killed_at", [1, 3, 4])
def test_a_killed_trial_goes_on_from_its_last_epoch_to_the_same_numbers(
    task: RunTask, corpus: EncodedCorpus, undisturbed: RunResult, tmp_path: Path, killed_at: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_run(task, corpus, Seen(killed_at=killed_at))
    seen = Seen()
    finished = train_run(task, corpus, seen)
    # The driver may not have heard of the last one: all are told again.
    assert seen.epochs == [1, 2, 3, 4]
    assert numbers(finished) == numbers(undisturbed)


def test_a_trial_killed_in_its_second_seed_trains_neither_again(
    task: RunTask, corpus: EncodedCorpus, tmp_path: Path
) -> None:
    repeated = replace(task, more_seeds=(4, 9))
    expected = whole(repeated, corpus, str(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        train_run(repeated, corpus, Seen(killed_at=EPOCHS + 2))
    finished = train_run(repeated, corpus, seen := Seen())
    assert seen.replicates == [(4, 3), (4, 4), *((9, epoch) for epoch in (1, 2, 3, 4))]
    assert numbers(finished) == numbers(expected)


def test_an_epoch_that_was_saved_but_not_heard_of_is_told_after_the_kill(
    task: RunTask, corpus: EncodedCorpus
) -> None:
    # The first rung was reached and saved; the driver died before it heard of it.
    with pytest.raises(KeyboardInterrupt):
        train_run(task, corpus, Seen(killed_at=1))
    seen = Seen()
    train_run(task, corpus, seen)
    told = {event["epoch"]["epoch"]: event["epoch"] for event in seen.events if "epoch" in event}
    assert 1 in told, "the scheduler never hears of the rung, and cannot stop the trial there"
    assert told[1]["objectives"] is not None


def test_a_trial_whose_end_was_not_heard_of_is_not_trained_again(
    task: RunTask, corpus: EncodedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train_run(replace(task, more_seeds=(4,)), corpus, lambda _: None)
    trained = counted_epochs(monkeypatch)
    again = train_run(replace(task, more_seeds=(4,)), corpus, lambda _: None)
    assert trained == []
    assert numbers(again) == numbers(first)


def counted_epochs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The epochs that are really trained from now on."""
    trained: list[int] = []

    def train(*args: Any, **options: Any) -> Any:
        trained.append(options["epoch"])
        return train_epoch(*args, **options)

    monkeypatch.setattr("safr_study.training.loop.train_epoch", train)
    return trained


def out_of_memory(monkeypatch: pytest.MonkeyPatch, faults: list[Callable[[], object]]) -> list[int]:
    """Epoch 2 finds no memory as often as there are faults; the epochs that were trained."""
    trained: list[int] = []

    def train(*args: Any, **options: Any) -> Any:
        if options["epoch"] == 2 and faults:
            faults.pop()()
        trained.append(options["epoch"])
        return train_epoch(*args, **options)

    monkeypatch.setattr("safr_study.training.loop.train_epoch", train)
    return trained


def _raise(error: BaseException) -> Callable[[], object]:
    def fault() -> object:
        raise error

    return fault


def _more_than_there_is() -> object:
    return torch.empty(1 << 60)


FAULTS: dict[str, Callable[[], object]] = {
    "of the GPU": _raise(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")),
    "of Python": _raise(MemoryError()),
    "of torch on the CPU": _more_than_there_is,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_out_of_memory_once_is_made_good(
    task: RunTask,
    corpus: EncodedCorpus,
    undisturbed: RunResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    trained = out_of_memory(monkeypatch, [FAULTS[fault]])
    finished = train_run(task, corpus, lambda _: None)
    assert trained == [1, 2, 3, 4], "it goes on from its state and trains nothing twice"
    assert numbers(finished) == numbers(undisturbed)


@pytest.mark.parametrize("fault", FAULTS)
def test_out_of_memory_twice_is_one_sentence(
    task: RunTask, corpus: EncodedCorpus, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    trained = out_of_memory(monkeypatch, [FAULTS[fault], FAULTS[fault]])
    with pytest.raises(TrialFailure, match="out of memory twice") as failure:
        train_run(task, corpus, lambda _: None)
    assert trained == [1]
    assert "\n" not in str(failure.value)
    assert "batch_size" in str(failure.value)


def test_the_second_try_has_twice_the_share_of_the_gpu(
    task: RunTask, corpus: EncodedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: list[float] = []
    monkeypatch.setattr(
        "safr_study.training.limit_gpu_memory", lambda _device, share: shares.append(share)
    )
    out_of_memory(monkeypatch, [FAULTS["of the GPU"]])
    train_run(replace(task, gpus=0.25), corpus, lambda _: None)
    assert shares == [0.25, 0.5]


def test_a_fault_that_is_no_lack_of_memory_is_not_tried_again(
    task: RunTask, corpus: EncodedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = out_of_memory(monkeypatch, [_raise(RuntimeError("mat1 and mat2 do not fit"))])
    with pytest.raises(RuntimeError, match="do not fit"):
        train_run(task, corpus, lambda _: None)
    assert trained == [1]


def not_a_number(task: RunTask) -> RunTask:
    """The same trial with penalties that overflow."""
    plain = {**task.train.model_dump(), "penalties": {"lambda_imp": 1e38, "lambda_inter": 1e38}}
    return replace(task, train=TrainConfig.model_validate(plain))


def test_a_loss_that_is_no_number_is_a_failure_with_advice(
    task: RunTask, corpus: EncodedCorpus
) -> None:
    with pytest.raises(TrialFailure, match=r"epoch 1, step \d+: .* not finite; try ") as failure:
        train_run(not_a_number(task), corpus, lambda _: None)
    assert "\n" not in str(failure.value)
    assert not (Path(task.folder) / "model").exists()


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """What the function that Ray calls reports to Ray."""
    events: list[dict[str, str]] = []
    monkeypatch.setattr("ray.tune.report", events.append)
    return events


def last(events: list[dict[str, str]]) -> RunResult:
    finished = read_event(events[-1][EVENT])
    assert isinstance(finished, RunResult)
    return finished


def test_what_ray_calls_reports_the_epochs_and_the_end(
    task: RunTask, corpus: EncodedCorpus, reported: list[dict[str, str]]
) -> None:
    trainable(task.to_config(), corpus)
    epochs = [read_event(event[EVENT]) for event in reported[:-1]]
    finished = last(reported)
    assert epochs == epochs_of(finished)
    assert all(isinstance(epoch, EpochReport) for epoch in epochs)
    assert finished.failure is None


def test_what_ray_calls_reports_a_failure_as_a_sentence(
    task: RunTask, corpus: EncodedCorpus, reported: list[dict[str, str]]
) -> None:
    trainable(not_a_number(task).to_config(), corpus)
    assert len(reported) == 1
    assert "not finite; try" in (last(reported).failure or "")


def test_any_other_fault_ends_this_trial_alone_and_leaves_its_trace(
    task: RunTask,
    corpus: EncodedCorpus,
    reported: list[dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out_of_memory(monkeypatch, [_raise(RuntimeError("mat1 and\nmat2 do not fit"))])
    trainable(task.to_config(), corpus)
    failure = last(reported).failure
    trace = Path(task.folder) / "error.txt"
    assert failure == f"RuntimeError: mat1 and mat2 do not fit (details in {trace})"
    assert "Traceback" in trace.read_text(encoding="utf-8")


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes: a write fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 10_000])
def test_a_disk_without_room_ends_the_study_and_the_trial_goes_on_another_time(
    task: RunTask,
    corpus: EncodedCorpus,
    undisturbed: RunResult,
    tmp_path: Path,
    reported: list[dict[str, str]],
    room: int,
) -> None:
    with largest_file(room):
        trainable(task.to_config(), corpus)
    ended = read_event(reported[-1][EVENT])
    assert isinstance(ended, SharedFault)
    assert not ended.unreachable
    assert ended.sentence.startswith(f"there is no room to write to {task.folder} (")
    assert "\n" not in ended.sentence
    assert numbers(train_run(task, corpus, lambda _: None)) == numbers(undisturbed)


def test_a_trace_that_cannot_be_written_does_not_hide_its_fault(
    task: RunTask,
    corpus: EncodedCorpus,
    reported: list[dict[str, str]],
) -> None:
    Path(task.folder).write_text("a file where the folder should be")
    trainable(task.to_config(), corpus)
    ended = last(reported)
    assert ended.failure is not None
    assert "Error: " in ended.failure
    assert "error.txt" not in ended.failure


def test_what_a_worker_reports_survives_its_way_to_the_driver(
    task: RunTask, corpus: EncodedCorpus
) -> None:
    finished = train_run(task, corpus, lambda _: None)
    at_rung = epochs_of(finished)[0]
    assert at_rung.objectives is not None
    for reported in (finished, at_rung, SharedFault("a full disk", unreachable=True)):
        assert read_event(event(reported)[EVENT]) == reported
    assert read_event(replicate_event(1, at_rung)[EVENT]) is None
    no_number = replace(finished, replicates=(Replicate(0, (float("nan"), 20.5)),))
    read = read_event(event(no_number)[EVENT])
    assert isinstance(read, RunResult)
    assert np.isnan(read.replicates[0].values[0])


def test_the_answers_to_each_text_make_the_objectives(task: RunTask, corpus: EncodedCorpus) -> None:
    objectives = (*OBJECTIVES, Objective(name="srs_excess@30"))
    asked = replace(task, objectives=objectives, answers=True)
    dev = train_run(asked, corpus, lambda _: None).dev
    assert dev is not None
    full, top = dev.answers.whole(), dev.answers.without_top(0.3)
    random = dev.answers.without_random(0.3)
    assert random is not None
    assert dev.values == pytest.approx(
        (100 * full.mean(), 100 * (full.mean() - top.mean()), 100 * (random.mean() - top.mean()))
    )
    assert dev.answers.draws == task.evaluation.draws


def test_the_test_set_is_measured_with_the_kept_model(
    task: RunTask, corpus: EncodedCorpus, reported: list[dict[str, str]]
) -> None:
    task = replace(task, answers=True)
    trainable(task.to_config(), corpus, measure_on_test)
    assert "model.json cannot be read" in (last(reported).failure or "")
    train_run(task, corpus, lambda _: None)
    trainable(task.to_config(), corpus, measure_on_test)
    test = last(reported).test
    assert test is not None
    assert (test.scores.split, test.answers.examples) == ("test", corpus.split("test").examples)
    model = load_model(Path(task.folder) / "model").model
    assert test.values[0] == pytest.approx(accuracy(model, corpus.split("test")))
    assert test.values[0] == pytest.approx(100 * test.answers.whole().mean())


def test_over_an_encoder_the_test_set_is_measured_as_dev_was(task: RunTask, tmp_path: Path) -> None:
    encoder = str(tiny_encoder("bert", tmp_path / "bert"))
    data = SPEC.model_copy(update={"encoder": encoder})
    corpus = encoded_corpus(data)
    shape = task.train.shape.model_copy(update={"mask_hidden_dim": 8})
    task = replace(task, corpus=data, train=task.train.model_copy(update={"shape": shape}))
    trained = train_run(task, corpus, lambda _: None)
    assert trained.dev is not None
    # The texts of dev in the place of test have dev's numbers.
    again = measure_on_test(task, replace(corpus, test=corpus.dev), lambda _: None)
    assert again.test is not None
    assert again.test.values == trained.dev.values


def test_a_damaged_model_is_trained_again_to_the_same_numbers(
    task: RunTask, corpus: EncodedCorpus
) -> None:
    first = train_run(task, corpus, lambda _: None)
    weights = Path(task.folder) / "model" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert numbers(train_run(task, corpus, lambda _: None)) == numbers(first)


def test_the_task_survives_its_way_to_the_worker(task: RunTask) -> None:
    full = replace(
        task, more_seeds=(4, 9), constraints=bounds("accuracy >= majority + 5"), gpus=0.25
    )
    assert RunTask.from_config(json.loads(json.dumps(full.to_config()))) == full


def test_a_folder_that_another_trial_left_is_replaced(
    task: RunTask, corpus: EncodedCorpus, undisturbed: RunResult, tmp_path: Path
) -> None:
    other = TrainConfig.model_validate({**task.train.model_dump(), "learning_rate": 1e-3})
    with pytest.raises(KeyboardInterrupt):
        train_run(replace(task, train=other), corpus, Seen(killed_at=2))
    finished = train_run(task, corpus, seen := Seen())
    assert seen.epochs == [1, 2, 3, 4]
    assert numbers(finished) == numbers(undisturbed)


def test_a_worker_does_not_import_what_the_driver_alone_needs() -> None:
    code = (
        "import sys, safr_study.runner.worker\n"
        "driver = ('optuna', 'mlflow', 'safr_study.ledger')\n"
        "print([name for name in driver if name in sys.modules])\n"
        "import safr_study.runner.source\n"
        "print([name for name in driver if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    worker, driver = done.stdout.splitlines()
    assert worker == "[]"
    assert driver == "['optuna', 'safr_study.ledger']"
