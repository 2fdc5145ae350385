// Receives snapshots from the worker, and reconnects after a failure.

import { put } from "./draw.js";
import { ago, clock } from "./format.js";
import { show } from "./panels.js";

const RECONNECT_MS = 1_000;
// A worker that hangs keeps its connections open, so silence counts as a disconnection.
const SILENCE_MS = 5_000;

let source = null;
let receivedAt = Date.now();
let lostAt = null;

function receive(snapshot) {
  receivedAt = Date.now();
  lostAt = null;
  document.body.dataset.link = "live";
  document.getElementById("link").dataset.link = "live";
  put("link-text", "live");
  show(snapshot);
}

function disconnected() {
  lostAt ??= receivedAt;
  document.body.dataset.link = "disconnected";
  document.getElementById("link").dataset.link = "disconnected";
  put("link-text", `disconnected since ${clock(lostAt)}`);
  put("state-name", "Disconnected");
  document.getElementById("state").dataset.state = "disconnected";
  put("state-reason", `The worker has not answered since ${clock(lostAt)} (${ago(Date.now() - lostAt)}). The figures below are the last ones received; this page keeps reconnecting.`);
  document.title = "Disconnected · labelstream worker";
}

function connect() {
  source?.close();
  source = new EventSource("stream");
  source.onmessage = ({ data }) => receive(JSON.parse(data));
  source.onerror = () => {
    source.close();
    disconnected();
    setTimeout(connect, RECONNECT_MS);
  };
}

setInterval(() => {
  if (Date.now() - receivedAt > SILENCE_MS) disconnected();
  if (Date.now() - receivedAt > 2 * SILENCE_MS && source.readyState === EventSource.OPEN) {
    receivedAt = lostAt = Date.now() - SILENCE_MS;
    connect();
  }
}, 1_000);

connect();
