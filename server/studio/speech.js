// Speech as the server takes it: mono 16-bit samples at 24 kHz.

export const RATE = 24_000;

/** Reads any sound file that the browser knows, as Int16Array at RATE. */
export async function decoded(buffer) {
  const context = new OfflineAudioContext(1, 1, RATE);
  const sound = await context.decodeAudioData(buffer);
  const mixed = new Float32Array(sound.length);
  for (let channel = 0; channel < sound.numberOfChannels; channel++) {
    const samples = sound.getChannelData(channel);
    for (let i = 0; i < mixed.length; i++) mixed[i] += samples[i] / sound.numberOfChannels;
  }
  return pcm16(mixed);
}

/** Int16Array of samples between -1 and 1. */
export function pcm16(samples) {
  return Int16Array.from(samples, (sample) => Math.round(Math.max(-1, Math.min(1, sample)) * 32767));
}

/** Root mean square of samples between -1 and 1, in dB below full scale. */
export function loudness(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return 10 * Math.log10(sum / samples.length + 1e-10);
}
