"""Arguments and options that commands on benchmarks share."""

from pathlib import Path
from typing import Annotated

import typer

TARGET_HELP = (
    "A workload, a registered version (mnist-coreml@champion, mnist-onnx/3), the folder of an export, or a file: "
    ".onnx, .mlpackage, .pt2 (of torch.export)."
)
Target = Annotated[str, typer.Argument(metavar="TARGET", help=TARGET_HELP)]
CALLS_HELP = "Of a file: its inputs, .npz, or .npy for one input; their first axis is rows, or calls."
SHAPE_HELP = "Of a file: the shape of an input, as NAME=1,128. Repeat it for more. Default: free sizes are 1."
RANGE_HELP = "Of a file: random values of an input, as NAME=LOW:HIGH. Default: normal; integers are 0 and 1."
ARM_HELP = "An arm to time, as kind[/option][:variant]. Repeat it for more. See `anelab bench arms`."
Arms = Annotated[list[str] | None, typer.Option("--arm", help=ARM_HELP)]
Thorough = Annotated[
    bool, typer.Option("--thorough", help="Time every arm in every scenario. Takes minutes to an hour.")
]
RESULT_HELP = (
    "A bench.json, a bundle, a workload (its last result here), WORKLOAD:ID of a result in the store, or a registered "
    "version (its newest result)."
)
Result = Annotated[str, typer.Argument(metavar="RESULT", help=RESULT_HELP)]
Old = Annotated[str, typer.Argument(metavar="OLD", help=RESULT_HELP)]
New = Annotated[str, typer.Argument(metavar="NEW", help="The newer result, named in the same way.")]
URL_HELP = "Address of a served model for the arm http: http://host:port/v2/models/NAME."
Url = Annotated[str | None, typer.Option(help=URL_HELP)]
InputFile = Annotated[Path | None, typer.Option("--input", help=CALLS_HELP)]
Shapes = Annotated[list[str] | None, typer.Option("--shape", help=SHAPE_HELP)]
Ranges = Annotated[list[str] | None, typer.Option("--range", help=RANGE_HELP)]
