// Numbers and times as people read them.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1 });
const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
const percent = new Intl.NumberFormat("en-US", { style: "percent", maximumFractionDigits: 1 });

export const NONE = "–";

export const count = (number) => whole.format(number);

export const compact = (number) => short.format(number);

export const rate = (perS) => (perS >= 100 ? whole : tenths).format(perS);

export const share = (ratio) => (ratio === null ? NONE : percent.format(ratio));

export function seconds(value) {
  if (value < 0.001) return "< 1 ms";
  if (value < 0.01) return `${(value * 1000).toFixed(1)} ms`;
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 10) return `${value.toFixed(2)} s`;
  if (value < 120) return `${Math.round(value)} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  if (value < 172800) return `${Math.round(value / 3600)} h`;
  return `${whole.format(value / 86400)} days`;
}

// A percentile: nothing observed, or beyond the last bucket, have no number.
export function percentile(observed, value) {
  if (!observed) return NONE;
  return value === null ? "over 60 s" : seconds(value);
}

export function bytes(number) {
  if (number < 1024) return `${number} B`;
  if (number < 1024 ** 2) return `${tenths.format(number / 1024)} KiB`;
  return `${tenths.format(number / 1024 ** 2)} MiB`;
}

export function ago(ms) {
  const past = Math.max(0, Math.round(ms / 1000));
  return past < 10 ? `${past} s` : seconds(past);
}

export const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");

export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
