"""From a version back to data, settings, commit and machine, and on to its benchmarks."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from anelab.tracking.reading import RunRow, VersionRow
from anelab.views.formatting import moment, size_text


def origin(version: VersionRow, run: RunRow | None) -> pd.DataFrame:
    """What the version was made of and where."""
    facts: dict[str, str] = {
        "version": f"{version.title}, {version.variant}",
        "aliases": ", ".join(version.aliases) or "none",
        "sha256": f"{version.sha256[:40]}…",
        "input key": f"{version.input_key[:40]}…",
        "registered": moment(version.created_ms),
    }
    if run is not None:
        facts |= {f"data {name}": f"md5 {digest}" for name, digest in run.datasets.items()}
        facts |= {
            "commit": (run.commit or "unknown") + (" with changes that were not committed" if run.dirty else ""),
            "trained": f"{moment(run.started_ms)}, {(run.ended_ms - run.started_ms) / 1000:.0f} s",
            "host": run.host or "unknown",
            "anelab": run.tags.get("anelab.version", "unknown"),
            "restored": "from DVC's cache" if run.tags.get("anelab.restored") == "true" else "no",
        }
    return pd.DataFrame({"what": list(facts), "value": list(facts.values())})


def search_of(
    train: RunRow, searched: object, searches: Sequence[RunRow], best_of: Callable[[RunRow], object]
) -> RunRow | None:
    """The last search on the same data before the training whose best values are those it was trained with."""
    before = [one for one in searches if one.started_ms <= train.started_ms and one.datasets == train.datasets]
    return next((one for one in reversed(before) if searched is not None and best_of(one) == searched), None)


def settings(run: RunRow, searched: Mapping[str, object]) -> pd.DataFrame:
    """As the training had them: params.yaml's, but for what the search chose."""
    given: dict[str, object] = {**run.params, **searched}
    by = ["search" if name in searched else "params.yaml" for name in given]
    return pd.DataFrame({"setting": list(given), "value": [str(value) for value in given.values()], "by": by})


def packages(run: RunRow) -> pd.DataFrame:
    return pd.DataFrame({"package": list(run.packages), "version": list(run.packages.values())})


def files(sizes: Mapping[str, int]) -> pd.DataFrame:
    return pd.DataFrame({"file": list(sizes), "size": [size_text(size) for size in sizes.values()]})


def parent(version: VersionRow, versions: Sequence[VersionRow]) -> VersionRow | None:
    """The version of the same model and variant before it."""
    before = [
        one
        for one in versions
        if (one.model, one.variant) == (version.model, version.variant) and one.version < version.version
    ]
    return max(before, key=lambda one: one.version, default=None)


def graph(version: VersionRow, stages: Mapping[str, RunRow], results: Mapping[str, str]) -> str:
    """The way from data to benchmarks, in DOT. `results`: what to call each benchmark, by short id."""
    lines = [
        "digraph {",
        '  rankdir=LR; bgcolor="transparent"; node [shape=box, style="rounded,filled", fillcolor="#e8eef4", '
        'color="#56738c", fontname="sans-serif", fontsize=11]; edge [color="#8c8c8c"]',
    ]
    train = stages.get("train")
    for number, (name, digest) in enumerate((train.datasets if train else {}).items()):
        label = f"data {_plain(name)}\\nmd5 {_plain(digest[:10])}"
        lines.append(f'  data{number} [label="{label}"]; data{number} -> train')
    for name in ("search", "train", "export"):
        if name in stages:
            run = stages[name]
            lines.append(f'  {name} [label="{name} {_plain(run.key[:8])}\\n{_plain(run.commit[:8] or "no commit")}"]')
    lines += [
        f"  {one} -> {other}"
        for one, other in (("search", "train"), ("train", "export"))
        if one in stages and other in stages
    ]
    last = "export" if "export" in stages else "train"
    aliases = f"\\n{_plain(', '.join(version.aliases))}" if version.aliases else ""
    lines.append(
        f'  version [label="{_plain(version.title)}\\n{_plain(version.variant)}{aliases}", fillcolor="#fde8dc"]'
    )
    if last in stages:
        lines.append(f"  {last} -> version")
    for number, (short, text) in enumerate(results.items()):
        lines.append(f'  bench{number} [label="benchmark {_plain(short)}\\n{_plain(text)}"]; version -> bench{number}')
    return "\n".join([*lines, "}"])


def _plain(text: str) -> str:
    return text.replace("\\", "").replace('"', "'").replace("\n", "\\n")
