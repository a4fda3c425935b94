"""Writes what the benches found into docs/PERFORMANCE.md, between its marks, and draws docs/growth.svg.

    python benches/report.py        reads target/bench/results.jsonl
"""

import json
import os
import platform
import re
import subprocess
from pathlib import Path

from measure import FOLDER, ROUNDS, SMALL

# A small run proves that the page can be written, and leaves it as it is.
SOURCE, PAGE = Path("docs/PERFORMANCE.md"), FOLDER / "PERFORMANCE.md" if SMALL else Path("docs/PERFORMANCE.md")
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
TITLES = {
    "convert": "Converting",
    "growth": "Growth with size",
    "read": "Reading",
    "tools": "Programs",
    "first": "First read, from a slow file host and a fast one",
    "listing": "Listing",
    "catalogue": "A catalogue of a million products",
}


def first_line(*command):
    """The first line that a command prints, or that it is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return f"{command[0]} is not installed"
    return (done.stdout or done.stderr).strip().splitlines()[0]


def machine():
    """What it was measured on, and with."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()).group(1)
    memory = int(re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text()).group(1)) / 1024 / 1024
    versions = [first_line("gdalinfo", "--version").split(",")[0], first_line("rclone", "--version"), first_line("bindfs", "--version"), first_line("fio", "--version"), first_line("rustc", "--version")]
    return (
        f"Measured on {os.cpu_count()} × {cpu}, {memory:.0f} GiB, Linux {platform.release().split('-')[0]}, "
        f"{first_line('findmnt', '-no', 'FSTYPE', '-T', str(FOLDER))}. {', '.join(versions)}. Medians of {ROUNDS} alternating rounds."
    )


def number(value):
    """A figure as people read it."""
    return "" if value is None or value != value else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}".replace(",", " ")


def table(rows):
    """A table of rows; what was wanted and not reached is bold."""
    lines = ["| work | ours | other | | ratio | wanted |", "|---|---:|---:|---|---:|---:|"]
    for row in rows:
        ratio = "" if row["ratio"] != row["ratio"] else f"{row['ratio']:.2f}"
        wanted = "" if row["target"] is None else f"{row['target']:g}"
        if row["target"] is not None and row["ratio"] < row["target"]:
            ratio = f"**{ratio}**"
        lines.append(f"| {row['work']} | {number(row['ours'])} {row['unit']} | {number(row['peer'])} | {row['peer_name'] if row['peer'] == row['peer'] else ''} | {ratio} | {wanted} |")
    return "\n".join(lines)


def plot(rows):
    """Seconds per gigapixel and peak memory by size."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "clmsfs"
    import matplotlib.pyplot as pyplot

    def points(ending):
        chosen = [(int(re.match(r"\d+", row["work"]).group()), row["ours"]) for row in rows if row["work"].endswith(ending)]
        return zip(*sorted((side * side / 1e9, value) for side, value in chosen))

    figure, (above, below) = pyplot.subplots(2, sharex=True, figsize=(7, 5))
    above.plot(*points("seconds per gigapixel"), marker="o")
    above.set(ylabel="seconds per gigapixel", ylim=(0, None))
    below.plot(*points("peak memory"), marker="o")
    below.axhline(512, linestyle=":")
    below.set(xlabel="gigapixels", ylabel="peak memory, MiB", xscale="log", ylim=(0, 600))
    figure.tight_layout()
    figure.savefig(PAGE.with_name("growth.svg"), metadata={"Date": None})


def main():
    """Reads the results, the newest of each row, and writes the page."""
    rows = {}
    for line in (FOLDER / "results.jsonl").read_text().splitlines():
        row = json.loads(line)
        rows[row["group"], row["work"], row["peer_name"]] = row
    groups = {}
    for row in rows.values():
        groups.setdefault(row["group"], []).append(row)
    text = [machine()]
    for group, title in TITLES.items():
        if group in groups:
            measured = sorted({row["measured"] for row in groups[group]})
            text.append(f"### {title}\n\nOn {', '.join(measured)}.\n\n{table(groups[group])}")
    if "growth" in groups:
        plot(groups["growth"])
        text.append("![Seconds per gigapixel and peak memory by size](growth.svg)")
    page = SOURCE.read_text()
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text(before + BEGIN + "\n\n" + "\n\n".join(text) + "\n\n" + END + after)


if __name__ == "__main__":
    main()
