"""What operators do and see: pause, resume, authorise, status, why; the runner's loop, its figures, notices; no leaks."""

from __future__ import annotations

import http.client
import json
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli import logs
from reconciler.clients.notices import Notice, NoticesClient
from reconciler.clients.transport import Transport
from reconciler.clock import Clock
from reconciler.errors import PracticeUnauthorised, UsageError
from reconciler.report import metrics, status_text
from reconciler.report.sync_text import render_sync
from reconciler.settings.values import Settings
from reconciler.store import audit, sync_marks, sync_practices, sync_slots
from reconciler.store.sync_slots import Job
from reconciler.sync.engine import ThreadEngine
from reconciler.sync.planner import Planner
from reconciler.sync.runner import Runner
from reconciler.web.health import HealthServer
from reconciler.workflow import operating, operating_sync, syncing
from reconciler.workflow.holding import Ledger
from reconciler.workflow.operating_sync import Asked, check
from tests.syncing import PARENT, PRACTICE_ID, SLUG, START, Bench, bench

HERE, THERE = PARENT + 1, PARENT + 2
WEEK_AGO = START - timedelta(days=7)


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def opened(it: Bench) -> Ledger:
    return Ledger(it.store, it.store, it.deps.keys)


def runner_of(it: Bench) -> syncing.Runner:
    return syncing.Runner(Settings(Path(), None, Path()), Clock(), it.deps)


# pause and resume ------------------------------------------------------------------------------------------------


def test_what_happens_during_a_pause_is_never_made_up(it: Bench) -> None:
    it.put(at=WEEK_AGO)
    it.book("2026-11-22")
    it.sync()
    operating.pause(opened(it), SLUG, by="Ann", reason="asked", now=it.clock.now())
    it.book("2026-11-24")
    it.clock.advance(days=3)
    assert (it.one().status, "Ann paused it" in it.one().detail) == ("paused", True)
    found = operating.resume(opened(it), SLUG, by="Ann", reason="asked", now=it.clock.now())
    assert found.was is not None
    it.book("2026-11-26")
    it.book("2026-11-27", 8)
    assert it.one().counts.read == 0
    it.clock.advance(days=1)
    assert it.one().counts.sent == 1


def test_a_resumed_location_that_never_ran_begins_with_today(it: Bench) -> None:
    it.put(at=WEEK_AGO)
    operating.pause(opened(it), str(HERE), by="Ann", reason="asked", now=it.clock.now())
    operating.resume(opened(it), str(HERE), by="Ann", reason="asked", now=it.clock.now())
    it.book("2026-11-23")
    assert it.one().counts.read == 0


def test_what_was_planned_before_a_pause_is_given_up(it: Bench) -> None:
    it.limit(max_contacts_per_run=1)
    it.put()
    it.book("2026-11-23")
    it.book("2026-11-23")
    it.sync()
    operating.pause(opened(it), None, by="Ann", reason="asked", now=it.clock.now())
    found = operating.resume(opened(it), None, by="Ann", reason="asked", now=it.clock.now())
    assert found.given_up == 2
    it.limit(max_contacts_per_run=100)
    it.sync()
    assert it.deliveries == []


def test_a_backfill_contacts_nobody_so_a_pause_does_not_stop_it(it: Bench) -> None:
    it.put()
    it.book("2026-11-22")
    operating.pause(opened(it), None, by="Ann", reason="restoring", now=it.clock.now())
    report = it.one(kind="backfill", first=date(2026, 11, 22), last=date(2026, 11, 22))
    assert report.status == "ok"
    assert report.counts.read > 0
    assert it.one().status == "paused"


def test_a_location_may_be_paused_otherwise(it: Bench) -> None:
    it.put(HERE, THERE)
    operating.pause(opened(it), None, by="Ann", reason="asked", now=it.clock.now())
    operating.pause(opened(it), str(HERE), by="Ann", reason="asked", now=it.clock.now())
    found = operating.resume(opened(it), None, by="Ann", reason="asked", now=it.clock.now())
    assert found.still_paused == (HERE,)


def test_people_act_by_name_and_reason_and_the_chain_says_so(it: Bench) -> None:
    it.put()
    with pytest.raises(UsageError, match="--by and --reason"):
        operating.pause(opened(it), SLUG, by=" ", reason="asked", now=it.clock.now())
    operating.pause(opened(it), SLUG, by="Ann", reason="asked", now=it.clock.now())
    operating.resume(opened(it), SLUG, by="Ben", reason="mended", now=it.clock.now())
    with it.store.read() as connection:
        verified = audit.verify(connection)
    assert (verified.count, verified.problem) == (2, None)


def test_a_name_that_nothing_has_is_a_usage_error(it: Bench) -> None:
    it.put()
    with pytest.raises(UsageError, match="nothing in force is called nobody"):
        operating.pause(opened(it), "nobody", by="Ann", reason="asked", now=it.clock.now())


# authorise -------------------------------------------------------------------------------------------------------


def test_authorising_tries_a_read_and_catches_up_without_a_gap(it: Bench) -> None:
    it.put(at=WEEK_AGO)
    it.sync()
    it.app.emr.unauthorised[PRACTICE_ID] = 401
    it.clock.advance(days=1)
    it.book("2026-11-24")
    assert it.one().status == "unauthorised"
    with pytest.raises(PracticeUnauthorised):
        operating.authorize(runner_of(it), SLUG, by="Ann", reason="mended")
    assert it.one().status == "unauthorised"
    it.clock.advance(days=1)
    it.book("2026-11-25")
    it.app.emr.unauthorised.clear()
    operating.authorize(runner_of(it), SLUG, by="Ann", reason="mended")
    assert it.one().counts.sent == 2
    assert [each.kind for each in it.changes] == ["unauthorised", "recovered"]


# status and why --------------------------------------------------------------------------------------------------


def test_status_shows_both_axes(it: Bench) -> None:
    it.put(HERE, THERE, locations={THERE: {"active": False}})
    it.book("2026-11-23")
    first = operating.status(opened(it), now=it.clock.now())
    assert [(each.is_active, each.status, each.detail) for each in first] == [
        (True, "waiting", "has not run yet"),
        (False, "inactive", "the location is inactive"),
    ]
    it.sync()
    text = status_text.render_status(operating.status(opened(it), [str(HERE)], now=it.clock.now()))
    assert text == (
        "example-skin-group (revision 1, applied 2026-11-23 15:00 UTC by plan plan-1, commit c0ffee)\n"
        "  100000000000101 Example\n"
        "    config: active, runner bundled\n"
        "    flow:   ok\n"
        f"            last success 2026-11-24 15:00 UTC, next due {_due(it)} UTC, done up to 2026-11-24 05:00 UTC\n"
        "            contacts: 1 confirmed\n"
    )


def due(it: Bench) -> list[str | None]:
    found = operating.status(opened(it), now=it.clock.now(), reveal=it.deps.reveal)
    return [each.to_json()["flow"]["next_due"] for each in found]


def test_status_says_when_a_location_is_due_by_what_is_in_force_now(it: Bench) -> None:
    daily = {"next_run": "2026-11-20T06:00:00-05:00", "frequency": "1d"}
    it.put(HERE, at=START - timedelta(hours=1), locations={HERE: daily})
    assert due(it) == ["2026-11-25T11:00:00+00:00"]  # nothing has run yet, no planner has looked
    it.sync()
    assert due(it) == ["2026-11-25T11:00:00+00:00"]
    it.put(HERE, at=START - timedelta(hours=1), locations={HERE: daily | {"frequency": "6h"}})
    assert due(it) == ["2026-11-24T17:00:00+00:00"]
    it.clock.advance(hours=2, minutes=5)
    assert due(it) == ["2026-11-24T17:00:00+00:00"]  # its time has come
    it.sync(kind="slot", due_only=True)
    assert due(it) == ["2026-11-24T23:00:00+00:00"]
    operating.pause(opened(it), SLUG, by="Ann", reason="asked", now=it.clock.now())
    assert due(it) == [None]


def test_a_location_that_stopped_is_due_at_its_next_slot(it: Bench) -> None:
    it.put(HERE, at=WEEK_AGO, locations={HERE: {"next_run": "2026-11-20T06:00:00-05:00"}})
    assert due(it) == ["2026-11-24T11:00:00+00:00"]
    it.limit(max_contacts_per_run=1)
    it.book("2026-11-23")
    it.book("2026-11-23")
    assert it.one(kind="slot", due_only=True).status == "stopped"
    assert due(it) == ["2026-11-25T11:00:00+00:00"]


def test_slots_without_a_first_one_are_known_by_the_practice_id_or_from_the_first_pass_on(it: Bench) -> None:
    it.put(at=START - timedelta(hours=1))
    (known,) = due(it)
    assert known is not None
    assert known.startswith("2026-11-25T11:")
    (hidden,) = operating.status(opened(it), now=it.clock.now())
    assert hidden.next_due is None
    it.sync()
    (seen,) = operating.status(opened(it), now=it.clock.now())
    assert seen.to_json()["flow"]["next_due"] == known


def _due(it: Bench) -> str:
    with it.store.read() as connection:
        state = sync_marks.location(connection, HERE)
    assert state is not None
    assert state.next_due is not None
    return f"{state.next_due:%Y-%m-%d %H:%M}"


def test_a_ticket_holds_no_practice_id_unless_it_is_revealed(it: Bench) -> None:
    it.put()
    it.app.emr.unauthorised[PRACTICE_ID] = 401
    it.sync()
    settings = Settings(Path(), None, Path())
    found = operating.tickets(opened(it), settings, (), reveal=False, now=it.clock.now())
    text = status_text.render_tickets(found)
    assert (PRACTICE_ID in text, "401" in text, "unauthorised" in text) == (False, True, True)
    assert PRACTICE_ID not in json.dumps(status_text.status_document((), found))


def test_why_names_the_rule_the_values_and_the_revision(it: Bench) -> None:
    it.put(wire={"appointment.types": "Surgery"})
    number = it.book("2026-11-23", kind=0)
    it.sync()
    (row,) = operating.why(opened(it), str(number))
    assert (row.outcome, row.reason, row.rule, row.revision, row.commit) == (
        "restricted",
        "'Appointment type' is not in the allowed list",
        "appointment_types",
        1,
        "c0ffee",
    )
    text = status_text.render_why([row])
    assert "compared  type: Follow Up\n  compared  allowed: Surgery\n" in text
    assert operating.why(opened(it), row.id) == (row,)
    assert operating.why(opened(it), str(number), business=HERE) == (row,)
    with pytest.raises(operating.NotKnown):
        operating.why(opened(it), "404404")


# the runner ------------------------------------------------------------------------------------------------------


def runner(it: Bench, workers: int = 2) -> Runner:
    return Runner(
        it.deps,
        workers=workers,
        name="here",
        monotonic=it.clock.monotonic,
        retention_days=400,
        try_token=lambda plus: None,
    )


def test_a_planner_submits_a_slot_once_however_many_planners_there_are(it: Bench) -> None:
    it.put(at=WEEK_AGO)
    engine = ThreadEngine(
        it.store, lambda job: "", workers=0, name="a", is_held=lambda practice: False, monotonic=it.clock.monotonic
    )
    planners = [Planner(it.deps, engine) for _ in range(3)]
    assert [each.tick(it.clock.now())[0] for each in planners] == [1, 0, 0]
    with it.store.read() as connection:
        assert sync_slots.backlog(connection)[:2] == (1, 0)


def test_the_runner_makes_the_pass_of_a_slot_and_not_another(it: Bench) -> None:
    it.put(at=WEEK_AGO)
    it.book("2026-11-23")
    made = runner(it)
    made._engine.start()
    made.tick()
    for _ in range(200):
        if it.deliveries:
            break
        threading.Event().wait(0.02)
    made.tick()
    assert made._engine.drain(10)
    made.tick()
    assert len(it.deliveries) == 1
    with it.store.read() as connection:
        assert sync_slots.backlog(connection)[:2] == (0, 0)
    shown = metrics.render(made.figures())
    assert 'reconciler_ledger_rows{state="confirmed"} 1\n' in shown
    assert 'reconciler_passes_total{status="ok"} 1\n' in shown
    assert 'reconciler_visits_total{outcome="sent"} 1\n' in shown


def test_jobs_of_a_dead_worker_are_done_again_and_not_for_ever(it: Bench) -> None:
    job = Job("practice", START)
    engine = ThreadEngine(
        it.store, lambda job: "", workers=0, name="b", is_held=lambda practice: False, monotonic=it.clock.monotonic
    )
    with it.store.begin() as connection:
        assert engine.submit(connection, job)
    for attempt in range(5):
        with it.store.begin() as connection:
            assert sync_slots.claim(connection, "dead", now=START) == job, attempt
        assert engine.recover() == 1
    row = engine.status(job.id)
    assert row is not None
    assert (row.state, row.attempts) == ("failed", 5)


def test_a_job_is_left_alone_while_its_practice_is_held(it: Bench) -> None:
    job = Job("practice", START)
    engine = ThreadEngine(
        it.store, lambda job: "", workers=0, name="b", is_held=lambda practice: True, monotonic=it.clock.monotonic
    )
    with it.store.begin() as connection:
        engine.submit(connection, job)
        sync_slots.claim(connection, "alive", now=START)
    assert engine.recover() == 0


def test_a_job_that_nobody_has_begun_can_be_cancelled(it: Bench) -> None:
    job = Job("practice", START)
    engine = ThreadEngine(
        it.store, lambda job: "", workers=0, name="b", is_held=lambda practice: False, monotonic=it.clock.monotonic
    )
    with it.store.begin() as connection:
        engine.submit(connection, job)
        assert engine.cancel(connection, job.id)
        assert not engine.cancel(connection, job.id)
    assert engine.health().waiting == 0


def test_a_location_that_stays_due_is_late_once(it: Bench) -> None:
    it.put(at=WEEK_AGO)
    made = runner(it, workers=0)
    it.clock.at = START + timedelta(hours=9)
    for _ in range(3):
        made.tick()
    assert [(each.kind, each.subject) for each in it.changes] == [("late", SLUG)]
    assert made.figures().oldest_due_seconds > 3600
    it.sync()
    it.clock.advance(seconds=1)
    made.tick()
    assert [each.kind for each in it.changes] == ["late", "recovered"]


def test_refused_credentials_are_tried_again_and_told_when_they_work(it: Bench) -> None:
    it.put(at=WEEK_AGO)
    account = it.app.emr.accounts["reconciler@nextech-api.com"]
    account.state = "expired"
    it.sync()
    account.state = "ok"
    made = runner(it, workers=0)
    made.tick()
    assert it.deps.refused == {}
    assert [each.kind for each in it.changes] == ["credentials", "recovered"]


def test_health_readiness_and_metrics_are_three_plain_answers() -> None:
    problems = {"ready": "starting"}
    with HealthServer(
        "127.0.0.1", 0, metrics=lambda: "m 1\n", health=lambda: "", ready=lambda: problems["ready"]
    ) as server:

        def get(path: str) -> tuple[int, str]:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read().decode()
            connection.close()
            return answer.status, body

        assert get("/metrics") == (200, "m 1\n")
        assert get("/healthz") == (200, "ok\n")
        assert get("/readyz") == (503, "starting\n")
        problems["ready"] = ""
        assert get("/readyz") == (200, "ready\n")
        assert get("/else") == (404, "not found\n")


# notices ---------------------------------------------------------------------------------------------------------


class Hook(BaseHTTPRequestHandler):
    bodies: list[Any] = []  # noqa: RUF012 - one test

    def do_POST(self) -> None:
        self.bodies.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        del format, args


def test_notices_go_out_as_a_document_and_in_slacks_form_and_a_dead_hook_is_named_by_its_host() -> None:
    Hook.bodies.clear()
    server = HTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    clock = Clock()

    def transport(base: str) -> Transport:
        return Transport(
            base_url=base,
            allowed_hosts=frozenset({"127.0.0.1", "localhost"}),
            now=clock.monotonic,
            wall=clock.now,
            sleep=lambda seconds: None,
            jitter=lambda: 0.0,
            deadline_seconds=2,
        )

    url = f"http://127.0.0.1:{server.server_address[1]}"
    client = NoticesClient(
        [f"{url}/hook?key=1", f"{url}/services/T/secret#slack", "http://localhost:1/gone"], transport
    )
    failed = client.send(Notice("capped", "example", "a <b> & c", "2026-11-24T15:00:00+00:00"))
    server.shutdown()
    server.server_close()
    thread.join(5)
    assert failed == ("localhost",)
    assert Hook.bodies == [
        (
            "/hook?key=1",
            {
                "source": "reconciler",
                "kind": "capped",
                "subject": "example",
                "text": "a <b> & c",
                "at": "2026-11-24T15:00:00+00:00",
            },
        ),
        ("/services/T/secret", {"text": "reconciler: capped: example: a &lt;b&gt; &amp; c"}),
    ]


# nothing of a person anywhere ------------------------------------------------------------------------------------


def test_no_output_log_metric_or_database_page_holds_anything_of_a_person(
    it: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    it.put(at=WEEK_AGO, wire={"appointment.types": "Follow Up"})
    numbers = [it.book("2026-11-22"), it.book("2026-11-22", status="noshow"), it.book("2026-11-23", kind=1)]
    it.app.faults.arm("/resources/v1/contact/external/preferences/checkin:1:502-after-commit")
    report = it.sync()
    chart = it.app.emr.chart(it.app.emr.practice(PRACTICE_ID))  # type: ignore[arg-type]
    canaries: set[str] = {PRACTICE_ID, "sandbox-password", "sandbox-key-skin-group"}
    for number in numbers:
        patient = chart.patient_of(number)
        assert patient is not None
        person = chart.person(patient)
        digits = "".join(each for each in person.mobile or "" if each.isdigit())
        canaries |= {person.guid, person.guid.upper(), person.family, person.email or "?", person.mobile or "?", digits}
    canaries -= {"", "?"}
    rows = [row for number in numbers for row in operating.why(opened(it), str(number))]
    made = runner(it, workers=0)
    shown = "\n".join(
        [
            render_sync(report),
            json.dumps(report.to_json()),
            status_text.render_status(operating.status(opened(it), now=it.clock.now())),
            status_text.render_why(rows),
            json.dumps(status_text.why_document(rows)),
            metrics.render(made.figures()),
            json.dumps([dict(each) for each in it.decisions], default=repr),
            repr(it.events),
            repr(it.changes),
            repr(it.deps),
            caplog.text,
        ]
    )
    with it.store.begin() as connection:
        connection.exec_driver_sql("SELECT 1")
    disk = b"".join(file.read_bytes() for file in sorted(tmp_path.rglob("*")) if file.is_file())
    for canary in canaries:
        assert canary not in shown, canary
        assert canary.encode() not in disk, canary
    assert len(it.deliveries) == 1


def test_a_decision_is_one_json_line_with_the_keys_that_operators_search(
    it: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.set_up(logging.INFO, "json")
    it.deps.on_decision = syncing._log_decision
    it.put(beta=True)
    it.book("2026-11-23")
    it.sync()
    (line,) = [json.loads(each) for each in capsys.readouterr().err.splitlines()]
    assert {key: line[key] for key in ("event", "outcome", "reason", "rule", "beta", "slug", "business")} == {
        "event": "decision",
        "outcome": "restricted",
        "reason": "Integration is beta",
        "rule": "beta",
        "beta": "true",
        "slug": SLUG,
        "business": HERE,
    }
    logging.getLogger("reconciler").handlers.clear()
    logging.getLogger("reconciler").propagate = True


# the command line's own checks -----------------------------------------------------------------------------------

DAY = date(2026, 11, 20)


@pytest.mark.parametrize(
    "asked",
    [
        Asked(day=DAY, backfill=(DAY, DAY), by="a", reason="b"),
        Asked(due=True, day=DAY),
        Asked(names=("x",), max_contacts=5),
        Asked(max_contacts=5, by="a", reason="b"),
        Asked(backfill=(DAY, DAY)),
        Asked(names=("x",), backfill=(DAY, DAY), max_contacts=5, by="a", reason="b"),
    ],
)
def test_what_cannot_be_meant_together_is_a_usage_error(asked: Asked) -> None:
    with pytest.raises(UsageError):
        check(asked)


def test_the_seconds_of_a_pause_are_kept(it: Bench) -> None:
    it.put()
    operating.pause(opened(it), SLUG, by="Ann", reason="asked", now=it.clock.now())
    with it.store.read() as connection:
        found = sync_practices.pauses(connection)
    assert found[PARENT].since == datetime(2026, 11, 24, 15, tzinfo=UTC)


def test_a_day_that_has_ended_nowhere_is_wrong_usage() -> None:
    now = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    for day in (date(2026, 11, 24), date(2099, 1, 1)):
        with pytest.raises(UsageError, match="the day is not over"):
            operating_sync.refuse_a_day_to_come(day, now)
    operating_sync.refuse_a_day_to_come(date(2026, 11, 23), now)
    operating_sync.refuse_a_day_to_come(date(2026, 11, 24), datetime(2026, 11, 24, 10, 0, tzinfo=UTC))


@pytest.mark.parametrize(
    ("days", "says"),
    [
        ((date(2026, 11, 23), date(2026, 11, 22)), "FROM is after TO"),
        ((date(2026, 11, 23), date(2026, 11, 25)), "TO is in the future"),
    ],
)
def test_a_backfill_of_days_that_cannot_be_is_wrong_usage_and_leaves_everything_as_it_was(
    it: Bench, days: tuple[date, date], says: str
) -> None:
    it.put()
    it.book("2026-11-23")
    it.sync()
    before, requests = operating.status(opened(it), now=it.clock.now()), it.requests
    with pytest.raises(UsageError, match=says):
        operating_sync.sync(runner_of(it), Asked(backfill=days, by="Ann", reason="restored"))
    assert (operating.status(opened(it), now=it.clock.now()), it.requests, it.changes) == (before, requests, [])
    with it.store.read() as connection:
        assert audit.verify(connection).count == 0
