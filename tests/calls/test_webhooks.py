"""Webhooks: written with the change, signed, delivered at least once, never to our own net, given up openly."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as Receiver

from calls import delivering, helping, outbound, record, webhooks
from calls.choices import Role
from calls.models import Alert, Call, Change, Delivery, Team, User, Webhook
from scoring.types import Cue, Turn
from tests.api.conftest import finish
from tests.calls.pieces import customer, scored

pytestmark = pytest.mark.django_db
EVENTS = ["alert.raised", "alert.resolved", "call.finished"]
URL = "https://example.com/hooks"


@pytest.fixture
def dana(db: None) -> User:
    return User.objects.create_user("dana", role=Role.ADMIN)


@dataclass
class Got:
    """A real server that keeps what it is sent and answers as told."""

    port: int = 0
    answers: list[int] = field(default_factory=list)
    letters: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/in?key=1"


@pytest.fixture
def got(settings: Any) -> Iterator[Got]:
    settings.WEBHOOK_PRIVATE = ["127.0.0.0/8"]
    kept = Got()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            kept.letters.append(({k.lower(): v for k, v in self.headers.items()}, body))
            status = kept.answers.pop(0) if kept.answers else 204
            self.send_response(status)
            if status == 302:
                self.send_header("Location", kept.url)
            self.end_headers()

        def log_message(self, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield kept
    server.shutdown()
    server.server_close()


def deliver_all() -> None:
    while delivering.deliver_due():
        pass


def test_a_call_is_told_from_alert_to_end_and_each_letter_is_signed(
    got: Got, dana: User, alice: User, make_call: Callable[..., Call]
) -> None:
    hook, secret = webhooks.make(dana, "CRM", got.url, EVENTS, None)
    call = finish(make_call("CA-hook"))
    webhooks.alerts_raised(call, list(call.alerts.all()))
    helping.resolve(call.alerts.get(cause="escalation-person"), alice, "called back")
    deliver_all()
    bodies = [Receiver(secret).verify(body, headers) for headers, body in got.letters]
    kinds = [body["type"] for body in bodies]
    assert (
        kinds.count("call.finished") == 1 and kinds.count("alert.resolved") == 1 and "alert.raised" in kinds
    )
    finished = next(body["data"] for body in bodies if body["type"] == "call.finished")
    assert (
        finished["call"] == str(call.pk)
        and finished["opportunities"] >= 1
        and finished["empathy"] is not None
    )
    assert finished["agent"] is None, "the policy locks agents' figures"
    assert finished["url"].endswith(f"/calls/{call.pk}/")
    text = b"".join(body for _, body in got.letters)
    assert b"third time" not in text and b"a boss" not in text, "nobody's words leave"
    assert not Delivery.objects.filter(delivered_at=None).exists()
    forged = got.letters[0][1].replace(b"CA-hook", b"CA-haha")
    with pytest.raises(Exception, match="[Nn]o matching signature"):
        Receiver(secret).verify(forged, got.letters[0][0])


def test_nothing_is_told_of_what_was_not_committed(
    got: Got, dana: User, make_call: Callable[..., Call]
) -> None:
    webhooks.make(dana, "CRM", got.url, EVENTS, None)
    call = make_call("CA-roll")
    with pytest.raises(RuntimeError), transaction.atomic():
        webhooks.call_finished(call)
        raise RuntimeError
    deliver_all()
    assert not got.letters


def test_an_event_is_told_once_however_often_it_is_written(
    got: Got, dana: User, make_call: Callable[..., Call]
) -> None:
    webhooks.make(dana, "CRM", got.url, EVENTS, None)
    call = finish(make_call("CA-twice"))
    alerts = list(Alert.objects.filter(call=call))
    before = Delivery.objects.count()
    for _ in range(3):
        webhooks.call_finished(call)
        webhooks.alerts_raised(call, [alert for alert in alerts if alert.cause != "escalation-person"])
    assert Delivery.objects.count() == before


def test_what_was_withdrawn_and_is_raised_for_something_later_is_told(
    dana: User, make_call: Callable[..., Call]
) -> None:
    """Twice by one turn told again, and once in the very batch that withdraws the first."""
    webhooks.make(dana, "CRM", URL, EVENTS, None)
    call_id = str(make_call("CA-again").pk)
    asks = customer(0, "I want your supervisor")
    asks = replace(asks, cues=(Cue("escalation", 0.9, 0.9, "supervisor", "rule:escalation-person"),))
    calm = replace(
        customer(0, "I want your supervisor to hear how good you were", 0.02), end_ms=4500, cues=()
    )
    later, last = (
        replace(asks, start_ms=200_000, end_ms=202_500),
        replace(asks, start_ms=600_000, end_ms=602_500),
    )
    calm_later = replace(calm, start_ms=200_000, end_ms=204_500)

    def told(*turns: Turn, until: int) -> list[int]:
        record.record_scores([scored(call_id, *turns, hops=range(until - 2, until))])
        found = Delivery.objects.filter(kind="alert.raised", body__data__alert__cause="escalation-person")
        return sorted(row.body["data"]["alert"]["t_ms"] for row in found)

    assert told(asks, until=10) == [2500]
    assert told(calm, until=20) == [2500]
    assert told(later, until=410) == told(later, until=412) == [2500, 202_500]
    assert told(calm_later, last, until=1210) == [2500, 202_500, 602_500]


def test_a_team_hears_of_its_own_calls_only(dana: User, travel: Team, make_call: Callable[..., Call]) -> None:
    other, _ = webhooks.make(dana, "Travel", URL, EVENTS, travel)
    some, _ = webhooks.make(dana, "Alerts", URL, ["alert.raised"], None)
    finish(make_call("CA-team"))
    assert not other.deliveries.exists()
    assert not some.deliveries.filter(kind="call.finished").exists()


def test_tried_again_later_and_later_and_then_given_up(got: Got, dana: User) -> None:
    hook, _ = webhooks.make(dana, "CRM", got.url, EVENTS, None)
    row = webhooks.ping(hook)
    got.answers = [500] * 50
    now, gaps = timezone.now() + timedelta(seconds=1), []
    for _ in range(len(delivering.WAITS) + 1):
        assert delivering.deliver_due(now) == 1
        row.refresh_from_db()
        if row.next_at is None:
            break
        gaps.append((row.next_at - timezone.now()).total_seconds())
        now = row.next_at + timedelta(seconds=1)
    assert row.attempts == len(delivering.WAITS) + 1 and row.next_at is None and row.trouble == "answered 500"
    assert [round(gap) for gap in gaps] == [round(wait.total_seconds()) for wait in delivering.WAITS]
    ids = {headers["webhook-id"] for headers, _ in got.letters}
    assert len(ids) == 1, "each try carries the same id"
    got.answers = []
    delivering.again(row)
    deliver_all()
    row.refresh_from_db()
    assert row.delivered_at and row.status == 204


@pytest.mark.parametrize("status", [302, 400, 404, 503])
def test_what_counts_as_not_delivered(got: Got, dana: User, status: int) -> None:
    hook, _ = webhooks.make(dana, "CRM", got.url, EVENTS, None)
    row = webhooks.ping(hook)
    got.answers = [status]
    delivering.deliver_due()
    row.refresh_from_db()
    assert row.delivered_at is None and row.next_at and len(got.letters) == 1, "no redirect is followed"


def test_gone_switches_off_and_so_do_five_days_of_failures(got: Got, dana: User) -> None:
    hook, _ = webhooks.make(dana, "CRM", got.url, EVENTS, None)
    webhooks.ping(hook)
    webhooks.ping(hook)
    got.answers = [410, 410]
    delivering.deliver_due()
    hook.refresh_from_db()
    assert not hook.enabled and "410" in hook.off_because
    assert not hook.deliveries.filter(next_at__isnull=False).exists()
    webhooks.switch(dana, hook, True)
    row = webhooks.ping(hook)
    Webhook.objects.update(failing_since=timezone.now() - timedelta(days=6))
    got.answers = [500]
    delivering.deliver_due()
    hook.refresh_from_db()
    row.refresh_from_db()
    assert not hook.enabled and "5 days" in hook.off_because and row.next_at is None


def test_a_process_that_dies_in_the_middle_loses_nothing(got: Got, dana: User) -> None:
    hook, _ = webhooks.make(dana, "CRM", got.url, EVENTS, None)
    row = webhooks.ping(hook)
    assert delivering.claim(timezone.now()) == [row]  # and then nothing more
    assert not delivering.deliver_due()
    assert delivering.deliver_due(timezone.now() + delivering.LEASE + timedelta(seconds=1)) == 1
    assert len(got.letters) == 1


def test_a_rotated_secret_signs_beside_the_old_one_for_a_day(got: Got, dana: User) -> None:
    hook, old = webhooks.make(dana, "CRM", got.url, EVENTS, None)
    new = webhooks.rotate(dana, hook)
    webhooks.ping(hook)
    deliver_all()
    headers, body = got.letters[-1]
    for secret in (old, new):
        Receiver(secret).verify(body, headers)
    Webhook.objects.update(rotated_at=timezone.now() - timedelta(days=2))
    webhooks.ping(hook)
    deliver_all()
    headers, body = got.letters[-1]
    Receiver(new).verify(body, headers)
    with pytest.raises(Exception, match="[Nn]o matching signature"):
        Receiver(old).verify(body, headers)
    kept = json.dumps(list(Webhook.objects.values()) + list(Change.objects.values()), default=str)
    assert (
        old not in kept
        and new not in kept
        and "key=1" not in json.dumps(list(Change.objects.values()), default=str)
    )


def test_a_secret_key_that_changed_is_said(got: Got, dana: User, settings: Any) -> None:
    hook, _ = webhooks.make(dana, "CRM", got.url, EVENTS, None)
    row = webhooks.ping(hook)
    settings.SECRET_KEY = "another"
    delivering.deliver_due()
    row.refresh_from_db()
    assert "SECRET_KEY" in row.trouble and not got.letters


# --- where it may go -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
        "::1", "fe80::1", "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "::",
        "fe80::1%eth0", "192.0.2.1", "255.255.255.255",
    ],
)  # fmt: skip
def test_nowhere_near_our_own_net(address: str) -> None:
    assert not outbound.is_allowed(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"])
def test_public_addresses(address: str) -> None:
    assert outbound.is_allowed(address)


@pytest.mark.parametrize(
    "host", ["localhost", "127.1", "2130706433", "0x7f.1", "017700000001", "[::1]", "127.0.0.1."]
)
def test_other_spellings_of_ourselves(host: str) -> None:
    answer = outbound.post(f"https://{host}/", b"{}", {})
    assert answer.status is None and ("public" in answer.trouble or "not known" in answer.trouble), answer


def test_a_name_that_moves_after_the_check_changes_nothing(got: Got, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = socket.getaddrinfo

    def moving(host: str, *args: Any, **kwargs: Any) -> Any:
        if host == "hooks.test":
            asked.append(host)
            return real("127.0.0.1" if len(asked) == 1 else "10.0.0.1", *args, **kwargs)
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", moving)
    assert outbound.post(f"http://hooks.test:{got.port}/", b"{}", {}).status == 204
    assert len(asked) == 1 and got.letters[0][0]["host"] == f"hooks.test:{got.port}"


def test_one_bad_address_of_several_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    def two(host: str, port: int, **_: Any) -> Any:
        kinds = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*kinds, ("93.184.216.34", port)), (*kinds, ("10.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    assert "10.0.0.1" in outbound.post("https://x.test/", b"{}", {}).trouble


def test_an_answer_that_drips_is_cut_off(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.WEBHOOK_PRIVATE = ["127.0.0.0/8"]
    monkeypatch.setattr(outbound, "DEADLINE_S", 0.4)
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def drip() -> None:
            peer, _ = server.accept()
            with peer:
                while not stop.wait(0.05):
                    try:
                        peer.sendall(b"H")
                    except OSError:
                        return

        threading.Thread(target=drip, daemon=True).start()
        answer = outbound.post(f"http://127.0.0.1:{server.getsockname()[1]}/", b"{}", {})
        stop.set()
    assert answer == outbound.Answer(None, "no answer in time")


def test_a_certificate_nobody_knows(settings: Any, tmp_path: Any) -> None:
    import ssl

    settings.WEBHOOK_PRIVATE = ["127.0.0.0/8"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cert = made_certificate(tmp_path)
        context.load_cert_chain(cert)

        def serve() -> None:
            peer, _ = server.accept()
            with contextlib.suppress(OSError):
                context.wrap_socket(peer, server_side=True)

        threading.Thread(target=serve, daemon=True).start()
        answer = outbound.post(f"https://127.0.0.1:{server.getsockname()[1]}/", b"{}", {})
    assert answer.trouble == "its certificate cannot be trusted"


def made_certificate(folder: Any) -> str:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = timezone.now()
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = folder / "cert.pem"
    plain = serialization.NoEncryption()
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return str(path)


@pytest.mark.parametrize(
    "url",
    ["http://example.com/", "ftp://x/", "https://", "https://a b/", "https://u:p@x/", "https://x/#y", "https://x:0/",
     "https://x:99999/", "https://ü.example/", "javascript:alert(1)", "", "https://[::1", "https://x/" + "a" * 300],
)  # fmt: skip
def test_addresses_that_are_not_taken(dana: User, url: str) -> None:
    with pytest.raises(webhooks.Refused):
        webhooks.make(dana, "x", url, EVENTS, None)


@given(url=st.text(max_size=80))
def test_any_text_as_an_address(url: str) -> None:
    try:
        webhooks.checked_url(url)
    except webhooks.Refused as refused:
        assert str(refused)


def test_old_deliveries_go(dana: User) -> None:
    hook, _ = webhooks.make(dana, "CRM", URL, EVENTS, None)
    old, waiting = webhooks.ping(hook), webhooks.ping(hook)
    long_ago = timezone.now() - delivering.KEPT - timedelta(hours=1)
    Delivery.objects.filter(pk=old.pk).update(created_at=long_ago, next_at=None)
    Delivery.objects.filter(pk=waiting.pk).update(created_at=long_ago)
    assert delivering.forget_old() == 1 and Delivery.objects.get() == waiting
