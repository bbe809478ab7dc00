"""Curves over gradient steps as inline SVG, which needs no library and follows the colours of its page."""

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup, escape

Points = Sequence[tuple[int, float]]

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 460, 200, 58, 12, 12, 26
MOST_POINTS = 400


def curves(title: str, of_splits: Mapping[str, Points]) -> Markup:
    """A figure with a line for each split: gradient steps to the right, values up. Values that are not finite are left
    out.

    **Arguments:**

    - `title`: what is drawn.
    - `of_splits`: by `train`, `validation` or `test`, which choose the class of the line: points (step, value).
    """
    finite = {split: [(float(x), y) for x, y in points if math.isfinite(y)] for split, points in of_splits.items()}
    every = [point for points in finite.values() for point in points]
    if not every:
        return Markup()
    low, high = min(y for _, y in every), max(y for _, y in every)
    pad = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    low, high, last = low - pad, high + pad, max(x for x, _ in every) or 1.0

    def place(x: float, y: float) -> str:
        right = LEFT + (WIDTH - LEFT - RIGHT) * x / last
        return f"{right:.1f},{TOP + (HEIGHT - TOP - BOTTOM) * (high - y) / (high - low):.1f}"

    parts = []
    # Three, unless they would read the same.
    for y in {f"{y:.3g}": y for y in (low + pad, (low + high) / 2, high - pad)}.values():
        at = place(0.0, y).split(",")[1]
        parts.append(f'<path class="grid" d="M{LEFT},{at}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at}" text-anchor="end" dy="4">{y:.3g}</text>')
    for x in sorted({0.0, float(round(last / 2)), last}):
        right = place(x, low).split(",")[0]
        anchor = {0.0: "start", last: "end"}.get(x, "middle")
        parts.append(f'<text x="{right}" y="{HEIGHT - 8}" text-anchor="{anchor}">{x:.0f}</text>')
    for split, points in finite.items():
        thinned = [*points[: -1 : max(1, len(points) // MOST_POINTS)], *points[-1:]]
        if len(points) == 1:
            right, at = place(*points[0]).split(",")
            parts.append(f'<circle class="{escape(split)}" cx="{right}" cy="{at}" r="3.5"/>')
        elif points:
            parts.append(f'<polyline class="{escape(split)}" points="{" ".join(place(*point) for point in thinned)}"/>')
    name = escape(title)
    key = " ".join(
        f'<span class="key {escape(split)}">{escape(split)}</span>' for split, found in finite.items() if found
    )
    return Markup(
        f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name} by gradient step">'
        f"{''.join(parts)}</svg>"
        f"<figcaption><b>{name}</b> by gradient step {key}</figcaption></figure>"
    )
