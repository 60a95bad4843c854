//! A stream with the transport on it, as both sides use it until they are authenticated.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::error::Error;
use crate::limits;
use crate::transport::{Arrived, Transport};

/// What one read takes, in bytes.
pub(crate) const READ_BYTES: usize = 32 * 1024;

/// A stream and its transport.
pub(crate) struct Wire<S> {
    pub(crate) stream: S,
    pub(crate) transport: Transport,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// What comes next; everything that waits is sent before.
    pub(crate) async fn next(&mut self) -> Result<Arrived, Error> {
        loop {
            if let Some(arrived) = self.transport.poll()? {
                return Ok(arrived);
            }
            self.flush().await?;
            let input = self.transport.input();
            input.reserve(READ_BYTES);
            if self.stream.read_buf(input).await? == 0 {
                return Err(Error::Io(std::io::ErrorKind::UnexpectedEof));
            }
        }
    }

    /// Sends a message.
    pub(crate) async fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        self.transport.send(message)?;
        self.flush().await
    }

    /// Sends what waits.
    pub(crate) async fn flush(&mut self) -> Result<(), Error> {
        self.stream.write_all_buf(self.transport.output()).await?;
        Ok(self.stream.flush().await?)
    }

    /// Tells the peer why we leave, as far as that is possible.
    pub(crate) async fn part(&mut self, error: &Error) {
        if let Some(reason) = error.reason()
            && self.transport.disconnect(reason as u32, &error.to_string()).is_ok()
        {
            let goodbye = async {
                self.flush().await?;
                Ok::<_, Error>(self.stream.shutdown().await?)
            };
            // The peer may be gone, or not read: it has been given its chance.
            tokio::time::timeout(limits::LINGER, goodbye).await.ok();
        }
    }
}
