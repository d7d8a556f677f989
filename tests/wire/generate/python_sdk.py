"""Writes the fixtures of the Python SDK, and reads what Gulo writes: pip install cloudevents==2.2.0; python python_sdk.py ..

Its two Kafka bindings: `cloudevents.core` (2.x) and `cloudevents.v1`, the one of the 1.x releases.
"""

import base64
import json
import sys
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import cloudevents.core.bindings.kafka as core
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent as CoreEvent
import cloudevents.v1.kafka as v1
from cloudevents.v1.http import CloudEvent as V1Event
from dateutil.parser import isoparse

HERE = Path(__file__).parent
OUT = Path(sys.argv[1])


def b64(value):
    return None if value is None else base64.b64encode(value.encode() if isinstance(value, str) else value).decode()


def fixture(folder, name, software, message, expected):
    path = OUT / folder / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    content = {
        "software": software,
        "key": b64(message.key),
        "headers": [[name, b64(value)] for name, value in message.headers.items()],
        "value": b64(message.value),
        "expected": expected,
    }
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def data_of(case):
    data = case["data"]
    if data is None:
        return None
    kind, value = next(iter(data.items()))
    return base64.b64decode(value) if kind == "base64" else value


def expected_of(case):
    """As the case says, with what Python's datetime loses: the nanoseconds."""
    time = isoparse(case["time"]).isoformat()
    extensions = {name: text(value) for name, value in case["extensions"].items()}
    return case | {"time": time, "extensions": extensions}


def text(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


def attributes_of(case):
    said = {name: case[name] for name in ("id", "source", "type", "subject", "datacontenttype") if case[name]}
    return said | case["extensions"]


def write_core(name, case):
    if case["time"] is None:
        return  # it always sets one
    attributes = attributes_of(case) | {"time": isoparse(case["time"])}
    software = f"cloudevents {version('cloudevents')} (Python), cloudevents.core.bindings.kafka"
    data = data_of(case)
    # Binary mode writes a str as it is: whoever wants a JSON string hands over JSON.
    as_binary = json.dumps(data) if isinstance(data, str) and "json" in case["data"] else data
    binary = core.to_binary(CoreEvent(dict(attributes), as_binary), JSONFormat())
    structured = core.to_structured(CoreEvent(dict(attributes), data), JSONFormat())
    expected = expected_of(case)
    fixture("python", f"binary-{name}", f"{software}.to_binary", binary, of_str_true(expected, case))
    fixture("python", f"structured-{name}", f"{software}.to_structured", structured, expected)


def of_str_true(expected, case):
    """Binary mode writes a boolean as Python's str does: `True`."""
    extensions = {name: str(value) for name, value in case["extensions"].items()}
    return expected | {"extensions": extensions}


def write_v1(name, case):
    if name == "typed-extensions" or case["datacontenttype"] is None:
        return  # to_binary takes only text for an extension, and asks for a datacontenttype
    attributes = attributes_of(case) | {"time": case["time"]}
    event = V1Event(attributes, data_of(case))
    software = f"cloudevents {version('cloudevents')} (Python), cloudevents.v1.kafka"
    marshal = json.dumps if "json" in case["data"] else (lambda data: data)
    expected = case | {"extensions": {name: text(value) for name, value in case["extensions"].items()}}
    # The key is the partition key, which binary mode does not repeat as an extension.
    without_key = {name: value for name, value in expected["extensions"].items() if name != "partitionkey"}
    binary = v1.to_binary(event, data_marshaller=marshal)
    fixture("python-v1", f"binary-{name}", f"{software}.to_binary", binary, expected | {"extensions": without_key})
    structured = v1.to_structured(event)
    fixture("python-v1", f"structured-{name}", f"{software}.to_structured", structured, expected)


def read(path):
    """What Gulo wrote is read as it was meant."""
    given = json.loads(path.read_text())
    headers = {name: base64.b64decode(value) for name, value in given["headers"]}
    message = core.KafkaMessage(headers, None, base64.b64decode(given["value"]))
    structured = path.name.startswith("structured-")
    event = (core.from_structured if structured else core.from_binary)(message, JSONFormat())
    expected = given["expected"]
    assert event.get_time() == isoparse(expected["time"]), path
    for name in ("id", "source", "type", "subject", "datacontenttype"):
        assert event.get_attributes().get(name) == expected[name], (path, name)
    for name, value in expected["extensions"].items():
        assert event.get_extension(name) == value, (path, name)
    data = event.get_data()
    wanted = expected["data"]["json"] if "json" in expected["data"] else base64.b64decode(expected["data"]["base64"])
    assert data == wanted, (path, data)


for name, case in json.loads((HERE / "cases.json").read_text()).items():
    write_core(name, case)
    write_v1(name, case)
for path in sorted(OUT.glob("ours/[bs]*-*.json")):
    if not path.name.startswith("building-blocks"):
        read(path)
        print("read", path)
