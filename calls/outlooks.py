"""The outlook held against what became of calls, fitted to it, put into use and taken back (SCIENCE §6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from calls import auditing
from calls.choices import CallStatus, Did
from calls.models import CallOutcome, OutlookRun, User
from calls.models.rubrics import spec_of
from scoring import outlook as scored

MOST = 5000
"""The newest calls that are looked at: what callers want changes, and ranking compares each with each."""
PROMOTER, DETRACTOR = 9, 6
SATISFIED, DISSATISFIED = 4, 2
DECIDED = ("churned", "nps", "csat")
LOCK = 7004


class Refused(ValueError):
    """Cannot be fitted or switched; the text says why."""


# --- what outcomes say ------------------------------------------------------------------------------------


def decided_by(outcome: CallOutcome) -> str:
    """The kind of outcome that says most about the relationship: having left, then NPS, then CSAT."""
    return next((kind for kind in DECIDED if getattr(outcome, kind) is not None), "")


def is_good(outcome: CallOutcome) -> bool | None:
    """Stayed, promoter, satisfied; None for those in between, and where nobody said."""
    kind = decided_by(outcome)
    if kind == "churned":
        return not outcome.churned
    high, low = (PROMOTER, DETRACTOR) if kind == "nps" else (SATISFIED, DISSATISFIED)
    value = getattr(outcome, kind) if kind else None
    if value is None or low < value < high:
        return None
    return bool(value >= high)


@dataclass(frozen=True)
class Example:
    features: dict[str, float]
    good: int
    kind: str
    prior: float
    """What the shipped outlook says of it, as a chance."""
    ended_at: datetime


def examples() -> list[Example]:
    """Of real, finished calls with an outcome that decides and something heard; oldest first."""
    told = Q(churned__isnull=False) | Q(nps__isnull=False) | Q(csat__isnull=False)
    rows = CallOutcome.objects.filter(
        told, call__synthetic=False, call__practice=False, call__final__outlook__features__has_key="end"
    ).exclude(call__status=CallStatus.LIVE)
    newest = rows.select_related("call").order_by("-call__ended_at", "-pk")[:MOST]
    found = []
    for outcome in reversed(list(newest)):
        good, call = is_good(outcome), outcome.call
        if good is None or call.ended_at is None:
            continue
        features = (call.final or {})["outlook"]["features"]
        prior = scored.prior_chance(features, spec_of(call.rubric_version_id).outlook)
        found.append(Example(features, int(good), decided_by(outcome), prior, call.ended_at))
    return found


@dataclass(frozen=True)
class Progress:
    """How many outcomes there are, and how many are lacking."""

    n: int
    good: int
    kinds: dict[str, int]

    @property
    def rarer(self) -> int:
        return min(self.good, self.n - self.good)

    @property
    def lacking(self) -> int:
        return max(0, scored.MIN_OUTCOMES - self.n)

    @property
    def lacking_rarer(self) -> int:
        return max(0, scored.MIN_EACH - self.rarer)

    @property
    def is_enough(self) -> bool:
        return not self.lacking and not self.lacking_rarer


def progress(found: Sequence[Example]) -> Progress:
    kinds = Counter(example.kind for example in found)
    return Progress(len(found), sum(example.good for example in found), {k: kinds[k] for k in DECIDED})


def judged(chances: Sequence[float], found: Sequence[Example]) -> dict[str, Any] | None:
    """Chances held against these outcomes; None when they are too few to say anything."""
    if not progress(found).is_enough:
        return None
    y = np.array([example.good for example in found], dtype=np.float64)
    return asdict(scored.judge(np.array(chances, dtype=np.float64), y))


def shipped(found: Sequence[Example]) -> dict[str, Any] | None:
    return judged([example.prior for example in found], found)


# --- a run ------------------------------------------------------------------------------------------------


def fit(actor: User | None) -> OutlookRun:
    """Fit to all that is known now, and keep it with its figures; nothing is switched."""
    found = examples()
    here = progress(found)
    if not here.is_enough:
        raise Refused(
            _("Too few outcomes: {n} more, and {rarer} more of the rarer kind, are needed.").format(
                n=here.lacking, rarer=here.lacking_rarer
            )
        )
    features, good = [e.features for e in found], [e.good for e in found]
    made, unseen = scored.fit_outlook(features, good), scored.held_out(features, good)
    with transaction.atomic():
        row = OutlookRun.objects.create(
            weights=dict(made.weights),
            bias=made.bias,
            figures={
                "held_out": judged(list(unseen), found),
                "shipped": shipped(found),
                "since": _since(found, list(unseen)),
            },
            counts=here.kinds,
            calibrated=made.calibrated,
            reason=made.reason[:200],
        )
        auditing.record(actor, Did.CREATED, row, {}, {"outcomes": here.n, "calibrated": made.calibrated})
    return row


def _since(found: Sequence[Example], unseen: Sequence[float]) -> dict[str, Any] | None:
    """Held out beside the run in use, on calls that neither has seen: they ended after that was made."""
    used = in_use()
    if used is None:
        return None
    later = [(e, p) for e, p in zip(found, unseen, strict=True) if e.ended_at > used.made_at]
    calls, model = [e for e, _p in later], fit_of(used)
    told = judged([model.probability(e.features) for e in calls], calls)
    return {"run": used.pk, "n": len(calls), "used": told, "held_out": judged([p for _e, p in later], calls)}


def reasons_against(row: OutlookRun) -> list[str]:
    """Why it must not be switched to; none: it may."""
    figures, found = row.figures, []
    if not row.calibrated:
        words = _("It is not calibrated: error {ece:.3f} (at most {most}), AUC {auc:.2f} (above one half).")
        told = figures["held_out"]
        found.append(words.format(ece=told["ece"], auc=told["auc"], most=scored.MAX_ECE))
    told, before = figures["held_out"], figures["shipped"]
    words = _("Its error on held-out calls (Brier score) is {new:.3f}, above that of {other}, {old:.3f}.")
    if told["brier"] > before["brier"]:
        found.append(words.format(new=told["brier"], old=before["brier"], other=_("the shipped outlook")))
    since = figures["since"]
    if since and since["used"] and since["held_out"]["brier"] > since["used"]["brier"]:
        other = _("run {run}, in use when it was fitted").format(run=since["run"])
        found.append(words.format(new=since["held_out"]["brier"], old=since["used"]["brier"], other=other))
    return found


# --- in use -----------------------------------------------------------------------------------------------


def in_use() -> OutlookRun | None:
    return OutlookRun.objects.filter(switched_at__isnull=False, left_at=None).order_by("-switched_at").first()


def fitted() -> scored.OutlookFit | None:
    """What workers score by, looked up for each view: a switch holds from the next one on."""
    row = in_use()
    return fit_of(row) if row else None


def fit_of(row: OutlookRun) -> scored.OutlookFit:
    return _fit(row.pk)


@lru_cache(maxsize=16)
def _fit(pk: int) -> scored.OutlookFit:
    """Weights of a run never change."""
    row = OutlookRun.objects.get(pk=pk)
    told = row.figures["held_out"]
    return scored.OutlookFit(
        row.weights, row.bias, told["n"], told["good"], told["auc"], told["brier"], told["ece"], (),
        row.calibrated, row.reason, str(row),
    )  # fmt: skip


def switch(row: OutlookRun, actor: User | None, reason: str) -> None:
    """Into use for what is scored from now on; finished calls keep what they have."""
    if against := reasons_against(row):
        raise Refused(" ".join([_("Not switched."), *against]))
    _use(row, actor, reason)


def roll_back(actor: User | None, reason: str) -> OutlookRun | None:
    """Back to the newest earlier run that was ever in use; without one, to the shipped outlook."""
    now = in_use()
    if now is None:
        raise Refused(_("The shipped outlook is in use: there is nothing to take back."))
    earlier = OutlookRun.objects.filter(left_at__isnull=False, pk__lt=now.pk).order_by("-pk").first()
    _use(earlier, actor, reason)
    return earlier


def _use(row: OutlookRun | None, actor: User | None, reason: str) -> None:
    words = " ".join(reason.replace("\0", "").split())
    if not words or len(words) > 200:
        raise Refused(_("Say why, in 1 to 200 characters: it stays in the audit log."))
    with transaction.atomic():
        with connection.cursor() as cursor:  # two admins at once: the second sees what the first did
            cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", (LOCK,))
        before = in_use()
        if row is not None and before == row:
            raise Refused(_("It is in use already."))
        now = timezone.now()
        OutlookRun.objects.filter(switched_at__isnull=False, left_at=None).update(left_at=now)
        if row is not None:
            OutlookRun.objects.filter(pk=row.pk).update(switched_at=now, left_at=None)
        subject = row or before
        assert subject is not None
        auditing.record(
            actor, Did.CHANGED, subject,
            {"in use": str(before or "shipped")}, {"in use": str(row or "shipped"), "reason": words},
        )  # fmt: skip
