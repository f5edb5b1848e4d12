"""Homes, databases, servers and clusters that cannot be used."""

from __future__ import annotations

import gc
import json
import os
import resource
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from bad_input import Case, Table, all_of, counted, writes
from postgres_server import database

from safr_study.home import Home

DEAD = "127.0.0.1:9"
"""Nothing listens on this port."""
SEARCH = ("search", "--dataset", "planted", "--study", "new", "--trials", "2", "--quiet")


def home(folder: Path, **files: str | bytes) -> None:
    """A home of this version with some files."""
    writes("home/home.json", '{"schema": 1}')(folder)
    for name, content in files.items():
        writes(f"home/{name}", content)(folder)


def journal(content: str | bytes) -> Callable[[Path], object]:
    return lambda folder: home(folder, **{"ledgers/s.journal": content})


def sqlite(statement: str) -> Callable[[Path], object]:
    """A database file with something in it."""

    def make(folder: Path) -> None:
        with sqlite3.connect(folder / "x.db") as made:
            made.executescript(statement)
        made.close()

    return make


def ledger(url: str, says: str, **more: object) -> Case:
    return Case(("list", "--storage", url), says, **more)  # type: ignore[arg-type]


def tracked(uri: str, says: str, **more: object) -> Case:
    return Case(("models", "--tracking-uri", uri), says, **more)  # type: ignore[arg-type]


def at_home(says: str, given: Callable[[Path], object], *command: str) -> Case:
    return Case((*(command or ("list",)), "--home", "home"), says, given=given)


DRY = ("search", "--dataset", "planted", "--dry-run")
CASES: Table = {
    "a home that is a file": at_home("--home", writes("home", "x")),
    "a home below a file": Case(
        (*DRY, "--home", "x/home"), "x/home cannot be used", given=writes("x", "here")
    ),
    "a home that nobody may write": Case(
        (*DRY, "--home", "/proc/safr-study"), "home: /proc/safr-study cannot be used"
    ),
    "a home that is not there": Case(
        ("list", "--home", "mistyped"), "mistyped; give the folder that the study was run with"
    ),
    "a home of another version": at_home(
        "has schema 2, this version reads 1", writes("home/home.json", '{"schema": 2}')
    ),
    "a home with a broken mark": at_home("cannot be used", writes("home/home.json", "{")),
    "a home with a list for a mark": at_home("cannot be used", writes("home/home.json", "[1]")),
    "the home of nobody": Case(("list", "--home", "~nobody-here/x"), "home: "),
    "a home whose name is too long": Case(("list", "--home", "x" * 300), "home: "),
    "a ledger that is none": at_home(
        "ledgers/s.journal cannot be read", journal("x\ny\n"), "pareto", "s"
    ),
    "a ledger of bytes": at_home(
        "ledgers/s.journal cannot be read",
        journal(2 * (bytes(range(128, 256)) + b"\n")),
        "pareto",
        "s",
    ),
    "a ledger of other lines": at_home(
        "ledgers/s.journal cannot be read", journal('{"a": 1}\n'), "pareto", "s"
    ),
    "a ledger of numbers": at_home(
        "ledgers/s.journal cannot be read", journal("1\n2\n"), "pareto", "s"
    ),
    "a ledger that is a folder": at_home(
        "s.journal",
        all_of(home, lambda at: (at / "home/ledgers/s.journal").mkdir(parents=True)),
        "pareto",
        "s",
    ),
    "an empty ledger": at_home("study: 's' is unknown here", journal(""), "pareto", "s"),
    "a storage that is no address": ledger("x", "storage: must be a database URL"),
    "a storage of no kind": ledger("oracle+magic://x/y", "storage: must be a database URL"),
    "a storage by the web": ledger("http://127.0.0.1/x", "storage: must be a database URL"),
    "a storage on a wrong port": ledger("postgresql+psycopg://a@b:port/x", "storage: must be"),
    "an empty storage": ledger("", "storage: must be a database URL"),
    "a database that is off": ledger(
        f"postgresql+psycopg://safr:hunter2@{DEAD}/ledger", "storage: the ledger's database", code=4
    ),
    "a database in a folder that is not there": ledger(
        "sqlite:///no/such/x.db", "storage: the ledger's database", code=4
    ),
    "a database that is a text": ledger(
        "sqlite:///x.db", "storage: ", given=writes("x.db", "not a database " * 100), code=4
    ),
    "a database of another version": ledger(
        "sqlite:///x.db",
        "storage: ",
        given=sqlite(
            "CREATE TABLE version_info (version_info_id INTEGER PRIMARY KEY,"
            " schema_version INTEGER, library_version VARCHAR(256));"
            "INSERT INTO version_info VALUES (1, 1, '0.1.0');"
        ),
        code=4,
    ),
    "a study in no database": Case(
        ("pareto", "nobody", "--storage", "sqlite:///x.db"), "study: 'nobody' is unknown here"
    ),
    "a server of no kind": tracked("ftp://x/y", "tracking-uri: 'ftp://x/y' is no store"),
    "a server that is a folder": tracked("./mlruns", "tracking-uri: './mlruns' is no store"),
    "a server by file": tracked("file:///tmp/mlruns", "is no store"),
    "a server on a wrong port": tracked("http://127.0.0.1:port", "is no store"),
    "a server on a port too high": tracked("http://127.0.0.1:99999", "is no store"),
    "a server that is off": tracked(f"http://{DEAD}", f"nothing answers at http://{DEAD}", code=4),
    "a server without a name": tracked(
        "http://no-such-host.invalid", "tracking: nothing answers", code=4
    ),
    "a server with a password, and off": tracked(
        f"http://safr:hunter2@{DEAD}", f"nothing answers at http://{DEAD}", code=4
    ),
    "a tracking database that is off": tracked(
        f"postgresql+psycopg://safr:hunter2@{DEAD}/mlflow", "cannot be opened", code=4
    ),
    "a tracking database that is a text": tracked(
        "sqlite:///x.db", "cannot be opened", given=writes("x.db", "not a database " * 99), code=4
    ),
    "a tracking database of another version": tracked(
        "sqlite:///x.db",
        "cannot be opened",
        given=sqlite(
            "CREATE TABLE alembic_version (version_num VARCHAR(32));"
            "INSERT INTO alembic_version VALUES ('ffffffffffff');"
            "CREATE TABLE experiments (experiment_id INTEGER);"
        ),
        code=4,
    ),
    "a cluster that is off": Case(
        (*SEARCH, "--address", DEAD), f"address: nothing answers at {DEAD}", code=4
    ),
    "a cluster without a name": Case(
        (*SEARCH, "--address", "no-such-host.invalid:6379"), "address: nothing answers", code=4
    ),
    "a cluster on a wrong port": Case(
        (*SEARCH, "--address", "127.0.0.1:99999"), "address: nothing answers", code=4
    ),
    "a cluster by the client's address": Case(
        (*SEARCH, "--address", f"ray://{DEAD}"), "address: ", code=4
    ),
    "a cluster that is a word": Case((*SEARCH, "--address", "head"), "address: 'head' is none"),
    "no address": Case((*SEARCH, "--address", ""), "address: '' is none; give HOST:PORT"),
}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_a_home_of_another_user_that_all_may_write_is_refused(
    refused: Callable[[Case], None], tmp_path: Path
) -> None:
    given = all_of(home, lambda at: os.chown(at / "home", 12345, 12345))
    case = at_home("home belongs to another user", given)
    (tmp_path / "here" / "home").mkdir()
    (tmp_path / "here" / "home").chmod(0o777)
    refused(case)


@pytest.mark.parametrize("name", counted("stores", CASES))
def test_it_is_one_sentence(
    name: str, refused: Callable[[Case], None], capsys: pytest.CaptureFixture[str]
) -> None:
    refused(CASES[name])


class Answer(BaseHTTPRequestHandler):
    """A web server that is not MLflow."""

    status, body = 200, b"{}"

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def web_server(status: int, body: bytes) -> Iterator[str]:
    handler = type("Handler", (Answer,), {"status": status, "body": body})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


ANSWERS: dict[str, tuple[int, bytes, str, int]] = {
    "no such page": (404, b"<html>", "answers, but not as an MLflow server (status 404)", 2),
    "a page": (200, b"<html>hello</html>", "answers, but not as an MLflow server", 2),
    "another document": (200, b"[1, 2]", "answers, but not as an MLflow server", 2),
    "an access that is refused": (401, b"", "refuses the access (401); set MLFLOW_TRACKING_U", 4),
    "a host that is refused": (403, b"", "check the server's --allowed-hosts", 4),
    "a failure": (500, b"oops", "answers with status 500", 4),
    "a service that is away": (503, b"", "answers with status 503", 4),
}


@pytest.mark.parametrize("name", counted("answers of servers", dict.fromkeys(ANSWERS, None)))
def test_a_server_that_is_not_mlflow_is_one_sentence(
    name: str, refused: Callable[[Case], None]
) -> None:
    status, body, says, code = ANSWERS[name]
    with web_server(status, body) as address:
        refused(tracked(f"http://{address}", says, code=code))


def test_a_proxy_of_the_environment_is_no_way_to_this_machine(
    refused: Callable[[Case], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://{DEAD}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")
    with web_server(200, b"[1]") as address:
        refused(tracked(f"http://{address}", "answers, but not as an MLflow server"))
    refused(tracked("http://mlflow.example:5000", "nothing answers at", code=4))


def test_a_server_that_takes_the_call_and_says_nothing_is_one_sentence(
    refused: Callable[[Case], None],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        refused(tracked(f"http://{address}", "nothing answers at", code=4))


@pytest.mark.parametrize("scheme", counted("answers of no cluster", {"": None, "ray://": None}))
def test_a_web_server_is_no_cluster(scheme: str, refused: Callable[[Case], None]) -> None:
    with web_server(200, b"{}") as address:
        command = (*SEARCH, "--address", f"{scheme}{address}")
        refused(Case(command, f"what answers at {scheme}{address} is no Ray cluster", code=4))


def test_a_silent_port_is_no_cluster(refused: Callable[[Case], None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        refused(Case((*SEARCH, "--address", address), "is no Ray cluster", code=4))


def test_no_sentence_holds_a_password(
    refused: Callable[[Case], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    from safr_study.cli import app

    say = app._complain
    monkeypatch.setattr(app, "_complain", lambda text: (told.append(text), say(text)))
    for case in CASES.values():
        if "hunter2" in " ".join(case.command):
            refused(case)
    assert len(told) >= 3
    assert [text for text in told if "hunter2" in text] == []


# MLflow keeps its connections; the collector finds them some time.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("name", counted("databases of others", {"ledger": None, "tracking": None}))
def test_a_database_of_others_is_left_alone(name: str, refused: Callable[[Case], None]) -> None:
    import sqlalchemy

    with database() as url:
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
        table = "version_info" if name == "ledger" else "alembic_version"
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text(f"CREATE TABLE {table} (other TEXT)"))
            connection.execute(sqlalchemy.text(f"INSERT INTO {table} VALUES ('theirs')"))
        case = ledger if name == "ledger" else tracked
        refused(case(url, "storage: " if name == "ledger" else "tracking: ", code=4))
        with engine.connect() as connection:
            kept = connection.execute(sqlalchemy.text(f"SELECT other FROM {table}")).scalar()
        assert kept == "theirs"
        gc.collect()


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """As a full disk: a write beyond it fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


FULL: Table = {
    "a corpus that does not fit": Case(
        ("datasets", "prefetch", "planted", "--home", "home"), "home: the corpus cache"
    ),
    "a picture that does not fit": Case(
        ("pareto", "done", "--out", "figures"), "out: figures cannot be written"
    ),
    "a model that does not fit": Case(
        ("pull", "safr-planted@knee", "--to", "there"), "to: the disk takes no more"
    ),
    "an explanation that does not fit": Case(
        ("explain", "model", "a good film", "--png", "x.png"), "png: x.png cannot be written"
    ),
}


@pytest.mark.parametrize("name", counted("full disks", FULL))
def test_a_full_disk_is_one_sentence_and_leaves_nothing_half_written(
    name: str, refused: Callable[[Case], None], model: Path, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    (here / "model").symlink_to(model)
    with files_no_larger_than(200):
        refused(FULL[name])
    left = {path.name for path in here.rglob("*") if path.is_file() and path.suffix != ".lock"}
    assert left <= {"home.json"}


READERS = (
    ("list",),
    ("status", "done"),
    ("status",),
    ("pareto", "done"),
    ("models",),
    ("pull", "safr-planted@knee", "--to", "pulled"),
    ("explain", "safr-planted@knee", "a good film"),
)


def test_a_home_that_may_only_be_read_is_read(finished_home: Home, tmp_path: Path) -> None:
    script = (
        "import json, sys; from safr_study.cli.app import main; failed = []\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    sys.argv[1:] = words\n"
        "    try: main()\n"
        "    except SystemExit as ended: failed += [words] if ended.code else []\n"
        "sys.exit(repr(failed) if failed else 0)"
    )
    done = read_only(finished_home.root, tmp_path, "-c", script, json.dumps(READERS))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "pulled" / "model.json").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["pulled"]


def test_a_home_that_became_read_only_is_one_sentence(tmp_path: Path) -> None:
    home(tmp_path)
    root = tmp_path / "home"
    search = ("search", "--dataset", "planted", "--study", "new")
    done = read_only(root, tmp_path, "-m", "safr_study", *search)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: ")
    assert "ead-only" in line
    assert json.loads((root / "home.json").read_text("utf-8")) == {"schema": 1}


def read_only(root: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python with the home on a file system for reading alone; skips where none can be mounted."""
    script = (
        'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && '
        'export SAFR_STUDY_HOME="$1" && shift && exec "$@"'
    )
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    done = subprocess.run(
        [*command, str(root), sys.executable, *arguments],
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"no namespaces here: {done.stderr.strip()}")
    return done
