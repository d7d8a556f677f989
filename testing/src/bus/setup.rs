//! How a test bus begins, for the first time and again.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use gulo_bus_core::Result;
use gulo_bus_core::bus::BusBuilder;
use gulo_transport_memory::MemoryTransport;

use super::{PrintedInPanic, TestBus};
use crate::clock;
use crate::layer::RecordingLayer;
use crate::record::Record;
use crate::transport::RecordedTransport;

/// Makes the application, each time it is started.
pub(super) type Factory = Box<dyn Fn() -> BusBuilder + Send + Sync>;

/// On which broker a [`TestBus`] is to run: [`TestBus::on`] has an example.
#[derive(Debug)]
pub struct Setup {
    pub(super) memory: MemoryTransport,
}

impl Setup {
    /// As [`TestBus::start`].
    ///
    /// # Errors
    ///
    /// As [`TestBus::start`].
    pub async fn start(self, app: BusBuilder) -> Result<TestBus> {
        clock::pause()?;
        TestBus::launch(self.memory, Arc::new(Record::new()), app, None).await
    }

    /// As [`TestBus::with`].
    ///
    /// # Errors
    ///
    /// As [`TestBus::start`].
    pub async fn with(self, app: impl Fn() -> BusBuilder + Send + Sync + 'static) -> Result<TestBus> {
        clock::pause()?;
        TestBus::launch(self.memory, Arc::new(Record::new()), app(), Some(Box::new(app))).await
    }
}

impl TestBus {
    /// Starts `app` on a broker that others may know already.
    pub(super) async fn launch(
        memory: MemoryTransport,
        record: Arc<Record>,
        app: BusBuilder,
        factory: Option<Factory>,
    ) -> Result<Self> {
        let alive = Arc::new(AtomicBool::new(true));
        let (inner, written) = (memory.clone(), Arc::clone(&record));
        let transport = RecordedTransport { inner, record: written, alive: Arc::clone(&alive) };
        let bus = app.transport(transport).outermost_layer(RecordingLayer(Arc::clone(&record))).start().await?;
        record.read_by(bus.publisher());
        let printed = PrintedInPanic(Arc::clone(&record));
        Ok(Self { bus, alive, factory, memory, record, _printed: printed })
    }
}
