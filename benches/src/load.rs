//! What all arms handle: orders as JSON, their keys Zipf-distributed, as real keys are.

use std::sync::{Arc, OnceLock};

use gulo::IntegrationEvent;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Zipf};
use serde::{Deserialize, Serialize};

const KEYS: f64 = 10_000.0;

/// About 170 bytes as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) order_id: u64,
    pub(crate) customer: String,
    pub(crate) sku: String,
    pub(crate) quantity: u32,
    pub(crate) amount_cents: u64,
    pub(crate) currency: String,
    pub(crate) note: Option<String>,
    pub(crate) placed_at: String,
}

static TOPIC: OnceLock<Arc<str>> = OnceLock::new();

/// The topic of [`Order`] in this process.
pub(crate) fn set_topic(name: &str) {
    let _ = TOPIC.set(name.into());
}

impl IntegrationEvent for Order {
    const TYPE: &'static str = "order.placed";

    fn key(&self) -> Option<String> {
        Some(self.customer.clone())
    }

    fn topic() -> Option<Arc<str>> {
        Some(TOPIC.get_or_init(|| "orders".into()).clone())
    }
}

/// The first `count` orders; the same in every run.
pub(crate) fn orders(count: u64) -> impl Iterator<Item = Order> {
    let mut random = StdRng::seed_from_u64(7);
    let keys = Zipf::new(KEYS, 1.0).ok();
    (0..count).map(move |number| {
        let key = keys.as_ref().map_or(1.0, |keys| keys.sample(&mut random));
        Order {
            order_id: number,
            customer: format!("customer-{key:05}"),
            sku: format!("sku-{:04}", number % 5000),
            quantity: (number % 9) as u32 + 1,
            amount_cents: number % 100_000,
            currency: "EUR".into(),
            note: None,
            placed_at: "2026-11-24T10:00:00.123456Z".into(),
        }
    })
}

/// The key that occurs most often.
pub(crate) const HOTTEST: &str = "customer-00001";
