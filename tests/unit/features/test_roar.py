from __future__ import annotations

import csv
import dataclasses
import io
import json
import signal
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch

from safr_study.checkpoint.model_files import LoadedModel, load_model, save_model
from safr_study.cli.app import main
from safr_study.data import EncodedCorpus, EncodedSplit, encoded_corpus, remove_tokens
from safr_study.errors import BadInput, TrialFailure
from safr_study.evaluation.deletion import (
    deletion_counts,
    random_scores,
    rank_tokens,
    without_top,
)
from safr_study.evaluation.prediction import Predictor
from safr_study.evaluation.rankings import measured_scores, recomputed_ranks
from safr_study.features.roar import (
    RoarPlan,
    RoarScores,
    RoarStep,
    capacity_scores,
    model_corpus,
    plan_roar,
    roar_by,
    roar_metrics,
    without_tokens,
)
from safr_study.settings import CorpusSpec, EvaluationConfig, TrainConfig
from safr_study.training import fit

CPU = torch.device("cpu")
SPLITS = ("train", "dev", "test")
TINY = {"embed_dim": 16, "ffn_dim": 16, "heads": 2, "mask_hidden_dim": 8}
WITH_PENALTIES = {"lambda_imp": 0.1, "lambda_inter": 0.1, "vmask_beta": 0.01}
NO_VMASK = {"lambda_imp": None, "lambda_inter": None}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny products are slower on several threads, and much slower on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def tiny_spec(variant: str = "single", **limits: int) -> CorpusSpec:
    sizes = {"train_limit": 100, "dev_limit": 50, "test_limit": 80, "max_len": 42, **limits}
    return CorpusSpec.model_validate({"dataset": f"planted:{variant}", **sizes})


def tiny_config(*, vmask: bool = True, **changes: Any) -> TrainConfig:
    given = {
        "shape": {**TINY, "vmask": vmask},
        "penalties": WITH_PENALTIES if vmask else NO_VMASK,
        "learning_rate": 1e-2,
        "epochs": 2,
        "seed": 3,
        **changes,
    }
    return TrainConfig.model_validate(given)


@pytest.fixture(scope="module")
def corpus() -> EncodedCorpus:
    return encoded_corpus(tiny_spec())


def saved_model(
    folder: Path,
    config: TrainConfig,
    spec: CorpusSpec,
    evaluation: EvaluationConfig | None = None,
) -> Path:
    corpus = encoded_corpus(spec)
    fitted = fit(config, corpus, device=CPU)
    save_model(
        folder,
        fitted.model,
        config=config,
        corpus=corpus,
        spec=spec,
        evaluation=evaluation or EvaluationConfig(),
        scores=None,
        epoch=fitted.best_epoch,
    )
    return folder


def splits_of(corpus: EncodedCorpus) -> dict[Any, EncodedSplit]:
    return {name: corpus.split(name) for name in SPLITS}


def by_position(corpus: EncodedCorpus) -> dict[Any, np.ndarray]:
    """A ranking that needs no model: the last token first."""
    return {name: np.arange(len(corpus.split(name).tokens), dtype=np.float64) for name in SPLITS}


def roar_of(
    loaded: LoadedModel, corpus: EncodedCorpus, plan: RoarPlan, **changes: Any
) -> tuple[RoarScores, ...]:
    given: dict[str, Any] = {
        "split": "test",
        "original": 0.0,
        "plan": plan,
        "evaluation": loaded.evaluation,
        "device": CPU,
    }
    given, splits = given | changes, splits_of(corpus)
    scores = capacity_scores(loaded, splits, plan, given["evaluation"], CPU)
    return roar_by(scores, loaded.config, model_corpus(loaded, splits), **given)


def ranked_roar(
    scores: dict[Any, np.ndarray], config: TrainConfig, corpus: EncodedCorpus, plan: RoarPlan,
    **changes: Any,
) -> tuple[RoarScores, ...]:  # fmt: skip
    given: dict[str, Any] = {
        "split": "test",
        "original": 0.0,
        "plan": plan,
        "evaluation": EvaluationConfig(),
        "device": CPU,
    }
    return roar_by(scores, config, corpus, **{**given, **changes})


@pytest.mark.parametrize("k", [0.05, 0.3, 1.0])
def test_every_split_loses_its_top_tokens_and_nothing_else(corpus: EncodedCorpus, k: float) -> None:
    rng = np.random.default_rng(0)
    # Few different scores, so that ties are decided by position.
    scores: dict[Any, np.ndarray] = {
        name: rng.integers(0, 4, len(corpus.split(name).tokens)).astype(float) for name in SPLITS
    }
    left = without_tokens(corpus, scores, k)
    for name in SPLITS:
        whole, found = corpus.split(name), left.split(name)
        counts = deletion_counts(whole.lengths, k)
        keep = without_top(rank_tokens(scores[name], whole.offsets), whole.offsets, counts)
        expected = remove_tokens(whole, keep)
        assert found.tokens.tolist() == expected.tokens.tolist()
        assert found.offsets.tolist() == expected.offsets.tolist()
        assert found.labels.tolist() == whole.labels.tolist()
        assert found.rationale is not None
        assert expected.rationale is not None
        assert found.rationale.tolist() == expected.rationale.tolist()
        for row in range(whole.examples):
            text = slice(whole.offsets[row], whole.offsets[row + 1])
            n = int(whole.lengths[row])
            order = sorted(range(n), key=lambda i: (-scores[name][text][i], i))
            gone = set(order[: round(Fraction(str(k)) * n)])
            kept = [int(word) for i, word in enumerate(whole.tokens[text]) if i not in gone]
            assert found.tokens[found.offsets[row] : found.offsets[row + 1]].tolist() == kept
    assert left.vocabulary == corpus.vocabulary
    assert left.vocabulary_size == corpus.vocabulary_size
    assert left.fingerprint != corpus.fingerprint


def test_a_split_without_scores_stays_whole(corpus: EncodedCorpus) -> None:
    scores: dict[Any, np.ndarray] = {"dev": np.zeros(len(corpus.dev.tokens))}
    left = without_tokens(corpus, scores, 0.5)
    assert left.train is corpus.train
    assert left.test is corpus.test
    assert len(left.dev.tokens) < len(corpus.dev.tokens)


MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "masked": ("single", {}),
    "without vmask": ("single", {"vmask": False}),
    "reference": ("single", {"preset": "reference"}),
    "reference without vmask": ("single", {"preset": "reference", "vmask": False}),
    "four classes": ("4class", {}),
}


@pytest.mark.parametrize("name", MODELS)
def test_nothing_removed_gives_the_model_again_and_all_removed_a_constant(
    name: str, tmp_path: Path
) -> None:
    variant, changes = MODELS[name]
    spec, config = tiny_spec(variant), tiny_config(**changes)
    corpus = encoded_corpus(spec)
    loaded = load_model(saved_model(tmp_path / "model", config, spec), device=CPU)
    pad_to = corpus.max_len if config.preset == "reference" else None
    texts = corpus.split("test")
    original = (
        Predictor(loaded.model, 128, pad_to, CPU).logits(texts).argmax(axis=1) == texts.labels
    )

    # No text has 50 tokens: 1 % of them is none.
    nothing, everything = roar_of(loaded, corpus, RoarPlan((0.01, 1.0)), original=12.5)

    assert nothing.realised_share == 0.0
    assert nothing.accuracy_top == nothing.accuracy_random == 100 * original.mean()
    assert nothing.accuracy_original == 12.5
    assert everything.realised_share == 1.0
    of_classes = 100 * np.bincount(texts.labels) / texts.examples
    assert everything.accuracy_top == everything.accuracy_random
    assert everything.accuracy_top in of_classes
    for one in (nothing, everything):
        assert one.only_run is not None
        assert (one.only_run.seed, one.roar) == (config.seed, 0.0)
        assert (one.only_run.roar_se, one.only_run.mcnemar_p) == (0.0, 1.0)


def test_a_ranking_that_finds_the_cues_takes_accuracy_to_chance() -> None:
    corpus = encoded_corpus(
        tiny_spec(train_limit=600, dev_limit=100, test_limit=200, min_count=4)
    )  # fmt: skip
    config = tiny_config(
        vmask=False, shape={**TINY, "vmask": False, "dropout": 0.0}, learning_rate=3e-2, epochs=10,
        patience=10,
    )  # fmt: skip
    cues: dict[Any, np.ndarray] = {}
    for name in SPLITS:
        rationale = corpus.split(name).rationale
        assert rationale is not None
        cues[name] = rationale.astype(np.float64)
    # The shortest text has 10 tokens, so that 10 % of each holds its one cue.
    (found,) = ranked_roar(cues, config, corpus, RoarPlan((0.1,)))
    assert 40 <= found.accuracy_top <= 60
    assert found.accuracy_random > 75
    assert found.only_run is not None
    assert found.roar > 5 * found.only_run.roar_se
    assert found.only_run.mcnemar_p < 1e-4
    # The other way round: to keep the cues and lose others is no worse than chance removal.
    (kept,) = ranked_roar({n: -v for n, v in cues.items()}, config, corpus, RoarPlan((0.1,)))
    assert kept.accuracy_top > 75
    assert kept.roar < 10


@pytest.mark.parametrize("preset", ["masked", "reference"])
def test_the_numbers_are_those_of_trainings_written_out(preset: str, corpus: EncodedCorpus) -> None:
    config, k = tiny_config(vmask=False, epochs=4, preset=preset), 0.3
    pad_to = corpus.max_len if preset == "reference" else None
    scores = by_position(corpus)
    # Batches of less than the split: without the padding their lengths differ.
    evaluation = EvaluationConfig(seed=5, batch_size=16)
    (found,) = ranked_roar(
        scores, config, corpus, RoarPlan((k,)), original=71.0, evaluation=evaluation
    )
    chance: dict[Any, np.ndarray] = {
        name: random_scores(corpus.split(name).offsets, k, config.seed, seed=5) for name in SPLITS
    }
    right = []
    for ranking in (scores, chance):
        left = without_tokens(corpus, ranking, k)
        texts = left.split("test")
        model = fit(config, left, device=CPU).model
        right.append(Predictor(model, 16, pad_to, CPU).logits(texts).argmax(axis=1) == texts.labels)
    top, random = right
    z = random.astype(float) - top
    lengths = corpus.split("test").lengths
    assert found.realised_share == sum(round(Fraction(3, 10) * int(n)) for n in lengths) / sum(
        lengths
    )
    assert found.accuracy_original == 71.0
    (run,) = found.runs
    assert run.seed == config.seed
    assert (found.accuracy_top, run.accuracy_top) == (100 * top.mean(), 100 * top.mean())
    assert (found.accuracy_random, run.accuracy_random) == (100 * random.mean(),) * 2
    assert run.roar == found.roar == pytest.approx(100 * z.mean())
    assert run.roar_se == pytest.approx(100 * z.std() / np.sqrt(len(z)))
    flips = (int((z > 0).sum()), int((z < 0).sum()))
    assert sum(flips) > 0
    assert run.mcnemar_p == pytest.approx(scipy.stats.binomtest(flips[0], sum(flips)).pvalue)
    assert (found.roar_low, found.roar_high) == (None, None)


def test_seeds_have_an_interval_and_each_its_own_numbers(corpus: EncodedCorpus) -> None:
    config, scores = tiny_config(vmask=False), by_position(corpus)
    steps: list[RoarStep] = []
    plan = RoarPlan((0.2, 0.4), seeds=3)
    found = ranked_roar(scores, config, corpus, plan, on_step=steps.append)
    assert [one.k for one in found] == [0.2, 0.4]
    for one in found:
        points = [run.roar for run in one.runs]
        assert [run.seed for run in one.runs] == [0, 1, 2]
        assert len(set(points)) > 1
        mean, se = np.mean(points), scipy.stats.sem(points)
        low, high = scipy.stats.t.interval(0.95, 2, loc=mean, scale=se)
        assert one.roar == pytest.approx(mean)
        assert (one.roar_low, one.roar_high) == pytest.approx((low, high))
        assert one.accuracy_top == pytest.approx(np.mean([run.accuracy_top for run in one.runs]))
        assert one.roar == pytest.approx(one.accuracy_random - one.accuracy_top)
        assert one.only_run is None
    # A pair of trainings has its numbers whatever else is trained, and has them again.
    alone = ranked_roar(scores, config.model_copy(update={"seed": 1}), corpus, RoarPlan((0.4,)))
    assert alone[0].runs == found[1].runs[1:2]
    other = ranked_roar(scores, config, corpus, RoarPlan((0.4,)))
    assert other[0].only_run is not None
    assert other[0].only_run.seed == config.seed

    begun = [step for step in steps if step.report is None]
    assert [step.training for step in begun] == list(range(1, 13))
    assert {step.trainings for step in steps} == {12}
    assert [(s.k, s.seed, s.removed) for s in begun[:4]] == [
        (0.2, 0, "top"), (0.2, 0, "random"), (0.2, 1, "top"), (0.2, 1, "random"),
    ]  # fmt: skip
    epochs = [step.report.epoch for step in steps if step.report is not None]
    assert epochs == [1, 2] * 12

    names = [metric.name for metric in roar_metrics(found)]
    assert names == ["roar@20", "roar@40"]
    assert roar_metrics(found)[0].se is None
    assert roar_metrics(found)[0].note.startswith("3 seeds, 95 % interval ")


def test_the_ranking_is_the_models_capacity(corpus: EncodedCorpus, tmp_path: Path) -> None:
    layer: Any = "ffn1_post_relu"  # Not the default.
    config, plan = tiny_config(epochs=1), RoarPlan((0.1, 0.2))
    evaluation = EvaluationConfig(capacity_layer=layer, batch_size=32, mode="unk")
    loaded = load_model(saved_model(tmp_path / "model", config, tiny_spec(), evaluation))
    predictor = Predictor(loaded.model, 32, None, CPU)
    texts = splits_of(corpus)
    capacities = {
        name: measured_scores(predictor, split, {"capacity"}, layer)[1]["capacity"]
        for name, split in texts.items()
    }
    expected = ranked_roar(capacities, config, corpus, plan, evaluation=evaluation)
    assert roar_of(loaded, corpus, plan) == expected
    assert expected != ranked_roar(by_position(corpus), config, corpus, plan)

    anew = evaluation.model_copy(update={"recompute": True})
    turns = {}
    for name, split in texts.items():
        counts = deletion_counts(split.lengths, 0.2)
        turns[name] = -recomputed_ranks(predictor, split, counts, layer).astype(float)
    assert roar_of(loaded, corpus, plan, evaluation=anew) == ranked_roar(
        turns, config, corpus, plan, evaluation=evaluation
    )


def test_a_training_that_diverges_is_named(corpus: EncodedCorpus) -> None:
    config = tiny_config(penalties={**WITH_PENALTIES, "lambda_imp": 1e300})
    with pytest.raises(TrialFailure, match=r"ROAR\(30\), retraining with seed 3, top tokens .*: "):
        ranked_roar(by_position(corpus), config, corpus, RoarPlan((0.3,)))


def test_options_become_a_plan() -> None:
    assert plan_roar([30, 5, 30.0], 2) == RoarPlan((0.05, 0.3), 2)
    assert plan_roar([], 1) is None
    for percents, seeds in (([0], 1), ([100.5], 1), ([float("nan")], 1), ([30, -1], 1)):
        with pytest.raises(BadInput, match=r"roar: .* give a number from 1 to 100"):
            plan_roar(percents, seeds)
    with pytest.raises(BadInput, match="roar-seeds: "):
        plan_roar([30], 0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--roar", "0"], "roar: 0 is no percentage"),
        (["--roar", "30", "--roar", "101"], "roar: 101 is no percentage"),
        (["--roar", "nan"], "roar: nan is no percentage"),
        (["--roar", "some"], "--roar"),
        (["--roar", "30", "--roar-seeds", "0"], "--roar-seeds"),
        (["--roar-seeds", "3"], "roar-seeds: nothing is retrained; give --roar K"),
    ],
)
def test_a_wrong_option_is_one_sentence_and_exit_2(
    options: list[str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # The options are looked at before the model: there is none.
    monkeypatch.setattr(sys, "argv", ["safr-study", "evaluate", "nowhere", *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.strip().splitlines()
    assert line.startswith("error: ")
    assert words in line


def test_the_command_line_shows_and_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config(vmask=False)
    folder = saved_model(tmp_path / "model", config, tiny_spec())
    monkeypatch.chdir(tmp_path)
    command = ["safr-study", "evaluate", str(folder), "--quick", "--split", "test", "--roar", "30"]

    def shown_by(*options: str) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", [*command, *options])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        shown = capsys.readouterr()
        return shown.out, shown.err

    out, err = shown_by("--json", "--out", "all.csv")
    document = json.loads(out)
    assert "ROAR(30), training 1 of 2: without the top, seed 3: at most 2 epochs" in err
    assert "ROAR(30), training 2 of 2: without random tokens, seed 3: " in err
    loaded = load_model(folder)
    (expected,) = roar_of(
        loaded,
        encoded_corpus(tiny_spec()),
        RoarPlan((0.3,)),
        original=document["scores"]["accuracy"],
    )
    assert document["roar"] == [json.loads(json.dumps(dataclasses.asdict(expected)))]
    with (tmp_path / "all.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["metric"]: row for row in csv.DictReader(file)}
    row = rows["roar@30"]
    assert float(row["value"]) == pytest.approx(expected.roar)
    assert float(row["se"]) == pytest.approx(expected.runs[0].roar_se)
    assert (row["split"], row["unit"], row["better"]) == ("test", "points", "higher")
    assert row["mode"] == "remove"
    assert rows.keys() == {metric["name"] for metric in document["metrics"]}

    out, _ = shown_by("--roar-seeds", "2", "--roar", "10")
    table = out[out.index("ROAR by capacity") :]
    assert "2 seeds" in table
    assert "95 % interval" in table
    first_words = [line.split()[0] for line in table.splitlines() if line.strip()]
    assert [word for word in first_words if word.isdecimal()] == ["10", "30"]


def test_an_interrupt_in_a_training_ends_with_exit_130(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = saved_model(tmp_path / "model", tiny_config(vmask=False), tiny_spec())
    monkeypatch.chdir(tmp_path)

    class Interrupting(io.StringIO):
        """Ctrl-C as soon as the second training is announced."""

        def write(self, text: str) -> int:
            if "training 2 of 2" in text:
                signal.raise_signal(signal.SIGINT)
            return super().write(text)

    said = Interrupting()
    monkeypatch.setattr(sys, "stderr", said)
    command = ["safr-study", "evaluate", str(folder), "--quick", "--roar", "30"]
    monkeypatch.setattr(sys, "argv", [*command, "--json", "--out", "all.csv"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert "training 1 of 2" in said.getvalue()
    assert said.getvalue().splitlines()[-1].startswith("error: interrupted")
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "all.csv").exists()
