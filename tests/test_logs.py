"""The log: one line an event, nothing secret on it, and nobody waits for it."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from emailhub import logs
from emailhub.logs.writer import MOST_LINES, Writer

CANARY = "c4nary/p@ss w%rd+="


@pytest.fixture(autouse=True)
def _restored_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    with warnings.catch_warnings():
        yield
        logs.close()
        logging.captureWarnings(capture=False)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    logging.getLogger("emailhub").setLevel(logging.NOTSET)
    monkeypatch.setattr(logs, "_secrets", set())
    for name in ("aiormq", "aio_pika"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def written(act: Callable[[], object], **options: str) -> str:
    """Everything the log wrote while `act` ran."""
    stream = io.StringIO()
    logs.configure(stream=stream, **{"format": "json", **options})
    act()
    assert logs.close(5)
    return stream.getvalue()


def lines(act: Callable[[], object], **options: str) -> list[dict[str, Any]]:
    """The JSON lines the log wrote while `act` ran."""
    return [json.loads(line) for line in written(act, **options).splitlines()]


def test_a_json_line_carries_time_level_component_event_and_fields() -> None:
    (line,) = lines(lambda: logs.get("courier").info("sent", message_id="m1", seconds=0.25, recipients=2))
    assert line["time"].endswith("Z")
    assert {name: line[name] for name in line if name != "time"} == {
        "level": "info",
        "component": "courier",
        "event": "sent",
        "message_id": "m1",
        "seconds": 0.25,
        "recipients": 2,
    }


def test_what_is_bound_is_on_every_line_of_the_block_and_of_tasks_started_in_it() -> None:
    log = logs.get("intake")

    async def later() -> None:
        log.info("in task")

    async def work() -> None:
        with logs.bound(correlation_id="c1", request_id="r1"):
            log.info("in block", request_id="own wins")
            task = asyncio.create_task(later())
        log.info("after block")
        await task

    seen = {
        line["event"]: (line.get("correlation_id"), line.get("request_id"))
        for line in lines(lambda: asyncio.run(work()))
    }
    assert seen == {"in block": ("c1", "own wins"), "in task": ("c1", "r1"), "after block": (None, None)}


def test_lines_below_the_level_are_not_written() -> None:
    def act() -> None:
        logs.get("x").debug("quiet")
        logs.get("x").warning("loud")

    assert [line["event"] for line in lines(act, level="warning")] == ["loud"]


def test_a_field_cannot_replace_what_every_line_has() -> None:
    (line,) = lines(lambda: logs.get("x").info("real", event="forged", level="forged"))
    assert (line["event"], line["level"], line["event_"], line["level_"]) == ("real", "info", "forged", "forged")


@pytest.mark.parametrize("format", ("json", "console"))
def test_no_value_can_forge_a_line_or_move_a_cursor(format: str) -> None:
    evil = "a\nb\r\x1b[2J\x7f\u2028\u202e\x00\x85"
    text = written(lambda: logs.get("x").info("event " + evil, subject=evil, nested=[evil]), format=format)
    assert written(lambda: logs.get("x").info("a\x7fb"), format=format).rstrip("\n").isprintable()
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert text.rstrip("\n").isprintable()


def test_what_broke_forges_no_line_on_the_console_either() -> None:
    error = ValueError("a\n12:00:00.000 INFO    login     logged in\x1b[2J\u2028b")
    text = written(lambda: logs.get("app").error("component died", exc=error), format="console")
    first, *trace = text.removesuffix("\n").split("\n")
    assert first.endswith("component died")
    assert trace
    assert all(line.startswith("    ") and line.isprintable() for line in trace), trace


def test_the_console_line_is_short_and_aligned() -> None:
    text = written(lambda: logs.get("courier").info("sent", message_id="m1", to="a b", ok=True), format="console")
    clock, rest = text.split(" ", 1)
    assert len(clock) == len("12:34:56.789")
    assert rest == 'INFO    courier   sent message_id=m1 to="a b" ok=true\n'


def test_colours_are_for_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def on_terminal() -> str:
        stream = Terminal()
        logs.configure(stream=stream)
        logs.get("x").warning("hot")
        logs.close(5)
        return stream.getvalue()

    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[33m" in on_terminal()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in on_terminal()
    assert " WARNING x" in on_terminal()
    assert written(lambda: logs.get("x").warning("hot"), format="auto").startswith("{")


def test_an_exception_stays_on_its_json_line() -> None:
    def act() -> None:
        try:
            raise ValueError("what broke")
        except ValueError as error:
            logs.get("app").error("component died", exc=error, name="courier")

    (line,) = lines(act)
    assert line["event"] == "component died"
    assert line["exception"].endswith("ValueError: what broke")


@pytest.mark.parametrize(
    "leak",
    (
        lambda log: log.info(CANARY),
        lambda log: log.info("x", url=f"amqp://hub:{quote(CANARY, safe='')}@rabbit/"),
        lambda log: log.info("x", nested={"deep": [{"deeper": f"<{CANARY}>"}]}),
        lambda log: log.info("x", line=f"AUTH LOGIN {base64.b64encode(CANARY.encode()).decode()}"),
        lambda log: log.info("x", line="AUTH PLAIN " + base64.b64encode(f"\0hub\0{CANARY}".encode()).decode()),
        lambda log: log.error("x", exc=ValueError(f"login with {CANARY} failed")),
        lambda log: log.info("x", nested={CANARY: 1}),
        lambda log: log.info("x", said=f"334 {base64.b64encode(CANARY.encode()).decode()}"),
        lambda log: log.info("x", path=f"/hook?who={quote(CANARY, safe='')}&where={quote(CANARY)}"),
        lambda _: logging.getLogger("uvicorn.error").error("bad %s", CANARY),
        lambda _: warnings.warn(f"about {CANARY}", RuntimeWarning, stacklevel=1),
    ),
)
@pytest.mark.parametrize("format", ("json", "console"))
@pytest.mark.filterwarnings("default")
def test_a_hidden_secret_appears_in_no_line(leak: Callable[[logs.Log], None], format: str) -> None:
    logs.hide(CANARY)
    text = written(lambda: leak(logs.get("x")), format=format)
    assert text
    forms = (CANARY, quote(CANARY, safe=""), quote(CANARY), base64.b64encode(CANARY.encode()).decode())
    assert not [form for form in forms if form in text]
    assert base64.b64encode(f"\0hub\0{CANARY}".encode()).decode() not in text


@pytest.mark.parametrize(
    ("value", "shown"),
    (
        ("amqp://hub:s3cret@rabbit:5672/v", "amqp://hub:***@rabbit:5672/v"),
        ("amqp://hub:s3@cret@rabbit", "amqp://hub:***@rabbit"),
        ("https://s3cret@errors.example/1", "https://***@errors.example/1"),
        ("Authorization: Bearer s3cret-token", "Authorization: ***"),
        ("{'authorization': 'Basic s3cret'}", "{'authorization': '***'}"),
        ("sent Bearer abc.s3cret_1 to it", "sent Bearer *** to it"),
        ("basic authentication failed", "basic authentication failed"),
    ),
)
def test_credentials_that_nobody_declared_are_masked_by_their_shape(value: str, shown: str) -> None:
    (line,) = lines(lambda: logs.get("x").info("x", value=value))
    assert line["value"] == shown


def test_bodies_and_credential_fields_are_never_written() -> None:
    (line,) = lines(
        lambda: logs.get("x").info(
            "x", body="private words", html=b"<p>private", smtp_password="private", blob=b"private", api_keys=3
        )
    )
    assert "private" not in json.dumps(line)
    assert line["body"] == "(13 not logged)"
    assert line["api_keys"] == 3


def test_addresses_are_masked_everywhere_when_the_setting_says_so() -> None:
    def act() -> None:
        logs.get("x").info(
            "to anna@example.org",
            recipients=["Ben <ben@example.org>", '"odd name"@example.com', "jörg@exämple.de"],
            message_id="<abc.1@example.org>",
        )

    (line,) = lines(act, addresses="masked")
    assert line["event"] == "to a***@example.org"
    assert line["recipients"] == ["Ben <b***@example.org>", "***@example.com", "j***@exämple.de"]
    assert line["message_id"] == "<abc.1@example.org>"
    assert lines(act)[0]["event"] == "to anna@example.org"


def test_libraries_speak_through_our_log_from_warning_on_and_rabbit_noise_is_silent() -> None:
    def act() -> None:
        logging.getLogger("uvicorn.error").info("Started server process")
        logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
        logging.getLogger("aiosqlite").debug("executing INSERT %s", "private")
        logging.getLogger("aiormq.connection").error("Unexpected connection close")
        logging.getLogger("aio_pika.tools").error("OneShotCallback error")

    assert [(line["component"], line["event"]) for line in lines(act, level="debug")] == [
        ("uvicorn.error", "Invalid HTTP request received.")
    ]


def test_a_value_that_cannot_be_written_costs_its_line_and_nothing_else() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    def act() -> None:
        logs.get("x").info("lost", value=Broken())
        logs.get("x").info("kept")

    assert [line["event"] for line in lines(act)] == ["kept", "lines dropped"]


def test_a_closed_stream_is_not_mistaken_for_the_file_that_got_its_number(tmp_path: Path) -> None:
    stream = (tmp_path / "log").open("w")
    logs.configure(format="json", stream=stream)
    stream.close()
    with (tmp_path / "other").open("w"):
        logs.get("x").info("lost")
        assert logs.close(5)
    assert (tmp_path / "other").read_text() == ""


def test_a_huge_value_is_cut() -> None:
    def act() -> None:
        logs.get("x").info("one", value="v" * 1_000_000)
        logs.get("x").info("many", value=["v" * 1000] * 1000)

    text = written(act)
    assert len(text) < 100_000
    assert [json.loads(line)["event"] for line in text.splitlines()] == ["one", "many"]


async def test_a_pipe_nobody_reads_never_stalls_the_loop() -> None:
    reader, writer = os.pipe()
    try:
        with os.fdopen(writer, "w") as stream:
            logs.configure(format="json", stream=stream)
            log = logs.get("x")
            loop = asyncio.get_running_loop()
            longest = 0.0
            for _ in range(20):
                before = loop.time()
                for number in range(1000):
                    log.info("flood", number=number, padding="p" * 100)
                longest = max(longest, loop.time() - before)
                await asyncio.sleep(0)
            assert longest < 5, "1000 lines may be slow on a busy machine, but never wait"
            assert not await asyncio.to_thread(logs.close, 0.1), "the pipe is full, so not every line can be out"
            os.set_blocking(reader, False)
            drained = await asyncio.to_thread(_drain, reader)
    finally:
        os.close(reader)
    assert drained.startswith(b'{"time":')
    last = json.loads(drained.splitlines()[-1])
    assert last["event"] in {"flood", "lines dropped"}
    assert b'"event":"lines dropped","lines":' in drained


def _drain(reader: int) -> bytes:
    """Read until the log's thread has nothing more to say."""
    data = b""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            data += os.read(reader, 1 << 20)
        except BlockingIOError:
            if not any(thread.name == "emailhub-logs" and thread.is_alive() for thread in threading.enumerate()):
                return data
            time.sleep(0.005)
    raise AssertionError("the log's thread never ended")


def test_when_the_queue_is_full_lines_are_dropped_counted_and_told() -> None:
    gate, entered, out = threading.Event(), threading.Event(), []

    def write(data: bytes) -> None:
        entered.set()
        gate.wait(10)
        out.append(data.decode())

    writer = Writer(write, lambda dropped: f"{dropped} lines dropped")
    writer.put("first")
    assert entered.wait(10)
    for number in range(MOST_LINES + 7):
        writer.put(f"line {number}")
    gate.set()
    assert writer.close(10)
    rows = "".join(out).splitlines()
    assert len(rows) == 1 + MOST_LINES + 1
    assert "7 lines dropped" in rows


def test_a_target_that_fails_costs_lines_and_says_so_when_it_is_back() -> None:
    out: list[bytes] = []
    fails = [OSError(28, "No space left on device")]
    failed = threading.Event()

    def write(data: bytes) -> None:
        if fails:
            failed.set()
            raise fails.pop()
        out.append(data)

    writer = Writer(write, lambda dropped: f"{dropped} lines dropped")
    writer.put("lost")
    assert failed.wait(10)
    writer.put("kept")
    assert writer.close(10)
    assert b"".join(out) == b"kept\n1 lines dropped\n"


def test_lines_written_just_before_the_interpreter_ends_are_not_lost() -> None:
    code = "from emailhub import logs; logs.configure(format='json'); logs.get('x').info('last words')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout)["event"] == "last words"
    assert done.stderr == ""


def test_a_process_with_a_blocked_stdout_still_ends() -> None:
    code = (
        "from emailhub import logs\n"
        "logs.configure(format='json')\n"
        "for n in range(3000): logs.get('x').info('flood', padding='p' * 200)\n"
        "print(logs.close(0.1), file=__import__('sys').stderr)"
    )
    reader, writer = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    finally:
        os.close(reader)
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "False\n")
