"""Pages and their addresses (DESIGN: names others rely on)."""

from __future__ import annotations

from django.urls import path

from calls.views import act, reviews
from calls.views.audio import audio
from calls.views.call import call, calls
from calls.views.cues import cues
from calls.views.floor import floor
from calls.views.home import home
from calls.views.me import me
from calls.views.team_trends import team_trends, trends_home
from calls.views.trends import agent_trends, agent_trends_csv, my_csv, my_trends
from calls.views.wall import wall

urlpatterns = [
    path("", home, name="home"),
    path("floor/", floor, name="floor"),
    path("floor/wall/", wall, name="wall"),
    path("calls/", calls, name="calls"),
    path("calls/<uuid:call_id>/", call, name="call"),
    path("calls/<uuid:call_id>/audio", audio, name="audio"),
    path("calls/<uuid:call_id>/alerts/<str:cause>/acknowledge", act.acknowledge, name="acknowledge"),
    path("calls/<uuid:call_id>/alerts/<str:cause>/resolve", act.resolve, name="resolve"),
    path("calls/<uuid:call_id>/messages", act.send, name="send"),
    path("calls/<uuid:call_id>/follow", act.follow, name="follow"),
    path("calls/<uuid:call_id>/notes", act.note, name="note"),
    path("me/", me, name="me"),
    path("me/cues/<int:pk>/verdict", act.judge, name="judge"),
    path("me/messages/<int:pk>/read", act.read_message, name="read_message"),
    path("me/choices", act.choose, name="choose"),
    path("trends/", trends_home, name="trends"),
    path("me/trends/", my_trends, name="my_trends"),
    path("me/trends.csv", my_csv, name="my_trends_csv"),
    path("agents/<int:pk>/trends/", agent_trends, name="agent_trends"),
    path("agents/<int:pk>/trends.csv", agent_trends_csv, name="agent_trends_csv"),
    path("teams/<int:pk>/trends/", team_trends, name="team_trends"),
    path("cues/", cues, name="cues"),
    path("reviews/", reviews.reviews, name="reviews"),
    path("reviews/next", reviews.next_review, name="next_review"),
    path("reviews/agreement/", reviews.agreement, name="agreement"),
    path("reviews/sessions/new", reviews.new_session, name="new_session"),
    path("reviews/sessions/<int:pk>/", reviews.session, name="session"),
    path("reviews/appeals/<int:pk>/", reviews.decide, name="decide"),
    path("reviews/<int:pk>/", reviews.review, name="review"),
    path("reviews/<int:pk>/answer", reviews.answer, name="answer_review"),
    path("me/reviews/", reviews.my_reviews, name="my_reviews"),
    path("me/reviews/<uuid:call_id>/appeal", reviews.appeal_score, name="appeal_score"),
]
