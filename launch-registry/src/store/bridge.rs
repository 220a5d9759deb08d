//! Our credential sources, in the shape object_store has for them.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use object_store::CredentialProvider;

use super::credential::{Credential, CredentialSource, InUse};
use super::refusal::{Refusal, Shared};

/// What the store wants instead of the credential it was given.
pub(super) type Mismatch = String;

/// Asks `source`, and turns what it says into what object_store wants.
#[derive(Debug)]
pub(super) struct Bridge<T> {
    source: Arc<dyn CredentialSource>,
    in_use: Arc<InUse>,
    turn: fn(&Credential) -> Result<T, Mismatch>,
}

impl<T> Bridge<T> {
    pub(super) fn new(
        source: Arc<dyn CredentialSource>,
        turn: fn(&Credential) -> Result<T, Mismatch>,
    ) -> Self {
        Self {
            source,
            in_use: Arc::default(),
            turn,
        }
    }

    pub(super) fn in_use(&self) -> Arc<InUse> {
        Arc::clone(&self.in_use)
    }
}

#[async_trait]
impl<T: std::fmt::Debug + Send + Sync + 'static> CredentialProvider for Bridge<T> {
    type Credential = T;

    async fn get_credential(&self) -> object_store::Result<Arc<T>> {
        let credential = self.source.credential().await.map_err(refused)?;
        self.in_use.remember(&credential);
        let turned = (self.turn)(&credential);
        let mismatch = |wanted| {
            format!(
                "the store wants {wanted}, and was given {}",
                credential.kind()
            )
        };
        turned
            .map(Arc::new)
            .map_err(|wanted| refused(mismatch(wanted).into()))
    }
}

fn refused(source: Box<dyn Error + Send + Sync>) -> object_store::Error {
    object_store::Error::Generic {
        store: "credentials",
        source: Box::new(Refusal::Credentials(Shared::new(source))),
    }
}
