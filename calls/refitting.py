"""From a site's labels to a correction of its own, in and out of use. The fit itself is `scoring.refit`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from calls import auditing
from calls.choices import Did
from calls.models import Call, RefitRun, Turn, TurnLabel, User
from scoring import site
from scoring.language import FusedLanguage, LanguageModel, TurnText, load_language
from scoring.refit import FAMILIES, Example, Fit, fit, refusals, too_small
from scoring.site import Correction
from scoring.types import Channel

EARLIER = 2
"""Earlier texts of the same speaker that a reading gets, as the engine gives them."""
LOSSY = 0.01
"""From this share of lost audio on a caller's line counts as lossy."""
UNCLEAR = 0.7
"""Below this mean transcript confidence a caller's words count as unclear."""
UNSURE = "unsure"


class Refused(ValueError):
    """Cannot be switched; the text says why."""


# --- from labels to examples ------------------------------------------------------------------------------


def shipped_language() -> FusedLanguage:
    """The shipped reading. Refused without the sentence encoder, whose vectors a fit needs."""
    found: LanguageModel = load_language()
    if not isinstance(found, FusedLanguage) or found.vectors([TurnText(Channel.CUSTOMER, "hello")]) is None:
        raise Refused(_("The language models are not on this machine: run `make models` first."))
    return found


def examples(language: FusedLanguage) -> Iterator[Example]:
    """One per label and turn; of several people's labels each counts its share."""
    labels: dict[Any, list[TurnLabel]] = defaultdict(list)
    for row in TurnLabel.objects.exclude(state=UNSURE).order_by("call_id", "start_ms", "channel", "user_id"):
        labels[row.call_id].append(row)
    calls = Call.objects.select_related("source").in_bulk(list(labels))
    for pk, rows in labels.items():
        yield from _of_call(language, calls[pk], rows)


def _of_call(language: FusedLanguage, call: Call, rows: Sequence[TurnLabel]) -> Iterator[Example]:
    turns = {(t.channel, t.start_ms): t for t in call.turns.exclude(text="")}
    texts = {key: _text(turn, list(turns.values())) for key, turn in turns.items()}
    wanted = [key for key in dict.fromkeys((r.channel, r.start_ms) for r in rows) if key in texts]
    asked = [texts[key] for key in wanted]
    vectors = language.vectors(asked)
    if not wanted or vectors is None:
        return
    readings = dict(zip(wanted, zip(language.shipped(asked), vectors, strict=True), strict=True))
    groups = groups_of(call, turns.values())
    for key in wanted:
        mine = [row for row in rows if (row.channel, row.start_ms) == key]
        reading, vector = readings[key]
        family = "states" if key[0] == Channel.CUSTOMER else "behaviours"
        shipped = reading.states if family == "states" else reading.behaviours
        for row in mine:
            truth = {row.state} if row.state else set(row.behaviours or ())
            yield Example(
                str(call.pk),
                family,
                shipped,
                frozenset(truth & set(FAMILIES[family])),
                vector,
                1 / len(mine),
                groups,
            )


def _text(turn: Turn, turns: Sequence[Turn]) -> TurnText:
    before = [t.text for t in turns if t.channel == turn.channel and t.start_ms < turn.start_ms]
    return TurnText(Channel(turn.channel), turn.text, tuple(before[-EARLIER:]))


def groups_of(call: Call, turns: Any) -> dict[str, str]:
    """What a caller must not be heard worse for: source, line, clearness, and gender where volunteered."""
    found = {"source": call.source.slug}
    channel = (call.final or {}).get("coverage", {}).get("channels", {}).get("customer", {})
    whole = channel.get("received_ms", 0) + channel.get("lost_ms", 0)
    if whole:
        found["line"] = "lossy" if channel.get("lost_ms", 0) / whole >= LOSSY else "clean"
    sure = [turn.confidence for turn in turns if turn.channel == Channel.CUSTOMER]
    if sure:
        found["words"] = "unclear" if sum(sure) / len(sure) < UNCLEAR else "clear"
    if call.caller_gender:
        found["gender"] = call.caller_gender
    return found


# --- a run -------------------------------------------------------------------------------------------------


def run(language: FusedLanguage, seed: int = 0, keep: bool = True) -> tuple[Fit, RefitRun | None]:
    """Fit and, unless only tried, keep file and figures. scoring.refit.TooFew when labels are lacking."""
    before = in_use()
    used = _correction(before, language) if before else None
    made = fit(list(examples(language)), language.adapters, seed, used)
    if not keep:
        return made, None
    digest = site.store(settings.SITE_WEIGHTS_DIR, made.correction)
    row = RefitRun.objects.create(
        digest=digest,
        counts={**made.counts, "used": before.digest if before else ""},
        fitted=list(made.fitted),
        figures=made.figures,
        bias=made.bias,
        gaps=made.gaps,
    )
    return made, row


def _correction(row: RefitRun, language: FusedLanguage) -> Correction | None:
    """Of the run in use, which a new one would replace. Refused where it cannot be compared with."""
    try:
        found = site.read(settings.SITE_WEIGHTS_DIR, row.digest)
    except site.BadFile as error:
        raise Refused(
            _("What is in use cannot be compared with: {error}. Take it back first.").format(error=error)
        ) from error
    return found if found.adapters == language.adapters else None  # of another encoder: no worker uses it


def reasons_against(row: RefitRun) -> list[str]:
    """Worse than what is shipped or in use, or worse for some; or held against something else than that."""
    found = refusals(row.figures, row.gaps, settings.REFIT_MAX_GAP)
    now = in_use()
    held_against = row.counts.get("used", "")
    if now is not None and now != row and now.digest != held_against:
        found.append(_("It was not held against {run}, which is in use now: fit again.").format(run=now))
    return found


def too_few_to_say(row: RefitRun) -> list[str]:
    """Groups for whom it may be worse without anybody knowing."""
    return too_small(row.bias)


def in_use() -> RefitRun | None:
    return RefitRun.objects.filter(switched_at__isnull=False, left_at=None).order_by("-switched_at").first()


def switch(row: RefitRun, actor: User | None, reason: str, knows_few: bool = False) -> None:
    """Into use, for all workers within site.LOOK_S. Refused where it is worse, or worse for some.

    `knows_few`: the actor has said to know that nothing is known of some groups.
    """
    if in_use() == row:
        raise Refused(_("It is in use already."))
    against = reasons_against(row)
    if against:
        raise Refused(" ".join([_("Not switched."), *against]))
    few = too_few_to_say(row)
    if few and not knows_few:
        raise Refused(
            _("Not switched: too few turns to say how it hears {groups}. Say that you know this.").format(
                groups=", ".join(few)
            )
        )
    _use(row, actor, reason, few)


def roll_back(actor: User | None, reason: str) -> RefitRun | None:
    """Back to what was in use before; without one, to the shipped weights. Returns what is in use now."""
    now = in_use()
    if now is None:
        raise Refused(_("The shipped weights are in use: there is nothing to take back."))
    earlier = (
        RefitRun.objects.filter(left_at__isnull=False).exclude(digest=now.digest).order_by("-left_at").first()
    )
    _use(earlier, actor, reason)
    return earlier


def _use(row: RefitRun | None, actor: User | None, reason: str, few: Sequence[str] = ()) -> None:
    words = " ".join(reason.replace("\0", "").split())
    if not words or len(words) > 200:
        raise Refused(_("Say why, in 1 to 200 characters: it stays in the audit log."))
    with transaction.atomic():
        now = timezone.now()
        before = in_use()
        RefitRun.objects.filter(switched_at__isnull=False, left_at=None).update(left_at=now)
        if row is not None:
            row.switched_at, row.left_at = now, None
            row.save(update_fields=["switched_at", "left_at"])
        subject = row or before
        assert subject is not None
        auditing.record(
            actor,
            Did.CHANGED,
            subject,
            {"in use": before.digest[:12] if before else "shipped"},
            {"in use": row.digest[:12] if row else "shipped", "reason": words}
            | ({"too few to say": ", ".join(few)} if few else {}),
        )
        try:
            site.use(settings.SITE_WEIGHTS_DIR, row.digest if row else "")
        except (site.BadFile, OSError) as error:
            raise Refused(_("Its file of weights cannot be used: {error}.").format(error=error)) from error
