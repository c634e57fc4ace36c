"""simulate: raw data that are not the user's own files, made from the seed or fetched from addresses."""

from anelab import sources
from anelab.files import replacing_folder
from anelab.stages.job import Job


def run(job: Job) -> None:
    """Write data/raw/<workload>/; it stays empty where the sources are files."""
    listed = [] if job.config.data.simulated else list(job.config.data.source)
    with replacing_folder(job.raw) as out:
        if job.config.data.simulated:
            job.workload.simulate(job.config, out)
        for address in filter(sources.is_address, listed):
            sources.fetch(address, out)
