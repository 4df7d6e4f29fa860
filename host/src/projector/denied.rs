//! The sandbox's refusals: network, files, environment. A socket inside `project` is an error; files and environment
//! are merely empty, because libraries look for what they can do without, and the author learns of it when the event
//! fails.

use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::cli::environment;
use wasmtime_wasi::p2::bindings::filesystem::preopens::{self, Descriptor};
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddressFamily, Network};
use wasmtime_wasi::p2::bindings::sockets::{instance_network, tcp_create_socket};
use wasmtime_wasi::p2::bindings::sync::sockets::udp_create_socket;
use wasmtime_wasi::p2::{SocketError, SocketResult, TcpSocket, UdpSocket};
use wasmtime_wasi::sockets::WasiSocketsView;

use super::determinism::{CallPhase, Impurity};
use super::sandbox::Sandbox;

const NETWORK: Impurity = Impurity {
    action: "wanted the network inside `project`",
    import: "wasi:sockets",
    remedy: "what it needs has to be in the event",
};
impl Sandbox {
    fn is_projecting(&self) -> bool {
        self.ambient.phase == CallPhase::Projecting
    }

    /// No socket is ever made, so none can be waited for.
    fn no_socket<T>(&self) -> SocketResult<T> {
        Err(if self.is_projecting() { SocketError::trap(NETWORK) } else { ErrorCode::AccessDenied.into() })
    }
}

impl tcp_create_socket::Host for Sandbox {
    fn create_tcp_socket(&mut self, _: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        self.no_socket()
    }
}

impl udp_create_socket::Host for Sandbox {
    fn create_udp_socket(&mut self, _: IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
        self.no_socket()
    }
}

/// Names are looked up with this.
impl instance_network::Host for Sandbox {
    fn instance_network(&mut self) -> wasmtime::Result<Resource<Network>> {
        match self.ambient.phase {
            CallPhase::Projecting => Err(NETWORK.into()),
            CallPhase::Starting => self.sockets().instance_network(),
        }
    }
}

/// The errors of the three above.
impl network::Host for Sandbox {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn network_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        self.sockets().network_error_code(error)
    }
}

impl network::HostNetwork for Sandbox {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        network::HostNetwork::drop(&mut self.sockets(), network)
    }
}

impl preopens::Host for Sandbox {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        self.missed.files = true;
        Ok(vec![])
    }
}

impl environment::Host for Sandbox {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        self.missed.environment = true;
        Ok(vec![])
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        self.missed.environment = true;
        Ok(vec![])
    }

    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(None)
    }
}
