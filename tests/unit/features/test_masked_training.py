"""Rankings on a model that was trained further on texts with random deletions."""

from __future__ import annotations

import copy
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from safr_study.checkpoint.model_files import LoadedModel, load_model, save_model
from safr_study.cli.app import main
from safr_study.data import EncodedCorpus, encoded_corpus
from safr_study.errors import BadInput, TrialFailure
from safr_study.evaluation.prediction import Predictor
from safr_study.evaluation.rankings import measured_scores
from safr_study.evaluation.srs import delete_and_score
from safr_study.features.masked_training import (
    MaskedPlan,
    MaskedStep,
    masked_training,
    plan_masked,
)
from safr_study.features.roar import model_corpus
from safr_study.records.masked import masked_metrics
from safr_study.settings import CONTROLS, CorpusSpec, EvaluationConfig, TrainConfig, Wanted
from safr_study.training import fit
from safr_study.training.augmentation import shortened

CPU = torch.device("cpu")
SPEC = CorpusSpec(dataset="planted", train_limit=100, dev_limit=50, test_limit=60, max_len=42)
CONFIG = TrainConfig.model_validate(
    {
        "shape": {"embed_dim": 16, "ffn_dim": 16, "heads": 2, "mask_hidden_dim": 8},
        "learning_rate": 1e-2,
        "epochs": 2,
        "seed": 3,
    }
)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def corpus() -> EncodedCorpus:
    return encoded_corpus(SPEC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, corpus: EncodedCorpus) -> Path:
    path = tmp_path_factory.mktemp("masked") / "model"
    fitted = fit(CONFIG, corpus, device=CPU)
    save_model(
        path, fitted.model, config=CONFIG, corpus=corpus, spec=SPEC,
        evaluation=EvaluationConfig(), scores=None, epoch=fitted.best_epoch,
    )  # fmt: skip
    return path


def masked(loaded: LoadedModel, corpus: EncodedCorpus, plan: MaskedPlan, **changes: Any) -> Any:
    given: dict[str, Any] = {
        "split": "test",
        "shares": (0.3,),
        "train_counts": None,
        "evaluation": EvaluationConfig(),
        "device": CPU,
    }
    splits: Any = {name: corpus.split(name) for name in ("train", "dev", "test")}
    return masked_training(loaded, model_corpus(loaded, splits), plan, **{**given, **changes})


def test_the_numbers_are_those_of_a_training_written_out(
    folder: Path, corpus: EncodedCorpus
) -> None:
    loaded = load_model(folder)
    state = copy.deepcopy(loaded.model.state_dict())
    steps: list[MaskedStep] = []
    found = masked(loaded, corpus, MaskedPlan(epochs=2, bound=0.5), on_step=steps.append)
    assert all(torch.equal(state[name], v) for name, v in loaded.model.state_dict().items())

    update = {"deletion_augmentation": 1.0, "deletion_bound": 0.5, "patience": 2}
    dev = shortened(corpus.dev, share=1.0, bound=0.5, seed=3, epoch=0)
    again = copy.deepcopy(loaded.model)
    further = fit(
        CONFIG.model_copy(update=update),
        dataclasses.replace(corpus, dev=dev),
        device=CPU,
        model=again,
    )
    texts = corpus.split("test")
    of = Predictor(loaded.model, 128, None, CPU)
    full, scores = measured_scores(of, texts, {"capacity"}, "ffn1_pre_relu")
    after = Predictor(further.model, 128, None, CPU)
    (run,) = found.runs
    assert (run.seed, run.epoch, found.epochs, found.bound) == (3, further.best_epoch, 2, 0.5)
    assert found.learning_rate == 1e-2
    assert set(found.rankings) == {"capacity", *CONTROLS} - {"inverse_frequency"}
    assert set(run.rankings) == set(found.rankings)
    for predictor, values, accuracy in (
        (of, found.rankings, found.accuracy),
        (after, run.rankings, run.accuracy),
    ):
        logits = predictor.logits(texts)
        # By the ranking of the model before, in both.
        expected = delete_and_score(
            predictor, texts, EvaluationConfig(), Wanted(alone=True),
            scores=scores["capacity"], k=0.3, full=logits,
        ).values  # fmt: skip
        for name in ("srs@30", "comprehensiveness@30", "sufficiency@30"):
            assert values["capacity"][name] == expected[name]
        assert accuracy == pytest.approx(100 * (logits.argmax(axis=1) == texts.labels).mean())
    assert run.rankings["capacity"] != found.rankings["capacity"]
    assert [step.report and step.report.epoch for step in steps] == [None, 1, 2]
    assert (full.argmax(axis=1) == of.logits(texts).argmax(axis=1)).all()


def test_seeds_are_averaged_and_each_has_its_own_numbers(
    folder: Path, corpus: EncodedCorpus
) -> None:
    loaded = load_model(folder)
    found = masked(loaded, corpus, MaskedPlan(epochs=1, seeds=2))
    assert [run.seed for run in found.runs] == [0, 1]
    each = [run.rankings["capacity"]["comprehensiveness@30"].value for run in found.runs]
    assert each[0] != each[1]
    mean = found.after("capacity", "comprehensiveness@30")
    assert (mean.value, mean.se) == (pytest.approx(sum(each) / 2), None)
    rows = masked_metrics(found, "remove")
    named = {(row.ranking, row.name): row for row in rows}
    assert len(named) == len(rows) == 3 * len(found.rankings)
    row = named["capacity", "masked_comprehensiveness@30"]
    assert (row.value, row.unit, row.direction) == (mean.value, "points", "higher")
    assert named["random", "masked_sufficiency@30"].direction == "lower"
    assert "mean over 2 seeds" in row.note


def test_what_removes_no_word_is_refused(folder: Path, corpus: EncodedCorpus) -> None:
    loaded = load_model(folder)
    with pytest.raises(BadInput, match=r"masked-training: .* give --mode remove"):
        masked(loaded, corpus, MaskedPlan(), evaluation=EvaluationConfig(mode="unk"))


def test_a_training_that_diverges_is_named(folder: Path, corpus: EncodedCorpus) -> None:
    loaded = load_model(folder)
    wild = loaded.config.model_copy(update={"learning_rate": 1e30})
    loaded = loaded.model_copy(update={"config": wild})
    with pytest.raises(TrialFailure, match="masked training with seed 3: "):
        masked(loaded, corpus, MaskedPlan(epochs=2))


Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["safr-study", "evaluate", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    return run


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--masked-training", "--masked-epochs", "0"], "masked-epochs: 0 is none; give 1 or more"),
        (["--masked-training", "--masked-seeds", "-1"], "masked-seeds: -1 is none"),
        (["--masked-training", "--masked-most", "0"], "masked-most: 0 is no percentage"),
        (["--masked-training", "--masked-most", "101"], "masked-most: 101 is no percentage"),
        (["--masked-training", "--masked-most", "nan"], "masked-most: nan is no percentage"),
        (["--masked-epochs", "5"], "masked-training: its options train nothing"),
    ],
)
def test_a_wrong_option_is_one_sentence_and_exit_2(
    options: list[str], words: str, ask: Ask
) -> None:
    # The options are looked at before the model: there is none.
    code, out, err = ask("nowhere", *options)
    assert (code, out) == (2, "")
    (line,) = err.strip().splitlines()
    assert line.startswith("error: ")
    assert words in line


def test_the_command_line_shows_and_writes_it(folder: Path, tmp_path: Path, ask: Ask) -> None:
    out = tmp_path / "all.csv"
    options = ("--quick", "--split", "test", "--masked-training", "--masked-epochs", "1")
    code, shown, err = ask(str(folder), *options, "--json", "--out", str(out))
    assert code == 0
    assert "masked training 1 of 1, seed 3: at most 1 epochs" in err
    document = json.loads(shown)
    told = document["masked"]
    assert (told["epochs"], told["bound"], told["shares"]) == (1, 0.7, [0.3])
    assert [run["seed"] for run in told["runs"]] == [3]
    before = told["rankings"]["capacity"]["srs@30"]
    rows = {(row["ranking"], row["name"]): row for row in document["metrics"]}
    own = rows["capacity", "srs@30"]
    assert before == [own["value"], own["se"]]
    after = told["runs"][0]["rankings"]["capacity"]["srs@30"]
    assert rows["capacity", "masked_srs@30"]["value"] == after[0]
    assert "inverse_frequency" in told["rankings"]
    assert "masked_srs@30" in out.read_text("utf-8")
    code, shown, _ = ask(str(folder), *options)
    assert code == 0
    assert "Masked training: 1 epoch on texts that lost up to 70 %" in shown
    assert "After: the same rankings, judged by the model as trained further" in shown
    plan = plan_masked(3, 70.0, 1, asked=True)
    assert plan == MaskedPlan()
