//! A strict registry in this process, over loopback HTTP: for tests, yours too.
//!
//! It holds what it is given in memory and refuses what the distribution specification
//! refuses: a manifest that names blobs it does not have, content that does not match its
//! digest, a chunk that does not start where the last one ended. Real clients (docker,
//! skopeo) can talk to it. On demand it behaves badly: see [`Faults`].
//!
//! ```
//! use launch_registry::Registry as _;
//! use launch_registry::memory::MemoryRegistry;
//! use launch_registry::oci::OciRegistry;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = MemoryRegistry::builder().start().await?;
//! let registry = OciRegistry::builder().build()?;
//! let image = format!("{}/train:v1", server.host()).parse()?;
//! assert_eq!(registry.find(&image).await?, None);
//! # Ok(())
//! # }
//! ```

mod access;
mod faults;
mod http;
mod proxy;
mod routes;
mod store;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use launch_config::image::Digest;
use launch_config::secret::Secret;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use self::access::Access;
pub use self::access::Guard;
use self::faults::Dice;
pub use self::faults::Faults;
pub use self::proxy::FaultyProxy;
use self::store::Store;

/// A running registry. Dropping it ends the server and every connection.
#[derive(Debug)]
pub struct MemoryRegistry {
    state: Arc<State>,
    server: JoinHandle<()>,
}

impl Drop for MemoryRegistry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// How often things were asked of the registry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// All requests but those for tokens and for the API's root.
    pub requests: u64,
    /// Uploads opened, mounts included.
    pub uploads: u64,
    /// Blobs that were mounted.
    pub mounts: u64,
    /// Blobs that were completed.
    pub blobs: u64,
    /// Bytes of blobs that arrived.
    pub bytes: u64,
    /// Manifests that were accepted.
    pub manifests: u64,
    /// Tokens given out.
    pub tokens: u64,
    /// Uploads that were cancelled.
    pub cancelled: u64,
    /// Requests to the upload host that carried credentials: there must be none.
    pub leaks: u64,
    /// Faults that were acted out.
    pub faults: u64,
}

/// What connections share. Locks are held for moments, never across an await.
#[derive(Debug)]
struct State {
    address: SocketAddr,
    /// Where `Location` points if uploads go to another host.
    uploads: Option<SocketAddr>,
    access: Access,
    faults: Mutex<Faults>,
    dice: Mutex<Dice>,
    store: Mutex<Store>,
    counts: Mutex<Counts>,
}

/// A poisoned lock means that a connection's task panicked; its data is still whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn count(&self, what: impl FnOnce(&mut Counts)) {
        what(&mut locked(&self.counts));
    }

    fn faults(&self) -> Faults {
        locked(&self.faults).clone()
    }
}

impl MemoryRegistry {
    /// Starts with an open, well-behaved registry.
    pub fn builder() -> MemoryRegistryBuilder {
        MemoryRegistryBuilder::default()
    }

    /// Host and port for image names, as `127.0.0.1:40123`.
    pub fn host(&self) -> String {
        self.state.address.to_string()
    }

    /// How often things were asked so far.
    pub fn counts(&self) -> Counts {
        *locked(&self.state.counts)
    }

    /// Behaves like this from now on.
    pub fn set_faults(&self, faults: Faults) {
        *locked(&self.state.dice) = Dice::new(faults.seed);
        *locked(&self.state.faults) = faults;
    }

    /// Asks this of its clients from now on. Tokens it gave out before are good no more, and
    /// its challenge names another service.
    pub fn set_guard(&self, guard: Guard) {
        self.state.access.set_guard(guard);
    }

    /// Forgets every token it gave out, as if they had expired.
    pub fn expire_tokens(&self) {
        self.state.access.expire_tokens();
    }

    /// A manifest of `repository`, by tag or digest.
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<Bytes> {
        locked(&self.state.store)
            .manifest(repository, reference)
            .map(|found| found.bytes.clone())
    }

    /// A blob of `repository`.
    pub fn blob(&self, repository: &str, digest: Digest) -> Option<Bytes> {
        locked(&self.state.store).blob(repository, digest)
    }

    /// How many uploads are open.
    pub fn open_uploads(&self) -> usize {
        locked(&self.state.store).open_uploads()
    }
}

/// Collects what a [`MemoryRegistry`] is made of.
#[derive(Debug, Clone, Default)]
pub struct MemoryRegistryBuilder {
    guard: Guard,
    faults: Faults,
    elsewhere: bool,
}

impl MemoryRegistryBuilder {
    /// Wants user and password with every request.
    #[must_use]
    pub fn with_basic(self, user: impl Into<String>, password: Secret) -> Self {
        Self {
            guard: Guard::Basic {
                user: user.into(),
                password,
            },
            ..self
        }
    }

    /// Wants tokens, which its own token service gives to this user. A token is good for the
    /// scopes it was asked for and for that many requests, if given.
    #[must_use]
    pub fn with_bearer(
        self,
        user: impl Into<String>,
        password: Secret,
        good_for: Option<u32>,
    ) -> Self {
        let user = user.into();
        Self {
            guard: Guard::Bearer {
                user,
                password,
                good_for,
            },
            ..self
        }
    }

    /// Behaves badly from the start.
    #[must_use]
    pub fn with_faults(self, faults: Faults) -> Self {
        Self { faults, ..self }
    }

    /// Sends uploads to another host (another port), where nobody needs credentials and
    /// nobody should show them.
    #[must_use]
    pub fn with_uploads_elsewhere(self) -> Self {
        Self {
            elsewhere: true,
            ..self
        }
    }

    /// Starts to listen on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start(self) -> io::Result<MemoryRegistry> {
        let main = TcpListener::bind("127.0.0.1:0").await?;
        let other = if self.elsewhere {
            Some(TcpListener::bind("127.0.0.1:0").await?)
        } else {
            None
        };
        let state = Arc::new(State {
            address: main.local_addr()?,
            uploads: other.as_ref().map(TcpListener::local_addr).transpose()?,
            access: Access::new(self.guard),
            dice: Mutex::new(Dice::new(self.faults.seed)),
            faults: Mutex::new(self.faults),
            store: Mutex::default(),
            counts: Mutex::default(),
        });
        let server = tokio::spawn(accept(main, other, Arc::clone(&state)));
        Ok(MemoryRegistry { state, server })
    }
}

/// Serves until it is aborted; the connections go with the set.
async fn accept(main: TcpListener, other: Option<TcpListener>, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let elsewhere = async {
            match &other {
                Some(other) => other.accept().await,
                None => std::future::pending().await,
            }
        };
        let (accepted, is_main) = tokio::select! {
            accepted = main.accept() => (accepted, true),
            accepted = elsewhere => (accepted, false),
        };
        while connections.try_join_next().is_some() {}
        if let Ok((stream, _)) = accepted {
            connections.spawn(serve(stream, Arc::clone(&state), is_main));
        }
    }
}

async fn serve(stream: TcpStream, state: Arc<State>, is_main: bool) {
    // A client that goes away is no concern of ours.
    if let Err(error) = routes::serve(stream, &state, is_main).await {
        tracing::trace!(%error, "a connection ended");
    }
}
