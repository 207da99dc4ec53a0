// A session with the avatar server, spoken in the provider's protocol: REST to start and stop, a WebSocket in between.

const HEARTBEAT_MS = 10_000;
const RECONNECT_MS = 1_000;
const RECONNECTIONS = 10;
const CHUNK_S = 0.5;
const CHUNK_EVERY_MS = 60;
const MAX_BUFFERED_BYTES = 1 << 20;

/** What the server refused, in its own words. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Answers of the server as JSON; anything but success is thrown as Refused. */
export async function ask(path, key, options = {}) {
  const headers = { "x-api-key": key, "Content-Type": "application/json" };
  const response = await fetch(path, { ...options, headers });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, body.message ?? `The server answered ${response.status}`);
  return body;
}

/**
 * Events: "event" (detail: what the server said), "sent" (detail: the command), "heartbeat" (detail: milliseconds),
 * "ended" (detail: why).
 */
export class Session extends EventTarget {
  #key;
  #body;
  #address;
  #socket = null;
  #heart = 0;
  #lost = 0;
  #over = false;
  #utterance = 0;

  /** Starts a session and waits until its avatar is ready. */
  static async start(key, avatarId) {
    const body = {
      avatar_id: avatarId,
      quality: "high",
      version: "v1",
      video_encoding: "H264",
      agora_settings: { app_id: "studio", token: "", channel: `studio-${newId()}`, uid: "1", enable_string_uid: false },
    };
    const started = await ask("session/start", key, { method: "POST", body: JSON.stringify(body) });
    const session = new Session(key, body, started);
    session.#connect();
    return session;
  }

  constructor(key, body, started) {
    super();
    this.#key = key;
    this.#body = body;
    this.id = started.session_id;
    this.token = started.session_token;
    const address = new URL(started.websocket_address);
    address.searchParams.set("session_token", this.token);
    this.#address = address;
  }

  /** Resolves when the server says that the avatar is ready. */
  ready() {
    return new Promise((resolve, reject) => {
      this.addEventListener("event", ({ detail }) => detail.event === "session_ready" && resolve());
      this.addEventListener("ended", ({ detail }) => reject(new Error(detail)));
    });
  }

  /**
   * Speaks mono samples, a lot faster than they sound. Resolves when all are sent, or when something else is to be said.
   * @param {Int16Array} samples
   */
  async say(samples, rate) {
    const utterance = ++this.#utterance;
    const size = Math.round(CHUNK_S * rate);
    for (let at = 0; at < samples.length; at += size) {
      if (utterance !== this.#utterance || this.#over) return;
      this.voice(samples.subarray(at, at + size), rate);
      do await pause(CHUNK_EVERY_MS); while (this.#socket?.bufferedAmount > MAX_BUFFERED_BYTES);
    }
    if (utterance === this.#utterance) this.send("voice_end");
  }

  /** Sends one piece of speech. */
  voice(samples, rate) {
    const bytes = new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
    this.send("voice", { audio: base64(bytes), sampleRate: rate, encoding: "PCM16" });
  }

  interrupt() {
    this.#utterance++;
    this.send("voice_interrupt");
  }

  enter(state) {
    this.send("state", { value: state });
  }

  perform(gesture) {
    this.instruct(JSON.stringify({ type: "action", action: gesture }));
  }

  /** Sends instructions as they are: gesture XML, or a JSON action. */
  instruct(content) {
    this.send("special", { content });
  }

  send(command, fields = {}) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#socket.send(JSON.stringify({ command, event_id: newId(), ...fields }));
    this.#tell("sent", command);
  }

  /** Ends the session here and on the server. */
  async stop() {
    this.#end("stopped");
    const body = JSON.stringify({ session_id: this.id, session_token: this.token });
    await ask("session/stop", this.#key, { method: "DELETE", body, keepalive: true }).catch(() => {});
  }

  #connect() {
    const socket = new WebSocket(this.#address);
    this.#socket = socket;
    socket.onopen = () => {
      this.#lost = 0;
      this.send("init", { ...this.#body, session_id: this.id });
      clearInterval(this.#heart);
      this.#heart = setInterval(() => this.send("heartbeat", { timestamp: Date.now() }), HEARTBEAT_MS);
    };
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.command === "heartbeat_ack") this.#tell("heartbeat", Date.now() - message.timestamp);
      else this.#tell("event", message);
      if (message.event === "session_closing") this.#end(`the server ended the session: ${message.reason}`);
    };
    socket.onclose = ({ code, reason }) => {
      if (this.#over) return;
      if (code === 1000 || ++this.#lost > RECONNECTIONS) this.#end(reason || "the connection was lost");
      else setTimeout(() => this.#over || this.#connect(), RECONNECT_MS);
    };
  }

  #end(reason) {
    if (this.#over) return;
    this.#over = true;
    clearInterval(this.#heart);
    this.#socket?.close(1000);
    this.#tell("ended", reason);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** crypto.randomUUID needs HTTPS; this does not. */
function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function base64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}
