"""Secrets taken out of addresses, sentences, commands and the values of variables."""

from __future__ import annotations

import pytest

from safr_study import redaction

SECRET = "s3cr3t-Xy9"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (f"postgresql+psycopg://u:{SECRET}@h:5432/db", "postgresql+psycopg://u@h:5432/db"),
        (f"postgresql://u:a/{SECRET}@h/db", "postgresql://u@h/db"),
        (f"postgresql://u:a@{SECRET}@h/db", "postgresql://u@h/db"),
        (f"postgresql://u:a#{SECRET}@h/db", "postgresql://u@h/db"),
        (f"postgresql://u:a?{SECRET}@h/db", "postgresql://u@h/db"),
        (f"postgresql://u:a '{SECRET}@h/db", "postgresql://u@h/db"),
        (f"postgresql://:{SECRET}@h/db", "postgresql://h/db"),
        (f"postgresql://u:{SECRET}@[::1]:5432/db", "postgresql://u@[::1]:5432/db"),
        (f"postgresql://u@h/db?sslmode=require&password={SECRET}", "postgresql://u@h/db?sslmode=require"),
        (f"postgresql://h:5432/db?password=a@{SECRET}", "postgresql://h:5432/db"),
        (f"postgresql://u@h/db?pass%77ord={SECRET}", "postgresql://u@h/db"),
        (f"postgresql%3A%2F%2Fu%3A{SECRET}%40h%2Fdb", "postgresql://u@h/db"),
        (f"http://u:{SECRET}@h:5000", "http://h:5000"),
        (f"http://{SECRET}@h:5000", "http://h:5000"),
        (f"http://h:5000/?token={SECRET}", "http://h:5000/"),
        (f"http://h:5000/#{SECRET}", "http://h:5000/"),
        (f"s3://KEY:{SECRET}@bucket/x", "s3://bucket/x"),
        (f"s3://b/x?endpoint_override=http://u:{SECRET}@h", "s3://b/x?endpoint_override=http://h"),
        (f"s3://b/x?endpoint_override=http%3A%2F%2Fu%3A{SECRET}%40h", "s3://b/x?endpoint_override=http://h"),
        (f"--storage=postgresql://u:{SECRET}@h/db", "--storage=postgresql://u@h/db"),
        (f"host=h password={SECRET} dbname=d", "host=h password=*** dbname=d"),
        (f"host=h password='a {SECRET}' dbname=d", "host=h password=*** dbname=d"),
        (f"u:{SECRET}@proxy:3128", "u@proxy:3128"),
    ],
)  # fmt: skip
def test_a_secret_is_taken_out_of_an_address(address: str, shown: str) -> None:
    assert redaction.redacted_address(address) == shown
    assert redaction.redacted(address) == shown
    assert SECRET not in redaction.redacted(f"nothing answers at '{address}' (Errno 111); check it")
    assert redaction.has_secret(address)


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        (f"AWS_SECRET_ACCESS_KEY={SECRET} given", "AWS_SECRET_ACCESS_KEY=*** given"),
        (f'{{"password": "{SECRET}", "user": "u"}}', '{"password": ***, "user": "u"}'),
        (f"Authorization: Bearer {SECRET}", "Authorization: Bearer ***"),
        (f"password: {SECRET} of u", "password: *** of u"),
        (f"client_secret: {SECRET}", "client_secret: ***"),
        (f"x-api-key: {SECRET}, user: u", "x-api-key: ***, user: u"),
        (f"DB_PASS={SECRET} MY_KEY={SECRET}", "DB_PASS=*** MY_KEY=***"),
        (f"http://h/x?jwt={SECRET}&a=1", "http://h/x?a=1"),
        (f"http://h/x?code={SECRET}", "http://h/x"),
        (f"http://h/;token={SECRET}", "http://h/"),
    ],
)
def test_a_secret_is_taken_out_of_a_sentence(sentence: str, shown: str) -> None:
    assert redaction.redacted(sentence) == shown


@pytest.mark.parametrize(
    "harmless",
    [
        "models:/safr-sst2@knee",
        "http://127.0.0.1:5000",
        "http://[::1]:5000/x",
        "sqlite:////tmp/a@b/x.db",
        "s3://bucket/pre@x/y",
        "postgresql+psycopg://u@h:5432/db?sslmode=require&passfile=/p",
        "max_tokens=4 and the key of a dictionary; tokens: 4",
        "/data/run key=7/x.csv",
        "auth=1",
        "http://h/a;version=2",
        "git@github.com:a/b",
    ],
)
def test_what_has_no_secret_stays_as_it_is(harmless: str) -> None:
    assert redaction.redacted(harmless) == harmless
    assert not redaction.has_secret(harmless)


def test_values_of_secret_variables_are_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-99")
    monkeypatch.setenv("PWD", "/some/folder")
    assert redaction.redacted(f"{SECRET} in eu-west-99") == "*** in eu-west-99"
    assert redaction.redacted("/some/folder/data.csv") == "/some/folder/data.csv"
