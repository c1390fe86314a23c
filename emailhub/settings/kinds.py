"""What a setting's value may be: how it is read from text or TOML, what is expected of it, how it is shown."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from emailhub.core.address import parse_mailbox
from emailhub.core.errors import InvalidMessage
from emailhub.settings import units
from emailhub.settings.secret import Secret, SecretLink, SecretUrl

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Raw: TypeAlias = str | list[str] | dict[str, Any]
"""A value as a source gives it: text, or from TOML also a list of texts or a table."""

_SHOWN = 60
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?", re.ASCII)
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of value. `parse` raises ValueError with the reason; `expected` completes "expected …"."""

    unit: str
    expected: str
    parse: Callable[[Raw], Any]
    show: Callable[[Any], str] = str
    secret: bool = False

    def complaint(self, raw: Raw, error: ValueError) -> str:
        """Why `raw` was not taken, without showing a secret."""
        shown = "" if self.secret else f"{short(raw)!r} is not right: "
        return f"{shown}expected {self.expected}; {error}"


def short(raw: Any) -> Any:
    """`raw` as far as it can be shown."""
    return f"{raw[:_SHOWN]}…" if isinstance(raw, str) and len(raw) > _SHOWN else raw


def scalar(parse: Callable[[str], Any]) -> Callable[[Raw], Any]:
    """A parser of one text without control characters."""

    def read(raw: Raw) -> Any:
        if not isinstance(raw, str):
            raise ValueError("one value, not several")
        if _CONTROL.search(raw):
            raise ValueError("it contains a control character")
        return parse(raw)

    return read


def several(parse: Callable[[str], Any]) -> Callable[[Raw], tuple[Any, ...]]:
    """A parser of a list, or of texts separated by commas."""

    def read(raw: Raw) -> tuple[Any, ...]:
        if isinstance(raw, dict):
            raise ValueError("a list, not a table")
        items = raw.split(",") if isinstance(raw, str) else raw
        return tuple(scalar(parse)(item.strip()) for item in items if item.strip())

    return read


def _bounded(
    parse: Callable[[str], Any], least: float, most: float | None, show: Callable[[Any], str]
) -> Callable[[Raw], Any]:
    def read(text: str) -> Any:
        value = parse(text)
        if value < least:
            raise ValueError(f"at least {show(least)}")
        if most is not None and value > most:
            raise ValueError(f"at most {show(most)}")
        return value

    return scalar(read)


def _whole(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d+", text, re.ASCII):
        raise ValueError("not a whole number")
    return int(text)


def integer(least: int, most: int | None, example: int) -> Kind:
    """A whole number from `least` to `most`."""
    span = f"from {least} to {most}" if most is not None else f"of at least {least}"
    parse = _bounded(_whole, least, most, lambda value: f"{value:.0f}")
    return Kind("number", f"a whole number {span}, such as {example}", parse)


def duration(least: float, example: str) -> Kind:
    """A duration in seconds of at least `least`."""
    floor = f" of at least {units.duration_text(least)}" if least else ""
    parse = _bounded(units.duration, least, None, units.duration_text)
    return Kind(
        "duration", f"a duration{floor} with its unit (s, m, h, d), such as {example}", parse, units.duration_text
    )


def seconds(least: float, example: str) -> Kind:
    """Seconds as a plain number, or a duration."""
    parse = _bounded(units.seconds, least, None, units.duration_text)
    return Kind("seconds", f"seconds, at least {least:g}, such as {example}", parse, lambda value: f"{value:g}")


def size(least: int, example: str) -> Kind:
    """A number of bytes of at least `least`."""
    parse = _bounded(units.size, least, None, units.size_text)
    return Kind("size", f"a size of at least {units.size_text(least)}, such as {example}", parse, units.size_text)


def choice(*words: str) -> Kind:
    """One of `words`; case does not matter."""

    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError("not one of them")
        return text.lower()

    return Kind(" · ".join(f"`{word}`" for word in words), f"one of {', '.join(words)}", scalar(parse))


def words(example: str) -> Kind:
    """A comma-separated list of texts."""
    return Kind("list", f"texts separated by commas, such as {example}", several(str), ", ".join)


def path(what: Literal["file", "folder", "new file"], example: str) -> Kind:
    """A path; `file` and `folder` must exist."""

    def parse(text: str) -> Path:
        value = Path(text)
        if (what == "file" and not value.is_file()) or (what == "folder" and not value.is_dir()):
            raise ValueError(f"there is no such {what}")
        return value

    return Kind("path", f"the path of a {what}, such as {example}", scalar(parse))


def url(schemes: Iterable[str], example: str, wrap: Callable[[str], Any] = str, *, secret: bool = False) -> Kind:
    """An absolute URL with one of `schemes`, percent-encoded where it must be."""
    allowed = tuple(schemes)

    def parse(text: str) -> Any:
        check_url(text, allowed)
        return wrap(text)

    return Kind("URL", f"a URL such as {example}", scalar(parse), secret=secret)


def check_url(text: str, schemes: tuple[str, ...]) -> None:
    """Raises ValueError with the reason when `text` is no absolute URL with one of `schemes`."""
    if text.partition("://")[0].lower() not in schemes or "://" not in text:
        raise ValueError(f"it must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if _PERCENT.search(text):
        raise ValueError("a % that is no percent-encoding: write % as %25")
    if " " in text or "#" in text:
        raise ValueError("a space or # in it: write them as %20 and %23")
    if text.partition("://")[2].partition("/")[0].count("@") > 1:
        raise ValueError("more than one @: write the one in the password as %40")
    try:
        parts = urlsplit(text)
        if parts.hostname is None or parts.port == 0:
            raise ValueError
    except ValueError:
        raise ValueError(
            "its host or port cannot be read; in a user name or password write / as %2F, : as %3A, @ as %40"
        ) from None


def _amqp(text: str) -> SecretUrl:
    check_url(text, ("amqp", "amqps"))
    if "/" in urlsplit(text).path[1:].strip("/"):
        raise ValueError("the virtual host after the port contains /: write it as %2F")
    return SecretUrl(text)


def _site(text: str) -> str:
    check_url(text, ("http", "https"))
    parts = urlsplit(text)
    if "@" in parts.netloc or parts.query:
        raise ValueError("no user, password or query belongs here")
    return text.rstrip("/")


def _host(text: str) -> str:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        if "://" in text or "/" in text:
            raise ValueError("a host name only, without scheme or path") from None
        if re.search(r":\d+$", text):
            raise ValueError("a host name only; the port has its own setting") from None
        if not _HOST.fullmatch(text) or len(text) > 253:
            raise ValueError("not a host name or IP address") from None
        return text
    return text.strip("[]")


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        if _has_host_bits(text):
            nearest = ipaddress.ip_network(text, strict=False)
            raise ValueError(f"{text!r} names a host; the network is {nearest}") from None
        raise ValueError(f"{text!r} is no network") from None


def _has_host_bits(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _key(text: str) -> Secret:
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("a key travels in an HTTP header: use printable ASCII without spaces")
    return Secret(text)


def _table(raw: Raw) -> dict[str, Any]:
    if isinstance(raw, str):
        try:
            raw = json.loads(raw)
        except ValueError as error:
            raise ValueError(f"not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise ValueError("not a JSON object")
    return raw


def is_address(text: str) -> bool:
    """Whether `text` is one bare e-mail address, so that it can be the sender of messages."""
    try:
        return not text.endswith(">") and bool(_sender(text))
    except ValueError:
        return False


def _sender(text: str) -> str:
    try:
        parse_mailbox(text, field="it", allow_local=True)
    except InvalidMessage as error:
        raise ValueError("; ".join(f"it {problem.message}" for problem in error.problems)) from None
    return text


TEXT = Kind("text", "a text", scalar(str))
SECRET = Kind("secret", "a secret text", scalar(Secret), secret=True)
KEY = Kind("secret", "a key of printable ASCII", scalar(_key), secret=True)
KEYS = Kind(
    "list of secrets",
    "keys separated by commas",
    several(_key),
    lambda keys: ", ".join(str(key) for key in keys),
    secret=True,
)
BOOLEAN = Kind("yes/no", "true, false, yes, no, on, off, 1 or 0", scalar(units.boolean), units.boolean_text)
PORT = integer(1, 65535, 8000)
SMTP_PORT = integer(1, 65535, 587)
HOST = Kind("host", "a host name or IP address, such as smtp.example.com", scalar(_host))
LISTEN = Kind("host", "an address to listen on, such as 127.0.0.1 or 0.0.0.0", scalar(_host))
HOSTS = Kind("list of hosts", "host names separated by commas", several(_host), ", ".join)
NETWORKS = Kind(
    "list of networks",
    "networks separated by commas, such as 10.0.0.0/8,192.168.1.7",
    several(_network),
    lambda networks: ", ".join(str(network) for network in networks),
)
SENDER = Kind("address", "an address such as mail@example.com or Name <mail@example.com>", scalar(_sender))
SITE = Kind("URL", "a URL such as https://mail.example.com/emailhub", scalar(_site))
AMQP = Kind("URL", "a URL such as amqp://user:password@rabbit:5672/vhost", scalar(_amqp), secret=True)
REDIS = url(("redis", "rediss"), "redis://redis:6379/0", SecretUrl, secret=True)
WEBHOOK = url(("http", "https"), "https://alerts.example.com/hook", SecretLink, secret=True)
TABLE = Kind("JSON", 'a JSON object such as {"x-queue-type": "quorum"}', _table, json.dumps)
