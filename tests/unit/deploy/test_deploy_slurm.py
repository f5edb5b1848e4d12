"""The batch script under stand-ins for Slurm's and Ray's programs, which write down their words."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

STAND_INS = {
    "scontrol": 'echo "$SLURM_JOB_NODELIST" | tr , "\\n"',
    # One task is enough: the first node's, which runs the command.
    "srun": 'while [ "${1#--}" != "$1" ]; do shift; done; exec "$@"',
    "hostname": "echo 10.0.0.7 fe80::1",
    "ray": (
        'cat "$RAY_AUTH_TOKEN_PATH" >token; stat -c %a "$RAY_AUTH_TOKEN_PATH" >mode; '
        'echo "$@" >ray; [ -n "$RAY_FAILS" ] && exit 0; '
        'while [ "$1" != -- ]; do shift; done; shift; exec "$@"'
    ),
    "safr-study": 'for word in "$@"; do echo "$word"; done >study; exit "${STUDY_ENDS:-0}"',
}

Submit = Callable[..., "Ended"]


class Ended(NamedTuple):
    code: int
    err: str
    folder: Path

    def written(self, name: str) -> str:
        return (self.folder / name).read_text("utf-8")


@pytest.fixture
def submit(deploy: Path, tmp_path: Path) -> Submit:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, script in STAND_INS.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (programs / name).chmod(0o755)

    def run(*arguments: str, **environment: str) -> Ended:
        given = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "SAFR_STUDY_HOME": str(tmp_path / "home"),
            "SLURM_JOB_ID": "17",
            "SLURM_JOB_NUM_NODES": "2",
            "SLURM_JOB_NODELIST": "node-a,node-b",
            "SLURM_GPUS_ON_NODE": "4",
            **environment,
        }
        command = ["bash", str(deploy / "slurm.sh"), *arguments]
        done = subprocess.run(
            command,
            env={name: value for name, value in given.items() if value},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return Ended(done.returncode, done.stderr, tmp_path)

    return run


def test_ray_is_started_on_every_node_and_the_study_on_the_first(submit: Submit) -> None:
    ended = submit("--dataset", "my data.csv", "--study", "s1")
    assert (ended.code, ended.err) == (0, "")
    started = shlex.split(ended.written("ray"))
    assert started[:12] == [
        *("symmetric-run", "--address", "10.0.0.7:6379", "--min-nodes", "2"),
        *("--num-cpus", "16", "--num-gpus", "4", "--", "sh", "-c"),
    ]
    assert ended.written("study").splitlines() == [
        *("search", "--address", "auto", "--time-budget", "7h", "--quiet"),
        *("--dataset", "my data.csv", "--study", "s1"),
    ]


def test_the_token_is_new_secret_and_goes_with_the_job(submit: Submit) -> None:
    tokens = set()
    for _ in range(2):
        ended = submit("--dataset", "planted")
        tokens.add(ended.written("token"))
        assert ended.written("mode").strip() == "600"
        assert list((ended.folder / "home").iterdir()) == []
    assert len(tokens) == 2
    assert all(re.fullmatch(r"[0-9a-f]{64}", token) for token in tokens)


@pytest.mark.parametrize("code", ["2", "3", "130"])
def test_the_job_ends_as_the_study_did(submit: Submit, code: str) -> None:
    assert submit("--dataset", "planted", STUDY_ENDS=code).code == int(code)


def test_ray_that_did_not_start_is_no_success(submit: Submit) -> None:
    # symmetric-run says 0 then.
    ended = submit("--dataset", "planted", RAY_FAILS="yes")
    assert ended.code == 1
    assert ended.err == "error: Ray did not start on 2 nodes; see above\n"


@pytest.mark.parametrize(
    ("missing", "said"),
    [("SAFR_STUDY_HOME", "a folder that all nodes share"), ("SLURM_JOB_NUM_NODES", "sbatch")],
)
def test_what_is_missing_is_said(submit: Submit, missing: str, said: str) -> None:
    ended = submit("--dataset", "planted", **{missing: ""})
    assert ended.code != 0
    assert said in ended.err
