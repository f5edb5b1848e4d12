"""Secrets taken out of texts: what opens a database, a server or a store is neither shown nor kept.

Every sentence that quotes an address, a command or an error of a library passes through here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from urllib.parse import unquote

_HIDDEN = "***"
_CERTAIN = (
    r"passw(?:or)?d|passphrase|token(?!s|iz)|secret(?!s)|credential(?!s)|signature|jwt"
    r"|api[-_]?key|access[-_]?key"
)
_CERTAIN_NAME = re.compile(rf"{_CERTAIN}|^pwd$", re.IGNORECASE)
_SECRET_NAME = re.compile(
    rf"{_CERTAIN}|authorization|(?:^|_)(?:pass|pwd|pw|key|auth|sig)$", re.IGNORECASE
)
"""Names of variables and parameters; in a sentence or a path a ``key=7`` is none."""
_COLON = re.compile(rf"(?<![\w-])([\w-]*(?:{_CERTAIN})):(\s*)(?!//)[^\s,;]+", re.IGNORECASE)
"""``password: ...`` of a settings file or a header."""
_HARMLESS = re.compile(r"file$|_path$|_mode$|^sslkey$", re.IGNORECASE)
"""Names of files that have a secret in them, and of switches."""
_ENDS = r"\s'\"<>`"
"""Characters that end an address inside a sentence."""
_SCHEME = r"(?<![\w+.-])[a-zA-Z][\w+.-]*://"
_PASSWORD = r"[^:/?#@\s\[]*:(?!\d*(?:[/?#\s]|$))"
"""The beginning ``user:`` of an address where no port follows."""
_REST = rf"(?:(?!(?<=[=,&?(]){_SCHEME})[^{_ENDS}])*"
_ADDRESS = re.compile(
    rf"(?<='){_SCHEME}(?:{_PASSWORD}(?:(?!'[\s,;:.)])[^@])*@)?{_REST}"
    rf"|{_SCHEME}(?:{_PASSWORD}[^@]*@)?{_REST}"
)
"""An address in a sentence. Where a quote opens it, the quote before a blank or a stop ends it."""
_WHOLE = re.compile(r"((?:--[\w-]+=)?)([a-zA-Z][\w+.-]*)://(.*)", re.DOTALL)
_NESTED = re.compile(rf"(?<=[=,&?(]){_SCHEME}.*", re.DOTALL)
_DATABASES = ("postgres", "mysql", "mariadb", "mssql", "oracle", "sqlite", "cockroach")
_ENCODED = re.compile(rf"[a-z][\w+.-]*%3a(?:%2f|/)(?:%2f|/)[^{_ENDS}]*", re.IGNORECASE)
_BARE = re.compile(rf"(?<![\w.%+-])([\w.%+-]+):[^/@{_ENDS}][^@{_ENDS}]*@(?=[\w\[])")
"""``user:password@host`` without a scheme, as a proxy variable or a path may have it."""
_PAIR = re.compile(
    r"""(?P<name>(?<![\w-])(?P<quote>['"]?)[\w-]+(?P=quote)\s*(?:=|(?<=['"])\s*:)\s*)"""
    r"""(?P<value>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^\s'"&;,)}]+)"""
)
"""``password=...`` of libpq and of a shell, ``'password': '...'`` of a dictionary."""
_BEARER = re.compile(r"\b(authorization:\s*\w+|bearer)\s+[\w.~+/=-]{6,}", re.IGNORECASE)
_QUERY_PAIR = re.compile(r"[?&#;]([^=&;?#]*)=([^&;#]*)")
_PATH_PAIR = re.compile(r";([^=;/]*)=[^;/]*")
_SHORTEST = 8
"""Characters of an environment variable's value that is looked for in a text."""


def redacted(text: str) -> str:
    """A text with every secret taken out: what is not to be shown or stored.

    Addresses lose the password, the fragment and query parameters such as ``password`` and
    ``token``; a database keeps its user, any other address does not, as that may be a token.
    ``password=...`` elsewhere becomes ``password=***``, and so do the values of environment
    variables whose names say that they are secret.
    """
    text = _ENCODED.sub(lambda match: unquote(match[0]), text)
    text = _ADDRESS.sub(lambda match: redacted_address(match[0]), text)
    text = _BARE.sub(r"\1@", text)
    text = _BEARER.sub(rf"\1 {_HIDDEN}", text)
    text = _PAIR.sub(_hidden_pair, text)
    text = _COLON.sub(rf"\1:\2{_HIDDEN}", text)
    for name, value in os.environ.items():
        # PWD is the shell's working directory.
        if name != "PWD" and len(value) >= _SHORTEST and value in text and is_secret_name(name):
            text = text.replace(value, _HIDDEN)
    return text


def redacted_address(address: str) -> str:
    """An address by itself, which may have spaces and quotes in its password."""
    whole = _WHOLE.fullmatch(address)
    if whole is None:
        return redacted(address)
    option, scheme, rest = whole.groups()
    nested = None if re.match(_PASSWORD, rest) else _NESTED.search(rest)
    inner = "" if nested is None else redacted_address(nested[0])
    rest = rest if nested is None else rest[: nested.start()]
    secrets = [found for found in _QUERY_PAIR.finditer(rest) if _is_secret_parameter(found[1])]
    user, tail = _without_user(rest, [found.span() for found in secrets])
    keep_user = bool(user) and scheme.lower().startswith(_DATABASES)
    path, _, query = tail.partition("#")[0].partition("?")
    pairs = [pair for pair in re.split("[&;]", query) if pair]
    pairs = [pair for pair in pairs if not _is_secret_parameter(pair.partition("=")[0])]
    path = _PATH_PAIR.sub(lambda pair: "" if _is_secret_parameter(pair[1]) else pair[0], path)
    shown = "&".join(redacted(pair) for pair in pairs)
    asked = f"?{shown}" if shown else ""
    return f"{option}{scheme}://{f'{user}@' if keep_user else ''}{path}{asked}{inner}"


def has_secret(text: str) -> bool:
    """Whether ``redacted`` would take something out."""
    return redacted(text) != text


def redacted_command(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command, each without its secrets."""
    return [redacted_address(argument) for argument in arguments]


def is_secret_name(name: str) -> bool:
    """Whether a variable or a parameter of this name holds a secret by itself."""
    return bool(_SECRET_NAME.search(name)) and not _HARMLESS.search(name)


def _without_user(rest: str, secrets: Sequence[tuple[int, int]]) -> tuple[str, str]:
    """The user's name, and what follows the password; a password may hold any character.

    Args:
        rest: an address after ``://``.
        secrets: where its query has secrets: an ``@`` in there ends no password.
    """
    if rest.startswith("/"):
        return "", rest
    ends = [place for place, letter in enumerate(rest) if letter == "@"]
    outside = [end for end in ends if not any(a <= end < b for a, b in secrets)]
    user, colon, after = rest.partition(":")
    if not outside:
        # A ":" without a port begins a password, and something that looks like a query is its end.
        password = bool(colon and ends) and not re.match(r"\d*(?:[/?#]|$)", after)
        return (user, "") if password else ("", rest)
    before, tail = rest[: outside[-1]], rest[outside[-1] + 1 :]
    if ":" in before:
        return before.partition(":")[0], tail
    # "@" behind the first "/" or "?" is a letter of the path.
    return (before, tail) if not re.search("[/?#]", before) else ("", rest)


def _is_secret_parameter(name: str) -> bool:
    """Whether a parameter of an address, percent-encoded or not, holds a secret."""
    plain = unquote(name)
    return plain.lower() == "code" or is_secret_name(plain)


def _hidden_pair(found: re.Match[str]) -> str:
    name = found["name"].strip("'\" \t=:")
    value = found["value"]
    # A variable is written in capitals.
    secret = _CERTAIN_NAME.search(name) or (name.isupper() and _SECRET_NAME.search(name))
    harmless = not secret or _HARMLESS.search(name)
    hidden = _PAIR.sub(_hidden_pair, value) if harmless else _HIDDEN
    return f"{found['name']}{hidden}"
