//! Names and ways of the network, as this machine has them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// What a check asks of the network. Tests answer for themselves.
pub(super) trait Network {
    /// The addresses of a host.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<IpAddr>>;

    /// Whether this machine has a way to an address; nothing is sent there.
    fn has_route(&self, address: IpAddr, port: u16) -> bool;
}

/// This machine's own.
#[derive(Debug)]
pub(super) struct System;

impl Network for System {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.map(|address| address.ip()).collect())
    }

    fn has_route(&self, address: IpAddr, port: u16) -> bool {
        let any: IpAddr = match address {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        // Connecting a UDP socket looks the route up, and sends no packet.
        UdpSocket::bind(SocketAddr::new(any, 0)).and_then(|socket| socket.connect((address, port))).is_ok()
    }
}
