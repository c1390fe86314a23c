"""What replies mean: every rule under its real sample, and no reply without a meaning."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailhub.core.judge import LONGEST_WAIT, TOO_MANY_RECIPIENTS, judge, judge_failure, named_wait
from emailhub.core.reply import Reply
from emailhub.core.rule import Rule
from emailhub.core.rules import RULES
from emailhub.core.verdict import STAGES, Kind, Stage

BEFORE_MAIL = STAGES[: STAGES.index(Stage.MAIL)]
OF_MESSAGE = STAGES[STAGES.index(Stage.MAIL) :]


def reply(text: str) -> Reply:
    code, _, rest = text.partition(" ")
    return Reply.of(int(code), rest)


SAMPLES = tuple((rule, sample) for rule in RULES for sample in rule.samples)


@pytest.mark.parametrize(("rule", "sample"), SAMPLES, ids=[re.sub(r"\W+", "-", sample)[:60] for _, sample in SAMPLES])
def test_each_rule_decides_its_own_samples_at_every_stage_it_speaks_of(rule: Rule, sample: str) -> None:
    given_reply = reply(sample)
    for stage in rule.stages:
        assert next(r for r in RULES if r.matches(stage, given_reply)) is rule, stage
        verdict = judge(stage, given_reply)
        assert (verdict.kind, verdict.stage, verdict.greylisted) == (rule.kind, stage, rule.greylisted)
        assert verdict.reply == given_reply
        assert verdict.text.startswith(rule.says)


def test_no_rule_is_without_a_sample_and_no_sample_is_given_twice() -> None:
    assert all(rule.samples and rule.stages for rule in RULES)
    assert len({sample for _, sample in SAMPLES}) == len(SAMPLES)


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
        (Stage.RCPT, "450 4.1.8 <a@x.test>: Sender address rejected: Domain not found", Kind.SENDER),
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


@pytest.mark.parametrize(
    "text",
    (
        "550 5.7.1 RESOLVER.RST.NotAuthorized; not authorized",
        "550 5.7.1 RESOLVER.RST.AuthRequired; authentication required",
        "550 5.7.133 Sender not authenticated for group; authentication required",
        "554 5.7.1 <ann@x.test>: Recipient address rejected: Access denied by its owner",
        "554 5.7.1 Service unavailable; Recipient address [ann@x.test] blocked using rhsbl.test",
        "550 5.7.1 Message content rejected, domain in body is blocked using dbl.spamhaus.org",
        "550 5.7.1 This message violates example.com email policy.",
        "550 5.7.1 You are not authorized to send to this recipient",
        "550 5.2.1 The email account that you tried to reach is disabled, your account is not affected",
        "552 5.2.2 Mailbox full: too many messages",
        "550 5.1.1 This user has been blocked",
        "550 5.1.1 User unknown; relaying denied",
    ),
)
@pytest.mark.parametrize("stage", (Stage.RCPT, Stage.FINAL))
def test_what_one_recipient_or_one_content_meets_is_not_held_against_the_relay(stage: Stage, text: str) -> None:
    assert judge(stage, reply(text)).kind is Kind.PERMANENT


@pytest.mark.parametrize(
    "text",
    (
        "450 4.2.1 Mailbox busy, recipient rate limit exceeded",
        "452 4.2.2 Mailbox full: too many messages",
        "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded",
        "450 4.1.1 <ann@x.test>: unverified address, client host rejected us",
    ),
)
@pytest.mark.parametrize("stage", (Stage.RCPT, Stage.FINAL))
def test_what_one_mailbox_puts_off_is_not_held_against_the_relay(stage: Stage, text: str) -> None:
    assert judge(stage, reply(text)).kind is Kind.TRANSIENT


@pytest.mark.parametrize(
    "text",
    (
        "450 4.7.1 Error: too many recipients from 192.0.2.1",
        "452 Too many recipients received this hour (throttled)",
        "550 5.7.1 Daily limit for recipients exceeded",
    ),
)
def test_a_limit_on_recipients_over_time_is_the_relays_and_not_one_of_the_transaction(text: str) -> None:
    assert judge(Stage.RCPT, reply(text)).kind is Kind.RELAY


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
        ("Account will be enabled in 2081 seconds", 2081.0),
        ("try again after Sun, 05 Oct 2025 19:22:44 UTC", None),
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
def test_every_code_at_every_stage_has_its_meaning(stage: Stage) -> None:
    for code in range(200, 600):
        assert judge(stage, Reply(code)).kind is meaning_of_a_bare(code, stage), code


def meaning_of_a_bare(code: int, stage: Stage) -> Kind:
    if stage in BEFORE_MAIL or code in {421, 454, 503, 530, 534, 535, 538}:
        return Kind.RELAY
    if code < 400:
        return Kind.RELAY if stage is not Stage.FINAL else Kind.ACCEPTED if code < 300 else Kind.UNKNOWN
    if code == 553 and stage is Stage.MAIL:
        return Kind.SENDER
    return Kind.TRANSIENT if code < 500 else Kind.PERMANENT


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
    st.text(max_size=200) | st.sampled_from([sample for _, sample in SAMPLES]),
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
    if 500 <= given_reply.code < 600 and verdict.kind is Kind.TRANSIENT:
        assert verdict.text.startswith(TOO_MANY_RECIPIENTS)
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
