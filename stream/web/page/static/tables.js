// The tables and lists of the page.

import { bar, empty, fill, make, table } from "./draw.js";
import * as say from "./format.js";

const STAGES = [
  ["queue", "waiting to be processed"],
  ["decode", "bytes to events"],
  ["cache", "lookup"],
  ["tokenise", "text to tokens"],
  ["infer", "model inference"],
  ["postprocess", "scores to labels"],
  ["publish", "until the broker confirms"],
  ["commit", "offset commit"],
];
const FASTEST_S = 0.001;
const SLOWEST_S = 60;

const onScale = (value) =>
  Math.log(Math.min(Math.max(value, FASTEST_S), SLOWEST_S) / FASTEST_S) / Math.log(SLOWEST_S / FASTEST_S);

function span({ observed, p50, p99 }) {
  if (!observed || p50 === null) return bar(0);
  const from = onScale(p50);
  // The bar stays visible when both percentiles lie in one bucket.
  return bar(Math.max(onScale(p99 ?? SLOWEST_S), from + 0.01), from);
}

export function latency({ durations, window_s }) {
  const rows = [["age", "timestamp to confirmed label"], ...STAGES].map(([name, meaning]) => {
    const found = durations[name] ?? { observed: 0 };
    const title = make("span", "", name === "age" ? "event age" : name);
    return [
      make("span", "named", title, make("span", "meaning", meaning)),
      say.percentile(found.observed, found.p50),
      say.percentile(found.observed, found.p95),
      say.percentile(found.observed, found.p99),
      span(found),
    ];
  });
  fill("latency", table(
    `Last ${say.seconds(Math.max(1, window_s))}, estimated from histograms. Bars span p50 to p99 on a logarithmic scale from 1 ms to 60 s.`,
    [["Stage"], ["p50", "number"], ["p95", "number"], ["p99", "number"], ["p50 to p99", "wide scale"]],
    rows,
  ));
}

export function lag({ lag: partitions, lag_more, blocked_total }) {
  if (!partitions.length) return fill("lag", empty("No partitions are assigned to this worker."));
  const largest = Math.max(1, ...partitions.map((one) => one.events));
  const topics = new Set(partitions.map((one) => one.topic));
  const rows = partitions.map(({ topic, partition, events }) => [
    topics.size > 1 ? `${topic} ${partition}` : String(partition), bar(events / largest), say.count(events),
  ]);
  const more = lag_more ? `; ${say.count(lag_more)} partitions with a smaller lag are not shown` : "";
  const blocked = blocked_total ? `; ${say.count(blocked_total)} more wait behind an open transaction` : "";
  const prefix = topics.size > 1 ? "" : `${partitions[0].topic}: `;
  fill("lag", table(`${prefix}events not yet finished${more}${blocked}`,
    [["Partition"], ["", "grow"], ["Events", "number"]], rows));
}

function labelCounts({ name, label_counts: { sampled, counts, others } }, several) {
  const title = several ? make("h3", "", name) : "";
  if (!sampled) return make("div", "", title, empty("No events yet."));
  const all = counts.reduce((sum, [, number]) => sum + number, others);
  const shown = others ? [...counts, ["other labels", others]] : counts;
  const largest = Math.max(1, ...shown.map(([, number]) => number));
  const rows = shown.map(([label, number]) => [label, bar(number / largest), say.share(number / all)]);
  return make("div", "", title, table(
    `Share among the last ${say.count(sampled)} sampled events`, [["Label", "name"], ["", "grow"], ["Share", "number"]], rows));
}

export function labels({ routes }) {
  fill("labels", ...routes.map((route) => labelCounts(route, routes.length > 1)));
}

function textCell({ chars, text }) {
  return text === null ? make("span", "masked", `hidden, ${say.count(chars)} characters`) : text;
}

export function events({ events: last, shows_texts }) {
  if (!last.length) return fill("events", empty("None yet. Events appear here when the broker has confirmed their labels."));
  const topics = new Set(last.map((event) => event.topic));
  const place = ({ topic, partition }) => (topics.size > 1 ? `${topic} ${partition}` : String(partition));
  const rows = last.map((event) => [
    make("span", "", make("code", "", event.id),
      make("span", "narrow sub", `partition ${place(event)} · offset ${event.offset}`)),
    place(event),
    String(event.offset),
    make("span", "label", event.prediction),
    event.score === null ? say.NONE : make("span", "score", bar(event.score), event.score.toFixed(3)),
    say.seconds(event.age_ms / 1000),
    textCell(event),
  ]);
  fill("events", table(
    `A sample, newest first. ${shows_texts ? "Texts are truncated." : "Texts are hidden; the setting web_show_texts shows them."}`,
    [["Event", "id"], ["Partition", "wide number"], ["Offset", "wide number"], ["Label", "name"],
      ["Score", "number"], ["Age", "number"], ["Text", "wide words"]],
    rows));
}

export function dead({ at_ms, dead_reasons, dead: last }) {
  const reasons = Object.entries(dead_reasons).sort((one, other) => other[1] - one[1]);
  if (!reasons.length) {
    fill("dead-reasons", empty("None since the worker started."));
    return fill("dead");
  }
  const largest = Math.max(...reasons.map(([, number]) => number));
  fill("dead-reasons", table("By reason, since the worker started",
    [["Reason"], ["", "grow"], ["Events", "number"]],
    reasons.map(([reason, number]) => [reason, bar(number / largest, 0, "bad"), say.count(number)])));
  fill("dead", table("The most recent",
    [["Reason"], ["Topic", "name"], ["Partition", "number"], ["Offset", "number"], ["Ago", "number"]],
    last.map((one) => [one.reason, one.topic, String(one.partition), String(one.offset),
      say.ago(at_ms - one.at_ms)])));
}

export function cache({ cache: tiers, window_s }) {
  if (!tiers.length) return fill("cache", empty("No lookups yet."));
  fill("cache", table(`Hit ratio over the last ${say.seconds(Math.max(1, window_s))} and since the worker started`,
    [["Tier"], ["", "grow"], ["Recent", "number"], ["Since start", "number"]],
    tiers.map((tier) => [
      tier.tier, bar(tier.ratio ?? 0), say.share(tier.ratio),
      make("span", "", say.share(tier.ratio_total), make("span", "sub", `of ${say.count(tier.lookups_total)}`)),
    ])));
}

const pair = ([term, value]) => make("div", "", make("dt", "", term), make("dd", "", value));

export function work({ batches, in_flight_events, queue_events, queue_bytes, assigned, paused, rebalances }) {
  const pairs = [
    ["Batches", `${say.rate(batches.per_s)}/s`],
    ["Rows per batch", batches.rows === null ? say.NONE : say.rate(batches.rows)],
    ["Fill (real / padded tokens)", say.share(batches.fill)],
    ["In flight", `${say.count(in_flight_events)} events`],
    ["Queue", `${say.count(queue_events)} events, ${say.bytes(queue_bytes)}`],
    ["Partitions assigned", say.count(assigned)],
    ["Partitions paused", say.count(paused)],
    ["Rebalances", say.count(rebalances)],
  ];
  fill("work", ...pairs.map(pair));
}

export function routes({ routes: all }) {
  fill("routes", ...all.map((route) => make("dl", "pairs",
    ...[
      ["Route", route.name],
      ["Bundle", route.bundle ?? "loading"],
      ["Variant and device", route.bundle ? `${route.variant} on ${route.provider}` : say.NONE],
      ["Input topic", route.input_topic],
      ["Output topic", route.output_topic],
      ...(route.review_topic ? [["Review topic", route.review_topic]] : []),
      ["Dead-letter topic", route.dead_topic],
    ].map(pair))));
}
