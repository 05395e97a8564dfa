//! The network, as the fetcher sees it.

use std::io;
use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use tokio::net::TcpStream;

/// Looking up names, and connecting.
#[async_trait]
pub(super) trait Network: Send + Sync {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream>;
}

/// That of the system.
pub(super) struct System;

#[async_trait]
impl Network for System {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 443)).await?.map(|address| address.ip()).collect())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(address).await
    }
}
