//! What the process takes of its machine, under the names that Prometheus has for it.

/// Puts it into the metrics.
#[cfg(target_os = "linux")]
pub fn measure() {
    // What the system does not tell is left as it was.
    let _ = measured();
}

/// Elsewhere the system tells it in another way.
#[cfg(not(target_os = "linux"))]
pub fn measure() {}

#[cfg(target_os = "linux")]
#[expect(clippy::cast_precision_loss, reason = "metrics are floating point")]
fn measured() -> procfs::ProcResult<()> {
    use metrics::{counter, gauge};
    use procfs::process::{LimitValue, Process};

    let process = Process::myself()?;
    let (stat, ticks) = (process.stat()?, procfs::ticks_per_second());
    counter!("process_cpu_seconds_total").absolute((stat.utime + stat.stime) / ticks);
    let began = procfs::boot_time_secs()? as f64 + stat.starttime as f64 / ticks as f64;
    gauge!("process_start_time_seconds").set(began);
    gauge!("process_resident_memory_bytes").set((stat.rss * procfs::page_size()) as f64);
    gauge!("process_virtual_memory_bytes").set(stat.vsize as f64);
    gauge!("process_threads").set(stat.num_threads as f64);
    gauge!("process_open_fds").set(process.fd_count()? as f64);
    if let LimitValue::Value(most) = process.limits()?.max_open_files.soft_limit {
        gauge!("process_max_fds").set(most as f64);
    }
    Ok(())
}
