//! The sandbox of an instance: WASI 0.2 that denies everything, constant hash seeds, and a captured output instead of
//! stdout and stderr. No file, no socket, no environment, no argument ever gets in here.

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tracing::Level;
use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::bindings::sync::sockets::udp_create_socket;
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random, sockets};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView, async_trait};

use super::bindings::{Projection, log, types};
use super::determinism::Ambient;
use super::memory::Memory;
use super::missed::Missed;
use super::output::{Output, Voice};

/// Bytes that a guest may write to a stream at once.
const WRITE_BYTES: usize = 64 << 10;

/// The host's side of one instance.
pub struct Sandbox {
    wasi: WasiCtx,
    table: ResourceTable,
    pub(super) ambient: Ambient,
    pub(super) memory: Memory,
    pub(super) output: Output,
    pub(super) missed: Missed,
}

impl Sandbox {
    pub(super) fn new(memory_bytes: usize) -> Self {
        let output = Output::default();
        output.open(1);
        let wasi = WasiCtxBuilder::new()
            .stdout(Stream { output: output.clone(), voice: Voice::Stdout })
            .stderr(Stream { output: output.clone(), voice: Voice::Stderr })
            .insecure_random_seed(0)
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .build();
        Self {
            wasi,
            table: ResourceTable::new(),
            ambient: Ambient::new(),
            memory: Memory::new(memory_bytes),
            output,
            missed: Missed::default(),
        }
    }
}

impl Sandbox {
    fn ambient(&mut self) -> &mut Ambient {
        &mut self.ambient
    }
}

/// Everything a component may import.
pub(super) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Sandbox>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
    // What is above could reach the machine: these replace it.
    linker.allow_shadowing(true);
    clocks::wall_clock::add_to_linker::<_, HasSelf<Ambient>>(&mut linker, Sandbox::ambient)?;
    clocks::monotonic_clock::add_to_linker::<_, HasSelf<Ambient>>(&mut linker, Sandbox::ambient)?;
    random::random::add_to_linker::<_, HasSelf<Ambient>>(&mut linker, Sandbox::ambient)?;
    random::insecure::add_to_linker::<_, HasSelf<Ambient>>(&mut linker, Sandbox::ambient)?;
    cli::environment::add_to_linker::<_, HasSelf<Sandbox>>(&mut linker, |sandbox| sandbox)?;
    filesystem::preopens::add_to_linker::<_, HasSelf<Sandbox>>(&mut linker, |sandbox| sandbox)?;
    sockets::instance_network::add_to_linker::<_, HasSelf<Sandbox>>(&mut linker, |sandbox| sandbox)?;
    sockets::tcp_create_socket::add_to_linker::<_, HasSelf<Sandbox>>(&mut linker, |sandbox| sandbox)?;
    udp_create_socket::add_to_linker::<_, HasSelf<Sandbox>>(&mut linker, |sandbox| sandbox)?;
    linker.allow_shadowing(false);
    Projection::add_to_linker::<_, HasSelf<Sandbox>>(&mut linker, |sandbox| sandbox)?;
    Ok(linker)
}

impl WasiView for Sandbox {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl types::Host for Sandbox {}

impl log::Host for Sandbox {
    fn write(&mut self, level: log::Level, message: String) {
        let level = match level {
            log::Level::Debug => Level::DEBUG,
            log::Level::Info => Level::INFO,
            log::Level::Warn => Level::WARN,
            log::Level::Error => Level::ERROR,
        };
        self.output.log(level, &message);
    }
}

/// stdout or stderr. It is always ready, takes everything and never fails.
#[derive(Clone)]
struct Stream {
    output: Output,
    voice: Voice,
}

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stream {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    /// For WASI 0.3, which is not linked.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }
}

#[async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.output.write(self.voice, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}
