"""The README and the pages after it, command by command, as typed by a newcomer; the long ones in
the README's own short form.

``make demo`` and what serves run the installed program; the other commands are forks of a process
that has its imports.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import environment
from fork_server import server, write_program
from ray_nodes import free_port, ray_nodes
from services import services
from serving import answering
from shared_ray import shared_address
from written_commands import PAGES, ROOT, shell_blocks

TEXT = "\n".join(PAGES.values())
BIN = Path(sys.executable).parent
TIMEOUT = 280
LEDGER = "postgresql+psycopg://safr@postgres/ledger"
MAKE_TEST = "make test"
"""Is what runs this."""
_GOOD = ["gripping", "funny", "superb", "warm", "clever", "brilliant", "moving", "fresh"]
_BAD = ["dull", "clumsy", "stale", "awful", "tired", "bland", "hollow", "lazy"]
_NEUTRAL = ["a", "film", ",", "the", "plot", "and", "cast", "scene", "is", "it", "of"]


def block_with(words: str) -> list[str]:
    """The commands of the block of the pages with these words, continued lines joined."""
    (found,) = (block for block in shell_blocks(TEXT) if words in block)
    lines = (line.partition(" #")[0].strip() for line in found.replace("\\\n", " ").splitlines())
    return [line for line in lines if line]


def short_forms() -> dict[str, str]:
    """Options by command, from the paragraph that tells how a long command ends soon."""
    (paragraph,) = re.findall(r"\*\*In a hurry\?\*\*(.*?)\n\n", TEXT, flags=re.DOTALL)
    search, reproduce, confirm = re.findall(r"`(--[^`]*)`", " ".join(paragraph.split()))
    return {"search": search, "submit": search, "reproduce": reproduce, "confirm": confirm}


class Shell:
    """A shell in a folder, with ``safr-study`` on its path and data of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_program(folder / "bin" / "safr-study", TIMEOUT, shared_address(server()))
        (folder / "data").mkdir()
        for name in ("sst2", "sst2-treebank", "imdb"):
            (folder / "data" / name).mkdir()
            for number, split in enumerate(("train", "validation", "test")):
                texts(number).to_parquet(folder / "data" / name / f"{split}.parquet")
        reviews = texts(3)
        stars = reviews["label"] * 2 + 1
        table = {"review": reviews["text"], "stars": stars}
        pd.DataFrame(table).to_csv(folder / "reviews.csv", index=False)
        (space,) = re.findall(
            r"^```yaml\n(name: my-space\n.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL
        )
        (folder / "my-space.yaml").write_text(space, encoding="utf-8")
        self.environment = environment(folder / ".safr-study")
        # As for a person: the home is the folder's.
        del self.environment["SAFR_STUDY_HOME"]
        self.environment |= {
            "HOME": str(folder),
            "PATH": os.pathsep.join([str(folder / "bin"), str(BIN), self.environment["PATH"]]),
            "SAFR_STUDY_DATA": str(folder / "data"),
        }

    def run(self, line: str) -> str:
        """What a line prints; a long one in its short form.

        What it would stop has ended by then, and is said to have.
        """
        stops = "safr-study stop" in line
        done = subprocess.run(
            ["bash", "-c", shortened(line)],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        said = f"$ {line}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == (2 if stops else 0), said
        assert not stops or "running: there is nothing to stop" in said
        assert "Traceback" not in said
        return done.stdout + done.stderr


def served(shell: Shell, line: str, url: str) -> AbstractContextManager[None]:
    """A line of the pages that serves, by the installed program, while the block runs."""
    installed = os.pathsep.join([str(BIN), shell.environment["PATH"]])
    return answering(line, url, env={**shell.environment, "PATH": installed}, cwd=shell.folder)


def shortened(line: str) -> str:
    """A command with the options that the README names for those in a hurry."""
    for command, options in short_forms().items():
        line = re.sub(rf"(safr-study {command} .*)", rf"\1 {options}", line)
    return line


def texts(seed: int) -> pd.DataFrame:
    """600 texts whose class is that of most of their words."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, 600)
    rows = []
    for label in labels:
        words = [*draw.choice(_GOOD if label else _BAD, 4), *draw.choice(_NEUTRAL, 6)]
        words += draw.choice(_BAD if label else _GOOD, 1).tolist()
        rows.append(" ".join(draw.permutation(words)))
    return pd.DataFrame({"text": rows, "label": labels})


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """With the study of the tour in it."""
    shell = Shell(tmp_path_factory.mktemp("readme"))
    (line,) = block_with("search --dataset sst2 --study s1 ")
    assert "3 of 3 trials" in shell.run(line)
    return shell


def test_the_first_command_ends_with_what_to_try_next(tmp_path: Path) -> None:
    demo, test = block_with("make demo")
    assert test == MAKE_TEST
    recipe = subprocess.run(
        [*demo.split(), "--dry-run", "--old-file=install", f"BIN={BIN}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    (command,) = (line for line in recipe if "safr-study" in line)
    said = Shell(tmp_path).run(command)
    assert "safr-study pareto demo" in said


@pytest.mark.timeout(600)
def test_the_tour(shell: Shell) -> None:
    """Of the study: its tables, its models, one model, the confirmation."""
    lines = block_with("safr-study pareto s1")
    (ui,) = (line for line in lines if "safr-study ui" in line)
    said = {line: shell.run(line) for line in lines if line != ui}
    (confirmed,) = (text for line, text in said.items() if "safr-study confirm" in line)
    # Two seeds of each, as the short form asks for.
    trained = re.findall(r"^trial (\d+).*, seed (\d+): accuracy", confirmed, flags=re.MULTILINE)
    assert {(one, seed) for one, _ in trained for _, seed in trained} == set(trained)
    assert len({seed for _, seed in trained}) == 2
    for made in ("figures", "report.html", "model/weights.safetensors", "page.html"):
        assert (shell.folder / made).exists(), made
    port = free_port()
    with served(shell, f"{ui} --port {port}", f"http://127.0.0.1:{port}/health"):
        pass  # MLflow's page has answered.


def test_your_own_data_and_space(shell: Shell) -> None:
    if not (shell.folder / "model").exists():
        shell.run("safr-study pull safr-sst2 --to model")
    for line in [*block_with("--label-column stars"), *block_with("my-space.yaml")]:
        shell.run(line)


@pytest.fixture(scope="module")
def two_studies(shell: Shell) -> Shell:
    """All searches of the pages have run."""
    for line in block_with("--study s2"):
        shell.run(line)
    assert (shell.folder / "s3.json").read_text("utf-8").startswith("{")
    return shell


def test_studies_side_by_side_and_what_the_server_missed(two_studies: Shell) -> None:
    for line in [*block_with("compare s1 s2"), *block_with("sync s1")]:
        two_studies.run(line)
    assert (two_studies.folder / "s2.html").exists()


def test_one_model_closely(shell: Shell) -> None:
    if not (shell.folder / "model").exists():
        shell.run("safr-study pull safr-sst2 --to model")
    for line in block_with("--roar 30"):
        shell.run(line)
    for made in ("metrics.csv", "film.png", "film.svg"):
        assert (shell.folder / made).stat().st_size > 0


def test_a_file_predicted(shell: Shell) -> None:
    if not (shell.folder / "model").exists():
        shell.run("safr-study pull safr-sst2 --to model")
    for line in block_with("--out reviews.parquet"):
        assert "600 rows" in shell.run(line)
    assert len(pd.read_parquet(shell.folder / "reviews.parquet")) == 600


def test_a_registered_model_explained_and_served(shell: Shell) -> None:
    explain, serve, curl = block_with("mlflow models serve")
    assert "gripping" in shell.run(explain)
    shell.environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{shell.folder}/.safr-study/mlflow.db"
    port = str(free_port())
    try:
        with served(shell, serve.replace("5001", port), f"http://127.0.0.1:{port}/ping"):
            assert '"capacity"' in shell.run(curl.replace("5001", port))
    finally:
        del shell.environment["MLFLOW_TRACKING_URI"]


def test_a_model_served_by_one_command(shell: Shell) -> None:
    (line,) = block_with("safr-study serve")
    port = str(free_port())
    with served(shell, line.replace("5001", port), f"http://127.0.0.1:{port}/ping"):
        pass  # The server has answered.


def test_the_paper_s_tables(shell: Shell) -> None:
    for line in block_with("reproduce table1"):
        shell.run(line)
    assert list((shell.folder / "tables").glob("*.md"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shell, dict[str, str]]]:
    """A person's shell, and what the README's addresses are on this machine."""
    shell = Shell(tmp_path_factory.mktemp("person"))
    folder = tmp_path_factory.mktemp("cluster")
    with services(folder / "mlflow") as stores:
        variables = {
            **stores.environment,
            "PATH": shell.environment["PATH"],
            "SAFR_STUDY_HOME": str(folder / "head"),
            "SAFR_STUDY_DATA": shell.environment["SAFR_STUDY_DATA"],
            "HF_HUB_OFFLINE": "1",
        }
        with ray_nodes([{"num_cpus": 2}], variables) as nodes:
            token = shell.folder / ".ray" / "auth_token"
            token.parent.mkdir()
            token.write_text(nodes.token)
            reached = {**stores.environment, **nodes.environment}
            # The token comes from its file.
            del reached["RAY_AUTH_TOKEN"]
            shell.environment |= reached
            yield (
                shell,
                {
                    "http://127.0.0.1:8265": nodes.dashboard,
                    LEDGER: stores.ledger,
                    "http://mlflow:5000": stores.tracking,
                    "s3://safr/checkpoints": stores.checkpoints,
                },
            )


@pytest.mark.cluster
def test_a_study_on_a_cluster(cluster: tuple[Shell, dict[str, str]]) -> None:
    shell, here = cluster
    export, *lines = block_with("safr-study submit")
    for line in lines:
        for written, real in here.items():
            line = line.replace(written, real)
        said = shell.run(f"{export}; {line}")
        if "submit" in line:
            assert "3 of 3 trials" in said
    # Its models are looked at from anywhere that reaches the stores.
    report = shell.run(f"safr-study report s5 --storage {here[LEDGER]} --out s5.html --json")
    told, _ = json.JSONDecoder().raw_decode(report[report.index("{") :])
    assert told["missing"] == [], told["missing"]


def test_every_block_of_the_pages_is_run_here() -> None:
    source = Path(__file__).read_text("utf-8")
    for words in re.findall(r'block_with\(\s*"([^"]+)"', source):
        assert block_with(words)
    run = {
        line
        for words in re.findall(r'block_with\("([^"]+)"\)', source)
        for line in block_with(words)
    }
    written = [
        line for block in shell_blocks(TEXT) for line in block.replace("\\\n", " ").splitlines()
    ]
    missing = [
        line for line in written if (text := line.partition(" #")[0].strip()) and text not in run
    ]
    assert missing == []
