"""What `register` prints."""

from typing import Any

import pytest

from anelab.stages.verdicts import print_verdicts
from anelab.tracking.promotion_record import PromotionRecord

REASON = "accuracy gain over nearest_mean -0.1, the lower bound must reach -0.01"


def candidate(content: str, **verdicts: str) -> dict[str, Any]:
    gates = [{"name": name, "verdict": verdict, "reason": REASON} for name, verdict in verdicts.items()]
    return {"content": content, "gates": gates, "metrics": {"accuracy": 0.5}}


def test_one_cause_is_one_warning_however_many_it_holds_back(capsys: pytest.CaptureFixture[str]) -> None:
    onnx = {
        "fp32": candidate("a", rules="fail", parity="fail"),
        "int8": candidate("b", parity="fail", champion="not eligible"),
    }
    coreml = {"fp16": candidate("c", rules="fail"), "palette4": candidate("d", parity="fail")}
    coreml["palette4"]["gates"][0]["reason"] = "another one"
    coreml["fp16"]["gates"][0]["reason"] = f"{REASON}001"
    registry = {
        "metric": "max:accuracy",
        "test_digest": "t",
        "models": {"mnist-onnx": {"candidates": onnx}, "mnist-coreml": {"candidates": coreml}},
    }
    models = registry["models"]
    versions = {"mnist-onnx": {"fp32": "1", "int8": "2"}, "mnist-coreml": {"fp16": "1", "palette4": "2"}}
    print_verdicts(registry, dict.fromkeys(models, PromotionRecord()), versions, {model: {} for model in models})
    told = capsys.readouterr()
    rules, parity = told.err.splitlines()
    assert rules.startswith(f"anelab: warning: gate rules failed: mnist-onnx fp32: {REASON} (also mnist-coreml fp16); ")
    assert "registry.threshold" in rules
    own = f"mnist-onnx fp32: {REASON}; mnist-coreml palette4: another one"
    assert parity == f"anelab: warning: gate parity failed: {own}", "int8 could not be champion anyway"
    assert told.out.splitlines() == [
        "mnist-onnx version 1 (fp32): held back by rules, parity, accuracy 0.5",
        "mnist-onnx version 2 (int8): held back by parity, accuracy 0.5",
        "mnist-coreml version 1 (fp16): held back by rules, accuracy 0.5",
        "mnist-coreml version 2 (palette4): held back by parity, accuracy 0.5",
    ]
