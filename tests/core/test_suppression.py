"""Which refusals say that an address takes no mail at all, and how addresses are compared."""

from __future__ import annotations

import pytest

from emailhub.core.judge import judge
from emailhub.core.reply import Reply
from emailhub.core.rules import RULES
from emailhub.core.suppression import SuppressionOrigin, bounces, folded, why
from emailhub.core.verdict import Kind, Stage


def bounced(stage: Stage, code: int, text: str, *, alone: bool = True) -> bool:
    reply = Reply.of(code, text)
    return bounces(judge(stage, reply).kind.value, stage, reply, alone=alone)


@pytest.mark.parametrize(
    "line",
    (
        "550 5.1.1 <ann@example.com>: Recipient address rejected: User unknown in virtual mailbox table",
        "550 5.1.1 The email account that you tried to reach does not exist.",
        "553 5.1.2 We weren't able to find the recipient domain.",
        "501 5.1.3 Bad recipient address syntax",
        "551 5.1.6 User has moved",
        "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient ann@example.com not found by SMTP address lookup",
        "550 5.2.1 This account has been suspended",
        "550 No such user here",
        "550 Unknown user",
        "550 5.1.0 Address rejected: mailbox not found",
        "550 <ann@example.com>: user ann@example.com does not exist",
        "554 delivery error: dd This user doesn't have a yahoo.com account",
    ),
)
def test_a_recipient_that_does_not_exist_bounces(line: str) -> None:
    code, _, text = line.partition(" ")
    assert bounced(Stage.RCPT, int(code), text)


@pytest.mark.parametrize(
    ("stage", "line"),
    (
        # Passes: fullness, speed, size.
        (Stage.RCPT, "552 5.2.2 The email account that you tried to reach is over quota"),
        (Stage.RCPT, "552 5.2.3 Your message exceeded Google's message size limits."),
        (Stage.RCPT, "550 5.2.121 Recipient's per hour message receive limit from specific sender exceeded"),
        (Stage.RCPT, "550 5.2.1 The user you are trying to contact is receiving mail at a rate that prevents more"),
        # What its owner's rules say of us, content, sender, relay.
        (Stage.RCPT, "550 5.7.1 RESOLVER.RST.AuthRequired; authentication required"),
        (Stage.RCPT, "550 5.4.1 Recipient address rejected: Access denied."),
        (Stage.RCPT, "554 5.7.1 <ann@example.com>: Relay access denied"),
        (Stage.RCPT, "550 5.7.1 Recipient not authorized, your message was blocked by policy"),
        (Stage.RCPT, "550 5.7.1 <a@example.com>: Sender address rejected: user unknown"),
        (Stage.RCPT, "550 blocked"),
        (Stage.FINAL, "554 Message rejected: Address blacklisted."),
        (Stage.FINAL, "550 No such user here"),
        (Stage.FINAL, "554 5.6.0 Bad content"),
        (Stage.MAIL, "501 5.1.3 Bad syntax"),
        (Stage.MAIL, "553 5.1.8 Sender's domain does not exist"),
        # Nothing final.
        (Stage.RCPT, "450 4.1.1 <ann@example.com>: Recipient address rejected: unverified address"),
        (Stage.RCPT, "450 4.2.1 The user you are trying to contact is receiving mail too quickly."),
    ),
)
def test_anything_else_does_not(stage: Stage, line: str) -> None:
    code, _, text = line.partition(" ")
    assert not bounced(stage, int(code), text)


def test_a_reply_to_the_whole_message_speaks_of_an_address_only_when_that_was_alone() -> None:
    assert bounced(Stage.FINAL, 550, "5.1.1 User unknown", alone=True)
    assert not bounced(Stage.FINAL, 550, "5.1.1 User unknown", alone=False)


def test_of_all_replies_known_only_permanent_ones_about_a_recipient_bounce() -> None:
    for rule in RULES:
        for stage in rule.stages:
            for sample in rule.samples:
                code, _, text = sample.partition(" ")
                if bounced(stage, int(code), text):
                    assert rule.kind is Kind.PERMANENT, sample
                    assert "recipient" in rule.says or "message" in rule.says, sample


def test_without_a_reply_or_an_error_code_nothing_bounces() -> None:
    assert not bounces("permanent", Stage.RCPT, None, alone=True)
    assert not bounces("permanent", Stage.RCPT, Reply(250, "2.1.5", "user unknown"), alone=True)


def test_addresses_are_compared_without_the_case_of_ascii_letters() -> None:
    assert folded("Ada.LOVELACE@Example.ORG") == "ada.lovelace@example.org"
    assert folded("ÄDA@example.org") == "Äda@example.org"


def test_the_line_says_why_in_words() -> None:
    assert why(SuppressionOrigin.MANUAL, "") == "on the suppression list (by hand)"
    assert why(SuppressionOrigin.BOUNCE, "550 5.1.1 no") == "on the suppression list (refused for good): 550 5.1.1 no"
