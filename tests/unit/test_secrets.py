"""A secret is never shown or stored: every form of an address, at every output.

Each form has the secret in another place; each output takes an address as the command line does,
and gives back all that it showed, stored or sent.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from stored_study import FACTS, ask, begin, complete, study_spec

from safr_study.cli import app, output
from safr_study.cli.search import _next_commands, _secret_hints, _sync_command
from safr_study.cluster.job import find_job
from safr_study.cluster.job_server import JobServer, connect
from safr_study.errors import BadInput, SafrError, ServiceUnreachable, TrialFailure
from safr_study.features.doctor import _Problem, _safely
from safr_study.features.models import browse_runs
from safr_study.features.study_base.results import rank_ledger
from safr_study.features.study_base.stores import Stores
from safr_study.features.submit import submit
from safr_study.home import Home, open_home
from safr_study.ledger.address import LedgerAddress
from safr_study.ledger.driver_lock import driver_lock, storages_of
from safr_study.ledger.notes import Delivery, began, command_of, delivery_begins, remember_command
from safr_study.object_store import check_place
from safr_study.records import to_plain
from safr_study.redaction import redacted, redacted_command
from safr_study.render.history import study_log
from safr_study.runner.worker import _faulty
from safr_study.text import first_line
from safr_study.tracking.store import open_store
from safr_study.tracking.ui import _command

SECRET = "s3cr3t-Xy9"
AT = "127.0.0.1:9"
"""A port at which nothing answers."""
FORMS = {
    "password": f"postgresql+psycopg://u:{SECRET}@{AT}/db",
    "password without a user": f"postgresql+psycopg://:{SECRET}@{AT}/db",
    "password with a slash": f"postgresql+psycopg://u:a/{SECRET}@{AT}/db",
    "password with an at sign": f"postgresql+psycopg://u:a@{SECRET}@{AT}/db",
    "password with a number sign": f"postgresql+psycopg://u:a#{SECRET}@{AT}/db",
    "password with a question mark": f"postgresql+psycopg://u:a?{SECRET}@{AT}/db",
    "password with a space and a quote": f"postgresql+psycopg://u:a '{SECRET}@{AT}/db",
    "percent-encoded password": f"postgresql+psycopg://u:%40{SECRET}@{AT}/db",
    "query password": f"postgresql+psycopg://u@{AT}/db?password={SECRET}",
    "query password behind others": f"postgresql+psycopg://u@{AT}/db?sslmode=x&password={SECRET}",
    "query password with an at sign": f"postgresql+psycopg://{AT}/db?password=a@{SECRET}",
    "query passwd": f"postgresql+psycopg://u@{AT}/db?passwd={SECRET}",
    "query name percent-encoded": f"postgresql+psycopg://u@{AT}/db?pass%77ord={SECRET}",
    "all percent-encoded": f"postgresql%3A%2F%2Fu%3A{SECRET}%40h%2Fdb",
    "keywords of libpq": f"host=127.0.0.1 port=9 user=u password={SECRET} dbname=db",
    "quoted keyword of libpq": f"host=127.0.0.1 password='a {SECRET}' dbname=db",
    "tracking password": f"http://u:{SECRET}@{AT}",
    "tracking token": f"http://{SECRET}@{AT}",
    "tracking query token": f"http://{AT}/?token={SECRET}",
    "tracking query api_key": f"http://{AT}/mlflow?api_key={SECRET}&x=1",
    "fragment": f"http://{AT}/#{SECRET}",
    "fragment token": f"http://{AT}/#access_token={SECRET}",
    "data set": f"https://u:{SECRET}@{AT}/d.csv",
    "object store keys": f"s3://KEY:{SECRET}@bucket/prefix",
    "object store query": f"s3://bucket/prefix?secret_key={SECRET}",
    "endpoint of an object store": f"s3://bucket/x?endpoint_override=http://u:{SECRET}@{AT}",
    "encoded endpoint": f"s3://bucket/x?endpoint_override=http%3A%2F%2Fu%3A{SECRET}%40h",
    "proxy variable": f"http_proxy=http://u:{SECRET}@{AT}",
    "proxy without a scheme": f"u:{SECRET}@proxy.example:3128",
    "AWS variable": f"AWS_SECRET_ACCESS_KEY={SECRET}",
    "option": f"--storage=postgresql+psycopg://u:{SECRET}@{AT}/db",
    "token of a header": f"Authorization: Bearer {SECRET}",
    "key of a header": f"x-api-key: {SECRET}",
    "setting of a file": f"client_secret: {SECRET}",
    "query jwt": f"http://{AT}/?jwt={SECRET}",
    "query code": f"http://{AT}/?code={SECRET}",
    "parameter of a path": f"http://{AT}/;token={SECRET}",
}


class Client:
    """Ray's client of jobs: what it was sent."""

    def __init__(self, message: str = "") -> None:
        self.sent: dict[str, Any] = {}
        self.job = SimpleNamespace(
            submission_id="s-1", metadata={"safr_study": "s"}, status="FAILED", message=message,
            start_time=1, end_time=2, driver_exit_code=2,
        )  # fmt: skip

    def list_jobs(self) -> list[Any]:
        return []

    def get_job_info(self, _job_id: str) -> Any:
        return self.job

    def submit_job(self, **sent: Any) -> str:
        self.sent = sent
        return "s-1"


def refused(do: Callable[[], object]) -> str:
    """The sentence by which something is refused, with its causes' own fields."""
    with pytest.raises(SafrError) as caught:
        do()
    error = caught.value
    return f"{error} {error!r} {vars(error)}"


def stored(home: Home) -> str:
    """All bytes in the home."""
    files = [path for path in home.root.rglob("*") if path.is_file()]
    return "\n".join(path.read_text(errors="replace") for path in files)


def shown_by_main(arguments: list[str], patch: pytest.MonkeyPatch) -> str:
    """What the program itself writes."""
    patch.setattr(sys, "argv", ["safr-study", *arguments])
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        contextlib.suppress(SystemExit),
    ):
        app.main()
    assert "error:" in err.getvalue()
    return out.getvalue() + err.getvalue()


def sentence(address: str, home: Home, patch: pytest.MonkeyPatch) -> str:
    faults = [
        BadInput("storage", f"{address!r} is no database"),
        ServiceUnreachable(f"nothing answers at {address}; check it"),
        TrialFailure(f"data at {address} are gone"),
    ]
    return " ".join(f"{fault} {fault!r} {vars(fault)}" for fault in faults)


def library_error(address: str, home: Home, patch: pytest.MonkeyPatch) -> str:
    return first_line(OSError(f"could not connect to '{address}': timed out\nand more"))


def terminal(address: str, home: Home, patch: pytest.MonkeyPatch) -> str:
    return shown_by_main(["pareto", "s", "--home", str(home.root / "x"), address], patch)


def storage_option(address: str, home: Home, patch: pytest.MonkeyPatch) -> str:
    if "password with a" in address or address.startswith("postgresql+psycopg"):
        # Nothing may connect here: the sentence is the same for all.
        address = address.replace("postgresql+psycopg", "postgresql+nodriver")
    return shown_by_main(["list", "--home", str(home.root), "--storage", address], patch)


def data_set_option(address: str, home: Home, patch: pytest.MonkeyPatch) -> str:
    words = ["search", "--home", str(home.root), "--dry-run", f"--dataset={address}"]
    return shown_by_main(words, patch)


def own_fault(address: str, home: Home, patch: pytest.MonkeyPatch) -> str:
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        try:
            raise RuntimeError(f"no {address}")
        except RuntimeError as error:
            app._report(error)
    trace = Path(err.getvalue().split()[-1])
    text = trace.read_text()
    trace.unlink()
    assert "RuntimeError" in text
    return err.getvalue() + text


def warning(address: str, home: Home, patch: pytest.MonkeyPatch) -> str:
    out = io.StringIO()
    patch.setattr(output, "_console", lambda _stream: Console(file=out))
    output.warn(f"hook: {address} failed")
    return out.getvalue()


def next_and_sync(address: str, home: Home, patch: pytest.MonkeyPatch) -> str:
    stores = Stores(home, tracking_uri=address, storage_url=address)
    outcome: Any = SimpleNamespace(result=SimpleNamespace(name="s"), models=())
    words = [*_next_commands(outcome, stores, None), _sync_command("s", stores, None)]
    return f"{words} {list(_secret_hints(stores))}"


def ledger(address: str, home: Home, patch: pytest.MonkeyPatch) -> str:
    book = begin(home, study_spec(trials=1))
    remember_command(book, ["search", "--storage", address, f"--tracking-uri={address}", address])
    delivery_begins(book, address)
    (number,) = ask(book)
    book.fail(number, first_line(ValueError(address)))
    return f"{command_of(book)} {Delivery.of(book)} {stored(home)}"


def ledger_of_an_earlier_version(address: str, home: Home, patch: pytest.MonkeyPatch) -> str:
    book = begin(home, study_spec(trials=1))
    book.study.set_user_attr("command", ["search", "--storage", address])
    plain = to_plain(Delivery(address, None, ended=True))
    book.study.set_user_attr("delivery", plain)
    return f"{command_of(book)} {Delivery.of(book)}"


def log_and_result(address: str, home: Home, patch: pytest.MonkeyPatch) -> str:
    book = begin(home, study_spec(trials=1))
    remember_command(book, ["search", "--storage", address])
    (number,) = ask(book)
    complete(book, number, (80.0, 10.0))
    result = rank_ledger(book)
    log = study_log(result, command=command_of(book), began=began(book))
    return log + json.dumps(to_plain(result), default=str) + repr(FACTS)


def lock_of_a_driver(address: str, home: Home, patch: pytest.MonkeyPatch) -> str:
    with driver_lock(home, "s"):
        text = stored(home)
    return f"{text} {shown_of(address)} {storages_of(home, 's')}"


def shown_of(address: str) -> str:
    """What the ledger's address is known by, or why it is refused."""
    try:
        parsed = LedgerAddress.parse(address)
    except BadInput as error:
        return str(error)
    return f"{parsed} {parsed!r} {parsed.shown}"


def doctor(address: str, home: Home, patch: pytest.MonkeyPatch) -> str:
    def well(stores: Stores) -> str:
        return f"{stores.address} answers"

    def odd(stores: Stores) -> str:
        raise _Problem("warning", f"{stores.address} is slow", f"see {stores.address}")

    def broken(stores: Stores) -> str:
        raise ServiceUnreachable(f"ray: {stores.address} is gone; start {stores.address}")

    stores = Stores(home, address=address)
    return " ".join(str(_safely("ray", look, stores)) for look in (well, odd, broken))


def page(address: str, home: Home, patch: pytest.MonkeyPatch) -> str:
    store: Any = SimpleNamespace(uri=address, artifact_root=None)
    shown = " ".join(_command(store, 1))
    if address.startswith("http:"):
        stores = Stores(home, tracking_uri=address)
        shown += refused(lambda: browse_runs(stores, 0, lambda *_: None))
    return shown


def tracking_store(address: str, home: Home, patch: pytest.MonkeyPatch) -> str:
    return refused(lambda: open_store(home, address))


def object_store(address: str, home: Home, patch: pytest.MonkeyPatch) -> str:
    return refused(lambda: check_place(address))


def job_server(address: str, home: Home, patch: pytest.MonkeyPatch) -> str:
    return refused(lambda: connect(address))


def job_argument(address: str, home: Home, patch: pytest.MonkeyPatch) -> str:
    client = Client()
    arguments = ("--study", "s", "--storage", address)
    said = refused(lambda: send(client, arguments, command=("submit", address)))
    return f"{said} {client.sent}"


def send(
    client: Client,
    arguments: Sequence[str] = (),
    *,
    command: Sequence[str] = (),
    variables: Sequence[str] = (),
) -> None:
    """Submit study ``s`` to a cluster that has safr-study in its image."""
    submit(
        JobServer("http://h", client),
        arguments,
        study="s",
        command=command,
        code="image",
        variables=variables,
    )


def job_command(address: str, home: Home, patch: pytest.MonkeyPatch) -> str:
    client = Client()
    send(client, ("--study", "s"), command=("submit", address))
    assert client.sent
    return repr(client.sent)


def job_variable(address: str, home: Home, patch: pytest.MonkeyPatch) -> str:
    patch.setenv("MY_PLACE", address)
    client = Client()
    return f"{refused(lambda: send(client, variables=('MY_PLACE',)))} {client.sent}"


def job_message(address: str, home: Home, patch: pytest.MonkeyPatch) -> str:
    return repr(find_job(JobServer("http://h", Client(f"it failed: {address}")), "s-1"))


def trace_of_a_worker(address: str, home: Home, patch: pytest.MonkeyPatch) -> str:
    folder = home.root / "trial"
    try:
        raise RuntimeError(f"no {address}")
    except RuntimeError as error:
        task: Any = SimpleNamespace(folder=str(folder), key=(0, 0))
        finished = _faulty(error, task, str(folder))
    assert (folder / "error.txt").exists()
    return f"{finished} {stored(home)}"


OUTPUTS = (
    sentence, library_error, terminal, storage_option, data_set_option, own_fault, warning,
    next_and_sync, ledger, ledger_of_an_earlier_version, log_and_result, lock_of_a_driver, doctor,
    page, tracking_store, object_store, job_server, job_argument, job_command, job_variable,
    job_message, trace_of_a_worker,
)  # fmt: skip


@pytest.mark.parametrize("show", OUTPUTS, ids=lambda show: show.__name__)
@pytest.mark.parametrize("form", FORMS)
def test_no_output_shows_or_stores_a_secret(
    form: str,
    show: Callable[[str, Home, pytest.MonkeyPatch], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = show(FORMS[form], open_home(tmp_path / "home"), monkeypatch)
    assert SECRET not in text


def test_a_secret_of_the_environment_is_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_TOKEN", "PGPASSWORD", "HF_TOKEN"):
        with monkeypatch.context() as patch:
            patch.setenv(name, SECRET)
            assert SECRET not in str(BadInput("x", f"refused {SECRET} there"))


@pytest.mark.parametrize("name", ["MY_KEY_1", "DB_PASS_PROD", "API_KEYS", "HF_TOKEN"])
def test_a_variable_with_the_name_of_a_secret_is_not_sent(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, SECRET)
    assert "looks like a secret" in refused(lambda: send(Client(), variables=(name,)))


def test_a_command_without_secrets_stays_as_it_is() -> None:
    words = ["search", "--dataset", "my reviews.csv", "--storage", "postgresql://u@h/db", "-q"]
    words += ["/data/run key=7/x.csv", "--study", "auth=1"]
    assert redacted_command(words) == words
    assert redacted("postgresql://u@h/db?sslmode=require") == "postgresql://u@h/db?sslmode=require"


def test_the_count(capsys: pytest.CaptureFixture[str]) -> None:
    forms, outputs = len(FORMS), len(OUTPUTS)
    with capsys.disabled():
        sys.stdout.write(f"\nsecrets: {forms} forms x {outputs} outputs\n")
    assert forms * outputs > 600
