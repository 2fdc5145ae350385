// Shows a snapshot: the figures here, the tables in tables.js.

import { line, put } from "./draw.js";
import * as say from "./format.js";
import { cache, dead, events, labels, lag, latency, routes, work } from "./tables.js";

const SIGNS = {
  "keeping up": "M5 12.5l4.5 4.5L19 7.5",
  "catching up": "M6 18L18 6M9 6h9v9",
  "falling behind": "M12 5v9M12 18.4v.1",
  "idle": "M9 6v12M15 6v12",
  "not ready": "M6 12v.1M12 12v.1M18 12v.1",
  "standby": "M12 6v6l4 3",
};

function state({ state: { name, reason }, host, group, version }) {
  document.getElementById("state").dataset.state = name;
  document.getElementById("sign-path").setAttribute("d", SIGNS[name] ?? "");
  put("state-name", say.sentence(name));
  put("state-reason", reason);
  put("identity", `worker ${host} · group ${group} · version ${version}`);
  document.title = `${say.sentence(name)} · labelstream worker`;
}

function throughput({ per_s, per_s_window, window_s, throughput: values }) {
  put("per-s", say.rate(per_s));
  put("per-s-window", `average ${say.rate(per_s_window)} over the last ${say.seconds(Math.max(1, window_s))}`);
  const svg = document.getElementById("line");
  const top = line(svg, values);
  const highest = Math.max(0, ...values);
  put("line-top", say.compact(top));
  put("line-half", say.compact(top / 2));
  put("line-highest", `highest ${say.rate(highest)}`);
  svg.setAttribute("aria-label",
    `Events per second over the last five minutes: now ${say.rate(per_s)}, highest ${say.rate(highest)}`);
}

function tiles({ durations, lag_total, cache: tiers, outcomes }) {
  const { observed, p50, p95, p99 } = durations.age;
  put("age-p50", say.percentile(observed, p50));
  put("age-p95", say.percentile(observed, p95));
  put("age-p99", say.percentile(observed, p99));
  put("lag-total", say.count(lag_total));
  // Every lookup reaches the local tier first; only its misses reach Redis.
  const lookups = Math.max(0, ...tiers.map((tier) => tier.lookups));
  const hits = tiers.reduce((sum, tier) => sum + tier.hits, 0);
  put("cache-ratio", lookups ? say.share(hits / lookups) : say.NONE);
  put("dead-total", say.count(outcomes.dead ?? 0));
  document.getElementById("dead-tile").classList.toggle("alert", Boolean(outcomes.dead));
}

function totals({ outcomes }) {
  const { labelled = 0, dead: deadLetters = 0, tombstone = 0, dropped = 0 } = outcomes;
  // Only routes with unlabelled = drop have dropped events.
  const more = dropped ? `, ${say.count(dropped)} dropped without a label` : "";
  put("totals", `Since the worker started: ${say.count(labelled)} labelled, ${say.plural(deadLetters, "dead letter")}, ${say.plural(tombstone, "tombstone")}${more}`);
}

const PANELS = [state, throughput, tiles, latency, lag, labels, events, dead, cache, work, routes, totals];

export function show(snapshot) {
  for (const panel of PANELS) panel(snapshot);
}
