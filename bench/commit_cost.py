"""Sums up and plots a run of `commit_cost growth`: time, bytes and requests of a commit against the table's size."""

import csv
import sys

WINDOWS = 40
SERIES = [("micros", "p50 and p99 of a commit, ms", 1e-3), ("cpu_micros", "processor time of a commit, ms", 1e-3),
          ("bytes", "bytes read and written by a commit, KiB", 1 / 1024),
          ("requests", "storage requests of a commit", 1)]  # fmt: skip


def percentile(values, share):
    """The value that `share` of all are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def windows(rows, of):
    """Medians and 99th percentiles of equal parts of the run."""
    size = max(1, len(rows) // WINDOWS)
    parts = [[of(row) for row in rows[at : at + size]] for at in range(0, len(rows), size)]
    return [(percentile(part, 0.5), percentile(part, 0.99)) for part in parts if part]


def chart(points, title, top, files):
    """One panel of the plot: two lines over the number of data files."""
    most = max(high for _, high in points) or 1
    text = [f'<text x="60" y="{top - 8}">{title}</text>', f'<text x="4" y="{top + 12}">{most:,.1f}</text>',
            f'<text x="4" y="{top + 150}">0</text>',
            f'<path d="M60 {top} V{top + 150} H660" fill="none" stroke="#888"/>']  # fmt: skip
    for index, colour in ((0, "#1668a8"), (1, "#c2410c")):
        steps = [
            f"{60 + 600 * at / max(1, len(points) - 1):.1f},{top + 150 - 150 * point[index] / most:.1f}"
            for at, point in enumerate(points)
        ]
        text.append(f'<polyline points="{" ".join(steps)}" fill="none" stroke="{colour}" stroke-width="2"/>')
    text.append(f'<text x="560" y="{top + 168}">{files:,} data files</text>')
    return "\n".join(text)


def main(source, target):
    """Prints the figures and writes the plot."""
    with open(source) as file:
        rows = [{key: float(value or 0) for key, value in row.items()} for row in csv.DictReader(file)]
    for row in rows:
        row["bytes"] = row["bytes_read"] + row["bytes_written"]
    share = max(1, len(rows) // 10)
    first, last = rows[:share], rows[-share:]
    for key in ("micros", "cpu_micros", "requests", "bytes", "manifests_read"):
        values = [percentile([row[key] for row in part], at) for part in (first, last) for at in (0.5, 0.99)]
        print(f"{key}: first tenth p50 {values[0]:,.0f} p99 {values[1]:,.0f}; last tenth p50 {values[2]:,.0f} "
              f"p99 {values[3]:,.0f}; p99 ratio {values[3] / (values[1] or 1):.2f}")  # fmt: skip
    listed = [row for row in rows if row["manifests"]]
    print(f"manifests listed at the end: {listed[-1]['manifests']:,.0f}; most read by one commit: "
          f"{max(row['manifests_read'] for row in rows):,.0f}")  # fmt: skip
    panels = []
    for at, (key, title, unit) in enumerate(SERIES):
        points = [(low * unit, high * unit) for low, high in windows(rows, lambda row, key=key: row[key])]
        panels.append(chart(points, title, 40 + at * 210, int(rows[-1]["files"])))
    body = "\n".join(panels)
    height = 30 + 210 * len(SERIES)
    with open(target, "w") as file:
        file.write(
            f'<svg xmlns="http://www.w3.org/2000/svg" width="700" height="{height}" font-family="sans-serif" font-size="12">'
            f'<rect width="700" height="{height}" fill="white"/>\n{body}\n</svg>\n'
        )


main(*sys.argv[1:])
