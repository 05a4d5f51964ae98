"""Prometheus counters and gauges, by name. Nothing else lives here."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

PUSH_FAILED = Counter("empathy_push_failed_total", "Events that could not be handed to the channel layer")
HOPS = Counter("empathy_hops_total", "Hops of audio by what became of them", ["outcome"])
BATCH = Histogram("empathy_batch_hops", "Hops per scoring batch", buckets=(1, 2, 4, 8, 16, 24, 32))
STAGE_CPU = Counter("empathy_stage_cpu_ms_total", "CPU milliseconds by stage of scoring", ["stage"])
LAG = Gauge("empathy_scoring_lag_ms", "Age of the oldest audio that is due", multiprocess_mode="mostrecent")
CALLS_OPENED = Counter("empathy_calls_opened_total", "Calls opened", ["source"])
CALLS_CLOSED = Counter("empathy_calls_closed_total", "Calls closed", ["status"])
MEDIA_STREAMS = Gauge("empathy_media_streams", "Media streams open in this process")
MEDIA_REFUSED = Counter("empathy_media_refused_total", "Media streams not let in, or thrown out", ["reason"])
MEDIA_ENDED = Counter("empathy_media_ended_total", "Media streams that ended, by how", ["reason"])
MEDIA_HOPS = Counter("empathy_media_hops_total", "Hops of audio received", ["fate"])
MEDIA_FRAMES = Counter("empathy_media_frames_total", "Media frames of ended streams", ["kind"])
WEBHOOKS = Counter("empathy_webhooks_total", "Tries to deliver an event, by what came of them", ["result"])
BUFFER_DOWN = Counter("empathy_media_buffer_errors_total", "Writes that the buffer did not take", ["why"])
