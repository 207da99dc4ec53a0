// A graph of the newest values of one figure: lines for what is measured all the time, bars for what happens at times.

const KEPT = 60;

export class Graph {
  #canvas;
  #output;
  #unit;
  #floor;
  #bars;
  #values = [];

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLOutputElement} output shows the newest value.
   * @param {{unit: string, floor: number, bars?: boolean}} how `floor` is the least that the scale reaches up to.
   */
  constructor(canvas, output, { unit, floor, bars = false }) {
    this.#canvas = canvas;
    this.#output = output;
    this.#unit = unit;
    this.#floor = floor;
    this.#bars = bars;
  }

  add(value) {
    if (!Number.isFinite(value)) return;
    this.#values = [...this.#values, value].slice(-KEPT);
    this.#output.textContent = `${Math.round(value)} ${this.#unit}`;
    this.#draw();
  }

  clear() {
    this.#values = [];
    this.#output.textContent = "";
    this.#draw();
  }

  #draw() {
    const scale = devicePixelRatio;
    const [width, height] = [this.#canvas.clientWidth, this.#canvas.clientHeight];
    this.#canvas.width = width * scale;
    this.#canvas.height = height * scale;
    const context = this.#canvas.getContext("2d");
    context.scale(scale, scale);
    const style = getComputedStyle(this.#canvas);
    const top = Math.max(this.#floor, ...this.#values) * 1.1;
    const x = (index) => ((KEPT - this.#values.length + index + 0.5) * width) / KEPT;
    const y = (value) => height - 1 - (value / top) * (height - 2);
    context.fillStyle = context.strokeStyle = style.color;
    context.lineWidth = 1.5;
    if (this.#bars) {
      this.#values.forEach((value, index) => context.fillRect(x(index) - 2, y(value), 4, height - y(value)));
      return;
    }
    context.beginPath();
    this.#values.forEach((value, index) => context.lineTo(x(index), y(value)));
    context.stroke();
  }
}
