// Keeps the page fed: one stream of snapshots, opened again for as long as the page is.

import { put } from "./draw.js";
import { ago, clock } from "./format.js";
import { show } from "./panels.js";

const AGAIN_MS = 1_000;
// A worker that hangs keeps its connections: silence counts as away.
const SILENCE_MS = 5_000;

let source = null;
let heardAt = Date.now();
let awaySince = null;

function connected(snapshot) {
  heardAt = Date.now();
  awaySince = null;
  document.body.dataset.link = "live";
  document.getElementById("link").dataset.link = "live";
  put("link-text", "live");
  show(snapshot);
}

function away() {
  awaySince ??= heardAt;
  document.body.dataset.link = "away";
  document.getElementById("link").dataset.link = "away";
  put("link-text", `disconnected since ${clock(awaySince)}`);
  put("state-name", "Disconnected");
  document.getElementById("state").dataset.state = "disconnected";
  put("state-reason", `The worker does not answer since ${clock(awaySince)}, for ${ago(Date.now() - awaySince)}. What is below is what it said last; this page keeps trying.`);
  document.title = "Disconnected · labelstream worker";
}

function connect() {
  source?.close();
  source = new EventSource("stream");
  source.onmessage = ({ data }) => connected(JSON.parse(data));
  source.onerror = () => {
    source.close();
    away();
    setTimeout(connect, AGAIN_MS);
  };
}

setInterval(() => {
  if (Date.now() - heardAt > SILENCE_MS) away();
  if (Date.now() - heardAt > 2 * SILENCE_MS && source.readyState === EventSource.OPEN) {
    heardAt = awaySince = Date.now() - SILENCE_MS;
    connect();
  }
}, 1_000);

connect();
