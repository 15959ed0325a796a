"""A Flask app with no Dash in it: a page, and an echo for programs."""

import platform

from flask import Flask, jsonify, render_template, request

app = Flask(__name__)


@app.get("/")
def home():
    return render_template("home.html", python=platform.python_version())


@app.get("/echo")
def echo():
    return jsonify(dict(request.args))
