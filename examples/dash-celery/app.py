"""Three processes on one image: a Dash page, the worker that does its slow work, and a clock."""

import os
import time

import redis
from celery import Celery
from dash import CeleryManager, Dash, Input, Output, callback, dcc, html

REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
LAST_TIDE = "harbour:last-tide"

celery_app = Celery(__name__, broker=REDIS_URL, backend=REDIS_URL)
celery_app.conf.broker_connection_retry_on_startup = True
celery_app.conf.beat_schedule = {"tide": {"task": "tide", "schedule": 5.0}}

app = Dash(__name__, title="Night shift", background_callback_manager=CeleryManager(celery_app))
server = app.server

app.layout = html.Main(
    [
        html.H1("Night shift"),
        html.Button("Count the containers", id="start"),
        html.P("Nothing counted yet.", id="result"),
        html.P("No tide yet.", id="tide"),
        dcc.Interval(id="clock", interval=2000),
    ],
    style={"fontFamily": "sans-serif", "maxWidth": "40rem", "margin": "2rem auto"},
)


@callback(
    Output("result", "children"),
    Input("start", "n_clicks"),
    background=True,
    running=[(Output("start", "disabled"), True, False)],
    prevent_initial_call=True,
)
def count(clicks):
    """Runs in the worker, not in the web process."""
    time.sleep(1)
    return f"The worker (process {os.getpid()}) counted {1200 + clicks} containers."


@callback(Output("tide", "children"), Input("clock", "n_intervals"))
def show_tide(_):
    tide = redis.from_url(REDIS_URL, decode_responses=True).get(LAST_TIDE)
    return f"Tide number {tide}." if tide else "No tide yet."


@celery_app.task(name="tide")
def tide():
    """The scheduler asks for it every five seconds; the worker runs it."""
    return redis.from_url(REDIS_URL).incr(LAST_TIDE)
