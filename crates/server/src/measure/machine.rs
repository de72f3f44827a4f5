//! The machine on which a measurement runs.

use serde::Serialize;

/// Names and sizes; what the system does not say is `unknown`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    /// The processor's name.
    pub(crate) processor: String,
    /// Threads of the hardware.
    pub(crate) hardware_threads: usize,
    pub(crate) memory_gib: f64,
    pub(crate) system: String,
}

impl Machine {
    /// Asks the system.
    pub(crate) fn this() -> Self {
        let mut system = sysinfo::System::new();
        system.refresh_memory();
        system.refresh_cpu_list(sysinfo::CpuRefreshKind::nothing());
        let unknown = || "unknown".to_owned();
        let processor = system
            .cpus()
            .first()
            .map(|cpu| cpu.brand().trim().to_owned());
        Self {
            processor: processor
                .filter(|name| !name.is_empty())
                .unwrap_or_else(unknown),
            hardware_threads: system.cpus().len(),
            memory_gib: (system.total_memory() as f64 / f64::from(1 << 30) * 10.0).round() / 10.0,
            system: sysinfo::System::long_os_version().unwrap_or_else(unknown),
        }
    }
}
