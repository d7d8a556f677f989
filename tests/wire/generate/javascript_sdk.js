// Writes the fixtures of the JavaScript SDK: npm install cloudevents@10.0.0; node javascript_sdk.js ..
//
// `Kafka.binary` leaves to the application what a Kafka client does not take: data that is an object becomes JSON,
// headers without a value are not sent, other values become text (as kafkajs makes them).

const fs = require("node:fs");
const path = require("node:path");
const { CloudEvent, Kafka } = require("cloudevents");

const { version } = JSON.parse(fs.readFileSync(path.join(require.resolve("cloudevents"), "../../package.json")));
const cases = JSON.parse(fs.readFileSync(path.join(__dirname, "cases.json")));
const out = path.join(process.argv[2], "javascript");

const base64 = (value) =>
  value == null ? null : (Buffer.isBuffer(value) ? value : Buffer.from(String(value))).toString("base64");

function eventOf(given) {
  const { extensions, data, ...attributes } = given;
  for (const name in attributes) attributes[name] ??= undefined;
  const [kind, value] = Object.entries(data ?? {})[0] ?? [];
  return new CloudEvent({ ...attributes, ...extensions, data: kind === "base64" ? Buffer.from(value, "base64") : value });
}

function write(name, software, message, value, expected) {
  const headers = Object.entries(message.headers).filter(([, value]) => value != null);
  const fixture = {
    software: `cloudevents ${version} (JavaScript), ${software}`,
    key: base64(message.key),
    headers: headers.map(([name, value]) => [name, base64(value)]),
    value: base64(value),
    expected,
  };
  fs.writeFileSync(path.join(out, `${name}.json`), JSON.stringify(fixture, null, 2) + "\n");
}

function expectedOf(given) {
  const extensions = Object.fromEntries(Object.entries(given.extensions).map(([name, value]) => [name, String(value)]));
  return { ...given, extensions };
}

fs.mkdirSync(out, { recursive: true });
for (const [name, given] of Object.entries(cases)) {
  if (given.time === null) continue; // it always sets one
  const event = eventOf(given);
  const expected = expectedOf(given);
  const binary = Kafka.binary(event);
  const json = given.data?.json !== undefined;
  write(`binary-${name}`, "Kafka.binary", binary, json ? JSON.stringify(binary.value) : binary.value, expected);
  // Structured mode writes the time as JavaScript's Date has it: to the millisecond.
  const structured = Kafka.structured(event);
  const time = new Date(given.time).toISOString();
  write(`structured-${name}`, "Kafka.structured", structured, structured.value, { ...expected, time });
}
