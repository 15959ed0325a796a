"""An app of 2022 as it stands: Dash 2.9, gunicorn 20, a system library called through ctypes."""

import ctypes
import json
import pathlib

from dash import Dash, Input, Output, dcc, html

CATALOGUE = json.loads((pathlib.Path(__file__).parent / "catalogue.json").read_text())  # predeploy writes it


class Symbol(ctypes.Structure):
    """QRcode of qrencode.h."""

    _fields_ = [("version", ctypes.c_int), ("width", ctypes.c_int), ("data", ctypes.POINTER(ctypes.c_ubyte))]


qrencode = ctypes.CDLL("libqrencode.so.4")  # from apt-packages
qrencode.QRcode_encodeString8bit.restype = ctypes.POINTER(Symbol)
qrencode.QRcode_encodeString8bit.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_int]
qrencode.QRcode_free.argtypes = [ctypes.POINTER(Symbol)]

app = Dash(__name__, title="Crate labels")
server = app.server

app.layout = html.Div(
    [
        html.H1("Crate labels"),
        html.P(f"{len(CATALOGUE)} crates in the catalogue.", id="catalogue"),
        html.Button("Next crate", id="next", n_clicks=0),
        html.P(id="label"),
        dcc.Graph(id="code", config={"displayModeBar": False}),
    ],
    style={"fontFamily": "sans-serif", "maxWidth": "30rem", "margin": "2rem auto"},
)


@app.callback(Output("label", "children"), Output("code", "figure"), Input("next", "n_clicks"))
def show(clicks):
    crate = CATALOGUE[clicks % len(CATALOGUE)]
    rows = qr_rows(f"crate:{crate['number']}")
    figure = {
        "data": [{"type": "heatmap", "z": rows[::-1], "showscale": False, "colorscale": [[0, "white"], [1, "black"]]}],
        "layout": {
            "width": 320,
            "height": 320,
            "margin": {"t": 16, "b": 16, "l": 16, "r": 16},
            "xaxis": {"visible": False},
            "yaxis": {"visible": False},
        },
    }
    return f"Crate {crate['number']}: {crate['goods']}, {len(rows)} modules wide.", figure


def qr_rows(text):
    """The QR code of a text as rows of 0 and 1."""
    symbol = qrencode.QRcode_encodeString8bit(text.encode(), 0, 1)
    width = symbol.contents.width
    rows = [[symbol.contents.data[y * width + x] & 1 for x in range(width)] for y in range(width)]
    qrencode.QRcode_free(symbol)
    return rows
