//! The golden cases that the manifest.json of an export has for a file. Nobody has run this; see main.rs.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use ndarray::ArrayD;
use serde_json::Value;

pub type Arrays = BTreeMap<String, ArrayD<f32>>;
pub type Fallible<T> = Result<T, Box<dyn Error>>;

pub struct Case {
    pub inputs: Arrays,
    pub outputs: Arrays,
}

pub fn read_cases(folder: &Path, file: &str) -> Fallible<Vec<Case>> {
    let text = fs::read_to_string(folder.join("manifest.json")).map_err(|error| format!("manifest.json: {error}"))?;
    let manifest: Value = serde_json::from_str(&text)?;
    let graph = manifest["files"][file]["graph"].as_str().unwrap_or_default();
    let mut cases = Vec::new();
    for case in manifest["golden"].as_array().into_iter().flatten() {
        let (inputs, outputs) = (&case["inputs"][graph], &case["outputs"][file]);
        cases.push(Case { inputs: read_arrays(inputs)?, outputs: read_arrays(outputs)? });
    }
    if cases.is_empty() || cases.iter().any(|case| case.outputs.is_empty()) {
        return Err(format!("manifest.json has no golden outputs for {file}").into());
    }
    Ok(cases)
}

fn read_arrays(named: &Value) -> Fallible<Arrays> {
    let items = named.as_object().ok_or("manifest.json has a golden case without inputs or outputs")?;
    items.iter().map(|(name, item)| Ok((name.clone(), read_array(item)?))).collect()
}

fn read_array(item: &Value) -> Fallible<ArrayD<f32>> {
    let shape: Vec<usize> = serde_json::from_value(item["shape"].clone())?;
    let values: Vec<Value> = serde_json::from_value(item["values"].clone())?;
    let numbers = values.iter().map(read_number).collect::<Fallible<Vec<f32>>>()?;
    Ok(ArrayD::from_shape_vec(shape, numbers)?)
}

/// JSON has no number for nan, inf and -inf: the manifest has them as texts.
fn read_number(value: &Value) -> Fallible<f32> {
    match value {
        Value::Number(number) => Ok(number.as_f64().unwrap_or(f64::NAN) as f32),
        Value::String(text) => Ok(text.parse()?),
        _ => Err(format!("manifest.json has {value} where a number is expected").into()),
    }
}
