"""Quality, latency and size together: which versions no other beats in all three."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from anelab.bench.results.schema import Report
from anelab.bench.scenario import SINGLE
from anelab.tracking.reading import VersionRow
from anelab.views.formatting import device_of, host_names, significant

COLUMNS = [
    "version",
    "variant",
    "format",
    "arm",
    "device",
    "host",
    "us",
    "quality",
    "size_kb",
    "aliases",
    "eligible",
    "held back by",
]


def points(versions: Sequence[VersionRow], reports: Mapping[str, Report]) -> pd.DataFrame:
    """A point for every version, host and arm that ran its file on one row. `reports` by run."""
    rows, names = [], host_names(list(reports.values()))
    for version in versions:
        for report in (reports[run] for run in version.results.values() if run in reports):
            for name, arm in report.arms.items():
                if version.sha256 in arm.files.values() and SINGLE in arm.cells and version.value is not None:
                    rows.append(
                        {
                            "version": version.title,
                            "variant": version.variant,
                            "format": version.format,
                            "arm": name,
                            "device": device_of(arm),
                            "host": names[report.host.fingerprint],
                            "us": arm.cells[SINGLE].median_ns / 1e3,
                            "quality": version.value,
                            "size_kb": None if version.size_bytes is None else version.size_bytes / 1e3,
                            "aliases": ", ".join(version.aliases),
                            "eligible": version.passed,
                            "held back by": "; ".join(
                                gate.reason for gate in version.gates if gate.verdict in ("fail", "not eligible")
                            ),
                        }
                    )
    return pd.DataFrame(rows, columns=COLUMNS)


def judged(
    frame: pd.DataFrame,
    higher_is_better: bool,
    least_quality: float | None = None,
    most_us: float | None = None,
    most_kb: float | None = None,
) -> pd.DataFrame:
    """With `feasible`: within all limits and past its gates; and `front`: feasible, and no feasible one is as good in
    all and better in one."""
    sign = 1 if higher_is_better else -1
    feasible = frame["eligible"].astype(bool)
    if least_quality is not None:
        feasible &= sign * frame["quality"] >= sign * least_quality
    if most_us is not None:
        feasible &= frame["us"] <= most_us
    if most_kb is not None:
        feasible &= frame["size_kb"].fillna(np.inf) <= most_kb
    costs = np.column_stack([-sign * frame["quality"], frame["us"], frame["size_kb"].fillna(np.inf)]).astype(float)
    return frame.assign(feasible=feasible, front=feasible & ~_dominated(costs, feasible.to_numpy()))


def _dominated(costs: "np.ndarray", feasible: "np.ndarray") -> "np.ndarray":
    rivals = costs[feasible]
    return np.array([bool(((rivals <= one).all(1) & (rivals < one).any(1)).any()) for one in costs], dtype=bool)


def named(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """With `point`, a name for every one; those of the front come first, then the faster."""
    ordered = frame.sort_values(["front", "us"], ascending=[False, True])
    names = [
        f"{row['version']}, {row['variant']}, by {row['arm']}: {metric} {significant(row['quality'])}, "
        f"{significant(row['us'])} µs"
        for row in ordered.to_dict("records")
    ]
    return ordered.assign(point=names)


def only_point(frame: pd.DataFrame, metric: str) -> str:
    """What a chart of one point would say."""
    (row,) = frame.to_dict("records")
    size = "" if row["size_kb"] is None else f", {significant(row['size_kb'])} kB"
    return (
        f"Only {row['version']} was measured, by {row['arm']}: {metric} {significant(row['quality'])}, "
        f"{significant(row['us'])} µs a call of one row{size}."
    )


def promote_command(version: str) -> str:
    """What makes a version, such as MODEL/2, champion."""
    return f"anelab model promote {version}"


def model_and_number(version: str) -> tuple[str, int]:
    """Of a version's title, such as MODEL/2."""
    model, _, number = version.rpartition("/")
    return model, int(number)
