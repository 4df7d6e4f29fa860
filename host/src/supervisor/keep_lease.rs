//! Renews the lease beside the lanes, and ends them before MySQL gives it away.

use tokio::time::Instant;

use super::ports::{ControlPorts, Lease};
use super::settings::Settings;
use crate::failure::{Failure, Fault};
use crate::retry::Backoff;

/// How many times a lease is renewed in the time that it lasts: so one that fails leaves time for others.
const RENEWALS_PER_LEASE: u32 = 3;

/// Renews the lease until it is lost: because another host has it, or because it ran out by this host's own
/// monotonic clock. That counts from before the request, so it runs out here first, and MySQL's time plays no part.
pub async fn keep_lease<P: ControlPorts>(ports: P, lease: Lease<P::Session>) -> Result<(), Failure> {
    let Lease { epoch, mut session, mut good_until } = lease;
    let Settings { name, lease_ttl: ttl, .. } = ports.settings().clone();
    loop {
        tokio::time::sleep_until(good_until - ttl + ttl / RENEWALS_PER_LEASE).await;
        let mut backoff = Backoff::new();
        loop {
            let asked = Instant::now();
            // So that one connection that says nothing leaves time for another.
            let limit = good_until.min(asked + ttl / RENEWALS_PER_LEASE);
            let silence = Failure::ConnectionLost { message: "renewing the lease took too long".to_owned() };
            let renewing = tokio::time::timeout_at(limit, ports.renew(&mut session, epoch));
            let failure = match renewing.await.unwrap_or(Err(silence)) {
                Ok(()) => {
                    good_until = asked + ttl;
                    break;
                }
                Err(failure) if failure.fault() == Fault::Fenced => return Err(failure),
                Err(failure) => failure,
            };
            tracing::warn!(projection = name, "lease: {}; trying again", failure.without_values());
            tokio::time::sleep_until(good_until.min(Instant::now() + backoff.next_wait())).await;
            if Instant::now() >= good_until {
                return Err(Failure::LeaseExpired { seconds: ttl.as_secs(), message: failure.to_string() });
            }
        }
    }
}
