// Writes the fixtures of the JavaScript SDK, and reads what Gulo writes: npm install cloudevents@10.0.0; node javascript_sdk.js ..
//
// `Kafka.binary` leaves to the application what a Kafka client does not take: data that is an object becomes JSON,
// headers without a value are not sent, other values become text (as kafkajs makes them).

const assert = require("node:assert");
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

// What Gulo wrote is read as it was meant. A client gives headers as bytes; the SDK wants text.
const ours = path.join(process.argv[2], "ours");
for (const name of fs.readdirSync(ours).filter((name) => !name.startsWith("building-blocks"))) {
  const { headers, value, expected } = JSON.parse(fs.readFileSync(path.join(ours, name)));
  const text = (base64) => Buffer.from(base64, "base64").toString();
  const message = { headers: Object.fromEntries(headers.map(([name, value]) => [name, text(value)])) };
  message.value = name.startsWith("structured-") ? text(value) : Buffer.from(value, "base64");
  const event = Kafka.toEvent(message);
  assert.equal(new Date(event.time).getTime(), new Date(expected.time).getTime(), name);
  for (const attribute of ["id", "source", "type", "subject", "datacontenttype"])
    assert.equal(event[attribute] ?? null, expected[attribute], `${name}: ${attribute}`);
  for (const extension in expected.extensions)
    assert.equal(event[extension], expected.extensions[extension], `${name}: ${extension}`);
  if (expected.data.json) assert.deepEqual(event.data, expected.data.json, name);
  else assert.equal(Buffer.from(event.data).toString("base64"), expected.data.base64, name);
  console.log("read", name);
}
