// The microphone while a button is held: pieces of 100 ms at 24 kHz, without the silence before the first word.

import { RATE, loudness, pcm16 } from "./speech.js";

const GATE_DB = -45;
/** Pieces that still pass after the voice has fallen below the gate: pauses belong to speech. */
const HANGOVER = 8;

export class Microphone {
  #context = null;
  #stream = null;
  #node = null;
  #held = false;
  #open = 0;
  #before = null;

  /**
   * @param {(samples: Int16Array, rate: number) => void} hear is given each piece.
   * @param {(level: number) => void} show is given how loud it is, 0 to 1.
   */
  constructor(hear, show) {
    this.hear = hear;
    this.show = show;
  }

  /** Asks for the microphone on first use; pieces flow until release(). */
  async hold() {
    this.#held = true;
    this.#open = 0;
    this.#before = null;
    if (!this.#context) await this.#prepare();
    await this.#context.resume();
  }

  release() {
    this.#held = false;
    this.show(0);
  }

  close() {
    this.release();
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#context?.close();
    this.#context = this.#stream = this.#node = null;
  }

  async #prepare() {
    if (!navigator.mediaDevices) throw new Error("Browsers give pages the microphone over HTTPS or on localhost only");
    const wanted = { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    this.#stream = await navigator.mediaDevices.getUserMedia({ audio: wanted });
    this.#context = new AudioContext({ sampleRate: RATE });
    await this.#context.audioWorklet.addModule(new URL("microphone-worklet.js", import.meta.url));
    this.#node = new AudioWorkletNode(this.#context, "pieces", { numberOfOutputs: 0 });
    this.#node.port.onmessage = ({ data }) => this.#piece(data);
    this.#context.createMediaStreamSource(this.#stream).connect(this.#node);
  }

  #piece(samples) {
    if (!this.#held) return;
    const level = loudness(samples);
    this.show(Math.max(0, Math.min(1, 1 + level / 60)));
    if (level > GATE_DB) {
      if (!this.#open && this.#before) this.hear(pcm16(this.#before), RATE); // the start of a soft first sound
      this.#open = HANGOVER;
    }
    if (this.#open) {
      this.#open--;
      this.hear(pcm16(samples), RATE);
    }
    this.#before = samples;
  }
}
