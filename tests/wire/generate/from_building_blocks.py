"""Writes the fixtures of fastapi-building-blocks: what its publisher, and its outbox, hand to aiokafka's producer. And its consumer reads what Gulo
writes.

Python 3.12; needs what its pyproject.toml asks for, and aiokafka, pydantic-settings, sqlalchemy and greenlet:
PYTHONPATH=<its checkout>/src python from_building_blocks.py ..
"""

import asyncio
import base64
import json
import sys
from datetime import datetime, timedelta, timezone
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

from aiokafka.errors import KafkaError
from building_blocks.domain.events.integration_event import IntegrationEvent
from building_blocks.infrastructure.messaging import kafka_consumer, kafka_producer, outbox_relay
from building_blocks.infrastructure.messaging.kafka_config import KafkaConfig
from building_blocks.infrastructure.messaging.outbox_publisher import OutboxEventPublisher

OUT = Path(sys.argv[1]) / "building-blocks"
CHECKOUT = "4931af5"


class UserRegistered(IntegrationEvent):
    user_id: int
    email: str
    balance: float | None = None


class Producer:
    """In place of AIOKafkaProducer: keeps what would be sent."""

    def __init__(self, value_serializer, key_serializer, **config):
        self.serializers = value_serializer, key_serializer
        self.sent, self.refuses = [], False

    async def start(self):
        pass

    async def stop(self):
        pass

    async def send_and_wait(self, topic, value, key=None, headers=None):
        if self.refuses:
            self.refuses = False
            raise KafkaError("NotEnoughReplicas")
        of_value, of_key = self.serializers
        self.sent.append((of_key(key), headers or [], of_value(value)))
        return SimpleNamespace(partition=0, offset=0)


def b64(value):
    return None if value is None else base64.b64encode(value).decode()


def keep(name, by, message, event):
    key, headers, value = message
    said = {"dataversion": event.event_version.split(".")[0]}
    if event.correlation_id:
        said["correlationid"] = str(event.correlation_id)
    if event.causation_id:
        said["causationid"] = str(event.causation_id)
    fixture = {
        "software": f"fastapi-building-blocks 0.1.0 ({CHECKOUT}, Python), {by}, pydantic {version('pydantic')}",
        "key": b64(key),
        "headers": [[name, b64(value)] for name, value in headers],
        "value": b64(value),
        "expected": {
            "id": str(event.event_id),
            "source": event.source_service,
            "type": event.event_type,
            # A time without an offset is UTC: it comes from datetime.utcnow().
            "time": (event.occurred_at if event.occurred_at.tzinfo else event.occurred_at.replace(tzinfo=timezone.utc)).isoformat(),
            # As `kind/id`; mostly only the id is given.
            "subject": f"{event.aggregate_type or ''}/{event.aggregate_id}" if event.aggregate_id else None,
            "datacontenttype": "application/json",
            "extensions": said,
            "data": {"json": event.to_dict()},
        },
    }
    OUT.mkdir(exist_ok=True)
    (OUT / f"{name}.json").write_text(json.dumps(fixture, ensure_ascii=False, indent=2) + "\n")


BASE = {
    "event_id": UUID("5f0c4a34-3b0b-4c8e-9b4e-0d9f4c1c8a01"),
    "occurred_at": datetime(2026, 11, 24, 10, 0, 0, 123456),
    "user_id": 42,
    "email": "ada@example.org",
}
CONVERSATION = {
    "correlation_id": UUID("0b8ef2a8-57a4-4f0b-8a53-6c5b2d0f7a02"),
    "causation_id": UUID("c2a9e1d4-1f0e-4f93-a3d7-9a8b7c6d5e03"),
}
AGGREGATE = {"aggregate_id": UUID("7d2b1c3e-8f4a-4b5c-9d6e-1a2b3c4d5e04")}
CASES = {
    "plain": BASE,
    "correlated": BASE | CONVERSATION,
    "aggregate": BASE | CONVERSATION | AGGREGATE | {"aggregate_type": "User"},
    "aggregate-id-only": BASE | AGGREGATE,
    "version-2": BASE | {"event_version": "2.0"},
    "version-without-point": BASE | {"event_version": "2"},
    "whole-second": BASE | {"occurred_at": datetime(2026, 11, 24, 10, 0, 0)},
    "time-in-utc": BASE | {"occurred_at": datetime(2026, 11, 24, 10, 0, 0, 123456, timezone.utc)},
    "time-with-offset": BASE | {"occurred_at": datetime(2026, 11, 24, 12, 30, 0, 5, timezone(timedelta(hours=2, minutes=30)))},
    "unicode": BASE | {"email": "Ада \"😀\" \u2028", "source_service": "dienst-ü", "event_type": "Nutzer/Größe"},
    "own-type": BASE | {"event_type": "user.registered"},
}


async def publisher():
    kafka_producer.AIOKafkaProducer = Producer
    publisher = kafka_producer.KafkaIntegrationEventPublisher(KafkaConfig(service_name="user-service"))
    await publisher.start()
    return publisher


async def direct(name, given):
    to, event = await publisher(), UserRegistered(**given)
    await to.publish(event)
    keep(name, "KafkaIntegrationEventPublisher", to._producer.sent[0], event)


async def dead_letter(name, given):
    to, event = await publisher(), UserRegistered(**given)
    to._producer.refuses = True
    try:
        await to.publish(event)
    except KafkaError:
        keep(name, "KafkaIntegrationEventPublisher, its dead letter", to._producer.sent[0], event)


async def outbox(name, given):
    event, rows = UserRegistered(**given), []

    class Repository:
        async def add(self, row):
            rows.append(row)

    await OutboxEventPublisher(Repository(), "user-service").publish(event)
    outbox_relay.AIOKafkaProducer = Producer
    relay = outbox_relay.OutboxRelay(KafkaConfig(), session_factory=None)
    # What `start` does, without the loop that asks the database.
    encode = lambda v: v.encode("utf-8") if isinstance(v, str) else v
    relay._producer = Producer(encode, encode)
    await relay._publish_message(rows[0])
    keep(name, "OutboxEventPublisher and OutboxRelay", relay._producer.sent[0], event)


async def read(path):
    """What Gulo wrote is handled by its consumer, with all that it was meant to say."""
    given, handled = json.loads(path.read_text()), []

    class Handler(kafka_consumer.IntegrationEventHandler):
        async def handle(self, event):
            handled.append(event)

    consumer = kafka_consumer.KafkaIntegrationEventConsumer(KafkaConfig())
    expected = given["expected"]
    consumer._handlers[expected["type"]] = (UserRegistered, Handler())
    value = json.loads(base64.b64decode(given["value"]).decode("utf-8"))
    headers = [(name, base64.b64decode(value)) for name, value in given["headers"]]
    await consumer._process_message(SimpleNamespace(topic="topic", partition=0, offset=0, value=value, headers=headers))
    event, = handled
    said = expected["extensions"]
    optional = lambda value: None if value is None else str(value)
    kind, id = (expected["subject"] or "/").split("/")
    found = [
        (str(event.event_id), expected["id"]),
        (event.event_type, expected["type"]),
        (event.event_version, said["dataversion"] + ".0"),
        (event.occurred_at, datetime.fromisoformat(expected["time"]).replace(tzinfo=None)),
        (event.source_service, expected["source"]),
        (optional(event.correlation_id), said.get("correlationid")),
        (optional(event.causation_id), said.get("causationid")),
        (optional(event.aggregate_id), id or None),
        (event.aggregate_type, kind or None),
    ] + [(getattr(event, name), value) for name, value in expected["data"]["json"].items()]
    for is_, wanted in found:
        assert is_ == wanted, (path, is_, wanted)
    print("read", path)


async def main():
    for name, given in CASES.items():
        await direct(name, given)
    for name in ("plain", "aggregate", "unicode", "time-in-utc"):
        await outbox(f"outbox-{name}", CASES[name])
    await dead_letter("dead-letter", CASES["aggregate"])
    for path in sorted(OUT.parent.glob("ours/building-blocks-*.json")):
        await read(path)


asyncio.run(main())
