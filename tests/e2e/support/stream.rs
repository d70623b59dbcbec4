//! A client's socket, plain or sealed: the same tests run over both, as separate programs.

use super::signed::{Authority, over};
use madang::config::{Certificate, Config};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// Issues this process's certificates.
static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);
static CLIENTS: LazyLock<Arc<ClientConfig>> =
    LazyLock::new(|| Arc::new(AUTHORITY.clients(&[&TLS13, &TLS12])));

static FILES: LazyLock<Certificate> = LazyLock::new(|| {
    let files = AUTHORITY.issue("e2e", &["127.0.0.1"]);
    let path = |path: &Path| path.display().to_string().into_boxed_str();
    Certificate { certificate: path(&files.certificate), key: path(&files.key) }
});

/// Has a server speak TLS, if this program's clients do.
pub(crate) fn seal(config: &mut Config) {
    if crate::SEALED {
        config.tls.certificates = vec![FILES.clone()];
    }
}

/// The setting that does so for a process.
pub(crate) fn sealing() -> Option<String> {
    crate::SEALED.then(|| format!("tls.certificates={}={}", FILES.certificate, FILES.key))
}

/// A connection that speaks what this program's servers speak.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Sealed(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    pub(crate) fn new(tcp: TcpStream) -> Self {
        if crate::SEALED {
            Self::Sealed(Box::new(over(tcp, &CLIENTS, "127.0.0.1")))
        } else {
            Self::Plain(tcp)
        }
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Sealed(stream) => &stream.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(buf),
            Self::Sealed(stream) => stream.read(buf),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(bytes),
            Self::Sealed(stream) => stream.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write_vectored(slices),
            Self::Sealed(stream) => stream.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.flush(),
            Self::Sealed(stream) => stream.flush(),
        }
    }
}
