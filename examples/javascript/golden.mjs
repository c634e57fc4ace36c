// Checks model.onnx in the folder of an export against its golden cases, then times it.
//
// It needs Node 20 and onnxruntime-node. Run it with the folder:
//
//     node golden.mjs models/mnist/export

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as ort from "onnxruntime-node";

const FILE = "model.onnx";
const PROVIDER = "cpu";
const TOLERANCE = 1e-4;
const BATCHES = [1, 64];
const WARM_UP_CALLS = 10;
const TIMED_CALLS = 100;

// JSON has no number for these: the manifest has them as texts.
const NOT_FINITE = { nan: NaN, inf: Infinity, "-inf": -Infinity };

async function readCases(folder) {
  const manifest = JSON.parse(await readFile(join(folder, "manifest.json"), "utf8"));
  const graph = manifest.files[FILE].graph;
  const cases = (manifest.golden ?? []).map((one) => ({
    inputs: readTensors(one.inputs[graph]),
    outputs: readTensors(one.outputs[FILE]),
  }));
  if (cases.length === 0 || cases.some((one) => Object.keys(one.outputs).length === 0)) {
    throw new Error(`manifest.json has no golden outputs for ${FILE}`);
  }
  return cases;
}

function readTensors(named) {
  return mapValues(named, ({ shape, values }) => new ort.Tensor("float32", values.map(readNumber), shape));
}

function readNumber(value) {
  if (typeof value === "number") return value;
  if (Object.hasOwn(NOT_FINITE, value)) return NOT_FINITE[value];
  throw new Error(`manifest.json has ${JSON.stringify(value)} where a number is expected`);
}

function mapValues(object, change) {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value)]));
}

// The largest absolute difference; infinite if the shapes differ.
function tensorDifference(found, expected) {
  if (found.dims.join() !== expected.dims.join()) return Infinity;
  return expected.data.reduce((largest, value, index) => Math.max(largest, difference(found.data[index], value)), 0);
}

// 0 if both are NaN, or the same infinity; infinite if only one of them is.
function difference(found, expected) {
  if (found === expected || (Number.isNaN(found) && Number.isNaN(expected))) return 0;
  return Number.isNaN(found - expected) ? Infinity : Math.abs(found - expected);
}

// The output that differs most: by how much, and its name.
async function checkCase(session, { inputs, outputs }) {
  const found = await session.run(inputs, Object.keys(outputs));
  const differences = Object.entries(outputs).map(([name, expected]) => ({
    name,
    largest: tensorDifference(found[name], expected),
  }));
  return differences.reduce((worst, one) => (one.largest > worst.largest ? one : worst));
}

async function checkCases(session, cases, folder) {
  const differences = [];
  for (const one of cases) differences.push(await checkCase(session, one));
  differences.forEach(({ name, largest }, index) => {
    if (largest > TOLERANCE) reportFailure(folder, index + 1, name, largest);
  });
  const failed = differences.filter(({ largest }) => largest > TOLERANCE).length;
  const most = Math.max(...differences.map(({ largest }) => largest));
  const agree = cases.length - failed;
  console.log(`golden: ${agree} of ${cases.length} cases agree, largest difference ${most.toPrecision(3)}`);
  return failed === 0;
}

function reportFailure(folder, number, output, largest) {
  const what = `golden case ${number}: output "${output}" differs by ${largest.toPrecision(3)}, allowed ${TOLERANCE}`;
  const fix = `check that manifest.json and ${FILE} are from the same export`;
  console.error(`${folder}: ${what}; ${fix}`);
}

async function microsecondsPerRow(session, inputs, rows) {
  const batch = mapValues(inputs, (tensor) => repeatRow(tensor, rows));
  const times = [];
  for (let call = 0; call < WARM_UP_CALLS + TIMED_CALLS; call += 1) {
    const started = performance.now();
    await session.run(batch);
    times.push(performance.now() - started);
  }
  return (median(times.slice(WARM_UP_CALLS)) / rows) * 1e3;
}

function repeatRow(tensor, rows) {
  const size = tensor.data.length / tensor.dims[0];
  const data = new Float32Array(rows * size);
  for (let row = 0; row < rows; row += 1) data.set(tensor.data.subarray(0, size), row * size);
  return new ort.Tensor("float32", data, [rows, ...tensor.dims.slice(1)]);
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

async function checkAndTime(folder) {
  const cases = await readCases(folder);
  const session = await ort.InferenceSession.create(join(folder, FILE), { executionProviders: [PROVIDER] });
  console.log(`${join(folder, FILE)}: ${PROVIDER}, ONNX Runtime ${ort.env.versions.node}`);
  if (!(await checkCases(session, cases, folder))) return false;
  for (const rows of BATCHES) {
    const time = await microsecondsPerRow(session, cases[0].inputs, rows);
    console.log(`batch of ${rows}: ${time.toFixed(2)} us per row, median of ${TIMED_CALLS} calls`);
  }
  return true;
}

async function main([folder, ...more]) {
  if (folder === undefined || more.length > 0) {
    console.error("usage: node golden.mjs FOLDER (of an export, such as models/mnist/export)");
    return 2;
  }
  try {
    return (await checkAndTime(folder)) ? 0 : 1;
  } catch (error) {
    const what = `cannot check ${FILE} with manifest.json (${error.message})`;
    console.error(`${folder}: ${what}; give the unchanged folder of an export`);
    return 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
