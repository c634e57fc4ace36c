"""What `anelab bench run` times: a workload, a registered version, or the folder of an export."""

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from anelab.cli.console import Common
from anelab.errors import AnelabError, UsageError
from anelab.texts import notify

if TYPE_CHECKING:
    from anelab.bench.results.schema import Report
    from anelab.config import Params
    from anelab.learning.config import BenchConfig


def run_target(common: Common, target: str, arms: list[str], thorough: bool, url: str | None) -> "Report":
    """Time it by the arms of those names, or by the usual ones. Raises UsageError if `target` is nothing to time."""
    from anelab import workloads
    from anelab.tracking.reference import parse_reference

    if target in workloads.names():
        return _run_stage(common, target, arms, thorough, url)
    reference = parse_reference(target)
    if isinstance(reference, Path):
        return _run_folder(common, target, arms, thorough, url)
    _check_model(reference.model)
    return _run_version(common, target, arms, thorough, url)


def _check_model(name: str) -> None:
    """Raises UsageError, which lists workloads too, for a name that is none of a registered model."""
    from anelab import workloads
    from anelab.tracking.registration import model_names

    models = model_names()
    if name not in models:
        near = get_close_matches(name, [*workloads.names(), *models], n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(
            f"TARGET must be a workload ({', '.join(workloads.names())}), a version of {', '.join(models)}, or the "
            f"folder of an export, but got {name}{hint}"
        )


def _run_stage(common: Common, workload: str, arms: list[str], thorough: bool, url: str | None) -> "Report":
    from anelab.bench.results.report import read_report
    from anelab.stages import bench
    from anelab.stages.job import execute_and_publish

    overrides = [*common.overrides]
    overrides += [f"{workload}.bench.arms=[{', '.join(arms)}]"] if arms else []
    overrides += [f"{workload}.bench.thorough=true"] if thorough else []
    overrides += [f"{workload}.bench.url={url}"] if url else []
    job = Common(tuple(overrides), common.folder, common.verbose).job(workload)
    execute_and_publish(bench.STAGE, job)
    return read_report(job.reports / "bench.json")


def _run_version(common: Common, target: str, arms: list[str], thorough: bool, url: str | None) -> "Report":
    from anelab.stages.version import find_version, measured_version
    from anelab.tracking.benchmarks import attach_result
    from anelab.tracking.commands import workload_of
    from anelab.tracking.store import open_store

    workspace = common.workspace()
    store = open_store(workspace)
    version = find_version(store, target)
    params, config = _settings(common, workload_of(version.name), thorough, url)
    with measured_version(store, params, version, config, notify, arms) as found:
        with store.writing():
            versions = attach_result(store, workspace, found.report, found.samples)
        again = f"`anelab bench show {found.report.subject.workload}:{found.report.id[:12]}`"
        notify(f"anelab: attached to {', '.join(versions)}; see it again with {again}")
        return found.report


def _run_folder(common: Common, target: str, arms: list[str], thorough: bool, url: str | None) -> "Report":
    """The result goes into a bundle in the working directory: no registry has these files by name."""
    from anelab import workloads
    from anelab.bench.results.bundle import write_bundle
    from anelab.export.manifest_file import MANIFEST
    from anelab.files import damaged_files
    from anelab.inference.location import located
    from anelab.stages.version import measured_folder

    with located(common.workspace, target) as place:
        if damaged := damaged_files(place.folder, place.manifest):
            raise AnelabError(f"{target}: {', '.join(damaged)}: not what {MANIFEST} lists; export the model again")
        workload = workloads.check(str(place.manifest["metadata"].get("workload")))
        params, config = _settings(common, workload, thorough, url)
        with measured_folder(place.folder, workload, params, config, notify, arms) as found:
            bundle = Path(f"{workload}-{found.report.id[:12]}.bench.zip")
            write_bundle(found.report, found.samples, bundle)
    notify(f"anelab: kept in {bundle}; see it again with `anelab bench show {bundle}`")
    return found.report


def _settings(common: Common, workload: str, thorough: bool, url: str | None) -> "tuple[Params, BenchConfig]":
    """The configuration with what the command line says."""
    overrides = (*common.overrides, *([f"{workload}.bench.url={url}"] if url else []))
    params = Common(overrides, common.folder).params()
    bench = params.section(workload).bench
    return params, bench.model_copy(update={"thorough": thorough or bench.thorough})
