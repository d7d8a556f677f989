//! What the clients tell us by callbacks: errors, log lines, rebalances, answers to commits.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use gulo_bus_core::transport::Status;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;

/// How the connections are, as all clients of a transport last heard.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<Option<(SystemTime, String)>>);

impl Health {
    pub(crate) fn status(&self) -> Status {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Status::Up,
            Some((since, reason)) => Status::Down {
                since: *since,
                reason: reason.clone(),
            },
        }
    }

    /// The first cause stays: "all brokers down" follows every other and says nothing new.
    pub(crate) fn down(&self, reason: &str) {
        let mut cell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cell.get_or_insert_with(|| (SystemTime::now(), reason.to_owned()));
    }

    pub(crate) fn up(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// A client without a group: errors and log lines.
#[derive(Debug, Clone)]
pub(crate) struct Callbacks {
    pub(crate) health: Arc<Health>,
}

/// The error is about the way to the cluster, not about one request.
pub(crate) fn is_connection_trouble(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::AllBrokersDown
            | Code::BrokerTransportFailure
            | Code::Resolve
            | Code::Authentication
            | Code::SSL
    )
}

pub(crate) fn note_error(health: &Health, error: &KafkaError, reason: &str) {
    let trouble = error
        .rdkafka_error_code()
        .is_some_and(is_connection_trouble);
    if trouble {
        health.down(reason);
    }
    tracing::warn!(target: "gulo::kafka", "{reason}");
}

/// What librdkafka calls an error it tries again by itself, and what it means for us is said by us: a warning here.
pub(crate) fn log_line(level: RDKafkaLogLevel, facility: &str, line: &str) {
    use RDKafkaLogLevel as Level;
    match level {
        Level::Emerg | Level::Alert | Level::Critical => {
            tracing::error!(target: "gulo::kafka::client", facility, "{line}");
        }
        Level::Error | Level::Warning => {
            tracing::warn!(target: "gulo::kafka::client", facility, "{line}")
        }
        Level::Notice | Level::Info => {
            tracing::info!(target: "gulo::kafka::client", facility, "{line}")
        }
        Level::Debug => tracing::debug!(target: "gulo::kafka::client", facility, "{line}"),
    }
}

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log_line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        note_error(&self.health, &error, reason);
    }
}

impl ConsumerContext for Callbacks {}

/// A partition by name.
pub(crate) type Partition = (Arc<str>, i32);

/// What a consumer's callbacks have to say to the driver. They run inside `poll`, on the driver's own thread, and only
/// write down: what is to be done is done between two polls, with no callback above it on the stack.
#[derive(Debug)]
pub(crate) enum News {
    Assigned(Vec<Partition>),
    Revoked {
        partitions: Vec<Partition>,
        lost: bool,
    },
    Committed(
        Result<(), RDKafkaErrorCode>,
        Vec<(Partition, i64, Result<(), RDKafkaErrorCode>)>,
    ),
    Trouble(String),
}

#[derive(Debug)]
pub(crate) struct GroupCallbacks {
    pub(crate) health: Arc<Health>,
    news: Mutex<VecDeque<News>>,
    /// Dropping a consumer revokes what it has from inside the drop: nobody is there then to serve it later.
    pub(crate) leaving: AtomicBool,
}

impl GroupCallbacks {
    pub(crate) fn new(health: Arc<Health>) -> Self {
        Self {
            health,
            news: Mutex::default(),
            leaving: AtomicBool::new(false),
        }
    }

    pub(crate) fn next(&self) -> Option<News> {
        self.news
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }

    fn push(&self, news: News) {
        self.news
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(news);
    }
}

fn partition_of(element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>) -> Partition {
    (element.topic().into(), element.partition())
}

impl ClientContext for GroupCallbacks {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log_line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        note_error(&self.health, &error, reason);
        if error
            .rdkafka_error_code()
            .is_some_and(|code| code == RDKafkaErrorCode::AllBrokersDown)
        {
            self.push(News::Trouble(reason.to_owned()));
        }
    }
}

impl ConsumerContext for GroupCallbacks {
    // The group waits until (incremental_)(un)assign is called; calling it later, from between two polls, is allowed and
    // keeps everything served meanwhile. A list that outlives its consumer hangs the consumer's drop: copy at once.
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let partitions = list.elements().iter().map(partition_of).collect();
        match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS if !self.leaving.load(SeqCst) => {
                self.push(News::Assigned(partitions));
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS if !self.leaving.load(SeqCst) => {
                self.push(News::Revoked {
                    partitions,
                    lost: consumer.assignment_lost(),
                });
            }
            _ => {
                let done = match consumer.rebalance_protocol() {
                    RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
                    _ => consumer.unassign(),
                };
                if let Err(error) = done {
                    tracing::debug!(target: "gulo::kafka", "unassign while leaving: {error}");
                }
            }
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        let code = |error: KafkaError| error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        let parts = offsets.elements();
        let parts = parts.iter().map(|part| {
            (
                partition_of(part),
                part.offset().to_raw().unwrap_or(-1),
                part.error().map_err(code),
            )
        });
        self.push(News::Committed(result.map_err(code), parts.collect()));
    }
}
