// A canvas to draw on, read as 28 x 28 grey pixels, as MNIST has them: in a box of 20 x 20, its mass in the middle.
const SIDE = 28;
const BOX = 20;

export function drawingPad(canvas) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  let last = null;

  function clear() {
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
  }

  function point(event) {
    const bounds = canvas.getBoundingClientRect();
    return [((event.clientX - bounds.left) * canvas.width) / bounds.width, ((event.clientY - bounds.top) * canvas.height) / bounds.height];
  }

  function draw(event) {
    if (!last) return;
    const here = point(event);
    context.strokeStyle = "#fff";
    context.lineWidth = canvas.width / 13;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(...last);
    context.lineTo(...here);
    context.stroke();
    last = here;
  }

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = point(event);
    draw(event);
  });
  canvas.addEventListener("pointermove", draw);
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { last = null; });
  clear();
  return { clear, pixels: () => centred(context, canvas.width) };
}

function grey(context, width) {
  const { data } = context.getImageData(0, 0, width, width);
  return Array.from({ length: width * width }, (_, place) => data[4 * place]);
}

function boundsOf(pixels, width) {
  const filled = pixels.flatMap((value, place) => (value > 32 ? [place] : []));
  if (!filled.length) return null;
  const columns = filled.map((place) => place % width);
  const lines = filled.map((place) => Math.floor(place / width));
  const least = (values) => values.reduce((one, other) => Math.min(one, other));
  const most = (values) => values.reduce((one, other) => Math.max(one, other));
  return { left: least(columns), right: most(columns) + 1, top: least(lines), bottom: most(lines) + 1 };
}

function centred(context, width) {
  const bounds = boundsOf(grey(context, width), width);
  const small = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
  const target = small.getContext("2d", { willReadFrequently: true });
  target.fillRect(0, 0, SIDE, SIDE);
  if (!bounds) return grey(target, SIDE);
  const [wide, high] = [bounds.right - bounds.left, bounds.bottom - bounds.top];
  const scale = BOX / Math.max(wide, high);
  const place = (left, top) => {
    target.fillRect(0, 0, SIDE, SIDE);
    target.imageSmoothingQuality = "high";
    target.drawImage(context.canvas, bounds.left, bounds.top, wide, high, left, top, wide * scale, high * scale);
    return grey(target, SIDE);
  };
  const [left, top] = [(SIDE - wide * scale) / 2, (SIDE - high * scale) / 2];
  const pixels = place(left, top);
  const mass = pixels.reduce((sum, value) => sum + value, 0);
  const mean = (position) => pixels.reduce((sum, value, at) => sum + value * position(at), 0) / mass;
  const middle = (SIDE - 1) / 2;
  return place(left + middle - mean((at) => at % SIDE), top + middle - mean((at) => Math.floor(at / SIDE)));
}
