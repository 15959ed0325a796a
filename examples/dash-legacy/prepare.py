"""Runs once, when the image is built: turns the catalogue into what the page reads."""

import csv
import json

import plotly  # the app's own packages are at hand here

with open("catalogue.csv", newline="") as source:
    crates = list(csv.DictReader(source))
with open("catalogue.json", "w") as target:
    json.dump(crates, target)
print(f"catalogue.json: {len(crates)} crates (plotly {plotly.__version__})")
