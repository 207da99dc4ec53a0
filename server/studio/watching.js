// Watching a session over WHEP: an SDP offer is posted, the answer comes back, the Location is deleted at the end.

const GATHER_MS = 500;

export class Watching {
  #connection = new RTCPeerConnection();
  #location = null;
  #last = null;

  /** Shows a session in a <video>; throws if the server does not show it. */
  async start(sessionId, token, video) {
    const stream = new MediaStream();
    this.#connection.ontrack = ({ track }) => {
      stream.addTrack(track);
      video.srcObject = stream;
      video.play().catch(() => {});
    };
    for (const kind of ["video", "audio"]) this.#connection.addTransceiver(kind, { direction: "recvonly" });
    await this.#connection.setLocalDescription();
    await gathered(this.#connection);

    const endpoint = new URL(`whep/${sessionId}`, document.baseURI);
    const response = await fetch(endpoint, {
      method: "POST",
      headers: { "Content-Type": "application/sdp", Authorization: `Bearer ${token}` },
      body: this.#connection.localDescription.sdp,
    });
    if (!response.ok) {
      const { message } = await response.json().catch(() => ({}));
      throw new Error(message ?? `The server answered ${response.status}`);
    }
    this.#location = new URL(response.headers.get("Location"), endpoint);
    await this.#connection.setRemoteDescription({ type: "answer", sdp: await response.text() });
  }

  /** What arrived since the last call: {width, height, fps, kilobits, roundTripMs, bufferMs}; null before anything did. */
  async figures() {
    const found = {};
    for (const report of (await this.#connection.getStats()).values()) {
      if (report.type === "inbound-rtp") found[report.kind] = report;
      if (report.type === "candidate-pair" && report.nominated) found.pair = report;
    }
    const { video, audio, pair } = found;
    const now = video && {
      time: video.timestamp,
      frames: video.framesDecoded ?? 0,
      bytes: (video.bytesReceived ?? 0) + (audio?.bytesReceived ?? 0),
      delay: video.jitterBufferDelay ?? 0,
      played: video.jitterBufferEmittedCount ?? 0,
    };
    const before = this.#last;
    this.#last = now;
    if (!now || !before || now.time <= before.time) return null;
    const seconds = (now.time - before.time) / 1000;
    return {
      width: video.frameWidth,
      height: video.frameHeight,
      fps: (now.frames - before.frames) / seconds,
      kilobits: ((now.bytes - before.bytes) * 8) / 1000 / seconds,
      roundTripMs: (pair?.currentRoundTripTime ?? NaN) * 1000,
      bufferMs: ((now.delay - before.delay) / (now.played - before.played)) * 1000,
    };
  }

  async stop() {
    if (this.#location) await fetch(this.#location, { method: "DELETE", keepalive: true }).catch(() => {});
    this.#connection.close();
  }
}

/** Waits for the browser's own addresses, but not long: what is missing shows itself when it connects. */
function gathered(connection) {
  return new Promise((done) => {
    const look = () => connection.iceGatheringState === "complete" && done();
    connection.addEventListener("icegatheringstatechange", look);
    setTimeout(done, GATHER_MS);
    look();
  });
}
