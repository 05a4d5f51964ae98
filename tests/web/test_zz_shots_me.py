from datetime import UTC, datetime, timedelta
import pytest
from django.utils import timezone
from calls import helping, record
from calls.models import ShownNudge
from tests.web.test_me import *
from tests.web.conftest import *
from tests.web.test_me import opened, worry, scored_now, agent, in_browser

@in_browser
@pytest.mark.parametrize("scheme", ["light","dark"])
@pytest.mark.parametrize("width", [380, 1280])
def test_shots(page_for, alice, bob, make_call, scheme, width):
    page = opened(page_for, bob, color_scheme=scheme, viewport={"width": width, "height": 800})
    page.screenshot(path=f"/tmp/shots-me/empty-{width}-{scheme}.png", full_page=True)
    call = make_call("CA1", started_at=timezone.now()-timedelta(minutes=4, seconds=12))
    call.refresh_from_db()
    page.locator("[data-now]").wait_for()
    page.screenshot(path=f"/tmp/shots-me/first-{width}-{scheme}.png", full_page=True)
    row = worry(call)
    old = [ShownNudge.objects.create(call=call, agent=bob, rule=r, t_ms=t, state=st, missing="own", cue=c, phrases=["x"], shown_at=timezone.now()-timedelta(minutes=3), verdict=v, taken=tk, recovered_ms=rec)
        for r,t,st,c,v,tk,rec in [("a",1,"frustration","Caller sounds frustrated — own what went wrong","helpful",True,12000),("b",2,"confusion","Caller sounds confused — ask where they are stuck","",None,None)]]
    ShownNudge.objects.filter(pk__in=[o.pk for o in old]).update(shown_at=timezone.now()-timedelta(minutes=3))
    m = helping.send(call, alice, "You are doing well. The fee can be waived: code 41.")
    helping.mark_read(m)
    helping.send(call, alice, "If they ask for a manager, I can join.")
    l = helping.look(call, alice); helping.looked(l.pk)
    from calls.models import Look
    Look.objects.update(last_at=timezone.now()-timedelta(minutes=3))
    helping.look(call, alice)
    scored_now(call, state="anxiety", confidence=0.7, empathy=61.4, empathy_low=52.0, empathy_high=70.0, opportunities=2)
    page.reload(); is_live(page)
    page.locator("[data-cue]").wait_for()
    scored_now(call, state="anxiety", confidence=0.7)
    page.locator(".now:not([data-stale])").wait_for()
    page.screenshot(path=f"/tmp/shots-me/full-{width}-{scheme}.png", full_page=True)
    page.get_by_text("How cues come").click()
    page.get_by_label("Mute cues").check()
    page.get_by_label("Cues in a call").fill("7")
    page.get_by_role("button", name="Not helpful").click()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").wait_for()
    scored_now(call, state="anxiety", confidence=0.3, empathy=None, empathy_low=None, empathy_high=None, opportunities=0)
    page.get_by_text("not judged").wait_for()
    make_call("CA2", queue="Cards")
    page.locator("[data-pick]").wait_for()
    page.locator("[data-pick] button").nth(1).click()
    page.wait_for_timeout(300)
    page.screenshot(path=f"/tmp/shots-me/after-{width}-{scheme}.png", full_page=True)

    page.get_by_role("button", name="Change ").first.click()
    page.locator("[data-cue]").wait_for()
    page.wait_for_selector("[data-now][data-stale]")
    page.screenshot(path=f"/tmp/shots-me/reopened-{width}-{scheme}.png", full_page=True)
