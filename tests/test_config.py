import shutil
from pathlib import Path
from typing import Any

import pytest

from anelab.config import load_params
from anelab.errors import UsageError
from tests.conftest import ROOT

PARAMS = ROOT / "params.yaml"


def test_every_mistake_is_reported_at_once_with_key_value_and_what_is_allowed() -> None:
    overrides = [
        "mnist.training.learnin_rate=0.1",
        "mnist.training.max_epochs=2.5",
        "mnist.split.test=0.9",
        "read_quality.data.phred=35",
        "read_quality.data.source=simluate",
        "seeds=1",
    ]
    with pytest.raises(UsageError) as caught:
        load_params(PARAMS, overrides)
    text = str(caught.value)
    assert "params.yaml with -S has 6 mistakes:" in text
    assert "mnist.training.learnin_rate: unknown key; did you mean learning_rate?" in text
    assert "mnist.training.max_epochs: input should be a valid integer, but got 2.5" in text
    assert "mnist.split.test: input should be less than 0.5, but got 0.9" in text
    assert "read_quality.data.phred: input should be 'auto', 33 or 64, but got 35" in text
    assert "must be simulate or a list of paths and globs" in text
    assert "seeds: unknown key; did you mean seed?" in text


@pytest.mark.parametrize(
    ("label", "metric"),
    [("mean_quality", "max:balanced_accuracy"), ("true_errors", "max:roc_auc"), ("overlap", "max:roc_auc")],
)
def test_a_metric_left_to_the_label_is_that_of_its_question(label: str, metric: str) -> None:
    words = [f"read_quality.data.label={label}", "read_quality.model.architecture=mlp"]
    words += ["read_quality.registry.limits={rare_discarded: 1.2}"]
    assert load_params(PARAMS, words).section("read_quality").metric == metric
    own = load_params(PARAMS, [*words, "read_quality.metric=min:nll"]).section("read_quality")
    assert (own.metric, own.registry.threshold) == ("min:nll", None)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("mnist.training.max_epochs=true", "valid integer"),
        ("mnist.training.max_epochs='3'", "valid integer"),
        ("mnist.training.max_epochs=0", "greater than or equal to 1"),
        ("mnist.metric=accuracy", "must be max: or min: and one of accuracy, macro_f1, nll, ece"),
        ("mnist.metric=max:acuracy", "must be max: or min: and one of accuracy"),
        ("read_quality.data.simulation.min_length=200", "min_length must not exceed max_length=150"),
        ("read_quality.model.hidden=[0]", "greater than or equal to 1"),
        ("mnist.registry.threshold=.nan", "finite number"),
        ("workloads=[]", "at least 1 item"),
        ("mnist.data.source=3", "must be simulate or a list"),
        ("mnist.data.source=[]", "must be simulate or a list"),
        ("workloads=[mnits]", "mnits is not a workload; did you mean mnist?"),
        ("mnist.training=3", "mnist.training"),
        ("mnist", "-S takes key=value"),
        ("mnist.data.source=[a", "not valid YAML"),
        ("mnist.data.source=['']", "must be simulate or a list"),
        ("seed=&a [*a]", "not valid YAML: a list or mapping holds itself"),
        ("seed={1: 2, 2020-01-01: 3}", "valid integer|as a configuration"),
    ],
)
def test_a_wrong_value_is_refused_with_the_reason(override: str, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("[", r"\[")):
        load_params(PARAMS, [override])


def test_a_missing_key_and_a_missing_section_are_named(tmp_path: Path) -> None:
    text = PARAMS.read_text().replace("    patience: 5 ", "    # patience: 5 ").replace("  metric: max:accuracy\n", "")
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"mnist\.metric: missing; add it"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("workloads: [mnist]\nseed: 1\n")
    with pytest.raises(UsageError, match="mnist: missing; add it"):
        load_params(tmp_path / "params.yaml")


def test_values_are_yaml_and_a_float_needs_no_point() -> None:
    params = load_params(PARAMS, ["mnist.training.learning_rate=1e-3", "mnist.data.source=[a, 'b*']", "seed=7"])
    section = params.section("mnist")
    assert section.training.learning_rate == 0.001
    assert section.data.source == ["a", "b*"]
    assert section.seed == 7


def test_a_key_that_stands_twice_is_not_silently_the_last(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(PARAMS.read_text() + "seed: 1\n")
    with pytest.raises(UsageError, match="key seed occurs twice"):
        load_params(tmp_path / "params.yaml")


def test_an_absent_or_broken_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [")
    with pytest.raises(UsageError, match="not valid YAML"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_bytes(b"seed: \xff\n")
    with pytest.raises(UsageError, match="not valid YAML"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("- a\n")
    with pytest.raises(UsageError, match="must be a mapping"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (
            ["mnist.registry.variant.coreml=int8", "mnist.export.coreml.variants=[]"],
            "export.coreml.variants does not make",
        ),
        (["mnist.registry.variant.onnx=int8", "mnist.export.int8=false"], "but export.int8 is false"),
        (["mnist.registry.variant.coreml=foo"], "mnist.registry.variant.coreml: input should be 'fp16', 'fp32'"),
        (["mnist.export.coreml.buckets=[8, 1]"], "must be batch sizes of 1 and more in rising order"),
        (["mnist.export.coreml.variants=[int8, int8]"], "must name each variant once"),
    ],
)
def test_core_ml_settings_that_cannot_be_are_named(overrides: list[str], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_params(ROOT / "params.yaml", overrides)
    assert "1 mistake" in str(caught.value)
    assert text in str(caught.value)


def test_an_arm_that_cannot_be_is_found_with_the_other_mistakes() -> None:
    with pytest.raises(UsageError) as caught:
        load_params(ROOT / "params.yaml", ["mnist.bench.arms=[ort-cpo, torch-eager]", "mnist.seeds=1"])
    assert "2 mistakes" in str(caught.value)
    assert "mnist.bench.arms: an arm is kind[/option][:variant]" in str(caught.value)
    assert "did you mean ort-cpu?" in str(caught.value)


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("mnist.training.max_epochs=3", "mnist.training.max_epochs"),
        ("+mnist.bench.processes=3", "mnist.bench.processes"),
        ("+mnist.export.opset=13", "mnist.export.opset"),
    ],
)
def test_dvc_takes_keys_that_are_written_and_with_a_plus_those_that_are_not(
    override: str, key: str, tmp_path: Path
) -> None:
    """As the head of params.yaml says it."""
    from dvc.utils.hydra import apply_overrides

    path = tmp_path / "params.yaml"
    shutil.copy(PARAMS, path)
    if override.startswith("+"):
        with pytest.raises(Exception, match="Invalid `--set-param` value"):
            apply_overrides(path, [override.removeprefix("+")])
    apply_overrides(path, [override])
    wanted = load_params(PARAMS, [f"{key}={override.rpartition('=')[2]}"])
    assert load_params(path).model_dump() == wanted.model_dump()


def test_a_file_is_laid_over_the_configuration_key_by_key(tmp_path: Path) -> None:
    over = tmp_path / "my settings.yaml"
    over.write_text("seed: 7\nmnist:\n  training: {max_epochs: 3}\n  search: {n_trials: 2}\n")
    plain, found = (load_params(ROOT / "params.yaml", list(words)) for words in ([], [f"@{over}", "seed=8"]))
    assert (found.seed, found.section("mnist").training.max_epochs, found.section("mnist").search.n_trials) == (8, 3, 2)
    assert found.section("mnist").training.batch_size == plain.section("mnist").training.batch_size
    assert found.section("read_quality").model_dump() == plain.section("read_quality").model_dump()
    for text, message in {"[1, 2]": "must hold keys and values", "a: [": "is not valid YAML"}.items():
        over.write_text(text)
        with pytest.raises(UsageError, match=message):
            load_params(ROOT / "params.yaml", [f"@{over}"])
    with pytest.raises(UsageError, match="cannot be read"):
        load_params(ROOT / "params.yaml", ["@absent.yaml"])
    over.write_text("mnist: {trainign: {max_epochs: 3}}\n")
    with pytest.raises(UsageError, match="did you mean training"):
        load_params(ROOT / "params.yaml", [f"@{over}"])


def test_a_preset_fills_what_the_section_does_not_say() -> None:
    own = ["splice.training={max_epochs: 2}", "splice.model.encoder={dropout: 0.1}"]
    section: Any = load_params(PARAMS, ["splice.preset=lightweight", *own]).section("splice")
    assert (section.data.max_samples, section.training.max_epochs, section.training.batch_size) == (50_000, 2, 128)
    assert (section.model.encoder.dropout, section.model.encoder.num_filters) == (0.1, 16)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("splice.preset=huge", "must be one of example, lightweight, full, but got huge"),
        ("mnist.preset=full", "must be null: there are none here, but got full"),
    ],
)
def test_a_preset_that_is_not_there_says_which_are(wrong: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_params(PARAMS, [wrong])


@pytest.mark.parametrize("name", ["example", "lightweight", "full"])
def test_every_preset_is_a_whole_configuration(name: str) -> None:
    assert load_params(PARAMS, [f"splice.preset={name}"]).section("splice").preset == name
