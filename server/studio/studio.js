// The studio's controls: what one can press, and what is shown of a session.

import { Graph } from "./graph.js";
import { Microphone } from "./microphone.js";
import { Session, ask } from "./session.js";
import { RATE, decoded } from "./speech.js";
import { Watching } from "./watching.js";

const FIGURES_EVERY_MS = 1_000;
const LOG_LINES = 300;
const TROUBLE = new Set(["error", "warning", "action_ignored"]);
const $ = (id) => document.getElementById(id);

let session = null;
let watching = null;
let avatars = [];
let firstVoiceAt = null;

const graphs = {
  words: new Graph($("words"), $("words-now"), { unit: "ms", floor: 200, bars: true }),
  trips: new Graph($("trips"), $("trips-now"), { unit: "ms", floor: 20 }),
  frames: new Graph($("frames"), $("frames-now"), { unit: "fps", floor: 25 }),
};

/** What one can put into the box, by name; GESTURE becomes one of the avatar's. */
const EXAMPLES = {
  "One gesture (XML)": '<gesture name="GESTURE"/>',
  "An action (JSON)": '{"type": "action", "action": "GESTURE"}',
  "While speaking": '<bml>\n  <gesture id="g1" lexeme="GESTURE" start="speech:start+0.4"/>\n</bml>',
  "One after another": '<bml composition="APPEND">\n  <gesture id="g1" lexeme="GESTURE" start="0.4"/>\n  <wait duration="0.5"/>\n</bml>',
  "A state": '<state value="listen"/>',
};

// --- the key: from the address, else from an earlier visit in this tab; never kept longer -------------------------

const fragment = new URLSearchParams(location.hash.slice(1));
if (fragment.has("key")) {
  sessionStorage.setItem("key", fragment.get("key"));
  history.replaceState(null, "", location.pathname + location.search);
}
$("key").value = sessionStorage.getItem("key") ?? "";

// --- choosing an avatar -------------------------------------------------------------------------------------------

async function listAvatars() {
  if (!$("key").value) return;
  try {
    ({ avatars } = await ask("avatars", $("key").value));
    problem("");
  } catch (error) {
    avatars = [];
    if (error.status !== 404) problem(error.message);
  }
  $("avatar").replaceChildren(...avatars.map(({ id, name }) => new Option(name === id ? id : `${name} (${id})`, id)));
  $("avatar").hidden = !avatars.length;
  $("avatar-name").hidden = avatars.length > 0;
  showGestures();
}

const chosen = () => ($("avatar").hidden ? $("avatar-name").value.trim() : $("avatar").value);

function showGestures() {
  const gestures = avatars.find(({ id }) => id === chosen())?.gestures ?? [];
  const buttons = gestures.map((name) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name.toLowerCase();
    button.disabled = !session;
    button.onclick = () => session?.perform(name.toLowerCase());
    return button;
  });
  const none = document.createElement("p");
  none.className = "hint";
  none.textContent = "None known for this avatar.";
  $("gestures").replaceChildren(...(buttons.length ? buttons : [none]));
  showExample();
}

function showExample() {
  const gesture = avatars.find(({ id }) => id === chosen())?.actions[0] ?? "nod";
  $("content").value = EXAMPLES[$("example").value].replaceAll("GESTURE", gesture);
}

// --- starting and stopping ----------------------------------------------------------------------------------------

async function start() {
  phase("starting", "Starting…");
  for (const graph of Object.values(graphs)) graph.clear();
  problem("");
  try {
    sessionStorage.setItem("key", $("key").value);
    session = await Session.start($("key").value, chosen());
    follow(session);
    await session.ready();
    watching = new Watching();
    await watching.start(session.id, session.token, $("video"));
    phase("on", "Live");
  } catch (error) {
    await stop();
    problem(error.message);
  }
}

async function stop() {
  const [ended, watched] = [session, watching];
  session = watching = null;
  microphone.close();
  $("video").srcObject = null;
  $("doing").hidden = true;
  phase("off", "Not started");
  await watched?.stop();
  await ended?.stop();
}

function follow(one) {
  one.addEventListener("event", ({ detail: { event, ...rest } }) => {
    const details = Object.entries(rest).filter(([name]) => !name.endsWith("_id"));
    log([event, ...details.map(([name, value]) => `${name}=${value}`)].join(" "), TROUBLE.has(event) ? "bad" : "heard");
    if (event === "state_changed") showState(rest.to);
    if (event === "speak_started" && firstVoiceAt !== null) {
      $("first-word").textContent = `${Math.round(performance.now() - firstVoiceAt)} ms`;
      graphs.words.add(performance.now() - firstVoiceAt);
      firstVoiceAt = null;
    }
    if (event === "speak_started") doing("Speaking");
    if (event === "speak_ended" || event === "speak_interrupted") doing("");
  });
  let pieces = 0;
  one.addEventListener("sent", ({ detail: command }) => {
    if (command === "heartbeat") return;
    if (command === "voice") {
      if (++pieces === 1) firstVoiceAt = performance.now();
    } else {
      log(pieces ? `voice ×${pieces}, ${command}` : command, "sent");
      pieces = 0;
    }
  });
  one.addEventListener("ended", ({ detail: reason }) => {
    log(reason, "bad");
    if (one === session) stop().then(() => problem(`The session is over: ${reason}`));
  });
}

// --- speaking -----------------------------------------------------------------------------------------------------

async function speak(read) {
  try {
    const samples = await decoded(await read());
    log(`speaking ${(samples.length / RATE).toFixed(1)} s`, "sent");
    await session?.say(samples, RATE);
  } catch (error) {
    problem(`This is no sound that the browser can read (${error.message})`);
  }
}

const microphone = new Microphone(
  (samples, rate) => session?.voice(samples, rate),
  (level) => $("meter").style.setProperty("--level", level.toFixed(2)),
);

function holdMicrophone(held) {
  const button = $("microphone");
  if (!session || held === (button.getAttribute("aria-pressed") === "true")) return;
  button.setAttribute("aria-pressed", held);
  $("microphone-label").textContent = held ? "Listening… release to end" : "Hold to speak";
  if (held) {
    microphone.hold().catch((error) => {
      holdMicrophone(false);
      problem(`No microphone: ${error.message}`);
    });
  } else {
    microphone.release();
    session.send("voice_end");
  }
}

// --- what is shown ------------------------------------------------------------------------------------------------

function phase(name, text) {
  document.body.dataset.phase = name;
  $("phase").textContent = text;
  $("start").disabled = name !== "off";
  $("stop").disabled = name === "off";
  for (const field of [$("key"), $("avatar"), $("avatar-name")]) field.disabled = name !== "off";
  for (const control of document.querySelectorAll(":is(.needs-session, .corner) :is(button, input, textarea, select)")) {
    control.disabled = name !== "on";
  }
  if (name === "off") showState("");
}

function showState(state) {
  for (const button of $("states").children) button.setAttribute("aria-pressed", button.dataset.state === state);
}

function doing(text) {
  $("doing").textContent = text;
  $("doing").hidden = !text;
}

function problem(text) {
  $("problem").textContent = text;
  $("problem").hidden = !text;
}

function log(text, kind) {
  const line = document.createElement("li");
  line.className = kind;
  const time = document.createElement("time");
  time.textContent = new Date().toTimeString().slice(0, 8);
  const words = document.createElement("span");
  words.textContent = text;
  line.append(time, words);
  const list = $("log");
  const atEnd = list.scrollTop + list.clientHeight > list.scrollHeight - 24;
  list.append(line);
  while (list.children.length > LOG_LINES) list.firstChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

const orDash = (number, unit, digits = 0) => (Number.isFinite(number) ? `${number.toFixed(digits)} ${unit}` : "–");

setInterval(async () => {
  const figures = await watching?.figures();
  if (!figures) return;
  $("round-trip").textContent = orDash(figures.roundTripMs, "ms", 1);
  $("buffer").textContent = orDash(figures.bufferMs, "ms");
  $("frame-rate").textContent = orDash(figures.fps, "fps", 1);
  $("picture").textContent = figures.width ? `${figures.width} × ${figures.height}` : "–";
  $("bit-rate").textContent = orDash(figures.kilobits, "kbit/s");
  graphs.trips.add(figures.roundTripMs);
  graphs.frames.add(figures.fps);
}, FIGURES_EVERY_MS);

// --- the controls -------------------------------------------------------------------------------------------------

$("key").onchange = listAvatars;
$("avatar").onchange = showGestures;
$("session").onsubmit = (event) => {
  event.preventDefault();
  start();
};
$("stop").onclick = stop;
$("sample").onclick = () => speak(async () => (await fetch("studio/sample.wav")).arrayBuffer());
$("file").onchange = ({ target }) => {
  const [file] = target.files;
  if (file) speak(() => file.arrayBuffer());
  target.value = "";
};
$("mute").onclick = ({ target }) => {
  $("video").muted = !$("video").muted;
  target.setAttribute("aria-pressed", $("video").muted);
};
$("full").onclick = () => (document.fullscreenElement ? document.exitFullscreen() : $("video").parentElement.requestFullscreen());
$("interrupt").onclick = () => {
  firstVoiceAt = null;
  session?.interrupt();
};
for (const button of $("states").children) button.onclick = () => session?.enter(button.dataset.state);

$("example").replaceChildren(...Object.keys(EXAMPLES).map((name) => new Option(name)));
$("example").onchange = showExample;
$("special").onsubmit = (event) => {
  event.preventDefault();
  session?.instruct($("content").value);
};

const holds = ({ key }) => key === " " || key === "Enter";
$("microphone").onpointerdown = () => holdMicrophone(true);
for (const name of ["pointerup", "pointerleave", "pointercancel", "blur"]) {
  $("microphone").addEventListener(name, () => holdMicrophone(false));
}
$("microphone").onkeydown = (event) => {
  if (!holds(event)) return;
  event.preventDefault();
  holdMicrophone(true);
};
$("microphone").onkeyup = (event) => holds(event) && holdMicrophone(false);
for (const [name, held] of [["keydown", true], ["keyup", false]]) {
  document.addEventListener(name, (event) => {
    if (event.key !== " " || event.target !== document.body) return;
    event.preventDefault();
    holdMicrophone(held);
  });
}
addEventListener("pagehide", () => {
  watching?.stop(); // nothing can be waited for any more
  session?.stop();
});

phase("off", "Not started");
listAvatars();
