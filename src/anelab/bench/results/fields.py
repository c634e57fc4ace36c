"""Names and digests as fields of a record."""

from typing import Annotated

from pydantic import Field, StringConstraints

from anelab import names

WorkloadName = Annotated[str, StringConstraints(pattern=names.WORKLOAD)]
ModelName = Annotated[str, StringConstraints(pattern=names.MODEL)]
VersionNumber = Annotated[str, StringConstraints(pattern=names.VERSION)]
ArmName = Annotated[str, StringConstraints(pattern=names.ARM)]
Sha256 = Annotated[str, StringConstraints(pattern=names.SHA256)]
DataDigest = Annotated[str, StringConstraints(pattern=names.DATA_DIGEST)]
MOST_NS = 86_400 * 10**9
"""Of a time that was measured: a day."""
Nanoseconds = Annotated[int, Field(ge=0, le=MOST_NS)]
Duration = Annotated[float, Field(ge=0, le=MOST_NS)]
"""In ns, of several times."""
Count = Annotated[int, Field(ge=0, le=2**53)]
NonNegative = Annotated[float, Field(ge=0, le=1e18)]
FileName = Annotated[str, StringConstraints(pattern=names.FILE)]
