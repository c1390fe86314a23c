"""What Prometheus reads."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from emailhub.core.breaker import Mode, Phase, Snapshot
from emailhub.core.delivery import Reason, State
from emailhub.core.figures import Totals
from emailhub.core.status import LimitStatus, Link, OutboxStatus, PoolFacts, RabbitStatus, RelayStatus, Suspension
from emailhub.engine.meter import Meter, Reading

NOW = 1_800_000_000.0
EMPTY = Reading(now=NOW, totals=Totals({}, 0, None, 0))
LABELS = {"face", "name", "state", "reason", "relay", "kind", "phase", "le", "span"}


def samples(meter: Meter, reading: Reading = EMPTY) -> dict[tuple[str, str], float]:
    """Every sample by name and label values, ordered by label name, as a Prometheus server reads the text."""
    families = text_string_to_metric_families(meter.render(reading).decode())
    return {
        (
            sample.name.removeprefix("emailhub_"),
            ",".join(value for _, value in sorted(sample.labels.items())),
        ): sample.value
        for family in families
        for sample in family.samples
    }


def test_what_the_engine_counts_is_told() -> None:
    meter = Meter()
    meter.accepted("http")
    meter.accepted("amqp")
    meter.accepted("amqp")
    meter.refused("outbox_full")
    meter.recipient(State.SENT, Reason.ACCEPTED)
    meter.recipient(State.FAILED, Reason.REFUSED)
    meter.unknown("default")
    meter.attempt("default", "accepted", 0.2)
    meter.time_to_send(3.0)
    found = samples(meter)
    assert found["messages_accepted_total", "amqp"] == 2
    assert found["intake_refused_total", "outbox_full"] == 1
    assert found["recipients_total", "accepted,sent"] == 1
    assert found["recipients_total", "refused,failed"] == 1
    assert found["unknown_outcomes_total", "default"] == 1
    assert found["attempt_seconds_count", "accepted,default"] == 1
    assert found["attempt_seconds_bucket", "accepted,0.1,default"] == 0
    assert found["attempt_seconds_bucket", "accepted,0.25,default"] == 1
    assert found["time_to_send_seconds_sum", ""] == 3.0


def test_what_holds_mail_back_or_sends_it_another_way_is_read_at_the_scrape() -> None:
    sick = RelayStatus(
        name="gmail",
        host="h",
        captures=False,
        breaker=Snapshot(phase=Phase.OPEN),
        next_probe=None,
        capacity=20,
        in_flight=0,
        pool=PoolFacts(),
        limits=(LimitStatus(limit=2000, seconds=86400.0, used=1312), LimitStatus(limit=3, seconds=90.0, used=5)),
        suspended=(
            *(Suspension(domain=f"example.{end}", since=NOW, reply="554 no", next_try=NOW) for end in ("com", "org")),
        ),
        covered_by=("ses",),
        draining=True,
    )
    text = Meter().render(Reading(now=NOW, totals=EMPTY.totals, relays=(sick,)))
    assert b"example." not in text
    found = samples(Meter(), Reading(now=NOW, totals=EMPTY.totals, relays=(sick,)))
    assert found["relay_limit", "gmail,day"] == 2000
    assert found["relay_limit_left", "gmail,day"] == 688
    assert found["relay_limit_left", "gmail,90s"] == 0
    assert found["senders_suspended", "gmail"] == 2
    assert found["relay_covered", "gmail"] == 1
    assert found["relay_draining", "gmail"] == 1


def test_how_things_stand_is_read_at_the_scrape() -> None:
    pool = PoolFacts(open=3, opens=10, reuses=90, closes={"age": 2})
    open_breaker = Snapshot(phase=Phase.OPEN, mode=Mode.OPEN)
    relay = RelayStatus(
        name="default",
        host="h",
        captures=False,
        breaker=open_breaker,
        next_probe=None,
        capacity=20,
        in_flight=2,
        pool=pool,
    )
    reading = Reading(
        now=NOW,
        totals=Totals({State.QUEUED: 5, State.HELD: 1, State.SENT: 100}, 6, NOW - 30, 0),
        relays=(relay,),
        rabbit=RabbitStatus(link=Link.DOWN, ready=7, foreign_consumers=1),
        outbox=OutboxStatus(writable=False, size=4096, free_disk=10),
        clients=4,
        dropped=1,
        lag=0.25,
    )
    found = samples(Meter(), reading)
    assert found["messages_waiting", "queued"] == 5
    assert found["messages_waiting", "deferred"] == 0
    assert ("messages_waiting", "sent") not in found
    assert found["oldest_waiting_seconds", ""] == 30
    assert found["breaker_phase", "open,default"] == 1
    assert found["breaker_phase", "closed,default"] == 0
    assert found["breaker_forced", "default"] == 1
    assert found["connections_opened_total", "default"] == 10
    assert found["connections_reused_total", "default"] == 90
    assert found["connections_closed_total", "age,default"] == 2
    assert found["attempts_running", "default"] == 2
    assert found["rabbitmq_link", "down"] == 1
    assert found["rabbitmq_consumer_up", ""] == 0
    assert found["rabbitmq_ready", ""] == 7
    assert found["live_clients", ""] == 4
    assert found["live_clients_dropped_total", ""] == 1
    assert found["loop_lag_seconds", ""] == 0.25
    assert found["outbox_writable", ""] == 0


def test_no_label_could_hold_an_address_or_an_id() -> None:
    meter = Meter()
    meter.attempt("default", "accepted", 1)
    meter.recipient(State.SENT, Reason.ACCEPTED)
    meter.accepted("http")
    text = meter.render(EMPTY).decode()
    used = {
        label for family in text_string_to_metric_families(text) for sample in family.samples for label in sample.labels
    }
    assert used <= LABELS


def test_two_meters_do_not_share_their_counts() -> None:
    first, second = Meter(), Meter()
    first.accepted("http")
    assert ("messages_accepted_total", "http") not in samples(second)


def test_every_metric_says_what_it_means() -> None:
    text = Meter().render(EMPTY).decode()
    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
        assert family.name.startswith("emailhub_")
