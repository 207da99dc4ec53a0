// Cuts what the microphone hears into pieces of 100 ms.

class Pieces extends AudioWorkletProcessor {
  #piece = new Float32Array(Math.round(sampleRate / 10));
  #filled = 0;

  process([[samples]]) {
    for (let at = 0; samples && at < samples.length; ) {
      const taken = samples.subarray(at, at + this.#piece.length - this.#filled);
      this.#piece.set(taken, this.#filled);
      this.#filled += taken.length;
      at += taken.length;
      if (this.#filled === this.#piece.length) {
        this.port.postMessage(this.#piece.slice());
        this.#filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("pieces", Pieces);
