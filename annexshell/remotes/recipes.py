"""What it takes to reach a git remote, from its url and the config; pure (spec 01 §7.3)."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

import attrs

from annexshell.errors import PeerUnreachable
from annexshell.repository.config import GitConfig

_SCP_LIKE = re.compile(
    r"(?P<host>(?:[^/:\[]|\[[^\]]*\])+):(?!//)(?P<path>.*)", re.DOTALL
)
_HELPER = re.compile(r"[A-Za-z0-9+.-]+::")


@attrs.frozen
class LocalPath:
    """A repository on this machine, opened in process."""

    path: str


@attrs.frozen
class SshHost:
    """``host`` may hold a user; ``path`` is as the other side is to see it."""

    host: str
    path: str
    port: int | None = None


def recipe_for(config: GitConfig, name: str) -> LocalPath | SshHost:
    """How the remote ``name`` is reached.

    Raises PeerUnreachable for a remote without url, or with one that cannot be proxied to.
    """
    url = config.get(f"remote.{name}.url")
    if url is None:
        detail = "it has no url; special remotes cannot be used through a gateway yet"
        raise PeerUnreachable(name=name, detail=detail)
    recipe = _parse(name, instead_of(config, url))
    if "\0" in recipe.path:
        raise PeerUnreachable(name=name, detail="its url holds a NUL")
    return recipe


def instead_of(config: GitConfig, url: str) -> str:
    """``url`` after git's ``url.<base>.insteadOf`` rewriting: the longest match wins."""
    best, base = "", ""
    for setting in config.names("url."):
        if not setting.endswith(".insteadof"):
            continue
        for prefix in config.all(setting):
            if url.startswith(prefix) and len(prefix) > len(best):
                best, base = prefix, setting[len("url.") : -len(".insteadof")]
    return base + url[len(best) :] if best else url


def _parse(name: str, url: str) -> LocalPath | SshHost:
    if _HELPER.match(url):
        raise PeerUnreachable(name=name, detail="it is reached by a helper of git's")
    if "://" in url:
        return _parse_url(name, url)
    scp = _SCP_LIKE.fullmatch(url)
    if scp is None:
        return LocalPath(url)
    return SshHost(_checked_host(name, scp["host"]), scp["path"])


def _parse_url(name: str, url: str) -> LocalPath | SshHost:
    parts = urlsplit(url)
    if parts.scheme == "file":
        return LocalPath(unquote(parts.path))
    if parts.scheme not in ("ssh", "git+ssh", "ssh+git") or not parts.hostname:
        detail = f"urls of the kind {parts.scheme}: cannot be proxied to"
        raise PeerUnreachable(name=name, detail=detail)
    try:
        port = parts.port
    except ValueError as error:
        raise PeerUnreachable(name=name, detail="its url has no valid port") from error
    user = f"{unquote(parts.username)}@" if parts.username else ""
    host = _checked_host(name, user + parts.hostname)
    return SshHost(host, unquote(parts.path), port)


def _checked_host(name: str, host: str) -> str:
    # ssh would take it for an option (spec 01 §7.3).
    if host.startswith("-") or host.partition("@")[2].startswith("-"):
        raise PeerUnreachable(name=name, detail="its host name starts with -")
    return host
