"""A .mlpackage as an artifact: written with equal bytes for equal models, and described."""

import hashlib
import json
import math
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from anelab.errors import AnelabError
from anelab.export.features import describe_feature
from anelab.export.toolkit import toolkit
from anelab.files import canonical_json, check_members, path_digest, read_json, replacing, sha256_text
from anelab.texts import printable

DATA = Path("Data", "com.apple.CoreML")
MODEL, WEIGHTS = DATA / "model.mlmodel", DATA / "weights" / "weight.bin"
DATED = "com.github.apple.coremltools.conversion_date"
TOOLS = "com.github.apple.coremltools.version"
SOURCE = "com.github.apple.coremltools.source"
TARGETS = {6: "macOS12", 7: "macOS13", 8: "macOS14", 9: "macOS15", 10: "macOS26"}
"""The first system that reads a specification version."""
FLOATS = (10, 11)
"""MIL's FLOAT16 and FLOAT32."""
LEAST_ELEMENTS = 10
"""coremltools writes smaller weights into the program itself, and compresses none of them."""
MOST_SPEC_BYTES = 128 << 20
"""Weights of a program lie beside its spec."""
ITEMS = {
    "model.mlmodel": ("CoreML Model Specification", "com.apple.CoreML/model.mlmodel"),
    "weights": ("CoreML Model Weights", "com.apple.CoreML/weights"),
}


def write_package(
    model: Any, path: Path, metadata: Mapping[str, str], sign: Callable[[Any], None] | None = None
) -> None:
    """Write coremltools' model with `metadata` as its user-defined metadata; `sign` fills in author, licence and
    the like.

    coremltools gives every saved package new identifiers, a date and a map to the converter's own
    nodes; here identifiers follow from the content, and the rest is left out.
    """
    with replacing(path) as draft:
        raw = draft.with_name("raw.mlpackage")
        model.save(str(raw))
        spec = read_spec(raw)
        if sign is not None:
            sign(spec.description.metadata)
        described = spec.description.metadata.userDefined
        described.pop(DATED, None)
        described.update({**_tools(), **described, **metadata})
        content = spec.SerializeToString(deterministic=True)
        (draft / DATA).mkdir(parents=True)
        (draft / MODEL).write_bytes(content)
        items = ["model.mlmodel"]
        if (raw / WEIGHTS).is_file():
            (draft / WEIGHTS).parent.mkdir()
            shutil.copyfile(raw / WEIGHTS, draft / WEIGHTS)
            items.append("weights")
        manifest = _package_manifest(hashlib.sha256(content).hexdigest(), items)
        (draft / "Manifest.json").write_text(manifest, encoding="utf-8")


def _tools() -> dict[str, str]:
    """What converted, which packages of several functions would not say."""
    with toolkit() as ct:
        return {TOOLS: ct.__version__, SOURCE: f"torch=={version('torch')}"}


def _package_manifest(digest: str, items: Sequence[str]) -> str:
    """Apple's list of a package's items, with identifiers made of the model's digest."""
    entries = {}
    for name in items:
        description, path = ITEMS[name]
        entries[_identifier(f"{digest} {name}")] = {
            "author": "com.apple.CoreML",
            "description": description,
            "name": name,
            "path": path,
        }
    root = _identifier(f"{digest} model.mlmodel")
    manifest = {"fileFormatVersion": "1.0.0", "itemInfoEntries": entries, "rootModelIdentifier": root}
    return json.dumps(manifest, indent=4, sort_keys=True)


def _identifier(text: str) -> str:
    """A UUID (version 8: our own making) from a sha256."""
    digest = sha256_text(text)
    return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}"


def check_package(path: Path) -> None:
    """Raises AnelabError for a package that leads out of its folder, by a link or by a name in Manifest.json, which
    coremltools and Core ML would follow."""
    check_members(path)
    try:
        items = read_json(path / "Manifest.json")["itemInfoEntries"].values()
        places = [PurePosixPath(item["path"]) for item in items]
    except FileNotFoundError:
        raise AnelabError(f"{path}: is not a Core ML package (it has no Manifest.json)") from None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise AnelabError(f"{path}: its Manifest.json is damaged ({error}); export it again or restore it") from None
    for place in places:
        if place.is_absolute() or ".." in place.parts:
            raise AnelabError(f"{path}: its Manifest.json names {printable(place, 80)}, which is not in the package")


def read_spec(path: Path) -> Any:
    """The package's protobuf. Raises AnelabError if it is damaged or no package."""
    check_package(path)
    with toolkit() as ct:
        spec = ct.proto.Model_pb2.Model()
    try:
        size = (path / MODEL).stat().st_size
        if size > MOST_SPEC_BYTES:
            raise AnelabError(f"{path}: {MODEL} has {size:,} bytes; at most {MOST_SPEC_BYTES:,} are taken")
        spec.ParseFromString((path / MODEL).read_bytes())
    except AnelabError:
        raise
    except OSError as error:
        raise AnelabError(f"{path}: is not a Core ML package ({MODEL} cannot be read: {error.strerror})") from None
    except Exception as error:  # protobuf's DecodeError differs between its implementations
        raise AnelabError(f"{path}: {MODEL} is damaged ({error}); export it again or restore it") from None
    return spec


def package_content(path: Path) -> str:
    """sha256 of program, interface and weights without the metadata: the identity of what is computed."""
    spec = read_spec(path)
    spec.description.metadata.Clear()
    weights = path / WEIGHTS
    parts = {
        "spec": hashlib.sha256(spec.SerializeToString(deterministic=True)).hexdigest(),
        "weights": path_digest(weights) if weights.is_file() else "",
    }
    return sha256_text(canonical_json(parts))


def describe_package(path: Path) -> dict[str, Any]:
    """What only a Core ML package has to tell, as JSON. Raises AnelabError if it is no ML program."""
    spec = read_spec(path)
    if (kind := spec.WhichOneof("Type")) != "mlProgram":
        found = f"is a Core ML {kind}" if kind else "is empty or damaged"
        raise AnelabError(f"{path}: {found}, not an ML program (mlProgram)")
    program = spec.mlProgram
    metadata = spec.description.metadata.userDefined
    return {
        "converted_by": metadata.get("converted_by", "unknown"),
        "coremltools_version": metadata.get(TOOLS, "unknown"),
        "functions": _functions(spec.description),
        "minimum_deployment_target": TARGETS.get(spec.specificationVersion, "unknown"),
        "operators": _operators(program),
        "precision": _precision(program),
        "specification_version": spec.specificationVersion,
        "torch_version": metadata.get(SOURCE, "unknown").removeprefix("torch=="),
        "weights": _weights(program),
    }


def package_functions(path: Path) -> dict[str, Any]:
    """Inputs and outputs of every function, as `describe_feature` has them."""
    return _functions(read_spec(path).description)


def default_function(path: Path) -> str | None:
    """The one that a package of several runs if none is named."""
    return read_spec(path).description.defaultFunctionName or None


def package_metadata(path: Path) -> dict[str, str]:
    """What the package says of itself: its user-defined metadata."""
    return dict(read_spec(path).description.metadata.userDefined)


def input_names(path: Path) -> list[str]:
    """Of the package's functions, which take the same."""
    first = next(iter(package_functions(path).values()))
    return [item["name"] for item in first["inputs"]]


def _functions(description: Any) -> dict[str, Any]:
    """What every function takes and gives; a package of one has it at the top."""
    functions = {item.name: item for item in description.functions} or {"main": description}
    return {
        name: {
            "inputs": [describe_feature(feature) for feature in functions[name].input],
            "outputs": [describe_feature(feature) for feature in functions[name].output],
        }
        for name in sorted(functions)
    }


def _blocks(program: Any) -> list[Any]:
    return [block for function in program.functions.values() for block in function.block_specializations.values()]


def _operators(program: Any) -> dict[str, int]:
    """How often each operator occurs, constants left out, all functions together."""
    waiting, kinds = _blocks(program), Counter[str]()
    while waiting:
        for operation in waiting.pop().operations:
            kinds[operation.type] += operation.type != "const"
            waiting += operation.blocks
    return dict(sorted((kind, count) for kind, count in kinds.items() if count))


def large_weights(path: Path, threshold: int) -> dict[str, int]:
    """Of the weights with more elements: how many there are, and how many of them are compressed."""
    return _weights(read_spec(path).mlProgram, threshold)


def _weights(program: Any, threshold: int = 0) -> dict[str, int]:
    """Constants of two axes and more, which are what the optimisers compress. All functions together."""
    found = {"all": 0, "compressed": 0}
    for block in _blocks(program):
        for operation in block.operations:
            compressed = operation.type.startswith("constexpr_")
            if not compressed and operation.type != "const":
                continue
            for output in operation.outputs[-1:]:
                sizes = [dimension.constant.size for dimension in output.type.tensorType.dimensions]
                is_float = output.type.tensorType.dataType in FLOATS
                if is_float and len(sizes) > 1 and math.prod(sizes) > max(threshold, LEAST_ELEMENTS - 1):
                    found["all"] += 1
                    found["compressed"] += compressed
    return found


def _precision(program: Any) -> str:
    """fp16, fp32 or mixed: the types that operators compute in; the casts at the borders do not count."""
    with toolkit() as ct:
        mil = ct.proto.MIL_pb2
    names = {mil.FLOAT16: "fp16", mil.FLOAT32: "fp32"}
    found = {
        names[output.type.tensorType.dataType]
        for block in _blocks(program)
        for operation in block.operations
        if operation.type not in ("const", "cast")
        for output in operation.outputs
        if output.type.tensorType.dataType in names
    }
    return found.pop() if len(found) == 1 else "mixed" if found else "none"
