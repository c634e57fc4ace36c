// Lists the models of this server, and asks one of them: in the server, and, after `make web`, in this browser too.
import { drawingPad } from "./drawing.js";
import { encodeReads } from "./reads.js";

const element = (id) => document.getElementById(id);
const pad = drawingPad(element("canvas"));
const EXAMPLE = `@read_1\n${"ACGTTGCA".repeat(12)}\n+\n${"I".repeat(96)}\n@read_2\n${"ACGTTGCA".repeat(12)}\n+\n${"#".repeat(96)}\n`;
let models = [];
let key = "";
let runtime = null;
const sessions = new Map();

async function ask(path, options = {}) {
  const headers = { ...(key ? { Authorization: `Bearer ${key}` } : {}), ...options.headers };
  const answer = await fetch(path, { ...options, headers });
  if (answer.ok) return answer;
  if (answer.status === 401) element("access").hidden = false;
  const text = await answer.text();
  let reason = text;
  try { reason = JSON.parse(text).error; } catch { /* it is no JSON */ }
  throw new Error(reason || `status ${answer.status}`);
}

const shapeText = (port) => `${port.name} ${port.datatype} [${port.shape.map((size) => (size < 0 ? "n" : size)).join(", ")}]`;
const rowSize = (port) => port.shape.slice(1).reduce((product, size) => product * size, 1);
const isImage = (model) => model.inputs.length === 1 && rowSize(model.inputs[0]) === 784;
const isReads = (model) => model.workload === "read_quality";

async function load() {
  element("problem").textContent = "";
  try {
    models = await (await ask("page/models")).json();
    element("access").hidden = true;
  } catch (error) {
    element("problem").textContent = error.message;
    return;
  }
  element("models").replaceChildren(...models.map(modelRow));
  element("choice").replaceChildren(...models.map((model, place) => new Option(`${model.name}, version ${model.version}`, place)));
  runtime = await browserRuntime();
  choose();
}

function modelRow(model) {
  const row = document.createElement("tr");
  const texts = [model.name, model.version, model.inputs.map(shapeText).join("; "), model.outputs.map(shapeText).join("; ")];
  for (const text of [...texts, model.problem ? `${model.description}. Not the newest: ${model.problem}` : model.description]) {
    row.insertCell().textContent = text;
  }
  return row;
}

const chosen = () => models[Number(element("choice").value)];

function choose() {
  const model = chosen();
  if (!model) return;
  const reads = isReads(model);
  element("drawing").hidden = reads || !isImage(model);
  element("pasting").hidden = !reads;
  element("typing").hidden = reads || isImage(model);
  element("where").hidden = !inBrowser(model);
  element("answers").replaceChildren();
}

const inBrowser = (model) => Boolean(runtime && model.file);

async function browserRuntime() {
  if (!models.some((model) => model.file)) return null;
  try {
    const found = await import(new URL("../web/ort/ort.wasm.min.mjs", import.meta.url));
    found.env.wasm.numThreads = 1;
    return found;
  } catch {
    return null;
  }
}

// What a model is fed: typed values of one or more rows.
function rowsOf(model) {
  const port = model.inputs[0];
  if (isReads(model)) return encodeReads(element("reads").value, port.datatype);
  const bytes = port.datatype === "UINT8";
  const values = isImage(model)
    ? pad.pixels().map((value) => (bytes ? value : value / 255))
    : element("values").value.split(/[\s,;]+/).filter(Boolean).map(Number);
  if (values.some((value) => !Number.isFinite(value))) throw new Error("a value is no number");
  return { values: bytes ? Uint8Array.from(values) : Float32Array.from(values), rows: 1, names: ["row 1"] };
}

async function askServer(model) {
  if (isReads(model)) return tableOf(await readsAnswer(model));
  const { values } = rowsOf(model);
  const body = { model_name: model.name, input_data: Array.from(values), top_k: 5 };
  const started = performance.now();
  const found = await (await ask("api/v1/ml/inference", jsonPost(body))).json();
  const lines = found.top_classes
    ? found.top_classes.map((name, place) => [String(name), found.top_probabilities[place]])
    : found.output.flat().slice(0, 20).map((value, place) => [String(place), value]);
  return { lines, note: `${round(found.inference_time_ms)} ms in the server, ${round(performance.now() - started)} ms until here; ${found.model_info.provider}` };
}

const jsonPost = (body) => ({ method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });

async function readsAnswer(model) {
  const started = performance.now();
  const path = `api/v1/reads/score?model=${encodeURIComponent(model.name)}&phred=33`;
  const text = await (await ask(path, { method: "POST", body: element("reads").value, headers: { "Content-Type": "text/plain" } })).text();
  return { text, milliseconds: performance.now() - started };
}

function tableOf({ text, milliseconds }) {
  const lines = text.trim().split("\n").slice(1).map((line) => line.split("\t"));
  return { lines: lines.map(([name, value, verdict]) => [`${name} ${verdict}`, Number(value)]), note: `${round(milliseconds)} ms until here` };
}

async function askBrowser(model) {
  const { values, rows, names } = rowsOf(model);
  const session = await sessionOf(model);
  const port = model.inputs[0];
  const kind = port.datatype === "UINT8" ? "uint8" : "float32";
  const started = performance.now();
  const input = new runtime.Tensor(kind, values, [rows, ...port.shape.slice(1)]);
  const output = (await session.run({ [port.name]: input }))[model.outputs[0].name];
  const milliseconds = performance.now() - started;
  const data = Array.from(output.data);
  const lines = isReads(model)
    ? data.map((value, place) => [`${names[place]} ${value >= 0.5 ? "PASS" : "FAIL"}`, value])
    : data.map((value, place) => [String(place), value]).sort((one, other) => other[1] - one[1]).slice(0, 5);
  return { lines, note: `${round(milliseconds)} ms in this browser, by WebAssembly` };
}

async function sessionOf(model) {
  if (!sessions.has(model.file)) {
    const bytes = new Uint8Array(await (await ask(model.file)).arrayBuffer());
    sessions.set(model.file, await runtime.InferenceSession.create(bytes, { executionProviders: ["wasm"] }));
  }
  return sessions.get(model.file);
}

const round = (value) => (value < 10 ? value.toFixed(2) : value.toFixed(0));

function card(title, { lines, note }) {
  const found = document.createElement("div");
  found.className = "answer";
  const heading = document.createElement("h3");
  heading.textContent = title;
  found.append(heading);
  for (const [name, value] of lines) {
    const row = document.createElement("div");
    row.className = "row";
    const label = document.createElement("span");
    label.textContent = name;
    const meter = Object.assign(document.createElement("meter"), { min: 0, max: 1, value });
    meter.setAttribute("aria-label", `${name}: ${value}`);
    const number = document.createElement("span");
    number.textContent = value.toFixed(6);
    row.append(label, meter, number);
    found.append(row);
  }
  const remark = document.createElement("p");
  remark.textContent = note;
  found.append(remark);
  return found;
}

function wrongCard(title, error) {
  const found = card(title, { lines: [], note: error.message });
  found.querySelector("p").className = "wrong";
  return found;
}

async function predict() {
  const model = chosen();
  const ways = [];
  if (!inBrowser(model) || !element("local").checked) ways.push(["In the server", askServer]);
  if (inBrowser(model)) ways.push(["In this browser", askBrowser]);
  const cards = [];
  for (const [title, way] of ways) {
    try { cards.push(card(title, await way(model))); } catch (error) { cards.push(wrongCard(title, error)); }
  }
  element("answers").replaceChildren(...cards);
}

function clear() {
  pad.clear();
  element("reads").value = element("values").value = "";
  element("answers").replaceChildren();
}

element("reads").value = EXAMPLE;
element("choice").addEventListener("change", choose);
element("ask").addEventListener("click", predict);
element("clear").addEventListener("click", clear);
element("access").addEventListener("submit", (event) => {
  event.preventDefault();
  key = element("key").value.trim();
  load();
});
load();
