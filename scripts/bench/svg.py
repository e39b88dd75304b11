"""Plots as SVG, drawn by hand: bars with whiskers from the least to the most, and lines over a logarithmic axis."""

import math

COLOURS = ("#1b6ca8", "#c8553d", "#e0a458")
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 760, 340, 70, 50, 60


def _text(x, y, text, anchor="middle", size=12, more=""):
    text = str(text).replace("&", "&amp;").replace("<", "&lt;")
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-family="sans-serif" font-size="{size}" {more}>'
            f'{text}</text>')


def _line(x1, y1, x2, y2, colour="#444"):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _nice(top):
    """A round number not below top, and a step for the lines of the grid."""
    step = 10 ** math.floor(math.log10(max(top, 1e-9)))
    while top / step < 4:
        step /= 2
    return math.ceil(top / step) * step, step


def _number(value):
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"


class _Chart:
    def __init__(self, title, unit, top, series):
        self.top, step = _nice(top)
        self.parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
                      _text(LEFT, 20, title, "start", more='font-weight="bold"'),
                      _text(LEFT - 8, TOP - 8, unit, "end")]
        for i in range(int(round(self.top / step)) + 1):
            self.parts.append(_line(LEFT, self.y(i * step), WIDTH - 10, self.y(i * step), "#ddd"))
            self.parts.append(_text(LEFT - 8, self.y(i * step) + 4, _number(i * step), "end"))
        for i, name in enumerate(series):
            x = LEFT + i * 200
            colour = COLOURS[i % len(COLOURS)]
            self.parts.append(f'<rect x="{x}" y="{HEIGHT - 18}" width="12" height="12" fill="{colour}"/>')
            self.parts.append(_text(x + 18, HEIGHT - 8, name, "start"))

    def y(self, value):
        return HEIGHT - BOTTOM - value / self.top * (HEIGHT - BOTTOM - TOP)

    def write(self, path):
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
                       f'height="{HEIGHT}">\n' + "\n".join(self.parts) + "\n</svg>\n")


def bars(path, title, unit, series, groups):
    """groups: [(label, [(least, median, most) or None for each of the series])]."""
    chart = _Chart(title, unit, max(bar[2] for _, found in groups for bar in found if bar), series)
    wide = (WIDTH - LEFT - 10) / len(groups)
    for i, (label, found) in enumerate(groups):
        chart.parts.append(_text(LEFT + wide * (i + 0.5), HEIGHT - BOTTOM + 18, label))
        thick = wide * 0.8 / len(series)
        for j, bar in enumerate(found):
            if bar:
                x = LEFT + wide * (i + 0.1) + thick * j
                least, middle, most = (chart.y(value) for value in bar)
                chart.parts.append(f'<rect x="{x:.1f}" y="{middle:.1f}" width="{thick * 0.9:.1f}" '
                                   f'height="{chart.y(0) - middle:.1f}" fill="{COLOURS[j % len(COLOURS)]}"/>')
                chart.parts.append(_line(x + thick * 0.45, least, x + thick * 0.45, most))
                chart.parts.append(_text(x + thick * 0.45, most - 4, _number(bar[1]), size=10))
    chart.write(path)


def lines(path, title, unit, series, points):
    """points: for each of the series [(label of x, (least, median, most))], the labels at equal distances."""
    chart = _Chart(title, unit, max(spread[2] for line in points for _, spread in line), series)
    labels = list(dict.fromkeys(label for line in points for label, _ in line))
    wide = (WIDTH - LEFT - 10) / len(labels)
    for i, label in enumerate(labels):
        chart.parts.append(_text(LEFT + wide * (i + 0.5), HEIGHT - BOTTOM + 18, label))
    for j, line in enumerate(points):
        colour = COLOURS[j % len(COLOURS)]
        at = [(LEFT + wide * (labels.index(label) + 0.5), spread) for label, spread in line]
        for (x1, a), (x2, b) in zip(at, at[1:]):
            chart.parts.append(_line(x1, chart.y(a[1]), x2, chart.y(b[1]), colour))
        for x, spread in at:
            chart.parts.append(_line(x, chart.y(spread[0]), x, chart.y(spread[2]), colour))
            chart.parts.append(f'<circle cx="{x:.1f}" cy="{chart.y(spread[1]):.1f}" r="4" fill="{colour}"/>')
            chart.parts.append(_text(x, chart.y(spread[2]) - 8, _number(spread[1])))
    chart.write(path)
