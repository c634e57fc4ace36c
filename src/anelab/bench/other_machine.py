"""What to do so that another machine, such as a Mac, times a registered version: the one way, wherever it is told."""

from urllib.parse import urlsplit


def steps(version: str, server: str | None) -> str:
    """Commands and where they run. `server`: address of the MLflow server; None if the store is a file here."""
    if server is not None:
        own = urlsplit(server).hostname in ("localhost", "127.0.0.1", "::1")
        address = f"{urlsplit(server).scheme}://SERVER:{urlsplit(server).port or 80}" if own else server
        named = " SERVER is this machine's name there, which the server must allow (--allowed-hosts)." if own else ""
        return (
            f"An agent on such a machine answers the request. Start one there, in a clone of the project:{named}\n"
            f"  anelab bench agent --tracking-uri {address}"
        )
    return (
        "This store is a file on this machine, which no other machine sees. Either move it to a server "
        "(docs/shared-server.md), or go by files:\n"
        "  1. Copy the folder mlruns/ into a clone of the project on the other machine, at the same commit, after "
        "`make setup` there.\n"
        f"  2. There: anelab bench run {version}\n"
        f"  3. There: anelab bench export {version} -o other.bench.zip\n"
        "  4. Copy other.bench.zip to this machine. Here: anelab bench import other.bench.zip"
    )
