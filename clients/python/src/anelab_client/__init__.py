"""A client of `anelab serve`, and of any server of the Open Inference Protocol v2."""

from anelab_client._client import AsyncClient, Client
from anelab_client._messages import ModelEntry, Prediction, Read, ServerError

__all__ = ["AsyncClient", "Client", "ModelEntry", "Prediction", "Read", "ServerError"]
