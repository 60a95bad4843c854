//! Time limits that several processes share. Tests assert these deadlines.
//!
//! Each crate keeps its own limits on sizes and counts in a `limits.rs`; here is only what two
//! processes must agree on.

use std::time::Duration;

/// How often a node asks for changes and proves that it is current.
pub const BEAT: Duration = Duration::from_millis(250);

/// A node whose proof of currency was sent longer ago than this stops deciding.
pub const STALENESS_MAX: Duration = Duration::from_millis(800);

/// keyd refuses uses when its revocation feed is older than this.
pub const REVOCATION_FEED_AGE_MAX: Duration = Duration::from_secs(1);

/// keyd refuses further uses when a use record stays unacknowledged for longer than this.
pub const USE_RECORD_UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(1);

/// keyd refuses further uses at this many unacknowledged use records.
pub const USE_RECORDS_UNACKNOWLEDGED_MAX: usize = 2048;

/// How long a forward-access root ticket lives at most.
pub const FAS_ROOT_LIFETIME: Duration = Duration::from_secs(300);

/// How long the ticket of a further hop lives at most.
pub const FAS_HOP_LIFETIME: Duration = Duration::from_secs(60);

/// How far a SigV4 signature's date may lie from keyd's clock, except for S3.
pub const SIGV4_WINDOW: Duration = Duration::from_secs(5 * 60);

/// How far an S3 signature's date may lie from keyd's clock.
pub const SIGV4_WINDOW_S3: Duration = Duration::from_secs(15 * 60);

/// The longest life of a presigned URL.
pub const PRESIGNED_LIFETIME_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// trail's stream to watch may be silent for this long before watch alarms.
pub const TRAIL_SILENCE_MAX: Duration = Duration::from_secs(2);

/// How often an agent tells watch that it is alive.
pub const AGENT_BEAT: Duration = Duration::from_secs(1);

/// Within this long of an agent's death watch has raised its alarm.
pub const AGENT_KILLED_ALARM: Duration = Duration::from_secs(2);

/// Within this long of an agent being frozen or cut off watch has raised its alarm.
pub const AGENT_FROZEN_ALARM: Duration = Duration::from_secs(10);

/// Within this long of a source falling silent, while the agent's beats flow, watch has raised its alarm.
pub const SOURCE_SILENT_ALARM: Duration = Duration::from_secs(35);

/// How often an agent makes an exec that must come back through its audit source.
pub const CANARY_EVERY: Duration = Duration::from_secs(30);

/// A checkpoint of unchanged size is cosigned again after this long.
pub const RECOSIGN_AFTER: Duration = Duration::from_secs(60);

/// A reader who sends `x-writ-revision` waits at most this long for the node to reach it.
pub const REVISION_WAIT_MAX: Duration = Duration::from_secs(1);

/// A bastion whose proof of currency is older than this forwards nothing in either direction.
pub const BASTION_FREEZE_AFTER: Duration = Duration::from_secs(1);

/// A bastion whose proof of currency is older than this closes its sessions.
pub const BASTION_CLOSE_AFTER: Duration = Duration::from_secs(5);
