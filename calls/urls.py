"""Pages and their addresses (DESIGN: names others rely on)."""

from __future__ import annotations

from django.urls import path

from calls import sso
from calls.views import (
    act,
    labels,
    outcomes,
    outlook,
    people,
    practice,
    recordings,
    reviews,
    sources,
    tokens,
    webhooks,
)
from calls.views.alerts import alert, alerts
from calls.views.audio import audio
from calls.views.call import call, calls
from calls.views.cues import cues
from calls.views.floor import floor
from calls.views.getting_in import forgotten
from calls.views.home import home
from calls.views.listening import barge, listen
from calls.views.me import me
from calls.views.policy import call_data, erase_call, export_call, firewall, policy, purge_now
from calls.views.rubrics import diff, draft, rescored, rubric, rubrics
from calls.views.team_trends import team_trends, team_trends_csv, trends_home
from calls.views.trends import agent_trends, agent_trends_csv, my_csv, my_data, my_trends
from calls.views.wall import wall

urlpatterns = [
    path("", home, name="home"),
    path("floor/", floor, name="floor"),
    path("floor/wall/", wall, name="wall"),
    path("alerts/", alerts, name="alerts"),
    path("alerts/<int:pk>/", alert, name="alert"),
    path("calls/", calls, name="calls"),
    path("calls/<uuid:call_id>/", call, name="call"),
    path("calls/<uuid:call_id>/audio", audio, name="audio"),
    path("calls/<uuid:call_id>/listen", listen, name="listen"),
    path("calls/<uuid:call_id>/barge", barge, name="barge"),
    path("calls/<uuid:call_id>/alerts/<str:cause>/acknowledge", act.acknowledge, name="acknowledge"),
    path("calls/<uuid:call_id>/alerts/<str:cause>/resolve", act.resolve, name="resolve"),
    path("calls/<uuid:call_id>/messages", act.send, name="send"),
    path("calls/<uuid:call_id>/follow", act.follow, name="follow"),
    path("calls/<uuid:call_id>/consent", act.say_consent, name="consent"),
    path("calls/<uuid:call_id>/data/", call_data, name="call_data"),
    path("calls/<uuid:call_id>/export.zip", export_call, name="export_call"),
    path("calls/<uuid:call_id>/erase", erase_call, name="erase_call"),
    path("calls/<uuid:call_id>/notes", act.note, name="note"),
    path("me/", me, name="me"),
    path("me/cues/<int:pk>/verdict", act.judge, name="judge"),
    path("me/messages/<int:pk>/read", act.read_message, name="read_message"),
    path("me/choices", act.choose, name="choose"),
    path("trends/", trends_home, name="trends"),
    path("me/trends/", my_trends, name="my_trends"),
    path("me/data.zip", my_data, name="my_data"),
    path("me/trends.csv", my_csv, name="my_trends_csv"),
    path("agents/<int:pk>/trends/", agent_trends, name="agent_trends"),
    path("agents/<int:pk>/trends.csv", agent_trends_csv, name="agent_trends_csv"),
    path("teams/<int:pk>/trends/", team_trends, name="team_trends"),
    path("teams/<int:pk>/trends.csv", team_trends_csv, name="team_trends_csv"),
    path("cues/", cues, name="cues"),
    path("rubrics/", rubrics, name="rubrics"),
    path("rubrics/<int:pk>/", rubric, name="rubric"),
    path("rubrics/<int:pk>/diff/<int:old>/<int:new>/", diff, name="rubric_diff"),
    path("rubrics/<int:pk>/draft/", draft, name="rubric_draft"),
    path("calls/<uuid:call_id>/rescored/", rescored, name="rescored"),
    path("people/", people.people, name="people"),
    path("people/new/", people.person, name="new_person"),
    path("people/<int:pk>/", people.person, name="person"),
    path("people/<int:pk>/second-factor", people.remove_factor, name="remove_factor"),
    path("forgotten/", forgotten, name="forgotten"),
    path("account/sso/login/", sso.login, {"provider_id": "sso"}, name="openid_connect_login"),
    path("account/sso/callback/", sso.callback, {"provider_id": "sso"}, name="openid_connect_callback"),
    path("people/<int:pk>/erase", people.erase, name="erase_person"),
    path("people/<int:pk>/data.zip", people.data, name="person_data"),
    path("people/<int:pk>/link", people.link, name="person_link"),
    path("people/invite/", people.invite, name="invite"),
    path("people/import/", people.import_csv, name="import_people"),
    path("people.csv", people.export_csv, name="export_people"),
    path("teams/", people.teams, name="teams"),
    path("outcomes/", outcomes.outcomes, name="outcomes"),
    path("outcomes/outlook/", outlook.outlook, name="outlook"),
    path("audit/", people.audit, name="audit"),
    path("invited/<str:uid>/<str:token>/", people.invited, name="invited"),
    path("practice/", practice.practice, name="practice"),
    path("calls/<uuid:call_id>/ticket", practice.ticket, name="practice_ticket"),
    path("recordings/", recordings.recordings, name="recordings"),
    path("recordings/rows", recordings.rows, name="recording_rows"),
    path("recordings/<uuid:pk>/remove", recordings.remove, name="remove_recording"),
    path("sources/", sources.sources, name="sources"),
    path("sources/new/", sources.source, name="new_source"),
    path("sources/<int:pk>/", sources.source, name="source"),
    path("sources/<int:pk>/do", sources.act, name="act_source"),
    path("tokens/", tokens.tokens, name="tokens"),
    path("tokens/<int:pk>/revoke", tokens.revoke, name="revoke_token"),
    path("webhooks/", webhooks.webhooks, name="webhooks"),
    path("webhooks/<int:pk>/", webhooks.webhook, name="webhook"),
    path("webhooks/<int:pk>/do", webhooks.act, name="act_webhook"),
    path("webhooks/<int:pk>/deliveries/<int:delivery>/again", webhooks.again, name="redeliver"),
    path("policy/", policy, name="policy"),
    path("policy/purge", purge_now, name="purge_now"),
    path("policy/firewall/", firewall, name="firewall"),
    path("reviews/", reviews.reviews, name="reviews"),
    path("reviews/next", reviews.next_review, name="next_review"),
    path("reviews/labels/", labels.labels, name="labels"),
    path("reviews/labels.csv", labels.labels_csv, name="labels_csv"),
    path("reviews/refits/", labels.refits, name="refits"),
    path("calls/<uuid:call_id>/labels/", labels.mark_turns, name="mark_turns"),
    path("calls/<uuid:call_id>/labels/mark", labels.mark, name="mark"),
    path("reviews/agreement/", reviews.agreement, name="agreement"),
    path("reviews/sessions/new", reviews.new_session, name="new_session"),
    path("reviews/sessions/<int:pk>/", reviews.session, name="session"),
    path("reviews/appeals/<int:pk>/", reviews.decide, name="decide"),
    path("reviews/<int:pk>/", reviews.review, name="review"),
    path("reviews/<int:pk>/answer", reviews.answer, name="answer_review"),
    path("me/reviews/", reviews.my_reviews, name="my_reviews"),
    path("me/reviews/<uuid:call_id>/appeal", reviews.appeal_score, name="appeal_score"),
]
