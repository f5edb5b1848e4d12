from __future__ import annotations

import os

import pytest
import requests.utils

from safr_study.loopback import spare_loopback

PROXY = "http://127.0.0.1:9"
OWN = ("http://127.0.0.1:5000", "http://localhost:5000", "http://[::1]:5000")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    # What the test sets is taken away again.
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("spared", ["", "example.org", "127.0.0.1, example.org"])
def test_this_machine_is_reached_without_a_proxy_and_others_with_it(
    variable: str, spared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, PROXY)
    monkeypatch.setenv("NO_PROXY", spared)
    spare_loopback()
    spare_loopback()
    proxied = {url: requests.utils.get_environ_proxies(url) for url in (*OWN, "http://a.example")}
    assert [url for url in OWN if proxied[url]] == []
    assert proxied["http://a.example"]
    assert bool(requests.utils.get_environ_proxies("http://example.org")) == (spared == "")
    assert os.environ["no_proxy"].split(",").count("127.0.0.1") == 1


def test_without_a_proxy_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY")
    spare_loopback()
    assert "NO_PROXY" not in os.environ
    monkeypatch.setenv("http_proxy", PROXY)
    monkeypatch.setenv("no_proxy", "*")
    spare_loopback()
    assert os.environ["no_proxy"] == "*"
