//! What every turn of an app can reach besides its session: the pools, and which callbacks are registered.

use std::any::TypeId;
use std::collections::HashMap;

use crate::pools::Pools;
use crate::{Error, Result};

/// What every turn of an app can reach besides its session.
pub(crate) struct Services {
    pub(crate) pools: Pools,
    /// The named callbacks, by name.
    pub(crate) callbacks: HashMap<&'static str, TypeId>,
    /// Jobs are written down, so that they can be started again.
    pub(crate) keeps_jobs: bool,
    /// Pages see the text of internal errors.
    pub(crate) development: bool,
}

impl Services {
    /// Whether the callback of that name was registered with that type.
    ///
    /// # Errors
    ///
    /// What to add to the app.
    pub(crate) fn knows(&self, name: &str, callback: TypeId, type_name: &str) -> Result {
        if self.callbacks.get(name) == Some(&callback) {
            return Ok(());
        }
        let text = format!("the callback \"{name}\" is not registered: add `.callback::<{type_name}>()` to the app");
        Err(Error::internal(text))
    }
}
