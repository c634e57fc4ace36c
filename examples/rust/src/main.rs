//! Nobody has run this with ONNX Runtime: the crate ort could not be fetched where it was written. It follows the
//! documentation of ort 2.0.0-rc.12. It was compiled with a stand-in for ort only.
//!
//! Checks model.onnx in the folder of an export against its golden cases, then times it.
//! Run it with the folder:
//!
//!     cargo run --release -- models/mnist/export

mod cases;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use ndarray::{ArrayD, ArrayViewD, Axis, concatenate};
use ort::session::Session;
use ort::value::TensorRef;

use cases::{Arrays, Case, Fallible, read_cases};

const FILE: &str = "model.onnx";
const TOLERANCE: f64 = 1e-4;
const BATCHES: [usize; 2] = [1, 64];
const WARM_UP_CALLS: usize = 10;
const TIMED_CALLS: usize = 100;

/// The tensors borrow the arrays, so nothing is copied.
fn tensors(arrays: &Arrays) -> ort::Result<Vec<(&str, TensorRef<'_, f32>)>> {
    arrays.iter().map(|(name, array)| Ok((name.as_str(), TensorRef::from_array_view(array)?))).collect()
}

/// The largest absolute difference; infinite if the shapes differ.
fn array_difference(found: ArrayViewD<'_, f32>, expected: &ArrayD<f32>) -> f64 {
    if found.shape() != expected.shape() {
        return f64::INFINITY;
    }
    found.iter().zip(expected).map(|(&one, &other)| difference(one.into(), other.into())).fold(0.0, f64::max)
}

/// 0 if both are NaN, or the same infinity; infinite if only one of them is.
fn difference(found: f64, expected: f64) -> f64 {
    if found == expected || (found.is_nan() && expected.is_nan()) {
        return 0.0;
    }
    let apart = (found - expected).abs();
    if apart.is_nan() { f64::INFINITY } else { apart }
}

/// The output that differs most: by how much, and its name.
fn check_case(session: &mut Session, case: &Case) -> Fallible<(f64, String)> {
    let found = session.run(tensors(&case.inputs)?)?;
    let mut most = (-1.0, String::new());
    for (name, expected) in &case.outputs {
        let value = found.get(name).ok_or_else(|| format!("{FILE} has no output {name}"))?;
        let largest = array_difference(value.try_extract_array::<f32>()?, expected);
        if largest > most.0 {
            most = (largest, name.clone());
        }
    }
    Ok(most)
}

fn check_cases(session: &mut Session, cases: &[Case], folder: &Path) -> Fallible<bool> {
    let (mut agree, mut most) = (0, 0.0_f64);
    for (index, case) in cases.iter().enumerate() {
        let (largest, output) = check_case(session, case)?;
        most = most.max(largest);
        if largest <= TOLERANCE {
            agree += 1;
        } else {
            report_failure(folder, index + 1, &output, largest);
        }
    }
    println!("golden: {agree} of {} cases agree, largest difference {most:.2e}", cases.len());
    Ok(agree == cases.len())
}

fn report_failure(folder: &Path, number: usize, output: &str, largest: f64) {
    let what = format!("golden case {number}: output \"{output}\" differs by {largest:.2e}, allowed {TOLERANCE}");
    let fix = format!("check that manifest.json and {FILE} are from the same export");
    eprintln!("{}: {what}; {fix}", folder.display());
}

fn microseconds_per_row(session: &mut Session, inputs: &Arrays, rows: usize) -> Fallible<f64> {
    let mut batch = Arrays::new();
    for (name, array) in inputs {
        batch.insert(name.clone(), concatenate(Axis(0), &vec![array.view(); rows])?);
    }
    let mut times = Vec::new();
    for _ in 0..WARM_UP_CALLS + TIMED_CALLS {
        let started = Instant::now();
        session.run(tensors(&batch)?)?;
        times.push(started.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(&times[WARM_UP_CALLS..]) / rows as f64)
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

fn check_and_time(folder: &Path) -> Fallible<bool> {
    let cases = read_cases(folder, FILE)?;
    let mut session = Session::builder()?.commit_from_file(folder.join(FILE))?;
    // No other provider was added to the session, so it is the CPU's.
    println!("{}: CPUExecutionProvider", folder.join(FILE).display());
    if !check_cases(&mut session, &cases, folder)? {
        return Ok(false);
    }
    for rows in BATCHES {
        let time = microseconds_per_row(&mut session, &cases[0].inputs, rows)?;
        println!("batch of {rows}: {time:.2} us per row, median of {TIMED_CALLS} calls");
    }
    Ok(true)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder] = arguments.as_slice() else {
        eprintln!("usage: golden FOLDER (of an export, such as models/mnist/export)");
        return ExitCode::from(2);
    };
    match check_and_time(Path::new(folder)) {
        Ok(agree) => ExitCode::from(u8::from(!agree)),
        Err(error) => {
            let what = format!("cannot check {FILE} with manifest.json ({error})");
            eprintln!("{folder}: {what}; give the unchanged folder of an export");
            ExitCode::FAILURE
        }
    }
}
