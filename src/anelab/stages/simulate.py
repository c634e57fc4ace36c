"""simulate: raw data that are not the user's own files, made from the seed or fetched from addresses."""

from anelab import sources
from anelab.files import replacing_folder
from anelab.stages.job import Job

NOTE = "note.txt"
"""DVC does not like empty folders."""


def run(job: Job) -> None:
    """Write data/raw/<workload>/; where all sources are the user's files it holds only a note."""
    listed = [] if job.config.data.simulated else list(job.config.data.source)
    addresses = [item for item in listed if sources.is_address(item)]
    with replacing_folder(job.raw) as out:
        if job.config.data.simulated:
            job.workload.simulate(job.config, out)
        elif not addresses:
            (out / NOTE).write_text(f"The sources are files: see {job.name}.data.source in params.yaml.\n")
        for address in addresses:
            sources.fetch(address, out)
