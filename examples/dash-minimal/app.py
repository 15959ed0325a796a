"""A harbour's year in one chart: the smallest Dash app with a callback."""

from dash import Dash, Input, Output, callback, dcc, html

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

# Containers moved over the quay, in thousands; made up for this page.
TRAFFIC = {
    "Imports": [42, 39, 47, 51, 55, 58, 61, 60, 54, 52, 57, 63],
    "Exports": [38, 41, 44, 43, 49, 52, 50, 47, 51, 55, 53, 48],
}

app = Dash(__name__, title="Harbour traffic")
server = app.server  # what the Procfile's `gunicorn app:server` starts

app.layout = html.Main(
    [
        html.H1("Harbour traffic"),
        html.P("Thousands of containers a month."),
        dcc.RadioItems(list(TRAFFIC), "Imports", id="direction", inline=True),
        dcc.Graph(id="chart"),
        html.P(id="summary"),
    ],
    style={"fontFamily": "sans-serif", "maxWidth": "48rem", "margin": "2rem auto"},
)


@callback(Output("chart", "figure"), Output("summary", "children"), Input("direction", "value"))
def show(direction):
    values = TRAFFIC[direction]
    best = max(range(len(MONTHS)), key=values.__getitem__)
    figure = {
        "data": [{"type": "bar", "x": MONTHS, "y": values, "marker": {"color": "#1f6f8b"}}],
        "layout": {"title": {"text": direction}, "margin": {"t": 48}},
    }
    return figure, f"{direction}: {sum(values)} thousand in the year, most in {MONTHS[best]}."


if __name__ == "__main__":
    app.run(debug=True)
