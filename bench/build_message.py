"""Microseconds to build the bytes of a message: our direct assembly beside the standard library's EmailMessage.

    python bench/build_message.py [--seconds 1.0] [--json]

Both build the same message in the same run, so that the ratio holds on any machine; the parsed results are compared
before anything is timed.
"""

from __future__ import annotations

import argparse
import json
import timeit
from collections.abc import Callable
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import format_datetime

from emailhub.core import fingerprint, mime, parse
from emailhub.core.message import Limits, Mailbox, Submission

NOW = 1_764_000_000.0
SENDER = Mailbox("shop@example.org", "Shop")
MESSAGE_ID = "<01KATN0M40ZZZZZZZZZZZZZZZZ@example.org>"
TEXT = "".join(f"Line {number} of an ordinary message with a few words in it.\n" for number in range(40))
HTML = "".join(f"<p>Line {number} of an ordinary message with a few words in it.</p>\n" for number in range(40))
FIELDS: dict[str, dict[str, object]] = {
    "plain text, ASCII": {"subject": "Your order 1234", "text": TEXT},
    "text and html, ASCII": {"subject": "Your order 1234", "text": TEXT, "html": HTML},
    "text and html, German": {
        "subject": "Ihre Bestellung für März",
        "text": f"Grüße\n{TEXT}",
        "html": f"Grüße\n{HTML}",
    },
    "text, Greek": {"subject": "Η παραγγελία σας", "text": "Καλημέρα, η παραγγελία σας έφυγε.\n" * 40},
}


def direct(submission: Submission) -> bytes:
    """Ours."""
    return mime.build(submission, sender=SENDER, message_id=MESSAGE_ID, date=NOW, boundary="5d8e0c6f1b2a4937")


def library(submission: Submission) -> bytes:
    """The standard library's way."""
    message = EmailMessage(policy=policy.SMTP)
    message["From"] = f"{SENDER.name} <{SENDER.address}>"
    message["To"] = ", ".join(box.address for box in submission.to)
    message["Subject"] = submission.subject
    message["Date"] = format_datetime(datetime.fromtimestamp(NOW, UTC))
    message["Message-ID"] = MESSAGE_ID
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(submission.text or "")
    if submission.html is not None:
        message.add_alternative(submission.html, subtype="html")
    return message.as_bytes()


def meaning(content: bytes) -> list[str]:
    """What a reader sees: the headers both write, then every part."""
    message = BytesParser(policy=policy.default).parsebytes(content)
    headers = [str(message[name]) for name in ("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted")]
    return headers + [part.get_content().rstrip() for part in message.walk() if not part.is_multipart()]


def microseconds(work: Callable[[], object], seconds: float) -> float:
    """The best of five runs, which is the one the machine disturbed least."""
    timer = timeit.Timer(work)
    once = max(timer.timeit(1), 1e-7)
    number = max(1, int(seconds / 5 / once))
    return min(timer.repeat(5, number)) / number * 1e6


def measure(name: str, fields: dict[str, object], seconds: float) -> dict[str, object]:
    """The row of one kind of message."""
    given = {"to": "ada@example.org", **fields}
    submission = parse.submission(given, Limits(), now=NOW)
    assert meaning(direct(submission)) == meaning(library(submission)), name
    ours = microseconds(lambda: direct(submission), seconds)
    theirs = microseconds(lambda: library(submission), seconds)
    return {
        "message": name,
        "bytes": len(direct(submission)),
        "direct_us": round(ours, 1),
        "emailmessage_us": round(theirs, 1),
        "ratio": round(theirs / ours, 1),
        "parse_us": round(microseconds(lambda: parse.submission(given, Limits(), now=NOW), seconds), 1),
        "fingerprint_us": round(microseconds(lambda: fingerprint.fingerprint(submission), seconds), 1),
    }


def main() -> None:
    """Prints the table, or JSON for scripts."""
    options = argparse.ArgumentParser(description="Microseconds to build the bytes of a message, two ways.")
    options.add_argument("--seconds", type=float, default=1.0, help="time spent on each figure")
    options.add_argument("--json", action="store_true", help="print JSON instead of a table")
    chosen = options.parse_args()
    rows = [measure(name, fields, chosen.seconds) for name, fields in FIELDS.items()]
    if chosen.json:
        print(json.dumps(rows))
        return
    print(f"{'message':24}" + "".join(f"{name:>18}" for name in list(rows[0])[1:]))
    for row in rows:
        print(f"{row['message']:24}" + "".join(f"{value:>18}" for value in list(row.values())[1:]))


if __name__ == "__main__":
    main()
