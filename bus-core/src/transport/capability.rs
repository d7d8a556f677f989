//! What a transport can do, as data.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};

macro_rules! capabilities {
    ($($(#[$doc:meta])* $field:ident $variant:ident,)*) => {
        /// What a transport can do, one field a feature. What it cannot do is refused by the feature's name, at
        /// `start()` where it is known then, and never ignored.
        ///
        /// ```
        /// # use gulo_bus_core::transport::{Capabilities, Capability};
        /// let mut capabilities = Capabilities::NONE;
        /// capabilities.key_order = true;
        /// assert!(capabilities.require("mine", Capability::KeyOrder).is_ok());
        /// let error = capabilities.require("mine", Capability::Seek).unwrap_err();
        /// assert!(error.to_string().starts_with("transport `mine` does not offer `seek`"));
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        #[non_exhaustive]
        pub struct Capabilities {
            $($(#[$doc])* pub $field: bool,)*
            /// The largest message (key, payload and headers) in bytes that a publish takes; `None` where only memory
            /// is the limit.
            pub max_message_bytes: Option<usize>,
        }

        /// The name of one feature of [`Capabilities`]. A bus can [`require`](crate::bus::BusBuilder::require) one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Capability {
            $($(#[$doc])* $variant,)*
        }

        impl Capability {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name, as errors and listings have it: that of the field.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($field),)* }
            }
        }

        impl Capabilities {
            /// Nothing at all: what a transport starts from when it lists its own.
            pub const NONE: Self = Self { $($field: false,)* max_message_bytes: None };

            /// Whether it is there.
            pub const fn has(self, capability: Capability) -> bool {
                match capability { $(Capability::$variant => self.$field,)* }
            }
        }
    };
}

capabilities! {
    /// A reader outside of any group, which settles nothing durably: [`Member::Solo`](super::Member::Solo).
    solo Solo,
    /// A group that comes late still gets what was published before it; positions other than `Committed` and `Latest`.
    history History,
    /// Topics by pattern: [`Topics::Pattern`](super::Topics::Pattern).
    patterns Patterns,
    /// Several partitions a topic, and a sender's choice of one.
    partitions Partitions,
    /// Messages of one key are delivered in the order published, within a lane, to one member of the group at a time.
    key_order KeyOrder,
    /// Several members of a group read one lane at the same time, as consumers of a queue that compete.
    shared_lanes SharedLanes,
    /// Delivery of one lane can be paused and resumed.
    pause Pause,
    /// A lane can be moved to another position of its log.
    seek Seek,
    /// Messages without a payload stay apart from those with an empty one.
    tombstones Tombstones,
    /// Header values may be null, apart from empty.
    null_headers NullHeaders,
    /// A header name may occur more than once.
    duplicate_headers DuplicateHeaders,
    /// [`Verdict::Requeue`](crate::settle::Verdict::Requeue).
    requeue Requeue,
    /// [`Verdict::Reject`](crate::settle::Verdict::Reject): the broker dead-letters by itself.
    reject Reject,
    /// What is settled above an unsettled message of its lane stays settled through a clean close or hand-over.
    settles_singly SettlesSingly,
    /// [`SendOptions::deliver_at`](crate::message::SendOptions::deliver_at).
    deliver_at DeliverAt,
    /// [`SendOptions::expires`](crate::message::SendOptions::expires).
    expires Expires,
    /// [`SendOptions::priority`](crate::message::SendOptions::priority).
    priority Priority,
    /// Topics and queues can be created.
    create_topics CreateTopics,
    /// [`Transport::transaction`](super::Transport::transaction).
    transactions Transactions,
}

impl Capabilities {
    /// `Ok` where `capability` is there.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](ErrorKind::Unsupported), naming it and the transport.
    pub fn require(self, transport: &str, capability: Capability) -> Result<()> {
        if self.has(capability) { Ok(()) } else { Err(unsupported(transport, capability)) }
    }
}

fn unsupported(transport: &str, capability: Capability) -> Error {
    Error::new(ErrorKind::Unsupported, format!("transport `{transport}` does not offer `{capability}`"))
        .help("do without it, or take a transport that has it")
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
