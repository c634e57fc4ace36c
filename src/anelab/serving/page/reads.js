// Reads as the model takes them (contract reads/3): 150 base codes, then 150 Phred scores; shorter ones are padded.
const WIDTH = 150;
const CODES = { A: 4, C: 5, G: 6, T: 7, U: 7 };
const OTHER = 8;
const PAD_SCORE = 20;

export function encodeReads(text, datatype) {
  const lines = text.trim().split(/\r?\n/);
  const names = [];
  const rows = [];
  for (let start = 0; start + 3 < lines.length; start += 4) {
    const [header, bases, , qualities] = lines.slice(start, start + 4);
    if (!header.startsWith("@") || bases.length !== qualities.length) throw new Error(`line ${start + 1}: this is no FASTQ`);
    if (bases.length > WIDTH) throw new Error(`${header.slice(1)}: the browser takes reads of up to ${WIDTH} bases`);
    names.push(header.slice(1).split(/\s/)[0]);
    rows.push(encodeRead(bases.toUpperCase(), qualities));
  }
  if (!rows.length) throw new Error("there are no reads");
  const bytes = Uint8Array.from(rows.flat());
  return { values: datatype === "UINT8" ? bytes : floats(bytes), rows: rows.length, names };
}

function encodeRead(bases, qualities) {
  const codes = Array.from({ length: WIDTH }, (_, place) => (place < bases.length ? CODES[bases[place]] ?? OTHER : 0));
  const scores = Array.from({ length: WIDTH }, (_, place) => (place < bases.length ? qualities.charCodeAt(place) - 33 : PAD_SCORE));
  return [...codes, ...scores];
}

function floats(bytes) {
  return Float32Array.from(bytes, (value, place) => (place % (2 * WIDTH) < WIDTH ? (value - 4) / 4 : value / 93));
}
