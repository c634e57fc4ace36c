"""Names and digests as fields of a record."""

from typing import Annotated

from pydantic import StringConstraints

from anelab import names

WorkloadName = Annotated[str, StringConstraints(pattern=names.WORKLOAD)]
ModelName = Annotated[str, StringConstraints(pattern=names.MODEL)]
VersionNumber = Annotated[str, StringConstraints(pattern=names.VERSION)]
ArmName = Annotated[str, StringConstraints(pattern=names.ARM)]
Sha256 = Annotated[str, StringConstraints(pattern=names.SHA256)]
DataDigest = Annotated[str, StringConstraints(pattern=names.DATA_DIGEST)]
FileName = Annotated[str, StringConstraints(pattern=names.FILE)]
