//! A look at the broker without the bus: what the bus says of itself proves nothing.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewPartitions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Headers as _};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use crate::Trouble;
use crate::record::{Positions, Record};

const PATIENCE: Duration = Duration::from_secs(30);

/// The setting by which a topic refuses what is larger.
pub(crate) const LARGEST: &str = "max.message.bytes";
/// The key of a message of ours: no dead letter.
const PROBE: &str = "probe";

/// Who looks at one cluster.
#[derive(Debug, Clone)]
pub(crate) struct Eye {
    servers: String,
}

impl Eye {
    pub(crate) fn new(servers: impl Into<String>) -> Self {
        Self { servers: servers.into() }
    }

    /// At the broker that the environment names.
    pub(crate) fn from_env() -> Self {
        Self::new(std::env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or_else(|_| "localhost:9092".into()))
    }

    pub(crate) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.servers);
        config
    }

    pub(crate) fn client(&self, group: &str) -> Result<BaseConsumer, Trouble> {
        let mut config = self.config();
        config.set("group.id", group).set("enable.auto.commit", "false").set("enable.partition.eof", "true");
        Ok(config.create()?)
    }

    /// Everything that stands in `topic`, partition by partition; of transactions what is committed.
    pub(crate) fn read(&self, topic: &str) -> Result<Vec<Record>, Trouble> {
        read_by(self.client("prove-eye")?, topic)
    }

    /// The same with what transactions have taken back.
    pub(crate) fn read_uncommitted(&self, topic: &str) -> Result<Vec<Record>, Trouble> {
        let mut config = self.config();
        config
            .set("group.id", "prove-eye")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_uncommitted");
        read_by(config.create()?, topic)
    }

    /// The position behind the last message of each partition.
    pub(crate) fn ends(&self, topic: &str) -> Result<Positions, Trouble> {
        ends_by(&self.client("prove-eye")?, topic)
    }

    /// What `group` has committed of each partition; 0 where nothing is.
    pub(crate) fn committed(&self, topic: &str, group: &str) -> Result<Positions, Trouble> {
        let client = self.client(group)?;
        let mut asked = TopicPartitionList::new();
        for partition in ends_by(&client, topic)?.keys() {
            asked.add_partition(topic, *partition);
        }
        let answer = client.committed_offsets(asked, PATIENCE)?;
        let position = |offset| if let Offset::Offset(at) = offset { at } else { 0 };
        Ok(answer.elements().iter().map(|element| (element.partition(), position(element.offset()))).collect())
    }

    /// As the coordinator names it: `Stable`, `PreparingRebalance`, ..
    pub(crate) fn group_state(&self, group: &str) -> Result<String, Trouble> {
        let found = self.client("prove-eye")?.fetch_group_list(Some(group), PATIENCE)?;
        Ok(found.groups().first().map(|group| group.state().to_owned()).unwrap_or_default())
    }

    /// The node that leads a partition.
    pub(crate) fn leader(&self, topic: &str, partition: i32) -> Result<i32, Trouble> {
        let found = self.client("prove-eye")?.fetch_metadata(Some(topic), PATIENCE)?;
        let partitions = found.topics().iter().flat_map(|topic| topic.partitions());
        let leader = partitions.filter(|found| found.id() == partition).map(|found| found.leader()).next();
        leader.filter(|id| *id > 0).ok_or_else(|| format!("nobody leads {topic}[{partition}]").into())
    }

    /// Puts a group that has no members somewhere else.
    pub(crate) fn put(&self, topic: &str, group: &str, to: &Positions) -> Result<(), Trouble> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in to {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
        }
        Ok(self.client(group)?.commit(&list, CommitMode::Sync)?)
    }

    /// Deletes a group, and with it all that it has committed.
    pub(crate) async fn delete_group(&self, group: &str) -> Result<(), Trouble> {
        for answer in self.admin()?.delete_groups(&[group], &AdminOptions::new()).await? {
            answer.map_err(|(name, code)| format!("{name}: {code}"))?;
        }
        Ok(())
    }

    /// Gives `topic` so many partitions in all.
    pub(crate) async fn grow(&self, topic: &str, partitions: usize) -> Result<(), Trouble> {
        for answer in
            self.admin()?.create_partitions(&[NewPartitions::new(topic, partitions)], &AdminOptions::new()).await?
        {
            answer.map_err(|(name, code)| format!("{name}: {code}"))?;
        }
        Ok(())
    }

    pub(crate) fn admin(&self) -> Result<AdminClient<DefaultClientContext>, Trouble> {
        Ok(self.config().create()?)
    }

    /// Changes settings of `topic`. All others go back to their defaults.
    pub(crate) async fn set(&self, topic: &str, settings: &[(&str, &str)]) -> Result<(), Trouble> {
        let wish = AlterConfig::new(ResourceSpecifier::Topic(topic));
        let wish = settings.iter().fold(wish, |wish, (name, value)| wish.set(name, value));
        for answer in self.admin()?.alter_configs([&wish], &AdminOptions::new()).await? {
            answer.map_err(|(_, code)| code.to_string())?;
        }
        Ok(())
    }

    /// Lets `topic` take messages of the usual size, and returns when it does: a broker takes its time. One message more stands
    /// there then, which [`Self::read`] passes over.
    pub(crate) async fn let_in(&self, topic: &str) -> Result<(), Trouble> {
        self.set(topic, &[(LARGEST, "1048588")]).await?;
        let producer: FutureProducer = self.config().create()?;
        let (payload, deadline) = (vec![b'x'; 10_000], Instant::now() + PATIENCE);
        loop {
            match producer.send(FutureRecord::to(topic).key(PROBE).payload(&payload), PATIENCE).await {
                Ok(_) => return Ok(()),
                Err((KafkaError::MessageProduction(Code::MessageSizeTooLarge), _)) if Instant::now() < deadline => {}
                Err((error, _)) => return Err(error.into()),
            }
        }
    }

    /// Takes topics away that nobody needs any more.
    pub(crate) async fn delete(&self, topics: &[std::sync::Arc<str>]) -> Result<(), Trouble> {
        let topics: Vec<&str> = topics.iter().map(|topic| &**topic).collect();
        self.admin()?.delete_topics(&topics, &AdminOptions::new()).await?;
        Ok(())
    }
}

fn read_by(client: BaseConsumer, topic: &str) -> Result<Vec<Record>, Trouble> {
    let mut open = {
        let ends = ends_by(&client, topic)?;
        let mut all = TopicPartitionList::new();
        for partition in ends.keys() {
            all.add_partition_offset(topic, *partition, Offset::Beginning)?;
        }
        client.assign(&all)?;
        ends.len()
    };
    let (mut records, deadline) = (Vec::new(), Instant::now() + PATIENCE);
    while open > 0 {
        match client.poll(Duration::from_millis(100)) {
            Some(Ok(message)) if message.key() == Some(PROBE.as_bytes()) => {}
            Some(Ok(message)) => records.push(record(&message)),
            Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
            // One of several brokers may be away.
            Some(Err(KafkaError::MessageConsumption(Code::BrokerTransportFailure))) if Instant::now() < deadline => {}
            Some(Err(error)) => return Err(error.into()),
            None if Instant::now() > deadline => return Err(format!("{topic} could not be read in time").into()),
            None => {}
        }
    }
    records.sort_by_key(|record| (record.partition, record.offset));
    Ok(records)
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    Record {
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis().unwrap_or_default(),
        key: message.key().map(<[u8]>::to_vec),
        payload: message.payload().map(<[u8]>::to_vec),
        headers: headers.map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect(),
    }
}

fn ends_by(client: &BaseConsumer, topic: &str) -> Result<Positions, Trouble> {
    let metadata = client.fetch_metadata(Some(topic), PATIENCE)?;
    let found = metadata.topics().first().ok_or_else(|| format!("no topic {topic}"))?;
    let partitions = found.partitions().iter().map(|partition| partition.id());
    partitions.map(|id| Ok((id, client.fetch_watermarks(topic, id, PATIENCE)?.1))).collect()
}
