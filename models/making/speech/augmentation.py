"""Making clean synthetic speech sound as if it came from rooms, telephones, microphones and other throats."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from models.making.speech.utterances import SAMPLE_RATE

Sound = NDArray[np.float32]


def spoil(speech: Sound, babble: Sound, random: np.random.Generator) -> Sound:
    """Speech (n,) in −1…1, heard through a random room, channel and level, with random noise or ``babble`` (n,).

    Nothing here moves speech in time: the room's first sound arrives at once and filters have no phase.
    """
    n = len(speech)
    sound = speech
    if random.random() < 0.75:
        response = _channel(n, random)
        if random.random() < 0.4:
            room = np.fft.rfft(_room(random), 2 * (len(response) - 1))
        else:
            room = np.ones(1, np.complex64)
        sound = np.fft.irfft(np.fft.rfft(sound, 2 * (len(response) - 1)) * response * room)[:n].astype(np.float32)
    if random.random() < 0.25:
        sound = np.tanh(sound * random.uniform(1, 6) / max(float(np.abs(sound).max()), 1e-3)).astype(np.float32)
    level = max(float(np.sqrt(np.mean(np.square(sound)))), 1e-4)
    if random.random() < 0.65:
        hiss = noise(n, random)
        if random.random() < 0.3:
            hiss = babble / max(float(np.sqrt(np.mean(np.square(babble)))), 1e-4)
        sound = sound + hiss * np.float32(level * 10 ** (-random.uniform(3, 40) / 20))
    sound = sound * np.float32(10 ** (random.uniform(-34, -14) / 20) / level)
    if random.random() < 0.08:
        sound = _mu_law(np.clip(sound, -1, 1))
    return np.asarray(np.clip(np.round(np.clip(sound, -1, 1) * 32767) / 32767, -1, 1), np.float32)


def noise(n: int, random: np.random.Generator) -> Sound:
    """Steady or slowly swelling noise (n,) of root mean square 1, of a random colour between white and brown."""
    long = _long_noise(float(random.choice([0, 0.5, 0.5, 1.0])))
    first = random.integers(0, len(long) - n)
    sound = long[first : first + n]
    if random.random() < 0.4:
        sound = sound * np.interp(np.linspace(0, 7, n), np.arange(8), random.uniform(0.1, 1, 8)).astype(np.float32)
    return np.asarray(sound / max(float(np.sqrt(np.mean(np.square(sound)))), 1e-9), np.float32)


@functools.cache
def _long_noise(slope: float) -> Sound:
    """Two minutes of noise whose amplitude falls with frequency to the power ``slope``."""
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(1 << 21, np.float32))
    spectrum *= np.maximum(np.fft.rfftfreq(1 << 21, 1 / SAMPLE_RATE), 30).astype(np.float32) ** -slope
    return np.asarray(np.fft.irfft(spectrum), np.float32)


def no_speech(n: int, random: np.random.Generator) -> Sound:
    """Sound (n,) in which nobody speaks: digital silence, noise, breath, music, chords with a beat, or clicks."""
    level = np.float32(10 ** (random.uniform(-75, -12) / 20))
    kind = random.integers(16)  # music and breath most often: they are the hardest to tell from a voice
    if kind == 0:
        return np.zeros(n, np.float32)
    if kind == 1:
        return noise(n, random) * level
    if kind in (2, 3, 4):
        return breath(n, random) * level
    if kind >= 7:
        sound = music(n, random)
        if random.random() < 0.4:
            sound = sound + noise(n, random) * np.float32(10 ** (random.uniform(-40, 0) / 20))
        return np.asarray(np.clip(sound * 10 ** (random.uniform(-45, -12) / 20), -1, 1), np.float32)
    seconds = np.arange(n, dtype=np.float32) / SAMPLE_RATE
    if kind == 5:
        sound = np.zeros(n, np.float32)
        for note in random.integers(36, 84, random.integers(1, 5)):
            hertz = 440 * 2 ** ((note - 69) / 12)
            for overtone in range(1, int(random.integers(2, 7))):
                sound += np.sin(2 * np.pi * hertz * overtone * seconds + random.uniform(0, 6)) / overtone
        beat = np.exp(-((seconds * random.uniform(1, 4)) % 1) * random.uniform(0, 5))
        return np.asarray(sound * beat * level, np.float32)
    sound = noise(n, random) * np.float32(0.02)
    for first in random.integers(0, max(n - 400, 1), 12):
        sound[first : first + 400] += random.standard_normal(400) * np.exp(-np.arange(400) / random.uniform(10, 120))
    return np.asarray(sound * level * 3, np.float32)


def in_other_time(sound: Sound, places: NDArray[np.float64]) -> tuple[Sound, NDArray[np.float64]]:
    """Speech with its time stretched but not its pitch; ``places`` (n,) asks, rising, which sample is heard when.

    Pieces of 25 ms are laid over each other where they fit best (WSOLA, Verhelst and Roelands 1993), so that a place
    that stands still becomes a sound that is held. Returns the sound (n,) and its true places.
    """
    n, size, hop, reach = len(places), 400, 200, 120
    window = np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size), np.float32)
    padded = np.pad(sound, (size, 2 * size))
    out, at = np.zeros(n + size, np.float32), size
    heard: list[int] = []
    for start in range(0, n, hop):
        wanted = int(np.clip(places[start], 0, len(sound) - 1)) + size // 2
        first = max(wanted - reach, 0)
        goes_on = padded[at + hop : at + hop + size]
        fits = np.correlate(padded[first : first + size + 2 * reach], goes_on, "valid") if start else np.zeros(1)
        at = min(first + int(np.argmax(fits)) if start else wanted, len(padded) - size - hop)
        out[start : start + size] += window * padded[at : at + size]
        heard.append(at - size // 2)
    return out[size // 2 : size // 2 + n], np.interp(np.arange(n), np.arange(0, n, hop), heard)


def breath(n: int, random: np.random.Generator) -> Sound:
    """Somebody breathing (n,): noise through a wide-open throat, swelling and falling, at most about 1."""
    sound, at = np.zeros(n, np.float32), int(random.uniform(-0.5, 0.5) * SAMPLE_RATE)
    while at < n:
        length = round(random.uniform(0.2, 1.4) * SAMPLE_RATE)
        first, last = max(at, 0), min(at + length, n)
        if last > first:
            hertz = np.fft.rfftfreq(length, 1 / SAMPLE_RATE)
            shape = np.full(len(hertz), 10 ** random.uniform(-2.5, -1))
            for _ in range(random.integers(1, 5)):  # resonances
                centre, width = np.exp(random.uniform(np.log(300), np.log(6000))), random.uniform(0.1, 0.6)
                shape += random.uniform(0.2, 1) * np.exp(-0.5 * (np.log(np.maximum(hertz, 20) / centre) / width) ** 2)
            puff = np.fft.irfft(np.fft.rfft(random.standard_normal(length)) * shape, length)
            time = np.linspace(0, 1, length)
            peak = random.uniform(0.2, 0.8)
            swell = np.interp(time, [0, peak, 1], [0, 1, 0]) ** random.uniform(0.5, 2)
            puff = puff * swell / max(float(np.abs(puff).max()), 1e-9)
            sound[first:last] += puff[first - at : last - at].astype(np.float32)
        at += length + round(random.exponential(0.8) * SAMPLE_RATE)
    return sound


def music(n: int, random: np.random.Generator) -> Sound:
    """Instruments (n,) of root mean square 1: chords, a melody with vibrato, a bass, drums; some of these."""
    sound = np.zeros(n, np.float32)
    beat = round(random.uniform(0.25, 0.8) * SAMPLE_RATE)
    scale = int(random.integers(12)) + np.array(
        [0, 2, 4, 5, 7, 9, 11] if random.random() < 0.5 else [0, 2, 3, 5, 7, 8, 10]
    )
    parts = [part for part in ("chords", "melody", "bass", "drums") if random.random() < 0.55] or ["melody"]
    for part in parts:
        loud, overtones = random.uniform(0.3, 1), int(np.exp(random.uniform(0, np.log(40))))
        damping = random.choice([0.0, random.uniform(0, 3)])  # of a string, whose higher harmonics die sooner
        roll, decay, vibrato = random.uniform(0.6, 2), random.choice([0.3, 1.5, 6.0]), random.uniform(0, 0.012)
        at = -int(random.integers(beat))
        while at < n:
            length = beat * int(random.choice([1, 1, 2, 4])) // (2 if part == "melody" else 1)
            first, last = max(at, 0), min(at + round(length * 1.1), n)
            time = np.arange(last - first, dtype=np.float32) / SAMPLE_RATE
            if last - first < 16:
                pass
            elif part == "drums":
                hit = random.standard_normal(last - first) * np.exp(-time * random.uniform(8, 80))
                hit += np.sin(2 * np.pi * random.uniform(50, 200) * time) * np.exp(-time * 15)
                sound[first:last] += (loud * hit).astype(np.float32)
            else:
                octave = {"chords": 60, "melody": int(random.choice([60, 72])), "bass": 36}[part]
                for note in random.choice(scale, 3 if part == "chords" else 1):
                    hertz = 440 * 2 ** ((octave + int(note) - 69) / 12)
                    phase = 2 * np.pi * hertz * time + vibrato * hertz / 5 * np.sin(2 * np.pi * 5 * time)
                    harmonics = range(1, min(overtones, int(7500 / hertz)) + 1)
                    tone = sum(np.sin(k * phase) * np.exp(-damping * k * time) / k**roll for k in harmonics)
                    envelope = np.exp(-time * decay) * np.minimum(time / random.uniform(0.003, 0.08), 1)
                    envelope *= np.minimum((last - first) / SAMPLE_RATE - time, 0.03) / 0.03
                    sound[first:last] += np.asarray(loud * tone * envelope, np.float32)
            at += length
    return np.asarray(sound / max(float(np.sqrt(np.mean(np.square(sound)))), 1e-6), np.float32)


def other_throat(mel: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """Log-mel (n, bands) as from a shorter or longer vocal tract: its bands stretched by up to 10 per cent."""
    if random.random() < 0.3:
        return mel
    n_bands = mel.shape[1]
    pivot = random.uniform(0, 20)
    place = np.clip(pivot + (np.arange(n_bands) - pivot) * random.uniform(0.92, 1.09), 0, n_bands - 1)
    low = np.minimum(place.astype(np.intp), n_bands - 2)
    part = (place - low).astype(np.float32)
    return np.asarray(mel[:, low] * (1 - part) + mel[:, low + 1] * part, np.float32)


def masked(mel: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """Log-mel (n, bands) with a few bands or moments blanked (SpecAugment, Park et al. 2019), in place."""
    for _ in range(random.integers(0, 3)):
        first, width = random.integers(0, mel.shape[1] - 8), random.integers(1, 9)
        mel[:, first : first + width] = mel.mean()
    for _ in range(random.integers(0, 4)):
        first, width = random.integers(0, mel.shape[0] - 6), random.integers(1, 6)
        mel[first : first + width] = mel.mean()
    return mel


def _channel(n: int, random: np.random.Generator) -> NDArray[np.float32]:
    """The magnitude response of a microphone and a line, for the transform of ``n`` samples and some room."""
    n_fft = -(-(n + 6000) // 6000) * 6000  # small prime factors: fast
    hertz = np.fft.rfftfreq(n_fft, 1 / SAMPLE_RATE).astype(np.float32)
    octaves = np.log2(np.maximum(hertz, 40) / 1000)
    decibels = np.asarray(random.uniform(-4, 4) * octaves, np.float64)
    for _ in range(random.integers(0, 4)):
        centre, width = random.uniform(-3.5, 3), random.uniform(0.2, 1.0)
        decibels = decibels + random.uniform(-9, 9) * np.exp(-0.5 * ((octaves - centre) / width) ** 2)
    if random.random() < 0.3:
        decibels = decibels - 60 * np.clip(octaves - np.log2(random.uniform(3.2, 7.0)), 0, 1.5)
    if random.random() < 0.4:
        decibels = decibels - 36 * np.clip(np.log2(random.uniform(60, 320) / np.maximum(hertz, 20)), 0, 2)
    return np.asarray(10 ** (decibels / 20), np.float32)


def _room(random: np.random.Generator) -> NDArray[np.float32]:
    """The impulse response of a room: the direct sound, then noise that dies away."""
    decay_s = random.uniform(0.12, 0.6)
    n = round(min(decay_s, 0.35) * SAMPLE_RATE)
    tail = random.standard_normal(n, np.float32)
    tail *= np.exp(-6.9 * np.arange(n) / (decay_s * SAMPLE_RATE)).astype(np.float32)
    tail[: round(random.uniform(0.001, 0.012) * SAMPLE_RATE)] = 0
    tail *= np.float32(10 ** (random.uniform(-16, 0) / 20) / max(float(np.linalg.norm(tail)), 1e-9))
    tail[0] = 1
    return np.asarray(tail, np.float32)


def _mu_law(sound: Sound) -> Sound:
    """8-bit μ-law and back (ITU-T G.711)."""
    packed = np.round(np.sign(sound) * np.log1p(255 * np.abs(sound)) / np.log(256) * 127) / 127
    return np.asarray(np.sign(packed) * np.expm1(np.abs(packed) * np.log(256)) / 255, np.float32)
