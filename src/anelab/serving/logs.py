"""What the server itself has to say, to standard error: lines of text, or of JSON for programs that collect them."""

import logging
import sys
import time
from typing import Any

import msgspec

from anelab.texts import printable


class _Lines(logging.Formatter):
    """`anelab: warning: ...`, with the traceback of an error that nobody expected."""

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        text = f"anelab: {level}{printable(record.getMessage(), 1000)}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def configure_logs(as_json: bool) -> logging.Logger:
    """Of this process. What uvicorn says is left out: requests that fail are logged here already."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if as_json else _Lines())
    log = logging.getLogger("anelab.serving")
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    return log
