//! Connections to a metastore: names looked up, all of their addresses tried, the user told.
//!
//! The crate's client connects by this too ([`MakeTransport`]), so that a user and its time limits
//! hold for all calls.

use std::{io, time::Duration};

use futures::future::select_ok;
use tokio::{
    net::{TcpStream, lookup_host},
    time::{Instant, sleep, timeout},
};
use volo::net::{
    Address,
    conn::{OwnedReadHalf, OwnedWriteHalf},
    dial::MakeTransport,
};

use super::{
    HiveAddress, HiveOptions,
    raw::{Answer, RawConnection, message_of, texts},
    thrift::Value,
};

/// How long one of a name's addresses is waited for before the next is tried beside it (RFC 8305).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// How to connect to one server.
#[derive(Debug, Clone)]
pub(super) struct Dial {
    pub(super) address: HiveAddress,
    user: Option<String>,
    connect_timeout: Duration,
    call_timeout: Duration,
}

impl Dial {
    pub(super) fn new(address: HiveAddress, options: &HiveOptions) -> Self {
        Self {
            address,
            user: options.user.clone(),
            connect_timeout: options.connect_timeout,
            call_timeout: options.call_timeout,
        }
    }

    /// A connection, over which the server was told the user.
    pub(super) async fn connect(&self) -> Result<RawConnection, String> {
        let address = &self.address;
        let stream = match timeout(self.connect_timeout, self.any_of_its_addresses()).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(format!("{address}: {error}")),
            Err(_) => {
                return Err(format!(
                    "{address} could not be connected to within {:?}",
                    self.connect_timeout
                ));
            }
        };
        // Requests are written whole: waiting for more bytes only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            return Err(format!("{address}: {error}"));
        }
        let mut connection = RawConnection::new(stream, address.clone());
        if let Some(user) = &self.user {
            self.tell(&mut connection, user).await?;
        }
        Ok(connection)
    }

    async fn any_of_its_addresses(&self) -> io::Result<TcpStream> {
        let host = (self.address.host.as_str(), self.address.port);
        let found: Vec<_> = lookup_host(host).await?.collect();
        if found.is_empty() {
            return Err(io::Error::other("the name has no address"));
        }
        let tries = (0u32..).zip(found).map(|(number, address)| {
            Box::pin(async move {
                sleep(NEXT_ADDRESS_AFTER * number).await;
                TcpStream::connect(address).await
            })
        });
        select_ok(tries).await.map(|(stream, _)| stream)
    }

    /// Tells the user, for this connection.
    async fn tell(&self, connection: &mut RawConnection, user: &str) -> Result<(), String> {
        let arguments = [(1, Value::text(user)), (2, texts(&[]))];
        let deadline = Instant::now() + self.call_timeout;
        let refused = |reason: String| {
            Err(format!(
                "{} does not take the user {user:?}: {reason}",
                self.address
            ))
        };
        match connection.call("set_ugi", &arguments, deadline).await {
            Ok(Answer::Result(fields)) => match fields.first() {
                Some((0, _)) => Ok(()),
                Some((_, Value::Struct(exception))) => refused(message_of(exception)),
                _ => refused("its answer is empty".to_string()),
            },
            Ok(Answer::UnknownMethod) => refused("it has no set_ugi".to_string()),
            Ok(Answer::Failed(reason)) => refused(reason),
            Err(error) => Err(error.reason().to_string()),
        }
    }
}

impl MakeTransport for Dial {
    type ReadHalf = OwnedReadHalf;
    type WriteHalf = OwnedWriteHalf;

    /// The address is one that the crate wants and nobody uses: a name may have several.
    async fn make_transport(&self, _: Address) -> io::Result<(Self::ReadHalf, Self::WriteHalf)> {
        let connection = self.connect().await.map_err(io::Error::other)?;
        let (read, write) = connection.into_stream().into_split();
        Ok((OwnedReadHalf::Tcp(read), OwnedWriteHalf::Tcp(write)))
    }

    fn set_connect_timeout(&mut self, _: Option<Duration>) {}

    fn set_read_timeout(&mut self, _: Option<Duration>) {}

    fn set_write_timeout(&mut self, _: Option<Duration>) {}
}
