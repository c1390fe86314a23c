"""What replies mean: every rule under its real sample, and no reply without a meaning."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailhub.core.judge import LONGEST_WAIT, RULES, TOO_MANY_RECIPIENTS, Rule, judge, judge_failure, named_wait
from emailhub.core.reply import Reply
from emailhub.core.verdict import STAGES, Kind, Stage

BEFORE_MAIL = STAGES[: STAGES.index(Stage.MAIL)]
OF_MESSAGE = STAGES[STAGES.index(Stage.MAIL) :]


def reply(text: str) -> Reply:
    code, _, rest = text.partition(" ")
    return Reply.of(int(code), rest)


def rule_id(rule: Rule) -> str:
    return re.sub(r"\W+", "-", rule.sample[:40])


@pytest.mark.parametrize("rule", RULES, ids=rule_id)
def test_each_rule_decides_its_own_sample(rule: Rule) -> None:
    given_reply = reply(rule.sample)
    stage = next(s for s in STAGES if s in rule.stages and next(r for r in RULES if r.matches(s, given_reply)) is rule)
    verdict = judge(stage, given_reply)
    assert (verdict.kind, verdict.greylisted, verdict.reply) == (rule.kind, rule.greylisted, given_reply)
    assert verdict.text.startswith(rule.says)


@pytest.mark.parametrize(
    ("stage", "text", "kind"),
    (
        (Stage.GREETING, "421 4.3.2 Service not available", Kind.RELAY),
        (Stage.GREETING, "554 go away", Kind.RELAY),
        (Stage.AUTH, "534 5.7.9 Application-specific password required.", Kind.RELAY),
        (Stage.AUTH, "504 5.5.4 Unrecognized authentication type", Kind.RELAY),
        (Stage.MAIL, "421 Too many concurrent SMTP connections", Kind.RELAY),
        (Stage.RCPT, "421 4.7.0 [TSS04] Messages temporarily deferred", Kind.RELAY),
        (Stage.FINAL, "421 4.4.2 Timeout", Kind.RELAY),
        (Stage.MAIL, "550 5.7.1 Daily SMTP relay limit exceeded for customer.", Kind.RELAY),
        (Stage.FINAL, "454 Throttling failure: Daily message quota exceeded.", Kind.RELAY),
        (Stage.FINAL, "451 You have exceeded your messaging limits", Kind.RELAY),
        (Stage.FINAL, "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", Kind.RELAY),
        (Stage.MAIL, "550 5.7.1 Service unavailable, your IP 192.0.2.1 is blocked", Kind.RELAY),
        (Stage.RCPT, "550 5.7.1 Client host [192.0.2.1] is listed at sbl.example", Kind.RELAY),
        (Stage.RCPT, "550 5.7.1 Unable to relay", Kind.RELAY),
        (Stage.RCPT, "550 relay not permitted", Kind.RELAY),
        (Stage.RCPT, "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", Kind.RELAY),
        (Stage.MAIL, "530 5.7.0 Authentication Required.", Kind.RELAY),
        (Stage.RCPT, "553 5.7.1 <a@x.test>: Sender address rejected: not owned by user b", Kind.SENDER),
        (Stage.FINAL, "554 5.2.252 SendAsDenied; a@x.test not allowed to send as b@x.test", Kind.SENDER),
        (Stage.FINAL, "550 The from address does not match a verified Sender Identity.", Kind.SENDER),
        (Stage.FINAL, "550 5.7.1 Unconfigured Sending Domain <x.test>", Kind.SENDER),
        (Stage.MAIL, "550 5.1.8 Access denied, bad outbound sender", Kind.SENDER),
        (Stage.RCPT, "450 4.1.8 <a@x.test>: Sender address rejected: Domain not found", Kind.TRANSIENT),
        (Stage.MAIL, "552 5.3.4 Message too big", Kind.PERMANENT),
        (Stage.MAIL, "501 5.1.3 Bad syntax", Kind.PERMANENT),
        (Stage.RCPT, "450 4.2.1 The user you are trying to contact is receiving mail too quickly", Kind.TRANSIENT),
        (Stage.RCPT, "452 4.2.2 Mailbox full", Kind.TRANSIENT),
        (Stage.RCPT, "552 5.2.2 Mailbox full", Kind.PERMANENT),
        (Stage.RCPT, "550 5.7.1 Recipient not authorized, your message was blocked by policy", Kind.PERMANENT),
        (Stage.RCPT, "550 5.1.1 User unknown", Kind.PERMANENT),
        (Stage.FINAL, "554 5.7.1 URL listed in black.uribl.com", Kind.PERMANENT),
        (Stage.FINAL, "550 5.7.1 Message rejected as spam", Kind.PERMANENT),
        (Stage.FINAL, "451 4.3.0 Queue write error", Kind.TRANSIENT),
        (Stage.BODY, "552 5.3.4 Message exceeds limit", Kind.PERMANENT),
        (Stage.FINAL, "250 ok", Kind.ACCEPTED),
    ),
)
def test_what_well_known_servers_say(stage: Stage, text: str, kind: Kind) -> None:
    assert judge(stage, reply(text)).kind is kind


def test_the_basic_code_decides_over_a_contradicting_enhanced_code() -> None:
    assert judge(Stage.RCPT, reply("450 5.1.1 User unknown")).kind is Kind.TRANSIENT
    assert judge(Stage.RCPT, reply("550 4.2.2 Mailbox full")).kind is Kind.PERMANENT
    assert judge(Stage.FINAL, reply("250 5.0.0 taken all the same")).kind is Kind.ACCEPTED


@pytest.mark.parametrize(
    "text",
    (
        "450 4.7.1 Greylisting in action, please come back later",
        "451 4.2.0 try later",
        "451 greylisted",
        "450 Graylisted for 300 seconds",
    ),
)
def test_greylisting_is_recognised(text: str) -> None:
    verdict = judge(Stage.RCPT, reply(text))
    assert (verdict.kind, verdict.greylisted) == (Kind.TRANSIENT, True)


@pytest.mark.parametrize("text", ("451 4.3.0 Try again", "452 4.2.2 Mailbox full", "550 5.7.1 no"))
def test_other_refusals_are_not_greylisting(text: str) -> None:
    assert not judge(Stage.RCPT, reply(text)).greylisted


@pytest.mark.parametrize(
    "text", ("452 4.5.3 Too many recipients", "550 5.5.3 Too many recipients", "452 too many rcpts")
)
def test_too_many_recipients_is_told_apart(text: str) -> None:
    verdict = judge(Stage.RCPT, reply(text))
    assert verdict.kind is Kind.TRANSIENT
    assert verdict.text.startswith(TOO_MANY_RECIPIENTS)


@pytest.mark.parametrize(
    ("text", "seconds"),
    (
        ("Greylisted, please try again in 300 seconds", 300.0),
        ("try again in 5 minutes", 300.0),
        ("Please retry after 90s", 90.0),
        ("try again in 4 minutes and 30 seconds", 270.0),
        ("Greylisting in action, please come back in 00:04:30", 270.0),
        ("please come back in 05:00", 300.0),
        ("wait 2 hours", LONGEST_WAIT),
        ("retry in 999999 hours", LONGEST_WAIT),
        ("delayed 60 secs", 60.0),
        ("try again later", None),
        ("mailbox 300 seconds", None),
        ("see http://example.com/300s", None),
        ("", None),
    ),
)
def test_a_named_delay_is_read_and_bounded(text: str, seconds: float | None) -> None:
    assert named_wait(text) == seconds


def test_a_delay_is_taken_from_what_is_tried_again_only() -> None:
    assert judge(Stage.RCPT, reply("451 4.7.1 try again in 5 minutes")).wait == 300.0
    assert judge(Stage.MAIL, reply("421 4.7.0 wait 60 seconds")).wait == 60.0
    assert judge(Stage.RCPT, reply("550 5.1.1 try again in 5 minutes")).wait is None


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("code", tuple(range(200, 600)))
def test_every_code_at_every_stage_has_its_meaning(stage: Stage, code: int) -> None:
    kind = judge(stage, Reply(code)).kind
    if stage in BEFORE_MAIL:
        assert kind is Kind.RELAY
    elif code < 400:
        expected = {True: Kind.ACCEPTED, False: Kind.UNKNOWN}[code < 300] if stage is Stage.FINAL else Kind.RELAY
        assert kind is expected
    elif code in {421, 454, 503, 530, 534, 535, 538}:
        assert kind is Kind.RELAY
    elif code == 553 and stage is Stage.MAIL:
        assert kind is Kind.SENDER
    else:
        assert kind is (Kind.TRANSIENT if code < 500 else Kind.PERMANENT)


@pytest.mark.parametrize(
    ("stage", "kind"),
    tuple((stage, Kind.UNKNOWN if stage is Stage.FINAL else Kind.RELAY) for stage in STAGES),
)
@pytest.mark.parametrize("code", (-1, 0, 99, 1000, 20))
def test_what_is_no_reply_never_accepts_and_is_unknown_only_at_the_end(stage: Stage, kind: Kind, code: int) -> None:
    assert judge(stage, Reply(code, "", "whatever")).kind is kind


replies = st.builds(
    Reply,
    st.integers(-10, 1100),
    st.sampled_from(("", "4.7.1", "5.7.1", "5.4.5", "4.2.0", "2.0.0", "5.1.8")),
    st.text(max_size=200) | st.sampled_from([r.sample for r in RULES]),
)


@given(stage=st.sampled_from(STAGES), given_reply=replies)
def test_any_reply_has_one_meaning_and_only_a_final_success_accepts(stage: Stage, given_reply: Reply) -> None:
    verdict = judge(stage, given_reply)
    accepted = stage is Stage.FINAL and 200 <= given_reply.code < 300
    assert (verdict.kind is Kind.ACCEPTED) == accepted
    if verdict.kind is Kind.UNKNOWN:
        assert stage is Stage.FINAL
    if verdict.kind is Kind.PERMANENT:
        assert 500 <= given_reply.code < 600
        assert stage in OF_MESSAGE
    assert verdict.stage is stage
    assert len(verdict.text) <= 400
    assert verdict.wait is None or 0 <= verdict.wait <= LONGEST_WAIT


@given(text=st.text(max_size=2000))
def test_reading_a_delay_never_fails_and_stays_in_bounds(text: str) -> None:
    wait = named_wait(text)
    assert wait is None or 0 <= wait <= LONGEST_WAIT


@pytest.mark.parametrize("stage", STAGES)
def test_a_failure_without_a_reply_is_unknown_exactly_when_the_whole_body_went_out(stage: Stage) -> None:
    assert judge_failure(stage, "the connection was lost", body_sent=True).kind is Kind.UNKNOWN
    harmless = judge_failure(stage, "the connection was lost", body_sent=False)
    assert (harmless.kind, harmless.reply) == (Kind.RELAY, None)
    assert not harmless.login_rejected


def test_only_a_permanent_refusal_of_the_login_counts_as_rejected() -> None:
    assert judge(Stage.AUTH, reply("535 5.7.8 bad credentials")).login_rejected
    assert not judge(Stage.AUTH, reply("454 4.7.0 temporary")).login_rejected
    assert not judge(Stage.MAIL, reply("535 5.7.8 bad credentials")).login_rejected


def test_a_reply_of_any_length_is_told_in_one_short_line() -> None:
    assert len(judge(Stage.RCPT, Reply(550, "", "x" * 100_000)).text) == 400
